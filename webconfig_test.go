package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// What is written in the wrong place of web.yml, such as a password, is quoted nowhere.
func TestWebConfigErrorsQuoteNothing(t *testing.T) {
	certFile, keyFile, _ := selfSigned(t)
	pair := fmt.Sprintf("cert_file: %s, key_file: %s", certFile, keyFile)
	exporter := writeFile(t, "exporter.yml", fmt.Sprintf(configText, "http://127.0.0.1:1"))
	for text, want := range map[string]string{
		"basic_auth_users: SECRET":                                         "line 1: cannot unmarshal !!str into map[string]config.Secret",
		"basic_auth_users: {admin: {SECRET: x}}":                           "line 1: cannot unmarshal !!map into config.plain",
		"basic_auth_users:\n  admin: SECRET":                               "a password of basic_auth_users is not a bcrypt hash",
		"basic_auth_users: {admin: SECRET" + strings.Repeat("x", 60) + "}": "a password of basic_auth_users is not a bcrypt hash",
		"SECRET: x":       "line 1: a key is not found in type web.Config",
		"? SECRET a\n: x": "a key is not found in type web.Config",
		"basic_auth_users: {SECRET: a, SECRET: b}":                      "a key is already set in map",
		"basic_auth_users: *SECRET":                                     "unknown anchor referenced",
		"basic_auth_users: &SECRET {a: *SECRET}":                        "line 1: cannot unmarshal !!map into config.plain",
		"http_server_config: {headers: {SECRET: x}}":                    "HTTP header can not be configured",
		"http_server_config: {headers: {X-Frame-Options: SECRET}}":      "invalid value for X-Frame-Options",
		"http_server_config: {http2: SECRET}":                           "cannot unmarshal !!str into bool",
		"tls_server_config: {min_version: SECRET, " + pair + "}":        "unknown TLS version",
		"tls_server_config: {cipher_suites: [SECRET], " + pair + "}":    "unknown cipher",
		"tls_server_config: {curve_preferences: [SECRET]," + pair + "}": "unknown curve",
		"tls_server_config: {client_auth_type: SECRET, " + pair + "}":   "invalid client_auth_type",
		"rate_limit: {interval: SECRET}":                                "",
		"basic_auth_users: !!int SECRET":                                "cannot decode !!str as a !!int",
	} {
		const secret = "hunter2"
		file := "--web.config.file=" + writeFile(t, "web.yml", strings.ReplaceAll(text, "SECRET", secret))
		for _, args := range [][]string{{"--config.file=" + exporter, "--config.check"}, {"--healthcheck"}} {
			err := run(t.Context(), append(args, file), io.Discard, io.Discard)
			if message := fmt.Sprint(err); strings.Contains(message, "'h'") || strings.Contains(message, secret[:4]) {
				t.Errorf("%s: %s", text, message)
			} else if args[0] != "--healthcheck" && (err == nil || !strings.Contains(message, want) || !strings.HasSuffix(message, "shows it")) {
				t.Errorf("%s: got %v, want %s", text, err, want)
			}
		}
	}
}

// Nor while the exporter serves: the file is read again for each request and connection.
func TestWebConfigIsQuotedInNoLog(t *testing.T) {
	certFile, keyFile, pool := selfSigned(t)
	web := writeFile(t, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\n", certFile, keyFile))
	_, url := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)), "--web.config.file="+web)
	e.url = strings.Replace(e.url, "http:", "https:", 1)
	e.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	if status, _ := e.get(t, "/-/healthy"); status.StatusCode != http.StatusOK {
		t.Fatal(status)
	}
	if err := os.WriteFile(web, []byte("basic_auth_users: hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := e.get(t, "/-/healthy"); status.StatusCode != http.StatusInternalServerError {
		t.Error(status)
	}
	e.client.CloseIdleConnections()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url, nil)
	if resp, err := e.client.Do(req); err == nil {
		resp.Body.Close()
		t.Error("a connection without a configuration")
	}
	for _, want := range []string{"Unable to parse configuration", "TLS handshake error"} {
		waitFor(t, func() bool { return strings.Contains(e.stderr.String(), want) })
	}
	waitFor(t, func() bool { return strings.Count(e.stderr.String(), "cannot unmarshal !!str into") == 2 })
	if strings.Contains(e.stderr.String(), "hunter2") {
		t.Error(e.stderr)
	}
}
