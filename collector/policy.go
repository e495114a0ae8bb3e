package collector

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"glance_share_exporter/client"
)

// Policy is what is expected of an image. The zero value expects nothing and judges nothing.
type Policy struct {
	// Members are the expected members, sorted by [SortMembers]. nil: not judged. Empty: no member is expected.
	Members []ExpectedMember
	// Visibility lists the visibilities that the image may have; empty: none are configured.
	Visibility []client.Visibility
	// Ended are the members whose approval has ended, sorted like Members: not expected. Only [Policy.At] sets it.
	Ended []ExpectedMember
}

// At returns the policy at a time: members whose approval has ended are moved to Ended.
func (p Policy) At(now time.Time) Policy {
	ended := func(m ExpectedMember) bool { return m.Ended(now) }
	if !slices.ContainsFunc(p.Members, ended) {
		return p
	}
	all := p.Members
	p.Members, p.Ended = []ExpectedMember{}, slices.Clone(p.Ended)
	for _, m := range all {
		if ended(m) {
			p.Ended = append(p.Ended, m)
		} else {
			p.Members = append(p.Members, m)
		}
	}
	slices.SortFunc(p.Ended, ExpectedMember.compare)
	return p
}

// ExpectedMember is a member that an image is expected to have.
type ExpectedMember struct {
	Type client.MemberType
	ID   string
	// Name is the label member_name; empty: the name in [Options].MemberNames.
	Name string
	// Until is when the approval ends, the first moment after its last day; zero: it does not end.
	Until time.Time
	// Note is for people, such as the number of a change request.
	Note string
}

// Ended reports whether the approval has ended at a time.
func (m *ExpectedMember) Ended(now time.Time) bool { return !m.Until.IsZero() && !now.Before(m.Until) }

// LastDay returns the last day of an approval that ends at a time, such as 2027-01-31; empty if it does not end.
func LastDay(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return until.AddDate(0, 0, -1).Format(time.DateOnly)
}

// SortMembers sorts expected members as [Policy] requires. Of duplicates it keeps the one whose approval ends last.
func SortMembers(members []ExpectedMember) []ExpectedMember {
	slices.SortStableFunc(members, func(a, b ExpectedMember) int { return cmp.Or(a.compare(b), -compareEnds(a.Until, b.Until)) })
	return slices.CompactFunc(members, func(a, b ExpectedMember) bool { return a.compare(b) == 0 })
}

func (m ExpectedMember) compare(o ExpectedMember) int {
	return cmp.Or(cmp.Compare(m.Type, o.Type), cmp.Compare(m.ID, o.ID))
}

// compareEnds compares the ends of two approvals. An approval that does not end comes last.
func compareEnds(a, b time.Time) int {
	if a.IsZero() || b.IsZero() {
		return compareBools(a.IsZero(), b.IsZero())
	}
	return a.Compare(b)
}

// find returns the expected member with the type and ID of m, or nil.
func (p *Policy) find(m *client.Member) *ExpectedMember { return findIn(p.Members, m) }

// Entry returns the configuration's entry for m, even if its approval has ended, or nil.
func (p *Policy) Entry(m *client.Member) *ExpectedMember {
	return cmp.Or(p.find(m), findIn(p.Ended, m))
}

func findIn(list []ExpectedMember, m *client.Member) *ExpectedMember {
	if m.ID == "" {
		return nil
	}
	i, ok := slices.BinarySearchFunc(list, ExpectedMember{Type: m.Type, ID: m.ID}, ExpectedMember.compare)
	if !ok {
		return nil
	}
	return &list[i]
}

// judged reports whether expected members are configured, so that members are judged.
func (p *Policy) judged() bool { return p.Members != nil }

// unexpected counts the members that are not expected. A member without an ID is one of them.
func (p *Policy) unexpected(members []client.Member) (n int) {
	for i := range members {
		if p.find(&members[i]) == nil {
			n++
		}
	}
	return n
}

// missing returns the expected members that members lacks. members must be sorted, as in a [client.MemberList].
func (p *Policy) missing(members []client.Member) []ExpectedMember {
	var missing []ExpectedMember
	for _, e := range p.Members {
		_, ok := slices.BinarySearchFunc(members, e, func(m client.Member, e ExpectedMember) int {
			return ExpectedMember{Type: m.Type, ID: m.ID}.compare(e)
		})
		if !ok {
			missing = append(missing, e)
		}
	}
	return missing
}

// validate is [Options.Validate] for one policy, whose options are below path.
func (p *Policy) validate(path string) error {
	for i, m := range p.Members {
		field := fmt.Sprintf("%s.expected_members[%d]", path, i)
		if problem := MemberIDProblem(m.ID); problem != "" {
			return optionError(field, "%s", problem)
		}
		if !slices.Contains(client.MemberTypes(), m.Type) {
			return optionError(field+".type", "must be project, domain or organization, not %q", m.Type)
		}
		if i > 0 && p.Members[i-1].compare(m) >= 0 {
			return optionError(field, "%s is a duplicate, or not in order", m.ID)
		}
	}
	return visibilities(path+".expected_visibility", p.Visibility)
}

// maxMemberID is the maximum length of a member's ID in Glance.
const maxMemberID = 255

// MemberIDProblem returns why a text cannot be a member's ID, or "".
func MemberIDProblem(id string) string {
	switch {
	case id == "":
		return "is empty: write a project's ID as `openstack project list` shows it"
	case id == "*":
		return "* is not an ID: remove expected_members if every project may have the image"
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Sprintf("%q has spaces, so it is not an ID: write a project's ID as `openstack project list` shows it", id)
	case len(id) > maxMemberID:
		return fmt.Sprintf("has %d characters, but an ID has at most %d: write a project's ID as `openstack project list` shows it",
			len(id), maxMemberID)
	}
	if plain := strings.ToLower(strings.ReplaceAll(id, "-", "")); plain != id && UsualID(plain) {
		return fmt.Sprintf("%s has capitals or dashes, but IDs have neither: write %s", id, plain)
	}
	return ""
}

var usualID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// UsualID reports whether an ID has the form of project and domain IDs of Keystone and Huawei Cloud. Other forms exist.
func UsualID(id string) bool { return usualID.MatchString(id) }

// visibilities returns an error for an unknown visibility or a duplicate in a list.
func visibilities(path string, list []client.Visibility) error {
	for i, v := range list {
		field := fmt.Sprintf("%s[%d]", path, i)
		if !v.Known() {
			return optionError(field, "must be private, shared, community or public, not %q", v)
		}
		if slices.Contains(list[:i], v) {
			return optionError(field, "%s is a duplicate: remove one", v)
		}
	}
	return nil
}

func optionError(field, format string, args ...any) error {
	return &client.OptionError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
