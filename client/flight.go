package client

import (
	"context"
	"sync"
	"time"
)

// flight makes one call at a time for all who need its result. A call goes on when they stop waiting: those who come next
// get its result. The zero value is ready to use.
type flight[T any] struct {
	mu       sync.Mutex
	inFlight *call[T] // nil: none
	cancel   context.CancelFunc
	closed   bool
	calls    sync.WaitGroup
}

// call is one call of a flight.
type call[T any] struct {
	done  chan struct{}
	value T
	err   error
}

var errClosed = &Error{Op: OpAuthenticate, Code: CodeCanceled, Message: "closed"}

// current returns the call in flight, nil where there is none.
func (f *flight[T]) current() *call[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inFlight
}

// start returns the call in flight or starts one, which calls fn. After close it fails.
func (f *flight[T]) start(timeout time.Duration, fn func(context.Context) (T, error)) *call[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inFlight != nil {
		return f.inFlight
	}
	c := &call[T]{done: make(chan struct{})}
	if f.closed {
		c.err = errClosed
		close(c.done)
		return c
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	f.inFlight, f.cancel = c, cancel
	f.calls.Go(func() {
		defer cancel()
		c.value, c.err = fn(ctx)
		f.mu.Lock()
		f.inFlight = nil
		f.mu.Unlock()
		close(c.done) // Not before: who waited can start the next call.
	})
	return c
}

// wait returns the call's result, or an *Error when ctx ends before it.
func (c *call[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none T
		code, message := transportError(ctx, ctx.Err())
		return none, &Error{Op: OpAuthenticate, Code: code, Message: message}
	}
}

// close cancels the call in flight and waits for its end.
func (f *flight[T]) close() {
	f.mu.Lock()
	f.closed = true
	if f.inFlight != nil {
		f.cancel()
	}
	f.mu.Unlock()
	f.calls.Wait()
}
