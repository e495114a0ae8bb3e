// Command notices writes the licences and notices of everything that the exporter is linked with.
//
//	go run ./deploy/notices PROGRAM >NOTICES.txt
//
// It runs in the directory of the sources that the program was built from, and needs the modules in the module cache only.
package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: notices PROGRAM")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return err
	}
	env := os.Environ()
	for _, setting := range info.Settings {
		if setting.Key == "GOOS" || setting.Key == "GOARCH" || setting.Key == "CGO_ENABLED" {
			env = append(env, setting.Key+"="+setting.Value)
		}
	}
	modules, err := linked(context.Background(), env)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s is built from the following. Its own licence is in LICENSE.\n", filepath.Base(info.Path))
	for _, module := range info.Deps {
		if modules[module.Path] == nil {
			return fmt.Errorf("%s: go list does not name it: run notices where the program was built", module.Path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if err := modules[name].write(stdout); err != nil {
			return err
		}
	}
	return nil
}

// module is a module, or Go itself, with the directories of the packages that are linked.
type module struct {
	title, root string
	dirs        map[string]bool
}

// linked returns the modules of the program in this directory, by their paths.
func linked(ctx context.Context, env []string) (map[string]*module, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Root,Standard,Module", ".")
	cmd.Env, cmd.Stderr = env, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &stderr)
	}
	modules := map[string]*module{}
	for list := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			Dir, Root string
			Standard  bool
			Module    *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		switch err := list.Decode(&pkg); {
		case errors.Is(err, io.EOF):
			return modules, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		case pkg.Module != nil && pkg.Module.Main:
			continue
		}
		name, root, title := "Go", pkg.Root, "Go and its standard library"
		if !pkg.Standard {
			name, root, title = pkg.Module.Path, pkg.Module.Dir, pkg.Module.Path+" "+pkg.Module.Version
		}
		if modules[name] == nil {
			modules[name] = &module{title, root, map[string]bool{root: true}}
		}
		for dir := pkg.Dir; strings.HasPrefix(dir, root); dir = filepath.Dir(dir) {
			modules[name].dirs[dir] = true
		}
	}
}

var (
	license = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([-._].*)?$`)
	legal   = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)
)

// write writes the files of a module. One without a licence is an error: somebody has to look at it.
func (m *module) write(w io.Writer) error {
	licensed := false
	for _, dir := range slices.Sorted(maps.Keys(m.dirs)) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.IsDir() || !legal.MatchString(entry.Name()) || filepath.Ext(entry.Name()) == ".go" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return err
			}
			name, err := filepath.Rel(m.root, filepath.Join(dir, entry.Name()))
			if err != nil {
				return err
			}
			licensed = licensed || license.MatchString(entry.Name())
			line := strings.Repeat("=", 80)
			fmt.Fprintf(w, "\n%s\n%s: %s\n%s\n\n%s\n", line, m.title, filepath.ToSlash(name), line, bytes.TrimSpace(text))
		}
	}
	if !licensed {
		return fmt.Errorf("%s: no licence in %s: do not link it, or add its licence to deploy/notices", m.title, m.root)
	}
	return nil
}
