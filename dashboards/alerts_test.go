package dashboards_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"
)

type rule struct {
	Record, Alert, Expr, For string
	KeepFiringFor            string `yaml:"keep_firing_for"`
	Labels, Annotations      map[string]string
}

func readRules(t *testing.T) (rules []rule) {
	t.Helper()
	text, err := os.ReadFile("alerts.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// alerts are the names that others route by.
var alerts = []string{
	"GlanceImageUnexpectedMember", "GlanceImageUnexpectedMembers", "GlanceImageExposedByVisibility",
	"GlanceImageLessVisibleThanExpected",
	"GlanceImageMemberMissing",
	"GlanceImageMemberPendingTooLong",
	"GlanceImageMemberRejected",
	"GlanceImageApprovalEnding",
	"GlanceImageMembersNearLimit",
	"GlanceImageVanishedUnexpected",
	"GlanceImageNotRead",
	"GlanceImageWatcherBlind",
	"GlanceViewNotProven",
	"GlanceNothingWatched",
	"GlanceCloudUnreadable",
	"GlanceCloudDown",
	"GlanceAPIUnauthorized",
	"GlanceAPIErrors",
	"GlanceDiscoveryIncomplete",
	"GlanceExporterDown",
	"GlanceExporterAbsent",
	"GlanceExporterScrapeSlow",
	"GlanceExporterConfigReloadFailed",
	"GlanceExporterLabelClash",
	"GlanceInboundUnknownOwner",
	"GlanceInboundUnknownOwnerOffered",
	"GlanceInboundUnexpectedImages",
	"GlanceInboundImageVanished",
	"GlanceInboundIncomplete",
}

// named returns the labels whose values the texts of an alert have.
func named(alert string) []string {
	switch {
	case alert == "GlanceImageUnexpectedMember",
		alert == "GlanceImageApprovalEnding",
		strings.HasPrefix(alert, "GlanceImageMember") && alert != "GlanceImageMembersNearLimit":
		return []string{"cloud", "image_id", "member_type", "member_id"}
	case strings.HasPrefix(alert, "GlanceImage"):
		return []string{"cloud", "image_id"}
	case alert == "GlanceInboundIncomplete", alert == "GlanceInboundUnexpectedImages", alert == "GlanceViewNotProven":
		return []string{"cloud", "project_id"}
	case strings.HasPrefix(alert, "GlanceInbound"):
		return []string{"cloud", "project_id", "image_id"}
	case alert == "GlanceExporterAbsent":
		return nil
	case alert == "GlanceExporterLabelClash":
		return []string{"exported_cloud"}
	case strings.HasPrefix(alert, "GlanceExporter"):
		return []string{"instance"}
	}
	return []string{"cloud"}
}

// The rules ask for metrics and labels that there are, and everybody who is woken is told what to do.
func TestAlerts(t *testing.T) {
	rules, k := readRules(t), knownMetrics(t)
	for _, r := range rules {
		if r.Record != "" {
			// What a recorded series is made of is checked in its own rule.
			k[r.Record] = []string{"cloud", "image_id", "member_id", "member_type", "read", "kind", "state", "project_id", "expected", "status"}
		}
	}
	runbooks, err := os.ReadFile("runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rules {
		name := r.Record + r.Alert
		for _, p := range k.check(r.Expr) {
			t.Errorf("%s: %s", name, p)
		}
		if r.Alert == "" {
			continue
		}
		names = append(names, r.Alert)
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", name, r.Labels["severity"])
		}
		for _, key := range []string{"summary", "description"} {
			for _, label := range named(r.Alert) {
				if !strings.Contains(r.Annotations[key], "$labels."+label) {
					t.Errorf("%s: its %s does not name the %s", name, key, label)
				}
			}
		}
		if len(r.Annotations) != 2 {
			t.Errorf("%s: annotations beside summary and description, which mixin.libsonnet adds: %v", name, r.Annotations)
		}
		if !regexp.MustCompile(`(?m)^#+ ` + r.Alert + `$`).Match(runbooks) {
			t.Errorf("runbooks.md has no section %s", r.Alert)
		}
	}
	slices.Sort(names)
	want := slices.Sorted(slices.Values(alerts))
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	// What a security team must hear of is not delayed.
	for _, r := range rules {
		if strings.HasPrefix(r.Alert, "GlanceImageUnexpected") || r.Alert == "GlanceImageExposedByVisibility" ||
			strings.HasPrefix(r.Alert, "GlanceInboundUnknown") {
			if r.For != "0m" {
				t.Errorf("%s waits for %s", r.Alert, r.For)
			}
		}
	}
}

// The panel of firing alerts has those about access, by their names.
func TestDashboardAlerts(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(queryOf(t, read(t, text), 26, "A"))
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, m := range selectors(expr)[0].LabelMatchers {
		if m.Name == "alertname" {
			shown = slices.DeleteFunc(slices.Clone(alerts), func(name string) bool { return !m.Matches(name) })
		}
	}
	want := []string{
		"GlanceImageUnexpectedMember", "GlanceImageUnexpectedMembers", "GlanceImageExposedByVisibility",
		"GlanceImageVanishedUnexpected", "GlanceInboundUnknownOwner",
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("alerts in the panel (-want +got):\n%s", diff)
	}
}
