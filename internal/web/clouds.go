package web

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// condition is how completely a cloud or one of its shards was read, the least first.
type condition int

const (
	notYet condition = iota
	outdated
	paused
	unreadable
	readInPart
	readWhole
)

// state returns the word for a condition.
func (s condition) state() string {
	return [...]string{"Not read yet", "Stale", "Logins paused", "Unreadable", "Incomplete", "Complete"}[s]
}

// cloudView is a cloud for the template.
type cloudView struct {
	Name      string
	Condition condition
	Says      []string
	Facts     []string
	Read      *moment // when its last collection began; of several parts, the oldest
	Took      string  // the longest
	Probe     string  // address of the page that reads it; empty where /metrics does
	Parts     []partView

	background     bool // it is collected in the background
	entries        []*entry
	images, unread int
	inTurns        int                     // images that are read in turns
	round          time.Duration           // how long it takes to read all of them, in the part where it takes the longest
	unproven       int                     // images with a response that is not proven
	doubts         map[collector.Doubt]int // images whose lists may be incomplete
	left           []collector.LeftImage
	listing        bool // the listing of its images is incomplete
	listingProof   bool // the listing of its images is not proven complete
	proof          bool // something is not proven in one of its views
	administrator  bool // namely that the credential is an administrator's
	project        bool // a project has no token
	projects       bool // the list of the user's projects was not read
	inbound        bool // the listing of images from other projects is incomplete
	inboundProof   bool // the listing of images from other projects is not proven complete
	asksInbound    bool
}

// partView is a shard of a cloud.
type partView struct {
	Name      string
	Condition condition
	Read      *moment
	Took      string
	Images    int
	Probe     string
}

// Seen reports whether the cloud was read, at least in part.
func (c *cloudView) Seen() bool { return c.Condition >= readInPart }

// Last is the label of the time beside it.
func (c *cloudView) Last() string {
	switch {
	case len(c.Parts) > 1:
		return "Oldest shard:"
	case c.Seen() || c.Condition == outdated:
		return "Last read"
	}
	return "Last tried"
}

// State is the cloud's state in words.
func (c *cloudView) State() string {
	n := c.alike()
	if n == len(c.Parts) {
		return c.Condition.state()
	}
	return c.Condition.state() + " (" + number(n) + " of " + number(len(c.Parts)) + " shards)"
}

// alike returns how many shards are in the worst state.
func (c *cloudView) alike() (n int) {
	for i := range c.Parts {
		if c.Parts[i].Condition == c.Condition {
			n++
		}
	}
	return n
}

// State is the shard's state in words.
func (p *partView) State() string { return p.Condition.state() }

// look returns a view of a cloud's last collections.
func look(c *collector.Cloud, probe string, now time.Time) *cloudView {
	v := &cloudView{Name: c.Name(), Condition: readWhole, background: c.Refreshes()}
	latest := c.Latest()
	if c.ByProbe() {
		v.Probe = probe + "?" + url.Values{"cloud": {v.Name}}.Encode()
	}
	yet := 0
	for i := range latest {
		l := &latest[i]
		p := partView{Name: l.Shard.String(), Condition: notYet}
		if v.Probe != "" {
			p.Probe = v.Probe
			if l.Shard != (collector.Shard{}) {
				p.Probe += "&shard=" + l.Shard.String()
			}
		}
		if l.Snapshot == nil {
			yet++
		} else {
			v.take(&p, l, now)
		}
		v.Condition = min(v.Condition, p.Condition)
		v.Parts = append(v.Parts, p)
	}
	v.explain(latest, yet)
	if len(latest) == 1 && latest[0].Shard == (collector.Shard{}) {
		v.Parts = nil
	} else {
		v.Probe = ""
	}
	return v
}

