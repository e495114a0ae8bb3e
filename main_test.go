package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"glance_share_exporter/internal/fakecloud"
	"glance_share_exporter/internal/tlstest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "glance_share_exporter")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir) // nothing depends on it
		os.Exit(code)
	}))
}

const (
	projectID = "61c9216745884e7782dc16e5123a5fc9"
	memberID  = "fb0d5993e8f14ca887876f3d14abb39d"
	imageID   = "83a34450-688e-449a-abea-c212f45c5a6c"
	password  = "correct-horse-battery"
)

// output is what a program prints, readable while it runs.
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

// program is a run of the program.
type program struct {
	url            string
	stdout, stderr *output
	client         *http.Client
	stop           func() error // once
}

var listening = regexp.MustCompile(`Listening on" (?:.* )?address=([^ \n]+)`)

func startExporter(t *testing.T, args ...string) *program {
	t.Helper()
	e := &program{stdout: &output{}, stderr: &output{}, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append(args, "--web.listen-address=127.0.0.1:0"), e.stdout, e.stderr) }()
	e.stop = sync.OnceValue(func() error {
		cancel()
		e.client.CloseIdleConnections()
		return <-ended
	})
	t.Cleanup(func() {
		if err := e.stop(); err != nil {
			t.Errorf("stopping: %v\n%s", err, e.stderr)
		}
	})
	waitFor(t, func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("ended: %v\n%s", err, e.stderr)
		default:
		}
		found := listening.FindStringSubmatch(e.stderr.String())
		if found != nil {
			e.url = "http://" + found[1]
		}
		return found != nil
	})
	return e
}

// waitFor polls for what another goroutine does.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for too long")
		}
	}
}

// reply is an answer whose body was read.
type reply struct {
	StatusCode int
	Header     http.Header
}

func (e *program) get(t *testing.T, path string, header ...string) (reply, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return e.do(t, req)
}

func (e *program) do(t *testing.T, req *http.Request) (reply, string) {
	t.Helper()
	resp, err := e.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header}, string(body)
}

// families returns the names of the metrics on a page.
func families(t *testing.T, page string) map[string]bool {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for name := range parsed {
		names[name] = true
	}
	return names
}

func newWorld(t *testing.T) (*fakecloud.Cloud, string) {
	t.Helper()
	w := fakecloud.New(fakecloud.Options{})
	w.AddProjectID(projectID, "producer")
	w.AddUser("watcher", password, projectID, "reader")
	w.AddImage(fakecloud.Image{ID: imageID, Name: "golden", Owner: projectID, Visibility: "shared"})
	w.Share(imageID, memberID)
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		w.ClearFaults()
		server.Close()
	})
	return w, server.URL
}

const configText = `clouds:
  - name: prod
    auth:
      password: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: ` + password + `, project_name: producer}
    images:
      - id: ` + imageID + "\n"

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pageWithNames is a page of the demo after its cloud's names were read, which no scrape waits for.
func pageWithNames(t *testing.T, e *program) string {
	t.Helper()
	for range 100 {
		if _, page := e.get(t, "/metrics"); strings.Contains(page, "\nglance_member_name_info{") {
			return page
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the demo has no names")
	return ""
}

func TestDemo(t *testing.T) {
	e := startExporter(t, "--demo")
	_, page := e.get(t, "/metrics")
	have := families(t, page)
	// One project is all that the demo has, and it collects for each scrape.
	_, url := newWorld(t)
	several := strings.Replace(fmt.Sprintf(configText, url), ", project_name: producer}",
		"}\n    projects: all\n    scrape: {refresh_interval: 1m}", 1)
	_, page = startExporter(t, "--config.file="+writeFile(t, "exporter.yml", several)).get(t, "/metrics")
	maps.Copy(have, families(t, page))
	maps.Copy(have, families(t, pageAfterRenaming(t)))
	maps.Copy(have, families(t, pageOfAShortScrape(t)))
	maps.Copy(have, families(t, pageWithNames(t, e)))
	for _, name := range documentedMetrics(t) {
		if !have[name] {
			t.Errorf("%s lists %s, and nobody has it", metricsPage, name)
		}
	}
	for name := range have {
		if strings.HasPrefix(name, "glance_") && !strings.Contains(readText(t, metricsPage), "`"+name+"`") {
			t.Errorf("%s does not list %s", metricsPage, name)
		}
	}
	if first, _, _ := strings.Cut(e.stdout.String(), "\n"); first != "The status page: http://127.0.0.1:PORT/" {
		t.Errorf("the first line is %q", first)
	}
	if !strings.Contains(e.stdout.String(), "job_name: glance") {
		t.Errorf("no scrape job in what the demo prints:\n%s", e.stdout)
	}
	if hint := e.stdout.String(); !strings.Contains(hint, "http://127.0.0.1:PORT/metrics") ||
		!strings.Contains(hint, "The log below says which PORT") {
		t.Errorf("the demo prints a port that is none:\n%s", hint)
	}
}

// The demo's status page has its images, and one with an unexpected member, before anything scrapes it.
func TestTheDemoFillsItsPage(t *testing.T) {
	e := startExporter(t, "--demo")
	var page string
	for range 100 {
		if _, page = e.get(t, "/"); strings.Contains(page, "Unexpected access to 1 image") && strings.Contains(page, "golden-debian-12") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("after 5 s the page is\n%s", page)
}

// pageAfterRenaming is a scrape after the only discovered image was renamed, so that no rule takes it any more.
func pageAfterRenaming(t *testing.T) string {
	t.Helper()
	world, url := newWorld(t)
	config, _, _ := strings.Cut(fmt.Sprintf(configText, url), "    images:\n")
	config += "    discover: [{skip: true, name: scratch}, {name: golden}]\n"
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", config))
	if _, page := e.get(t, "/metrics"); !strings.Contains(page, `glance_image_scrape_success{cloud="prod",image_id="`+imageID) {
		t.Fatalf("the image is not discovered:\n%s", page)
	}
	world.SetImage(imageID, func(img *fakecloud.Image) { img.Name = "renamed" })
	_, page := e.get(t, "/metrics")
	return page
}

// pageOfAShortScrape is of a Huawei Cloud with more private images than one scrape reads.
func pageOfAShortScrape(t *testing.T) string {
	t.Helper()
	world := fakecloud.New(fakecloud.Options{Huawei: true})
	world.AddProjectID(projectID, "cn-north-4")
	world.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: projectID})
	for range 20 {
		world.AddImage(fakecloud.Image{Owner: projectID, Visibility: "private"})
	}
	server := httptest.NewServer(world)
	t.Cleanup(server.Close)
	_, page := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", `clouds:
  - name: huawei
    api: ims
    endpoint: `+server.URL+`
    auth: {aksk: {access_key: AK, secret_key: SK, project_id: `+projectID+`}}
    members_api: v1
    scrape: {requests_per_second: 10, timeout: 1s}
    discover: [{}]
`)).get(t, "/metrics")
	return page
}

func TestManyScrapesMakeOneLogin(t *testing.T) {
	world, url := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)))
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { e.get(t, "/metrics") })
	}
	all.Wait()
	for range 20 {
		_, page := e.get(t, "/metrics")
		if want := `glance_image_members{cloud="prod",image_id="` + imageID +
			`",image_name="golden",status="pending"} 1`; !strings.Contains(page, want) {
			t.Fatalf("no %s in\n%s", want, page)
		}
	}
	if got := world.Count(fakecloud.OpAuthenticate); got != 1 {
		t.Errorf("%d logins, want 1", got)
	}
	_, page := e.get(t, "/metrics")
	if want := `glance_api_requests_total{cloud="prod",operation="authenticate"} 1`; !strings.Contains(page, want) {
		t.Errorf("no %s", want)
	}
	// The scrape's own requests are in its counters.
	if want := fmt.Sprintf(`glance_api_requests_total{cloud="prod",operation="list_members"} %d`,
		world.Count(fakecloud.OpListMembers)); !strings.Contains(page, want) {
		t.Errorf("no %s", want)
	}
}

func TestFormats(t *testing.T) {
	_, url := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)), "--web.disable-exporter-metrics")
	resp, page := e.get(t, "/metrics", "Accept", "application/openmetrics-text; version=1.0.0")
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") || !strings.HasSuffix(page, "# EOF\n") {
		t.Errorf("OpenMetrics: %s", got)
	}
	resp, page = e.get(t, "/metrics", "Accept-Encoding", "gzip")
	unzipped, err := gzip.NewReader(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%v: %v", resp.Header, err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	for name := range families(t, string(text)) {
		if !strings.HasPrefix(name, "glance_") {
			t.Errorf("%s with --web.disable-exporter-metrics", name)
		}
	}
}

