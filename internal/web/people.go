package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// How many pages for people are rendered at a time, and how many requests may wait: many or slow clients must not take
// CPU and memory from scrapes. A page holds its place until it is written.
const (
	rendersAtOnce = 1
	writesAtOnce  = 4
	mostWait      = 8
)

// people bounds what those who read pages may take.
type people struct {
	places  chan struct{} // of those who wait, or whose page is made or written
	pages   chan struct{} // of those whose page is made or written
	renders chan struct{} // of those whose page is made
}

func newPeople() *people {
	return &people{make(chan struct{}, writesAtOnce+mostWait), make(chan struct{}, writesAtOnce), make(chan struct{}, rendersAtOnce)}
}

// enter waits for a place, and reports whether there is one before the context ends.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter waits until a page may be written. leave must be called after that.
func (p *people) enter(w http.ResponseWriter, r *http.Request) (leave func(), ok bool) {
	select {
	case p.places <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("%d requests are already waiting for this page: try again later", mostWait), http.StatusServiceUnavailable)
		return nil, false
	}
	if !enter(r.Context(), p.pages) {
		<-p.places
		return nil, false
	}
	return func() {
		<-p.pages
		<-p.places
	}, true
}

// serve renders a page and sends it under a Content-Security-Policy.
func (p *people) serve(w http.ResponseWriter, r *http.Request, policy string, render func(context.Context, io.Writer) error) {
	leave, ok := p.enter(w, r)
	if !ok {
		return
	}
	defer leave()
	page, err := p.make(r, render)
	switch {
	case r.Context().Err() != nil:
		return
	case err != nil:
		http.Error(w, "cannot render the page: see the log of the exporter", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	maps.Copy(h, page.header)
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store") // who can use what is no business of a cache
	h.Set("Content-Length", strconv.Itoa(page.body.Len()))
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // where there is one
	_, _ = w.Write(page.body.Bytes())                             // whoever asked may have gone
	_ = connection.Flush()                                        // what net/http keeps is written while the place is held
	_ = connection.SetWriteDeadline(time.Time{})
}

// make waits for its turn and renders the page, compressed for who can read that.
func (p *people) make(r *http.Request, render func(context.Context, io.Writer) error) (*made, error) {
	if !enter(r.Context(), p.renders) {
		return nil, r.Context().Err()
	}
	defer func() { <-p.renders }()
	var page bytes.Buffer
	if err := render(r.Context(), &page); err != nil {
		return nil, err
	}
	get := r.WithContext(r.Context()) // for HEAD too: it is told what GET would get
	get.Method = http.MethodGet
	m := &made{header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
	compressed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(page.Bytes()) // memory takes all
	})).ServeHTTP(m, get)
	return m, nil
}

// made is a page in memory, as it will be sent.
type made struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (m *made) Header() http.Header { return m.header }

// WriteHeader implements http.ResponseWriter. There is no other status than 200.
func (m *made) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (m *made) Write(p []byte) (int, error) { return m.body.Write(p) }
