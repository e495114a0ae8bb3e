package collector_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// outcome is what a hostile list leads to. Where nothing else is said, the image is not read.
type outcome struct {
	code   string // that is counted, besides those of retries; empty: none
	status int    // glance_image_scrape_http_status_code
	log    string // is in the one line that the log has

	members  int // read, and so counted
	shown    int // with series
	partial  bool
	statuses map[client.Status]int
}

// whole is an outcome for lists that are read.
func whole(members int, statuses map[client.Status]int) outcome {
	return outcome{status: 200, members: members, shown: members, statuses: statuses}
}

// The truth that each hostile list leads to.
var outcomes = map[string]outcome{
	"endless body":                 {code: "decode", log: "decode: response body larger than 16 MiB"},
	"endless blanks":               {code: "decode", log: "decode: response body larger than 16 MiB"},
	"byte by byte":                 {code: "timeout", log: "timeout: no complete response in time"},
	"headers for ever":             {code: "timeout", log: "timeout: no complete response in time"},
	"truncated body":               {code: "decode", log: "decode: response body cut off: unexpected EOF"},
	"longer than announced":        {code: "decode", log: "decode: invalid JSON in the response: unexpected EOF within"},
	"gzip bomb":                    {code: "decode", log: "decode: response body larger than 16 MiB"},
	"gzip that is none":            {code: "decode", log: "decode: response body cut off: gzip: invalid header"},
	"HTML":                         {code: "decode", log: "decode: invalid JSON in the response"},
	"empty":                        {code: "decode", log: "decode: invalid JSON in the response: unexpected EOF"},
	"null":                         {code: "decode", log: `decode: no \"members\" in the response`},
	"a list":                       {code: "decode", log: "decode: response is a JSON array, not an object"},
	"an object without members":    {code: "decode", log: `decode: no \"members\" in the response`},
	"null members":                 {code: "decode", log: `decode: no \"members\" in the response`},
	"members that are an object":   {code: "decode", log: `decode: \"/members\" in the response is a JSON object`},
	"members that are a text":      {code: "decode", log: `decode: \"/members\" in the response is a JSON string`},
	"a member that is a text":      {code: "decode", log: `decode: \"/members/0\" in the response is a JSON string`},
	"a member ID that is a number": {code: "decode", log: `decode: \"/members/0/member_id\" in the response is a JSON number`},
	"another list after the first": {
		code: "decode",
		log:  "decode: invalid JSON in the response: invalid character '{' after top-level value",
	},
	"an error in a 200":         {code: "decode", log: "no database"},
	"deep nesting":              {code: "decode", log: `decode: \"/members/0\" in the response is a JSON array`},
	"a million rows of nothing": {code: "decode", log: "decode: response with more than 500000 values"},
	"another image's list":      {code: "decode", log: `decode: row is about another image: \"another\"`},
	"invalid UTF-8": {
		code: "decode",
		log:  `decode: invalid JSON in the response: invalid UTF-8 within \"/members/0/member_id\"`,
	},
	"pages that never end":     {code: "decode", log: "decode: member list with more than 100 pages"},
	"redirect to another host": {code: "302", status: 302, log: "redirect to http://192.0.2.1 not followed"},
	"redirect to itself":       {code: "302", status: 302, log: "302 Found"},
	"secrets in an error":      {code: "500", status: 500, log: "500 Internal Server Error: token <secret> is not good here [31mred"},
	"status 299":               {code: "299", status: 299, log: "299"},
	"no content":               {code: "204", status: 204, log: "204 No Content"},
	"closed connection":        {code: "connect", log: "connect: EOF"},
	"null rows":                {status: 200, members: 2, partial: true, statuses: map[client.Status]int{client.Unknown: 2}},
	"null values":              {status: 200, members: 1, partial: true, statuses: map[client.Status]int{client.Unknown: 1}},
	"empty member ID":          {status: 200, members: 1, partial: true, statuses: map[client.Status]int{client.Accepted: 1}},
	"5000 members": {
		status:   200,
		members:  5000,
		shown:    2000,
		partial:  true,
		statuses: map[client.Status]int{client.Accepted: 5000},
	},
	"the same member 5000 times": whole(1, map[client.Status]int{client.Accepted: 1}),
	"member IDs of a megabyte":   whole(10, map[client.Status]int{client.Accepted: 10}),
	"quotes and newlines":        whole(1, map[client.Status]int{client.Accepted: 1}),
	"300 unknown statuses":       whole(300, map[client.Status]int{client.Unknown: 300}),
	"times that never were":      whole(1, map[client.Status]int{client.Accepted: 1}),
}

