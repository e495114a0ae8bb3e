package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"glance_share_exporter/collector"
)

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
	// What the demo lacks: several projects, collections in the background, and images that are no longer watched.
	_, url := newWorld(t)
	several := strings.Replace(fmt.Sprintf(configText, url), ", project_name: producer}", "}\n    projects: all\n    scrape: {refresh_interval: 1m}", 1)
	maps.Copy(families, scrapedFamilies(t, "--config.file="+writeFile(t, "exporter.yml", several)))
	left := parsedFamilies(t, pageAfterRenaming(t))
	families["glance_image_left"] = left["glance_image_left"]
	families["glance_image_waiting"] = parsedFamilies(t, pageOfAShortScrape(t))["glance_image_waiting"]
	short := strings.NewReplacer("image, ", "cloud, image_id, image_name, ", "member, ", "cloud, image_id, image_name, member_id, member_name, member_type, ",
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
	judged := countSeries(scrapedFamilies(t, "--demo"))
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
