package collector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// counter is one of glance_api_request_errors_total's series.
type counter struct {
	*collector.APIMetrics
	op, code string
}

func (c counter) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		c.APIMetrics.Collect(all)
	}()
	for m := range all {
		var d dto.Metric
		if err := m.Write(&d); err == nil && hasLabels(&d, c.op, c.code) {
			ch <- m
		}
	}
}

func hasLabels(m *dto.Metric, op, code string) bool {
	have := map[string]string{}
	for _, l := range m.Label {
		have[l.GetName()] = l.GetValue()
	}
	return have["operation"] == op && have["code"] == code
}

func TestCountersBeginAtZero(t *testing.T) {
	api := collector.NewAPIMetrics()
	api.Observer("prod")
	const operations, codes = 5, 13
	for name, want := range map[string]int{
		"glance_api_requests_total": operations, "glance_api_request_errors_total": operations * codes,
		"glance_api_request_duration_seconds": operations,
	} {
		if got := testutil.CollectAndCount(api, name); got != want {
			t.Errorf("%s: %d series, want %d", name, got, want)
		}
	}
	api.Forget("prod")
	if got := testutil.CollectAndCount(api); got != 0 {
		t.Errorf("%d series of a cloud that is gone", got)
	}
}

func TestCounters(t *testing.T) {
	api := collector.NewAPIMetrics()
	observe := api.Observer("prod")
	observe(client.OpListMembers, "", 20*time.Millisecond)
	observe(client.OpListMembers, "418", time.Second)
	observe(client.OpListMembers, "987", time.Second) // no such status: not a series of its own
	want := `
# HELP glance_api_requests_total Request attempts to the cloud's API.
# TYPE glance_api_requests_total counter
glance_api_requests_total{cloud="prod",operation="authenticate"} 0
glance_api_requests_total{cloud="prod",operation="get_image"} 0
glance_api_requests_total{cloud="prod",operation="get_member"} 0
glance_api_requests_total{cloud="prod",operation="list_images"} 0
glance_api_requests_total{cloud="prod",operation="list_members"} 3
`
	if err := testutil.CollectAndCompare(api, strings.NewReader(want), "glance_api_requests_total"); err != nil {
		t.Error(err)
	}
	for code, want := range map[string]float64{"418": 1, "decode": 1, "500": 0} {
		if got := testutil.ToFloat64(counter{api, "list_members", code}); got != want {
			t.Errorf("%s: %v, want %v", code, got, want)
		}
	}
}
