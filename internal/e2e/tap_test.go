//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// A tap stands before Glance, sees the tokens, and can hold the requests back.
type tap struct {
	*httptest.Server
	token   atomic.Value  // of the last request
	arrived chan struct{} // a request is here, held or not
	gate    sync.RWMutex
}

func newTap(t testing.TB, target string) *tap {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{arrived: make(chan struct{}, 1)}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) } // no Glance: a broken connection
	p.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		p.token.Store(req.Header.Get("X-Auth-Token"))
		select {
		case p.arrived <- struct{}{}:
		default:
		}
		p.gate.RLock()
		defer p.gate.RUnlock()
		proxy.ServeHTTP(rw, req)
	}))
	t.Cleanup(p.Close)
	return p
}

// hold keeps back the requests from now on, until release.
func (p *tap) hold() {
	p.gate.Lock()
	select { // forget a request of before
	case <-p.arrived:
	default:
	}
}

func (p *tap) release() { p.gate.Unlock() }
