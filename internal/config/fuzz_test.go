package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"glance_share_exporter/internal/config"
)

var oneLine = regexp.MustCompile(`^:[1-9][0-9]*: [^\n\r]+$`)

// Whatever the file is, Load returns a configuration or one line with a place in the file.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yml", "testdata/bad/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "exporter.yml")
		write(t, path, string(text))
		c, err := config.Load(path)
		if err != nil {
			if rest := err.Error(); len(rest) < len(path) || rest[:len(path)] != path || !oneLine.MatchString(rest[len(path):]) {
				t.Errorf("not a line with a place: %q", err)
			}
			return
		}
		if len(c.Clouds) == 0 {
			t.Error("no clouds")
		}
		if _, err := c.Redacted(); err != nil {
			t.Error(err)
		}
	})
}
