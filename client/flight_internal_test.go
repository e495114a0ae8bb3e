package client

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Those who come while a call is in flight get its result, and a call goes on when nobody waits for it.
func TestFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight[int]
		calls := 0
		count := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			calls++
			return calls, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := f.start(time.Minute, count).wait(ctx)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeTimeout {
			t.Errorf("got %v", err)
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if n, err := f.start(time.Minute, count).wait(t.Context()); n != 1 || err != nil {
					t.Errorf("got %d, %v", n, err)
				}
			})
		}
		all.Wait()
		if f.current() != nil {
			t.Error("a call that has ended is in flight")
		}
		if n, err := f.start(time.Minute, count).wait(t.Context()); n != 2 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

// The timeout and close end a call, and after close there is none.
func TestFlightEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight[int]
		hang := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		began := time.Now()
		if _, err := f.start(time.Minute, hang).
			wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(began) != time.Minute {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		call := f.start(time.Minute, hang)
		f.close()
		if _, err := call.wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := f.start(time.Minute, hang).wait(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("got %v after close", err)
		}
		f.close()
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backoff
		if b.active() {
			t.Error("it delays before a failure")
		}
		for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			b.extend(30 * time.Second)
			if now := time.Now(); b.until != now.Add(want) || b.failedAt() != now {
				t.Errorf("until %s, failed at %s, want %s", b.until, b.failedAt(), want)
			}
			time.Sleep(want - time.Nanosecond)
			if !b.active() {
				t.Errorf("it ended before %s", want)
			}
			time.Sleep(time.Nanosecond)
			if b.active() {
				t.Errorf("it goes on after %s", want)
			}
		}
		b.reset()
		if b.extend(time.Second); b.delay != time.Second {
			t.Errorf("after a reset the delay is %s", b.delay)
		}
	})
}