func TestPages(t *testing.T) {
	_, url := newWorld(t)
	file := "--config.file=" + writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	tests := []struct {
		name   string
		args   []string
		path   string
		status int
		has    string
	}{
		{name: "status page", path: "/", status: 200, has: `<a href="/metrics">`},
		{name: "healthy", path: "/-/healthy", status: 200, has: "Healthy."},
		{name: "ready", path: "/-/ready", status: 200, has: "Ready."},
		{name: "configuration", path: "/config", status: 200, has: "password: <secret>"},
		{name: "nothing", path: "/nothing", status: 404},
		{name: "reload by GET", path: "/-/reload", status: 405},
		{name: "other metrics path", args: []string{"--web.telemetry-path=/m"}, path: "/m", status: 200, has: "glance_up"},
		{name: "link to the other metrics path", args: []string{"--web.telemetry-path=/m"}, path: "/", status: 200, has: `<a href="/m">`},
		{
			name:   "behind a proxy that keeps the path",
			args:   []string{"--web.external-url=https://example.com/glance/"},
			path:   "/glance/metrics",
			status: 200,
			has:    "glance_up",
		},
		{
			name:   "behind a proxy that takes the path away",
			args:   []string{"--web.external-url=https://example.com/glance/", "--web.route-prefix=/"},
			path:   "/",
			status: 200,
			has:    `<a href="/glance/metrics">`,
		},
		{name: "root of a prefix", args: []string{"--web.route-prefix=/glance"}, path: "/", status: 200, has: `<a href="/glance/metrics">`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := startExporter(t, append(test.args, file)...)
			resp, body := e.get(t, test.path)
			if resp.StatusCode != test.status || !strings.Contains(body, test.has) {
				t.Errorf("%d\n%s", resp.StatusCode, body)
			}
			if strings.Contains(body, password) {
				t.Error("the page has the password")
			}
		})
	}
}

func post(t *testing.T, e *program, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, body := e.do(t, req)
	return resp.StatusCode, body
}

