package collector

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// refresher collects a cloud again and again in the background.
type refresher struct {
	cancel context.CancelFunc
	kick   chan struct{} // begin anew
	done   chan struct{} // it has ended
	first  chan struct{} // a snapshot is there

	last *Snapshot // guarded by the cloud's mu; nil: none yet
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

var errNoSnapshot = errors.New("not asked: the first collection in the background has not ended yet")

// latest returns the last snapshot, waiting for the first one.
func (c *Cloud) latest(ctx context.Context, deadline time.Time) Snapshot {
	c.mu.Lock()
	r := c.refresh
	if r == nil && !c.closed {
		r = c.startRefresh()
	}
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
	c.mu.Lock()
	last, opts := r.last, c.opts
	c.mu.Unlock()
	if last == nil {
		return c.blank(errNoSnapshot)
	}
	s := *last
	if age := time.Since(s.Start); age > opts.staleness() {
		stale := c.blank(fmt.Errorf("the last collection in the background began %s ago, more than max_staleness", age.Round(time.Second)))
		stale.Taken = s.Start
		return stale
	}
	s.Taken, s.State = s.Start, c.api.State()
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
func (c *Cloud) startRefresh() *refresher {
	ctx, cancel := context.WithCancel(context.Background())
	r := &refresher{cancel: cancel, kick: make(chan struct{}, 1), done: make(chan struct{}), first: make(chan struct{})}
	c.refresh = r
	go func() {
		defer close(r.done)
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
			s := c.collect(ctx, Shard{}, began.Add(opts.cycle()))
			if ctx.Err() != nil {
				return
			}
			c.remember(Shard{}, &s)
			c.mu.Lock()
			if r.last == nil {
				close(r.first)
			}
			r.last = &s
			c.mu.Unlock()
			timer := time.NewTimer(time.Until(began.Add(opts.RefreshInterval)))
			select {
			case <-ctx.Done():
			case <-r.kick:
			case <-timer.C:
			}
			timer.Stop()
		}
	}()
	return r
}

// cycle is how long one collection in the background may take.
func (o *Options) cycle() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return o.RefreshInterval
}

// staleness is how old a snapshot may be that is shown.
func (o *Options) staleness() time.Duration {
	if o.MaxStaleness > 0 {
		return o.MaxStaleness
	}
	return 3 * o.RefreshInterval
}
