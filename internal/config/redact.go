package config

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"gopkg.in/yaml.v3"
)

const hidden = "<secret>"

// Redacted returns the effective configuration as YAML: the defaults filled in, relative paths resolved, secrets shown
// as <secret>.
func (c *Config) Redacted() ([]byte, error) {
	doc := c.doc
	doc.Clouds = append([]entry(nil), doc.Clouds...)
	for i := range doc.Clouds {
		doc.Clouds[i].HTTP = redactHTTP(doc.Clouds[i].HTTP)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("rendering the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// redactHTTP returns a copy without the secrets that are not of type promconfig.Secret: a proxy's user, the values of
// headers, parameters of OAuth 2, and a private key beside a certificate.
func redactHTTP(h promconfig.HTTPClientConfig) promconfig.HTTPClientConfig {
	h.TLSConfig = redactTLS(h.TLSConfig)
	h.ProxyURL = redactURL(h.ProxyURL)
	if h.HTTPHeaders != nil {
		headers := promconfig.Headers{Headers: maps.Clone(h.HTTPHeaders.Headers)}
		for name, header := range headers.Headers {
			if header.Values != nil {
				values := make([]string, len(header.Values))
				for i := range values {
					values[i] = hidden
				}
				header.Values = values
				headers.Headers[name] = header
			}
		}
		h.HTTPHeaders = &headers
	}
	if h.OAuth2 != nil {
		o := *h.OAuth2
		o.TLSConfig = redactTLS(o.TLSConfig)
		o.ProxyURL = redactURL(o.ProxyURL)
		if o.TokenURL = redactRawURL(o.TokenURL); o.EndpointParams != nil {
			o.EndpointParams = maps.Clone(o.EndpointParams)
			for name := range o.EndpointParams {
				o.EndpointParams[name] = hidden
			}
		}
		if o.Claims != nil {
			o.Claims = map[string]any{}
			for name := range h.OAuth2.Claims {
				o.Claims[name] = hidden
			}
		}
		h.OAuth2 = &o
	}
	return h
}

func redactTLS(c promconfig.TLSConfig) promconfig.TLSConfig {
	for _, text := range []*string{&c.CA, &c.Cert} {
		if strings.Contains(*text, "PRIVATE KEY") {
			*text = hidden
		}
	}
	return c
}

// redactURL hides the user as well as the password: some proxies accept a token as the user.
func redactURL(u promconfig.URL) promconfig.URL {
	if u.URL == nil {
		return u
	}
	shown := *u.URL
	if shown.User != nil {
		shown.User = url.User("xxxxx")
	}
	if shown.RawQuery != "" {
		shown.RawQuery = "xxxxx"
	}
	return promconfig.URL{URL: &shown}
}

func redactRawURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return hidden
	}
	return redactURL(promconfig.URL{URL: u}).String()
}
