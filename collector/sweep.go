package collector

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// sweep is what all listings of a cloud brought, for [Options].DiscoveryInterval. It does not change.
type sweep struct {
	began    time.Time
	opts     *Options
	projects []string // of the credential
	admin    bool
	images   []client.Image // that a rule takes, in any shard
}

// fits reports whether a collection would list the same.
func (s *sweep) fits(c *collection) bool {
	return s != nil && slices.Equal(s.projects, c.projects) && s.admin == c.admin()
}

// sweepFor returns the sweep that a collection may use instead of one of its own. Without one it returns what to wait for,
// as another collection is listing; without that either, the collection is to list itself.
func (c *Cloud) sweepFor(coll *collection) (s *sweep, listing <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	coll.mu.Lock()
	fits := c.sweep.fits(coll)
	coll.mu.Unlock()
	switch {
	case coll.opts != c.opts: // which was replaced meanwhile
	case fits && (time.Since(c.sweep.began) < coll.opts.DiscoveryInterval || c.listing != nil):
		return c.sweep, nil
	case c.listing != nil:
		return nil, c.listing
	default:
		c.listing = make(chan struct{})
		coll.leads = true
	}
	return nil, nil
}

// swept takes over what a collection listed, nil where it was not all, and lets others list. The caller holds the cloud's mu.
func (c *Cloud) swept(coll *collection, s *sweep) {
	if !coll.leads {
		return
	}
	coll.leads = false
	if s != nil && s.opts == c.opts {
		c.sweep = s
	}
	close(c.listing)
	c.listing = nil
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
	for {
		s, listing := c.cloud.sweepFor(c)
		switch {
		case s != nil:
			c.adopt(s)
			return
		case listing == nil:
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
		c.queue.wait(ctx, listing, left)
	}
}

// adopt takes the images of a sweep for those of its own listings. Their records are read anew.
func (c *collection) adopt(s *sweep) {
	c.mu.Lock()
	for i := range s.images {
		img := &s.images[i]
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
	c.swept = true
	if errors.Is(c.discoveryErr, errNotAsked) {
		c.discoveryErr = nil
	}
	if c.discoveryErr == nil {
		c.discoveryErr = c.scopesErr
	}
	targets := slices.Clone(c.targets)
	c.mu.Unlock()
	if len(targets) == 0 {
		c.queue.add(&c.queue.first, func(ctx context.Context) { c.askAnything(ctx, s.images) })
		return
	}
	for _, t := range targets {
		c.doubt(t)
	}
	c.askRecords()
	c.askMembers()
}
