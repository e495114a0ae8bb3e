package preflight

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"glance_share_exporter/client"
)

// transport returns the findings about TLS on the connections to Keystone and to the image API.
func (e *evidence) transport() (list []finding) {
	type service struct{ what, raw string }
	services := []service{{"Keystone", e.credential.Keystone}, {"the image API", e.endpoint()}}
	if a, b := hostOf(services[0].raw), hostOf(services[1].raw); a != nil && b != nil && a.Scheme == b.Scheme && a.Host == b.Host {
		services = []service{{"Keystone and the image API", services[0].raw}}
	}
	for _, s := range services {
		u := hostOf(s.raw)
		if u == nil {
			continue
		}
		if u.Scheme == "http" {
			text := s.what + " uses plain HTTP"
			if strings.Contains(s.what, " and ") {
				text = s.what + " use plain HTTP"
			}
			f := finding{status: good, subject: "TLS", text: text + " on this machine"}
			if !loopback(u.Hostname()) {
				f.status = warn
				f.text = text + ". Anyone on the network path can read " + e.exposed(s.what) + ", and can change the responses. Use https"
			}
			list = append(list, f)
			continue
		}
		if i := slices.IndexFunc(e.peers, func(p client.Peer) bool { return p.Host == u.Host }); i >= 0 {
			list = append(list, e.certificate(s.what, e.peers[i]))
		}
	}
	return list
}

// exposed returns what can be read on a plain connection to a service.
func (e *evidence) exposed(service string) string {
	switch {
	case e.signs() || e.ClientOptions.Auth == nil:
		return "the requests"
	case e.credential.Given || !strings.Contains(service, "Keystone"):
		return "the token"
	case e.credential.ApplicationCredential != nil:
		return "the secret and the token"
	}
	return "the password and the token"
}

func (e *evidence) certificate(what string, p client.Peer) finding {
	f := finding{status: good, subject: "TLS", text: fmt.Sprintf("the certificate "+
		"of %s (%s) %s", what, p.Host, expiry(p.CertificateEnds, e.now))}
	if p.CertificateEnds.Sub(e.now) < soon {
		f.status = warn
		f.text += ". After that nothing can be read. Renew it"
	}
	if p.Unverified {
		f.status = warn
		f.more = append(f.more, "it is not verified (insecure_skip_verify), so anyone on the network path can impersonate the server. Set "+
			"ca_file instead")
	}
	return f
}

// hostOf parses a URL. It returns nil for one that is invalid or has no host.
func hostOf(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil
	}
	return u
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
