package collector

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slots are the requests that a cloud may have in flight. Its runs share them: one that has fewer than others gets the
// next, so that none waits for all that another has to ask.
//
// No run can starve another. Requests without an answer for longer than stuckAfter do not count for those of other
// runs, up to twice the limit. Runs of low priority get slots while no other run is at work.
type slots struct {
	mu      sync.Mutex
	limit   int
	held    map[*slot]struct{}
	slow    int      // of those held, by what hung the last time
	normal  int      // queues at work that are not of low priority
	waiting []*queue // that want more, the one that got none for the longest first
}

// stuckAfter is how long a request holds its slot alone.
const stuckAfter = time.Second

// slot is one of them, or the wish for it.
type slot struct {
	queue *queue
	slow  bool
	held  bool          // guarded by the slots' mu
	given chan struct{} // nil: nobody waits
	began atomic.Int64  // the request that holds it, in nanoseconds since 1970
}

func newSlots(limit int) *slots { return &slots{limit: limit, held: map[*slot]struct{}{}} }

// start notes that the slot's next request begins.
func (s *slot) start() { s.began.Store(time.Now().UnixNano()) }

// enter notes that a queue is at work.
func (s *slots) enter(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !q.lowPriority {
		s.normal++
	}
}

// leave notes that a queue is over.
func (s *slots) leave(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !q.lowPriority {
		s.normal--
		s.share()
	}
}

// resize changes how many there are. What is held beyond that is not taken away.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.share()
}

// take waits for a slot and reports whether it is held: not where ctx was done before.
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

// give gives a slot back, if it is held.
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

// share gives the free slots to those who wait. The caller holds mu.
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

// grant notes that a slot is held. The caller holds mu.
func (s *slots) grant(to *slot) {
	to.held = true
	s.held[to] = struct{}{}
	to.start()
	to.queue.held++
	if to.slow {
		s.slow++
	}
}

// next returns who is to get the next slot, or nil. What hung the last time has half of them while there is anything else
// to ask, whichever run that is of. The caller holds mu.
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

// drop ends a wish. The caller holds mu.
func (s *slots) drop(want *slot) {
	q := want.queue
	q.waiting = slices.DeleteFunc(q.waiting, func(w *slot) bool { return w == want })
	s.waiting = slices.DeleteFunc(s.waiting, func(w *queue) bool { return w == q })
	if len(q.waiting) > 0 {
		s.waiting = append(s.waiting, q)
	}
}
