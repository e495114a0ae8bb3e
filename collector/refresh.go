package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// refresher collects a cloud again and again in the background.
type refresher struct {
	cancel context.CancelFunc
	kick   chan struct{} // begin anew
	done   chan struct{} // it has ended
	first  chan struct{} // a collection has ended

	// Guarded by the cloud's mu:

	last *collection          // that has ended; nil: none yet
	seen map[string]seenImage // by image ID, up to then; replaced, never changed

	sharing sync.Mutex // held while a snapshot is made
	shared  shared
}

// shared is a snapshot that scrapes at the same time share.
type shared struct {
	snapshot  Snapshot
	made      time.Time
	opts      *Options
	last, now uint64 // IDs of the collections that it shows
}

// shareFor is how long a snapshot is shared while nothing ends or begins.
const shareFor = time.Second

// seenImage is an image that was read. One that a later collection cannot read is shown as it was, with its age.
type seenImage struct {
	target   *target
	evidence imageEvidence
	taken    time.Time // when the collection began that read its members
}

// stop ends it, and the collection that is under way.
func (r *refresher) stop() {
	r.cancel()
	<-r.done
}

// again begins the next collection at once.
func (r *refresher) again() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// learn takes over a collection that has ended. The caller holds the cloud's mu.
func (r *refresher) learn(c *collection) {
	if r.last != nil && r.last.start.After(c.start) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	views := c.frozen()
	seen := make(map[string]seenImage, len(c.targets))
	for _, t := range c.targets {
		s := c.sight(t, r.seen[t.ID])
		if s.target == nil || c.gone(t) {
			continue
		}
		if v := views[s.evidence.view.project]; s.taken.Equal(c.start) && v != nil {
			s.evidence.view = v // as it is now
		}
		seen[t.ID] = s
	}
	r.last, r.seen = c, seen
}

// sight is how an image is to be shown: as the collection read it or, where it brought no answer, as it was before with what
// its record says now. A 403 or 404 is an answer, and so is a record's 404, once it is clear that an image API gave it. The zero
// value is an image that is not read. The caller holds mu.
func (c *collection) sight(t *target, before seenImage) seenImage {
	e := c.evidence(t)
	v := e.verdict()
	if v != notRead && v != unproven {
		return seenImage{t, e, c.start}
	}
	told := v != unproven && (t.membersErr != nil && answered(t.membersErr) || imageStatus(t.recordErr) == statusNotFound)
	certain := c.served || !c.end.IsZero() && !c.noImageAPI()
	if before.target == nil || told && certain {
		return seenImage{}
	}
	again := *t
	again.membersRead, again.members, again.membersErr = before.target.membersRead, before.target.members, nil
	then := before.evidence
	if again.record == nil {
		again.record = before.target.record
	} else {
		then.record, then.recordBegan = again.record, again.recordBegan.at
		if then.read {
			then.after = again.record
		}
	}
	// What was observed then says nothing of another view, nor against what is known of private images now.
	now := c.viewIn(then.view.project)
	if !now.is(&then.view.access) || now.privates() != then.view.privates() && !c.hasPrivateMembers() {
		return seenImage{}
	}
	if v := then.verdict(); v == notRead || v == unproven {
		return seenImage{}
	}
	return seenImage{&again, then, before.taken}
}

var errNoSnapshot = errors.New("not requested: the first background collection has not started yet")

// latest returns what was seen last, waiting for the first collection's end.
func (c *Cloud) latest(ctx context.Context, deadline time.Time) Snapshot {
	c.mu.Lock()
	if c.refresh == nil && !c.closed && !c.retired {
		c.startRefresh()
	}
	r := c.refresh
	c.mu.Unlock()
	if r == nil {
		return c.blank(context.Canceled)
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-r.first:
	case <-timer.C:
	case <-ctx.Done():
	}
	r.sharing.Lock()
	defer r.sharing.Unlock()
	c.mu.Lock()
	next := shared{made: time.Now(), opts: c.opts, last: r.last.number(), now: c.part(Shard{}).newest().number()}
	c.mu.Unlock()
	old := &r.shared
	if old.opts != next.opts || old.last != next.last || old.now != next.now || age(old.made) >= shareFor {
		next.snapshot = c.shown(r)
		r.shared = next
	}
	return r.shared.snapshot
}

// number is the collection's, 0 for none.
func (c *collection) number() uint64 {
	if c == nil {
		return 0
	}
	return c.id
}

// shown is what the collections in the background have seen by now.
func (c *Cloud) shown(r *refresher) Snapshot {
	c.mu.Lock()
	opts, last, seen, now := c.opts, r.last, r.seen, c.part(Shard{}).newest()
	c.mu.Unlock()
	newest := now
	if now == nil {
		newest = last
	}
	if newest == nil {
		return c.blank(errNoSnapshot)
	}
	if now == nil && age(last.start) > 2*opts.RefreshInterval {
		r.again() // the machine slept, and its timers with it
	}
	s := c.head(last, now, opts)
	s.Left = c.lately(newest)
	s.ID, s.opts, s.State, s.Taken = snapshots.Add(1), newest.opts, c.api.State(), s.Start
	newest.mu.Lock()
	defer newest.mu.Unlock()
	s.Images = newest.images(func(t *target) seenImage {
		if err := opts.tooOld(newest.start); err != nil {
			old := &target{Image: t.Image, past: t.past, discovered: t.discovered, membersErr: err}
			return seenImage{target: old, evidence: newest.evidence(old)}
		}
		if s := newest.sight(t, seen[t.ID]); s.target != nil && opts.tooOld(s.taken) == nil {
			return s
		}
		return seenImage{target: t, evidence: newest.evidence(t)}
	})
	for i := range s.Images {
		if taken := s.Images[i].Taken; !taken.IsZero() && taken.Before(s.Taken) {
			s.Taken = taken
		}
	}
	return s
}

