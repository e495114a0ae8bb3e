package preflight_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
	"glance_share_exporter/internal/fakecloud"
	"glance_share_exporter/internal/preflight"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	producer = "61c9216745884e7782dc16e5123a5fc9"
	consumer = "fb0d5993e8f14ca887876f3d14abb39d"
	other    = "b4d7f6a0c1e84c5f9a2b3c4d5e6f7081"

	golden    = "5796a670-482c-490e-8d97-82bfcdc83011"
	appliance = "3c3ae353-fb14-428e-90b4-01a6c1cc0aff"
	rescue    = "e179f773-a6e0-43c0-9514-b7dde2ad0478"

	private = "68e58909-ccb2-4416-925a-56c9a30f4300"

	password  = "correct-horse-battery"
	appSecret = "staple-of-the-horse"
	secretKey = "an-access-keys-secret"
	keyToken  = "a-temporary-keys-token"
)

// world is a cloud on a port of its own, with images of the project producer.
type world struct {
	*fakecloud.Cloud
	url string
	ca  []byte // with which it is trusted, over TLS
}

func newWorld(t *testing.T, opts fakecloud.Options) *world {
	t.Helper()
	w := &world{Cloud: newCloud(opts)}
	server := httptest.NewServer(w)
	w.url = server.URL
	t.Cleanup(func() {
		w.ClearFaults()
		server.Close()
	})
	return w
}

func newCloud(opts fakecloud.Options) *fakecloud.Cloud {
	w := fakecloud.New(opts)
	w.AddProjectID(producer, "producer")
	w.AddProjectID(consumer, "consumer")
	w.AddProjectID(other, "other")
	w.AddUser("watcher", password, producer, "reader")
	w.AddUser("builder", password, producer, "member")
	w.AddUser("customer", password, consumer, "reader")
	w.AddUser("root", password, other, "admin")
	w.AddImage(fakecloud.Image{ID: golden, Name: "golden-debian-12", Owner: producer})
	w.Share(golden, consumer)
	w.AddImage(fakecloud.Image{ID: appliance, Name: "appliance", Owner: producer})
	w.AddImage(fakecloud.Image{ID: rescue, Name: "rescue", Owner: producer, Visibility: "public"})
	rule := func(method, path string) fakecloud.AccessRule {
		return fakecloud.AccessRule{Method: method, Path: path}
	}
	for id, rules := range map[string][]fakecloud.AccessRule{
		"a1": {rule("GET", "/v2/images"), rule("GET", "/v2/images/*"), rule("GET", "/v2/images/*/members")},
		"a2": {rule("GET", "/v2/images/**/members")},
		"a3": {rule("GET", "/v2/**"), rule("POST", "/v2/images/*/members")},
		"a5": {
			rule("GET", "/v2/images"), rule("GET", "/v2/images/*"), rule("GET", "/v2/images/*/members"),
			rule("GET", "/v2/images/*/members/*"),
		},
	} {
		w.AddAppCredential(fakecloud.AppCredential{
			ID: id, Name: "exporter-" + id, Secret: appSecret,
			User: "builder", ProjectID: producer, AccessRules: rules,
		})
	}
	w.AddAppCredential(fakecloud.AppCredential{
		ID:           "a4",
		Name:         "exporter-a4",
		Secret:       appSecret,
		User:         "builder",
		ProjectID:    producer,
		Roles:        []string{"member", "reader"},
		Unrestricted: true,
	})
	w.AddAccessKey(fakecloud.AccessKey{
		Access: "QTWAOYTTINDUT2QVKYUC", Secret: secretKey, ProjectID: producer,
		Rights: []string{fakecloud.RightGet, fakecloud.RightList},
	})
	w.AddAccessKey(fakecloud.AccessKey{Access: "TEMPORARYTTINDUT2QVK", Secret: secretKey, SecurityToken: keyToken, ProjectID: producer})
	return w
}

