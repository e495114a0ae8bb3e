// Package collector collects the members of a cloud's images, once per scrape, and renders the result as metrics.
//
// The result of a run is a [Snapshot], a plain value with one entry per watched image: its members, or the reason why
// they were not read. A snapshot never reports "no members" for a list that was not read completely.
package collector

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/client"
)

// API sends the requests of a [Cloud]: a *client.Client or a *client.Projects.
type API interface {
	// Enter returns scopes sorted by project ID. An error beside scopes means that there may be others now.
	Enter(ctx context.Context) ([]client.Scope, error)
	Images(ctx context.Context, ids []string, hidden bool) ([]client.Image, error)
	Image(ctx context.Context, id string) (client.Image, error)
	ImagePage(ctx context.Context, q client.ImageQuery, marker string) (client.ImagePage, error)
	Members(ctx context.Context, imageID string) (client.MemberList, error)
	MembersAs(ctx context.Context, project, imageID string) (client.MemberList, error)
	MemberAs(ctx context.Context, project, imageID, memberID string) (client.MemberAnswer, error)
	State() client.State
	// ProjectNames and ProjectName request the names of projects from Keystone.
	ProjectNames(ctx context.Context) (map[string]string, error)
	ProjectName(ctx context.Context, id string) (string, error)
}

var (
	_ API = (*client.Client)(nil)
	_ API = (*client.Projects)(nil)
)

// Cloud collects one cloud. It is safe for concurrent use.
type Cloud struct {
	name    string
	api     API
	logger  log.Logger
	access  accessLog
	changes changeLog
	names   *names
	history *History
	slots   *slots

	mu         sync.Mutex
	opts       *Options // replaced, never modified
	states     map[Shard]*shardState
	shards     shardsSeen
	background *background // nil: no background collection has started
	closed     bool
	retired    bool // no background collection starts
	active     int  // runs that have not ended
	ended      sync.Cond
}

// New returns a collector of the cloud that api sends requests to. opts must be valid. The caller must call Close or
// Retire.
func New(api API, opts Options, logger log.Logger) *Cloud {
	c := &Cloud{
		name: opts.Name, api: api, logger: log.With(logger, "cloud", opts.Name), history: newHistory(&opts), slots: newSlots(opts.Concurrency),
		opts: &opts, states: map[Shard]*shardState{},
	}
	c.access.logger, c.names = c.logger, newNames(c.logger)
	c.changes = changeLog{logger: c.logger, total: map[ChangeKind]uint64{}}
	c.ended.L = &c.mu
	return c
}

// Name returns the value of the label cloud. It does not change.
func (c *Cloud) Name() string { return c.name }

// ByProbe returns [Options].ByProbe.
func (c *Cloud) ByProbe() bool { return c.options().ByProbe }

// Shards returns [Options].Shards.
func (c *Cloud) Shards() int { return c.options().Shards }

// Refreshes reports whether the cloud is collected in the background.
func (c *Cloud) Refreshes() bool { return c.options().RefreshInterval > 0 }

func (c *Cloud) options() *Options {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts
}

// SetOptions replaces the options, except the name. A run that has started keeps the old ones, and no later scrape
// joins it. The snapshots made with the old options are dropped. Equal options change nothing. In either case, the next
// background run starts without delay.
func (c *Cloud) SetOptions(opts Options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.background != nil {
		defer c.background.again()
	}
	if c.opts.same(&opts) {
		return
	}
	if c.opts.Shards != opts.Shards {
		c.shards.before = c.opts.Shards
	}
	c.opts = &opts
	c.history.setOptions(c.opts)
	c.slots.resize(opts.Concurrency)
	for _, p := range c.states {
		p.last, p.before = nil, nil
	}
}

// Close cancels all runs and waits for them.
func (c *Cloud) Close() {
	c.mu.Lock()
	c.closed = true
	for _, p := range c.states {
		for _, r := range p.running {
			r.cancel(context.Canceled)
		}
	}
	c.mu.Unlock()
	c.Retire()
}

// Retire stops the background collection, which does not start again, and waits until every run has ended.
func (c *Cloud) Retire() {
	c.names.cancel()
	c.mu.Lock()
	c.retired = true
	background := c.background
	c.mu.Unlock()
	if background != nil {
		background.stop()
	}
	c.Wait()
}

