package client_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
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

// keys is a client.KeySource.
type keys struct {
	key client.Key
	err error
}

func (k keys) Key(context.Context) (client.Key, error) { return k.key, k.err }

var accessKey = keys{key: client.Key{Access: "QTWAOYTTINDUT2QVKYUC", Secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"}}

// pagedMembers serves a list of n projects in pages of 500, then a domain and an organization that have the IDs of
// projects.
type pagedMembers struct {
	n      int
	fail   string // a marker whose page is answered with 503
	repeat bool   // the second page has its own marker as the next one
	rows   int    // if set, rows per page
	paths  []string
}

func (p *pagedMembers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.paths = append(p.paths, r.URL.Path)
	marker := r.URL.Query().Get("marker")
	start, page := 0, 500
	if p.rows > 0 {
		page = p.rows
	}
	if marker != "" {
		text, err := base64.StdEncoding.DecodeString(marker)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		start, _ = strconv.Atoi(strings.TrimPrefix(string(text), "\xfb\xff after "))
	}
	if marker != "" && marker == p.fail {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var rows []string
	for i := start; i < min(start+page, p.n); i++ {
		id, kind := fmt.Sprintf("%032x", i), ""
		switch i {
		case p.n - 2:
			id, kind = fmt.Sprintf("%032x", 7), `, "member_type": "domain"`
		case p.n - 1:
			id, kind = fmt.Sprintf("%032x", 8), `, "member_type": "organization"`
		}
		rows = append(rows, fmt.Sprintf(`{"member_id": %q, "image_id": %q, "status": "accepted"%s}`, id, golden, kind))
	}
	next := ""
	if start+page < p.n {
		next = mark(start + page)
	}
	if p.repeat && marker != "" {
		next = marker
	}
	_, _ = fmt.Fprintf(w, `{"members": [%s], "page_info": {"next_marker": %q, "current_count": %d}}`, strings.Join(rows, ","), next, len(rows))
}

// mark is a marker with the characters of base64 that mean something else in a query.
func mark(n int) string {
	return base64.StdEncoding.EncodeToString([]byte("\xfb\xff after " + strconv.Itoa(n)))
}

func newIMS(t *testing.T, handler http.Handler, members client.MembersAPI) (*client.Client, *attempts) {
	t.Helper()
	return newClient(t, client.Options{
		Settings: client.Settings{API: client.IMS, MembersAPI: members}, Keys: accessKey, Endpoint: start(t, handler), ProjectID: producer,
	})
}

func TestPagesOfMembers(t *testing.T) {
	for _, version := range []client.MembersAPI{client.MembersV2, client.MembersV1} {
		t.Run(string(version), func(t *testing.T) {
			server := &pagedMembers{n: 1203}
			c, seen := newIMS(t, server, version)
			list, err := c.Members(t.Context(), golden)
			if err != nil {
				t.Fatal(err)
			}
			count := map[client.MemberType]int{}
			for _, m := range list.Members {
				count[m.Type]++
			}
			want := map[client.MemberType]int{client.TypeProject: 1201, client.TypeDomain: 1, client.TypeOrganization: 1}
			if diff := cmp.Diff(want, count); diff != "" {
				t.Error(diff)
			}
			if list.Access.ProjectID != producer {
				t.Errorf("in the view of %q", list.Access.ProjectID)
			}
			if diff := cmp.Diff([]string{"list_members", "list_members", "list_members"}, seen.take()); diff != "" {
				t.Error(diff)
			}
			path := "/v2/images/" + golden + "/members"
			if version == client.MembersV1 {
				path = "/v1/" + producer + "/cloudimages/" + golden + "/members"
			}
			if diff := cmp.Diff([]string{path, path, path}, server.paths); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPartOfAListIsNone(t *testing.T) {
	for _, test := range []struct {
		name   string
		server *pagedMembers
		err    string
		pages  int
	}{
		{"the second page fails", &pagedMembers{n: 1203, fail: mark(500)}, "503 Service Unavailable", 4},
		{"a marker repeats", &pagedMembers{n: 1203, repeat: true}, "decode: pagination loop: marker repeated", 2},
		{"no end", &pagedMembers{n: 10000, rows: 1}, "decode: member list with more than 100 pages", 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, seen := newIMS(t, test.server, client.MembersV2)
			list, err := c.Members(t.Context(), golden)
			if want := "listing members of image " + golden + ": " + test.err; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if len(list.Members) != 0 {
				t.Errorf("%d members", len(list.Members))
			}
			if got := len(seen.take()); got != test.pages {
				t.Errorf("%d requests, want %d", got, test.pages)
			}
		})
	}
}

// What Huawei Cloud's error codes mean, whatever the status code that they come with; the counters have that one.
func TestErrorCodesOfIMS(t *testing.T) {
	const rights = "; listing members requires the actions ims:images:get and ims:images:share; with only ims:images:get, set members_api: v1"
	const inRegion = "; grant them in the region's project: grants in an enterprise project do not apply to members"
	for _, test := range []struct {
		status int
		body   string
		means  int
		want   string
	}{
		{
			400, `{"error": {"message": "The image does not exist.", "code": "IMG.0027"}}`, 404,
			"400 Bad Request: IMG.0027: The image does not exist.",
		},
		{400, `{"error": {"message": "flow control", "code": "IMG.0060"}}`, 429, "400 Bad Request: IMG.0060: flow control"},
		{400, `{"error": {"message": "not the owner", "code": "IMG.0047"}}`, 403, "400 Bad Request: IMG.0047: not the owner" + rights},
		{403, `{"encoded_authorization_message": "XYZ"}`, 403, "403 Forbidden: the credential lacks a right" + rights},
		{
			401, `{"error": {"message": "Policy doesn't allow ims:images:get to be performed.", "code": "EPS.0003"}}`, 403,
			"401 Unauthorized: EPS.0003: Policy doesn't allow ims:images:get to be performed." + rights + inRegion,
		},
		{401, `{"error_msg": "no", "error_code": "EPS.0003"}`, 403, "401 Unauthorized: EPS.0003: no" + rights + inRegion},
		{400, `{"error": {"message": "no", "code": "IMG.0030"}}`, 400, "400 Bad Request: IMG.0030: no; the token or access key belongs to " +
			"another project than the request: correct project_id, or the project in auth"},
		{
			401, `{"error_msg": "Incorrect IAM authentication information", "error_code": "APIGW.0301", "request_id": "1"}`, 401,
			"401 Unauthorized: APIGW.0301: Incorrect IAM authentication information",
		},
		{429, `{"error_msg": "throttled", "error_code": "APIG.0308"}`, 429, "429 Too Many Requests: APIG.0308: throttled"},
		{400, `{"message": "bad<br />", "code": "400 Bad Request", "title": "Bad Request"}`, 400, "400 Bad Request: bad"},
		{500, `{"error": {"code": "IMG.0114", "message": "query failed"}}`, 500, "500 Internal Server Error: IMG.0114: query failed"},
	} {
		t.Run(test.want, func(t *testing.T) {
			c, seen := newIMS(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}), client.MembersV2)
			_, err := c.Members(t.Context(), golden)
			apiErr := asError(t, err)
			if want := "listing members of image " + golden + ": " + test.want; err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			if apiErr.Status() != test.means || apiErr.StatusCode != test.status {
				t.Errorf("status %d, means %d", apiErr.StatusCode, apiErr.Status())
			}
			requests := []string{"list_members " + strconv.Itoa(test.status)}
			if test.means == http.StatusTooManyRequests {
				requests = slices.Repeat(requests, 3)
			}
			if diff := cmp.Diff(requests, seen.take()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A 401 of the service itself about a policy says nothing against the token: it costs no login, and the other requests go on.
func TestNoRightOnHCSO(t *testing.T) {
	w := fakecloud.New(fakecloud.Options{Huawei: true, Domain: "account", HCSO: true, Region: "cn-north-4"})
	w.AddProjectID(producer, "cn-north-4")
	w.AddUser("watcher", "hunter2", producer, "ims_readonly")
	w.AddImage(fakecloud.Image{ID: golden, Owner: producer})
	w.Inject(fakecloud.Fault{
		Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }, Status: http.StatusUnauthorized,
		Body: `{"error": {"message": "Policy doesn't allow ims:images:share to be performed.", "code": "EPS.0003"}}`,
	})
	c, _ := newClient(t,
		client.Options{Settings: client.Settings{API: client.IMS}, Region: "cn-north-4", Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{
				IdentityEndpoint: start(t, w) + "/identity/v3", Username: "watcher", Password: "hunter2", DomainName: "account",
				Scope: &gophercloud.AuthScope{ProjectID: producer},
			}, nil
		}})
	for range 3 {
		if _, err := c.Members(t.Context(), golden); asError(t, err).Status() != http.StatusForbidden {
			t.Error(err)
		}
		if _, err := c.Image(t.Context(), golden); err != nil {
			t.Error(err)
		}
	}
	if n := w.Count(fakecloud.OpAuthenticate); n != 1 {
		t.Errorf("%d logins", n)
	}
}

// Every 403 says which right may be lacking.
func TestRightsOfIMS(t *testing.T) {
	server := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	for _, version := range []client.MembersAPI{client.MembersV1, client.MembersV2} {
		c, _ := newIMS(t, server, version)
		_, list := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, "")
		_, record := c.Image(t.Context(), golden)
		for err, want := range map[error]string{
			list:   "listing images: 403 Forbidden: listing images requires the action ims:images:list",
			record: "reading image " + golden + ": 403 Forbidden: reading an image requires the action ims:images:get",
		} {
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
	}
}

func TestClockIsWrong(t *testing.T) {
	for _, test := range []struct {
		ahead time.Duration
		want  string
	}{
		{20 * time.Minute, "ahead of"}, {-20 * time.Minute, "behind"}, {time.Minute, ""},
	} {
		c, _ := newIMS(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(test.ahead).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusUnauthorized)
		}), client.MembersV2)
		_, err := c.Members(t.Context(), golden)
		if got := err.Error(); strings.Contains(got, "synchronize the clock") != (test.want != "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %s", test.ahead, got)
		}
	}
}

func TestWithoutAKeyNothingIsAsked(t *testing.T) {
	asked := false
	server := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	none := keys{err: &client.Error{Op: client.OpAuthenticate, Code: client.CodeConfig, Message: "auth.aksk.secret_key_file: gone"}}
	c, seen := newClient(t, client.Options{Settings: client.Settings{API: client.IMS}, Keys: none, Endpoint: server, ProjectID: producer})
	_, connectErr := c.Connect(t.Context())
	_, err := c.Members(t.Context(), golden)
	for _, err := range []error{connectErr, err} {
		if err == nil || err.Error() != "logging in: auth.aksk.secret_key_file: gone" {
			t.Errorf("got %v", err)
		}
	}
	if asked || len(seen.take()) > 0 {
		t.Error("asked without a key")
	}
}

// The listing has no link to a next page, and a page may be shorter than what was asked for.
func TestCloudImages(t *testing.T) {
	all := []string{golden, hidden, absent}
	c, _ := newIMS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/v2/cloudimages" || q.Has("__imagetype") || q.Get("owner") != producer {
			t.Errorf("asked for %s", r.URL)
		}
		rest := all[slices.Index(all, q.Get("marker"))+1:]
		var rows []string
		for _, id := range rest[:min(2, len(rest))] {
			rows = append(rows,
				fmt.Sprintf(`{"id": %q, "owner": %q, "visibility": "private", "__imagetype": "shared", "__whole_image": "true"}`, id, producer))
		}
		_, _ = fmt.Fprintf(w, `{"images": [%s]}`, strings.Join(rows, ","))
	}), client.MembersV2)
	var got []string
	marker := ""
	for range 4 {
		page, err := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, marker)
		if err != nil {
			t.Fatal(err)
		}
		for _, img := range page.Images {
			if !img.FullServer || img.Visibility != client.Shared {
				t.Errorf("got %+v", img)
			}
			got = append(got, img.ID)
		}
		if marker = page.Next; marker == "" {
			break
		}
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Error(diff)
	}
}

// E14: there is no list of all, and none of the hidden ones: each status has its own, and needs the visibility beside it.
func TestListingWhatOthersShareOnIMS(t *testing.T) {
	var asked []string
	c, _ := newIMS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		_, _ = fmt.Fprint(w, `{"images": []}`)
	}), client.MembersV2)
	for _, status := range []client.Status{client.Accepted, client.Pending, client.Rejected} {
		if _, err := c.ImagePage(t.Context(), client.ImageQuery{SharedWith: producer, MemberStatus: status}, ""); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"/v2/cloudimages?__imagetype=shared&limit=500&member_status=accepted&visibility=shared",
		"/v2/cloudimages?__imagetype=shared&limit=500&member_status=pending&visibility=shared",
		"/v2/cloudimages?__imagetype=shared&limit=500&member_status=rejected&visibility=shared",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}
