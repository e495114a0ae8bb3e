package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

const requestID = "X-Openstack-Request-Id"

// E20: requests ask caches to stay out, and the words of errors are English.
func TestE20Headers(t *testing.T) {
	want := http.Header{"Cache-Control": {"no-cache"}, "Accept-Language": {"en"}}
	check := func(r *http.Request) {
		for name := range want {
			if diff := cmp.Diff(want[name], r.Header[name]); diff != "" {
				t.Errorf("%s %s: %s", r.Method, r.URL.Path, diff)
			}
		}
	}
	// Keystone's listing too.
	roaming(t, func(t *testing.T, w *fakecloud.Cloud, g *gate, p *client.Projects) {
		asked := map[string]bool{}
		g.next = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/auth/tokens") {
				asked[r.URL.Path[strings.LastIndex(r.URL.Path, "/"):]] = true
				check(r)
			}
			w.ServeHTTP(rw, r)
		})
		if _, err := p.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Members(t.Context(), golden); err != nil {
			t.Fatal(err)
		}
		if !asked["/projects"] || !asked["/members"] {
			t.Errorf("asked for %v", asked)
		}
	})
	// Neither is signed, and a signed request has no ID: a header that a proxy changes would make the signature wrong.
	c, _ := newIMS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(r)
		authorization := r.Header.Get("Authorization")
		if !strings.Contains(authorization, "SignedHeaders=host;x-project-id;x-sdk-date,") || r.Header[requestID] != nil {
			t.Errorf("got %s, %s", authorization, r.Header[requestID])
		}
		fmt.Fprint(w, `{"members": []}`)
	}), client.MembersV2)
	if _, err := c.Members(t.Context(), golden); err != nil {
		t.Error(err)
	}
}

// E20: an answer of a cache is not read, whatever its status is.
func TestE20Age(t *testing.T) {
	for _, test := range []struct {
		age    string
		status int
		old    bool
	}{
		{"", 200, false},
		{"0", 200, false},
		{" 5 ", 200, false},
		{"6", 200, true},
		{"86400", 200, true},
		{"99999999999999999999999", 200, true},
		{"-7", 200, false},
		{"old", 200, false},
		{"60", 404, true},
		{"60", 403, true},
		{"60", 401, true},
		{"0, 86400", 200, true},
		{"0|86400", 200, true},
		{"0, old", 200, false},
	} {
		t.Run(fmt.Sprint(test.age, " ", test.status), func(t *testing.T) {
			asked := 0
			c, seen := newClient(t, client.Options{
				Endpoint:  "http://cloud.test",
				ProjectID: producer,
				Auth:      func() (gophercloud.AuthOptions, error) { return gophercloud.AuthOptions{TokenID: "t"}, nil },
				Transport: fakecloud.InMemory(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					asked++
					w.Header()["Age"] = strings.Split(test.age, "|")
					w.Header().Set("Date", "Mon, 02 Jan 2006 15:04:05 GMT")
					w.WriteHeader(test.status)
					fmt.Fprint(w, `{"members": []}`)
				})),
			})
			_, err := c.Members(t.Context(), golden)
			if !test.old {
				if err != nil {
					t.Error(err)
				}
				return
			}
			got := asError(t, err)
			want := "listing members of image " + golden + ": decode: response from a cache, " + strings.TrimLeft(test.age, "0,| ") +
				" seconds old: disable caching of the image API, or set endpoint to the API itself"
			if err.Error() != want || got.OwnNotFound || test.status != 200 && got.Status() != 0 {
				t.Errorf("got  %+v\nwant %s", got, want)
			}
			if diff := cmp.Diff([]string{"list_members decode"}, seen.take()); diff != "" || asked != 1 {
				t.Error(asked, diff)
			}
			if c.State().SkewKnown {
				t.Error("the date of a cached answer is believed")
			}
		})
	}
}

