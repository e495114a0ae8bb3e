package collector_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// One that is to be asked again later keeps no other waiting, and no scrape.
func TestAPauseKeepsNobodyWaiting(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 20)
	opts := options(ids...)
	opts.Concurrency = 2
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		// The first three each ask for a pause of a second, with a 503, which stops no other, and all take 100 ms.
		for _, id := range ids[:3] {
			b.world.Inject(fakecloud.Fault{Match: about("list_members", id), Times: 1, Status: 503, Header: http.Header{"Retry-After": {"1"}}})
		}
		b.world.SetLatency(100 * time.Millisecond)
		if diff := cmp.Diff(ids, read(b.scrape(t))); diff != "" {
			t.Error(diff)
		}
		b.world.ClearFaults()
		s := b.scrape(t)
		clean := s.Duration
		for _, id := range ids[:3] {
			b.world.Inject(fakecloud.Fault{Match: about("list_members", id), Times: 1, Status: 503, Header: http.Header{"Retry-After": {"1"}}})
		}
		s = b.scrape(t)
		if diff := cmp.Diff(ids, read(s)); diff != "" {
			t.Error(diff)
		}
		// Three more requests for two workers, and no pause of either.
		if most := clean + 400*time.Millisecond; s.Duration > most {
			t.Errorf("took %s, want at most %s", s.Duration, most)
		}
	})
}

// An API that asks to be left alone is: each collection asks only what is under way when it says so. What is not asked is not read,
// and all is read again as soon as the API lets us.
func TestAnAPIThatAsksToBeLeftAlone(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 300)
	opts := options(ids...)
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: 429, Header: http.Header{"Retry-After": {"3600"}}})
		for i := range 3 {
			s := b.scrape(t)
			for _, img := range s.Images {
				if img.Coverage != collector.Unread || code(img.Err) != "429" && code(img.Err) != client.CodeNotRequested {
					t.Fatalf("scrape %d: sight %d, %v", i, img.Coverage, img.Err)
				}
			}
			if got := w.Count("list_members"); got > (i+1)*opts.Concurrency {
				t.Errorf("scrape %d: %d requests by now", i, got)
			}
			time.Sleep(time.Minute)
		}
		w.ClearFaults()
		if diff := cmp.Diff(ids, read(b.scrape(t))); diff != "" {
			t.Error(diff)
		}
	})
}

// Images that are always refused so cost the others their turn a few times, and not in each second scrape for ever.
func TestImagesThatAlwaysAskToBeLeftAlone(t *testing.T) {
	for _, bad := range []int{2, 3} {
		t.Run(strconv.Itoa(bad), func(t *testing.T) {
			w := newWorld()
			ids := addImages(w, 60)
			opts := options(ids...)
			opts.Concurrency = 4
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				for _, id := range ids[:bad] {
					w.Inject(fakecloud.Fault{Match: about("list_members", id), Status: 429, Header: http.Header{"Retry-After": {"3600"}}})
				}
				w.SetLatency(10 * time.Millisecond)
				const scrapes, most = 40, 6
				short := 0
				for range scrapes {
					if !slices.Equal(ids[bad:], read(b.scrape(t))) {
						short++
					}
					time.Sleep(time.Minute)
				}
				if short > most {
					t.Errorf("in %d of %d scrapes, the others were not all read", short, scrapes)
				}
			})
		})
	}
}

// Where the API has not enough requests for all images in a scrape, and says so with a 429, each image is read every few scrapes.
func TestAQuotaIsFair(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		quota      int
		retryAfter []string
		most       int // scrapes in a row without an image
	}{
		{20, nil, 3},
		{30, nil, 2},
		{50, nil, 1},
		{20, []string{"30"}, 8},
		{30, []string{"30"}, 5},
		{50, []string{"30"}, 2},
	} {
		t.Run(fmt.Sprint(test.quota, test.retryAfter), func(t *testing.T) {
			w := newWorld()
			ids := addImages(w, 60)
			opts := options(ids...)
			opts.Concurrency = 4
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				var used atomic.Int64
				members := about("list_members", "")
				w.Inject(fakecloud.Fault{
					Match:  func(r fakecloud.Request) bool { return members(r) && used.Add(1) > int64(test.quota) },
					Status: 429, Header: http.Header{"Retry-After": test.retryAfter},
				})
				w.SetLatency(10 * time.Millisecond)
				unread := map[string]int{}
				for i := range 60 {
					used.Store(0)
					for _, img := range b.scrape(t).Images {
						if unread[img.ID]++; img.Coverage == collector.Complete {
							unread[img.ID] = 0
						}
						if unread[img.ID] > test.most {
							t.Errorf("scrape %d: %s is not read for the %d. time in a row", i, img.ID, unread[img.ID])
						}
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

// The most requests in flight is what is configured, whatever pauses.
func TestConcurrencyHolds(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 60)
	opts := options(ids...)
	opts.Concurrency = 4
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Times: 40, Status: 503})
		b.world.SetLatency(50 * time.Millisecond)
		if got := len(read(b.scrape(t))); got < len(ids)/2 {
			t.Errorf("%d images read", got) // some were unlucky three times
		}
		if got := b.world.MostInFlight(); got > 4 {
			t.Errorf("%d requests in flight", got)
		}
	})
}

// Where the limit of requests leaves no time for all images, each scrape reads others, and none of them is said to hang.
func TestALimitOfRequestsIsFair(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 100)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		b.client.Set(client.Settings{RequestsPerSecond: 5})
		seen := map[string]bool{}
		for i := range 4 {
			s := b.scrape(t)
			if s.Duration > 8600*time.Millisecond {
				t.Errorf("scrape %d took %s", i, s.Duration)
			}
			for _, img := range s.Images {
				switch {
				case img.Coverage == collector.Complete:
					seen[img.ID] = true
				case code(img.Err) != client.CodeNotRequested && !strings.HasPrefix(code(img.Err), "not requested"):
					t.Errorf("scrape %d: %v", i, img.Err)
				}
			}
			time.Sleep(time.Minute)
		}
		if len(seen) != len(ids) {
			t.Errorf("%d of %d images read in 4 scrapes of some 40 requests", len(seen), len(ids))
		}
		for _, code := range []string{"timeout", "429"} {
			if got := testutil.ToFloat64(counter{b.api, "list_members", code}); got != 0 {
				t.Errorf("%v times %s", got, code)
			}
		}
	})
}

// What is asked at the end of a scrape gets too little time for its answer. That is no reason to say that it hangs, and to ask
// for it after all others from then on.
func TestWhatIsAskedAtTheEndDoesNotHang(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 60)
	opts := options(ids...)
	opts.Concurrency = 1
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.SetLatency(300 * time.Millisecond)
		last := map[string]int{}
		for n := range 40 {
			for _, id := range read(b.scrape(t)) {
				last[id] = n
			}
			time.Sleep(time.Minute)
		}
		for _, id := range ids {
			if last[id] < 36 {
				t.Errorf("%s was read in scrape %d for the last time, of 40 that read %d of %d images", id, last[id], 27, len(ids))
			}
		}
	})
}

// A scrape that joins with more time gets what the first one had no time for.
func TestJoiningWhereTheLimitLeavesNoTime(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 20)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		b.client.Set(client.Settings{RequestsPerSecond: 5})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.cloud.Collect(ctx, collector.Limits{Timeout: 4 * time.Second})
		time.Sleep(time.Millisecond)
		if diff := cmp.Diff(ids, read(b.scrape(t))); diff != "" {
			t.Error(diff)
		}
	})
}

func code(err error) string {
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		return apiErr.Code
	}
	return fmt.Sprint(err)
}
