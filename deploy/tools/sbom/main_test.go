package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// output runs a command.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// schema is that of CycloneDX, as the module brings it along.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir := strings.TrimSpace(output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schemax.json"} {
		text, err := os.ReadFile(filepath.Join(dir, "schema", name))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+strings.Replace(name, "schemax", "schema", 1), parsed); err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestOfTheExporter(t *testing.T) {
	program := filepath.Join(t.TempDir(), "glance_share_exporter")
	output(t, "go", "build", "-C", "../../..", "-buildvcs=false", "-o", program, ".")
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{"-version", "0.1.0+dirty", "-time", "1795651200", program}, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("it is another document the second time")
	}

	valid := schema(t)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := valid.Validate(document); err != nil {
		t.Error(err)
	}
	document.(map[string]any)["components"] = "none"
	if err := valid.Validate(document); err == nil {
		t.Error("the schema lets everything pass")
	}

	var bom cdx.BOM
	if err := json.Unmarshal(first.Bytes(), &bom); err != nil {
		t.Fatal(err)
	}
	shown := output(t, "go", "version", "-m", program)
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)\t(\S+)$`).FindAllStringSubmatch(shown, -1) {
		want = append(want, fmt.Sprintf("%s %s %s", m[1], m[2], m[3]))
	}
	if len(want) < 20 || strings.Contains(shown, "\t=>\t") {
		t.Fatalf("%d modules, or replaced ones:\n%s", len(want), shown)
	}
	var got []string
	for _, c := range *bom.Components {
		if c.Name == "std" {
			if _, version, _ := strings.Cut(strings.Fields(shown)[1], "go"); c.Version != version || c.PackageURL != "pkg:golang/std@"+version {
				t.Errorf("standard library: %+v", c)
			}
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %s", c.Name, c.Version, (*c.Properties)[0].Value))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("want %q\ngot  %q", want, got)
	}
	about := bom.Metadata.Component
	if about.Name != "glance_share_exporter" || about.Version != "0.1.0+dirty" ||
		about.Description != "for "+runtime.GOOS+"/"+runtime.GOARCH ||
		about.PackageURL != "pkg:generic/glance_share_exporter@0.1.0+dirty" {
		t.Errorf("%+v", about)
	}
	if sum := strings.Fields(output(t, "sha256sum", program))[0]; (*about.Hashes)[0].Value != sum {
		t.Errorf("SHA-256 %s, want %s", (*about.Hashes)[0].Value, sum)
	}
}

func TestMistakes(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no program": {"-version", "1"}, "no version": {text}, "no such file": {"-version", "1", text + "s"},
		"not of Go": {"-version", "1", text},
	} {
		var out bytes.Buffer
		if err := run(args, &out); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
	}
}
