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

// testAlerts follows alerts from Glance to those who are to be told, through the rules and the routes from dashboards.
// Only their times differ: what takes minutes there takes as many seconds here. The hour for which the rules look back is
// an hour here too.
func (w *world) testAlerts(t *testing.T) {
	const cloudName = "alerts"
	start := time.Now()
	golden := w.producer.newImage(t, "alerts-golden", "shared")
	w.producer.share(t, golden, w.alice)
	w.alice.respond(t, golden, "accepted")
	other := w.producer.newImage(t, "alerts-other", "shared").expecting()
	renamed := w.producer.newImage(t, "alerts-judged", "shared")

	am := startAlertmanager(t)
	p := newPrometheus(t)
	p.AlertmanagerHost, p.RulesFile = am.host, filepath.Join(p.Dir, "alerts.rules.yml")
	writeFile(t, p.RulesFile, "groups: []") // for its first 5 s Prometheus has no target, which is as long as a rule waits
	p.start(t)
	watch := func(expected ...session) cloud {
		return cloud{name: cloudName, auth: w.producer.passwordAuth(), images: []image{golden.expecting(expected...), other}}
	}
	rules := cloud{name: "alerts-rules", auth: w.producer.passwordAuth(), discover: []string{
		`{name: alerts-judged, expected_members: []}`, `{name: alerts-renamed}`,
	}}
	e := w.startExporter(t, "alerts", watch(w.alice), rules)
	p.scrape(t, "alerts", e.addr, time.Second)
	writeFile(t, p.RulesFile, quickRules(t))
	p.reload()
	p.eventually(t, "images watched", `count by (cloud) (glance:image:watched >= 0)`, cloudName+" 2", rules.name+" 1")
	p.awaitAlertmanager(t) // which the reload has made it forget for up to 5 s, and the alerts of that time would come later
	t.Logf("Alertmanager, Prometheus and the exporter are at work after %.1f s", time.Since(start).Seconds())

	of := func(alertname string, img image) labels {
		return labels{"alertname": alertname, "cloud": cloudName, "image_id": img.id}
	}
	member := func(alertname string, img image, s session) labels {
		l := of(alertname, img)
		l["member_type"], l["member_id"] = "project", s.projectID
		return l
	}
	const (
		unexpected = "GlanceImageUnexpectedMember"
		exposed    = "GlanceImageExposedByVisibility"
	)
	ever := time.Time{}

	t.Run("security hears of an unexpected share, once, whatever its status", func(t *testing.T) {
		since := time.Now()
		w.producer.share(t, golden, w.bob)
		am.tells(t, since, "security", "firing", member(unexpected, golden, w.bob))
		for _, status := range []string{"rejected", "accepted"} {
			w.bob.respond(t, golden, status)
			p.eventually(t, "the new status", `group by (status) (glance_image_member_status{member_id="`+w.bob.projectID+`"} == 1)`, status+" 1")
			p.moreScrapes(t, "alerts", 2)
			am.knows(t, ever, 1, "active", member(unexpected, golden, w.bob))
		}
	})
	t.Run("it is over when exporter.yml expects it", func(t *testing.T) {
		since := time.Now()
		e.configure(t, watch(w.alice, w.bob), rules)
		e.reload()
		am.tells(t, since, "security", "resolved", member(unexpected, golden, w.bob))
	})
	t.Run("an image turns community and shared again", func(t *testing.T) {
		community := of(exposed, other)
		since := time.Now()
		w.producer.set(t, other, "visibility", "community")
		am.tells(t, since, "security", "firing", community)
		since = time.Now()
		w.producer.set(t, other, "visibility", "shared")
		am.tells(t, since, "security", "resolved", community)
	})

	t.Run("a new name by which a rule without expected_members selects the image does not end it", func(t *testing.T) {
		alert := member(unexpected, renamed, w.bob)
		alert["cloud"] = rules.name
		since := time.Now()
		w.producer.share(t, renamed, w.bob)
		am.tells(t, since, "security", "firing", alert)
		w.producer.set(t, renamed, "name", "alerts-renamed")
		p.eventually(t, "judged images", `count(glance_image_expected_members{cloud="`+rules.name+`"})`)
		p.moreScrapes(t, "alerts", 3)
		am.knows(t, ever, 1, "active", alert)
		since = time.Now()
		w.producer.unshare(t, renamed, w.bob)
		am.tells(t, since, "security", "resolved", alert)
	})

	// This share lives through all that follows.
	share := member(unexpected, golden, w.carol)
	shared := time.Now()
	var page notification
	t.Run("an unexpected share lives on while the exporter is away", func(t *testing.T) {
		w.producer.share(t, golden, w.carol)
		page = am.tells(t, shared, "security", "firing", share)

		down := labels{"alertname": "GlanceExporterDown", "instance": e.addr}
		since := time.Now()
		e.kill()
		am.tells(t, since, "operations", "firing", down)
		am.tells(t, since, "security", "firing", down)
		am.knows(t, ever, 1, "active", share)
		since = time.Now()
		e.start(t)
		am.tells(t, since, "operations", "resolved", down)
		am.tells(t, since, "security", "resolved", down)
		p.moreScrapes(t, "alerts", 3)
		am.knows(t, ever, 1, "active", share)
	})
	t.Run("and while Prometheus is away", func(t *testing.T) {
		p.kill()
		since := time.Now()
		p.start(t)
		am.knows(t, since, 1, "active", share) // it says what it said before
	})
	t.Run("and while Glance hangs, which is one alert, about the cloud", func(t *testing.T) {
		of := func(alertname string) labels { return labels{"alertname": alertname, "cloud": cloudName} }
		frozen := time.Now()
		w.glance.freeze()
		defer w.glance.thaw()
		am.tells(t, frozen, "operations", "firing", of("GlanceCloudDown"))
		am.tells(t, frozen, "security", "firing", of("GlanceCloudDown"))
		am.knows(t, frozen, 2, "suppressed", of("GlanceImageNotRead")) // so nobody was told of them
		am.knows(t, frozen, 1, "suppressed", of("GlanceCloudUnreadable"))
		am.knows(t, ever, 1, "active", share)

		since := time.Now()
		w.glance.thaw()
		am.tells(t, since, "operations", "resolved", of("GlanceCloudDown"))
		am.tells(t, since, "security", "resolved", of("GlanceCloudDown"))
		p.eventually(t, "what can't be read", `count by (alertname) (ALERTS{alertname=~"GlanceImageNotRead|GlanceCloudUnreadable"})`)
		am.knows(t, ever, 1, "active", share)
	})
	t.Run("it ends seconds after the member is removed", func(t *testing.T) {
		since := time.Now()
		w.producer.unshare(t, golden, w.carol)
		over := am.tells(t, since, "security", "resolved", share)
		if !over.StartsAt.Equal(page.StartsAt) {
			t.Errorf("what is over began at %s; the page said %s", over.StartsAt, page.StartsAt)
		}
	})

	t.Run("nobody was told anything else, nor anything twice", func(t *testing.T) {
		names := strings.NewReplacer(w.bob.projectID, "bob", w.carol.projectID, "carol",
			golden.id, golden.name, other.id, other.name, renamed.id, renamed.name)
		told := make(map[string][]string) // by status
		for _, n := range am.told(ever) {
			told[n.Status] = append(told[n.Status], strings.TrimSpace(names.Replace(fmt.Sprintf("%s: %s %s %s",
				n.receiver, n.Labels["alertname"], n.Labels["image_id"], n.Labels["member_id"]))))
		}
		want := []string{
			"operations: GlanceCloudDown", "operations: GlanceCloudDown", // of either cloud
			"operations: GlanceExporterDown",
			"security: GlanceCloudDown", "security: GlanceCloudDown",
			"security: GlanceExporterDown",
			"security: " + exposed + " alerts-other",
			"security: " + unexpected + " alerts-golden bob",
			"security: " + unexpected + " alerts-golden carol",
			"security: " + unexpected + " alerts-judged bob",
		}
		for _, status := range []string{"firing", "resolved"} {
			slices.Sort(told[status])
			if !slices.Equal(told[status], want) {
				t.Errorf("%s: got\n    %s\nwant\n    %s", status, strings.Join(told[status], "\n    "), strings.Join(want, "\n    "))
			}
		}
		t.Logf("%d pages, each resolved once", len(want))
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}
