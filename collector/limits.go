package collector

import "time"

// Limits say how long a scrape may take.
type Limits struct {
	// Timeout is how long whoever scrapes will wait, from now.
	Timeout time.Duration
	// Reserve is the part of it that is needed after the run.
	Reserve time.Duration
	// Fresh is whether a cloud that is collected in the background shall be collected now.
	Fresh bool
}

// maxTimeout is the longest that a scrape may take, whatever it asks for, unless [Options].Timeout is more.
const maxTimeout = 2 * time.Minute

// deadline is when a run must be finished that begins now.
func (l Limits) deadline(opts *Options, now time.Time) time.Time {
	timeout := min(l.Timeout, max(opts.Timeout, maxTimeout))
	if opts.Timeout > 0 {
		timeout = min(timeout, opts.Timeout)
	}
	// However much is to be kept back, half of the time is there to read.
	reserve := min(max(opts.TimeoutOffset, l.Reserve), timeout/2)
	return now.Add(max(timeout-reserve-cutOffReserve, 0))
}
