package fakecloud_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

const refused = `{"error":{"code":401,"message":"The request you have made requires authentication.",` +
	`"title":"Unauthorized"}}` + "\n"

func TestLogin(t *testing.T) {
	const (
		malformed = ". The server could not comply with the request since it is either malformed or otherwise incorrect. " +
			"The client is assumed to be in error."
		scoped = `{"project": {"name": "producer", "domain": {"name": "Default"}}}`
	)
	bad := func(text string) string {
		return `{"error":{"code":400,"message":"` + text + `","title":"Bad Request"}}` + "\n"
	}
	tests := []struct {
		name, body string
		code       int
		want       string // "" for a success
	}{
		{name: "project by name", body: passwordBody("producer", scoped), code: 201},
		{name: "project by ID", body: passwordBody("producer", `{"project": {"id": "`+producerID+`"}}`), code: 201},
		{name: "application credential by ID", body: appCredentialBody("rules", "s"), code: 201},
		{
			name: "application credential by name", code: 201,
			body: `{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"name": "watch",
				"secret": "w", "user": {"name": "producer", "domain": {"id": "default"}}}}}}`,
		},
		{name: "unscoped", body: passwordBody("producer", `"unscoped"`), code: 201},
		{name: "system", body: passwordBody("admin", `{"system": {"all": true}}`), code: 201},
		{name: "system without a role", body: passwordBody("producer", `{"system": {"all": true}}`), code: 401, want: refused},
		{name: "domain without a role", body: passwordBody("admin", `{"domain": {"id": "default"}}`), code: 401, want: refused},
		{
			name: "wrong password", code: 401, want: refused,
			body: strings.Replace(passwordBody("producer", scoped), "producer-secret", "x", 1),
		},
		{name: "unknown user", body: passwordBody("nobody", scoped), code: 401, want: refused},
		{
			name: "project of others", code: 401, want: refused,
			body: passwordBody("producer", `{"project": {"id": "`+consumerA+`"}}`),
		},
		{name: "unknown project", body: passwordBody("producer", `{"project": {"id": "x"}}`), code: 401, want: refused},
		{name: "wrong application credential", body: appCredentialBody("rules", "x"), code: 401, want: refused},
		{
			name: "unknown application credential", body: appCredentialBody("x", "x"), code: 404,
			want: `{"error":{"code":404,"message":"Could not find Application Credential: x.","title":"Not Found"}}` + "\n",
		},
		{
			name: "application credential with a scope", code: 401,
			body: strings.Replace(appCredentialBody("rules", "s"), `}}}}`, `}}, "scope": `+scoped+`}}`, 1),
			want: `{"error":{"code":401,"identity":{},"message":"Error authenticating with application credential: ` +
				`Application credentials cannot request a scope.","title":"Unauthorized"}}` + "\n",
		},
		{
			name: "unsupported method", body: `{"auth": {"identity": {"methods": ["oidc"]}}}`, code: 401,
			want: `{"error":{"code":401,"identity":{"methods":["external","password","token","oauth1","mapped",` +
				`"application_credential"]},"message":"Attempted to authenticate with an unsupported method.",` +
				`"title":"Unauthorized"}}` + "\n",
		},
		{name: "malformed", body: `{bad`, code: 400, want: bad("Expecting to find valid JSON in request body" + malformed)},
		{name: "no object", body: `[]`, code: 400, want: bad("Expecting to find valid JSON in request body" + malformed)},
		{name: "empty", body: ``, code: 400, want: bad("Expecting to find auth in request body" + malformed)},
		{name: "no identity", body: `{"auth": {}}`, code: 400, want: bad("'identity' is a required property")},
		{
			name: "empty scope", body: passwordBody("producer", `{}`), code: 400,
			want: bad("Expecting to find system, project, domain, OS-TRUST:trust or unscoped in scope" + malformed),
		},
		{
			name: "user without domain", code: 400, want: bad("Expecting to find domain in user" + malformed),
			body: strings.Replace(passwordBody("producer", scoped), `"domain": {"name": "Default"}, "password"`, `"password"`, 1),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := recordedWorld()
			c.AddAppCredential(fakecloud.AppCredential{Name: "watch", Secret: "w", User: "producer", ProjectID: producerID})
			w := do(c, "POST", "/identity/v3/auth/tokens", "", tt.body)
			if w.Code != tt.code || tt.want != "" && w.Body.String() != tt.want {
				t.Fatalf("%d %s\nwant %d %s", w.Code, w.Body, tt.code, tt.want)
			}
			if got := w.Header().Get("X-Subject-Token") != ""; got != (tt.code == 201) {
				t.Errorf("token issued: %v", got)
			}
		})
	}
}

