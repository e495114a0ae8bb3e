package fakecloud_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// TestMain is goleak's, which this package may not import: no test leaves a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for end := time.Now().Add(5 * time.Second); code == 0 && runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "goroutines are left:")
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			code = 1
		}
	}
	os.Exit(code)
}

func passwordBody(name, scope string) string {
	return fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": %q, `+
		`"domain": {"name": "Default"}, "password": %q}}}, "scope": %s}}`, name, name+"-secret", scope)
}

func appCredentialBody(id, secret string) string {
	return fmt.Sprintf(`{"auth": {"identity": {"methods": ["application_credential"], "application_credential": `+
		`{"id": %q, "secret": %q}}}}`, id, secret)
}

// do sends a request straight to the handler.
func do(c *fakecloud.Cloud, method, path, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	return serve(c, r)
}

func serve(c *fakecloud.Cloud, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func login(t *testing.T, c *fakecloud.Cloud, body string) (token string) {
	t.Helper()
	w := do(c, http.MethodPost, "/identity/v3/auth/tokens", "", body)
	if w.Code != http.StatusCreated {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	return w.Header().Get("X-Subject-Token")
}

// names reads the names of a list of images, and its next link.
func names(t *testing.T, w *httptest.ResponseRecorder) (list []string, next string) {
	t.Helper()
	var page struct {
		Images []struct{ Name string }
		Next   string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); w.Code != http.StatusOK || err != nil {
		t.Fatalf("list: %d %s", w.Code, w.Body)
	}
	for _, img := range page.Images {
		list = append(list, img.Name)
	}
	return list, page.Next
}

// get asks a server over the network and reads all of the body.
func get(t *testing.T, client *http.Client, url, token string) (status int, body string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
