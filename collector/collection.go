package collector

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"glance_share_exporter/client"
)

var errNotAsked = errors.New("not asked: the time was over")

const (
	// grace is the end of a scrape's time, in which the requests that are still under way are cut off.
	grace = 20 * time.Millisecond
	// leastTime is the least that a request is worth starting with.
	leastTime = 50 * time.Millisecond
)

// The HTTP status codes of the image API that something follows from.
const (
	statusOK              = 200
	statusUnauthorized    = 401
	statusForbidden       = 403
	statusNotFound        = 404
	statusTooManyRequests = 429
)

// collection is one round of questions to one cloud.
type collection struct {
	cloud  *Cloud
	opts   *Options
	past   *past
	cancel context.CancelCauseFunc
	start  time.Time
	done   chan struct{}
	queue  *queue

	mu       sync.Mutex
	deadline time.Time // the latest that anybody waits for
	waiters  int
	end      time.Time // zero: under way
	access   client.Access
	err      error // why there is no token
	answered bool
	stranger bool // what answered has no list of images, so it is no image API
	findings []findings
}

func newCollection(c *Cloud, opts *Options, past *past, cancel context.CancelCauseFunc) *collection {
	return &collection{
		cloud: c, opts: opts, past: past, cancel: cancel,
		start: time.Now(), done: make(chan struct{}), queue: newQueue(),
		findings: make([]findings, len(opts.Images)),
	}
}

func (c *collection) join(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiters++
	if deadline.After(c.deadline) {
		c.deadline = deadline
	}
}

// leave reports whether nobody waits any more.
func (c *collection) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiters--
	return c.waiters == 0
}

// run asks everything.
func (c *collection) run(ctx context.Context) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end = time.Now()
	}()
	if err := c.connect(ctx); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
		for i := range c.findings {
			c.findings[i].membersErr = err
		}
		return
	}
	c.askRecords()
	c.askMembers()
	c.queue.work(ctx, min(c.opts.Concurrency, 2*len(c.findings)+1))
}

func (c *collection) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.left())
	defer cancel()
	access, err := c.cloud.api.Connect(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.access = access
	return err
}

// left is how long somebody still waits for the collection.
func (c *collection) left() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.deadline)
}

// request runs one request with its share of the time: request_timeout, or half of what is left, so that requests that
// hang leave time for the others.
func (c *collection) request(ctx context.Context, ask func(ctx context.Context) error) error {
	timeout := c.left() / 2
	if timeout < leastTime {
		return errNotAsked
	}
	if c.opts.RequestTimeout > 0 {
		timeout = c.opts.RequestTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := ask(ctx)
	if answered(err) {
		c.mu.Lock()
		c.answered = true
		c.mu.Unlock()
	}
	return err
}

// answered reports whether the image API answered as it does to a good token.
func answered(err error) bool {
	if err == nil {
		return true
	}
	code := imageStatus(err)
	return code == statusForbidden || code == statusNotFound
}

// imageStatus is the HTTP status of the image API's answer, 0 without one. A login's status says nothing of an image.
func imageStatus(err error) int {
	var apiErr *client.Error
	if errors.As(err, &apiErr) && apiErr.Op != client.OpAuthenticate {
		return apiErr.StatusCode
	}
	return 0
}

// askMembers asks for the members of every image, but of those that had no members last time only when the record says
// that they may have some now.
func (c *collection) askMembers() {
	for _, i := range c.past.order(c.opts.Images) {
		id := c.opts.Images[i].ID
		if v := c.past.visibility[id]; v.Known() && !slices.Contains(c.opts.MembersFor, v) {
			continue // settleRecord will
		}
		c.askMembersOf(i)
	}
}

func (c *collection) askMembersOf(i int) {
	c.mu.Lock()
	asked := c.findings[i].membersAsked
	c.findings[i].membersAsked = true
	c.mu.Unlock()
	if asked {
		return
	}
	id := c.opts.Images[i].ID
	to := &c.queue.rest
	if c.past.hung[id] {
		to = &c.queue.slow
	}
	c.queue.add(to, func(ctx context.Context) {
		if c.settled(i) {
			return
		}
		var list client.MemberList
		err := c.request(ctx, func(ctx context.Context) (err error) {
			list, err = c.cloud.api.Members(ctx, id)
			return err
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		f := &c.findings[i]
		f.members, f.membersErr, f.membersRead = list, err, err == nil
	})
}

// settled reports whether the image's record has come meanwhile and shows that there are no members to ask for.
func (c *collection) settled(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findings[i].notApplicable(c.opts)
}

// snapshot is what is known by now.
func (c *collection) snapshot() Snapshot {
	state := c.cloud.api.State()
	c.mu.Lock()
	defer c.mu.Unlock()
	end := c.end
	if end.IsZero() {
		end = time.Now()
	}
	s := Snapshot{
		Cloud: c.opts.Name, Start: c.start, Duration: end.Sub(c.start), Up: c.err == nil && c.answered && !c.stranger, Err: c.err,
		State: state, Images: make([]ImageSnapshot, len(c.findings)), opts: c.opts,
	}
	for i := range c.findings {
		img := &s.Images[i]
		img.ID, img.Name = c.opts.Images[i].ID, c.imageName(i)
		c.findings[i].judge(c.opts, img)
	}
	return s
}

// imageName is the label's value. The first name ever read stays: a renamed image must not restart an alert's clock.
func (c *collection) imageName(i int) string {
	img, f := c.opts.Images[i], &c.findings[i]
	if img.Name != "" {
		return img.Name
	}
	if name, ok := c.past.names[img.ID]; ok {
		return name
	}
	if f.record != nil {
		return f.record.Name
	}
	return ""
}
