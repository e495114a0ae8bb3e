package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

func TestCredential(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ends := time.Now().Add(12 * 24 * time.Hour).UTC().Truncate(time.Microsecond)
	w.SetPasswordEnd("watcher", ends)
	w.AddAppCredential(fakecloud.AppCredential{
		ID: "free", Name: "free-name", Secret: appSecret,
		User: "watcher", ProjectID: producer, Unrestricted: true,
	})
	watcher, domain := client.Named{ID: "bb144de4427a17958c7fd721053b841a", Name: "watcher"}, client.Named{ID: "default", Name: "Default"}
	byToken := func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{IdentityEndpoint: inMemoryURL, TokenID: w.Token("watcher", producer)}, nil
	}
	for name, test := range map[string]struct {
		auth          func() (gophercloud.AuthOptions, error)
		before, after client.Credential
	}{
		"password": {
			byPassword(inMemoryURL),
			client.Credential{
				Keystone: inMemoryURL, User: client.Named{Name: "watcher"}, Domain: client.Named{Name: "Default"},
				Project: client.Named{Name: "producer"},
			},
			client.Credential{
				Keystone: inMemoryURL, User: watcher, Domain: domain, Project: client.Named{Name: "producer"},
				Known: true, PasswordEnds: ends,
			},
		},
		"application credential": {
			byAppCredential(inMemoryURL, "free"),
			client.Credential{Keystone: inMemoryURL, ApplicationCredential: &client.ApplicationCredential{Named: client.Named{ID: "free"}}},
			client.Credential{
				Keystone: inMemoryURL, User: watcher, Domain: domain, Known: true, PasswordEnds: ends,
				ApplicationCredential: &client.ApplicationCredential{Named: client.Named{ID: "free", Name: "free-name"}, Unrestricted: true},
			},
		},
		"access rules": {
			byAppCredential(inMemoryURL, "rules"),
			client.Credential{Keystone: inMemoryURL, ApplicationCredential: &client.ApplicationCredential{Named: client.Named{ID: "rules"}}},
			client.Credential{
				Keystone: inMemoryURL, User: watcher, Domain: domain, Known: true, PasswordEnds: ends,
				ApplicationCredential: &client.ApplicationCredential{
					Named: client.Named{ID: "rules"}, Rules: []client.AccessRule{{Service: "image", Method: "GET", Path: "/v2/images/*/members"}},
				},
			},
		},
		"token": {
			byToken,
			client.Credential{Keystone: inMemoryURL, Given: true},
			client.Credential{Keystone: inMemoryURL, Given: true, User: watcher, Domain: domain, Known: true, PasswordEnds: ends},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, client.Options{Auth: test.auth, Transport: fakecloud.InMemory(w)})
			if diff := cmp.Diff(test.before, c.Credential()); diff != "" {
				t.Errorf("before a login (-want +got):\n%s", diff)
			}
			if _, err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, c.Credential()); diff != "" {
				t.Errorf("after it (-want +got):\n%s", diff)
			}
		})
	}
}

