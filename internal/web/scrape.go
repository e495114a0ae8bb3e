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

// DefaultTimeout is how long a scrape may take that does not say so: less than the 10 s that Prometheus waits by
// default.
const DefaultTimeout = 9 * time.Second

// maxTimeout bounds the header; each cloud allows less, see [collector.Limits].
const maxTimeout = 10 * time.Minute

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// rendering is how long making a page took the last time, without the reading of it, in nanoseconds.
type rendering struct{ atomic.Int64 }

// scraper answers scrapes, those of all pages.
type scraper struct {
	opts   *Options
	places *places
	shared *sharedSeries
}

// scrape is a request for a page of metrics.
type scrape struct {
	place   place
	clouds  []*collector.Cloud
	release func()              // when the clouds are collected
	process prometheus.Gatherer // metrics that are read after the collection
	took    *rendering
	format  expfmt.Format
	begun   time.Time // to make the page
}

// serve collects the clouds, or a shard of each, and writes them as a page, with the metrics of the process. While it
// writes, it holds nothing but what other readers of the same collection hold too.
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
	_ = reader.connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // where there is one
	s.shared.begin(reader)
	defer s.shared.end(reader)
	write(timed, r, q.format, page)
	q.took.Store(int64(time.Since(q.begun) - timed.waited))
}

// make collects the clouds and makes the page of them, and leaves the place that the caller has entered. It releases the clouds as soon
// as they are collected. The series must be released, whatever the error.
func (s *scraper) make(r *http.Request, q *scrape) (series []*heldSeries, page *exposition.Page, err error) {
	defer s.places.leave(q.place)
	// Rendering may take twice as long as the last time: there may be more to render.
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

// join makes a page of the series of clouds and the metrics of the process, or of those with the names. An error does not keep the rest
// from the page.
func join(format expfmt.Format, series []*heldSeries, process prometheus.Gatherer, names ...string) (*exposition.Page, error) {
	sources, errs := make([]*exposition.Series, len(series)), make([]error, len(series))
	for i, held := range series {
		sources[i], errs[i] = held.render()
	}
	families, err := process.Gather()
	page, joinErr := exposition.Join(format, sources, families, names...)
	return page, errors.Join(append(errs, err, joinErr)...)
}

// minGzip is the least page that is worth compressing.
const minGzip = 1024

// write writes a page, compressed for those who can read that.
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
		_ = write(w) // whoever asked may have gone
	}
}

// acceptsGzip reports whether whoever asks reads gzip. A HEAD is answered as if not: so do others, as some proxies
// expect it.
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

// compressed compresses for those who can read that, on the fastest level: the usual one makes a page a tenth smaller,
// and takes as long for that as all the rest of making it.
var compressed = must(gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.BestSpeed)))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// timedWriter knows for how long it waited for whoever reads: a slow reader says nothing of how long the next page
// takes.
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
