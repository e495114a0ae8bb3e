package config_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"glance_share_exporter/internal/config"
)

// The reference in docs/, the example exporter.yml and the decoder know the same keys, and the reference tells the
// defaults that the loader fills in. Both files are compared with what the decoder itself says: an unknown key is
// answered with the known ones.

// at returns a configuration in flow style that has value at path, such as clouds[].auth.env.
func at(path, value string) string {
	parts := strings.Split(path, ".")
	for _, part := range slices.Backward(parts) {
		key, list := strings.CutSuffix(part, "[]")
		if list {
			value = "[" + value + "]"
		}
		value = "{" + key + ": " + value + "}"
	}
	return value
}

var knownHere = regexp.MustCompile(`unknown key "zz_unknown": (?:the keys here are (.*)|it has no keys.*)$`)

// known returns the paths of all keys that the decoder knows below path, in its order, those of http left out: they are
// those of prometheus/common.
func known(t *testing.T, path string) (paths []string) {
	t.Helper()
	join := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	_, err := config.Parse("exporter.yml", []byte(at(join("zz_unknown"), "1")))
	if err == nil {
		return nil
	}
	answer := knownHere.FindStringSubmatch(err.Error())
	if answer == nil || answer[1] == "" {
		return nil // no mapping, or one of names that the operator chooses
	}
	for _, key := range strings.Split(answer[1], ", ") {
		paths = append(paths, join(key))
		if key == "http" {
			continue
		}
		for _, below := range []string{join(key), join(key) + "[]"} {
			paths = append(paths, known(t, below)...)
		}
	}
	return paths
}

// below returns the rest of those paths that begin with prefix.
func below(paths []string, prefix string) (rest []string) {
	for _, path := range paths {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			rest = append(rest, key)
		}
	}
	return rest
}

func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The pages of the reference.
const (
	configurationPage = "docs/configuration.md"
	credentialsPage   = "docs/credentials.md"
)

// section returns what a page has between a heading and the next one.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(readFile(t, "../../"+page), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %s", page, heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

