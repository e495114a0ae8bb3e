package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// background collects a cloud again and again in the background.
type background struct {
	cancel context.CancelFunc
	kick   chan struct{} // begin anew
	done   chan struct{} // it has ended
	first  chan struct{} // a run has ended

	last *run // that has ended; nil: none yet; guarded by the cloud's mu

	sharing sync.Mutex // held while a snapshot is made, before any other lock
	shared  shared
}

// shared is a snapshot that scrapes at the same time share.
type shared struct {
	snapshot  Snapshot
	made      time.Time
	opts      *Options
	last, now uint64 // IDs of the runs that it shows
}

// shareFor is how long a snapshot is shared while nothing ends or begins.
const shareFor = time.Second

// stop ends it, and the run that is under way.
func (b *background) stop() {
	b.cancel()
	<-b.done
}

// again begins the next run at once.
func (b *background) again() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

var errNoSnapshot = errors.New("not requested: the first background collection has not started yet")

// latest returns what was seen last, waiting for the first run's end.
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

// number is the run's, 0 for none.
func (r *run) number() uint64 {
	if r == nil {
		return 0
	}
	return r.id
}

// shown is what the runs in the background have seen by now.
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
		b.again() // the machine slept, and its timers with it
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

// head is what is to be said of the cloud itself. The last run tells, unless it could not see and the one that is under
// way does, or it is too old. One of them is nil at most.
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

// blank is a snapshot of nothing, for the images that are known.
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

// startRefresh begins to collect in the background. The caller holds mu.
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
				case <-b.kick: // by new options
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

// retries decide how soon a run is repeated that could not see everything.
type retries struct {
	unread int // what the last one could not see
	next   time.Duration
}

// firstRetry is which part of the interval passes before a run is repeated; then twice as much, and so on.
const firstRetry = 16

// pause is how long to wait before a run is repeated; 0: until its interval is over.
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

// unread counts what the run could not see and may see soon. It has ended.
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

// cycle is how long one run in the background may take.
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

// scrapeStaleness is how old a reading may be where each scrape collects, see readings.go.
const scrapeStaleness = time.Hour

// stale says why what a run read is not shown any more, by when it began; nil: it is.
func (o *Options) stale(began time.Time) error {
	if old := age(began); old > o.staleness() {
		return fmt.Errorf("the last background collection began %s ago, more than max_staleness", old.Round(time.Second))
	}
	return nil
}
