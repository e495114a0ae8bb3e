//go:build e2e

package e2e

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// TestTwoExporters has two exporters of one configuration, each under its own /sd, scraped as docs/prometheus.md says. When one of them is away,
// Prometheus sees both.
func TestTwoExporters(t *testing.T) {
	t.Parallel() // beside TestExporter, which waits most of the time
	const project, image = "61c9216745884e7782dc16e5123a5fc9", "83a34450-688e-449a-abea-c212f45c5a6c"
	cloud := fakecloud.New(fakecloud.Options{})
	cloud.AddProjectID(project, "images")
	cloud.AddUser("watcher", "hunter2", project, "reader")
	cloud.AddImage(fakecloud.Image{ID: image, Name: "golden", Owner: project, Visibility: "shared"})
	api := httptest.NewServer(cloud)
	defer api.Close()

	binary, dir := build(t), t.TempDir()
	writeFile(t, filepath.Join(dir, "exporter.yml"), fmt.Sprintf(`clouds:
  - name: prod
    auth: {password: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: hunter2, project_name: images}}
    scrape_via: probe
    images: [{id: %s}]
`, api.URL, image))
	var addrs, urls []string
	var exporters []*daemon
	for i := range 2 {
		addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		exporters = append(exporters, startDaemon(t, dir, fmt.Sprint("exporter-", i), binary,
			"--config.file="+filepath.Join(dir, "exporter.yml"), "--web.listen-address="+addr).until(t))
		exporters[i].await(t, "http://"+addr+"/-/ready")
		addrs, urls = append(addrs, addr), append(urls, "http://"+addr+"/sd")
	}

	p := newPrometheus(t)
	p.TargetsJob, p.TargetsInterval = "glance", "1s"
	p.AlertmanagerHost, p.RulesFile = fmt.Sprintf("127.0.0.1:%d", freePort(t)), filepath.Join(p.Dir, "alerts.rules.yml") // nobody is there
	writeFile(t, p.RulesFile, quickRules(t))
	p.start(t)
	p.discover(t, urls...)

	up := func(which string) string { return `sum by (instance, exporter) (up{job="glance"})` + which }
	p.eventually(t, "both are scraped", up(""), addrs[0]+" prod 1", addrs[1]+" prod 1")
	exporters[1].kill()
	p.eventually(t, "one is away", up(""), addrs[0]+" prod 1", addrs[1]+" prod 0")
	since := time.Now()
	p.eventually(t, "GlanceExporterDown", `sum by (exporter) (ALERTS{alertname="GlanceExporterDown", alertstate="firing"})`, addrs[1]+" 1")
	p.eventually(t, "nothing else", `count by (alertname) (ALERTS{alertstate="firing"})`, "GlanceExporterDown 1")
	changes := fmt.Sprintf(`max by (exporter) (changes(up{job="glance"}[%ds]))`, int(time.Since(since).Seconds()))
	p.eventually(t, "up does not flip", changes, addrs[0]+" 0", addrs[1]+" 0")
}
