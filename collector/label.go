package collector

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// maxLabel is the maximum length in bytes of a label value from outside. Glance's names and member IDs have up to 255
// characters.
const maxLabel = 256

// labelValue returns a valid label value for any text. One that had to be repaired or truncated ends in a part of the
// text's hash, so that different texts stay different.
func labelValue(s string) string {
	if len(s) <= maxLabel && utf8.ValidString(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	const mark = 9 // a dash and 8 digits
	cut := s
	if len(cut) > maxLabel-mark {
		cut = cut[:maxLabel-mark]
		for len(cut) > 0 && !utf8.RuneStart(s[len(cut)]) {
			cut = cut[:len(cut)-1]
		}
	}
	return strings.ToValidUTF8(cut, "\uFFFD") + "-" + hex.EncodeToString(sum[:4])
}