func TestReload(t *testing.T) {
	world, url := newWorld(t)
	text := fmt.Sprintf(configText, url)
	path := writeFile(t, "exporter.yml", text)
	other := world.AddImage(fakecloud.Image{Name: "other", Owner: projectID, Visibility: "shared"})
	e := startExporter(t, "--config.file="+path, "--web.enable-lifecycle")
	page := func() string {
		_, page := e.get(t, "/metrics")
		return page
	}
	if got := page(); !strings.Contains(got, "glance_exporter_config_last_reload_successful 1") || strings.Contains(got, other) {
		t.Fatalf("before:\n%s", got)
	}

	writeFile(t, path, text+"      - id: "+other+"\n")
	if status, body := post(t, e, "/-/reload"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got := page(); !strings.Contains(got, other) {
		t.Errorf("the new image is missing:\n%s", got)
	}

	writeFile(t, path, text+"      - id: golden\n")
	status, body := post(t, e, "/-/reload")
	want := path +
		":7: clouds[0].images[1].id: \"golden\" is not an image ID: write the UUID in lower case, as `openstack image list` shows it\n"
	if status != 400 || body != want {
		t.Errorf("got  %d %swant 400 %s", status, body, want)
	}
	if got := page(); !strings.Contains(got, "glance_exporter_config_last_reload_successful 0") || !strings.Contains(got, other) {
		t.Errorf("a bad file changed something:\n%s", got)
	}

	writeFile(t, path, text)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		got := page()
		return strings.Contains(got, "glance_exporter_config_last_reload_successful 1") && !strings.Contains(got, other)
	})
	if got := world.Count(fakecloud.OpAuthenticate); got != 1 {
		t.Errorf("%d logins, want 1: the connection did not change", got)
	}

	// Another name is another cloud, and nothing of the old one stays.
	writeFile(t, path, strings.Replace(text, "name: prod", "name: dev", 1))
	if status, body := post(t, e, "/-/reload"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	waitFor(t, func() bool { return !strings.Contains(page(), `cloud="prod"`) })
	if got := page(); !strings.Contains(got, `glance_up{cloud="dev"} 1`) {
		t.Errorf("the new cloud is missing:\n%s", got)
	}
}

func TestReloadByItself(t *testing.T) {
	world, url := newWorld(t)
	text := fmt.Sprintf(configText, url)
	path := writeFile(t, "exporter.yml", text)
	other := world.AddImage(fakecloud.Image{Name: "other", Owner: projectID, Visibility: "shared"})
	e := startExporter(t, "--config.file="+path, "--config.auto-reload-interval=10ms")
	writeFile(t, path, text+"      - id: "+other+"\n")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, config := e.get(t, "/config")
		if strings.Contains(config, other) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it was not loaded:\n%s", e.stderr)
		}
	}
}

func TestReloadOverHTTPIsOffByDefault(t *testing.T) {
	_, url := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)))
	if status, _ := post(t, e, "/-/reload"); status != http.StatusForbidden {
		t.Errorf("%d", status)
	}
}

func TestScrapeInFlightFinishes(t *testing.T) {
	world, url := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)))
	world.Inject(fakecloud.Fault{
		Match:   func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers },
		Latency: time.Second,
	})
	var page string
	var all sync.WaitGroup
	all.Go(func() { _, page = e.get(t, "/metrics") })
	waitFor(t, func() bool { return world.Count(fakecloud.OpListMembers) > 0 })
	if err := e.stop(); err != nil {
		t.Error(err)
	}
	all.Wait()
	if !strings.Contains(page, `status="pending"} 1`) {
		t.Errorf("the scrape was cut off:\n%s", page)
	}
}

// Whoever scrapes gets its answer in time, with all that could be read by then.
func TestHangingImages(t *testing.T) {
	world, url := newWorld(t)
	text := fmt.Sprintf(configText, url)
	const images, hanging = 40, 16
	for i := range images - 1 {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		world.AddImage(fakecloud.Image{ID: id, Owner: projectID, Visibility: "shared"})
		world.Share(id, memberID)
		text += "      - id: " + id + "\n"
	}
	world.Inject(fakecloud.Fault{Hang: true, Match: func(r fakecloud.Request) bool {
		return r.Operation == fakecloud.OpListMembers && strings.HasPrefix(r.ImageID, "0") &&
			r.ImageID < fmt.Sprintf("00000000-0000-4000-8000-%012d", hanging)
	}})
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", text))
	for i := range 2 {
		began := time.Now()
		_, page := e.get(t, "/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "3")
		took := time.Since(began)
		t.Logf("scrape %d: %s", i+1, took)
		if took >= 3*time.Second {
			t.Errorf("scrape %d took %s, and Prometheus waits for 3s", i+1, took)
		}
		read := regexp.MustCompile(`(?m)^glance_image_scrape_success.* 1$`).FindAllString(page, -1)
		members := regexp.MustCompile(`(?m)^glance_image_members\{.*status="pending"\} 1$`).FindAllString(page, -1)
		if len(read) != images-hanging || len(members) != images-hanging {
			t.Errorf("scrape %d: %d images read, %d with members, want %d", i+1, len(read), len(members), images-hanging)
		}
	}
}

func TestCloudAwayAtStart(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close() // nobody listens there now
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)))
	for range 3 {
		_, page := e.get(t, "/metrics")
		for _, want := range []string{
			`glance_up{cloud="prod"} 0`,
			`glance_image_members_complete{cloud="prod",image_id="` + imageID + `",image_name=""} 0`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("no %s", want)
			}
		}
		if strings.Contains(page, "glance_image_members{") {
			t.Error("members of a cloud that was not read")
		}
	}
	if got := strings.Count(e.stderr.String(), "level=error"); got != 1 {
		t.Errorf("%d lines of errors, want 1:\n%s", got, e.stderr)
	}
}