// head is what is to be said of the cloud itself. The last collection tells, unless it could not see and the one that is under
// way does, or it is too old. One of them is nil at most.
func (c *Cloud) head(last, now *collection, opts *Options) Snapshot {
	of := func(c *collection) Snapshot {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.head()
	}
	if last == nil {
		return of(now)
	}
	s, old := of(last), opts.tooOld(last.start)
	if now != nil {
		under := of(now)
		under.Duration = s.Duration
		switch {
		case under.opts != s.opts:
			under.Up = under.Up || s.Up && under.Err == nil && old == nil
			return under
		case under.Up && (old != nil || !s.Up):
			return under
		}
	}
	if old != nil {
		inbound := make([]InboundSnapshot, len(s.Inbound))
		for i := range inbound {
			inbound[i] = InboundSnapshot{ProjectID: s.Inbound[i].ProjectID, Err: old}
		}
		s = Snapshot{Cloud: s.Cloud, Start: s.Start, Duration: s.Duration, Err: old, Discovers: s.Discovers, Inbound: inbound}
		if s.Discovers {
			s.DiscoveryErr = old
		}
	}
	return s
}

// blank is a snapshot of nothing, for the images that are known.
func (c *Cloud) blank(why error) Snapshot {
	c.mu.Lock()
	coll := newCollection(c, c.part(Shard{}), c.opts, nil)
	c.mu.Unlock()
	coll.err = why
	for _, t := range coll.targets {
		t.membersErr = why
	}
	return coll.snapshot()
}

// startRefresh begins to collect in the background. The caller holds mu.
func (c *Cloud) startRefresh() {
	ctx, cancel := context.WithCancel(context.Background())
	r := &refresher{cancel: cancel, kick: make(chan struct{}, 1), done: make(chan struct{}), first: make(chan struct{})}
	c.refresh = r
	go func() {
		defer close(r.done)
		var again retries
		var first sync.Once
		for ctx.Err() == nil {
			opts := c.options()
			if opts.RefreshInterval == 0 {
				select {
				case <-ctx.Done():
				case <-r.kick: // by new options
				}
				continue
			}
			began := time.Now()
			c.collect(ctx, Shard{}, began.Add(opts.cycle()))
			if ctx.Err() != nil {
				return
			}
			s := c.shown(r)
			c.remember(Shard{}, &s)
			c.mu.Lock()
			last := r.last
			c.mu.Unlock()
			wait := time.Until(began.Add(opts.RefreshInterval))
			if pause := again.pause(last, opts.RefreshInterval); pause > 0 {
				wait = min(wait, pause)
			}
			first.Do(func() { close(r.first) })
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-r.kick:
			case <-timer.C:
			}
			timer.Stop()
		}
	}()
}

// retries decide how soon a collection is repeated that could not see everything.
type retries struct {
	blind int // what the last one could not see
	next  time.Duration
}

// firstRetry is which part of the interval passes before a collection is repeated; then twice as much, and so on.
const firstRetry = 16

// pause is how long to wait before a collection is repeated; 0: until its interval is over.
func (r *retries) pause(last *collection, interval time.Duration) time.Duration {
	blind := 1
	if last != nil {
		blind = last.blind()
	}
	if blind == 0 || blind > r.blind {
		r.next = max(interval/firstRetry, time.Second)
	}
	r.blind = blind
	if blind == 0 {
		return 0
	}
	pause := min(r.next, interval)
	r.next = 2 * pause
	return pause
}

// blind counts what the collection could not see and may see soon. It has ended.
func (c *collection) blind() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.noImageAPI() {
		return max(len(c.targets), 1)
	}
	if c.passing {
		n++
	}
	for _, t := range c.targets {
		switch {
		case c.gone(t), c.waits(t):
		case c.verdict(t) == notRead && (t.membersErr == nil || !answered(t.membersErr)), t.record == nil && !answered(t.recordErr):
			n++
		}
	}
	return n
}

// cycle is how long one collection in the background may take.
func (o *Options) cycle() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return o.RefreshInterval
}

// staleness is how old something may be that is shown.
func (o *Options) staleness() time.Duration {
	if o.MaxStaleness > 0 {
		return o.MaxStaleness
	}
	if o.RefreshInterval == 0 {
		return scrapeStaleness
	}
	return 3 * o.RefreshInterval
}

// scrapeStaleness is how old a reading may be where each scrape collects, see turns.go.
const scrapeStaleness = time.Hour

// tooOld says why what a collection read is not shown any more, by when it began; nil: it is.
func (o *Options) tooOld(began time.Time) error {
	if old := age(began); old > o.staleness() {
		return fmt.Errorf("the last background collection began %s ago, more than max_staleness", old.Round(time.Second))
	}
	return nil
}
