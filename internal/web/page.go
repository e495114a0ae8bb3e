package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"glance_share_exporter/collector"
)

// Limits of a page, so that a browser stays fast. The most severe images come first, and the page says how many it
// leaves out.
const (
	maxImages  = 2_000  // images
	maxRows    = 10_000 // rows of members in all
	imageRows  = 100    // rows of members of one image
	singleRows = 2_000  // rows of an image that is shown alone
	maxQuery   = 256    // bytes of a parameter
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// How many pages are rendered at a time, and how many requests may wait: many or slow clients must not take CPU and
// memory from scrapes. A page holds its place until it is written.
const (
	rendersAtOnce = 1
	writesAtOnce  = 4
	mostWait      = 8
)

// statusPage shows the results of the last scrapes. It sends no request to a cloud.
type statusPage struct {
	opts     Options
	base     string // what people see before the path
	links    []link
	template *template.Template
	policy   string
	build    string
	places   chan struct{} // of those who wait, or whose page is made or written
	pages    chan struct{} // of those whose page is made or written
	renders  chan struct{} // of those whose page is made
}

type link struct{ Address, Text string }

func newStatusPage(opts Options, prefix, telemetry string) (*statusPage, error) {
	parsed, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	all := sha256.Sum256([]byte(pageHTML + pageCSS + pageJS))
	return &statusPage{
		opts: opts, base: prefix, template: parsed, build: base64.RawURLEncoding.EncodeToString(all[:9]),
		places: make(chan struct{}, writesAtOnce+mostWait), pages: make(chan struct{}, writesAtOnce), renders: make(chan struct{}, rendersAtOnce),
		policy: contentPolicy("style-src "+hashOf(pageCSS), "script-src "+hashOf(pageJS), "img-src data:", "connect-src 'self'", "form-action 'self'"),
		links: []link{
			{prefix + telemetry, "Metrics"},
			{prefix + "/sd", "Targets"},
			{prefix + "/config", "Configuration"},
			{prefix + "/-/healthy", "Health"},
			{prefix + "/-/ready", "Readiness"},
		},
	}, nil
}

// hashOf returns the source expression of a Content-Security-Policy for inline text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// filter says which images to show. The zero value shows all.
type filter struct {
	Text, Cloud, Image string
	Problems           bool
}

// filterOf reads the parameters of the page's address. Unknown ones are ignored.
func filterOf(query url.Values) filter {
	text := func(name string) string {
		s := strings.TrimSpace(query.Get(name))
		return strings.ToValidUTF8(s[:min(len(s), maxQuery)], "")
	}
	return filter{Text: text("q"), Cloud: text("cloud"), Image: strings.ToLower(text("image")), Problems: query.Get("problems") == "1"}
}

// Any reports whether something may be left out.
func (f filter) Any() bool { return f != filter{} }

func (f filter) takes(e *entry, s *collector.Snapshot) bool {
	switch {
	case f.Cloud != "" && e.cloud != f.Cloud,
		f.Image != "" && e.img.ID != f.Image,
		f.Problems && e.rank >= unjudged:
		return false
	case f.Text == "":
		return true
	}
	text := haystack(e, s)
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// haystack returns the text that a filter searches: names and IDs of an image, its owner, its members and its missing
// members.
func haystack(e *entry, s *collector.Snapshot) string {
	texts := []string{e.img.ID, e.img.Label(), e.word}
	if r := e.img.Record; r != nil {
		texts = append(texts, r.Name, r.Owner, string(r.Visibility))
	}
	if e.inbound != nil {
		return strings.ToLower(strings.Join(append(texts, e.inbound.owner, e.inbound.project), "\n"))
	}
	images := []*collector.ImageSnapshot{e.img}
	if before, ok := e.before(); ok {
		images = append(images, &before.Image)
	}
	for _, img := range images {
		rows, _ := s.Rows(img, len(img.Members)+len(img.Policy.Members))
		for i := range rows {
			texts = append(texts, rows[i].ID, rows[i].Name)
		}
	}
	return strings.ToLower(strings.Join(texts, "\n"))
}

// view is the page for the template.
type view struct {
	Base, Version, Build string
	CSS                  template.CSS
	JS                   template.JS
	Icon                 template.URL
	Now                  moment
	Links                []link
	Clouds               []*cloudView
	Names                []string // of the clouds, as configured
	CloudsOpen           bool
	Verdict              verdict
	Filter               filter
	Shows                string
	Notes                []string
	Groups               []*group
}

// verdict is the summary of all clouds, whatever the filter.
type verdict struct {
	Class, Symbol, Title string
	Worst                []worst
	Says                 []string
}

// worst is an image that the verdict names.
type worst struct{ Address, Cloud, Name, Word, Says string }

// group are the images of one rank.
type group struct {
	Key, Symbol, Title string
	Count              int
	Images             []*imageView
}

func (g *group) Left() int { return g.Count - len(g.Images) }

var groups = [...]group{
	danger:   {Key: "danger", Symbol: "✖", Title: "Unexpected access"},
	blind:    {Key: "blind", Symbol: "?", Title: "Unknown or incomplete"},
	amiss:    {Key: "amiss", Symbol: "!", Title: "Not as configured, but no unexpected access"},
	unjudged: {Key: "unjudged", Symbol: "–", Title: "Not checked: no expected_members"},
	asMeant:  {Key: "good", Symbol: "✔", Title: "As expected"},
}

// imageView is an image for the template.
type imageView struct {
	Key, Cloud, ID, Name, Word, Symbol string
	Address                            string // of the page with this image alone
	Says                               []string
	Facts                              []string
	Open                               bool
	Rows                               []rowView
	RowsOf                             string
	Left                               int
}

type rowView struct {
	Name, ID, Type, Verdict, Class, Status string
	Created, Updated                       *stamp
}

func (p *statusPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("%d requests are already waiting for this page: try again later", mostWait), http.StatusServiceUnavailable)
		return
	}
	if !enter(r.Context(), p.pages) {
		return
	}
	defer func() { <-p.pages }()
	page, err := p.make(r)
	switch {
	case r.Context().Err() != nil:
		return
	case err != nil:
		_ = level.Error(p.opts.Logger).Log("msg", "rendering the status page", "err", err)
		http.Error(w, "cannot render the page: see the log of the exporter", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	maps.Copy(h, page.header)
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store") // who can use what is no business of a cache
	h.Set("Content-Length", strconv.Itoa(page.body.Len()))
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // where there is one
	_, _ = w.Write(page.body.Bytes())                             // whoever asked may have gone
	_ = connection.Flush()                                        // what net/http keeps is written while the place is held
	_ = connection.SetWriteDeadline(time.Time{})
}

// enter waits for a place, unless whoever asked leaves.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// made is a page in memory, as it will be sent.
type made struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (m *made) Header() http.Header { return m.header }

// WriteHeader implements http.ResponseWriter. There is no other status than 200.
func (m *made) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (m *made) Write(p []byte) (int, error) { return m.body.Write(p) }

// make waits for its turn and makes the page, compressed for who can read that.
func (p *statusPage) make(r *http.Request) (*made, error) {
	if !enter(r.Context(), p.renders) {
		return nil, r.Context().Err()
	}
	defer func() { <-p.renders }()
	var page bytes.Buffer
	if err := p.render(r.Context(), &page, filterOf(r.URL.Query()), time.Now()); err != nil {
		return nil, err
	}
	get := r.WithContext(r.Context()) // for HEAD too: it is told what GET would get
	get.Method = http.MethodGet
	m := &made{header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
	compressed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(page.Bytes()) // memory takes all
	})).ServeHTTP(m, get)
	return m, nil
}