const three = "images: [{id: " + golden + ", name: golden-debian-12}, {id: " + appliance + "}, {id: " + rescue + "}]"

// nobody is a policy that allows nothing.
func nobody(fakecloud.Caller) bool { return false }

// login is a cloud's entry that logs in with a password.
func (w *world) login(name, user, project string, more ...string) string {
	auth := fmt.Sprintf("{password: {auth_url: %s/identity/v3, username: %s, user_domain_name: Default, password: %s", w.url, user, password)
	if project != "" {
		auth += ", project_name: " + project
	}
	return entry(name, auth+"}}", more...)
}

func entry(name, auth string, more ...string) string {
	return "  - name: " + name + "\n    auth: " + auth + "\n    " + strings.Join(more, "\n    ") + "\n"
}

func (w *world) appCredential(id, secret string, more ...string) string {
	return entry("prod", fmt.Sprintf("{application_credential: {auth_url: %s/identity/v3, id: %s, secret: %s}}", w.url, id, secret), more...)
}

func (w *world) aksk(access, more string, lines ...string) string {
	auth := fmt.Sprintf("{aksk: {access_key: %s, secret_key: %s, project_id: %s%s}}", access, secretKey, producer, more)
	return entry("huawei", auth, append(lines, "api: ims", "endpoint: "+w.url+"/ims")...)
}

// run looks at the clouds and returns the page and the names of those that fail.
func run(ctx context.Context, t *testing.T, clouds ...string) (page string, failed []string, err error) {
	t.Helper()
	text := "clouds:\n" + strings.Join(clouds, "")
	api := collector.NewAPIMetrics()
	runtime, err := exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
		Load: func() (*config.Config, error) { return config.Parse("exporter.yml", []byte(text)) },
		API:  api, UserAgent: "test", Logger: log.NewNopLogger(),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defer runtime.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(api)
	opts := preflight.Options{Timeout: 9 * time.Second, Process: registry}
	for _, c := range runtime.Connections() {
		opts.Clouds = append(opts.Clouds, preflight.Cloud{
			Auth: c.Cloud.Auth(), Options: c.Cloud.Collector, ClientOptions: c.Cloud.Client, Collector: c.Collector, Client: c.Client,
		})
	}
	result, err := preflight.Run(ctx, opts)
	if err != nil {
		return "", nil, err
	}
	for _, c := range opts.Clouds {
		for _, l := range c.Collector.Latest() {
			if l.Snapshot == nil {
				continue
			}
			for _, p := range collector.Problems(l.Snapshot) {
				if p.Incomplete() && !slices.Contains(result.Failed(), c.Options.Name) {
					t.Errorf("cloud %s is said to be good, and the log of a scrape says otherwise: %+v", c.Options.Name, p)
				}
			}
		}
	}
	var b strings.Builder
	if err := result.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String(), result.Failed(), nil
}

