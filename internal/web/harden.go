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

// writeTimeout is how long a client may take to read a page. The time of the collection does not count.
const writeTimeout = 30 * time.Second

// maxBody is how many bytes of a request's body are read. No page has a use for one.
const maxBody = 64 << 10

// Server returns an http.Server with the bounds that a client in trouble makes necessary. It bounds no answer as a whole: a
// scrape takes as long as whoever scrapes allows. Only the pages of [New] may take longer than ReadTimeout.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
}

// whole reads a request to its end before anything is done for it. Else net/http does it before the first byte of the
// answer, and a client that never sends the body that it announced is in the place of a scrape meanwhile.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody+1))
			if err != nil || n > maxBody {
				w.Header().Set("Connection", "close") // or the rest would be read after all
				http.Error(w, fmt.Sprintf("request body too large: no page reads a body, send none or "+
					"at most %d KiB", maxBody>>10), http.StatusBadRequest)
				return
			}
		}
		// Where the deadline is left, net/http takes it for the client's end, and a scrape that takes longer for given up.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // where there is one
		next.ServeHTTP(w, r)
	})
}

// contentPolicy is a Content-Security-Policy that allows nothing but what is named.
func contentPolicy(more ...string) string {
	return strings.Join(append([]string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}, more...), "; ")
}

// hardened tells browsers to believe the content types, to run and load nothing, and to show the pages nowhere else.
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

// places bound how many pages are collected at once. Scrapes of one page at the same time that wait as long share a
// collection, and so have one place together. Who only reads has none.
type places struct {
	most  int // 0: no bound
	mu    sync.Mutex
	taken map[place]int // scrapes
}

// place is what scrapes must have in common to take one place.
type place struct {
	cloud   string // of /probe, else empty
	shard   collector.Shard
	timeout time.Duration
}

func newPlaces(most int) *places { return &places{most: most, taken: map[place]int{}} }

// enter reports whether there is a place, which leave must be called for.
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

// full answers a scrape that there is no place for.
func (p *places) full(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	text := fmt.Sprintf("%d scrapes in progress, the limit of --web.max-requests: try again later", p.most)
	http.Error(w, text, http.StatusServiceUnavailable)
}

// addPprof adds the pages of net/http/pprof, which that package puts on a mux of its own that nobody serves.
func addPprof(mux *http.ServeMux, prefix string) {
	const root = "/debug/pprof/"
	policy := contentPolicy("form-action 'none'", "style-src 'unsafe-inline'") // of its index
	add := func(name string, page http.HandlerFunc) {
		page = http.StripPrefix(prefix, page).ServeHTTP
		mux.HandleFunc("GET "+prefix+root+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			page(w, r)
		})
	}
	add("", pprof.Index) // and the profiles by their names
	add("cmdline", pprof.Cmdline)
	add("profile", pprof.Profile)
	add("symbol", pprof.Symbol)
	add("trace", pprof.Trace)
	mux.Handle("GET "+prefix+strings.TrimSuffix(root, "/"), http.RedirectHandler(prefix+root, http.StatusFound))
}
