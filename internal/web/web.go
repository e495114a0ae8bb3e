// Package web serves the exporter's pages: metrics, targets, health, configuration, reload, and a page for people.
package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/collector"
	"glance_share_exporter/dashboards"
)

// Options are what the pages show and do. All but Reload and the three paths are required.
type Options struct {
	// Clouds returns the clouds to collect now. The caller must call release when it no longer uses them: until then, a
	// reload leaves them open.
	Clouds func() (clouds []*collector.Cloud, release func())
	// Config returns the effective configuration without its secrets.
	Config func() ([]byte, error)
	// Reload reloads the configuration, all or nothing; nil: reload over HTTP is disabled.
	Reload func() error
	// Gatherer has the metrics of the process, including the counters of API requests.
	Gatherer prometheus.Gatherer
	Logger   log.Logger
	Version  string

	// TelemetryPath is the path of the metrics, default /metrics.
	TelemetryPath string
	// ExternalURL is the URL under which people reach the exporter, if it is behind a proxy.
	ExternalURL string
	// RoutePrefix is the path prefix of all pages, default the path of ExternalURL.
	RoutePrefix string

	// MaxRequests is how many pages may be collected at once, see [places]; 0: no limit.
	MaxRequests int
	// Pprof is whether the pages of net/http/pprof are served.
	Pprof bool
}

// New returns the exporter's pages.
func New(opts Options) (http.Handler, error) {
	external, prefix, err := prefixes(opts.ExternalURL, opts.RoutePrefix)
	if err != nil {
		return nil, err
	}
	telemetry, err := telemetryPath(opts.TelemetryPath)
	if err != nil {
		return nil, err
	}
	people := newPeople()
	status, err := newStatusPage(opts, external, telemetry, people)
	if err != nil {
		return nil, err
	}
	runbooks, err := newRunbooks(dashboards.Runbooks, external, people)
	if err != nil {
		return nil, err
	}
	scrapes := &scraper{opts: &opts, places: newPlaces(opts.MaxRequests), shared: newSharedSeries()}
	mux := http.NewServeMux()
	mux.Handle("GET "+prefix+"/{$}", status)
	mux.Handle("GET "+prefix+"/runbooks", runbooks)
	readers := newPeople()
	mux.Handle("GET "+prefix+"/shares.csv", &sharesPage{status, readers, false})
	mux.Handle("GET "+prefix+"/shares.json", &sharesPage{status, readers, true})
	mux.Handle("GET "+prefix+telemetry, &metricsHandler{scraper: scrapes, probe: prefix + "/probe"})
	mux.Handle("GET "+prefix+"/probe", &probeHandler{scraper: scrapes, took: map[string]*rendering{}})
	mux.Handle("GET "+prefix+"/sd", opts.discovery(prefix))
	mux.HandleFunc("GET "+prefix+"/config", opts.config)
	mux.HandleFunc("GET "+prefix+"/-/healthy", text("Healthy.\n"))
	mux.HandleFunc("GET "+prefix+"/-/ready", text("Ready.\n")) // the server starts after the configuration was loaded
	mux.HandleFunc("POST "+prefix+"/-/reload", opts.reload)
	mux.HandleFunc("PUT "+prefix+"/-/reload", opts.reload)
	if prefix != "" {
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
			to := url.URL{Path: prefix + "/", RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, to.String(), http.StatusFound)
		})
	}
	if opts.Pprof {
		addPprof(mux, prefix)
	}
	return hardened(readBody(mux)), nil
}

// discovery returns the page of targets. prefix is the path prefix under which the pages are served.
func (o *Options) discovery(prefix string) *discovery {
	d := &discovery{clouds: o.Clouds, probe: prefix + "/probe"}
	if u, err := url.Parse(o.ExternalURL); err == nil && o.ExternalURL != "" {
		d.external, d.probe = u, strings.TrimRight(u.Path, "/")+"/probe"
	}
	return d
}

