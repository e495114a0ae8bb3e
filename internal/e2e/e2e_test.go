//go:build e2e

// Package e2e checks the exporter on the real thing: Keystone, Glance, python-openstackclient, Prometheus and Alertmanager
// from Debian's packages, all on loopback, all in temporary directories. What the exporter says is read through Prometheus'
// query API, and what comes of it in Alertmanager's webhooks.
//
// Run it with make e2e. It needs no root, and takes about eight minutes.
package e2e

import (
	"os"
	"testing"
	"time"
)

const (
	prometheusPath   = "/usr/bin/prometheus"
	promtoolPath     = "/usr/bin/promtool"
	openstackPath    = "/usr/bin/openstack"
	alertmanagerPath = "/usr/bin/prometheus-alertmanager"
)

// world is what all scenarios share. Each makes its own images and starts its own exporter.
type world struct {
	*openstack
	prometheus *prometheus
	exporter   string // the binary's path

	producer session // who owns the images
	// Projects that images are shared with.
	alice, bob, carol session
	outsider          session
}

func TestExporter(t *testing.T) {
	t.Parallel()
	checkPrerequisites(t)
	start := time.Now()
	w := &world{openstack: startOpenStack(t), prometheus: startPrometheus(t), exporter: buildExporter(t)}
	w.producer = w.newTenant(t, "producer")
	w.alice, w.bob, w.carol = w.newTenant(t, "alice"), w.newTenant(t, "bob"), w.newTenant(t, "carol")
	w.outsider = w.newTenant(t, "outsider")
	t.Logf("Keystone, Glance and Prometheus are up and the exporter is built after %.1f s", time.Since(start).Seconds())

	t.Run("shares", w.testShares)
	t.Run("credentials", w.testCredentials)
	t.Run("outages", w.testOutages)
	t.Run("alerts", w.testAlerts)
	t.Run("discovery", w.testDiscovery)
	t.Run("clouds", w.testClouds)
	t.Run("projects", w.testProjects)
	t.Run("locked projects", w.testLockedProjects)
	t.Run("inbound", w.testInbound)
	t.Run("process", w.testProcess)
	t.Run("preflight", w.testPreflight)
	t.Run("day two", w.testDayTwo)
	t.Run("policies", w.testPolicies) // the last one, as Glance is another one from then on
	t.Run("no blindness looked like nobody has access", func(t *testing.T) { w.testNeverWrong(t, start) })
}

// testNeverWrong looks back on the whole run, outages included.
func (w *world) testNeverWrong(t *testing.T, start time.Time) {
	const image = `on (exporter, cloud, image_id) `
	w.prometheus.never(t, "a count of members of an image that was not read",
		`glance_image_members unless `+image+`(glance_image_scrape_success == 1)`, start)
	w.prometheus.never(t, "a member of an image that was not read",
		`glance_image_member_status unless `+image+`(glance_image_scrape_success == 1)`, start)
	w.prometheus.never(t, "a zero under a partial view",
		`(glance_image_members == 0) unless `+image+`(glance_image_members_complete == 1)`, start)
	w.prometheus.never(t, "a zero of inbound images that were not all read",
		`(glance_inbound_images == 0) unless on (exporter, cloud, project_id) (glance_inbound_success == 1)`, start)
}

// checkPrerequisites fails where a package is missing: a scenario that is silently skipped proves nothing.
func checkPrerequisites(t *testing.T, more ...string) {
	t.Helper()
	for _, path := range append([]string{
		"/usr/bin/keystone-manage", "/usr/bin/keystone-wsgi-public", "/usr/bin/uwsgi_python3", "/usr/bin/glance-manage",
		"/usr/bin/glance-api", "/usr/bin/python3", openstackPath, prometheusPath, promtoolPath, alertmanagerPath,
	}, more...) {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v\nOn Debian 12: apt-get install -y --no-install-recommends "+
				"python3-keystone glance-api uwsgi-plugin-python3 python3-openstackclient prometheus prometheus-alertmanager iproute2 nftables", err)
		}
	}
}
