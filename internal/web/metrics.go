package web

import (
	"context"
	"net/http"
	"slices"
	"sync"

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

// Collect collects the clouds concurrently and returns their snapshots in the order of the clouds.
func Collect(ctx context.Context, clouds []*collector.Cloud, limits collector.Limits) []collector.Snapshot {
	return collect(ctx, clouds, collector.Shard{}, limits)
}

func collect(ctx context.Context, clouds []*collector.Cloud, shard collector.Shard, limits collector.Limits) []collector.Snapshot {
	snapshots := make([]collector.Snapshot, len(clouds))
	var group errgroup.Group
	for i, cloud := range clouds {
		group.Go(func() error {
			snapshots[i] = cloud.CollectShard(ctx, shard, limits)
			return nil // a snapshot has its own errors
		})
	}
	_ = group.Wait()
	return snapshots
}
