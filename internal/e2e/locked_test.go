//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testLockedProjects has a user with a role in a disabled project and in a project of a disabled domain, beside a good one.
func (w *world) testLockedProjects(t *testing.T) {
	start := time.Now()
	var domain created
	w.admin.call(t, http.MethodPost, w.KeystoneURL+"/v3/domains", object{"domain": object{"name": "branch"}}, &domain)
	var inDomain created
	w.admin.call(t, http.MethodPost, w.KeystoneURL+"/v3/projects", object{"project": object{
		"name": "of-branch", "domain_id": domain["domain"].ID,
	}}, &inDomain)
	good := w.newTenant(t, "good")
	disabled, ofBranch := w.newProject(t, "disabled"), inDomain["project"].ID
	rover := good.newReader(t, "rover")
	for _, id := range []string{disabled, ofBranch} {
		w.assign(t, http.MethodPut, id, rover.userID, "reader")
		w.admin.createImage(t, object{"name": "locked", "owner": id, "visibility": "shared", "container_format": "bare", "disk_format": "raw"})
	}
	kept, doomed := good.newImage(t, "kept", "shared"), good.newImage(t, "doomed", "shared")
	good.share(t, kept, w.alice)
	good.share(t, doomed, w.alice)

	auth := fmt.Sprintf("{password: {auth_url: %q, username: rover, user_domain_name: Default, password: rover-secret}}", w.KeystoneURL+"/v3")
	except := fmt.Sprintf("projects_except: [%s, %s]", disabled, ofBranch)
	listed := fmt.Sprintf("projects: [%s, %s, %s]", good.projectID, disabled, ofBranch)
	clouds := []cloud{
		{name: "all", auth: auth, more: []string{"projects: all", "inbound: true"}, discover: []string{"{}"}},
		{name: "listed", auth: auth, more: []string{listed}, discover: []string{"{}"}},
		{name: "except", auth: auth, more: []string{"projects: all", except}, discover: []string{"{}"}},
		{name: "configured", auth: auth, more: []string{"projects: all"}, images: []image{kept, doomed}},
	}
	e := w.startExporter(t, "locked", clouds...)
	p := newPrometheus(t)
	p.RulesFile = filepath.Join(p.Dir, "alerts.rules.yml")
	writeFile(t, p.RulesFile, "groups: []")
	p.start(t)
	p.scrape(t, "locked", e.addr, 2*time.Second)
	by := func(metric, cloud, labels string) string {
		return fmt.Sprintf(`sum by (%s) (%s{exporter="locked", cloud=%q})`, labels, metric, cloud)
	}
	entered := func(t *testing.T, disabledEntered, ofBranchEntered int) {
		t.Helper()
		for _, cloud := range []string{"all", "listed"} { // the other asks nothing in them, and has tokens for them until these end
			p.eventually(t, cloud+": projects", by("glance_project_success", cloud, "project_id"),
				good.projectID+" 1", fmt.Sprintf("%s %d", disabled, disabledEntered), fmt.Sprintf("%s %d", ofBranch, ofBranchEntered))
		}
		p.eventually(t, "except: projects", by("glance_project_success", "except", "project_id"), good.projectID+" 1")
	}
	enable := func(kind, id string, enabled bool) {
		w.admin.call(t, http.MethodPatch, w.KeystoneURL+"/v3/"+kind+"s/"+id, object{kind: object{"enabled": enabled}}, nil)
	}

	t.Run("all of them are entered", func(t *testing.T) {
		entered(t, 1, 1)
		p.eventually(t, "discovery", `max by (cloud) (glance_discovery_success{exporter="locked"})`, "all 1", "listed 1", "except 1")
	})
	t.Run("two are disabled while the exporter runs", func(t *testing.T) {
		enable("project", disabled, false)
		enable("domain", domain["domain"].ID, false)
		w.glance.stop(t)
		w.startGlance(t, longTokenCache) // with no token in its cache
		entered(t, 0, 0)
		p.eventually(t, "up", `max by (cloud) (glance_up{exporter="locked"})`, "all 1", "listed 1", "except 1", "configured 1")
		p.eventually(t, "pauses", `max by (cloud) (glance_auth_paused{exporter="locked"})`, "all 0", "listed 0", "except 0", "configured 0")
		p.eventually(t, "discovery", `max by (cloud) (glance_discovery_success{exporter="locked"})`, "all 0", "listed 0", "except 1")
		p.eventually(t, "inbound", by("glance_inbound_success", "all", "project_id"), good.projectID+" 1", disabled+" 0", ofBranch+" 0")
		for _, cloud := range []string{"all", "listed"} {
			p.eventually(t, cloud+": images", by("glance_image_scrape_success", cloud, "image_name"), "kept 1", "doomed 1", "locked 0")
		}
		p.eventually(t, "no image of theirs has a status code",
			`max by (cloud) (glance_image_scrape_http_status_code{exporter="locked", image_name="locked"})`, "all 0", "listed 0")
		log, err := os.ReadFile(e.log)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"project " + disabled + " is disabled: enable it",
			"Keystone lists project " + ofBranch + " as enabled but refuses a token for it",
		} {
			if !strings.Contains(string(log), want) {
				t.Errorf("the log does not say: %s", want)
			}
		}
	})

	writeFile(t, p.RulesFile, quickRules(t))
	p.reload()
	alertsSince := time.Now()

	t.Run("a deleted image of the good project is gone", func(t *testing.T) {
		good.deleteImage(t, doomed)
		for _, cloud := range []string{"all", "listed"} {
			p.eventually(t, cloud+": images", by("glance_image_scrape_success", cloud, "image_name"), "kept 1", "locked 0")
		}
		p.eventually(t, "except: images", by("glance_image_scrape_success", "except", "image_name"), "kept 1")
		p.eventually(t, "deleted", `max by (cloud, image_id, reason) (glance_image_left{exporter="locked"})`,
			"all "+doomed.id+" deleted 1", "listed "+doomed.id+" deleted 1", "except "+doomed.id+" deleted 1")
		p.eventually(t, "configured: status codes", by("glance_image_scrape_http_status_code", "configured", "image_name"),
			"kept 200", "doomed 404")
	})
	t.Run("alerts are about the projects that are not seen, and nothing else", func(t *testing.T) {
		p.eventually(t, "discovery", `count by (cloud) (ALERTS{alertname="GlanceDiscoveryIncomplete", alertstate="firing"})`, "all 1", "listed 1")
		p.eventually(t, "inbound", `group by (cloud, project_id) (ALERTS{alertname="GlanceInboundIncomplete", alertstate="firing"})`,
			"all "+disabled+" 1", "all "+ofBranch+" 1")
		time.Sleep(40 * time.Second) // longer than any alert waits
		p.never(t, "an alert of the cloud without them", `ALERTS{alertstate="firing", cloud="except"}`, alertsSince)
		p.never(t, "an alert about the credential or the cloud", `ALERTS{alertstate="firing", `+
			`alertname=~"GlanceAPI.*|GlanceCloud.*|GlanceViewNotProven|GlanceNothingWatched|GlanceImageWatcherBlind"}`, alertsSince)
		p.never(t, "a deleted image that is not read",
			fmt.Sprintf(`ALERTS{alertstate="firing", cloud=~"all|listed", image_id=%q}`, doomed.id), alertsSince)
		p.never(t, "an image of the good project", fmt.Sprintf(`ALERTS{alertstate="firing", image_id=%q}`, kept.id), alertsSince)
	})
	t.Run("preflight names them, and advises no role there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "exporter.yml")
		writeFile(t, path, exporterYAML(clouds[:1]))
		page, stderr, code := run(t, w.exporter, "--preflight", "--config.file="+path)
		t.Logf("exit code %d\n%s%s", code, page, stderr)
		flat := strings.Join(strings.Fields(page), " ")
		for _, want := range []string{
			"no token for disabled (" + disabled + ")", "project " + disabled + " is disabled: enable it",
			"no token for of-branch (" + ofBranch + ")", "the project's domain is disabled: enable the domain", "projects_except: [",
		} {
			if !strings.Contains(flat, want) {
				t.Errorf("the page does not say: %s", want)
			}
		}
		if code == 0 || strings.Contains(page, "role add") {
			t.Errorf("exit code %d, or a role is advised", code)
		}
	})
	t.Run("they are entered again", func(t *testing.T) {
		enable("project", disabled, true)
		entered(t, 1, 0)
		enable("domain", domain["domain"].ID, true)
		e.configure(t, append(clouds, cloud{name: "another", auth: auth, more: []string{"projects: all"}, images: []image{kept}})...)
		e.reload() // which ends the pauses
		entered(t, 1, 1)
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}
