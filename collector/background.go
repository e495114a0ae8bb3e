package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// background collects a cloud repeatedly in the background.
type background struct {
	cancel context.CancelFunc
	kick   chan struct{} // starts the next run without delay
	done   chan struct{} // closed when it has ended
	first  chan struct{} // closed when the first run has ended

	last *run // ended run that started last; nil: none; guarded by the cloud's mu

	sharing sync.Mutex // locked while a snapshot is made, before any other lock
	shared  shared
}

// shared is a snapshot that concurrent scrapes share.
type shared struct {
	snapshot  Snapshot
	made      time.Time
	opts      *Options
	last, now uint64 // IDs of the runs that the snapshot is from
}

// shareFor is how long a snapshot is shared while no run starts or ends.
const shareFor = time.Second

// stop cancels the background collection and its run, and waits for the goroutine of startRefresh.
func (b *background) stop() {
	b.cancel()
	<-b.done
}

// again makes the next run start without delay.
func (b *background) again() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

var errNoSnapshot = errors.New("not requested: the first background collection has not started yet")

// latest returns a snapshot of the latest readings. It waits for the end of the first run, at most until deadline.
func (c *Cloud) latest(ctx context.Context, deadline time.Time) Snapshot {
	c.mu.Lock()
	if c.background == nil && !c.closed && !c.retired {
		c.startRefresh()
	}
	b := c.background
	c.mu.Unlock()
	if b == nil {
		return c.blank(context.Canceled)
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-b.first:
	case <-timer.C:
	case <-ctx.Done():
	}
	b.sharing.Lock()
	defer b.sharing.Unlock()
	c.mu.Lock()
	next := shared{made: time.Now(), opts: c.opts, last: b.last.number(), now: c.state(Shard{}).newest().number()}
	c.mu.Unlock()
	old := &b.shared
	if old.opts != next.opts || old.last != next.last || old.now != next.now || age(old.made) >= shareFor {
		next.snapshot = c.shown(b)
		b.shared = next
	}
	return b.shared.snapshot
}

// number returns the run's ID, or 0 for nil.
func (r *run) number() uint64 {
	if r == nil {
		return 0
	}
	return r.id
}

// shown returns a snapshot of what the background runs have read so far.
func (c *Cloud) shown(b *background) Snapshot {
	c.mu.Lock()
	opts, last, now := c.opts, b.last, c.state(Shard{}).newest()
	c.mu.Unlock()
	newest := now
	if now == nil {
		newest = last
	}
	if newest == nil {
		return c.blank(errNoSnapshot)
	}
	if now == nil && age(last.start) > 2*opts.RefreshInterval {
		b.again() // the machine was suspended, and its timers were, too
	}
	s := c.head(last, now, opts)
	newest.queue.turn.Lock()
	defer newest.queue.turn.Unlock()
	s.ID, s.opts, s.State, s.Taken, s.Left = snapshots.Add(1), newest.opts, c.api.State(), s.Start, c.history.lately(newest)
	s.names = c.namesFor(newest.opts)
	s.Images = newest.imageSnapshots(func(t *image) reading {
		if err := opts.stale(newest.start); err != nil {
			old := &image{Image: t.Image, seen: t.seen, discovered: t.discovered, membersResult: membersResult{membersErr: err}}
			return reading{image: old, evidence: newest.evidence(old)}
		}
		if s := newest.readingOf(t, newest.seen.readings[t.ID]); s.image != nil && opts.stale(s.taken) == nil {
			return s
		}
		return reading{image: t, evidence: newest.evidence(t)}
	})
	for i := range s.Images {
		if taken := s.Images[i].Taken; !taken.IsZero() && taken.Before(s.Taken) {
			s.Taken = taken
		}
	}
	return s
}

