// Package collector collects, once per scrape, who is a member of which image of a cloud, and renders what it saw as
// metrics.
//
// A collection is a [Snapshot], a plain value with one entry per watched image, each with its members or with the reason
// why they could not be read. It never says "no members" of a list that it did not read whole.
package collector

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/client"
)

// API is what a [Cloud] asks; a *client.Client or a *client.Projects.
type API interface {
	// Enter's error beside scopes says that there may be others by now.
	Enter(ctx context.Context) ([]client.Scope, error)
	Images(ctx context.Context, ids []string, hidden bool) ([]client.Image, error)
	Image(ctx context.Context, id string) (client.Image, error)
	ImagePage(ctx context.Context, q client.ImageQuery, marker string) (client.ImagePage, error)
	Members(ctx context.Context, imageID string) (client.MemberList, error)
	State() client.State
}

var (
	_ API = (*client.Client)(nil)
	_ API = (*client.Projects)(nil)
)

// Cloud collects one cloud. It is safe for concurrent use.
type Cloud struct {
	name   string
	api    API
	logger log.Logger

	mu      sync.Mutex
	opts    *Options // replaced, never changed
	running *collection
	memory  memory
	closed  bool
	active  int // collections that have not ended
	ended   sync.Cond
}

// New returns a collector of the cloud that api speaks to. opts must be valid. Close must be called in the end.
func New(api API, opts Options, logger log.Logger) *Cloud {
	c := &Cloud{name: opts.Name, api: api, opts: &opts, logger: log.With(logger, "cloud", opts.Name), memory: newMemory()}
	c.ended.L = &c.mu
	return c
}

// Name is the value of the label cloud. It does not change.
func (c *Cloud) Name() string { return c.name }

// ByProbe is [Options].ByProbe.
func (c *Cloud) ByProbe() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts.ByProbe
}

// SetOptions replaces the options, all but the name. A collection that is under way goes on with the old ones; the next scrape does not
// join it.
func (c *Cloud) SetOptions(opts Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts = &opts
	c.memory.keep(c.opts)
}

// Close ends the collection that is under way, and waits for it.
func (c *Cloud) Close() {
	c.mu.Lock()
	c.closed = true
	if c.running != nil {
		c.running.cancel(context.Canceled)
	}
	c.mu.Unlock()
	c.Wait()
}

// Wait waits until no collection is under way.
func (c *Cloud) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.active > 0 {
		c.ended.Wait()
	}
}

// Limits say how long a scrape may take.
type Limits struct {
	// Timeout is how long whoever scrapes will wait, from now.
	Timeout time.Duration
	// Reserve is the part of it that is needed after the collection.
	Reserve time.Duration
}

// deadline is when a collection must be finished that begins now.
func (l Limits) deadline(opts *Options, now time.Time) time.Time {
	timeout := l.Timeout
	if opts.Timeout > 0 {
		timeout = min(timeout, opts.Timeout)
	}
	// However much is to be kept back, half of the time is there to read.
	reserve := min(max(opts.TimeoutOffset, l.Reserve), timeout/2)
	return now.Add(max(timeout-reserve-grace, 0))
}

// Collect asks the cloud and returns what it saw when everything is asked, or at the deadline that follows from limits,
// or when ctx is done: what was not read by then is marked unread. Callers at the same time share one collection, each
// with its own deadline.
func (c *Cloud) Collect(ctx context.Context, limits Limits) Snapshot {
	c.mu.Lock()
	coll := c.running
	deadline := limits.deadline(c.opts, time.Now())
	if coll != nil && coll.opts == c.opts {
		coll.join(deadline)
	} else {
		coll = c.start(deadline)
	}
	c.mu.Unlock()

	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	cause := context.DeadlineExceeded
	select {
	case <-coll.done:
	case <-timer.C:
	case <-ctx.Done():
		cause = ctx.Err()
	}
	if c.leave(coll, cause) {
		// What was cut off is over in a moment, and then counted.
		timer.Reset(grace)
		select {
		case <-coll.done:
		case <-timer.C:
		}
	}
	return coll.snapshot()
}

// leave ends a collection that nobody waits for any more, and reports whether that is so.
func (c *Cloud) leave(coll *collection, cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !coll.leave() {
		return false
	}
	coll.cancel(cause)
	if c.running == coll {
		c.running = nil
	}
	return true
}

// start begins a collection for the first that waits for it. The caller holds mu.
func (c *Cloud) start(deadline time.Time) *collection {
	ctx, cancel := context.WithCancelCause(context.Background())
	coll := newCollection(c, c.opts, c.memory.past, cancel)
	coll.join(deadline)
	if c.closed {
		cancel(context.Canceled)
	}
	c.running = coll
	c.active++
	go func() {
		coll.run(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.finish(coll, errors.Is(context.Cause(ctx), context.Canceled))
		cancel(nil)
	}()
	return coll
}

// finish takes note of a collection that has ended. The caller holds mu.
func (c *Cloud) finish(coll *collection, givenUp bool) {
	if c.running == coll {
		c.running = nil
	}
	if coll.opts == c.opts {
		c.memory.learn(coll)
	}
	if !givenUp {
		c.report(coll)
	}
	close(coll.done)
	c.active--
	c.ended.Broadcast()
}
