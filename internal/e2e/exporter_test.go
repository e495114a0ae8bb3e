//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// version is what the exporter is built with.
const version = "0.0.0-e2e"

// buildExporter builds the exporter with the race detector: a data race in it becomes an exit code.
func buildExporter(t testing.TB) (path string) { return build(t, "-race") }

func build(t testing.TB, flags ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "glance_share_exporter")
	mustRun(t, append(append([]string{"go", "build"}, flags...), "-ldflags", "-X github.com/prometheus/common/version.Version="+version,
		"-o", path, "glance_share_exporter")...)
	return path
}

// An exporter is the built exporter as a daemon, at an address that it keeps when it is started again.
type exporter struct {
	*daemon
	binary, name, dir, addr string
	owner                   testing.TB // the test that it lives as long as
}

// startExporter starts an exporter of the given clouds, until t ends.
func (w *world) startExporter(t testing.TB, name string, clouds ...cloud) *exporter {
	t.Helper()
	e := &exporter{binary: w.exporter, name: name, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), owner: t}
	e.configure(t, clouds...)
	e.start(t)
	return e
}

// configure writes exporter.yml, which the exporter reads when it starts and at a reload.
func (e *exporter) configure(t testing.TB, clouds ...cloud) {
	t.Helper()
	writeFile(t, filepath.Join(e.dir, "exporter.yml"), exporterYAML(clouds))
}

// start starts the exporter, for the first time or again.
func (e *exporter) start(t testing.TB) {
	t.Helper()
	e.daemon = startDaemon(t, e.dir, e.name, e.binary, "--config.file="+filepath.Join(e.dir, "exporter.yml"),
		"--web.listen-address="+e.addr).until(e.owner)
	e.await(t, "http://"+e.addr+"/-/ready")
}

// endsWell stops the exporter as a service manager does and fails the test if it does not end with exit code 0.
func (e *exporter) endsWell(t testing.TB) {
	t.Helper()
	e.signal(syscall.SIGTERM)
	e.thaw()
	e.endedWell(t)
}

// endedWell fails the test if the exporter does not end with exit code 0 after the SIGTERM that it got.
func (e *exporter) endedWell(t testing.TB) {
	t.Helper()
	if code := e.wait(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; its log:\n%s", code, tail(e.log, 40))
		return
	}
	t.Log("SIGTERM: exit code 0, and the race detector is silent")
}

// reload has the exporter read its configuration again.
func (e *exporter) reload() { e.signal(syscall.SIGHUP) }

// ------------------------------------------------------------------------------------------------------------------

// A cloud is an entry of exporter.yml.
type cloud struct {
	name     string
	auth     string // a flow mapping
	endpoint string // empty: from the catalog
	images   []image
	discover []string // rules, each a flow mapping
	more     []string // other keys, each with its value
}

// An image is watched under a name of our choice, whether it can be read or not.
type image struct {
	name, id string
	expects  string // what else its entry says, as in a flow mapping; empty: nothing
}

// expecting is the image with those projects, and no other, as its expected members.
func (img image) expecting(members ...session) image {
	ids := make([]string, 0, len(members))
	for _, m := range members {
		ids = append(ids, m.projectID)
	}
	img.expects = "expected_members: [" + strings.Join(ids, ", ") + "]"
	return img
}

func exporterYAML(clouds []cloud) string {
	var b strings.Builder
	// Prometheus gives a scrape no more than a second or two here, and all clouds are one Glance with two workers, which slows
	// down under too many requests at once.
	b.WriteString("scrape: {timeout_offset: 100ms, concurrency: 2}\nclouds:\n")
	for _, c := range clouds {
		fmt.Fprintf(&b, "  - name: %s\n    auth: %s\n    region: RegionOne\n", c.name, c.auth)
		if c.endpoint != "" {
			fmt.Fprintf(&b, "    endpoint: %s\n", c.endpoint)
		}
		for _, line := range c.more {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		if len(c.images) > 0 {
			b.WriteString("    images:\n")
		}
		for _, img := range c.images {
			entry := fmt.Sprintf("id: %s, name: %s", img.id, img.name)
			if img.expects != "" {
				entry += ", " + img.expects
			}
			fmt.Fprintf(&b, "      - {%s}\n", entry)
		}
		if len(c.discover) > 0 {
			b.WriteString("    discover:\n")
		}
		for _, rule := range c.discover {
			fmt.Fprintf(&b, "      - %s\n", rule)
		}
	}
	return b.String()
}

// passwordAuth logs in with the session's own password.
func (s session) passwordAuth() string {
	return fmt.Sprintf("{password: {auth_url: %q, username: %q, user_domain_name: Default, password: %q, project_name: %q, "+
		"project_domain_name: Default}}",
		s.KeystoneURL+"/v3", s.user, s.password, s.project)
}

// auth logs in with an application credential.
func (a appCredential) auth(o *openstack) string {
	return fmt.Sprintf("{application_credential: {auth_url: %q, id: %q, secret: %q}}", o.KeystoneURL+"/v3", a.id, a.secret)
}

// cloudsYAML is a clouds.yaml with an entry for each way to log in, as python-openstackclient and the exporter read it.
func cloudsYAML(o *openstack, passwords map[string]session, appCredentials map[string]appCredential) string {
	var b strings.Builder
	b.WriteString("clouds:\n")
	common := "    region_name: RegionOne\n    interface: public\n    identity_api_version: 3\n"
	for name, s := range passwords {
		fmt.Fprintf(&b, "  %s:\n    auth_type: password\n    auth: {auth_url: %q, username: %q, password: %q, project_name: %q, "+
			"user_domain_name: Default, project_domain_name: Default}\n%s",
			name, o.KeystoneURL+"/v3", s.user, s.password, s.project, common)
	}
	for name, a := range appCredentials {
		fmt.Fprintf(&b, "  %s:\n    auth_type: v3applicationcredential\n    auth: {auth_url: %q, application_credential_id: %q, "+
			"application_credential_secret: %q}\n%s",
			name, o.KeystoneURL+"/v3", a.id, a.secret, common)
	}
	return b.String()
}
