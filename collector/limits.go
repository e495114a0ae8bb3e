package collector

import "time"

// Limits are how long a scrape may take.
type Limits struct {
	// Timeout is how long the client waits, from now.
	Timeout time.Duration
	// Reserve is the part of Timeout that is needed after the run.
	Reserve time.Duration
	// Fresh is whether to collect now even if the cloud is collected in the background.
	Fresh bool
}

// maxTimeout is the maximum duration of a scrape, whatever its timeout, unless [Options].Timeout is longer.
const maxTimeout = 2 * time.Minute

// deadline returns when a run must end that begins now.
func (l Limits) deadline(opts *Options, now time.Time) time.Time {
	timeout := min(l.Timeout, max(opts.Timeout, maxTimeout))
	if opts.Timeout > 0 {
		timeout = min(timeout, opts.Timeout)
	}
	// At least half of the time is left for reading.
	reserve := min(max(opts.TimeoutOffset, l.Reserve), timeout/2)
	return now.Add(max(timeout-reserve-cutOffReserve, 0))
}
