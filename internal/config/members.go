package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// member is one entry of expected_members or of a group: an ID alone, a group, or a mapping.
type member struct {
	Group string `yaml:"group,omitempty"`
	ID    string `yaml:"id,omitempty"`
	Type  string `yaml:"type,omitempty"`
	Name  string `yaml:"name,omitempty"`
	Until string `yaml:"until,omitempty"` // the last day
	Note  string `yaml:"note,omitempty"`
}

// memberList is a list of members. In an empty one, nobody is expected.
type memberList []member

func (memberList) wanted() string {
	return "a list such as [" + member{}.example() + "], or [] for nobody"
}

func (m *member) setWord(word string) { m.ID = word }

func (member) example() string { return "edc89b490d7d4392898e19b2deb34797" }

func (member) wanted() string {
	return "a project's ID, {group: platform} or {id: edc89b490d7d4392898e19b2deb34797, name: team-a}"
}

// MarshalYAML implements yaml.Marshaler.
func (m member) MarshalYAML() (any, error) {
	if m == (member{ID: m.ID}) {
		return m.ID, nil
	}
	type plain member // without this method
	return plain(m), nil
}

// ends returns when the entry's approval ends: after its last day, in UTC. The zero time is never.
func (m *member) ends() time.Time {
	day, err := time.Parse(time.DateOnly, m.Until)
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

// expected returns an entry that is not a group in the form of the collector.
func (m *member) expected() collector.ExpectedMember {
	kind := client.MemberType(m.Type)
	if kind == "" {
		kind = client.TypeProject
	}
	return collector.ExpectedMember{Type: kind, ID: m.ID, Name: m.Name, Until: m.ends(), Note: m.Note}
}

// within returns an entry of a group as an entry that names the group expects it: until the earlier of both ends.
func (m *member) within(group *member) collector.ExpectedMember {
	e := m.expected()
	if end := group.ends(); !end.IsZero() && (e.Until.IsZero() || end.Before(e.Until)) {
		e.Until = end
	}
	e.Note = strings.Join(slices.DeleteFunc([]string{group.Note, e.Note}, func(s string) bool { return s == "" }), "; ")
	return e
}

// maxNote is how many characters a note may have.
const maxNote = 200

// approval checks until and note of an entry.
func (b *builder) approval(at string, m *member) bool {
	if m.Until != "" {
		if day, err := time.Parse(time.DateOnly, m.Until); err != nil || day.Year() < 1970 {
			b.add(at+".until", "must be the last day of the approval, such as 2027-01-31, not %q", shorten(m.Until))
			return false
		}
		if !m.ends().After(time.Now()) {
			b.warn(at+".until", "the approval has ended: renew it, or remove the entry")
		}
	}
	if n := utf8.RuneCountInString(m.Note); n > maxNote || strings.ContainsFunc(m.Note, unicode.IsControl) {
		b.add(at+".note", "must be one line of at most %d characters, such as CHG-1234", maxNote)
		return false
	}
	return true
}

// memberGroups checks the groups, whether they are used or not.
func (b *builder) memberGroups() {
	for _, name := range slices.Sorted(maps.Keys(b.doc.MemberGroups)) {
		path, list := below("member_groups", name), b.doc.MemberGroups[name]
		if strings.TrimSpace(name) == "" {
			b.add(path, "the key must be the name of a group")
		}
		for i, m := range list {
			if m.Group != "" {
				b.add(fmt.Sprintf("%s[%d].group", path, i), "a group cannot contain groups: list the members")
			}
		}
		b.members(path, list)
	}
}

// members returns the members of a list, including those of its groups.
func (b *builder) members(path string, list memberList) []collector.ExpectedMember {
	all := []collector.ExpectedMember{} // not nil: nobody is expected
	type key struct {
		kind client.MemberType
		id   string
	}
	places, groups := map[key]int{}, map[string]int{}
	for i := range list {
		m, at := &list[i], fmt.Sprintf("%s[%d]", path, i)
		if m.Group == "" {
			if !b.memberFits(at, m) {
				continue
			}
			if !b.approval(at, m) {
				continue
			}
			e := m.expected()
			if first, ok := places[key{e.Type, e.ID}]; ok {
				b.add(at, "%s duplicates %s[%d]: remove one", e.ID, lastKey(path), first)
				continue
			}
			places[key{e.Type, e.ID}] = i
			all = append(all, e)
			continue
		}
		if !b.groupFits(at, m) || !b.approval(at, m) {
			continue
		}
		if first, ok := groups[m.Group]; ok {
			b.add(at, "group %s duplicates %s[%d]: remove one", m.Group, lastKey(path), first)
			continue
		}
		groups[m.Group] = i
	}
	// A member may be in several groups, but not in the list beside a group that has it.
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		for _, g := range b.doc.MemberGroups[name] {
			e := g.within(&list[groups[name]])
			if i, ok := places[key{e.Type, e.ID}]; ok {
				b.add(fmt.Sprintf("%s[%d]", path, i), "%s is also in group %s: remove it here", e.ID, name)
			}
			all = append(all, e)
		}
	}
	return collector.SortMembers(all)
}

