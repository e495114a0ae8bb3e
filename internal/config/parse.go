package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const minimal = "clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"

// parse returns the root of the one document in text. instead is what to write into an empty file.
func parse(text []byte, instead string) (*yaml.Node, *problem) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || (err == nil && len(doc.Content) == 1 && null(doc.Content[0])) {
		return nil, &problem{line: 1, text: "the file is empty: " + instead}
	}
	if err == nil {
		err = dec.Decode(&second)
		if err == nil {
			return nil, &problem{line: second.Line, text: "a second YAML document begins here: write one document, without ---"}
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, syntax(text)
	}
	return doc.Content[0], nil
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// advice is what to do about the errors of yaml.v3, which describe what the parser was doing.
var advice = []struct{ says, text string }{
	{
		"did not find expected key", "text after a value in quotes or brackets, or wrong indentation: " +
			"put the whole value in quotes, or align the line with the keys it belongs to",
	},
	{"did not find expected ',' or", "a [ or { in this line is not closed: close it, or put the value in quotes"},
	{"did not find expected node content", "a value is missing, or begins with ] } or a comma: put it in quotes"},
	{"found unexpected end of stream", "a quote in this line is not closed: close it"},
	{"found unexpected document indicator", "a quote in this line is not closed: close it"},
	{"found character that cannot start any token", "a value begins with @, % or a backtick: put it in quotes"},
	{"could not find expected ':'", "a key has no colon and space after it: write key: value"},
	{"mapping values are not allowed", "a value contains a colon and a space: put it in quotes"},
	{"block sequence entries are not allowed", "a list cannot begin in the line of its key: begin it in the next line"},
	{"unknown anchor", "a * refers to an anchor that is not defined: put the value in quotes, or define the anchor with &"},
	{"did not find expected alphabetic or numeric character", "a value begins with * or &: put it in quotes, as in \"*\""},
	{"found unknown escape character", "a backslash in double quotes escapes nothing here: use single quotes"},
	{"control characters are not allowed", "a control character: remove it"},
	{"UTF-8", "not UTF-8: save the file as UTF-8"},
}

// syntax returns the problem of a text that is not valid YAML. Of yaml.v3's texts only the one about anchors quotes the
// text.
func syntax(text []byte) *problem {
	lines := strings.SplitAfter(strings.TrimRight(string(text), "\n"), "\n")
	named, says := yamlError(lines)
	// The parser reports the line in which the current block begins. The wrong line is the last one of the shortest
	// start of the file that has the same mistake. In a long file the search would take longer than a reload may.
	i := named
	if len(text) <= maxSearched {
		i = sort.Search(len(lines), func(i int) bool { _, same := yamlError(lines[:i+1]); return same == says })
	}
	i = min(i, len(lines)-1)
	bad := func(what string) *problem { return &problem{line: i + 1, text: "not valid YAML: " + what} }
	content := strings.TrimLeft(lines[i], " \t")
	if strings.Contains(strings.TrimSuffix(lines[i], content), "\t") {
		return bad("the line is indented with a tab: use spaces")
	}
	const indented = "the indentation does not match the lines above: align the line with the keys or dashes that it belongs to"
	switch {
	case strings.Contains(says, "did not find expected '-'"),
		strings.Contains(says, "did not find expected key") && !strings.ContainsAny(content, `"'[]{}`),
		strings.Contains(says, "mapping values are not allowed") && strings.Count(content, ": ") < 2:
		return bad(indented)
	}
	for _, a := range advice {
		if strings.Contains(says, a.says) {
			return bad(a.text)
		}
	}
	return bad(says)
}

// maxSearched is how many bytes are parsed some twenty times to find a mistake.
const maxSearched = 1 << 20

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlError returns the line in yaml.v3's error about lines, counted from 0, and the text of the error, or "".
func yamlError(lines []string) (line int, says string) {
	dec := yaml.NewDecoder(strings.NewReader(strings.Join(lines, "")))
	for {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return 0, ""
		case err != nil:
			text := oneLine(err.Error())
			if found := yamlLine.FindStringSubmatch(text); found != nil {
				line, _ = strconv.Atoi(found[1]) // 0 without one
				text = text[len(found[0]):]
			}
			return max(line-1, 0), text
		}
	}
}
