package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"glance_share_exporter/collector"
)

// metricsHandler collects, on each request, every cloud that is not collected by /probe.
type metricsHandler struct {
	*scraper
	probe string    // path of the page for one cloud
	took  rendering // of the last page
}

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("cloud") {
		http.Error(w, "parameter cloud is not supported here: use "+h.probe+"?cloud=NAME", http.StatusBadRequest)
		return
	}
	clouds, release := h.opts.Clouds()
	release = sync.OnceFunc(release)
	defer release()
	clouds = slices.DeleteFunc(clouds, (*collector.Cloud).ByProbe)
	h.serve(w, r, &scrape{clouds: clouds, release: release, process: h.opts.Gatherer, took: &h.took})
}

// Collect collects the clouds side by side, in their order.
func Collect(ctx context.Context, clouds []*collector.Cloud, limits collector.Limits) []collector.Snapshot {
	return collect(ctx, clouds, collector.Shard{}, limits)
}

func collect(ctx context.Context, clouds []*collector.Cloud, shard collector.Shard, limits collector.Limits) []collector.Snapshot {
	snapshots := make([]collector.Snapshot, len(clouds))
	var group errgroup.Group
	for i, cloud := range clouds {
		group.Go(func() error {
			snapshots[i] = cloud.CollectShard(ctx, shard, limits)
			return nil // a snapshot carries its own errors
		})
	}
	_ = group.Wait()
	return snapshots
}

// gatherer joins one scrape's snapshots and the metrics of the process, which have no name in common: the counters are
// read after the collection and include its requests.
type gatherer struct {
	snapshots []collector.Snapshot
	process   prometheus.Gatherer
}

// Gather implements prometheus.Gatherer.
func (g gatherer) Gather() ([]*dto.MetricFamily, error) {
	process, err := g.process.Gather()
	families := append(collector.Gather(g.snapshots...), process...)
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// Gather renders snapshots together with the metrics of process.
func Gather(snapshots []collector.Snapshot, process prometheus.Gatherer) ([]*dto.MetricFamily, error) {
	return gatherer{snapshots, process}.Gather()
}
