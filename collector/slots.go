package collector

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slots limits the requests that a cloud has in flight. Its runs share the slots: the run with the fewest gets the next
// one, so that none waits for all requests of another.
//
// No run can starve another. Requests without a response for longer than stuckAfter do not count for other runs, up to
// twice the limit. Runs of low priority get slots only while no other run is active.
type slots struct {
	mu      sync.Mutex
	limit   int
	held    map[*slot]struct{}
	slow    int      // held slots of tasks from slow lists
	normal  int      // active queues that are not of low priority
	waiting []*queue // that wait for slots; first the one without a new slot for the longest time
}

// stuckAfter is the time after which the slot of a request without a response may be given to another run too.
const stuckAfter = time.Second

// slot is a slot that a worker holds or waits for.
type slot struct {
	queue *queue
	slow  bool
	held  bool          // guarded by the slots' mu
	given chan struct{} // closed when the slot is granted to a worker that waits
	began atomic.Int64  // when the request that holds it began, in nanoseconds since 1970
}

func newSlots(limit int) *slots { return &slots{limit: limit, held: map[*slot]struct{}{}} }

// start records that the slot's next request begins now.
func (s *slot) start() { s.began.Store(time.Now().UnixNano()) }

// enter records that a queue has started.
func (s *slots) enter(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !q.lowPriority {
		s.normal++
	}
}

// leave records that a queue has ended.
func (s *slots) leave(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !q.lowPriority {
		s.normal--
		s.share()
	}
}

// resize changes the limit. Slots that are held beyond it stay held.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.share()
}

// take waits for a slot and reports whether it is held. It is not if ctx was done first.
func (s *slots) take(ctx context.Context, want *slot) bool {
	s.mu.Lock()
	if len(s.waiting) == 0 && s.free(want.queue) {
		s.grant(want)
		s.mu.Unlock()
		return true
	}
	q := want.queue
	want.given = make(chan struct{})
	if len(q.waiting) == 0 {
		s.waiting = append(s.waiting, q)
	}
	q.waiting = append(q.waiting, want)
	s.share()
	s.mu.Unlock()

	ticker := time.NewTicker(stuckAfter / 2) // a request becomes stuck without an event
	defer ticker.Stop()
	for waiting := true; waiting; {
		select {
		case <-want.given:
			waiting = false
		case <-ctx.Done():
			waiting = false
		case <-ticker.C:
			s.mu.Lock()
			s.share()
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !want.held {
		s.drop(want)
	}
	return want.held
}

// give returns a slot, if it is held.
func (s *slots) give(back *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !back.held {
		return
	}
	back.held = false
	delete(s.held, back)
	back.queue.held--
	if back.slow {
		s.slow--
	}
	s.share()
}

// share grants the free slots to the workers that wait. The caller holds mu.
func (s *slots) share() {
	for {
		next := s.next()
		if next == nil {
			return
		}
		s.drop(next)
		s.grant(next)
		close(next.given)
	}
}

// free reports whether a queue may get another slot. The caller holds mu.
func (s *slots) free(q *queue) bool {
	switch {
	case q.lowPriority:
		return s.normal == 0 && len(s.held) < s.limit
	case len(s.held) < s.limit:
		return true
	case len(s.held) >= 2*s.limit:
		return false
	}
	stuck, queues := 0, map[*queue]struct{}{q: {}}
	for held := range s.held {
		queues[held.queue] = struct{}{}
		if held.queue != q && time.Since(time.Unix(0, held.began.Load())) > stuckAfter {
			stuck++
		}
	}
	return len(s.held)-stuck < s.limit && q.held < max(s.limit/len(queues), 1)
}

// grant records that a slot is held. The caller holds mu.
func (s *slots) grant(to *slot) {
	to.held = true
	s.held[to] = struct{}{}
	to.start()
	to.queue.held++
	if to.slow {
		s.slow++
	}
}

// next returns the waiting slot to grant next, or nil. Tasks from slow lists get at most half of the slots while other
// tasks wait, of whichever run. The caller holds mu.
func (s *slots) next() *slot {
	var first, slow *slot
	for _, q := range s.waiting {
		if !s.free(q) {
			continue
		}
		for _, want := range q.waiting {
			best, late := &first, want.slow && s.slow >= s.limit/2
			if late {
				best = &slow
			}
			if *best == nil || q.held < (*best).queue.held {
				*best = want
			}
			if !late {
				break
			}
		}
	}
	if first == nil {
		return slow
	}
	return first
}

// drop removes a slot from those that wait. The caller holds mu.
func (s *slots) drop(want *slot) {
	q := want.queue
	q.waiting = slices.DeleteFunc(q.waiting, func(w *slot) bool { return w == want })
	s.waiting = slices.DeleteFunc(s.waiting, func(w *queue) bool { return w == q })
	if len(q.waiting) > 0 {
		s.waiting = append(s.waiting, q)
	}
}
