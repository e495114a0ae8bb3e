package client

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptrace"
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
}

const (
	// keepCertificate is for how long a certificate counts that is not presented again.
	keepCertificate = time.Hour
	// replacedAfter is how many new connections to its address present another certificate until one counts as replaced.
	// Behind one address may be several servers.
	replacedAfter = 16
)

// presented is a certificate that an address of a host presented.
type presented struct {
	Peer
	leaf    *x509.Certificate
	address string
	seen    time.Time
	others  int // new connections to the address since, with another certificate
}

// forgotten reports whether the certificate counts no longer.
func (p presented) forgotten() bool {
	return p.others >= replacedAfter || time.Since(p.seen) >= keepCertificate
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
	peers map[string][]presented // by host
}

// newCertRecorder returns a certRecorder of next, or next itself if it is one.
func newCertRecorder(next http.RoundTripper) *certRecorder {
	if r, ok := next.(*certRecorder); ok {
		return r
	}
	return &certRecorder{next: next, peerList: &peerList{}}
}

// beside returns a certRecorder of another transport with the same peers.
func (r *certRecorder) beside(next http.RoundTripper) *certRecorder {
	return &certRecorder{next: next, peerList: r.peerList}
}

// RoundTrip implements [http.RoundTripper].
func (r *certRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var conn atomic.Pointer[httptrace.GotConnInfo]
	if req.URL.Scheme == "https" {
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { conn.Store(&info) }}
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	}
	resp, err := r.next.RoundTrip(req)
	if err == nil && resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		address, reused := "", false
		if info := conn.Load(); info != nil {
			address, reused = info.Conn.RemoteAddr().String(), info.Reused
		}
		r.record(req.URL.Host, address, reused, resp.TLS)
	}
	return resp, err
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (r *certRecorder) CloseIdleConnections() {
	if c, ok := r.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// record records which certificate an address of a host presented. reused is whether the connection is not new.
func (l *peerList) record(host, address string, reused bool, state *tls.ConnectionState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(l.peers[host], presented.forgotten)
	leaf := state.PeerCertificates[0]
	known := slices.IndexFunc(list, func(p presented) bool { return p.address == address && p.leaf.Equal(leaf) })
	switch {
	case reused && known < 0, reused && list[known].others > 0:
		// The connection is older than another certificate.
	case known >= 0:
		list[known].seen = time.Now()
	default:
		peer := Peer{Host: host, CertificateEnds: chainEnds(state), Unverified: len(state.VerifiedChains) == 0}
		list = append(list, presented{Peer: peer, leaf: leaf, address: address, seen: time.Now()})
	}
	if !reused {
		for i := range list {
			if p := &list[i]; p.address == address {
				p.others++
				if p.leaf.Equal(leaf) {
					p.others = 0
				}
			}
		}
	}
	if l.peers == nil {
		l.peers = map[string][]presented{}
	}
	l.peers[host] = slices.DeleteFunc(list, presented.forgotten)
}

// all returns, of several certificates of a host, the one that expires first.
func (l *peerList) all() []Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	var peers []Peer
	for host, list := range l.peers {
		list = slices.DeleteFunc(list, presented.forgotten)
		if l.peers[host] = list; len(list) > 0 {
			first := slices.MinFunc(list, func(a, b presented) int { return a.CertificateEnds.Compare(b.CertificateEnds) })
			peers = append(peers, first.Peer)
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Host, b.Host) })
	return peers
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
