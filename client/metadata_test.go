package client_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// metadata is a metadata service with keys that live for an hour.
type metadata struct {
	mu        sync.Mutex
	tokenless int // if set, the answer to who asks for a token
	keyless   int // if set, the answer to who asks for a key
	down      bool
	body      string // if set, the answer instead of a key
	delay     time.Duration
	given     int
	asked     []string
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(m.delay)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r.Method+" "+r.URL.Path)
	switch {
	case m.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodPut && r.URL.Path == "/meta-data/latest/api/token":
		if m.tokenless != 0 || r.Header.Get("X-Metadata-Token-Ttl-Seconds") == "" {
			w.WriteHeader(m.tokenless)
			return
		}
		_, _ = w.Write([]byte("metadata-token\n"))
	case r.Method != http.MethodGet || r.URL.Path != "/openstack/latest/securitykey":
		w.WriteHeader(http.StatusNotFound)
	case (r.Header.Get("X-Metadata-Token") == "metadata-token") == (m.tokenless != 0):
		w.WriteHeader(http.StatusUnauthorized)
	case m.keyless != 0:
		w.WriteHeader(m.keyless)
		_, _ = w.Write([]byte("Please configure Cloud Service Agency first"))
	case m.body != "":
		_, _ = w.Write([]byte(m.body))
	default:
		m.given++
		_, _ = fmt.Fprintf(w, `{"credential": {"access": "AK%d", "secret": "secret-%d", "securitytoken": "token-%d", "expires_at": %q}}`,
			m.given, m.given, m.given, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"))
	}
}

func (m *metadata) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func newMetadata(t *testing.T, m *metadata) (*client.MetadataKeys, *attempts) {
	t.Helper()
	seen := &attempts{}
	k := client.NewMetadataKeys(client.MetadataOptions{Transport: fakecloud.InMemory(m), Observer: seen.observe})
	t.Cleanup(k.Close)
	return k, seen
}

func TestMetadataKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &metadata{}
		k, seen := newMetadata(t, m)
		is := func(want string) {
			t.Helper()
			key, err := k.Key(t.Context())
			if err != nil || key.Access != want {
				t.Errorf("got %+v, %v, want %s", key, err, want)
			}
			synctest.Wait()
		}
		is("AK1")
		is("AK1")
		if diff := cmp.Diff([]string{"PUT /meta-data/latest/api/token", "GET /openstack/latest/securitykey"}, m.asked); diff != "" {
			t.Error(diff)
		}
		time.Sleep(39 * time.Minute)
		is("AK1")
		time.Sleep(2 * time.Minute) // 19 are left: a third of its life
		is("AK1")                   // renewed beside the request
		is("AK2")
		if diff := cmp.Diff([]string{"authenticate", "authenticate", "authenticate", "authenticate"}, seen.take()); diff != "" {
			t.Error(diff)
		}
		m.change(func() { m.down = true })
		time.Sleep(50 * time.Minute)
		for range 10 {
			is("AK2")
		}
		if got := len(seen.take()); got != 2 { // for a token and, without one, for a key
			t.Errorf("%d attempts while the service is down, want 2", got)
		}
		time.Sleep(11 * time.Minute)
		if _, err := k.Key(t.Context()); err == nil || err.Error() != "logging in: 503 Service Unavailable: the metadata service" {
			t.Errorf("got %v", err)
		}
		m.change(func() { m.down = false })
		time.Sleep(5 * time.Minute)
		is("AK3")
	})
}

func TestMetadataWithoutTokens(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable} {
		k, _ := newMetadata(t, &metadata{tokenless: status})
		if key, err := k.Key(t.Context()); err != nil || key.SecurityToken != "token-1" {
			t.Errorf("%d: got %+v, %v", status, key, err)
		}
	}
}

