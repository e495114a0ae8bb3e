package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"glance_share_exporter/collector"
)

// DefaultTimeout is how long a scrape may take that does not say so: less than the 10 s that Prometheus waits by default.
const DefaultTimeout = 9 * time.Second

// maxTimeout bounds the header; each cloud allows less, see [collector.Limits].
const maxTimeout = 10 * time.Minute

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// metricsHandler collects, on each request, every cloud that is not collected by /probe.
type metricsHandler struct {
	opts  Options
	probe string    // path of the page for one cloud
	took  rendering // of the last page
}

func (h *metricsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("cloud") {
		http.Error(w, "parameter cloud is not supported here: use "+h.probe+"?cloud=NAME", http.StatusBadRequest)
		return
	}
	clouds, release := h.opts.Clouds()
	defer release()
	clouds = slices.DeleteFunc(clouds, (*collector.Cloud).ByProbe)
	h.opts.scrape(w, r, clouds, collector.Shard{}, h.opts.Gatherer, &h.took)
}

// rendering is how long making a page took the last time, without the reading of it, in nanoseconds.
type rendering struct{ atomic.Int64 }

// scrape collects the clouds, or a shard of each, and writes them as a page of metrics, with those of process.
func (o *Options) scrape(w http.ResponseWriter, r *http.Request, clouds []*collector.Cloud, shard collector.Shard, process prometheus.Gatherer, took *rendering) {
	limits := collector.Limits{Timeout: scrapeTimeout(r), Reserve: 2 * time.Duration(took.Load())}
	snapshots := collect(r.Context(), clouds, shard, limits)
	start := time.Now()
	page := &timedWriter{ResponseWriter: w}
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(start.Add(writeTimeout)) // where there is one
	compressed(promhttp.HandlerFor(gatherer{snapshots: snapshots, process: process}, promhttp.HandlerOpts{
		ErrorHandling:      promhttp.ContinueOnError, // a bad series must not cost the others
		ErrorLog:           errorLog{o.Logger},
		EnableOpenMetrics:  true,
		DisableCompression: true, // compressed does it
	})).ServeHTTP(page, r)
	_ = connection.SetWriteDeadline(time.Time{})
	took.Store(int64(time.Since(start) - page.waited))
}

// compressed compresses for those who can read that, on the fastest level: the usual one makes a page a tenth smaller, and takes
// as long for that as all the rest of making it.
var compressed = must(gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.BestSpeed)))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// timedWriter knows for how long it waited for whoever reads: a slow reader says nothing of how long the next page takes.
type timedWriter struct {
	http.ResponseWriter
	waited time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	start := time.Now()
	n, err := w.ResponseWriter.Write(p)
	w.waited += time.Since(start)
	return n, err
}

// scrapeTimeout is how long Prometheus waits for this scrape.
func scrapeTimeout(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64)
	if err != nil || !(seconds > 0) {
		return DefaultTimeout
	}
	return time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
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
