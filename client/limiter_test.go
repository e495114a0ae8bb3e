package client_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// observed is bubble, with the attempts.
func observed(t *testing.T, f func(t *testing.T, w *fakecloud.Cloud, c *client.Client, seen *attempts)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c, seen := newClient(t, client.Options{Auth: byPassword(inMemoryURL), Transport: fakecloud.InMemory(w)})
		f(t, w, c, seen)
	})
}

// What may pass is asked again, at most three times in all, each of them counted, and never beyond the time there is.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name    string
		fault   fakecloud.Fault
		timeout time.Duration // 0: 10s
		seen    []string
		err     string        // of the whole; empty: it is read
		took    time.Duration // at least
		most    time.Duration // 0: took + 1s
	}{
		{name: "503 once", fault: fakecloud.Fault{Status: 503, Times: 1}, seen: []string{"503", ""}, took: 50 * time.Millisecond},
		{name: "502 twice", fault: fakecloud.Fault{Status: 502, Times: 2}, seen: []string{"502", "502", ""}, took: 200 * time.Millisecond},
		{name: "504 for ever", fault: fakecloud.Fault{Status: 504}, seen: []string{"504", "504", "504"}, err: "504"},
		{name: "429 once", fault: fakecloud.Fault{Status: 429, Times: 1}, seen: []string{"429", ""}},
		{name: "500", fault: fakecloud.Fault{Status: 500}, seen: []string{"500"}, err: "500"},
		{name: "404", fault: fakecloud.Fault{Status: 404}, seen: []string{"404"}, err: "404"},
		{name: "no answer", fault: fakecloud.Fault{Hang: true}, seen: []string{"timeout"}, err: "timeout", took: 5 * time.Second},
		{name: "cut", fault: fakecloud.Fault{Status: 200, Body: `{"members": [`}, seen: []string{"decode"}, err: "decode"},
		{
			name: "seconds to wait", fault: fakecloud.Fault{Status: 429, Times: 1, Header: http.Header{"Retry-After": {"3"}}},
			seen: []string{"429", ""}, took: 3 * time.Second,
		},
		{
			name: "a date to wait for", fault: fakecloud.Fault{Status: 503, Times: 1, Raw: func(w http.ResponseWriter, _ *http.Request) {
				// By a clock that is an hour fast.
				now := time.Now().Add(time.Hour)
				w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
				w.Header().Set("Retry-After", now.Add(2*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(503)
			}},
			seen: []string{"503", ""}, took: 2 * time.Second,
		},
		{
			name: "longer than there is time", fault: fakecloud.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}},
			seen: []string{"503"}, err: "503",
		},
		{
			name: "no time for a second attempt", fault: fakecloud.Fault{Status: 503, Latency: 230 * time.Millisecond},
			timeout: 500 * time.Millisecond,
			seen:    []string{"503"}, err: "503", most: 500 * time.Millisecond,
		},
		{name: "no time at all", timeout: 80 * time.Millisecond, err: "not_asked", most: time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, seen *attempts) {
				if _, err := c.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				seen.take()
				if test.name != "no time at all" {
					test.fault.Match = func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }
					defer w.Inject(test.fault)()
				}
				timeout := test.timeout
				if timeout == 0 {
					timeout = 10 * time.Second
				}
				ctx, cancel := context.WithTimeout(client.WithPatience(t.Context(), client.Patience{}), timeout)
				defer cancel()
				began := time.Now()
				list, err := c.Members(ctx, golden)
				took := time.Since(began)
				if test.err == "" && (err != nil || len(list.Members) != 2) {
					t.Errorf("got %+v, %v", list, err)
				}
				if test.err != "" && asError(t, err).Code != test.err {
					t.Errorf("got %v", err)
				}
				var want []string
				for _, code := range test.seen {
					want = append(want, strings.TrimSpace("list_members "+code))
				}
				got := seen.take()
				if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
					t.Error(diff)
				}
				most := test.most
				if most == 0 {
					most = test.took + time.Second
				}
				if took < test.took || took > most {
					t.Errorf("took %s, want %s to %s", took, test.took, most)
				}
			})
		})
	}
}

