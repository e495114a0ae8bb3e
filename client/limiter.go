package client

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxAttemptTime bounds an attempt by default, pages of listings excepted.
	maxAttemptTime = 10 * time.Second
	// minAttemptTime is the shortest time for which an attempt is worth starting.
	minAttemptTime = 50 * time.Millisecond
	// secondWithin is how long requests wait after a first 429 for the response to another one of its operation.
	secondWithin = time.Second
)

// Patience bounds the requests of a context, each by itself. The context's own deadline bounds them all.
type Patience struct {
	// RequestTimeout bounds one attempt. 0: half of the time that is left when it starts, so that one that hangs leaves time
	// for others, and 10 s at most unless it is a page of a listing.
	RequestTimeout time.Duration
	// Pause waits before an attempt is repeated. It returns early when ctx is done. A caller may do other work meanwhile.
	// nil: sleep.
	Pause func(ctx context.Context, d time.Duration)
}

type patienceKey struct{}

// WithPatience returns a context with a patience. Without one, only the context's deadline bounds an attempt.
func WithPatience(ctx context.Context, p Patience) context.Context {
	return context.WithValue(ctx, patienceKey{}, p)
}

// limiter decides when the attempts of one cloud may start, which of them may be repeated, and how many long bodies are
// read at a time. The clients of one cloud share it.
type limiter struct {
	rate      *rate.Limiter
	holdOff   *holdOff
	retries   retryBudget
	bigBodies chan struct{} // has an element for each long body that is read
}

func newLimiter() *limiter {
	return &limiter{
		rate:      rate.NewLimiter(rate.Inf, 1),
		holdOff:   &holdOff{changed: make(chan struct{})},
		retries:   retryBudget{left: retryReserve},
		bigBodies: make(chan struct{}, maxBigBodies),
	}
}

// set limits the attempts per second; 0: no limit.
func (l *limiter) set(perSecond float64) {
	limit := rate.Inf
	if perSecond > 0 {
		limit = rate.Limit(perSecond)
	}
	if l.rate.Limit() != limit {
		l.rate.SetLimit(limit)
	}
}

// start waits until an attempt may start and returns its context. The caller must call end with the attempt's result. The
// error is an *Error with [CodeNotRequested] where the attempt would start too late.
func (l *limiter) start(ctx context.Context, req request) (_ context.Context, end func(*Error), _ *Error) {
	trial, err := l.holdOff.enter(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel, err := l.startNow(ctx, req.op)
	if err != nil {
		l.holdOff.leave(trial, req, err)
		return nil, nil, err
	}
	return ctx, func(err *Error) {
		cancel()
		l.holdOff.leave(trial, req, err)
	}, nil
}

// startNow is start for a request that no hold-off applies to.
func (l *limiter) startNow(ctx context.Context, op Operation) (context.Context, context.CancelFunc, *Error) {
	if l.rate.Limit() != rate.Inf {
		if err := l.rate.Wait(ctx); err != nil && ctx.Err() == nil {
			return nil, nil, &Error{Code: CodeNotRequested, Message: "requests_per_second leaves no time for this request"}
		}
	}
	patience, ok := ctx.Value(patienceKey{}).(Patience)
	if !ok {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	timeout := patience.RequestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left < 2*minAttemptTime && ctx.Err() == nil {
			return nil, nil, &Error{Code: CodeNotRequested, Message: "scrape deadline reached"}
		}
		if timeout == 0 {
			timeout = left / 2
			if op != OpListImages {
				timeout = min(timeout, maxAttemptTime)
			}
		}
	}
	if timeout == 0 {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, nil
}

// holdOff stops the requests to an image API for as long as its Retry-After says. A 429 counts the requests of a client,
// so it stops all of them, whatever they ask for, once a second request got one: a single one may be about its image alone.
// A 503 does not: it may come from one backend of many, and others may respond.
//
// A hold-off lasts for maxBackoff at most, and in each collection that starts during it one request is a trial. If the API
// accepts that, the hold-off ends. After a first 429, new requests of its operation wait a moment for the response to
// another one in flight, so that no more are sent than were in flight when the API began to refuse.
type holdOff struct {
	mu      sync.Mutex
	until   time.Time
	mayTry  bool          // whether a collection started and had no trial yet
	trial   bool          // whether one is in flight
	changed chan struct{} // closed at the end of a trial

	first      request // the one that got the first 429
	firstUntil time.Time
	inFlight   int
	second     chan struct{} // closed at the end of another request of the first one's operation; nil: none is awaited
}

// startCollection allows one trial.
func (h *holdOff) startCollection() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mayTry = true
}

// enter waits until the request may be sent, if ctx leaves time for that, and reports whether it is a trial. The caller must
// pass that and the request's result to leave.
func (h *holdOff) enter(ctx context.Context, req request) (bool, *Error) {
	waited := false
	for {
		o, trial := h.admit(ctx, req, waited)
		if o == nil {
			return trial, nil
		}
		waited = waited || o.second
		if deadline, ok := ctx.Deadline(); ok && !o.early && o.left+2*minAttemptTime > time.Until(deadline) {
			return false, &Error{Code: CodeNotRequested, Message: "the API requires a pause until " + o.until.UTC().Format(time.RFC3339)}
		}
		timer := time.NewTimer(o.left)
		select {
		case <-o.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// obstacle is why a request may not be sent yet.
type obstacle struct {
	until   time.Time
	left    time.Duration
	changed <-chan struct{}
	early   bool // whether it may end before its time, and closes changed then
	second  bool // whether it is the wait for a second 429
}

// admit counts the request as in flight, or returns what it must wait for. waited is whether it waited for a second 429.
func (h *holdOff) admit(ctx context.Context, req request, waited bool) (_ *obstacle, trial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch left := time.Until(h.until); {
	case ctx.Err() != nil: // It is sent and gets that error.
	case left > 0 && h.mayTry && !h.trial:
		h.mayTry, h.trial, trial = false, true, true
	case left > 0:
		return &obstacle{until: h.until, left: left, changed: h.changed, early: h.trial}, false
	case h.second != nil && h.inFlight > 0 && req.op == h.first.op && !waited:
		return &obstacle{left: secondWithin, changed: h.second, early: true, second: true}, false
	}
	h.inFlight++
	return nil, trial
}

// leave records the result of a request.
func (h *holdOff) leave(trial bool, req request, err *Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inFlight--
	if h.second != nil && req.op == h.first.op {
		close(h.second)
		h.second = nil
	}
	limited := err != nil && err.Status() == http.StatusTooManyRequests
	if limited && err.RetryAfter > 0 {
		now := time.Now()
		until := now.Add(min(err.RetryAfter, maxBackoff))
		if now.Before(h.until) || now.Before(h.firstUntil) && h.first.key() != req.key() {
			h.mayTry = false
			if until.After(h.until) {
				h.until = until
			}
		} else {
			h.first, h.firstUntil, h.second = req, until, make(chan struct{})
		}
	}
	if !trial {
		return
	}
	// A response with any other status shows that the API accepts requests.
	if err == nil || err.StatusCode != 0 && err.StatusCode < http.StatusInternalServerError && !limited {
		h.until = time.Time{}
	}
	h.trial = false
	close(h.changed)
	h.changed = make(chan struct{})
}
