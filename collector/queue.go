package collector

import (
	"context"
	"sync"
)

// queue hands the requests of one collection to its workers. A task may add tasks; the queue is over when none is left
// and none is running.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	first   []task
	slow    []task // hung the last time
	rest    []task
	running int
}

type task func(ctx context.Context)

func newQueue() *queue {
	q := &queue{}
	q.changed.L = &q.mu
	return q
}

func (q *queue) add(to *[]task, t task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*to = append(*to, t)
	q.changed.Signal()
}

// next waits for a task. Half of the workers take the slow ones before the rest, and half after it: so what was not
// read last time is asked first, and cannot hold up what can be read.
func (q *queue) next(slowFirst bool) (task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		order := [...]*[]task{&q.first, &q.rest, &q.slow}
		if slowFirst {
			order = [...]*[]task{&q.first, &q.slow, &q.rest}
		}
		for _, tasks := range order {
			if len(*tasks) > 0 {
				t := (*tasks)[0]
				(*tasks)[0] = nil
				*tasks = (*tasks)[1:]
				q.running++
				return t, true
			}
		}
		if q.running == 0 {
			q.changed.Broadcast()
			return nil, false
		}
		q.changed.Wait()
	}
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	q.changed.Broadcast()
}

// work runs the tasks with so many workers until the queue is over or ctx is done, and waits for them.
func (q *queue) work(ctx context.Context, workers int) {
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for {
				t, ok := q.next(i%2 == 1)
				if !ok {
					return
				}
				if ctx.Err() == nil { // else only empty the queue
					t(ctx)
				}
				q.done()
			}
		})
	}
	all.Wait()
}
