package web

import (
	"net/url"
	"slices"
	"time"

	"glance_share_exporter/collector"
)

// condition is how completely a cloud or one of its shards was read, from least to most.
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
	Read      *moment // when its last run began; with several shards, the oldest run
	Took      string  // duration of that run
	Probe     string  // address of /probe for it; empty where /metrics collects it or it has Parts
	Scrape    string  // address of /metrics where that collects the cloud and has not done so yet; else empty
	Parts     []partView

	background     bool // collected in the background
	discovers      bool
	shardsRead     int
	entries        []*entry
	images, unread int
	skipped        int                     // images that rules skip
	inTurns        int                     // images that are read in turns
	round          time.Duration           // how long it takes to read all of them, in the slowest shard
	unproven       int                     // images with a response that is not proven
	doubts         map[collector.Doubt]int // images whose member lists may be incomplete
	left           []collector.LeftImage
	listing        bool // the listing of its images is incomplete
	listingProof   bool // the listing of its images is not proven complete
	proof          bool // one of its views lacks a proof
	administrator  bool // one of its views lacks the proof that the credential is an administrator's
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

// Complete reports whether the cloud was read completely.
func (c *cloudView) Complete() bool { return c.Condition == readWhole }

// Runbook returns the section of the runbooks about why the cloud is not read, empty where it is, at least in part.
func (c *cloudView) Runbook() string {
	if c.Condition == paused || c.Condition == unreadable {
		return "GlanceCloudDown"
	}
	return ""
}

// Last returns the label of Read.
func (c *cloudView) Last() string {
	switch {
	case len(c.Parts) > 1:
		return "Oldest shard:"
	case c.Seen() || c.Condition == outdated:
		return "Last read"
	}
	return "Last tried"
}

// State returns the cloud's state in words.
func (c *cloudView) State() string {
	n := c.inWorst()
	if n == len(c.Parts) {
		return c.Condition.state()
	}
	return c.Condition.state() + " (" + number(n) + " of " + number(len(c.Parts)) + " shards)"
}

// inWorst returns how many shards are in the worst state.
func (c *cloudView) inWorst() (n int) {
	for i := range c.Parts {
		if c.Parts[i].Condition == c.Condition {
			n++
		}
	}
	return n
}

// State returns the shard's state in words.
func (p *partView) State() string { return p.Condition.state() }

// newCloudView returns the view of a cloud's last runs. metrics and probe are the addresses of pages that collect it.
func newCloudView(c *collector.Cloud, metrics, probe string, now time.Time) *cloudView {
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
			v.shardsRead++
			v.discovers = v.discovers || l.Snapshot.Discovers
			v.addShard(&p, l, now)
		}
		v.Condition = min(v.Condition, p.Condition)
		v.Parts = append(v.Parts, p)
	}
	if v.Condition == notYet && v.Probe == "" && !v.background {
		v.Scrape = metrics
	}
	v.explain(latest, yet)
	if len(latest) == 1 && latest[0].Shard == (collector.Shard{}) {
		v.Parts = nil
	} else {
		v.Probe = ""
	}
	return v
}

// addShard adds a shard that has a snapshot.
func (c *cloudView) addShard(p *partView, l *collector.Latest, now time.Time) {
	s := l.Snapshot
	unread, unproven, whole := 0, 0, true
	old := since(s.Start, now) > s.FreshFor()
	for i := range s.Images {
		e := &entry{cloud: c.Name, part: l, img: s.Images[i].At(now), now: now, key: "image-" + c.Name + "-" + s.Images[i].ID}
		e.old = old || since(e.at(), now) > s.ImageFreshFor(e.img)
		e.classify()
		if e.img.InTurns {
			c.inTurns++
		}
		switch {
		case notProven(e.img):
			unproven++
		case e.img.Coverage == collector.Unread || e.stale() && !e.img.InTurns:
			unread++
		case e.img.Coverage == collector.Partial:
			if c.doubts == nil {
				c.doubts = map[collector.Doubt]int{}
			}
			c.doubts[e.img.Doubt]++
		}
		whole = whole && (e.complete() || e.img.Waiting)
		c.entries = append(c.entries, e)
	}
	c.round = max(c.round, s.Round)
	c.takeInbound(l, now, old)
	c.images, c.unread, c.unproven = c.images+len(s.Images), c.unread+unread, c.unproven+unproven
	c.left, c.skipped = append(c.left, s.Left...), c.skipped+s.Skipped
	c.proof = c.proof || lacksProof(s)
	c.administrator = c.administrator || slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool {
		return v.Administrator == collector.Unproven
	})
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
	case !whole || listing || lacksProof(s) || project || s.ScopesErr != nil || lacksInbound(s):
		p.Condition = readInPart
	default:
		p.Condition = readWhole
	}
	if c.Read == nil || p.Read.at.Before(c.Read.at) {
		c.Read, c.Took = p.Read, p.Took
	}
}

// nothingToAsk reports whether a shard has no image and no listing, so that there is nothing to request.
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
