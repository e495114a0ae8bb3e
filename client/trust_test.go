package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// gate sees the body of a login before the cloud does.
type gate struct {
	next  http.Handler
	login func(w http.ResponseWriter, r *http.Request, body string) (next string) // what the cloud gets; empty: it is answered
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.login != nil && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		body, _ := io.ReadAll(r.Body) // from memory
		next := g.login(w, r, string(body))
		if next == "" {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader([]byte(next)))
	}
	g.next.ServeHTTP(w, r)
}

// roaming runs f with a client of a user with a role in two projects.
func roaming(t *testing.T, f func(t *testing.T, w *fakecloud.Cloud, g *gate, p *client.Projects)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for _, id := range []string{producer, consumerA} {
			w.AddUser("roamer", "roamer-secret", id, "reader")
		}
		g := &gate{next: w}
		p, err := client.NewProjects(client.Options{
			Auth: func() (gophercloud.AuthOptions, error) {
				return gophercloud.AuthOptions{
					IdentityEndpoint: inMemoryURL,
					Username:         "roamer",
					Password:         "roamer-secret",
					DomainName:       "Default",
				}, nil
			},
			Transport: fakecloud.InMemory(g),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		f(t, w, g, p)
	})
}

func tokens(scopes []client.Scope) (n int) {
	for _, s := range scopes {
		if s.Err == nil {
			n++
		}
	}
	return n
}