// onLoopback is a bench whose requests go through real connections.
func onLoopback(t *testing.T, w *fakecloud.Cloud, handler http.Handler, opts collector.Options) *bench {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	b := &bench{world: w, api: collector.NewAPIMetrics(), log: &logLines{}}
	c, err := client.New(client.Options{
		Transport: transport, Observer: b.api.Observer(opts.Name),
		Auth: func() (gophercloud.AuthOptions, error) {
			ao, err := user("producer")()
			ao.IdentityEndpoint = server.URL + "/identity/v3"
			return ao, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.client, b.cloud = c, collector.New(c, opts, log.NewLogfmtLogger(b.log))
	t.Cleanup(func() {
		b.cloud.Close()
		c.Close()
	})
	return b
}

// For each hostile list: the truth in the metrics, the neighbours untouched, an end in time, one line in the log.
func TestHostileLists(t *testing.T) {
	lists := fakecloud.HostileLists()
	if len(lists) != len(outcomes) {
		t.Errorf("%d lists, and %d outcomes", len(lists), len(outcomes))
	}
	for _, list := range lists {
		t.Run(list.Name, func(t *testing.T) {
			t.Parallel()
			want, ok := outcomes[list.Name]
			if !ok {
				t.Fatal("what should become of it?")
			}
			w := newWorld()
			ids := addImages(w, 9)
			w.Inject(fakecloud.Fault{Match: about("list_members", ids[4]), Raw: list.Answer})
			b := onLoopback(t, w, w, options(ids...))
			began := time.Now()
			s := b.cloud.Collect(t.Context(), collector.Limits{Timeout: 10 * time.Second})
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			b.cloud.Wait()

			if diff := cmp.Diff(slices.Delete(slices.Clone(ids), 4, 5),
				slices.DeleteFunc(read(s), func(id string) bool { return id == ids[4] })); diff != "" {
				t.Errorf("the others: %s", diff)
			}
			checkOutcome(t, b, &s.Images[4], want)
			checkPage(t, s)
			if text := b.log.String(); strings.Contains(text, w.Token("producer", producer)) || strings.Contains(text, "producer-secret") {
				t.Error("the log has a secret")
			}
		})
	}
}

func checkOutcome(t *testing.T, b *bench, img *collector.ImageSnapshot, want outcome) {
	t.Helper()
	lines := slices.DeleteFunc(b.log.take(), func(line string) bool { return strings.Contains(line, "using the image API") })
	if want.log == "" && len(lines) != 0 || want.log != "" && (len(lines) != 1 || !strings.Contains(lines[0], want.log)) {
		t.Errorf("the log says %q, want one line with %q", lines, want.log)
	}
	if img.StatusCode != want.status || len(img.Members) != want.members ||
		len(img.Members)-img.LeftOut != max(want.shown, want.members*number(img.LeftOut == 0)) {
		t.Errorf("status %d, %d members, %d of them left out; want %+v", img.StatusCode, len(img.Members), img.LeftOut, want)
	}
	read := want.code == ""
	if (img.Coverage == collector.Complete) != read || img.Complete() != (read && !want.partial) {
		t.Errorf("sight %d, complete %t: %v", img.Coverage, img.Complete(), img.Err)
	}
	if want.code != "" && testutil.ToFloat64(counter{b.api, "list_members", want.code}) == 0 {
		t.Errorf("no %s counted", want.code)
	}
	counts := map[client.Status]int{}
	for _, m := range img.Members {
		counts[m.Status]++
	}
	if diff := cmp.Diff(want.statuses, counts); diff != "" && len(want.statuses)+len(counts) > 0 {
		t.Error(diff)
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkPage checks what a registry and Prometheus would.
func checkPage(t *testing.T, s collector.Snapshot) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.Metrics(s))
	families, err := registry.Gather()
	if err != nil {
		t.Error(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if len(l.GetValue()) > 256 {
					t.Fatalf("%s: a label of %d bytes", f.GetName(), len(l.GetValue()))
				}
			}
		}
	}
}

// A cloud that is hostile as a whole.
func TestHostileClouds(t *testing.T) {
	ids := func(w *fakecloud.Cloud) []string { return addImages(w, 20) }
	for name, test := range map[string]struct {
		options fakecloud.Options
		hostile func(w *fakecloud.Cloud)
		closes  bool   // every connection after one answer
		read    int    // images
		log     string // is in the one line that the log has beside the access; empty: none
		logins  int    // at most, in three scrapes
	}{
		"no image service": {
			hostile: func(w *fakecloud.Cloud) { w.SetCatalog(fakecloud.Catalog{NoImageService: true}) },
			log:     "the catalog has no service of type image", logins: 1,
		},
		"a wrong URL": {hostile: func(w *fakecloud.Cloud) {
			w.SetCatalog(fakecloud.Catalog{ImageURL: func(_, _, _ string) string { return "gopher://nowhere" }})
		}, log: "the catalog's image endpoint", logins: 1},
		"tokens end at once":  {options: fakecloud.Options{TokenLife: time.Nanosecond, TokenCache: time.Nanosecond}, log: "401", logins: 6},
		"tokens are revoked":  {hostile: func(w *fakecloud.Cloud) { revokeInMidScrape(w) }, read: 20, logins: 4},
		"closed after each":   {closes: true, read: 20, logins: 1},
		"everything is a 500": {hostile: func(w *fakecloud.Cloud) { failing(w, 500) }, log: "500 Internal Server Error", logins: 1},
		"everything is a 429": {hostile: func(w *fakecloud.Cloud) { failing(w, 429) }, log: "429 Too Many Requests", logins: 1},
		"Keystone is endless": {
			hostile: func(w *fakecloud.Cloud) { keystone(w, fakecloud.HostileLists()[0].Answer) },
			log:     "logging in: 200 OK: ", logins: 3,
		},
		"Keystone is HTML": {
			hostile: func(w *fakecloud.Cloud) { keystone(w, fakecloud.HostileLists()[8].Answer) },
			log:     "logging in: ", logins: 3,
		},
		"Keystone never ends": {
			hostile: func(w *fakecloud.Cloud) { keystone(w, fakecloud.HostileLists()[3].Answer) },
			log:     "logging in: timeout", logins: 3,
		},
		"Keystone gives null": {
			hostile: func(w *fakecloud.Cloud) { keystone(w, fakecloud.HostileLists()[10].Answer) },
			log:     "logging in: ", logins: 3,
		},
		"records are HTML": {hostile: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_images", ""), Raw: fakecloud.HostileLists()[8].Answer})
		}, read: 20, log: "image records not read", logins: 1},
		"every list is hollow": {hostile: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: 200, Body: "{}"})
		}, log: `in the response: {}`, logins: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWith(test.options)
			images := ids(w)
			if test.hostile != nil {
				test.hostile(w)
			}
			var handler http.Handler = w
			if test.closes {
				handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Connection", "close")
					w.ServeHTTP(rw, r)
				})
			}
			b := onLoopback(t, w, handler, options(images...))
			for i := range 3 {
				began := time.Now()
				s := b.cloud.Collect(t.Context(), collector.Limits{Timeout: 2 * time.Second})
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %s", took)
				}
				if got := len(s.Images) - len(unread(s)); got != test.read {
					t.Errorf("scrape %d: %d images read", i, got)
				}
				checkPage(t, s)
			}
			b.cloud.Wait()
			lines := slices.DeleteFunc(b.log.take(), func(line string) bool { return strings.Contains(line, "msg=\"using the image API\"") })
			if test.log == "" && len(lines) > 0 || test.log != "" && (len(lines) != 1 || !strings.Contains(lines[0], test.log)) {
				t.Errorf("the log says %q, want one line with %q", lines, test.log)
			}
			if got := w.Count("authenticate"); got > test.logins {
				t.Errorf("%d logins", got)
			}
		})
	}
}