// E21: each request has a new ID, all of one process begin alike, and no other ID of an answer refuses it.
func TestE21RequestIDs(t *testing.T) {
	var ids []string
	answer := func(id string) []string { return []string{id} }
	c, _ := newClient(t, client.Options{
		Endpoint: "http://cloud.test", ProjectID: producer,
		Transport: fakecloud.InMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get(requestID)
			ids = append(ids, id)
			if got := answer(id); got != nil {
				w.Header()[requestID] = got
			}
			fmt.Fprint(w, `{"members": []}`)
		})),
	})
	ask := func(why string, good bool) {
		t.Helper()
		_, err := c.Members(t.Context(), golden)
		if good != (err == nil) {
			t.Errorf("%s: %v", why, err)
		}
		if !good &&
			(asError(t, err).Code != client.CodeDecode || !strings.Contains(err.Error(), "response to another request of this exporter")) {
			t.Errorf("%s: %v", why, err)
		}
	}
	ask("an echo", true)
	answer = func(id string) []string { return []string{strings.ToUpper(id[:4]) + id[4:]} }
	ask("an echo in other letters", true)
	answer = func(string) []string { return nil }
	ask("none", true)
	answer = func(string) []string { return []string{"req-206f59c5-2b4f-4b1d-8ff2-055d3bda3f17"} }
	ask("the server's own", true)
	answer = func(string) []string { return []string{"req-hello"} }
	ask("what is no UUID", true)
	answer = func(string) []string { return []string{ids[0]} }
	ask("that of another request", false)
	answer = func(id string) []string { return []string{id, ids[0]} }
	ask("both", false)
	form := regexp.MustCompile(`^req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for _, id := range ids {
		if !form.MatchString(id) || seen[id] || id[:23] != ids[0][:23] {
			t.Errorf("%s, after %s", id, ids[0])
		}
		seen[id] = true
	}
}

// connections counts the connections to a server, and has transports to it with and without keep-alives.
type connections struct {
	url         string
	keep, fresh *http.Transport
	mu          sync.Mutex
	remotes     []string // of the requests
}

func (c *connections) note(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remotes = append(c.remotes, r.RemoteAddr)
}

// different is how many connections there were.
func (c *connections) different() int {
	all := map[string]bool{}
	for _, remote := range c.remotes {
		all[remote] = true
	}
	return len(all)
}

func newConnections(t *testing.T, h http.HandlerFunc, start func(*httptest.Server)) *connections {
	t.Helper()
	c := &connections{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.note(r)
		h(w, r)
	}))
	start(s)
	t.Cleanup(s.Close)
	c.url = s.URL
	c.keep = s.Client().Transport.(*http.Transport).Clone()
	c.fresh = c.keep.Clone()
	c.fresh.DisableKeepAlives = true
	t.Cleanup(c.keep.CloseIdleConnections)
	return c
}

// E21: the connection of an answer that belongs to another request is closed, with or without a body.
func TestE21AConnectionThatIsMixedUp(t *testing.T) {
	for name, body := range map[string]string{
		"a list":      `{"members": []}`,
		"a long list": `{"members": []}` + strings.Repeat(" ", 1<<20), "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			first := ""
			server := newConnections(t, func(w http.ResponseWriter, r *http.Request) {
				id := r.Header.Get(requestID)
				if first == "" {
					first = id
				} else if first != "sent" {
					id, first = first, "sent"
					w.Header().Set(requestID, id)
					fmt.Fprint(w, body)
					return
				}
				w.Header().Set(requestID, id)
				fmt.Fprint(w, `{"members": []}`)
			}, (*httptest.Server).Start)
			c, _ := newClient(t, client.Options{Transport: server.keep, Endpoint: server.url, ProjectID: producer})
			for i, bad := range []bool{false, true, false, false} {
				if _, err := c.Members(t.Context(), golden); bad != (err != nil) {
					t.Errorf("request %d: %v", i, err)
				}
			}
			r := server.remotes
			if r[0] != r[1] || r[1] == r[2] || r[2] != r[3] {
				t.Errorf("connections %s", r)
			}
		})
	}
}

// E21: an empty list is asked for on a new connection where nothing else binds it to its request.
func TestE21AnEmptyListOnAUsedConnection(t *testing.T) {
	plain, secure := (*httptest.Server).Start, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	}
	for _, test := range []struct {
		name                      string
		start                     func(*httptest.Server)
		echo, rows, keys, nofresh bool
		requests, connections     int
	}{
		{name: "an echo", start: plain, echo: true, requests: 4, connections: 1},
		{name: "no echo", start: plain, requests: 5, connections: 4},
		{name: "no echo, and rows", start: plain, rows: true, requests: 4, connections: 1},
		{name: "no echo, and no other transport", start: plain, nofresh: true, requests: 4, connections: 1},
		{name: "signed", start: plain, keys: true, requests: 5, connections: 4},
		{name: "HTTP/2", start: secure, requests: 4, connections: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newConnections(t, func(w http.ResponseWriter, r *http.Request) {
				if test.echo {
					w.Header().Set(requestID, r.Header.Get(requestID))
				}
				if test.keys && r.Header.Get("Authorization") == "" {
					t.Error("not signed")
				}
				rows := ""
				if test.rows {
					rows = memberRows(1)
				}
				fmt.Fprintf(w, `{"members": [%s]}`, rows)
			}, test.start)
			opts := client.Options{Transport: server.keep, Fresh: server.fresh, Endpoint: server.url, ProjectID: producer}
			if test.keys {
				opts.Keys = accessKey
			}
			if test.nofresh {
				opts.Fresh = nil
			}
			c, seen := newClient(t, opts)
			for range 4 {
				list, err := c.Members(t.Context(), golden)
				if err != nil || len(list.Members) != map[bool]int{true: 1}[test.rows] {
					t.Errorf("got %+v, %v", list, err)
				}
			}
			if len(server.remotes) != test.requests || server.different() != test.connections || len(seen.take()) != test.requests {
				t.Errorf("%d requests on %d connections, want %d on %d", len(server.remotes), server.different(), test.requests, test.connections)
			}
			if len(c.Peers()) > 1 {
				t.Errorf("peers %v", c.Peers())
			}
		})
	}
}

// E21: what comes on the new connection counts.
func TestE21ALateAnswerIsNotAnEmptyList(t *testing.T) {
	var used sync.Map
	server := newConnections(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/members") {
			if _, again := used.Load(r.RemoteAddr); again {
				fmt.Fprint(w, `{"members": []}`) // of another request
			} else {
				fmt.Fprint(w, `{"members": [`+memberRows(2)+`]}`)
			}
			return
		}
		used.Store(r.RemoteAddr, true)
		fmt.Fprint(w, `{"id": "`+golden+`"}`)
	}, (*httptest.Server).Start)
	c, _ := newClient(t, client.Options{Transport: server.keep, Fresh: server.fresh, Endpoint: server.url, ProjectID: producer})
	for range 3 {
		if _, err := c.Image(t.Context(), golden); err != nil {
			t.Fatal(err)
		}
		list, err := c.Members(t.Context(), golden)
		if err != nil || len(list.Members) != 2 {
			t.Errorf("got %+v, %v", list, err)
		}
	}
}

// E21: requests that run side by side find out together that the API does not echo request IDs. The race detector looks on.
func TestE21NoEchoSideBySide(t *testing.T) {
	server := newConnections(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"members": []}`)
	}, (*httptest.Server).Start)
	c, _ := newClient(t, client.Options{Transport: server.keep, Fresh: server.fresh, Endpoint: server.url, ProjectID: producer})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if list, err := c.Members(t.Context(), golden); err != nil || len(list.Members) != 0 {
					t.Errorf("got %+v, %v", list, err)
				}
			}
		})
	}
	group.Wait()
}

