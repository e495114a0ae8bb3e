package client

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// mostTime is the most that an attempt takes by default, pages of listings excepted.
	mostTime = 10 * time.Second
	// leastTime is the least that an attempt is worth starting with.
	leastTime = 50 * time.Millisecond

	maxAttempts = 3
	firstPause  = 100 * time.Millisecond // before the second attempt, half of it more or less; then three times as long

	// What may be repeated in a row, and for each whole answer besides: an API that is down is not asked three times as
	// much as one that is well.
	retryReserve = 50
	retryShare   = 0.2
)

// Patience says how long the requests of a context may take, each for itself. The context's own deadline bounds them all.
type Patience struct {
	// RequestTimeout bounds one attempt; 0: half of the time that is left when it starts, so that one that hangs leaves
	// time for others, and 10 s at most unless it is a page of a listing.
	RequestTimeout time.Duration
	// Pause waits before an attempt is repeated and returns early when ctx is done. nil: it just waits. A caller with
	// better things to do meanwhile can see to them.
	Pause func(ctx context.Context, d time.Duration)
}

type patienceKey struct{}

// WithPatience returns a context with a patience. Without one, only the context's deadline bounds an attempt.
func WithPatience(ctx context.Context, p Patience) context.Context {
	return context.WithValue(ctx, patienceKey{}, p)
}

// pacer decides when the attempts of one cloud may start, and which long bodies may be read. Its clients share it.
type pacer struct {
	limiter *rate.Limiter
	big     chan struct{} // one for each long body that is read
	pause   *apiPause

	mu     sync.Mutex
	credit float64 // of attempts that may be repeated
}

func newPacer() *pacer {
	return &pacer{limiter: rate.NewLimiter(rate.Inf, 1), big: make(chan struct{}, maxBigBodies), pause: newAPIPause(), credit: retryReserve}
}

// set limits the attempts per second; 0: no limit.
func (p *pacer) set(perSecond float64) {
	limit := rate.Inf
	if perSecond > 0 {
		limit = rate.Limit(perSecond)
	}
	if p.limiter.Limit() != limit {
		p.limiter.SetLimit(limit)
	}
}

// start waits for the turn of an attempt of an operation and returns its context. Its error is an *Error with [CodeNotAsked] where the
// turn would come too late.
func (p *pacer) start(ctx context.Context, op Operation) (context.Context, context.CancelFunc, *Error) {
	if p.limiter.Limit() != rate.Inf {
		if err := p.limiter.Wait(ctx); err != nil && ctx.Err() == nil {
			return nil, nil, &Error{Code: CodeNotAsked, Message: "requests_per_second leaves no time for this request"}
		}
	}
	patience, ok := ctx.Value(patienceKey{}).(Patience)
	if !ok {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	timeout := patience.RequestTimeout
	if until, ok := ctx.Deadline(); ok {
		left := time.Until(until)
		if left < 2*leastTime && ctx.Err() == nil {
			return nil, nil, &Error{Code: CodeNotAsked, Message: "scrape deadline reached"}
		}
		if timeout == 0 {
			timeout = left / 2
			if op != OpListImages {
				timeout = min(timeout, mostTime)
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

// served adds to what may be repeated.
func (p *pacer) served() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.credit = min(p.credit+retryShare, retryReserve)
}

// spend reports whether one more attempt may be repeated.
func (p *pacer) spend() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.credit < 1 {
		return false
	}
	p.credit--
	return true
}

// again waits until the request whose nth attempt took so long and ended in err may be repeated, and reports whether it
// should be: only if that is likely to help, and soon enough.
func (p *pacer) again(ctx context.Context, err *Error, n int, took time.Duration) bool {
	if !err.temporary() || n >= maxAttempts || ctx.Err() != nil {
		return false
	}
	pause := firstPause
	for range n - 1 {
		pause *= 3
	}
	pause = max(pause/2+rand.N(pause), err.RetryAfter)
	if until, ok := ctx.Deadline(); ok && pause+2*max(took, leastTime) > time.Until(until)*2/3 {
		return false
	}
	if !p.spend() {
		return false
	}
	wait := sleep
	if patience, ok := ctx.Value(patienceKey{}).(Patience); ok && patience.Pause != nil {
		wait = patience.Pause
	}
	wait(ctx, pause)
	return ctx.Err() == nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// temporary reports whether the same request may soon be answered. A request that timed out has had its time.
func (e *Error) temporary() bool {
	switch e.Status() {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case 0:
		return e.Code == CodeConnect
	}
	return false
}

// maxRetryAfter is as long as a server may ask to be left alone; more is as good as for ever.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads a Retry-After header, seconds or a date by the server's own clock, and returns 0 for what is neither.
// See https://www.rfc-editor.org/rfc/rfc9110#field.retry-after.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil || seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil || now.IsZero() {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
