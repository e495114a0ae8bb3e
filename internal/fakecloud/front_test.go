package fakecloud_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

func TestTwoImageEndpoints(t *testing.T) {
	c, _ := recordedWorld()
	catalog := func() (urls []string) {
		var got struct {
			Token struct {
				Catalog []struct {
					ID, Type  string
					Endpoints []struct{ Interface, URL string }
				}
			}
		}
		w := do(c, "POST", "/identity/v3/auth/tokens", "", passwordBody("producer", `{"project": {"id": "`+producerID+`"}}`))
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, s := range got.Token.Catalog {
			if ids[s.ID] {
				t.Errorf("two services with the ID %s", s.ID)
			}
			ids[s.ID] = true
			for _, e := range s.Endpoints {
				if s.Type == "image" {
					urls = append(urls, e.Interface+" "+e.URL)
				}
			}
		}
		return urls
	}
	c.SetCatalog(fakecloud.Catalog{ImageURLs: func(_, iface, base string) []string {
		switch iface {
		case "public":
			return []string{base + "/image", "http://old.example.com:9292"}
		case "internal":
			return []string{base + "/image"}
		}
		return nil
	}})
	want := []string{"public http://example.com/image", "internal http://example.com/image", "public http://old.example.com:9292"}
	if got := catalog(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	c.SetCatalog(fakecloud.Catalog{ImageURL: func(_, iface, _ string) string { return "http://" + iface }})
	if got := catalog(); !slices.Equal(got, []string{"public http://public", "internal http://internal", "admin http://admin"}) {
		t.Errorf("%q", got)
	}
}

func TestBlankBackend(t *testing.T) {
	c, _ := recordedWorld()
	token := c.Token("producer", producerID)
	c.Inject(fakecloud.Fault{Blank: true})
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"/v2/images?limit=1", 200, `{"images": [], "first": "/v2/images?limit=1", "schema": "/v2/schemas/images"}`},
		{"/v2/images/" + allStatuses, 404, "No image found with ID " + allStatuses},
		{"/v2/images/" + allStatuses + "/members", 404, "Image " + allStatuses + " not found."},
		{"/v2/images/" + allStatuses + "/members/" + consumerA, 404, "Image " + allStatuses + " not found."},
	}
	for _, tt := range tests {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/image"+tt.path, http.NoBody)
		r.Header = http.Header{"X-Auth-Token": {token}, "Accept": {"application/json"}, "X-Openstack-Request-Id": {"req-1"}}
		w := serve(c, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("X-Openstack-Request-Id") != "req-1" {
			t.Errorf("%s: %d %v %s", tt.path, w.Code, w.Header(), w.Body)
		}
	}
	if w := do(c, "GET", "/image/v2/images", "bad", ""); w.Code != 401 {
		t.Errorf("a bad token: %d", w.Code)
	}
	if w := do(c, "GET", "/ims/v2/cloudimages", token, ""); !strings.HasPrefix(w.Body.String(), `{"images": []`) {
		t.Errorf("IMS: %d %s", w.Code, w.Body)
	}
	c.ClearFaults()
	if w := do(c, "GET", "/image/v2/images/"+allStatuses, token, ""); w.Code != 200 {
		t.Errorf("after it: %d", w.Code)
	}
}

func TestCache(t *testing.T) {
	c, clk := recordedWorld()
	clk.at("21:00:00")
	token := c.Token("producer", producerID)
	ask := func(token, cacheControl string) string {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/image/v2/images/"+noMembers+"/members", http.NoBody)
		r.Header = http.Header{"X-Auth-Token": {token}, "Cache-Control": {cacheControl}}
		w := serve(c, r)
		return fmt.Sprint(w.Code, " age ", w.Header().Get("Age"), " rows ", strings.Count(w.Body.String(), "member_id"))
	}
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	c.SetCache(&fakecloud.Cache{Age: 10 * time.Second})
	expect("first", ask(token, ""), "200 age  rows 0")
	c.Share(noMembers, "x")
	clk.at("21:00:30")
	expect("cached", ask(token, ""), "200 age 40 rows 0")
	expect("no-cache is ignored", ask(token, "no-cache"), "200 age 40 rows 0")
	expect("another token", ask(c.Token("producer", producerID), ""), "200 age  rows 1")

	c.SetCache(&fakecloud.Cache{HonorsNoCache: true})
	expect("a new cache is empty", ask(token, ""), "200 age  rows 1")
	c.Share(noMembers, "y")
	expect("no-cache passes", ask(token, "no-cache"), "200 age  rows 2")
	expect("and renews", ask(token, ""), "200 age 0 rows 2")
	c.SetCache(nil)
	expect("no cache", ask(token, ""), "200 age  rows 2")
}

func TestStray(t *testing.T) {
	c, _ := recordedWorld()
	s := server(t, c)
	c.Inject(fakecloud.Fault{Times: 1, Stray: fakecloud.RawJSON(`{"members": []}`)})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /image/v2/images/%s/members HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\n\r\n",
		allStatuses, c.Token("producer", producerID))
	in := bufio.NewReader(conn)
	for _, rows := range []int{3, 0} {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if n := strings.Count(string(b), "member_id"); resp.StatusCode != 200 || n != rows || err != nil {
			t.Errorf("%d, %d rows, %v, want %d", resp.StatusCode, n, err, rows)
		}
	}
	if got := c.Requests(); len(got) != 1 || got[0].Status != 200 {
		t.Errorf("%+v", got)
	}
	// Where a connection can't be taken over, the answer is all there is.
	c.Inject(fakecloud.Fault{Stray: fakecloud.RawJSON(`{}`)})
	if w := do(c, "GET", "/image/versions", "", ""); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRequestIDIsEchoed(t *testing.T) {
	c, _ := recordedWorld()
	token := c.Token("producer", producerID)
	for path, status := range map[string]int{
		"/image/v2/images":                           200,
		"/image/v2/images/" + unknownID:              404,
		"/image/v2/images/" + private + "/members":   403,
		"/image/v2/images/" + private + "/members/x": 404,
		"/image/v2/nothing":                          404,
		"/image/v2/images?limit=x":                   400,
		"/ims/v2/cloudimages":                        200,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, http.NoBody)
		r.Header = http.Header{"X-Auth-Token": {token}, "X-Openstack-Request-Id": {"req-1"}}
		want := "req-1"
		if strings.HasPrefix(path, "/ims") {
			want = "" // IMS knows no such header
		}
		if w := serve(c, r); w.Code != status || w.Header().Get("X-Openstack-Request-Id") != want {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

func TestOwnerOfAnImageChanges(t *testing.T) {
	c, _ := recordedWorld()
	c.SetImage(allStatuses, func(img *fakecloud.Image) { img.Owner = consumerA })
	rows := func(user, project string) int {
		w := do(c, "GET", "/image/v2/images/"+allStatuses+"/members", c.Token(user, project), "")
		return strings.Count(w.Body.String(), "member_id")
	}
	if n := rows("consumer-a", consumerA); n != 3 {
		t.Errorf("the new owner gets %d rows", n)
	}
	if n := rows("producer", producerID); n != 0 {
		t.Errorf("the old owner gets %d rows", n)
	}
}
