package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// share is a row of the audit: what this process read about a cloud, an image, or a member.
type share struct {
	Row                string `json:"row"` // cloud, image, member, or inbound: an image that another project shares
	Cloud              string `json:"cloud"`
	ImageID            string `json:"image_id,omitempty"`
	ImageName          string `json:"image_name,omitempty"`
	OwnerID            string `json:"owner_id,omitempty"`
	OwnerName          string `json:"owner_name,omitempty"`
	OwnerKeystoneName  string `json:"owner_keystone_name,omitempty"`
	Visibility         string `json:"visibility,omitempty"`
	MemberType         string `json:"member_type,omitempty"` // everyone for an image that is open
	MemberID           string `json:"member_id,omitempty"`
	MemberName         string `json:"member_name,omitempty"`
	MemberKeystoneName string `json:"member_keystone_name,omitempty"`
	Status             string `json:"status,omitempty"`
	Expected           *bool  `json:"expected,omitempty"` // nil: not checked
	Until              string `json:"until,omitempty"`    // last day
	Note               string `json:"note,omitempty"`
	Created            string `json:"created,omitempty"`
	Updated            string `json:"updated,omitempty"`
	ReadAt             string `json:"read_at,omitempty"`
	Complete           bool   `json:"complete"` // whether this process read all of it
	Discovery          *bool  `json:"discovery,omitempty"`
	ShardsRead         int    `json:"shards_read,omitempty"`
	Shards             int    `json:"shards,omitempty"`
	Problem            string `json:"problem,omitempty"`
}

// shareColumns is the header of the CSV.
var shareColumns = []string{
	"row", "cloud", "image_id", "image_name", "owner_id", "owner_name", "owner_keystone_name", "visibility",
	"member_type", "member_id", "member_name", "member_keystone_name", "status", "expected", "until", "note", "created", "updated",
	"read_at", "complete", "discovery", "shards_read", "shards", "problem",
}

func (s *share) columns() []string {
	number := func(n int) string {
		if s.Row != "cloud" {
			return ""
		}
		return strconv.Itoa(n)
	}
	return []string{
		s.Row, s.Cloud, s.ImageID, s.ImageName, s.OwnerID, s.OwnerName, s.OwnerKeystoneName, s.Visibility,
		s.MemberType, s.MemberID, s.MemberName, s.MemberKeystoneName, s.Status, flag(s.Expected), s.Until, s.Note, s.Created, s.Updated,
		s.ReadAt, strconv.FormatBool(s.Complete), flag(s.Discovery), number(s.ShardsRead), number(s.Shards),
		s.Problem,
	}
}

func flag(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// exactly formats a time of a row, in UTC. It is empty for the zero time.
func exactly(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// sharesPage serves the rows as CSV or JSON, with the filter of the status page. It sends no request to a cloud.
type sharesPage struct {
	status *statusPage
	people *people // its own, so that slow clients do not block the status page
	json   bool
}

// sharesTimeout is how long a client may take to read the rows.
const sharesTimeout = 2 * time.Minute

func (p *sharesPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	leave, ok := p.people.enter(w, r)
	if !ok {
		return
	}
	defer leave()
	clouds, chosen := p.status.clouds(r.Context(), time.Now()), filterOf(r.URL.Query())
	if known := func(c *cloudView) bool { return c.Name == chosen.Cloud }; chosen.Cloud != "" && !slices.ContainsFunc(clouds, known) {
		http.Error(w, fmt.Sprintf("no cloud %q in the configuration: the status page lists them", chosen.Cloud), http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	name, kind := "shares.csv", "text/csv; charset=utf-8"
	if p.json {
		name, kind = "shares.json", "application/json"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Now().Add(sharesTimeout)) // not every ResponseWriter has one
	compressed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		format := csvRows
		if p.json {
			format = jsonRows
		}
		write, end := format(w)
		for _, c := range clouds {
			c.shares(chosen, func(s *share) bool { return write(s) == nil && r.Context().Err() == nil })
		}
		_ = end() // the client may have disconnected
	})).ServeHTTP(w, r)
	_ = connection.Flush() // net/http writes its buffer before the deadline is removed
	_ = connection.SetWriteDeadline(time.Time{})
}

// csvRows writes a header and rows. A text that a spreadsheet would read as a formula gets a leading quote. Without a
// byte order mark, spreadsheets do not recognize UTF-8.
func csvRows(w io.Writer) (write func(*share) error, end func() error) {
	out := csv.NewWriter(w)
	_, _ = io.WriteString(w, "\ufeff")
	_ = out.Write(shareColumns)
	write = func(s *share) error {
		columns := s.columns()
		for i, text := range columns {
			if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
				columns[i] = "'" + text
			}
		}
		return out.Write(columns)
	}
	return write, func() error {
		out.Flush()
		return out.Error()
	}
}

