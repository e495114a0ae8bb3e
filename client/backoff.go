package client

import "time"

// maxBackoff is the longest delay of a backoff, and the longest time for which a server's Retry-After holds off all requests.
const maxBackoff = 5 * time.Minute

// backoff is the delay before the next try after failures: each one is twice as long as the one before. The zero value
// does not delay. It is not safe for concurrent use.
type backoff struct {
	delay time.Duration // after the last failure; 0: there was none since the last reset
	until time.Time
}

// extend starts the delay after a failure. The first one is as long as first.
func (b *backoff) extend(first time.Duration) {
	b.delay = min(max(2*b.delay, first), maxBackoff)
	b.until = time.Now().Add(b.delay)
}

// active reports whether the next try must wait.
func (b *backoff) active() bool { return time.Now().Before(b.until) }

// failedAt is when the delay started.
func (b *backoff) failedAt() time.Time { return b.until.Add(-b.delay) }

// reset ends the delay. The next one is as long as the first.
func (b *backoff) reset() { *b = backoff{} }
