package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"glance_share_exporter/internal/config"
)

// mistake is a configuration of testdata/bad, and what Parse says of it.
type mistake struct {
	name, text string
	want       *txtar.File
}

// mistakes returns those of an archive, in which each NAME.yml is followed by its NAME.txt.
func mistakes(t testing.TB, path string) (*txtar.Archive, []mistake) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []mistake
	for i := 0; i+1 < len(archive.Files); i += 2 {
		name := strings.TrimSuffix(archive.Files[i].Name, ".yml")
		if want := archive.Files[i+1].Name; want != name+".txt" {
			t.Fatalf("%s: %s.yml is followed by %s", path, name, want)
		}
		list = append(list, mistake{name, string(archive.Files[i].Data), &archive.Files[i+1]})
	}
	if len(list) == 0 || len(archive.Files) != 2*len(list) {
		t.Fatalf("%s: %d files", path, len(archive.Files))
	}
	return archive, list
}

func archives(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	return paths
}

func TestMistakes(t *testing.T) {
	cleanEnv(t)
	for _, path := range archives(t) {
		archive, list := mistakes(t, path)
		named := map[string]bool{}
		for _, m := range list {
			if named[m.name] {
				t.Errorf("%s: %s is there twice", path, m.name)
			}
			named[m.name] = true
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar")+"/"+m.name, func(t *testing.T) {
				const file = "testdata/bad/exporter.yml"
				_, err := config.Parse(file, []byte(m.text))
				if err == nil {
					t.Fatal("loaded")
				}
				got, ok := strings.CutPrefix(err.Error(), file+":")
				if !ok || strings.Contains(got, "\n") || strings.Contains(got, password) {
					t.Errorf("not one line about the file, without a secret: %q", err)
				}
				if *update {
					m.want.Data = []byte(got + "\n")
				}
				if diff := cmp.Diff(string(m.want.Data), got+"\n"); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
			})
		}
		if *update {
			if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
