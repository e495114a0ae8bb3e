package exporter

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"glance_share_exporter/internal/config"
)

// contents has the SHA-256 sums of files, by path, and of lists of files, by globMark and the glob. The sum is zero for
// a file that cannot be read and for a glob that matches no file.
type contents map[string][sha256.Size]byte

// globMark is the prefix of a glob among files. No path has it.
const globMark = "\x00"

// contentsOf reads the files, including those that a glob among them matches. It calls reading before each of them.
func contentsOf(files []string, reading func(path string)) contents {
	c := contents{}
	for _, path := range files {
		glob, ok := strings.CutPrefix(path, globMark)
		reading(glob)
		if ok {
			matches, _ := config.Glob(glob)
			c[path] = [sha256.Size]byte{}
			if len(matches) > 0 {
				c[path] = sha256.Sum256([]byte(strings.Join(matches, "\x00")))
			}
			maps.Copy(c, contentsOf(matches, reading))
			continue
		}
		if text, err := config.ReadFile(path); err == nil {
			c[path] = sha256.Sum256(text)
		} else {
			c[path] = [sha256.Size]byte{}
		}
	}
	return c
}

// sources returns the files, and the globs with globMark.
func sources(files, globs []string) []string {
	files = slices.Clone(files)
	for _, glob := range globs {
		files = append(files, globMark+glob)
	}
	return files
}

// has reports whether c has each of the files, readable or not.
func (c contents) has(files []string) bool {
	for _, path := range files {
		if _, ok := c[path]; !ok {
			return false
		}
	}
	return true
}

// only returns the contents of the files, all of which c has.
func (c contents) only(files []string) contents {
	some := contents{}
	for _, path := range files {
		some[path] = c[path]
	}
	return some
}

// files returns the paths, sorted.
func (c contents) files() []string { return slices.Sorted(maps.Keys(c)) }
