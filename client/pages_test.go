package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"glance_share_exporter/client"
)

// E3: pages that repeat a row do not divide the list, so another row may be on none of them.
func TestE3PagesThatOverlap(t *testing.T) {
	c := answering(t, client.IMS,
		`{"members": [`+memberRows(2)+`], "page_info": {"next_marker": "x", "current_count": 2}}`,
		`{"members": [`+memberRows(1)+`], "page_info": {"current_count": 1}}`,
	)
	if list, err := c.Members(t.Context(), golden); err == nil {
		t.Errorf("%d members count as all", len(list.Members))
	}
}

// E13: a page of a listing that says beside its rows that there are more.
func TestE13AListingThatSaysMore(t *testing.T) {
	for _, beside := range []string{
		`"links": {"next": "?marker=y"}`, `"images_links": [{"rel": "next", "href": "?marker=y"}]`, `"next_marker": "y"`,
		`"page_info": {"next_marker": "y"}`,
	} {
		c := answering(t, client.Glance, `{"images": [{"id": "a", "owner": "o"}], `+beside+`}`)
		page, err := c.ImagePage(t.Context(), client.ImageQuery{}, "")
		if err == nil && page.Next == "" {
			t.Errorf("%s, and the page counts as the last one", beside)
		}
	}
}

// E21: neither an empty page of images nor rows without image_id show that they are the response to this request.
func TestE21ResponsesThatNameNothing(t *testing.T) {
	var used sync.Map
	server := newConnections(t, func(w http.ResponseWriter, r *http.Request) {
		_, again := used.Load(r.RemoteAddr)
		used.Store(r.RemoteAddr, true)
		switch members := strings.HasSuffix(r.URL.Path, "/members"); {
		case members && again:
			fmt.Fprint(w, `{"members": [{"member_id": "of another image"}]}`)
		case members:
			fmt.Fprint(w, `{"members": [`+memberRows(2)+`]}`)
		case strings.HasSuffix(r.URL.Path, "/images") && again:
			fmt.Fprint(w, `{"images": []}`) // of another request
		case strings.HasSuffix(r.URL.Path, "/images"):
			fmt.Fprint(w, `{"images": [{"id": "`+golden+`", "owner": "`+producer+`"}]}`)
		default:
			fmt.Fprint(w, `{"id": "`+golden+`"}`)
		}
	}, (*httptest.Server).Start)
	c, _ := newClient(t, client.Options{Transport: server.keep, Fresh: server.fresh, Endpoint: server.url, ProjectID: producer})
	if _, err := c.Image(t.Context(), golden); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Members(t.Context(), golden); err != nil || len(list.Members) != 2 {
		t.Errorf("got %+v, %v", list, err)
	}
	if page, err := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, ""); err != nil || len(page.Images) != 1 {
		t.Errorf("got %+v, %v", page, err)
	}
}
