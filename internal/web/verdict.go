package web

import (
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// severity is how severe the known state of an image is, the most severe first.
type severity int

const (
	critical severity = iota // unexpected access
	unknown                  // unknown or incomplete
	warning                  // not as configured, but no unexpected access
	unjudged                 // nothing is expected, so nothing is checked
	expected                 // as expected
)

// holdFor is how long an image stays critical after its last reading, if it is no longer read. The alerts hold as long.
const holdFor = time.Hour

// entry is an image of a shard of a cloud.
type entry struct {
	cloud string
	part  *collector.Latest
	img   *collector.ImageSnapshot
	old   bool // the shard's data is stale
	now   time.Time

	inbound *inbound // of an image that another project shares; nil: a watched image
	key     string   // ID of the page's element

	alike bool // the cloud's lines have the reason why it and many others were not read

	severity severity
	word     string
}

// classify sets the severity and its word.
func (e *entry) classify() {
	if e.inbound != nil {
		e.severity, e.word = e.inbound.severityOf()
	} else {
		e.severity, e.word = severityOf(e.img)
	}
	if e.img.Coverage == collector.Unread {
		if before, ok := e.before(); ok {
			if r, word := severityOf(&before.Image); r == critical && since(before.At, e.now) < holdFor {
				e.severity, e.word = critical, word+" when last read"
			}
		}
	}
	if (e.old || e.stale() && !e.img.InTurns) && e.severity > unknown {
		e.severity, e.word = unknown, "Stale"
	}
}

// before returns the state of an unread image when it was last read.
func (e *entry) before() (collector.Before, bool) {
	if e.inbound != nil {
		return collector.Before{}, false // only watched images have it
	}
	b, ok := e.part.Before[e.img.ID]
	b.Image = *b.Image.At(e.now)
	return b, ok
}

// severityOf returns the severity of an image, and the word for it.
func severityOf(img *collector.ImageSnapshot) (severity, string) {
	unexpected := img.Unexpected()
	switch {
	case img.Open() && img.Misplaced() && unexpected > 0:
		return critical, "Open to everyone, with unexpected members"
	case img.Open() && img.Misplaced():
		return critical, "Open to everyone"
	case unexpected == 1:
		return critical, "Unexpected member"
	case unexpected > 1:
		return critical, "Unexpected members"
	case notProven(img):
		return unknown, "Not proven"
	case img.Coverage == collector.Unread:
		return unknown, "Not read"
	case img.Coverage == collector.Partial && img.Doubt == collector.DespiteVisibility:
		return unknown, "Members despite visibility"
	case img.Coverage == collector.Partial, img.Coverage == collector.Complete && nameless(img):
		return unknown, "Incomplete"
	case !knownVisibility(img):
		return unknown, "Visibility unknown"
	case img.Unrequested():
		return unknown, "Members not requested"
	case img.Misplaced():
		return warning, "Wrong visibility"
	case img.Coverage == collector.NotApplicable && !img.Open() && len(img.Policy.Members) > 0:
		return warning, "Not shared"
	case len(img.Missing()) == 1:
		return warning, "Missing member"
	case len(img.Missing()) > 1:
		return warning, "Missing members"
	case img.Open():
		return expected, "Open to everyone, as expected"
	case img.Coverage == collector.NotApplicable:
		return expected, "Private"
	case !img.Judged():
		return unjudged, "Not checked"
	}
	return expected, "As expected"
}

// nameless reports whether a list has a row without a member ID.
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

// at returns when the run that read the image began.
func (e *entry) at() time.Time {
	if !e.img.Taken.IsZero() {
		return e.img.Taken // in the background, where an image without a response is shown as it was before
	}
	return e.part.Snapshot.Start
}

// stale reports whether the image is shown as an earlier run in the background read it.
func (e *entry) stale() bool {
	return e.img.Coverage != collector.Unread && e.at().Before(e.part.Snapshot.Start)
}

// says describes the image in sentences.
func (e *entry) says() []string {
	if e.inbound != nil {
		return e.inbound.says(e)
	}
	var lines []string
	switch {
	case e.img.Coverage != collector.Unread && !e.old:
		switch {
		case e.stale() && e.img.InTurns:
			lines = append(lines, "It is read in turns and was not read again yet. State when last read, "+moment{e.at(), e.now}.Ago()+":")
		case e.stale():
			lines = append(lines, "It could not be read again. State when last read, "+moment{e.at(), e.now}.Ago()+":")
		}
		return append(lines, seen(e.part.Snapshot, e.img)...)
	case e.img.Coverage != collector.Unread:
		lines = append(lines, "It is unknown who can use it now. State when last read, "+moment{e.at(), e.now}.Ago()+":")
		return append(lines, seen(e.part.Snapshot, e.img)...)
	}
	switch unproven := notProven(e.img); {
	case unproven && e.img.Open():
		lines = append(lines, openTo(e.img), "Its members are not proven: "+sentence(visible(e.img.Err.Error())))
	case unproven:
		lines = append(lines, "It is not proven who can use it: "+sentence(visible(e.img.Err.Error())))
	case e.img.Open():
		lines = append(lines, openTo(e.img), "Its members were not read: "+why(e.img)+".")
	case e.alike:
		lines = append(lines, "It is unknown who can use it now; its cloud shows the reason.")
	default:
		lines = append(lines, "It is unknown who can use it now: "+why(e.img)+".")
	}
	if before, ok := e.before(); ok {
		lines = append(lines, "State when last read, "+moment{before.At, e.now}.Ago()+":")
		lines = append(lines, seen(e.part.Snapshot, &before.Image)...)
	}
	return lines
}

// why returns why an image was not read.
func why(img *collector.ImageSnapshot) string {
	if img.Waiting {
		return "it is read in turns and was not read yet"
	}
	s := strings.TrimRight(visible(img.Err.Error()), ". ")
	if img.StatusCode == 404 {
		s += ". It was deleted, or is neither owned by nor shared with the credential's project"
	}
	return s
}

// seen describes an image that was read.
func seen(s *collector.Snapshot, img *collector.ImageSnapshot) []string {
	var lines []string
	if img.Open() {
		lines = append(lines, openTo(img))
	} else if img.Misplaced() {
		lines = append(lines, "It is "+visible(string(img.Record.Visibility))+", but expected to be "+oneOf(img)+".")
	}
	switch {
	case img.Record == nil:
		lines = append(lines, "Its record was not read, so it may be open to everyone.")
	case !knownVisibility(img):
		lines = append(lines, "Its visibility is "+quoted(string(img.Record.Visibility))+", which the exporter does not know, so it may be "+
			"open to everyone.")
	}
	if img.Coverage == collector.NotApplicable {
		switch {
		case img.Open():
		case img.Unrequested():
			lines = append(lines, "It is "+visible(string(img.Record.Visibility))+", and its members were not requested, so it is unknown "+
				"who can use it.")
		default:
			line := "It is " + string(img.Record.Visibility) + ": only its owner can use it"
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
	if img.Coverage == collector.Partial {
		lines = append(lines, maybeMore(img))
	}
	if nameless(img) {
		lines = append(lines, "A row of its member list has no member ID.")
	}
	return lines
}

// openTo describes an image that is open to everyone.
func openTo(img *collector.ImageSnapshot) string {
	line := "It is " + string(img.Record.Visibility) + ": every project of the cloud can use it, without being a member"
	switch {
	case !img.Misplaced():
		return line + ". This is expected."
	case len(img.Policy.Visibility) > 0:
		return line + ". It is expected to be " + oneOf(img) + "."
	}
	return line + ". No expected_visibility allows this."
}

// members returns the sentence about how many members there are, which names the unexpected ones.
func members(s *collector.Snapshot, img *collector.ImageSnapshot) string {
	n, unexpected := len(img.Members), img.Unexpected()
	switch {
	case n == 0 && img.Coverage == collector.Partial:
		return "No member was read."
	case n == 0 && (img.Open() || !knownVisibility(img)):
		return "It has no members." // others may still be able to use it
	case n == 0 && img.Judged():
		return "Only its owner can use it."
	case n == 0:
		return "Only its owner can use it. It has no expected_members."
	case unexpected > 0:
		are := " are unexpected: "
		if unexpected == 1 {
			are = " is unexpected: "
		}
		return number(unexpected) + " of " + count(n, "member", "members") + are + listed(unexpectedRows(s, img), unexpected) + "."
	case !img.Judged():
		return count(n, "member", "members") + ", not checked: no expected_members."
	case n == 1:
		return "1 member, expected."
	}
	return number(n) + " members, all expected."
}

// unexpectedRows returns at most three of the unexpected members, with their statuses.
func unexpectedRows(s *collector.Snapshot, img *collector.ImageSnapshot) []string {
	rows, _ := s.Rows(img, min(img.Unexpected(), 3))
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = calledAs(&rows[i]) + " (" + granted(rows[i].Status) + ")"
	}
	return names
}

// calledAs returns a member's name, else its ID.
func calledAs(r *collector.Row) string {
	switch {
	case r.Name != "":
		return short(visible(r.Name))
	case r.ID != "":
		return short(visible(r.ID))
	}
	return "a row without an ID"
}

// quoted puts quotes around a text from outside. The text cannot end the quotes.
func quoted(s string) string {
	if s == "" {
		return "unknown"
	}
	return "“" + strings.NewReplacer("“", `\u201c`, "”", `\u201d`).Replace(visible(s)) + "”"
}

// oneOf returns the expected visibilities of an image.
func oneOf(img *collector.ImageSnapshot) string {
	var words []string
	for _, v := range img.Policy.Visibility {
		words = append(words, string(v))
	}
	return strings.Join(words, " or ")
}
