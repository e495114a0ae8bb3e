package config

import (
	"fmt"
	"net/http"
	"net/url"
	"os"

	promconfig "github.com/prometheus/common/config"

	"glance_share_exporter/client"
)

// Secrets returns the secrets of the transports of c. The client adds its own to them.
func (c Cloud) Secrets() *client.Secrets { return c.secrets }

// transportSecrets returns the secrets of an http block. The client adds those in files when they are sent, and those
// of auth when it logs in.
func transportSecrets(h *promconfig.HTTPClientConfig) *client.Secrets {
	s := &client.Secrets{}
	s.Add(string(h.BearerToken), string(h.TLSConfig.Key))
	if h.Authorization != nil {
		s.Add(string(h.Authorization.Credentials))
	}
	if b := h.BasicAuth; b != nil {
		s.Add(string(b.Password), b.Username+":"+string(b.Password))
	}
	addProxySecrets(s, &h.ProxyConfig)
	if h.HTTPHeaders != nil {
		for name, header := range h.HTTPHeaders.Headers {
			s.AddParameters(header.Values...)
			for _, secret := range header.Secrets {
				s.Add(string(secret))
			}
			if len(header.Files) > 0 {
				s.AddHeaders(name)
			}
		}
	}
	if o := h.OAuth2; o != nil {
		s.Add(string(o.ClientSecret), o.ClientID+":"+string(o.ClientSecret), string(o.ClientCertificateKey), string(o.TLSConfig.Key))
		for _, value := range o.EndpointParams {
			s.AddParameters(value)
		}
		for _, value := range o.Claims {
			s.AddParameters(fmt.Sprint(value))
		}
		if u, err := url.Parse(o.TokenURL); err == nil {
			addURLSecrets(s, u)
		}
		addProxySecrets(s, &o.ProxyConfig)
	}
	return s
}

// addURLSecrets adds the user information and the parameters of a URL.
func addURLSecrets(s *client.Secrets, u *url.URL) {
	if password, ok := u.User.Password(); ok && password != "" {
		s.Add(password, u.User.Username()+":"+password)
	} else {
		s.Add(u.User.Username()) // a token
	}
	for _, values := range u.Query() {
		s.AddParameters(values...)
	}
}

func addProxySecrets(s *client.Secrets, p *promconfig.ProxyConfig) {
	if p.ProxyURL.URL != nil {
		addURLSecrets(s, p.ProxyURL.URL)
	}
	for _, values := range p.ProxyConnectHeader {
		for _, secret := range values {
			s.Add(string(secret))
		}
	}
	if p.ProxyFromEnvironment {
		for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
			if u, err := url.Parse(os.Getenv(name)); err == nil {
				addURLSecrets(s, u)
			}
		}
	}
}

// secretFileTransport adds the content of client_secret_file, which only requests to the OAuth 2 server have, to the
// secrets.
type secretFileTransport struct {
	next    http.RoundTripper
	secrets *client.Secrets
	path    string
	id      string // of the OAuth 2 client
}

// RoundTrip implements http.RoundTripper.
func (t *secretFileTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if secret, err := readSmall(t.path); err == nil { // Otherwise next returns the error.
		t.secrets.Add(secret, t.id+":"+secret)
	}
	return t.next.RoundTrip(req)
}

// CloseIdleConnections is for http.Client.CloseIdleConnections.
func (t *secretFileTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
