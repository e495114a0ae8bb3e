package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glance_share_exporter/internal/config"
)

// FuzzParse: any file is a configuration with something to watch, or a mistake that names the file.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yml", "../../exporter.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	for _, path := range archives(f) {
		_, list := mistakes(f, path)
		for _, m := range list {
			f.Add([]byte(m.text))
		}
	}
	dir := f.TempDir() // an empty one, so that relative paths lead nowhere
	f.Fuzz(func(t *testing.T, text []byte) {
		if namesAFile(text) {
			return
		}
		c, err := config.Parse(filepath.Join(dir, "exporter.yml"), text)
		if err != nil {
			if _, ok := errors.AsType[*config.LoadError](err); !ok || !strings.HasPrefix(err.Error(), filepath.Join(dir, "exporter.yml")) {
				t.Errorf("got %T %v", err, err)
			}
			if c != nil {
				t.Error("a mistake, and a configuration beside it")
			}
			return
		}
		if len(c.Clouds) == 0 {
			t.Error("no cloud")
		}
		for _, cloud := range c.Clouds {
			if err := cloud.Collector.Validate(); err != nil {
				t.Error(err)
			}
			if err := cloud.Client.Validate(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Redacted(); err != nil {
			t.Error(err)
		}
	})
}

// namesAFile reports whether a text may lead to a file of this machine.
func namesAFile(text []byte) bool {
	return slices.ContainsFunc([]string{"/dev/", "/proc/", "images_files"},
		func(part string) bool { return strings.Contains(string(text), part) })
}