// An API that is down is not asked three times as much as one that is well: what may be repeated is used up.
func TestRetriesEnd(t *testing.T) {
	observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, _ *attempts) {
		remove := w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }, Status: 503})
		for range 200 {
			_, _ = c.Members(t.Context(), golden)
		}
		if got := w.Count(fakecloud.OpListMembers); got != 250 {
			t.Errorf("%d requests for 200 questions", got)
		}
		remove()
		for range 10 {
			if _, err := c.Members(t.Context(), golden); err != nil {
				t.Fatal(err)
			}
		}
		before := w.Count(fakecloud.OpListMembers)
		w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }, Status: 503, Times: 1})
		if _, err := c.Members(t.Context(), golden); err != nil {
			t.Error(err)
		}
		if got := w.Count(fakecloud.OpListMembers) - before; got != 2 {
			t.Errorf("%d requests", got)
		}
	})
}

func TestPauseIsTheCallers(t *testing.T) {
	observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, _ *attempts) {
		w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }, Status: 503, Times: 2})
		var pauses []time.Duration
		ctx := client.WithPatience(t.Context(), client.Patience{Pause: func(_ context.Context, d time.Duration) { pauses = append(pauses, d) }})
		if _, err := c.Members(ctx, golden); err != nil {
			t.Fatal(err)
		}
		if len(pauses) != 2 || pauses[0] < 50*time.Millisecond || pauses[0] > 150*time.Millisecond || pauses[1] < 150*time.Millisecond ||
			pauses[1] > 450*time.Millisecond {
			t.Errorf("pauses of %s", pauses)
		}
	})
}

func TestRequestsPerSecond(t *testing.T) {
	observed(t, func(t *testing.T, _ *fakecloud.Cloud, c *client.Client, seen *attempts) {
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Set(client.Settings{RequestsPerSecond: 10})
		began := time.Now()
		var all sync.WaitGroup
		for range 31 {
			all.Go(func() {
				if _, err := c.Members(t.Context(), golden); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began).Round(time.Millisecond); took != 3*time.Second {
			t.Errorf("31 requests took %s", took)
		}
		seen.take()

		// Who has no time for their turn is told at once, and does not count.
		c.Set(client.Settings{RequestsPerSecond: 0.1})
		_, _ = c.Members(t.Context(), golden)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		seen.take()
		began = time.Now()
		_, err := c.Members(ctx, golden)
		if want := "listing members of image " + golden + ": not requested: requests_per_second leaves no time for this request"; err == nil ||
			err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if got := seen.take(); len(got) > 0 || time.Since(began) > 0 {
			t.Errorf("after %s: %s", time.Since(began), got)
		}
		c.Set(client.Settings{})
		if _, err := c.Members(ctx, golden); err != nil {
			t.Error(err)
		}
	})
}

// limited makes the cloud answer the questions about images with a status and a Retry-After, so many times each.
func limited(w *fakecloud.Cloud, status, times int, retryAfter string, ids ...string) {
	for _, id := range ids {
		w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers && r.ImageID == id },
			Status: status, Times: times, Header: http.Header{"Retry-After": {retryAfter}},
		})
	}
}

// Who gets a 429 asks too much, whatever for: all wait then. One image may be limited alone, and a 503 be of one backend.
func TestWhomAPauseIsFor(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		ids    []string
		want   time.Duration
	}{
		{"two of 429", 429, []string{golden, hidden}, 3 * time.Second},
		{"one of 429", 429, []string{golden}, 0},
		{"two of 503", 503, []string{golden, hidden}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, _ *attempts) {
				if _, err := c.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				limited(w, test.status, 1, "3", test.ids...)
				var all sync.WaitGroup
				for _, id := range test.ids {
					all.Go(func() {
						if _, err := c.Members(t.Context(), id); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				began := time.Now()
				if _, err := c.Members(t.Context(), absent); asError(t, err).Code != "404" {
					t.Error(err)
				}
				if took := time.Since(began); took != test.want {
					t.Errorf("another one took %s, want %s", took, test.want)
				}
				all.Wait()
			})
		})
	}
}

