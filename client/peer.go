package client

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Peer is a host that authenticated with a certificate.
type Peer struct {
	// Host is that of the URL, with the port if that has one.
	Host string
	// CertificateEnds is when the first certificate of the chain expires; of several chains, the one that expires first.
	CertificateEnds time.Time
	// Unverified is whether the certificate was accepted without verification.
	Unverified bool

	leaf *x509.Certificate
}

// Peers returns the hosts that responded over TLS, sorted.
func (c *Client) Peers() []Peer { return c.certRecorder.all() }

// Peers is [Client.Peers].
func (p *Projects) Peers() []Peer { return p.user.Peers() }

// certRecorder is a transport that records the peers. For known ones it takes no lock.
type certRecorder struct {
	next http.RoundTripper
	*peerList
}

// peerList are the peers of one or more transports.
type peerList struct {
	mu    sync.Mutex             // for writers
	peers atomic.Pointer[[]Peer] // replaced, never modified
}

// newCertRecorder returns a certRecorder of next, or next itself if it is one.
func newCertRecorder(next http.RoundTripper) *certRecorder {
	if w, ok := next.(*certRecorder); ok {
		return w
	}
	w := &certRecorder{next: next, peerList: &peerList{}}
	w.peers.Store(&[]Peer{})
	return w
}

// beside returns a certRecorder of another transport with the same peers.
func (w *certRecorder) beside(next http.RoundTripper) *certRecorder {
	return &certRecorder{next: next, peerList: w.peerList}
}

// RoundTrip implements [http.RoundTripper].
func (w *certRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err == nil && resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		w.saw(req.URL.Host, resp.TLS)
	}
	return resp, err
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (w *certRecorder) CloseIdleConnections() {
	if c, ok := w.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (w *certRecorder) all() []Peer { return slices.Clone(*w.peers.Load()) }

func (w *certRecorder) saw(host string, state *tls.ConnectionState) {
	if w.knows(host, state) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.knows(host, state) {
		return
	}
	peers := slices.DeleteFunc(w.all(), func(p Peer) bool { return p.Host == host })
	peers = append(peers, Peer{
		Host: host, CertificateEnds: chainEnds(state), Unverified: len(state.VerifiedChains) == 0, leaf: state.PeerCertificates[0],
	})
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Host, b.Host) })
	w.peers.Store(&peers)
}

// knows reports whether a host's certificate is the recorded one, or expires later.
func (w *certRecorder) knows(host string, state *tls.ConnectionState) bool {
	for _, p := range *w.peers.Load() {
		if p.Host == host {
			return p.leaf.Equal(state.PeerCertificates[0]) || !chainEnds(state).Before(p.CertificateEnds)
		}
	}
	return false
}

// chainEnds is when the first certificate of a chain expires, of several chains the last time. An unverified chain counts as
// it was sent.
func chainEnds(state *tls.ConnectionState) time.Time {
	chains := state.VerifiedChains
	if len(chains) == 0 {
		chains = [][]*x509.Certificate{state.PeerCertificates}
	}
	var latest time.Time
	for _, chain := range chains {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first.NotAfter.After(latest) {
			latest = first.NotAfter
		}
	}
	return latest
}
