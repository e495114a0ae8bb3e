package dashboards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestVariants runs alerts.faults.test.yml with scrapes every minute and every 2 minutes, and with evaluations every minute and
// every 15 seconds. check.sh runs the file itself, which has 2 minutes and 1 minute, with the questions of a day.
func TestVariants(t *testing.T) {
	promtool := findPromtool(t)
	text, err := os.ReadFile("alerts.faults.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ scrape, evaluation string }{{"1m", "15s"}, {"1m", "1m"}, {"2m", "15s"}, {"2m", "1m"}} {
		t.Run(fmt.Sprintf("scrape %s, evaluation %s", v.scrape, v.evaluation), func(t *testing.T) {
			if testing.Short() && (v.scrape == "1m") != (v.evaluation == "1m") {
				t.Skip("-short: the pairs that differ in both from each other")
			}
			t.Parallel()
			variant := strings.Replace(withoutDays(string(text)), "evaluation_interval: 1m", "evaluation_interval: "+v.evaluation, 1)
			if v.scrape == "1m" {
				variant = eachMinute(t, variant)
			}
			dir := rulesIn(t, ".*")
			if err := os.WriteFile(filepath.Join(dir, "faults.yml"), []byte(variant), 0o600); err != nil {
				t.Fatal(err)
			}
			runPromtool(t, promtool, dir, "faults.yml")
		})
	}
}

// withoutDays leaves out the questions after more than 400 minutes.
func withoutDays(text string) string {
	questions := regexp.MustCompile(`(?m)^      - expr: .*\n        eval_time: (4[1-9]\d|[5-9]\d\d|\d{4})m\n        exp_samples:.*\n( ` +
		`{10}- .*\n)*`)
	return questions.ReplaceAllString(text, "")
}

var seriesLine = regexp.MustCompile(`(?m)^(      - \{series: '(\w+)\{.*\}', values: ')(.*)('\})$`)

// eachMinute doubles the samples. A time of reading that moves with the scrapes moves with the new ones, too.
func eachMinute(t *testing.T, text string) string {
	t.Helper()
	text = strings.ReplaceAll(text, "interval: 2m", "interval: 1m")
	return seriesLine.ReplaceAllStringFunc(text, func(line string) string {
		m := seriesLine.FindStringSubmatch(line)
		samples := expand(t, m[3])
		var doubled []string
		for i, v := range samples {
			next := v
			switch {
			case v == "stale":
				next = "_"
			case strings.HasSuffix(m[2], "_read_timestamp_seconds") && v == strconv.Itoa(i*120):
				next = strconv.Itoa(i*120 + 60)
			}
			doubled = append(doubled, v, next)
		}
		return m[1] + strings.Join(doubled, " ") + m[4]
	})
}

var notation = regexp.MustCompile(`^(_|stale|-?\d+)([+-]\d+)?(?:x(\d+))?$`)

// expand writes out promtool's notation for samples: 1x3 is 1 1 1 1, _x3 is _ _ _, 0+60x2 is 0 60 120.
func expand(t *testing.T, values string) (samples []string) {
	t.Helper()
	for _, word := range strings.Fields(values) {
		m := notation.FindStringSubmatch(word)
		if m == nil {
			t.Fatalf("cannot expand %s", word)
		}
		times, _ := strconv.Atoi(m[3])
		start, err := strconv.Atoi(m[1])
		if err != nil { // a gap
			for range max(times, 1) {
				samples = append(samples, m[1])
			}
			continue
		}
		step, _ := strconv.Atoi(m[2])
		for i := range times + 1 {
			samples = append(samples, strconv.Itoa(start+i*step))
		}
	}
	return samples
}
