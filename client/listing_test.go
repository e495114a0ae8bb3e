package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// walk reads a listing page by page and returns the names of its images, a blank between pages.
func walk(t *testing.T, c *client.Client, q client.ImageQuery) string {
	t.Helper()
	var pages []string
	for marker := ""; ; {
		page, err := c.ImagePage(t.Context(), q, marker)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, img := range page.Images {
			names = append(names, img.Name)
		}
		pages = append(pages, strings.Join(names, ","))
		if marker = page.Next; marker == "" {
			return strings.Join(pages, " ")
		}
	}
}

func TestListing(t *testing.T) {
	w := fakecloud.New(fakecloud.Options{MaxPageSize: 2})
	w.AddProjectID(producer, "producer")
	w.AddProjectID(consumerA, "consumer-a")
	w.AddUser("watcher", password, producer, "reader")
	for i, img := range []fakecloud.Image{
		{Name: "shared", Tags: []string{"golden", "lts"}},
		{Name: "private", Visibility: "private", Tags: []string{"golden"}},
		{Name: "community", Visibility: "community", Tags: []string{"golden", "lts"}},
		{Name: "public", Visibility: "public", Tags: []string{"lts", "golden"}},
		{Name: "hidden", Hidden: true},
		{Name: "foreign", Owner: consumerA, Visibility: "community"},
		{Name: "foreign-private", Owner: consumerA, Visibility: "private"},
	} {
		if img.Owner == "" {
			img.Owner = producer
		}
		img.ID = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		w.AddImage(img)
	}
	c, _ := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	for _, test := range []struct {
		name  string
		query client.ImageQuery
		want  string
	}{
		{"own, the oldest first, in the pages that the server makes", client.ImageQuery{Owner: producer}, "shared,private community,public "},
		{"hidden", client.ImageQuery{Owner: producer, Hidden: true}, "hidden"},
		{"one visibility", client.ImageQuery{Owner: producer, Visibility: client.Community}, "community"},
		// The server's own link to the second page would ask for the last tag only.
		{
			"all of the tags, on the second page too",
			client.ImageQuery{Owner: producer, Tags: []string{"golden", "lts"}},
			"shared,community public",
		},
		{"another project's, as far as they are shown", client.ImageQuery{Owner: consumerA, Foreign: true}, "foreign"},
		{"every project's", client.ImageQuery{}, "shared,private community,public foreign"},
	} {
		t.Run(test.name, func(t *testing.T) {
			// A page that is as long as the limit has a link to another one, which may be empty.
			if diff := cmp.Diff(strings.TrimSpace(test.want), strings.TrimSpace(walk(t, c, test.query))); diff != "" {
				t.Error(diff)
			}
		})
	}
	want := client.ImagePage{Images: []client.Image{{
		ID: "00000000-0000-4000-8000-000000000002", Name: "community", Owner: producer, Visibility: client.Community, Status: "active",
		Tags: []string{"golden", "lts"}, View: producer,
	}}}
	got, err := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer, Visibility: client.Community}, "")
	want.Access = got.Access
	if diff := cmp.Diff(want, got, ignoreBy); err != nil || diff != "" || got.Access.ProjectID != producer {
		t.Error(err, diff)
	}
}

