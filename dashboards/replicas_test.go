package dashboards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPanelsReplicas compares the panels of two exporters that differ with what is true. In the cloud blind, exporter b has no answer
// at all; in refused, b is refused the images; in unread, neither reads anything; in stale, b has an older snapshot than a.
func TestPanelsReplicas(t *testing.T) {
	prometheus, dashboard := prometheusAndDashboard(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "replicas.yml"), []byte(replicasTest(t, dashboard)), 0o600); err != nil {
		t.Fatal(err)
	}
	runPromtool(t, filepath.Join(filepath.Dir(prometheus), "promtool"), dir, "replicas.yml")
}

// replicaUp is whether the image API answers each exporter.
var replicaUp = []string{
	`cloud="blind",instance="a" 1`, `cloud="blind",instance="b" 0`, `cloud="refused",instance="a" 1`, `cloud="refused",instance="b" 1`,
	`cloud="unread",instance="a" 0`, `cloud="unread",instance="b" 0`, `cloud="stale",instance="a" 1`, `cloud="stale",instance="b" 1`,
}

// replicaImages are the metrics glance_image_* of each exporter. One that has not read an image since its start may have no name for it.
// A public image has no members, so an exporter that reads it has no members_complete.
var replicaImages = []struct {
	labels string
	series []string
}{
	{`cloud="blind",instance="a",image_id="i",image_name="golden"`, []string{
		`scrape_success 1`, `members_complete 1`, `unexpected_members 0`, `missing_members 0`,
	}},
	{`cloud="blind",instance="b",image_id="i",image_name=""`, []string{`scrape_success 0`, `members_complete 0`}},

	{`cloud="refused",instance="a",image_id="i",image_name="golden"`, []string{
		`scrape_success 1`, `members_complete 1`, `unexpected_members 0`, `missing_members 0`, `visibility,visibility="public" 0`,
		`member_status,member_type="project",member_id="m",status="accepted" 1`, `member_expected,member_type="project",member_id="m" 1`,
	}},
	{`cloud="refused",instance="b",image_id="i",image_name="golden"`, []string{`scrape_success 0`, `members_complete 0`}},
	{`cloud="refused",instance="a",image_id="open",image_name="cirros"`, []string{
		`scrape_success 1`, `visibility,visibility="public" 1`, `visibility_expected 1`,
	}},
	{`cloud="refused",instance="b",image_id="open",image_name="cirros"`, []string{`scrape_success 0`, `members_complete 0`}},

	{`cloud="unread",instance="a",image_id="i",image_name="golden"`, []string{`scrape_success 0`, `members_complete 0`}},
	{`cloud="unread",instance="b",image_id="i",image_name="golden"`, []string{`scrape_success 0`, `members_complete 0`}},

	{`cloud="stale",instance="a",image_id="i",image_name="golden"`, []string{
		`scrape_success 1`, `members_complete 0`, `visibility,visibility="public" 1`, `visibility_expected 0`,
		`member_status,member_type="project",member_id="m",status="rejected" 1`,
	}},
	{`cloud="stale",instance="b",image_id="i",image_name="golden"`, []string{
		`scrape_success 1`, `members_complete 0`, `visibility,visibility="public" 0`, `visibility_expected 1`,
		`member_status,member_type="project",member_id="m",status="pending" 1`,
	}},
}

// replicaInbound are two snapshots of an image that another project shares.
var replicaInbound = []string{
	`cloud="stale",instance="a",project_id="p",image_id="theirs",status="rejected" 1`,
	`cloud="stale",instance="b",project_id="p",image_id="theirs",status="pending" 1`,
}

