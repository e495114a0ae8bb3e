package web

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/collector"
)

// probeHandler collects one cloud on each request. Its page has no counters, so that any of several exporters may answer.
type probeHandler struct {
	opts Options

	mu   sync.Mutex
	took map[string]*rendering // by cloud
}

func (h *probeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, err := cloudParameter(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	clouds := h.opts.Clouds()
	i := slices.IndexFunc(clouds, func(c *collector.Cloud) bool { return c.Name() == name })
	if i < 0 {
		http.Error(w, fmt.Sprintf("no cloud %q: the configuration has %s", name, strings.Join(names(clouds), ", ")), http.StatusNotFound)
		return
	}
	h.opts.scrape(w, r, clouds[i:i+1], prometheus.NewRegistry(), h.rendering(clouds[i].Name()))
}

// rendering returns how long the page of a configured cloud took.
func (h *probeHandler) rendering(cloud string) *rendering {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.took[cloud] == nil {
		h.took[cloud] = &rendering{}
	}
	return h.took[cloud]
}

// cloudParameter returns the one parameter that there may be.
func cloudParameter(query url.Values) (string, error) {
	for name := range query {
		if name != "cloud" {
			return "", fmt.Errorf("unknown parameter %q: write /probe?cloud=NAME, with the name of a cloud of the configuration", name)
		}
	}
	switch values := query["cloud"]; {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("which cloud? Write /probe?cloud=NAME, with the name of a cloud of the configuration")
	case len(values) > 1:
		return "", fmt.Errorf("more than one cloud: write /probe?cloud=NAME for each of them")
	}
	return query.Get("cloud"), nil
}

func names(clouds []*collector.Cloud) []string {
	list := make([]string, len(clouds))
	for i, c := range clouds {
		list[i] = c.Name()
	}
	return list
}

// targetGroup is what Prometheus' http_sd_configs reads, see https://prometheus.io/docs/prometheus/latest/http_sd/.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discovery lists a target per cloud that is collected by /probe. Where people reach the exporter under another URL, that
// is where the targets are, else where the request came to.
type discovery struct {
	clouds   func() []*collector.Cloud
	external *url.URL // nil: not told
	probe    string   // path of the page for one cloud
}

func (d *discovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	address, scheme := r.Host, "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if d.external != nil {
		address, scheme = d.external.Host, d.external.Scheme
	}
	groups := []targetGroup{}
	for _, c := range d.clouds() {
		if !c.ByProbe() {
			continue
		}
		groups = append(groups, targetGroup{Targets: []string{withPort(address, scheme)}, Labels: map[string]string{
			"__scheme__": scheme, "__metrics_path__": d.probe, "__param_cloud": c.Name(), "instance": c.Name(),
		}})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(groups) // whoever asked may have gone
}

// withPort makes an address whole: without a port Prometheus would not know the scheme's.
func withPort(address, scheme string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}
