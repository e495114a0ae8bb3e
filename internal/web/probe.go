package web

import (
	"encoding/json"
	"errors"
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

// probeHandler collects one cloud on each request. Its page has no counters, so that any replica may serve it.
type probeHandler struct {
	*scraper

	mu   sync.Mutex
	took map[string]*rendering // by cloud
}

func (h *probeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, shard, err := parameters(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	clouds, release := h.opts.Clouds()
	release = sync.OnceFunc(release)
	defer release()
	i := slices.IndexFunc(clouds, func(c *collector.Cloud) bool { return c.Name() == name })
	if i < 0 {
		http.Error(w, fmt.Sprintf("no cloud %q: the configuration has %s", name, strings.Join(names(clouds), ", ")), http.StatusNotFound)
		return
	}
	if shard != (collector.Shard{}) && clouds[i].Refreshes() {
		http.Error(w, fmt.Sprintf("cloud %q has a refresh_interval and therefore no shards: remove parameter shard", name), http.StatusBadRequest)
		return
	}
	h.serve(w, r, &scrape{
		place: place{cloud: name, shard: shard}, clouds: clouds[i : i+1], release: release,
		process: prometheus.NewRegistry(), took: h.rendering(name),
	})
}

// rendering returns the rendering of the pages of a configured cloud.
func (h *probeHandler) rendering(cloud string) *rendering {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.took[cloud] == nil {
		h.took[cloud] = &rendering{}
	}
	return h.took[cloud]
}

// parameters returns the name of the cloud and the shard, which is optional.
func parameters(query url.Values) (cloud string, shard collector.Shard, err error) {
	for name, values := range query {
		switch {
		case name != "cloud" && name != "shard":
			return "", shard, fmt.Errorf("unknown parameter %q: use /probe?cloud=NAME, with the name of a cloud in the configuration", name)
		case len(values) > 1:
			return "", shard, fmt.Errorf("duplicate parameter %s: use /probe?cloud=NAME once for each cloud", name)
		}
	}
	if cloud = query.Get("cloud"); cloud == "" {
		return "", shard, errors.New("parameter cloud is missing: use /probe?cloud=NAME, with the name of a cloud in the configuration")
	}
	if query.Has("shard") {
		shard, err = collector.ParseShard(query.Get("shard"))
	}
	return cloud, shard, err
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

// discovery lists a target for each cloud, or shard of a cloud, that is collected by /probe. The targets have the
// address in the external URL if there is one, else the one that the request was sent to. The label exporter
// distinguishes the targets of several exporters, which have the same instance.
type discovery struct {
	clouds   func() ([]*collector.Cloud, func())
	external *url.URL // nil: not configured
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
	address = withPort(address, scheme)
	clouds, release := d.clouds()
	defer release()
	groups := []targetGroup{}
	for _, c := range clouds {
		if !c.ByProbe() {
			continue
		}
		shards := c.Shards()
		for n := range max(shards, 1) {
			labels := map[string]string{
				"__scheme__": scheme, "__metrics_path__": d.probe, "__param_cloud": c.Name(), "exporter": address, "instance": c.Name(),
			}
			if shards > 0 {
				labels["__param_shard"] = collector.Shard{Number: n + 1, Of: shards}.String()
				labels["instance"] = fmt.Sprintf("%s/%d-of-%d", c.Name(), n+1, shards)
			}
			groups = append(groups, targetGroup{Targets: []string{address}, Labels: labels})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(groups) // the client may have disconnected
}

// withPort adds the scheme's default port to an address without a port.
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
