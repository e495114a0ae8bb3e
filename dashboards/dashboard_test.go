package dashboards_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

const dashboardFile = "image-sharing.json"

// dashboard is what the checks look at.
type dashboard struct {
	ID            *int `json:"id"`
	UID           string
	Title         string
	Description   string
	SchemaVersion int
	Editable      bool
	Refresh       any
	Inputs        []struct{ Name, Type, PluginID string } `json:"__inputs"`
	Annotations   struct{ List []annotation }
	Templating    struct{ List []variable }
	Panels        []*panel
}

type dataSource struct{ Type, UID string }

type annotation struct {
	Name            string
	Type            string // dashboard: Grafana's own
	Datasource      dataSource
	UseValueForTime string
	Target          target
}

type variable struct {
	Name, Label, Type, AllValue string
	Datasource                  dataSource
	Query                       json.RawMessage
	Multi, IncludeAll           bool
	Current                     struct{ Value any }
	Refresh                     int
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  dataSource
	GridPos     struct{ X, Y, W, H int }
	Targets     []target
	Options     struct{ ShowValue string }
	FieldConfig struct {
		Defaults  fieldDefaults
		Overrides []struct {
			Matcher    struct{ Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
}

type fieldDefaults struct {
	Unit, NoValue string
	Mappings      []mapping
	Thresholds    struct{ Steps []struct{ Color string } }
	Custom        struct {
		SpanNulls   any
		FillOpacity int
	}
}

type mapping struct {
	Type    string
	Options json.RawMessage
}

type target struct {
	RefID      string
	Expr       string
	Datasource dataSource
}

func read(t *testing.T, text []byte) *dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

var (
	theDataSource = dataSource{"prometheus", "${datasource}"}
	labelValues   = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)
)

// rateInterval stands for $__rate_interval: a time that nobody would write.
const rateInterval = 299 * time.Second

// lint returns what is wrong with a dashboard.
func lint(d *dashboard, k known) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch {
	case d.SchemaVersion != 39:
		bad("schemaVersion is %d", d.SchemaVersion)
	case d.ID != nil || d.UID == "":
		bad("it needs a uid and no id")
	case len(d.Inputs) != 1 || d.Inputs[0].Type != "datasource" || d.Inputs[0].PluginID != "prometheus":
		bad("__inputs do not ask for a Prometheus")
	case !d.Editable:
		bad("it is not editable")
	case d.Title == "" || d.Description == "":
		bad("it needs a title and a description")
	}
	if _, ok := d.Refresh.(string); !ok {
		bad("refresh is no string")
	}
	query := func(where, expr string) {
		for _, p := range lintQuery(expr, k) {
			bad("%s: %s", where, p)
		}
	}
	for _, a := range d.Annotations.List {
		if a.Type == "dashboard" {
			continue
		}
		if a.Datasource != theDataSource {
			bad("annotation %s: data source %v", a.Name, a.Datasource)
		}
		query("annotation "+a.Name, a.Target.Expr)
	}
	var inputs []string
	for _, input := range d.Inputs {
		inputs = append(inputs, input.Name)
	}
	problems = append(problems, lintVariables(d.Templating.List, inputs, k)...)
	if !slices.ContainsFunc(d.Annotations.List, func(a annotation) bool {
		return a.UseValueForTime != "" && strings.Contains(a.Target.Expr, "glance_image_member_updated_timestamp_seconds")
	}) {
		bad("no annotation at the time of a member's last change")
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			bad("%s: id %d is missing or there twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		for _, problem := range lintPanel(p) {
			bad("%s: %s", p.Title, problem)
		}
		for _, problem := range lintIgnored(p, d.Templating.List) {
			bad("%s: %s", p.Title, problem)
		}
		for _, tg := range p.Targets {
			if tg.Datasource != theDataSource {
				bad("%s %s: data source %v", p.Title, tg.RefID, tg.Datasource)
			}
			query(p.Title+" "+tg.RefID, tg.Expr)
		}
	}
	return append(problems, lintLayout(d.Panels)...)
}

func lintVariables(list []variable, inputs []string, k known) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var names []string
	for _, v := range list {
		names = append(names, v.Name)
		if v.Label == "" {
			bad("variable %s has no label", v.Name)
		}
		if v.Type == "datasource" {
			// An import replaces it. What is provisioned has it as it is, so nothing else may refer to it: Grafana selects another one here.
			if len(inputs) != 1 || v.Current.Value != "${"+inputs[0]+"}" {
				bad("variable %s does not begin with the data source of __inputs", v.Name)
			}
			continue
		}
		if v.Datasource != theDataSource || !v.Multi || !v.IncludeAll || v.Refresh != 2 || v.AllValue == "" {
			bad("variable %s: needs ${datasource}, multi, includeAll, allValue and refresh 2", v.Name)
		}
		var q struct{ Query string }
		if err := json.Unmarshal(v.Query, &q); err != nil {
			bad("variable %s: %v", v.Name, err)
			continue
		}
		m := labelValues.FindStringSubmatch(q.Query)
		if m == nil {
			bad("variable %s: %s is no label_values", v.Name, q.Query)
			continue
		}
		for _, p := range k.check(fmt.Sprintf("group by (%s) (%s)", m[2], m[1])) {
			bad("variable %s: %s", v.Name, p)
		}
	}
	if want := []string{"datasource", "job", "instance", "cloud", "image", "member"}; !slices.Equal(names, want) {
		bad("the variables are %s, not %s", names, want)
	}
	return problems
}

func lintPanel(p *panel) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	f := p.FieldConfig.Defaults
	if p.Title == "" || p.Description == "" || f.Unit == "" {
		bad("needs a title, a description and a unit")
	}
	if p.Datasource != theDataSource {
		bad("data source %v", p.Datasource)
	}
	if len(p.Targets) == 0 {
		bad("has no query")
	}
	// What is not known must not look like what is well.
	if f.NoValue == "" {
		bad("does not say what it means that there is no data")
	}
	if len(f.Thresholds.Steps) == 0 || f.Thresholds.Steps[0].Color != "text" {
		bad("its base colour is not neutral: no data would have a colour")
	}
	if p.Type == "stat" && !slices.ContainsFunc(f.Mappings, nullIsNeutral) {
		bad("no mapping of null to a neutral colour")
	}
	// On a window of 900 pixels, of which 85 are for the frame and the mark of the description.
	if p.Type == "stat" && 900*p.GridPos.W/24 < titleWidth(p.Title)+85 {
		bad("its title does not fit")
	}
	if p.Type == "state-timeline" && p.Options.ShowValue != "auto" {
		bad("shows states by their colours alone")
	}
	if p.Type == "state-timeline" && (f.Custom.FillOpacity != 100 || !readable(f.Mappings)) {
		bad("has text on a colour that is not readable")
	}
	if (p.Type == "timeseries" || p.Type == "state-timeline") && f.Custom.SpanNulls != false {
		bad("connects what is before and after a gap")
	}
	for _, o := range p.FieldConfig.Overrides {
		for _, prop := range o.Properties {
			var maps []mapping
			// Text of its own on a colour is readable in both themes, a coloured text is not.
			if prop.ID == "custom.cellOptions" && !strings.Contains(string(prop.Value), "color-background") {
				bad("%s: its colour is not a background", o.Matcher.Options)
			}
			if prop.ID == "mappings" && (json.Unmarshal(prop.Value, &maps) != nil || !slices.ContainsFunc(maps, nullIsNotGood)) {
				bad("%s: no mapping of null to another colour than blue", o.Matcher.Options)
			}
			if (prop.ID == "mappings" || prop.ID == "thresholds") && !readable(prop.Value) {
				bad("%s: has text on a colour that is not readable", o.Matcher.Options)
			}
		}
	}
	return problems
}

// readableColors are those on which the text colour that Grafana selects has a contrast of 4.5 or more, in the light and the dark
// theme. Grafana writes white on orange with 2.0, and on the other colours without "dark" with 2.9 to 4.5.
var readableColors = []string{"transparent", "text", "yellow", "super-light-orange", "dark-red", "dark-blue", "dark-purple"}

// readable looks at all colours in mappings or thresholds.
func readable(value any) bool {
	text, err := json.Marshal(value)
	colors := regexp.MustCompile(`"color":"([^"]*)"`).FindAllStringSubmatch(string(text), -1)
	return err == nil && !slices.ContainsFunc(colors, func(m []string) bool { return !slices.Contains(readableColors, m[1]) })
}

// titleWidth is how many pixels a title has, or a few more.
func titleWidth(title string) (pixels int) {
	for _, letter := range title {
		switch {
		case strings.ContainsRune("mwMW", letter):
			pixels += 12
		case strings.ContainsRune("fijlrtI ", letter):
			pixels += 5
		default:
			pixels += 8
		}
	}
	return pixels
}

// lintIgnored compares the variables that no query of a panel has with those that its description says it ignores.
func lintIgnored(p *panel, variables []variable) (problems []string) {
	var ignored []string
	for _, v := range variables {
		if v.Type == "query" && !slices.ContainsFunc(p.Targets, func(tg target) bool { return strings.Contains(tg.Expr, `"$`+v.Name+`"`) }) {
			ignored = append(ignored, v.Label)
		}
	}
	var said []string
	if m := regexp.MustCompile(`Ignores the variables? (.+)\.$`).FindStringSubmatch(p.Description); m != nil {
		said = strings.Split(strings.ReplaceAll(m[1], " and ", ", "), ", ")
	}
	if !slices.Equal(ignored, said) {
		problems = append(problems, fmt.Sprintf("ignores the variables %q, and says %q", ignored, said))
	}
	return problems
}

func special(m mapping) (match, color string) {
	var o struct {
		Match  string
		Result struct{ Color string }
	}
	if m.Type != "special" || json.Unmarshal(m.Options, &o) != nil {
		return "", ""
	}
	return o.Match, o.Result.Color
}

func nullIsNeutral(m mapping) bool {
	match, color := special(m)
	return strings.HasPrefix(match, "null") && color == "text"
}

func nullIsNotGood(m mapping) bool {
	match, color := special(m)
	return strings.HasPrefix(match, "null") && color != "blue" && color != ""
}

// lintLayout finds holes and overlaps: every line of the grid is full.
func lintLayout(panels []*panel) (problems []string) {
	cells := map[[2]int]string{}
	height := 0
	for _, p := range panels {
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := cells[[2]int{x, y}]; ok {
					return []string{fmt.Sprintf("%s lies over %s", p.Title, other)}
				}
				cells[[2]int{x, y}] = p.Title
				height = max(height, y+1)
			}
		}
	}
	if len(cells) != 24*height {
		problems = append(problems, fmt.Sprintf("%d of the grid's %d cells are empty", 24*height-len(cells), 24*height))
	}
	return problems
}

// lintQuery checks one query of a panel or an annotation.
func lintQuery(query string, k known) (problems []string) {
	query = strings.NewReplacer("$__from", "0", "$__rate_interval", rateInterval.String()).Replace(query)
	problems = append(problems, k.check(query)...)
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return problems
	}
	for _, s := range selectors(expr) {
		matched := map[string]string{}
		for _, m := range s.LabelMatchers {
			matched[m.Name] = m.String()
		}
		if s.Name == "ALERTS" {
			continue // alerts have no job and no instance
		}
		for _, name := range []string{"job", "instance", "cloud", "image_name", "member_id"} {
			variable := strings.TrimSuffix(strings.TrimSuffix(name, "_name"), "_id")
			has := name == "job" || name == "instance" || slices.Contains(k[s.Name], name)
			if has && matched[name] != fmt.Sprintf("%s=~\"$%s\"", name, variable) {
				problems = append(problems, fmt.Sprintf("%s without %s=~\"$%s\"", s, name, variable))
			}
		}
	}
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.Call:
			var m *parser.MatrixSelector
			if len(n.Args) > 0 {
				m, _ = n.Args[0].(*parser.MatrixSelector)
			}
			if slices.Contains([]string{"rate", "irate", "increase"}, n.Func.Name) && m != nil && m.Range != rateInterval {
				problems = append(problems, "a rate over another time than $__rate_interval: "+query)
			}
			if n.Func.Name == "vector" || n.Func.Name == "absent" {
				problems = append(problems, n.Func.Name+" makes a value where there is none: "+query)
			}
		case *parser.BinaryExpr:
			if s, ok := n.LHS.(*parser.VectorSelector); ok && aggregated(path) && n.Op == parser.EQLC && n.RHS.String() == "0" &&
				seeing.MatchString(s.Name) {
				problems = append(problems, fmt.Sprintf("%s in an aggregation: one exporter of several that cannot see is enough", n))
			}
		case *parser.VectorSelector:
			if !aggregated(path) && !onlyFilters(path) {
				problems = append(problems, fmt.Sprintf("%s is not aggregated: a second exporter doubles it", n))
			}
		}
		return nil
	})
	return problems
}