// rows returns the cells of the tables in text, headings and rulers left out.
func rows(text string) (cells [][]string) {
	for line := range strings.Lines(text) {
		if row, ok := strings.CutPrefix(strings.TrimSpace(line), "| `"); ok {
			cells = append(cells, strings.Split(strings.TrimSuffix("`"+row, " |"), " | "))
		}
	}
	return cells
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

func codes(text string) (spans []string) {
	for _, found := range codeSpan.FindAllStringSubmatch(text, -1) {
		spans = append(spans, found[1])
	}
	return spans
}

// elsewhere are the keys that have a table of their own, or a sentence, and those that repeat others.
var elsewhere = regexp.MustCompile(`^clouds\[\]\.(auth|scrape|discover\[\])\.|expected_(members|owners)\[\]`)

func TestTheReferenceHasEveryKey(t *testing.T) {
	all := known(t, "")
	var want, have []string
	for _, path := range all {
		leaf := !slices.ContainsFunc(all, func(p string) bool { return strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[].") })
		switch {
		case elsewhere.MatchString(path):
		case path == "clouds[].discover":
			want = append(want, path+"[]")
		case leaf,
			path == "clouds[].auth",
			path == "clouds[].scrape",
			path == "clouds[].inbound",
			path == "member_groups",
			strings.HasSuffix(path, "expected_members"),
			strings.HasSuffix(path, "expected_owners"):
			want = append(want, path)
		}
	}
	for _, row := range rows(section(t, configurationPage, "## exporter.yml")) {
		have = append(have, codes(row[0])...)
	}
	if diff := cmp.Diff(sorted(want), sorted(have)); diff != "" {
		t.Errorf("keys (-decoder +%s):\n%s", configurationPage, diff)
	}

	want, have = below(all, "clouds[].discover[]."), nil
	want = slices.DeleteFunc(want, func(key string) bool { return strings.Contains(key, "[]") })
	for _, row := range rows(section(t, configurationPage, "## Discovery")) {
		have = append(have, codes(row[0])...)
	}
	if diff := cmp.Diff(sorted(want), sorted(have)); diff != "" {
		t.Errorf("keys of a rule of discover (-decoder +%s):\n%s", configurationPage, diff)
	}

	members := codes(section(t, configurationPage, "## Expected members"))
	for _, key := range below(all, "clouds[].expected_members[].") {
		if key != "group" && !slices.Contains(members, key) {
			t.Errorf("%s does not say that an entry of expected_members may have %s", configurationPage, key)
		}
	}
}

func TestTheReferenceHasEveryKindOfAuth(t *testing.T) {
	all := known(t, "")
	var want, have []string
	for _, kind := range below(all, "clouds[].auth.") {
		if !strings.Contains(kind, ".") {
			want = append(want, kind)
		}
	}
	word := regexp.MustCompile(`^[a-z_]+$`)
	for _, row := range rows(section(t, credentialsPage, "## Kinds of auth")) {
		kind := strings.Trim(row[0], "`")
		have = append(have, kind)
		keys, told := below(all, "clouds[].auth."+kind+"."), codes(row[1])
		for _, key := range keys {
			if !slices.Contains(told, key) {
				t.Errorf("%s does not have the key %s of %s", credentialsPage, key, kind)
			}
		}
		for _, key := range told {
			if word.MatchString(key) && !slices.Contains(keys, key) && !slices.Contains(all, "clouds[]."+key) {
				t.Errorf("%s has a key %s of %s, and the decoder does not know it", credentialsPage, key, kind)
			}
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("kinds of auth (-decoder +%s):\n%s", credentialsPage, diff)
	}
}

// literal is a cell of defaults that can be written into exporter.yml.
var literal = regexp.MustCompile("^(?:|.* else )`([^`]+)`(?:, with `ims` `([^`]+)`)?$")

// Who writes what the reference calls the default has changed nothing.
func TestTheReferenceHasTheDefaults(t *testing.T) {
	cleanEnv(t)
	minimal := func(api string) map[string]any {
		return map[string]any{"clouds": []any{map[string]any{
			"name":     "prod",
			"api":      api,
			"auth":     map[string]any{"none": map[string]any{"project_id": "edc8"}},
			"endpoint": "https://image.example.com",
			"images":   []any{map[string]any{"id": "d164b5df-1bc3-4c3f-893e-3e471fd16e64"}},
		}}}
	}
	effective := func(doc map[string]any) string {
		t.Helper()
		text, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse("exporter.yml", text)
		if err != nil {
			return err.Error()
		}
		shown, err := c.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		return string(shown)
	}
	// change sets the value at path, or removes it.
	change := func(doc map[string]any, path string, value any) {
		parts := strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			key, list := strings.CutSuffix(part, "[]")
			next := doc[key]
			if list {
				next = next.([]any)[0]
			} else if next == nil {
				next = map[string]any{}
				doc[key] = next
			}
			doc = next.(map[string]any)
		}
		if last := parts[len(parts)-1]; value == nil {
			delete(doc, last)
		} else {
			doc[last] = value
		}
	}
	compared, required := 0, 0
	for _, row := range rows(section(t, configurationPage, "## exporter.yml")) {
		path, told := strings.Trim(row[0], "`"), row[1]
		if told == "required" {
			required++
			doc := minimal("glance")
			change(doc, path, nil)
			if got, want := effective(doc), strings.ReplaceAll(path, "[]", "[0]")+": is required"; !strings.Contains(got, want) {
				t.Errorf("%s calls %s required; without it:\n%s", configurationPage, path, got)
			}
			continue
		}
		defaults := literal.FindStringSubmatch(told)
		if defaults == nil {
			continue
		}
		apis := []string{"glance", "ims"}
		if path == "clouds[].members_api" {
			apis = apis[1:]
		}
		for _, api := range apis {
			text := defaults[1]
			switch {
			case path == "clouds[].api" && api == "ims":
				continue
			case api == "ims" && defaults[2] != "":
				text = defaults[2]
			}
			var value any
			if err := yaml.Unmarshal([]byte(text), &value); err != nil {
				t.Fatalf("%s: %s: %v", path, text, err)
			}
			without, doc := minimal(api), minimal(api)
			if strings.HasPrefix(path, "clouds[].inbound.") { // which is off by default
				change(without, "clouds[].inbound.expected_owners", []any{})
				change(doc, "clouds[].inbound.expected_owners", []any{})
			}
			change(doc, path, value)
			if diff := cmp.Diff(effective(without), effective(doc)); diff != "" {
				t.Errorf("%s calls %s the default of %s (api: %s); what it changes (-without +with it):\n%s", configurationPage, text, path, api, diff)
			}
			compared++
		}
	}
	if compared < 20 || required < 3 {
		t.Errorf("only %d defaults and %d required keys were found in %s", compared, required, configurationPage)
	}
}

var (
	commentedOut = regexp.MustCompile(`(?m)^( +)# ((?: *)(?:- )?[a-z_]+:(?: .*)?)$`)
	orInstead    = regexp.MustCompile(`(?m)^( +)[a-z_]+:.*# or ([a-z_, ]+).*$`)
)

// The annotated example shows every key, if only commented out or named in a comment as another way: "or user_id".
func TestTheExampleHasEveryKey(t *testing.T) {
	all := known(t, "")
	text := commentedOut.ReplaceAllString(readFile(t, "../../exporter.yml"), "$1$2")
	text = orInstead.ReplaceAllStringFunc(text, func(line string) string {
		found := orInstead.FindStringSubmatch(line)
		for _, key := range regexp.MustCompile(`, | and `).Split(found[2], -1) {
			key = strings.TrimSpace(key)
			if slices.ContainsFunc(all, func(path string) bool { return strings.HasSuffix(path, "."+key) }) {
				line += fmt.Sprintf("\n%s%s: instead", found[1], key)
			}
		}
		return line
	})
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("with everything that is commented out: %v\n%s", err, text)
	}
	have := map[string]bool{}
	var note func(path string, n *yaml.Node)
	note = func(path string, n *yaml.Node) {
		switch n.Kind {
		case yaml.DocumentNode:
			note("", n.Content[0])
		case yaml.SequenceNode:
			for _, item := range n.Content {
				note(path+"[]", item)
			}
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				key := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
				have[key] = true
				note(key, n.Content[i+1])
			}
		}
	}
	note("", &root)
	// A list of members is the same everywhere, of owners too, and so is scrape.
	same := func(path string) string {
		path = regexp.MustCompile(`^.*expected_(members|owners)\[\]`).ReplaceAllString(path, "members[]")
		path = regexp.MustCompile(`^member_groups\.[a-z]+\[\]`).ReplaceAllString(path, "members[]")
		return strings.Replace(path, "clouds[].scrape.", "scrape.", 1)
	}
	shown := map[string]bool{}
	for path := range have {
		shown[same(path)] = true
	}
	for _, path := range all {
		if !shown[same(path)] {
			t.Errorf("exporter.yml does not show %s", path)
		}
	}
	for path := range have {
		free := strings.HasPrefix(path, "member_names.") || strings.HasPrefix(path, "member_groups.") || strings.Contains(path, ".http.")
		if !free && !slices.Contains(all, path) {
			t.Errorf("exporter.yml shows %s, and the decoder does not know it", path)
		}
	}
}
