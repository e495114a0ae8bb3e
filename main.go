// Command glance_share_exporter tells Prometheus who can use which OpenStack image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/expfmt"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
	"glance_share_exporter/internal/preflight"
	"glance_share_exporter/internal/signals"
	"glance_share_exporter/internal/version"
	"glance_share_exporter/internal/web"
)

// drainTimeout is how long requests may go on after SIGTERM. A second later at most the program ends, before Docker kills
// it after 10 s.
const drainTimeout = 5 * time.Second

func main() {
	if err := run(signals.Context(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, syscall.EPIPE) { // as with "--once | head -1"
			fmt.Fprintln(os.Stderr, "glance_share_exporter:", err)
		}
		os.Exit(1)
	}
}

// run is the whole program. It returns when ctx is done and everything that it started has ended.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags, err := parseFlags(args, stdout)
	if err != nil || flags == nil {
		return err
	}
	if flags.healthcheck {
		return healthcheck(ctx, flags, stdout)
	}
	if flags.preflight {
		stderr = io.Discard // the page says it all, and better
	}
	logger, toolkitLogger := newLoggers(stderr, flags.logLevel, flags.logFormat)
	hup := make(chan os.Signal, 1) // from now on, because the configuration that is loaded below may change meanwhile
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	name := flags.configFile
	load := func() (*config.Config, error) { return config.Load(name) }
	var demo *demo
	if flags.demo {
		var err error
		if demo, err = startDemo(ctx, flags, stdout, logger); err != nil {
			return err
		}
		defer demo.stop()
		name, load = demo.name, demo.load
	}
	if flags.configCheck {
		c, err := interruptible(ctx, load)
		if err != nil {
			return withoutFile(err)
		}
		for _, text := range c.Warnings {
			fmt.Fprintln(stdout, "warning:", text)
		}
		_, err = fmt.Fprintf(stdout, "%s: good\n", name)
		return err
	}
	_ = level.Info(logger).Log("msg", "starting", "version", version.Version())

	api := collector.NewAPIMetrics()
	runtime, err := interruptible(ctx, func() (*exporter.Runtime, error) {
		return exporter.NewRuntime(exporter.RuntimeOptions{
			Load: load, API: api, UserAgent: "glance_share_exporter/" + version.Version(), Logger: logger,
		})
	})
	if err != nil {
		return withoutFile(err)
	}
	defer runtime.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(api, runtime, versioncollector.NewCollector("glance_exporter"))
	if flags.once {
		return once(ctx, runtime, registry, stdout)
	}
	if !flags.disableExporterMetrics {
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if flags.preflight {
		return checkClouds(ctx, runtime, registry, stdout)
	}
	pages := web.Options{
		Clouds: runtime.Clouds, Config: runtime.Redacted, Gatherer: registry,
		Logger: log.With(logger, "component", "web"), Version: version.Version(),
		TelemetryPath: flags.telemetryPath, ExternalURL: flags.externalURL, RoutePrefix: flags.routePrefix,
		MaxRequests: flags.maxRequests, Pprof: flags.enablePprof,
	}
	reload := func(ctx context.Context) error { return logReload(logger, runtime.Reload(ctx)) }
	if flags.enableLifecycle {
		pages.Reload = func() error { return reload(ctx) }
	}
	handler, err := web.New(pages)
	if err != nil {
		return err
	}
	server := web.Server(handler)
	server.ErrorLog = slog.NewLogLogger(toolkitLogger.Handler(), slog.LevelWarn)
	listen := func() error {
		err := toolkit.ListenAndServe(server, flags.toolkit, toolkitLogger)
		if file := *flags.toolkit.WebConfigFile; file != "" && !web.Closed(err) {
			if _, network := errors.AsType[*net.OpError](err); !network {
				return webConfigError(file, err)
			}
		}
		return err
	}
	var check <-chan time.Time // never, if nil
	if flags.autoReload > 0 {
		ticker := time.NewTicker(flags.autoReload)
		defer ticker.Stop()
		check = ticker.C
	}
	events := events{hup: hup, reload: reload, check: check, reloadIfChanged: func(ctx context.Context) time.Duration {
		wait, err := runtime.ReloadIfChanged(ctx)
		_ = logReload(logger, err)
		return wait
	}}
	if demo != nil {
		scraping, stop := context.WithCancel(ctx)
		var scraper sync.WaitGroup
		scraper.Go(func() { demo.scrape(scraping, runtime.Clouds) })
		defer scraper.Wait()
		defer stop()
	}
	return serve(ctx, server, listen, events, logger)
}

