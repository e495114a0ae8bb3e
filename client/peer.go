package client

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// certRecorder is a transport that records the peers.
type certRecorder struct {
	next http.RoundTripper
	*peerList
}

// peerList are the peers of one or more transports.
type peerList struct {
	mu    sync.Mutex
	peers map[string]Peer // by host
}

// newCertRecorder returns a certRecorder of next, or next itself if it is one.
func newCertRecorder(next http.RoundTripper) *certRecorder {
	if r, ok := next.(*certRecorder); ok {
		return r
	}
	return &certRecorder{next: next, peerList: &peerList{peers: map[string]Peer{}}}
}

// beside returns a certRecorder of another transport with the same peers.
func (r *certRecorder) beside(next http.RoundTripper) *certRecorder {
	return &certRecorder{next: next, peerList: r.peerList}
}

// RoundTrip implements [http.RoundTripper].
func (r *certRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil && resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		r.record(req.URL.Host, resp.TLS)
	}
	return resp, err
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (r *certRecorder) CloseIdleConnections() {
	if c, ok := r.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// record keeps, of several certificates of a host, the one that expires first.
func (l *peerList) record(host string, state *tls.ConnectionState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.peers[host]
	if ok && known.leaf.Equal(state.PeerCertificates[0]) {
		return
	}
	if ends := chainEnds(state); !ok || ends.Before(known.CertificateEnds) {
		l.peers[host] = Peer{Host: host, CertificateEnds: ends, Unverified: len(state.VerifiedChains) == 0, leaf: state.PeerCertificates[0]}
	}
}

func (l *peerList) all() []Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.peers), func(a, b Peer) int { return strings.Compare(a.Host, b.Host) })
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
