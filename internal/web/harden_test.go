package web_test

import (
	"context"
	"errors"
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
		Clouds: func() []*collector.Cloud { return []*collector.Cloud{cloud} }, Config: func() ([]byte, error) { return nil, errors.New("none") },
		Logger: log.NewNopLogger(), Gatherer: prometheus.NewRegistry(),
	}
	change(&webOpts)
	handler, err := web.New(webOpts)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// However many scrape, some are answered; the others are told at once, and health always.
func TestMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := withOptions(t, func(o *web.Options) { o.MaxRequests = 3 })
		var scrapes sync.WaitGroup
		for _, path := range []string{"/metrics", "/probe?cloud=prod", "/metrics"} {
			scrapes.Go(func() {
				if rec := get(t, h, path, "5"); rec.Code != http.StatusOK {
					t.Errorf("%s: %d", path, rec.Code)
				}
			})
		}
		synctest.Wait()
		for _, path := range []string{"/metrics", "/probe?cloud=prod"} {
			rec := get(t, h, path, "5")
			if want := "3 scrapes are under way, as many as --web.max-requests allows: try again later\n"; rec.Code != http.StatusServiceUnavailable || rec.Body.String() != want || rec.Header().Get("Retry-After") != "1" {
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

// No page lets a browser run, load or frame anything, guess a type, or tell where it came from; and nothing that was asked
// for comes back as HTML.
func TestHeaders(t *testing.T) {
	h := withOptions(t, func(o *web.Options) { o.Pprof = true })
	for _, path := range []string{"/", "/metrics", "/probe", "/probe?cloud=<script>alert(1)</script>", "/probe?<b>=1", "/probe?cloud=prod&shard=<b>", "/sd", "/config", "/-/healthy", "/nothing", "/debug/pprof/"} {
		rec := get(t, h, path, "0.1")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
			if got := rec.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "script") {
			t.Errorf("%s: %q", path, csp)
		}
		if strings.Contains(rec.Body.String(), "<script>alert") && !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s comes back as %s", path, rec.Header().Get("Content-Type"))
		}
	}
}

func TestMethods(t *testing.T) {
	h := withOptions(t, func(*web.Options) {})
	for _, path := range []string{"/", "/metrics", "/probe", "/sd", "/config", "/-/healthy"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			if rec.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, rec.Code)
			}
		}
	}
}

// A client that sends its request byte by byte, or a header without end, is let go.
func TestSlowAndLongRequests(t *testing.T) {
	server := web.Server(withOptions(t, func(*web.Options) {}))
	if server.ReadHeaderTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 || server.WriteTimeout != 0 || server.ReadTimeout != 0 {
		t.Errorf("%+v", server)
	}
	server.ReadHeaderTimeout = 200 * time.Millisecond
	var connections sync.WaitGroup
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Done()
		}
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	defer served.Wait()
	defer server.Close()
	for name, request := range map[string]string{
		"half a header": "GET / HTTP/1.1\r\nHost: a\r\n", "a long header": "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, request) // it may be cut off
		if answer, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") || strings.Contains(string(answer), "200 OK") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		_ = conn.Close()
		cancel()
	}
	connections.Wait()
}
