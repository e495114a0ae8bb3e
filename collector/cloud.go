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
	// Enter returns scopes that are sorted by project ID. Its error beside scopes says that there may be others by now.
	Enter(ctx context.Context) ([]client.Scope, error)
	Images(ctx context.Context, ids []string, hidden bool) ([]client.Image, error)
	Image(ctx context.Context, id string) (client.Image, error)
	ImagePage(ctx context.Context, q client.ImageQuery, marker string) (client.ImagePage, error)
	Members(ctx context.Context, imageID string) (client.MemberList, error)
	MembersAs(ctx context.Context, project, imageID string) (client.MemberList, error)
	MemberAs(ctx context.Context, project, imageID, memberID string) (client.MemberAnswer, error)
	State() client.State
	// ProjectNames and ProjectName ask for what Keystone calls projects.
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
	opts       *Options // replaced, never changed
	states     map[Shard]*shardState
	shards     shardsSeen
	background *background // nil: nobody collects in the background
	closed     bool
	retired    bool // nothing begins in the background any more
	active     int  // runs that have not ended
	ended      sync.Cond
}

// New returns a collector of the cloud that api speaks to. opts must be valid. Close must be called in the end.
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

// Name is the value of the label cloud. It does not change.
func (c *Cloud) Name() string { return c.name }

// ByProbe is [Options].ByProbe.
func (c *Cloud) ByProbe() bool { return c.options().ByProbe }

// Shards is [Options].Shards.
func (c *Cloud) Shards() int { return c.options().Shards }

// Refreshes reports whether the cloud is collected in the background.
func (c *Cloud) Refreshes() bool { return c.options().RefreshInterval > 0 }

func (c *Cloud) options() *Options {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts
}

// SetOptions replaces the options, all but the name. A run that is under way goes on with the old ones; the next scrape does not
// join it, and what was seen with them is forgotten. Options that say the same change nothing.
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

// Close ends the runs that are under way, and waits for them.
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

// Retire waits until no run is under way and ends those in the background; none begins again.
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

// Wait waits until no run is under way.
func (c *Cloud) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.active > 0 {
		c.ended.Wait()
	}
}

// Collect requests everything and returns what it saw: at the end, or at the deadline that follows from limits, with what
// was not read by then marked as unread. If ctx is done before, the snapshot has nothing.
//
// Scrapes at the same time share a run if it is younger than half of the scrape's own time, so that what was read
// first is news, and if it ends in the second half of that time, so that it was not much more hasty and nobody waits
// longer than they can. Where the cloud is collected in the background, Collect returns what was seen last.
func (c *Cloud) Collect(ctx context.Context, limits Limits) Snapshot {
	return c.CollectShard(ctx, Shard{}, limits)
}

// CollectShard is Collect for some of the images. A cloud that is collected in the background has no shards.
func (c *Cloud) CollectShard(ctx context.Context, shard Shard, limits Limits) Snapshot {
	opts := c.options()
	deadline := limits.deadline(opts, time.Now())
	if opts.RefreshInterval > 0 && !limits.Fresh {
		return c.latest(ctx, deadline)
	}
	s := c.collect(ctx, shard, deadline)
	if ctx.Err() == nil { // else nobody was given it, and what it was about to read is not read
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
		return Snapshot{ID: snapshots.Add(1), Cloud: c.name, Start: r.start, Err: context.Cause(ctx), opts: r.opts} // for nobody
	}
}

// leave ends a run that nobody waits for any longer. So there are never more than there are scrapes.
func (c *Cloud) leave(r *run, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.waiters--
	if r.waiters == 0 {
		r.cancel(cause)
		r.shard.remove(r)
	}
}

// start begins a run. The caller holds mu.
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
		r.shard.journal.reportLeft(r.departed) // no later run knows of them
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

// finish takes note of what a run found that has ended, makes its snapshot if anybody waits for it, and returns whether the log is to say
// what became of it: not where it had so little time that a cloud that is well cannot be read.
func (c *Cloud) finish(r *run, givenUp bool) (report bool) {
	c.history.update(r)
	c.mu.Lock()
	r.shard.remove(r) // nobody joins it any more
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

// report logs what became of a run that has ended.
func (r *run) report() {
	if r.err == nil {
		r.cloud.access.report(r.scopes)
	}
	r.shard.journal.report(&r.snapshot)
}
