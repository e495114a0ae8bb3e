package preflight

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// width is the default width of a terminal.
const (
	width        = 80
	subjectWidth = 11
	textColumn   = 2 + 4 + 2 + subjectWidth + 1
)

// word returns the status as a word, for output without colour and for grep.
func (s status) word() string { return [...]string{"info", "ok", "warn", "FAIL"}[s] }

// colour returns the escape code of the status.
func (s status) colour() string { return [...]string{"2", "32", "33", "1;31"}[s] }

// Write writes the report, with or without colour.
func (r *Result) Write(w io.Writer, colour bool) error {
	p := &printer{colour: colour}
	var grants []grant
	for i := range r.clouds {
		c := &r.clouds[i]
		p.line(p.paint("1", c.name))
		p.findings(c.findings)
		p.line("")
		grants = append(grants, c.grant)
	}
	p.findings(r.page)
	p.text.WriteString(least(grants))
	p.line("")
	p.summary(r)
	_, err := io.WriteString(w, p.text.String())
	return err
}

// Coloured reports whether to write colour to w: w is a terminal, and the environment does not disable it. See
// https://no-color.org.
func Coloured(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	stat, err := file.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

type printer struct {
	colour bool
	text   strings.Builder
}

func (p *printer) line(s string) { p.text.WriteString(s + "\n") }

func (p *printer) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) findings(list []finding) {
	for _, f := range list {
		head := fmt.Sprintf("  %s  %-*s ", p.paint(f.status.colour(), fmt.Sprintf("%-4s", f.status.word())), subjectWidth, f.subject)
		for _, line := range wrap(f.text, width-textColumn) {
			p.line(head + line)
			head = strings.Repeat(" ", textColumn)
		}
		for _, text := range f.more {
			if text == "" {
				continue
			}
			for i, line := range wrap(text, width-textColumn-2) {
				indent := textColumn
				if i > 0 && strings.HasPrefix(text, "- ") {
					indent += 2
				}
				p.line(strings.Repeat(" ", indent) + line)
			}
		}
	}
}

// summary writes the last line.
func (p *printer) summary(r *Result) {
	warnings, clouds := 0, "1 cloud"
	if n := len(r.clouds); n != 1 {
		clouds = fmt.Sprintf("%d clouds", n)
	}
	for i := range r.clouds {
		for _, f := range r.clouds[i].findings {
			if f.status == warn {
				warnings++
			}
		}
	}
	more := ""
	switch {
	case warnings == 1:
		more = "; 1 warning"
	case warnings > 1:
		more = fmt.Sprintf("; %d warnings", warnings)
	}
	switch failed := r.Failed(); {
	case len(failed) > 0:
		p.line(fmt.Sprintf("%s: the exporter cannot read everything in %s%s.", p.paint(fail.colour(), fail.word()), enumerate(failed), more))
	case warnings > 0:
		p.line(fmt.Sprintf("%s: the exporter can read everything in %s%s.", p.paint(warn.colour(), warn.word()), clouds, more))
	default:
		p.line(fmt.Sprintf("%s: the exporter can read everything in %s.", p.paint(good.colour(), good.word()), clouds))
	}
}

// wrap splits a text into lines of at most that many characters, unless a word is longer. It replaces characters that
// are not printable, because a text from a cloud must not control the terminal.
func wrap(text string, most int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(printable(text)) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= most:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
