package collector_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

// The benchmarks below compare with what cannot be beaten, in the same run, and report ratios:
//
//	go test ./collector -run '^$' -bench 'Wall|CPU|Memory|Growth' -benchtime 5x
//
// The cloud that they ask is a process of its own (this test binary again), so that its work does not count.

// stub answers as a Glance in which every image is shared with three projects.
func stub(latency time.Duration) http.Handler {
	const project = producer
	var (
		mux  = http.NewServeMux()
		rows = func(id string) []byte {
			var b bytes.Buffer
			b.WriteString(`{"members": [`)
			for i, member := range []string{consumerA, consumerB, consumerC} {
				if i > 0 {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, `{"created_at": "2016-09-01T02:05:14Z", "image_id": %q, "member_id": %q, "schema": "/v2/schemas/member", `+
					`"status": "accepted", "updated_at": "2016-09-02T02:05:14Z"}`, id, member)
			}
			b.WriteString(`], "schema": "/v2/schemas/members"}`)
			return b.Bytes()
		}
		record = func(id string) string {
			return fmt.Sprintf(`{"id": %q, "name": "image-%s", "owner": %q, "visibility": "shared", "status": "active", "os_hidden": false, "protected": false,
				"min_ram": 0, "min_disk": 10, "size": 2147483648, "checksum": "d41d8cd98f00b204e9800998ecf8427e", "disk_format": "qcow2", "container_format": "bare",
				"created_at": "2016-09-01T02:05:14Z", "updated_at": "2016-09-01T02:05:14Z", "tags": ["golden"], "self": "/v2/images/%s",
				"file": "/v2/images/%s/file", "schema": "/v2/schemas/image"}`, id, id[24:], project, id, id)
		}
	)
	wait := func(r *http.Request) {
		if latency > 0 {
			select {
			case <-time.After(latency):
			case <-r.Context().Done():
			}
		}
	}
	mux.HandleFunc("POST /v3/auth/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", "token")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"token": {"project": {"id": %q}, "user": {"id": "u"}, "roles": [{"name": "reader"}]}}`, project)
	})
	mux.HandleFunc("GET /v2/images/{id}/members", func(w http.ResponseWriter, r *http.Request) {
		wait(r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(rows(r.PathValue("id")))
	})
	mux.HandleFunc("GET /v2/images", func(w http.ResponseWriter, r *http.Request) {
		wait(r)
		w.Header().Set("Content-Type", "application/json")
		out := bufio.NewWriter(w)
		defer func() { _ = out.Flush() }()
		_, _ = out.WriteString(`{"images": [`)
		for i, id := range idsOf(r.URL.Query().Get("id")) {
			if i > 0 {
				_, _ = out.WriteString(",")
			}
			_, _ = out.WriteString(record(id))
		}
		_, _ = out.WriteString(`]}`)
	})
	return mux
}

// idsOf reads in:a,b,c.
func idsOf(list string) (ids []string) {
	if len(list) > 3 {
		for _, id := range bytes.Split([]byte(list[3:]), []byte(",")) {
			ids = append(ids, string(id))
		}
	}
	return ids
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	}
	return ids
}

// loop is the least that a program must do to tell who the members are: fetch, decode, print.
func loop(ctx context.Context, base string, ids []string, workers int, hc *http.Client) (n int, err error) {
	var (
		work = make(chan string)
		out  = make(chan []byte, workers)
		all  sync.WaitGroup
	)
	for range workers {
		all.Go(func() {
			for id := range work {
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v2/images/"+id+"/members", nil)
				resp, err := hc.Do(req)
				if err != nil {
					continue
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				var list struct {
					Members []struct {
						MemberID  string `json:"member_id"`
						ImageID   string `json:"image_id"`
						Status    string `json:"status"`
						CreatedAt string `json:"created_at"`
						UpdatedAt string `json:"updated_at"`
					} `json:"members"`
				}
				if err != nil || json.Unmarshal(body, &list) != nil {
					continue
				}
				var b bytes.Buffer
				for _, m := range list.Members {
					fmt.Fprintf(&b, "%s %s %s %s %s\n", id, m.MemberID, m.Status, m.CreatedAt, m.UpdatedAt)
				}
				out <- b.Bytes()
			}
		})
	}
	go func() {
		for _, id := range ids {
			work <- id
		}
		close(work)
		all.Wait()
		close(out)
	}()
	for text := range out {
		n++
		_, err = io.Discard.Write(text)
	}
	return n, err
}

// scraped is an exporter of a stub, with its page.
type scraped struct {
	server  *httptest.Server
	base    string
	handler http.Handler
	took    time.Duration
	series  int
	close   func()
	request func(b *testing.B)
}

func newScraped(b *testing.B, ids []string, base string, workers int) *scraped {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	api := collector.NewAPIMetrics()
	c, err := client.New(client.Options{
		Transport: transport, Endpoint: base, Observer: api.Observer("prod"),
		Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{
				IdentityEndpoint: base,
				UserID:           "u",
				Password:         "p",
				Scope:            &gophercloud.AuthScope{ProjectID: producer},
			}, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	opts := options(ids...)
	opts.Concurrency = workers
	cloud := collector.New(c, opts, log.NewNopLogger())
	registry := prometheus.NewRegistry()
	registry.MustRegister(api)
	handler, err := web.New(web.Options{
		Clouds:   func() ([]*collector.Cloud, func()) { return []*collector.Cloud{cloud}, func() {} },
		Gatherer: registry,
		Logger:   log.NewNopLogger(),
	})
	if err != nil {
		b.Fatal(err)
	}
	page := httptest.NewServer(handler)
	s := &scraped{server: page, base: base, handler: handler}
	s.request = func(b *testing.B) {
		b.Helper()
		began := time.Now()
		resp, err := http.DefaultClient.Do(scrapeRequest(b, page.URL))
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReaderSize(resp.Body, 1<<16)
		s.series = 0
		for {
			line, err := lines.ReadSlice('\n')
			if len(line) > 0 && line[0] != '#' {
				s.series++
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if resp.StatusCode != http.StatusOK || s.series < len(ids) {
			b.Fatalf("%s, %d series", resp.Status, s.series)
		}
		s.took = time.Since(began)
	}
	s.close = func() {
		page.Close()
		cloud.Close()
		c.Close()
		transport.CloseIdleConnections()
	}
	return s
}

// scrapeRequest is for a page of metrics, however long it takes.
func scrapeRequest(b *testing.B, base string) *http.Request {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, base+"/metrics", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "600")
	return req
}

// discard is a ResponseWriter whose reader costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkWall: from request to last byte, over ceil(images/concurrency) x latency, and over the plain loop.
func BenchmarkWall(b *testing.B) {
	const latency, workers = 20 * time.Millisecond, 32
	ids := benchIDs(1000)
	base := stubProcess(b, latency)
	s := newScraped(b, ids, base, workers)
	defer s.close()
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	defer transport.CloseIdleConnections()
	hc := &http.Client{Transport: transport}
	s.request(b)
	var ours, plain time.Duration
	for b.Loop() {
		began := time.Now()
		if n, err := loop(b.Context(), base, ids, workers, hc); n != len(ids) || err != nil {
			b.Fatal(n, err)
		}
		plain += time.Since(began)
		s.request(b)
		ours += s.took
	}
	ideal := time.Duration((len(ids)+workers-1)/workers) * latency
	b.ReportMetric(float64(ours)/float64(b.N)/float64(ideal), "x-ideal")
	b.ReportMetric(float64(plain)/float64(b.N)/float64(ideal), "plain-x-ideal")
	b.ReportMetric(float64(ours)/float64(plain), "x-plain-loop")
	b.ReportMetric(float64(s.series), "series")
}

// BenchmarkCPU: processor time of a scrape, exposition included, over that of the plain loop; and the same with the page
// compressed, as Prometheus asks for it.
func BenchmarkCPU(b *testing.B) {
	const workers = 32
	ids := benchIDs(1000)
	base := stubProcess(b, 0)
	s := newScraped(b, ids, base, workers)
	defer s.close()
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	defer transport.CloseIdleConnections()
	hc := &http.Client{Transport: transport}
	s.request(b)
	var ours, compressed, plain time.Duration
	for b.Loop() {
		runtime.GC()
		before := cpuTime()
		if n, err := loop(b.Context(), base, ids, workers, hc); n != len(ids) || err != nil {
			b.Fatal(n, err)
		}
		plain += cpuTime() - before
		runtime.GC()
		before = cpuTime()
		s.handler.ServeHTTP(&discard{header: http.Header{}}, scrapeRequest(b, ""))
		ours += cpuTime() - before
		runtime.GC()
		before = cpuTime()
		req := scrapeRequest(b, "")
		req.Header.Set("Accept-Encoding", "gzip")
		s.handler.ServeHTTP(&discard{header: http.Header{}}, req)
		compressed += cpuTime() - before
	}
	b.ReportMetric(float64(ours)/float64(plain), "x-plain-loop")
	b.ReportMetric(float64(compressed)/float64(plain), "x-plain-loop-compressed")
	b.ReportMetric(float64(s.series)/float64(len(ids)), "series/image")
	b.ReportMetric(float64(plain.Milliseconds())/float64(b.N), "plain-ms")
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ours-ms")
}

// BenchmarkMemory: the largest heap while a page is made and written, above the 40 MB that a process may take anyway, per
// series; and all of it.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			ids := benchIDs(n)
			s := newScraped(b, ids, stubProcess(b, 0), 32)
			defer s.close()
			s.request(b)
			var peak uint64
			for b.Loop() {
				peak = max(peak, peakOf(func() { s.request(b) }))
			}
			b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
			b.ReportMetric((float64(peak)-40<<20)/1024/float64(s.series), "KB/series-above-40-MB")
			b.ReportMetric(float64(s.series), "series")
		})
	}
}

// peakOf is the most memory that the process has from the system for its heap and stacks while f runs.
func peakOf(f func()) (peak uint64) {
	runtime.GC()
	debug.FreeOSMemory()
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.Sys-m.HeapReleased)
		select {
		case <-done:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// BenchmarkGrowth: processor time and allocations of a scrape per image, which do not grow with their number, nor with
// that of the scrapes.
func BenchmarkGrowth(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := newScraped(b, benchIDs(n), stubProcess(b, 0), 32)
			defer s.close()
			s.request(b)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu := cpuTime()
			for b.Loop() {
				s.request(b)
			}
			runtime.ReadMemStats(&after)
			per := float64(b.N) * float64(n)
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/per, "cpu-us/image")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/per, "allocs/image")
			b.ReportMetric(float64(s.series)/float64(n), "series/image")
		})
	}
}

const stubVariable = "GLANCE_STUB_LATENCY"

// stubProcess starts this test binary as a stub of its own, and returns its URL.
func stubProcess(b *testing.B, latency time.Duration) string {
	b.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	process, err := os.StartProcess(os.Args[0], []string{os.Args[0]}, &os.ProcAttr{
		Env:   append(os.Environ(), stubVariable+"="+latency.String()),
		Files: []*os.File{nil, write, os.Stderr},
	})
	_ = write.Close()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = process.Kill()
		_, _ = process.Wait()
		_ = read.Close()
	})
	url, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return url[:len(url)-1]
}

// serveStub is the process that stubProcess starts.
func serveStub() {
	latency, _ := time.ParseDuration(os.Getenv(stubVariable)) // of a parent that wrote it
	server := httptest.NewServer(stub(latency))
	fmt.Println(server.URL)
	select {} // until it is killed
}