func TestOneShots(t *testing.T) {
	_, url := newWorld(t)
	good := writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	bad := writeFile(t, "bad.yml", "clouds: [{api: glance}]\n")
	odd := writeFile(t, "odd.yml", fmt.Sprintf(configText, url)+"    expected_members: [team-payments]\n")
	refused := writeFile(t, "refused.yml", strings.Replace(fmt.Sprintf(configText, url), password, "wrong", 1))
	dir := t.TempDir()
	t.Chdir(dir)
	missing := "exporter.yml: no such file in " + dir +
		": write it, or name another one with --config.file; try --demo without one, or see --help"
	tests := []struct {
		name   string
		args   []string
		stdout string // a part of it
		err    string // all of it
	}{
		{name: "check a good file", args: []string{"--config.check", "--config.file=" + good}, stdout: good + ": good\n"},
		{
			name: "check an odd file", args: []string{"--config.check", "--config.file=" + odd},
			stdout: "warning: " + odd + ":7: clouds[0].expected_members[0]: team-payments is not 32 hexadecimal digits, so it may be a name, " +
				"which matches nobody: write the ID that `openstack project list` shows; if it is this one, ignore the warning\n" + odd + ": good\n",
		},
		{
			name: "check a bad file", args: []string{"--config.check", "--config.file=" + bad},
			err: bad + ":1: clouds[0].auth: is required: write one of clouds_yaml, env, password, application_credential, token, aksk, " +
				"ecs_agency or none, as in auth: {clouds_yaml: {cloud: prod}}",
		},
		{
			name: "start with a bad file", args: []string{"--config.file=" + bad},
			err: bad + ":1: clouds[0].auth: is required: write one of clouds_yaml, env, password, application_credential, token, aksk, " +
				"ecs_agency or none, as in auth: {clouds_yaml: {cloud: prod}}",
		},
		{name: "start without a file", args: nil, err: missing},
		{name: "check without a file", args: []string{"--config.check"}, err: missing},
		{name: "once", args: []string{"--once", "--config.file=" + good}, stdout: `glance_up{cloud="prod"} 1`},
		{
			name:   "once, refused",
			args:   []string{"--once", "--config.file=" + refused},
			stdout: `glance_up{cloud="prod"} 0`,
			err:    "cloud prod could not be read; the log says why",
		},
		{name: "once in the demo", args: []string{"--once", "--demo"}, stdout: `glance_up{cloud="demo"} 1`},
		{
			name: "print expected", args: []string{"--print-expected", "--config.file=" + good},
			stdout: "  expected_members:\n    - \"" + memberID + "\"\n",
		},
		{
			name: "print expected of a cloud", args: []string{"--print-expected=prod", "--config.file=" + good},
			stdout: "- id: \"" + imageID + "\"  # golden",
		},
		{
			name: "print expected of another cloud", args: []string{"--print-expected=test", "--config.file=" + good},
			err: "--print-expected=test: no such cloud: write one of prod",
		},
		{
			name: "print expected, refused", args: []string{"--print-expected", "--config.file=" + refused},
			stdout: "# Incomplete: no access to the cloud: ",
			err: "cloud prod: no access to the cloud: logging in: 401 Unauthorized: The request you have made requires authentication.\n" +
				"cloud prod: 1 of 1 images have no entry; the printed list says why",
		},
		{name: "print expected in the demo", args: []string{"--print-expected", "--demo"}, stdout: "  # golden-debian-12"},
		{
			name: "print expected and once", args: []string{"--once", "--print-expected"},
			err: "--print-expected and --once: write one of them, and run the other one after it",
		},
		{
			name: "print expected and check", args: []string{"--print-expected=prod", "--config.check"},
			err: "--print-expected and --config.check: write one of them, and run the other one after it",
		},
		{
			name: "print expected and preflight", args: []string{"--print-expected", "--preflight"},
			err: "--preflight and --print-expected: write one of them, and run the other one after it",
		},
		{
			name: "a cloud for another flag", args: []string{"--once=prod"},
			err: `unexpected argument "prod": write --config.file=FILE for a configuration, or --print-expected=CLOUD for a cloud`,
		},
		{name: "version", args: []string{"--version"}, stdout: "glance_share_exporter "},
		{name: "help", args: []string{"--help"}, stdout: "--config.file"},
		{name: "unknown flag", args: []string{"--frobnicate"}, err: "unknown long flag '--frobnicate'"},
		{name: "check the demo", args: []string{"--demo", "--config.check"}, stdout: "the demo's own configuration: good"},
		{name: "odd log level", args: []string{"--log.level=loud"}, err: "--log.level=loud: must be one of debug, info, warn, error"},
		{
			name: "no web configuration",
			args: []string{"--web.config.file=nope.yml"},
			err:  "--web.config.file=nope.yml: open nope.yml: no such file or directory",
		},
		{
			name: "odd flag before a bad file",
			args: []string{"--config.file=" + bad, "--web.external-url=here"},
			err:  "--web.external-url=here: must be a URL such as https://monitoring.example.com/glance",
		},
		{
			name: "odd telemetry path",
			args: []string{"--config.file=" + good, "--web.telemetry-path=/config"},
			err:  "--web.telemetry-path=/config: must be a path such as /metrics that no other page uses",
		},
		{
			name: "external URL without a host", args: []string{"--config.file=" + good, "--web.external-url=http://:10292"},
			err: "--web.external-url=http://:10292: must be a URL such as https://monitoring.example.com/glance",
		},
		{
			name: "odd external URL",
			args: []string{"--config.file=" + good, "--web.external-url=here"},
			err:  "--web.external-url=here: must be a URL such as https://monitoring.example.com/glance",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr output
			err := run(t.Context(), test.args, &stdout, &stderr)
			if got := fmt.Sprint(err); (test.err == "") != (err == nil) || (err != nil && got != test.err) {
				t.Errorf("got  %s\nwant %s", got, test.err)
			}
			if !strings.Contains(stdout.String(), test.stdout) {
				t.Errorf("no %q in\n%s", test.stdout, stdout.String())
			}
		})
	}
}

