package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hanging is an image API that never answers.
type hanging struct{ nameless }

func (hanging) Enter(context.Context) ([]client.Scope, error) { return []client.Scope{{}}, nil }

func (hanging) Images(ctx context.Context, _ []string, _ bool) ([]client.Image, error) {
	<-ctx.Done()
	return nil, &client.Error{Op: client.OpListImages, Code: client.CodeTimeout}
}

func (hanging) Image(ctx context.Context, _ string) (client.Image, error) {
	<-ctx.Done()
	return client.Image{}, &client.Error{Op: client.OpGetImage, Code: client.CodeTimeout}
}

func (hanging) ImagePage(ctx context.Context, _ client.ImageQuery, _ string) (client.ImagePage, error) {
	<-ctx.Done()
	return client.ImagePage{}, &client.Error{Op: client.OpListImages, Code: client.CodeTimeout}
}

func (hanging) Members(ctx context.Context, _ string) (client.MemberList, error) {
	<-ctx.Done()
	return client.MemberList{}, &client.Error{Op: client.OpListMembers, Code: client.CodeTimeout}
}

func (h hanging) MembersAs(ctx context.Context, _, imageID string) (client.MemberList, error) {
	return h.Members(ctx, imageID)
}

func (hanging) MemberAs(ctx context.Context, _, _, _ string) (client.MemberAnswer, error) {
	<-ctx.Done()
	return client.MemberAnswer{}, &client.Error{Op: client.OpGetMember, Code: client.CodeTimeout}
}

func (hanging) State() client.State { return client.State{} }

func newHandler(t *testing.T, logger log.Logger, process prometheus.Gatherer) http.Handler {
	t.Helper()
	opts := collector.DefaultOptions()
	opts.Name, opts.RequestTimeout = "prod", time.Hour
	opts.Images = []collector.Image{{ID: "83a34450-688e-449a-abea-c212f45c5a6c"}}
	cloud := collector.New(hanging{}, opts, log.NewNopLogger())
	t.Cleanup(cloud.Close)
	handler, err := web.New(web.Options{
		Clouds: func() ([]*collector.Cloud, func()) { return []*collector.Cloud{cloud}, func() {} },
		Config: func() ([]byte, error) { return nil, errors.New("password is hunter2") },
		Logger: logger, Gatherer: process,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func get(t *testing.T, h http.Handler, path, timeout string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if timeout != "" {
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestDeadlineFollowsPrometheus(t *testing.T) {
	const byDefault, most = 8480 * time.Millisecond, 119480 * time.Millisecond
	for header, want := range map[string]time.Duration{
		"3": 2480 * time.Millisecond, "2.5": 1980 * time.Millisecond, "0.4": 180 * time.Millisecond, "120": 119480 * time.Millisecond,
		"": byDefault, "0": byDefault, "-1": byDefault, "soon": byDefault, "NaN": byDefault, "1e400": byDefault,
		"600": most, "601": most, "86400": most, "Inf": most, "1e300": most,
	} {
		t.Run("timeout="+header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHandler(t, log.NewNopLogger(), prometheus.NewRegistry())
				began := time.Now()
				rec := get(t, h, "/metrics", header)
				if took := time.Since(began); took != want {
					t.Errorf("took %s, want %s", took, want)
				}
				if body := rec.Body.String(); rec.Code != http.StatusOK || !strings.Contains(body, `glance_up{cloud="prod"} 0`) {
					t.Errorf("%d\n%s", rec.Code, body)
				}
			})
		})
	}
}

// slowReader takes a page in 20 s.
type slowReader struct{ *httptest.ResponseRecorder }

func (s slowReader) Write(p []byte) (int, error) {
	time.Sleep(20 * time.Second)
	return s.ResponseRecorder.Write(p)
}

// Twice what making the last page took is kept back of the next scrape, but not what reading it took.
func TestAPageThatTakesLong(t *testing.T) {
	slow := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		time.Sleep(2 * time.Second)
		return nil, nil
	})
	for name, test := range map[string]struct {
		process  prometheus.Gatherer
		response http.ResponseWriter
		want     time.Duration
		encoding string
	}{
		"at once":                {prometheus.NewRegistry(), httptest.NewRecorder(), 9480 * time.Millisecond, ""},
		"to be made":             {slow, httptest.NewRecorder(), 5980 * time.Millisecond, ""},
		"to be read":             {prometheus.NewRegistry(), slowReader{httptest.NewRecorder()}, 9480 * time.Millisecond, ""},
		"to be read, compressed": {prometheus.NewRegistry(), slowReader{httptest.NewRecorder()}, 9480 * time.Millisecond, "gzip"},
		"both together":          {slow, slowReader{httptest.NewRecorder()}, 5980 * time.Millisecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var made time.Duration // until the last page began to be made
				process := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
					made = time.Since(began)
					return test.process.Gather()
				})
				h := newHandler(t, log.NewNopLogger(), process)
				req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
				req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
				req.Header.Set("Accept-Encoding", test.encoding)
				h.ServeHTTP(test.response, req)
				if got := test.response.Header().Get("Content-Encoding"); got != test.encoding {
					t.Errorf("Content-Encoding: %q", got)
				}
				began = time.Now()
				get(t, h, "/metrics", "10")
				if made != test.want {
					t.Errorf("the next scrape collects for %s, want %s", made, test.want)
				}
			})
		})
	}
}

