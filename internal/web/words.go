package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxText is how many bytes of a text from outside are shown.
const maxText = 1024

// visible makes every character of a text from outside visible: a name must not hide, reorder or imitate the text
// beside it.
func visible(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// short shortens a text for a sentence, so that no name makes the verdict long.
func short(s string) string {
	const most = 64
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// number formats 1234 as 1,234.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count formats a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// listed joins at most three texts, and adds how many more there are.
func listed(texts []string, total int) string {
	shown := texts[:min(len(texts), 3)]
	s := strings.Join(shown, ", ")
	if more := total - len(shown); more > 0 {
		s += " and " + number(more) + " more"
	}
	return s
}

// lasting formats a duration in one unit.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return number(int(d.Hours()/24)) + " days"
}

// since returns the time between at and now. The monotonic clock stops while a machine sleeps, and the wall clock may
// be set back, so the longer age counts.
func since(at, now time.Time) time.Duration { return max(now.Sub(at), now.Round(0).Sub(at)) }

// moment is a time with several text forms.
type moment struct{ at, now time.Time }

// Machine returns the time for a datetime attribute.
func (m moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }

// Clock returns the time to the second.
func (m moment) Clock() string { return m.at.UTC().Format("2006-01-02 15:04:05 UTC") }

// Ago returns how long ago the time was.
func (m moment) Ago() string {
	switch d := since(m.at, m.now); {
	case d < -time.Minute:
		return "in the future"
	case d < time.Second:
		return "now"
	case d < 10*time.Second:
		return strconv.Itoa(int(d.Seconds())) + " s ago"
	default:
		return lasting(d) + " ago"
	}
}

// stamp is a moment for a table whose header has UTC. A template reads fields faster than it calls methods, and a table
// may have thousands.
type stamp struct{ Machine, Minute, Ago string }

func (m moment) stamp() *stamp {
	return &stamp{m.Machine(), m.at.UTC().Format("2006-01-02 15:04"), m.Ago()}
}

// sentence ends a text with a full stop.
func sentence(s string) string { return strings.TrimRight(s, ". ") + "." }