func TestLogLines(t *testing.T) {
	_, url := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)))
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(e.stderr.String()) {
		for _, key := range []string{"ts=", "caller=", "level=", "msg="} {
			if strings.Count(" "+line, " "+key) != 1 {
				t.Errorf("not one %s in %s", key, line)
			}
		}
	}
	var stderr output
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--demo", "--log.format=json", "--web.listen-address=127.0.0.1:0"}, io.Discard, &stderr)
	}()
	waitFor(t, func() bool { return strings.Contains(stderr.String(), "Listening on") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(stderr.String()) {
		var keys map[string]any
		if err := json.Unmarshal([]byte(line), &keys); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if keys["ts"] == nil || keys["caller"] == nil || keys["time"] != nil {
			t.Errorf("ts and caller: %s", line)
		}
	}
}

func TestTLSAndBasicAuth(t *testing.T) {
	_, url := newWorld(t)
	cert, key, pool := tlstest.SelfSigned(t)
	// bcrypt of "guess"
	web := writeFile(t, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\nbasic_auth_users: {prometheus: %s}\n",
		cert, key, tlstest.Bcrypt(t, "guess")))
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)), "--web.config.file="+web)
	e.url = strings.Replace(e.url, "http:", "https:", 1)
	e.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	for user, want := range map[string]int{"prometheus:guess": 200, "prometheus:wrong": 401, "": 401} {
		for _, path := range []string{"/metrics", "/config", "/"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if name, secret, ok := strings.Cut(user, ":"); ok {
				req.SetBasicAuth(name, secret)
			}
			if resp, _ := e.do(t, req); resp.StatusCode != want {
				t.Errorf("%s as %q: %d, want %d", path, user, resp.StatusCode, want)
			}
		}
	}
}

// Where client certificates are asked for, one that has ended, one of another authority and none at all are refused.
func TestClientCertificates(t *testing.T) {
	_, url := newWorld(t)
	cert, key, pool := tlstest.SelfSigned(t)
	ca := tlstest.NewAuthority(t)
	web := writeFile(t, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s, client_auth_type: "+
		"RequireAndVerifyClientCert, client_ca_file: %s}\n", cert, key, ca.File))
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)), "--web.config.file="+web)
	now := time.Now()
	for name, test := range map[string]struct {
		certificate []tls.Certificate
		ok          bool
	}{
		"good":              {ca.Issue(t, now.Add(-time.Hour), now.Add(time.Hour)), true},
		"ended":             {ca.Issue(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), false},
		"not yet":           {ca.Issue(t, now.Add(time.Hour), now.Add(2*time.Hour)), false},
		"another authority": {tlstest.NewAuthority(t).Issue(t, now.Add(-time.Hour), now.Add(time.Hour)), false},
		"none":              {nil, false},
	} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: test.certificate}}
		hc := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(e.url, "http:", "https:", 1)+"/-/healthy", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := hc.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		transport.CloseIdleConnections()
	}
}

// By an agency: temporary keys from the metadata service, whose security token the signature covers, and the least right.
func TestAgencyOfHuaweiCloud(t *testing.T) {
	world := fakecloud.New(fakecloud.Options{Huawei: true})
	world.AddProjectID(projectID, "cn-north-4")
	world.AddAccessKey(fakecloud.AccessKey{
		Access: "AK", Secret: "secret-key", SecurityToken: "security-token", ProjectID: projectID,
		Rights: []string{fakecloud.RightGet, fakecloud.RightList},
	})
	world.AddImage(fakecloud.Image{ID: imageID, Name: "golden", Owner: projectID, Whole: true})
	world.Share(imageID, "fb0d5993e8f14ca887876f3d14abb39d")
	ims := httptest.NewServer(world)
	defer ims.Close()
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			_, _ = w.Write([]byte("metadata-token"))
		case r.Header.Get("X-Metadata-Token") == "metadata-token":
			_, _ = fmt.Fprintf(w, `{"credential": {"access": "AK", "secret": "secret-key", "securitytoken": "security-token", "expires_at": %q}}`,
				time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer metadata.Close()
	text := fmt.Sprintf(`clouds:
  - name: huawei
    api: ims
    members_api: v1
    endpoint: %s/ims
    auth: {ecs_agency: {project_id: %s, metadata_url: %s}}
    discover: [{expected_members: []}]
`, ims.URL, projectID, metadata.URL)
	var page, lines bytes.Buffer
	err := run(context.WithoutCancel(t.Context()), []string{"--once", "--config.file=" + writeFile(t, "exporter.yml", text)}, &page, &lines)
	if err != nil {
		t.Fatalf("%v\n%s", err, &lines)
	}
	labels := `{cloud="huawei",image_id="` + imageID + `",image_name="golden"}`
	for _, want := range []string{
		`glance_up{cloud="huawei"} 1`, "glance_image_members_complete" + labels + " 1", "glance_image_unexpected_members" + labels + " 1",
		"glance_image_members_limit" + labels + " 10", `glance_api_requests_total{cloud="huawei",operation="authenticate"} 2`,
		"glance_token_expiry_timestamp_seconds{",
	} {
		if !strings.Contains(page.String(), "\n"+want) {
			t.Errorf("no %s in\n%s", want, &page)
		}
	}
	for _, secret := range []string{"secret-key", "security-token", "metadata-token"} {
		if strings.Contains(page.String()+lines.String(), secret) {
			t.Errorf("%s is told", secret)
		}
	}
}

// A named pipe in the place of exporter.yml would hold up whoever opens it until somebody writes to it.
func TestReloadOfAPipe(t *testing.T) {
	_, url := newWorld(t)
	path := writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	e := startExporter(t, "--config.file="+path, "--web.enable-lifecycle", "--config.auto-reload-interval=10ms")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	want := path + ": is a pipe, not a regular file: write the configuration into a file, and name that with --config.file"
	if status, body := post(t, e, "/-/reload"); status != http.StatusBadRequest || body != want+"\n" {
		t.Errorf("got %d %s", status, body)
	}
	said := strings.Count(e.stderr.String(), want)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return strings.Count(e.stderr.String(), want) > said })
	if err := e.stop(); err != nil {
		t.Error(err)
	}
}

