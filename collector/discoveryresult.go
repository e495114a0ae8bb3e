package collector

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// discoveryResult is the result of all listings of a cloud, complete or not, which runs share for
// [Options].DiscoveryInterval. It never changes.
type discoveryResult struct {
	run       uint64
	began     time.Time
	opts      *Options
	projects  []string // of the credential
	admin     bool
	access    []client.Access // with which the listings were read
	images    []client.Image  // images of any shard that match a rule
	err       error           // why images may be incomplete, or nil
	transient bool            // a reason for that may be temporary
	listed    []*listingEvidence
	views     map[string]*view // at the end of the run that listed; nil: it has not ended
}

// discoveryFlight is a discovery that is running.
type discoveryFlight struct {
	by     *run
	done   chan struct{}
	result *discoveryResult // for the runs that wait for it; nil: it was cut off
}

// fits reports whether a run would read the same listings in the same views.
func (s *discoveryResult) fits(r *run) bool {
	return s != nil && s.opts.listsLike(r.opts) && slices.Equal(s.projects, r.projects) && s.admin == r.admin() &&
		!slices.ContainsFunc(s.access, func(a client.Access) bool { return !r.viewIn(a.ProjectID).is(&a) })
}

// listsLike reports whether other options select the same images from the same listings.
func (o *Options) listsLike(other *Options) bool {
	return o == other || o.API == other.API && slices.Equal(o.AdminRoles, other.AdminRoles) && reflect.DeepEqual(o.Discover, other.Discover)
}

// discoveryFor returns the result that a run may use instead of listing itself. past is the flight that the run has
// waited for, or nil. Without a result it returns the flight to wait for. If both are nil, the run must list itself.
func (h *History) discoveryFor(r *run, past *discoveryFlight) (*discoveryResult, *discoveryFlight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if past != nil && past.ended() && past.result.fits(r) {
		return past.result, nil
	}
	if h.discovered.fits(r) {
		good := r.opts.DiscoveryInterval
		if h.discovering != nil {
			good *= 2 // while another run is listing
		}
		if age(h.discovered.began) < good {
			return h.discovered, nil
		}
	}
	if h.discovering == nil {
		h.discovering = &discoveryFlight{by: r, done: make(chan struct{})}
		return nil, nil
	}
	if !h.discovering.worthWaiting(r) {
		return nil, nil
	}
	return nil, h.discovering
}

// worthWaiting reports whether a run may wait for the flight: a run of lower priority, or with more than twice its
// time left, must not delay it.
func (l *discoveryFlight) worthWaiting(r *run) bool {
	return l.by.left() <= 2*r.left() && (!l.by.queue.lowPriority || r.queue.lowPriority)
}

func (l *discoveryFlight) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// endDiscovery ends a run's flight, if it has one, with its result, and lets other runs list. The result is nil if the
// listings were cut off.
func (h *History) endDiscovery(r *run, s *discoveryResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.discovering == nil || h.discovering.by != r {
		return
	}
	if s != nil && r.opts == h.opts && !s.transient {
		h.discovered = s
	}
	h.discovering.result = s
	close(h.discovering.done)
	h.discovering = nil
}

// discoverAtIntervals uses the last result, waits for another run's, or lists itself.
func (r *run) discoverAtIntervals(ctx context.Context) {
	var s *discoveryResult
	var under *discoveryFlight
	for {
		s, under = r.history.discoveryFor(r, under)
		switch {
		case s != nil:
			r.useDiscovery(s)
			return
		case under == nil:
			r.discover()
			return
		}
		left := r.left()
		if left < minTime || ctx.Err() != nil {
			r.discovery.err = errNotRequested
			return
		}
		r.queue.wait(ctx, under.done, left)
	}
}

// useDiscovery uses the images of another run's result as if this run had listed them. Their records are read again.
func (r *run) useDiscovery(s *discoveryResult) {
	left := r.history.leftSince(s.began)
	for i := range s.images {
		img := &s.images[i]
		if left[img.ID] {
			continue
		}
		rule, _ := r.matchListed(img)
		t := r.byID[img.ID]
		if rule == nil || !r.shard.shard.has(img.ID) {
			continue
		}
		if t == nil {
			t = r.add(image{Image: Image{ID: img.ID}, discovered: true})
			r.weight += imageWeight(img)
		}
		if t.discovered {
			t.listed, t.discoveredRecord, t.Policy = true, img, rule.Policy
		}
	}
	r.discovery.ended, r.discovery.listed, r.discovery.listedBy, r.discovery.views = true, s.listed, byOwner(s.listed), s.views
	if r.discovery.err == nil {
		r.discovery.err = cmp.Or(s.err, r.scopesErr)
	}
	images := slices.Clone(r.images)
	if len(images) == 0 {
		r.queue.add(&r.queue.first, func(ctx context.Context) { r.requestAnything(ctx, s.images) })
		return
	}
	for _, t := range images {
		r.verifyExists(t)
	}
	r.requestRecords()
	r.enqueueImages()
}