func (p *statusPage) render(ctx context.Context, w io.Writer, f filter, now time.Time) error {
	v := &view{
		Base: p.base, Version: p.opts.Version, Build: p.build, CSS: template.CSS(pageCSS), JS: template.JS(pageJS),
		Now: moment{now, now}, Links: p.links, Filter: f,
	}
	clouds, release := p.opts.Clouds()
	defer release()
	known := false
	for _, c := range clouds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.Clouds = append(v.Clouds, look(c, p.base+"/probe", now))
		v.Names = append(v.Names, c.Name())
		known = known || c.Name() == f.Cloud
	}
	if f.Cloud != "" && !known {
		v.Notes = append(v.Notes, "The configuration has no cloud "+quoted(f.Cloud)+".")
	}
	v.Verdict = p.judge(v.Clouds)
	v.Icon = icon(v.Verdict.Class)
	if err := p.list(ctx, v); err != nil {
		return err
	}
	// Where there is trouble, first.
	slices.SortStableFunc(v.Clouds, func(a, b *cloudView) int { return cmp.Compare(a.Condition, b.Condition) })
	v.CloudsOpen = len(v.Clouds) <= 4 || len(v.Clouds) > 0 && v.Clouds[0].Condition < readWhole
	return p.template.Execute(w, v)
}