// Wait waits until every run has ended.
func (c *Cloud) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.active > 0 {
		c.ended.Wait()
	}
}

// Collect requests everything and returns a snapshot when all is read, or at the deadline that follows from limits.
// What is not read at the deadline is marked as unread. If ctx is done before that, the snapshot is empty.
//
// Concurrent scrapes share a run. A scrape joins a run whose age is at most half of the scrape's own time, so that its
// first readings are recent, and whose deadline is in the second half of that time, so that the run has enough time and
// the scrape does not wait too long. If the cloud is collected in the background, Collect returns the latest readings
// instead, unless limits.Fresh is set.
func (c *Cloud) Collect(ctx context.Context, limits Limits) Snapshot {
	return c.CollectShard(ctx, Shard{}, limits)
}

// CollectShard is Collect for the images of a shard. A cloud that is collected in the background has no shards.
func (c *Cloud) CollectShard(ctx context.Context, shard Shard, limits Limits) Snapshot {
	opts := c.options()
	deadline := limits.deadline(opts, time.Now())
	if opts.RefreshInterval > 0 && !limits.Fresh {
		return c.latest(ctx, deadline)
	}
	s := c.collect(ctx, shard, deadline)
	if ctx.Err() == nil { // otherwise no caller gets it, and it lacks what the run would still read
		c.remember(shard, &s)
	}
	return s
}

func (c *Cloud) collect(ctx context.Context, shard Shard, deadline time.Time) Snapshot {
	c.mu.Lock()
	p := c.state(shard)
	r := p.joinable(c.opts, deadline)
	if r == nil {
		r = c.start(p, deadline)
	}
	r.waiters++
	c.mu.Unlock()

	select {
	case <-r.done:
		return r.snapshot
	case <-ctx.Done():
		c.leave(r, context.Cause(ctx))
		return Snapshot{ID: snapshots.Add(1), Cloud: c.name, Start: r.start, Err: context.Cause(ctx), opts: r.opts} // no caller uses it
	}
}

// leave ends one caller's wait for a run, and cancels the run if no other caller waits. So there are never more runs
// than scrapes.
func (c *Cloud) leave(r *run, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.waiters--
	if r.waiters == 0 {
		r.cancel(cause)
		r.shard.remove(r)
	}
}

// start starts a run. The caller holds mu.
func (c *Cloud) start(p *shardState, deadline time.Time) *run {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := newRun(c, p, c.opts, cancel)
	r.deadline = deadline
	if c.closed {
		cancel(context.Canceled)
	}
	p.running = append(p.running, r)
	c.active++
	go func() {
		defer cancel(nil)
		bounded, stop := context.WithDeadline(ctx, deadline)
		defer stop()
		r.queue.turn.Lock()
		r.do(bounded)
		report := c.finish(r, errors.Is(context.Cause(ctx), context.Canceled))
		r.queue.turn.Unlock()
		r.shard.journal.reportLeft(r.departed) // no later run has them
		c.changes.report(r.changes)
		if report {
			r.report()
		}
		close(r.done)
		c.resolve(&r.snapshot)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.active--
		c.ended.Broadcast()
	}()
	return r
}

// finish updates the history from a run that has ended, and makes its snapshot if a caller waits for it. It returns
// whether to log the result: not if the run had so little time that even a healthy cloud could not be read.
func (c *Cloud) finish(r *run, givenUp bool) (report bool) {
	c.history.update(r)
	c.mu.Lock()
	r.shard.remove(r) // no scrape joins it from now on
	awaited := r.waiters > 0
	if b := c.background; !givenUp && b != nil && r.shard.shard == (Shard{}) && (b.last == nil || !b.last.start.After(r.start)) {
		b.last = r
	}
	c.mu.Unlock()
	if awaited {
		r.snapshot = r.newSnapshot()
	}
	return awaited && !givenUp && r.deadline.Sub(r.start) >= minReported
}

// report logs the result of a run that has ended.
func (r *run) report() {
	if r.err == nil {
		r.cloud.access.report(r.scopes)
	}
	r.shard.journal.report(&r.snapshot)
}
