//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// openstack is a real Keystone and a real Glance, each with two workers, whose state is all in Dir.
type openstack struct {
	Dir          string
	KeystoneURL  string
	KeystoneHost string
	GlanceURL    string
	GlancePort   int
	// TokenCacheTime is for how many seconds Glance trusts a token that Keystone vouched for.
	TokenCacheTime int
	// SecureRBAC is whether Glance has the policies of the new defaults. It counts from the next start of Glance on.
	SecureRBAC bool

	owner            testing.TB // the test that both live as long as
	keystone, glance *daemon

	admin session
	roles map[string]string // ID by name
}

const (
	longTokenCache  = 300 // Glance's own default
	shortTokenCache = 1
)

// startOpenStack brings both up, with one project, admin.
func startOpenStack(t *testing.T) *openstack {
	t.Helper()
	o := &openstack{Dir: t.TempDir(), GlancePort: freePort(t), owner: t}
	o.KeystoneHost = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	o.KeystoneURL = "http://" + o.KeystoneHost
	o.GlanceURL = fmt.Sprintf("http://127.0.0.1:%d", o.GlancePort)
	for _, d := range []string{"empty.d", "fernet-keys", "credential-keys", "images", "staging", "tasks", "cache", "lock"} {
		if err := os.Mkdir(filepath.Join(o.Dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// What keystone-manage fernet_setup and credential_setup write: 0 is the next key, 1 the present one.
	for _, f := range []string{"fernet-keys/0", "fernet-keys/1", "credential-keys/0", "credential-keys/1"} {
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(o.Dir, f), base64.URLEncoding.EncodeToString(key))
	}
	writeFile(t, filepath.Join(o.Dir, "policy.yaml"), "")
	render(t, o.Dir, "keystone.conf", o)
	render(t, o.Dir, "uwsgi.ini", o)
	render(t, o.Dir, "glance-api.conf", o)

	var dbs sync.WaitGroup
	dbs.Go(func() { o.manage(t, "glance", "glance-api.conf", "db_sync") })
	dbs.Go(func() { o.manage(t, "keystone", "keystone.conf", "db_sync") })
	dbs.Wait()
	if t.Failed() {
		t.FailNow()
	}
	o.manage(t, "keystone", "keystone.conf", "bootstrap", "--bootstrap-username", "admin", "--bootstrap-password", "admin-secret",
		"--bootstrap-project-name", "admin", "--bootstrap-role-name", "admin", "--bootstrap-service-name", "keystone",
		"--bootstrap-region-id", "RegionOne", "--bootstrap-public-url", o.KeystoneURL+"/v3",
		"--bootstrap-internal-url", o.KeystoneURL+"/v3") // where Glance looks for Keystone
	if t.Failed() {
		t.FailNow()
	}
	o.startKeystone(t)
	o.bootstrapImageService(t)
	o.startGlance(t, longTokenCache)
	return o
}

// manage runs keystone-manage or glance-manage. It may be called from any goroutine.
func (o *openstack) manage(t testing.TB, service, conf string, args ...string) {
	argv := append([]string{
		"/usr/bin/" + service + "-manage", "--config-file", filepath.Join(o.Dir, conf),
		"--config-dir", filepath.Join(o.Dir, "empty.d"),
	}, args...)
	if stdout, stderr, code := run(t, argv...); code != 0 {
		t.Errorf("%s-manage %s: exit code %d\n%s%s", service, args[0], code, stdout, stderr)
		return
	}
	if args[0] != "db_sync" {
		return
	}
	// SQLite's default journal makes two workers wait for each other.
	wal := "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')"
	if _, stderr, code := run(t, "/usr/bin/python3", "-c", wal, filepath.Join(o.Dir, service+".db")); code != 0 {
		t.Errorf("journal of %s's database: %s", service, stderr)
	}
}

func (o *openstack) startKeystone(t testing.TB) {
	t.Helper()
	o.keystone = startDaemon(t, o.Dir, "keystone", "/usr/bin/uwsgi_python3", "--ini", filepath.Join(o.Dir, "uwsgi.ini")).until(o.owner)
	o.keystone.await(t, o.KeystoneURL+"/v3")
}

// startGlance starts Glance with nothing in its token cache.
func (o *openstack) startGlance(t testing.TB, tokenCacheTime int) {
	t.Helper()
	o.TokenCacheTime = tokenCacheTime
	render(t, o.Dir, "glance-api.conf", o)
	o.glance = startDaemon(t, o.Dir, "glance-api", "/usr/bin/glance-api", "--config-file", filepath.Join(o.Dir, "glance-api.conf"),
		"--config-dir", filepath.Join(o.Dir, "empty.d")).until(o.owner)
	o.glance.await(t, o.GlanceURL+"/")
}
