// Package mixin_test has the tests of dashboards/mixin.libsonnet, away from the large dependencies of the others.
package mixin_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-jsonnet"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

type mixinRule struct {
	Alert         string            `json:"alert,omitempty"`
	Record        string            `json:"record,omitempty"`
	Expr          string            `json:"expr"`
	For           string            `json:"for,omitempty"`
	KeepFiringFor string            `json:"keep_firing_for,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

type mixinRules struct {
	Groups []struct {
		Name  string      `json:"name"`
		Rules []mixinRule `json:"rules"`
	} `json:"groups"`
}

// mixin returns the rules of the mixin with a _config, as JSON and decoded.
func mixin(t *testing.T, config string) (string, mixinRules) {
	t.Helper()
	vm := jsonnet.MakeVM()
	vm.Importer(&jsonnet.FileImporter{JPaths: []string{root + "/dashboards"}})
	text, err := vm.EvaluateAnonymousSnippet("test", "((import 'mixin.libsonnet') + {_config+:: "+config+"}).prometheusAlerts")
	if err != nil {
		t.Fatal(err)
	}
	var rules mixinRules
	if err := yaml.UnmarshalStrict([]byte(text), &rules); err != nil {
		t.Fatal(err)
	}
	return text, rules
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s:\nwant %+v\ngot  %+v", what, want, got)
	}
}

func TestMixin(t *testing.T) {
	shipped, err := os.ReadFile(root + "/dashboards/alerts.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var want mixinRules
	if err := yaml.UnmarshalStrict(shipped, &want); err != nil {
		t.Fatal(err)
	}
	_, got := mixin(t, "{}")
	equal(t, "rules without configuration", want, got)
	equal(t, "groups", 1, len(got.Groups))

	_, got = mixin(t, `{exporterSelector: 'job=~"a|b"', scrapeTimeout: 90, pendingDays: 14, membersLimitPercent: 95, apiErrorsPercent: 2.5}`)
	changed := map[string]string{}
	for i, r := range got.Groups[0].Rules {
		before := want.Groups[0].Rules[i]
		if r.Expr != before.Expr {
			changed[r.Alert+r.Record] += r.Expr
		}
		if r.Annotations["description"] != before.Annotations["description"] {
			changed[r.Alert] += r.Annotations["description"]
		}
	}
	for name, texts := range map[string][]string{
		"GlanceExporterDown":              {`up{job=~"a|b"} == 0`},
		"GlanceExporterAbsent":            {`absent(up{job=~"a|b"})`},
		"GlanceExporterScrapeSlow":        {`scrape_duration_seconds{job=~"a|b"} > 72`, "90 seconds"},
		"GlanceImageMemberPendingTooLong": {"14 days"},
		"GlanceImageMembersNearLimit":     {"95 %"},
		"GlanceAPIErrors":                 {"> 0.025"},
		"glance:finding:seen":             {"14 * 86400", "> 0.95"},
	} {
		for _, text := range texts {
			if !strings.Contains(changed[name], text) {
				t.Errorf("%s does not have %s:\n%s", name, text, changed[name])
			}
		}
		delete(changed, name)
	}
	if len(changed) > 0 {
		t.Errorf("changed, too: %v", changed)
	}

	uid, err := jsonnet.MakeVM().
		EvaluateAnonymousSnippet("test", `(import '`+root+`/dashboards/mixin.libsonnet').grafanaDashboards['image-sharing.json'].uid`)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "dashboard", "\"glance-image-sharing\"\n", uid)
}

// Every alert links to its section of the runbooks, and to what it is about.
func TestMixinLinks(t *testing.T) {
	runbooks, err := os.ReadFile(root + "/dashboards/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	text, rules := mixin(t, `{exporterURL: 'https://e.example.com/x/', dashboardURL: 'https://g.example.com/d/glance-image-sharing'}`)
	alerts := 0
	for _, r := range rules.Groups[0].Rules {
		if r.Alert == "" {
			equal(t, "annotations of "+r.Record, 0, len(r.Annotations))
			continue
		}
		alerts++
		equal(t, "runbook_url", "https://e.example.com/x/runbooks#"+strings.ToLower(r.Alert), r.Annotations["runbook_url"])
		if !regexp.MustCompile(`(?m)^## ` + r.Alert + `$`).Match(runbooks) {
			t.Errorf("runbooks.md does not have the section %s", r.Alert)
		}
	}
	if alerts < 28 {
		t.Errorf("only %d alerts", alerts)
	}

	// Prometheus fills in the links.
	dir := t.TempDir()
	expected := func(alert string, links map[string]string) map[string]any {
		for _, r := range rules.Groups[0].Rules {
			if r.Alert == alert {
				return map[string]any{
					"runbook_url":   r.Annotations["runbook_url"],
					"status_url":    links["status"],
					"dashboard_url": links["dashboard"],
				}
			}
		}
		t.Fatalf("no alert %s", alert)
		return nil
	}
	rulesWithLinks := regexp.MustCompile(`"(summary|description)": "(\\.|[^"\\])*",?`).ReplaceAllString(text, "")
	rulesWithLinks = regexp.MustCompile(`,(\s*})`).ReplaceAllString(rulesWithLinks, "$1")
	test := map[string]any{
		"rule_files": []string{"rules.json"},
		"tests": []any{map[string]any{
			"interval": "1m",
			"input_series": []any{
				map[string]any{"series": `glance_up{job="glance",instance="a",cloud="a & b"}`, "values": "0x20"},
				map[string]any{"series": `up{job="glance",instance="a"}`, "values": "0x20"},
				map[string]any{"series": `glance_image_scrape_success{job="glance",instance="a",cloud="a & b",image_id="i1"}`, "values": "0x20"},
				map[string]any{
					"series": `glance_image_scrape_http_status_code{job="glance",instance="a",cloud="a & b",image_id="i1"}`,
					"values": "403x20",
				},
			},
			"alert_rule_test": []any{
				map[string]any{"eval_time": "16m", "alertname": "GlanceCloudDown", "exp_alerts": []any{map[string]any{
					"exp_labels": map[string]string{"cloud": "a & b", "severity": "critical"},
					"exp_annotations": expected("GlanceCloudDown", map[string]string{
						"status":    "https://e.example.com/x/?cloud=a+%26+b",
						"dashboard": "https://g.example.com/d/glance-image-sharing?var-cloud=a+%26+b",
					}),
				}}},
				map[string]any{"eval_time": "16m", "alertname": "GlanceImageNotRead", "exp_alerts": []any{map[string]any{
					"exp_labels": map[string]string{"cloud": "a & b", "image_id": "i1", "reason": "forbidden", "severity": "warning"},
					"exp_annotations": expected("GlanceImageNotRead", map[string]string{
						"status":    "https://e.example.com/x/?cloud=a+%26+b&image=i1",
						"dashboard": "https://g.example.com/d/glance-image-sharing?var-cloud=a+%26+b",
					}),
				}}},
				map[string]any{"eval_time": "16m", "alertname": "GlanceExporterDown", "exp_alerts": []any{map[string]any{
					"exp_labels": map[string]string{"job": "glance", "instance": "a", "severity": "critical"},
					"exp_annotations": expected("GlanceExporterDown", map[string]string{
						"status": "https://e.example.com/x/", "dashboard": "https://g.example.com/d/glance-image-sharing",
					}),
				}}},
			},
		}},
	}
	testText, err := json.Marshal(test)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"rules.json": rulesWithLinks, "test.json": string(testText)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v: apt-get install -y --no-install-recommends prometheus", err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join(dir, "test.json")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
