package fakecloud

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Fault is something that goes wrong with the requests it matches. Waits come first (Hang, then Latency), then Raw or
// Status take the answer's place; Truncate cuts whatever is answered, Stray follows it.
type Fault struct {
	Match func(Request) bool // which requests; nil: all of them
	Times int                // how many of them; 0: for ever

	Status int // answer this instead
	Body   string
	Header http.Header

	Hang     bool          // hold the request until the client goes away or the fault is removed, then answer
	Latency  time.Duration // wait, then answer
	Truncate bool          // announce the whole Content-Length, send half of the body, close the connection

	Blank bool   // answer as an image API with an empty database, for valid tokens
	Stray []byte // a whole response, written right behind the answer on the same HTTP/1.1 connection: see RawJSON

	Raw func(w http.ResponseWriter, r *http.Request) // anything else
}

type activeFault struct {
	Fault
	left    int
	removed chan struct{}
	once    sync.Once
}

// Inject adds a fault. If several match, the one injected first is used. Removing it releases the requests that it
// holds.
func (c *Cloud) Inject(f Fault) (remove func()) {
	a := &activeFault{Fault: f, left: f.Times, removed: make(chan struct{})}
	c.faultsMu.Lock()
	defer c.faultsMu.Unlock()
	c.faults = append(c.faults, a)
	return func() {
		c.faultsMu.Lock()
		defer c.faultsMu.Unlock()
		c.faults = slices.DeleteFunc(c.faults, func(b *activeFault) bool { return a == b })
		a.release()
	}
}

// ClearFaults removes all faults.
func (c *Cloud) ClearFaults() {
	c.faultsMu.Lock()
	defer c.faultsMu.Unlock()
	for _, f := range c.faults {
		f.release()
	}
	c.faults = nil
}

func (f *activeFault) release() { f.once.Do(func() { close(f.removed) }) }

// match returns the fault that a request meets and uses it up.
func (c *Cloud) match(r Request) *activeFault {
	c.faultsMu.Lock()
	defer c.faultsMu.Unlock()
	for _, f := range c.faults {
		if f.Times > 0 && f.left == 0 || f.Match != nil && !f.Match(r) {
			continue
		}
		f.left--
		return f
	}
	return nil
}

// wait holds a request as the fault wants and reports whether it is still wanted.
func (f *activeFault) wait(ctx context.Context) bool {
	if f.Hang {
		select {
		case <-f.removed:
		case <-ctx.Done():
			return false
		}
	}
	return pause(ctx, f.Latency)
}

func (f *activeFault) answer() answer {
	h := f.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/html")
	}
	return answer{status: f.Status, header: h, body: []byte(f.Body)}
}

// SetLatency delays every answer of the image API.
func (c *Cloud) SetLatency(d time.Duration) { c.latency.Store(int64(d)) }

// KeystoneDown takes Keystone away, or brings it back. While it is away Glance still answers tokens that it has cached,
// and refuses all others with 401, good ones too: it can't tell a bad token from a silent Keystone.
func (c *Cloud) KeystoneDown(down bool) { c.keystoneDown.Store(down) }
