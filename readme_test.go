package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

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
	block := regexp.MustCompile("(?s)<!-- example: " + regexp.QuoteMeta(name) + " -->\n```[a-z]*\n(.*?)```\n").
		FindStringSubmatch(readText(t, page))
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
	for _, img := range []fakecloud.Image{
		{ID: golden, Name: "debian-12"},
		{ID: appliance, Name: "appliance"},
		{ID: rescue, Name: "rescue", Visibility: "public"},
	} {
		img.Owner = projectID
		w.AddImage(img)
	}
	day := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	w.AddMember(golden, fakecloud.Member{MemberID: payments, Status: "accepted", CreatedAt: day, UpdatedAt: day.Add(25 * time.Minute)})
	w.AddMember(golden,
		fakecloud.Member{MemberID: sandbox, Status: "pending", CreatedAt: day.AddDate(0, 2, 0), UpdatedAt: day.AddDate(0, 2, 0)})
	t.Setenv("OS_CLIENT_CONFIG_FILE", writeFile(t, "clouds.yaml", fmt.Sprintf(
		"clouds: {prod: {auth: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: %s, project_name: "+
			"producer}}}\n",
		url,
		password,
	)))
	var stdout, stderr output
	config := writeFile(t, "exporter.yml", example(t, configurationPage, "exporter.yml"))
	if err := run(t.Context(), []string{"--once", "--config.file=" + config}, &stdout, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	var list output
	if err := run(t.Context(), []string{"--print-expected", "--config.file=" + config}, &list, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	printed := regexp.MustCompile(` at \S+Z\. `).ReplaceAllString(list.String(), " at 2026-05-09T08:00:00Z. ")
	command, want, _ := strings.Cut(example(t, configurationPage, "baseline"), "\n")
	if diff := cmp.Diff(want, printed); diff != "" || !strings.HasPrefix(command, "$ glance_share_exporter --print-expected") {
		t.Errorf("%s (-%s +got):\n%s\nin full:\n%s", command, configurationPage, diff, printed)
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
		"clouds: {prod: {auth: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: %s, project_name: "+
			"producer}}}\n",
		url,
		password,
	)))
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

