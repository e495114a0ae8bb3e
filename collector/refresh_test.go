package collector_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// With refresh_interval a scrape costs the cloud nothing, and shows the last collection with its age.
func TestRefreshInterval(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 40)
	opts := options(ids...)
	opts.RefreshInterval, opts.Concurrency = 5*time.Minute, 1
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.SetLatency(2 * time.Second) // 82 s a collection
		began := time.Now()
		s := b.scrape(t)
		// What the first collection has read by now is shown, and the rest is not read yet.
		if n := len(read(s)); n == 0 || n > 5 || len(s.Images) != 40 || !s.Up || s.Err != nil ||
			s.Taken.Sub(began).Abs() > time.Second || time.Since(began) > 9*time.Second {
			t.Errorf("in the first collection: %d read, up %t, %v, after %s", len(read(s)), s.Up, s.Err, time.Since(began))
		}
		checkPage(t, s)
		time.Sleep(2 * time.Minute)
		before := w.Count("")
		for range 10 {
			began := time.Now()
			if s = b.scrape(t); time.Since(began) > 0 {
				t.Errorf("took %s", time.Since(began))
			}
			if diff := cmp.Diff(ids, read(s)); diff != "" {
				t.Error(diff)
			}
		}
		if got := w.Count("") - before; got != 0 {
			t.Errorf("%d requests for 10 scrapes", got)
		}
		if !strings.Contains(page(t, s), "glance_snapshot_timestamp_seconds{cloud=\"prod\"}") {
			t.Error("no age is told")
		}
		if s.Taken.Sub(began).Abs() > time.Second {
			t.Errorf("taken at %s, want %s", s.Taken, began)
		}

		// A change is seen after the next collection, and a failure too.
		w.Unshare(ids[0], consumerA)
		w.Inject(fakecloud.Fault{Match: about("list_members", ids[1]), Status: http.StatusForbidden})
		time.Sleep(6 * time.Minute)
		s = b.scrape(t)
		if len(s.Images[0].Members) != 0 || s.Images[0].Coverage != collector.Complete || s.Images[1].Coverage != collector.Unread {
			t.Errorf("got %+v, %+v", s.Images[0], s.Images[1])
		}
	})
}

// What is too old is not shown: it is not read.
func TestMaxStaleness(t *testing.T) {
	w := newWorld()
	opts := options(shared)
	opts.RefreshInterval, opts.MaxStaleness = time.Minute, 2*time.Minute
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		if s := b.scrape(t); len(read(s)) != 1 {
			t.Fatalf("got %+v", s)
		}
		taken := b.scrape(t).Taken
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Hang: true})
		// A collection that hangs is cut off and shows that, within its interval.
		time.Sleep(2*time.Minute + 5*time.Second)
		s := b.scrape(t)
		if s.Images[0].Coverage != collector.Unread || !s.Taken.After(taken) {
			t.Errorf("got %+v", s)
		}
		if strings.Contains(page(t, s), "glance_image_members{") {
			t.Error("members of an image that is not read")
		}
	})
	// Where none ends any more, as in a machine that sleeps, age tells.
	hang := make(chan struct{})
	defer close(hang)
	bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		stale := opts
		stale.RefreshInterval, stale.MaxStaleness = time.Hour, time.Hour
		b.cloud.SetOptions(stale)
		time.Sleep(59 * time.Minute)
		if s := b.scrape(t); len(read(s)) != 1 {
			t.Errorf("got %+v", s)
		}
		stale.MaxStaleness = time.Hour
		b.world.SetLatency(10 * time.Minute) // so that the next one takes 20 minutes
		time.Sleep(2 * time.Minute)
		s := b.scrape(t)
		if want := "the last background collection began 1h1m0s ago, more than max_staleness"; len(read(s)) != 0 || s.Up || s.Err == nil ||
			s.Err.Error() != want {
			t.Errorf("got %v, %d read", s.Err, len(read(s)))
		}
		if !strings.Contains(page(t, s), "glance_snapshot_timestamp_seconds{") {
			t.Error("no age is told")
		}
	})
}

