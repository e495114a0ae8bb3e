package collector_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// One collection of 1,000 images with 3 members each and its rendering, over loopback: the images listed in the
// configuration, or discovered and judged.
func BenchmarkCollection(b *testing.B) {
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		b.Run("latency="+latency.String(), func(b *testing.B) {
			benchmarkCollection(b, latency, options)
		})
		b.Run("discovered/latency="+latency.String(), func(b *testing.B) {
			benchmarkCollection(b, latency, func(...string) collector.Options {
				return discovering(collector.Rule{Name: "image *", Policy: collector.Policy{Members: expect(consumerA, consumerB)}})
			})
		})
	}
}

func benchmarkCollection(b *testing.B, latency time.Duration, options func(ids ...string) collector.Options) {
	w := newWorld()
	ids := addImages(w, 1000)
	for _, id := range ids {
		w.Share(id, consumerB)
		w.Share(id, consumerC)
	}
	server := httptest.NewServer(w)
	defer server.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	defer transport.CloseIdleConnections()
	c, err := client.New(client.Options{Transport: transport, Auth: func() (gophercloud.AuthOptions, error) {
		ao, err := user("producer")()
		ao.IdentityEndpoint = server.URL + "/identity/v3"
		return ao, err
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	opts := options(ids...)
	opts.Concurrency = 32
	cloud := collector.New(c, opts, log.NewNopLogger())
	defer cloud.Close()
	w.SetLatency(latency)
	limits := collector.Limits{Timeout: time.Minute}

	series := 0
	b.ReportAllocs()
	for b.Loop() {
		s := cloud.Collect(b.Context(), limits)
		if got := len(read(s)); got != len(ids) {
			b.Fatalf("%d images read", got)
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(collector.Metrics(s))
		families, err := registry.Gather()
		if err != nil {
			b.Fatal(err)
		}
		series = 0
		for _, f := range families {
			series += len(f.Metric)
		}
	}
	b.ReportMetric(float64(w.Count("")-w.Count(fakecloud.OpAuthenticate))/float64(b.N), "requests/op")
	b.ReportMetric(float64(w.Count(fakecloud.OpAuthenticate)), "logins")
	b.ReportMetric(float64(w.Connections()), "connections")
	b.ReportMetric(float64(series), "series")
}
