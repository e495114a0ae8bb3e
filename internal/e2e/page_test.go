//go:build e2e

package e2e

import (
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A page has samples by cloud.
type page map[string][]sample

type sample struct {
	metric string
	labels map[string]string
	value  string
}

var (
	sampleLine = regexp.MustCompile(`(?m)^(\w+)\{(.*)\} (\S+)$`)
	sampleTag  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// firstScrape returns the first scrape of new exporters. If the machine is too slow for a complete collection, it starts another one.
func (w *world) firstScrape(t testing.TB, clouds ...cloud) page {
	t.Helper()
	all := page{}
	for few := range slices.Chunk(clouds, 3) { // all of them at once are too much for a small machine
		for range 3 {
			e := w.startExporter(t, "first", few...)
			p := e.page(t)
			e.stop(t)
			maps.Copy(all, p)
			if !p.late() {
				break
			}
			t.Log("the collection was not complete in time; once more")
		}
	}
	return all
}

// page scrapes the exporter, with a longer timeout than Prometheus has here.
func (e *exporter) page(t testing.TB) page {
	t.Helper()
	status, body, err := get("http://"+e.addr+"/metrics", http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"15"}})
	if err != nil || status != http.StatusOK {
		t.Fatalf("scraping the exporter: %d %v\n%s", status, err, body)
	}
	p := page{}
	for _, line := range sampleLine.FindAllStringSubmatch(body, -1) {
		s := sample{line[1], map[string]string{}, line[3]}
		for _, tag := range sampleTag.FindAllStringSubmatch(line[2], -1) {
			s.labels[tag[1]] = tag[2]
		}
		p[s.labels["cloud"]] = append(p[s.labels["cloud"]], s)
	}
	return p
}

// late reports whether a request was not answered in time, or not sent before the scrape's deadline.
func (p page) late() bool {
	for _, samples := range p {
		for _, s := range samples {
			switch {
			case s.metric == "glance_up" && s.value == "0", s.metric == "glance_image_scrape_http_status_code" && s.value == "0",
				s.metric == "glance_api_request_errors_total" && s.labels["code"] == "timeout" && s.value != "0":
				return true
			}
		}
	}
	return false
}

// sum adds the samples of a cloud's metric that have a label's value.
func (p page) sum(cloud, metric, label, value string) (sum float64) {
	for _, s := range p[cloud] {
		if s.metric == metric && s.labels[label] == value {
			n, err := strconv.ParseFloat(s.value, 64)
			if err != nil {
				return math.NaN()
			}
			sum += n
		}
	}
	return sum
}

// of returns what is reported of a cloud: one line per image, view and listing, sorted.
func (p page) of(cloud string) (lines []string) {
	images := map[string][]string{}
	about := func(s sample, what string) {
		name := s.labels["image_name"]
		images[name] = append(images[name], what+" "+s.value)
	}
	counts := map[string][]string{}
	var inbound []string
	for _, s := range p[cloud] {
		switch s.metric {
		case "glance_image_scrape_success":
			about(s, "0success")
		case "glance_image_scrape_http_status_code":
			about(s, "1code")
		case "glance_image_members_complete":
			about(s, "2complete")
		case "glance_image_members":
			counts[s.labels["image_name"]] = append(counts[s.labels["image_name"]], s.labels["status"]+" "+s.value)
		case "glance_image_unexpected_members":
			about(s, "4unexpected")
		case "glance_view_proven":
			lines = append(lines, "sees "+s.labels["sees"]+" "+s.value)
		case "glance_discovery_success":
			lines = append(lines, "discovery "+s.value)
		case "glance_inbound_success":
			lines = append(lines, "inbound "+s.value)
		case "glance_inbound_images":
			inbound = append(inbound, s.labels["status"]+" "+s.value)
		case "glance_inbound_image_status":
			if s.value == "1" {
				lines = append(lines, "inbound "+s.labels["image_name"]+" "+s.labels["status"])
			}
		}
	}
	for name, list := range counts {
		slices.Sort(list)
		images[name] = append(images[name], "3members "+strings.Join(list, " "))
	}
	for name, list := range images {
		slices.Sort(list)
		for i := range list {
			list[i] = list[i][1:]
		}
		lines = append(lines, name+": "+strings.Join(list, ", "))
	}
	if inbound != nil {
		slices.Sort(inbound)
		lines = append(lines, "inbound images "+strings.Join(inbound, " "))
	}
	slices.Sort(lines)
	return lines
}
