package fakecloud_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// server serves a cloud over the network until the test ends.
func server(t *testing.T, c *fakecloud.Cloud) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(func() {
		c.ClearFaults()
		s.Close()
	})
	return s
}

func about(id string) func(fakecloud.Request) bool {
	return func(r fakecloud.Request) bool { return r.ImageID == id && r.Operation == fakecloud.OpListMembers }
}

func TestFaultTakesTheAnswersPlace(t *testing.T) {
	c, _ := recordedWorld()
	s := server(t, c)
	token := c.Token("producer", producerID)
	remove := c.Inject(fakecloud.Fault{
		Match: about(allStatuses), Status: http.StatusTooManyRequests, Body: "slow down",
		Header: http.Header{"Retry-After": {"7"}},
	})
	url := s.URL + "/image/v2/images/" + allStatuses + "/members"
	for range 2 {
		if status, body, err := get(t, s.Client(), url, token); status != 429 || body != "slow down" || err != nil {
			t.Errorf("%d %s %v", status, body, err)
		}
	}
	if status, _, _ := get(t, s.Client(), s.URL+"/image/v2/images/"+noMembers+"/members", token); status != 200 {
		t.Errorf("another image: %d", status)
	}
	remove()
	remove() // twice does no harm
	if status, _, _ := get(t, s.Client(), url, token); status != 200 {
		t.Errorf("after it: %d", status)
	}
}

func TestFaultOfSomeTimes(t *testing.T) {
	c, _ := recordedWorld()
	c.Inject(fakecloud.Fault{Times: 2, Status: 503})
	c.Inject(fakecloud.Fault{Times: 1, Status: 500})
	var got []int
	for range 4 {
		got = append(got, do(c, "GET", "/image/versions", "", "").Code)
	}
	if want := [4]int{503, 503, 500, 200}; [4]int(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestHang(t *testing.T) {
	c, _ := recordedWorld()
	s := server(t, c)
	token := c.Token("producer", producerID)
	url := s.URL + "/image/v2/images/" + allStatuses + "/members"
	arrived := make(chan struct{}, 2)
	remove := c.Inject(fakecloud.Fault{Hang: true, Match: func(fakecloud.Request) bool {
		arrived <- struct{}{}
		return true
	}})

	t.Run("until the client goes away", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-arrived
			cancel()
		}()
		resp, err := s.Client().Do(r)
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if n := c.Count(fakecloud.OpListMembers); n != 1 {
			t.Errorf("%d requests logged at their arrival", n)
		}
		if got := c.Requests()[0].Status; got != 0 {
			t.Errorf("status %d of a request without an answer", got)
		}
	})
	t.Run("until the fault is removed", func(t *testing.T) {
		go func() {
			<-arrived
			remove()
		}()
		if status, _, err := get(t, s.Client(), url, token); status != 200 || err != nil {
			t.Errorf("%d %v", status, err)
		}
	})
}

func TestTruncate(t *testing.T) {
	c, _ := recordedWorld()
	s := server(t, c)
	c.Inject(fakecloud.Fault{Times: 1, Truncate: true})
	url := s.URL + "/image/v2/images/" + allStatuses + "/members"
	status, body, err := get(t, s.Client(), url, c.Token("producer", producerID))
	if status != 200 || len(body) != 744/2 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, %d bytes, %v", status, len(body), err)
	}
}

func TestRaw(t *testing.T) {
	c, _ := recordedWorld()
	c.Inject(fakecloud.Fault{Raw: func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(b)
	}})
	if w := do(c, "POST", "/identity/v3/auth/tokens", "", "hello"); w.Code != 418 || w.Body.String() != "hello" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestLatency(t *testing.T) {
	c, _ := recordedWorld()
	token := c.Token("producer", producerID)
	took := func(path string) time.Duration {
		start := time.Now()
		do(c, "GET", path, token, "")
		return time.Since(start)
	}
	c.SetLatency(30 * time.Millisecond)
	if d := took("/image/v2/images"); d < 30*time.Millisecond {
		t.Errorf("the image API answered after %s", d)
	}
	c.SetLatency(0)
	c.Inject(fakecloud.Fault{Latency: 30 * time.Millisecond})
	if d := took("/identity/v3"); d < 30*time.Millisecond {
		t.Errorf("Keystone answered after %s", d)
	}
	c.SetLatency(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := serve(c, httptest.NewRequestWithContext(ctx, "GET", "/image/v2", http.NoBody)); w.Body.Len() > 0 {
		t.Errorf("an answer for a client that is gone: %s", w.Body)
	}
}

func TestKeystoneThatDropsConnections(t *testing.T) {
	c := fakecloud.New(fakecloud.Options{KeystoneDrops: true, KeystoneDownDelay: time.Millisecond})
	s := server(t, c)
	c.KeystoneDown(true)
	if _, _, err := get(t, s.Client(), s.URL+"/identity/v3", ""); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v", err)
	}
	if status, _, err := get(t, s.Client(), s.URL+"/image/v2/images", "good"); status != 401 || err != nil {
		t.Errorf("%d %v", status, err)
	}
}
