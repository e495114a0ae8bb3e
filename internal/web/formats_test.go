package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/proto"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

// odd is a fleet whose images have names that need escaping.
type odd struct{ fleet }

func (o odd) Images(ctx context.Context, ids []string, hidden bool) ([]client.Image, error) {
	names := []string{
		"plain", "", `a "quoted" name`, `back\slash`, "two\nlines", "镜像", strings.Repeat("long ", 60), "not \xff UTF-8",
	}
	images, err := o.fleet.Images(ctx, ids, hidden)
	for i := range images {
		images[i].Name = names[i%len(names)]
	}
	return images, err
}

// processMetrics are of every type, and stand before, between and after those of clouds.
func processMetrics() *prometheus.Registry {
	total := prometheus.CounterOpts{Name: "glance_api_requests_total", Help: "Some \"help\"\nin two lines."}
	counter := prometheus.NewCounterVec(total, []string{"cloud"})
	counter.WithLabelValues("one \"quoted\" cloud").Add(1.5)
	first := prometheus.NewGauge(prometheus.GaugeOpts{Name: "a_first", Help: "Sorted first."})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "glance_k_seconds", Help: "Buckets."})
	histogram.Observe(0.3)
	summary := prometheus.NewSummary(prometheus.SummaryOpts{
		Name: "z_last", Help: "Sorted last.", Objectives: map[float64]float64{0.5: 0.05},
	})
	summary.Observe(2)
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter, first, histogram, summary)
	return registry
}

// fleets returns clouds of as many images as are named.
func fleets(t *testing.T, sizes ...int) []*collector.Cloud {
	t.Helper()
	var clouds []*collector.Cloud
	for i, size := range sizes {
		opts := collector.DefaultOptions()
		opts.Name = fmt.Sprint("cloud-", i)
		for n := range size {
			opts.Images = append(opts.Images, collector.Image{ID: fmt.Sprintf("%08d-0000-4000-8000-%012d", i, n)})
		}
		cloud := collector.New(odd{}, opts, log.NewNopLogger())
		t.Cleanup(cloud.Close)
		clouds = append(clouds, cloud)
	}
	return clouds
}

// accepts are what may be asked for.
var accepts = []string{
	"", "*/*", "text/plain", "text/plain;version=0.0.4;escaping=dots", "text/plain;version=0.0.4;escaping=values",
	"text/plain;escaping=allow-utf-8", openMetrics, openMetrics + ";version=1.0.0;escaping=allow-utf-8",
	openMetrics + ";version=0.0.1;escaping=dots", openMetrics + ";version=1.0.0;escaping=underscores;q=0.5,text/plain;q=0.2",
	protobuf, protobuf + ";escaping=dots", "application/json",
}

const (
	openMetrics = "application/openmetrics-text"
	protobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// A page is the one that the library's handler would write, in each format, of any number of clouds.
func TestPagesAreAsTheLibraryWritesThem(t *testing.T) {
	for name, sizes := range map[string][]int{"none": nil, "one": {700}, "three": {3, 1, 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clouds, process := fleets(t, sizes...), processMetrics()
				h, err := web.New(web.Options{
					Clouds: func() ([]*collector.Cloud, func()) { return slices.Clone(clouds), func() {} },
					Config: func() ([]byte, error) { return nil, nil },
					Logger: log.NewNopLogger(), Gatherer: process,
				})
				if err != nil {
					t.Fatal(err)
				}
				limits := collector.Limits{Timeout: 5 * time.Second}
				web.Collect(t.Context(), clouds, limits)
				families := emitted(web.Collect(t.Context(), clouds, limits))
				snapshots := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
				opts := promhttp.HandlerOpts{EnableOpenMetrics: true, DisableCompression: true}
				library := promhttp.HandlerFor(together{snapshots, process}, opts)
				for _, accept := range accepts {
					for _, query := range []string{"", "?name[]=glance_up&name[]=a_first"} {
						same(t, ask(t, library, accept, "", query), ask(t, h, accept, "", query), ask(t, h, accept, "gzip", query))
					}
				}
			})
		})
	}
}

// emitted is the families of snapshots, with their series in the order in which each snapshot emits them.
func emitted(snapshots []collector.Snapshot) (families []*dto.MetricFamily) {
	byName := map[string]*dto.MetricFamily{}
	for _, s := range snapshots {
		s.Each(func(family *dto.MetricFamily, labels []*dto.LabelPair, value float64) {
			f := byName[family.GetName()]
			if f == nil {
				f = proto.CloneOf(family)
				byName[family.GetName()] = f
				families = append(families, f)
			}
			f.Metric = append(f.Metric, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}})
		})
	}
	return families
}

// together are gatherers without a family in common. Unlike prometheus.Gatherers, they keep the order of series.
type together []prometheus.Gatherer

func (g together) Gather() (families []*dto.MetricFamily, err error) {
	for _, one := range g {
		more, oneErr := one.Gather()
		families, err = append(families, more...), errors.Join(err, oneErr)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// same checks that a page is the one that is wanted, plain and compressed.
func same(t *testing.T, want, plain, packed *httptest.ResponseRecorder) {
	t.Helper()
	kind, page := want.Header().Get("Content-Type"), packed.Body.Bytes()
	if packed.Header().Get("Content-Encoding") == "gzip" {
		page = unzip(t, page)
	}
	for _, got := range []string{plain.Header().Get("Content-Type"), packed.Header().Get("Content-Type")} {
		if got != kind {
			t.Errorf("Content-Type %q, want %q", got, kind)
		}
	}
	for name, got := range map[string][]byte{"plain": plain.Body.Bytes(), "gzip": page} {
		if !bytes.Equal(want.Body.Bytes(), got) {
			t.Errorf("%s, %s: %s", kind, name, difference(want.Body.Bytes(), got))
		}
	}
	if w, g := parse(t, want), parse(t, plain); w != g || w == 0 {
		t.Errorf("%s: Prometheus reads %d series, want %d", kind, g, w)
	}
}

func ask(t *testing.T, h http.Handler, accept, encoding, query string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics"+query, nil)
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", encoding)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if length := rec.Header().Get("Content-Length"); length != "" && length != fmt.Sprint(rec.Body.Len()) {
		t.Errorf("Content-Length %s of %d bytes", length, rec.Body.Len())
	}
	return rec
}

// difference is where two pages begin to differ.
func difference(want, got []byte) string {
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	part := func(page []byte) []byte { return page[max(at-40, 0):min(at+80, len(page))] }
	return fmt.Sprintf("%d and %d bytes\nwant %q\ngot  %q", len(want), len(got), part(want), part(got))
}

// parse counts the series that Prometheus reads.
func parse(t *testing.T, page *httptest.ResponseRecorder) (n int) {
	t.Helper()
	kind := page.Header().Get("Content-Type")
	parser, err := textparse.New(page.Body.Bytes(), kind, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if entry == textparse.EntrySeries {
			n++
		}
	}
}