// While the API asks to be left alone, a collection makes one request. If that is let in, the others are made after all.
func TestOneRequestTriesWhetherAPauseIsOver(t *testing.T) {
	for name, still := range map[string]bool{"it is": false, "it is not": true} {
		t.Run(name, func(t *testing.T) {
			observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, _ *attempts) {
				// collect asks forty times at once, and returns how the questions ended.
				collect := func() map[string]int {
					ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
					defer cancel()
					if _, err := c.Connect(ctx); err != nil {
						t.Fatal(err)
					}
					var (
						mu   sync.Mutex
						all  sync.WaitGroup
						ends = map[string]int{}
					)
					for i := range 40 {
						all.Go(func() {
							_, err := c.Members(ctx, []string{golden, hidden}[i%2])
							mu.Lock()
							defer mu.Unlock()
							if err == nil {
								ends["read"]++
							} else {
								ends[asError(t, err).Code]++
							}
						})
					}
					all.Wait()
					return ends
				}
				w.SetLatency(100 * time.Millisecond)
				limited(w, 429, 0, "120", golden, hidden)
				if diff := cmp.Diff(map[string]int{"429": 40}, collect()); diff != "" { // all at once
					t.Error(diff)
				}
				want := map[string]int{"429": 1, "not_asked": 39}
				if !still {
					w.ClearFaults()
					want = map[string]int{"read": 40}
				}
				for range 3 {
					time.Sleep(20 * time.Second)
					if diff := cmp.Diff(want, collect()); diff != "" {
						t.Error(diff)
					}
				}
			})
		})
	}
}

// No header makes us blind for long, also where nobody tries.
func TestALongPause(t *testing.T) {
	observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, _ *attempts) {
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ask := func(id string) error {
			ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
			defer cancel()
			_, err := c.Members(ctx, id)
			return err
		}
		limited(w, 429, 1, "86400", golden, hidden)
		for _, id := range []string{golden, hidden} {
			if err := ask(id); asError(t, err).Code != "429" {
				t.Error(err)
			}
		}
		want := "listing members of image " + golden + ": not requested: the API requires a pause until " + began.Add(5*time.Minute).
			UTC().
			Format(time.RFC3339)
		for err := ask(golden); err != nil && time.Since(began) < time.Hour; err = ask(golden) {
			if err.Error() != want {
				t.Fatalf("got  %s\nwant %s", err, want)
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < 4*time.Minute || took > 5*time.Minute+time.Second {
			t.Errorf("over after %s", took)
		}
	})
}

// One request that hangs does not hold its slot for half of a patient scraper's time. Pages of listings may take long.
func TestTheLongestRequest(t *testing.T) {
	observed(t, func(t *testing.T, w *fakecloud.Cloud, c *client.Client, _ *attempts) {
		if _, err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Inject(fakecloud.Fault{Hang: true})
		for what, test := range map[string]struct {
			ask  func(ctx context.Context) error
			most time.Duration
		}{
			"members":  {func(ctx context.Context) error { _, err := c.Members(ctx, golden); return err }, 10 * time.Second},
			"a record": {func(ctx context.Context) error { _, err := c.Image(ctx, golden); return err }, 10 * time.Second},
			"a page":   {func(ctx context.Context) error { _, err := c.ImagePage(ctx, client.ImageQuery{}, ""); return err }, time.Minute},
		} {
			ctx, cancel := context.WithTimeout(client.WithPatience(t.Context(), client.Patience{}), 2*time.Minute)
			began := time.Now()
			err := test.ask(ctx)
			cancel()
			if took := time.Since(began); asError(t, err).Code != client.CodeTimeout || took != test.most {
				t.Errorf("%s: %v after %s, want %s", what, err, took, test.most)
			}
		}
	})
}
