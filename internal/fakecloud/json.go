package fakecloud

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Python's json.dumps, not Go's: ", " and ": " between the parts, keys in the order written, and < > & as they are.
// With it the bodies can be compared with the recorded ones byte by byte.

type field struct {
	key   string
	value any // string, bool, int64, nil, []any or object
}

type object []field

// appendFields writes the members of an object without its braces.
func (o object) appendFields(b []byte, ascii bool) []byte {
	for i, f := range o {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, f.key, ascii)
		b = append(b, ": "...)
		b = appendValue(b, f.value, ascii)
	}
	return b
}

func appendValue(b []byte, v any, ascii bool) []byte {
	switch v := v.(type) {
	case string:
		return appendString(b, v, ascii)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case object:
		return append(v.appendFields(append(b, '{'), ascii), '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendValue(b, e, ascii)
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string; ascii is Python's ensure_ascii, which Glance switches off for its records only.
func appendString(b []byte, s string, ascii bool) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		if ch := s[i]; ch < utf8.RuneSelf {
			b = appendASCII(b, ch)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case !ascii:
			b = append(b, s[i:i+n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			b = appendEscape(appendEscape(b, hi), lo)
		default:
			b = appendEscape(b, r)
		}
		i += n
	}
	return append(b, '"')
}

func appendASCII(b []byte, ch byte) []byte {
	switch ch {
	case '"', '\\':
		return append(b, '\\', ch)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	if ch < ' ' {
		return appendEscape(b, rune(ch))
	}
	return append(b, ch)
}

func appendEscape(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// isoTime is how Glance writes times: UTC, whole seconds.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// hexID is an ID as Keystone makes them: a UUID without dashes.
func hexID() string {
	b := randomBytes(16)
	return hex.EncodeToString(b)
}

func newUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand.Read ends the program instead
	return b
}
