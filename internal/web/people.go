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

// Limits of the pages for people that are rendered and written at a time, and of the requests that may wait. Many or
// slow clients must not take CPU and memory from scrapes. A page holds its place until it is written.
const (
	rendersAtOnce = 1
	writesAtOnce  = 4
	mostWait      = 8
)

// people limits the resources that pages for people use.
type people struct {
	places  chan struct{} // an element for each request that waits, or whose page is rendered or written
	pages   chan struct{} // an element for each page that is rendered or written
	renders chan struct{} // an element for each page that is rendered
}

func newPeople() *people {
	return &people{make(chan struct{}, writesAtOnce+mostWait), make(chan struct{}, writesAtOnce), make(chan struct{}, rendersAtOnce)}
}

// enter waits for a place, and reports whether it got one before ctx was done.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter waits until the page of a request may be rendered and written. The caller must call leave after that.
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

// serve renders a page and sends it with a Content-Security-Policy.
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
	h.Set("Cache-Control", "no-store") // no cache may keep who can use which image
	h.Set("Content-Length", strconv.Itoa(page.body.Len()))
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every ResponseWriter has one
	_, _ = w.Write(page.body.Bytes())                             // the client may have disconnected
	_ = connection.Flush()                                        // net/http writes its buffer while the place is held
	_ = connection.SetWriteDeadline(time.Time{})
}

// make waits until it may render, and renders the page, compressed if the client accepts that.
func (p *people) make(r *http.Request, render func(context.Context, io.Writer) error) (*made, error) {
	if !enter(r.Context(), p.renders) {
		return nil, r.Context().Err()
	}
	defer func() { <-p.renders }()
	var page bytes.Buffer
	if err := render(r.Context(), &page); err != nil {
		return nil, err
	}
	get := r.WithContext(r.Context()) // a HEAD gets the headers of a GET
	get.Method = http.MethodGet
	m := &made{header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
	compressed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(page.Bytes()) // never fails
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
