package config

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
)

// NewTransport returns a new transport for the http block. Where the block has no CA, no client certificate, or no
// tls_config, the settings of clouds.yaml or the environment apply. It follows no redirects.
func (c Cloud) NewTransport() (http.RoundTripper, error) { return c.newTransport() }

// NewFreshTransport is NewTransport with a new connection for each request.
func (c Cloud) NewFreshTransport() (http.RoundTripper, error) {
	return c.newTransport(promconfig.WithKeepAlivesDisabled())
}

func (c Cloud) newTransport(opts ...promconfig.HTTPClientOption) (http.RoundTripper, error) {
	cfg := c.http
	if cfg.OAuth2 != nil {
		o := *cfg.OAuth2 // the transport stores its proxy in it
		cfg.OAuth2 = &o
	}
	next, err := promconfig.NewRoundTripperFromConfig(cfg, c.Collector.Name, opts...)
	if err != nil || cfg.OAuth2 == nil || cfg.OAuth2.ClientSecretFile == "" {
		return next, err
	}
	return &secretFileTransport{next: next, secrets: c.secrets, path: cfg.OAuth2.ClientSecretFile, id: cfg.OAuth2.ClientID}, nil
}

// checkHTTP reports whether the http block is valid and its files can be read.
func (b *builder) checkHTTP(path string, e *entry) bool {
	h := &e.HTTP
	path += ".http"
	before := len(b.problems)
	check := func(key string, err error) {
		if err != nil && len(b.problems) == before {
			b.add(joinKey(path, key), "%s", httpProblem(err))
		}
	}
	for _, f := range b.files {
		if strings.HasPrefix(f.path, path+".") && f.value.String() != "" {
			if err := readableAs(lastKey(f.path), f.value.String()); err != nil {
				b.add(f.path, "%s", err)
			}
		}
	}
	b.checkProxy(path+".proxy_url", h.ProxyURL.URL)
	check("tls_config", h.TLSConfig.Validate())
	if h.OAuth2 != nil {
		b.checkProxy(path+".oauth2.proxy_url", h.OAuth2.ProxyURL.URL)
		b.checkTokenURL(path+".oauth2.token_url", h.OAuth2.TokenURL)
		check("oauth2.tls_config", h.OAuth2.TLSConfig.Validate())
		check("oauth2", h.OAuth2.Validate())
	}
	check("", h.Validate())
	if !h.FollowRedirects {
		b.add(path+".follow_redirects", "has no effect: remove it; redirects are followed within the same host only")
	}
	return len(b.problems) == before
}

// httpTexts has messages of prometheus/common, which have no remedy, and their replacements.
var httpTexts = []struct{ says, text string }{
	{`, (\S+) & \S+_ref\b`, " & $1"},
	{`^at most one of (.*) must be configured.*$`, "has more than one of $1: keep only one"},
	{`^exactly one of (\w+) or (\w+) must be configured when a client (\w+) is configured$`, "has a client $3 without its $1: write $2"},
	{`^if (.*) is configured, (.*) must also be configured$`, "has $1 without $2: write $2, or remove $1"},
	{`^if (.*) is configured, (.*) must not be configured$`, "has $1 and $2: keep only one"},
	{`^(.*) is not compatible with (.*)$`, "has $1 and $2: keep only one"},
	{`^(oauth2) (.*) must be configured$`, "$1 has no $2: add it"},
	{`^setting header (".*") is not allowed$`, "the header $1 is reserved: remove it"},
	{`^valid signature algorithms are (.*)$`, "signature_algorithm must be one of $1"},
	{`^unable to use specified CA cert (?:file )?(.*)$`, "$1 has no certificate in PEM format: write the CA's certificate into it"},
	{
		`^unable to use specified client cert .*failed to find any PEM data.*$`,
		"cert_file or key_file has no PEM data: write the certificate and its key there",
	},
	{` & `, " and "},
}

// httpProblem returns what is wrong with an http block, and what to do.
func httpProblem(err error) string {
	says := oneLine(err.Error())
	text := says
	for _, t := range httpTexts {
		text = regexp.MustCompile(t.says).ReplaceAllString(text, t.text)
	}
	if text == says {
		text += ": correct it"
	}
	return text
}

// readableAs returns an error unless a file can be read as what a key of the http block refers to: PEM, or a secret.
func readableAs(key, path string) error {
	switch key {
	case "ca_file", "cert_file", "key_file", "client_certificate_key_file":
		return readable(path)
	}
	_, err := readSecret(path)
	return err
}

// checkProxy and checkTokenURL refuse a URL without a host, which would be this machine.
func (b *builder) checkProxy(path string, u *url.URL) {
	if u != nil && (u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)) {
		b.add(path, "must be %s", wanted(urlType))
	}
}

func (b *builder) checkTokenURL(path, raw string) {
	const example = "a URL such as https://id.example.com/token"
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		b.add(path, "is required: write %s", example)
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		b.add(path, "must be %s", example)
	}
}

// tlsFiles are the TLS settings of clouds.yaml and the environment.
type tlsFiles struct {
	ca, cert, key string
	insecure      bool
}

// fill completes an http block. Verification is disabled only if all is set, where the block has no tls_config.
func (t tlsFiles) fill(c *promconfig.TLSConfig, all bool) {
	if c.CA == "" && c.CAFile == "" && c.CARef == "" {
		c.CAFile = t.ca
	}
	if c.Cert == "" && c.CertFile == "" && c.CertRef == "" && t.cert != "" && t.key != "" {
		c.CertFile, c.KeyFile = t.cert, t.key
	}
	if all {
		c.InsecureSkipVerify = t.insecure
	}
}

// or returns t with the files of other where t has none.
func (t tlsFiles) or(other tlsFiles) tlsFiles {
	if t.ca == "" {
		t.ca = other.ca
	}
	if t.cert == "" && t.key == "" {
		t.cert, t.key = other.cert, other.key
	}
	return t
}
