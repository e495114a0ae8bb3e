//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testProcess runs the exporter as people do who have no Prometheus at hand.
func (w *world) testProcess(t *testing.T) {
	img := w.producer.newImage(t, "process", "shared")
	w.producer.share(t, img, w.alice)
	config := func(t *testing.T, clouds ...cloud) string {
		path := filepath.Join(t.TempDir(), "exporter.yml")
		writeFile(t, path, exporterYAML(clouds))
		return path
	}
	good := cloud{name: "good", auth: w.producer.passwordAuth(), images: []image{img}}
	unreachable := good
	unreachable.name, unreachable.endpoint = "unreachable", fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	member := fmt.Sprintf(`glance_image_member_status{cloud="good",image_id=%q,image_name="process",member_id=%q,member_name="",member_type="project",status="pending"} 1`,
		img.id, w.alice.projectID)

	t.Run("--version", func(t *testing.T) {
		stdout, stderr, code := run(t, w.exporter, "--version")
		if code != 0 || !strings.Contains(stdout+stderr, version) {
			t.Errorf("exit code %d, want 0 and the version %s\n%s%s", code, version, stdout, stderr)
		}
	})
	t.Run("--config.check is content", func(t *testing.T) {
		mustRun(t, w.exporter, "--config.check", "--config.file="+config(t, good))
	})
	t.Run("--config.check names the fault in one line", func(t *testing.T) {
		path := config(t, good)
		writeFile(t, path, exporterYAML([]cloud{good})+"    imgaes: []\n")
		_, stderr, code := run(t, w.exporter, "--config.check", "--config.file="+path)
		t.Log(strings.TrimSpace(stderr))
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "imgaes") {
			t.Errorf("exit code %d, want 1, and one line about imgaes:\n%s", code, stderr)
		}
	})
	t.Run("--once prints what a scrape would", func(t *testing.T) {
		page := mustRun(t, w.exporter, "--once", "--config.file="+config(t, good))
		if !strings.Contains(page, member+"\n") {
			t.Errorf("no line %s in\n%s", member, page)
		}
		t.Log(member)
	})
	t.Run("--once ends with 1 if a cloud could not be read", func(t *testing.T) {
		page, _, code := run(t, w.exporter, "--once", "--config.file="+config(t, good, unreachable))
		for _, line := range []string{member, `glance_up{cloud="good"} 1`, `glance_up{cloud="unreachable"} 0`} {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("no line %s in\n%s", line, page)
			}
		}
		if code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	})

	glance := newTap(t, w.GlanceURL)
	held := good
	held.endpoint = glance.URL
	e := w.startExporter(t, "process", held, unreachable)
	page := func() (int, string, error) {
		return get("http://"+e.addr+"/metrics", http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"10"}})
	}
	t.Run("promtool check metrics is silent", func(t *testing.T) {
		_, body, err := page()
		if err != nil {
			t.Fatal(err)
		}
		promtool := exec.CommandContext(t.Context(), promtoolPath, "check", "metrics")
		promtool.Stdin = strings.NewReader(body)
		if out, err := promtool.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a scrape in flight at SIGTERM is finished, then the exporter ends with 0", func(t *testing.T) {
		glance.hold()
		type result struct {
			status int
			body   string
			err    error
		}
		done := make(chan result, 1)
		go func() {
			status, body, err := page()
			done <- result{status, body, err}
		}()
		select {
		case <-glance.arrived:
		case <-time.After(10 * time.Second):
			glance.release()
			t.Fatal("the exporter asks Glance for nothing")
		}
		e.signal(syscall.SIGTERM)
		// It no longer listens, and yet it is there.
		err := poll(10*time.Second, func() error {
			if status, _, err := get("http://"+e.addr+"/-/healthy", nil); err == nil {
				return fmt.Errorf("/-/healthy answers %d after SIGTERM", status)
			}
			return nil
		})
		glance.release()
		if err != nil {
			t.Error(err)
		}
		if r := <-done; r.err != nil || r.status != http.StatusOK || !strings.Contains(r.body, member+"\n") {
			t.Errorf("the scrape in flight: %d %v, want %s in\n%s", r.status, r.err, member, r.body)
		}
		e.endedWell(t)
	})
}
