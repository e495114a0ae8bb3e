package web

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/baseline"
)

// remedy is what to do about unexpected access, ready to be copied. Each part may be empty.
type remedy struct {
	Remove string   // commands that remove unexpected members
	Accept string   // the entry of the configuration that expects them
	Not    []string // why some members have none

	Close      string // the command that closes an image that is open to everyone
	Visibility string // the line of the configuration that expects its visibility

	Reject  string // the command with which Project rejects an image of another project
	Project string
	Owner   string // the item of expected_owners that expects its owner
}

// Bounds of a remedy.
const (
	maxRemoved  = 10 // members with a command
	maxAccepted = 40 // members in an entry
)

// expectable matches IDs that can be expected. Keystone's IDs have neither capitals nor dashes, and exporter.yml
// refuses others that look like one.
var expectable = regexp.MustCompile(`^[0-9a-f]{32}$`)

// plainID matches IDs without characters that a shell or YAML interprets. An image's owner may add any text as a
// member.
var plainID = regexp.MustCompile(`^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$`)

// remedyOf returns the remedy for an image, nil where it has no unexpected access.
func (e *entry) remedyOf() *remedy {
	s, img := e.part.Snapshot, e.shown()
	r := &remedy{}
	switch open := e.severity == critical && e.img.Open(); {
	case e.inbound != nil && (!e.inbound.img.Unexpected || e.inbound.img.Rejected()), e.inbound == nil && !open && img.Unexpected() == 0:
		return nil
	case !plainID.MatchString(img.ID):
		r.Not = append(r.Not, "No command is shown, because the image's ID is not a UUID.")
	case e.inbound != nil:
		e.inbound.remedy(r, s)
	default:
		if open {
			visibilities := append(slices.Clone(e.img.Policy.Visibility), e.img.Record.Visibility)
			r.Visibility = "expected_visibility: [" + joined(visibilities) + "]"
			if !s.Huawei() { // where a tenant cannot change it
				r.Close = "openstack image set --shared " + img.ID
			}
		}
		if img.Unexpected() > 0 {
			r.members(s, img)
		}
	}
	return r
}

// remedy adds what to do about an image of an unexpected owner.
func (in *inbound) remedy(r *remedy, s *collector.Snapshot) {
	if !s.Huawei() { // where the console rejects it
		r.Reject, r.Project = "openstack image set --reject "+in.img.Record.ID, in.project
	}
	switch owner := in.img.Record.Owner; {
	case in.img.Owner != nil:
		r.Not = append(r.Not, renewal(owner, in.img.Owner.Until))
	case !expectable.MatchString(owner):
		r.Not = append(r.Not, "The owner cannot be expected: its ID is not a project ID of Keystone.")
	default:
		r.Owner = "- " + strconv.Quote(owner)
	}
}

// joined joins words with commas.
func joined[T ~string](words []T) string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return strings.Join(list, ", ")
}

// members adds what to do about unexpected members.
func (r *remedy) members(s *collector.Snapshot, img *collector.ImageSnapshot) {
	unexpected := img.Unexpected()
	rows, _ := s.Rows(img, min(unexpected, maxAccepted))
	var commands []string
	var accepted []collector.ExpectedMember
	more := unexpected - len(rows)
	for i := range rows {
		row := &rows[i]
		switch {
		case !plainID.MatchString(row.ID):
			r.Not = append(r.Not, "No command is shown for member "+quoted(row.ID)+": its ID is neither 32 hexadecimal digits nor a UUID, "+
				"and could do harm in a shell. Remove it in the dashboard of the cloud.")
			continue
		case row.Type != "project" && row.Type != "domain" && row.Type != "organization":
			r.Not = append(r.Not, "No command is shown for member "+row.ID+": its type "+quoted(row.Type)+" is not known.")
			continue
		case row.Type != "project":
			r.Not = append(r.Not, "No command is shown for "+visible(row.Type)+" "+row.ID+": remove it in the console of the cloud.")
		case len(commands) < maxRemoved:
			commands = append(commands, removal(s, img.ID, row.ID))
		default:
			more++
		}
		switch {
		case !row.Until.IsZero():
			r.Not = append(r.Not, renewal(row.ID, row.Until))
		case !expectable.MatchString(row.ID):
			r.Not = append(r.Not, "Member "+row.ID+" cannot be expected: its ID is not a project ID of Keystone.")
		default:
			accepted = append(accepted, row.Expected())
		}
	}
	if more > 0 {
		r.Not = append([]string{"For " + number(more) + " more there is no command here: run these, and open the page again after the " +
			"next scrape."}, r.Not...)
	}
	if unexpected > maxAccepted {
		accepted = nil
	}
	if len(r.Not) > maxRemoved {
		r.Not = append(r.Not[:maxRemoved], "And so for others.")
	}
	r.Remove = strings.Join(commands, "\n")
	r.Accept = entryOf(img, accepted)
}

// renewal returns what to do about an approval that ended.
func renewal(id string, until time.Time) string {
	return "The approval of " + id + " ended after " + collector.LastDay(until) + ": to renew it, write a later until in its entry."
}

// removal returns the command that removes a project from the members of an image.
func removal(s *collector.Snapshot, image, project string) string {
	if s.Huawei() {
		return `curl -X DELETE -H "X-Auth-Token: $T" "https://ims.REGION.myhuaweicloud.com/v2/images/` + image + "/members/" + project + `"`
	}
	return "openstack image remove project " + image + " " + project
}

// entryOf returns an entry of images that has the image's policy and more expected members. It is empty where there are
// no more, where an expected member's ID is not plain, and where the entry would have too many members.
func entryOf(img *collector.ImageSnapshot, more []collector.ExpectedMember) string {
	policy := img.Policy
	notPlain := func(m collector.ExpectedMember) bool { return !plainID.MatchString(m.ID) }
	if len(more) == 0 || len(policy.Members)+len(more) > maxAccepted || slices.ContainsFunc(policy.Members, notPlain) {
		return ""
	}
	policy.Members = slices.Concat(policy.Members, more)
	return strings.TrimSuffix(baseline.Entry(img.ID, "", policy), "\n")
}

// runbookOf returns the section of the runbooks about what is wrong with an image, empty where nothing is.
func (e *entry) runbookOf() string {
	img := e.img
	switch {
	case e.severity >= unjudged:
		return ""
	case e.inbound != nil && e.severity == critical:
		return "GlanceInboundUnknownOwner"
	case e.inbound != nil && e.inbound.img.Unexpected:
		return "GlanceInboundUnknownOwnerOffered"
	case e.inbound != nil:
		return "GlanceInboundIncomplete"
	case e.severity == critical && e.shown().Unexpected() > 0:
		return "GlanceImageUnexpectedMember"
	case e.severity == critical:
		return "GlanceImageExposedByVisibility"
	case e.severity == warning && img.Misplaced(), e.severity == warning && img.Coverage == collector.NotApplicable:
		return "GlanceImageLessVisibleThanExpected"
	case e.severity == warning:
		return "GlanceImageMemberMissing"
	case notProven(img):
		return "GlanceViewNotProven"
	case img.Coverage == collector.Partial, img.Coverage == collector.Complete:
		return "GlanceImageWatcherBlind"
	}
	return "GlanceImageNotRead"
}
