package serve_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"glance_share_exporter/internal/serve"
	"glance_share_exporter/internal/tlstest"
)

// What is written in the wrong place of web.yml, such as a password, is quoted nowhere.
func TestWebConfigErrorsQuoteNothing(t *testing.T) {
	certFile, keyFile, _ := tlstest.SelfSigned(t)
	pair := fmt.Sprintf("cert_file: %s, key_file: %s", certFile, keyFile)
	for text, want := range map[string]string{
		"basic_auth_users: SECRET":                                         "line 1: cannot unmarshal !!str into map[string]secret.Secret",
		"basic_auth_users: {admin: {SECRET: x}}":                           "line 1: cannot unmarshal !!map into secret.plain",
		"basic_auth_users:\n  admin: SECRET":                               "a password of basic_auth_users is not a bcrypt hash",
		"basic_auth_users: {admin: SECRET" + strings.Repeat("x", 60) + "}": "a password of basic_auth_users is not a bcrypt hash",
		"SECRET: x":       "line 1: a key is not found in type web.Config",
		"? SECRET a\n: x": "a key is not found in type web.Config",
		"basic_auth_users: {SECRET: a, SECRET: b}":                      "a key is already set in map",
		"basic_auth_users: *SECRET":                                     "unknown anchor referenced",
		"basic_auth_users: &SECRET {a: *SECRET}":                        "line 1: cannot unmarshal !!map into secret.plain",
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
		file := write(t, strings.ReplaceAll(text, "SECRET", secret))
		checked := serve.CheckFile(file)
		if checked == nil || !strings.Contains(checked.Error(), want) || !strings.HasSuffix(checked.Error(), "shows it") {
			t.Errorf("%s: got %v, want %s", text, checked, want)
		}
		_, err := serve.UsesTLS(file) // which need not find the mistake
		for _, err := range []error{checked, err} {
			if message := fmt.Sprint(err); strings.Contains(message, "'h'") || strings.Contains(message, secret[:4]) {
				t.Errorf("%s: %s", text, message)
			}
		}
	}
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// logLines is a log that is read while it is written.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// waitFor waits until the log has as many matches, and returns the first.
func (l *logLines) waitFor(t *testing.T, pattern string, n int) []string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if found := regexp.MustCompile(pattern).FindAllStringSubmatch(l.String(), -1); len(found) >= n {
			return found[0]
		}
	}
	t.Fatalf("no %s in\n%s", pattern, l)
	return nil
}

// Nor while the exporter serves: the file is read again for each request and connection.
func TestWebConfigIsQuotedInNoLog(t *testing.T) {
	certFile, keyFile, pool := tlstest.SelfSigned(t)
	web := write(t, fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\n", certFile, keyFile))
	lines, addresses, socket := &logLines{}, []string{"127.0.0.1:0"}, false
	logger, serverLogger := serve.NewLoggers(lines, "info", "logfmt")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, serve.Options{
			Handler: http.NotFoundHandler(), ServerLogger: serverLogger, Logger: logger,
			Toolkit: &toolkit.FlagConfig{WebListenAddresses: &addresses, WebSystemdSocket: &socket, WebConfigFile: &web},
		})
	}()
	url := "https://" + lines.waitFor(t, `Listening on" .*address=([^ \n]+)`, 1)[1]
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	get := func() (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Body.Close()
	}
	if status, err := get(); status != http.StatusNotFound {
		t.Fatal(status, err)
	}
	if err := os.WriteFile(web, []byte("basic_auth_users: hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, err := get(); status != http.StatusInternalServerError {
		t.Error(status, err)
	}
	transport.CloseIdleConnections()
	if status, err := get(); err == nil {
		t.Errorf("a connection without a configuration: %d", status)
	}
	lines.waitFor(t, "Unable to parse configuration", 1)
	lines.waitFor(t, "TLS handshake error", 1)
	lines.waitFor(t, "cannot unmarshal !!str into", 2)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(lines.String(), "hunter2") {
		t.Error(lines)
	}
}