// list selects the images to show, as long as somebody wants to see them.
func (p *statusPage) list(ctx context.Context, v *view) error {
	var found []*entry
	all := 0
	for _, c := range v.Clouds {
		all += len(c.entries)
		for _, e := range c.entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if v.Filter.takes(e, e.part.Snapshot) {
				found = append(found, e)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.img.Name, b.img.Name), strings.Compare(a.img.ID, b.img.ID), strings.Compare(a.cloud, b.cloud))
	})
	watched, others := tally(found)
	rows := maxRows
	for i, e := range found[:min(len(found), maxImages)] {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i == 0 || e.rank != found[i-1].rank {
			g := groups[e.rank]
			g.Title, g.Count = groupTitle(e.rank, watched[e.rank], others[e.rank]), watched[e.rank]+others[e.rank]
			v.Groups = append(v.Groups, &g)
		}
		most := imageRows
		if v.Filter.Image != "" {
			most = singleRows
		}
		img := p.image(e, min(most, rows))
		rows -= len(img.Rows)
		img.Open = e.rank == danger && i < 100 || e.rank <= amiss && watched[e.rank]+others[e.rank] <= 5 || len(found) <= 3
		g := v.Groups[len(v.Groups)-1]
		g.Images = append(g.Images, img)
	}
	v.Shows = "Showing " + number(len(found)) + " of " + count(all, "image", "images") + "."
	if all == 0 {
		v.Shows = "No image to show."
	}
	if left := len(found) - maxImages; left > 0 {
		v.Notes = append(v.Notes, "Showing the "+number(maxImages)+" most severe. "+number(left)+" more match: filter by text, cloud or problems to see them.")
	}
	v.Notes = append(v.Notes, nothing(v, len(found))...)
	return nil
}

// nothing explains why no image is shown.
func nothing(v *view, found int) []string {
	if found > 0 {
		return nil
	}
	var unseen []string
	for _, c := range v.Clouds {
		if !c.Seen() && (v.Filter.Cloud == "" || v.Filter.Cloud == c.Name) {
			unseen = append(unseen, c.Name)
		}
	}
	lines := []string{}
	switch {
	case !v.Filter.Any() && len(unseen) > 0:
		return append(lines, count(len(unseen), "cloud was", "clouds were")+" not read, so the images there are unknown: "+listed(unseen, len(unseen))+".")
	case v.Filter.Image != "":
		lines = append(lines, "The last scrapes watched no image "+quoted(v.Filter.Image)+".")
	case v.Filter.Any():
		lines = append(lines, "No image matches this filter.")
	default:
		lines = append(lines, "The last scrapes watched no image.")
	}
	if len(unseen) > 0 {
		lines = append(lines, "This does not cover "+count(len(unseen), "cloud that was", "clouds that were")+" not read: "+listed(unseen, len(unseen))+".")
	}
	return lines
}

func (p *statusPage) image(e *entry, most int) *imageView {
	img, g := e.img, groups[e.rank]
	v := &imageView{
		Key: e.key, Cloud: e.cloud, ID: img.ID, Name: visible(img.Label()), Word: e.word, Symbol: g.Symbol,
		Address: p.address(e), Says: e.says(), Facts: recordFacts(e),
	}
	if e.inbound != nil {
		return v
	}
	shown := img
	if before, ok := e.before(); ok {
		shown = &before.Image
		v.RowsOf = "as last read, " + moment{before.At, e.now}.Ago()
	}
	rows, left := e.part.Snapshot.Rows(shown, most)
	v.Left = left
	for i := range rows {
		v.Rows = append(v.Rows, rowOf(&rows[i], e.now))
	}
	return v
}

// address is the page with one image alone.
func (p *statusPage) address(e *entry) string {
	return p.base + "/?" + url.Values{"cloud": {e.cloud}, "image": {e.img.ID}}.Encode()
}

