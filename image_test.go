package main

import (
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// What the program is made of, embedded files too, is let through to the image's build, and what lies beside it is not.
func TestDockerignoreLetsTheSourcesThrough(t *testing.T) {
	text, err := os.ReadFile(".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		if pattern, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			patterns = append(patterns, pattern)
		}
	}
	through := func(name string) bool {
		for _, pattern := range patterns {
			if ok, err := path.Match(pattern, name); ok || err != nil {
				return ok
			}
		}
		return false
	}
	const format = `{{if .Module}}{{if .Module.Main}}{{$d := slice .ImportPath (len .Module.Path)}}{{range .GoFiles}}{{$d}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}
{{end}}{{end}}{{end}}`
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	if len(files) < 50 {
		t.Fatalf("the program has %d files", len(files))
	}
	for _, file := range files {
		if name := strings.TrimPrefix(file, "/"); !through(name) {
			t.Errorf("%s is needed, and no line of .dockerignore lets it through", name)
		}
	}
	for _, name := range []string{"exporter.yml", "secret", "clouds.yaml", ".env", "client/secret", "internal/config/key.pem", "internal/config/testdata/files/password", ".git/config", "dist/secret"} {
		if through(name) {
			t.Errorf(".dockerignore lets %s through", name)
		}
	}
}