// seeing are metrics that are 0 at an exporter that cannot see.
var seeing = regexp.MustCompile(`^glance_(up|.+_success|.+_complete)$`)

func aggregated(path []parser.Node) bool {
	return slices.ContainsFunc(path, func(p parser.Node) bool { _, ok := p.(*parser.AggregateExpr); return ok })
}

// onlyFilters reports whether a selector is on the right of and or unless, where it adds no series.
func onlyFilters(path []parser.Node) bool {
	for i, p := range path {
		b, ok := p.(*parser.BinaryExpr)
		if !ok || (b.Op != parser.LAND && b.Op != parser.LUNLESS) {
			continue
		}
		if i+1 == len(path) || path[i+1] == parser.Node(b.RHS) {
			return true
		}
	}
	return false
}

func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	d := read(t, text)
	for _, p := range lint(d, knownMetrics(t)) {
		t.Error(p)
	}
	// Beside the variable, nothing needs what only an import resolves; and red is never against green.
	if n := strings.Count(string(text), "${DS_PROMETHEUS}"); n != 2 {
		t.Errorf("${DS_PROMETHEUS} is there %d times", n)
	}
	if strings.Contains(string(text), "green") {
		t.Error("something is green")
	}
	queries := 0
	for _, p := range d.Panels {
		queries += len(p.Targets)
	}
	if queries < 25 {
		t.Errorf("only %d queries were checked", queries)
	}
}