func unread(s collector.Snapshot) []collector.ImageSnapshot {
	return slices.DeleteFunc(slices.Clone(s.Images), func(img collector.ImageSnapshot) bool { return img.Coverage != collector.Unread })
}

// revokeInMidScrape revokes all tokens in the middle of each of three scrapes.
func revokeInMidScrape(w *fakecloud.Cloud) {
	asked := make(chan struct{}, 1000)
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
		if r.Operation == "list_members" {
			asked <- struct{}{}
			if n := len(asked); n == 10 || n == 50 || n == 90 {
				w.RevokeTokens()
			}
		}
		return false
	}})
}

func failing(w *fakecloud.Cloud, status int) {
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: status})
}

func keystone(w *fakecloud.Cloud, answer func(http.ResponseWriter, *http.Request)) {
	w.Inject(fakecloud.Fault{Match: about("authenticate", ""), Raw: answer})
}

// Ten thousand images of one name, with IDs, names and tags as large as they may be.
func TestManyImagesOfOneName(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	w := newWorld()
	for i := range 10_000 {
		w.AddImage(fakecloud.Image{
			ID: fmt.Sprintf("00000000-0000-4000-9000-%012d", i), Name: strings.Repeat("n", 300),
			Owner: producer, Visibility: "shared",
		})
	}
	b := onLoopback(t, w, w, discovering(collector.Rule{Name: "n*"}))
	s := b.cloud.Collect(t.Context(), collector.Limits{Timeout: time.Minute})
	if got := len(read(s)); got != 10_000 || !s.Discovered {
		t.Errorf("%d images read, discovered %t", got, s.Discovered)
	}
	checkPage(t, s)
}

// Where there are too many members to show them all, those stay that nobody expects, and the counts.
func TestUnexpectedMembersAreShownFirst(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 2)
	var expected []string
	for i := range 3000 {
		id := fmt.Sprintf("member-%04d", i)
		if i%1000 != 999 {
			expected = append(expected, id)
		}
		w.Share(ids[0], id)
	}
	opts := options(ids...)
	opts.Images[0].Policy.Members = expect(append(expected, consumerA)...)
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		s := b.scrape(t)
		if s.Images[0].Complete() || !s.Images[1].Complete() {
			t.Error("what is left out is not told, or costs another image")
		}
		lines := series(t, s, "glance_image_member_expected", "glance_image_unexpected_members", "glance_image_missing_members")
		for _, want := range []string{"member-0999", "member-1999", "member-2999"} {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) && strings.HasSuffix(l, " 0") }) {
				t.Errorf("%s is not shown", want)
			}
		}
		for _, want := range []string{
			`glance_image_unexpected_members{cloud="prod",image_id="` + ids[0] + `",image_name="image 0"} 3`,
			`glance_image_missing_members{cloud="prod",image_id="` + ids[0] + `",image_name="image 0"} 0`,
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("there is no %s", want)
			}
		}
	})
}
