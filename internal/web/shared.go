package web

import (
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/exposition"
)

// maxHeld is about how many bytes of rendered series may be held for slow clients. A cloud of 10,000 images has 5 MB.
const maxHeld = 64 << 20

// sharedSeries has the series of each snapshot that scrapes wait for or write, rendered once in each format.
type sharedSeries struct {
	most  int           // bytes that may be held for readers
	turns chan struct{} // an element for each rendering in progress

	mu   sync.Mutex
	held []*heldSeries // the oldest first
}

// heldSeries are the series of one snapshot in one format.
type heldSeries struct {
	snapshot uint64 // its ID
	format   expfmt.Format
	render   func() (*exposition.Series, error) // once

	// Guarded by the mu of sharedSeries:

	users   int
	size    int // in bytes; 0 until there is a reader
	readers []*reader
}

// reader is a scrape whose page is being written.
type reader struct {
	series     []*heldSeries
	connection *http.ResponseController
}

func newSharedSeries() *sharedSeries {
	return &sharedSeries{most: maxHeld, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// take returns the series of a snapshot. The caller must release them.
func (s *sharedSeries) take(snapshot *collector.Snapshot, format expfmt.Format) *heldSeries {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		if h.snapshot == snapshot.ID && h.format == format {
			h.users++
			return h
		}
	}
	h := &heldSeries{snapshot: snapshot.ID, format: format, users: 1}
	h.render = sync.OnceValues(func() (*exposition.Series, error) {
		s.turns <- struct{}{}
		defer func() { <-s.turns }()
		return exposition.Render(format, func(emit exposition.Emit) { snapshot.Each(emit) })
	})
	s.held = append(s.held, h)
	return h
}

func (s *sharedSeries) release(series []*heldSeries) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range series {
		if h.users--; h.users == 0 {
			s.held = slices.DeleteFunc(s.held, func(other *heldSeries) bool { return other == h })
		}
	}
}

// begin registers a scrape whose page is about to be written. If readers hold too much, it cuts off those of the oldest
// series: they are the slowest, and a newer scrape must not wait for them.
func (s *sharedSeries) begin(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range r.series {
		h.readers = append(h.readers, r)
		series, _ := h.render() // rendered before
		h.size = series.Size()
	}
	sum := 0
	for _, h := range s.held {
		sum += h.size
	}
	for _, h := range s.held {
		if sum <= s.most {
			break
		}
		if slices.Contains(r.series, h) {
			continue
		}
		sum -= h.size
		for _, other := range h.readers {
			_ = other.connection.SetWriteDeadline(time.Unix(1, 0)) // not every ResponseWriter has one
		}
	}
}

// end removes a scrape whose page is written, or cannot be.
func (s *sharedSeries) end(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range r.series {
		h.readers = slices.DeleteFunc(h.readers, func(other *reader) bool { return other == r })
	}
	_ = r.connection.SetWriteDeadline(time.Time{}) // for the next request on the connection
}
