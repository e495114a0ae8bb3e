package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

func withOptions(t *testing.T, change func(*web.Options)) http.Handler {
	t.Helper()
	opts := collector.DefaultOptions()
	opts.Name, opts.RequestTimeout, opts.Images = "prod", time.Hour, []collector.Image{{ID: imageID}}
	cloud := collector.New(hanging{}, opts, log.NewNopLogger())
	t.Cleanup(cloud.Close)
	webOpts := web.Options{
		Clouds: func() ([]*collector.Cloud, func()) { return []*collector.Cloud{cloud}, func() {} },
		Config: func() ([]byte, error) { return nil, errors.New("none") },
		Logger: log.NewNopLogger(), Gatherer: prometheus.NewRegistry(),
	}
	change(&webOpts)
	handler, err := web.New(webOpts)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// However many pages are asked for, some are collected; the others are told at once, and health always. Scrapes of one
// page that wait as long count once.
func TestMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := withOptions(t, func(o *web.Options) { o.MaxRequests = 3 })
		var scrapes sync.WaitGroup
		answered := func(path, timeout string) {
			scrapes.Go(func() {
				if rec := get(t, h, path, timeout); rec.Code != http.StatusOK {
					t.Errorf("%s: %d", path, rec.Code)
				}
			})
		}
		answered("/metrics", "5")
		answered("/metrics", "6")
		answered("/probe?cloud=prod", "5")
		synctest.Wait()
		for range 10 {
			answered("/metrics", "5")
			answered("/probe?cloud=prod", "5")
		}
		synctest.Wait()
		for _, path := range []string{"/metrics", "/probe?cloud=prod", "/probe?cloud=prod&shard=1/2"} {
			rec := get(t, h, path, "7")
			if want := "3 scrapes in progress, the limit of --web.max-requests: try again later\n"; rec.Code != http.StatusServiceUnavailable ||
				rec.Body.String() != want ||
				rec.Header().Get("Retry-After") != "1" {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
			}
		}
		for _, path := range []string{"/-/healthy", "/-/ready", "/sd", "/"} {
			if rec := get(t, h, path, ""); rec.Code != http.StatusOK {
				t.Errorf("%s: %d", path, rec.Code)
			}
		}
		scrapes.Wait()
		if rec := get(t, h, "/metrics", "1"); rec.Code != http.StatusOK {
			t.Errorf("afterwards: %d", rec.Code)
		}
	})
}

func TestPprof(t *testing.T) {
	for name, test := range map[string]struct {
		pprof  bool
		prefix string
		path   string
		code   int
	}{
		"off":              {path: "/debug/pprof/", code: 404},
		"off, a profile":   {path: "/debug/pprof/heap", code: 404},
		"on":               {pprof: true, path: "/debug/pprof/", code: 200},
		"without a slash":  {pprof: true, path: "/debug/pprof", code: 302},
		"a profile":        {pprof: true, path: "/debug/pprof/goroutine?debug=1", code: 200},
		"below a prefix":   {pprof: true, prefix: "/x", path: "/x/debug/pprof/goroutine?debug=1", code: 200},
		"beside a prefix":  {pprof: true, prefix: "/x", path: "/debug/pprof/", code: 404},
		"no other profile": {pprof: true, path: "/debug/pprof/nothing", code: 404},
	} {
		t.Run(name, func(t *testing.T) {
			h := withOptions(t, func(o *web.Options) { o.Pprof, o.RoutePrefix = test.pprof, test.prefix })
			if rec := get(t, h, test.path, ""); rec.Code != test.code {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
}

// No page lets a browser run anything that is not ours, load or frame anything, guess a type, or tell where it came from; and nothing that
// was asked for comes back as HTML.
func TestHeaders(t *testing.T) {
	h := withOptions(t, func(o *web.Options) { o.Pprof = true })
	for _, path := range []string{"/", "/?q=<script>alert(1)</script>&cloud=<script>alert(1)</script>&image=<script>alert(1)</script>&problems=<b>", "/metrics", "/probe", "/probe?cloud=<script>alert(1)</script>", "/probe?<b>=1", "/probe?cloud=prod&shard=<b>", "/sd", "/config", "/-/healthy", "/nothing", "/debug/pprof/"} {
		rec := get(t, h, path, "0.1")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"X-Frame-Options":        "DENY", "Referrer-Policy": "no-referrer",
		} {
			if got := rec.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		csp := rec.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; base-uri 'none'; frame-ancestors 'none';") || !strings.Contains(csp, "form-action '") {
			t.Errorf("%s: %q", path, csp)
		}
		// The status page alone has a script, which is named by its hash; pprof alone has a style that is not.
		status, pprof := strings.HasPrefix(path, "/?") || path == "/", strings.HasPrefix(path, "/debug/")
		if strings.Contains(csp, "script") != status || strings.Contains(csp, "unsafe") != pprof {
			t.Errorf("%s: %q", path, csp)
		}
		if body := rec.Body.String(); strings.Contains(strings.ToLower(body), "<script>alert") &&
			!strings.HasPrefix(rec.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s comes back as %s", path, rec.Header().Get("Content-Type"))
		}
	}
}

func TestMethods(t *testing.T) {
	h := withOptions(t, func(*web.Options) {})
	for _, path := range []string{"/", "/?q=<script>alert(1)</script>&cloud=<script>alert(1)</script>&image=<script>alert(1)</script>&problems=<b>", "/metrics", "/probe", "/sd", "/config", "/-/healthy"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			if rec.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, rec.Code)
			}
		}
	}
}

