package collector_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

func limits(d time.Duration) collector.Limits { return collector.Limits{Timeout: d} }

func TestParseShard(t *testing.T) {
	for _, good := range []string{"1/1", "2/8", "1024/1024"} {
		if shard, err := collector.ParseShard(good); err != nil || shard.String() != good {
			t.Errorf("%s: %v, %v", good, shard, err)
		}
	}
	for _, bad := range []string{
		"", "8", "0/8", "9/8", "-1/8", "1/0", "1/1025", "a/b", "1/8/2", "+1/8", "01/8",
		" 1/8", "1/8 ", "1.0/8", "99999999999999999999/8",
	} {
		_, err := collector.ParseShard(bad)
		if want := fmt.Sprintf("%q is not a valid shard: write one such as 2/8, from 1/8 to 8/8, of at most 1024", bad); err == nil ||
			err.Error() != want {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The shards together are the whole, however many there are, and no image is in two of them. One more shard moves only
// the images that it gets.
func TestShards(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 400)
	slices.Sort(ids)
	for name, opts := range map[string]collector.Options{
		"configured": options(ids...),
		"discovered": discovering(collector.Rule{Name: "image *"}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				var before map[string]int
				for _, n := range []int{1, 2, 7, 8, 9} {
					place := map[string]int{}
					for k := range n {
						s := b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: n}, limits(9*time.Second))
						if got := len(read(s)); n > 1 && (got < 400/n*6/10 || got > 400/n*14/10) {
							t.Errorf("%d images in shard %d/%d", got, k+1, n)
						}
						for _, id := range read(s) {
							if place[id] != 0 {
								t.Errorf("%s is in two shards", id)
							}
							place[id] = k + 1
						}
					}
					var all []string
					moved := 0
					for id, k := range place {
						all = append(all, id)
						if before != nil && before[id] != k {
							moved++
							if n == 9 && k != 9 {
								t.Errorf("%s moved to %d of 9", id, k)
							}
						}
					}
					slices.Sort(all)
					if diff := cmp.Diff(ids, all); diff != "" {
						t.Errorf("%d shards: %s", n, diff)
					}
					if n == 9 && (moved == 0 || moved > 400/9*14/10) {
						t.Errorf("%d images moved to the ninth shard", moved)
					}
					before = place
				}
			})
		})
	}
}

// Each shard remembers its own images, and tells its own trouble.
func TestShardsAreApart(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 40)
	bubble(t, w, user("producer"), discovering(collector.Rule{Name: "image *"}), func(t *testing.T, b *bench) {
		both := func() (one, two collector.Snapshot) {
			var all sync.WaitGroup
			all.Go(func() {
				one = b.cloud.CollectShard(t.Context(), collector.Shard{Number: 1, Of: 2}, limits(9*time.Second))
			})
			two = b.cloud.CollectShard(t.Context(), collector.Shard{Number: 2, Of: 2}, limits(9*time.Second))
			all.Wait()
			return one, two
		}
		one, two := both()
		hang := read(one)[0]
		b.log.take()
		w.Inject(fakecloud.Fault{Match: about("list_members", hang), Status: http.StatusInternalServerError})
		failed, other := both()
		if len(read(failed)) != len(read(one))-1 || len(read(other)) != len(read(two)) {
			t.Errorf("%d and %d images read, of %d and %d", len(read(failed)), len(read(other)), len(read(one)), len(read(two)))
		}
		if lines := b.log.take(); len(lines) != 1 || !strings.Contains(lines[0], "shard=1/2") {
			t.Errorf("the log says %q", lines)
		}
		w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
		one, two = both()
		if len(one.Images)+len(two.Images) != len(ids) {
			t.Errorf("without a listing %d and %d images are watched", len(one.Images), len(two.Images))
		}
		if got := w.Count("authenticate"); got != 1 {
			t.Errorf("%d logins", got)
		}
	})
}

