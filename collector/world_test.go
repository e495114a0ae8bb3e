package collector_test

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	if os.Getenv(stubVariable) != "" {
		serveStub()
	}
	goleak.VerifyTestMain(m)
}

const (
	producer  = "61c9216745884e7782dc16e5123a5fc9"
	consumerA = "fb0d5993e8f14ca887876f3d14abb39d"
	consumerB = "47778e75944945adb89fbb37229364c1"
	consumerC = "19ea119fd1694653936fb429216988df"

	shared    = "83a34450-688e-449a-abea-c212f45c5a6c"
	empty     = "e9d33e2c-e591-4100-b341-fe027f12b992"
	private   = "5b04179d-7f5c-439d-84c7-4c9a888f66af"
	community = "2c30e81a-4cb8-4510-bff2-a16f3b5f9769"
	public    = "ce1c7d9b-ff7b-4d0a-b5c5-fa928e15950f"
	hidden    = "d2d345db-f79c-4f29-a994-98a1c0961b0b"
	absent    = "00000000-0000-4000-8000-000000000000"
)

// t0 is before a synctest bubble's clock begins.
var t0 = time.Date(1999, 11, 23, 20, 50, 46, 0, time.UTC)

// newWorld is a cloud of one producer with an image of each kind.
func newWorld() *fakecloud.Cloud { return newWorldWith(fakecloud.Options{}) }

func newWorldWith(opts fakecloud.Options) *fakecloud.Cloud {
	w := fakecloud.New(opts)
	for id, name := range map[string]string{producer: "producer", consumerA: "consumer-a", consumerB: "consumer-b", consumerC: "consumer-c"} {
		w.AddProjectID(id, name)
		w.AddUser(name, name+"-secret", id, "member", "reader")
	}
	w.AddUser("admin", "admin-secret", producer, "reader")
	w.AddProjectID("ad314dd314dd314dd314dd314dd314dd", "admin")
	w.AddUser("admin", "admin-secret", "ad314dd314dd314dd314dd314dd314dd", "admin")
	w.AddAppCredential(fakecloud.AppCredential{
		ID: "rules", Secret: "rules-secret", User: "producer", ProjectID: producer, Roles: []string{"reader"},
		AccessRules: []fakecloud.AccessRule{{Method: "GET", Path: "/v2/images/*/members"}},
	})
	w.AddAppCredential(fakecloud.AppCredential{
		ID: "no-list", Secret: "rules-secret", User: "producer", ProjectID: producer, Roles: []string{"reader"},
		AccessRules: []fakecloud.AccessRule{{Method: "GET", Path: "/v2/images/*/members"}, {Method: "GET", Path: "/v2/images/*"}},
	})
	for _, img := range []fakecloud.Image{
		{ID: shared, Name: "golden-debian-12", Visibility: "shared"},
		{ID: empty, Name: "golden-empty", Visibility: "shared"},
		{ID: private, Name: "private", Visibility: "private"},
		{ID: community, Name: "community", Visibility: "community"},
		{ID: public, Name: "public", Visibility: "public"},
		{ID: hidden, Name: "golden-debian-11", Visibility: "shared", Hidden: true, Status: "deactivated"},
	} {
		img.Owner = producer
		w.AddImage(img)
	}
	member := func(image, id, status string) {
		w.AddMember(image, fakecloud.Member{MemberID: id, Status: status, CreatedAt: t0, UpdatedAt: t0.Add(time.Hour)})
	}
	member(shared, consumerA, "accepted")
	member(shared, consumerB, "rejected")
	member(shared, consumerC, "pending")
	member(hidden, consumerA, "accepted")
	return w
}

func user(name string) func() (gophercloud.AuthOptions, error) {
	project := name
	return func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{
			IdentityEndpoint: "http://cloud.test/identity/v3", Username: name, Password: name + "-secret", DomainName: "Default",
			Scope: &gophercloud.AuthScope{ProjectName: project, DomainName: "Default"},
		}, nil
	}
}

func appCredential(id string) func() (gophercloud.AuthOptions, error) {
	return func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{
			IdentityEndpoint: "http://cloud.test/identity/v3", ApplicationCredentialID: id, ApplicationCredentialSecret: "rules-secret",
		}, nil
	}
}

