package client

import (
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads the encodings that a server may write a secret in, character by character: percent signs, the escapes of
// JSON and its like, and HTML's entities, in each other too.

// reading is one way to read the start of a text: its first n bytes stand for a text.
type reading struct {
	n    int
	text string
}

const (
	maxEscape = 48 // bytes of an escape, with those inside it
	maxDepth  = 10 // escapes in each other: JSON in JSON in quotes has eight backslashes for one
)

// isEscape reports whether a byte may begin an escape.
func isEscape(c byte) bool { return c == '%' || c == '\\' || c == '&' || c == '+' }

// readings returns the ways to read the start of a text, the one as it is first.
func readings(text string, depth int) []reading {
	list := []reading{{1, text[:1]}}
	if !isEscape(text[0]) {
		return list
	}
	decoded := unescape(text)
	if decoded.n == 0 {
		return list
	}
	list = append(list, decoded)
	if depth == maxDepth || !isEscape(decoded.text[0]) {
		return list
	}
	// What an escape stands for may begin another one.
	for _, r := range readings(decoded.text+text[decoded.n:min(len(text), decoded.n+maxEscape)], depth+1)[1:] {
		list = append(list, reading{decoded.n + r.n - len(decoded.text), r.text})
	}
	return list
}

// unescape reads the escape at the start of a text. n is 0 where there is none.
func unescape(text string) reading {
	switch {
	case text[0] == '+':
		return reading{1, " "}
	case text[0] == '%':
		if c, ok := hexadecimal(text, 1, 2); ok {
			return reading{3, string([]byte{byte(c)})}
		}
	case text[0] == '&':
		return entity(text)
	case len(text) > 1:
		return backslash(text)
	}
	return reading{}
}

// entity reads an entity of HTML, in which all but the first character may have percent signs.
func entity(text string) reading {
	var b strings.Builder
	for i := 0; i < min(len(text), maxEscape); {
		c := text[i]
		i++
		if code, ok := hexadecimal(text, i, 2); ok && c == '%' {
			c = byte(code)
			i += 2
		}
		b.WriteByte(c)
		if c == ';' {
			if plain := html.UnescapeString(b.String()); plain != "" && len(plain) < b.Len() {
				return reading{i, plain}
			}
			break
		}
	}
	return reading{}
}

func backslash(text string) reading {
	switch c := text[1]; c {
	case 'u':
		unit, ok := hexadecimal(text, 2, 4)
		if !ok {
			return reading{}
		}
		if utf16.IsSurrogate(unit) && strings.HasPrefix(text[6:], `\u`) {
			if low, ok := hexadecimal(text, 8, 4); ok {
				return reading{12, string(utf16.DecodeRune(unit, low))}
			}
		}
		return reading{6, string(unit)}
	case 'U':
		if r, ok := hexadecimal(text, 2, 8); ok {
			return reading{10, string(r)}
		}
	case 'x':
		if r, ok := hexadecimal(text, 2, 2); ok {
			return reading{4, string([]byte{byte(r)})}
		}
	default:
		if i := strings.IndexByte("nrtbf", c); i >= 0 {
			return reading{2, "\n\r\t\b\f"[i : i+1]}
		}
		if c < utf8.RuneSelf && !unicode.IsLetter(rune(c)) {
			return reading{2, text[1:2]}
		}
	}
	return reading{}
}

// hexadecimal reads the digits of a number.
func hexadecimal(text string, from, digits int) (rune, bool) {
	if len(text) < from+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[from:from+digits], 16, 31)
	return rune(n), err == nil
}

// isWord reports whether a part of a text stands alone: no letter or digit is beside it, however that is written.
func isWord(text string, from, to int) bool {
	letter := func(s string) bool {
		r, _ := utf8.DecodeRuneInString(s)
		return unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if to < len(text) {
		next := readings(text[to:], 0)
		if plain := next[len(next)-1].text; letter(text[to:]) || len(next) > 1 && letter(plain) {
			return false
		}
	}
	if from == 0 {
		return true
	}
	last, _ := utf8.DecodeLastRuneInString(text[:from])
	if !unicode.IsLetter(last) && !unicode.IsDigit(last) {
		return true
	}
	for at := from - 1; at >= max(0, from-maxEscape); at-- { // The letter may be the end of an escape.
		for _, r := range readings(text[at:from], 0)[1:] {
			if at+r.n == from && !letter(r.text) {
				return true
			}
		}
	}
	return false
}
