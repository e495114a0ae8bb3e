package collector

import (
	"context"
	"slices"
	"sync"
)

// slots are the requests that a cloud may have in flight. Its collections share them: one that has fewer than others gets the
// next, so that none waits for all that another has to ask.
type slots struct {
	mu      sync.Mutex
	limit   int
	held    int
	slow    int      // of those held, by what hung the last time
	waiting []*queue // that want more, the one that got none for the longest first
}

// slot is one of them, or the wish for it.
type slot struct {
	queue *queue
	slow  bool
	held  bool          // guarded by the slots' mu
	given chan struct{} // nil: nobody waits
}

func newSlots(limit int) *slots { return &slots{limit: limit} }

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
	if len(s.waiting) == 0 && s.held < s.limit {
		s.grant(want)
		s.mu.Unlock()
		return true
	}
	q := want.queue
	want.given = make(chan struct{})
	if len(q.wanted) == 0 {
		s.waiting = append(s.waiting, q)
	}
	q.wanted = append(q.wanted, want)
	s.share()
	s.mu.Unlock()

	select {
	case <-want.given:
	case <-ctx.Done():
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
	s.held--
	back.queue.held--
	if back.slow {
		s.slow--
	}
	s.share()
}

// share gives the free slots to those who wait. The caller holds mu.
func (s *slots) share() {
	for s.held < s.limit {
		next := s.next()
		if next == nil {
			return
		}
		s.drop(next)
		s.grant(next)
		close(next.given)
	}
}

// grant notes that a slot is held. The caller holds mu.
func (s *slots) grant(to *slot) {
	to.held = true
	s.held++
	to.queue.held++
	if to.slow {
		s.slow++
	}
}

// next returns who is to get the next slot, or nil. What hung the last time has half of them while there is anything else
// to ask, whichever collection that is of. The caller holds mu.
func (s *slots) next() *slot {
	var first, slow *slot
	for _, q := range s.waiting {
		for _, want := range q.wanted {
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
	q.wanted = slices.DeleteFunc(q.wanted, func(w *slot) bool { return w == want })
	s.waiting = slices.DeleteFunc(s.waiting, func(w *queue) bool { return w == q })
	if len(q.wanted) > 0 {
		s.waiting = append(s.waiting, q)
	}
}
