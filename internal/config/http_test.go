package config_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Which certificates a transport trusts: exporter.yml goes before clouds.yaml, and that before the environment.
func TestTransportTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	const other = "testdata/files/other.pem" // nobody's certificate
	in := func(extra string) string {
		file := filepath.Join(t.TempDir(), "clouds.yaml")
		write(t, file, regionFile("one")+extra)
		return "clouds_yaml: {cloud: prod, file: " + file + "}"
	}
	token := "token: {auth_url: " + keystone + ", token: hunter2}"
	env := map[string]string{"OS_AUTH_URL": keystone, "OS_TOKEN": password}
	for _, tc := range []struct {
		name, auth, http string
		cacert           string // OS_CACERT, or a value of OS_INSECURE
		want             bool
	}{
		{"nothing", token, "", "", false},
		{"exporter.yml", token, "http: {tls_config: {ca_file: " + ca + "}}", "", true},
		{"exporter.yml, insecure", token, "http: {tls_config: {insecure_skip_verify: true}}", "", true},
		{"clouds.yaml", in("    cacert: " + ca + "\n"), "", "", true},
		{"clouds.yaml beside a server name", in("    cacert: " + ca + "\n"), "http: {tls_config: {server_name: example.com}}", "", true},
		{"clouds.yaml, insecure", in("    verify: false\n"), "", "", true},
		{"clouds.yaml, insecure by the other key", in("    insecure: true\n"), "", "", true},
		{"clouds.yaml, insecure before verify", in("    insecure: true\n    verify: true\n"), "", "", true},
		{"clouds.yaml, not insecure", in("    insecure: false\n    verify: true\n"), "", "", false},
		{"clouds.yaml, insecure, beside a tls_config", in("    verify: false\n"), "http: {tls_config: {server_name: example.com}}", "", false},
		{"exporter.yml before clouds.yaml", in("    cacert: /nowhere/ca.pem\n"), "http: {tls_config: {ca_file: " + ca + "}}", "", true},
		{"clouds.yaml before the environment", in("    cacert: " + ca + "\n"), "", other, true},
		{"clouds.yaml, the environment", in(""), "", ca, true},
		{"the environment", "env: {}", "", ca, true},
		{"the environment, insecure", "env: {}", "", "True", true},
		{"the environment, not insecure", "env: {}", "", "0", false},
		{"the environment, insecure, with clouds.yaml", in(""), "", "True", false},
		{"another CA in the environment", "env: {}", "", other, false},
		{"exporter.yml before the environment", "env: {}", "http: {tls_config: {ca_file: " + ca + "}}", other, true},
		{"the environment has no say with a written token", token, "", ca, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cleanEnv(t)
			setenv(t, env)
			if _, err := strconv.ParseBool(tc.cacert); err == nil {
				t.Setenv("OS_INSECURE", tc.cacert)
			} else {
				t.Setenv("OS_CACERT", tc.cacert)
			}
			c, err := loadText(t, oneCloud(tc.auth, tc.http))
			if err != nil {
				t.Fatal(err)
			}
			transport, err := c.Clouds[0].NewTransport()
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusFound {
					t.Errorf("status %d, want the redirect itself", resp.StatusCode)
				}
			}
			if got := err == nil; got != tc.want {
				t.Errorf("got %v, want an answer: %t", err, tc.want)
			}
			if closer, ok := transport.(interface{ CloseIdleConnections() }); ok {
				closer.CloseIdleConnections()
			}
		})
	}
}

func TestTransportNotPEM(t *testing.T) {
	cleanEnv(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, password)
	setenv(t, map[string]string{"OS_AUTH_URL": keystone, "OS_TOKEN": password, "OS_CACERT": file})
	_, err := loadText(t, oneCloud("env: {}"))
	want := ":3: clouds[0].auth: " + file + " has no certificate in PEM format: write the CA's certificate into it"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A private key pasted beside a certificate is a secret, too.
func TestRedactedPrivateKey(t *testing.T) {
	cleanEnv(t)
	cert, err := os.ReadFile("testdata/files/other.pem")
	if err != nil {
		t.Fatal(err)
	}
	text := string(cert) + "-----BEGIN PRIVATE KEY-----\n" + "aHVudGVyMg==" + "\n-----END PRIVATE KEY-----\n"
	c, err := loadText(t, oneCloud("token: {auth_url: "+keystone+", token: hunter2}", "http: {tls_config: {ca: "+strconv.Quote(text)+"}}"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Redacted()
	if err != nil || strings.Contains(string(got), "aHVudGVyMg==") || !strings.Contains(string(got), "ca: <secret>") {
		t.Errorf("got %s, %v", got, err)
	}
}

// The second transport has a new connection for each request, with the same certificates.
func TestFreshTransport(t *testing.T) {
	cleanEnv(t)
	var remotes []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { remotes = append(remotes, r.RemoteAddr) }))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	c, err := loadText(t, oneCloud("token: {auth_url: "+keystone+", token: hunter2}", "http: {tls_config: {ca_file: "+ca+"}}"))
	if err != nil {
		t.Fatal(err)
	}
	transport, err := c.Clouds[0].NewFreshTransport()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if len(remotes) != 2 || remotes[0] == remotes[1] {
		t.Errorf("connections %s", remotes)
	}
}
