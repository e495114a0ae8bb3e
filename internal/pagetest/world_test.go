package pagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

const (
	owner    = "61c9216745884e7782dc16e5123a5fc9"
	payments = "2c63888f28f04481be6ddce7a7ace732"
	search   = "8a119b9e16bc47328f7b7676d015b0dc"
	partner  = "a712755f6cac44d599d5269512e74f7b"
	sandbox  = "ac8efe121c5949f1ba2dde83458bfed0"

	debian  = "5796a670-482c-490e-8d97-82bfcdc83011"
	ubuntu  = "0b80a255-53a1-4945-a932-58ef7777682c"
	rocky   = "45ac16b9-c20d-4c21-8f8a-7abff2e91ac7"
	windows = "dd2ee150-d284-4277-b89c-1af40ce8fcc9"
	alpine  = "3c3ae353-fb14-428e-90b4-01a6c1cc0aff"
	rescue  = "e179f773-a6e0-43c0-9514-b7dde2ad0478"
	scratch = "68e58909-ccb2-4416-925a-56c9a30f4300"
)

// output is what a process prints, readable while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// exporter is the program, running by itself.
type exporter struct {
	url  string
	stop func() // once
}

var listening = regexp.MustCompile(`Listening on" (?:.* )?address=([^ \n]+)`)

func startExporter(t *testing.T, args ...string) *exporter {
	t.Helper()
	log := &output{}
	cmd := exec.CommandContext(context.Background(), exporterPath, append(args, "--web.listen-address=127.0.0.1:0")...)
	cmd.Stdout, cmd.Stderr = io.Discard, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	e := &exporter{stop: sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it ended with %v\n%.4000s", err, log)
			}
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-ended //nolint:errcheck // it was killed
			t.Error("SIGTERM did not end it")
		}
	})}
	t.Cleanup(e.stop)
	for end := time.Now().Add(30 * time.Second); e.url == ""; time.Sleep(10 * time.Millisecond) {
		if found := listening.FindStringSubmatch(log.String()); found != nil {
			e.url = "http://" + found[1]
		} else if time.Now().After(end) {
			t.Fatalf("it does not listen\n%s", log)
		}
	}
	return e
}

// scrape does what Prometheus does.
func (e *exporter) scrape(t *testing.T) {
	t.Helper()
	e.scrapeFor(t, 3*time.Second)
}

// scrapeFor is scrape with another timeout.
func (e *exporter) scrapeFor(t *testing.T, timeout time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
}

// newWorld is a cloud whose images have the members that they are meant to have.
func newWorld(t *testing.T) (w *fakecloud.Cloud, address string) {
	t.Helper()
	w = fakecloud.New(fakecloud.Options{})
	w.AddProjectID(owner, "golden")
	w.AddUser("watcher", "secret", owner, "reader")
	share := func(id, name string, members ...string) {
		w.AddImage(fakecloud.Image{ID: id, Name: name, Owner: owner, Visibility: "shared"})
		for i, m := range members {
			at := time.Now().Add(-time.Duration(i+3) * 100 * time.Hour)
			w.AddMember(id, fakecloud.Member{MemberID: m, Status: "accepted", CreatedAt: at, UpdatedAt: at.Add(time.Hour)})
		}
	}
	share(debian, "golden-debian-12", payments, search)
	share(ubuntu, "golden-ubuntu-24.04", payments)
	share(rocky, "golden-rocky-9", search)
	share(windows, "golden-windows-2022", partner)
	share(alpine, "golden-alpine-3.20")
	w.AddImage(fakecloud.Image{ID: rescue, Name: "rescue", Owner: owner, Visibility: "public"})
	w.AddImage(fakecloud.Image{ID: scratch, Name: "build-scratch", Owner: owner, Visibility: "private"})
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		w.ClearFaults()
		server.Close()
	})
	return w, server.URL
}

const cloudText = `
  - name: %s
    auth:
      password: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: secret, project_name: golden}
    images:
      - {id: ` + debian + `, expected_members: [` + payments + `, ` + search + `]}
      - {id: ` + rescue + `, expected_visibility: [public]}
      - {id: ` + windows + `, expected_members: [` + partner + `]}
      - {id: ` + ubuntu + `, expected_members: [` + payments + `]}
    discover:
      - {name: golden-rocky-9, expected_members: [` + search + `]}
      - expected_members: []
`

// watch starts an exporter of clouds, by their names and addresses, and scrapes it once.
func watch(t *testing.T, clouds ...string) *exporter {
	t.Helper()
	e := startWith(t, clouds...)
	e.scrapeFor(t, 30*time.Second) // however slow the machine is
	return e
}

// startWith starts an exporter of clouds, by their names and addresses.
func startWith(t *testing.T, clouds ...string) *exporter {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "member_names: {%s: team-payments, %s: team-search, %s: partner-acme, %s: dev-sandbox}\nclouds:\n",
		payments, search, partner, sandbox)
	for i := 0; i < len(clouds); i += 2 {
		fmt.Fprintf(&text, cloudText, clouds[i], clouds[i+1])
	}
	file := filepath.Join(t.TempDir(), "exporter.yml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return startExporter(t, "--config.file="+file)
}

// scene is a state of the world that a person should understand at once.
type scene struct {
	name  string
	title string // of the verdict
	start func(t *testing.T) *exporter
}

var scenes = []scene{
	{"healthy", "✔ No unexpected access", func(t *testing.T) *exporter {
		_, one := newWorld(t)
		_, two := newWorld(t)
		return watch(t, "prod-eu", one, "prod-us", two)
	}},
	{"unexpected", "✖ Unexpected access to 3 images", func(t *testing.T) *exporter {
		w, one := newWorld(t)
		_, two := newWorld(t)
		w.Share(debian, sandbox)
		w.SetStatus(debian, sandbox, "accepted")
		w.SetImage(rocky, func(img *fakecloud.Image) { img.Visibility = "community" })
		w.Unshare(ubuntu, payments)
		w.Share(windows, sandbox)
		w.SetStatus(windows, sandbox, "rejected")
		return watch(t, "prod-eu", one, "prod-us", two)
	}},
	{"blind", "? Incomplete view: cloud prod-eu was not read", func(t *testing.T) *exporter {
		w, one := newWorld(t)
		_, two := newWorld(t)
		e := watch(t, "prod-eu", one, "prod-us", two)
		w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Operation != fakecloud.OpAuthenticate },
			Status: http.StatusServiceUnavailable,
		})
		e.scrape(t)
		return e
	}},
	{"never-read", "? Incomplete view: cloud prod-eu was not read", func(t *testing.T) *exporter {
		_, one := newWorld(t)
		return startWith(t, "prod-eu", one)
	}},
}