// take adds a shard that was read.
func (c *cloudView) take(p *partView, l *collector.Latest, now time.Time) {
	s := l.Snapshot
	unread, unproven, partial := 0, 0, 0
	old := since(s.Start, now) > s.FreshFor()
	for i := range s.Images {
		e := &entry{cloud: c.Name, part: l, img: &s.Images[i], now: now, key: "image-" + c.Name + "-" + s.Images[i].ID}
		e.old = old || since(e.at(), now) > s.ImageFreshFor(e.img)
		e.judge()
		if e.img.InTurns {
			c.inTurns++
		}
		switch {
		case notProven(e.img):
			unproven++
		case e.img.Coverage == collector.Unread || e.stale() && !e.img.InTurns:
			unread++
		case e.img.Coverage == collector.Partial:
			partial++
			if c.doubts == nil {
				c.doubts = map[collector.Doubt]int{}
			}
			c.doubts[e.img.Doubt]++
		}
		c.entries = append(c.entries, e)
	}
	c.round = max(c.round, s.Round)
	c.takeInbound(l, now, old)
	c.images, c.unread, c.unproven = c.images+len(s.Images), c.unread+unread, c.unproven+unproven
	c.left = append(c.left, s.Left...)
	c.proof = c.proof || lacksProof(s)
	c.administrator = c.administrator || slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool { return v.Administrator == collector.Unproven })
	listing, project := s.Discovers && !s.Discovered, lacksProject(s)
	listingProof := listing && collector.IsUnproven(s.DiscoveryErr)
	c.listingProof = c.listingProof || listingProof
	for _, in := range s.Inbound {
		unproven := collector.IsUnproven(in.Err)
		c.inbound, c.inboundProof = c.inbound || in.Err != nil && !unproven, c.inboundProof || unproven
	}
	c.asksInbound = c.asksInbound || len(s.Inbound) > 0
	c.listing, c.project, c.projects = c.listing || listing && !listingProof, c.project || project, c.projects || s.ScopesErr != nil
	p.Read, p.Took, p.Images = &moment{s.Start, now}, lasting(s.Duration), len(s.Images)
	switch {
	case old:
		p.Condition = outdated
	case !s.Up && s.State.Paused:
		p.Condition = paused
	case nothingToAsk(s):
		p.Condition = readWhole
	case !s.Up:
		p.Condition = unreadable
	case unread+unproven+partial > 0 || listing || lacksProof(s) || project || s.ScopesErr != nil || lacksInbound(s):
		p.Condition = readInPart
	default:
		p.Condition = readWhole
	}
	if c.Read == nil || p.Read.at.Before(c.Read.at) {
		c.Read, c.Took = p.Read, p.Took
	}
}

// nothingToAsk reports whether a shard has no image and no listing, so that it needs no response.
func nothingToAsk(s *collector.Snapshot) bool {
	return s.Err == nil && !s.Discovers && len(s.Images) == 0 && len(s.Inbound) == 0
}

// lacksInbound reports whether the listing of images that other projects share is incomplete for one of the projects.
func lacksInbound(s *collector.Snapshot) bool {
	return slices.ContainsFunc(s.Inbound, func(in collector.InboundSnapshot) bool { return in.Err != nil })
}

func lacksProject(s *collector.Snapshot) bool {
	for _, scope := range s.Scopes {
		if scope.Err != nil {
			return true
		}
	}
	return false
}

// explain says why the cloud was not read completely, and adds facts about it.
func (c *cloudView) explain(latest []collector.Latest, yet int) {
	switch {
	case yet == 0:
	case len(latest) == 1:
		c.Says = append(c.Says, "No collection has finished since the exporter started or the cloud's configuration changed. Its images are unknown.")
	default:
		c.Says = append(c.Says, "Not read by this exporter: "+number(yet)+" of "+number(len(latest))+" shards. Another exporter may have read them. Their images are unknown here.")
	}
	if c.Condition == outdated {
		since := "It was not scraped since"
		if c.background {
			since = "No background collection has finished since"
		}
		c.Says = append(c.Says, since+". The page shows the state at that time; the current state is unknown.")
	}
	said := map[string]bool{}
	for i := range latest {
		s := latest[i].Snapshot
		if s == nil {
			continue
		}
		for _, line := range troubles(s) {
			if !said[line] && len(said) < 10 {
				c.Says = append(c.Says, line)
			}
			said[line] = true
		}
	}
	c.Says = append(c.Says, doubtful(c.doubts, c.administrator)...)
	c.Says = append(c.Says, departed(c.left)...)
	for i := range latest {
		if s := latest[i].Snapshot; s != nil {
			c.Facts = facts(s)
			break
		}
	}
	if c.inTurns > 0 && c.round > 0 {
		c.Facts = append(c.Facts, count(c.inTurns, "image", "images")+" in turns, each about every "+lasting(c.round))
	}
	if c.unproven > 0 {
		c.Facts = append(c.Facts, number(c.unproven)+" of "+count(c.images, "image", "images")+" not proven")
	}
	if c.unread > 0 {
		c.Facts = append(c.Facts, number(c.unread)+" of "+count(c.images, "image", "images")+" not read")
	} else if c.Read != nil && c.unproven == 0 {
		c.Facts = append(c.Facts, count(c.images, "image", "images")+" watched")
	}
}

