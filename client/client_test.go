package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gophercloud/gophercloud/v2"
	"go.uber.org/goleak"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	producer  = "61c9216745884e7782dc16e5123a5fc9"
	consumerA = "fb0d5993e8f14ca887876f3d14abb39d"
	consumerB = "47778e75944945adb89fbb37229364c1"
	golden    = "83a34450-688e-449a-abea-c212f45c5a6c"
	hidden    = "2c30e81a-4cb8-4510-bff2-a16f3b5f9769"
	absent    = "00000000-0000-4000-8000-000000000000"
	password  = "correct-horse-battery"
	appSecret = "staple-secret"
)

// newWorld is a cloud with two images of one project.
func newWorld() *fakecloud.Cloud {
	w := fakecloud.New(fakecloud.Options{})
	w.AddProjectID(producer, "producer")
	w.AddProjectID(consumerA, "consumer-a")
	w.AddProjectID(consumerB, "consumer-b")
	w.AddUser("watcher", password, producer, "reader")
	w.AddUser("neighbour", password, consumerA, "member")
	w.AddAppCredential(fakecloud.AppCredential{
		ID: "app", Name: "app-name", Secret: appSecret, User: "watcher",
		ProjectID: producer, Roles: []string{"reader"},
	})
	w.AddAppCredential(fakecloud.AppCredential{
		ID: "rules", Secret: appSecret, User: "watcher", ProjectID: producer, Roles: []string{"reader"},
		AccessRules: []fakecloud.AccessRule{{Method: "GET", Path: "/v2/images/*/members"}},
	})
	w.AddImage(fakecloud.Image{ID: golden, Name: "golden", Owner: producer, Visibility: "shared"})
	w.AddImage(fakecloud.Image{ID: hidden, Name: "old", Owner: producer, Visibility: "shared", Hidden: true})
	w.Share(golden, consumerA)
	w.SetStatus(golden, consumerA, "accepted")
	w.Share(golden, consumerB)
	return w
}

const inMemoryURL = "http://cloud.test/identity/v3"

func byPassword(authURL string) func() (gophercloud.AuthOptions, error) {
	return func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{
			IdentityEndpoint: authURL, Username: "watcher", Password: password, DomainName: "Default",
			Scope: &gophercloud.AuthScope{ProjectName: "producer", DomainName: "Default"},
		}, nil
	}
}

func byAppCredential(authURL, id string) func() (gophercloud.AuthOptions, error) {
	return func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{IdentityEndpoint: authURL, ApplicationCredentialID: id, ApplicationCredentialSecret: appSecret}, nil
	}
}

// attempts is an Observer that keeps what it was told.
type attempts struct {
	mu  sync.Mutex
	all []string
}

func (a *attempts) observe(op client.Operation, code string, _ time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, strings.TrimSpace(string(op)+" "+code))
}

func (a *attempts) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

func newClient(t *testing.T, opts client.Options) (*client.Client, *attempts) {
	t.Helper()
	seen := &attempts{}
	opts.Observer, opts.UserAgent = seen.observe, "glance_share_exporter/test"
	if opts.Transport == nil {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		opts.Transport = transport
	}
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, seen
}

func start(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func memberIDs(t *testing.T, c *client.Client, id string) []string {
	t.Helper()
	list, err := c.Members(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range list.Members {
		got = append(got, m.ID+" "+string(m.Status))
	}
	return got
}

func TestEveryKindOfAuth(t *testing.T) {
	w := newWorld()
	url := start(t, w)
	identity := url + "/identity/v3"
	passThrough := w.Token("watcher", producer)
	tests := []struct {
		name   string
		opts   client.Options
		logins int
	}{
		{"password", client.Options{Auth: byPassword(identity)}, 1},
		{"auth_url without version", client.Options{Auth: byPassword(url + "/identity")}, 1},
		{"auth_url with a slash", client.Options{Auth: byPassword(url + "/identity/v3/")}, 1},
		{"auth_url of v2", client.Options{Auth: byPassword(url + "/identity/v2.0")}, 1},
		{"application credential", client.Options{Auth: byAppCredential(identity, "app")}, 1},
		{"token in the same scope", client.Options{Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{IdentityEndpoint: identity, TokenID: passThrough}, nil
		}}, 0},
		{"token to be scoped", client.Options{Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{
				IdentityEndpoint: identity,
				TokenID:          passThrough,
				Scope:            &gophercloud.AuthScope{ProjectID: producer},
			}, nil
		}}, 1},
		{"token as it is", client.Options{Endpoint: url + "/image", ProjectID: producer, Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{TokenID: passThrough}, nil
		}}, 0},
		{"endpoint instead of the catalog", client.Options{Auth: byPassword(identity), Endpoint: url + "/image/v2/"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.ResetLog()
			c, _ := newClient(t, test.opts)
			access, err := c.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if access.ProjectID != producer {
				t.Errorf("project %q, want %q", access.ProjectID, producer)
			}
			want := []string{consumerB + " pending", consumerA + " accepted"}
			if diff := cmp.Diff(want, memberIDs(t, c, golden)); diff != "" {
				t.Error(diff)
			}
			if got := w.Count("authenticate"); got != test.logins {
				t.Errorf("%d logins, want %d", got, test.logins)
			}
		})
	}
}

