package collector

import (
	"context"
	"sync"
	"time"
)

// queue hands the tasks of one run to its workers. A task may add tasks; the queue is over when none is left and none is running.
//
// Tasks run one at a time: each has the turn until it ends or waits for something, above all for a response. So a task may use
// everything that belongs to the run, and nothing changes under it between two requests. The methods are called by whoever has the
// turn, but for those that say otherwise.
type queue struct {
	turn    sync.Mutex
	changed sync.Cond
	first   []task
	slow    []task // hung the last time
	rest    []task
	last    []task // when nothing else is left

	workers int
	running int
	hanging int // of the running ones, those from slow
	surplus int // workers that are to end

	idle chan struct{} // closed when the one task that waits for it is alone; nil: none does

	all         sync.WaitGroup
	slots       *slots           // one for each task that does not pause
	lowPriority bool             // of low priority
	more        func()           // starts another worker
	take        func(*slot) bool // waits for a slot, as long as the queue is not over

	held    int     // slots; guarded by the slots' mu
	waiting []*slot // likewise
}

type task func(ctx context.Context)

func newQueue(slots *slots, low bool) *queue {
	q := &queue{slots: slots, lowPriority: low}
	q.changed.L = &q.turn
	return q
}

func (q *queue) add(to *[]task, t task) {
	*to = append(*to, t)
	q.changed.Signal()
}

// work runs the tasks, so many at a time, until the queue is over or ctx is done, and waits for them.
func (q *queue) work(ctx context.Context, workers int) {
	q.slots.enter(q)
	defer q.slots.leave(q)
	q.workers = workers
	q.more = func() { q.all.Go(func() { q.run(ctx) }) }
	q.take = func(s *slot) bool { return q.slots.take(ctx, s) }
	for range workers {
		q.more()
	}
	q.await(q.all.Wait)
}

type slotKey struct{}

// slotOf returns the slot of the worker that runs a task with ctx.
func slotOf(ctx context.Context) *slot {
	s, _ := ctx.Value(slotKey{}).(*slot)
	return s
}

// run is a worker. It has no turn when it is called.
func (q *queue) run(ctx context.Context) {
	s := &slot{queue: q}
	ctx = context.WithValue(ctx, slotKey{}, s)
	q.turn.Lock()
	defer q.turn.Unlock()
	for {
		t, slow, ok := q.next()
		if !ok {
			return
		}
		s.slow = slow
		var held bool
		q.await(func() { held = q.take(s) })
		if held && ctx.Err() == nil { // else only empty the queue
			t(ctx)
		}
		q.slots.give(s)
		q.done(slow)
	}
}

// next waits for a task. What hung last time comes before the rest, for half of the workers: so it is asked early, and
// cannot hold up what can be read.
func (q *queue) next() (t task, slow, ok bool) {
	for {
		if q.surplus > 0 {
			q.surplus--
			return nil, false, false
		}
		order := [...]*[]task{&q.first, &q.rest, &q.slow, &q.last}
		if q.hanging < q.workers/2 {
			order = [...]*[]task{&q.first, &q.slow, &q.rest, &q.last}
		}
		for _, tasks := range order {
			if len(*tasks) == 0 {
				continue
			}
			t, slow = (*tasks)[0], tasks == &q.slow
			(*tasks)[0] = nil
			*tasks = (*tasks)[1:]
			q.running++
			if slow {
				q.hanging++
			}
			return t, slow, true
		}
		if q.running == 0 {
			q.changed.Broadcast()
			return nil, false, false
		}
		q.changed.Wait()
	}
}

func (q *queue) done(slow bool) {
	q.running--
	if slow {
		q.hanging--
	}
	if q.idle != nil && q.alone() {
		close(q.idle)
		q.idle = nil
	}
	q.changed.Broadcast()
}

// queued reports whether a task waits for a worker.
func (q *queue) queued() bool { return len(q.first)+len(q.slow)+len(q.rest)+len(q.last) > 0 }

// alone reports whether a task runs that is the only one.
func (q *queue) alone() bool { return q.running == 1 && !q.queued() }

// quiet lets a task wait until no other one is queued or running, as long as there is time for it, and reports whether that is so.
func (q *queue) quiet(ctx context.Context, timeout time.Duration) bool {
	if q.alone() {
		return true
	}
	idle := make(chan struct{})
	q.idle = idle
	q.wait(ctx, idle, timeout)
	q.idle = nil
	return q.alone()
}

// await gives the turn away while something is waited for.
func (q *queue) await(wait func()) {
	q.turn.Unlock()
	defer q.turn.Lock()
	wait()
}

// wait lets a task wait until something happens, while another one runs in its place. It returns early when ctx is done.
func (q *queue) wait(ctx context.Context, event <-chan struct{}, timeout time.Duration) {
	q.await(func() { q.replace(ctx, event, timeout) })
}

// pause is wait for a task that has given its turn away.
func (q *queue) pause(ctx context.Context, d time.Duration) { q.replace(ctx, nil, d) }

// replace starts a worker in place of one that waits without its turn.
func (q *queue) replace(ctx context.Context, event <-chan struct{}, timeout time.Duration) {
	q.more()
	s := slotOf(ctx)
	q.slots.give(s)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-event:
	case <-timer.C:
	case <-ctx.Done():
	}
	q.take(s) // without one, as ctx is done, the task has no time to ask for more
	q.turn.Lock()
	defer q.turn.Unlock()
	q.surplus++
	q.changed.Signal() // a worker that is idle can end
}
