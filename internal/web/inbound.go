package web

import (
	"cmp"
	"time"

	"glance_share_exporter/collector"
)

// inbound is what an entry has of an image that others share.
type inbound struct {
	img     *collector.InboundImage
	project string // it is shared with
	owner   string // name and ID
	judged  bool   // somebody said who may share
}

// takeInbound takes over what others share with the projects of a part.
func (c *cloudView) takeInbound(l *collector.Latest, now time.Time, old bool) {
	s := l.Snapshot
	for i := range s.Inbound {
		in := &s.Inbound[i]
		project := named(projectName(s, in.ProjectID), in.ProjectID)
		for k := range in.Images {
			img := &in.Images[k]
			r := &img.Record
			e := &entry{
				cloud: c.Name, part: l, now: now, old: old, img: &collector.ImageSnapshot{ID: r.ID, Name: img.Name, Record: r},
				inbound: &inbound{img, project, named(s.OwnerName(img), r.Owner), s.JudgesOwners()}, key: "inbound-" + c.Name + "-" + in.ProjectID + "-" + r.ID,
			}
			e.judge()
			c.entries = append(c.entries, e)
		}
	}
}

func projectName(s *collector.Snapshot, id string) string {
	for i := range s.Scopes {
		if a := &s.Scopes[i].Access; a.ProjectID == id {
			return a.ProjectName
		}
	}
	return ""
}

// answers are what a project made of an offer.
var answers = map[string]string{
	"accepted": "which accepted it: servers may be made of it",
	"pending":  "which did not answer yet; it can be used by its ID",
	"rejected": "which rejected it; it can be used by its ID all the same",
}

// known reports whether the project's answer to the offer is.
func (in *inbound) known() bool { return answers[string(in.img.Status)] != "" }

// standing is the rank of the image, and the word for it. A stranger can offer without end and accept nothing.
func (in *inbound) standing() (rank, string) {
	switch {
	case in.img.Unexpected && in.img.Accepted():
		return danger, "Accepted from an unexpected owner"
	case !in.known() && in.img.Unexpected:
		return blind, "Of an unexpected owner, status not known"
	case !in.known():
		return blind, "Shared by others, status not known"
	case in.img.Unexpected && in.img.Rejected():
		return amiss, "Rejected, but still offered by an unexpected owner"
	case in.img.Unexpected:
		return amiss, "Offered by an unexpected owner"
	case !in.judged:
		return unjudged, "Shared by others, not judged"
	}
	return asMeant, "Shared by an expected owner"
}

// says tells what was seen of the image, in sentences.
func (in *inbound) says(e *entry) (lines []string) {
	if e.old {
		lines = append(lines, "Nobody knows how it is now. When it was last read, "+moment{e.at(), e.now}.Ago()+":")
	}
	answer := cmp.Or(answers[string(in.img.Status)], "and whether that accepted it is not known")
	lines = append(lines, "Owner "+in.owner+" shares it with project "+in.project+", "+answer+".")
	switch {
	case in.img.Unexpected:
		return append(lines, "The owner is not expected to share.")
	case in.judged:
		return append(lines, "The owner is expected to share.")
	}
	return append(lines, "Nobody said who may share.")
}

// groupTitle is the title of the images of a rank, of which so many are watched and so many others'.
func groupTitle(r rank, watched, others int) string {
	switch {
	case others == 0:
	case r == danger && watched == 0:
		return "Accepted from owners who are not meant to share"
	case r == danger:
		return "Someone can use these who is not meant to, or they are accepted from someone who is not meant to share"
	case r == amiss && watched == 0:
		return "Offered by owners who are not meant to share"
	case r == amiss:
		return "Not as meant, but nobody has one who is not meant to"
	case r == unjudged && watched == 0:
		return "Not judged: nobody said who may share"
	case r == unjudged:
		return "Not judged: nobody said who may have or share them"
	}
	return groups[r].Title
}

// Sentences about images of others, with their number.
func acceptedOf(n int) string {
	return count(n, "image is accepted from an owner who is not expected", "images are accepted from owners who are not expected")
}

func offeredOf(n int) string {
	return count(n, "image is offered by an owner who is not expected", "images are offered by owners who are not expected")
}