// What changes from run to run becomes something of the same width.
var (
	ports = regexp.MustCompile(`127\.0\.0\.1:\d{5}`)
	dates = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`)
	times = regexp.MustCompile(`\b\d\d:\d\d\b`)
)

func normal(page string) string {
	page = strings.ReplaceAll(ports.ReplaceAllString(page, "127.0.0.1:10000"), "20m14s", "20m15s")
	return times.ReplaceAllString(dates.ReplaceAllString(page, "2026-11-26"), "12:00")
}

func TestPages(t *testing.T) {
	for name, test := range map[string]struct {
		opts   fakecloud.Options
		clouds func(t *testing.T, w *world) []string
		failed []string
	}{
		"owner-reader": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"expected-members": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", three, "expected_members: ["+consumer+", team-payments]")}
		}},
		"discovery-that-skips": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", "discover: [{name: '*debian*', skip: true}, {}]")}
		}},
		"names-from-keystone": {clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("root", password, producer, "admin")
			return []string{w.login("prod", "root", "producer", three, "resolve_project_names: true", "expected_members: ["+consumer+", "+other+"]")}
		}},
		"names-from-keystone-refused": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", three, "resolve_project_names: true")}
		}},
		"expected-member-of-another-type": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", "images: [{id: "+golden+"}]",
				"expected_members: [{id: "+consumer+", type: domain, name: consumers}]")}
		}},
		"owner-member": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "builder", "producer", three)}
		}},
		"wrong-project": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "customer", "consumer", three)}
		}},
		"custom-role": {clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", password, producer, "reader", "image_uploader")
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"admin-of-the-owning-project": {clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("root", password, producer, "admin")
			return []string{w.login("prod", "root", "producer", three)}
		}},
		"admin-of-another-project": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "root", "other", three)}
		}},
		"password-that-ends": {clouds: func(_ *testing.T, w *world) []string {
			w.SetPasswordEnd("watcher", time.Now().Add(12*24*time.Hour+time.Hour))
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"api-before-shared": {clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{
				Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpVersions }, Status: 300,
				Body: `{"versions": [{"id": "v2.3", "status": "SUPPORTED"}, {"id": "v2.4", "status": "CURRENT"}]}`,
			})
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"api-without-versions": {clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{
				Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpVersions },
				Status: 404, Body: "<html><h1>nothing here</h1></html>",
			})
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"clouds-yaml": {clouds: func(t *testing.T, w *world) []string {
			path := filepath.Join(t.TempDir(), "clouds.yaml")
			text := fmt.Sprintf("clouds: {eu: {region_name: RegionOne, interface: internal, auth: {auth_url: %s/identity/v3, username: "+
				"watcher, user_domain_name: Default, password: %s, project_name: producer}}}\n", w.url, password)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{entry("prod", "{clouds_yaml: {cloud: eu, file: "+path+"}}", three)}
		}},
		"agency": {opts: fakecloud.Options{Huawei: true}, clouds: func(t *testing.T, w *world) []string {
			metadata := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					_, _ = io.WriteString(out, "metadata-token")
					return
				}
				fmt.Fprintf(out, `{"credential": {"access": "TEMPORARYTTINDUT2QVK", "secret": %q, "securitytoken": %q, "expires_at": %q}}`,
					secretKey, keyToken, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
			}))
			t.Cleanup(metadata.Close)
			return []string{entry("huawei", fmt.Sprintf("{ecs_agency: {project_id: %s, metadata_url: %s}}", producer, metadata.URL),
				"api: ims", "members_api: v1", "endpoint: "+w.url+"/ims", three)}
		}},
		"many": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			for i := range 15 {
				id := fmt.Sprintf("%032d", i)
				w.AddProjectID(id, fmt.Sprintf("team-%d", i))
				w.AddUser("watcher", password, id, []string{"reader", "member"}[i%2])
				w.AddImage(fakecloud.Image{ID: fmt.Sprintf("00000000-0000-0000-0000-%012d", i), Name: fmt.Sprintf("image-%d", i), Owner: id})
			}
			w.Inject(fakecloud.Fault{
				Match:  func(r fakecloud.Request) bool { return strings.HasPrefix(r.ImageID, "00000000") },
				Status: 403, Body: "no",
			})
			return []string{w.login("prod", "watcher", "", "projects: all", "discover: [{}]")}
		}},
		"access-rules": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.appCredential("a1", appSecret, three)}
		}},
		"access-rules-with-the-probe": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.appCredential("a5", appSecret, three)}
		}},
		"access-rules-without-the-probe": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Unshare(golden, consumer)
			return []string{w.appCredential("a1", appSecret, three)}
		}},
		"access-rules-with-the-probe-and-empty-lists": {clouds: func(_ *testing.T, w *world) []string {
			w.Unshare(golden, consumer)
			return []string{w.appCredential("a5", appSecret, three)}
		}},
		"access-rules-that-the-image-api-does-not-know": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Unshare(golden, consumer)
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpGetMember }, Status: 401})
			return []string{w.appCredential("a5", appSecret, three)}
		}},
		"policy-new-defaults": {clouds: func(_ *testing.T, w *world) []string {
			w.SetPolicy(fakecloud.NewDefaults())
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"policy-get-member": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.SetPolicy(fakecloud.Policy{GetMember: nobody})
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"policy-get-member-for-members": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.SetPolicy(fakecloud.Policy{GetMember: nobody})
			return []string{w.login("prod", "customer", "consumer", "images: [{id: "+golden+"}]")}
		}},
		"policy-get-member-and-inbound": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.SetPolicy(fakecloud.Policy{GetMember: nobody})
			return []string{w.login("prod", "customer", "consumer", "inbound: true")}
		}},
		"policy-get-member-for-administrators": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddImage(fakecloud.Image{ID: private, Name: "private", Owner: consumer, Visibility: "private"})
			w.SetPolicy(fakecloud.Policy{GetMember: nobody})
			return []string{w.login("prod", "root", "other", `discover: [{owners: ["*"]}]`)}
		}},
		"policy-context-is-admin": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("root", password, consumer, "admin")
			w.SetPolicy(fakecloud.Policy{ContextIsAdmin: func([]string) bool { return false }})
			return []string{w.login("prod", "root", "consumer", "images: [{id: "+golden+"}]")}
		}},
		"policy-context-is-admin-and-discovery": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.SetPolicy(fakecloud.Policy{ContextIsAdmin: func([]string) bool { return false }})
			return []string{w.login("prod", "root", "other", `discover: [{owners: ["*"]}]`)}
		}},
		"policy-get-image": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.SetPolicy(fakecloud.Policy{GetImage: nobody})
			return []string{w.login("prod", "watcher", "producer", "discover: [{}]", "inbound: true")}
		}},
		"policy-get-image-for-some": {
			opts: fakecloud.Options{MaxPageSize: 2}, failed: []string{"prod"},
			clouds: func(_ *testing.T, w *world) []string {
				w.SetPolicy(fakecloud.Policy{GetImage: func(c fakecloud.Caller) bool { return c.Visibility != "private" }})
				for i := range 5 {
					w.AddImage(fakecloud.Image{Owner: producer, Visibility: []string{"shared", "private"}[i%2]})
				}
				return []string{w.login("prod", "watcher", "producer", "discover: [{}]")}
			},
		},
		"private-images-that-may-have-members": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddImage(fakecloud.Image{ID: private, Name: "private", Owner: producer, Visibility: "private"})
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
				return r.Operation == fakecloud.OpListMembers &&
					r.ImageID == private
			}, Status: 403, Body: "no"})
			return []string{w.login("prod", "watcher", "producer", "images: [{id: "+private+"}]")}
		}},
		"token-as-it-is-with-a-private-image": {clouds: func(_ *testing.T, w *world) []string {
			w.AddImage(fakecloud.Image{ID: private, Name: "private", Owner: producer, Visibility: "private"})
			auth := fmt.Sprintf("{token: {token: %s, project_id: %s}}", w.Token("watcher", producer), producer)
			return []string{entry("prod", auth, "endpoint: "+w.url+"/image", "images: [{id: "+golden+"}, {id: "+private+"}]")}
		}},
		"access-rules-for-members-only": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.appCredential("a2", appSecret, three)}
		}},
		"access-rules-that-can-share": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.appCredential("a3", appSecret, three)}
		}},
		"application-credential-unrestricted": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.appCredential("a4", appSecret, three)}
		}},
		"application-credential-wrong-secret": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.appCredential("a1", "wrong-secret", three)}
		}},
		"wrong-password": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", "another", producer, "reader")
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"keystone-unreachable": {failed: []string{"prod"}, clouds: func(t *testing.T, w *world) []string {
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			w.url = "http://" + listener.Addr().String()
			listener.Close() // and nobody listens there any more
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"glance-refuses-all": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{
				Match:  func(r fakecloud.Request) bool { return r.Service == "image" },
				Status: http.StatusServiceUnavailable, Body: "no server is available",
			})
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"outsider": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("outsider", password, other, "reader")
			return []string{w.login("prod", "outsider", "other", three)}
		}},
		"keystone-hangs": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "identity" }, Hang: true})
			return []string{w.login("prod", "watcher", "producer", "scrape: {timeout: 1s}", three)}
		}},
		"glance-hangs": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Hang: true})
			return []string{w.login("prod", "watcher", "producer", "scrape: {timeout: 1s}", three)}
		}},
		"too-little-time": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", "scrape: {timeout: 3s, requests_per_second: 0.2, concurrency: 1}", three)}
		}},
		"too-little-time-for-a-collection-in-the-background": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer",
				"scrape: {timeout: 3s, refresh_interval: 10m, requests_per_second: 0.2, concurrency: 1}", three)}
		}},
		"no-image-api": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", "endpoint: "+w.url+"/imagine", three)}
		}},
		"images-that-are-not-there-and-one-that-hangs": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.RemoveImage(appliance)
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.ImageID == golden }, Hang: true})
			return []string{w.login("prod", "watcher", "producer", "scrape: {timeout: 3s}", three)}
		}},
		"discovery": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", `discover: [{name: "golden-*"}, {tags: [nobody-has-it]}]`)}
		}},
		"discovery-breaks-off": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
				return r.Operation == fakecloud.OpListImages && strings.Contains(r.RawQuery, "limit=1000")
			}, Status: 500, Body: "broken"})
			return []string{w.login("prod", "watcher", "producer", "discover: [{}]", three)}
		}},
		"inbound": {clouds: func(_ *testing.T, w *world) []string {
			for i := range 2 {
				id := w.AddImage(fakecloud.Image{Owner: []string{consumer, other}[i]})
				w.Share(id, producer)
			}
			return []string{w.login("prod", "watcher", "producer", "inbound: {expected_owners: ["+consumer+"]}", three)}
		}},
		"inbound-of-strangers": {clouds: func(_ *testing.T, w *world) []string {
			for range 150 {
				w.Share(w.AddImage(fakecloud.Image{Owner: other, Status: "queued"}), producer)
			}
			return []string{
				w.login("prod", "watcher", "producer", "inbound: {expected_owners: []}", three),
				w.login("few", "watcher", "producer", "inbound: {max_images: 10}", "scrape_via: probe", three),
			}
		}},
		"inbound-alone": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "customer", "consumer", "inbound: true")}
		}},
		"inbound-by-an-administrator": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "root", "other", "inbound: true", three)}
		}},
		"inbound-of-several-projects": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", password, consumer, "reader")
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
				return r.Project == producer && strings.Contains(r.RawQuery, "member_status")
			}, Status: 500, Body: "broken"})
			return []string{w.login("prod", "watcher", "", "projects: all", "inbound: true")}
		}},
		"administrator": {clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "root", "other", `discover: [{owners: ["*"]}]`)}
		}},
		"administrator-without-records": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("root", password, producer, "admin")
			w.Inject(fakecloud.Fault{Match: records, Status: 403})
			return []string{w.login("prod", "root", "producer", "images: [{id: "+golden+"}, {id: "+appliance+"}]")}
		}},
		"administrator-without-records-for-now": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("root", password, producer, "admin")
			w.Inject(fakecloud.Fault{Match: records, Status: 500})
			return []string{w.login("prod", "root", "producer", "images: [{id: "+golden+"}]")}
		}},
		"reader-without-records": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.Inject(fakecloud.Fault{Match: records, Status: 403})
			return []string{w.login("prod", "watcher", "producer", "images: [{id: "+golden+"}]")}
		}},
		"visibility-nobody-knows": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			for _, id := range []string{golden, appliance} {
				w.SetImage(id, func(img *fakecloud.Image) { img.Visibility = "federated" })
			}
			w.Inject(fakecloud.Fault{
				Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers && r.ImageID == golden },
				Status: 200, Body: `{"members": []}`,
			})
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"several-projects": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", password, consumer, "reader", "member")
			return []string{w.login("prod", "watcher", "", "projects: ["+producer+", "+consumer+", "+other+"]", three)}
		}},
		"disabled-projects": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", password, consumer, "reader")
			w.AddUser("watcher", password, other, "reader")
			w.AddProjectIn("branch", other, "other")
			w.Enable("branch", false)
			w.Enable(consumer, false)
			return []string{w.login("prod", "watcher", "", "projects: all", three)}
		}},
		"disabled-projects-of-a-list": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", password, consumer, "reader")
			w.AddUser("watcher", password, other, "reader")
			w.AddProjectIn("branch", other, "other")
			w.Enable("branch", false)
			w.Enable(consumer, false)
			return []string{w.login("prod", "watcher", "", "projects: ["+producer+", "+consumer+", "+other+"]", three)}
		}},
		"disabled-projects-left-out": {clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("watcher", password, consumer, "reader")
			w.Enable(consumer, false)
			return []string{w.login("prod", "watcher", "", "projects: all", "projects_except: ["+consumer+"]", three)}
		}},
		"no-role-anywhere": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			w.AddUser("nobody", password, "")
			return []string{w.login("prod", "nobody", "", "projects: all", "discover: [{}]")}
		}},
		"several-clouds": {failed: []string{"prod-eu"}, clouds: func(_ *testing.T, w *world) []string {
			return []string{
				w.login("dev", "builder", "producer", three),
				w.login("prod-eu", "customer", "consumer", three),
				w.login("prod-us", "watcher", "producer", "scrape_via: probe", "shards: 8", three),
			}
		}},
		"access-key": {opts: fakecloud.Options{Huawei: true}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.aksk("QTWAOYTTINDUT2QVKYUC", "", "members_api: v1", three)}
		}},
		"access-key-with-members-api-v2": {
			opts: fakecloud.Options{Huawei: true}, failed: []string{"huawei"},
			clouds: func(_ *testing.T, w *world) []string {
				return []string{w.aksk("QTWAOYTTINDUT2QVKYUC", "", three)}
			},
		},
		"access-key-and-private-images": {opts: fakecloud.Options{Huawei: true}, clouds: func(_ *testing.T, w *world) []string {
			for i := range 12 {
				w.AddImage(fakecloud.Image{
					ID: fmt.Sprintf("00000000-0000-0000-0000-%012d", i), Name: fmt.Sprint("private-", i),
					Owner: producer, Visibility: "private",
				})
			}
			return []string{w.aksk("QTWAOYTTINDUT2QVKYUC", "", "members_api: v1", "discover: [{}]", "scrape: {requests_per_second: 1000}")}
		}},
		"access-key-without-members-api-v1": {
			opts: fakecloud.Options{Huawei: true, NoMembersV1: true}, failed: []string{"huawei"},
			clouds: func(_ *testing.T, w *world) []string {
				return []string{w.aksk("QTWAOYTTINDUT2QVKYUC", "", "members_api: v1", three)}
			},
		},
		"access-key-temporary": {opts: fakecloud.Options{Huawei: true}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.aksk("TEMPORARYTTINDUT2QVK", ", security_token: "+keyToken, "members_api: v1", three)}
		}},
		"access-key-in-a-file": {opts: fakecloud.Options{Huawei: true}, clouds: func(t *testing.T, w *world) []string {
			text := fmt.Sprintf(`{"credential": {"access": "TEMPORARYTTINDUT2QVK", "secret": %q, "securitytoken": %q, "expires_at": %q}}`,
				secretKey, keyToken, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
			path := filepath.Join(t.TempDir(), "credential.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			auth := fmt.Sprintf("{aksk: {credential_file: %s, project_id: %s}}", path, producer)
			return []string{entry("huawei", auth, "api: ims", "members_api: v1", "endpoint: "+w.url+"/ims", three)}
		}},
		"access-key-and-a-clock-that-is-wrong": {
			opts:   fakecloud.Options{Huawei: true, Now: ahead(20*time.Minute + 15*time.Second)},
			failed: []string{"huawei"}, clouds: func(_ *testing.T, w *world) []string {
				return []string{w.aksk("QTWAOYTTINDUT2QVKYUC", "", "members_api: v1", three)}
			},
		},
		"huawei-password": {opts: fakecloud.Options{Huawei: true}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("huawei", "watcher", "producer", "api: ims", "members_api: v1", three)}
		}},
		"clock-skew": {opts: fakecloud.Options{Now: ahead(-20 * time.Minute)}, clouds: func(_ *testing.T, w *world) []string {
			return []string{w.login("prod", "watcher", "producer", three)}
		}},
		"token": {clouds: func(_ *testing.T, w *world) []string {
			auth := fmt.Sprintf("{token: {auth_url: %s/identity/v3, token: %s}}", w.url, w.Token("watcher", producer))
			return []string{entry("prod", auth, three)}
		}},
		"token-as-it-is": {failed: []string{"prod"}, clouds: func(_ *testing.T, w *world) []string {
			auth := fmt.Sprintf("{token: {token: %s, project_id: %s}}", w.Token("watcher", producer), producer)
			return []string{entry("prod", auth, "endpoint: "+w.url+"/image", three)}
		}},
		"no-auth": {failed: []string{"prod"}, clouds: func(t *testing.T, w *world) []string {
			token := w.Token("watcher", producer)
			proxy := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
				r.Header.Set("X-Auth-Token", token)
				w.ServeHTTP(out, r)
			}))
			t.Cleanup(proxy.Close)
			return []string{entry("prod", "{none: {project_id: "+producer+"}}", "endpoint: "+proxy.URL+"/image", three)}
		}},
		"plain-http": {clouds: func(_ *testing.T, w *world) []string {
			via := w.url
			w.url = "http://cloud.example.com"
			return []string{w.login("prod", "watcher", "producer", "http: {proxy_url: "+via+"}", three)}
		}},
		"certificate": {clouds: func(t *testing.T, w *world) []string {
			return []string{w.overTLS(t, 10*24*time.Hour+time.Hour).login("prod", "watcher", "producer",
				"http: {tls_config: {ca_file: "+w.caFile(t)+"}}", three)}
		}},
		"certificate-nobody-verifies": {clouds: func(t *testing.T, w *world) []string {
			return []string{w.overTLS(t, 300*24*time.Hour+time.Hour).login("prod", "watcher", "producer",
				"http: {tls_config: {insecure_skip_verify: true}}", three)}
		}},
		"certificate-nobody-trusts": {failed: []string{"prod"}, clouds: func(t *testing.T, w *world) []string {
			return []string{w.overTLS(t, 300*24*time.Hour+time.Hour).login("prod", "watcher", "producer", three)}
		}},
		"hostile-names": {clouds: func(_ *testing.T, w *world) []string {
			w.AddProjectID(producer, "\x1b[2Jproducer\r\n  ok    rights")
			w.SetImage(appliance, func(img *fakecloud.Image) { img.Name = "\x1b]0;owned\x07" })
			w.Unshare(golden, consumer)
			w.AddMember(appliance, fakecloud.Member{MemberID: "", Status: "accepted"})
			return []string{entry("prod",
				fmt.Sprintf("{password: {auth_url: %s/identity/v3, username: builder, user_domain_name: Default, password: %s, project_id: %s}}",
					w.url, password, producer), three)}
		}, failed: []string{"prod"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.opts)
			page, failed, err := run(t.Context(), t, test.clouds(t, w)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.failed, failed); diff != "" {
				t.Errorf("failed (-want +got):\n%s", diff)
			}
			checkPage(t, page)
			compare(t, name, normal(page))
		})
	}
}

// checkPage is what every page must fulfil.
func checkPage(t *testing.T, page string) {
	t.Helper()
	for _, secret := range []string{password, appSecret, secretKey, keyToken, "wrong-secret", "gAAAA"} {
		if strings.Contains(page, secret) {
			t.Errorf("the page has the secret %s", secret)
		}
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if len([]rune(line)) > 80 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("longer than 80: %s", line)
		}
		if strings.TrimRight(line, " ") != line || strings.ContainsAny(line, "\x1b\r\x07") {
			t.Errorf("what is this: %q", line)
		}
	}
}

// records are the requests for images' own records.
func records(r fakecloud.Request) bool {
	return r.Operation == fakecloud.OpGetImage || r.Operation == fakecloud.OpListImages
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s\nin full:\n%s", path, diff, got)
	}
}

func ahead(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }

// overTLS is the same cloud on another port, with a certificate that ends so soon.
func (w *world) overTLS(t *testing.T, left time.Duration) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(w)
	server.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // a handshake that fails is meant to
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	w.url, w.ca = server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return w
}

func (w *world) caFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, w.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever a cloud answers, and be it the secret that it got, the page has none.
func TestNoSecretIsTold(t *testing.T) {
	for name, status := range map[string]int{"400": 400, "401": 401, "403": 403, "404": 404, "500": 500} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fakecloud.Options{Huawei: true})
			token := w.Token("watcher", producer)
			secrets := []string{password, appSecret, secretKey, keyToken, token}
			w.Inject(fakecloud.Fault{
				Status: status, Header: http.Header{"Content-Type": {"application/json"}},
				Body: `{"error": {"message": "` + strings.Join(secrets, " and ") + `", "code": 1}}`,
			})
			for _, cloud := range []string{
				w.login("prod", "watcher", "producer", three),
				w.login("prod", "watcher", "", "projects: all", three),
				w.appCredential("a1", appSecret, three),
				w.aksk("TEMPORARYTTINDUT2QVK", ", security_token: "+keyToken, "scrape: {timeout: 1s}", three),
				entry("prod", fmt.Sprintf("{token: {auth_url: %s/identity/v3, token: %s}}", w.url, token), three),
				entry("prod", fmt.Sprintf("{token: {token: %s, project_id: %s}}", token, producer), "endpoint: "+w.url+"/image", three),
			} {
				page, failed, err := run(t.Context(), t, cloud)
				if err != nil || len(failed) != 1 {
					t.Errorf("failed: %v, %v", failed, err)
				}
				for _, secret := range secrets {
					// A cloud knows but the one that it was sent.
					if strings.Contains(cloud, secret) && strings.Contains(page, secret) {
						t.Errorf("%s is told:\n%s", secret, page)
					}
				}
			}
		})
	}
}

// A cloud that hangs takes its own time and no other's, and Ctrl-C ends it at once.
func TestNobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakecloud.Options{})
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Hang: true})
	start := time.Now()
	var clouds []string
	for _, name := range []string{"one", "two", "three", "four"} {
		clouds = append(clouds, w.login(name, "watcher", "producer", "scrape: {timeout: 1s}", three))
	}
	page, failed, err := run(t.Context(), t, clouds...)
	if took := time.Since(start); err != nil || len(failed) != 4 || took > 3*time.Second {
		t.Errorf("after %s: %v, %v\n%s", took, failed, err, page)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("interrupted")) })
	start = time.Now()
	_, _, err = run(ctx, t, w.login("one", "watcher", "producer", three))
	if took := time.Since(start); err == nil || err.Error() != "preflight: interrupted" || took > 3*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

// One login, and nothing but reading.
func TestItAsksNoMoreThanAScrape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakecloud.Options{})
	if _, _, err := run(t.Context(), t, w.login("prod", "watcher", "producer", three)); err != nil {
		t.Fatal(err)
	}
	if n := w.Count(fakecloud.OpAuthenticate); n != 1 {
		t.Errorf("%d logins", n)
	}
	for _, r := range w.Requests() {
		if r.Service == "image" && r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}
