package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

const nobody = "e3a3ffe4cb434ab3a08b3ba3f30b9a72"

// page is an error page of a real Glance, and object the same where JSON is asked for: the markup is in both.
func page(text string) string {
	return "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  " +
		text + "<br /><br />\n\n\n\n </body>\n</html>"
}

func object(text string) string {
	return fmt.Sprintf(`{"message": %q, "code": "404 Not Found", "title": "Not Found"}`, text+"<br /><br />\n\n\n")
}

// E10: what the probe takes for a proof that rows are visible.
func TestE10Probe(t *testing.T) {
	const absentRow = nobody + " not found in the member list of the image " + golden + "."
	row := func(member, image string) string {
		return fmt.Sprintf(`{"member_id": %q, "image_id": %q, "status": "accepted", "created_at": "2016-09-01T02:05:14Z", "updated_at": `+
			`"2016-09-02T02:05:14Z", "schema": "/v2/schemas/member"}`, member, image)
	}
	for _, test := range []struct {
		name       string
		status     int
		body       string
		row        *client.Member
		notMember  bool
		onlyShared bool
		code       string // of the error
	}{
		{
			name: "a row", status: 200, body: row(nobody, golden),
			row: &client.Member{Type: "project", ID: nobody, Status: "accepted", Created: day(1), Updated: day(2)},
		},
		{
			name: "a row with an odd status", status: 200, body: strings.Replace(row(nobody, golden), `"accepted"`, `7`, 1),
			row: &client.Member{Type: "project", ID: nobody, Status: "unknown", Created: day(1), Updated: day(2)},
		},
		{name: "another member's row", status: 200, body: row(consumerA, golden), code: "decode"},
		{name: "another image's row", status: 200, body: row(nobody, hidden), code: "decode"},
		{
			name: "a member behind another", status: 200,
			body: `{"member_id": "x", "image_id": "` + golden + `", "Member_ID": "` + nobody + `"}`, code: "decode",
		},
		{name: "no row", status: 200, body: `{}`, code: "decode"},
		{name: "a list", status: 200, body: `{"members": []}`, code: "decode"},

		{name: "Glance's page", status: 404, body: page(absentRow), notMember: true},
		{name: "Glance's JSON", status: 404, body: object(absentRow), notMember: true},
		{name: "a code that is a number", status: 404, body: strings.Replace(object(absentRow), `"404 Not Found"`, `404`, 1), notMember: true},
		{name: "in Chinese", status: 404, body: object("在映像" + golden + "的成员列表中找不到" + nobody + "。"), notMember: true},
		{name: "in Japanese", status: 404, body: page("イメージ " + golden + " のメンバーリストに " + nobody + " が見つかりません"), notMember: true},

		{name: "rows are hidden", status: 404, body: object("You are not authorized to complete get_member action."), code: "404"},
		{
			name: "before Xena", status: 404, body: object("You are not authorized to lookup the members of the image " + golden + "."),
			code: "404",
		},
		{name: "no image", status: 404, body: page("Image " + golden + " not found."), code: "404"},
		{name: "no right to see the image", status: 404, body: page("No image found with ID " + golden), code: "404"},
		{name: "it is shared no more", status: 404, body: page("Only shared images have members."), onlyShared: true, code: "404"},
		{name: "it is shared no more, in JSON", status: 404, body: object("Only shared images have members."), onlyShared: true, code: "404"},
		{
			name: "it is shared no more, at the end of a long text", status: 404,
			body: object(strings.Repeat("long ", 100) + "Only shared images have members."), onlyShared: true, code: "404",
		},
		{
			name: "both are named, and it is shared no more", status: 404, body: object(absentRow + " Only shared images have members."),
			onlyShared: true, code: "404",
		},
		{name: "an echo of the path", status: 404, body: object("Not found: /v2/images/" + golden + "/members/" + nobody), code: "404"},
		{
			name: "an escaped echo of the path", status: 404, body: object("Not found: &#47;v2 images " + golden + " members " + nobody),
			code: "404",
		},
		{
			name: "an encoded echo of the path", status: 404, body: object("Not found: %2Fv2%2Fimages%2F" + golden + "%2Fmembers%2F" + nobody),
			code: "404",
		},
		{
			name: "a part of a longer word", status: 404, body: object(nobody + "0 not found in the member list of the image " + golden + "."),
			code: "404",
		},
		{
			name: "a part of a longer ID", status: 404, body: object(nobody + " not found in the member list of the image " + golden + "-1."),
			code: "404",
		},
		{name: "no title", status: 404, body: strings.Replace(object(absentRow), `"title"`, `"headline"`, 1), code: "404"},
		{name: "no code", status: 404, body: strings.Replace(object(absentRow), `"code"`, `"Code"`, 1), code: "404"},
		{name: "another code", status: 404, body: strings.Replace(object(absentRow), `404 Not Found`, `403 Forbidden`, 1), code: "404"},
		{name: "in an envelope", status: 404, body: `{"error": ` + object(absentRow) + `}`, code: "404"},
		{name: "a text", status: 404, body: absentRow, code: "404"},
		{
			name: "another page", status: 404, body: "<html><head><title>Sorry</title></head><body><p>" + absentRow + "</p></body></html>",
			code: "404",
		},
		{name: "half a page", status: 404, body: strings.TrimSuffix(page(absentRow), "</html>"), code: "404"},
		{name: "another status", status: 400, body: object(absentRow), code: "400"},
		{name: "forbidden", status: 403, body: object(absentRow), code: "403"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := ""
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.Method + " " + r.URL.RequestURI()
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			c, seen := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
			got, err := c.MemberAs(t.Context(), producer, golden, nobody)
			if want := "GET /v2/images/" + golden + "/members/" + nobody; asked != want {
				t.Errorf("asked %s, want %s", asked, want)
			}
			told := strings.TrimSpace(fmt.Sprintf("get_member %s", map[bool]string{true: "404", false: test.code}[test.notMember]))
			if diff := cmp.Diff([]string{told}, seen.take()); diff != "" {
				t.Error(diff)
			}
			if test.code != "" {
				apiErr := asError(t, err)
				if apiErr.Code != test.code || apiErr.Op != client.OpGetMember || apiErr.ImageID != golden ||
					apiErr.OnlyShared != test.onlyShared ||
					apiErr.OwnNotFound {
					t.Errorf("got %+v", apiErr)
				}
				if !strings.HasPrefix(err.Error(), "reading a member of image "+golden+": ") {
					t.Error(err)
				}
				return
			}
			want := client.MemberAnswer{
				Row:       test.row,
				NotMember: test.notMember,
				Access:    client.Access{ProjectID: producer, Endpoint: url + "/v2/"},
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

// A 401 or 403 at the probe says nothing of the token: it is not renewed, and what others are refused is judged as before.
func TestE10ProbeLeavesTheTokenAlone(t *testing.T) {
	for _, status := range []int{401, 403} {
		w := newWorld()
		refuse := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/members/") }
		c, seen := newClient(t, client.Options{
			Auth: byPassword(inMemoryURL),
			Transport: fakecloud.InMemory(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if refuse(r) {
					rw.WriteHeader(status)
					return
				}
				w.ServeHTTP(rw, r)
			})),
		})
		for range 3 {
			if _, err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				_, err := c.MemberAs(t.Context(), producer, golden, nobody)
				if asError(t, err).StatusCode != status || strings.Contains(err.Error(), "token") {
					t.Error(err)
				}
			}
			if _, err := c.Members(t.Context(), golden); err != nil {
				t.Error(err)
			}
		}
		if got := w.Count("authenticate"); got != 1 {
			t.Errorf("%d: %d logins", status, got)
		}
		if got := len(seen.take()); got != 1+9+3 {
			t.Errorf("%d: %d attempts", status, got)
		}
		// The probe's 401 makes no difference for a token that is revoked.
		w.RevokeTokens()
		if _, err := c.Members(t.Context(), golden); err != nil || w.Count("authenticate") != 2 {
			t.Errorf("%d: %v after %d logins", status, err, w.Count("authenticate"))
		}
	}
}

// refusedKeys is told of the keys that the API refuses.
type refusedKeys struct {
	keys
	refused int
}

func (k *refusedKeys) Refused(client.Key) { k.refused++ }

func TestE10ProbeLeavesTheKeyAlone(t *testing.T) {
	source := &refusedKeys{keys: accessKey}
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	c, _ := newClient(t, client.Options{Keys: source, Endpoint: url, ProjectID: producer})
	if _, err := c.MemberAs(t.Context(), producer, golden, nobody); err == nil || source.refused != 0 {
		t.Errorf("%v, refused %d times", err, source.refused)
	}
}

func TestE10ProbeInAProjectsView(t *testing.T) {
	roaming(t, func(t *testing.T, _ *fakecloud.Cloud, _ *gate, p *client.Projects) {
		if _, err := p.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := p.MemberAs(t.Context(), consumerA, golden, consumerA)
		if err != nil || got.Row == nil || got.Row.ID != consumerA || got.Access.ProjectID != consumerA || !got.Access.Confirmed {
			t.Errorf("got %+v, %v", got, err)
		}
		got, err = p.MemberAs(t.Context(), producer, golden, nobody)
		if err != nil || !got.NotMember || got.Access.ProjectID != producer {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := p.MemberAs(t.Context(), "another", golden, nobody); err == nil {
			t.Error("an answer for a project that is none of them")
		}
	})
}

// E12: the text of a 403 that decides alone, however long it is.
func TestE12OnlyShared(t *testing.T) {
	forbidden := func(text string) string { return strings.ReplaceAll(object(text), "404 Not Found", "403 Forbidden") }
	for name, test := range map[string]struct {
		status int
		body   string
		want   bool
	}{
		"JSON": {403, forbidden("Not allowed to list members for image " + golden + ": Only shared images have members."), true},
		"a page": {403, strings.ReplaceAll(page("Not allowed to list members for image "+golden+": Only shared images have members."),
			"404 Not Found", "403 Forbidden"), true},
		"a long text":  {403, forbidden(strings.Repeat("long ", 100) + "Only shared images have members."), true},
		"another text": {403, forbidden("You are not authorized to complete get_members action."), false},
		"another code": {500, forbidden("Only shared images have members."), false},
		"a 404":        {404, object("Only shared images have members."), false},
	} {
		t.Run(name, func(t *testing.T) {
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
			_, err := c.Members(t.Context(), golden)
			if got := asError(t, err); got.OnlyShared != test.want {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// E16: a gateway's 404 says nothing of an image.
func TestE16OwnNotFound(t *testing.T) {
	const nginx = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not " +
		"Found</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   bool
	}{
		{"a record's page", 404, page("No image found with ID " + golden), true},
		{"a record's JSON", 404, object("No image found with ID " + golden), true},
		{"a list's page", 404, page("Image " + golden + " not found."), true},
		{"IMS", 404, `{"error": {"message": "The image does not exist.", "code": "IMG.0027"}}`, true},
		{"IMS, by its code", 400, `{"error": {"message": "The image does not exist.", "code": "IMG.0027"}}`, true},
		{"IMS, a code that says nothing of it", 404, `{"error": {"message": "no", "code": "IMG.0999"}}`, true},
		{"IMS, another code", 404, `{"error": {"message": "no right", "code": "IMG.0026"}}`, false},
		{"another image", 404, object("No image found with ID " + hidden), false},
		{"no ID", 404, page("The resource could not be found."), false},
		{"an echo of the path", 404, object("No such path: /v2/images/" + golden), false},
		{"a gateway without the API", 404, `{"error_msg": "The API does not exist or has not been published in the environment", ` +
			`"error_code": "APIGW.0101", "request_id": "1"}`, false},
		{"a gateway without a backend", 404, `{"error_msg": "Backend unavailable: ` + golden + `", "error_code": "APIGW.0103"}`, false},
		{"nginx", 404, nginx, false},
		{"nothing", 404, "", false},
		{"a proxy's JSON", 404, `{"message": "no"}`, false},
		{"a proxy's JSON with the ID", 404, `{"message": "` + golden + `"}`, false},
		{"another status", 403, object("No image found with ID " + golden), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			c, _ := newClient(t, client.Options{Settings: client.Settings{API: client.IMS}, Endpoint: url, ProjectID: producer})
			_, recordErr := c.Image(t.Context(), golden)
			_, listErr := c.Members(t.Context(), golden)
			for _, err := range []error{recordErr, listErr} {
				if got := asError(t, err); got.OwnNotFound != test.want {
					t.Errorf("%+v", got)
				}
			}
			_, err := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, "")
			if asError(t, err).OwnNotFound {
				t.Error("a listing is about no image")
			}
		})
	}
	// A login's 404 is none of an image either.
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, object("No image found with ID "+golden))
	}))
	c, _ := newClient(t, client.Options{Auth: func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{IdentityEndpoint: url, Username: "u", Password: "secret", DomainName: "d"}, nil
	}})
	if _, err := c.Image(t.Context(), golden); asError(t, err).OwnNotFound {
		t.Error(err)
	}
}
