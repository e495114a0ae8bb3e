package exporter_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
	"glance_share_exporter/internal/fakecloud"
	"glance_share_exporter/internal/web"
)

const (
	reloadedProject = "61c9216745884e7782dc16e5123a5fc9"
	steadyImage     = "83a34450-688e-449a-abea-c212f45c5a6c"
	otherImage      = "2c30e81a-4cb8-4510-bff2-a16f3b5f9769"
)

// scrapes are of an exporter whose file is written again and again.
type scrapes struct {
	file    string
	urls    map[string]string // of the clouds' Keystones
	runtime *exporter.Runtime
	page    http.Handler
}

func newScrapes(t *testing.T, clouds map[string]*fakecloud.Cloud) *scrapes {
	t.Helper()
	r := &scrapes{file: filepath.Join(t.TempDir(), "exporter.yml"), urls: map[string]string{}}
	for name, cloud := range clouds {
		cloud.AddProjectID(reloadedProject, "images")
		cloud.AddUser("watcher", "hunter2", reloadedProject, "reader")
		for _, id := range []string{steadyImage, otherImage} {
			cloud.AddImage(fakecloud.Image{ID: id, Name: "golden", Owner: reloadedProject, Visibility: "shared"})
			cloud.Share(id, "fb0d5993e8f14ca887876f3d14abb39d")
		}
		server := httptest.NewServer(cloud)
		t.Cleanup(server.Close)
		r.urls[name] = server.URL + "/identity/v3"
	}
	r.write(t, r.cloud("steady", steadyImage))
	api := collector.NewAPIMetrics()
	var err error
	r.runtime, err = exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
		Load: func() (*config.Config, error) { return config.Load(r.file) }, API: api, Logger: log.NewNopLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.runtime.Close)
	registry := prometheus.NewRegistry()
	registry.MustRegister(api, r.runtime)
	r.page, err = web.New(web.Options{
		Clouds: r.runtime.Clouds, Config: r.runtime.Redacted, Gatherer: registry, Logger: log.NewNopLogger(),
		Reload: func() error { return r.runtime.Reload(t.Context()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cloud is an entry of clouds.
func (r *scrapes) cloud(name, more string, images ...string) string {
	return fmt.Sprintf(`  - name: %s
    auth: {password: {auth_url: %s, username: watcher, user_domain_name: Default, password: hunter2, project_name: images}}
    images: [{id: %s}]
`, name, r.urls[name], strings.Join(append(images, more), "}, {id: "))
}

// write replaces the file at once, as a careful operator does.
func (r *scrapes) write(t *testing.T, clouds ...string) {
	t.Helper()
	text := "clouds:\n" + strings.Join(clouds, "")
	if err := os.WriteFile(r.file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		t.Fatal(err)
	}
}

func (r *scrapes) scrape(t *testing.T) (int, string) {
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	rec := httptest.NewRecorder()
	r.page.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

var seriesOf = regexp.MustCompile(`(?m)^glance_(image_scrape_success|up)\{cloud="([a-z]+)"[^}]*\} (\d)$`)

// A scrape that took its clouds before a reload reads all of them, although the reload removes one.
func TestAReloadLeavesTheCloudsOfAScrapeOpen(t *testing.T) {
	r := newScrapes(t,
		map[string]*fakecloud.Cloud{"steady": fakecloud.New(fakecloud.Options{}), "fleeting": fakecloud.New(fakecloud.Options{})})
	reload := func(clouds ...string) {
		t.Helper()
		r.write(t, clouds...)
		if err := r.runtime.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reload(r.cloud("steady", steadyImage), r.cloud("fleeting", otherImage))
	clouds, release := r.runtime.Clouds()
	reload(r.cloud("steady", steadyImage), r.cloud("fleeting", otherImage)) // which keeps both
	reload(r.cloud("steady", steadyImage))
	time.Sleep(100 * time.Millisecond) // for what would close the cloud
	for _, s := range web.Collect(t.Context(), clouds, collector.Limits{Timeout: web.DefaultTimeout}) {
		if !s.Up {
			t.Errorf("cloud %s: %v", s.Cloud, s.Err)
		}
	}
	release()
	for range 200 {
		if _, body := r.scrape(t); !strings.Contains(body, `"fleeting"`) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the removed cloud is still there")
}

// Half of the reloads are of broken files. Every scrape is whole: nothing is missing of the cloud that is always there,
// and nothing is shown of another one that failed.
func TestReloadsDisturbNoScrape(t *testing.T) {
	steady, fleeting := fakecloud.New(fakecloud.Options{}), fakecloud.New(fakecloud.Options{})
	steady.SetLatency(2 * time.Millisecond)
	fleeting.SetLatency(2 * time.Millisecond)
	r := newScrapes(t, map[string]*fakecloud.Cloud{"steady": steady, "fleeting": fleeting})

	stop := make(chan struct{})
	var scrapers sync.WaitGroup
	count := make([]int, 2)
	for i := range count {
		scrapers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, body := r.scrape(t)
				found := seriesOf.FindAllStringSubmatch(body, -1)
				bad := slices.ContainsFunc(found, func(m []string) bool { return m[3] != "1" })
				if code != http.StatusOK || bad || !strings.Contains(body, `glance_image_members{cloud="steady",image_id="`+steadyImage) {
					t.Errorf("%d\n%s", code, body)
					return
				}
				count[i]++
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	broken := []string{
		"  - name: steady\n",
		"  nonsense",
		r.cloud("steady", "not-an-id"),
		r.cloud("steady", steadyImage) + r.cloud("steady", steadyImage),
	}
	good := [][]string{
		{r.cloud("steady", steadyImage)},
		{r.cloud("steady", steadyImage, otherImage), r.cloud("fleeting", otherImage)},
		{r.cloud("fleeting", steadyImage, otherImage), r.cloud("steady", steadyImage) + "    member_details: false\n"},
	}
	for i := range 200 {
		if i%2 == 0 {
			r.write(t, broken[random.IntN(len(broken))])
		} else {
			r.write(t, good[random.IntN(len(good))]...)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/-/reload", nil)
		rec := httptest.NewRecorder()
		r.page.ServeHTTP(rec, req)
		if want := []int{http.StatusBadRequest, http.StatusOK}[i%2]; rec.Code != want {
			t.Fatalf("reload %d: got %d %s", i, rec.Code, rec.Body)
		}
		if i%2 == 0 && !strings.HasPrefix(rec.Body.String(), r.file+":") {
			t.Errorf("a broken file is answered with %q", rec.Body)
		}
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	close(stop)
	scrapers.Wait()
	t.Logf("%d and %d scrapes", count[0], count[1])
	if got := steady.Count("authenticate"); got != 1 {
		t.Errorf("%d logins to the cloud that never changed", got)
	}

	r.write(t, good[0]...)
	if err := r.runtime.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A cloud that is left out finishes what it does first.
	for range 200 {
		if _, body := r.scrape(t); !strings.Contains(body, `"fleeting"`) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_, body := r.scrape(t)
	t.Errorf("a removed cloud is still there:\n%s", body)
}
