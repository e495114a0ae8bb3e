package client_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// A later page that lacks only its last row looks whole. It does not teach a limit that makes the first page look whole the next time.
func TestE13DroppedRowsStayDropped(t *testing.T) {
	server := cutPages{total: 7, most: 3, drops: map[int]bool{0: true, 5: true}}
	c, _ := newClient(t, client.Options{Transport: fakecloud.InMemory(&server), Endpoint: "http://cloud.test", ProjectID: producer})
	for range 3 {
		if diff := cmp.Diff([]string{"2 dropped", "2", "1"}, readPages(t, c)); diff != "" {
			t.Error(diff)
		}
	}
}

// cutPages serves images in pages: the limit asked for, or the server's own where that is lower; then it drops some, as
// Glance does with those that its policy get_image does not allow.
type cutPages struct {
	total, most int
	drops       map[int]bool
	unreadable  map[int]bool
	asked       []string
}

func (p *cutPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.asked = append(p.asked, q.Get("marker")+" "+q.Get("limit"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	begin := 0
	if marker := q.Get("marker"); marker != "" {
		begin, _ = strconv.Atoi(strings.TrimPrefix(marker, "i"))
		begin++
	}
	end := min(begin+min(limit, p.most), p.total)
	var rows []string
	for i := begin; i < end; i++ {
		switch {
		case p.drops[i]:
		case p.unreadable[i]:
			rows = append(rows, `{"id": 7}`)
		default:
			rows = append(rows, fmt.Sprintf(`{"id": "i%d", "owner": %q}`, i, producer))
		}
	}
	next := ""
	if end < p.total {
		next = fmt.Sprintf(`, "next": "/v2/images?marker=i%d"`, end-1)
	}
	fmt.Fprintf(w, `{"images": [%s]%s}`, strings.Join(rows, ", "), next)
}

// readPages reads all pages and returns for each the number of rows, with a mark where rows were dropped.
func readPages(t *testing.T, c *client.Client) (pages []string) {
	t.Helper()
	for marker := ""; ; {
		page, err := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, marker)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, fmt.Sprint(len(page.Images)+page.Unreadable)+map[bool]string{true: " dropped"}[page.Dropped])
		if marker = page.Next; marker == "" {
			return pages
		}
	}
}