func TestAuthNoneSendsNoToken(t *testing.T) {
	var header http.Header
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		fmt.Fprint(w, `{"members": [], "schema": "/v2/schemas/members"}`)
	}))
	c, seen := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
	list, err := c.Members(t.Context(), golden)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Members) != 0 || list.Access.ProjectID != producer {
		t.Errorf("got %+v", list)
	}
	header.Del("Accept-Encoding")
	header.Del("X-Openstack-Request-Id") // another one each time
	want := http.Header{
		"Accept": {"application/json"}, "Accept-Language": {"en"}, "Cache-Control": {"no-cache"}, "User-Agent": {"glance_share_exporter/test"},
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"list_members"}, seen.take()); diff != "" {
		t.Error(diff)
	}
}

// ignoreBy leaves out the view that a record is from, which the tests of views compare.
var ignoreBy = cmpopts.IgnoreFields(client.Image{}, "By")

func TestRecords(t *testing.T) {
	w := newWorld()
	c, _ := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	list := func(hidden bool) []client.Image {
		images, err := c.Images(t.Context(), []string{golden, hiddenID(), absent}, hidden)
		if err != nil {
			t.Fatal(err)
		}
		return images
	}
	want := client.Image{ID: golden, Name: "golden", Owner: producer, Visibility: client.Shared, Status: "active", View: producer}
	if diff := cmp.Diff([]client.Image{want}, list(false), cmpopts.EquateEmpty(), ignoreBy); diff != "" {
		t.Error(diff)
	}
	wantHidden := client.Image{
		ID:         hidden,
		Name:       "old",
		Owner:      producer,
		Visibility: client.Shared,
		Status:     "active",
		Hidden:     true,
		View:       producer,
	}
	if diff := cmp.Diff([]client.Image{wantHidden}, list(true), cmpopts.EquateEmpty(), ignoreBy); diff != "" {
		t.Error(diff)
	}
	got, err := c.Image(t.Context(), hidden)
	if diff := cmp.Diff(wantHidden, got, cmpopts.EquateEmpty(), ignoreBy); err != nil || diff != "" {
		t.Error(err, diff)
	}
	_, err = c.Image(t.Context(), absent)
	if want := "reading image " + absent + ": 404 Not Found: No image found with ID " + absent; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func hiddenID() string { return hidden }

func TestOneLoginForManyRequestsAtOnce(t *testing.T) {
	w := newWorld()
	c, _ := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := c.Members(t.Context(), golden); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.Count("authenticate"); got != 1 {
		t.Errorf("%d logins, want 1", got)
	}
}

func TestRevokedTokenIsRenewedOnce(t *testing.T) {
	w := newWorld()
	c, seen := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	memberIDs(t, c, golden)
	w.RevokeTokens()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Members(t.Context(), golden); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.Count("authenticate"); got != 2 {
		t.Errorf("%d logins, want 2", got)
	}
	refused := 0
	for _, a := range seen.take() {
		if a == "list_members 401" {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no attempt with the revoked token was told")
	}
}

func asError(t *testing.T, err error) *client.Error {
	t.Helper()
	var apiErr *client.Error
	if !errors.As(err, &apiErr) {
		t.Fatalf("got %T %v, want a *client.Error", err, err)
	}
	return apiErr
}

func TestCloseEndsALogin(t *testing.T) {
	w := newWorld()
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == "authenticate" }, Hang: true})
	c, seen := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	ended := make(chan error)
	go func() {
		_, err := c.Connect(context.Background())
		ended <- err
	}()
	for w.Count("authenticate") == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	if code := asError(t, <-ended).Code; code != client.CodeCanceled {
		t.Errorf("code %q, want canceled", code)
	}
	if got := seen.take(); len(got) != 0 {
		t.Errorf("told %v of a login that we gave up", got)
	}
}
