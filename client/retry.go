package client

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxAttempts     = 3
	firstRetryDelay = 100 * time.Millisecond // more or less by half; then three times as long

	// An API that is down does not get three times as many requests as a healthy one: the budget is retryReserve attempts
	// in a row, and retryShare for each complete response.
	retryReserve = 50
	retryShare   = 0.2
)

// retryBudget is how many attempts may be repeated.
type retryBudget struct {
	mu   sync.Mutex
	left float64
}

// earn adds to the budget for a complete response.
func (b *retryBudget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+retryShare, retryReserve)
}

// spend reports whether one more attempt may be repeated.
func (b *retryBudget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// retry reports whether a request may be repeated whose nth attempt took so long and failed with err: only where that is
// likely to help, and soon enough. It waits before.
func (l *limiter) retry(ctx context.Context, err *Error, n int, took time.Duration) bool {
	if !err.temporary() || n >= maxAttempts || ctx.Err() != nil {
		return false
	}
	delay := firstRetryDelay
	for range n - 1 {
		delay *= 3
	}
	delay = max(delay/2+rand.N(delay), err.RetryAfter)
	if deadline, ok := ctx.Deadline(); ok && delay+2*max(took, minAttemptTime) > time.Until(deadline)*2/3 {
		return false
	}
	if !l.retries.spend() {
		return false
	}
	wait := sleep
	if patience, ok := ctx.Value(patienceKey{}).(Patience); ok && patience.Pause != nil {
		wait = patience.Pause
	}
	wait(ctx, delay)
	return ctx.Err() == nil
}

// temporary reports whether the same request may soon succeed. One that timed out had its time.
func (e *Error) temporary() bool {
	switch e.Status() {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case 0:
		return e.Code == CodeConnect
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// maxRetryAfter bounds what a server may request. No caller waits longer.
const maxRetryAfter = 24 * time.Hour

// retryAfter parses a Retry-After header: seconds, or a date by the server's clock, whose time is now. It returns 0 for
// anything else. See https://www.rfc-editor.org/rfc/rfc9110#field.retry-after.
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
