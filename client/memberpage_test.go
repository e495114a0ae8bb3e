package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// answering is a client whose API answers everything with one of the bodies in turn, the last one from then on.
func answering(t *testing.T, api client.API, bodies ...string) *client.Client {
	t.Helper()
	c, _ := newClient(t, client.Options{
		Settings: client.Settings{API: api}, Endpoint: "http://cloud.test", ProjectID: producer,
		Transport: fakecloud.InMemory(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, bodies[0])
			if len(bodies) > 1 {
				bodies = bodies[1:]
			}
		})),
	})
	return c
}

func memberRows(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"member_id": "m%d", "image_id": %q, "status": "accepted"}`, i, golden)
	}
	return strings.Join(rows, ", ")
}

// E3: a list has all of its pages, and each page all of its rows.
func TestE3PagesAreComplete(t *testing.T) {
	for _, test := range []struct {
		name   string
		api    client.API
		bodies []string
		rows   int
		err    string
	}{
		{"the number of rows", client.IMS, []string{`{"members": [` + memberRows(2) + `], "page_info": {"current_count": 2}}`}, 2, ""},
		{
			"the number of rows as a text", client.IMS,
			[]string{`{"members": [` + memberRows(2) + `], "page_info": {"current_count": "2"}}`},
			2, "",
		},
		{"no number", client.IMS, []string{`{"members": [` + memberRows(2) + `], "page_info": {"current_count": null}}`}, 2, ""},
		{
			"fewer rows", client.IMS,
			[]string{`{"members": [` + memberRows(2) + `], "page_info": {"current_count": 3}}`},
			0, "page has 2 members, but current_count is 3",
		},
		{
			"none of them", client.Glance,
			[]string{`{"members": [], "page_info": {"next_marker": "", "current_count": 3}}`},
			0, "page has 0 members, but current_count is 3",
		},
		{
			"more rows", client.IMS,
			[]string{`{"members": [` + memberRows(2) + `], "page_info": {"current_count": 0}}`},
			0, "page has 2 members, but current_count is 0",
		},
		{
			"what is no number", client.IMS,
			[]string{`{"members": [], "page_info": {"current_count": "all"}}`},
			0, `page has 0 members, but current_count is "all"`,
		},
		{"fewer rows, and a status of another type", client.IMS, []string{`{"members": [{"member_id": "a", "status": 7}], "page_info": ` +
			`{"current_count": 3}}`}, 0, "page has 1 members, but current_count is 3"},
		{
			"fewer rows on the second page", client.IMS,
			[]string{
				`{"members": [` + memberRows(2) + `], "page_info": {"next_marker": "x", "current_count": 2}}`,
				`{"members": [], "page_info": {"current_count": 1}}`,
			},
			0, "page has 0 members, but current_count is 1",
		},
		{
			"a count that is taken back", client.IMS,
			[]string{`{"members": [], "page_info": {"current_count": 3, "Current_Count": 0}}`},
			0, `response with duplicate key "Current_Count"`,
		},
		{
			"a default page", client.IMS,
			[]string{`{"members": [` + memberRows(500) + `]}`},
			0,
			"page of 500 members without page_info: it may not be the last page",
		},
		{
			"a default page and nothing in page_info", client.IMS,
			[]string{`{"members": [` + memberRows(500) + `], "page_info": {}}`},
			0, "page of 500 members without page_info: it may not be the last page",
		},
		{
			"a default page that is the last one", client.IMS,
			[]string{`{"members": [` + memberRows(500) + `], "page_info": {"current_count": 500}}`},
			500, "",
		},
		{"a page of another length", client.IMS, []string{`{"members": [` + memberRows(499) + `]}`}, 499, ""},
		{"Glance has no pages", client.Glance, []string{`{"members": [` + memberRows(500) + `]}`}, 500, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := answering(t, test.api, test.bodies...).Members(t.Context(), golden)
			checkDecode(t, err, test.err)
			if len(list.Members) != test.rows {
				t.Errorf("%d members", len(list.Members))
			}
		})
	}
}

// checkDecode checks the error of a list of members: a message, or none for an empty one.
func checkDecode(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if want = "listing members of image " + golden + ": decode: " + want; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// E4: a list that says beside its rows that there are more.
func TestE4AListThatSaysMore(t *testing.T) {
	for beside, want := range map[string]string{
		`"next": "/v2/images/x/members?marker=y"`:                     `unexpected "next" in the member list`,
		`"next": {"href": "?marker=y"}`:                               `unexpected "next" in the member list`,
		`"NEXT": "?marker=y"`:                                         `unexpected "next" in the member list`,
		`"links": {"next": "?marker=y"}`:                              `unexpected "links.next" in the member list`,
		`"links": {"next": "?marker=y", "next": null}`:                `response with duplicate key "next"`,
		`"links": {"next": "?marker=y"}, "links": {}`:                 `response with duplicate key "links"`,
		`"members_links": [{"rel": "next", "href": "?marker=y"}]`:     `unexpected "members_links" in the member list`,
		`"next_marker": "y"`:                                          `unexpected "next_marker" in the member list`,
		`"next_marker": "y", "next_marker": ""`:                       `response with duplicate key "next_marker"`,
		`"total": 3`:                                                  "member list has 2 rows, but reports 3",
		`"total_count": "3"`:                                          "member list has 2 rows, but reports 3",
		`"count": 2.5`:                                                "member list has 2 rows, but reports 2.5",
		`"total": 2, "count": 3`:                                      "member list has 2 rows, but reports 3",
		`"count": 3, "count": 2`:                                      `response with duplicate key "count"`,
		`"total": 2, "total_count": "2", "count": 1`:                  "",
		`"total": null, "count": "", "total_count": {}`:               "",
		`"next": null, "members_links": [ ], "links": {"next": null}`: "",
		`"links": {"self": "x", "next": ""}, "next_marker": null`:     "",
		`"links": [], "next": {}`:                                     "",
		`"links": {"next": null, "NEXT": "?marker=y"}`:                `unexpected "links.next" in the member list`,
		`"next-marker": "y"`:                                          `unexpected "next_marker" in the member list`,
		`"members": []`:                                               `response with duplicate key "members"`,
		`"Members": []`:                                               `"/Members" in the response is another spelling of the name of the list`,
	} {
		for name, rows := range map[string]string{
			"":                         memberRows(2),
			"a status of another type": `{"member_id": "m0", "status": 7}, ` + memberRows(1),
		} {
			t.Run(beside+name, func(t *testing.T) {
				_, err := answering(t, client.Glance, `{"members": [`+rows+`], `+beside+`}`).Members(t.Context(), golden)
				if name == "" || want != "" {
					checkDecode(t, err, want)
				}
			})
		}
	}
	// What the pages say of the whole list counts when all of them are read.
	first := `{"members": [` + memberRows(2) + `], "total": 4, "page_info": {"next_marker": "x"}}`
	list, err := answering(t, client.IMS, first,
		`{"members": [`+strings.ReplaceAll(memberRows(2), `"m`, `"n`)+`]}`).Members(t.Context(), golden)
	if err != nil || len(list.Members) != 4 {
		t.Errorf("got %+v, %v", list, err)
	}
	_, err = answering(t, client.IMS, first, `{"members": [{"member_id": "n"}]}`).Members(t.Context(), golden)
	checkDecode(t, err, "member list has 3 rows, but reports 4")
}

// refusals are errors that come beside a list, and what they say.
func refusals() map[string]string {
	return map[string]string{
		`"error": {"message": "backend away", "code": "IMG.0114"}`: "IMG.0114: backend away",
		`"error": "no"`:                           "",
		`"error": true`:                           "",
		`"error_code": "APIGW.0301"`:              "APIGW.0301",
		`"error_msg": "throttled"`:                "throttled",
		`"errors": [{"code": "x"}]`:               "",
		`"encoded_authorization_message": "XYZ"`:  "the credential lacks a right",
		`"message": "no", "code": 500`:            "no",
		`"message": "no", "code": "IMG.0114"`:     "IMG.0114: no",
		`"Error_Msg": "throttled"`:                "throttled",
		`"message": "no", "code": 1, "code": ""`:  "-",
		`"error_msg": "no", "error_msg": ""`:      "-",
		`"errors": [{"code": "x"}], "errors": []`: "-",
		`"encoded_authorization_message": "XYZ", "encoded_authorization_message": null`: "-",
	}
}

// saysNothing are keys of errors without one.
func saysNothing() []string {
	return []string{
		`"error": null`,
		`"error": ""`,
		`"error": {}`,
		`"error": { }`,
		`"errors": []`,
		`"errors": [ ]`,
		`"error_code": "", "error_msg": null`,
		`"message": "hello"`,
		`"code": 200`,
		`"message": "hello", "code": null`,
		`"message": "", "code": 7`,
		`"encoded_authorization_message": ""`,
	}
}

// E4: an error beside a list, empty or not, of members or of something else.
func TestE4AnErrorBesideAList(t *testing.T) {
	check := func(t *testing.T, err error, said string) {
		t.Helper()
		apiErr := asError(t, err)
		if apiErr.Code != client.CodeDecode {
			t.Errorf("got %+v", apiErr)
		}
		switch want := "response with status 200 contains an error: " + said; {
		case said == "-" && !strings.Contains(err.Error(), "response with duplicate key "):
			t.Error(err)
		case said != "-" && said != "" && apiErr.Message != want:
			t.Errorf("got %s, want %s", apiErr.Message, want)
		}
	}
	for beside, said := range refusals() {
		t.Run(beside, func(t *testing.T) {
			for _, rows := range []string{"", memberRows(2), `{"member_id": "m0", "status": 7}`} {
				_, err := answering(t, client.Glance, `{"members": [`+rows+`], `+beside+`}`).Members(t.Context(), golden)
				check(t, err, said)
			}
			for _, rows := range []string{"", `{"id": "a"}`, `{"id": "a", "name": 7}`} {
				c := answering(t, client.Glance, `{"images": [`+rows+`], `+beside+`}`)
				_, err := c.ImagePage(t.Context(), client.ImageQuery{}, "")
				check(t, err, said)
				_, err = c.Images(t.Context(), []string{"a"}, false)
				check(t, err, said)
			}
			if said == "-" {
				return
			}
			_, err := answering(t, client.Glance, `{"versions": [{"id": "v2.9", "status": "CURRENT"}], `+beside+`}`).Version(t.Context())
			check(t, err, said)
			check(t, listProjects(t, `{"projects": [{"id": "p", "name": "n"}], `+beside+`}`), said)
		})
	}
	for _, beside := range saysNothing() {
		if _, err := answering(t, client.Glance, `{"members": [], `+beside+`}`).Members(t.Context(), golden); err != nil {
			t.Errorf("%s: %v", beside, err)
		}
		if _, err := answering(t, client.Glance, `{"images": [], `+beside+`}`).ImagePage(t.Context(), client.ImageQuery{}, ""); err != nil {
			t.Errorf("%s: %v", beside, err)
		}
	}
	// An image's owner may name its properties so.
	record := `{"id": "` + golden + `", "owner": "o", "visibility": "shared", "error": "x", "errors": "x", "message": "no", "code": "1", ` +
		`"next": "x", "error_msg": "x", "total": "9"}`
	if _, err := answering(t, client.Glance, record).Image(t.Context(), golden); err != nil {
		t.Error(err)
	}
	page, err := answering(t, client.Glance, `{"images": [`+record+`]}`).ImagePage(t.Context(), client.ImageQuery{}, "")
	if err != nil || len(page.Images) != 1 || page.Unreadable > 0 {
		t.Errorf("got %+v, %v", page, err)
	}
}

// listProjects returns the error of a user's list of projects that has such a body.
func listProjects(t *testing.T, body string) error {
	t.Helper()
	keystone := keystoneWith(func() string { return `{"user": {"id": "u"}}` },
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
	p, err := client.NewProjects(client.Options{Transport: fakecloud.InMemory(keystone), Auth: func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{IdentityEndpoint: inMemoryURL, Username: "u", Password: "secret", DomainName: "d"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, err = p.Enter(t.Context())
	return err
}

// Rows that are repeated do not make up the total.
func TestE3TotalWithRepeatedRows(t *testing.T) {
	for _, name := range []string{"total", "total_count", "count"} {
		row := memberRows(1)
		c := answering(t, client.IMS, `{"members": [`+row+`, `+row+`], "`+name+`": 2}`)
		if list, err := c.Members(t.Context(), golden); err == nil {
			t.Errorf("%s: %d members count as all of 2", name, len(list.Members))
		}
	}
}

// Rows that are repeated on another page do not make up the total.
func TestE4RepeatedRowsAndATotal(t *testing.T) {
	for _, name := range []string{"total", "total_count", "count"} {
		c := answering(t, client.IMS,
			`{"members": [`+memberRows(2)+`], "`+name+`": 4, "page_info": {"next_marker": "x", "current_count": 2}}`,
			`{"members": [`+memberRows(2)+`], "`+name+`": 4, "page_info": {"current_count": 2}}`,
		)
		if list, err := c.Members(t.Context(), golden); err == nil {
			t.Errorf("%s is 4, and %d members count as all", name, len(list.Members))
		}
	}
}