type tokenBody struct {
	Token struct {
		Methods []string
		Expires string `json:"expires_at"`
		Project struct{ ID string }
		Roles   []struct{ Name string }
		Catalog []struct {
			Type      string
			Endpoints []struct{ Interface, Region, URL string }
		}
	}
}

func readToken(t *testing.T, body []byte) (b tokenBody) {
	t.Helper()
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTokenIsTradedForAnotherScope(t *testing.T) {
	c, clk := recordedWorld()
	c.AddUser("producer", "producer-secret", consumerA)
	first := c.Token("producer", "")
	clk.now = clk.now.Add(10 * time.Minute)
	w := do(c, "POST", "/identity/v3/auth/tokens", "", `{"auth": {"identity": {"methods": ["token"], "token": {"id": "`+
		first+`"}}, "scope": {"project": {"id": "`+consumerA+`"}}}}`)
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	b := readToken(t, w.Body.Bytes())
	if got := strings.Join(b.Token.Methods, ","); got != "password,token" {
		t.Errorf("methods %s", got)
	}
	if want := "2026-11-23T21:50:59.000000Z"; b.Token.Expires != want {
		t.Errorf("expires %s, want %s: no later than the first", b.Token.Expires, want)
	}
	if b.Token.Project.ID != consumerA || len(b.Token.Roles) != 2 {
		t.Errorf("project %s, roles %v", b.Token.Project.ID, b.Token.Roles)
	}
	w = do(c, "POST", "/identity/v3/auth/tokens", "", `{"auth": {"identity": {"methods": ["token"], "token": {"id": "`+
		login(t, c, appCredentialBody("rules", "s"))+`"}}}}`)
	if w.Code != http.StatusForbidden {
		t.Errorf("token of an application credential traded: %d", w.Code)
	}
}

func TestValidateToken(t *testing.T) {
	c, _ := recordedWorld()
	admin, producer := c.Token("admin", adminID), c.Token("producer", producerID)
	tests := []struct {
		name, token, subject string
		want                 int
	}{
		{"own", producer, producer, 200},
		{"of others by an admin", admin, producer, 200},
		{"of others", producer, admin, 403},
		{"without a subject", producer, "", 403},
		{"garbage subject", producer, "garbage", 404},
		{"garbage token", "garbage", producer, 401},
		{"without a token", "", producer, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "/identity/v3/auth/tokens", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if tt.token != "" {
				r.Header.Set("X-Auth-Token", tt.token)
			}
			r.Header.Set("X-Subject-Token", tt.subject)
			w := serve(c, r)
			if w.Code != tt.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
			if w.Code == 200 && w.Header().Get("X-Subject-Token") != tt.subject {
				t.Error("no X-Subject-Token")
			}
		})
	}
}

func TestProjectsOfAUser(t *testing.T) {
	c, _ := recordedWorld()
	c.AddUser("producer", "producer-secret", consumerB, "reader")
	w := do(c, "GET", "/identity/v3/auth/projects", c.Token("producer", ""), "")
	var got struct{ Projects []struct{ ID, Name string } }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Projects) != 2 || got.Projects[0].Name != "producer" || got.Projects[1].ID != consumerB {
		t.Errorf("%s", w.Body)
	}
}

func TestCatalog(t *testing.T) {
	tests := []struct {
		name    string
		catalog fakecloud.Catalog
		want    string // public image endpoints
	}{
		{"two regions", fakecloud.Catalog{}, "RegionOne=http://example.com/image west=http://example.com/regions/west/image"},
		{"no image service", fakecloud.Catalog{NoImageService: true}, ""},
		{
			"version in the URL and one region without an endpoint",
			fakecloud.Catalog{ImageURL: func(region, iface, base string) string {
				if region == "west" || iface != "public" {
					return ""
				}
				return base + "/image/v2"
			}},
			"RegionOne=http://example.com/image/v2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fakecloud.New(fakecloud.Options{Regions: []string{"west"}})
			c.AddUser("u", "u-secret", c.AddProject("p"))
			c.SetCatalog(tt.catalog)
			w := do(c, "POST", "/identity/v3/auth/tokens", "",
				passwordBody("u", `{"project": {"name": "p", "domain": {"id": "default"}}}`))
			var got []string
			for _, s := range readToken(t, w.Body.Bytes()).Token.Catalog {
				for _, e := range s.Endpoints {
					if s.Type == "image" && e.Interface == "public" {
						got = append(got, e.Region+"="+e.URL)
					}
				}
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("%s\nwant %s", g, tt.want)
			}
		})
	}
}

