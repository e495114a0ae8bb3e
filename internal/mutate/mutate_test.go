// Package mutate breaks the rules about evidence in the source, one place at a time, and requires that a test of the rules
// fails each time. It has tests alone, and is no part of the product:
//
//	GLANCE_MUTATIONS=1 go test ./internal/mutate -count=1 -v
package mutate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutation is a place in which the source is broken. Blanks in old stand for any blanks, line breaks included. In new,
// BROKEN is true when the mutation is at work, and false otherwise, so that all of them are compiled at once.
type mutation struct {
	rule, file, old, new string
	why                  string // why no test can notice it; empty: one must
}

func (m *mutation) String() string {
	return m.rule + " " + m.file + ": " + strings.Join(strings.Fields(m.old), " ") + "  =>  " + strings.Join(strings.Fields(m.new), " ")
}

const (
	variable = "GLANCE_MUTATION" // the number of the mutation that is at work
	switches = `package %s

import (
	"os"
	"strconv"
)

var mutationAtWork, _ = strconv.Atoi(os.Getenv("` + variable + `"))
`
)

// second are the tests one of which must fail where no test of the rules does: the worlds with the default seeds, and tests
// that are older than the rules.
var second = map[string]string{"collector": "^TestRandomWorlds$", "client": "^TestRedirects"}

// Each mutation changes a line that is there.
func TestMutationsFindTheirLines(t *testing.T) {
	numbers := map[string][]int{}
	for n := range mutations {
		numbers[mutations[n].file] = append(numbers[mutations[n].file], n)
	}
	for file, numbers := range numbers {
		source, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mutated(string(source), numbers); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestMutations(t *testing.T) {
	if os.Getenv("GLANCE_MUTATIONS") == "" {
		t.Skip("takes some minutes: set GLANCE_MUTATIONS=1")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	programs := build(t, root)
	t.Logf("compiled with %d mutations in %s", len(mutations), time.Since(began).Round(time.Second))
	for _, p := range programs {
		p.before = p.run(t, 0, "^TestE[0-9]")
		for _, name := range slices.Sorted(maps.Keys(p.before)) {
			t.Errorf("%s fails without a mutation", name)
		}
		if len(p.run(t, 0, second[p.pkg])) == 0 {
			p.second = second[p.pkg]
		} else {
			t.Errorf("%s: %s fails without a mutation", p.pkg, second[p.pkg])
		}
	}
	var wg sync.WaitGroup
	numbers := make(chan int)
	verdicts := make([]string, len(mutations))
	for range 2 {
		wg.Go(func() {
			for n := range numbers {
				verdicts[n] = noticed(t, programs, n)
			}
		})
	}
	for n := range mutations {
		numbers <- n
	}
	close(numbers)
	wg.Wait()
	for n := range mutations {
		switch m := &mutations[n]; {
		case verdicts[n] == "" && m.why == "":
			t.Errorf("NOT NOTICED: %s", m)
		case verdicts[n] == "":
			t.Logf("changes nothing, since %s: %s", m.why, m)
		case m.why != "":
			t.Errorf("noticed by %s, so take out why: %s", verdicts[n], m)
		default:
			t.Logf("%s\n\tnoticed by %s", m, verdicts[n])
		}
	}
	t.Logf("%d mutations in %s", len(mutations), time.Since(began).Round(time.Second))
}

// pkg is the package of a file.
func pkg(file string) string { return filepath.Dir(file) }

// program is the tests of a package with all mutations.
type program struct {
	pkg, dir, path string
	before         map[string]bool // what fails without a mutation
	second         string          // empty: it fails without a mutation
}

// build compiles the tests of each package.
func build(t *testing.T, root string) map[string]*program {
	t.Helper()
	scratch := t.TempDir()
	replace := map[string]string{}
	put := func(path, text string) {
		name := filepath.Join(scratch, strconv.Itoa(len(replace))+".go")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, path)] = name
	}
	byFile := map[string][]int{}
	programs := map[string]*program{}
	for n := range mutations {
		file := mutations[n].file
		byFile[file] = append(byFile[file], n)
		if p := pkg(file); programs[p] == nil {
			programs[p] = &program{pkg: p, dir: filepath.Join(root, p), path: filepath.Join(scratch, p+".test")}
			put(filepath.Join(p, "mutation_at_work.go"), fmt.Sprintf(switches, p))
		}
	}
	for file, numbers := range byFile {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := mutated(string(source), numbers)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		put(file, text)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", list, "-o", p.path, "./"+p.pkg)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s with all mutations: %v\n%s", p.pkg, err, out)
		}
	}
	return programs
}