// MetricsPath returns the path under which the metrics are served, or an error about one of the three flags.
func MetricsPath(externalURL, routePrefix, telemetry string) (string, error) {
	_, prefix, err := prefixes(externalURL, routePrefix)
	if err != nil {
		return "", err
	}
	telemetry, err = telemetryPath(telemetry)
	return prefix + telemetry, err
}

// HealthPath returns the path of the health check, or an error about one of the two flags.
func HealthPath(externalURL, routePrefix string) (string, error) {
	_, prefix, err := prefixes(externalURL, routePrefix)
	return prefix + "/-/healthy", err
}

func telemetryPath(p string) (string, error) {
	if p == "" {
		return "/metrics", nil
	}
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p || p == "/" || reserved(p) || strings.ContainsAny(p, "{} \t") {
		return "", fmt.Errorf("--web.telemetry-path=%s: must be a path such as /metrics that no other page uses", p)
	}
	return p, nil
}

func reserved(p string) bool {
	others := []string{"/config", "/probe", "/runbooks", "/sd", "/shares.csv", "/shares.json"}
	return slices.Contains(others, p) || strings.HasPrefix(p+"/", "/-/")
}

// prefixes returns the path prefix in the client's URLs and the one that is served, both without a trailing slash.
func prefixes(externalURL, routePrefix string) (external, prefix string, err error) {
	if externalURL != "" {
		u, err := url.Parse(externalURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
			return "", "", fmt.Errorf("--web.external-url=%s: must be a URL such as https://monitoring.example.com/glance", externalURL)
		}
		external = strings.TrimRight(u.Path, "/")
	}
	if routePrefix == "" {
		return external, external, nil
	}
	prefix = strings.TrimRight("/"+strings.Trim(routePrefix, "/"), "/")
	if strings.ContainsAny(prefix, "{} \t") || prefix != strings.TrimRight(path.Clean("/"+prefix), "/") {
		return "", "", fmt.Errorf("--web.route-prefix=%s: must be a path such as /glance", routePrefix)
	}
	if externalURL == "" {
		external = prefix
	}
	return external, prefix, nil
}

func (o *Options) config(w http.ResponseWriter, _ *http.Request) {
	yaml, err := o.Config()
	if err != nil {
		_ = level.Error(o.Logger).Log("msg", "rendering the configuration", "err", err)
		http.Error(w, "cannot render the configuration: see the log of the exporter", http.StatusInternalServerError)
		return
	}
	plain(w, string(yaml))
}

func (o *Options) reload(w http.ResponseWriter, r *http.Request) {
	if o.Reload == nil {
		http.Error(w, "reload over HTTP is disabled: start with --web.enable-lifecycle, or send SIGHUP", http.StatusForbidden)
		return
	}
	if o.crossSite(r) {
		const text = "cross-site request refused: send it from a page of this exporter, or without Origin and Sec-Fetch-Site, as curl does"
		http.Error(w, text, http.StatusForbidden)
		return
	}
	if err := o.Reload(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	plain(w, "Reloaded.\n")
}

// crossSite reports whether a page of another origin made a browser send the request. The scheme may differ, because a
// proxy may terminate TLS. [http.CrossOriginProtection] ignores Origin where Sec-Fetch-Site is same-origin.
func (o *Options) crossSite(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	external, err := url.Parse(o.ExternalURL)
	return slices.ContainsFunc(r.Header.Values("Origin"), func(raw string) bool {
		origin, badOrigin := url.Parse(raw)
		if badOrigin != nil || origin.Host == "" {
			return true
		}
		own := strings.EqualFold(origin.Host, r.Host) || err == nil && strings.EqualFold(origin.Host, external.Host)
		return !own
	})
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { plain(w, s) }
}

func plain(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(s)) // the client may have disconnected
}

// Closed reports whether a server ended because it was shut down.
func Closed(err error) bool { return err == nil || errors.Is(err, http.ErrServerClosed) }