func TestRefreshAndOptions(t *testing.T) {
	w := newWorld()
	opts := options(shared)
	opts.RefreshInterval = time.Hour
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		next := options(shared, empty)
		next.RefreshInterval = time.Hour
		b.cloud.SetOptions(next)
		time.Sleep(time.Second)
		if s := b.scrape(t); len(read(s)) != 2 {
			t.Errorf("new options wait for their turn: %d images", len(read(s)))
		}
		next.RefreshInterval = 0
		b.cloud.SetOptions(next)
		before := w.Count("list_members")
		if s := b.scrape(t); !s.Taken.IsZero() || w.Count("list_members") != before+2 {
			t.Error("the scrape did not collect")
		}
		next.RefreshInterval = time.Minute
		b.cloud.SetOptions(next)
		time.Sleep(time.Second)
		if s := b.scrape(t); s.Taken.IsZero() || time.Since(s.Taken) > time.Second {
			t.Errorf("taken at %s", s.Taken)
		}
		// Now, whatever there is.
		before = w.Count("list_members")
		b.cloud.Collect(t.Context(), collector.Limits{Timeout: 9 * time.Second, Fresh: true})
		if w.Count("list_members") != before+2 {
			t.Error("no fresh collection")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.cloud.Collect(ctx, limits(9*time.Second))
	})
}

// For a while of trouble nobody is blind for an interval: what was read before is shown, with its age, and the collection is
// repeated soon.
func TestTroubleInTheBackground(t *testing.T) {
	everything := func(r fakecloud.Request) bool { return r.Operation != "authenticate" }
	for _, test := range []struct {
		name   string
		opts   collector.Options
		match  func(fakecloud.Request) bool
		status int
	}{
		{"every request", options(shared, empty, public), everything, http.StatusInternalServerError},
		{"every request of a cloud that is discovered", discovering(collector.Rule{}), everything, http.StatusBadGateway},
		{"a gateway that finds nothing", options(shared, empty, public), everything, http.StatusNotFound},
		{"the token is refused", options(shared, empty, public), everything, http.StatusUnauthorized},
		{"members", options(shared, empty, public), about("list_members", ""), http.StatusInternalServerError},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			opts := test.opts
			opts.RefreshInterval, opts.MaxStaleness = 10*time.Minute, time.Hour
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				before := b.scrape(t)
				sights := map[string]collector.Coverage{}
				for _, img := range before.Images {
					sights[img.ID] = img.Coverage
				}
				time.Sleep(10*time.Minute - 10*time.Second)
				remove := w.Inject(fakecloud.Fault{Match: test.match, Status: test.status})
				time.AfterFunc(20*time.Second, func() {
					remove()
					w.Share(empty, consumerA)
				})
				down, old := 0, 0
				for range 60 {
					s := b.scrape(t)
					if !s.Up {
						down++
					}
					if len(s.Images) != len(before.Images) {
						t.Fatalf("%d images are watched of %d", len(s.Images), len(before.Images))
					}
					for _, img := range s.Images {
						if img.Coverage != sights[img.ID] {
							t.Fatalf("%s: sight %d, %v; it was %d", img.ID, img.Coverage, img.Err, sights[img.ID])
						}
						if s.Taken.After(img.Taken) {
							t.Fatalf("taken at %s, and %s at %s", s.Taken, img.ID, img.Taken)
						}
					}
					if s.Taken.Equal(before.Taken) {
						old++
					}
					time.Sleep(2 * time.Second)
				}
				if down > 30 || old > 35 || old < 5 {
					t.Errorf("of two minutes, down for %d s, and what is shown is the first collection's for %d s", 2*down, 2*old)
				}
				s := b.scrape(t)
				for _, img := range s.Images {
					if img.ID == empty && len(img.Members) != 1 {
						t.Error("what came after it is not seen")
					}
				}
			})
		})
	}
}

