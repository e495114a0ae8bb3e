//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// A huawei is an IMS of our own making, as there is no real one to start: it verifies signatures by code of its own.
type huawei struct {
	*fakecloud.Cloud
	server *httptest.Server
	image  image
}

func newHuawei(t testing.TB) *huawei {
	t.Helper()
	const project, id = "edc89b490d7d4392898e19b2deb34797", "d164b5df-1bc3-4c3f-893e-3e471fd16e64"
	h := &huawei{Cloud: fakecloud.New(fakecloud.Options{Huawei: true}), image: image{name: "golden", id: id}}
	h.AddProjectID(project, "cn-north-4")
	h.AddAccessKey(fakecloud.AccessKey{
		Access: "AK", Secret: "secret-key", ProjectID: project,
		Rights: []string{fakecloud.RightGet, fakecloud.RightList},
	})
	h.AddImage(fakecloud.Image{ID: id, Name: "golden", Owner: project})
	for i := range 600 { // two pages
		h.Share(id, strconv.Itoa(i))
	}
	h.server = httptest.NewServer(h.Cloud)
	t.Cleanup(func() {
		h.ClearFaults()
		h.server.Close()
	})
	return h
}

// cloud is an entry for the least right.
func (h *huawei) cloud(more ...string) cloud {
	return cloud{
		name: "huawei", endpoint: h.server.URL + "/ims", discover: []string{"{}"},
		auth: "{aksk: {access_key: AK, secret_key: secret-key, project_id: edc89b490d7d4392898e19b2deb34797}}",
		more: append([]string{"api: ims", "members_api: v1", "members_limit: 0"}, more...),
	}
}

// testClouds has three clouds, of which one hangs, on one page and each on its own.
func (w *world) testClouds(t *testing.T) {
	start := time.Now()
	img := w.producer.newImage(t, "one-of-many", "shared")
	w.producer.share(t, img, w.alice, w.bob)
	appCred := w.producer.newAppCredential(t, "clouds-app", "/v2/images", "/v2/images/*", "/v2/images/*/members")
	ims := newHuawei(t)
	clouds := func(more ...string) []cloud {
		return []cloud{
			{name: "password", auth: w.producer.passwordAuth(), images: []image{img}, more: more},
			{name: "app-credential", auth: appCred.auth(w.openstack), images: []image{img}, more: more},
			ims.cloud(more...),
		}
	}
	members := func(selector string) string {
		return fmt.Sprintf(`sum by (cloud) (glance_image_members{%s} and on (cloud, image_id) glance_image_members_complete == 1)`, selector)
	}
	others := []string{"app-credential 2", "password 2"}
	whole := append(slices.Clone(others), "huawei 600")

	t.Run("on one page", func(t *testing.T) {
		e := w.startExporter(t, "clouds", clouds()...)
		w.prometheus.scrape(t, "clouds", e.addr, 2*time.Second)
		w.prometheus.eventually(t, "members", members(`exporter="clouds"`), whole...)
		hang := ims.Inject(fakecloud.Fault{Hang: true})
		w.prometheus.eventually(t, "up", `max by (cloud) (glance_up{exporter="clouds"})`, "password 1", "app-credential 1", "huawei 0")
		since := time.Now()
		w.prometheus.moreScrapes(t, "clouds", 4)
		w.prometheus.never(t, "a scrape that failed", `up{exporter="clouds"} == 0`, since)
		w.prometheus.eventually(t, "members while one hangs", members(`exporter="clouds"`), others...)
		t.Logf("a scrape takes %.2f of 2 s", w.prometheus.number(t, `max(max_over_time(scrape_duration_seconds{exporter="clouds"}[6s]))`))
		hang()
		w.prometheus.eventually(t, "members again", members(`exporter="clouds"`), whole...)
		e.endsWell(t)
	})
	t.Run("each on its own, by service discovery", func(t *testing.T) {
		e := w.startExporter(t, "probes", clouds("scrape_via: probe")...)
		w.prometheus.discover(t, "http://"+e.addr+"/sd")
		const job = `job="glance-clouds"`
		w.prometheus.eventually(t, "targets", `up{`+job+`}`,
			"up "+e.addr+" password glance-clouds 1", "up "+e.addr+" app-credential glance-clouds 1", "up "+e.addr+" huawei glance-clouds 1")
		w.prometheus.eventually(t, "members", members(job), whole...)
		w.prometheus.eventually(t, "each target has its own cloud alone", `count by (instance, cloud) (glance_up{`+job+`})`,
			"password password 1", "app-credential app-credential 1", "huawei huawei 1")
		w.prometheus.eventually(t, "and no counters", `count({__name__=~"glance_api_.*", `+job+`})`)
		hang := ims.Inject(fakecloud.Fault{Hang: true})
		w.prometheus.eventually(t, "up", `max by (instance) (glance_up{`+job+`})`, "password 1", "app-credential 1", "huawei 0")
		w.prometheus.eventually(t, "members while one hangs", members(job), others...)
		hang()

		// A cloud less is a target less.
		e.configure(t, clouds("scrape_via: probe")[:2]...)
		e.reload()
		w.prometheus.eventually(t, "targets", `max by (instance) (up{`+job+`})`, "password 1", "app-credential 1")
		status, body, err := get("http://"+e.addr+"/probe?cloud=huawei", nil)
		if err != nil || status != http.StatusNotFound {
			t.Errorf("a cloud that is not there any more: %d %s %v", status, body, err)
		}
		t.Logf("/probe?cloud=huawei: %d %s", status, body)
		e.endsWell(t)
	})
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}