// jsonRows writes an array with one row on each line.
func jsonRows(w io.Writer) (write func(*share) error, end func() error) {
	_, _ = io.WriteString(w, "[")
	before := "\n"
	write = func(s *share) error {
		text, err := json.Marshal(s)
		if err == nil {
			_, err = w.Write(append([]byte(before), text...))
		}
		before = ",\n"
		return err
	}
	return write, func() error {
		_, err := io.WriteString(w, "\n]\n")
		return err
	}
}

// shares yields the rows of a cloud: its own, and those of the images that the filter selects.
func (c *cloudView) shares(f filter, yield func(*share) bool) {
	if f.Cloud == "" || f.Cloud == c.Name {
		whole := c.Condition == readWhole && !slices.ContainsFunc(c.entries, func(e *entry) bool { return !e.complete() })
		row := &share{
			Row: "cloud", Cloud: c.Name, Complete: whole, Shards: max(len(c.Parts), 1), ShardsRead: c.shardsRead,
			Problem: strings.Join(c.Says, " "),
		}
		if c.Read != nil {
			row.ReadAt = exactly(c.Read.at)
		}
		if c.discovers {
			found := !c.listing && !c.listingProof && c.shardsRead == row.Shards && c.Condition != outdated
			row.Discovery = &found
		}
		if !yield(row) {
			return
		}
	}
	for _, e := range c.entries {
		if !f.takes(e, e.part.Snapshot) {
			continue
		}
		for _, row := range e.shares() {
			if !yield(row) {
				return
			}
		}
	}
}

// shares returns the rows of an image: one for each member, one if it is open to everyone, one if there is no other.
func (e *entry) shares() (rows []*share) {
	img, s := e.img, e.part.Snapshot
	base := share{
		Row: "image", Cloud: e.cloud, ImageID: img.ID, ImageName: img.Label(), ReadAt: exactly(img.MembersRead),
		Complete: e.complete(),
	}
	if r := img.Record; r != nil {
		base.OwnerID, base.OwnerName, base.OwnerKeystoneName = r.Owner, projectName(s, r.Owner), s.KeystoneName(r.Owner)
		base.Visibility = string(r.Visibility)
	}
	if img.Coverage == collector.Unread {
		base.Problem = e.problem()
	}
	if e.inbound != nil {
		return []*share{e.inbound.share(base)}
	}
	if img.Open() {
		row, expected := base, !img.Misplaced()
		row.Row, row.MemberType, row.Expected = "member", "everyone", &expected
		rows = append(rows, &row)
	}
	members, _ := s.Rows(img, len(img.Members)+len(img.Policy.Members))
	for i := range members {
		m := &members[i]
		if m.Judgement == collector.MissingMember {
			continue
		}
		row := base
		row.Row, row.MemberType, row.MemberID, row.MemberName, row.Status = "member", m.Type, m.ID, m.Name, m.Status
		row.MemberKeystoneName = m.Keystone
		row.Until, row.Note, row.Created, row.Updated = collector.LastDay(m.Until), m.Note, exactly(m.Created), exactly(m.Updated)
		if m.Judgement != collector.UnjudgedMember {
			expected := m.Judgement == collector.ExpectedMemberSeen
			row.Expected = &expected
		}
		rows = append(rows, &row)
	}
	if len(rows) == 0 {
		rows = append(rows, &base)
	}
	return rows
}

// share returns the row of an image from another project. Its member is the project that the image is shared with.
func (in *inbound) share(row share) *share {
	row.Row, row.MemberType, row.MemberID, row.MemberName = "inbound", "project", in.projectID, in.projectName
	row.OwnerName, row.Status, row.ReadAt, row.Problem = in.ownerName, string(in.img.Status), exactly(in.read), ""
	if owner := in.img.Owner; owner != nil {
		row.Until, row.Note = collector.LastDay(owner.Until), owner.Note
	}
	if in.judged {
		expected := !in.img.Unexpected
		row.Expected = &expected
	}
	return &row
}

// complete reports whether it was fully known at the last scrape who can use the image.
func (e *entry) complete() bool {
	img := e.img
	switch {
	case e.old, e.stale() && !img.InTurns:
		return false
	case e.inbound != nil:
		return e.inbound.known()
	case img.Coverage == collector.NotApplicable:
		return !img.Unrequested()
	}
	return img.Coverage == collector.Complete && !nameless(img) && knownVisibility(img)
}

// problem returns why an image was not read.
func (e *entry) problem() string {
	if e.img.Err == nil {
		return ""
	}
	return e.img.Err.Error()
}
