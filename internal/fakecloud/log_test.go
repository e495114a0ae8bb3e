package fakecloud_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

func TestLogNamesOperations(t *testing.T) {
	c, clk := recordedWorld()
	token := c.Token("producer", producerID)
	image := "/image/v2/images/" + allStatuses
	tests := []struct {
		method, path string
		want         fakecloud.Request
	}{
		{"POST", "/identity/v3/auth/tokens", fakecloud.Request{Service: "identity", Operation: "authenticate", Status: 400}},
		{"GET", "/identity/v3/auth/tokens", fakecloud.Request{Service: "identity", Operation: "validate_token", Status: 403}},
		{"GET", "/identity/v3/auth/projects", fakecloud.Request{Service: "identity", Operation: "list_projects", Status: 200}},
		{"GET", "/identity/v3/", fakecloud.Request{Service: "identity", Operation: "versions", Status: 200}},
		{"GET", "/identity/v2.0", fakecloud.Request{Service: "identity", Operation: "other", Status: 404}},
		{"GET", "/image/", fakecloud.Request{Service: "image", Operation: "versions", Status: 300}},
		{"GET", "/image/v2/images?limit=1", fakecloud.Request{
			Service: "image", Operation: "list_images", RawQuery: "limit=1", Status: 200,
		}},
		{"GET", image, fakecloud.Request{Service: "image", Operation: "get_image", ImageID: allStatuses, Status: 200}},
		{"GET", image + "/members", fakecloud.Request{
			Service: "image", Operation: "list_members", ImageID: allStatuses, Status: 200,
		}},
		{"GET", image + "/members/" + consumerA, fakecloud.Request{
			Service: "image", Operation: "get_member", ImageID: allStatuses, MemberID: consumerA, Status: 200,
		}},
		{"HEAD", image + "/members", fakecloud.Request{Service: "image", Operation: "other", Status: 405}},
		{"GET", "/regions/west" + image, fakecloud.Request{
			Service: "image", Region: "west", Operation: "get_image", ImageID: allStatuses, Status: 200,
		}},
		{"GET", "/elsewhere", fakecloud.Request{Operation: "other", Status: 404}},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			c.ResetLog()
			r, err := http.NewRequestWithContext(t.Context(), tt.method, tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Auth-Token", token)
			r.Header.Set("User-Agent", "test/1")
			r.RemoteAddr = "127.0.0.1:1"
			serve(c, r)
			tt.want.Method, tt.want.Path = tt.method, r.URL.Path
			tt.want.User, tt.want.Project, tt.want.UserAgent = "producer", producerID, "test/1"
			tt.want.Time, tt.want.RemoteAddr = clk.now, "127.0.0.1:1"
			got := c.Requests()
			if len(got) != 1 || got[0].Header.Get("X-Auth-Token") != token {
				t.Fatalf("%+v", got)
			}
			got[0].Header = nil
			if g, w := fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", tt.want); g != w {
				t.Errorf("%s\nwant %s", g, w)
			}
			if c.Count(tt.want.Operation) != 1 || c.Count("") != 1 || c.Connections() != 1 {
				t.Errorf("%d of the operation, %d in all, %d connections", c.Count(tt.want.Operation), c.Count(""), c.Connections())
			}
		})
	}
}

func TestLogKeepsTheNewest(t *testing.T) {
	c := fakecloud.New(fakecloud.Options{LogSize: 3})
	paths := func() (s string) {
		for _, r := range c.Requests() {
			s += r.Path
		}
		return s
	}
	for i := range 5 {
		do(c, "GET", fmt.Sprint("/", i), "", "")
	}
	if got := paths(); got != "/2/3/4" || c.Count("") != 5 {
		t.Errorf("%s of %d", got, c.Count(""))
	}
	c.ResetLog()
	for i := range 4 {
		do(c, "GET", fmt.Sprint("/", i), "", "")
	}
	if got := paths(); got != "/1/2/3" || c.Requests()[0].Status != 404 {
		t.Errorf("%s after a reset", got)
	}
}

func TestConnections(t *testing.T) {
	c, _ := recordedWorld()
	s := server(t, c)
	for range 3 {
		if _, _, err := get(t, s.Client(), s.URL+"/image/versions", ""); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Connections(); n != 1 {
		t.Errorf("%d with keep-alive", n)
	}
	s.Client().CloseIdleConnections()
	if _, _, err := get(t, s.Client(), s.URL+"/image/versions", ""); err != nil {
		t.Fatal(err)
	}
	if n := c.Connections(); n != 2 {
		t.Errorf("%d after closing it", n)
	}
}

func TestHeaders(t *testing.T) {
	c, clk := recordedWorld()
	w := do(c, "GET", "/image/v2/images", c.Token("producer", producerID), "")
	if got, want := w.Header().Get("Date"), clk.now.Format(http.TimeFormat); got != want {
		t.Errorf("Date %s, want the cloud's own time, %s", got, want)
	}
	if got := w.Header().Get("X-Openstack-Request-Id"); len(got) != len("req-")+36 {
		t.Errorf("X-Openstack-Request-Id %q", got)
	}
	w = do(c, "GET", "/image/v2/images", "", "")
	if got := w.Header().Get("X-Openstack-Request-Id"); got != "" {
		t.Errorf("X-Openstack-Request-Id %q of a 401", got)
	}
}

func TestWorldMovesWhileItIsRead(t *testing.T) {
	c, token := bulkCloud(fakecloud.Options{}, 50)
	ids := allIDs(t, c, token)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 100 {
				id := ids[(i+worker)%len(ids)]
				do(c, "GET", "/image/v2/images/"+id+"/members", token, "")
				do(c, "GET", "/image/v2/images?limit=5", token, "")
				c.Share(id, "x")
				c.SetStatus(id, "x", "accepted")
				c.SetImage(id, func(img *fakecloud.Image) { img.Tags = append(img.Tags, "t") })
				c.Unshare(id, "x")
				c.Inject(fakecloud.Fault{Times: 1, Latency: time.Microsecond})()
				_ = c.Requests()
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if n := len(c.Members(id)); n != 3 {
			t.Errorf("%d members", n)
		}
	}
}

func BenchmarkListMembers(b *testing.B) {
	c, token := bulkCloud(fakecloud.Options{}, 1000)
	ids := allIDs(b, c, token)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			do(c, "GET", "/image/v2/images/"+ids[i%len(ids)]+"/members", token, "")
		}
	})
}