// recordFacts are what the record tells, and the quota.
func recordFacts(e *entry) (lines []string) {
	img := e.img
	if r := img.Record; r != nil {
		if r.Name != img.Name {
			lines = append(lines, "current name "+quoted(r.Name))
		}
		lines = append(lines, "visibility "+quotedWord(string(r.Visibility)), "status "+quotedWord(r.Status), "owner "+quotedWord(r.Owner))
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

func quotedWord(s string) string {
	if s == "" {
		return "unknown"
	}
	return visible(s)
}

func rowOf(r *collector.Row, now time.Time) rowView {
	v := rowView{Name: visible(r.Name), ID: visible(r.ID), Status: r.Status}
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
	if !r.Created.IsZero() {
		v.Created = moment{r.Created, now}.stamp()
	}
	if !r.Updated.IsZero() && !r.Updated.Equal(r.Created) {
		v.Updated = moment{r.Updated, now}.stamp()
	}
	return v
}

// maxWorst is how many images the verdict names.
const maxWorst = 5

// tally counts by rank the images that are watched, and those that others share.
func tally(entries []*entry) (watched, others [len(groups)]int) {
	for _, e := range entries {
		if e.inbound != nil {
			others[e.rank]++
		} else {
			watched[e.rank]++
		}
	}
	return watched, others
}

// judge returns the verdict about all clouds.
func (p *statusPage) judge(clouds []*cloudView) verdict {
	var v verdict
	var counts, others [len(groups)]int
	asksInbound := false
	for _, c := range clouds {
		watched, shared := tally(c.entries)
		for r := range groups {
			counts[r] += watched[r]
			others[r] += shared[r]
		}
		for _, e := range c.entries {
			if e.rank == danger && len(v.Worst) < maxWorst {
				v.Worst = append(v.Worst, p.worst(e))
			}
		}
		asksInbound = asksInbound || c.asksInbound
	}
	unseen := v.unseen(clouds, counts[blind], others[blind])
	switch n := counts[danger] + others[danger]; {
	case n > 0:
		v.Class, v.Symbol = "danger", "✖"
		v.Title = "Unexpected access to " + count(counts[danger], "image", "images")
		switch {
		case counts[danger] == 0:
			v.Title = acceptedOf(n)
		case others[danger] > 0:
			v.Title += ", and " + acceptedOf(others[danger])
		}
		if unseen {
			v.Says = append([]string{"The view is also incomplete."}, v.Says...)
		}
		if n > len(v.Worst) {
			v.Says = append([]string{count(n-len(v.Worst), "more image is", "more images are") + " listed below."}, v.Says...)
		}
		return v
	case unseen:
		v.Class, v.Symbol, v.Title = "blind", "?", "Incomplete view: "+lacking(clouds, counts[blind], others[blind])
		if len(v.Says) == 1 && counts[blind]+others[blind] > 0 {
			v.Says = nil // the title says it
		}
		switch {
		case others[amiss] > 0:
			v.Says = append(v.Says, "What was read shows no unexpected access, but "+offeredOf(others[amiss])+".")
		case counts[amiss]+counts[unjudged]+counts[asMeant]+others[unjudged]+others[asMeant] > 0:
			v.Says = append(v.Says, "What was read shows no unexpected access.")
		}
	case counts[amiss]+others[amiss] > 0:
		v.Class, v.Symbol = "amiss", "!"
		wrong := count(counts[amiss], "image is not as configured", "images are not as configured")
		switch {
		case others[amiss] == 0:
			v.Title = "No unexpected access, but " + wrong
		case counts[amiss] == 0:
			v.Title = "No unexpected access, but " + offeredOf(others[amiss])
		default:
			v.Title = "No unexpected access, but " + wrong + ", and " + offeredOf(others[amiss])
		}
	case counts[unjudged]+others[unjudged] > 0:
		v.Class, v.Symbol, v.Title = "unjudged", "–", "No unexpected access where expectations are configured"
	case counts[asMeant]+others[asMeant] == 0 && !asksInbound:
		v.Class, v.Symbol, v.Title = "unjudged", "–", "No image is watched"
	default:
		v.Class, v.Symbol, v.Title = "good", "✔", "No unexpected access"
		if n := counts[asMeant]; n > 0 {
			v.Says = append(v.Says, count(n, "watched image was", "watched images were")+" read completely.")
		}
		if n := others[asMeant]; n > 0 {
			v.Says = append(v.Says, "Other projects share "+count(n, "image", "images")+" with you, all from expected owners.")
		} else if asksInbound {
			v.Says = append(v.Says, "Other projects share no image with you.")
		}
	}
	if n := counts[unjudged]; n > 0 {
		v.Says = append(v.Says, count(n, "image has", "images have")+" no expected_members, so members are not checked.")
	}
	if n := others[unjudged]; n > 0 {
		v.Says = append(v.Says, "Other projects share "+count(n, "image", "images")+" with you. There are no expected_owners, so owners are not checked.")
	}
	return v
}

// unseen adds what is incomplete to the verdict, and reports whether anything is.
func (v *verdict) unseen(clouds []*cloudView, images, others int) bool {
	for _, c := range clouds {
		if !c.Seen() {
			v.Says = append(v.Says, "Cloud "+c.Name+": "+strings.ToLower(c.State())+".")
		} else if c.listing {
			v.Says = append(v.Says, "Cloud "+c.Name+": the listing of its images is incomplete.")
		} else if c.projects {
			v.Says = append(v.Says, "Cloud "+c.Name+": the list of the user's projects was not read.")
		} else if c.project {
			v.Says = append(v.Says, "Cloud "+c.Name+": no token for a project.")
		} else if c.listingProof {
			v.Says = append(v.Says, "Cloud "+c.Name+": the listing of its images is not proven complete.")
		} else if c.inbound {
			v.Says = append(v.Says, "Cloud "+c.Name+": the listing of images from other projects is incomplete.")
		} else if c.inboundProof {
			v.Says = append(v.Says, "Cloud "+c.Name+": the listing of images from other projects is not proven complete.")
		} else if c.proof {
			v.Says = append(v.Says, "Cloud "+c.Name+": a proof is missing.")
		}
		if n := c.exposedLeft(); n > 0 {
			v.Says = append(v.Says, "Cloud "+c.Name+": "+leftExposed(n)+".")
		}
	}
	if images > 0 {
		v.Says = append(v.Says, "It is not fully known who can use "+count(images, "image", "images")+" now.")
	}
	if others > 0 {
		v.Says = append(v.Says, "It is unknown whether "+count(others, "image from another project is", "images from other projects are")+" accepted now.")
	}
	return len(v.Says) > 0
}

// lacking says briefly what is incomplete.
func lacking(clouds []*cloudView, images, others int) string {
	var unread []*cloudView
	listing, left, proof := false, 0, false
	for _, c := range clouds {
		listing = listing || c.listing || c.listingProof || c.project || c.projects
		left += c.exposedLeft()
		proof = proof || c.proof && !c.inbound && !c.inboundProof
		if !c.Seen() {
			unread = append(unread, c)
		}
	}
	switch {
	case len(unread) == 1 && unread[0].alike() < len(unread[0].Parts):
		return "shards of cloud " + unread[0].Name + " were not read"
	case len(unread) == 1 && unread[0].Condition == outdated:
		return "the data of cloud " + unread[0].Name + " is stale"
	case len(unread) == 1:
		return "cloud " + unread[0].Name + " was not read"
	case len(unread) > 1:
		return number(len(unread)) + " clouds were not read"
	case images > 0:
		return "it is not fully known who can use " + count(images, "image", "images")
	case others > 0:
		return "it is unknown whether " + count(others, "image from another project is", "images from other projects are") + " accepted"
	case !listing && left > 0:
		return leftExposed(left)
	case !listing && proof:
		return "a proof is missing"
	case !listing:
		return "other projects may share images that are not listed"
	}
	return "there may be images that are not watched"
}

func (p *statusPage) worst(e *entry) worst {
	w := worst{Address: p.address(e), Cloud: e.cloud, Name: cmp.Or(short(visible(e.img.Label())), e.img.ID), Word: e.word}
	s, img := e.part.Snapshot, e.img
	if e.inbound != nil {
		w.Says = "owner " + short(e.inbound.owner)
		return w
	}
	if before, ok := e.before(); ok {
		img = &before.Image
	}
	if n := img.Unexpected(); n > 0 {
		rows, _ := s.Rows(img, min(n, 3))
		names := make([]string, len(rows))
		for i := range rows {
			names[i] = calledAs(&rows[i]) + " (" + rows[i].Status + ")"
		}
		w.Says = listed(names, n)
	}
	return w
}

// icon is a tab's picture: a form and a colour for each class.
func icon(class string) template.URL {
	shape := map[string]string{
		"danger": `<path fill="#b3261e" d="M5 0h6l5 5v6l-5 5H5l-5-5V5z"/><path stroke="#fff" stroke-width="2" d="M5 5l6 6m0-6l-6 6"/>`,
		"blind":  `<circle cx="8" cy="8" r="7" fill="none" stroke="#8a5a00" stroke-width="2" stroke-dasharray="3 2"/>`,
		"amiss":  `<path fill="#6a4fb0" d="M8 1l7 14H1z"/>`,
		"good":   `<circle cx="8" cy="8" r="8" fill="#1e6b3a"/><path fill="none" stroke="#fff" stroke-width="2" d="M4 8l3 3 5-6"/>`,
	}[class]
	if shape == "" {
		shape = `<path fill="#5a6470" d="M1 6h14v4H1z"/>`
	}
	return template.URL("data:image/svg+xml," + url.PathEscape(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">%s</svg>`, shape)))
}