func TestTokensThatGlanceRefuses(t *testing.T) {
	path := "/image/v2/images/" + allStatuses + "/members"
	tests := []struct {
		name string
		do   func(c *fakecloud.Cloud, clk *clock)
		want int
	}{
		{"fresh", func(*fakecloud.Cloud, *clock) {}, 200},
		{"revoked", func(c *fakecloud.Cloud, _ *clock) { c.RevokeTokens() }, 401},
		{"expired", func(_ *fakecloud.Cloud, clk *clock) { clk.now = clk.now.Add(time.Hour) }, 401},
		{"Keystone down, cached", func(c *fakecloud.Cloud, _ *clock) { c.KeystoneDown(true) }, 200},
		{"Keystone down, cached too long ago", func(c *fakecloud.Cloud, clk *clock) {
			c.KeystoneDown(true)
			clk.now = clk.now.Add(300 * time.Second)
		}, 401},
		{"Keystone back", func(c *fakecloud.Cloud, clk *clock) {
			c.KeystoneDown(true)
			clk.now = clk.now.Add(300 * time.Second)
			c.KeystoneDown(false)
		}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, clk := recordedWorld()
			token := c.Token("producer", producerID)
			if w := do(c, "GET", path, token, ""); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			tt.do(c, clk)
			if w := do(c, "GET", path, token, ""); w.Code != tt.want {
				t.Errorf("%d, want %d", w.Code, tt.want)
			}
		})
	}
}

func TestNewTokenAfterRevocation(t *testing.T) {
	c, _ := recordedWorld()
	c.RevokeTokens()
	if w := do(c, "GET", "/image/v2/images", c.Token("producer", producerID), ""); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	if got := c.Token("producer", consumerA); got != "" {
		t.Error("a token for a project without a role")
	}
}

func TestAccessRules(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          int
	}{
		{"/v2/images/*/members", "/v2/images/" + allStatuses + "/members", 200},
		{"/v2/images/*/members", "/v2.9//images/" + allStatuses + "/members", 200},
		{"/v2/images/*/members", "/v2/images/" + allStatuses, 401},
		{"/v2/images/*/members", "/v2/images", 401},
		{"/v2/images/*", "/v2/images/" + allStatuses, 200},
		{"/v2/images/*", "/v2/images/" + allStatuses + "/members", 401},
		{"/v2/images/{image_id}", "/v2/images/" + allStatuses, 200},
		{"/v2/images", "/v2/images?limit=1", 200},
		{"/v2/**", "/v2/images/" + allStatuses + "/members", 200},
		{"/v2/**/members", "/v2/images/" + allStatuses + "/members", 200},
		{"/v2/**/members", "/v2/images", 401},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" for "+tt.path, func(t *testing.T) {
			c, _ := recordedWorld()
			id := c.AddAppCredential(fakecloud.AppCredential{
				Secret: "s", User: "producer", ProjectID: producerID,
				AccessRules: []fakecloud.AccessRule{{Method: "POST", Path: "/**"}, {Method: "GET", Path: tt.pattern}},
			})
			if w := do(c, "GET", "/image"+tt.path, login(t, c, appCredentialBody(id, "s")), ""); w.Code != tt.want {
				t.Errorf("%d, want %d", w.Code, tt.want)
			}
		})
	}
}

func TestKeystoneDown(t *testing.T) {
	c, _ := recordedWorld()
	c.KeystoneDown(true)
	if w := do(c, "GET", "/identity/v3", "", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
	if w := do(c, "GET", "/image/", "", ""); w.Code != http.StatusMultipleChoices {
		t.Errorf("Glance's versions: %d", w.Code)
	}
}
