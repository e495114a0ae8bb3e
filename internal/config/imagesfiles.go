package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// globList has globs. Only the last part of each path may have wildcards, as in Prometheus' file_sd_configs.
type globList []string

func (globList) wanted() string { return "a list such as [teams/*.yml]" }

// origin is the place of an image in images_files.
type origin struct{ file, path string }

// locate moves a problem to the file that has its image.
func (b *builder) locate(p *problem) *problem {
	for image := p.path; image != ""; image = parent(image) {
		if from, ok := b.origins[image]; ok {
			p.file, p.path = from.file, from.path+p.path[len(image):]
			return p
		}
	}
	return p
}

// imagesFiles adds the images of a cloud's files to the others, and returns the IDs of each file's images.
func (b *builder) imagesFiles(path string, e *entry) map[string][]string {
	files, own := map[string][]string{}, len(e.Images)
	b.notEmpty(path+".images_files", e.ImagesFiles)
	for i, glob := range e.ImagesFiles {
		at := fmt.Sprintf("%s.images_files[%d]", path, i)
		if strings.ContainsAny(filepath.Dir(glob), `*?[\`) {
			b.add(at, "%q has a wildcard in its directory: use * ? and [a-z] in the name of the file only", shorten(glob))
			continue
		}
		glob = expand(filepath.Dir(b.name), glob)
		e.ImagesFiles[i] = glob
		b.globs = append(b.globs, glob)
		found, err := Glob(glob)
		switch {
		case errors.Is(err, filepath.ErrBadPattern):
			b.add(at, `%q is not a valid glob: close its [, and escape a literal [ or \ with \`, shorten(glob))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			b.add(at, "directory %s cannot be read, %s: let the exporter's user read it, or correct the glob", filepath.Dir(glob), reason(err))
		case len(found) == 0:
			b.add(at, "%s matches no file: correct it, or create a file with [] for no image; names that begin with a dot are not matched", glob)
		}
		for _, file := range found {
			if _, ok := files[file]; !ok {
				files[file] = b.imagesFile(path, at, file, e)
			}
		}
	}
	b.duplicates(path, e, own)
	return files
}

// imagesFile adds the images of a file, which a glob at a path matches, and returns their IDs.
func (b *builder) imagesFile(path, at, file string, e *entry) (ids []string) {
	b.imageFiles = append(b.imageFiles, file)
	text, err := ReadFile(file)
	switch {
	case errors.Is(err, errTooLarge):
		b.add(at, "%s has more than 16 MiB: split it, or use discover", file)
		return nil
	case err != nil:
		b.add(at, "%s", unreadable(file, err))
		return nil
	}
	// An empty file is refused: it is more likely not written completely than a list without images.
	root, bad := parse(text, "write [] for no image, or "+wanted(reflect.TypeFor[[]image]()))
	if bad == nil && root.Kind != yaml.SequenceNode {
		text := fmt.Sprintf("the file must be %s, not %s", wanted(reflect.TypeFor[[]image]()), found(root))
		bad = &problem{line: root.Line, text: text}
	}
	if bad != nil {
		bad.file = file
		b.problems = append(b.problems, bad)
		return nil
	}
	for i, item := range root.Content {
		img, here := image{file: file}, fmt.Sprintf("%s.images[%d]", path, len(e.Images))
		b.origins[here] = origin{file, fmt.Sprintf("[%d]", i)}
		if bad := b.value(here, item.Line, item, reflect.ValueOf(&img).Elem()); bad != nil {
			b.problems = append(b.problems, b.locate(bad))
			return nil
		}
		e.Images, ids = append(e.Images, img), append(ids, img.ID)
	}
	return ids
}

// duplicates refuses images of files that the cloud also has elsewhere. own is how many images exporter.yml has; they
// come first.
func (b *builder) duplicates(path string, e *entry, own int) {
	places := map[string]string{}
	for i := range e.Images {
		id, at := e.Images[i].ID, fmt.Sprintf("%s.images[%d].id", path, i)
		first, ok := places[id]
		switch {
		case !ok:
			places[id] = at
		case i >= own && id != "":
			there := b.locate(&problem{path: first})
			b.add(at, "%s is also in %s:%d: remove one", id, cmp.Or(there.file, b.name), b.lineOf(first))
		}
	}
}

// Glob returns the paths of the files that a glob of images_files matches, sorted. Hidden names are not matched. Unlike
// [filepath.Glob], it fails if the directory cannot be read.
func Glob(glob string) (files []string, err error) {
	if _, err := filepath.Match(filepath.Base(glob), ""); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(glob))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if file := filepath.Join(filepath.Dir(glob), entry.Name()); matchesFile(glob, file) {
			files = append(files, file)
		}
	}
	return files, nil
}

func matchesFile(glob, file string) bool {
	name := filepath.Base(file)
	ok, _ := filepath.Match(filepath.Base(glob), name)
	return ok && !strings.HasPrefix(name, ".") && filepath.Dir(glob) == filepath.Dir(file)
}

// Gone returns a line for each file with images that images_files of old had and that is no longer there, although a
// glob of c matches it.
func (c Cloud) Gone(old Cloud) (lines []string) {
	watched := map[string]bool{}
	for _, img := range c.Collector.Images {
		watched[img.ID] = true
	}
	for _, file := range slices.Sorted(maps.Keys(old.imagesFiles)) {
		_, there := c.imagesFiles[file]
		taken := slices.ContainsFunc(c.globs, func(glob string) bool { return matchesFile(glob, file) })
		ids := old.imagesFiles[file]
		if there || !taken || len(ids) == 0 {
			continue
		}
		lost := len(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return watched[id] }))
		line := fmt.Sprintf("images_files: %s is gone; ", file)
		switch {
		case lost < len(ids):
			line += fmt.Sprintf("%d of its %d images are no longer watched", lost, len(ids))
		case lost == 1:
			line += "its image is no longer watched"
		default:
			line += fmt.Sprintf("its %d images are no longer watched", lost)
		}
		if lost > 0 && len(c.Collector.Discover) > 0 {
			line += ", unless a rule of discover matches them"
		}
		lines = append(lines, line)
	}
	return lines
}
