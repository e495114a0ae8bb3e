package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const minimal = "clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"

// parse returns the root of the one document in text.
func parse(text []byte) (*yaml.Node, *problem) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || (err == nil && len(doc.Content) == 1 && null(doc.Content[0])) {
		return nil, &problem{line: 1, text: "the file is empty: write at least " + minimal}
	}
	if err == nil {
		err = dec.Decode(&second)
		if err == nil {
			return nil, &problem{line: second.Line, text: "a second document begins here: write one document, without a line of ---"}
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, syntax(text, err)
	}
	return doc.Content[0], nil
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// advice rewrites what yaml.v3 says of the syntax: it tells what the parser was doing, not what to do.
var advice = []struct{ says, text string }{
	{"did not find expected key", "not valid YAML: indent this line like its neighbours, and put a value with quotes or brackets in quotes as a whole"},
	{"did not find expected ',' or", "not valid YAML: a [ or { of this line is not closed: close it, or put the value in quotes"},
	{"did not find expected '-'", "not valid YAML: indent this line like its neighbours, and begin each entry of a list with a dash"},
	{"did not find expected node content", "not valid YAML: a value is missing, or begins with ] } or a comma: put it in quotes"},
	{"found unexpected end of stream", "not valid YAML: a quote that opens in this line is not closed: close it"},
	{"found unexpected document indicator", "not valid YAML: a quote that opens in this line is not closed: close it"},
	{"found character that cannot start any token", "not valid YAML: a value begins with @, % or a backtick: put it in quotes"},
	{"could not find expected ':'", "not valid YAML: a key without a colon and a blank after it: write it as key: value"},
	{"mapping values are not allowed", "not valid YAML: a second colon in one line, or a line indented too far: put the value in quotes, or indent it like its neighbours"},
	{"block sequence entries are not allowed", "not valid YAML: a list cannot begin in this line: begin it in the next one"},
	{"unknown anchor", "not valid YAML: a * without an anchor of that name before it: put the value in quotes, or define the anchor with &"},
	{"did not find expected alphabetic or numeric character", "not valid YAML: a value begins with * or &: put it in quotes, as in \"*\""},
	{"found unknown escape character", "not valid YAML: a backslash in double quotes that escapes nothing: use single quotes"},
	{"control characters are not allowed", "not valid YAML: a control character: remove it"},
	{"UTF-8", "not valid YAML: not UTF-8: save the file as UTF-8"},
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// syntax makes a problem of a syntax error of yaml.v3. Of its texts only that about anchors quotes the file.
func syntax(text []byte, err error) *problem {
	says := oneLine(err.Error())
	match := yamlLine.FindStringSubmatch(says)
	says = says[len(match[0]):]
	line, _ := strconv.Atoi(match[1])
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	switch {
	case strings.HasPrefix(says, "did not find"):
		line = brokenLine(lines)
	case strings.HasPrefix(says, "unknown anchor"):
		line = 1 + indexFunc(lines, func(l string) bool { return strings.Contains(l, "*"+quoted(says)) })
	case strings.Contains(says, "control characters"):
		line = 1 + indexFunc(lines, func(l string) bool { return strings.ContainsFunc(l, control) })
	case strings.Contains(says, "UTF-8"):
		line = 1 + indexFunc(lines, func(l string) bool { return !utf8.ValidString(l) })
	}
	line = min(max(line, 1), len(lines))
	if strings.Contains(leading(lines[line-1]), "\t") {
		return &problem{line: line, text: "not valid YAML: the line is indented with a tab: use blanks"}
	}
	for _, a := range advice {
		if strings.Contains(says, a.says) {
			return &problem{line: line, text: a.text}
		}
	}
	return &problem{line: line, text: "not valid YAML: " + says}
}

// brokenLine finds the line in which the structure breaks, for the parser tells where the block began that it was in.
// The lines above that line are valid, with it they are not; and the parser has not read much further.
func brokenLine(lines []string) int {
	read := &lineReader{lines: lines}
	_ = whole(read)
	line := read.next
	for range 100 {
		if line <= 1 || whole(&lineReader{lines: lines[:line-1]}) {
			return line
		}
		line--
	}
	return read.next
}

// whole reports whether r has valid documents and nothing else.
func whole(r io.Reader) bool {
	dec := yaml.NewDecoder(r)
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// lineReader hands out one line at a time.
type lineReader struct {
	lines []string
	next  int
	rest  string
}

func (r *lineReader) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.next == len(r.lines) {
			return 0, io.EOF
		}
		r.rest = r.lines[r.next] + "\n"
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func indexFunc(lines []string, f func(string) bool) int {
	for i, l := range lines {
		if f(l) {
			return i
		}
	}
	return 0
}

// quoted returns what stands between the first pair of single quotes.
func quoted(s string) string {
	_, s, _ = strings.Cut(s, "'")
	s, _, _ = strings.Cut(s, "'")
	return s
}

func control(r rune) bool {
	return (r < ' ' && r != '\t' && r != '\r') || (r >= 0x7f && r < 0xa0 && r != 0x85)
}

func leading(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }
