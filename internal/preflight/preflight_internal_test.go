package preflight

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// What comes from a cloud and is pasted into a shell stays a word.
func TestArgument(t *testing.T) {
	for in, want := range map[string]string{
		"61c9216745884e7782dc16e5123a5fc9": "61c9216745884e7782dc16e5123a5fc9",
		"svc@example.com":                  "svc@example.com",
		"team a":                           "'team a'",
		"$(reboot)":                        "'$(reboot)'",
		"it's; reboot":                     `'it'\''s; reboot'`,
		"--help":                           "USER",
		"":                                 "USER",
		"a\nreboot":                        "USER",
		"a\x1b[2J":                         "USER",
	} {
		if got := argument(in, "USER"); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestCovers(t *testing.T) {
	members := client.AccessRule{Service: "image", Method: "GET", Path: "/v2/images/*/members"}
	for path, want := range map[string]bool{
		"/v2/images/*/members":          true,
		"/v2/images/{image_id}/members": true,
		"/v2/images/**":                 true,
		"/v2/**/members":                true,
		"**":                            true,
		"/v2/images/*":                  false,
		"/v2/images":                    false,
		"/v2/images/*/members/*":        false,
		"/v2/images/{id":                false,
		"/v2/images/a/members":          false,
	} {
		if got := covers(client.AccessRule{Service: "image", Method: "GET", Path: path}, members); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, r := range []client.AccessRule{{Service: "compute", Method: "GET", Path: "**"}, {Service: "image", Method: "POST", Path: "**"}} {
		if covers(r, members) {
			t.Errorf("%+v covers %+v", r, members)
		}
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1 second", 90 * time.Second: "90 seconds", 20 * time.Minute: "20 minutes", 24*time.Hour - time.Second: "24 hours",
		10*24*time.Hour + 23*time.Hour: "10 days", -3 * time.Hour: "3 hours ago",
	} {
		if got := words(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestSamples(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: []float64{1, 2}}) // 5
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Help: "s", Objectives: map[float64]float64{0.5: 0.1}})
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: "c"}, []string{"l"})
	counter.WithLabelValues("a")
	counter.WithLabelValues("b")
	registry.MustRegister(histogram, summary, counter)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if n := samples(families); n != 5+3+2 {
		t.Errorf("%d", n)
	}
	for s, want := range map[size]int{
		{own: 1}: 1000, {own: 500}: 1000, {own: 501}: 2000, {own: 24_000}: 48_000, {own: 178, bound: 600}: 1000, {own: 201, bound: 600}: 2000,
	} {
		if got := s.limit(); got != want {
			t.Errorf("%+v: %d, want %d", s, got, want)
		}
	}
}

var painted = regexp.MustCompile("\x1b\\[[0-9;]+m")

// Colours are never the only sign: without them the page is the same.
func TestColours(t *testing.T) {
	r := &Result{clouds: []report{{name: "prod", findings: []finding{
		{status: good, subject: "login", text: "watcher"},
		{status: warn, subject: "clock", text: "is wrong", more: []string{"- by far"}},
		{status: fail, subject: "images", text: "none"},
		{status: info, subject: "series", text: "1 now"},
	}}}}
	var plain, coloured bytes.Buffer
	if r.Write(&plain, false) != nil || r.Write(&coloured, true) != nil {
		t.Fatal("writing")
	}
	if got := painted.ReplaceAllString(coloured.String(), ""); got != plain.String() {
		t.Errorf("%q, want %q", got, plain.String())
	}
	for _, want := range []string{
		"\x1b[32mok  \x1b[0m", "\x1b[33mwarn\x1b[0m", "\x1b[1;31mFAIL\x1b[0m",
		"\x1b[2minfo\x1b[0m", "\x1b[1mprod\x1b[0m",
	} {
		if !strings.Contains(coloured.String(), want) {
			t.Errorf("no %q in %q", want, coloured.String())
		}
	}
	if !strings.HasSuffix(plain.String(), "\nFAIL: the exporter cannot read everything in prod; 1 warning.\n") {
		t.Errorf("%q", plain.String())
	}
}

func TestColouredOnATerminalOnly(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil && strings.HasPrefix(path, "/dev/") {
			t.Skip("no terminals here, as in a chroot without devpts: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	terminal := open("/dev/ptmx")
	if !Coloured(terminal) {
		t.Error("a terminal has no colours")
	}
	if Coloured(open(filepath.Join(t.TempDir(), "page"))) || Coloured(&bytes.Buffer{}) {
		t.Error("a file has colours")
	}
	t.Setenv("TERM", "dumb")
	if Coloured(terminal) {
		t.Error("TERM=dumb has colours")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if Coloured(terminal) {
		t.Error("NO_COLOR has colours")
	}
}

// 20 shared images and 2,000 private ones.
func TestTurns(t *testing.T) {
	e := &evidence{Cloud: &Cloud{}, timeout: 30 * time.Second, snapshot: collector.Snapshot{Scopes: []client.Scope{{}}}}
	for i := range 2020 {
		e.snapshot.Images = append(e.snapshot.Images, collector.ImageSnapshot{InTurns: i >= 20})
	}
	const requests = "reading everything takes 2026 requests: 6 for listings, 20 for images that are read each time, and 2000 for images in turns"
	for _, test := range []struct {
		rate    float64
		refresh time.Duration
		status  status
		want    string
	}{
		{0, 0, info, ""},
		{10, 0, info, "with requests_per_second: 10 a collection of 30s reads 274 of the images in turns, so a round takes 8 collections. " +
			"To read all in each collection, raise requests_per_second, or set scrape.refresh_interval: 5m"},
		{10, 5 * time.Minute, info, "with requests_per_second: 10 this takes 3m23s, so each collection reads all of them"},
		{0.5, 0, fail, "with requests_per_second: 0.5 a collection of 30s has no time for images in turns: raise requests_per_second, or " +
			"set scrape.refresh_interval: 1h25m"},
		{100, 0, info, "with requests_per_second: 100 this takes 20s, so each collection reads all of them"},
	} {
		e.ClientOptions.RequestsPerSecond, e.Options.RefreshInterval = test.rate, test.refresh
		list := e.turns()
		want := []string{requests, test.want}
		if test.want == "" {
			want = want[:1]
		}
		if len(list) != 1 || list[0].status != test.status || !slices.Equal(list[0].more, want) {
			t.Errorf("got %+v\nwant %v %q", list, test.status, want)
		}
	}
	e.snapshot.Images = e.snapshot.Images[:20]
	if list := e.turns(); len(list) > 0 {
		t.Errorf("got %+v", list)
	}
}

// One collection cannot confirm the lists of all images in turns: the next listing has their records again. That is no failure.
func TestListsInTurnsAwaitTheNextListing(t *testing.T) {
	const project = "61c9216745884e7782dc16e5123a5fc9"
	e := &evidence{Cloud: &Cloud{}, snapshot: collector.Snapshot{Scopes: []client.Scope{{Access: client.Access{ProjectID: project}}}}}
	image := func(img collector.ImageSnapshot) {
		img.Record = &client.Image{Owner: project, Visibility: client.Private}
		e.snapshot.Images = append(e.snapshot.Images, img)
	}
	check := func(status status, text string, more ...string) {
		t.Helper()
		if f := e.lists(); f.status != status || f.text != text || !slices.Equal(f.more, more) {
			t.Errorf("got %+v\nwant %v %s %q", f, status, text, more)
		}
	}
	image(collector.ImageSnapshot{InTurns: true, Coverage: collector.Partial, Doubt: collector.ChangingImage})
	await := "1 list of an image in turns was read, and is complete if the next collection finds the same record"
	check(info, "no other member list was read", await)
	image(collector.ImageSnapshot{Coverage: collector.Complete})
	check(good, "1 of 1 member lists are complete, in the view of the owner", await)
	image(collector.ImageSnapshot{InTurns: true, Coverage: collector.Partial, Doubt: collector.ChangingImage})
	await = "2 lists of images in turns were read, and are complete if the next collection finds the same records"
	check(good, "1 of 1 member lists are complete, in the view of the owner", await)
	image(collector.ImageSnapshot{InTurns: true, Coverage: collector.Partial, Doubt: collector.HiddenRows})
	if f := e.lists(); f.status != fail {
		t.Errorf("got %+v", f)
	}
}
