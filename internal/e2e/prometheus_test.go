//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prometheus is a real Prometheus. It keeps its address and its data when it is started again.
type prometheus struct {
	*daemon
	Dir       string
	RulesFile string // empty: no rules, and nobody to alert
	// AlertmanagerHost is where the alerts go.
	AlertmanagerHost string
	// TargetsURLs are where exporters list more targets.
	TargetsURLs []string
	// TargetsJob is the job of those; empty: glance-clouds.
	TargetsJob string
	// TargetsInterval is how often those are scraped, and for how long; empty: 2s.
	TargetsInterval string

	host, url string
	owner     testing.TB // the test that it lives as long as
}

// startPrometheus starts a Prometheus that only collects.
func startPrometheus(t *testing.T) *prometheus {
	t.Helper()
	p := newPrometheus(t)
	p.start(t)
	return p
}

// newPrometheus makes a Prometheus that is to be started.
func newPrometheus(t testing.TB) *prometheus {
	t.Helper()
	p := &prometheus{Dir: t.TempDir(), host: fmt.Sprintf("127.0.0.1:%d", freePort(t)), owner: t}
	p.url = "http://" + p.host
	if err := os.Mkdir(filepath.Join(p.Dir, "targets"), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts Prometheus, for the first time or again.
func (p *prometheus) start(t testing.TB) {
	t.Helper()
	render(t, p.Dir, "prometheus.yml", p)
	p.daemon = startDaemon(t, p.Dir, "prometheus", prometheusPath, "--config.file="+filepath.Join(p.Dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(p.Dir, "tsdb"), "--web.listen-address="+p.host,
		// How often it repeats an alert to Alertmanager, which forgets one that it has not heard of four times in a row.
		"--rules.alert.resend-delay=10s").until(p.owner)
	err := poll(30*time.Second, func() error {
		p.await(t, p.url+"/-/ready")
		status, body, err := get(p.url+"/-/ready", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, body)
		}
		return err
	})
	if err != nil {
		t.Fatalf("Prometheus is not ready: %v", err)
	}
}

// discover has Prometheus ask exporters for targets, until t ends.
func (p *prometheus) discover(t testing.TB, urls ...string) {
	t.Helper()
	set := func(urls []string) {
		p.TargetsURLs = urls
		render(t, p.Dir, "prometheus.yml", p)
		p.reload()
	}
	set(urls)
	t.Cleanup(func() { set(nil) })
}

// reload has Prometheus read its configuration and its rules again.
func (p *prometheus) reload() { p.signal(syscall.SIGHUP) }

// awaitAlertmanager waits until Prometheus knows where to send alerts.
func (p *prometheus) awaitAlertmanager(t testing.TB) {
	t.Helper()
	err := poll(20*time.Second, func() error {
		_, body, err := get(p.url+"/api/v1/alertmanagers", nil)
		if err == nil && !strings.Contains(body, p.AlertmanagerHost) {
			err = fmt.Errorf("Prometheus knows no Alertmanager: %s", body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// scrape has Prometheus scrape an exporter until t ends, at an interval which is also the scrape's timeout. Its series get
// the label exporter.
func (p *prometheus) scrape(t testing.TB, exporter, addr string, interval time.Duration) {
	t.Helper()
	file := filepath.Join(p.Dir, "targets", exporter+".json")
	writeFile(t, file, fmt.Sprintf(`[{"targets": [%q], "labels": {"exporter": %q, "__scrape_interval__": %q, "__scrape_timeout__": %q}}]`,
		addr, exporter, interval, interval))
	t.Cleanup(func() { _ = os.Remove(file) })
	// Prometheus looks for new targets every 5 s.
	p.eventually(t, "Prometheus scrapes the exporter", fmt.Sprintf(`sum by (exporter) (up{exporter=%q})`, exporter), exporter+" 1")
}

// query returns a row for each series of an expression's value now: the values of its labels, in the order of the
// labels' names, and the number.
func (p *prometheus) query(expr string) ([]string, error) {
	var series []struct {
		Metric map[string]string
		Value  [2]any
	}
	if err := p.ask("query", url.Values{"query": {expr}}, &series); err != nil {
		return nil, err
	}
	rows := make([]string, 0, len(series))
	for _, s := range series {
		rows = append(rows, strings.TrimSpace(labelValues(s.Metric)+" "+s.Value[1].(string)))
	}
	slices.Sort(rows)
	return rows, nil
}

// queryRange returns the series that an expression had at any second from start to now, without the numbers.
func (p *prometheus) queryRange(expr string, start time.Time) ([]string, error) {
	var series []struct{ Metric map[string]string }
	err := p.ask("query_range", url.Values{
		"query": {expr}, "start": {start.Format(time.RFC3339)}, "end": {time.Now().Format(time.RFC3339)}, "step": {"1"},
	}, &series)
	var rows []string
	for _, s := range series {
		rows = append(rows, labelValues(s.Metric))
	}
	slices.Sort(rows)
	return rows, err
}

func (p *prometheus) ask(what string, params url.Values, result any) error {
	status, body, err := get(p.url+"/api/v1/"+what+"?"+params.Encode(), nil)
	if err != nil {
		return err
	}
	var answer struct {
		Data struct{ Result json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		return fmt.Errorf("asking Prometheus for %s: %d %s", params.Get("query"), status, body)
	}
	return json.Unmarshal(answer.Data.Result, result)
}

func labelValues(metric map[string]string) string {
	var names, values []string
	for name := range metric {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values = append(values, metric[name])
	}
	return strings.Join(values, " ")
}

// eventually waits until an expression has exactly the given rows. No rows: until there is no such series.
func (p *prometheus) eventually(t testing.TB, what, expr string, want ...string) {
	t.Helper()
	p.within(t, time.Minute, what, expr, want...) // a busy machine starts Keystone, and logs in, in half of it
}

// within is eventually, for what takes another time.
func (p *prometheus) within(t testing.TB, most time.Duration, what, expr string, want ...string) {
	t.Helper()
	slices.Sort(want)
	start := time.Now()
	err := poll(most, func() error {
		got, err := p.query(expr)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: after %s, %s: %v", what, time.Since(start).Round(time.Second), expr, err)
	}
	t.Logf("%s: %s (after %.1f s)", what, rowText(want), time.Since(start).Seconds())
}

// never fails the test if an expression had a series at any second since start.
func (p *prometheus) never(t testing.TB, what, expr string, start time.Time) {
	t.Helper()
	rows, err := p.queryRange(expr, start)
	switch {
	case err != nil:
		t.Error(err)
	case len(rows) > 0:
		t.Errorf("%s: %s had %q", what, expr, rows)
	default:
		t.Logf("%s: never in %s", what, time.Since(start).Round(time.Second))
	}
}

// number returns the only value of an expression.
func (p *prometheus) number(t testing.TB, expr string) (value float64) {
	t.Helper()
	rows, err := p.query(expr)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 {
		t.Fatalf("%s has %d values, want one: %q", expr, len(rows), rows)
	}
	fields := strings.Fields(rows[0])
	if _, err := fmt.Sscan(fields[len(fields)-1], &value); err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return value
}

// moreScrapes waits until an exporter was scraped n times more.
func (p *prometheus) moreScrapes(t testing.TB, exporter string, n int) {
	t.Helper()
	start := time.Now()
	err := poll(time.Duration(n)*3*time.Second+10*time.Second, func() error {
		rows, err := p.query(fmt.Sprintf(`sum(count_over_time(up{exporter=%q}[%dms])) >= %d`, exporter, time.Since(start).Milliseconds()+1, n))
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("%s was not scraped %d times in %s", exporter, n, time.Since(start))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rowText(rows []string) string {
	if len(rows) == 0 {
		return "no such series"
	}
	return strings.Join(rows, ", ")
}