// mutated is a source with mutations, none of which is at work.
func mutated(source string, numbers []int) (string, error) {
	type place struct {
		start, end int
		text       string
	}
	var places []place
	for _, n := range numbers {
		m := &mutations[n]
		if !strings.Contains(m.new, "BROKEN") {
			return "", fmt.Errorf("no BROKEN in %s", m)
		}
		found := blanks(m.old).FindAllStringIndex(source, -1)
		if len(found) != 1 {
			return "", fmt.Errorf("found %d times, want once: correct the mutation of %s", len(found), m)
		}
		text := strings.ReplaceAll(m.new, "BROKEN", "(mutationAtWork == "+strconv.Itoa(n+1)+")")
		places = append(places, place{found[0][0], found[0][1], text})
	}
	slices.SortFunc(places, func(a, b place) int { return a.start - b.start })
	var b strings.Builder
	end := 0
	for _, p := range places {
		if p.start < end {
			return "", fmt.Errorf("two mutations in one place: %q", source[p.start:p.end])
		}
		b.WriteString(source[end:p.start])
		b.WriteString(p.text)
		end = p.end
	}
	b.WriteString(source[end:])
	return b.String(), nil
}

// blanks matches a text, with any blanks where it has some.
func blanks(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i := range words {
		words[i] = regexp.QuoteMeta(words[i])
	}
	return regexp.MustCompile(strings.Join(words, `\s+`))
}

// noticed returns the tests that notice a mutation: those of its package, of the rule before those of all rules, or else
// those of other packages.
func noticed(t *testing.T, programs map[string]*program, number int) string {
	m := &mutations[number]
	own := programs[pkg(m.file)]
	if names := own.noticed(t, number+1, "^Test"+m.rule+"[^0-9]", "^TestE[0-9]", own.second); names != "" {
		return names
	}
	for _, p := range programs {
		if p == own {
			continue
		}
		if names := p.noticed(t, number+1, "^TestE[0-9]"); names != "" {
			return p.pkg + ": " + names
		}
	}
	return ""
}

// noticed returns the tests that fail with a mutation and not without it, of the first of some expressions that has any.
func (p *program) noticed(t *testing.T, number int, expressions ...string) string {
	for _, tests := range expressions {
		if tests == "" {
			continue
		}
		var names []string
		for _, name := range slices.Sorted(maps.Keys(p.run(t, number, tests))) {
			if !p.before[name] {
				names = append(names, name)
			}
		}
		if n := len(names); n > 0 {
			if n > 3 {
				names = append(names[:3], fmt.Sprintf("%d more", n-3))
			}
			return strings.Join(names, ", ")
		}
	}
	return ""
}

var panicked = regexp.MustCompile(`(?m)^(panic|fatal error): .*$`)

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// run runs tests and returns the innermost ones that fail.
func (p *program) run(t *testing.T, number int, tests string) map[string]bool {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, "-test.run", tests, "-test.timeout", "30s")
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), variable+"="+strconv.Itoa(number))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	failed := map[string]bool{}
	for _, m := range failure.FindAllStringSubmatch(out.String(), -1) {
		failed[m[1]] = true
	}
	for name := range failed {
		if i := strings.LastIndex(name, "/"); i >= 0 {
			delete(failed, name[:i])
		}
	}
	if ended := panicked.FindString(out.String()); ended != "" {
		failed[ended] = true
	} else if err != nil && len(failed) == 0 {
		failed[err.Error()] = true
	}
	return failed
}
