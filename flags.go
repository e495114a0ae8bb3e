package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"glance_share_exporter/internal/serve"
	"glance_share_exporter/internal/version"
	"glance_share_exporter/internal/web"
)

type flags struct {
	configFile             string
	configCheck            bool
	autoReload             time.Duration
	once                   bool
	preflight              bool
	printExpected          bool
	cloud                  string // of --print-expected; empty: all
	demo                   bool
	healthcheck            bool
	toolkit                *toolkit.FlagConfig
	telemetryPath          string
	externalURL            string
	routePrefix            string
	enableLifecycle        bool
	enablePprof            bool
	maxRequests            int
	disableExporterMetrics bool
	logLevel               string
	logFormat              string
}

// parseFlags returns nil without an error where only help or the version was asked for, and printed.
func parseFlags(args []string, stdout io.Writer) (*flags, error) {
	app := kingpin.New("glance_share_exporter",
		"Prometheus exporter that shows who can use which OpenStack image. On every scrape it reads the images' members from the image API.")
	printed := false
	app.UsageWriter(stdout).Terminate(func(int) { printed = true })
	app.Version(version.Text())
	app.HelpFlag.Short('h')
	f, levels, formats := &flags{}, []string{"debug", "info", "warn", "error"}, []string{"logfmt", "json"}
	app.Flag("config.file", "Path to the configuration.").Default("exporter.yml").StringVar(&f.configFile)
	app.Flag("config.check", "Check the configuration and exit.").BoolVar(&f.configCheck)
	app.Flag("config.auto-reload-interval", "How often to check the configuration and the files it refers to for changes, "+
		"and to reload then; 0s: never. A change is loaded when two checks at least 1s apart found the same content.").
		Default("0s").DurationVar(&f.autoReload)
	app.Flag("once", "Collect once, print the metrics and exit: with 1 if a cloud could not be read.").BoolVar(&f.once)
	app.Flag("preflight", "Log in to each cloud, report what the exporter can read there and which rights it needs, and exit: "+
		"with 1 if it cannot read everything.").BoolVar(&f.preflight)
	app.Flag("print-expected", "Collect once, print who can use which image now as images with expected_members, and exit: "+
		"with 1 if not everything could be read. With =CLOUD, of one cloud alone.").BoolVar(&f.printExpected)
	app.Arg("cloud", "The cloud of --print-expected, by default all.").StringVar(&f.cloud) // kingpin has no flag whose value is optional
	app.Flag("demo", "Serve a built-in fake cloud that changes every ten seconds, with a built-in configuration.").BoolVar(&f.demo)
	app.Flag("healthcheck", "Check whether an exporter with the same flags responds, and exit: "+
		"with 1 if there is no response within 3 seconds.").BoolVar(&f.healthcheck)
	f.toolkit = kingpinflag.AddFlags(app, ":10292")
	app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").StringVar(&f.telemetryPath)
	app.Flag("web.external-url", "URL at which the exporter is reached through a proxy. "+
		"Its path becomes the route prefix.").StringVar(&f.externalURL)
	app.Flag("web.route-prefix", "Path prefix of all pages, if it is not the path of --web.external-url.").StringVar(&f.routePrefix)
	app.Flag("web.enable-lifecycle", "Allow a reload by POST /-/reload. SIGHUP reloads always.").BoolVar(&f.enableLifecycle)
	app.Flag("web.enable-pprof", "Serve profiles of the process on /debug/pprof/.").BoolVar(&f.enablePprof)
	app.Flag("web.max-requests", "How many pages of metrics may be collected at once; 0: any number.").Default("40").IntVar(&f.maxRequests)
	app.Flag("web.disable-exporter-metrics", "Leave out the metrics of the process itself (go_*, process_*).").
		BoolVar(&f.disableExporterMetrics)
	app.Flag("log.level", "Only log messages of this severity or above: "+strings.Join(levels, ", ")+".").
		Default("info").HintOptions(levels...).StringVar(&f.logLevel)
	app.Flag("log.format", "Format of log messages: "+strings.Join(formats, ", ")+".").
		Default("logfmt").HintOptions(formats...).StringVar(&f.logFormat)
	_, err := app.Parse(args)
	switch {
	case printed:
		return nil, nil
	case err != nil:
		return nil, err
	case !slices.Contains(levels, f.logLevel):
		return nil, fmt.Errorf("--log.level=%s: must be one of %s", f.logLevel, strings.Join(levels, ", "))
	case !slices.Contains(formats, f.logFormat):
		return nil, fmt.Errorf("--log.format=%s: must be one of %s", f.logFormat, strings.Join(formats, ", "))
	}
	return f, f.validate()
}

// validate returns an error that names the flag, which kingpin's own do not.
func (f *flags) validate() error {
	mode := ""
	for _, m := range []struct {
		name string
		on   bool
	}{{"--preflight", f.preflight}, {"--print-expected", f.printExpected}, {"--once", f.once}, {"--config.check", f.configCheck}} {
		switch {
		case m.on && mode != "":
			return fmt.Errorf("%s and %s: write one of them, and run the other one after it", mode, m.name)
		case m.on:
			mode = m.name
		}
	}
	if f.cloud != "" && !f.printExpected {
		return fmt.Errorf("unexpected argument %q: write --config.file=FILE for a configuration, or --print-expected=CLOUD for a cloud", f.cloud)
	}
	if f.autoReload < 0 {
		return fmt.Errorf("--config.auto-reload-interval=%s: must not be negative: write 0s for never", f.autoReload)
	}
	if f.maxRequests < 0 {
		return fmt.Errorf("--web.max-requests=%d: must not be negative: write 0 for any number", f.maxRequests)
	}
	if _, err := web.MetricsPath(f.externalURL, f.routePrefix, f.telemetryPath); err != nil {
		return err
	}
	if file := *f.toolkit.WebConfigFile; file != "" {
		return serve.CheckFile(file)
	}
	return nil
}

// serves reports whether the program goes on to serve.
func (f *flags) serves() bool { return !f.configCheck && !f.once && !f.preflight && !f.printExpected }

// withoutFile adds to an error how to start without a configuration, if that is what is missing.
func withoutFile(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w; try --demo without one, or see --help", err)
}
