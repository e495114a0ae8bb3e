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
	by    *run
	done  chan struct{}
	sweep *sweep // of which the collections that wait for it need none of their own; nil: it was given up
}

// fits reports whether a collection would list the same.
func (s *sweep) fits(r *run) bool {
	return s != nil && s.opts.listsLike(r.opts) && slices.Equal(s.projects, r.projects) && s.admin == r.admin() &&
		!slices.ContainsFunc(s.access, func(a client.Access) bool { return !r.viewIn(a.ProjectID).is(&a) })
}

// listsLike reports whether other options take the same images from the same listings.
func (o *Options) listsLike(other *Options) bool {
	return o == other || o.API == other.API && slices.Equal(o.AdminRoles, other.AdminRoles) && reflect.DeepEqual(o.Discover, other.Discover)
}

// sweepFor returns the sweep that a collection may use instead of one of its own, past where it waited for that listing.
// Without one it returns what to wait for, as another collection is listing; without that either, the collection is to list
// itself.
func (h *History) sweepFor(r *run, past *listing) (*sweep, *listing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if past != nil && past.ended() && past.sweep.fits(r) {
		return past.sweep, nil
	}
	if h.sweep.fits(r) {
		good := r.opts.DiscoveryInterval
		if h.listing != nil {
			good *= 2 // while another one is on its way
		}
		if age(h.sweep.began) < good {
			return h.sweep, nil
		}
	}
	if h.listing == nil {
		h.listing = &listing{by: r, done: make(chan struct{})}
		return nil, nil
	}
	if !h.listing.worthWaiting(r) {
		return nil, nil
	}
	return nil, h.listing
}

// worthWaiting reports whether a collection may wait for the listing: one of lower priority, or one that may hang for long,
// must not hold it up.
func (l *listing) worthWaiting(r *run) bool {
	return l.by.left() <= 2*r.left() && (!l.by.queue.low || r.queue.low)
}

func (l *listing) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// swept takes over what a run listed that lists for others, nil where it did not come to an end, and lets others list.
func (h *History) swept(r *run, s *sweep) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listing == nil || h.listing.by != r {
		return
	}
	if s != nil && r.opts == h.opts && !s.passing {
		h.sweep = s
	}
	h.listing.sweep = s
	close(h.listing.done)
	h.listing = nil
}

// discoverNowAndThen uses the last sweep, that of another collection, or lists itself.
func (r *run) discoverNowAndThen(ctx context.Context) {
	var s *sweep
	var under *listing
	for {
		s, under = r.history.sweepFor(r, under)
		switch {
		case s != nil:
			r.adopt(s)
			return
		case under == nil:
			r.discover()
			return
		}
		left := r.left()
		if left < leastTime || ctx.Err() != nil {
			r.discovery.err = errNotAsked
			return
		}
		r.queue.wait(ctx, under.done, left)
	}
}

// adopt takes the images of a sweep for those of its own listings. Their records are read anew.
func (r *run) adopt(s *sweep) {
	left := r.history.leftSince(s.began)
	for i := range s.images {
		img := &s.images[i]
		if left[img.ID] {
			continue
		}
		rule, t := r.opts.rule(img, r.projects), r.byID[img.ID]
		r.discovery.used[rule] = true
		if rule == nil || !r.part.shard.has(img.ID) {
			continue
		}
		if t == nil {
			t = r.add(image{Image: Image{ID: img.ID}, discovered: true})
			r.weight += imageWeight(img)
		}
		if t.discovered {
			t.listed, t.swept, t.Policy = true, img, rule.Policy
		}
	}
	r.discovery.ended, r.discovery.listed, r.discovery.listedBy, r.discovery.views = true, s.listed, byOwner(s.listed), s.views
	if errors.Is(r.discovery.err, errNotAsked) {
		r.discovery.err = nil
	}
	if r.discovery.err == nil {
		r.discovery.err = cmp.Or(s.err, r.scopesErr)
	}
	targets := slices.Clone(r.images)
	if len(targets) == 0 {
		r.queue.add(&r.queue.first, func(ctx context.Context) { r.askAnything(ctx, s.images) })
		return
	}
	for _, t := range targets {
		r.verifyExists(t)
	}
	r.askRecords()
	r.enqueueImages()
}
