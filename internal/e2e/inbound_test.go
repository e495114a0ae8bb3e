//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testInbound follows the images that others share with a project, seen by that project, and the alerts about them from
// Glance to those who are to be told.
func (w *world) testInbound(t *testing.T) {
	const cloudName = "inbound"
	start := time.Now()
	consumer, vendor := w.newTenant(t, "inbound-consumer"), w.newTenant(t, "inbound-vendor")
	base := vendor.newImage(t, "base", "shared")
	old := vendor.newImage(t, "base-old", "shared")
	vendor.set(t, old, "os_hidden", true)
	for _, img := range []image{base, old} {
		vendor.share(t, img, consumer)
		consumer.respond(t, img, "accepted")
	}
	own := consumer.newImage(t, "its own", "shared") // which is not inbound
	consumer.share(t, own, vendor)

	am := startAlertmanager(t)
	p := newPrometheus(t)
	p.AlertmanagerHost, p.RulesFile = am.host, filepath.Join(p.Dir, "alerts.rules.yml")
	writeFile(t, p.RulesFile, "groups: []") // as in testAlerts
	p.start(t)
	e := w.startExporter(t, "inbound",
		cloud{name: cloudName, auth: consumer.passwordAuth(), more: []string{"inbound: {expected_owners: [" + vendor.projectID + "]}"}},
		cloud{name: "admin", auth: w.admin.passwordAuth(), more: []string{"inbound: true"}, images: []image{base}},
		cloud{name: "unnamed-admin", auth: w.admin.passwordAuth(), more: []string{"inbound: true", "admin_roles: []"}, images: []image{base}})
	p.scrape(t, "inbound", e.addr, 2*time.Second)
	writeFile(t, p.RulesFile, quickRules(t))
	p.reload()

	statuses := func(t *testing.T, want ...string) {
		t.Helper()
		p.eventually(t, "images per status", `sum by (status) (glance_inbound_images{cloud="inbound"})`, want...)
	}
	images := func(t *testing.T, want ...string) {
		t.Helper()
		p.eventually(t, "images", `max by (image_name, status) (glance_inbound_image_status{cloud="inbound"} == 1)`, want...)
	}
	t.Run("what is accepted is there, hidden or not, and nothing else", func(t *testing.T) {
		statuses(t, "accepted 2", "pending 0", "rejected 0", "unknown 0")
		images(t, "base accepted 1", "base-old accepted 1")
		p.eventually(t, "owners", `max by (owner_id, hidden) (glance_inbound_image_info{cloud="inbound"})`,
			"false "+vendor.projectID+" 1", "true "+vendor.projectID+" 1")
		p.eventually(t, "judged", `max by (image_name) (glance_inbound_image_expected{cloud="inbound"})`, "base 1", "base-old 1")
		p.eventually(t, "read whole", `max by (project_id) (glance_inbound_success{cloud="inbound"})`, consumer.projectID+" 1")
	})
	t.Run("an administrator says nothing, and the images are read all the same", func(t *testing.T) {
		for _, name := range []string{"admin", "unnamed-admin"} {
			p.eventually(t, name, fmt.Sprintf(`max by (__name__) ({__name__=~"glance_inbound_.+", cloud=%q})`, name), "glance_inbound_success 0")
			p.eventually(t, name, fmt.Sprintf(`max by (cloud) (glance_image_scrape_success{cloud=%q})`, name), name+" 1")
		}
	})
	p.eventually(t, "the rules are at work", `count by (cloud) (glance:inbound_image:held{cloud="inbound"} >= 0)`, cloudName+" 2")
	p.awaitAlertmanager(t)

	of := func(alertname string, img image) labels {
		return labels{"alertname": alertname, "cloud": cloudName, "project_id": consumer.projectID, "image_id": img.id}
	}
	const (
		offered  = "GlanceInboundUnknownOwnerOffered"
		unknown  = "GlanceInboundUnknownOwner"
		vanished = "GlanceInboundImageVanished"
	)
	ever := time.Time{}
	double := w.outsider.newImage(t, "base", "shared")
	var accepted time.Time
	t.Run("an offer of a stranger is told, and its end when it is rejected", func(t *testing.T) {
		since := time.Now()
		w.outsider.share(t, double, consumer)
		n := am.tells(t, since, "operations", "firing", of(offered, double))
		if text := n.Annotations["description"]; !strings.Contains(text, w.outsider.projectID) {
			t.Errorf("the owner %s is not in: %s", w.outsider.projectID, text)
		}
		statuses(t, "accepted 2", "pending 1", "rejected 0", "unknown 0")
		since = time.Now()
		consumer.respond(t, double, "rejected")
		am.tells(t, since, "operations", "resolved", of(offered, double))
		statuses(t, "accepted 2", "pending 0", "rejected 1", "unknown 0")
		p.eventually(t, "it counts still", `sum by (cloud) (glance_inbound_unexpected_images{cloud="inbound"})`, cloudName+" 1")
	})
	t.Run("security is told when it is accepted", func(t *testing.T) {
		accepted = time.Now()
		consumer.respond(t, double, "accepted")
		am.tells(t, accepted, "security", "firing", of(unknown, double))
	})
	t.Run("while Glance hangs that lives on, and nothing is said to be gone", func(t *testing.T) {
		frozen := time.Now()
		w.glance.freeze()
		defer w.glance.thaw()
		p.eventually(t, "not read", `max by (cloud) (glance_inbound_success{cloud="inbound"})`, cloudName+" 0")
		am.tells(t, frozen, "operations", "firing", labels{"alertname": "GlanceCloudDown", "cloud": cloudName})
		p.eventually(t, "nothing is told", `count by (cloud) (glance_inbound_images{cloud="inbound"})`)
		p.eventually(t, "all is held", `count by (cloud) (glance:inbound_image:held{cloud="inbound"} >= 0)`, cloudName+" 3")
		am.knows(t, frozen, 1, "active", of(unknown, double))
		since := time.Now()
		w.glance.thaw()
		statuses(t, "accepted 3", "pending 0", "rejected 0", "unknown 0")
		am.tells(t, since, "operations", "resolved", labels{"alertname": "GlanceCloudDown", "cloud": cloudName})
		am.knows(t, ever, 1, "active", of(unknown, double))
		am.knows(t, ever, 0, "active", labels{"alertname": vanished})
	})
	t.Run("it is deleted after it was accepted", func(t *testing.T) {
		since := time.Now()
		w.outsider.deleteImage(t, double)
		am.tells(t, since, "security", "resolved", of(unknown, double))
		am.tells(t, since, "operations", "firing", of(vanished, double))
	})
	t.Run("an image that its owner hides is still there", func(t *testing.T) {
		vendor.set(t, base, "os_hidden", true)
		p.eventually(t, "hidden", `max by (image_name, hidden) (glance_inbound_image_info{cloud="inbound"})`, "true base 1", "true base-old 1")
	})
	t.Run("one that its owner takes back is told to be gone, until it is accepted again", func(t *testing.T) {
		since := time.Now()
		vendor.unshare(t, old, consumer)
		am.tells(t, since, "operations", "firing", of(vanished, old))
		images(t, "base accepted 1")
		since = time.Now()
		vendor.share(t, old, consumer)
		consumer.respond(t, old, "accepted")
		am.tells(t, since, "operations", "resolved", of(vanished, old))
	})
	t.Run("one that is rejected first is not", func(t *testing.T) {
		consumer.respond(t, base, "rejected")
		images(t, "base rejected 1", "base-old accepted 1")
		vendor.unshare(t, base, consumer)
		images(t, "base-old accepted 1")
		p.moreScrapes(t, "inbound", 2)
		am.knows(t, ever, 0, "active", of(vanished, base))
	})
	t.Run("many, of every status", func(t *testing.T) {
		for i := range 24 {
			img := vendor.createImage(t, object{"name": fmt.Sprintf("many-%02d", i), "visibility": "shared", "os_hidden": i%2 == 1})
			vendor.share(t, img, consumer)
			if status := []string{"pending", "accepted", "rejected"}[i%3]; status != "pending" {
				consumer.respond(t, img, status)
			}
		}
		statuses(t, "accepted 9", "pending 8", "rejected 8", "unknown 0")
		p.eventually(t, "read whole", `max by (project_id) (glance_inbound_success{cloud="inbound"})`, consumer.projectID+" 1")
	})
	t.Run("nobody was told anything else", func(t *testing.T) {
		names := strings.NewReplacer(base.id, base.name, old.id, old.name, double.id, double.name)
		told := make(map[string][]string) // by status
		for _, n := range am.told(ever) {
			if n.Labels["cloud"] != "admin" && n.Labels["cloud"] != "unnamed-admin" {
				told[n.Status] = append(told[n.Status],
					strings.TrimSpace(fmt.Sprintf("%s: %s %s", n.receiver, n.Labels["alertname"], names.Replace(n.Labels["image_id"]))))
			}
		}
		want := map[string][]string{
			"firing": {
				"operations: GlanceCloudDown", "operations: " + vanished + " base", "operations: " + vanished + " base-old",
				"operations: " + offered + " base", "security: GlanceCloudDown", "security: " + unknown + " base",
			},
			"resolved": {
				"operations: GlanceCloudDown", "operations: " + vanished + " base-old",
				"operations: " + offered + " base", "security: GlanceCloudDown", "security: " + unknown + " base",
			},
		}
		for status, want := range want {
			slices.Sort(told[status])
			got := slices.Compact(told[status]) // a message about a project has all that it is about
			if !slices.Equal(got, want) {
				t.Errorf("%s: got\n    %s\nwant\n    %s", status, strings.Join(got, "\n    "), strings.Join(want, "\n    "))
			}
		}
	})
	t.Run("a flood of offers is counted, has few series, and is one alert", func(t *testing.T) {
		few := w.startExporter(t, "few", cloud{
			name: "few", auth: consumer.passwordAuth(),
			more: []string{"inbound: {max_images: 2, expected_owners: [" + vendor.projectID + "]}"},
		})
		p.scrape(t, "few", few.addr, 2*time.Second)
		p.eventually(t, "counted", `sum by (status) (glance_inbound_images{cloud="few"})`, "accepted 9", "pending 8", "rejected 8", "unknown 0")
		since := time.Now()
		var flood []image
		for i := range 5 {
			img := w.outsider.newImage(t, fmt.Sprint("flood-", i), "shared")
			w.outsider.share(t, img, consumer)
			flood = append(flood, img)
		}
		p.eventually(t, "all are counted", `sum by (status) (glance_inbound_images{cloud="few"})`,
			"accepted 9", "pending 13", "rejected 8", "unknown 0")
		p.eventually(t, "unexpected", `max by (cloud) (glance_inbound_unexpected_images{cloud="few"})`, "few 5")
		p.eventually(t, "two have series", `count by (cloud) (glance_inbound_image_status{cloud="few"} == 1)`, "few 2")
		more := labels{"alertname": "GlanceInboundUnexpectedImages", "cloud": "few", "project_id": consumer.projectID}
		am.tells(t, since, "operations", "firing", more)
		since = time.Now()
		for _, img := range flood {
			w.outsider.deleteImage(t, img)
		}
		am.tells(t, since, "operations", "resolved", more)
		few.endsWell(t)
	})
	p.never(t, "a zero without all being read",
		`(glance_inbound_images == 0) unless on (cloud, project_id) (glance_inbound_success == 1)`, start)
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}
