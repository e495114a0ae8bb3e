package collector

import (
	"slices"
	"strings"
	"unicode"

	"glance_share_exporter/client"
)

// isAnother reports whether a member ID is certainly not own. MySQL ignores case, accents and trailing blanks when it compares, so Glance
// also gives a member the rows that have its ID in another spelling, and any owner can add those.
func isAnother(id, own string) bool {
	beyondASCII := strings.ContainsFunc(id, func(c rune) bool { return c > unicode.MaxASCII })
	return id != "" && !beyondASCII && !strings.EqualFold(alphanumeric(id), alphanumeric(own))
}

// hasAnother reports whether one of the members is certainly not own.
func hasAnother(members []client.Member, own string) bool {
	return slices.ContainsFunc(members, func(m client.Member) bool { return isAnother(m.ID, own) })
}

// alphanumeric is an ID without what a comparison may ignore.
func alphanumeric(id string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return -1
	}, id)
}
