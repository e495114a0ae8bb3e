package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-kit/log/level"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/exposition"
)

// DefaultTimeout is the timeout of a scrape without the timeout header: less than Prometheus' default of 10 s.
const DefaultTimeout = 9 * time.Second

// maxTimeout limits the timeout in the header; each cloud allows less, see [collector.Limits].
const maxTimeout = 10 * time.Minute

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// rendering is how long it took to render the last page, without the client's reading, in nanoseconds.
type rendering struct{ atomic.Int64 }

// scraper serves the scrapes of all pages.
type scraper struct {
	opts   *Options
	places *places
	shared *sharedSeries
}

// scrape is a request for a page of metrics.
type scrape struct {
	place   place
	clouds  []*collector.Cloud
	release func()              // called when the clouds are collected
	process prometheus.Gatherer // metrics that are read after the run
	took    *rendering
	format  expfmt.Format
	begun   time.Time // when rendering the page began
}

// serve collects the clouds, or a shard of each, and writes them as a page, with the metrics of the process. While it
// writes, it holds only the series that other scrapes of the same run share.
func (s *scraper) serve(w http.ResponseWriter, r *http.Request, q *scrape) {
	q.place.timeout = scrapeTimeout(r)
	q.format = expfmt.NegotiateAccept(r.Header, exposition.Formats()...)
	if !s.places.enter(q.place) {
		s.places.full(w)
		return
	}
	series, page, err := s.make(r, q)
	defer s.shared.release(series)
	if err != nil {
		_ = level.Error(s.opts.Logger).Log("msg", "rendering metrics", "err", err)
		if page.Size() == 0 {
			http.Error(w, "No metrics could be rendered:\n\n"+err.Error(), http.StatusInternalServerError)
			return
		}
	}
	timed := &timedWriter{ResponseWriter: w}
	reader := &reader{series: series, connection: http.NewResponseController(w)}
	_ = reader.connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every ResponseWriter has one
	s.shared.begin(reader)
	defer s.shared.end(reader)
	write(timed, r, q.format, page)
	q.took.Store(int64(time.Since(q.begun) - timed.waited))
}

// make collects the clouds, renders the page, and leaves the place that the caller entered. It releases the clouds as
// soon as they are collected. The caller must release the series, whatever the error.
func (s *scraper) make(r *http.Request, q *scrape) (series []*heldSeries, page *exposition.Page, err error) {
	defer s.places.leave(q.place)
	// Rendering may take twice as long as the last time, because there may be more to render.
	limits := collector.Limits{Timeout: q.place.timeout, Reserve: 2 * time.Duration(q.took.Load())}
	snapshots := collect(r.Context(), q.clouds, q.place.shard, limits)
	q.release()
	q.begun = time.Now()
	for i := range snapshots {
		series = append(series, s.shared.take(&snapshots[i], q.format))
	}
	page, err = join(q.format, series, q.process, r.URL.Query()["name[]"]...)
	return series, page, err
}

// join makes a page of the series of clouds and the metrics of the process. With names, the page has only these
// metrics. After an error, the page still has the rest.
func join(format expfmt.Format, series []*heldSeries, process prometheus.Gatherer, names ...string) (*exposition.Page, error) {
	sources, errs := make([]*exposition.Series, len(series)), make([]error, len(series))
	for i, held := range series {
		sources[i], errs[i] = held.render()
	}
	families, err := process.Gather()
	page, joinErr := exposition.Join(format, sources, families, names...)
	return page, errors.Join(append(errs, err, joinErr)...)
}

// minGzip is the size in bytes from which on a page is worth compressing.
const minGzip = 1024

// write writes a page, compressed if the client accepts that.
func write(w http.ResponseWriter, r *http.Request, format expfmt.Format, page *exposition.Page) {
	size, write := page.Size(), page.WritePlain
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	h.Add("Vary", "Accept")
	h.Set("Content-Type", string(format))
	if size >= minGzip && acceptsGzip(r) {
		size, write = page.GzipSize(), page.WriteGzip
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(size))
	if r.Method != http.MethodHead {
		_ = write(w) // the client may have disconnected
	}
}

// acceptsGzip reports whether the client accepts gzip. It is false for a HEAD, as in other servers, because some
// proxies expect that.
func acceptsGzip(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, weighted := strings.Cut(accepted, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") || r.Method == http.MethodHead {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
		return !weighted || err == nil && q > 0
	}
	return false
}

// compressed compresses responses for clients that accept gzip, at the fastest level. The default level makes a page a
// tenth smaller, and takes as long as the rest of rendering.
var compressed = must(gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.BestSpeed)))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// timedWriter measures how long it waits for the client, which does not count as rendering.
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

// scrapeTimeout returns how long Prometheus waits for this scrape.
func scrapeTimeout(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64)
	if err != nil || !(seconds > 0) {
		return DefaultTimeout
	}
	return time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
}