func TestListingWhatOthersShare(t *testing.T) {
	w := fakecloud.New(fakecloud.Options{MaxPageSize: 2})
	for id, name := range map[string]string{producer: "producer", consumerA: "consumer-a", consumerB: "consumer-b"} {
		w.AddProjectID(id, name)
		w.AddUser("watcher", password, id, "reader")
	}
	for _, img := range []struct {
		name, owner, member, status string
		hidden                      bool
	}{
		{"own", producer, consumerA, "accepted", false},
		{"pending", consumerA, producer, "pending", false},
		{"accepted", consumerA, producer, "accepted", false},
		{"rejected", consumerB, producer, "rejected", false},
		{"hidden", consumerB, producer, "pending", true},
		{"of others", consumerA, consumerB, "accepted", false},
	} {
		w.AddMember(w.AddImage(fakecloud.Image{Name: img.name, Owner: img.owner, Hidden: img.hidden}),
			fakecloud.Member{MemberID: img.member, Status: img.status})
	}
	url := start(t, w) + "/identity/v3"
	one, _ := newClient(t, client.Options{Auth: byPassword(url)})
	for _, test := range []struct {
		name  string
		query client.ImageQuery
		want  string
	}{
		{"of any status, and its own", client.ImageQuery{SharedWith: producer}, "own,pending accepted,rejected "},
		{"pending", client.ImageQuery{SharedWith: producer, MemberStatus: client.Pending}, "own,pending "},
		{"accepted", client.ImageQuery{SharedWith: producer, MemberStatus: client.Accepted}, "own,accepted "},
		{"rejected", client.ImageQuery{SharedWith: producer, MemberStatus: client.Rejected}, "own,rejected "},
		{"hidden", client.ImageQuery{SharedWith: producer, Hidden: true}, "hidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := walk(t, one, test.query); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}

	// Each of several projects has a view of its own.
	several, err := client.NewProjects(client.Options{Transport: http.DefaultTransport, Auth: func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{IdentityEndpoint: url, Username: "watcher", Password: password, DomainName: "Default"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer several.Close()
	if _, err := several.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	for project, want := range map[string]string{producer: "[own pending]", consumerA: "[own pending]", consumerB: "[rejected of others]"} {
		page, err := several.ImagePage(t.Context(), client.ImageQuery{SharedWith: project}, "")
		var names []string
		for _, img := range page.Images {
			names = append(names, img.Name)
		}
		if got := fmt.Sprint(names); err != nil || got != want || page.Access.ProjectID != project {
			t.Errorf("as %s, %s: got %s, %v, want %s", project, page.Access.ProjectID, got, err, want)
		}
	}
	pending := w.AddImage(fakecloud.Image{Owner: consumerA})
	for _, id := range []string{producer, consumerB} {
		w.Share(pending, id)
	}
	for project, want := range map[string]int{producer: 1, consumerA: 2, consumerB: 1} {
		list, err := several.MembersAs(t.Context(), project, pending)
		if err != nil || len(list.Members) != want || list.Access.ProjectID != project {
			t.Errorf("as %s: got %+v, %v, want %d members", project, list, err, want)
		}
	}
	if _, err := several.ImagePage(t.Context(), client.ImageQuery{SharedWith: "another"}, ""); err == nil {
		t.Error("a page for a project that is none of them")
	}
	if _, err := several.MembersAs(t.Context(), "another", pending); err == nil {
		t.Error("members for a project that is none of them")
	}
}

func TestPages(t *testing.T) {
	records := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"id": "%d"},`, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for _, test := range []struct {
		name, body string
		want       client.ImagePage
		err        string
	}{
		{name: "the last page", body: `{"images": [{"id": "x"}], "next": null}`, want: client.ImagePage{Images: []client.Image{{ID: "x"}}}},
		{
			name: "a record that cannot be read is counted", body: `{"images": [{"id": 1}, {"id": "x"}, {}, null, 7]}`,
			want: client.ImagePage{Images: []client.Image{{ID: "x"}}, Unreadable: 4},
		},
		{
			name: "the marker of the next page", body: `{"images": [{"id": "x"}], "next": "/v2/images?limit=1&marker=a%26b&tag=c"}`,
			want: client.ImagePage{Images: []client.Image{{ID: "x"}}, Next: "a&b"},
		},
		{
			name: "a next page after an empty one", body: `{"images": [], "next": "?marker=y"}`,
			want: client.ImagePage{Images: []client.Image{}, Next: "y", Dropped: true},
		},
		{
			name: "a link without a marker", body: `{"images": [{"id": "x"}], "next": "/v2/images?page=2"}`,
			err: `listing images: decode: "next" in the response has no marker: "/v2/images?page=2"`,
		},
		{
			name: "a link that is none", body: `{"images": [{"id": "x"}], "next": "%zz"}`,
			err: `listing images: decode: "next" in the response has no marker: "%zz"`,
		},
		{
			name: "a marker that is long", body: `{"images": [{"id": "x"}], "next": "?marker=` + strings.Repeat("m", 4096) + `"}`,
			want: client.ImagePage{Images: []client.Image{{ID: "x"}}, Next: strings.Repeat("m", 4096)},
		},
		{
			name: "a marker that is longer", body: `{"images": [{"id": "x"}], "next": "?marker=` + strings.Repeat("m", 4097) + `"}`,
			err: `listing images: decode: "next" in the response has a marker of more than 4096 bytes`,
		},
		{
			name: "a link of another type", body: `{"images": [], "next": 7}`,
			err: `listing images: decode: "/next" in the response is a JSON number`,
		},
		{name: "no images key", body: `{"next": "?marker=y"}`, err: `listing images: decode: no "images" in the response: {"next": "?marker=y"}`},
		{
			name: "not the whole body", body: `{"images": [{"id": "x"}`,
			err: `listing images: decode: invalid JSON in the response: unexpected EOF within "/images" after offset 23`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, test.body) }))
			c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
			page, err := c.ImagePage(t.Context(), client.ImageQuery{}, "")
			if got := fmt.Sprint(err); (test.err != "" || err != nil) && got != test.err {
				t.Fatalf("got  %s\nwant %s", got, test.err)
			}
			if err == nil {
				test.want.Access = client.Access{ProjectID: producer, Endpoint: url + "/v2/"}
				for i := range test.want.Images {
					test.want.Images[i].View = producer
				}
			}
			if diff := cmp.Diff(test.want, page, ignoreBy); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a full page without a link may not be the last one", func(t *testing.T) {
		url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"images": [%s]}`, records(client.MaxImagesPerPage))
		}))
		c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
		page, err := c.ImagePage(t.Context(), client.ImageQuery{}, "")
		if err != nil || page.Next != "999" || len(page.Images) != client.MaxImagesPerPage {
			t.Errorf("got %d images, next %q, %v", len(page.Images), page.Next, err)
		}
	})
}

func TestListingRequest(t *testing.T) {
	var asked []string
	url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		fmt.Fprint(w, `{"images": []}`)
	}))
	c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
	for _, q := range []client.ImageQuery{
		{Owner: "own"},
		{Owner: "own", Visibility: client.Shared, Tags: []string{"a", "b&c"}, Hidden: true},
		{Owner: "other", Foreign: true},
		{Tags: []string{"a"}},
		{SharedWith: "own"},
		{SharedWith: "own", MemberStatus: client.Pending, Hidden: true},
	} {
		if _, err := c.ImagePage(t.Context(), q, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ImagePage(t.Context(), q, "last one"); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"/v2/images?limit=1000&owner=own&sort=created_at%3Aasc%2Cid%3Aasc",
		"/v2/images?limit=1000&marker=last+one&owner=own&sort=created_at%3Aasc%2Cid%3Aasc",
		"/v2/images?limit=1000&os_hidden=true&owner=own&sort=created_at%3Aasc%2Cid%3Aasc&tag=a&tag=b%26c&visibility=shared",
		"/v2/images?limit=1000&marker=last+one&os_hidden=true&owner=own&sort=created_at%3Aasc%2Cid%3Aasc&tag=a&tag=b%26c&visibility=shared",
		"/v2/images?limit=1000&owner=other&sort=created_at%3Aasc%2Cid%3Aasc&visibility=all",
		"/v2/images?limit=1000&marker=last+one&owner=other&sort=created_at%3Aasc%2Cid%3Aasc&visibility=all",
		"/v2/images?limit=1000&sort=created_at%3Aasc%2Cid%3Aasc&tag=a&visibility=all",
		"/v2/images?limit=1000&marker=last+one&sort=created_at%3Aasc%2Cid%3Aasc&tag=a&visibility=all",
		"/v2/images?limit=1000&member_status=all&sort=created_at%3Aasc%2Cid%3Aasc&visibility=shared",
		"/v2/images?limit=1000&marker=last+one&member_status=all&sort=created_at%3Aasc%2Cid%3Aasc&visibility=shared",
		"/v2/images?limit=1000&member_status=pending&os_hidden=true&sort=created_at%3Aasc%2Cid%3Aasc&visibility=shared",
		"/v2/images?limit=1000&marker=last+one&member_status=pending&os_hidden=true&sort=created_at%3Aasc%2Cid%3Aasc&visibility=shared",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}