// E21: a redirect that makes another request of a login is not followed, and the key to correct is named.
func TestE21RedirectsAtLogin(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		to     string // HERE is the server's own URL
		want   string
	}{
		{
			"another scheme", 301, "https://keystone.example.com/v3/auth/tokens?token=secret-word",
			"redirect to https://keystone.example.com not followed, because the credential would be sent there: correct auth_url",
		},
		{
			"another port", 308, "http://127.0.0.1:1/v3/auth/tokens",
			"redirect to http://127.0.0.1:1 not followed, because the credential would be sent there: correct auth_url",
		},
		{
			"a GET", 302, "/identity/v3/auth/tokens",
			"redirect to /identity/v3/auth/tokens not followed, because the POST would become a GET: correct auth_url",
		},
		{
			"a page to log in", 307, "/login?next=secret-word",
			"redirect to /login not followed, because it leads to something else: correct auth_url",
		},
		{"another path, with the method", 307, "/identity/v3/auth/tokens", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			posts := 0
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/identity/v3/auth/tokens" {
					w.Header().Set("Location", test.to)
					w.WriteHeader(test.status)
					return
				}
				if r.Method != http.MethodPost {
					t.Errorf("got a %s", r.Method)
				}
				posts++
				w.Header().Set("X-Subject-Token", "t")
				w.WriteHeader(http.StatusCreated)
				fmt.Fprint(w, `{"token": {"project": {"id": "p"}}}`)
			}))
			c, _ := newClient(t, client.Options{Auth: byPassword(url + "/v3"), Endpoint: url})
			_, err := c.Connect(t.Context())
			if test.want == "" {
				if err != nil || posts != 1 {
					t.Errorf("%d logins, %v", posts, err)
				}
				return
			}
			want := fmt.Sprintf("logging in: %d %s: %s", test.status, http.StatusText(test.status), test.want)
			if err == nil || err.Error() != want || strings.Contains(err.Error(), "secret-word") {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// E21: the user's projects are listed by Keystone, whose URL is another key.
func TestE21RedirectOfTheListOfProjects(t *testing.T) {
	keystone := keystoneWith(func() string { return `{"user": {"id": "u"}}` }, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://other.test"+r.URL.Path, http.StatusFound)
	})
	p, err := client.NewProjects(client.Options{Transport: fakecloud.InMemory(keystone), Auth: func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{IdentityEndpoint: inMemoryURL, Username: "u", Password: "secret", DomainName: "d"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.Enter(t.Context())
	want := "listing the user's projects: 302 Found: redirect to https://other.test not followed, because the token would be sent there: " +
		"correct auth_url"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
