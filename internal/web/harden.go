package web

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// writeTimeout is how long a client may take to read a page. The time of the collection does not count.
const writeTimeout = 30 * time.Second

// Server returns an http.Server with the bounds that a client in trouble makes necessary. It bounds no answer as a whole: a
// scrape takes as long as whoever scrapes allows.
func Server(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

// hardened tells browsers to believe the content types, to run and load nothing, and to show the pages nowhere else.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// limit bounds how many requests are answered at once, over several pages.
type limit chan struct{}

// newLimit returns nil, no limit, for 0.
func newLimit(n int) limit {
	if n == 0 {
		return nil
	}
	return make(limit, n)
}

func (l limit) of(next http.Handler) http.Handler {
	if l == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case l <- struct{}{}:
			defer func() { <-l }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("%d scrapes are under way, as many as --web.max-requests allows: try again later", cap(l)), http.StatusServiceUnavailable)
		}
	})
}

// addPprof adds the pages of net/http/pprof, which that package puts on a mux of its own that nobody serves.
func addPprof(mux *http.ServeMux, prefix string) {
	const root = "/debug/pprof/"
	add := func(name string, page http.HandlerFunc) {
		mux.Handle("GET "+prefix+root+name, http.StripPrefix(prefix, page))
	}
	add("", pprof.Index) // and the profiles by their names
	add("cmdline", pprof.Cmdline)
	add("profile", pprof.Profile)
	add("symbol", pprof.Symbol)
	add("trace", pprof.Trace)
	mux.Handle("GET "+prefix+strings.TrimSuffix(root, "/"), http.RedirectHandler(prefix+root, http.StatusFound))
}
