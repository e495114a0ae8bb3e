//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// testDiscovery has images found by listing, of all kinds and on many pages, and compares them with what
// python-openstackclient lists.
func (w *world) testDiscovery(t *testing.T) {
	start := time.Now()
	factory, lab, archive := w.newTenant(t, "factory"), w.newTenant(t, "lab"), w.newTenant(t, "archive")
	reader := factory.newReader(t, "factory-reader")
	owners, visibilities := []session{factory, lab, archive}, []string{"private", "shared", "community", "public"}
	var theirs image // a shared one of another project's
	for i := range 60 {
		// 3, 4 and 5 have no factor in common: every project has every visibility, hidden and not.
		spec := object{
			"name": fmt.Sprintf("scratch-%02d", i), "owner": owners[i%3].projectID, "visibility": visibilities[i%4], "os_hidden": i%5 == 0,
			"tags":             [][]string{{}, {"golden"}, {"signed"}, {"golden", "signed"}, {"signed", "golden", "old"}}[min(i%7, 4)],
			"container_format": "bare", "disk_format": "raw",
		}
		if i%11 < 7 {
			spec["name"] = fmt.Sprintf("golden-%02d", i)
		}
		created := w.admin.createImage(t, spec)
		if owners[i%3].project == "lab" && visibilities[i%4] == "shared" && i%5 != 0 {
			theirs = created
		}
	}
	lab.share(t, theirs, factory)
	factory.respond(t, theirs, "accepted") // from now on it is in factory's list, too
	var page struct{ Images []struct{ ID string } }
	w.admin.call(t, http.MethodGet, w.GlanceURL+"/v2/images?limit=1000", nil, &page)
	if len(page.Images) != 7 {
		t.Fatalf("a page has %d images, want 7", len(page.Images))
	}
	t.Logf("60 images are there after %.1f s", time.Since(start).Seconds())

	cloudsFile := filepath.Join(t.TempDir(), "clouds.yaml")
	writeFile(t, cloudsFile, cloudsYAML(w.openstack, map[string]session{"owner": factory, "reader": reader, "admin": w.admin}, nil))
	e := w.startExporter(t, "discovery",
		cloud{name: "owner", auth: factory.passwordAuth(), discover: []string{"{}"}},
		cloud{name: "reader", auth: reader.passwordAuth(), discover: []string{"{}"}},
		cloud{name: "admin", auth: w.admin.passwordAuth(), discover: []string{`{owners: ["*"]}`}},
		cloud{name: "rules", auth: factory.passwordAuth(), discover: []string{
			`{tags: [golden, signed], name: "golden-*", visibility: [shared, community], expected_members: []}`,
			`{tags: [golden, signed], visibility: [public], expected_visibility: [public]}`,
		}},
		cloud{name: "greedy", auth: lab.passwordAuth(), discover: []string{`{owners: ["*"]}`}})
	w.prometheus.scrape(t, "discovery", e.addr, 3*time.Second)

	// Two listings each, as no list has both the hidden images and the others.
	lists := w.listWithClient(t, cloudsFile, map[string][]string{
		"owner":  {"owner", "--project", factory.projectID},
		"reader": {"reader", "--project", factory.projectID},
		"admin":  {"admin", "--all"},
		"tagged": {"owner", "--project", factory.projectID, "--tag", "golden", "--tag", "signed"},
	})
	found := func(t *testing.T, cloud, metric string, want []listed) {
		t.Helper()
		var ids []string
		hidden, visibility := 0, make(map[string]int)
		for _, img := range want {
			ids = append(ids, img.ID)
			visibility[img.Visibility]++
			if img.hidden {
				hidden++
			}
		}
		if len(ids) == 0 {
			t.Fatalf("%s: nothing to be found", cloud)
		}
		slices.Sort(ids)
		began := time.Now()
		expr := fmt.Sprintf(`group by (image_id) (%s{exporter="discovery", cloud=%q} and on (cloud, image_id) glance_image_scrape_success `+
			`== 1)`, metric, cloud)
		err := poll(30*time.Second, func() error {
			rows, err := w.prometheus.query(expr)
			if err != nil {
				return err
			}
			for i := range rows {
				rows[i] = strings.TrimSuffix(rows[i], " 1")
			}
			if !slices.Equal(rows, ids) {
				return fmt.Errorf("%d images, of which %q should not be there, and %q are missing", len(rows), without(rows, ids), without(ids, rows))
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s, %s: %v", cloud, metric, err)
			return
		}
		t.Logf("%s, %s: the same %d images, %d of them hidden, %v (after %.1f s)", cloud, metric, len(ids),
			hidden, visibility, time.Since(began).Seconds())
	}

	t.Run("the owner and a reader of its project find what openstack image list --project has", func(t *testing.T) {
		found(t, "owner", "glance_image_info", lists["owner"])
		found(t, "reader", "glance_image_info", lists["reader"])
	})
	t.Run("an administrator finds what openstack image list --all has", func(t *testing.T) {
		found(t, "admin", "glance_image_info", lists["admin"])
	})
	t.Run("rules with two tags, a glob and visibilities find what openstack image list --tag has", func(t *testing.T) {
		var first, second []listed
		for _, img := range lists["tagged"] {
			switch {
			case strings.HasPrefix(img.Name, "golden-") && (img.Visibility == "shared" || img.Visibility == "community"):
				first = append(first, img)
			case img.Visibility == "public":
				second = append(second, img)
			}
		}
		found(t, "rules", "glance_image_info", slices.Concat(first, second))
		// Each rule has expectations of its own.
		found(t, "rules", "glance_image_expected_members", first)
		found(t, "rules", "glance_image_visibility_expected", second)
	})
	t.Run("who may not list other projects' images says so and finds its own", func(t *testing.T) {
		var own []listed
		for _, img := range lists["admin"] {
			if img.Project == lab.projectID {
				own = append(own, img)
			}
		}
		found(t, "greedy", "glance_image_info", own)
		w.prometheus.eventually(t, "discovery", `max by (cloud) (glance_discovery_success{exporter="discovery"})`,
			"owner 1", "reader 1", "admin 1", "rules 1", "greedy 0")
		w.prometheus.eventually(t, "up", `max by (cloud) (glance_up{exporter="discovery"})`,
			"owner 1", "reader 1", "admin 1", "rules 1", "greedy 1")
	})
	t.Run("a new image is found, and a deleted one is not missed", func(t *testing.T) {
		img := factory.createImage(t, object{"name": "late", "visibility": "shared", "container_format": "bare", "disk_format": "raw"})
		late := `max by (cloud) (glance_image_scrape_success{exporter="discovery", image_name="late"})`
		w.prometheus.eventually(t, "found", late, "owner 1", "reader 1", "admin 1")
		factory.deleteImage(t, img)
		w.prometheus.eventually(t, "gone", late)
		w.prometheus.eventually(t, "images that can't be read", `glance_image_scrape_success{exporter="discovery"} == 0`)
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}

// createImage makes an image without data.
func (s session) createImage(t testing.TB, spec object) image {
	t.Helper()
	var answer struct{ ID, Name string }
	s.call(t, http.MethodPost, s.GlanceURL+"/v2/images", spec, &answer)
	return image{name: answer.Name, id: answer.ID}
}

// listed is an image as openstack image list --long prints it.
type listed struct {
	ID, Name, Visibility, Project string
	hidden                        bool
}

// listWithClient asks python-openstackclient for lists of images. Each query is a cloud of clouds.yaml and options of
// openstack image list, and is asked twice: for the hidden ones and for the others.
func (w *world) listWithClient(t *testing.T, cloudsFile string, queries map[string][]string) map[string][]listed {
	t.Helper()
	start := time.Now()
	lists := make(map[string][]listed)
	var mu sync.Mutex
	var clients sync.WaitGroup
	slots := make(chan struct{}, 2)
	for name, query := range queries {
		for _, hidden := range []bool{false, true} {
			clients.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				argv := append([]string{
					"/usr/bin/env", "OS_CLIENT_CONFIG_FILE=" + cloudsFile, openstackPath, "--os-cloud", query[0],
					"image", "list", "--long", "-f", "json",
				}, query[1:]...)
				if hidden {
					argv = append(argv, "--hidden")
				}
				stdout, stderr, code := run(t, argv...)
				var rows []listed
				if err := json.Unmarshal([]byte(stdout), &rows); err != nil || code != 0 {
					t.Errorf("%s: exit code %d, %v\n%s%s", strings.Join(argv, " "), code, err, stdout, stderr)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, img := range rows {
					img.hidden = hidden
					lists[name] = append(lists[name], img)
				}
			})
		}
	}
	clients.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("openstack image list was run %d times in %.1f s", 2*len(queries), time.Since(start).Seconds())
	return lists
}

// without returns what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