// memberFits checks an entry that is not a group.
func (b *builder) memberFits(at string, m *member) bool {
	problem, entry := collector.MemberIDProblem(m.ID), at
	if _, ok := b.lines[at+".id"]; ok {
		at += ".id"
	} else if m.ID == "" {
		problem = "has no id: write " + m.wanted()
	}
	if problem != "" {
		b.add(at, "%s", problem)
		return false
	}
	if problem := b.nameForID(m.ID); problem != "" {
		b.add(entry, "%s", problem)
		return false
	}
	if m.Type != "" && !slices.Contains(client.MemberTypes(), client.MemberType(m.Type)) {
		b.add(entry+".type", "must be project, domain or organization, not %q", shorten(m.Type))
		return false
	}
	if m.Type != string(client.TypeOrganization) {
		b.warnUnusual(at, m.ID)
	}
	return true
}

// nameForID returns what to write for an ID that is the name of something else, or "".
func (b *builder) nameForID(id string) string {
	if _, ok := b.doc.MemberGroups[id]; ok {
		return fmt.Sprintf("%s is a group of member_groups: write {group: %s}", id, id)
	}
	if _, ok := b.doc.MemberNames[id]; ok {
		return ""
	}
	for _, known := range slices.Sorted(maps.Keys(b.doc.MemberNames)) {
		if b.doc.MemberNames[known] == id {
			return fmt.Sprintf("%s is the name of %s in member_names: write the ID", id, known)
		}
	}
	return ""
}

func (b *builder) groupFits(at string, m *member) bool {
	switch _, ok := b.doc.MemberGroups[m.Group]; {
	case m.ID != "" || m.Type != "" || m.Name != "":
		b.add(at, "has keys beside group that have no effect, all but until and note: write {group: %s}", m.Group)
	case ok:
		return true
	case len(b.doc.MemberGroups) == 0:
		b.add(at+".group", "there are no member_groups: write member_groups: {%s: [%s]}", shorten(m.Group), m.example())
	default:
		b.add(at+".group", "there is no group %q: write one of %s, or add it to member_groups", shorten(m.Group),
			strings.Join(slices.Sorted(maps.Keys(b.doc.MemberGroups)), ", "))
	}
	return false
}

// policy returns what is expected of an image or of a rule's images. defaults are the members that the cloud expects of
// all its images.
func (b *builder) policy(path string, members *memberList, visibility []string, defaults []collector.ExpectedMember) collector.Policy {
	p := collector.Policy{Members: defaults, Visibility: b.visibilities(path+".expected_visibility", visibility)}
	if members != nil {
		p.Members = b.members(path+".expected_members", *members)
	}
	return p
}

// visibilities refuses an empty list, which could mean none or all.
func (b *builder) visibilities(path string, words []string) []client.Visibility {
	b.notEmpty(path, words)
	var list []client.Visibility
	for _, w := range words {
		list = append(list, client.Visibility(w))
	}
	return list
}

func (b *builder) notEmpty(path string, words []string) {
	if words != nil && len(words) == 0 {
		b.add(path, "must not be empty: remove the key")
	}
}

// skips refuses expectations of images that a rule skips.
func (b *builder) skips(at string, r *rule) {
	const text = "has no effect with skip: remove one of them"
	if r.ExpectedMembers != nil {
		b.add(at+".expected_members", text)
	}
	if r.ExpectedVisibility != nil {
		b.add(at+".expected_visibility", text)
	}
}

// rules returns the rules of discover.
func (b *builder) rules(path string, e *entry, defaults []collector.ExpectedMember) []collector.Rule {
	if e.Discover != nil && len(e.Discover) == 0 {
		b.add(path, "is empty: write [{}] for all images of the credential's project, or remove the key")
	}
	var rules []collector.Rule
	for i := range e.Discover {
		r, at := &e.Discover[i], fmt.Sprintf("%s[%d]", path, i)
		b.notEmpty(at+".tags", r.Tags)
		b.notEmpty(at+".owners", r.Owners)
		for i, owner := range r.Owners {
			b.warnUnusual(fmt.Sprintf("%s.owners[%d]", at, i), owner)
		}
		next := collector.Rule{
			Tags: r.Tags, Name: r.Name, Visibility: b.visibilities(at+".visibility", r.Visibility), Owners: r.Owners, Skip: r.Skip,
		}
		if r.Skip {
			b.skips(at, r)
		} else {
			next.Policy = b.policy(at, r.ExpectedMembers, r.ExpectedVisibility, defaults)
		}
		rules = append(rules, next)
	}
	return rules
}