// tableRows returns the cells of the tables that a page has below a heading, whose first cell is code.
func tableRows(t *testing.T, page, heading string) (rows [][]string) {
	t.Helper()
	_, text, ok := strings.Cut("\n"+readText(t, page), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %s", page, heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	for line := range strings.Lines(text) {
		if row, ok := strings.CutPrefix(strings.TrimSpace(line), "| `"); ok {
			cells := strings.Split(strings.TrimSuffix("`"+row, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func scrapedFamilies(t *testing.T, args ...string) map[string]*dto.MetricFamily {
	t.Helper()
	_, page := startExporter(t, args...).get(t, "/metrics")
	return parsedFamilies(t, page)
}

func parsedFamilies(t *testing.T, page string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestTheDocsHaveTypesAndLabelsOfMetrics(t *testing.T) {
	families := scrapedFamilies(t, "--demo")
	// What the demo lacks: several projects, collections in the background, rules that skip images, and images that are no longer watched.
	_, url := newWorld(t)
	several := strings.Replace(fmt.Sprintf(configText, url), ", project_name: producer}",
		"}\n    projects: all\n    scrape: {refresh_interval: 1m}", 1)
	maps.Copy(families, scrapedFamilies(t, "--config.file="+writeFile(t, "exporter.yml", several)))
	left := parsedFamilies(t, pageAfterRenaming(t))
	families["glance_image_left"], families["glance_skipped_images"] = left["glance_image_left"], left["glance_skipped_images"]
	families["glance_image_waiting"] = parsedFamilies(t, pageOfAShortScrape(t))["glance_image_waiting"]
	short := strings.NewReplacer("image, ", "cloud, image_id, image_name, ", "member, ",
		"cloud, image_id, image_name, member_id, member_name, member_type, ",
		"inbound, ", "cloud, image_id, image_name, owner_id, owner_name, project_id, ")
	for _, row := range tableRows(t, metricsPage, "# Metrics") {
		name := strings.Trim(row[0], "`")
		family := families[name]
		if family == nil {
			continue // TestDemo tells
		}
		if kind := strings.ToLower(family.GetType().String()); kind != row[1] {
			t.Errorf("%s calls %s a %s, and it is a %s", metricsPage, name, row[1], kind)
		}
		told, some := strings.CutSuffix(row[2], " and others")
		want := strings.FieldsFunc(short.Replace(told+", "), func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(want)
		for _, metric := range family.Metric {
			var got []string
			for _, pair := range metric.Label {
				if !some || slices.Contains(want, pair.GetName()) {
					got = append(got, pair.GetName())
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, slices.Compact(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("labels of %s (-%s +got):\n%s", name, metricsPage, diff)
				break
			}
		}
	}
}

// How many series there are decides on sample_limit, and one too many costs a whole scrape.
func TestTheDocsCountTheSeries(t *testing.T) {
	told := regexp.MustCompile(`Count (\d+) series per image \((\d+) if it is not shared\) and (\d+) per member, (\d+) more per judged image and (\d+) more\s+` +
		`per judged member, (\d+) per cloud \((\d+) are the API's counters and histograms\), and (\d+) of the process\. With\s+.inbound. (\d+) per project, and (\d+) for each of its .max_images., (\d+) by default, however few others share now\.` +
		`.*\s+.*a judged image with 128 members has (\d+)`).FindStringSubmatch(readText(t, prometheusPage))
	if told == nil {
		t.Fatalf("%s does not say how many series there are", prometheusPage)
	}
	var number []int
	for _, text := range told[1:] {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		number = append(number, n)
	}
	_, url := newWorld(t)
	plain := countSeries(scrapedFamilies(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))))
	names := regexp.MustCompile("`resolve_project_names`\\s+(\\d+) per cloud").FindStringSubmatch(readText(t, prometheusPage))
	judged := countSeries(scrapedFamilies(t, "--demo"))
	if names == nil || names[1] != strconv.Itoa(judged["names"]) {
		t.Errorf("%s does not count %d series of resolve_project_names", prometheusPage, judged["names"])
	}
	for _, test := range []struct {
		what      string
		want, got int
	}{
		{"an image", number[0], plain["image"]},
		{"an image that is not shared", number[1] + 2, judged["image that is not shared"]}, // with one expected_visibility
		{"a member", number[2], plain["member"]},
		{"a judged image", number[0] + number[3], judged["image"]},
		{"a judged member", number[2] + number[4], judged["member"]},
		{"a cloud", number[5], judged["cloud"] + judged["API"]},
		{"the API", number[6], judged["API"]},
		{"the process", number[7], judged["process"]},
		{"what others share with a project", number[8], judged["inbound"]},
		{"an image that others share", number[9], judged["inbound image"]},
		{"the images that others may share", number[10], judged["inbound image"] * collector.DefaultMaxImages},
		{"a judged image with 128 members", number[11], judged["image"] + 128*judged["member"]},
	} {
		if test.want != test.got {
			t.Errorf("%s counts %d series of %s, and there are %d", prometheusPage, test.want, test.what, test.got)
		}
	}
}

// countSeries counts those of the image and the member that have most, and of all else.
func countSeries(families map[string]*dto.MetricFamily) map[string]int {
	images, members, count := map[string]int{}, map[string]int{}, map[string]int{}
	shared, inbound := map[string]bool{}, map[string]int{}
	for name, family := range families {
		for _, metric := range family.Metric {
			labels := map[string]string{}
			for _, pair := range metric.Label {
				labels[pair.GetName()] = pair.GetValue()
			}
			samples := 1
			if h := metric.Histogram; h != nil {
				samples = 2 + len(h.Bucket)
			} else if s := metric.Summary; s != nil {
				samples = 2 + len(s.Quantile)
			}
			id := labels["image_id"]
			shared[id] = shared[id] || name == "glance_image_members_complete"
			switch {
			case strings.HasPrefix(name, "glance_inbound_"):
				if id == "" {
					count["inbound"] += samples
				} else {
					inbound[id] += samples
				}
			case labels["keystone_name"] != "":
			case labels["operation"] == "resolve_names":
				count["names"] += samples
			case labels["member_id"] != "":
				members[id+" "+labels["member_id"]]++
			case id != "":
				images[id]++
			case strings.HasPrefix(name, "glance_api_"):
				count["API"] += samples
			case labels["cloud"] != "":
				count["cloud"] += samples
			default:
				count["process"] += samples
			}
		}
	}
	for id, n := range images {
		kind := "image"
		if !shared[id] {
			kind = "image that is not shared"
		}
		count[kind] = max(count[kind], n)
	}
	for _, n := range members {
		count["member"] = max(count["member"], n)
	}
	for _, n := range inbound {
		count["inbound image"] = max(count["inbound image"], n)
	}
	return count
}

func TestTheDocsHaveTheDefaultsOfFlags(t *testing.T) {
	var help output
	if err := run(t.Context(), []string{"--help"}, &help, io.Discard); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, found := range regexp.MustCompile(`(?m)^\s+--([a-z.-]+)=(\S*)`).FindAllStringSubmatch(help.String(), -1) {
		if text := strings.Trim(found[2], `"`); text != strings.ToUpper(found[1]) { // kingpin's word where there is no default
			defaults[found[1]] = text
		}
	}
	for _, row := range tableRows(t, configurationPage, "## Flags") {
		name := strings.TrimPrefix(strings.Trim(row[0], "`"), "--")
		if told := regexp.MustCompile("^`([^`]*)`$").FindStringSubmatch(row[1]); told != nil && told[1] != defaults[name] {
			t.Errorf("%s calls %s the default of --%s, and it is %s", configurationPage, told[1], name, defaults[name])
		} else if told == nil && defaults[name] != "" {
			t.Errorf("%s has no default of --%s, and it is %s", configurationPage, name, defaults[name])
		}
		delete(defaults, name)
	}
	for name := range defaults {
		t.Errorf("%s has no --%s", configurationPage, name)
	}
}

// Every page of the table answers, and every link of the first page is in the table.
func TestTheDocsHaveTheEndpoints(t *testing.T) {
	e := startExporter(t, "--demo", "--web.enable-lifecycle")
	var told []string
	for _, row := range tableRows(t, configurationPage, "## Endpoints") {
		path := strings.Trim(row[0], "`")
		told = append(told, path)
		if page, ok := strings.CutPrefix(path, "POST "); ok {
			if status, body := post(t, e, page); status != http.StatusOK {
				t.Errorf("%s: %d %s", path, status, body)
			}
			continue
		}
		if resp, body := e.get(t, strings.Replace(path, "NAME", "demo", 1)); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if len(told) < 8 {
		t.Fatalf("%s has only the endpoints %s", configurationPage, told)
	}
	_, page := e.get(t, "/")
	for _, found := range regexp.MustCompile(`href="(/[^"?#]*)`).FindAllStringSubmatch(page, -1) {
		if !slices.ContainsFunc(told, func(path string) bool { return path == found[1] || strings.HasPrefix(path, found[1]+"?") }) {
			t.Errorf("the first page leads to %s, which %s does not have", found[1], configurationPage)
		}
	}
}

// What the documentation shows of mistakes is what the program writes.
func TestTheDocumentedMistakes(t *testing.T) {
	_, url := newWorld(t)
	told := map[string]string{installPage: readText(t, installPage), troubleshootingPage: readText(t, troubleshootingPage)}
	example, configuration := readText(t, "exporter.yml"), fmt.Sprintf(configText, url)
	t.Chdir(t.TempDir()) // a message has the path as it was given
	said := func(text, arg string) string {
		t.Helper()
		if err := os.WriteFile("exporter.yml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr output
		err := run(t.Context(), []string{arg, "--log.level=error"}, &stdout, &stderr)
		return fmt.Sprintf("%sglance_share_exporter: %v", stderr.String(), err)
	}
	changing := regexp.MustCompile(`ts=\S+|\w+\.go:\d+`)
	shown := func(page, line string) {
		t.Helper()
		if !strings.Contains(changing.ReplaceAllString(told[page], ""), "\n    "+changing.ReplaceAllString(line, "")+"\n") {
			t.Errorf("%s does not show what the program writes:\n%s", page, line)
		}
	}
	// As on a machine that does not have the example's secret, even if this one has.
	const secret = "/etc/glance_share_exporter/secret "
	if strings.Count(example, secret) != 1 {
		t.Fatalf("exporter.yml has %s %d times", secret, strings.Count(example, secret))
	}
	shown(installPage, strings.Replace(said(strings.Replace(example, secret, "/nowhere"+secret, 1), "--config.check"), "/nowhere", "", 1))

	line, rest, _ := strings.Cut(said(strings.Replace(configuration, password, "wrong", 1), "--once"), "\n")
	shown(troubleshootingPage, line)
	if want := "glance_share_exporter: cloud prod could not be read; the log says why"; rest != want {
		t.Errorf("after the log of a refused login: %s, want %s", rest, want)
	}

	text := configuration + strings.Repeat("\n", 9-strings.Count(configuration, "\n")) + "foo: 1\n"
	shown(troubleshootingPage, strings.TrimPrefix(said(text, "--config.check"), "glance_share_exporter: "))
}

// Who follows CONTRIBUTING.md, or the map in README.md, finds what they name.
func TestTheMapIsOfThisCode(t *testing.T) {
	var paths []string
	packages := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		paths = append(paths, "/"+path)
		if dir := filepath.Dir(path); strings.HasSuffix(path, ".go") && dir != "." {
			packages[dir] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	contributing := edition{"CONTRIBUTING.md", readText(t, "CONTRIBUTING.md")}
	path := regexp.MustCompile("`([\\w./-]+(?:\\.go|\\.md|\\.yml|\\.json|\\.sh|/[a-z]+))`")
	found := path.FindAllStringSubmatch(contributing.text, -1)
	for _, span := range found {
		there := slices.ContainsFunc(paths, func(path string) bool { return strings.HasSuffix(path, "/"+span[1]) })
		if !there && !strings.HasPrefix(span[1], "/") && !strings.HasPrefix(span[1], ".ci/") { // a page, a hidden directory
			t.Errorf("CONTRIBUTING.md names %s, and there is no such file", span[1])
		}
	}
	if len(found) < 30 {
		t.Errorf("CONTRIBUTING.md names only %d files", len(found))
	}
	for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(contributing.text, -1) {
		if !declared(t, name) {
			t.Errorf("CONTRIBUTING.md names %s, and there is no such test", name)
		}
	}
	for dir := range packages {
		entry := dir // or a directory that it is in
		for entry != "." && !strings.Contains(readText(t, readmePage), "\n"+entry+"/ ") {
			entry = filepath.Dir(entry)
		}
		if entry == "." {
			t.Errorf("the map of the code in %s has no %s/", readmePage, dir)
		}
	}
}

// declared reports whether a package has such a test.
func declared(t *testing.T, name string) bool {
	t.Helper()
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "internal/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.Contains(readText(t, file), "\nfunc "+name+"(") {
				return true
			}
		}
	}
	return false
}

func TestContributingHasTheTargetsAndPackages(t *testing.T) {
	_, develop, _ := strings.Cut(readText(t, "CONTRIBUTING.md"), "\n## Make\n")
	develop, _, _ = strings.Cut(develop, "\n## ")
	var told []string
	for _, found := range regexp.MustCompile(`(?m)^    make ([a-z0-9-]+) `).FindAllStringSubmatch(develop, -1) {
		told = append(told, found[1])
	}
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(readText(t, "Makefile"))
	if phony == nil {
		t.Fatal("Makefile has no .PHONY")
	}
	want := slices.DeleteFunc(strings.Fields(phony[1]), func(target string) bool { return target == "clean" })
	slices.Sort(want)
	slices.Sort(told)
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("make (-Makefile +CONTRIBUTING.md):\n%s", diff)
	}

	// What .ci/run installs, less what builds the tests.
	packages := regexp.MustCompile(`(?m)^packages=\((.*) make gcc libc6-dev\)$`).FindStringSubmatch(readText(t, ".ci/run"))
	install := regexp.MustCompile(`apt-get install -y --no-install-recommends ((?:.*\\\n)*.*)`).FindStringSubmatch(develop)
	if packages == nil || install == nil {
		t.Fatalf("no packages in .ci/run (%q) or CONTRIBUTING.md (%q)", packages, install)
	}
	if diff := cmp.Diff(strings.Fields(packages[1]), strings.Fields(strings.ReplaceAll(install[1], "\\\n", " "))); diff != "" {
		t.Errorf("packages for e2e (-.ci/run +CONTRIBUTING.md):\n%s", diff)
	}
}

// tunnel is a proxy through which every name is one server.
type tunnel struct {
	to    string
	conns sync.WaitGroup
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", p.to)
	if err != nil || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		there.Close()
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		to.Close()
		from.Close()
	}
	p.conns.Go(func() { pipe(there, here) })
	p.conns.Go(func() { pipe(here, there) })
}

// serveNames serves a world as keystone.example.com and image.example.com, over TLS, and returns the exporter.yml's http
// block to get there by.
func serveNames(t *testing.T, w *fakecloud.Cloud) (httpBlock string) {
	t.Helper()
	w.SetCatalog(fakecloud.Catalog{ImageURL: func(_, _, _ string) string { return "https://image.example.com" }})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"keystone.example.com", "image.example.com"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(300*24*time.Hour + time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		service := "/image"
		if strings.HasPrefix(r.Host, "keystone.") {
			service = "/identity"
		}
		r.URL.Path = service + r.URL.Path
		w.ServeHTTP(out, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	through := &tunnel{to: server.Listener.Addr().String()}
	proxy := httptest.NewServer(through)
	t.Cleanup(func() {
		proxy.Close()
		server.Close()
		through.conns.Wait()
	})
	ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return fmt.Sprintf("    http: {proxy_url: %s, tls_config: {ca_file: %s}}\n", proxy.URL, ca)
}

var (
	aDate       = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`)
	aTime       = regexp.MustCompile(`\b\d\d:\d\d\b`)
	ofTheSystem = regexp.MustCompile(`\d\d\d (series|of the process)`)
)

// withoutTimes is a page without what is another time or on another system different.
func withoutTimes(page string) string {
	page = ofTheSystem.ReplaceAllString(page, "100 $1")
	return aTime.ReplaceAllString(aDate.ReplaceAllString(page, "2026-03-09"), "08:00")
}

// What the documentation shows of a preflight is what the configuration that stands there comes to, for a user who is a member.
func TestTheDocumentedPreflight(t *testing.T) {
	w := fakecloud.New(fakecloud.Options{})
	w.AddProjectID(projectID, "images")
	w.AddUser("glance-share-exporter", password, projectID, "member")
	for _, img := range []fakecloud.Image{
		{ID: "5796a670-482c-490e-8d97-82bfcdc83011", Name: "debian-12"},
		{ID: "3c3ae353-fb14-428e-90b4-01a6c1cc0aff", Name: "appliance"},
		{ID: "e179f773-a6e0-43c0-9514-b7dde2ad0478", Name: "rescue", Visibility: "public"},
	} {
		img.Owner = projectID
		w.AddImage(img)
	}
	for _, expected := range []string{"2c63888f28f04481be6ddce7a7ace732", "8a119b9e16bc47328f7b7676d015b0dc"} {
		w.Share("5796a670-482c-490e-8d97-82bfcdc83011", expected)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", writeFile(t, "clouds.yaml", fmt.Sprintf(
		"clouds: {prod: {auth: {auth_url: https://keystone.example.com:5000/v3, username: glance-share-exporter, user_domain_name: Default, "+
			"password: %s, project_name: images}}}\n",
		password,
	)))
	config := example(t, configurationPage, "exporter.yml") + serveNames(t, w)
	var stdout, stderr output
	if err := run(t.Context(), []string{"--preflight", "--config.file=" + writeFile(t, "exporter.yml", config)},
		&stdout, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	command, want, _ := strings.Cut(example(t, credentialsPage, "preflight"), "\n")
	if command != "$ glance_share_exporter --preflight" {
		t.Errorf("the command is %s", command)
	}
	got := withoutTimes(stdout.String())
	begin, end, cut := strings.Cut(withoutTimes(want), "...\n") // the recommendation follows further below
	if !cut || !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, "\n\n"+end) {
		t.Errorf("-%s +got:\n%s\nin full:\n%s", credentialsPage, cmp.Diff(withoutTimes(want), got), stdout.String())
	}
	_, rules, _ := strings.Cut(readText(t, credentialsPage), "```json\n")
	rules, _, _ = strings.Cut(rules, "```")
	if !strings.HasPrefix(rules, "[\n  {\"service\"") || !strings.Contains(got, rules) {
		t.Errorf("the access rules are not those of %s:\n%s", credentialsPage, rules)
	}
	if strings.Contains(stdout.String()+stderr.String(), password) {
		t.Error("the password is told")
	}
}

// What the program is made of, embedded files too, is let through to the image's build, and what lies beside it is not.
func TestDockerignoreLetsTheSourcesThrough(t *testing.T) {
	text, err := os.ReadFile(".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		if pattern, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			patterns = append(patterns, pattern)
		}
	}
	through := func(name string) bool {
		for _, pattern := range patterns {
			if ok, err := path.Match(pattern, name); ok || err != nil {
				return ok
			}
		}
		return false
	}
	const format = `{{if .Module}}{{if .Module.Main}}{{$d := slice .ImportPath (len .Module.Path)}}{{range .GoFiles}}{{$d}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}
{{end}}{{end}}{{end}}`
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	if len(files) < 50 {
		t.Fatalf("the program has %d files", len(files))
	}
	for _, file := range files {
		if name := strings.TrimPrefix(file, "/"); !through(name) {
			t.Errorf("%s is needed, and no line of .dockerignore lets it through", name)
		}
	}
	for _, name := range []string{
		"exporter.yml", "secret", "clouds.yaml", ".env", "client/secret", "internal/config/key.pem",
		"internal/config/testdata/files/password", ".git/config", "dist/secret",
	} {
		if through(name) {
			t.Errorf(".dockerignore lets %s through", name)
		}
	}
}

// What the documents quote of the log and of errors is what the program says.
func TestTheDocsQuoteTheLog(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{
		"client/*.go", "collector/*.go", "internal/config/*.go", "internal/exporter/*.go",
		"internal/serve/*.go", "internal/web/*.go",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range paths {
			if !strings.HasSuffix(path, "_test.go") {
				source.WriteString(readText(t, path))
			}
		}
	}
	said := regexp.MustCompile(`(?m)(^|\s)//.*$`).ReplaceAllString(source.String(), "")
	said = regexp.MustCompile(`" \+\s*"`).ReplaceAllString(said, "")
	words := regexp.MustCompile("`([a-z][a-z]*[ :][^`\n]*)`")
	other := regexp.MustCompile(`^(openstack|systemctl|journalctl|curl|docker|kubectl|amtool|go|make|helm|git|max|min|sum|rate|increase|apt-get|dpkg|buildah|export|cat|api|level|glance_|is_public)\b|[={}\[\]]|--|^[a-z_]+: [a-z0-9\[{-]`)
	status := regexp.MustCompile(`^[1-5][0-9][0-9] [A-Z]`)
	check := func(where, text string) {
		for _, quoted := range strings.Split(text, "...") {
			quoted = strings.Trim(quoted, " :")
			if !strings.Contains(quoted, " ") {
				continue
			}
			if operation, after, found := strings.Cut(quoted, ": "); found && strings.Contains(said, operation) {
				quoted = after // behind the name of an operation
			}
			if status.MatchString(quoted) {
				continue
			}
			if !strings.Contains(said, quoted) {
				t.Errorf("%s quotes %q, and the program does not say it", where, quoted)
			}
		}
	}
	for _, page := range []string{"README.md", "docs/troubleshooting.md", "docs/credentials.md", "docs/huawei-cloud.md", "dashboards/runbooks.md"} {
		for _, found := range words.FindAllStringSubmatch(readText(t, page), -1) {
			if !other.MatchString(found[1]) {
				check(page, found[1])
			}
		}
	}
	rules := readText(t, "dashboards/alerts.rules.yml")
	for _, sentence := range regexp.MustCompile(`look\s+for\s+([^.]*)\.`).FindAllStringSubmatch(rules, -1) {
		for _, found := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(strings.Join(strings.Fields(sentence[1]), " "), -1) {
			check("dashboards/alerts.rules.yml", found[1])
		}
	}
}
