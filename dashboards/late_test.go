package dashboards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var recorded = regexp.MustCompile(`\b(glance:inbound\w*:\w+)(\{[^}]*\})?(\[\w+\])?`)

// TestLateResults lets the rules read what others recorded a minute too late, as VictoriaMetrics' vmalert may, in each combination. An
// image that is there raises no GlanceInboundImageVanished, and one that is gone still does.
func TestLateResults(t *testing.T) {
	promtool := findPromtool(t)
	series := []string{"glance:inbound:watched", "glance:inbound:last_read", "glance:inbound_image:seen", "glance:inbound_image:held"}
	for late := range 1 << len(series) {
		var names []string
		for i, name := range series {
			if late>>i&1 == 1 {
				names = append(names, name)
			}
		}
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			t.Parallel()
			dir := rulesIn(t, `glance:inbound.*|GlanceInboundImageVanished`)
			file := filepath.Join(dir, "alerts.rules.yml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(text), "\n")
			for i, line := range lines {
				if strings.Contains(line, "record: ") || strings.Contains(line, "#") {
					continue
				}
				lines[i] = recorded.ReplaceAllStringFunc(line, func(selector string) string {
					for _, name := range names {
						if recorded.FindStringSubmatch(selector)[1] == name {
							return selector + " offset 1m"
						}
					}
					return selector
				})
			}
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "late.yml"), []byte(lateTest()), 0o600); err != nil {
				t.Fatal(err)
			}
			runPromtool(t, promtool, dir, "late.yml")
		})
	}
}

// lateTest returns a test with a cloud for each situation.
func lateTest() string {
	var b strings.Builder
	b.WriteString("rule_files: [alerts.rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n")
	add := func(name, labels, values string) {
		fmt.Fprintf(&b, "      - {series: '%s{job=\"glance\",%s}', values: '%s'}\n", name, labels, values)
	}
	for _, s := range []struct{ cloud, up, there, times, success, accepted, pending string }{
		{"steady", "1x60", "1x60", "0+60x60", "1x60", "1x60", "0x60"},
		{"gone", "1x60", "1x60", "0+60x60", "1x60", "1x29 stale _x30", "0x29 stale _x30"},
		{
			"down", "1x19 0x9 1x30", "1x19 stale _x9 1x30", "0+60x19 stale _x9 1800+60x30", "1x19 stale _x9 1x30",
			"1x19 stale _x9 1x30", "0x19 stale _x9 0x30",
		},
		{"just-read", "1x19 0x40", "1x19 stale _x40", "0x18 1140 stale _x40", "1x19 stale _x40", "1x19 stale _x40", "0x19 stale _x40"},
		{"incomplete", "1x60", "1x60", "0+60x60", "1x19 0x9 1x30", "1x19 stale _x9 1x30", "0x19 stale _x9 0x30"},
		{"accepted-late", "1x60", "1x60", "0+60x60", "1x60", "0x19 1x40", "1x19 0x40"},
		{"slow", "1x60", "1x60", "0x4 300x4 600x4 900x4 1200x4 1500x4 1800x4 2100x4 2400x4 2700x4 3000x4 3300x4", "1x60", "1x60", "0x60"},
	} {
		cloud := fmt.Sprintf("instance=%q,cloud=%q", s.cloud, s.cloud)
		project, image := cloud+`,project_id="p1"`, `,image_id="x",image_name="x",owner_id="o",owner_name="o"`
		add("up", fmt.Sprintf("instance=%q", s.cloud), s.up)
		add("glance_up", cloud, s.there)
		add("glance_inbound_success", project, s.success)
		add("glance_inbound_read_timestamp_seconds", project, s.times)
		add("glance_inbound_image_status", project+image+`,status="accepted"`, s.accepted)
		add("glance_inbound_image_status", project+image+`,status="pending"`, s.pending)
	}
	b.WriteString("    promql_expr_test:\n")
	for minute := range 60 {
		fmt.Fprintf(&b, "      - expr: count by (cloud) (ALERTS{alertname=\"GlanceInboundImageVanished\",cloud!=\"gone\"})\n"+
			"        eval_time: %dm\n        exp_samples: []\n", minute)
	}
	b.WriteString("      - expr: count by (cloud) (ALERTS{alertname=\"GlanceInboundImageVanished\"})\n" +
		"        eval_time: 40m\n        exp_samples: [{labels: '{cloud=\"gone\"}', value: 1}]\n")
	return b.String()
}