func replicasTest(t *testing.T, d *dashboard) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("evaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n")
	add := func(name, labels, value string) {
		fmt.Fprintf(&b, "      - {series: '%s{job=\"glance\",%s}', values: '%s'}\n", name, labels, value)
	}
	for _, s := range replicaUp {
		labels, value, _ := strings.Cut(s, " ")
		add("glance_up", labels, value)
	}
	for _, image := range replicaImages {
		for _, s := range image.series {
			name, value, _ := strings.Cut(s, " ")
			name, labels, _ := strings.Cut(name, ",")
			add("glance_image_"+name, strings.TrimSuffix(image.labels+","+labels, ","), value)
		}
	}
	for _, s := range replicaInbound {
		labels, value, _ := strings.Cut(s, " ")
		add("glance_inbound_image_status", labels, value)
	}
	b.WriteString("    promql_expr_test:\n")
	for _, test := range []struct {
		panel     int
		ref       string
		filter    string // after the query
		cloud     string
		want      string // the labels, or nothing if there is no result
		wantValue int
	}{
		{panel: 4, ref: "A", cloud: "blind"}, // not known: b may watch more
		{panel: 4, ref: "A", cloud: "refused", want: "{}"},
		{panel: 5, ref: "A", cloud: "refused", want: "{}"},
		{panel: 4, ref: "A", cloud: "unread"},
		{panel: 6, ref: "A", cloud: "refused", want: "{}"},
		{panel: 6, ref: "A", cloud: "stale", want: "{}", wantValue: 1},
		{panel: 7, ref: "A", cloud: "blind", want: "{}"},
		{panel: 7, ref: "A", cloud: "unread", want: "{}", wantValue: 1},
		{panel: 8, ref: "A", cloud: "blind", want: "{}"},
		{panel: 8, ref: "A", cloud: "refused", want: "{}"},
		{panel: 8, ref: "A", cloud: "unread"},
		{panel: 8, ref: "A", cloud: "stale", want: "{}", wantValue: 1},
		{panel: 12, ref: "A", filter: `and on (status) label_replace(vector(1), "status", "not read", "", "")`, cloud: "blind|refused|stale"},
		{panel: 12, ref: "A", cloud: "unread", want: `{cloud="unread",image_id="i",image_name="golden",status="not read"}`},
		{panel: 12, ref: "B", filter: "== 2", cloud: "blind|refused|stale"},
		{panel: 12, ref: "B", cloud: "unread", want: `{cloud="unread",image_id="i",image_name="golden"}`, wantValue: 2},
		{
			panel: 12, ref: "B", filter: "== 1", cloud: "stale",
			want: `{cloud="stale",image_id="i",image_name="golden",member_name="everyone"}`, wantValue: 1,
		},
		{panel: 12, ref: "B", filter: "== 1", cloud: "refused"},
		{panel: 13, ref: "B", cloud: "stale", want: `{cloud="stale",image_id="i",image_name="golden",member_id="m"}`, wantValue: 2},
		{panel: 21, ref: "A", cloud: "blind", want: `{cloud="blind"}`},
		{panel: 21, ref: "B", cloud: "blind", want: `{cloud="blind"}`},
		{panel: 21, ref: "B", cloud: "refused", want: `{cloud="refused"}`},
		{panel: 21, ref: "B", cloud: "stale", want: `{cloud="stale"}`, wantValue: 1},
		{panel: 24, ref: "A", cloud: "stale", want: `{cloud="stale",project_id="p",image_id="theirs"}`, wantValue: 2},
	} {
		expr := strings.NewReplacer("$job", ".+", "$instance", ".+", "$cloud", test.cloud, "$image", ".*", "$member", ".*").
			Replace(queryOf(t, d, test.panel, test.ref))
		if test.filter != "" {
			expr = "(" + expr + ") " + test.filter
		}
		samples := "[]"
		if test.want != "" {
			samples = fmt.Sprintf("[{labels: '%s', value: %d}]", test.want, test.wantValue)
		}
		fmt.Fprintf(&b, "      - expr: %q\n        eval_time: 1m\n        exp_samples: %s\n", expr, samples)
	}
	return b.String()
}

func queryOf(t *testing.T, d *dashboard, id int, ref string) string {
	t.Helper()
	for _, p := range d.Panels {
		for _, tg := range p.Targets {
			if p.ID == id && tg.RefID == ref {
				return tg.Expr
			}
		}
	}
	t.Fatalf("panel %d has no query %s", id, ref)
	return ""
}
