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

// rules are policies of Glance by name.
type rules map[string]string

// The policies of Glance 25, those of old and those of the new defaults (secure RBAC).
var (
	oldDefaults = rules{"context_is_admin": "role:admin", "get_images": "", "get_image": "", "get_members": "", "get_member": ""}
	newDefaults = rules{
		"context_is_admin": "role:admin",
		"get_images":       "role:admin or (role:reader and project_id:%(project_id)s)",
		"get_image": "role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s or " +
			"'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s))",
		"get_members": "role:admin or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)",
		"get_member":  "role:admin or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)",
	}
)

// setPolicy writes Glance's policies: the defaults, and what differs from them. Glance reads the file again when it changes, but a rule
// that is missing from it stays in effect until a restart, so every rule is written each time.
func (o *openstack) setPolicy(t testing.TB, differs rules) {
	t.Helper()
	all := oldDefaults
	if o.SecureRBAC {
		all = newDefaults
	}
	var b strings.Builder
	for name, rule := range all {
		if other, ok := differs[name]; ok {
			rule = other
		}
		fmt.Fprintf(&b, "%q: %q\n", name, rule)
	}
	writeFile(t, filepath.Join(o.Dir, "policy.yaml"), b.String())
	time.Sleep(policyDelay)
}

// policyInterval is the scrape interval of the exporter that sees all policies, one after the other.
const policyInterval = 2 * time.Second

// policyDelay is how long both workers of Glance may take to read the policies again.
const policyDelay = 1200 * time.Millisecond

