package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

// fleet is an image API with as many images as are asked for, each with three members.
type fleet struct{ answering }

func (fleet) Images(_ context.Context, ids []string, hidden bool) ([]client.Image, error) {
	if hidden {
		return nil, nil
	}
	images := make([]client.Image, len(ids))
	for i, id := range ids {
		images[i] = client.Image{ID: id, Name: "image " + id, Owner: owner.ProjectID, Visibility: client.Shared}
	}
	return images, nil
}

func (fleet) Members(_ context.Context, id string) (client.MemberList, error) {
	list := client.MemberList{Access: owner}
	for _, member := range []string{"a", "b", "c"} {
		m := client.Member{Type: client.TypeProject, ID: member + id[1:], Status: client.Accepted}
		list.Members = append(list.Members, m)
	}
	return list, nil
}

// smallBuffers accepts connections that buffer little, so that who does not read is noticed.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetWriteBuffer(4 << 10)
	}
	return conn, err
}

// writing counts the answers whose first byte was written.
type writing struct {
	http.ResponseWriter
	begun *atomic.Int64
	once  sync.Once
}

func (w *writing) Write(p []byte) (int, error) {
	w.once.Do(func() { w.begun.Add(1) })
	return w.ResponseWriter.Write(p)
}

func (w *writing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// crowd is an exporter of many images, and who reads it.
type crowd struct {
	server *httptest.Server
	begun  atomic.Int64
}

const crowdImages = 3000

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	opts := collector.DefaultOptions()
	opts.Name = "prod"
	for i := range crowdImages {
		opts.Images = append(opts.Images, collector.Image{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i)})
	}
	cloud := collector.New(fleet{}, opts, log.NewNopLogger())
	t.Cleanup(cloud.Close)
	handler, err := web.New(web.Options{
		Clouds: func() ([]*collector.Cloud, func()) { return []*collector.Cloud{cloud}, func() {} },
		Config: func() ([]byte, error) { return nil, nil },
		Logger: log.NewNopLogger(), Gatherer: prometheus.NewRegistry(), MaxRequests: 40,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{}
	c.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&writing{ResponseWriter: w, begun: &c.begun}, r)
	}))
	c.server.Listener = smallBuffers{c.server.Listener}
	c.server.Start()
	t.Cleanup(c.server.Close)
	return c
}

// hang asks for a page and does not read it.
func (c *crowd) hang(t *testing.T, header string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", c.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	const request = "GET /metrics HTTP/1.1\r\nHost: exporter\r\nX-Prometheus-Scrape-Timeout-Seconds: 60\r\n%s\r\n"
	if _, err := fmt.Fprintf(conn, request, header); err != nil {
		t.Fatal(err)
	}
}

// hanging waits until the answers to n requests have begun, and returns the bytes that the process holds.
func (c *crowd) hanging(t *testing.T, n int64) uint64 {
	t.Helper()
	for c.begun.Load() < n {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
		time.Sleep(time.Millisecond)
	}
	return heap()
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// scrape reads a page as Prometheus does.
func (c *crowd) scrape(t *testing.T) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.server.URL+"/metrics", nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "60")
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := c.server.Client().Do(req)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || err != nil {
		t.Errorf("%s, %v", resp.Status, err)
	}
	return page
}

func (c *crowd) complete(t *testing.T, page []byte) {
	t.Helper()
	if n := bytes.Count(unzip(t, page), []byte("\nglance_image_members{")); n != crowdImages {
		t.Errorf("%d series, want %d", n, crowdImages)
	}
}

// Forty who ask and do not read hold hardly more than one of them, and take no place from who reads.
func TestWhoDoesNotReadHoldsNoCopy(t *testing.T) {
	for name, header := range map[string]string{"plain": "", "gzip": "Accept-Encoding: gzip\r\n"} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t)
			idle := heap()
			c.hang(t, header)
			one := c.hanging(t, 1) - idle
			for range 39 {
				c.hang(t, header)
			}
			all := c.hanging(t, 40) - idle
			t.Logf("one holds %d KiB, forty %d KiB", one>>10, all>>10)
			if connections := uint64(39 * 64 << 10); all > one*5/2+connections {
				t.Errorf("one holds %d bytes, forty %d", one, all)
			}
			c.complete(t, c.scrape(t))
		})
	}
}

// Two hundred scrapes at once are all answered, and allocate little more than one.
func TestManyScrapesAtOnce(t *testing.T) {
	c := newCrowd(t)
	c.scrape(t)
	allocated := func(n int) uint64 {
		var before, after runtime.MemStats
		pages := make([][]byte, n)
		runtime.ReadMemStats(&before)
		var scrapes sync.WaitGroup
		for i := range n {
			scrapes.Go(func() { pages[i] = c.scrape(t) })
		}
		scrapes.Wait()
		runtime.ReadMemStats(&after)
		c.complete(t, pages[n-1])
		read := 0
		for _, page := range pages {
			read += cap(page)
		}
		return after.TotalAlloc - before.TotalAlloc - uint64(read)
	}
	one := allocated(1)
	all := allocated(200)
	t.Logf("one scrape allocates %d KiB, two hundred %d KiB", one>>10, all>>10)
	if all > 20*one {
		t.Errorf("one scrape allocates %d bytes, two hundred %d", one, all)
	}
}
