//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testDayTwo writes today's state down and has it approved, shows what Keystone calls projects, and sees an approval end.
//
// An approval ends at midnight UTC. With GLANCE_MIDNIGHT=1 the test waits for it; else it shortens the approval.
func (w *world) testDayTwo(t *testing.T) {
	start := time.Now()
	shop := w.newTenant(t, "shop")
	reader := shop.newReader(t, "shop-reader")
	members, visibilities := []session{w.alice, w.bob, w.carol}, []string{"shared", "private", "community", "public"}
	var sharedOnes []image
	for i := range 60 {
		img := w.admin.createImage(t, object{
			"name": fmt.Sprintf("shop-%02d", i), "owner": shop.projectID, "visibility": visibilities[i%4], "os_hidden": i%7 == 0,
			"container_format": "bare", "disk_format": "raw",
		})
		if visibilities[i%4] == "shared" {
			sharedOnes = append(sharedOnes, img)
			shop.share(t, img, members[:i%3]...)
		}
	}
	t.Logf("60 images are there after %.1f s", time.Since(start).Seconds())
	shop3 := sharedOnes[2] // i = 8: alice and bob have it

	am := startAlertmanager(t)
	p := newPrometheus(t)
	p.AlertmanagerHost, p.RulesFile = am.host, filepath.Join(p.Dir, "alerts.rules.yml")
	writeFile(t, p.RulesFile, quickRules(t))
	p.start(t)
	p.awaitAlertmanager(t)
	of := func(auth string, more ...string) cloud {
		return cloud{name: "shop", auth: auth, discover: []string{"{expected_members: []}"}, more: more}
	}
	e := w.startExporter(t, "day-two", of(reader.passwordAuth()))
	list := filepath.Join(e.dir, "shop.yml")

	// baseline returns what --print-expected prints with a cloud's configuration.
	baseline := func(t *testing.T, c cloud) string {
		t.Helper()
		config := filepath.Join(e.dir, "baseline.yml")
		writeFile(t, config, exporterYAML([]cloud{c}))
		text, stderr, code := run(t, w.exporter, "--print-expected=shop", "--config.file="+config)
		if code != 0 {
			t.Errorf("exit code %d: %s", code, stderr)
		}
		return text
	}
	unexpected := `sum by (cloud) (glance_image_unexpected_members)`

	t.Run("today's state is printed", func(t *testing.T) {
		text := baseline(t, of(reader.passwordAuth()))
		writeFile(t, list, text)
		if n := strings.Count(text, "- id: "); n == 0 ||
			!strings.Contains(text, fmt.Sprintf("Entries: %d, left out because all is as expected: %d, without an entry: 0.", n, 60-n)) {
			t.Errorf("%d entries in\n%s", n, text)
		}
	})
	e.configure(t, of(reader.passwordAuth(), "images_files: [shop.yml]"))
	e.reload()
	p.scrape(t, "day-two", e.addr, time.Second)
	t.Run("and loaded, all is as expected", func(t *testing.T) {
		p.eventually(t, "images read", `sum by (cloud) (glance_image_scrape_success)`, "shop 60")
		p.eventually(t, "unexpected members", unexpected, "shop 0")
		p.eventually(t, "images that are open and not meant to be", `count by (cloud) (glance_image_visibility_expected == 0)`)
		if left := baseline(t, of(reader.passwordAuth(), "images_files: [shop.yml]")); !strings.HasSuffix(left, "\n[]\n") {
			t.Errorf("still to be approved is\n%s", left)
		}
	})
	since := time.Now()
	t.Run("one more share is unexpected", func(t *testing.T) {
		shop.share(t, shop3, w.outsider)
		p.eventually(t, "unexpected members", unexpected, "shop 1")
	})
	share := labels{"alertname": "GlanceImageUnexpectedMember", "image_id": shop3.id, "member_id": w.outsider.projectID}
	am.tells(t, since, "security", "firing", share)

	t.Run("names are refused, and nothing else", func(t *testing.T) {
		e.configure(t, of(reader.passwordAuth(), "images_files: [shop.yml]", "resolve_project_names: true"))
		e.reload()
		p.eventually(t, "refused requests",
			`count by (operation) (glance_api_request_errors_total{code="403",operation="resolve_names"} > 0)`, "resolve_names 1")
		p.moreScrapes(t, "day-two", 2)
		p.eventually(t, "names", `glance_member_name_info`)
		p.eventually(t, "unexpected members", unexpected, "shop 1")
	})
	t.Run("an administrator has names", func(t *testing.T) {
		text := baseline(t, cloud{
			name: "shop", auth: w.admin.passwordAuth(), discover: []string{"{owners: [" + shop.projectID + "]}"},
			more: []string{"resolve_project_names: true"},
		})
		for _, member := range []session{w.alice, w.bob, w.outsider} {
			if !strings.Contains(text, fmt.Sprintf("    - %q  # %q in Keystone\n", member.projectID, member.project)) {
				t.Errorf("no name of %s in\n%s", member.project, text)
			}
		}
	})
	t.Run("a reader whom Keystone's policy allows it has names", func(t *testing.T) {
		allow := func(rule string) {
			writeFile(t, filepath.Join(w.Dir, "policy.yaml"),
				fmt.Sprintf("%q: %q\n%q: %q\n", "identity:get_project", rule, "identity:list_projects", rule))
			time.Sleep(policyDelay)
		}
		allow("role:reader")
		defer allow("rule:admin_required")
		e.endsWell(t) // which asks again at once when it starts
		e.start(t)
		p.eventually(t, "names", `max by (keystone_name, member_id) (glance_member_name_info)`,
			"alice "+w.alice.projectID+" 1", "bob "+w.bob.projectID+" 1", "outsider "+w.outsider.projectID+" 1")
		rules := []string{"/v2/images", "/v2/images/*", "/v2/images/*/members", "/v2/images/*/members/*", "/v3/projects", "/v3/projects/*"}
		cred := shop.newAppCredential(t, "names", rules...)
		if text := baseline(t, of(cred.auth(w.openstack), "resolve_project_names: true")); !strings.Contains(text, `"outsider" in Keystone`) {
			t.Errorf("with access rules for names there are none:\n%s", text)
		}
		_, text, err := get("http://"+e.addr+"/shares.csv?image="+shop3.id, nil)
		if err != nil || !strings.Contains(text, w.outsider.projectID+",,outsider,") {
			t.Errorf("%v\n%s", err, text)
		}
	})
	t.Run("the page has a name that Keystone gave, and there is one alert as before", func(t *testing.T) {
		_, text, err := get("http://"+e.addr+"/?image="+shop3.id, nil)
		if err != nil || !strings.Contains(text, "named “outsider” in Keystone") {
			t.Errorf("%v\n%s", err, text)
		}
		p.moreScrapes(t, "day-two", 2)
		am.knows(t, time.Time{}, 1, "active", labels{"alertname": "GlanceImageUnexpectedMember"})
		err = poll(30*time.Second, func() error { // which Prometheus tells with the alert's next resend
			all, err := am.known()
			for _, k := range all {
				if want := `named "outsider" in Keystone by its owner`; k.is(share) && !strings.Contains(k.Annotations["description"], want) {
					return fmt.Errorf("no %s in %s", want, k.Annotations["description"])
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("an approval ends", func(t *testing.T) {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		approve := func(day time.Time) {
			// The entry of shop3 gets the outsider, until that day.
			at := strings.Index(string(text), shop3.id)
			rest := string(text)[at:]
			before, after, ok := strings.Cut(rest, "expected_members:\n")
			if !ok {
				t.Fatalf("no members in\n%s", rest)
			}
			member := fmt.Sprintf("    - {id: %s, until: %s, note: CHG-1234}\n", w.outsider.projectID, day.Format(time.DateOnly))
			writeFile(t, list, string(text)[:at]+before+"expected_members:\n"+member+after)
			e.reload()
		}
		today := time.Now().UTC()
		since := time.Now()
		approve(today)
		am.tells(t, since, "security", "resolved", share)
		am.knows(t, since, 1, "active", labels{"alertname": "GlanceImageApprovalEnding", "member_id": w.outsider.projectID})
		if os.Getenv("GLANCE_MIDNIGHT") != "" {
			midnight := today.Truncate(24 * time.Hour).Add(24 * time.Hour)
			t.Logf("waiting until %s", midnight)
			time.Sleep(time.Until(midnight.Add(-3 * time.Second)))
			p.eventually(t, "unexpected members before midnight", unexpected, "shop 0")
			since = midnight
		} else {
			since = time.Now()
			approve(today.AddDate(0, 0, -1))
		}
		p.eventually(t, "unexpected members", unexpected, "shop 1")
		am.tells(t, since, "security", "firing", share)
		_, html, err := get("http://"+e.addr+"/?image="+shop3.id, nil)
		if want := "approval ended after "; err != nil || !strings.Contains(html, want) || !strings.Contains(html, "(CHG-1234)") {
			t.Errorf("%v, no %q and no note on the page\n%s", err, want, html)
		}
	})
	t.Run("security heard of one share, twice", func(t *testing.T) {
		var heard []string
		for _, n := range am.told(time.Time{}) {
			if n.receiver == "security" && n.Labels["alertname"] == share["alertname"] {
				heard = append(heard, n.Status)
			}
		}
		want := []string{"firing", "resolved", "firing"}
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}