// With discovery_interval, any number of shards and scrapes list the cloud's images once per interval.
func TestDiscoveryInterval(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 40)
	opts := discovering(collector.Rule{Name: "image *"})
	opts.DiscoveryInterval = 5 * time.Minute
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		scrape := func() (all []string, discovered bool) {
			shards := make([]collector.Snapshot, 8)
			var wait sync.WaitGroup
			for k := range shards {
				wait.Go(func() {
					shards[k] = b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: 8}, limits(9*time.Second))
				})
			}
			wait.Wait()
			discovered = true
			for _, s := range shards {
				all = append(all, read(s)...)
				discovered = discovered && s.Discovered
			}
			slices.Sort(all)
			return all, discovered
		}
		sweeps := func() (n int) {
			for _, r := range w.Requests() {
				if r.Operation == "list_images" && !strings.Contains(r.RawQuery, "in%3A") {
					n++
				}
			}
			return n
		}
		w.SetLatency(50 * time.Millisecond)
		for range 5 {
			got, discovered := scrape()
			if diff := cmp.Diff(ids, got); diff != "" || !discovered {
				t.Errorf("discovered %t: %s", discovered, diff)
			}
			time.Sleep(time.Minute - 10*time.Second)
		}
		if got := sweeps(); got != 2 { // the hidden images are another list
			t.Errorf("%d listings in the first interval", got)
		}

		// An image that goes is gone at once; one that comes is there with the next listing; one that is renamed is let go.
		w.RemoveImage(ids[0])
		w.SetImage(ids[1], func(img *fakecloud.Image) { img.Name = "other" })
		w.AddImage(fakecloud.Image{ID: "00000000-0000-4000-8000-000000000999", Name: "image new", Owner: producer, Visibility: "shared"})
		if got, _ := scrape(); !slices.Equal(got, ids[2:]) {
			t.Errorf("got %s", cmp.Diff(ids[2:], got))
		}
		time.Sleep(2 * time.Minute)
		scrape() // lists, while the other shards go by the old list
		if got, _ := scrape(); !slices.Equal(got, append(slices.Clone(ids[2:]), "00000000-0000-4000-8000-000000000999")) {
			t.Errorf("got %s", cmp.Diff(ids[2:], got))
		}
		if got := sweeps(); got != 4 {
			t.Errorf("%d listings in two intervals", got)
		}

		// A listing that fails is not kept: each collection tries again, and says so.
		time.Sleep(10 * time.Minute)
		remove := w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
			return r.Operation == "list_images" && !strings.Contains(r.RawQuery, "in%3A")
		}, Status: 500})
		if got, discovered := scrape(); len(got) != 39 || discovered {
			t.Errorf("%d images, discovered %t", len(got), discovered)
		}
		remove()
		if got, discovered := scrape(); len(got) != 39 || !discovered {
			t.Errorf("%d images, discovered %t", len(got), discovered)
		}

		// New rules need a new listing.
		before := sweeps()
		next := opts
		next.Discover = []collector.Rule{{Name: "image n*"}}
		b.cloud.SetOptions(next)
		if got, _ := scrape(); len(got) != 1 {
			t.Errorf("got %s", got)
		}
		if got := sweeps() - before; got != 2 {
			t.Errorf("%d listings for new rules", got)
		}
	})
}

// Anybody may ask for any number of shards. Whoever does takes nothing from those that Prometheus asks for: what is known of an
// image is known once, for all of them.
func TestShardsOfStrangers(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 8)
	bubble(t, w, user("producer"), discovering(collector.Rule{Name: "image *"}), func(t *testing.T, b *bench) {
		watched := func(of int) (images []string, names map[string]bool) {
			names = map[string]bool{}
			for k := range of {
				for _, img := range b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: of}, limits(9*time.Second)).Images {
					images, names[img.Name] = append(images, img.ID), true
				}
			}
			slices.Sort(images)
			return images, names
		}
		_, names := watched(2)
		w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
		w.SetImage(ids[0], func(img *fakecloud.Image) { img.Name = "image renamed" })
		watched(2)
		b.log.take()

		gone, cancel := context.WithCancel(t.Context())
		cancel() // they do not even wait
		for of := 1000; of <= 1002; of++ {
			for k := range of {
				b.cloud.CollectShard(gone, collector.Shard{Number: k + 1, Of: of}, limits(9*time.Second))
			}
		}
		b.cloud.Wait()
		// Those who were there before, and some who come later, as after a change of the number of shards.
		for _, of := range []int{2, 7} {
			got, now := watched(of)
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("%d shards, while there is no listing: %s", of, diff)
			}
			if diff := cmp.Diff(names, now); diff != "" {
				t.Errorf("%d shards, names: %s", of, diff)
			}
		}
	})
}

// All shards together have no more requests in flight than the cloud is to have, and each gets its part of them, whatever hangs
// in others.
func TestShardsShareConcurrency(t *testing.T) {
	w := newWorld()
	many := addImages(w, 2200)
	ids := many[:200]
	opts := options(ids...)
	opts.Concurrency = 4
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		round := func(of int) []collector.Snapshot {
			shards := make([]collector.Snapshot, of)
			var all sync.WaitGroup
			for k := range of {
				all.Go(func() {
					shards[k] = b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: of}, limits(9*time.Second))
				})
			}
			all.Wait()
			b.cloud.Wait()
			return shards
		}
		w.SetLatency(50 * time.Millisecond)
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Times: 8, Status: http.StatusServiceUnavailable})
		for _, of := range []int{1, 40, 1, 8} {
			w.ResetLog()
			n := 0
			for _, s := range round(of) {
				n += len(read(s))
			}
			if n != len(ids) {
				t.Errorf("%d shards: %d of %d images read", of, n, len(ids))
			}
			if got := w.MostInFlight(); got != 4 {
				t.Errorf("%d shards: %d requests in flight, want 4", of, got)
			}
		}

		// A shard with more to ask than there is time for, and others beside it.
		big := options(many...)
		big.Concurrency = 4
		b.cloud.SetOptions(big)
		for n := range 2 {
			var whole collector.Snapshot
			var all sync.WaitGroup
			all.Go(func() { whole = b.cloud.CollectShard(t.Context(), collector.Shard{}, limits(9*time.Second)) })
			time.Sleep(time.Second)
			s := b.cloud.CollectShard(t.Context(), collector.Shard{Number: 1, Of: 30}, limits(9*time.Second))
			all.Wait()
			if len(read(s)) != len(s.Images) || len(read(whole)) < 500 {
				t.Errorf("round %d: %d of %d read in a small shard, %d of a cloud that is too large", n, len(read(s)), len(s.Images), len(read(whole)))
			}
			b.cloud.Wait()
		}
	})
}

// What hangs in one shard takes no more than half of the cloud's requests from the others, once it is known to.
func TestWhatHangsInAShardStarvesNoOther(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 160)
	opts := options(ids...)
	opts.Concurrency = 4
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.SetLatency(50 * time.Millisecond)
		hangs := map[string]bool{}
		for _, id := range ids[:48] {
			hangs[id] = true
			w.Inject(fakecloud.Fault{Match: about("list_members", id), Hang: true})
		}
		var last []collector.Snapshot
		for range 12 { // some do not get their turn to hang before
			last = make([]collector.Snapshot, 8)
			var all sync.WaitGroup
			for k := range last {
				all.Go(func() {
					last[k] = b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: 8}, limits(9*time.Second))
				})
			}
			all.Wait()
			time.Sleep(50 * time.Second)
		}
		n := 0
		for k, s := range last {
			n += len(read(s))
			for _, img := range s.Images {
				if !hangs[img.ID] && img.Coverage != collector.Complete {
					t.Errorf("shard %d: %s is not read: %v", k+1, img.ID, img.Err)
				}
			}
		}
		if n != len(ids)-len(hangs) {
			t.Errorf("%d images read, want %d", n, len(ids)-len(hangs))
		}
	})
}

func isSweep(r fakecloud.Request) bool {
	return r.Operation == "list_images" && !strings.Contains(r.RawQuery, "in%3A")
}

// collectShards collects all shards at the same time.
func collectShards(t *testing.T, b *bench, of int) []collector.Snapshot {
	t.Helper()
	shards := make([]collector.Snapshot, of)
	var all sync.WaitGroup
	for k := range shards {
		all.Go(func() {
			shards[k] = b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: of}, limits(9*time.Second))
		})
	}
	all.Wait()
	return shards
}

