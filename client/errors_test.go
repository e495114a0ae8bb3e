package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// The codes that the API document lists, and what a real Glance, Keystone, proxy or gateway says with them.
func TestStatusCodes(t *testing.T) {
	tests := []struct {
		status int
		body   string
		want   string
	}{
		{400, `{"message": "Bad marker<br /><br />\n\n\n", "code": "400 Bad Request", "title": "Bad Request"}`, "400 Bad Request: Bad marker"},
		{
			401,
			`{"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}`,
			"401 Unauthorized: The request you have made requires authentication.",
		},
		{
			403,
			`{"message": "Not allowed to list members for image X: Only shared images have members.<br /><br />\n\n\n", "code": "403 Forbidden"}`,
			"403 Forbidden: Not allowed to list members for image X: Only shared images have members.",
		},
		{
			404,
			"<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  Image X not found.<br /><br />\n " +
				"</body>\n</html>",
			"404 Not Found: 404 Not Found Image X not found.",
		},
		{
			429,
			`{"error_msg": "The throttling threshold has been reached", "error_code": "APIGW.0308"}`,
			"429 Too Many Requests: APIGW.0308: The throttling threshold has been reached",
		},
		{500, "", "500 Internal Server Error"},
		{503, "line one\r\nline\x00 two\xff \u202e", "503 Service Unavailable: line one line two\uFFFD"},
		{503, strings.Repeat("very long ", 10000), "503 Service Unavailable: " + strings.Repeat("very long ", 24) + "…"},
		{204, "", "204 No Content"},
	}
	for _, test := range tests {
		t.Run(strconv.Itoa(test.status), func(t *testing.T) {
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			c, seen := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
			_, err := c.Members(t.Context(), golden)
			apiErr := asError(t, err)
			if want := "listing members of image " + golden + ": " + test.want; err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			if apiErr.StatusCode != test.status || apiErr.Code != strconv.Itoa(test.status) || apiErr.ImageID != golden {
				t.Errorf("got %+v", apiErr)
			}
			requests := []string{"list_members " + strconv.Itoa(test.status)}
			if test.status == http.StatusTooManyRequests || test.status == http.StatusServiceUnavailable {
				requests = slices.Repeat(requests, 3) // that may pass
			}
			if diff := cmp.Diff(requests, seen.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTransportErrors(t *testing.T) {
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = nil
	t.Cleanup(tlsServer.Close)
	gone, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		url  string
		code string
		want int
	}{
		{"nobody listens", "http://" + gone.Addr().String(), "connect", 0},
		{"hangs", start(t, http.HandlerFunc(slow)), "timeout", 0},
		{"certificate of nobody we trust", tlsServer.URL, "tls", 0},
		{"HTTP where HTTPS is expected", "https" + strings.TrimPrefix(start(t, http.NotFoundHandler()), "http"), "tls", 0},
		{"hangs in the body", start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"members": [`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})), "timeout", 200},
		{"cut body", start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"members": []}`)
		})), "decode", 200},
		{
			"closed without an answer",
			start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })),
			"connect",
			0,
		},
	}
	gone.Close() // only now: another server could get its port
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, seen := newClient(t, client.Options{Endpoint: test.url, ProjectID: producer})
			timeout := 30 * time.Second
			if test.code == client.CodeTimeout {
				timeout = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := c.Members(ctx, golden)
			if apiErr := asError(t, err); apiErr.Code != test.code || apiErr.StatusCode != test.want {
				t.Errorf("got %+v", apiErr)
			}
			want := []string{"list_members " + test.code}
			if test.code == client.CodeConnect {
				want = slices.Repeat(want, 3) // that may pass
			}
			if diff := cmp.Diff(want, seen.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatWeGiveUpIsNotTold(t *testing.T) {
	arrived := make(chan struct{})
	url := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	c, seen := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := c.Members(ctx, golden)
	if code := asError(t, err).Code; code != client.CodeCanceled {
		t.Errorf("code %q", code)
	}
	if got := seen.take(); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}

func TestRedirects(t *testing.T) {
	var other, same int
	elsewhere := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other++ }))
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, golden+"/members"):
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/v2"):
			http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusFound)
		default:
			same++
			fmt.Fprint(w, `{"members": []}`)
		}
	}))
	c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
	_, err := c.Members(t.Context(), golden)
	want := "listing members of image " + golden + ": 302 Found: redirect to " + elsewhere +
		" not followed, because the token would be sent there: correct endpoint"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := c.Members(t.Context(), hidden); err != nil {
		t.Error(err)
	}
	if other != 0 || same != 1 {
		t.Errorf("%d requests went to another host, %d to the same", other, same)
	}
}

