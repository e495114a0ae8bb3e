package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"glance_share_exporter/internal/fakecloud"
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

func TestDemo(t *testing.T) {
	e := startExporter(t, "--demo")
	_, page := e.get(t, "/metrics")
	have := families(t, page)
	// One project is all that the demo has, and it collects for each scrape.
	_, url := newWorld(t)
	several := strings.Replace(fmt.Sprintf(configText, url), ", project_name: producer}", "}\n    projects: all\n    scrape: {refresh_interval: 1m}", 1)
	_, page = startExporter(t, "--config.file="+writeFile(t, "exporter.yml", several)).get(t, "/metrics")
	maps.Copy(have, families(t, page))
	maps.Copy(have, families(t, pageAfterRenaming(t)))
	maps.Copy(have, families(t, pageOfAShortScrape(t)))
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
	if hint := e.stdout.String(); !strings.Contains(hint, "http://127.0.0.1:PORT/metrics") || !strings.Contains(hint, "The log below says which PORT") {
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
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", config+"    discover: [{name: golden}]\n"))
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

// The pages of the documentation that tests compare with the program.
const (
	readmePage          = "README.md"
	installPage         = "docs/install.md"
	configurationPage   = "docs/configuration.md"
	credentialsPage     = "docs/credentials.md"
	metricsPage         = "docs/metrics.md"
	prometheusPage      = "docs/prometheus.md"
	troubleshootingPage = "docs/troubleshooting.md"
)

func documentedMetrics(t *testing.T) (names []string) {
	t.Helper()
	for _, row := range regexp.MustCompile("(?m)^\\| `(glance_[a-z_]+)` ").FindAllStringSubmatch(readText(t, metricsPage), -1) {
		names = append(names, row[1])
	}
	if len(names) < 20 {
		t.Fatalf("the metrics table of %s has %d rows", metricsPage, len(names))
	}
	return names
}

// example returns a block of a page, without its fences.
func example(t *testing.T, page, name string) string {
	t.Helper()
	block := regexp.MustCompile("(?s)<!-- example: " + regexp.QuoteMeta(name) + " -->\n```[a-z]*\n(.*?)```\n").FindStringSubmatch(readText(t, page))
	if block == nil {
		t.Fatalf("%s has no example %s", page, name)
	}
	return block[1]
}

// The example configuration, as documented, gives the metrics that are documented.
func TestTheDocumentedExample(t *testing.T) {
	const (
		golden, appliance, rescue = "5796a670-482c-490e-8d97-82bfcdc83011", "3c3ae353-fb14-428e-90b4-01a6c1cc0aff", "e179f773-a6e0-43c0-9514-b7dde2ad0478"
		payments, sandbox         = "2c63888f28f04481be6ddce7a7ace732", "ac8efe121c5949f1ba2dde83458bfed0"
	)
	w, url := newWorld(t)
	for _, img := range []fakecloud.Image{{ID: golden, Name: "debian-12"}, {ID: appliance, Name: "appliance"}, {ID: rescue, Name: "rescue", Visibility: "public"}} {
		img.Owner = projectID
		w.AddImage(img)
	}
	day := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	w.AddMember(golden, fakecloud.Member{MemberID: payments, Status: "accepted", CreatedAt: day, UpdatedAt: day.Add(25 * time.Minute)})
	w.AddMember(golden, fakecloud.Member{MemberID: sandbox, Status: "pending", CreatedAt: day.AddDate(0, 2, 0), UpdatedAt: day.AddDate(0, 2, 0)})
	t.Setenv("OS_CLIENT_CONFIG_FILE", writeFile(t, "clouds.yaml", fmt.Sprintf(
		"clouds: {prod: {auth: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: %s, project_name: producer}}}\n", url, password)))
	var stdout, stderr output
	if err := run(t.Context(), []string{"--once", "--config.file=" + writeFile(t, "exporter.yml", example(t, configurationPage, "exporter.yml"))}, &stdout, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	for _, test := range []struct{ page, name, pattern string }{
		{configurationPage, "judgements", `(?m)^glance_image.*(expected|missing).*\n`},
		{metricsPage, "page", `(?m)^glance_image.*\n`},
	} {
		command, want, _ := strings.Cut(example(t, test.page, test.name), "\n")
		if !strings.HasPrefix(command, "$ glance_share_exporter --once") {
			t.Errorf("%s of %s begins with %s", test.name, test.page, command)
		}
		got := strings.Join(regexp.MustCompile(test.pattern).FindAllString(stdout.String(), -1), "")
		got = regexp.MustCompile(`(?m)^.*read_timestamp.*\n`).ReplaceAllString(got, "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-%s +got):\n%s\nin full:\n%s", test.name, test.page, diff, got)
		}
	}
}

// The quick start of the README finds a member that nobody expects.
func TestTheReadmesQuickStart(t *testing.T) {
	w, url := newWorld(t)
	w.AddImage(fakecloud.Image{ID: "5796a670-482c-490e-8d97-82bfcdc83011", Name: "debian-12", Owner: projectID})
	w.Share("5796a670-482c-490e-8d97-82bfcdc83011", "ac8efe121c5949f1ba2dde83458bfed0")
	t.Setenv("OS_CLIENT_CONFIG_FILE", writeFile(t, "clouds.yaml", fmt.Sprintf(
		"clouds: {prod: {auth: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: %s, project_name: producer}}}\n", url, password)))
	var stdout, stderr output
	config := "--config.file=" + writeFile(t, "exporter.yml", example(t, readmePage, "quick start"))
	if err := run(t.Context(), []string{"--once", config}, &stdout, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	const want = `glance_image_unexpected_members{cloud="prod",image_id="5796a670-482c-490e-8d97-82bfcdc83011",image_name="debian-12"} 1`
	if !strings.Contains(stdout.String(), "\n"+want+"\n") {
		t.Errorf("the metrics do not have %s:\n%s", want, stdout.String())
	}
}

func TestTheDocsHaveEveryFlag(t *testing.T) {
	var help output
	if err := run(t.Context(), []string{"--help"}, &help, io.Discard); err != nil {
		t.Fatal(err)
	}
	flags := func(pattern, text string) []string {
		var names []string
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, found[1])
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	_, table, _ := strings.Cut(readText(t, configurationPage), "## Flags")
	table, _, _ = strings.Cut(table, "## ")
	want := flags(`(?m)^\s+(?:-h, )?--(?:\[no-\])?([a-z.-]+)`, help.String())
	want = slices.DeleteFunc(want, func(name string) bool { return strings.HasPrefix(name, "help-") }) // kingpin's own
	if diff := cmp.Diff(want, flags("`--([a-z.-]+)`(?:,? | \\|)", table)); diff != "" {
		t.Errorf("--help against %s:\n%s", configurationPage, diff)
	}
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
		if want := `glance_image_members{cloud="prod",image_id="` + imageID + `",image_name="golden",status="pending"} 1`; !strings.Contains(page, want) {
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
	if want := fmt.Sprintf(`glance_api_requests_total{cloud="prod",operation="list_members"} %d`, world.Count(fakecloud.OpListMembers)); !strings.Contains(page, want) {
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
		{name: "behind a proxy that keeps the path", args: []string{"--web.external-url=https://example.com/glance/"}, path: "/glance/metrics", status: 200, has: "glance_up"},
		{name: "behind a proxy that takes the path away", args: []string{"--web.external-url=https://example.com/glance/", "--web.route-prefix=/"}, path: "/", status: 200, has: `<a href="/glance/metrics">`},
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
	want := path + ":7: clouds[0].images[1].id: \"golden\" is not an image ID: write the UUID in lower case, as `openstack image list` shows it\n"
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
	world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }, Latency: time.Second})
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
		return r.Operation == fakecloud.OpListMembers && strings.HasPrefix(r.ImageID, "0") && r.ImageID < fmt.Sprintf("00000000-0000-4000-8000-%012d", hanging)
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
		for _, want := range []string{`glance_up{cloud="prod"} 0`, `glance_image_members_complete{cloud="prod",image_id="` + imageID + `",image_name=""} 0`} {
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
			err: bad + ":1: clouds[0].auth: is required: write one of clouds_yaml, env, password, application_credential, token, aksk, ecs_agency or none, as in auth: {clouds_yaml: {cloud: prod}}",
		},
		{
			name: "start with a bad file", args: []string{"--config.file=" + bad},
			err: bad + ":1: clouds[0].auth: is required: write one of clouds_yaml, env, password, application_credential, token, aksk, ecs_agency or none, as in auth: {clouds_yaml: {cloud: prod}}",
		},
		{name: "start without a file", args: nil, err: missing},
		{name: "check without a file", args: []string{"--config.check"}, err: missing},
		{name: "once", args: []string{"--once", "--config.file=" + good}, stdout: `glance_up{cloud="prod"} 1`},
		{name: "once, refused", args: []string{"--once", "--config.file=" + refused}, stdout: `glance_up{cloud="prod"} 0`, err: "cloud prod could not be read; the log says why"},
		{name: "once in the demo", args: []string{"--once", "--demo"}, stdout: `glance_up{cloud="demo"} 1`},
		{name: "version", args: []string{"--version"}, stdout: "glance_share_exporter "},
		{name: "help", args: []string{"--help"}, stdout: "--config.file"},
		{name: "unknown flag", args: []string{"--frobnicate"}, err: "unknown long flag '--frobnicate'"},
		{name: "check the demo", args: []string{"--demo", "--config.check"}, stdout: "the demo's own configuration: good"},
		{name: "odd log level", args: []string{"--log.level=loud"}, err: "--log.level=loud: must be one of debug, info, warn, error"},
		{name: "no web configuration", args: []string{"--web.config.file=nope.yml"}, err: "--web.config.file=nope.yml: open nope.yml: no such file or directory"},
		{name: "odd flag before a bad file", args: []string{"--config.file=" + bad, "--web.external-url=here"}, err: "--web.external-url=here: must be a URL such as https://monitoring.example.com/glance"},
		{name: "odd telemetry path", args: []string{"--config.file=" + good, "--web.telemetry-path=/config"}, err: "--web.telemetry-path=/config: must be a path such as /metrics that no other page uses"},
		{
			name: "external URL without a host", args: []string{"--config.file=" + good, "--web.external-url=http://:10292"},
			err: "--web.external-url=http://:10292: must be a URL such as https://monitoring.example.com/glance",
		},
		{name: "odd external URL", args: []string{"--config.file=" + good, "--web.external-url=here"}, err: "--web.external-url=here: must be a URL such as https://monitoring.example.com/glance"},
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
	cert, key, pool := selfSigned(t)
	// bcrypt of "guess"
	web := writeFile(t, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\nbasic_auth_users: {prometheus: %s}\n", cert, key, bcryptOf(t, "guess")))
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
	cert, key, pool := selfSigned(t)
	ca := newAuthority(t)
	web := writeFile(t, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s, client_auth_type: RequireAndVerifyClientCert, client_ca_file: %s}\n", cert, key, ca.file))
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)), "--web.config.file="+web)
	now := time.Now()
	for name, test := range map[string]struct {
		certificate []tls.Certificate
		ok          bool
	}{
		"good":              {ca.issue(t, now.Add(-time.Hour), now.Add(time.Hour)), true},
		"ended":             {ca.issue(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), false},
		"not yet":           {ca.issue(t, now.Add(time.Hour), now.Add(2*time.Hour)), false},
		"another authority": {newAuthority(t).issue(t, now.Add(-time.Hour), now.Add(time.Hour)), false},
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
