package dashboards_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	histories  = 200
	perGroup   = 20  // histories in one test group of promtool, each with a cloud of its own
	minutes    = 200 // how long a history is, with a scrape and an evaluation each minute
	checkEvery = 3   // minutes
)

// TestHistories draws histories of images, members and exporters from fixed seeds, renders what each exporter would show, and compares
// the alerts with what the history says. A page is expected exactly while the newest read that was shown so far says that the
// share exists, and one page per share. How the rules remember plays no part in the expectation.
func TestHistories(t *testing.T) {
	promtool := findPromtool(t)
	dir := rulesIn(t, `glance:(image|finding):.*|GlanceImage(Unexpected|Exposed|Vanished).*`)
	var files []string
	for first := 0; first < histories; first += perGroup {
		var group []*history
		for seed := first; seed < first+perGroup; seed++ {
			group = append(group, newHistory(uint64(seed)))
		}
		name := fmt.Sprintf("histories%03d.yml", first)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(render(group)), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	pages, vanished := 0, 0
	for seed := range histories {
		for _, rows := range newHistory(uint64(seed)).expected {
			for row := range rows {
				if strings.Contains(row, "Vanished") {
					vanished++
				} else {
					pages++
				}
			}
		}
	}
	if pages < 8_000 || vanished < 1_000 {
		t.Errorf("only %d and %d minutes with a page: the histories show too little", pages, vanished)
	}
	runPromtool(t, promtool, dir, files...)
}

// findPromtool skips the test where there is no promtool, except in CI.
func findPromtool(t *testing.T) string {
	t.Helper()
	name := os.Getenv("PROMTOOL")
	if name == "" {
		t.Skip("takes minutes: check.sh runs it, with PROMTOOL")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// rulesIn returns a directory with a copy of the rules whose names match, without the texts: their queries take most of the time.
func rulesIn(t *testing.T, names string) string {
	t.Helper()
	text, err := os.ReadFile("alerts.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^        annotations:\n(?: {10}.*\n)+`).ReplaceAll(text, nil)
	rules := regexp.MustCompile(`(?m)^      - `).Split(string(text), -1)
	rules = slices.DeleteFunc(rules, func(rule string) bool {
		return !regexp.MustCompile(`^(#|\w+: (` + names + `)\n)`).MatchString(rule)
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "alerts.rules.yml"), []byte(strings.Join(rules, "      - ")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runPromtool(t *testing.T, promtool, dir string, files ...string) {
	t.Helper()
	for _, file := range files {
		cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", file)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOGC=400")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%.6000s", file, err, out)
		}
	}
}

// history is what happens to one cloud, what its exporters show, and which alerts that should give in each minute.
type history struct {
	cloud     string
	discover  bool // images are found, so a deleted one leaves the list
	hash      int  // of the first configuration
	images    []*historyImage
	exporters []*replica
	away      []span // when the cloud's API does not answer
	expected  []map[string]bool
}

// span is from its first second until before its last.
type span struct{ from, to int }

func within(spans []span, second int) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return s.from <= second && second < s.to })
}

type historyImage struct {
	id               string
	shared           map[string][]span // by unexpected member, when it is one
	open             []span            // when it is public
	deleted, removed int               // second; removed is from the configuration
}

// replica is an exporter, or a shard that has the images whose number is its own modulo shards.
type replica struct {
	name          string
	shard, shards int
	refresh       int // minutes; 0 reads on each scrape
	phase, lag    int // of refresh in minutes, and how many seconds before the scrape a read begins
	reload        int // minutes from a change of the configuration until it is loaded
	down          []span
	restarts      []int  // minutes
	partial       []span // when its lists prove nothing
	fails         []span // when it alone cannot read
	shows         []page // by minute
}

// page is what an exporter shows in a minute.
type page struct {
	up, found bool // found: discovery succeeded
	hash      int
	images    map[string]shownImage
	left      map[string]bool
}

type shownImage struct {
	read *answer // nil: not read
	code int
}

// answer is what the API said when a request began.
type answer struct {
	second   int
	complete bool
	members  map[string]bool
	open     bool
}

func newHistory(seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, 1))
	h := &history{cloud: fmt.Sprintf("h%03d", seed), discover: r.IntN(3) > 0, expected: make([]map[string]bool, minutes)}
	spans := func(n, longest int) (all []span) {
		for range r.IntN(n + 1) {
			from := r.IntN(minutes * 60)
			all = append(all, span{from, from + 60 + r.IntN(longest*60)})
		}
		return all
	}
	h.away = spans(1, 100)
	for i := range 1 + r.IntN(3) {
		img := &historyImage{
			id:      fmt.Sprintf("i%d", i),
			shared:  map[string][]span{},
			open:    spans(1, 150),
			deleted: minutes * 60,
			removed: minutes * 60,
		}
		for m := range 1 + r.IntN(2) {
			img.shared[fmt.Sprintf("m%d", m)] = spans(3, 90)
		}
		switch {
		case h.discover && r.IntN(3) == 0:
			img.deleted = r.IntN(minutes * 60)
		case r.IntN(4) == 0:
			img.removed = r.IntN(minutes) * 60
		}
		h.images = append(h.images, img)
	}
	shards := 1 + r.IntN(2)*r.IntN(2)
	for i := range 2 {
		if i > 0 && shards == 1 && r.IntN(3) == 0 {
			break
		}
		e := &replica{name: fmt.Sprintf("%s-%d", h.cloud, i), shard: i % shards, shards: shards, phase: r.IntN(20), lag: 1 + r.IntN(20)}
		if r.IntN(3) == 0 {
			e.refresh = 5 + r.IntN(15)
		}
		e.down, e.partial, e.fails = spans(2, 80), spans(1, 60), spans(1, 60)
		for range r.IntN(2) {
			e.restarts = append(e.restarts, r.IntN(minutes))
		}
		h.exporters = append(h.exporters, e)
	}
	reloads := rand.New(rand.NewPCG(seed, 2))
	h.hash = 7 * reloads.IntN(2) // so that a new configuration has a lower hash, or a higher one
	for _, e := range h.exporters {
		e.reload = reloads.IntN(2) * reloads.IntN(30)
		h.run(e)
	}
	h.expect()
	return h
}

