package web

import (
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// rank is what an image is to a person, the worst first.
type rank int

const (
	danger   rank = iota // someone can use it who is not meant to
	blind                // nobody knows who can
	amiss                // not as it is meant to be, and nobody too many
	unjudged             // nobody said who may have it
	asMeant
)

// holdFor is how long an image that is not read any more is as dangerous as it was: the alerts hold as long.
const holdFor = time.Hour

// entry is an image of a part of a cloud.
type entry struct {
	cloud string
	part  *collector.Latest
	img   *collector.ImageSnapshot
	old   bool // the part was read too long ago
	now   time.Time

	inbound *inbound // of an image that others share; nil: it is watched
	key     string   // of the page's element

	rank rank
	word string
}

// judge sets the rank, and the word for it.
func (e *entry) judge() {
	if e.inbound != nil {
		e.rank, e.word = e.inbound.standing()
	} else {
		e.rank, e.word = standing(e.img)
	}
	if e.img.Sight == collector.Unread {
		if before, ok := e.before(); ok {
			if r, word := standing(&before.Image); r == danger && since(before.At, e.now) < holdFor {
				e.rank, e.word = danger, word+" when last read"
			}
		}
	}
	if (e.old || e.stale() && !e.img.InTurns) && e.rank > blind {
		e.rank, e.word = blind, "Old"
	}
}

// before is what was seen of an image that is not read any more.
func (e *entry) before() (collector.Before, bool) {
	if e.inbound != nil {
		return collector.Before{}, false // that is of a watched image
	}
	b, ok := e.part.Before[e.img.ID]
	return b, ok
}

// standing is the rank of what was seen of an image, and the word for it.
func standing(img *collector.ImageSnapshot) (rank, string) {
	unexpected := img.Unexpected()
	switch {
	case img.Open() && img.Misplaced() && unexpected > 0:
		return danger, "Open to everyone, and unexpected members"
	case img.Open() && img.Misplaced():
		return danger, "Open to everyone"
	case unexpected == 1:
		return danger, "Unexpected member"
	case unexpected > 1:
		return danger, "Unexpected members"
	case notProven(img):
		return blind, "Not proven"
	case img.Sight == collector.Unread:
		return blind, "Not read"
	case img.Sight == collector.Partial && img.Doubt == collector.DespiteVisibility:
		return blind, "Members despite its visibility"
	case img.Sight == collector.Partial, img.Sight == collector.Whole && nameless(img):
		return blind, "Seen in part"
	case !knownVisibility(img):
		return blind, "Visibility not read"
	case img.Unasked():
		return blind, "Members not asked for"
	case img.Misplaced():
		return amiss, "Wrong visibility"
	case img.Sight == collector.NotApplicable && !img.Open() && len(img.Policy.Members) > 0:
		return amiss, "Not shared"
	case len(img.Missing()) == 1:
		return amiss, "Member missing"
	case len(img.Missing()) > 1:
		return amiss, "Members missing"
	case img.Open():
		return asMeant, "Open to everyone, as meant"
	case img.Sight == collector.NotApplicable:
		return asMeant, "Private"
	case !img.Judged():
		return unjudged, "Not judged"
	}
	return asMeant, "As expected"
}

// nameless reports whether a list has a row that does not say whose it is.
func nameless(img *collector.ImageSnapshot) bool {
	for i := range img.Members {
		if img.Members[i].ID == "" {
			return true
		}
	}
	return false
}

func knownVisibility(img *collector.ImageSnapshot) bool {
	return img.Record != nil && img.Record.Visibility.Known()
}

// at is when the collection began that read the image.
func (e *entry) at() time.Time {
	if !e.img.Taken.IsZero() {
		return e.img.Taken // in the background, where an image without an answer is shown as it was before
	}
	return e.part.Snapshot.Start
}

// stale reports whether the image is shown as an earlier collection in the background read it.
func (e *entry) stale() bool {
	return e.img.Sight != collector.Unread && e.at().Before(e.part.Snapshot.Start)
}

// says tells what was seen of the image, in sentences.
func (e *entry) says() []string {
	if e.inbound != nil {
		return e.inbound.says(e)
	}
	var lines []string
	switch {
	case e.img.Sight != collector.Unread && !e.old:
		switch {
		case e.stale() && e.img.InTurns:
			lines = append(lines, "Its turn to be read has not come since. When it was last read, "+moment{e.at(), e.now}.Ago()+":")
		case e.stale():
			lines = append(lines, "It could not be read since. When it was last read, "+moment{e.at(), e.now}.Ago()+":")
		}
		return append(lines, seen(e.part.Snapshot, e.img)...)
	case e.img.Sight != collector.Unread:
		lines = append(lines, "Nobody knows who can use it now. When it was last read, "+moment{e.at(), e.now}.Ago()+":")
		return append(lines, seen(e.part.Snapshot, e.img)...)
	}
	switch unproven := notProven(e.img); {
	case unproven && e.img.Open():
		lines = append(lines, openTo(e.img), "Its members are not proven: "+sentence(visible(e.img.Err.Error())))
	case unproven:
		lines = append(lines, "It is not proven who can use it: "+sentence(visible(e.img.Err.Error())))
	case e.img.Open():
		lines = append(lines, openTo(e.img), "Its members were not read ("+why(e.img)+").")
	default:
		lines = append(lines, "Nobody knows who can use it now ("+why(e.img)+").")
	}
	if before, ok := e.before(); ok {
		lines = append(lines, "When it was last read, "+moment{before.At, e.now}.Ago()+":")
		lines = append(lines, seen(e.part.Snapshot, &before.Image)...)
	}
	return lines
}

// why is why an image was not read.
func why(img *collector.ImageSnapshot) string {
	if img.Waiting {
		return "its turn to be read has not come yet"
	}
	s := strings.TrimRight(visible(img.Err.Error()), ". ")
	if img.StatusCode == 404 {
		s += "; it is deleted, or neither owned by nor shared with the credential's project"
	}
	return s
}

// seen tells what was seen of an image that was read.
func seen(s *collector.Snapshot, img *collector.ImageSnapshot) []string {
	var lines []string
	if img.Open() {
		lines = append(lines, openTo(img))
	} else if img.Misplaced() {
		lines = append(lines, "It is "+visible(string(img.Record.Visibility))+", and meant to be "+oneOf(img)+".")
	}
	switch {
	case img.Record == nil:
		lines = append(lines, "Its own record was not read: it may be open to everyone.")
	case !knownVisibility(img):
		lines = append(lines, "Its visibility is "+quoted(string(img.Record.Visibility))+", which is none that the API knows: it may be open to everyone.")
	}
	if img.Sight == collector.NotApplicable {
		switch {
		case img.Open():
		case img.Unasked():
			lines = append(lines, "It is "+visible(string(img.Record.Visibility))+", and its members were not asked for: nobody knows who can use it.")
		default:
			line := "It is " + string(img.Record.Visibility) + ": nobody but its owner can use it"
			if n := len(img.Policy.Members); n > 0 {
				line += ", so " + count(n, "expected member", "expected members") + " cannot"
			}
			lines = append(lines, line+".")
		}
		return lines
	}
	lines = append(lines, members(s, img))
	if missing := img.Missing(); len(missing) > 0 {
		lines = append(lines, count(len(missing), "expected member is", "expected members are")+" missing.")
	}
	if img.Sight == collector.Partial {
		lines = append(lines, maybeMore(img))
	}
	if nameless(img) {
		lines = append(lines, "A row of its list does not say whose it is.")
	}
	return lines
}

// openTo is what to say of an image that is open to everyone.
func openTo(img *collector.ImageSnapshot) string {
	line := "It is " + string(img.Record.Visibility) + ": every project of the cloud can use it, without being a member"
	switch {
	case !img.Misplaced():
		return line + ". It is meant to be."
	case len(img.Policy.Visibility) > 0:
		return line + ". It is meant to be " + oneOf(img) + "."
	}
	return line + ", and nobody said that it is meant to be."
}

// members tells how many members there are, and names those that nobody expects.
func members(s *collector.Snapshot, img *collector.ImageSnapshot) string {
	n, unexpected := len(img.Members), img.Unexpected()
	switch {
	case n == 0 && img.Sight == collector.Partial:
		return "No member was seen."
	case n == 0 && (img.Open() || !knownVisibility(img)):
		return "It has no member." // which does not mean that nobody can use it
	case n == 0 && img.Judged():
		return "Nobody but its owner can use it."
	case n == 0:
		return "Nobody but its owner can use it; nobody said who may."
	case unexpected > 0:
		rows, _ := s.Rows(img, min(unexpected, 3))
		names := make([]string, len(rows))
		for i := range rows {
			names[i] = calledAs(&rows[i]) + " (" + rows[i].Status + ")"
		}
		are := " are not meant to have it: "
		if unexpected == 1 {
			are = " is not meant to have it: "
		}
		return number(unexpected) + " of " + count(n, "member", "members") + are + listed(names, unexpected) + "."
	case !img.Judged():
		return count(n, "member has", "members have") + " it; nobody said who may."
	case n == 1:
		return "1 member, which is expected."
	}
	return number(n) + " members, all of them expected."
}

// calledAs is a member's name, else its ID.
func calledAs(r *collector.Row) string {
	switch {
	case r.Name != "":
		return short(visible(r.Name))
	case r.ID != "":
		return short(visible(r.ID))
	}
	return "a row without an ID"
}

func quoted(s string) string {
	if s == "" {
		return "not told"
	}
	return "“" + visible(s) + "”"
}

// oneOf are the visibilities that an image is meant to have.
func oneOf(img *collector.ImageSnapshot) string {
	var words []string
	for _, v := range img.Policy.Visibility {
		words = append(words, string(v))
	}
	return strings.Join(words, " or ")
}