// testProjects has one user see four projects.
func (w *world) testProjects(t *testing.T) {
	start := time.Now()
	var projects []session
	for _, name := range []string{"north", "east", "south", "west"} {
		projects = append(projects, w.newTenant(t, name))
	}
	north, east, south, west := projects[0], projects[1], projects[2], projects[3]
	both := north.newImage(t, "for-east", "shared")
	north.share(t, both, east, w.alice)
	east.respond(t, both, "accepted") // it is in east's list too
	own := south.newImage(t, "of-south", "shared")
	south.share(t, own, w.bob)
	opened := west.newImage(t, "of-west", "community")
	roamer := north.newReader(t, "roamer")
	for _, p := range projects[1:] {
		w.assign(t, http.MethodPut, p.projectID, roamer.userID, "reader")
	}
	auth := fmt.Sprintf("{password: {auth_url: %q, username: roamer, user_domain_name: Default, password: roamer-secret}}",
		w.KeystoneURL+"/v3")
	e := w.startExporter(t, "projects",
		cloud{name: "discovered", auth: auth, more: []string{"projects: all", "inbound: {expected_owners: []}"}, discover: []string{"{}"}},
		cloud{name: "configured", auth: auth, more: []string{"projects: all"}, images: []image{both, own, opened}},
		cloud{
			name: "listed", auth: auth, more: []string{fmt.Sprintf("projects: [%s, %s]", south.projectID, w.producer.projectID)},
			discover: []string{"{}"},
		})
	w.prometheus.scrape(t, "projects", e.addr, 3*time.Second)
	by := func(metric, cloud, labels string) string {
		return fmt.Sprintf(`sum by (%s) (%s{exporter="projects", cloud=%q})`, labels, metric, cloud)
	}

	t.Run("each image once, in its owner's view", func(t *testing.T) {
		for _, cloud := range []string{"discovered", "configured"} {
			w.prometheus.eventually(t, cloud+": images", by("glance_image_scrape_success", cloud, "image_name"),
				"for-east 1", "of-south 1", "of-west 1")
			w.prometheus.eventually(t, cloud+": whole lists", by("glance_image_members_complete", cloud, "image_name"), "for-east 1", "of-south 1")
			w.prometheus.eventually(t, cloud+": members", by("glance_image_members", cloud, "image_name"), "for-east 2", "of-south 1")
			w.prometheus.eventually(t, cloud+": projects", by("glance_project_success", cloud, "project_id"),
				north.projectID+" 1", east.projectID+" 1", south.projectID+" 1", west.projectID+" 1")
			w.prometheus.eventually(t, cloud+": names", by("glance_project_info", cloud, "project_name"), "north 1", "east 1", "south 1", "west 1")
		}
		w.prometheus.eventually(t, "discovery", `max by (cloud) (glance_discovery_success{exporter="projects"})`, "discovered 1", "listed 0")
	})
	t.Run("what one of them shares with another is inbound there", func(t *testing.T) {
		w.prometheus.eventually(t, "inbound",
			`max by (image_name, owner_id, project_id, status) (glance_inbound_image_status{exporter="projects"} == 1)`,
			"for-east "+north.projectID+" "+east.projectID+" accepted 1")
		w.prometheus.eventually(t, "not expected", by("glance_inbound_unexpected_images", "discovered", "project_id"),
			north.projectID+" 0", east.projectID+" 1", south.projectID+" 0", west.projectID+" 0")
	})
	t.Run("a project that can't be entered costs the others nothing", func(t *testing.T) {
		w.prometheus.eventually(t, "listed: projects", by("glance_project_success", "listed", "project_id"),
			south.projectID+" 1", w.producer.projectID+" 0")
		w.prometheus.eventually(t, "listed: members", by("glance_image_members", "listed", "image_name"), "of-south 1")
	})
	t.Run("more scrapes make no more logins", func(t *testing.T) {
		const logins = `max by (cloud) (glance_api_requests_total{exporter="projects", operation="authenticate"})`
		w.prometheus.moreScrapes(t, "projects", 5)
		// One of the user and one per project.
		w.prometheus.eventually(t, "logins", logins, "discovered 5", "configured 5", "listed 2")
	})
	t.Run("a role that is taken away is told, until a reload accepts it", func(t *testing.T) {
		w.assign(t, http.MethodDelete, west.projectID, roamer.userID, "reader")
		w.prometheus.eventually(t, "discovered: projects", by("glance_project_success", "discovered", "project_id"),
			north.projectID+" 1", east.projectID+" 1", south.projectID+" 1", west.projectID+" 0")
		// The other projects still see that west's image is community.
		w.prometheus.eventually(t, "discovered: images", by("glance_image_scrape_success", "discovered", "image_name"),
			"for-east 1", "of-south 1", "of-west 1")
		w.prometheus.eventually(t, "discovery", by("glance_discovery_success", "discovered", "cloud"), "discovered 0")
		e.reload()
		w.prometheus.eventually(t, "discovered: projects", by("glance_project_success", "discovered", "project_id"),
			north.projectID+" 1", east.projectID+" 1", south.projectID+" 1")
		w.prometheus.eventually(t, "discovered: images", by("glance_image_scrape_success", "discovered", "image_name"),
			"for-east 1", "of-south 1")
		w.prometheus.eventually(t, "discovery", by("glance_discovery_success", "discovered", "cloud"), "discovered 1")
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}
