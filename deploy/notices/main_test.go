package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Everything that the program is linked with has its licence, and the same program has the same notices.
func TestNotices(t *testing.T) {
	t.Chdir("../..")
	program := filepath.Join(t.TempDir(), "glance_share_exporter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{program}, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("they differ the second time")
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 20 {
		t.Fatalf("%d modules", len(info.Deps))
	}
	texts := map[string]string{} // by module, without its version
	parts := regexp.MustCompile(`(?m)^={80}\n(\S+) .*: .*\n={80}\n`).FindAllStringSubmatchIndex(first.String(), -1)
	for i, at := range parts {
		end := first.Len()
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		texts[first.String()[at[2]:at[3]]] += first.String()[at[1]:end]
	}
	for _, module := range info.Deps {
		if len(texts[module.Path]) < 500 {
			t.Errorf("no licence of %s: %q", module.Path, texts[module.Path])
		}
	}
	for module, text := range map[string]string{
		"Go":                                  "Copyright 2009 The Go Authors",
		"github.com/prometheus/common":        "Apache License",
		"github.com/prometheus/client_golang": "This product includes software developed at",
		"github.com/klauspost/compress":       "Snappy-Go",
	} {
		if !strings.Contains(texts[module], text) {
			t.Errorf("no %q in the texts of %s", text, module)
		}
	}
}

func TestAModuleWithoutALicense(t *testing.T) {
	root := t.TempDir()
	m := &module{title: "example.com/module v1.2.3", root: root, dirs: map[string]bool{root: true, filepath.Join(root, "sub"): true}}
	if err := os.Mkdir(filepath.Join(root, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := "example.com/module v1.2.3: no licence in " + root + ": do not link it, or add its licence to deploy/notices"
	for _, test := range []struct{ file, err string }{
		{"NOTICE", want},
		{"PATENTS", want},
		{"license.go", want},
		{"sub/LICENSE-MIT.txt", ""},
	} {
		if err := os.WriteFile(filepath.Join(root, test.file), []byte("a text\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err := m.write(&out)
		if err == nil && test.err != "" || err != nil && err.Error() != test.err {
			t.Errorf("%s: got %v, want %s", test.file, err, test.err)
		}
		if test.err == "" && !strings.Contains(out.String(), "example.com/module v1.2.3: sub/LICENSE-MIT.txt\n") {
			t.Errorf("%s: %s", test.file, &out)
		}
	}
}

func TestMistakes(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"no program": nil, "no such file": {text + "s"}, "not of Go": {text}} {
		var out bytes.Buffer
		if err := run(args, &out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %s", name, err, &out)
		}
	}
}