func TestPreflight(t *testing.T) {
	w, url := newWorld(t)
	w.AddUser("outsider", password, "", "")
	w.AddProjectID(memberID, "consumer")
	w.AddUser("outsider", password, memberID, "reader")
	good := "--config.file=" + writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	strange := "--config.file=" + writeFile(t, "exporter.yml",
		strings.NewReplacer("username: watcher", "username: outsider", "producer", "consumer").Replace(fmt.Sprintf(configText, url)))
	for name, test := range map[string]struct {
		args       []string
		last, fail string
	}{
		"all is well":       {[]string{good}, "ok: the exporter can read everything in 1 cloud.\n", ""},
		"another project's": {[]string{strange}, "FAIL: the exporter cannot read everything in prod.\n", "preflight failed"},
		"the demo":          {[]string{"--demo"}, "ok: the exporter can read everything in 1 cloud.\n", ""},
		"no such file": {
			[]string{"--config.file=/nonexistent/exporter.yml"},
			"",
			"/nonexistent/exporter.yml: no such file: write it, or name another one with --config.file; try --demo without one, or see --help",
		},
		"and --once": {[]string{good, "--once"}, "", "--preflight and --once: write one of them, and run the other one after it"},
		"and --config.check too": {
			[]string{good, "--config.check"},
			"",
			"--preflight and --config.check: write one of them, and run the other one after it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr output
			err := run(context.WithoutCancel(t.Context()), append(test.args, "--preflight"), &stdout, &stderr)
			if text := fmt.Sprint(err); err == nil && test.fail != "" || err != nil && text != test.fail {
				t.Errorf("error %v, want %s", err, test.fail)
			}
			if !strings.HasSuffix(stdout.String(), test.last) || (stdout.String() == "") != (test.last == "") {
				t.Errorf("want %s at the end of\n%s", test.last, &stdout)
			}
			if stderr.String() != "" {
				t.Errorf("the log says\n%s", &stderr)
			}
			if strings.Contains(stdout.String(), "\x1b") {
				t.Error("there are colours in what is no terminal")
			}
		})
	}
}

