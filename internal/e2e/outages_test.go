//go:build e2e

package e2e

import (
	"net/http"
	"testing"
	"time"
)

// testOutages takes away the token, Keystone, and Glance.
func (w *world) testOutages(t *testing.T) {
	var images []image
	for _, name := range []string{"one", "two", "three"} {
		img := w.producer.newImage(t, name, "shared")
		w.producer.share(t, img, w.alice, w.bob)
		images = append(images, img)
	}
	glance := newTap(t, w.GlanceURL)
	start := time.Now()
	e := w.startExporter(t, "outages",
		cloud{name: "direct", auth: w.producer.passwordAuth(), images: images},
		cloud{name: "tapped", auth: w.producer.passwordAuth(), endpoint: glance.URL, images: images})
	const interval = 4 * time.Second // time for a busy machine to log in and read all
	w.prometheus.scrape(t, "outages", e.addr, interval)

	const (
		series = `{exporter="outages"}`
		tapped = `{exporter="outages", cloud="tapped"}`
		logins = `max(glance_api_requests_total{exporter="outages", cloud="tapped", operation="authenticate"})`
	)
	wellAgain := func(t *testing.T) {
		t.Helper()
		w.prometheus.eventually(t, "up", "sum by (cloud) (glance_up"+series+")", "direct 1", "tapped 1")
		w.prometheus.eventually(t, "images read", "sum by (cloud) (glance_image_scrape_success"+series+")", "direct 3", "tapped 3")
		w.prometheus.eventually(t, "members", "sum by (cloud) (glance_image_member_status"+series+")", "direct 6", "tapped 6")
	}
	unread := func(t *testing.T) {
		t.Helper()
		w.prometheus.eventually(t, "up", "sum by (cloud) (glance_up"+series+")", "direct 0", "tapped 0")
		w.prometheus.eventually(t, "images read", "sum by (cloud) (glance_image_scrape_success"+series+")", "direct 0", "tapped 0")
		w.prometheus.eventually(t, "members complete", "sum by (cloud) (glance_image_members_complete"+series+")", "direct 0", "tapped 0")
		w.prometheus.eventually(t, "members", "count(glance_image_member_status"+series+")")
		w.prometheus.eventually(t, "members per status", "count(glance_image_members"+series+")")
	}

	t.Run("Keystone stops while Glance trusts the token", func(t *testing.T) {
		wellAgain(t)
		w.letGlanceCache(t, glance.token.Load().(string))
		since := time.Now()
		w.keystone.stop(t)
		w.prometheus.moreScrapes(t, "outages", 2)
		w.prometheus.never(t, "down", "glance_up"+tapped+" == 0", since)
		w.prometheus.never(t, "an image not read", "glance_image_scrape_success"+tapped+" == 0", since)
	})
	t.Run("Keystone is away and Glance answers 401 to a good token", func(t *testing.T) {
		before := w.prometheus.number(t, logins)
		w.glance.stop(t)
		w.startGlance(t, shortTokenCache) // with nothing in it
		w.prometheus.eventually(t, "status code", "max by (cloud) (glance_image_scrape_http_status_code"+series+")", "direct 401", "tapped 401")
		unread(t)
		w.prometheus.moreScrapes(t, "outages", 4)
		unread(t)
		tries := w.prometheus.number(t, logins) - before
		t.Logf("%v logins were tried", tries)
		if tries > 5 {
			t.Errorf("%v logins were tried in vain, without growing pauses", tries)
		}
	})
	t.Run("Keystone is back and all is well", func(t *testing.T) {
		w.startKeystone(t)
		wellAgain(t)
	})

	t.Run("the token is revoked and no scrape suffers", func(t *testing.T) {
		// Scrapes of our own, one after another, have the time that a busy machine takes. Prometheus' may join them.
		count := func(p page) float64 { return p.sum("tapped", "glance_api_requests_total", "operation", "authenticate") }
		before, start := count(e.page(t)), time.Now()
		w.revoke(t, glance.token.Load().(string))
		for after := 0; after < 3; { // scrapes that had another token
			p := e.page(t)
			up := p.sum("tapped", "glance_up", "cloud", "tapped")
			read := p.sum("tapped", "glance_image_scrape_success", "cloud", "tapped")
			if up != 1 || read != 3 {
				t.Errorf("up %v, images read %v, want 1, 3", up, read)
			}
			switch n := count(p) - before; {
			case n == 1:
				after++
			case n > 1, time.Since(start) > time.Minute: // Glance trusts a token for a second
				t.Fatalf("%v logins, want 1", n)
			}
		}
	})

	t.Run("Glance stops", func(t *testing.T) {
		w.glance.stop(t)
		unread(t)
		w.prometheus.moreScrapes(t, "outages", 2)
		unread(t)
	})
	t.Run("Glance comes back", func(t *testing.T) {
		w.startGlance(t, longTokenCache)
		wellAgain(t)
	})
	t.Run("Glance hangs", func(t *testing.T) {
		w.glance.freeze()
		defer w.glance.thaw()
		unread(t)
		w.prometheus.moreScrapes(t, "outages", 2)
		unread(t)
		t.Logf("the longest scrape took %v s of the %v that Prometheus gives",
			w.prometheus.number(t, `max(max_over_time(scrape_duration_seconds`+series+`[10s]))`), interval)
	})
	t.Run("Glance goes on", wellAgain)

	// Nor did the exporter ever keep Prometheus waiting too long.
	w.prometheus.never(t, "a scrape without an answer", "up"+series+" == 0", start.Add(5*time.Second))
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
}

// letGlanceCache shows a token to Glance on so many connections that every worker has seen it.
func (w *world) letGlanceCache(t testing.TB, token string) {
	t.Helper()
	for range 60 {
		status, body, err := get(w.GlanceURL+"/v2/schemas/member", http.Header{"X-Auth-Token": {token}, "Connection": {"close"}})
		if err != nil || status != http.StatusOK {
			t.Fatalf("Glance: %d %v %s", status, err, body)
		}
	}
}