// A page is compressed for those who can read that, and is the same page.
func TestCompressedMetrics(t *testing.T) {
	for accept, want := range map[string]string{
		"": "", "identity": "", "gzip": "gzip", "gzip;q=0": "", "deflate, gzip;q=0.5": "gzip", "zstd, br": "", "zstd;q=1, gzip;q=0.8": "gzip",
	} {
		for _, format := range []string{"text/plain", "application/openmetrics-text"} {
			t.Run(accept+" "+format, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHandler(t, log.NewNopLogger(), prometheus.NewRegistry())
					pages := map[string]string{}
					for _, encoding := range []string{"", accept} {
						req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
						req.Header.Set("Accept", format)
						req.Header.Set("Accept-Encoding", encoding)
						rec := httptest.NewRecorder()
						h.ServeHTTP(rec, req)
						page := rec.Body.Bytes()
						if encoding == accept {
							if got := rec.Header().Get("Content-Encoding"); got != want {
								t.Fatalf("Content-Encoding: %q, want %q", got, want)
							}
							if vary := rec.Header().Get("Vary"); vary != "Accept-Encoding" {
								t.Errorf("Vary: %q", vary)
							}
							if want != "" {
								page = unzip(t, page)
							}
						}
						if got := rec.Header().Get("Content-Type"); !strings.HasPrefix(got, format+";") {
							t.Errorf("Content-Type: %q", got)
						}
						pages[encoding] = string(page)
					}
					if pages[""] != pages[accept] || !strings.Contains(pages[""], `glance_up{cloud="prod"} 0`) {
						t.Errorf("two pages:\n%s\n%s", pages[""], pages[accept])
					}
				})
			})
		}
	}
}

func unzip(t *testing.T, page []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	page, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestABadSeriesCostsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		bad := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("a bad series") })
		rec := get(t, newHandler(t, log.NewLogfmtLogger(&lines), bad), "/metrics", "1")
		if body := rec.Body.String(); rec.Code != http.StatusOK || !strings.Contains(body, `glance_up{cloud="prod"} 0`) {
			t.Errorf("%d\n%s", rec.Code, body)
		}
		if got := lines.String(); !strings.Contains(got, "a bad series") {
			t.Errorf("logged %q", got)
		}
	})
}

func TestWhyTheConfigurationCannotBeShownIsNotShown(t *testing.T) {
	rec := get(t, newHandler(t, log.NewNopLogger(), prometheus.NewRegistry()), "/config", "")
	if body := rec.Body.String(); rec.Code != http.StatusInternalServerError || strings.Contains(body, "hunter2") {
		t.Errorf("%d %s", rec.Code, body)
	}
}

// nameless is a Keystone that nobody may ask for names.
type nameless struct{}

func (nameless) ProjectNames(context.Context) (map[string]string, error) {
	return nil, &client.Error{Op: client.OpResolveNames, Code: "403", StatusCode: 403}
}

func (nameless) ProjectName(context.Context, string) (string, error) {
	return "", &client.Error{Op: client.OpResolveNames, Code: "403", StatusCode: 403}
}