// The series that are told are as many as a scrape has.
func TestPreflightCountsWhatAScrapeHas(t *testing.T) {
	w, url := newWorld(t)
	for i := range 7 {
		w.Share(imageID, fmt.Sprintf("%032d", i))
	}
	text := fmt.Sprintf(configText, url) + "        expected_members: [" + memberID +
		", 61c9216745884e7782dc16e5123a5fc0]\n    discover: [{}]\n"
	config := "--config.file=" + writeFile(t, "exporter.yml", text)
	var stdout output
	if err := run(t.Context(), []string{"--preflight", config}, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	_, page := startExporter(t, config).get(t, "/metrics")
	all := regexp.MustCompile(`(?m)^[a-z].*\n`).FindAllString(page, -1)
	clouds := regexp.MustCompile(`(?m)^glance_[a-z_]+\{cloud="prod".*\n`).FindAllString(page, -1)
	requests := regexp.MustCompile(`(?m)^glance_api_.*\n`).FindAllString(page, -1)
	for _, want := range []string{
		fmt.Sprintf("info  series      %d now\n", len(clouds)-len(requests)),
		fmt.Sprintf("info  /metrics    %d series: %d of prod, %d of the exporter process", len(all),
			len(clouds)-len(requests), len(all)-len(clouds)+len(requests)),
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
}

// spellings are the ways in which a server writes what it got.
var spellings = map[string]func(string) string{
	"as it is":    func(s string) string { return s },
	"form":        url.QueryEscape,
	"path":        url.PathEscape,
	"lower hex":   func(s string) string { return strings.ToLower(percent(s)) },
	"upper hex":   percent,
	"Python":      func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") },
	"percent 2":   func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"base64":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 raw":  func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64 URL":  func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64 line": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s + "\n")) },
	"Basic":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + s)) },
	"Basic, form": func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte("exporter:" + url.QueryEscape(s)))
	},
	"JSON":         func(s string) string { return inJSON(s) },
	"JSON 2":       func(s string) string { return inJSON(inJSON(s)) },
	"ASCII":        func(s string) string { return strings.Trim(fmt.Sprintf("%+q", s), `"`) },
	"HTML":         html.EscapeString,
	"HTML 2":       func(s string) string { return html.EscapeString(html.EscapeString(s)) },
	"HTML numbers": func(s string) string { return entities(s, "&#%d;") },
	"HTML hex":     func(s string) string { return entities(s, "&#x%X;") },
	"HTML in JSON": func(s string) string { return inJSON(html.EscapeString(s)) },
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func entities(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func inJSON(s string) string {
	text, _ := json.Marshal(s) // a string can be encoded
	return strings.Trim(string(text), `"`)
}

// leak is a cloud whose server echoes one secret.
type leak struct {
	kind   string
	server string // who echoes it: keystone, glance, gateway, redirect, name, catalog, proxy, connect, oauth2 or metadata
	yaml   string // of the cloud, with the secret and the server's URL in it
	secret string
	// unsent is whether the server need not have got the secret itself.
	unsent bool
	// few is whether some spellings are enough: another server echoes the same secret in all of them.
	few bool
}

// secretNumber is a secret with what each encoding changes, and letters at both ends that are its own. Digits would be in the log by
// chance, in a duration.
func secretNumber(n int) string {
	own := []byte(fmt.Sprintf("%x", sha256.Sum256([]byte(strconv.Itoa(n)))))
	for i, c := range own {
		if c <= '9' {
			own[i] = c - '0' + 'g'
		}
	}
	return string(own[:12]) + `"b&c<d>e%f+g/h=i\j` + string(own[12:24])
}

// leaks are the kinds of secrets. In yaml, SECRET is the secret in quotes, FILE a file with it, and URL the server.
func leaks() []leak {
	const (
		none     = "    auth: {none: {project_id: " + projectID + "}}\n    endpoint: URL/image\n"
		keystone = "    auth: {password: {auth_url: URL/identity/v3, username: u, user_domain_name: Default, " +
			"password: SECRET, project_name: p, project_domain_name: Default}}\n"
		image  = "    endpoint: URL/image\n"
		aksk   = "    api: ims\n    auth: {aksk: {access_key: AK, project_id: " + projectID + ", "
		agency = "    api: ims\n    auth: {ecs_agency: {metadata_url: URL/metadata, project_id: " + projectID + "}}\n" + image
	)
	login := strings.ReplaceAll(keystone, "SECRET", "other-password")
	list := []leak{
		{kind: "catalog", server: "catalog", unsent: true, yaml: login},
		{kind: "two endpoints", server: "catalog", unsent: true, yaml: login},
		{kind: "password", server: "keystone", yaml: keystone},
		{kind: "application credential", server: "keystone", yaml: "    auth: " +
			"{application_credential: {auth_url: URL/identity/v3, id: abc, secret: SECRET}}\n"},
		{kind: "token", server: "keystone", yaml: "    auth: {token: {auth_url: URL/identity/v3, token: SECRET}}\n"},
		{kind: "Keystone's token", server: "glance", yaml: login + image},
		{kind: "token as it is", server: "glance", yaml: "    auth: {token: {token: SECRET, project_id: " + projectID + "}}\n" + image},
		{kind: "security token", server: "glance", yaml: aksk + "secret_key: other-secret-key, security_token: SECRET}}\n" + image},
		{kind: "secret key", server: "glance", unsent: true, yaml: aksk + "secret_key: SECRET}}\n" + image},
		{kind: "metadata token", server: "metadata", unsent: true, yaml: agency},
		{kind: "temporary key", server: "glance", yaml: agency},
	}
	for kind, block := range map[string]string{
		"authorization":      "{authorization: {credentials: SECRET}}",
		"authorization file": "{authorization: {type: Token, credentials_file: FILE}}",
		"basic_auth":         "{basic_auth: {username: user, password: SECRET}}",
		"basic_auth file":    "{basic_auth: {username: user, password_file: FILE}}",
		"bearer_token":       "{bearer_token: SECRET}", "bearer_token file": "{bearer_token_file: FILE}",
		"http_headers":        "{http_headers: {X-Api-Key: {secrets: [SECRET]}}}",
		"http_headers values": "{http_headers: {X-Api-Key: {values: [SECRET]}}}",
		"http_headers file":   "{http_headers: {X-Api-Key: {files: [FILE]}}}",
	} {
		for _, server := range []string{"keystone", "glance", "gateway", "redirect", "name"} {
			yaml := none
			if server == "keystone" {
				yaml = login
			}
			list = append(list, leak{kind: kind, server: server, few: server != "glance", yaml: yaml + "    http: " + block + "\n"})
		}
	}
	for kind, block := range map[string]string{
		"client_secret": "client_secret: SECRET", "client_secret file": "client_secret_file: FILE",
		"endpoint_params": "client_secret: other-client-secret, endpoint_params: {assertion: SECRET}",
	} {
		list = append(list, leak{kind: kind, server: "oauth2", yaml: none +
			"    http: {oauth2: {client_id: exporter, token_url: URL/oauth2, " + block + "}}\n"})
	}
	list = append(list, leak{
		kind: "OAuth2's token", server: "glance",
		yaml: none + "    http: {oauth2: {client_id: exporter, client_secret: other-client-secret, token_url: URL/oauth2}}\n",
	})
	for kind, user := range map[string]string{"proxy password": "user:USERINFO", "proxy token": "USERINFO"} {
		list = append(list,
			leak{kind: kind, server: "proxy", yaml: none + "    http: {proxy_url: 'http://" + user + "@HOST'}\n"},
			leak{kind: kind, server: "connect", yaml: strings.ReplaceAll(none, "URL/image", "https://image.example.com") +
				"    http: {proxy_url: 'http://" + user + "@HOST'}\n"},
		)
	}
	slices.SortFunc(list, func(a, b leak) int { return strings.Compare(a.kind+a.server, b.kind+b.server) })
	return list
}

// echo is a server that writes one secret in one way into everything that it returns.
type echo struct {
	leak
	spelling string
	spell    func(string) string
	mu       sync.Mutex
	received bool
}

// note records whether a request carries the secret.
func (e *echo) note(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	texts := []string{string(body), strings.Join(form["assertion"], " "), strings.Join(form["client_secret"], " ")}
	for _, values := range r.Header {
		for _, v := range values {
			texts = append(texts, v)
			_, coded, _ := strings.Cut(v, "Basic ")
			if plain, err := base64.StdEncoding.DecodeString(coded); err == nil {
				unquoted, _ := url.QueryUnescape(string(plain))
				texts = append(texts, string(plain), unquoted)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, text := range texts {
		e.received = e.received || strings.Contains(text, e.secret) || strings.Contains(text, inJSON(e.secret))
	}
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.note(r)
	text := e.spell(e.secret)
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	service := strings.Split(r.URL.Path, "/")[1]
	switch {
	case e.server == "connect":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 denied "+text+"\r\n\r\n")
			conn.Close()
		}
	case e.server == "proxy":
		http.Error(w, "denied: "+text, http.StatusForbidden)
	case service == "oauth2" && e.server == "oauth2":
		answer(http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "got " + text})
	case service == "oauth2":
		answer(http.StatusOK, map[string]any{"access_token": e.secret, "token_type": "Bearer", "expires_in": 3600})
	case strings.HasSuffix(r.URL.Path, "/api/token") && e.server == "metadata":
		_, _ = io.WriteString(w, e.secret)
	case strings.HasSuffix(r.URL.Path, "/api/token"):
		_, _ = io.WriteString(w, "another-metadata-token")
	case service == "metadata" && e.server == "metadata": // a header that cannot be read, which the transport's error quotes
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nbroken "+text+"\r\n\r\n")
			conn.Close()
		}
	case service == "metadata":
		answer(http.StatusOK, map[string]any{"credential": map[string]any{
			"access": "AK", "secret": "other-secret-key", "securitytoken": e.secret,
			"expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		}})
	case service == "identity" && e.server == "keystone":
		answer(http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": 401, "message": "got " + text}})
	case service == "identity" && e.server == "catalog":
		endpoints := []map[string]string{{"interface": "public", "url": "https://user:" + text + "@image.example.com/v2"}}
		if e.kind == "two endpoints" {
			endpoints = append(endpoints, map[string]string{"interface": "public", "url": "https://image.example.org/?key=" + text})
		}
		w.Header().Set("X-Subject-Token", "another-token")
		answer(http.StatusCreated, map[string]any{"token": map[string]any{
			"project": map[string]any{"id": projectID, "name": "p"},
			"catalog": []any{map[string]any{"type": "image", "endpoints": endpoints}},
		}})
	case service == "identity":
		w.Header().Set("X-Subject-Token", e.secret)
		answer(http.StatusCreated, map[string]any{"token": map[string]any{"project": map[string]any{"id": projectID, "name": "p"}}})
	case e.server == "gateway":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "<html><body><h1>403</h1><pre>X-Got: %s</pre></body></html>", text)
	case e.server == "redirect":
		w.Header().Set("Location", "/elsewhere/"+text)
		w.WriteHeader(http.StatusFound)
	case e.server == "name" && !strings.HasSuffix(r.URL.Path, "/members"):
		record := map[string]any{"id": imageID, "name": "golden " + text, "owner": projectID, "visibility": "shared", "status": "active"}
		if strings.HasSuffix(r.URL.Path, "/images") {
			answer(http.StatusOK, map[string]any{"images": []any{record}})
			return
		}
		answer(http.StatusOK, record)
	case e.server == "name":
		answer(http.StatusOK, map[string]any{"members": []any{map[string]any{"member_id": memberID, "image_id": imageID, "status": "accepted"}}})
	default:
		answer(http.StatusForbidden, map[string]any{"message": "got " + text, "code": "403 Forbidden", "title": "Forbidden"})
	}
}

// windows are the parts of a text that count as leaked.
func windows(text string, see func(string)) {
	for i := range max(0, len(text)-7) {
		see(text[i : i+8])
	}
}

// No output has a part of a secret in it, whatever kind of secret it is, which server echoes it, and how it writes it.
func TestNoOutputHasASecret(t *testing.T) {
	var config strings.Builder
	config.WriteString("clouds:\n")
	var echoes []*echo
	for _, l := range leaks() {
		for i, name := range slices.Sorted(maps.Keys(spellings)) {
			spell := spellings[name]
			if l.few && (i+len(l.kind))%4 != 0 {
				continue // Each combination takes its time.
			}
			l.secret = secretNumber(len(echoes))
			e := &echo{leak: l, spelling: name, spell: spell}
			server := httptest.NewUnstartedServer(e)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.Start()
			t.Cleanup(server.Close)
			userInfo := url.UserPassword("", l.secret).String()[1:]
			yaml := strings.NewReplacer("SECRET", "'"+l.secret+"'", "FILE", writeFile(t, "secret", l.secret+"\n"), "URL", server.URL,
				"USERINFO", userInfo, "HOST", server.Listener.Addr().String()).Replace(l.yaml)
			fmt.Fprintf(&config, "  - name: c%d\n%s    images: [{id: %s}]\n", len(echoes), yaml, imageID)
			echoes = append(echoes, e)
		}
	}
	file := "--config.file=" + writeFile(t, "exporter.yml", config.String())
	outputs := map[string]string{}
	p := startExporter(t, file, "--log.level=debug")
	for _, path := range []string{"/metrics", "/", "/config", "/sd"} {
		status, text := p.get(t, path)
		if status.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, status.StatusCode)
		}
		outputs[path] = text
	}
	var preflight, once, list, log output
	outputs["errors"] = fmt.Sprint(run(t.Context(), []string{"--preflight", file}, &preflight, io.Discard)) +
		fmt.Sprint(run(t.Context(), []string{"--once", file}, &once, &log)) +
		fmt.Sprint(run(t.Context(), []string{"--print-expected", file}, &list, &log))
	outputs["preflight"], outputs["once"], outputs["print-expected"] = preflight.String(), once.String(), list.String()
	outputs["log"] = p.stderr.String() + log.String()
	found, shared := map[string]map[string]bool{}, map[string]*echo{}
	for name, text := range outputs {
		if !strings.Contains(text, "<secret>") && !strings.Contains(text, "&lt;secret&gt;") && name != "/sd" {
			t.Errorf("%s shows nothing of an echo", name)
		}
		found[name] = map[string]bool{}
		windows(text, func(part string) { found[name][part] = true })
	}
	for _, e := range echoes { // A part of several secrets is one of none.
		for _, text := range []string{e.secret, e.spell(e.secret)} {
			windows(text, func(part string) {
				if other, ok := shared[part]; ok && other != e {
					shared[part] = nil
				} else {
					shared[part] = e
				}
			})
		}
	}
	leaked := map[string][]string{}
	for _, e := range echoes {
		if !e.received && !e.unsent {
			t.Errorf("%s to %s: never sent", e.kind, e.server)
		}
		for name := range outputs {
			seen := ""
			for _, text := range []string{e.secret, e.spell(e.secret)} {
				windows(text, func(part string) {
					if found[name][part] && shared[part] == e && !strings.Contains(part, "amp;") { // which the page writes too
						seen = part
					}
				})
			}
			if seen != "" {
				at := fmt.Sprintf("%s, echoed by %s, is in %s", e.kind, e.server, name)
				leaked[at] = append(leaked[at], e.spelling+" ("+seen+")")
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(leaked)) {
		t.Errorf("%s: %s", at, strings.Join(leaked[at], ", "))
	}
}