// Each check catches what it is for.
func TestDashboardFaults(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		t.Fatal(err)
	}
	whole, k := compact.String(), knownMetrics(t)
	for _, test := range []struct{ name, old, new, want string }{
		{"schema", `"schemaVersion":39`, `"schemaVersion":42`, "schemaVersion is 42"},
		{"id", `"uid":"glance-image-sharing"`, `"uid":"x","id":1`, "no id"},
		{"inputs", `"type":"datasource","pluginId":"prometheus"`, `"type":"datasource","pluginId":"loki"`, "__inputs"},
		{"a data source that no import gives", `"value":"${DS_PROMETHEUS}"`, `"value":"${DS_OTHER}"`, "does not begin with"},
		{"editable", `"editable":true`, `"editable":false`, "editable"},
		{"a long title", `"title":"Missing members"`, `"title":"Missing members of all images"`, "its title does not fit"},
		{"colours alone", `"showValue":"auto"`, `"showValue":"never"`, "colours alone"},
		{"white on orange", `"text":"missing","color":"super-light-orange"`, `"text":"missing","color":"orange"`, "not readable"},
		{
			"white on red", `"color":"transparent","value":null},{"color":"dark-red"`,
			`"color":"transparent","value":null},{"color":"red"`, "not readable",
		},
		{"a pale timeline", `"fillOpacity":100`, `"fillOpacity":70`, "not readable"},
		{
			"orange in the timeline", `"text":"rejected","color":"super-light-orange","index":2}`,
			`"text":"rejected","color":"orange","index":2}`, "not readable",
		},
		{"a variable that is ignored", `Ignores the variable Member."`, `"`, "ignores the variables"},
		{
			"a blind replica", `cloud=~\"$cloud\",image_name=~\"$image\"}) == 0 unless on`,
			`cloud=~\"$cloud\",image_name=~\"$image\"} == 0) == 0 unless on`, "cannot see is enough",
		},
		{"a title that is a little too long", `"w":7,"x":11,"y":1`, `"w":6,"x":11,"y":1`, "its title does not fit"},
		{"coloured text", `"type":"color-background","mode":"basic"`, `"type":"color-text"`, "not a background"},
		{"no member", `,member_id=~\"$member\"`, ``, "without member_id"},
		{"refresh", `"refresh":"1m"`, `"refresh":false`, "refresh"},
		{"data source", `"uid":"${datasource}"`, `"uid":"prometheus"`, "data source"},
		{"a variable", `"multi":true`, `"multi":false`, "multi"},
		{"a variable's metric", `label_values(glance_up{`, `label_values(glance_upp{`, "there is no metric glance_upp"},
		{"one of a variable's metrics", `_(status|expected)`, `_(status|expcted)`, "there is no metric glance_image_member_expcted"},
		{"a variable's label", `}, cloud)"`, `}, region)"`, "nothing has the label region"},
		{"a variable's label text", `"label":"Cloud"`, `"label":""`, "has no label"},
		{"a variable's name", `"name":"image"`, `"name":"picture"`, "the variables are"},
		{
			"a metric", `count(max by (cloud, image_id) (glance_image_scrape_success`,
			`count(max by (cloud, image_id) (glance_image_scrape_succes`, "there is no metric",
		},
		{"syntax", `"expr":"count(`, `"expr":"count((`, "parse error"},
		{"a label to match", `status=\"accepted\"`, `state=\"accepted\"`, "has no label state"},
		{
			"a label to group by", `"expr":"count(max by (cloud, image_id)`, `"expr":"count(max by (cloud, project)`,
			"nothing has the label project",
		},
		{"a label to match on", `on (cloud, image_id)`, `on (cloud, id)`, "nothing has the label id"},
		{"no job", `job=~\"$job\",`, ``, "without job"},
		{"no image", `,image_name=~\"$image\"`, ``, "without image_name"},
		{"no cloud", `,cloud=~\"$cloud\"`, ``, "without cloud"},
		{
			"not aggregated", `"expr":"max(glance_image_member_updated_timestamp_seconds`,
			`"expr":"(glance_image_member_updated_timestamp_seconds`, "is not aggregated",
		},
		{"a fixed rate", `[$__rate_interval]`, `[5m]`, "$__rate_interval"},
		{
			"classic histograms alone", `or\nhistogram_quantile(0.99, sum by (cloud) (rate(glance_api_request_duration_seconds{`,
			`or\nhistogram_quantile(0.99, sum by (le, cloud) (rate(glance_api_request_duration_seconds_bucket{`, "native histograms",
		},
		{"a made-up zero", `"expr":"count(`, `"expr":"vector(0) or count(`, "vector makes a value"},
		{"no title", `"title":"Members"`, `"title":""`, "needs a title"},
		{"no description", `"description":"Members of all images that could be read`, `"description":"", "x":"`, "needs a title, a description"},
		{"no unit", `"unit":"dateTimeFromNow"`, `"unit":""`, "and a unit"},
		{"no word for no data", `"noValue":"no data"`, `"noValue":""`, "does not say"},
		{"a green base", `"color":"text","value":null`, `"color":"green","value":null`, "base colour"},
		{
			"a good null", `"match":"null+nan","result":{"text":"not known","color":"text"`,
			`"match":"null+nan", "result":{"text":"0", "color":"blue"`, "null",
		},
		{"a good cell", `"text":"not judged","color":"transparent","index":5`, `"text":"expected", "color":"blue","index":5`, "other colour"},
		{"a bridged gap", `"spanNulls":false`, `"spanNulls":true`, "gap"},
		{"the same id", `"id":2,`, `"id":1,`, "there twice"},
		{"an overlap", `"x":6,"y":1`, `"x":5,"y":1`, "lies over"},
		{"a hole", `"w":24,"x":0,"y":7`, `"w":23,"x":0,"y":7`, "are empty"},
		{"no annotation", `"useValueForTime":"on"`, `"useValueForTime":""`, "no annotation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			broken := strings.Replace(whole, test.old, test.new, 1)
			if broken == whole {
				t.Fatalf("%s is not there", test.old)
			}
			problems := lint(read(t, []byte(broken)), k)
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
				t.Errorf("not caught; found %q", problems)
			}
		})
	}
}
