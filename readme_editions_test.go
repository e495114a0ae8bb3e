package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// Two editions of a page have the same headings, commands, examples and tables, and in each paragraph the same names, numbers and
// links. Only the words between them are translated.
func TestTheEditionsSayTheSame(t *testing.T) {
	pages := documents(t)
	for _, name := range []string{readmePage, installPage, configurationPage, credentialsPage, "docs/huawei-cloud.md", metricsPage} {
		if !slices.Contains(pages, chineseOf(name)) {
			t.Errorf("%s has no Chinese edition", name)
		}
	}
	for _, name := range pages {
		if englishOf(name) == name {
			continue
		}
		if !slices.Contains(pages, englishOf(name)) {
			t.Errorf("%s has no English edition", name)
			continue
		}
		english, chinese := edition{englishOf(name), readText(t, englishOf(name))}, edition{name, readText(t, name)}
		for _, bad := range differences(english, chinese) {
			t.Error(bad)
		}
		for e, other := range map[edition]string{english: chinese.name, chinese: english.name} {
			links := e.links()
			if len(links) == 0 || links[0] != (target{other, ""}) {
				t.Errorf("%s: its first link does not lead to %s", e.name, other)
				continue
			}
			for _, to := range links[1:] {
				if e == chinese && to.file == englishOf(to.file) && slices.Contains(pages, chineseOf(to.file)) ||
					e == english && to.file != englishOf(to.file) {
					t.Errorf("%s: a link to %s leaves the language", e.name, to.file)
				}
			}
		}
	}
}

// Every link of the documentation leads to a file, and to a heading of it, and every page is reached from the README.
func TestNoLinkIsDead(t *testing.T) {
	pages := documents(t)
	reached := map[string]bool{}
	for _, name := range pages {
		e := edition{name, readText(t, name)}
		for _, bad := range e.deadLinks() {
			t.Error(bad)
		}
		for _, to := range e.links() {
			if name == readmePage || name == chineseOf(readmePage) {
				reached[to.file] = true
			}
		}
	}
	heading := regexp.MustCompile(`(docs/[\w/-]+\.md), "([^"]+)"`) // as text, in a file that is read elsewhere
	for _, name := range append(slices.Clone(pages), "exporter.yml") {
		for _, found := range heading.FindAllStringSubmatch(strings.Join(strings.Fields(readText(t, name)), " "), -1) {
			if !strings.Contains(readText(t, found[1]), "\n## "+found[2]+"\n") {
				t.Errorf("%s refers to %s, %q: there is no such heading", name, found[1], found[2])
			}
		}
	}
	for _, name := range pages {
		if !reached[name] {
			t.Errorf("no README has a link to %s", name)
		}
	}
}

