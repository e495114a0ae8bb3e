package collector

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
)

var operations = []client.Operation{client.OpAuthenticate, client.OpListImages, client.OpGetImage, client.OpListMembers, client.OpGetMember}

// expectedCodes are the codes whose counters start at 0. Otherwise increase() would miss the first error.
var expectedCodes = []string{
	"400", "401", "403", "404", "429", "500", "502", "503", "504",
	client.CodeTimeout, client.CodeConnect, client.CodeTLS, client.CodeDecode,
}

// APIMetrics counts the requests to the APIs of all clouds. It is a prometheus.Collector.
type APIMetrics struct {
	requests *prometheus.CounterVec
	errors   *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewAPIMetrics returns metrics without series.
func NewAPIMetrics() *APIMetrics {
	return &APIMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glance_api_requests_total",
			Help: "Request attempts to the cloud's API.",
		}, []string{"cloud", "operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glance_api_request_errors_total",
			Help: "Request attempts without a complete, decoded response, by HTTP status code, or timeout, connect, tls, decode.",
		}, []string{"cloud", "operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "glance_api_request_duration_seconds",
			Help:                            "Duration of request attempts to the cloud's API, to the last byte of the response, in seconds.",
			Buckets:                         prometheus.DefBuckets,
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"cloud", "operation"}),
	}
}

// Observer returns the observer of one cloud's client, and creates the cloud's series. more are operations that the
// client has besides the usual ones.
func (m *APIMetrics) Observer(cloud string, more ...client.Operation) client.Observer {
	for _, op := range slices.Concat(operations, more) {
		m.requests.WithLabelValues(cloud, string(op))
		m.duration.WithLabelValues(cloud, string(op))
		for _, code := range expectedCodes {
			m.errors.WithLabelValues(cloud, string(op), code)
		}
	}
	return func(op client.Operation, code string, took time.Duration) {
		m.requests.WithLabelValues(cloud, string(op)).Inc()
		m.duration.WithLabelValues(cloud, string(op)).Observe(took.Seconds())
		if code != "" {
			m.errors.WithLabelValues(cloud, string(op), boundedCode(code)).Inc()
		}
	}
}

// boundedCode replaces invalid status codes, so that a server cannot create any number of series.
func boundedCode(code string) string {
	if n, err := strconv.Atoi(code); err == nil && (n < 100 || n > 599) {
		return client.CodeDecode
	}
	return code
}

// Forget removes the series of a cloud that is no longer collected.
func (m *APIMetrics) Forget(cloud string) {
	labels := prometheus.Labels{"cloud": cloud}
	m.requests.DeletePartialMatch(labels)
	m.errors.DeletePartialMatch(labels)
	m.duration.DeletePartialMatch(labels)
}

// Describe implements prometheus.Collector.
func (m *APIMetrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	m.errors.Describe(ch)
	m.duration.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *APIMetrics) Collect(ch chan<- prometheus.Metric) {
	m.requests.Collect(ch)
	m.errors.Collect(ch)
	m.duration.Collect(ch)
}
