package collector

import (
	"context"
	"sync"
	"time"
)

// queue distributes the tasks of one run to its workers. A task may add tasks. The queue ends when no task is queued or
// running.
//
// Tasks run one at a time: each has the turn until it ends or waits for something, usually a response. So a task may
// use everything that belongs to the run, and nothing changes between two of its requests. The caller of a method has
// the turn, unless the method's comment states otherwise.
type queue struct {
	turn    sync.Mutex
	changed sync.Cond
	first   []task
	slow    []task // for what timed out last time
	rest    []task
	last    []task // after all others

	workers int
	running int
	hanging int // running tasks from slow
	surplus int // workers that must end

	idle chan struct{} // closed when the task that waits for it is the only one; nil: none waits

	all         sync.WaitGroup
	slots       *slots           // one for each task that does not pause
	lowPriority bool             // see slots
	more        func()           // starts another worker
	take        func(*slot) bool // waits for a slot until the context of work is done

	held    int     // number of slots; guarded by the slots' mu
	waiting []*slot // guarded by the slots' mu
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

// work runs the tasks with a number of workers until the queue ends or ctx is done, and waits for the workers.
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

// run is a worker. The caller does not have the turn.
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
		if held && ctx.Err() == nil { // otherwise the worker only empties the queue
			t(ctx)
		}
		q.slots.give(s)
		q.done(slow)
	}
}

// next waits for a task. Tasks from slow come before the rest until they occupy half of the workers. So they start
// early and cannot delay the images that respond.
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

// alone reports whether one task is running and none is queued.
func (q *queue) alone() bool { return q.running == 1 && !q.queued() }

// quiet waits until no task but the caller's is queued or running, at most for timeout, and reports whether that is so.
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

// await releases the turn while wait runs.
func (q *queue) await(wait func()) {
	q.turn.Unlock()
	defer q.turn.Lock()
	wait()
}

// wait waits for an event, at most for timeout, while another worker runs in place of the task. It returns early when
// ctx is done.
func (q *queue) wait(ctx context.Context, event <-chan struct{}, timeout time.Duration) {
	q.await(func() { q.replace(ctx, event, timeout) })
}

// pause is wait without an event, for a task that has released the turn.
func (q *queue) pause(ctx context.Context, d time.Duration) { q.replace(ctx, nil, d) }

// replace starts a worker in place of one that waits without the turn.
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
	q.take(s) // without a slot, ctx is done, and the task sends no more requests
	q.turn.Lock()
	defer q.turn.Unlock()
	q.surplus++
	q.changed.Signal() // an idle worker can end
}
