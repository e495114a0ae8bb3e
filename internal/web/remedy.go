package web

import (
	"regexp"
	"slices"
	"strings"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/baseline"
)

// remedy is what to do about the unexpected members of an image, ready to be copied.
type remedy struct {
	Remove string   // commands that remove them
	Accept string   // the entry of the configuration that expects them
	Not    []string // why some have none
}

// Bounds of a remedy.
const (
	maxRemoved  = 10 // members with a command
	maxAccepted = 40 // members in an entry
)

// expectable is an ID that can be expected: Keystone's have neither capitals nor dashes, and exporter.yml refuses others that
// look like one.
var expectable = regexp.MustCompile(`^[0-9a-f]{32}$`)

// plainID is an ID that means nothing to a shell or to YAML. The owner of an image may add any text as a member.
var plainID = regexp.MustCompile(`^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$`)

// remedyOf returns nil for an image without unexpected members.
func remedyOf(s *collector.Snapshot, img *collector.ImageSnapshot) *remedy {
	unexpected := img.Unexpected()
	if unexpected == 0 {
		return nil
	}
	r := &remedy{}
	if !plainID.MatchString(img.ID) {
		r.Not = append(r.Not, "No command is shown, because the image's ID is not a UUID.")
		return r
	}
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
			r.Not = append(r.Not, "The approval of "+row.ID+" ended after "+collector.LastDay(row.Until)+": to renew it, write a later until "+
				"in its entry.")
		case !expectable.MatchString(row.ID):
			r.Not = append(r.Not, "Member "+row.ID+" cannot be expected: its ID is no project ID of Keystone.")
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
	return r
}

// removal is the command that removes a project from the members of an image.
func removal(s *collector.Snapshot, image, project string) string {
	if s.Huawei() {
		return `curl -X DELETE -H "X-Auth-Token: $T" "https://ims.REGION.myhuaweicloud.com/v2/images/` + image + "/members/" + project + `"`
	}
	return "openstack image remove project " + image + " " + project
}

// entryOf is an entry of images that expects what the image is expected to be and have now, and more. It is empty where that
// has an ID that is not plain, or is too long.
func entryOf(img *collector.ImageSnapshot, more []collector.ExpectedMember) string {
	policy := img.Policy
	notPlain := func(m collector.ExpectedMember) bool { return !plainID.MatchString(m.ID) }
	if len(more) == 0 || len(policy.Members)+len(more) > maxAccepted || slices.ContainsFunc(policy.Members, notPlain) {
		return ""
	}
	policy.Members = slices.Concat(policy.Members, more)
	return strings.TrimSuffix(baseline.Entry(img.ID, "", policy), "\n")
}

// runbookOf is the section of the runbooks about what is wrong with an image, empty where nothing is.
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
