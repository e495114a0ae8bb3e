// Package dashboards_test checks the dashboard and the alert rules against the exporter: that every query parses, and
// asks for nothing that the exporter does not have.
package dashboards_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/prometheus/promql/parser"
	"go.uber.org/goleak"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// known are the metrics that queries may ask for, with their labels.
type known map[string][]string

// classicPart ends the names of the series that only a classic histogram has.
var classicPart = regexp.MustCompile(`_(bucket|sum|count)$`)

var describing = regexp.MustCompile(`fqName: "([^"]*)".*variableLabels: \{([^}]*)\}`)

// knownMetrics are those of the exporter's registry, and those that Prometheus makes itself.
func knownMetrics(t *testing.T) known {
	t.Helper()
	runtime, err := exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
		Load: func() (*config.Config, error) {
			return config.Parse("exporter.yml",
				[]byte("clouds: [{name: prod, auth: {none: {project_id: x}}, endpoint: 'http://localhost', discover: [{}]}]"))
		},
		API: collector.NewAPIMetrics(), Logger: log.NewNopLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	k := known{
		"up":                      nil,
		"scrape_duration_seconds": nil,
		"ALERTS":                  {"alertname", "alertstate", "severity", "cloud", "image_id", "member_id", "project_id"},
	}
	for _, c := range []prometheus.Collector{
		collector.Metrics(), collector.NewAPIMetrics(),
		runtime, version.NewCollector("glance_exporter"),
	} {
		descs := make(chan *prometheus.Desc, 100)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			m := describing.FindStringSubmatch(d.String())
			if m == nil {
				t.Fatalf("cannot read %s", d)
			}
			labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
			k[m[1]] = labels
			if strings.HasSuffix(m[1], "_duration_seconds") {
				k[m[1]+"_bucket"], k[m[1]+"_sum"], k[m[1]+"_count"] = append(slices.Clone(labels), "le"), labels, labels
			}
		}
	}
	if len(k) < 30 {
		t.Fatalf("only %d metrics are known", len(k))
	}
	return k
}

// check returns what is wrong with the names in a query.
func (k known) check(query string) (problems []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return []string{fmt.Sprintf("%v: %s", err, query)}
	}
	made := map[string]bool{"job": true, "instance": true} // by Prometheus, or by label_replace
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if call, ok := n.(*parser.Call); ok && call.Func.Name == "label_replace" {
			made[call.Args[1].(*parser.StringLiteral).Val] = true
		}
		return nil
	})
	anywhere := func(label string) bool {
		return made[label] || slices.ContainsFunc(selectors(expr), func(s *parser.VectorSelector) bool {
			return slices.ContainsFunc(metricNames(s), func(name string) bool { return slices.Contains(k[name], label) })
		})
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			for _, name := range metricNames(n) {
				labels, ok := k[name]
				if !ok {
					problems = append(problems, fmt.Sprintf("there is no metric %s: %s", name, query))
					continue
				}
				for _, m := range n.LabelMatchers {
					if m.Name != "__name__" && m.Name != "job" && m.Name != "instance" && !strings.HasPrefix(m.Name, "exported_") &&
						!slices.Contains(labels, m.Name) {
						problems = append(problems, fmt.Sprintf("%s has no label %s: %s", name, m.Name, query))
					}
				}
			}
			if native := classicPart.ReplaceAllString(n.Name, ""); native != n.Name && !slices.ContainsFunc(selectors(expr),
				func(s *parser.VectorSelector) bool { return s.Name == native }) {
				problems = append(problems, fmt.Sprintf("%s is not there where Prometheus scrapes native histograms: add \"or\" and the same of "+
					"%s: %s", n.Name, native, query))
			}
		case *parser.AggregateExpr:
			for _, l := range n.Grouping {
				if !anywhere(l) && !strings.HasPrefix(l, "exported_") {
					problems = append(problems, fmt.Sprintf("nothing has the label %s to group by: %s", l, query))
				}
			}
		case *parser.BinaryExpr:
			if n.VectorMatching == nil {
				return nil
			}
			for _, l := range n.VectorMatching.MatchingLabels {
				if !anywhere(l) {
					problems = append(problems, fmt.Sprintf("nothing has the label %s to match on: %s", l, query))
				}
			}
		}
		return nil
	})
	return problems
}

// metricNames returns the metrics of a selector: several for {__name__=~"a|b"}.
func metricNames(s *parser.VectorSelector) []string {
	for _, m := range s.LabelMatchers {
		if names := m.SetMatches(); m.Name == "__name__" && len(names) > 0 {
			return names
		}
	}
	return []string{s.Name}
}

func selectors(expr parser.Expr) (all []*parser.VectorSelector) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			all = append(all, s)
		}
		return nil
	})
	return all
}
