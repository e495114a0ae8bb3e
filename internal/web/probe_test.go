package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

const imageID = "83a34450-688e-449a-abea-c212f45c5a6c"

// answering is an image API with one image and one member.
type answering struct{ hanging }

var owner = client.Access{ProjectID: "61c9216745884e7782dc16e5123a5fc9"}

func (answering) Enter(context.Context) ([]client.Scope, error) {
	return []client.Scope{{Access: owner}}, nil
}

func (answering) Images(_ context.Context, _ []string, hidden bool) ([]client.Image, error) {
	if hidden {
		return nil, nil
	}
	return []client.Image{{ID: imageID, Owner: owner.ProjectID, Visibility: client.Shared}}, nil
}

func (answering) Members(context.Context, string) (client.MemberList, error) {
	return client.MemberList{Members: []client.Member{{Type: client.TypeProject, ID: "a", Status: client.Accepted}}, Access: owner}, nil
}

// newClouds returns pages for the clouds good, slow, which hangs, apart, which /probe alone collects, old, which is
// collected in the background, and wide, which has shards.
func newClouds(t *testing.T, external string) http.Handler {
	t.Helper()
	var clouds []*collector.Cloud
	add := func(name string, api collector.API, change func(*collector.Options)) {
		opts := collector.DefaultOptions()
		opts.Name, opts.Images = name, []collector.Image{{ID: imageID}}
		change(&opts)
		cloud := collector.New(api, opts, log.NewNopLogger())
		t.Cleanup(cloud.Close)
		clouds = append(clouds, cloud)
	}
	add("good", answering{}, func(*collector.Options) {})
	add("slow", hanging{}, func(*collector.Options) {})
	add("apart", answering{}, func(o *collector.Options) { o.ByProbe = true })
	add("old", answering{}, func(o *collector.Options) { o.RefreshInterval = time.Minute })
	add("wide", answering{}, func(o *collector.Options) { o.ByProbe, o.Shards = true, 2 })
	process := prometheus.NewRegistry()
	process.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "glance_api_requests_total", Help: "Some."}))
	handler, err := web.New(web.Options{
		Clouds: func() ([]*collector.Cloud, func()) { return slices.Clone(clouds), func() {} },
		Config: func() ([]byte, error) { return nil, errors.New("none") },
		Logger: log.NewNopLogger(), Gatherer: process, ExternalURL: external,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

const whole = `glance_image_members{cloud="NAME",image_id="` + imageID + `",image_name="",status="accepted"} 1`

func TestOneCloudThatHangsCostsTheOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newClouds(t, "")
		began := time.Now()
		body := get(t, h, "/metrics", "5").Body.String()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
		for _, want := range []string{strings.ReplaceAll(whole, "NAME", "good"), `glance_up{cloud="slow"} 0`, "glance_api_requests_total 0"} {
			if !strings.Contains(body, want+"\n") {
				t.Errorf("no %s in\n%s", want, body)
			}
		}
		if strings.Contains(body, `"apart"`) {
			t.Error("a cloud with scrape_via: probe is on /metrics")
		}
	})
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newClouds(t, "")
		for _, name := range []string{"good", "apart"} {
			rec := get(t, h, "/probe?cloud="+name, "5")
			body := rec.Body.String()
			if rec.Code != http.StatusOK || !strings.Contains(body, strings.ReplaceAll(whole, "NAME", name)+"\n") {
				t.Errorf("%d\n%s", rec.Code, body)
			}
			if strings.Contains(body, "glance_api_") || strings.Count(body, "glance_up{") != 1 {
				t.Errorf("it has more than one cloud's own:\n%s", body)
			}
		}
		began := time.Now()
		if rec := get(t, h, "/probe?cloud=slow", "2"); !strings.Contains(rec.Body.String(), `glance_up{cloud="slow"} 0`) ||
			time.Since(began) > 2*time.Second {
			t.Errorf("%s\n%s", time.Since(began), rec.Body)
		}
	})
}

func TestBadProbes(t *testing.T) {
	h := newClouds(t, "")
	const write = ": use /probe?cloud=NAME, with the name of a cloud in the configuration\n"
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/probe": {
			400,
			"parameter cloud is missing: use /probe?cloud=NAME, with the name of a cloud in the configuration\n",
		},
		"/probe?cloud=": {
			400,
			"parameter cloud is missing: use /probe?cloud=NAME, with the name of a cloud in the configuration\n",
		},
		"/probe?cloud=good&cloud=bad": {400, "duplicate parameter cloud: use /probe?cloud=NAME once for each cloud\n"},
		"/probe?target=http://a":      {400, `unknown parameter "target"` + write},
		"/probe?cloud=good&shard=3/2": {400, `"3/2" is not a valid shard: write one such as 2/8, from 1/8 to 8/8, of at most 1024` + "\n"},
		"/probe?cloud=good&shard=":    {400, `"" is not a valid shard: write one such as 2/8, from 1/8 to 8/8, of at most 1024` + "\n"},
		"/probe?cloud=old&shard=1/2":  {400, `cloud "old" has a refresh_interval and therefore no shards: remove parameter shard` + "\n"},
		"/probe?cloud=https://a":      {404, `no cloud "https://a": the configuration has good, slow, apart, old, wide` + "\n"},
		"/metrics?cloud=good":         {400, "parameter cloud is not supported here: use /probe?cloud=NAME\n"},
	} {
		if rec := get(t, h, path, ""); rec.Code != want.code || rec.Body.String() != want.body {
			t.Errorf("%s: got %d %q", path, rec.Code, rec.Body)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, test := range []struct{ external, host, want string }{
		{"", "exporter:10292", `[{"targets":["exporter:10292"],"labels":{"__metrics_path__":"/probe","__param_cloud":"apart","__scheme__":"http","exporter":"exporter:10292","instance":"apart"}},` + shards("exporter:10292", "http", "/probe") + `]`},
		{"", "exporter", `[{"targets":["exporter:80"],"labels":{"__metrics_path__":"/probe","__param_cloud":"apart","__scheme__":"http","exporter":"exporter:80","instance":"apart"}},` + shards("exporter:80", "http", "/probe") + `]`},
		{"https://mon.example.com/glance/", "exporter:10292", `[{"targets":["mon.example.com:443"],"labels":{"__metrics_path__":"/glance/probe","__param_cloud":"apart","__scheme__":"https","exporter":"mon.example.com:443","instance":"apart"}},` + shards("mon.example.com:443", "https", "/glance/probe") + `]`},
	} {
		h := newClouds(t, test.external)
		path := "/sd"
		if test.external != "" {
			path = "/glance/sd"
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		req.Host = test.host
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		var got, want any
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
		}
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got := rec.Header().Get("Content-Type"); got != "application/json" {
			t.Error(got)
		}
	}
}

// shards are the targets of the cloud wide.
func shards(address, scheme, probe string) string {
	const target = `{"targets":["%s"],"labels":{"__metrics_path__":"%s","__param_cloud":"wide","__param_shard":"%d/2","__scheme__":"%s","exporter":"%s","instance":"wide/%d-of-2"}}`
	return fmt.Sprintf(target+","+target, address, probe, 1, scheme, address, 1, address, probe, 2, scheme, address, 2)
}

// The pages of the shards have each image once.
func TestProbeOfAShard(t *testing.T) {
	h := newClouds(t, "")
	line := strings.ReplaceAll(whole, "NAME", "wide")
	one := get(t, h, "/probe?cloud=wide&shard=1/2", "5").Body.String()
	two := get(t, h, "/probe?cloud=wide&shard=2%2F2", "5").Body.String()
	if strings.Count(one+two, line) != 1 || strings.Count(one+two, "glance_up{") != 2 {
		t.Errorf("%s\n%s", one, two)
	}
	if body := get(t, h, "/probe?cloud=wide", "5").Body.String(); !strings.Contains(body, line) {
		t.Error(body)
	}
}

func TestNoTargets(t *testing.T) {
	if got := get(t, newHandler(t, log.NewNopLogger(), prometheus.NewRegistry()), "/sd", "").Body.String(); got != "[]\n" {
		t.Errorf("got %q", got)
	}
}
