package web

import (
	"cmp"
	"sort"
	"time"

	"glance_share_exporter/collector"
)

// inbound is the part of an entry for an image that another project shares.
type inbound struct {
	img     *collector.InboundImage
	project string // name and ID of the project that it is shared with
	owner   string // name and ID
	judged  bool   // whether there are expected_owners

	projectID, projectName, ownerName string
	read                              time.Time
}

// takeInbound adds the images that other projects share with the projects of a shard.
func (c *cloudView) takeInbound(l *collector.Latest, now time.Time, old bool) {
	s := l.Snapshot
	for i := range s.Inbound {
		in := &s.Inbound[i]
		name := projectName(s, in.ProjectID)
		project := named(name, in.ProjectID)
		for k := range in.Images {
			img := in.Images[k].At(now)
			r := &img.Record
			e := &entry{
				cloud: c.Name, part: l, now: now, old: old, img: &collector.ImageSnapshot{ID: r.ID, Name: img.Name, Record: r},
				inbound: &inbound{img, project, named(s.OwnerName(img), r.Owner), s.JudgesOwners(), in.ProjectID, name, s.OwnerName(img), in.Read},
				key:     "inbound-" + c.Name + "-" + in.ProjectID + "-" + r.ID,
			}
			e.classify()
			c.entries = append(c.entries, e)
		}
	}
}

func projectName(s *collector.Snapshot, id string) string {
	i := sort.Search(len(s.Scopes), func(i int) bool { return s.Scopes[i].Access.ProjectID >= id })
	if i == len(s.Scopes) || s.Scopes[i].Access.ProjectID != id {
		return ""
	}
	return s.Scopes[i].Access.ProjectName
}

// answers has a sentence for each known member status.
var answers = map[string]string{
	"accepted": "Status accepted: servers may be created from it.",
	"pending":  "Status pending: the project can use it by its ID.",
	"rejected": "Status rejected: the project can still use it by its ID.",
}

// known reports whether the member status is known.
func (in *inbound) known() bool { return answers[string(in.img.Status)] != "" }

// severityOf returns the severity of the image, and the word for it. An offer is no more than a warning, because an
// unexpected owner can offer any number of images but cannot accept them.
func (in *inbound) severityOf() (severity, string) {
	switch {
	case in.img.Unexpected && in.img.Accepted():
		return critical, "Accepted from an unexpected owner"
	case !in.known() && in.img.Unexpected:
		return unknown, "Unexpected owner, status unknown"
	case !in.known():
		return unknown, "From another project, status unknown"
	case in.img.Unexpected && in.img.Rejected():
		return warning, "Rejected, but still offered by an unexpected owner"
	case in.img.Unexpected:
		return warning, "Offered by an unexpected owner"
	case !in.judged:
		return unjudged, "From another project, not checked"
	}
	return expected, "From an expected owner"
}

// says describes the image in sentences.
func (in *inbound) says(e *entry) (lines []string) {
	if e.old {
		lines = append(lines, "Its current state is unknown. State when last read, "+moment{e.at(), e.now}.Ago()+":")
	}
	answer := cmp.Or(answers[string(in.img.Status)], "It is unknown whether the project accepted it.")
	lines = append(lines, "Owner "+in.owner+" shares it with project "+in.project+".", answer)
	of := ""
	if owner := in.img.Owner; owner != nil && approval(owner.Until, owner.Note, e.now) != "" {
		of = ": " + approval(owner.Until, owner.Note, e.now)
	}
	switch {
	case in.img.Unexpected:
		return append(lines, "The owner is unexpected"+of+".")
	case in.judged:
		return append(lines, "The owner is expected"+of+".")
	}
	return append(lines, "There are no expected_owners, so the owner is not checked.")
}

// groupTitle returns the title of the group of a severity. watched and others are its numbers of watched images and of
// images from other projects.
func groupTitle(r severity, watched, others int) string {
	switch {
	case others == 0:
	case r == critical && watched == 0:
		return "Accepted from unexpected owners"
	case r == critical:
		return "Unexpected access, or accepted from unexpected owners"
	case r == warning && watched == 0:
		return "Offered by unexpected owners"
	case r == warning:
		return "Not as configured, or offered by unexpected owners, but no unexpected access"
	case r == unjudged && watched == 0:
		return "Not checked: no expected_owners"
	case r == unjudged:
		return "Not checked: no expected_members or no expected_owners"
	}
	return groups[r].Title
}

// Sentences about images from other projects, with their number.
func acceptedOf(n int) string {
	return count(n, "image is accepted from an unexpected owner", "images are accepted from unexpected owners")
}

func offeredOf(n int) string {
	return count(n, "image is offered by an unexpected owner", "images are offered by unexpected owners")
}