// withoutFile adds to an error how to start without a configuration, if that is what is missing.
func withoutFile(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w; try --demo without one, or see --help", err)
}

// once collects every cloud one time and prints the page.
func once(ctx context.Context, runtime *exporter.Runtime, registry prometheus.Gatherer, stdout io.Writer) error {
	clouds, release := runtime.Clouds()
	defer release()
	snapshots := web.Collect(ctx, clouds, collector.Limits{Timeout: web.DefaultTimeout, Fresh: true})
	families, err := web.Gather(snapshots, registry)
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(stdout, family); err != nil {
			return err
		}
	}
	for _, s := range snapshots {
		if !s.Up {
			err = errors.Join(err, fmt.Errorf("cloud %s could not be read; the log says why", s.Cloud))
		}
	}
	return err
}

// checkClouds looks at every cloud one time and prints what is to be said of it.
func checkClouds(ctx context.Context, runtime *exporter.Runtime, registry prometheus.Gatherer, stdout io.Writer) error {
	opts := preflight.Options{Timeout: web.DefaultTimeout, Process: registry}
	for _, c := range runtime.Connections() {
		opts.Clouds = append(opts.Clouds, preflight.Cloud{
			Auth: c.Cloud.Auth(), Options: c.Cloud.Collector, ClientOptions: c.Cloud.Client, Collector: c.Collector, Client: c.Client,
		})
	}
	result, err := preflight.Run(ctx, opts)
	if err != nil {
		return err
	}
	if err := result.Write(stdout, preflight.Coloured(stdout)); err != nil {
		return err
	}
	if len(result.Failed()) > 0 {
		return errors.New("preflight failed")
	}
	return nil
}

// interruptible returns what load returns. Reading a file on a network mount that hangs cannot be canceled, so once ctx is
// done, interruptible waits for another second only.
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

// logReload logs why a reload failed, unless the program ends.
func logReload(logger log.Logger, err error) error {
	if err != nil && !errors.Is(err, context.Canceled) {
		_ = level.Error(logger).Log("msg", "reload refused, the old configuration stays", "err", err)
	}
	return err
}

// events are what happens while the program serves, and what is done then. The functions log their errors. They return once
// their context is done.
type events struct {
	hup             <-chan os.Signal
	reload          func(context.Context) error
	check           <-chan time.Time
	reloadIfChanged func(context.Context) (wait time.Duration)
}

// serve serves and reloads until ctx is done, and then shuts down.
func serve(ctx context.Context, server *http.Server, listen func() error, on events, logger log.Logger) error {
	served := make(chan error, 1)
	go func() { served <- listen() }()
	reloading, stop := context.WithCancel(ctx)
	reloads := sync.WaitGroup{}
	defer reloads.Wait()
	defer stop()
	// One reload at a time runs beside this loop, which must not wait for its files. A SIGHUP meanwhile is kept.
	hup, check, again, reloaded := on.hup, on.check, (<-chan time.Time)(nil), make(chan time.Duration, 1)
	start := func(reload func() time.Duration) {
		hup, check, again = nil, nil, nil
		reloads.Go(func() { reloaded <- reload() })
	}
	reload := func() time.Duration {
		_ = on.reload(reloading)
		return 0
	}
	reloadIfChanged := func() time.Duration { return on.reloadIfChanged(reloading) }
	for {
		select {
		case <-hup:
			start(reload)
		case <-check:
			start(reloadIfChanged)
		case <-again:
			start(reloadIfChanged)
		case wait := <-reloaded:
			hup, check = on.hup, on.check
			if wait > 0 {
				again = time.After(wait)
			}
		case err := <-served:
			return err
		case <-ctx.Done():
			return shutDown(ctx, server, served, logger)
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
