package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// TestManyProjects measures the program with as many projects as GLANCE_PROJECTS says, of which one in a hundred has an
// image. In the second run Keystone refuses a token for each.
func TestManyProjects(t *testing.T) {
	projects, err := strconv.Atoi(os.Getenv("GLANCE_PROJECTS"))
	if err != nil {
		t.Skip("set GLANCE_PROJECTS to a number such as 20000")
	}
	for name, enabled := range map[string]bool{"entered": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			w := fakecloud.New(fakecloud.Options{})
			for i := range projects {
				id := fmt.Sprintf("%032x", i)
				w.AddProjectIn("d0", id, fmt.Sprint("project-", i))
				w.AddUser("watcher", password, id, "reader")
				if i%100 == 0 {
					w.AddImage(fakecloud.Image{Name: fmt.Sprint("image-", i), Owner: id, Visibility: "shared"})
				}
			}
			w.Enable("d0", enabled)
			server := httptest.NewServer(w)
			t.Cleanup(server.Close)
			text, _, _ := strings.Cut(fmt.Sprintf(configText, server.URL), "    images:\n")
			text = strings.Replace(text, ", project_name: producer}", "}\n    projects: all\n    discover: [{}]", 1)
			p := startProcess(t, 0, "--config.file="+writeFile(t, "exporter.yml", text))
			for range 4 {
				began := time.Now()
				answer, page := p.get(t, "/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "10")
				took := time.Since(began)
				t.Logf("%d after %s, %d KiB; %d logins, %d projects, %d entered, %d images, VmHWM %d MiB", answer.StatusCode,
					took.Round(time.Millisecond), len(page)>>10, w.Count(fakecloud.OpAuthenticate),
					strings.Count(page, "\nglance_project_success{"), strings.Count(page, "\nglance_project_info{"),
					strings.Count(page, "\nglance_image_scrape_success{"), p.status(t, "VmHWM")>>10)
				if answer.StatusCode != http.StatusOK || took > 10*time.Second {
					t.Errorf("%d after %s", answer.StatusCode, took)
				}
				if strings.Contains(page, `glance_discovery_success{cloud="prod"} 1`) {
					t.Error("all images are said to be known")
				}
			}
			began := time.Now()
			_, page := p.get(t, "/")
			t.Logf("the status page: %d KiB after %s", len(page)>>10, time.Since(began).Round(time.Millisecond))
			t.Logf("%d lines of the log", strings.Count(p.stderr.String(), "\n"))
			began = time.Now()
			p.signal(t, syscall.SIGTERM)
			if err := p.wait(t); err != nil {
				t.Error(err)
			}
			t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
		})
	}
}