// troubles says why a cloud was not read completely.
func troubles(s *collector.Snapshot) (lines []string) {
	say := func(line string) { lines = append(lines, sentence(line)) }
	switch {
	case s.Err != nil:
		say("The cloud was not read: " + visible(s.Err.Error()))
	case s.NoImageAPI:
		say("The endpoint does not seem to be an image API")
	case !s.Up && !nothingToAsk(s):
		line := "No request to the image API succeeded"
		if img := firstUnread(s); img != nil {
			line += ". First error: " + visible(img.Err.Error())
		}
		say(line)
	}
	if s.State.Paused {
		say("Logins are paused because the last one was refused. The exporter retries within 5 minutes, or at once when the credential or the configuration changes")
	}
	if s.ScopesErr != nil {
		say("The list of the user's projects was not read, so projects may be missing; known projects are still read. Error: " + visible(s.ScopesErr.Error()))
	}
	for _, scope := range s.Scopes {
		if scope.Err != nil {
			say("No token for project " + named(scope.Access.ProjectName, scope.Access.ProjectID) + ": " + visible(scope.Err.Error()))
		}
	}
	if s.Err == nil && !s.NoImageAPI {
		lines = append(lines, proofs(s)...)
	}
	if s.Discovers && !s.Discovered && s.Err == nil && !s.NoImageAPI && s.DiscoveryErr != nil {
		switch unproven := collector.IsUnproven(s.DiscoveryErr); {
		case unproven && lacksListingProof(s): // as the view's line says
		case unproven:
			say("The listing of its images is not proven complete, so images may be missing: " + visible(s.DiscoveryErr.Error()))
		default:
			say("The listing of its images is incomplete, so images may be missing: " + visible(s.DiscoveryErr.Error()))
		}
	}
	for _, in := range s.Inbound {
		if in.LeftOut > 0 {
			say(number(in.LeftOut) + " of the " + number(len(in.Images)) + " images that other projects share with project " + visible(in.ProjectID) +
				" have no series; all are counted. Raise inbound.max_images if you expect so many")
		}
		switch {
		case in.Err == nil || s.Err != nil || s.NoImageAPI:
		case in.ProjectID == "" && s.ScopesErr != nil: // as reported above
		case collector.IsUnproven(in.Err) && seesNothing(s, in.ProjectID): // as the view's line says
		case in.ProjectID == "":
			say("The list of the user's projects was not read, so images that other projects share may be missing: " + visible(in.Err.Error()))
		default:
			say("The listing of images that other projects share with project " + visible(in.ProjectID) + " is incomplete: " + visible(in.Err.Error()))
		}
	}
	return lines
}

func firstUnread(s *collector.Snapshot) *collector.ImageSnapshot {
	for i := range s.Images {
		if s.Images[i].Coverage == collector.Unread {
			return &s.Images[i]
		}
	}
	return nil
}

// facts returns other facts about a cloud.
func facts(s *collector.Snapshot) (lines []string) {
	var projects []string
	for _, scope := range s.Scopes {
		if scope.Access.ProjectID != "" {
			projects = append(projects, named(scope.Access.ProjectName, scope.Access.ProjectID))
		}
	}
	switch len(projects) {
	case 0:
	case 1:
		lines = append(lines, "view of project "+projects[0])
	default:
		lines = append(lines, "views of "+number(len(projects))+" projects: "+listed(projects, len(projects)))
	}
	if s.Discovers && s.Discovered {
		lines = append(lines, "listing of images complete")
	}
	if n := inboundImages(s); len(s.Inbound) > 0 && !lacksInbound(s) {
		lines = append(lines, "other projects share "+count(n, "image", "images"))
	}
	for _, i := range s.IdleRules {
		lines = append(lines, "discover["+number(i)+"] matches no image")
	}
	if s.State.SkewKnown && s.State.Skew.Abs() > time.Minute {
		lines = append(lines, "its clock is "+lasting(s.State.Skew.Abs())+map[bool]string{true: " ahead", false: " behind"}[s.State.Skew > 0])
	}
	return lines
}

func inboundImages(s *collector.Snapshot) (n int) {
	for i := range s.Inbound {
		n += len(s.Inbound[i].Images)
	}
	return n
}

// named returns a name with its ID, as far as known.
func named(name, id string) string {
	return strings.TrimSpace(visible(name) + " " + visible(id))
}
