package exporter_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
)

// Files of images are watched as exporter.yml is, those too that a glob matches for the first time, or no more.
func TestReloadOfImagesFiles(t *testing.T) {
	const imageA, imageB = "- id: 11111111-0000-4000-8000-000000000001\n", "- id: 22222222-0000-4000-8000-000000000002\n"
	synctest.Test(t, func(t *testing.T) {
		r := newReloads(t, steadyCloud)
		teams := filepath.Join(filepath.Dir(r.file), "teams")
		a, b := filepath.Join(teams, "a.yml"), filepath.Join(teams, "b.yml")
		expect := func(what string, images int) {
			t.Helper()
			if got := len(r.runtime.Connections()[0].Cloud.Collector.Images); got != images {
				t.Errorf("%s: %d images, want %d", what, got, images)
			}
		}
		write(t, r.file, strings.Replace(steadyCloud, "discover", "images_files: [teams/*.yml], discover", 1))
		r.settle(2, "teams/*.yml matches no file") // the first one tells which glob belongs to it
		if err := os.Mkdir(teams, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(teams, ".a.yml"), imageA)
		r.settle(0, "")
		write(t, a, imageA)
		r.settle(1, "")
		expect("a first file", 1)

		// A new file is loaded when two looks found the same content, and not before.
		write(t, b, "[]")
		r.check("")
		time.Sleep(time.Second)
		write(t, b, imageB)
		time.Sleep(r.check(""))
		expect("half a file", 1)
		r.settle(1, "")
		expect("a second file", 2)
		write(t, b, imageB+"  name: golden\n")
		r.settle(1, "")

		// One team's mistake changes nothing.
		write(t, b, imageA)
		r.settle(1, "teams/b.yml:1: [0].id: 11111111-0000-4000-8000-000000000001 is also in ")
		write(t, b, "")
		r.settle(1, "teams/b.yml:1: the file is empty")
		expect("mistakes", 2)

		if err := os.Remove(b); err != nil {
			t.Fatal(err)
		}
		r.settle(1, "")
		expect("a file that is gone", 1)
		if err := os.RemoveAll(teams); err != nil {
			t.Fatal(err)
		}
		r.settle(1, "teams/*.yml matches no file")
		expect("no file", 1)
	})
}

// Images that are no longer watched because their file is gone are worth a line, once that is so.
func TestLogOfImagesFilesThatAreGone(t *testing.T) {
	cleanEnv(t)
	dir := t.TempDir()
	file, teams := filepath.Join(dir, "exporter.yml"), filepath.Join(dir, "teams")
	if err := os.Mkdir(teams, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(steadyCloud, "discover: [{}]", "images_files: [teams/*.yml]", 1))
	write(t, filepath.Join(teams, "a.yml"), "- id: 11111111-0000-4000-8000-000000000001\n- id: 22222222-0000-4000-8000-000000000002\n")
	write(t, filepath.Join(teams, "b.yml"), "- id: 33333333-0000-4000-8000-000000000003\n")
	var lines bytes.Buffer
	runtime, err := exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
		Load: func() (*config.Config, error) { return config.Load(file) }, API: collector.NewAPIMetrics(), Logger: log.NewLogfmtLogger(&lines),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runtime.Close)
	if err := os.Remove(filepath.Join(teams, "a.yml")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(teams, "c.yml"), "nonsense\n")
	if err := runtime.Reload(t.Context()); err == nil || strings.Contains(lines.String(), "is gone") {
		t.Errorf("a refused reload: %v\n%s", err, &lines)
	}
	write(t, filepath.Join(teams, "c.yml"), "[]\n")
	if err := runtime.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `level=warn msg="images_files: ` + teams + `/a.yml is gone; its 2 images are no longer watched" cloud=steady`
	if got := lines.String(); strings.Count(got, want) != 1 || strings.Count(got, "is gone") != 1 {
		t.Errorf("no %s in\n%s", want, got)
	}
}