// testPolicies checks that the exporter never reports "nobody has access" when an operator's policies hide rows, images or rights. Glance
// answers 200 all the same, so an empty answer proves nothing.
func (w *world) testPolicies(t *testing.T) {
	start := time.Now()
	w.SecureRBAC = true
	w.glance.stop(t)
	w.startGlance(t, longTokenCache)
	w.setPolicy(t, nil)

	owner, consumer := w.newTenant(t, "policy-owner"), w.newTenant(t, "policy-consumer")
	three := owner.newImage(t, "trio", "shared")
	owner.share(t, three, consumer, w.bob, w.carol)
	consumer.respond(t, three, "accepted")
	w.bob.respond(t, three, "rejected")
	empty := owner.newImage(t, "empty", "shared")
	private := owner.newImage(t, "private", "private")
	stays := owner.newImage(t, "stays", "shared")
	owner.share(t, stays, w.alice)
	bare := w.newTenant(t, "policy-bare") // a project with one list, which is empty
	alone := bare.newImage(t, "alone", "shared")
	vendor := w.newTenant(t, "policy-vendor")
	odd := vendor.createImage(t, object{
		"name": "odd", "visibility": "shared", "container_format": "bare", "disk_format": "raw", "__whole_image": "x",
	})
	vendor.share(t, odd, consumer)

	reader := owner.newReader(t, "policy-reader")
	w.newUser(t, "policy-half-admin", consumer.projectID, "admin")
	half := w.login(t, "policy-half-admin", "policy-half-admin-secret", consumer.project)
	rights := []string{"/v2/images", "/v2/images/*", "/v2/images/*/members"}
	probing := append(slices.Clone(rights), "/v2/images/*/members/*")
	with, without := owner.newAppCredential(t, "policy-with", probing...), owner.newAppCredential(t, "policy-without", rights...)
	bareWith, bareWithout := bare.newAppCredential(t, "bare-with", probing...), bare.newAppCredential(t, "bare-without", rights...)

	ours := []image{three.expecting(), empty.expecting(), private}
	found := []string{"{name: trio, owners: ['*'], expected_members: []}"}
	readerCloud := cloud{name: "reader", auth: reader.passwordAuth(), images: ours}
	memberCloud := cloud{name: "member", auth: consumer.passwordAuth(), images: []image{three.expecting()}}
	adminCloud := cloud{name: "admin", auth: w.admin.passwordAuth(), images: ours}
	lister := cloud{name: "lister", auth: reader.passwordAuth(), discover: []string{"{}"}}
	inbound := cloud{name: "inbound", auth: consumer.passwordAuth(), more: []string{"inbound: true"}}

	watched := lister
	watched.discover = []string{"{expected_members: []}"}
	e := w.startExporter(t, "policies", watched, inbound,
		cloud{name: "without", auth: without.auth(w.openstack), images: []image{three.expecting(), stays}})
	w.prometheus.scrape(t, "policies", e.addr, policyInterval)
	watch := func(t *testing.T, metric, cloud, label string, want ...string) {
		t.Helper()
		w.prometheus.eventually(t, metric+" of "+cloud,
			fmt.Sprintf(`max by (%s) (%s{exporter="policies", cloud=%q})`, label, metric, cloud), want...)
	}
	members := func(t *testing.T) {
		t.Helper()
		watch(t, "glance_image_members_complete", "lister", "image_name", "trio 1", "empty 1", "stays 1")
		watch(t, "glance_image_unexpected_members", "lister", "image_name", "trio 3", "empty 0", "stays 1")
		watch(t, "glance_discovery_success", "lister", "cloud", "lister 1")
	}
	whole := func(t *testing.T) {
		t.Helper()
		members(t)
		watch(t, "glance_inbound_images", "inbound", "status", "accepted 1", "pending 1", "rejected 0", "unknown 0")
	}
	const (
		all3     = "trio: success 1, code 200, complete 1, members accepted 1 pending 1 rejected 1 unknown 0, unexpected 3"
		none     = "empty: success 1, code 200, complete 1, members accepted 0 pending 0 rejected 0 unknown 0, unexpected 0"
		noRows   = "alone: success 1, code 200, complete 1, members accepted 0 pending 0 rejected 0 unknown 0, unexpected 0"
		notRead3 = "trio: success 0, code 200, complete 0"
		notRead  = "empty: success 0, code 200, complete 0"
		privates = "private: success 1, code 200"
	)
	// A collection that saw both policies may have a proof by the one for an answer by the other, for 5 minutes.
	change := func(t *testing.T, differ rules) {
		t.Helper()
		e.freeze()
		defer e.thaw()
		w.setPolicy(t, differ)
	}
	for _, tc := range []struct {
		name   string
		differ rules
		clouds []cloud
		want   map[string][]string // by cloud: the first scrape of a new exporter
		then   func(t *testing.T)  // checks the exporter that has seen other policies
	}{
		{
			"ordinary policies: everything is complete in the first scrape", nil,
			[]cloud{
				readerCloud,
				{name: "with", auth: with.auth(w.openstack), images: ours},
				{name: "without", auth: without.auth(w.openstack), images: ours},
				{name: "bare-with", auth: bareWith.auth(w.openstack), images: []image{alone.expecting()}},
				{name: "bare-without", auth: bareWithout.auth(w.openstack), images: []image{alone.expecting()}},
				adminCloud,
				{name: "admin-empty", auth: w.admin.passwordAuth(), images: []image{empty.expecting()}},
				{name: "admin-all", auth: w.admin.passwordAuth(), discover: found},
				lister, inbound,
			},
			map[string][]string{
				"reader": {all3, none, privates, "sees members 1"}, "with": {all3, none, privates, "sees members 1"},
				"without":   {all3, none, privates, "sees members 1"}, // the rows of another list are its proof
				"bare-with": {noRows, "sees members 1"}, "bare-without": {"alone: success 0, code 200, complete 0", "sees members 0"},
				"admin":       {all3, none, privates, "sees administrator 1", "sees members 1"},
				"admin-empty": {none, "sees administrator 1", "sees members 1"},
				"admin-all":   {all3, "discovery 1", "sees administrator 1", "sees images 1", "sees members 1"},
				"lister": {
					"trio: success 1, code 200, complete 1, members accepted 1 pending 1 rejected 1 unknown 0",
					"empty: success 1, code 200, complete 1, members accepted 0 pending 0 rejected 0 unknown 0",
					"stays: success 1, code 200, complete 1, members accepted 0 pending 1 rejected 0 unknown 0",
					privates, "discovery 1", "sees images 1", "sees members 1",
				},
				// Anybody can give an image any property, and share it.
				"inbound": {
					"inbound 1", "inbound images accepted 1 pending 1 rejected 0 unknown 0", "inbound odd pending",
					"inbound trio accepted", "sees images 1",
				},
			},
			func(t *testing.T) {
				whole(t)
				w.prometheus.moreScrapes(t, "policies", 2)
				w.asksPerScrape(t, "policies", "lister", "list_images 2", "list_members 3", "get_image 0", "get_member 0", "authenticate 0")
				w.asksPerScrape(t, "policies", "without", "list_images 1", "list_members 2", "get_image 0", "get_member 0", "authenticate 0")
				w.asksPerScrape(t, "policies", "inbound", "list_images 2", "list_members 2", "get_image 0", "get_member 0", "authenticate 0")
			},
		},
		{
			"rows are for administrators: an empty list is not read",
			rules{"get_member": "role:admin"},
			[]cloud{readerCloud},
			map[string][]string{"reader": {notRead3, notRead, privates, "sees members 0"}},
			func(t *testing.T) {
				watch(t, "glance_image_scrape_success", "lister", "image_name", "trio 0", "empty 0", "stays 0",
					"private 1") // the refused probe ends the proof of before
				watch(t, "glance_image_scrape_http_status_code", "lister", "image_name", "trio 200", "empty 200", "stays 200", "private 200")
				watch(t, "glance_image_members_complete", "lister", "image_name", "trio 0", "empty 0", "stays 0")
				watch(t, "glance_image_members_complete", "without", "image_name", "trio 0", "stays 0")
				watch(t, "glance_inbound_success", "inbound", "cloud", "inbound 0") // the row with our status is hidden too
			},
		},
		{
			"rows are for the owner: a member and an administrator of another project have not read the list",
			rules{"get_member": "role:reader and project_id:%(project_id)s"},
			[]cloud{readerCloud, memberCloud, adminCloud},
			map[string][]string{
				"reader": {all3, none, privates, "sees members 1"},
				"member": {notRead3, "sees members 0"},
				"admin":  {notRead3, notRead, privates, "sees administrator 1", "sees members 0"},
			},
			func(t *testing.T) {
				members(t)
				watch(t, "glance_inbound_success", "inbound", "cloud", "inbound 0")
			},
		},
		{
			"another role makes an administrator: one row of three, and not all images",
			rules{"context_is_admin": "role:cloud_image_admin"},
			[]cloud{{name: "half", auth: half.passwordAuth(), discover: found}},
			map[string][]string{"half": {
				"trio: success 1, code 200, complete 0, members accepted 1, unexpected 1", "discovery 0", "sees administrator 0", "sees images 1",
			}},
			whole,
		},
		{
			"get_images without get_image: an empty listing is not read",
			rules{"get_image": "role:admin"},
			[]cloud{lister, inbound},
			map[string][]string{"lister": {"discovery 0", "sees images 0"}, "inbound": {"inbound 0", "sees images 0"}},
			func(t *testing.T) {
				watch(t, "glance_discovery_success", "lister", "cloud", "lister 0")
				watch(t, "glance_inbound_success", "inbound", "cloud", "inbound 0")
				// A deleted image is gone after two 404s at least 10 s apart. These images are not deleted.
				w.prometheus.moreScrapes(t, "policies", 1+int(12*time.Second/policyInterval))
				watch(t, "glance_image_scrape_success", "lister", "image_name", "trio 0", "empty 0", "stays 0", "private 0")
				watch(t, "glance_inbound_image_info", "inbound", "image_name", "trio 1", "odd 1")
				watch(t, "glance_inbound_images", "inbound", "status")
				watch(t, "glance_image_left", "lister", "image_id")
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			change(t, tc.differ)
			page := w.firstScrape(t, tc.clouds...)
			for _, c := range tc.clouds {
				got, want := page.of(c.name), slices.Sorted(slices.Values(tc.want[c.name]))
				if !slices.Equal(got, want) {
					t.Errorf("%s: got\n    %s\nwant\n    %s", c.name, strings.Join(got, "\n    "), strings.Join(want, "\n    "))
				}
			}
			if tc.then != nil {
				tc.then(t)
			}
		})
	}
	t.Run("ordinary policies again: the members are back, and an emptied list is proven empty", func(t *testing.T) {
		change(t, nil)
		whole(t)
		w.prometheus.never(t, "nobody", `glance_image_unexpected_members{exporter="policies", image_name=~"trio|stays"} == 0`, start)
		for _, m := range []session{consumer, w.bob, w.carol} {
			owner.unshare(t, three, m)
		}
		// The probe asks for an image once a minute at most, and asked while the rows were hidden.
		for cloud, want := range map[string][]string{"lister": {"trio 0", "empty 0", "stays 1"}, "without": {"trio 0"}} {
			w.prometheus.within(t, 90*time.Second, "the emptied list of "+cloud,
				fmt.Sprintf(`max by (image_name) (glance_image_unexpected_members{exporter="policies", cloud=%q})`, cloud), want...)
		}
		watch(t, "glance_image_members_complete", "without", "image_name", "trio 1", "stays 1")
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
	t.Logf("%.1f s in all", time.Since(start).Seconds())
}

// asksPerScrape checks how many requests of each kind each of the last scrapes made.
func (w *world) asksPerScrape(t *testing.T, exporter, cloud string, want ...string) {
	t.Helper()
	requests := fmt.Sprintf(`glance_api_requests_total{exporter=%q, cloud=%q}[9s]`, exporter, cloud)
	w.prometheus.eventually(t, "requests per scrape of "+cloud,
		`max by (operation) ((max_over_time(`+requests+`) - min_over_time(`+requests+`)) / (count_over_time(`+requests+`) - 1))`, want...)
}
