package baseline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"glance_share_exporter/collector"
)

// printer writes lines of YAML.
type printer struct {
	strings.Builder
	indent string
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p, p.indent+format+"\n", args...)
}

// render returns the lists as YAML.
func render(lists []*list) string {
	p := &printer{}
	p.line("# Review this: it writes today's state down as approved.")
	if len(lists) == 1 {
		p.list(lists[0])
		return p.String()
	}
	p.line("# These lists are of several clouds: put each under images of its own cloud.")
	p.line("# To print a list that can be loaded as it is: --print-expected=CLOUD")
	p.line("clouds:")
	for _, l := range lists {
		p.indent = "  "
		p.line("- name: %s", quoted(l.Cloud))
		p.indent = "    "
		p.list(l)
	}
	return p.String()
}

// list writes a cloud's list. With several clouds, it is under the key images.
func (p *printer) list(l *list) {
	p.line("# Cloud %s at %s. Entries: %d, left out because all is as expected: %d, without an entry: %d.",
		l.Cloud, l.Start.UTC().Format(time.RFC3339), len(l.entries), l.judged, len(l.unread))
	for _, problem := range l.problems {
		p.line("# Incomplete: %s", printable(problem))
	}
	for _, u := range l.unread {
		p.line("# No entry: %s: %s%s", printable(u.ID), printable(u.reason), comment(u.Label()))
	}
	p.counts(l.entries)
	key := ""
	if p.indent != "" {
		key = "images: "
	}
	switch {
	case len(l.entries) > 0 && key != "":
		p.line("images:")
		p.indent += "  "
	case len(l.entries)+len(l.unread)+len(l.problems) == 0:
		p.line("%s[]", key)
	}
	for i := range l.entries {
		p.entry(&l.entries[i])
	}
}

// counts writes how many entries each member has.
func (p *printer) counts(entries []entry) {
	type who struct{ kind, id string }
	images, names := map[who]int{}, map[who]string{}
	for i := range entries {
		e := &entries[i]
		for _, m := range e.policy.Members {
			w := who{string(m.Type), quoted(m.ID)}
			images[w]++
			names[w] = cmp.Or(names[w], m.Name)
		}
		if e.Open() {
			images[who{"everyone:", string(e.Record.Visibility)}]++
		}
	}
	if len(images) > 0 {
		p.line("# How many of the entries each project has, rare ones first:")
	}
	for _, w := range slices.SortedFunc(maps.Keys(images), func(a, b who) int {
		return cmp.Or(cmp.Compare(images[a], images[b]), cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
	}) {
		p.line("# %6d  %s %s%s", images[w], w.kind, w.id, comment(names[w]))
	}
}

func (p *printer) entry(e *entry) {
	name := e.Label()
	if !e.Discovered {
		name += " (instead of its entry)"
	}
	for line := range strings.Lines(Entry(e.ID, name, e.policy)) {
		p.line("%s", strings.TrimSuffix(line, "\n"))
	}
}

// Entry returns an entry of images in exporter.yml with a policy. The name is a comment.
func Entry(id, name string, policy collector.Policy) string {
	var p printer
	p.line("- id: %s%s", quoted(id), comment(name))
	if len(policy.Members) == 0 {
		p.line("  expected_members: []")
	} else {
		p.line("  expected_members:")
	}
	for _, m := range policy.Members {
		p.line("    - %s%s", member(m), comment(m.Name))
	}
	if len(policy.Visibility) > 0 {
		p.line("  expected_visibility: [%s]", join(policy.Visibility))
	}
	return p.String()
}

// member returns an entry of expected_members.
func member(m collector.ExpectedMember) string {
	keys := ""
	if m.Type != "project" {
		keys += ", type: " + string(m.Type)
	}
	if day := collector.LastDay(m.Until); day != "" {
		keys += ", until: " + day
	}
	if m.Note != "" {
		keys += ", note: " + quoted(m.Note)
	}
	if keys == "" {
		return quoted(m.ID)
	}
	return "{id: " + quoted(m.ID) + keys + "}"
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}

// quoted quotes a text so that YAML reads it back unchanged, even if it looks like a number, a key or another text.
func quoted(s string) string { return strconv.QuoteToASCII(s) }

// comment returns a text as a comment at the end of a line.
func comment(s string) string {
	if s == "" {
		return ""
	}
	return "  # " + printable(s)
}

// printable keeps a text on one line, and prevents it from controlling a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
