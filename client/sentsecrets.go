package client

import (
	"encoding/base64"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
)

// watch returns a transport that learns the secrets that are really sent, such as those of files and OAuth 2, from the
// headers of the requests.
func (s *Secrets) watch(next http.RoundTripper) http.RoundTripper { return &watchingTransport{s, next} }

type watchingTransport struct {
	secrets *Secrets
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *watchingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaderField: t.secrets.sent})
	return t.next.RoundTrip(req.WithContext(ctx))
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t *watchingTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// sent learns the secrets of a header that was sent.
func (s *Secrets) sent(name string, values []string) {
	switch name = textproto.CanonicalMIMEHeaderKey(name); name {
	case "Authorization", "Proxy-Authorization":
		for _, v := range values {
			scheme, credentials, _ := strings.Cut(v, " ")
			plain, err := base64.StdEncoding.DecodeString(credentials)
			switch {
			case scheme == algorithm: // A signature is good for one request.
			case strings.EqualFold(scheme, "Basic") && err == nil:
				_, password, _ := strings.Cut(string(plain), ":")
				s.learn(string(plain), password)
			default:
				s.learn(strings.TrimSpace(credentials))
			}
		}
	case "X-Auth-Token", "X-Security-Token", "Cookie":
		s.learn(values...)
	default:
		s.mu.RLock()
		_, ok := s.headers[name]
		s.mu.RUnlock()
		if ok {
			s.learn(values...)
		}
	}
}