// One image that fails for good is shown as it was until that is too old, and costs the others nothing: neither their freshness
// nor, in the long run, the cloud more requests.
func TestAnImageThatFailsForGood(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 20)
	opts := options(ids...)
	opts.RefreshInterval, opts.MaxStaleness = 10*time.Minute, time.Hour
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		first := b.scrape(t).Taken
		w.Inject(fakecloud.Fault{Match: about("list_members", ids[3]), Status: http.StatusInternalServerError})
		time.Sleep(50 * time.Minute)
		for minute := 50; minute < 240; minute += 5 {
			s := b.scrape(t)
			old := minute < 60
			for i, img := range s.Images {
				switch {
				case i != 3:
					if img.Coverage != collector.Complete || time.Since(img.Taken) > 11*time.Minute {
						t.Errorf("minute %d: image %d has sight %d, taken %s ago", minute, i, img.Coverage, time.Since(img.Taken))
					}
				case old && (img.Coverage != collector.Complete || !img.Taken.Equal(first) || !s.Taken.Equal(first)):
					t.Errorf("minute %d: sight %d of %s, and the oldest is said to be of %s, not %s", minute, img.Coverage, img.Taken, s.Taken, first)
				case !old && minute > 60 &&
					(img.Coverage != collector.Unread || img.StatusCode != http.StatusInternalServerError || time.Since(s.Taken) > 11*time.Minute):
					t.Errorf("minute %d: sight %d, status %d, and the oldest is said to be %s old", minute,
						img.Coverage, img.StatusCode, time.Since(s.Taken))
				}
			}
			if minute == 180 {
				w.ResetLog()
			}
			time.Sleep(5 * time.Minute)
		}
		if got := w.Count("list_members"); got > 7*(len(ids)+3) {
			t.Errorf("%d questions for members of %d images in an hour", got, len(ids))
		}
	})
}

// An answer is not made better by an older one.
func TestNewsIsShownAtOnce(t *testing.T) {
	w := newWorld()
	opts := options(shared, empty, hidden, public)
	opts.RefreshInterval, opts.MaxStaleness = 10*time.Minute, time.Hour
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusForbidden})
		w.RemoveImage(empty)
		// Members that cannot be read, of images that are not what they were.
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusInternalServerError})
		w.SetImage(hidden, func(img *fakecloud.Image) { img.Visibility = "public" })
		w.SetImage(public, func(img *fakecloud.Image) { img.Visibility = "shared" })
		time.Sleep(11 * time.Minute)
		s := b.scrape(t)
		var got []string
		for _, img := range s.Images {
			got = append(got, fmt.Sprintf("sight %d, %d, %d members", img.Coverage, img.StatusCode, len(img.Members)))
		}
		want := []string{"sight 0, 403, 0 members", "sight 0, 500, 0 members", "sight 1, 200, 0 members", "sight 0, 500, 0 members"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// A cloud that takes longer than the interval is seen whole all the same, each image in its turn.
func TestCollectionsLongerThanTheirInterval(t *testing.T) {
	t.Parallel()
	w := newWorld()
	ids := addImages(w, 400)
	opts := options(ids...)
	opts.RefreshInterval, opts.Concurrency = 5*time.Minute, 1 // and so, max_staleness 15m
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.SetLatency(time.Second)
		b.scrape(t)
		for minute := range 120 {
			time.Sleep(time.Minute)
			s := b.scrape(t)
			if !s.Up || len(s.Images) != len(ids) {
				t.Fatalf("minute %d: up %t, %d images", minute, s.Up, len(s.Images))
			}
			if n := len(read(s)); minute > 8 && n != len(ids) {
				t.Errorf("minute %d: %d of %d read", minute, n, len(ids))
			}
			if old := time.Since(s.Taken); old > 14*time.Minute {
				t.Errorf("minute %d: the oldest is %s old", minute, old)
			}
		}
	})
}

