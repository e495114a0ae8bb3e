// Command glance_share_exporter tells Prometheus who can use which OpenStack image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/baseline"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/demo"
	"glance_share_exporter/internal/exporter"
	"glance_share_exporter/internal/healthcheck"
	"glance_share_exporter/internal/preflight"
	"glance_share_exporter/internal/serve"
	"glance_share_exporter/internal/signals"
	"glance_share_exporter/internal/version"
	"glance_share_exporter/internal/web"
)

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
		return healthcheck.Run(ctx, flags.toolkit, flags.externalURL, flags.routePrefix, stdout)
	}
	if flags.preflight {
		stderr = io.Discard // The report has it all.
	}
	logger, serverLogger := serve.NewLoggers(stderr, flags.logLevel, flags.logFormat)
	hup := make(chan os.Signal, 1) // from now on, because the configuration that is loaded below may change meanwhile
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	name, load := flags.configFile, func() (*config.Config, error) { return config.Load(flags.configFile) }
	var fake *demo.Demo
	if flags.demo {
		if fake, err = demo.Start(ctx, logger); err != nil {
			return err
		}
		defer fake.Stop()
		name, load = demo.Name, fake.Load
		if flags.serves() {
			address := serve.LocalAddress(flags.toolkit)
			if err := fake.WriteHint(stdout, address, flags.externalURL, flags.routePrefix, flags.telemetryPath); err != nil {
				return err
			}
		}
	}
	if flags.configCheck {
		loaded, err := exporter.Check(ctx, load)
		if err != nil {
			return withoutFile(err)
		}
		for _, text := range loaded.Warnings {
			fmt.Fprintln(stdout, "warning:", text)
		}
		_, err = fmt.Fprintf(stdout, "%s: good\n", name)
		return err
	}

	_ = level.Info(logger).Log("msg", "starting", "version", version.Version())
	api := collector.NewAPIMetrics()
	runtime, err := exporter.NewRuntime(ctx, exporter.RuntimeOptions{
		Load: load, API: api, UserAgent: "glance_share_exporter/" + version.Version(), Logger: logger,
	})
	if err != nil {
		return withoutFile(err)
	}
	defer runtime.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(api, runtime, versioncollector.NewCollector("glance_exporter"))
	if flags.once || flags.printExpected {
		clouds, release := runtime.Clouds()
		defer release()
		if flags.printExpected {
			return baseline.Print(ctx, clouds, flags.cloud, stdout)
		}
		return web.Once(ctx, clouds, registry, stdout)
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
	if flags.enableLifecycle {
		pages.Reload = func() error { return runtime.Reload(ctx) }
	}
	handler, err := web.New(pages)
	if err != nil {
		return err
	}
	if fake != nil {
		defer fake.Scrape(ctx, runtime.Clouds)()
	}
	return serve.Run(ctx, serve.Options{
		Handler: handler, Toolkit: flags.toolkit, ServerLogger: serverLogger, Logger: logger,
		HUP: hup, Reload: runtime.Reload, CheckInterval: flags.autoReload, ReloadIfChanged: runtime.ReloadIfChanged,
	})
}

// checkClouds prints what the exporter can read of each cloud.
func checkClouds(ctx context.Context, runtime *exporter.Runtime, process prometheus.Gatherer, stdout io.Writer) error {
	opts := preflight.Options{Timeout: web.DefaultTimeout, Process: process}
	for _, c := range runtime.Connections() {
		opts.Clouds = append(opts.Clouds, preflight.Cloud{
			Auth: c.Cloud.Auth(), Options: c.Cloud.Collector, ClientOptions: c.Cloud.Client, Collector: c.Collector, Client: c.Client,
		})
	}
	result, err := preflight.Run(ctx, opts)
	if err == nil {
		err = result.Write(stdout, preflight.Coloured(stdout))
	}
	if err == nil && len(result.Failed()) > 0 {
		err = errors.New("preflight failed")
	}
	return err
}
