package collector

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// maxLabel is how many bytes of a text from outside a label shows. Glance's names and member IDs have up to 255
// characters.
const maxLabel = 256

// labelValue makes any text a label value that a registry takes. What had to be repaired or cut ends in a part of its
// hash, so that two different texts stay different.
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
