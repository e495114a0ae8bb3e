package collector

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// sweep is what all listings of a cloud brought, read to their ends or not, for [Options].DiscoveryInterval. It does not
// change.
type sweep struct {
	run      uint64
	began    time.Time
	opts     *Options
	projects []string // of the credential
	admin    bool
	access   []client.Access // that the listings were read with
	images   []client.Image  // that a rule takes, in any shard
	err      error           // why they may not be all
	passing  bool            // the next listing may well be read to its end
	listed   []*listingEvidence
	views    map[string]*view // at the end of the collection that listed; nil: it has not ended
}

// listing is a sweep that is under way.
type listing struct {
	by    *collection
	done  chan struct{}
	sweep *sweep // of which the collections that wait for it need none of their own; nil: it was given up
}

// fits reports whether a collection would list the same.
func (s *sweep) fits(c *collection) bool {
	return s != nil && slices.Equal(s.projects, c.projects) && s.admin == c.admin() &&
		!slices.ContainsFunc(s.access, func(a client.Access) bool { return !c.viewIn(a.ProjectID).is(&a) })
}

// sweepFor returns the sweep that a collection may use instead of one of its own, past where it waited for that listing.
// Without one it returns what to wait for, as another collection is listing; without that either, the collection is to list
// itself.
func (c *Cloud) sweepFor(coll *collection, past *listing) (*sweep, *listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	coll.mu.Lock()
	defer coll.mu.Unlock()
	if coll.opts != c.opts { // which was replaced meanwhile
		return nil, nil
	}
	if past != nil && past.ended() && past.sweep.fits(coll) && past.sweep.opts == coll.opts {
		return past.sweep, nil
	}
	if c.sweep.fits(coll) {
		good := coll.opts.DiscoveryInterval
		if c.listing != nil {
			good *= 2 // while another one is on its way
		}
		if age(c.sweep.began) < good {
			return c.sweep, nil
		}
	}
	if c.listing == nil {
		c.listing = &listing{by: coll, done: make(chan struct{})}
		coll.leads = true
		return nil, nil
	}
	if !c.listing.worthWaiting(coll) {
		return nil, nil
	}
	return nil, c.listing
}

// worthWaiting reports whether a collection may wait for the listing: one of lower priority, or one that may hang for long,
// must not hold it up.
func (l *listing) worthWaiting(c *collection) bool {
	return l.by.left() <= 2*c.left() && (!l.by.queue.low || c.queue.low)
}

func (l *listing) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// swept takes over what a collection listed, nil where it did not come to an end, and lets others list. The caller holds the
// cloud's mu.
func (c *Cloud) swept(coll *collection, s *sweep) {
	if !coll.leads {
		return
	}
	coll.leads = false
	if s != nil && s.opts == c.opts && !s.passing {
		c.sweep = s
	}
	c.listing.sweep = s
	close(c.listing.done)
	c.listing = nil
}

// age is how long ago something was. The clock that only runs forward stands still while a machine sleeps.
func age(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t))
}

// forgetSweep drops the sweep unless it is good for other options too. The caller holds mu.
func (c *Cloud) forgetSweep(opts *Options) {
	if c.sweep == nil {
		return
	}
	old := c.sweep.opts
	if !reflect.DeepEqual(old.Discover, opts.Discover) || !slices.Equal(old.AdminRoles, opts.AdminRoles) || old.API != opts.API {
		c.sweep = nil
		return
	}
	s := *c.sweep
	s.opts = opts
	c.sweep = &s
}

// discoverNowAndThen uses the last sweep, that of another collection, or lists itself.
func (c *collection) discoverNowAndThen(ctx context.Context) {
	var s *sweep
	var under *listing
	for {
		s, under = c.cloud.sweepFor(c, under)
		switch {
		case s != nil:
			c.adopt(s)
			return
		case under == nil:
			c.discover()
			return
		}
		left := c.left()
		if left < leastTime || ctx.Err() != nil {
			c.mu.Lock()
			c.discoveryErr = errNotAsked
			c.mu.Unlock()
			return
		}
		c.queue.wait(ctx, under.done, left)
	}
}

// adopt takes the images of a sweep for those of its own listings. Their records are read anew.
func (c *collection) adopt(s *sweep) {
	left := c.cloud.leftSince(s.began)
	c.mu.Lock()
	for i := range s.images {
		img := &s.images[i]
		if left[img.ID] {
			continue
		}
		rule, t := c.opts.rule(img, c.projects), c.byID[img.ID]
		c.used[rule] = true
		if rule == nil || !c.part.shard.has(img.ID) {
			continue
		}
		if t == nil {
			t = c.add(target{Image: Image{ID: img.ID}, discovered: true})
			c.weight += imageWeight(img)
		}
		if t.discovered {
			t.listed, t.swept, t.Policy = true, img, rule.Policy
		}
	}
	c.swept, c.listed, c.listedBy, c.sweepViews = true, s.listed, byOwner(s.listed), s.views
	if errors.Is(c.discoveryErr, errNotAsked) {
		c.discoveryErr = nil
	}
	if c.discoveryErr == nil {
		c.discoveryErr = cmp.Or(s.err, c.scopesErr)
	}
	targets := slices.Clone(c.targets)
	c.mu.Unlock()
	if len(targets) == 0 {
		c.queue.add(&c.queue.first, func(ctx context.Context) { c.askAnything(ctx, s.images) })
		return
	}
	for _, t := range targets {
		c.verifyExists(t)
	}
	c.askRecords()
	c.askMembers()
}

// leftSince are the IDs of the images that are not watched any more since a time.
func (c *Cloud) leftSince(began time.Time) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := map[string]bool{}
	for _, l := range c.memory.left {
		if l.at.After(began) {
			ids[l.ID] = true
		}
	}
	return ids
}
