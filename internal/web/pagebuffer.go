package web

import (
	"bytes"
	"context"
	"net/http"
)

// enter waits for a place, unless whoever asked leaves.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
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
