package client_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
)

func day(d int) time.Time { return time.Date(2016, 9, d, 2, 5, 14, 0, time.UTC) }

func sum(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func TestMemberLists(t *testing.T) {
	row := func(id, status, more string) string {
		return fmt.Sprintf(`{"member_id": %q, "status": %q, "image_id": %q%s}`, id, status, golden, more)
	}
	times := `, "created_at": "2016-09-01T02:05:14Z", "updated_at": "2016-09-02T02:05:14Z"`
	tests := []struct {
		name string
		body string
		want []client.Member
		err  string // after "listing members of image ID: "
	}{
		{
			name: "the API document's example",
			body: `{"members": [` + row("a", "accepted", times+`, "schema": "/v2/schemas/member"`) + `], "schema": "/v2/schemas/members"}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted", Created: day(1), Updated: day(2)}},
		},
		{name: "nobody", body: `{"members": [], "schema": "/v2/schemas/members"}`, want: []client.Member{}},
		{
			name: "the last page of a list with pages",
			body: `{"members": [` + row("a", "accepted", "") + `], "next": null, "page_info": {"next_marker": "", "current_count": 1}}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted"}},
		},
		{
			name: "a next page by next",
			body: `{"members": [], "next": "/v2/images/x/members?marker=y"}`,
			err:  "decode: unexpected \"next\" in the member list",
		},
		{
			name: "a next page, and a status of another type",
			body: `{"members": [{"member_id": "a", "status": 7}], "next": "?marker=y"}`,
			err:  "decode: unexpected \"next\" in the member list",
		},
		{
			name: "an error beside an empty list",
			body: `{"members": [], "error": {"message": "backend away", "code": "IMG.0114"}}`,
			err:  "decode: response with status 200 contains an error: IMG.0114: backend away",
		},
		{
			name: "an error of the gateway beside an empty list",
			body: `{"members": [], "error_code": "APIGW.0301", "error_msg": "no"}`,
			err:  "decode: response with status 200 contains an error: APIGW.0301: no",
		},
		{
			name: "two lists, the second one empty",
			body: `{"members": [` + row("a", "accepted", "") + `], "members": []}`,
			err:  `decode: response with duplicate key "members"`,
		},
		{
			name: "an empty list in other letters",
			body: `{"members": [` + row("a", "accepted", "") + `], "Members": []}`,
			err:  `decode: "/Members" in the response is another spelling of the name of the list`,
		},
		{
			name: "an empty list in escapes",
			body: `{"members": [` + row("a", "accepted", "") + `], "\u006dembers": []}`,
			err:  `decode: response with duplicate key "members"`,
		},
		{
			name: "an empty list in old letters",
			body: `{"members": [` + row("a", "accepted", "") + `], "memberſ": []}`,
			err:  `decode: "/memberſ" in the response is another spelling of the name of the list`,
		},
		{
			name: "a list in other letters alone",
			body: `{"Members": []}`,
			err:  `decode: "/Members" in the response is another spelling of the name of the list`,
		},
		{
			name: "an error that is taken back",
			body: `{"members": [], "error": {"message": "no"}, "error": null}`,
			err:  `decode: response with duplicate key "error"`,
		},
		{
			name: "two ends of the pages",
			body: `{"members": [], "page_info": {"next_marker": "x"}, "page_info": {"next_marker": ""}}`,
			err:  `decode: response with duplicate key "page_info"`,
		},
		{
			name: "an end of the pages that is taken back",
			body: `{"members": [], "page_info": {"next_marker": "x", "next_marker": null}}`,
			err:  `decode: response with duplicate key "next_marker"`,
		},
		{
			name: "an end of the pages in other letters",
			body: `{"members": [` + row("a", "accepted", "") + `], "page_info": {"next_marker": "x", "NEXT_MARKER": ""}}`,
			err:  `decode: response with duplicate key "NEXT_MARKER"`,
		},
		{
			name: "a member behind another",
			body: `{"members": [{"member_id": "intruder", "member_id": "a", "status": "accepted"}]}`,
			err:  `decode: response with duplicate key "member_id"`,
		},
		{
			name: "a member behind another, in other letters",
			body: `{"members": [` + row("b", "accepted", "") + `, {"member_id": "intruder", "status": "accepted", "MEMBER_ID": "a"}]}`,
			err:  `decode: response with duplicate key "MEMBER_ID"`,
		},
		{
			name: "a member behind another, in escapes",
			body: `{"members": [{"member_id": "intruder", "member\u005fid": "a"}]}`,
			err:  `decode: response with duplicate key "member_id"`,
		},
		{
			name: "a status in old letters",
			body: `{"members": [{"member_id": "a", "status": "accepted", "statuſ": "pending"}]}`,
			err:  `decode: response with duplicate key "statuſ"`,
		},
		{
			name: "a member behind another, and a status of another type",
			body: `{"members": [{"member_id": "b", "status": 7}, {"member_id": "intruder", "Member_ID": "a"}]}`,
			err:  `decode: response with duplicate key "Member_ID"`,
		},
		{
			name: "a member behind an object of its own",
			body: `{"members": [{"member_id": "intruder", "more": [{"x": {}}], "member_id": "a"}]}`,
			err:  `decode: response with duplicate key "member_id"`,
		},
		{
			name: "keys that are called so further inside, and values",
			body: `{"members": [{"member_id": "status", "status": "accepted", "more": {"member_id": "b", "Member_ID": ["c"]}}, null], ` +
				`"page_info": null, "links": [[{"status": "status"}], 7]}`,
			want: []client.Member{{Type: "project", Status: "unknown"}, {Type: "project", ID: "status", Status: "accepted"}},
		},
		{
			name: "a list in hyphens",
			body: `{"mem-bers": []}`,
			err:  `decode: "/mem-bers" in the response is another spelling of the name of the list`,
		},
		{
			name: "a member behind another, without an underscore",
			body: `{"members": [{"member_id": "intruder", "memberId": "a"}]}`,
			err:  `decode: response with duplicate key "memberId"`,
		},
		{
			name: "a name twice that is not read",
			body: `{"members": [{"member_id": "a", "more": {"x": 1, "x": 2}}]}`,
			err:  `decode: response with duplicate key "x"`,
		},
		{
			name: "an ID with the mark of a letter that was lost",
			body: `{"members": [{"member_id": "a\ufffd"}]}`,
			err:  `decode: member_id is not valid Unicode text: two members could look the same`,
		},
		{
			name: "IDs that are halves of letters",
			body: `{"members": [{"member_id": "a\ud800"}, {"member_id": "a\ud801"}]}`,
			err: `decode: invalid JSON in the response: invalid surrogate pair "\\ud800\"}, {\"" in string within "/members/0/member_id" ` +
				`after offset 29`,
		},
		{
			name: "members that are called members", body: `{"members": [` + row("members", "accepted", "") + `], "more": {"members": []}}`,
			want: []client.Member{{Type: "project", ID: "members", Status: "accepted"}},
		},
		{name: "more members than a cloud lets there be", body: `{"members": [` + strings.Repeat(row("a", "pending", "")+",", 10_000) +
			row("b", "pending", "") + `]}`, err: "decode: member list with more than 10000 members"},
		{
			name: "a million empty rows", body: `{"members": [` + strings.Repeat("{},", 1_000_000) + `{}]}`,
			err: "decode: response with more than 500000 values",
		},
		{
			name: "half a million nulls", body: `{"members": [` + strings.Repeat("null,", 499_000) + `null]}`,
			err: "decode: response with more than 160000 values",
		},
		{
			name: "a hundred thousand nulls", body: `{"members": [` + strings.Repeat("null,", 100_000) + `null]}`,
			err: "decode: member list with more than 10000 members",
		},
		{
			name: "IDs of a megabyte that differ in the end", body: `{"members": [` + row(strings.Repeat("x", 1<<20)+"a", "accepted", "") +
				`,` + row(strings.Repeat("x", 1<<20)+"b", "pending", "") + `]}`,
			want: []client.Member{
				{Type: "project", ID: strings.Repeat("x", 191) + "-" + sum(strings.Repeat("x", 1<<20)+"b"), Status: "pending"},
				{Type: "project", ID: strings.Repeat("x", 191) + "-" + sum(strings.Repeat("x", 1<<20)+"a"), Status: "accepted"},
			},
		},
		{
			name: "years that nobody shared in",
			body: `{"members": [` + row("a", "pending", `, "created_at": "0000-01-01T00:00:00Z", "updated_at": "9999-12-31T23:59:59Z"`) + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "pending"}},
		},
		{
			name: "a marker of a megabyte", body: `{"members": [], "page_info": {"next_marker": "` + strings.Repeat("m", 1<<20) + `"}}`,
			err: "decode: next_marker has more than 4096 bytes",
		},
		{
			name: "IDs that are not UTF-8", body: "{\"members\": [{\"member_id\": \"a\xff\"}, {\"member_id\": \"a\xfe\"}]}",
			err: `decode: invalid JSON in the response: invalid UTF-8 within "/members/0/member_id" after offset 29`,
		},
		{
			name: "a domain and a project of the same ID", body: `{"members": [` + row("a", "pending", `, "member_type": "project"`) +
				`,` + row("a", "accepted", `, "member_type": "domain"`) + `]}`,
			want: []client.Member{{Type: "domain", ID: "a", Status: "accepted"}, {Type: "project", ID: "a", Status: "pending"}},
		},
		{
			name: "a type that nobody knows", body: `{"members": [` + row("a", "pending", `, "member_type": "galaxy"`) + `]}`,
			want: []client.Member{{Type: "galaxy", ID: "a", Status: "pending"}},
		},
		{
			name: "a type of another type", body: `{"members": [` + row("a", "pending", `, "member_type": 7`) + `]}`,
			err: `decode: "/members/0/member_type" in the response is a JSON number`,
		},
		{
			name: "sorted", body: `{"members": [` + row("c", "pending", "") + `,` + row("a", "rejected", "") + `,` + row("b", "accepted", "") + `]}`,
			want: []client.Member{
				{Type: "project", ID: "a", Status: "rejected"},
				{Type: "project", ID: "b", Status: "accepted"},
				{Type: "project", ID: "c", Status: "pending"},
			},
		},
		{
			name: "twice the same member", body: `{"members": [` + row("a", "rejected", "") + `,` + row("a", "weird", "") + `,` +
				row("a", "accepted", times) + `,` + row("a", "pending", "") + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted", Created: day(1), Updated: day(2)}},
		},
		{
			name: "rows without an ID are kept each", body: `{"members": [` + row("", "pending", "") + `,` + row("", "pending", "") + `]}`,
			want: []client.Member{{Type: "project", Status: "pending"}, {Type: "project", Status: "pending"}},
		},
		{name: "a null row", body: `{"members": [null]}`, want: []client.Member{{Type: "project", Status: "unknown"}}},
		{
			name: "unknown status",
			body: `{"members": [` + row("a", "quarantined", "") + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "unknown"}},
		},
		{
			name: "status of another type", body: `{"members": [{"member_id": "a", "status": 7}, {"member_id": "b", "status": "accepted"}]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "unknown"}, {Type: "project", ID: "b", Status: "accepted"}},
		},
		{
			name: "bad times cost the times", body: `{"members": [` + row("a", "accepted", `, "created_at": "soon", "updated_at": null`) + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted"}},
		},
		{
			name: "times of another type cost the times",
			body: `{"members": [` + row("a", "accepted", `, "created_at": 12, "updated_at": {}`) + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted"}},
		},
		{
			name: "times without a zone", body: `{"members": [` +
				row("a", "accepted", `, "created_at": "2016-09-01T02:05:14", "updated_at": "2016-09-02T02:05:14.000000"`) + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted", Created: day(1), Updated: day(2)}},
		},
		{
			name: "a present updated_at is none",
			body: `{"members": [` + row("a", "accepted", `, "created_at": "2016-09-01T02:05:14Z", "updated_at": "2016-09-03T02:05:14Z"`) + `]}`,
			want: []client.Member{{Type: "project", ID: "a", Status: "accepted", Created: day(1), Updated: day(1)}},
		},
		{
			name: "no members key",
			body: `{"schema": "/v2/schemas/members"}`,
			err:  `decode: no "members" in the response: {"schema": "/v2/schemas/members"}`,
		},
		{name: "members null", body: `{"members": null}`, err: `decode: no "members" in the response: {"members": null}`},
		{name: "empty object", body: `{}`, err: `decode: no "members" in the response: {}`},
		{
			name: "an error's body",
			body: `{"message": "Forbidden", "code": "403 Forbidden", "title": "Forbidden"}`,
			err:  `decode: no "members" in the response: Forbidden`,
		},
		{
			name: "a gateway's error",
			body: `{"error_msg": "throttled", "error_code": "APIGW.0308"}`,
			err:  `decode: no "members" in the response: APIGW.0308: throttled`,
		},
		{name: "members is an object", body: `{"members": {}}`, err: `decode: "/members" in the response is a JSON object`},
		{name: "a list", body: `[]`, err: `decode: response is a JSON array, not an object`},
		{name: "null", body: `null`, err: `decode: no "members" in the response: null`},
		{name: "empty", body: ``, err: `decode: invalid JSON in the response: unexpected EOF`},
		{
			name: "HTML",
			body: `<html><head><title>Login</title></head><body>Please <b>log in</b></body></html>`,
			err:  `decode: invalid JSON in the response: invalid character '<' at start of value`,
		},
		{
			name: "cut JSON",
			body: `{"members": [`,
			err:  `decode: invalid JSON in the response: unexpected EOF within "/members" after offset 13`,
		},
		{
			name: "something behind it",
			body: `{"members": []}{"members": [{}]}`,
			err:  `decode: invalid JSON in the response: invalid character '{' after top-level value after offset 15`,
		},
		{name: "a row is a number", body: `{"members": [1]}`, err: `decode: "/members/0" in the response is a JSON number`},
		{
			name: "an ID is a number",
			body: `{"members": [{"member_id": 1}]}`,
			err:  `decode: "/members/0/member_id" in the response is a JSON number`,
		},
		{
			name: "another image's list",
			body: `{"members": [{"member_id": "a", "image_id": "` + absent + `"}]}`,
			err:  `decode: row is about another image: "` + absent + `"`,
		},
		{name: "too long", body: `{"members": [` + strings.Repeat(" ", 16<<20) + `]}`, err: `decode: response body larger than 16 MiB`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if want := "/v2/images/" + golden + "/members"; r.URL.Path != want {
					t.Errorf("path %s, want %s", r.URL.Path, want)
				}
				w.Header().Set("Date", day(3).Format(http.TimeFormat))
				fmt.Fprint(w, test.body)
			}))
			c, seen := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
			list, err := c.Members(t.Context(), golden)
			if test.err != "" {
				if want := "listing members of image " + golden + ": " + test.err; err == nil || err.Error() != want {
					t.Fatalf("got  %v\nwant %s", err, want)
				}
				if diff := cmp.Diff([]string{"list_members decode"}, seen.take()); diff != "" {
					t.Error(diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, list.Members); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestImageLists(t *testing.T) {
	tests := []struct {
		name string
		body string
		want []client.Image
		err  string
	}{
		{
			name: "a bad record costs itself",
			body: `{"images": [{"id": 1}, {"id": "x", "name": null, "owner": null, "visibility": "shared", "os_hidden": false}, null]}`,
			want: []client.Image{{ID: "x", Visibility: "shared", View: producer}},
		},
		{
			name: "an image's own properties are not what Glance says of it",
			body: `{"images": [{"VISIBILITY": "public", "Name": "y", "Owner": "me", "Tags": "x", "OS_hidden": "no", "ID": 1, "id": "x", "name": "x", "visibility": "shared", "owner": null,
				"tags": ["a"], "os_hidden": true, "Visibility": "private", "OWNER": "me", "oS_hidden": false, "Status": "x", "Tagſ": []}]}`,
			want: []client.Image{{ID: "x", Name: "x", Visibility: "shared", Hidden: true, Tags: []string{"a"}, View: producer}},
		},
		{name: "none", body: `{"images": []}`, want: []client.Image{}},
		{
			name: "two lists",
			body: `{"images": [{"id": "a"}], "images": [{"id": "b"}]}`,
			err:  `listing images: decode: response with duplicate key "images"`,
		},
		{
			name: "two ends",
			body: `{"images": [], "next": "/v2/images?marker=x", "Next": ""}`,
			err:  `listing images: decode: response with duplicate key "Next"`,
		},
		{name: "no images key", body: `{"members": []}`, err: `listing images: decode: no "images" in the response: {"members": []}`},
		{name: "images null", body: `{"images": null}`, err: `listing images: decode: no "images" in the response: {"images": null}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, test.body) }))
			c, _ := newClient(t, client.Options{Endpoint: url, ProjectID: producer})
			images, err := c.Images(t.Context(), []string{"x"}, false)
			if got := fmt.Sprint(err); (test.err != "" || err != nil) && got != test.err {
				t.Fatalf("got  %s\nwant %s", got, test.err)
			}
			if diff := cmp.Diff(test.want, images, ignoreBy); diff != "" {
				t.Error(diff)
			}
		})
	}
}