// Where no listing is ever whole, the shards list no more than where it is, and show what it has all the same.
func TestShardsShareAListingThatIsNotWhole(t *testing.T) {
	bad := fakecloud.Image{ID: "not a UUID", Name: "image x", Owner: producer, Visibility: "shared"}
	for _, test := range []struct {
		name     string
		spoil    func(w *fakecloud.Cloud)
		rules    []collector.Rule
		images   int
		listings int // in three rounds within an interval
	}{
		{"another project's images", func(*fakecloud.Cloud) {}, []collector.Rule{{Name: "image *"}, {Owners: []string{consumerB}}}, 80, 2},
		{
			"nothing but another project's images", func(*fakecloud.Cloud) {},
			[]collector.Rule{{Owners: []string{consumerB}}},
			0, 24,
		}, // each asks whether the API is there
		{"a record that cannot be read", func(w *fakecloud.Cloud) { w.AddImage(bad) }, []collector.Rule{{Name: "image *"}}, 80, 2},
		{"hidden images that fail", func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
				return isSweep(r) && strings.Contains(r.RawQuery, "hidden")
			}, Status: http.StatusInternalServerError})
		}, []collector.Rule{{Name: "image *"}}, 80, 6}, // which may pass: each round tries again
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			addImages(w, 80)
			test.spoil(w)
			opts := discovering(test.rules...)
			opts.DiscoveryInterval = 10 * time.Minute
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				w.Inject(fakecloud.Fault{Match: isSweep, Latency: 2 * time.Second})
				for n := range 3 {
					images := 0
					for _, s := range collectShards(t, b, 8) {
						images += len(read(s))
						if s.Discovered || !s.Up {
							t.Errorf("round %d: discovered %t, up %t", n, s.Discovered, s.Up)
						}
					}
					if images != test.images {
						t.Errorf("round %d: %d images read, want %d", n, images, test.images)
					}
					time.Sleep(time.Minute)
				}
				listings := 0
				for _, r := range w.Requests() {
					if isSweep(r) {
						listings++
					}
				}
				if listings != test.listings {
					t.Errorf("%d listings in three rounds, want %d", listings, test.listings)
				}
			})
		})
	}
}

// Who gives up before its listing ends leaves it to one who waits for it.
func TestAListingThatIsGivenUp(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 8)
	opts := discovering(collector.Rule{Name: "image *"})
	opts.DiscoveryInterval = 10 * time.Minute
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: isSweep, Latency: 2 * time.Second})
		ctx, hangUp := context.WithCancel(t.Context())
		go b.cloud.CollectShard(ctx, collector.Shard{Number: 1, Of: 2}, limits(9*time.Second))
		time.AfterFunc(time.Second, hangUp)
		time.Sleep(100 * time.Millisecond)
		if s := b.cloud.CollectShard(t.Context(), collector.Shard{Number: 1, Of: 1}, limits(9*time.Second)); len(read(s)) != len(ids) ||
			!s.Discovered {
			t.Errorf("%d of %d images read, discovered %t", len(read(s)), len(ids), s.Discovered)
		}
	})
}

// An old list of images is good while another one is on its way, and not for ever.
func TestAnOldListIsNoSuccess(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 8)
	opts := discovering(collector.Rule{Name: "image *"})
	opts.DiscoveryInterval = time.Minute
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		began := time.Now()
		scrape := func() (list []collector.Snapshot) {
			one := make(chan collector.Snapshot)
			go func() {
				one <- b.cloud.CollectShard(t.Context(), collector.Shard{Number: 1, Of: 2}, limits(9*time.Second))
			}()
			time.Sleep(100 * time.Millisecond) // it lists, if there is need to
			two := b.cloud.CollectShard(t.Context(), collector.Shard{Number: 2, Of: 2}, limits(9*time.Second))
			return []collector.Snapshot{<-one, two}
		}
		scrape()
		w.Inject(fakecloud.Fault{Match: isSweep, Hang: true})
		for range 5 {
			time.Sleep(40 * time.Second)
			old := time.Since(began) >= 2*opts.DiscoveryInterval
			images := 0
			for k, s := range scrape() {
				images += len(read(s))
				if s.Discovered && (old || k == 0 && time.Since(began) > opts.DiscoveryInterval+10*time.Second) {
					t.Errorf("shard %d says that all are discovered, %s after the last list", k+1, time.Since(began))
				}
			}
			if images != len(ids) {
				t.Errorf("%d of %d images read", images, len(ids))
			}
		}
	})
}