// head returns a snapshot of the cloud without its images. It describes the last run, but the running one, now, if the
// options changed, or if now is up and last is not up or is stale. A stale last run is described by an error in place
// of its results. At most one of the runs is nil.
func (c *Cloud) head(last, now *run, opts *Options) Snapshot {
	of := func(r *run) Snapshot {
		r.queue.turn.Lock()
		defer r.queue.turn.Unlock()
		return r.head()
	}
	if last == nil {
		return of(now)
	}
	s, old := of(last), opts.stale(last.start)
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

// blank returns a snapshot in which no known image was read, for a reason.
func (c *Cloud) blank(why error) Snapshot {
	c.mu.Lock()
	r := newRun(c, c.state(Shard{}), c.opts, nil)
	c.mu.Unlock()
	r.err = why
	for _, t := range r.images {
		t.membersErr = why
	}
	return r.newSnapshot()
}

// startRefresh starts the background collection. The caller holds mu.
func (c *Cloud) startRefresh() {
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{cancel: cancel, kick: make(chan struct{}, 1), done: make(chan struct{}), first: make(chan struct{})}
	c.background = b
	go func() {
		defer close(b.done)
		var again retries
		var first sync.Once
		for ctx.Err() == nil {
			opts := c.options()
			if opts.RefreshInterval == 0 {
				select {
				case <-ctx.Done():
				case <-b.kick: // SetOptions was called
				}
				continue
			}
			began := time.Now()
			c.collect(ctx, Shard{}, began.Add(opts.cycle()))
			if ctx.Err() != nil {
				return
			}
			s := c.shown(b)
			c.remember(Shard{}, &s)
			c.mu.Lock()
			last := b.last
			c.mu.Unlock()
			wait := time.Until(began.Add(opts.RefreshInterval))
			if pause := again.pause(last, opts.RefreshInterval); pause > 0 {
				wait = min(wait, pause)
			}
			first.Do(func() { close(b.first) })
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-b.kick:
			case <-timer.C:
			}
			timer.Stop()
		}
	}()
}

// retries decides how soon a run is repeated that could not read everything.
type retries struct {
	unread int // what the last run could not read
	next   time.Duration
}

// firstRetry is the divisor of the interval that gives the first delay before a run is repeated. Each further delay is
// twice as long.
const firstRetry = 16

// pause returns the delay before a run is repeated; 0: the rest of its interval.
func (r *retries) pause(last *run, interval time.Duration) time.Duration {
	unread := 1
	if last != nil {
		unread = last.unread()
	}
	if unread == 0 || unread > r.unread {
		r.next = max(interval/firstRetry, time.Second)
	}
	r.unread = unread
	if unread == 0 {
		return 0
	}
	pause := min(r.next, interval)
	r.next = 2 * pause
	return pause
}

// unread counts what the run, which has ended, could not read and a run may be able to read soon.
func (r *run) unread() (n int) {
	if r.err != nil || r.noImageAPI() {
		return max(len(r.images), 1)
	}
	if r.discovery.transient {
		n++
	}
	for _, t := range r.images {
		switch {
		case r.hasLeft(t), r.waits(t):
		case r.verdict(t) == notRead && (t.membersErr == nil || !answered(t.membersErr)), t.record == nil && !answered(t.recordErr):
			n++
		}
	}
	return n
}

// cycle returns the maximum duration of a background run.
func (o *Options) cycle() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return o.RefreshInterval
}

// staleness returns the maximum age of a reading that is shown.
func (o *Options) staleness() time.Duration {
	if o.MaxStaleness > 0 {
		return o.MaxStaleness
	}
	if o.RefreshInterval == 0 {
		return scrapeStaleness
	}
	return 3 * o.RefreshInterval
}

// scrapeStaleness is the maximum age of a reading if each scrape collects, see readings.go.
const scrapeStaleness = time.Hour

// stale returns why the readings of a run that began at a time are too old to be shown, or nil.
func (o *Options) stale(began time.Time) error {
	if old := age(began); old > o.staleness() {
		return fmt.Errorf("the last background collection began %s ago, more than max_staleness", old.Round(time.Second))
	}
	return nil
}
