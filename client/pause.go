package client

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// apiPause is for how long an image API asks to be left alone. A 429 with a Retry-After says that we ask too much, whatever
// we ask for, so it is for all requests to the cloud, as soon as a second one has got it: a single one may be about its image
// alone. A 503 is no such word. It may come from one backend of many, and what is behind the others is asked for all the same.
//
// What a server says must not make us blind for longer than it has to: a pause lasts for maxBackoff at the most, and in each
// collection that begins in it one request tries whether it is over. After a first 429, new requests of its operation
// wait a moment for the answer to another one that is in flight: so that no more are sent than were in flight when the API
// began to refuse.
type apiPause struct {
	mu      sync.Mutex
	until   time.Time
	mayTry  bool          // a collection began, and no request has tried yet
	tries   bool          // one is trying
	changed chan struct{} // closed when it has tried

	first      request // that got the first 429, with its own time
	firstUntil time.Time
	inFlight   int
	second     chan struct{} // closed when another request like the first has ended; nil: none is awaited
}

// secondWithin is how long requests wait after a first 429 for the end of another one of its operation.
const secondWithin = time.Second

func newAPIPause() *apiPause { return &apiPause{changed: make(chan struct{})} }

// begin is told that a collection begins.
func (p *apiPause) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mayTry = true
}

// enter waits for the end of the pause, where there is time for that. tries is whether the request is the one that tries: then
// leave must be called.
func (p *apiPause) enter(ctx context.Context, req request) (tries bool, err *Error) {
	waited := false // for a second 429
	for {
		p.mu.Lock()
		until, changed := p.until, p.changed
		left, trying := time.Until(until), p.tries
		switch {
		case left > 0 && p.mayTry && !trying:
			p.mayTry, p.tries, tries = false, true, true
			left = 0
		case left <= 0 && p.second != nil && p.inFlight > 0 && req.op == p.first.op && !waited:
			left, changed, waited = secondWithin, p.second, true
			trying = true // it decides
		}
		if left <= 0 || ctx.Err() != nil { // whose error the request gets
			p.inFlight++
			p.mu.Unlock()
			return tries, nil
		}
		p.mu.Unlock()
		if deadline, bounded := ctx.Deadline(); !trying && bounded && left+2*leastTime > time.Until(deadline) {
			return false, &Error{Code: CodeNotAsked, Message: "the API requires a pause until " + until.UTC().Format(time.RFC3339)}
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// leave is told how a request ended.
func (p *apiPause) leave(tries bool, req request, err *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if p.second != nil && req.op == p.first.op {
		close(p.second)
		p.second = nil
	}
	if err != nil && err.Status() == http.StatusTooManyRequests && err.RetryAfter > 0 {
		p.extend(req, min(err.RetryAfter, maxBackoff))
	}
	if !tries {
		return
	}
	// Whatever else a server answers, it has let the request in.
	if err == nil || err.StatusCode != 0 && err.StatusCode < http.StatusInternalServerError && err.Status() != http.StatusTooManyRequests {
		p.until = time.Time{}
	}
	p.tries = false
	close(p.changed)
	p.changed = make(chan struct{})
}

// extend begins the pause, or makes it longer. The caller holds mu.
func (p *apiPause) extend(req request, by time.Duration) {
	now := time.Now()
	until := now.Add(by)
	if !now.Before(p.until) && (!now.Before(p.firstUntil) || p.first.key() == req.key()) {
		p.first, p.firstUntil = req, until
		p.second = make(chan struct{})
		return
	}
	p.mayTry = false
	if until.After(p.until) {
		p.until = until
	}
}
