package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glance_share_exporter/internal/web"
)

// A page of another site that somebody looks at must not make the exporter reload.
func TestCrossSiteReload(t *testing.T) {
	reloads := 0
	h := withOptions(t, func(o *web.Options) {
		o.Reload = func() error { reloads++; return nil }
		o.ExternalURL = "https://monitoring.example.com/glance"
		o.RoutePrefix = "/"
	})
	for _, test := range []struct {
		name    string
		header  []string // names and values
		refused bool
	}{
		{name: "no browser"},
		{name: "own page", header: []string{"Origin", "http://exporter:10292", "Sec-Fetch-Site", "same-origin"}},
		{name: "own page, in other letters", header: []string{"Origin", "http://EXPORTER:10292"}},
		{name: "own page behind TLS", header: []string{"Origin", "https://exporter:10292"}},
		{name: "own page at the external URL", header: []string{"Origin", "https://monitoring.example.com"}},
		{name: "address bar", header: []string{"Sec-Fetch-Site", "none"}},
		{name: "other site", header: []string{"Origin", "https://evil.example.org", "Sec-Fetch-Site", "cross-site"}, refused: true},
		{name: "other site, old browser", header: []string{"Origin", "https://evil.example.org"}, refused: true},
		{name: "other site without an origin", header: []string{"Sec-Fetch-Site", "cross-site"}, refused: true},
		{name: "other host of the site", header: []string{"Origin", "https://wiki.example.com", "Sec-Fetch-Site", "same-site"}, refused: true},
		{name: "same site without an origin", header: []string{"Sec-Fetch-Site", "same-site"}, refused: true},
		{name: "unknown kind of site", header: []string{"Sec-Fetch-Site", "new-word"}, refused: true},
		{name: "other port", header: []string{"Origin", "http://exporter:8080"}, refused: true},
		{name: "hidden origin", header: []string{"Origin", "null"}, refused: true},
		{name: "origin without a host", header: []string{"Origin", "http://"}, refused: true},
		{name: "two origins", header: []string{"Origin", "http://exporter:10292", "Origin", "https://evil.example.org"}, refused: true},
		{name: "own origin, other site", header: []string{"Origin", "http://exporter:10292", "Sec-Fetch-Site", "cross-site"}, refused: true},
		{name: "other origin, own site", header: []string{"Origin", "https://evil.example.org", "Sec-Fetch-Site", "same-origin"}, refused: true},
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			before := reloads
			req := httptest.NewRequestWithContext(t.Context(), method, "http://exporter:10292/-/reload", nil)
			for i := 0; i < len(test.header); i += 2 {
				req.Header.Add(test.header[i], test.header[i+1])
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			status, more := http.StatusOK, 1
			if test.refused {
				status, more = http.StatusForbidden, 0
			}
			if rec.Code != status || reloads != before+more {
				t.Errorf("%s, %s: %d %s, %d reloads", test.name, method, rec.Code, rec.Body, reloads-before)
			} else if test.refused && !strings.Contains(rec.Body.String(), "without Origin") {
				t.Errorf("%s: no remedy in %s", test.name, rec.Body)
			}
		}
	}
}
