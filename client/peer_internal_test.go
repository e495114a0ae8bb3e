package client

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"
)

// A renewed certificate replaces the old one, whose end would be shown for as long as the client lives.
func TestRenewedCertificate(t *testing.T) {
	state := func(days int) *tls.ConnectionState {
		leaf := &x509.Certificate{Raw: []byte{byte(days)}, NotAfter: time.Unix(0, 0).AddDate(0, 0, days)}
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	}
	const host, here, there = "image.example.com", "192.0.2.1:443", "192.0.2.2:443"
	newList := func() (*peerList, func(want int)) {
		l := &peerList{}
		return l, func(want int) {
			t.Helper()
			days := 0
			for _, p := range l.all() {
				days += int(p.CertificateEnds.Sub(time.Unix(0, 0)).Hours() / 24)
			}
			if days != want {
				t.Errorf("the certificate that ends on day %d, want %d", days, want)
			}
		}
	}
	t.Run("not presented for an hour", func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			l, shows := newList()
			l.record(host, here, false, state(10))
			shows(10)
			time.Sleep(30 * time.Minute)
			l.record(host, here, false, state(90))
			shows(10) // There may be two servers.
			time.Sleep(29 * time.Minute)
			l.record(host, here, true, state(10)) // An old connection goes on.
			time.Sleep(time.Minute)
			shows(90)
			l.record(host, here, true, state(10))
			shows(90)
			time.Sleep(time.Hour)
			shows(0)
		})
	})
	t.Run("a connection that goes on", func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			l, shows := newList()
			l.record(host, here, false, state(10))
			for range 10 {
				time.Sleep(30 * time.Minute)
				l.record(host, here, true, state(10))
			}
			shows(10)
		})
	})
	t.Run("replaced at its address", func(*testing.T) {
		l, shows := newList()
		l.record(host, here, false, state(10))
		l.record(host, there, false, state(20))
		for range replacedAfter {
			shows(10)
			l.record(host, here, false, state(90))
		}
		shows(20)
	})
	t.Run("several servers at one address", func(*testing.T) {
		l, shows := newList()
		for i := range 100 {
			l.record(host, here, false, state(10*(1+i%3)))
			shows(10)
		}
	})
}
