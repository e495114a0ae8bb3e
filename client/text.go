package client

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const maxMessage = 240 // runes of a server's text

var (
	htmlTitle = regexp.MustCompile(`(?is)<(head|style|script|title)\b.*?</(head|style|script|title)\s*>`)
	htmlTag   = regexp.MustCompile(`<[^<>]{0,200}>`)
)

// redact removes secrets from a line and then shortens it. In the other order a part of a secret could be left at its end.
func redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		for _, encoded := range encodings(secret) {
			if len(encoded) >= 4 { // Shorter ones are parts of ordinary words.
				s = strings.ReplaceAll(s, encoded, "<secret>")
			}
		}
	}
	return shorten(s)
}

// clean returns a text without secrets as one short line of printable characters.
func clean(s string) string { return shorten(oneLine(s)) }

// oneLine returns a text as one line of printable characters, without markup.
func oneLine(s string) string {
	if len(s) > maxErrorBody {
		s = s[:maxErrorBody]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
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

func shorten(s string) string {
	if utf8.RuneCountInString(s) > maxMessage {
		s = string([]rune(s)[:maxMessage]) + "…"
	}
	return s
}

// encodings are how a server may write a secret that it received: as it is, in one line, in JSON, and in a form.
func encodings(secret string) []string {
	var html, plain strings.Builder
	_ = json.NewEncoder(&html).Encode(secret) // a string can be encoded
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(secret)
	inner := func(s string) string { return strings.Trim(strings.TrimSpace(s), `"`) }
	list := []string{
		secret, oneLine(secret), inner(html.String()), inner(plain.String()), ascii(inner(plain.String())),
		url.QueryEscape(secret), url.PathEscape(secret),
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) }) // One may be a part of another.
	return slices.Compact(list)
}

// ascii escapes what is not ASCII as JSON does.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