// bench is a cloud with its collector and all that it tells.
type bench struct {
	world  *fakecloud.Cloud
	client *client.Client // nil in projectsBubble
	cloud  *collector.Cloud
	api    *collector.APIMetrics
	log    *logLines

	projects *client.Projects // in projectsBubble
}

type logLines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logLines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.Reset()
	return strings.Split(strings.TrimSpace(l.String()), "\n")
}

func options(images ...string) collector.Options {
	opts := collector.DefaultOptions()
	opts.Name = "prod"
	for _, id := range images {
		opts.Images = append(opts.Images, collector.Image{ID: id})
	}
	return opts
}

// bubble runs f in a synctest bubble: everything happens in memory and minutes pass at once.
func bubble(t *testing.T, world *fakecloud.Cloud, auth func() (gophercloud.AuthOptions, error),
	opts collector.Options, f func(t *testing.T, b *bench),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, newBench(t, world, auth, opts))
	})
}

func newBench(t *testing.T, world *fakecloud.Cloud, auth func() (gophercloud.AuthOptions, error), opts collector.Options) *bench {
	t.Helper()
	return newBenchWith(t, world, client.Options{Auth: auth}, opts)
}

func newBenchWith(t *testing.T, world *fakecloud.Cloud, connection client.Options, opts collector.Options) *bench {
	t.Helper()
	if err := opts.Validate(); err != nil {
		t.Fatal(err)
	}
	b := &bench{world: world, api: collector.NewAPIMetrics(), log: &logLines{}}
	connection.Transport, connection.Observer = fakecloud.InMemory(world), b.api.Observer(opts.Name)
	c, err := client.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	b.client = c
	b.cloud = collector.New(c, opts, log.NewLogfmtLogger(b.log))
	t.Cleanup(func() {
		b.cloud.Close()
		c.Close()
	})
	return b
}

func (b *bench) scrape(t *testing.T) collector.Snapshot {
	t.Helper()
	return b.cloud.Collect(t.Context(), collector.Limits{Timeout: 9 * time.Second})
}

// page renders a snapshot as Prometheus would get it, without the lines of what differs from run to run. When something was read is given
// in seconds since the collection began.
func page(t *testing.T, s collector.Snapshot) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.Metrics(s))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines(t, families), lines(t, each(s))); diff != "" {
		t.Errorf("a registry, and Each: %s", diff)
	}
	var text bytes.Buffer
	for _, f := range families {
		switch f.GetName() {
		case "glance_scrape_duration_seconds", "glance_token_expiry_timestamp_seconds":
			continue
		}
		if strings.HasSuffix(f.GetName(), "_read_timestamp_seconds") {
			for _, m := range f.GetMetric() {
				m.Gauge.Value = new(math.Round(1000*(m.GetGauge().GetValue()-seconds(s.Start))) / 1000)
			}
		}
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// each is the families that a snapshot emits one by one.
func each(s collector.Snapshot) (families []*dto.MetricFamily) {
	byName := map[string]*dto.MetricFamily{}
	s.Each(func(family *dto.MetricFamily, labels []*dto.LabelPair, value float64) {
		f := byName[family.GetName()]
		if f == nil {
			f = proto.CloneOf(family)
			byName[family.GetName()] = f
			families = append(families, f)
		}
		f.Metric = append(f.Metric, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}})
	})
	return families
}

// seconds is a time as metrics have it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// lines are all lines of a page, sorted.
func lines(t *testing.T, families []*dto.MetricFamily) []string {
	t.Helper()
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(strings.Lines(text.String()))
}

// series returns the page's lines of one metric, without HELP and TYPE.
func series(t *testing.T, s collector.Snapshot, metrics ...string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(page(t, s)) {
		for _, m := range metrics {
			if strings.HasPrefix(line, m+"{") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	return lines
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

// sample is one series of a page.
type sample struct {
	labels map[string]string
	value  string
}

// samples returns the series of one metric, in the page's order.
func samples(t *testing.T, s collector.Snapshot, metric string) (all []sample) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.Metrics(s))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != metric {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			all = append(all, sample{labels, strconv.FormatFloat(m.GetGauge().GetValue(), 'f', -1, 64)})
		}
	}
	return all
}
