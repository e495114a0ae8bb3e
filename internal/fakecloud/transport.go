package fakecloud

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// InMemory returns a transport that carries requests to a handler without a network. In a testing/synctest bubble,
// where a connection would hold up the clock, minutes of latency and timeouts pass at once.
func InMemory(handler http.Handler) http.RoundTripper { return inMemory{handler} }

type inMemory struct{ handler http.Handler }

func (t inMemory) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI, in.RemoteAddr = req.URL.RequestURI(), "192.0.2.1:1234"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &memoryWriter{header: http.Header{}}
	t.handler.ServeHTTP(w, in)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: req,
	}, nil
}

type memoryWriter struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