// run fills in what the exporter shows. An exporter that is down is restarted.
func (h *history) run(e *replica) {
	list := map[string]bool{} // what is on its list; forgotten in a restart
	missed := map[string]int{}
	left := map[string]int{}
	last := map[string]shownImage{}
	forget := func() {
		list, missed, left, last = map[string]bool{}, map[string]int{}, map[string]int{}, map[string]shownImage{}
	}
	for minute := range minutes {
		second := minute*60 - e.lag
		if within(e.down, minute*60) {
			forget()
			e.shows = append(e.shows, page{})
			continue
		}
		if slices.Contains(e.restarts, minute) {
			forget()
		}
		p := page{up: true, hash: h.hash, images: map[string]shownImage{}, left: map[string]bool{}}
		answers := !within(h.away, second) && !within(e.fails, second)
		reads := e.refresh == 0 || (minute+e.phase)%e.refresh == 0 || len(last) == 0
		p.found = answers || e.refresh > 0 && len(list) > 0
		for i, img := range h.images {
			if img.removed+e.reload*60 <= minute*60 {
				p.hash ^= 1 << i
				delete(list, img.id)
				delete(last, img.id)
				continue
			}
			if i%e.shards != e.shard {
				continue
			}
			if !h.discover || answers && second < img.deleted {
				list[img.id] = true
			}
			if !list[img.id] {
				continue
			}
			switch {
			case !reads:
			case !answers && e.refresh > 0 && last[img.id].read != nil: // shown as it was
			case !answers:
				last[img.id] = shownImage{}
			case second >= img.deleted:
				last[img.id] = shownImage{code: 404}
				if missed[img.id]++; missed[img.id] > 1 {
					delete(list, img.id)
					delete(last, img.id)
					left[img.id] = minute
				}
			default:
				last[img.id] = shownImage{read: img.at(second, !within(e.partial, second)), code: 200}
			}
			if list[img.id] {
				p.images[img.id] = last[img.id]
			}
		}
		for id, since := range left {
			if minute < since+60 {
				p.left[id] = true
			}
		}
		e.shows = append(e.shows, p)
	}
}

