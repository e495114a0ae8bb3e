//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// version is what the exporter is built with.
const version = "0.0.0-e2e"

// buildExporter builds the exporter with the race detector: a data race in it becomes an exit code.
func buildExporter(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "glance_share_exporter")
	mustRun(t, "go", "build", "-race", "-ldflags", "-X main.version="+version, "-o", path, "glance_share_exporter")
	return path
}

// An exporter is the built exporter as a daemon on a port of its own choice.
type exporter struct {
	*daemon
	addr string
}

// startExporter starts an exporter of the given clouds, until t ends.
func (w *world) startExporter(t testing.TB, name string, clouds ...cloud) *exporter {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "exporter.yml")
	writeFile(t, config, exporterYAML(clouds))
	e := &exporter{daemon: startDaemon(t, dir, name, w.exporter, "--config.file="+config, "--web.listen-address=127.0.0.1:0").until(t)}
	listening := regexp.MustCompile(`(?m)msg="Listening on".* address=(127\.0\.0\.1:\d+)`)
	err := poll(10*time.Second, func() error {
		select {
		case <-e.done:
			t.Fatalf("the exporter ended at its start; its log:\n%s", tail(e.log, 40))
		default:
		}
		log, _ := os.ReadFile(e.log) // not there yet: no match
		m := listening.FindStringSubmatch(string(log))
		if m == nil {
			return errors.New("no line says where the exporter listens")
		}
		e.addr = m[1]
		return nil
	})
	if err != nil {
		t.Fatalf("%v; its log:\n%s", err, tail(e.log, 40))
	}
	return e
}

// endsWell stops the exporter as a service manager does and fails the test if it does not end with exit code 0.
func (e *exporter) endsWell(t testing.TB) {
	t.Helper()
	if code := e.stop(t); code != 0 {
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
}

// An image is watched under a name of our choice, whether it can be read or not.
type image struct{ name, id string }

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
		b.WriteString("    images:\n")
		for _, img := range c.images {
			fmt.Fprintf(&b, "      - {id: %s, name: %s}\n", img.id, img.name)
		}
	}
	return b.String()
}

// passwordAuth logs in with the session's own password.
func (s session) passwordAuth() string {
	return fmt.Sprintf("{password: {auth_url: %q, username: %q, user_domain_name: Default, password: %q, project_name: %q, project_domain_name: Default}}",
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
		fmt.Fprintf(&b, "  %s:\n    auth_type: password\n    auth: {auth_url: %q, username: %q, password: %q, project_name: %q, user_domain_name: Default, project_domain_name: Default}\n%s",
			name, o.KeystoneURL+"/v3", s.user, s.password, s.project, common)
	}
	for name, a := range appCredentials {
		fmt.Fprintf(&b, "  %s:\n    auth_type: v3applicationcredential\n    auth: {auth_url: %q, application_credential_id: %q, application_credential_secret: %q}\n%s",
			name, o.KeystoneURL+"/v3", a.id, a.secret, common)
	}
	return b.String()
}
