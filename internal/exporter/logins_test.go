package exporter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
	"glance_share_exporter/internal/fakecloud"
)

const lockedCloud = `clouds:
  - name: locked
    auth: {password: {auth_url: URL, username: watcher, user_domain_name: Default, password: hunter2, project_name: images}}
    discover: [{}]
`

// Keystone locks accounts after some refused logins. The reload that finds a pause ends it; the others within a minute do
// not, whatever else changes.
func TestReloadsDoNotRepeatRefusedLogins(t *testing.T) {
	cleanEnv(t)
	same := func(text string, _ int) string { return text }
	byReload := func(t *testing.T, r *exporter.Runtime) error { return r.Reload(t.Context()) }
	for name, test := range map[string]struct {
		reloads int
		change  func(text string, i int) string // the i-th content of the file
		reload  func(*testing.T, *exporter.Runtime) error
		want    int // logins
	}{
		"the same file": {20, same, byReload, 2},
		"several projects": {20, func(text string, _ int) string {
			return strings.Replace(text, ", project_name: images}}", "}}\n    projects: all", 1)
		}, byReload, 2},
		"if the file changed": {4, func(text string, i int) string {
			return fmt.Sprintf("%s# %d\n", text, i)
		}, func(t *testing.T, r *exporter.Runtime) error {
			for range 10 {
				wait, err := r.ReloadIfChanged(t.Context())
				if wait == 0 {
					return err
				}
				time.Sleep(wait)
			}
			return nil
		}, 2},
		"another region": {20, func(text string, i int) string {
			return fmt.Sprintf("%s    region: region-%d\n", text, i)
		}, byReload, 2},
		"other transport": {20, func(text string, i int) string {
			return fmt.Sprintf("%s    http: {http_headers: {X-Reload: {values: ['%d']}}}\n", text, i)
		}, byReload, 2},
		"removed and added": {20, func(text string, i int) string {
			if i%2 == 1 {
				return steadyCloud
			}
			return text
		}, byReload, 2},
		"refused reloads": {20, func(text string, i int) string {
			if i%2 == 1 {
				return text + "    nonsense: true\n"
			}
			return text
		}, func(t *testing.T, r *exporter.Runtime) error {
			_ = r.Reload(t.Context()) // Half of them fail.
			return nil
		}, 2},
		"other credentials": {20, func(text string, i int) string {
			return strings.Replace(text, "hunter2", fmt.Sprintf("hunter%d", i), 1)
		}, byReload, 21},
		"two credentials in turns": {20, func(text string, i int) string {
			return strings.Replace(text, "hunter2", fmt.Sprintf("hunter%d", i%2), 1)
		}, byReload, 3},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := fakecloud.New(fakecloud.Options{})
			cloud.Inject(fakecloud.Fault{
				Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpAuthenticate },
				Status: http.StatusUnauthorized,
			})
			server := httptest.NewServer(cloud)
			t.Cleanup(server.Close)
			file := filepath.Join(t.TempDir(), "exporter.yml")
			text := strings.Replace(lockedCloud, "URL", server.URL+"/identity/v3", 1)
			write(t, file, test.change(text, 0))
			runtime, err := exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
				Load: func() (*config.Config, error) { return config.Load(file) },
				API:  collector.NewAPIMetrics(), Logger: log.NewNopLogger(),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(runtime.Close)
			scrape := func() {
				clouds, release := runtime.Clouds()
				defer release()
				for _, c := range clouds {
					if c.Name() == "locked" {
						c.Collect(t.Context(), collector.Limits{Timeout: 10 * time.Second})
					}
				}
			}
			scrape()
			for i := range test.reloads {
				write(t, file, test.change(text, i+1))
				if err := test.reload(t, runtime); err != nil {
					t.Fatal(err)
				}
				scrape()
			}
			if got := cloud.Count(fakecloud.OpAuthenticate); got != test.want {
				t.Errorf("%d refused logins after %d reloads, want %d", got, test.reloads, test.want)
			}
		})
	}
}
