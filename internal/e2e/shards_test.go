//go:build e2e

package e2e

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// TestShards is the simulation of a cloud that outgrows a machine: so many images over so many shards, on four exporters
// behind one address, scraped by a real Prometheus as /sd says. Without GLANCE_SIMULATION it is a small one; the table in
// docs/scaling.md is of
//
//	GLANCE_SIMULATION=images=100000,shards=8,interval=60s,details=false go test -tags e2e -run TestShards -v ./internal/e2e
func TestShards(t *testing.T) {
	t.Parallel() // as TestTwoExporters
	sim := simulation{images: 2000, shards: 8, interval: 5 * time.Second}
	if text := os.Getenv("GLANCE_SIMULATION"); text != "" {
		sim.parse(t, text)
	}
	const project, exporters = "61c9216745884e7782dc16e5123a5fc9", 4
	cloud := fakecloud.New(fakecloud.Options{LogSize: 1000})
	cloud.AddProjectID(project, "images")
	cloud.AddUser("watcher", "hunter2", project, "reader")
	members := []string{"fb0d5993e8f14ca887876f3d14abb39d", "47778e75944945adb89fbb37229364c1", "19ea119fd1694653936fb429216988df"}
	for i := range sim.images {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		cloud.AddImage(fakecloud.Image{ID: id, Name: fmt.Sprint("image-", i), Owner: project, Visibility: "shared"})
		for _, member := range members {
			cloud.Share(id, member)
		}
	}
	cloud.SetLatency(50 * time.Millisecond)
	api := httptest.NewServer(cloud)
	defer api.Close()

	// The address of all exporters: each connection goes to the next one.
	binary, dir := build(t), t.TempDir()
	var backends []*url.URL
	var daemons []*daemon
	writeFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`scrape: {concurrency: 64, discovery_interval: 10m}
clouds:
  - name: wide
    auth: {password: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: hunter2, project_name: images}}
    scrape_via: probe
    shards: %d
    member_details: %t
    discover: [{}]
`, api.URL, sim.shards, sim.details))
	for i := range exporters {
		addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		daemons = append(daemons, startDaemon(t, dir, fmt.Sprint("exporter-", i), binary, "--config.file="+filepath.Join(dir, "exporter.yml"),
			"--web.listen-address="+addr).until(t))
		backends = append(backends, &url.URL{Scheme: "http", Host: addr})
		daemons[i].await(t, "http://"+addr+"/-/ready")
	}
	var turn atomic.Int64
	service := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backends[int(turn.Add(1))%len(backends)])
		r.Out.Host = r.In.Host // which /sd lists
	}})
	defer service.Close()

	p := newPrometheus(t)
	p.TargetsInterval = sim.interval.String()
	p.start(t)
	p.discover(t, service.URL+"/sd")

	// Three rounds after the first one, in which each exporter lists the cloud.
	patience := 4*sim.interval + 30*time.Second
	began := time.Now()
	err := poll(patience, func() error {
		rows, err := p.query(fmt.Sprintf(`count(count_over_time(up{job="glance-clouds"}[%s]) >= 4)`, patience))
		if err == nil && (len(rows) != 1 || rows[0] != strconv.Itoa(sim.shards)) {
			err = fmt.Errorf("shards with four scrapes: %q", rows)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	window := fmt.Sprintf("[%ds]", int((sim.interval * 3 / 2).Seconds()))
	number := func(expr string) float64 { return p.number(t, fmt.Sprintf(expr, window)) }
	images := number(`count(max by (image_id) (max_over_time(glance_image_members_complete%s)) == 1)`)
	doubles := number(`sum(count by (instance) (max by (instance, image_id) (last_over_time(glance_image_scrape_success%s))))`)
	longest := p.number(t, `max(max_over_time(scrape_duration_seconds{job="glance-clouds"}[1h]))`)
	steady := number(`max(last_over_time(scrape_duration_seconds{job="glance-clouds"}%s))`)
	series := number(`sum(last_over_time(scrape_samples_scraped{job="glance-clouds"}%s))`)
	down := p.number(t, `sum(count_over_time(up{job="glance-clouds"}[1h])) - sum(sum_over_time(up{job="glance-clouds"}[1h]))`)
	memory := 0
	for _, d := range daemons {
		memory = max(memory, peakMemory(t, d.cmd.Process.Pid))
	}
	t.Logf("| images | details | shards | exporters | interval | longest scrape | longest of the last scrapes | series | an exporter's memory |")
	t.Logf("| %d | %t | %d | %d | %s | %.1f s | %.1f s | %.0f | %d MB |", sim.images, sim.details, sim.shards,
		exporters, sim.interval, longest, steady, series, memory)
	if int(images) != sim.images || int(doubles) != sim.images {
		t.Errorf("%.0f images are whole, %.0f shown in all shards together, of %d", images, doubles, sim.images)
	}
	if down != 0 {
		t.Errorf("%.0f scrapes failed", down)
	}
	if got := cloud.Count(fakecloud.OpAuthenticate); got > exporters {
		t.Errorf("%d logins of %d exporters", got, exporters)
	}
	t.Logf("%d requests in %s, %d of them for lists of images, %d logins", cloud.Count(""), time.Since(began).Round(time.Second),
		cloud.Count(fakecloud.OpListImages), cloud.Count(fakecloud.OpAuthenticate))
}

type simulation struct {
	images, shards int
	interval       time.Duration
	details        bool
}

// parse reads key=value, with commas between.
func (s *simulation) parse(t testing.TB, text string) {
	t.Helper()
	for _, pair := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(pair, "=")
		var err error
		switch key {
		case "images":
			s.images, err = strconv.Atoi(value)
		case "shards":
			s.shards, err = strconv.Atoi(value)
		case "interval":
			s.interval, err = time.ParseDuration(value)
		case "details":
			s.details, err = strconv.ParseBool(value)
		default:
			t.Fatalf("GLANCE_SIMULATION has no %q", key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// peakMemory is the most resident memory that a process had, in MB.
func peakMemory(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes >> 10
}