// E13: a page that is shorter than what was asked for, and has a next one: the server's own limit, or rows that it dropped.
func TestE13ShortPages(t *testing.T) {
	for _, test := range []struct {
		name   string
		server cutPages
		pages  []string
		asked  []string
	}{
		{"all in one", cutPages{total: 3, most: 10}, []string{"3"}, []string{" 1000"}},
		{"rows dropped in the only page", cutPages{total: 3, most: 10, drops: map[int]bool{1: true}}, []string{"2"}, []string{" 1000"}},
		{
			"a limit of the server's",
			cutPages{total: 8, most: 3},
			[]string{"3", "3", "2"},
			[]string{" 1000", " 3", "i2 1000", "i2 3", "i5 1000"},
		},
		{
			"with records that cannot be read",
			cutPages{total: 7, most: 3, unreadable: map[int]bool{0: true}},
			[]string{"3", "3", "1"},
			[]string{" 1000", " 3", "i2 1000", "i2 3", "i5 1000"},
		},
		{
			"a row dropped in the first page",
			cutPages{total: 6, most: 3, drops: map[int]bool{1: true}},
			[]string{"2 dropped", "3"},
			[]string{" 1000", " 2", "i2 1000"},
		},
		{
			"a row dropped in the second page",
			cutPages{total: 9, most: 3, drops: map[int]bool{4: true}},
			[]string{"3", "2 dropped", "3"},
			[]string{" 1000", " 3", "i2 1000", "i2 2", "i5 1000"},
		},
		{
			"all rows dropped",
			cutPages{total: 6, most: 3, drops: map[int]bool{0: true, 1: true, 2: true}},
			[]string{"0 dropped", "3"},
			[]string{" 1000", "i2 1000"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := newClient(t, client.Options{Transport: fakecloud.InMemory(&test.server), Endpoint: "http://cloud.test", ProjectID: producer})
			if diff := cmp.Diff(test.pages, readPages(t, c)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.asked, test.server.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestE13TheServersLimitIsBelievedForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cutPages{total: 7, most: 3}
		c, _ := newClient(t, client.Options{Transport: fakecloud.InMemory(server), Endpoint: "http://cloud.test", ProjectID: producer})
		for _, want := range []int{5, 3, 3, 5} {
			server.asked = nil
			readPages(t, c)
			if len(server.asked) != want {
				t.Errorf("asked %q, want %d requests", server.asked, want)
			}
			time.Sleep(25 * time.Minute)
		}
		// Another limit is another question.
		server.most, server.asked = 2, nil
		if readPages(t, c); len(server.asked) != 6 {
			t.Errorf("asked %q", server.asked)
		}
		// One page is not enough to know it: its last rows may be missing.
		server.total, server.most = 4, 3
		for range 2 {
			server.asked = nil
			if readPages(t, c); len(server.asked) != 3 {
				t.Errorf("asked %q", server.asked)
			}
		}
	})
}

// E9, E13: the queries that look at what a view can see are one page without an order.
func TestE13LooksAtWhatAViewCanSee(t *testing.T) {
	for _, test := range []struct {
		api   client.API
		query client.ImageQuery
		want  string
	}{
		{client.Glance, client.ImageQuery{Limit: 100, Plain: true}, "/v2/images?limit=100"},
		{client.Glance, client.ImageQuery{Limit: 100, Plain: true, Hidden: true, Owner: producer, As: producer}, "/v2/images?limit=100"},
		{client.Glance, client.ImageQuery{Visibility: client.Private, Limit: 100}, "/v2/images?limit=100&visibility=private"},
		{client.Glance, client.ImageQuery{Owner: producer}, "/v2/images?limit=1000&owner=" + producer + "&sort=created_at%3Aasc%2Cid%3Aasc"},
		{client.IMS, client.ImageQuery{Limit: 100, Plain: true}, "/v2/cloudimages?limit=100"},
		{client.IMS, client.ImageQuery{Owner: producer}, "/v2/cloudimages?limit=500&owner=" + producer},
	} {
		var asked []string
		c, _ := newClient(t, client.Options{
			Settings: client.Settings{API: test.api}, Endpoint: "http://cloud.test", ProjectID: producer,
			Transport: fakecloud.InMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.RequestURI())
				fmt.Fprint(w, `{"images": [{"id": "a"}], "next": "/v2/images?marker=a"}`)
			})),
		})
		page, err := c.ImagePage(t.Context(), test.query, "")
		if err != nil || len(page.Images) != 1 || page.Dropped {
			t.Errorf("got %+v, %v", page, err)
		}
		if asked[0] != test.want || test.query.Limit > 0 && len(asked) > 1 {
			t.Errorf("asked %q, want %s", asked, test.want)
		}
	}
}

func TestE13LooksInTheViewOfAProject(t *testing.T) {
	roaming(t, func(t *testing.T, w *fakecloud.Cloud, _ *gate, p *client.Projects) {
		w.AddImage(fakecloud.Image{ID: absent, Name: "theirs", Owner: consumerA, Visibility: "private"})
		if _, err := p.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := p.ImagePage(t.Context(), client.ImageQuery{As: consumerA, Owner: producer, Plain: true, Limit: 100}, "")
		if err != nil || page.Access.ProjectID != consumerA || len(page.Images) == 0 {
			t.Errorf("got %+v, %v", page, err)
		}
		page, err = p.ImagePage(t.Context(), client.ImageQuery{As: consumerA, Visibility: client.Private, Limit: 100}, "")
		if err != nil || len(page.Images) != 1 || page.Images[0].ID != absent || page.Images[0].View != consumerA {
			t.Errorf("got %+v, %v", page, err)
		}
		if _, err := p.ImagePage(t.Context(), client.ImageQuery{As: "another", Plain: true, Limit: 100}, ""); err == nil {
			t.Error("a page for a project that is none of them")
		}
	})
}
