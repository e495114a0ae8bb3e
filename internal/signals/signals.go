// Package signals handles the signals of the process. It imports nothing but small packages of the standard library, so
// that Go initializes it before most others: a SIGHUP some milliseconds after the start must not end the process.
package signals

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func init() {
	// A SIGHUP before the program handles it has nothing to reload.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	// A write to a log whose reader has gone, as with "2>&1 | head -1", fails instead of ending the process.
	signal.Ignore(syscall.SIGPIPE)
}

// Context returns a context that is done at the first SIGTERM or SIGINT. A second one ends the process at once, with
// exit code 1.
func Context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		cancel()
		<-stop
		os.Exit(1)
	}()
	return ctx
}