// A project whose login hangs leaves the others most of the time, from the first collection on; one whose login is slow
// has its token for the next collection.
func TestALoginThatHangsCostsTheOtherProjectsLittle(t *testing.T) {
	for name, delay := range map[string]time.Duration{"hangs": time.Hour, "slow": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			roaming(t, func(t *testing.T, w *fakecloud.Cloud, g *gate, p *client.Projects) {
				w.AddUser("roamer", "roamer-secret", consumerB, "reader")
				g.login = func(_ http.ResponseWriter, r *http.Request, body string) string {
					if !strings.Contains(body, consumerB) {
						return body
					}
					select {
					case <-time.After(delay):
						return body
					case <-r.Context().Done():
						return ""
					}
				}
				for i, want := range []int{2, map[string]int{"hangs": 2, "slow": 3}[name]} {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					began := time.Now()
					scopes, err := p.Enter(ctx)
					cancel()
					if took := time.Since(began); err != nil || tokens(scopes) != want || took > 4*time.Second {
						t.Errorf("collection %d: %v, %d tokens after %s", i, err, tokens(scopes), took)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

// A token for another project than the one that was asked for is none: it would show whose images are not there.
func TestATokenOfAnotherProject(t *testing.T) {
	roaming(t, func(t *testing.T, _ *fakecloud.Cloud, g *gate, p *client.Projects) {
		g.login = func(_ http.ResponseWriter, _ *http.Request, body string) string {
			return strings.ReplaceAll(body, producer, consumerA)
		}
		scopes, err := p.Enter(t.Context())
		if err != nil || len(scopes) != 2 || tokens(scopes) != 1 || scopes[0].Access.ProjectID != producer || scopes[0].Err == nil {
			t.Fatalf("got %+v, %v", scopes, err)
		}
		want := "logging in: Keystone issued a token for project " + consumerA + " instead of " + producer
		if got := scopes[0].Err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if _, err := p.Image(t.Context(), hidden); asError(t, err).Op != client.OpAuthenticate {
			t.Errorf("got %v: its owner was never asked", err)
		}
	})
}

// A 404 to a login says nothing of an image.
func TestA404ToALogin(t *testing.T) {
	roaming(t, func(t *testing.T, w *fakecloud.Cloud, g *gate, p *client.Projects) {
		if _, err := p.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.AddUser("roamer", "roamer-secret", consumerB, "reader")
		w.AddImage(fakecloud.Image{ID: absent, Name: "theirs", Owner: consumerB, Visibility: "shared"})
		g.login = func(rw http.ResponseWriter, _ *http.Request, body string) string {
			if !strings.Contains(body, consumerB) {
				return body
			}
			time.Sleep(2 * time.Second)
			rw.WriteHeader(http.StatusNotFound)
			return ""
		}
		var collection sync.WaitGroup
		collection.Go(func() { _, _ = p.Enter(t.Context()) }) // that of a reload, beside an old one
		time.Sleep(time.Second)
		if _, err := p.Image(t.Context(), absent); asError(t, err).Op != client.OpAuthenticate {
			t.Errorf("got %v", err)
		}
		collection.Wait()
	})
}

// The first token is asked for without a project, in as many words: a user may have a default one.
func TestTheFirstTokenIsUnscoped(t *testing.T) {
	roaming(t, func(t *testing.T, _ *fakecloud.Cloud, g *gate, p *client.Projects) {
		var first string
		g.login = func(_ http.ResponseWriter, _ *http.Request, body string) string {
			if first == "" {
				first = body
			}
			return body
		}
		if _, err := p.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(first, `"scope":"unscoped"`) {
			t.Error(first)
		}
	})
}

// Who sees which image is remembered for as long as somebody asks for it, however many others are asked for meanwhile in
// collections of their own, as those of shards are; and not for ever.
func TestWhoSeesAnImageIsRemembered(t *testing.T) {
	roaming(t, func(t *testing.T, w *fakecloud.Cloud, _ *gate, p *client.Projects) {
		var ids []string
		for i := range 8 {
			ids = append(ids, fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
			w.AddImage(fakecloud.Image{ID: ids[i], Name: "one of many", Owner: consumerA, Visibility: "shared"})
		}
		collect := func(id string) {
			t.Helper()
			if _, err := p.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Members(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		round := func() (records int) {
			before := w.Count(fakecloud.OpGetImage)
			for _, id := range ids {
				collect(id)
				time.Sleep(5 * time.Second)
			}
			return w.Count(fakecloud.OpGetImage) - before
		}
		if got, want := round(), 2*len(ids); got > want {
			t.Errorf("%d records are read at first, want %d at most", got, want)
		}
		for i := range 200 { // more than two hours
			if got := round(); got > 0 {
				t.Fatalf("round %d: %d records are read again", i, got)
			}
		}
		before := w.Count(fakecloud.OpGetImage)
		for range 180 {
			collect(ids[0])
			time.Sleep(time.Minute)
		}
		collect(ids[1])
		if got := w.Count(fakecloud.OpGetImage) - before; got == 0 {
			t.Error("an image that nobody asked for in three hours is remembered")
		}
	})
}

// A server that quotes what it got shows no secret, however it writes it.
func TestSecretsInOtherSpellings(t *testing.T) {
	for _, secret := range []string{
		`pa"ss-word-1`, "pässwort-geheim", `back\slash-pw`, "a&b<c>d-long",
		"smile-\U0001F600-pw", "blank s in it",
	} {
		for name, quote := range map[string]func(string) string{
			"as it is":  func(s string) string { return s },
			"in JSON":   func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` },
			"in ASCII":  func(s string) string { return strings.ReplaceAll(fmt.Sprintf("%+q", s), `\U0001f600`, `\ud83d\ude00`) },
			"in a form": url.QueryEscape,
		} {
			t.Run(name+" "+secret, func(t *testing.T) {
				server := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusUnprocessableEntity)
					_, _ = fmt.Fprintf(w, `{"detail": [{"loc": ["auth"], "input": {"password": %s}}]}`, quote(secret))
				}))
				c, _ := newClient(t, client.Options{Auth: func() (gophercloud.AuthOptions, error) {
					return gophercloud.AuthOptions{IdentityEndpoint: server, Username: "u", Password: secret, DomainName: "Default"}, nil
				}})
				if _, err := c.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "<secret>") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// The metadata service may have a new key before the time of the old one, which the API refuses.
func TestAKeyThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given, good := 0, 1
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/api/token"):
				_, _ = io.WriteString(w, "tok")
			case strings.HasSuffix(r.URL.Path, "securitykey"):
				given++
				_, _ = fmt.Fprintf(w, `{"credential": {"access": "AK%d", "secret": "secret-%d", "securitytoken": "token-%d", "expires_at": %q}}`,
					given, given, given, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
			case r.Header.Get("X-Security-Token") != fmt.Sprintf("token-%d", good):
				w.WriteHeader(http.StatusUnauthorized)
			default:
				_, _ = io.WriteString(w, `{"members": []}`)
			}
		})
		c, _ := newClient(t, client.Options{
			Settings: client.Settings{API: client.IMS}, Endpoint: "http://ims.test", ProjectID: producer,
			Metadata: &client.MetadataOptions{Transport: fakecloud.InMemory(server)}, Transport: fakecloud.InMemory(server),
		})
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		good = 2
		began := time.Now()
		for scrape(t, c, golden) != nil && time.Since(began) < time.Hour {
			time.Sleep(time.Minute)
		}
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("healed after %s", took)
		}
		// Where a new key does not help, they are not asked for at each request.
		good = 0
		before := given
		for range 120 {
			_ = scrape(t, c, golden)
			time.Sleep(30 * time.Second)
		}
		if got := given - before; got > 20 {
			t.Errorf("%d keys in an hour", got)
		}
	})
}

// After many refused keys, one that keeps working ends the delays: the next refused key is replaced as soon as the first one was.
func TestAKeyThatWorksEndsTheDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var given, good atomic.Int64 // numbers of keys
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/api/token"):
				_, _ = io.WriteString(w, "metadata-token")
			case strings.HasSuffix(r.URL.Path, "securitykey"):
				n := given.Add(1)
				_, _ = fmt.Fprintf(w, `{"credential": {"access": "AK%d", "secret": "secret-%d", "securitytoken": "token-%d", "expires_at": %q}}`,
					n, n, n, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
			case r.Header.Get("X-Security-Token") != fmt.Sprintf("token-%d", good.Load()):
				w.WriteHeader(http.StatusUnauthorized)
			default:
				_, _ = io.WriteString(w, `{"members": []}`)
			}
		})
		c, _ := newClient(t, client.Options{
			Settings: client.Settings{API: client.IMS}, Endpoint: "http://ims.test", ProjectID: producer,
			Metadata: &client.MetadataOptions{Transport: fakecloud.InMemory(server)}, Transport: fakecloud.InMemory(server),
		})
		untilRead := func() time.Duration {
			began := time.Now()
			for scrape(t, c, golden) != nil && time.Since(began) < time.Hour {
				time.Sleep(5 * time.Second)
			}
			return time.Since(began)
		}
		good.Store(1)
		untilRead()
		good.Store(given.Load() + 2)
		first := untilRead() // after another refused key
		good.Store(-1)
		untilRead()
		good.Store(given.Load() + 1)
		if took := untilRead(); took > 6*time.Minute {
			t.Errorf("after an hour without a good key, the first good one was used after %s", took)
		}
		for range 100 {
			time.Sleep(5 * time.Second)
			if err := scrape(t, c, golden); err != nil {
				t.Fatal(err)
			}
		}
		good.Store(given.Load() + 2)
		if took := untilRead(); took > first+30*time.Second {
			t.Errorf("healed after %s, the first time after %s", took, first)
		}
		// A key that is refused now and then ends no delay: the next key would be asked for at each refusal.
		before := given.Load()
		for i := range 720 {
			good.Store(given.Load() - int64(i%2))
			_ = scrape(t, c, golden)
			time.Sleep(5 * time.Second)
		}
		if got := given.Load() - before; got > 20 {
			t.Errorf("%d keys in an hour", got)
		}
	})
}

func TestAKeyThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := 0
		k := client.NewMetadataKeys(client.MetadataOptions{Transport: fakecloud.InMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/api/token") {
				_, _ = io.WriteString(w, "tok")
				return
			}
			given++
			_, _ = fmt.Fprintf(w, `{"credential": {"access": "AK", "secret": "secret", "securitytoken": "token", "expires_at": %q}}`,
				time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
		}))})
		defer k.Close()
		for range 100 {
			if _, err := k.Key(t.Context()); err == nil || !strings.Contains(err.Error(), "check this machine's clock") {
				t.Fatalf("got %v", err)
			}
		}
		if given > 2 {
			t.Errorf("%d keys for 100 requests at once", given)
		}
	})
}
