package collector

import (
	"reflect"
	"time"
)

// Latest is the last snapshot of a shard that a scrape returned. It must not be modified, nor what it points to.
type Latest struct {
	// Shard is zero for all images of the cloud.
	Shard Shard
	// Snapshot is nil if no run of the shard has ended since the start, or since the options changed.
	Snapshot *Snapshot
	// Before has the images that are Unread in the snapshot and were read before, by ID.
	Before map[string]Before
}

// Before is an image as it was last read.
type Before struct {
	Image ImageSnapshot
	// At is when that run began.
	At time.Time
}

// Latest returns the snapshots of the last scrapes, and sends no request. It has one entry for a cloud that is scraped
// without shards, else one for each shard, in their order. The number of shards is that of the last scrape, but while
// the configured shards are scraped, other numbers do not count. Snapshots with other options are not returned, because
// they have other images or policies.
func (c *Cloud) Latest() []Latest {
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := c.shownShards()
	if parts < 2 {
		one := c.latestOf(Shard{})
		if other := c.latestOf(Shard{1, 1}); one.Snapshot == nil || other.Snapshot != nil && other.Snapshot.end().After(one.Snapshot.end()) {
			one.Snapshot, one.Before = other.Snapshot, other.Before
		}
		return []Latest{one}
	}
	list := make([]Latest, parts)
	for i := range list {
		list[i] = c.latestOf(Shard{i + 1, parts})
	}
	return list
}

// shownShards returns the number of shards that Latest returns: that of the last scrape, but while the configured
// shards are scraped, of the last scrape of one of those or of all images. The caller holds mu.
func (c *Cloud) shownShards() int {
	type choice struct {
		parts int
		end   time.Time
	}
	latest, meant, scraped := choice{parts: c.opts.Shards}, choice{parts: c.opts.Shards}, false
	for shard, p := range c.states {
		if p.last == nil {
			continue
		}
		this := choice{shard.Of, p.last.end()}
		if this.end.After(latest.end) {
			latest = this
		}
		if (this.parts < 2 || this.parts == c.opts.Shards) && this.end.After(meant.end) {
			meant = this
		}
		scraped = scraped || this.parts == c.opts.Shards && age(this.end) < forgetAfter
	}
	if scraped {
		return meant.parts
	}
	return latest.parts
}

// latestOf is Latest for one shard. The caller holds mu.
func (c *Cloud) latestOf(shard Shard) Latest {
	l := Latest{Shard: shard}
	if p := c.states[shard]; p != nil {
		l.Snapshot, l.Before = p.last, p.before
	}
	return l
}

func (s *Snapshot) end() time.Time { return s.Start.Add(s.Duration) }

// forgetAfter is Prometheus' default lookback delta.
const forgetAfter = 5 * time.Minute

// FreshFor returns how long after its start a snapshot counts as current.
func (s *Snapshot) FreshFor() time.Duration {
	if s.opts.RefreshInterval > 0 {
		return s.opts.staleness()
	}
	return forgetAfter
}

// ImageFreshFor is FreshFor for one of the snapshot's images. An image that is read in turns waits by design: its
// reading counts for two rounds, because a run may read fewer images than the one before.
func (s *Snapshot) ImageFreshFor(img *ImageSnapshot) time.Duration {
	fresh := s.FreshFor()
	if !img.InTurns {
		return fresh
	}
	return max(fresh, min(2*s.Round, s.opts.staleness()))
}

// remember stores the snapshot of a scrape, unless the stored one ended later, or began later and was up.
func (c *Cloud) remember(shard Shard, s *Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.opts != c.opts {
		return
	}
	p := c.state(shard)
	if p.last != nil && (p.last.end().After(s.end()) || p.last.Up && p.last.Start.After(s.Start)) {
		return
	}
	p.before = p.seenBefore(s)
	p.updatePace(s)
	p.last = s
	for _, o := range c.states { // drop outdated ones, as after a change of the number of shards
		notConfigured := o.shard.Of > 1 && o.shard.Of != c.opts.Shards // they have the same images again
		if o.last != nil && o.shard.Of != shard.Of && (notConfigured || age(o.last.Start) > keepShardStates) {
			o.last, o.before = nil, nil
		}
	}
}

// seenBefore returns the last readings of the images that are unread in s.
func (p *shardState) seenBefore(s *Snapshot) map[string]Before {
	var before map[string]Before
	unread := map[string]bool{}
	for i := range s.Images {
		img := &s.Images[i]
		if img.Coverage != Unread {
			continue
		}
		unread[img.ID] = true
		if b, ok := p.before[img.ID]; ok {
			before = put(before, b)
		}
	}
	if p.last == nil || len(unread) == 0 {
		return before
	}
	for i := range p.last.Images {
		if img := &p.last.Images[i]; img.Coverage != Unread && unread[img.ID] {
			at := img.Taken
			if at.IsZero() {
				at = p.last.Start
			}
			before = put(before, Before{*img, at})
		}
	}
	return before
}

func put(m map[string]Before, b Before) map[string]Before {
	if m == nil {
		m = map[string]Before{}
	}
	m[b.Image.ID] = b
	return m
}

// same reports whether the options are equal.
func (o *Options) same(other *Options) bool { return reflect.DeepEqual(o, other) }