// Who the user is serves a preflight only. A Keystone that tells it in some other form is entered as before.
func TestALoginThatTellsNoUser(t *testing.T) {
	t.Parallel()
	for _, user := range []string{`null`, `"watcher"`, `{"domain": [], "id": 7}`, `[]`} {
		keystone := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Subject-Token", "a-token")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w,
				`{"token": {"user": `+user+`, "application_credential": `+user+`, "project": {"id": "`+producer+`", "name": "producer"}}}`)
		})
		c, _ := newClient(t,
			client.Options{Auth: byPassword(inMemoryURL), Endpoint: "http://cloud.test/image", Transport: fakecloud.InMemory(keystone)})
		access, err := c.Connect(t.Context())
		if err != nil || access.ProjectID != producer || c.Credential().User.ID != "" {
			t.Errorf("user %s: %+v, %+v, %v", user, access, c.Credential(), err)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status     int
		body       string
		want, fail string
	}{
		"current": {300, `{"versions": [{"id": "v2.9", "status": "SUPPORTED"}, {"id": "v2.16", "status": "CURRENT"}, {"id": "v2.17", ` +
			`"status": "EXPERIMENTAL"}]}`, "v2.16", ""},
		"200": {200, `{"versions": [{"id": "v2.2", "status": "CURRENT"}]}`, "v2.2", ""},
		"none is current": {
			300,
			`{"versions": [{"id": "v2.9", "status": "SUPPORTED"}, {"id": "v2.16", "status": "SUPPORTED"}, {"id": "v1"}]}`, "v2.16", "",
		},
		"none":              {300, `{"versions": []}`, "", `decode: no "versions" in the response`},
		"a page":            {200, "<html><title>login</title>who are you?</html>", "", "decode: "},
		"not found":         {404, "", "", "404 Not Found"},
		"an error with 300": {300, `{"error": {"message": "no"}}`, "", "decode: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.Inject(fakecloud.Fault{
				Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpVersions },
				Status: test.status, Body: test.body,
			})
			c, seen := newClient(t, client.Options{Auth: byPassword(inMemoryURL), Transport: fakecloud.InMemory(w)})
			got, err := c.Version(t.Context())
			if got != test.want || (err == nil) != (test.fail == "") {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "reading the API version: "+test.fail) {
				t.Errorf("got %v, want %s", err, test.fail)
			}
			if diff := cmp.Diff([]string{"authenticate"}, seen.take()); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			for _, r := range w.Requests() {
				if r.Operation == fakecloud.OpVersions && (r.Path != "/image/" || r.Header.Get("X-Auth-Token") != "") {
					t.Errorf("asked %s with %s", r.Path, r.Header)
				}
			}
		})
	}
}

func certificate(t *testing.T, ends time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ends.Unix()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A host behind which several servers are is as good as the one whose certificate ends first. Keystone and the image API
// are one host here.
func TestPeers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	day := func(n int) time.Time { return time.Now().AddDate(0, 0, n).Truncate(time.Second).UTC() }
	several := []tls.Certificate{certificate(t, day(90)), certificate(t, day(10)), certificate(t, day(300))}
	var next atomic.Int64
	server := httptest.NewUnstartedServer(w)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: several[int(next.Add(1)-1)%len(several):][:1], SessionTicketsDisabled: true}, nil
	}}
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	for _, c := range several {
		pool.AddCert(c.Leaf)
	}
	host := strings.TrimPrefix(server.URL, "https://")
	peersOf := func(config *tls.Config) []client.Peer {
		// A connection for each request.
		c, _ := newClient(t, client.Options{
			Auth:      byPassword(server.URL + "/identity/v3"),
			Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		})
		if peers := c.Peers(); len(peers) != 0 {
			t.Errorf("before a request: %v", peers)
		}
		for range 4 {
			if _, err := c.Members(context.WithoutCancel(t.Context()), golden); err != nil {
				t.Fatal(err)
			}
		}
		return c.Peers()
	}
	ignore := cmpopts.IgnoreUnexported(client.Peer{})
	if diff := cmp.Diff([]client.Peer{{Host: host, CertificateEnds: day(10)}}, peersOf(&tls.Config{RootCAs: pool}),
		ignore, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]client.Peer{{Host: host, CertificateEnds: day(10), Unverified: true}},
		peersOf(&tls.Config{InsecureSkipVerify: true}), ignore, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
		t.Errorf("unverified, -want +got:\n%s", diff)
	}
	plain, _ := newClient(t, client.Options{Auth: byPassword(inMemoryURL), Transport: fakecloud.InMemory(w)})
	if _, err := plain.Members(t.Context(), golden); err != nil || len(plain.Peers()) != 0 {
		t.Errorf("over plain HTTP: %v, %v", plain.Peers(), err)
	}
}