// A redirect to the list of another image would show that one's members.
func TestRedirectsToSomethingElse(t *testing.T) {
	for _, to := range []string{
		"/v2/images/" + hidden + "/members", "/v2/images/" + golden, "/v2/images/" + golden + "/members?limit=0", "/login",
	} {
		url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() == "/v2/images/"+golden+"/members" {
				http.Redirect(w, r, to, http.StatusFound)
				return
			}
			fmt.Fprint(w, `{"members": []}`)
		}))
		c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
		path, _, _ := strings.Cut(to, "?")
		want := "listing members of image " + golden + ": 302 Found: redirect to " + path +
			" not followed, because it leads to something else: correct endpoint"
		if list, err := c.Members(t.Context(), golden); err == nil || err.Error() != want {
			t.Errorf("got  %v %v\nwant %s", list.Members, err, want)
		}
	}
}

// What a server echoes of a secret is not in an error, wherever it stands and however it is written there.
func TestEchoedSecrets(t *testing.T) {
	const token = "gAAAAABsecretsecretsecretsecretsecretsecretsecret"
	for before := 195; before < 245; before++ { // around where a text is cut
		c, _ := newClient(t, client.Options{
			Transport: fakecloud.InMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprintf(w, `{"message": "%s %s"}`, strings.Repeat("x", before), r.Header.Get("X-Auth-Token"))
			})),
			Endpoint: "http://cloud.test", ProjectID: producer,
			Auth: func() (gophercloud.AuthOptions, error) { return gophercloud.AuthOptions{TokenID: token}, nil },
		})
		if _, err := c.Members(t.Context(), golden); strings.Contains(err.Error(), token[:8]) {
			t.Errorf("after %d characters: %v", before, err)
		}
	}
	for _, pw := range []string{"two  blanks here", "a&amp;b-secret", `qu"ote-secret`, "x<br>y-secret"} {
		w := newWorld()
		w.Inject(fakecloud.Fault{Match: isLogin, Raw: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, `{"error": {"message": %q}}`, "bad password: "+pw)
		}})
		c, _ := newClient(t, client.Options{Transport: fakecloud.InMemory(w), Auth: func() (gophercloud.AuthOptions, error) {
			ao, err := byPassword(inMemoryURL)()
			ao.Password = pw
			return ao, err
		}})
		if _, err := c.Connect(t.Context()); !strings.HasSuffix(err.Error(), "bad password: <secret>") {
			t.Errorf("%q: %v", pw, err)
		}
	}
}

