package web

import (
	"net/url"
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// group is the images of one severity.
type group struct {
	Key, Symbol, Title string
	Count              int
	Images             []*imageView
}

func (g *group) Left() int { return g.Count - len(g.Images) }

var groups = [...]group{
	critical: {Key: "danger", Symbol: "✖", Title: "Unexpected access"},
	unknown:  {Key: "blind", Symbol: "?", Title: "Unknown or incomplete"},
	warning:  {Key: "amiss", Symbol: "!", Title: "Not as configured, but no unexpected access"},
	unjudged: {Key: "unjudged", Symbol: "–", Title: "Not checked: no expected_members"},
	expected: {Key: "good", Symbol: "✔", Title: "As expected"},
}

// imageView is an image for the template.
type imageView struct {
	Key, Cloud, ID, Name, Word, Symbol string
	Address                            string // of the page with only this image
	Says                               []string
	Facts                              []string
	Owner                              *projectView
	Remedy                             *remedy
	Runbook                            string // section about what is wrong; empty where nothing is
	Open                               bool
	Rows                               []rowView
	RowsOf                             string
	Left                               int
}

type rowView struct {
	Name, ID, Type, Verdict, Class, Status string
	Address                                string // of the page with all images that the member can use
	Keystone                               string // its name in Keystone, in words
	Approval                               string // its last day and its note
	Created, Updated                       *stamp
}

// projectView is a project. Its address is that of the page with all images that it can use.
type projectView struct{ Name, ID, Keystone, Address string }

func (p *statusPage) project(s *collector.Snapshot, name, id string) *projectView {
	return &projectView{visible(name), visible(id), inKeystone(s.KeystoneName(id), name), p.search(id)}
}

// inKeystone returns the words for a project's name in Keystone, empty where that is the configured name. The project's
// owner chose it, so it must not look like a configured name.
func inKeystone(name, configured string) string {
	if name == "" || name == configured {
		return ""
	}
	return "named " + quoted(name) + " in Keystone"
}

// search returns the address of the page that is filtered by a text.
func (p *statusPage) search(text string) string {
	return p.base + "/?" + url.Values{"q": {text}}.Encode()
}

func (p *statusPage) image(e *entry, most int) *imageView {
	img, g := e.img, groups[e.severity]
	v := &imageView{
		Key: e.key, Cloud: e.cloud, ID: img.ID, Name: visible(img.Label()), Word: e.word, Symbol: g.Symbol,
		Address: p.address(e), Says: e.says(), Facts: recordFacts(e), Runbook: e.runbookOf(),
	}
	v.Remedy = e.remedyOf()
	s := e.part.Snapshot
	if r := img.Record; r != nil && r.Owner != "" {
		v.Owner = p.project(s, projectName(s, r.Owner), r.Owner)
	}
	if e.inbound != nil {
		v.Owner = p.project(s, s.OwnerName(e.inbound.img), img.Record.Owner)
		return v
	}
	if before, ok := e.before(); ok {
		v.RowsOf = "as last read, " + moment{before.At, e.now}.Ago()
	}
	rows, left := s.Rows(e.shown(), most)
	v.Left = left
	for i := range rows {
		v.Rows = append(v.Rows, p.row(&rows[i], e.now))
	}
	return v
}

// shown returns the image whose rows are shown: as last read, where it is unread.
func (e *entry) shown() *collector.ImageSnapshot {
	if before, ok := e.before(); ok {
		return &before.Image
	}
	return e.img
}

// address returns the address of the page with only this image.
func (p *statusPage) address(e *entry) string {
	return p.base + "/?" + url.Values{"cloud": {e.cloud}, "image": {e.img.ID}}.Encode()
}

// recordFacts returns facts from the record, the use of the member quota, and whether discover found the image.
func recordFacts(e *entry) (lines []string) {
	img := e.img
	if r := img.Record; r != nil {
		if r.Name != img.Name {
			lines = append(lines, "current name "+quoted(r.Name))
		}
		lines = append(lines, "visibility "+quotedWord(string(r.Visibility)), "status "+quotedWord(r.Status))
		if r.Hidden {
			lines = append(lines, "hidden in listings")
		}
	}
	if e.inbound != nil {
		return lines
	}
	if limit := e.part.Snapshot.MembersLimit(img); limit > 0 && len(img.Members) > 0 {
		lines = append(lines, number(len(img.Members))+" of at most "+count(limit, "member", "members"))
	}
	if img.Discovered {
		lines = append(lines, "found by discover")
	}
	return lines
}

// approval returns the words for an approval's last day, with its note.
func approval(end time.Time, note string, now time.Time) string {
	text := ""
	switch day := collector.LastDay(end); {
	case day == "":
	case now.Before(end):
		text = "approved until " + day
	default:
		text = "approval ended after " + day
	}
	if note != "" {
		text = strings.TrimSpace(text + " (" + visible(note) + ")")
	}
	return text
}

// granted returns a member's status in words.
func granted(status string) string {
	if status == "rejected" {
		return "rejected, still has access"
	}
	return status
}

func quotedWord(s string) string {
	if s == "" {
		return "unknown"
	}
	return visible(s)
}

func (p *statusPage) row(r *collector.Row, now time.Time) rowView {
	v := rowView{Name: visible(r.Name), ID: visible(r.ID), Status: granted(r.Status), Address: p.search(r.ID)}
	if r.Type != "project" {
		v.Type = visible(r.Type)
	}
	switch r.Judgement {
	case collector.UnexpectedMember:
		v.Class, v.Verdict = "danger", "✖ unexpected"
	case collector.MissingMember:
		v.Class, v.Verdict, v.Status = "amiss", "! missing", "not a member"
	case collector.UnjudgedMember:
		v.Class, v.Verdict = "unjudged", "– not checked"
	default:
		v.Class, v.Verdict = "good", "✔ expected"
	}
	v.Keystone = inKeystone(r.Keystone, r.Name)
	v.Approval = approval(r.Until, r.Note, now)
	if !r.Created.IsZero() {
		v.Created = moment{r.Created, now}.stamp()
	}
	if !r.Updated.IsZero() && !r.Updated.Equal(r.Created) {
		v.Updated = moment{r.Updated, now}.stamp()
	}
	return v
}
