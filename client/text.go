package client

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxMessage = 240 // runes of a server's text

var (
	htmlTitle = regexp.MustCompile(`(?is)<(head|style|script|title)\b.*?</(head|style|script|title)\s*>`)
	htmlTag   = regexp.MustCompile(`<[^<>]{0,200}>`)
)

// clean returns a text as one short line of printable characters.
func clean(s string) string { return shorten(oneLine(s)) }

// oneLine returns a text as one line of printable characters, without markup.
func oneLine(s string) string {
	s = strings.ToValidUTF8(cut(s, maxErrorBody), "\uFFFD")
	s = htmlTitle.ReplaceAllString(s, " ")
	s = html.UnescapeString(htmlTag.ReplaceAllString(s, " "))
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cut returns the start of a text, with a mark where it is cut off.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) > maxMessage {
		s = string([]rune(s)[:maxMessage]) + "…"
	}
	return s
}