func TestLoginErrors(t *testing.T) {
	w := newWorld()
	url := start(t, w)
	identity := url + "/identity/v3"
	auth := func(change func(*gophercloud.AuthOptions)) func() (gophercloud.AuthOptions, error) {
		return func() (gophercloud.AuthOptions, error) {
			ao, err := byPassword(identity)()
			change(&ao)
			return ao, err
		}
	}
	same := func(*gophercloud.AuthOptions) {}
	answer := func(status int, body string) func() {
		return w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Operation == "authenticate" },
			Status: status, Body: body,
		})
	}
	tests := []struct {
		name  string
		opts  client.Options
		fault func() (remove func())
		want  string
		told  []string
	}{
		{
			name: "wrong password", opts: client.Options{Auth: auth(func(ao *gophercloud.AuthOptions) { ao.Password = "wrong" })},
			want: "logging in: 401 Unauthorized: The request you have made requires authentication.", told: []string{"authenticate 401"},
		},
		{name: "unreadable secret", opts: client.Options{Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{}, errors.New("password_file: no such file")
		}}, want: "logging in: password_file: no such file"},
		{
			name: "no project", opts: client.Options{Auth: auth(func(ao *gophercloud.AuthOptions) { ao.Scope = nil })},
			want: "logging in: the token has no project, and without a project the image API shows no images: set a project in the credential",
			told: []string{"authenticate"},
		},
		{
			name: "region that the catalog lacks", opts: client.Options{Auth: auth(same), Region: "Mars"},
			want: `logging in: the catalog has no image service in region "Mars" (it has RegionOne): correct region`,
			told: []string{"authenticate"},
		},
		{name: "a server that repeats the password", opts: client.Options{Auth: auth(same)}, fault: func() func() {
			return answer(400, `{"error": {"message": "bad password `+password+`"}}`)
		}, want: "logging in: 400 Bad Request: bad password <secret>", told: []string{"authenticate 400"}},
		{
			name: "HTML with 201", opts: client.Options{Auth: auth(same)}, fault: func() func() { return answer(201, "<html>") },
			want: "logging in: decode: invalid character '<' looking for beginning of value", told: []string{"authenticate decode"},
		},
		{
			name: "201 without a token", opts: client.Options{Auth: auth(same)}, fault: func() func() { return answer(201, `{"token": {}}`) },
			want: "logging in: decode: response has no X-Subject-Token", told: []string{"authenticate decode"},
		},
		{
			name: "wrong path", opts: client.Options{Auth: auth(func(ao *gophercloud.AuthOptions) { ao.IdentityEndpoint = url + "/nothing/v3" })},
			told: []string{"authenticate 404"},
		},
		{name: "neither user nor password", opts: client.Options{Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{IdentityEndpoint: identity}, nil
		}}, want: "logging in: You must provide a password to authenticate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.fault != nil {
				defer test.fault()()
			}
			c, seen := newClient(t, test.opts)
			_, err := c.Connect(t.Context())
			if err == nil || (test.want != "" && err.Error() != test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if diff := cmp.Diff(test.told, seen.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCatalogs(t *testing.T) {
	entry := func(kind string, endpoints ...string) string {
		return fmt.Sprintf(`{"type": %q, "endpoints": [%s]}`, kind, strings.Join(endpoints, ","))
	}
	ep := func(iface, region, url string) string {
		return fmt.Sprintf(`{"interface": %q, "region": %q, "url": %q}`, iface, region, url)
	}
	tests := []struct {
		name    string
		catalog []string
		opts    client.Options
		want    string // path that is asked, or the error
	}{
		{name: "plain", catalog: []string{entry("image", ep("public", "R1", "BASE/image"))}, want: "/image/v2/images/x"},
		{name: "with version", catalog: []string{entry("image", ep("public", "R1", "BASE/image/v2"))}, want: "/image/v2/images/x"},
		{name: "with version and slash", catalog: []string{entry("image", ep("public", "R1", "BASE/v2.0/"))}, want: "/v2/images/x"},
		{
			name:    "internal",
			catalog: []string{entry("image", ep("public", "R1", "BASE/p"), ep("internal", "R1", "BASE/i"))},
			opts:    client.Options{Interface: "internal"},
			want:    "/i/v2/images/x",
		},
		{
			name:    "by region",
			catalog: []string{entry("image", ep("public", "R1", "BASE/1"), ep("public", "R2", "BASE/2"))},
			opts:    client.Options{Region: "R2"},
			want:    "/2/v2/images/x",
		},
		{
			name: "no region chosen", catalog: []string{entry("image", ep("public", "R1", "BASE/1"), ep("public", "R2", "BASE/2"))},
			want: "logging in: the catalog has the image service in several regions (R1, R2): set region",
		},
		{
			name: "no image service", catalog: []string{entry("identity", ep("public", "R1", "BASE")), entry("compute")},
			want: "logging in: the catalog has no service of type image (it has compute, identity): set endpoint to the image service's URL",
		},
		{
			name: "no catalog",
			want: "logging in: the catalog has no service of type image (it has none): set endpoint to the image service's URL",
		},
		{
			name: "no such interface", catalog: []string{entry("image", ep("public", "R1", "BASE"))}, opts: client.Options{Interface: "admin"},
			want: "logging in: the catalog has no admin image endpoint (it has public): correct interface",
		},
		{
			name: "not a URL", catalog: []string{entry("image", ep("public", "R1", "image.internal:9292"))},
			want: `logging in: the catalog's image endpoint "image.internal:9292" is not usable: set endpoint to the image service's URL`,
		},
		{
			name: "no host", catalog: []string{entry("image", ep("public", "R1", "http://:9292"))},
			want: `logging in: the catalog's image endpoint "http://:9292" is not usable: set endpoint to the image service's URL`,
		},
		{
			name: "a password", catalog: []string{entry("image", ep("public", "R1", "https://u:pass-word@image.internal:9292"))},
			want: `logging in: the catalog's image endpoint "https://image.internal:9292" is not usable: set endpoint to the image service's URL`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := ""
			var url string
			url = start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/auth/tokens") {
					w.Header().Set("X-Subject-Token", "t")
					w.WriteHeader(http.StatusCreated)
					fmt.Fprintf(w, `{"token": {"project": {"id": "p"}, "catalog": [%s]}}`,
						strings.ReplaceAll(strings.Join(test.catalog, ","), "BASE", url))
					return
				}
				asked = r.URL.Path
				fmt.Fprint(w, `{"id": "x"}`)
			}))
			test.opts.Auth = byPassword(url)
			c, _ := newClient(t, test.opts)
			_, err := c.Image(t.Context(), "x")
			if err != nil {
				asked = err.Error()
			}
			if asked != test.want {
				t.Errorf("got  %s\nwant %s", asked, test.want)
			}
		})
	}
}
