//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nobody is what is said of an image that was read whole and has no members.
var nobody = []string{"accepted 0", "pending 0", "rejected 0", "unknown 0"}

// testShares follows images through their lives, seen by their owner and by a project that one is shared with.
func (w *world) testShares(t *testing.T) {
	golden := w.producer.newImage(t, "golden", "shared")
	turning := w.producer.newImage(t, "turning", "shared")
	doomed := w.producer.newImage(t, "doomed", "shared")
	w.producer.share(t, turning, w.carol)
	w.producer.share(t, doomed, w.carol)

	start, loginsBefore := time.Now(), w.loginsInKeystonesLog(t)
	e := w.startExporter(t, "shares",
		cloud{name: "owner", auth: w.producer.passwordAuth(), images: []image{golden, turning, doomed}},
		cloud{name: "member", auth: w.alice.passwordAuth(), images: []image{golden}})
	w.prometheus.scrape(t, "shares", e.addr, time.Second)

	// of selects the series of an image as a cloud's credential sees it.
	of := func(cloud string, img image) string {
		return fmt.Sprintf(`{exporter="shares", cloud=%q, image_name=%q}`, cloud, img.name)
	}
	owner := of("owner", golden)
	counts := func(t *testing.T, selector string, want ...string) {
		t.Helper()
		w.prometheus.eventually(t, "members per status", "max by (status) (glance_image_members"+selector+")", want...)
	}
	members := func(t *testing.T, selector string, want ...string) {
		t.Helper()
		w.prometheus.eventually(t, "members", "max by (member_id, status) (glance_image_member_status"+selector+" == 1)", want...)
	}
	complete := func(t *testing.T, selector string, want ...string) {
		t.Helper()
		w.prometheus.eventually(t, "members complete", "sum by (cloud) (glance_image_members_complete"+selector+")", want...)
	}
	created := `max(glance_image_member_created_timestamp_seconds{exporter="shares", cloud="owner", image_name="golden", member_id="` +
		w.alice.projectID + `"})`
	var firstShared float64

	t.Run("an image without members says zero", func(t *testing.T) {
		counts(t, owner, nobody...)
		members(t, owner)
		complete(t, owner, "owner 1")
	})
	t.Run("a share appears as pending", func(t *testing.T) {
		w.producer.share(t, golden, w.alice)
		members(t, owner, w.alice.projectID+" pending 1")
		counts(t, owner, "accepted 0", "pending 1", "rejected 0", "unknown 0")
		firstShared = w.prometheus.number(t, created)
	})
	t.Run("it is accepted", func(t *testing.T) {
		w.alice.respond(t, golden, "accepted")
		members(t, owner, w.alice.projectID+" accepted 1")
		counts(t, owner, "accepted 1", "pending 0", "rejected 0", "unknown 0")
	})
	t.Run("it is rejected", func(t *testing.T) {
		w.alice.respond(t, golden, "rejected")
		members(t, owner, w.alice.projectID+" rejected 1")
		counts(t, owner, "accepted 0", "pending 0", "rejected 1", "unknown 0")
	})
	t.Run("the credential of a member's project sees its own row and says that this is not all", func(t *testing.T) {
		w.producer.share(t, golden, w.bob)
		members(t, owner, w.alice.projectID+" rejected 1", w.bob.projectID+" pending 1")
		complete(t, owner, "owner 1")
		members(t, of("member", golden), w.alice.projectID+" rejected 1")
		counts(t, of("member", golden), "rejected 1")
		complete(t, of("member", golden), "member 0")
	})
	t.Run("it is removed", func(t *testing.T) {
		w.producer.unshare(t, golden, w.alice)
		members(t, owner, w.bob.projectID+" pending 1")
		w.producer.unshare(t, golden, w.bob)
		counts(t, owner, nobody...)
		members(t, owner)
	})
	t.Run("a removed share that is made again keeps the time of the first", func(t *testing.T) {
		w.producer.share(t, golden, w.alice)
		members(t, owner, w.alice.projectID+" pending 1")
		if again := w.prometheus.number(t, created); again != firstShared {
			t.Errorf("created %v, want %v", again, firstShared)
		}
	})

	for _, visibility := range []string{"community", "private"} {
		t.Run("an image turns "+visibility+" and shared again", func(t *testing.T) {
			selector := of("owner", turning)
			is := "max by (visibility) (glance_image_visibility" + selector + " == 1)"
			w.producer.set(t, turning, "visibility", visibility)
			w.prometheus.eventually(t, "visibility", is, visibility+" 1")
			w.prometheus.eventually(t, "it was read", "sum by (cloud) (glance_image_scrape_success"+selector+")", "owner 1")
			w.prometheus.eventually(t, "series about its members", "count by (__name__) ("+aboutMembers(selector)+")")
			w.producer.set(t, turning, "visibility", "shared")
			w.prometheus.eventually(t, "visibility", is, "shared 1")
			members(t, selector, w.carol.projectID+" pending 1")
			complete(t, selector, "owner 1")
		})
	}
	t.Run("an image is hidden", func(t *testing.T) {
		selector := of("owner", turning)
		w.producer.set(t, turning, "os_hidden", true)
		w.prometheus.eventually(t, "hidden", "max by (hidden) (glance_image_info"+selector+")", "true 1")
		members(t, selector, w.carol.projectID+" pending 1")
		complete(t, selector, "owner 1")
	})
	t.Run("an image is deleted", func(t *testing.T) {
		selector := of("owner", doomed)
		members(t, selector, w.carol.projectID+" pending 1")
		w.producer.deleteImage(t, doomed)
		w.prometheus.eventually(t, "what is left", "max by (__name__) ({"+strings.Trim(selector, "{}")+"})",
			"glance_image_members_complete 0", "glance_image_scrape_http_status_code 404", "glance_image_scrape_success 0")
	})

	t.Run("what is said of the clouds themselves", func(t *testing.T) {
		of := func(expr string) string {
			return "max by (cloud) (" + strings.ReplaceAll(expr, "#", `{exporter="shares"}`) + ")"
		}
		both := []string{"member 1", "owner 1"}
		w.prometheus.eventually(t, "up", of("glance_up#"), both...)
		w.prometheus.eventually(t, "watched images", of("glance_watched_images#"), "member 1", "owner 3")
		w.prometheus.eventually(t, "the token is good for a while", of("glance_token_expiry_timestamp_seconds# > bool time() + 600"), both...)
		w.prometheus.eventually(t, "logins pause", of("glance_auth_paused#"), "member 0", "owner 0")
		w.prometheus.eventually(t, "the clocks agree", of("abs(glance_clock_skew_seconds#) < bool 3"), both...)
		w.prometheus.eventually(t, "quota of members", of("glance_image_members_limit#"), "owner 128", "member 128")
		w.prometheus.eventually(t, "version", `max by (version) (glance_exporter_build_info{exporter="shares"})`, version+" 1")
	})
	t.Run("20 scrapes make one login", func(t *testing.T) {
		w.prometheus.moreScrapes(t, "shares",
			max(0, 20-int(w.prometheus.number(t, `max(count_over_time(glance_up{exporter="shares", cloud="owner"}[10m]))`))))
		scrapes := w.prometheus.number(t, `max(count_over_time(glance_up{exporter="shares", cloud="owner"}[10m]))`)
		w.oneLoginEach(t, loginsBefore)
		t.Logf("%v scrapes of 2 clouds", scrapes)
	})
	t.Run("a reload keeps the token", func(t *testing.T) {
		last := `max(glance_exporter_config_last_reload_success_timestamp_seconds{exporter="shares"})`
		before := w.prometheus.number(t, last)
		e.reload()
		w.prometheus.eventually(t, "reloaded", fmt.Sprintf("count(%s > %f)", last, before), "1")
		w.prometheus.moreScrapes(t, "shares", 3)
		w.oneLoginEach(t, loginsBefore)
	})
	w.prometheus.never(t, "a scrape without an answer", `up{exporter="shares"} == 0`, start.Add(5*time.Second))
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
}

// oneLoginEach fails unless the clouds owner and member have logged in once, as the exporter counts and as Keystone does.
func (w *world) oneLoginEach(t *testing.T, before int) {
	t.Helper()
	w.prometheus.eventually(t, "logins", `max by (cloud) (glance_api_requests_total{exporter="shares", operation="authenticate"})`,
		"member 1", "owner 1")
	if n := w.loginsInKeystonesLog(t) - before; n != 2 {
		t.Errorf("Keystone saw %d logins of the exporter, want 2", n)
	}
}

// loginsInKeystonesLog counts the logins that came from exporters.
func (w *world) loginsInKeystonesLog(t testing.TB) (n int) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(w.Dir, "keystone.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.HasPrefix(line, "request POST /v3/auth/tokens ") && strings.Contains(line, "glance_share_exporter") {
			n++
		}
	}
	return n
}

// aboutMembers selects what must not be there for an image whose members do not apply or were not read: everything about
// members but the word that they are not known. When it was read that a visibility has no members is no such thing.
func aboutMembers(selector string) string {
	return `{__name__=~"glance_image_members?_.*|glance_image_members", __name__!="glance_image_members_read_timestamp_seconds", ` +
		strings.TrimPrefix(selector, "{")
}
