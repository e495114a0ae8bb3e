package collector

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A task waits for no worker while one is idle, whatever others did before: one has paused, so that there is a worker too many.
func TestATaskWaitsForNoIdleWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(newSlots(8), false)
		start := time.Now()
		q.add(&q.first, func(ctx context.Context) {
			q.await(func() { q.pause(ctx, time.Second) })
			q.await(func() { time.Sleep(time.Minute) })
		})
		q.add(&q.first, func(context.Context) {
			q.await(func() { time.Sleep(2 * time.Second) })
			q.add(&q.rest, func(context.Context) {
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("it began after %s", took)
				}
			})
			q.await(func() { time.Sleep(30 * time.Second) })
		})
		q.turn.Lock()
		defer q.turn.Unlock()
		q.work(t.Context(), 6)
	})
}