// listen serves until the test ends, and then waits for every connection.
func listen(t *testing.T, server *http.Server) (address string) {
	t.Helper()
	var connections, served sync.WaitGroup
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Done()
		}
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
		connections.Wait()
	})
	return listener.Addr().String()
}

// dial sends what may be a part of a request.
func dial(t *testing.T, address, request string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, request) // it may be cut off
	return conn
}

// A client that sends its request byte by byte, or a header without end, is let go.
func TestSlowAndLongRequests(t *testing.T) {
	server := web.Server(withOptions(t, func(*web.Options) {}))
	if server.ReadHeaderTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 || server.WriteTimeout != 0 ||
		server.ReadTimeout == 0 {
		t.Errorf("%+v", server)
	}
	server.ReadHeaderTimeout = 200 * time.Millisecond
	address := listen(t, server)
	for name, request := range map[string]string{
		"half a header": "GET / HTTP/1.1\r\nHost: a\r\n", "a long header": "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20),
	} {
		conn := dial(t, address, request)
		if answer, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") || strings.Contains(string(answer), "200 OK") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
	}
}

// Clients that announce a body and do not send it take no scrape's place, and are let go.
func TestABodyThatNeverComes(t *testing.T) {
	process := prometheus.NewRegistry() // with a page that is written before the scrape ends
	process.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "long_total", Help: strings.Repeat("x", 10_000)}))
	server := web.Server(withOptions(t, func(o *web.Options) {
		o.MaxRequests, o.Clouds, o.Gatherer = 3, func() ([]*collector.Cloud, func()) { return nil, func() {} }, process
	}))
	server.ReadTimeout = time.Second
	address := listen(t, server)
	var idle []net.Conn
	for _, length := range []string{"Content-Length: 1", "Content-Length: 100000", "Transfer-Encoding: chunked"} {
		idle = append(idle, dial(t, address, "GET /metrics HTTP/1.1\r\nHost: a\r\n"+length+"\r\n\r\n"))
	}
	for range 20 {
		conn := dial(t, address, "GET /metrics HTTP/1.0\r\n\r\n")
		if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "200 OK") {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	for _, conn := range idle {
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), "400 Bad Request") || !strings.Contains(string(answer), "request body too large") {
			t.Errorf("%q, %v", answer, err)
		}
	}
}

// A scrape may take longer than its request, one with a body too.
func TestALongScrape(t *testing.T) {
	server := web.Server(withOptions(t, func(*web.Options) {}))
	server.ReadTimeout = 100 * time.Millisecond
	address := listen(t, server)
	for _, body := range []string{"\r\n", "Content-Length: 1\r\n\r\nx"} {
		began := time.Now()
		conn := dial(t, address, "GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n"+body)
		answer, err := io.ReadAll(conn)
		if took := time.Since(began); err != nil || !strings.Contains(string(answer), `glance_up{cloud="prod"} 0`) ||
			took < 400*time.Millisecond {
			t.Errorf("after %s: %q, %v", took, answer, err)
		}
	}
}

// What no page reads is not read for long.
func TestALongBody(t *testing.T) {
	address := listen(t, web.Server(withOptions(t, func(o *web.Options) { o.Reload = func() error { return nil } })))
	for size, want := range map[int]string{0: "200 OK", 1000: "200 OK", 100_000: "400 Bad Request"} {
		conn := dial(t, address, fmt.Sprintf("POST /-/reload HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(answer, want) {
			t.Errorf("%d bytes: %q, %v", size, answer, err)
		}
	}
}