func TestServerWithoutAnAgency(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound} {
		k, _ := newMetadata(t, &metadata{keyless: status})
		want := fmt.Sprintf("logging in: %d %s: the metadata service: this server has no agency: configure one for it in the ECS console",
			status, http.StatusText(status))
		if _, err := k.Key(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// hourly is a metadata service whose keys live for an hour, and change 10 minutes before the end. It is away for an hour.
type hourly struct {
	began    time.Time
	awayFrom time.Time
	connects bool // while it is away, it answers 503, and hangs else
}

func (h *hourly) away() bool {
	return !time.Now().Before(h.awayFrom) && time.Now().Before(h.awayFrom.Add(time.Hour))
}

// key is the one that is offered now: key n is good until n*50+60 minutes after the beginning.
func (h *hourly) key() (name string, expires time.Time) {
	n := time.Since(h.began) / (50 * time.Minute)
	return fmt.Sprint("AK", int(n)), h.began.Add(n*50*time.Minute + time.Hour)
}

func (h *hourly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.away() && h.connects:
		w.WriteHeader(http.StatusServiceUnavailable)
	case h.away():
		<-r.Context().Done()
	case r.Method == http.MethodPut:
		_, _ = w.Write([]byte("metadata-token"))
	default:
		name, expires := h.key()
		_, _ = fmt.Fprintf(w, `{"credential": {"access": %q, "secret": "s", "securitytoken": "t", "expires_at": %q}}`,
			name, expires.UTC().Format("2006-01-02T15:04:05.000000Z"))
	}
}

// A day with a scrape every 30 s: there is no scrape without a valid key while one is to be had, be it that the service offers it now or
// that it offered it for long enough before it went away.
func TestADayOfAnAgency(t *testing.T) {
	const every, longEnough = 30 * time.Second, 2 * time.Minute
	for minute := range 60 {
		synctest.Test(t, func(t *testing.T) {
			h := &hourly{began: time.Now(), awayFrom: time.Now().Add(10*time.Hour + time.Duration(minute)*time.Minute), connects: minute%2 == 0}
			keys := client.NewMetadataKeys(client.MetadataOptions{Transport: fakecloud.InMemory(h)})
			t.Cleanup(keys.Close)
			var last time.Time // end of the latest key that was offered for long enough
			without := 0
			for time.Since(h.began) < 24*time.Hour {
				if name, expires := h.key(); !h.away() && name != "" && time.Until(expires) <= time.Hour-longEnough {
					last = expires
				}
				key, err := keys.Key(t.Context())
				valid := err == nil && time.Now().Before(key.Expires)
				if toBeHad := !h.away() || time.Now().Before(last); toBeHad && !valid {
					t.Fatalf("away from minute %d: no key after %s: %+v, %v", minute, time.Since(h.began), key, err)
				}
				if !valid {
					without++
				}
				time.Sleep(every)
			}
			if without > int(time.Hour/every) {
				t.Errorf("away from minute %d: %d scrapes without a key", minute, without)
			}
		})
	}
}

func TestManyWaitForOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &metadata{delay: time.Second}
		k, _ := newMetadata(t, m)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := k.Key(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := k.Key(ctx); err == nil || err.Error() != "logging in: timeout: no complete response in time" {
			t.Errorf("got %v", err)
		}
		all.Wait()
		if m.given != 1 {
			t.Errorf("%d keys were asked for", m.given)
		}
	})
}

func TestBadMetadata(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                     "response: no access, secret or securitytoken",
		`not JSON with secret-1`: "response: invalid JSON",
		`{"credential": {"access": "AK", "secret": "s"}}`: "response: no access, secret or " +
			"securitytoken",
		`{"credential": {"access": "AK", "secret": "s", "securitytoken": "t", "expires_at": "tomorrow"}}`: "response: no valid expires_at",
	} {
		k, seen := newMetadata(t, &metadata{body: body})
		_, err := k.Key(t.Context())
		if want := "logging in: decode: the metadata service: " + want; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if diff := cmp.Diff([]string{"authenticate", "authenticate decode"}, seen.take()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCloseEndsARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := newMetadata(t, &metadata{delay: 5 * time.Second})
		ended := make(chan error)
		go func() {
			_, err := k.Key(context.WithoutCancel(t.Context()))
			ended <- err
		}()
		time.Sleep(time.Second)
		k.Close()
		if err := <-ended; err == nil {
			t.Error("a key after the end")
		}
		if _, err := k.Key(t.Context()); err == nil {
			t.Error("a key after the end")
		}
	})
}
