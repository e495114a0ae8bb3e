package dashboards_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheusAndDashboard are the path of the Prometheus named by $PROMETHEUS, and the dashboard whose queries it runs.
func prometheusAndDashboard(t *testing.T) (string, *dashboard) {
	t.Helper()
	name := os.Getenv("PROMETHEUS")
	if name == "" {
		t.Skip("check.sh runs it, with PROMETHEUS and the promtool beside it")
	}
	prometheus, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	return prometheus, read(t, text)
}

// TestPanels has the Prometheus named by $PROMETHEUS scrape the demo with the alert rules, once with native histograms and once without,
// and runs every query of the dashboard: each has a value at some time, and none a warning.
func TestPanels(t *testing.T) {
	prometheus, dashboard := prometheusAndDashboard(t)
	exporter := filepath.Join(t.TempDir(), "glance_share_exporter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", exporter, "glance_share_exporter").
		CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	target := freeAddress(t)
	serve(t, "http://"+target+"/-/ready", exporter, "--demo", "--web.listen-address="+target)
	for _, native := range []bool{false, true} {
		t.Run(fmt.Sprintf("native histograms %t", native), func(t *testing.T) {
			t.Parallel()
			s := startPrometheus(t, prometheus, target, native)
			want := map[string]string{}
			for _, p := range dashboard.Panels {
				for _, tg := range p.Targets {
					want[p.Title+" "+tg.RefID] = tg.Expr
				}
			}
			want["the form of the histograms"] = "count(glance_api_request_duration_seconds_bucket)"
			if native {
				want["the form of the histograms"] = "histogram_count(sum(glance_api_request_duration_seconds))"
			}
			for range 90 {
				for panel, expr := range want {
					if s.hasValue(t, expr) {
						delete(want, panel)
					}
				}
				if len(want) == 0 {
					break
				}
				time.Sleep(time.Second)
			}
			for panel, expr := range want {
				t.Errorf("%s has no value:\n%s", panel, expr)
			}
			if native && s.hasValue(t, "count(glance_api_request_duration_seconds_bucket)") {
				t.Error("there are classic buckets, too")
			}
		})
	}
}

// server is the URL of a running Prometheus.
type server string

func startPrometheus(t *testing.T, path, target string, native bool) server {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs("alerts.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 1s, evaluation_interval: 5s}\nrule_files: ['" + rules + "']\n" +
		"scrape_configs:\n  - job_name: glance\n    static_configs: [{targets: ['" + target + "']}]\n"
	dir, address := t.TempDir(), freeAddress(t)
	args := []string{"--config.file=" + dir + "/prometheus.yml", "--storage.tsdb.path=" + dir + "/tsdb", "--web.listen-address=" + address}
	switch {
	case native && strings.Contains(string(version), "version 2."):
		args = append(args, "--enable-feature=native-histograms")
	case native:
		config += "    scrape_native_histograms: true\n"
	}
	if err := os.WriteFile(dir+"/prometheus.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, "http://"+address+"/-/ready", path, args...)
	return server("http://" + address)
}

// hasValue reports whether a query has a value that is a number. A query with a warning fails the test.
func (s server) hasValue(t *testing.T, expr string) bool {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "10s", "$job", ".+", "$instance", ".+", "$cloud", ".+", "$image", ".*", "$member", ".*").
		Replace(expr)
	status, body, err := get(t, string(s)+"/api/v1/query?query="+url.QueryEscape(expr))
	var answer struct {
		Error           string
		Warnings, Infos []string
		Data            struct{ Result []struct{ Value [2]any } }
	}
	if err != nil || json.Unmarshal(body, &answer) != nil || status != http.StatusOK || len(answer.Warnings)+len(answer.Infos) > 0 {
		t.Fatalf("%v %d %s\n%s", err, status, body, expr)
	}
	for _, sample := range answer.Data.Result {
		text, _ := sample.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
			return true
		}
	}
	return false
}

// serve runs a program until the test ends, and waits until it is ready.
func serve(t *testing.T, ready, path string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		log.Close()
	})
	for range 300 {
		if status, _, err := get(t, ready); err == nil && status == http.StatusOK {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("%s is not ready:\n%s", path, text)
}

func get(t *testing.T, address string) (status int, body []byte, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// freeAddress returns an address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
