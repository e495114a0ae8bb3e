package exporter

import (
	"context"
	"fmt"
	"time"

	"glance_share_exporter/internal/config"
)

// Check loads a configuration. Its error is what is wrong with the configuration.
func Check(ctx context.Context, load func() (*config.Config, error)) (*config.Config, error) {
	return interruptible(ctx, load)
}

// interruptible returns what load returns. Reading a file on a hanging network mount cannot be canceled, so
// interruptible waits for only one more second once ctx is done.
func interruptible[T any](ctx context.Context, load func() (T, error)) (T, error) {
	type result struct {
		loaded T
		err    error
	}
	done := make(chan result, 1)
	go func() {
		loaded, err := load()
		done <- result{loaded, err}
	}()
	select {
	case r := <-done:
		return r.loaded, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.loaded, r.err
	case <-time.After(time.Second):
		return *new(T), fmt.Errorf("loading the configuration: %w", context.Cause(ctx))
	}
}
