package web

import (
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"glance_share_exporter/collector"
)

// writeTimeout is how long a client may take to read a page. The time of the run does not count.
const writeTimeout = 30 * time.Second

// maxBody is how many bytes of a request's body are read. No page uses a body.
const maxBody = 64 << 10

// Server returns an http.Server with limits against slow or broken clients. It has no WriteTimeout, because a scrape
// may take as long as its client allows. Only the handler of [New] may take longer than ReadTimeout.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
}

// readBody reads the request's body before it calls next. Otherwise net/http reads it before the first byte of the
// response, and a client that never sends the body that it announced occupies the place of a scrape meanwhile.
func readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody+1))
			if err != nil || n > maxBody {
				w.Header().Set("Connection", "close") // else net/http would read the rest
				http.Error(w, fmt.Sprintf("request body too large: no page reads a body, send none or "+
					"at most %d KiB", maxBody>>10), http.StatusBadRequest)
				return
			}
		}
		// If the read deadline stayed and passed, net/http would cancel the scrape as if the client had disconnected.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // not every ResponseWriter has one
		next.ServeHTTP(w, r)
	})
}

// contentPolicy returns a Content-Security-Policy that allows nothing but what more allows.
func contentPolicy(more ...string) string {
	return strings.Join(append([]string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}, more...), "; ")
}

// hardened sets headers that make browsers trust the content types, run and load nothing, and frame no page.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", contentPolicy("form-action 'none'"))
		next.ServeHTTP(w, r)
	})
}

// places limits how many pages are collected at once. Concurrent scrapes of the same page with the same timeout share a
// run, so they share a place. A scrape leaves its place before its page is written.
type places struct {
	most  int // 0: no limit
	mu    sync.Mutex
	taken map[place]int // number of scrapes
}

// place is what scrapes must have in common to share a place.
type place struct {
	cloud   string // of /probe, else empty
	shard   collector.Shard
	timeout time.Duration
}

func newPlaces(most int) *places { return &places{most: most, taken: map[place]int{}} }

// enter takes a place and reports whether there was one. If so, the caller must call leave.
func (p *places) enter(at place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most > 0 && p.taken[at] == 0 && len(p.taken) >= p.most {
		return false
	}
	p.taken[at]++
	return true
}

func (p *places) leave(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[at]--; p.taken[at] == 0 {
		delete(p.taken, at)
	}
}

// full responds to a scrape without a place.
func (p *places) full(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	text := fmt.Sprintf("%d scrapes in progress, the limit of --web.max-requests: try again later", p.most)
	http.Error(w, text, http.StatusServiceUnavailable)
}

// addPprof adds the pages of net/http/pprof. That package registers them on http.DefaultServeMux, which is not served.
func addPprof(mux *http.ServeMux, prefix string) {
	const root = "/debug/pprof/"
	policy := contentPolicy("form-action 'none'", "style-src 'unsafe-inline'") // its index has inline styles
	add := func(name string, page http.HandlerFunc) {
		page = http.StripPrefix(prefix, page).ServeHTTP
		mux.HandleFunc("GET "+prefix+root+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			page(w, r)
		})
	}
	add("", pprof.Index) // also serves the profiles by their names
	add("cmdline", pprof.Cmdline)
	add("profile", pprof.Profile)
	add("symbol", pprof.Symbol)
	add("trace", pprof.Trace)
	mux.Handle("GET "+prefix+strings.TrimSuffix(root, "/"), http.RedirectHandler(prefix+root, http.StatusFound))
}