// An archive has its own set of files, and no link of its pages leads to another one.
func TestNoLinkOfAnArchiveIsDead(t *testing.T) {
	list := regexp.MustCompile(`same "files" "(.*)" \\\n`).FindStringSubmatch(readText(t, "deploy/check-release.sh"))
	if list == nil {
		t.Fatal("deploy/check-release.sh has no list of files")
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	chinese, err := filepath.Glob("docs/zh-CN/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files := append(strings.Fields(strings.NewReplacer("$docs", "", "$name", "glance_share_exporter").Replace(list[1])),
		append(docs, chinese...)...)
	pages := 0
	for _, name := range files {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		pages++
		for _, to := range (edition{name, readText(t, name)}).links() {
			if !slices.ContainsFunc(files, func(file string) bool { return file == to.file || strings.HasPrefix(file, to.file+"/") }) {
				t.Errorf("%s: a link to %s, which an archive does not have", name, to.file)
			}
		}
	}
	if pages < 20 {
		t.Errorf("an archive has only %d pages", pages)
	}
}

// The README is short. A Chinese character has three bytes.
func TestTheReadmeIsShort(t *testing.T) {
	for name, most := range map[string]int{readmePage: 12 << 10, chineseOf(readmePage): 14 << 10} {
		text := readText(t, name)
		if lines := strings.Count(text, "\n"); lines > 250 || len(text) > most {
			t.Errorf("%s has %d lines and %d bytes; at most 250 and %d are allowed", name, lines, len(text), most)
		}
	}
}

// What the README shows of the tables is what stands in the pages.
func TestTheReadmeQuotesThePages(t *testing.T) {
	for _, test := range []struct {
		readme, heading, page string
		rows                  int
	}{
		{readmePage, "## Metrics", metricsPage, 12},
		{readmePage, "## What is reported when the view is incomplete", metricsPage, 5},
		{readmePage, "## When something fails", troubleshootingPage, 10},
		{chineseOf(readmePage), "## 指标", chineseOf(metricsPage), 12},
		{chineseOf(readmePage), "## 视图不完整时给出什么", chineseOf(metricsPage), 5},
	} {
		var rows int
		page := "\n" + link.ReplaceAllString(readText(t, test.page), "]")
		for _, section := range (edition{test.readme, readText(t, test.readme)}).sections() {
			if section[0].text() != test.heading {
				continue
			}
			for _, p := range section[1:] {
				if !strings.HasPrefix(p.kind, "table") {
					continue
				}
				for _, row := range p.lines[2:] {
					rows++
					if !strings.Contains(page, "\n"+link.ReplaceAllString(row, "]")+"\n") {
						t.Errorf("%s: %s does not have the row\n%s", test.readme, test.page, row)
					}
				}
			}
		}
		if rows != test.rows {
			t.Errorf("%s: %s has %d rows, want %d", test.readme, test.heading, rows, test.rows)
		}
	}
}

// documents are the pages of the documentation.
func documents(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/zh-CN/*.md", "dashboards/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 20 {
		t.Fatalf("only the pages %s", pages)
	}
	return pages
}

// englishOf and chineseOf return the name of the other edition.
func englishOf(name string) string {
	return strings.Replace(strings.Replace(name, ".zh-CN.md", ".md", 1), "docs/zh-CN/", "docs/", 1)
}

func chineseOf(name string) string {
	if page, ok := strings.CutPrefix(englishOf(name), "docs/"); ok {
		return "docs/zh-CN/" + page
	}
	return strings.TrimSuffix(englishOf(name), ".md") + ".zh-CN.md"
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type edition struct{ name, text string }

// part is a heading, paragraph, item of a list, table, block of code, command or line of HTML.
type part struct {
	kind  string
	line  int
	lines []string
}

func (p part) text() string { return strings.Join(p.lines, "\n") }

var (
	headingLine = regexp.MustCompile(`^(#+) (.*)`)
	itemLine    = regexp.MustCompile(`^(-|\d+\.) `)
)

// parts reads the Markdown that the editions are written in, which is not all of Markdown.
func (e edition) parts() (parts []part) {
	lines := strings.Split(e.text, "\n")
	for i := 0; i < len(lines); {
		begin, line := i, lines[i]
		kind, more := "paragraph", func(next string) bool { // whether the next line belongs to it
			return next != "" && !headingLine.MatchString(next) && !itemLine.MatchString(next) && !strings.ContainsAny(next[:1], "|<") &&
				!strings.HasPrefix(next, "```")
		}
		switch {
		case line == "":
			i++
			continue
		case strings.HasPrefix(line, "```"):
			end := slices.Index(lines[i+1:], "```")
			if end < 0 {
				end = len(lines) - i - 2
			}
			parts = append(parts, part{"code " + line[3:], i + 1, lines[i+1 : i+1+end]})
			i += end + 2
			continue
		case strings.HasPrefix(line, "    "):
			kind, more = "command", func(next string) bool { return strings.HasPrefix(next, "    ") }
		case headingLine.MatchString(line):
			kind, more = headingLine.FindStringSubmatch(line)[1], func(string) bool { return false }
		case strings.HasPrefix(line, "|"):
			kind, more = "table", func(next string) bool { return strings.HasPrefix(next, "|") }
		case strings.HasPrefix(line, "<"):
			kind, more = "HTML", func(string) bool { return false }
		case itemLine.MatchString(line):
			kind = "item"
		}
		i++
		for i < len(lines) && more(lines[i]) {
			i++
		}
		p := part{kind, begin + 1, lines[begin:i]}
		if kind == "table" {
			p.kind = fmt.Sprintf("table of %d rows", len(p.lines)-2)
		}
		parts = append(parts, p)
	}
	return parts
}

// sections are the parts from each heading to the next one, the heading included.
func (e edition) sections() (sections [][]part) {
	for _, p := range e.parts() {
		if strings.HasPrefix(p.kind, "#") || len(sections) == 0 {
			sections = append(sections, nil)
		}
		last := len(sections) - 1
		sections[last] = append(sections[last], p)
	}
	return sections
}

// differences are what two editions do not have in common.
func differences(a, b edition) (found []string) {
	as, bs := a.sections(), b.sections()
	places := func(x, y part) string { return fmt.Sprintf("%s:%d and %s:%d", a.name, x.line, b.name, y.line) }
	for i := range min(len(as), len(bs)) {
		if x, y := as[i][0], bs[i][0]; x.kind != y.kind {
			return []string{fmt.Sprintf("%s: %q and %q are of different levels: is a section missing?", places(x, y), x.text(), y.text())}
		}
	}
	if len(as) != len(bs) {
		return []string{fmt.Sprintf("%s has %d headings and %s has %d", a.name, len(as), b.name, len(bs))}
	}
	for i := range as {
		for j := range max(len(as[i]), len(bs[i])) {
			if j == len(as[i]) || j == len(bs[i]) {
				found = append(found, fmt.Sprintf("%s: the sections have %d and %d parts", places(as[i][0], bs[i][0]), len(as[i]), len(bs[i])))
				break
			}
			x, y := as[i][j], bs[i][j]
			if x.kind != y.kind {
				found = append(found, fmt.Sprintf("%s: a %s and a %s: what follows in the section is not compared", places(x, y), x.kind, y.kind))
				break
			}
			if diff := cmp.Diff(told(x.facts(a), y.facts(b))); diff != "" {
				found = append(found, fmt.Sprintf("%s: a %s (-%s +%s):\n%s", places(x, y), x.kind, a.name, b.name, diff))
			}
		}
	}
	return found
}

var (
	yamlComment = regexp.MustCompile(`\s*#\s.*$`)
	afterwards  = regexp.MustCompile(`(\s+#\s|\s{2,}).*$`) // a comment, or the second column
	code        = regexp.MustCompile("`[^`]+`")
	link        = regexp.MustCompile(`\]\(([^)]+)\)`)
	number      = regexp.MustCompile(`\d+(?:[,.]\d+)*`)
	inWords     = map[string]string{
		"zero":    "0",
		"zeros":   "0",
		"two":     "2",
		"twice":   "2",
		"second":  "2",
		"three":   "3",
		"four":    "4",
		"five":    "5",
		"eight":   "8",
		"eighth":  "8",
		"ninth":   "9",
		"ten":     "10",
		"hundred": "100", "thousand": "1000",
	}
)

// fact is what a line, a cell or a paragraph says in any language.
type fact struct {
	where string
	says  []string
	maybe map[string]bool // numbers that are written out
}

// told returns the facts of two parts, without the numbers that are written out in one and not in the other. 1 is as good as no
// number: "an image" has none.
func told(a, b []fact) (x, y []string) {
	without := func(f, other fact) string {
		says := slices.DeleteFunc(slices.Clone(f.says), func(word string) bool {
			return word == "1" || other.maybe[word] && !slices.Contains(other.says, word)
		})
		return strings.Join(append([]string{f.where}, says...), " ")
	}
	for i := range max(len(a), len(b)) {
		var f, g fact
		if i < len(a) {
			f = a[i]
		}
		if i < len(b) {
			g = b[i]
		}
		x, y = append(x, without(f, g)), append(y, without(g, f))
	}
	return x, y
}

func (p part) facts(e edition) (list []fact) {
	switch {
	case p.kind == "code yaml":
		for _, line := range p.lines {
			list = append(list, fact{where: yamlComment.ReplaceAllString(line, "")})
		}
	case p.kind == "command", strings.HasPrefix(p.kind, "code"):
		for _, line := range p.lines {
			list = append(list, fact{where: afterwards.ReplaceAllString(strings.TrimSpace(line), "")})
		}
	case strings.HasPrefix(p.kind, "table"):
		for i, row := range p.lines {
			cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(row, "| "), " |"), " | ")
			for j, cell := range cells {
				f := e.fact(cell)
				f.where = fmt.Sprintf("row %d, column %d:", i-1, j+1)
				metric := strings.HasPrefix(row, "| `glance_") && len(cells) == 4
				switch label := strings.NewReplacer(" and others", "", " 等", ""); {
				case metric && (j == 1 || j == 2): // type and labels
					f = fact{where: f.where + " " + label.Replace(cell)}
				case j == 0: // the order counts
					f.says = append(f.says, code.FindAllString(cell, -1)...)
				}
				list = append(list, f)
			}
		}
	case p.kind == "HTML" && strings.HasPrefix(p.lines[0], "<!--"):
		list = append(list, fact{where: p.lines[0]})
	default:
		list = append(list, e.fact(p.text()))
	}
	return list
}

// fact finds the names, the links and the numbers of a text.
func (e edition) fact(text string) fact {
	f := fact{says: code.FindAllString(text, -1), maybe: map[string]bool{}}
	text = code.ReplaceAllString(text, "")
	for _, found := range link.FindAllStringSubmatch(text, -1) {
		if strings.Contains(found[1], "://") {
			f.says = append(f.says, "(link to "+found[1]+")")
			continue
		}
		to := e.resolve(found[1])
		page, says := e, ""
		if to.file != e.name {
			says = " " + englishOf(to.file)
			text, err := os.ReadFile(to.file)
			if err != nil && to.anchor != "" {
				continue // a dead link
			}
			page = edition{to.file, string(text)}
		}
		if to.anchor != "" {
			says += fmt.Sprintf(" heading %d", slices.Index(page.anchors(), to.anchor)+1)
		}
		f.says = append(f.says, "(link to"+says+")")
	}
	text = link.ReplaceAllString(text, "]")
	for _, n := range number.FindAllString(text, -1) {
		f.says = append(f.says, strings.ReplaceAll(n, ",", ""))
	}
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r < 'a' || r > 'z' }) {
		f.maybe[inWords[word]] = true
	}
	slices.Sort(f.says)
	f.says = slices.Compact(f.says)
	return f
}

// anchors are the headings as links have them.
func (e edition) anchors() (list []string) {
	for _, p := range e.parts() {
		if strings.HasPrefix(p.kind, "#") {
			list = append(list, strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
					return unicode.ToLower(r)
				}
				return -1
			}, headingLine.FindStringSubmatch(p.lines[0])[2]))
		}
	}
	return list
}

// target is what a link leads to, by its path in the repository.
type target struct{ file, anchor string }

func (e edition) resolve(to string) target {
	file, anchor, _ := strings.Cut(to, "#")
	if file == "" {
		return target{e.name, anchor}
	}
	return target{path.Join(path.Dir(e.name), file), anchor}
}

// links are those that lead to files of the repository.
func (e edition) links() (list []target) {
	for _, found := range link.FindAllStringSubmatch(e.text, -1) {
		if !strings.Contains(found[1], "://") {
			list = append(list, e.resolve(found[1]))
		}
	}
	return list
}

// deadLinks are those that lead to no heading and no file.
func (e edition) deadLinks() (found []string) {
	for _, to := range e.links() {
		page := e
		if to.file != e.name {
			text, err := os.ReadFile(to.file)
			if stat, statErr := os.Stat(to.file); statErr == nil && stat.IsDir() {
				err = nil
			}
			if err != nil {
				found = append(found, fmt.Sprintf("%s: a link to %s: %v", e.name, to.file, err))
				continue
			}
			page = edition{to.file, string(text)}
		}
		if to.anchor != "" && !slices.Contains(page.anchors(), to.anchor) {
			found = append(found, fmt.Sprintf("%s: a link to %s#%s: there is no such heading", e.name, to.file, to.anchor))
		}
	}
	return found
}

const sample = "# Title\n\nOne sentence, see [below](#flags) and [there](dashboards/README.md).\n\n" +
	"```yaml\nscrape:\n  timeout: 30s  # at most\n```\n\n    go build .\n    make test     # all of them\n\n## Flags\n\n" +
	"| flag | default | meaning |\n|---|---|---|\n| `--once` | | once |\n| `--demo`, `--help` | `8` | pages of 1,000 |\n\n" +
	"| name | type | labels | meaning |\n|---|---|---|---|\n| `glance_up` | gauge | cloud, image | 1: up |\n\n" +
	"```promql\nglance_up == 0\n```\n\n### More\n\n- `glance_up` is 0 for ten minutes\n- no number\n\n## Licence\n"

func TestDifferencesOfEditions(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"a section less", "## Flags\n", "", "is a section missing?"},
		{"the last section less", "\n## Licence\n", "\n", "one has 4 headings and other has 3"},
		{"another level", "### More", "## More", `one:28 and other:28: "### More" and "## More" are of different levels`},
		{"a paragraph more", "## Licence\n", "## Licence\n\nAs you like.\n", "one:33 and other:33: the sections have 1 and 2 parts"},
		{"a paragraph for an item", "- no number\n", "no number\n", "the sections have 3 and 2 parts"},
		{"another command", "go build .", "go install .", "a command"},
		{"a command less", "    go build .\n", "", "a command"},
		{"another comment of a command", "# all of them", "# 全部", ""},
		{"another value in YAML", "30s", "40s", "a code yaml"},
		{"another comment in YAML", "# at most", "# 最长", ""},
		{"another query", "glance_up == 0", "glance_up == 1", "a code promql"},
		{"another flag", "`--once`", "`--twice`", "a table of 2 rows"},
		{"a row less", "| `--once` | | once |\n", "", "a table of 2 rows and a table of 1 rows"},
		{"names of a cell in another order", "`--demo`, `--help`", "`--help`, `--demo`", "a table of 2 rows"},
		{"another default", "`8`", "`9`", "a table of 2 rows"},
		{"another number in a table", "1,000", "100", "a table of 2 rows"},
		{"a number in another form", "1,000", "1000", ""},
		{"another type", "gauge", "counter", "a table of 1 rows"},
		{"another label", "cloud, image", "cloud", "a table of 1 rows"},
		{"a label translated", "cloud, image", "cloud, 镜像", "a table of 1 rows"},
		{"a number that was written out", "for ten minutes", "10 分钟", ""},
		{"another number that was written out", "for ten minutes", "15 分钟", "a item"},
		{"another name", "- `glance_up`", "- `glance_down`", "a item"},
		{"another file", "(dashboards/README.md)", "(dashboards)", "a paragraph"},
		{"another section", "(#flags)", "(#more)", "a paragraph"},
		{"another language", "One sentence, see", "一句话，见", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if strings.Count(sample, test.old) != 1 {
				t.Fatalf("the sample has %q %d times", test.old, strings.Count(sample, test.old))
			}
			got := strings.Join(differences(edition{"one", sample}, edition{"other", strings.Replace(sample, test.old, test.new, 1)}), "\n")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("want %q, got\n%s", test.want, got)
			}
		})
	}
}
