// Package serve runs the HTTP server, reloads the configuration meanwhile, and shuts down.
package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"glance_share_exporter/internal/web"
)

// drainTimeout is how long requests may go on after SIGTERM. A second later at most the program ends, before Docker kills
// it after 10 s.
const drainTimeout = 5 * time.Second

// Options are what [Run] serves, and what it does meanwhile. All are required.
type Options struct {
	Handler http.Handler
	Toolkit *toolkit.FlagConfig
	// ServerLogger is for net/http and exporter-toolkit.
	ServerLogger *slog.Logger
	Logger       log.Logger

	// Reload is called for each signal of HUP, and ReloadIfChanged every CheckInterval, unless that is 0, and after the time
	// that it returned. They log their errors, and return once their context is done.
	HUP             <-chan os.Signal
	Reload          func(context.Context) error
	CheckInterval   time.Duration
	ReloadIfChanged func(context.Context) (wait time.Duration, err error)
}

// Run serves and reloads until ctx is done. Then it shuts down.
func Run(ctx context.Context, opts Options) error {
	server := web.Server(opts.Handler)
	server.ErrorLog = slog.NewLogLogger(opts.ServerLogger.Handler(), slog.LevelWarn)
	var check <-chan time.Time // never, if nil
	if opts.CheckInterval > 0 {
		ticker := time.NewTicker(opts.CheckInterval)
		defer ticker.Stop()
		check = ticker.C
	}
	return opts.serve(ctx, server, func() error { return opts.listen(server) }, check)
}

func (o *Options) listen(server *http.Server) error {
	err := toolkit.ListenAndServe(server, o.Toolkit, o.ServerLogger)
	if _, network := errors.AsType[*net.OpError](err); network || web.Closed(err) || *o.Toolkit.WebConfigFile == "" {
		return err
	}
	return fileError(*o.Toolkit.WebConfigFile, err)
}

// serve is Run with a server, how it listens, and when to look for changes.
func (o *Options) serve(ctx context.Context, server *http.Server, listen func() error, check <-chan time.Time) error {
	served := make(chan error, 1)
	go func() { served <- listen() }()
	reloading, stop := context.WithCancel(ctx)
	var reloads sync.WaitGroup
	defer reloads.Wait()
	defer stop()
	// One reload at a time runs beside this loop, which must not wait for its files. Meanwhile the channels that begin one are nil, so that
	// nothing is received from them; a SIGHUP is kept.
	reloaded := make(chan time.Duration, 1)
	hup, tick, again := o.HUP, check, (<-chan time.Time)(nil)
	start := func(reload func(context.Context) (time.Duration, error)) {
		hup, tick, again = nil, nil, nil
		reloads.Go(func() {
			wait, _ := reload(reloading)
			reloaded <- wait
		})
	}
	for {
		select {
		case <-hup:
			start(func(ctx context.Context) (time.Duration, error) { return 0, o.Reload(ctx) })
		case <-tick:
			start(o.ReloadIfChanged)
		case <-again:
			start(o.ReloadIfChanged)
		case wait := <-reloaded:
			hup, tick = o.HUP, check
			if wait > 0 {
				again = time.After(wait)
			}
		case err := <-served:
			return err
		case <-ctx.Done():
			return shutDown(ctx, server, served, o.Logger)
		}
	}
}

// shutDown refuses new requests, and cuts off those that do not end within drainTimeout.
func shutDown(ctx context.Context, server *http.Server, served <-chan error, logger log.Logger) error {
	_ = level.Info(logger).Log("msg", "stopping")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = level.Warn(logger).Log("msg", "requests are cut off", "after", drainTimeout)
		err = server.Close()
	}
	if serveErr := <-served; !web.Closed(serveErr) {
		err = errors.Join(err, serveErr)
	}
	_ = level.Info(logger).Log("msg", "stopped")
	return err
}