// at is what a request for the image tells.
func (i *historyImage) at(second int, complete bool) *answer {
	r := &answer{second: second, complete: complete, members: map[string]bool{}, open: within(i.open, second)}
	for m, spans := range i.shared {
		if within(spans, second) {
			r.members[m] = true
		}
	}
	return r
}

// expect says which alerts should fire in each minute.
func (h *history) expect() {
	for minute := range minutes {
		h.expected[minute] = map[string]bool{}
	}
	for _, img := range h.images {
		var reads []*answer           // that were shown while it was on a list
		watching := map[string]bool{} // by exporter
		listedAs := map[string]int{}  // by exporter: the hash with which it had the image last
		vanished := false
		for minute := range minutes {
			listed, left := false, false
			highest := -1
			for _, e := range h.exporters {
				p := e.shows[minute]
				if s, ok := p.images[img.id]; ok {
					listed = true
					if s.read != nil && !slices.Contains(reads, s.read) {
						reads = append(reads, s.read)
					}
				}
				left = left || p.left[img.id]
				if p.up {
					highest = max(highest, p.hash)
				}
			}
			before, unchanged := len(watching) > 0, false
			for _, e := range h.exporters {
				p := e.shows[minute]
				if hash, ok := listedAs[e.name]; ok {
					unchanged = unchanged || p.up && p.hash == hash || !p.up && highest == hash
				}
				switch _, ok := p.images[img.id]; {
				case ok:
					watching[e.name] = true
					listedAs[e.name] = p.hash
				case !p.up, h.discover && !p.found: // nothing is known
				default:
					delete(watching, e.name)
				}
			}
			if left && !listed {
				clear(watching)
			}
			if listed {
				vanished = false
			}
			if before && len(watching) == 0 {
				vanished = len(access(reads)) > 0 && (left || unchanged)
				reads = nil
			}
			for _, what := range access(reads) {
				h.expected[minute][strings.ReplaceAll(what, "IMAGE", fmt.Sprintf("cloud=%q,image_id=%q", h.cloud, img.id))] = true
			}
			if vanished {
				h.expected[minute][fmt.Sprintf(`alertname="GlanceImageVanishedUnexpected",cloud=%q,image_id=%q`, h.cloud, img.id)] = true
			}
		}
	}
}

// access is what the newest reads say: a read tells of a member that it has, and if it is complete of one that it lacks.
func access(reads []*answer) (all []string) {
	type news struct {
		second int
		yes    bool
	}
	newest := map[string]news{}
	tell := func(what string, r *answer, yes bool) {
		if n, ok := newest[what]; !ok || r.second > n.second {
			newest[what] = news{r.second, yes}
		}
	}
	for _, r := range reads {
		tell(`alertname="GlanceImageExposedByVisibility",IMAGE`, r, r.open)
		for _, m := range []string{"m0", "m1"} {
			if r.members[m] || r.complete || r.open {
				tell(fmt.Sprintf(`alertname="GlanceImageUnexpectedMember",IMAGE,member_id=%q`, m), r, r.members[m] && !r.open)
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(newest)) {
		if newest[what].yes {
			all = append(all, what)
		}
	}
	return all
}

// render returns a test file of promtool.
func render(group []*history) string {
	s := &samples{values: map[string][]string{}}
	for _, h := range group {
		for _, e := range h.exporters {
			for minute, p := range e.shows {
				s.page(h, e, minute, p)
			}
		}
	}
	var b strings.Builder
	b.WriteString("rule_files: [alerts.rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n")
	for _, series := range slices.Sorted(maps.Keys(s.values)) {
		if len(s.values[series]) < minutes {
			s.values[series] = append(s.values[series], "stale")
		}
		fmt.Fprintf(&b, "      - {series: '%s', values: '%s'}\n", series, strings.Join(s.values[series], " "))
	}
	b.WriteString("    promql_expr_test:\n")
	for minute := 0; minute < minutes; minute += checkEvery {
		fmt.Fprintf(&b, "      - expr: count by (alertname, cloud, image_id, member_id) "+
			"(ALERTS{alertname=~\"GlanceImage(Unexpected|Exposed|Vanished).*\"})\n"+
			"        eval_time: %dm\n        exp_samples:\n", minute)
		for _, h := range group {
			for _, row := range slices.Sorted(maps.Keys(h.expected[minute])) {
				fmt.Fprintf(&b, "          - {labels: '{%s}', value: 1}\n", row)
			}
		}
	}
	return b.String()
}

// samples are the series of a test, a value or a gap for each minute.
type samples struct{ values map[string][]string }

func (s *samples) set(minute int, name, labels string, value any) {
	series := name + "{" + labels + "}"
	list := s.values[series]
	for len(list) < minute {
		gap := "_"
		if n := len(list); n > 0 && list[n-1] != "_" && list[n-1] != "stale" {
			gap = "stale"
		}
		list = append(list, gap)
	}
	s.values[series] = append(list, fmt.Sprint(value))
}

// page adds what the exporter shows in a minute.
func (s *samples) page(h *history, e *replica, minute int, p page) {
	target := fmt.Sprintf(`job="glance",instance=%q`, e.name)
	s.set(minute, "up", target, bit(p.up))
	if !p.up {
		return
	}
	cloud := fmt.Sprintf(`%s,cloud=%q`, target, h.cloud)
	s.set(minute, "glance_watched_images", cloud, len(p.images))
	s.set(minute, "glance_cloud_config_hash", cloud, p.hash)
	if h.discover {
		s.set(minute, "glance_discovery_success", cloud, bit(p.found))
	}
	for id := range p.left {
		s.set(minute, "glance_image_left", fmt.Sprintf(`%s,image_id=%q,reason="deleted"`, cloud, id), 1)
	}
	for id, i := range p.images {
		s.image(minute, fmt.Sprintf(`%s,image_id=%q,image_name="name of %s"`, cloud, id, e.name), i)
	}
}

func (s *samples) image(minute int, image string, i shownImage) {
	s.set(minute, "glance_image_scrape_success", image, bit(i.read != nil))
	s.set(minute, "glance_image_scrape_http_status_code", image, i.code)
	if i.read == nil {
		s.set(minute, "glance_image_members_complete", image, 0)
		return
	}
	s.set(minute, "glance_image_members_read_timestamp_seconds", image, i.read.second)
	s.set(minute, "glance_image_visibility_read_timestamp_seconds", image, i.read.second)
	s.set(minute, "glance_image_visibility", image+`,visibility="public"`, bit(i.read.open))
	s.set(minute, "glance_image_visibility", image+`,visibility="shared"`, bit(!i.read.open))
	if i.read.open {
		return // it has no members
	}
	s.set(minute, "glance_image_members_complete", image, bit(i.read.complete))
	s.set(minute, "glance_image_expected_members", image, 0)
	for m := range i.read.members {
		member := image + fmt.Sprintf(`,member_type="project",member_id=%q`, m)
		s.set(minute, "glance_image_member_status", member+`,status="accepted"`, 1)
		s.set(minute, "glance_image_member_expected", member, 0)
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