// Scrapes that a reload has overtaken do not wake up what it has retired.
func TestRetiredClouds(t *testing.T) {
	for _, scraped := range []bool{true, false} {
		w := newWorld()
		opts := options(shared)
		opts.RefreshInterval = time.Minute
		bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
			if scraped {
				b.scrape(t)
			}
			b.cloud.Retire()
			b.client.Close()
			before := w.Count("")
			s := b.scrape(t)
			if scraped != s.Up || scraped != (len(read(s)) == 1) {
				t.Errorf("scraped before %t: up %t, %d read", scraped, s.Up, len(read(s)))
			}
			time.Sleep(time.Hour)
			if got := w.Count("") - before; got != 0 {
				t.Errorf("scraped before %t: %d requests of a retired cloud", scraped, got)
			}
		})
	}
}

// Whatever goes wrong in the background, what is shown of an image was so at some time since its collection began.
func TestWhatIsShownWasTrue(t *testing.T) {
	type fact struct {
		at      time.Time
		members []string
	}
	const worlds = 20
	var ran, older atomic.Int64
	t.Cleanup(func() { // after the worlds
		if ran.Load() == worlds && older.Load() == 0 {
			t.Error("no image was shown as it had been: the test shows nothing")
		}
	})
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			r := rand.New(rand.NewPCG(seed, 2))
			ids := addImages(w, 30)
			opts := options(ids...)
			if seed%2 == 1 {
				opts = discovering(collector.Rule{Name: "image *"})
			}
			opts.RefreshInterval, opts.MaxStaleness, opts.Concurrency = time.Minute, 4*time.Minute, 1+r.IntN(4)
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				w.SetLatency(time.Second)
				history := map[string][]fact{}
				note := func(id string, members ...string) { history[id] = append(history[id], fact{time.Now(), members}) }
				for _, id := range ids {
					note(id, consumerA)
				}
				seen := 0
				for range 400 {
					id := ids[r.IntN(len(ids))]
					last := history[id][len(history[id])-1].members
					switch r.IntN(6) {
					case 0, 1:
						if len(last) > 0 {
							w.Unshare(id, last[0])
							note(id)
						} else {
							who := pick(r, []string{consumerA, consumerB})
							w.Share(id, who)
							note(id, who)
						}
					case 2:
						about := about(pick(r, []string{"", "list_members", "list_images"}), pick(r, []string{"", id}))
						w.Inject(fakecloud.Fault{Match: about, Times: r.IntN(40), Status: pick(r, []int{500, 503, 429, 404, 403, 401})})
					case 3:
						w.Inject(fakecloud.Fault{Match: about("list_members", id), Times: 1 + r.IntN(3), Hang: true})
					case 4:
						w.ClearFaults()
					}
					time.Sleep(time.Duration(r.IntN(20)) * time.Second)
					s := b.scrape(t)
					for _, img := range s.Images {
						if img.Coverage != collector.Complete {
							continue
						}
						seen++
						if img.Taken.Before(s.Taken) || time.Since(img.Taken) > opts.MaxStaleness+time.Second {
							t.Fatalf("%s is of %s, the oldest is said to be of %s", img.ID, img.Taken, s.Taken)
						}
						if time.Since(img.Taken) > 2*time.Minute {
							older.Add(1)
						}
						got := []string{}
						for _, m := range img.Members {
							got = append(got, m.ID)
						}
						was := false
						facts := history[img.ID]
						for i, f := range facts {
							over := i+1 < len(facts) && facts[i+1].at.Before(img.Taken)
							was = was || !over && slices.Equal(f.members, got)
						}
						if !was {
							t.Fatalf("%s had the members %v at no time since %s", img.ID, got, img.Taken)
						}
					}
				}
				if seen == 0 {
					t.Error("no image was read")
				}
				ran.Add(1)
			})
		})
	}
}
