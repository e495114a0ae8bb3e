package collector_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// Scrapers with other timeouts than Prometheus' come to the same cloud: by mistake, or in order to blind it.

// scrapeEvery scrapes n times with a timeout and returns how many images each scrape read.
func (b *bench) scrapeEvery(t *testing.T, interval, timeout time.Duration, n int) (counts []int) {
	t.Helper()
	for range n {
		next := time.Now().Add(interval)
		counts = append(counts, len(read(b.cloud.Collect(t.Context(), limits(timeout)))))
		time.Sleep(time.Until(next))
	}
	return counts
}

// Requests hang for some seconds while somebody scrapes with a long timeout. What hangs then for long must not cost the
// scrapes of others.
func TestAPatientScraperBlindsNobody(t *testing.T) {
	for _, patient := range []time.Duration{60 * time.Second, 600 * time.Second} {
		w := newWorld()
		ids := addImages(w, 60)
		bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
			b.scrape(t)
			w.SetLatency(20 * time.Millisecond)
			hang := make(chan struct{})
			w.Inject(fakecloud.Fault{Match: func(fakecloud.Request) bool {
				select {
				case <-hang:
					return false
				default:
					return true
				}
			}, Latency: time.Hour})
			var all sync.WaitGroup
			all.Go(func() { b.cloud.Collect(t.Context(), limits(patient)) })
			time.Sleep(2500 * time.Millisecond)
			close(hang)
			short := 0
			for _, n := range b.scrapeEvery(t, 15*time.Second, 5*time.Second, 10) {
				if n != len(ids) {
					short++
				}
			}
			if short > 0 {
				t.Errorf("beside a scraper of %s, %d of 10 scrapes are incomplete", patient, short)
			}
			all.Wait()
			b.cloud.Wait()
			if most := w.MostInFlight(); most > 2*options().Concurrency {
				t.Errorf("%d requests in flight", most)
			}
		})
	}
}

// Scrapes that give up soon are shared by nobody who has more time, and the log is not theirs.
func TestAHastyScraperBlindsNobody(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 60)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.log.take()
		w.SetLatency(50 * time.Millisecond)
		stop := make(chan struct{})
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() {
				time.Sleep(time.Duration(n) * 37 * time.Millisecond)
				for {
					select {
					case <-stop:
						return
					default:
						b.scrapeEvery(t, 130*time.Millisecond, 120*time.Millisecond, 1)
					}
				}
			})
		}
		for i, n := range b.scrapeEvery(t, 7*time.Second, 5*time.Second, 40) {
			if n != len(ids) {
				t.Errorf("scrape %d read %d of %d images", i, n, len(ids))
			}
		}
		close(stop)
		all.Wait()
		if lines := b.log.take(); lines[0] != "" {
			t.Errorf("%d lines of log, such as %s", len(lines), lines[0])
		}
	})
}

// Shards that nobody configured get what the others leave.
func TestShardsOfAStrangerTakeNothing(t *testing.T) {
	for _, shards := range []int{0, 1, 3} {
		w := newWorld()
		ids := addImages(w, 60)
		opts := options(ids...)
		opts.Shards, opts.ByProbe = shards, true
		bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
			b.client.Set(client.Settings{RequestsPerSecond: 15})
			w.SetLatency(20 * time.Millisecond)
			b.scrape(t) // so that it is known what is scraped if the options do not say it
			stop := make(chan struct{})
			var strangers sync.WaitGroup
			for k := range 20 {
				strangers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: 20}, limits(9*time.Second))
						}
					}
				})
			}
			time.Sleep(time.Second)
			for i := range 10 {
				var n int
				next := time.Now().Add(20 * time.Second)
				for k := range max(shards, 1) {
					shard := collector.Shard{}
					if shards > 0 {
						shard = collector.Shard{Number: k + 1, Of: shards}
					}
					n += len(read(b.cloud.CollectShard(t.Context(), shard, limits(6*time.Second))))
				}
				if n != len(ids) {
					t.Errorf("%d shards: scrape %d read %d of %d images", shards, i, n, len(ids))
				}
				time.Sleep(time.Until(next))
			}
			close(stop)
			strangers.Wait()
		})
	}
}

// There are as many collections as scrapes at the most, whatever their timeouts are, and none is left when all have gone.
func TestCollectionsAreBoundedByTheirScrapes(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 60)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		b.scrape(t)
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Hang: true})
		var all sync.WaitGroup
		for n := range 40 {
			all.Go(func() { b.cloud.Collect(t.Context(), limits(time.Duration(n+1)*10*time.Second)) })
		}
		time.Sleep(30 * time.Second)
		if most := w.MostInFlight(); most > 2*options().Concurrency {
			t.Errorf("%d requests in flight", most)
		}
		began := time.Now()
		all.Wait()
		b.cloud.Wait()
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("the last scrape took %s", took)
		}
	})
}

// A scrape that has gone gets a snapshot that says nothing, and above all not that nobody has access.
func TestAScrapeThatHasGone(t *testing.T) {
	bubble(t, newWorld(), user("producer"), options(shared, empty), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.Inject(fakecloud.Fault{Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		s := b.cloud.Collect(ctx, limits(time.Minute))
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
		if s.Up || !errors.Is(s.Err, context.Canceled) || len(s.Images) > 0 {
			t.Errorf("got %+v", s)
		}
		b.cloud.Wait() // nothing goes on for nobody
		b.world.ClearFaults()
	})
}

// What an older collection says of an image does not replace what a newer one read, though it ends later: neither that the
// image is deleted, nor what the page shows.
func TestAnOlderCollectionDeletesNothing(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 3)
	opts := discovering(collector.Rule{Name: "image *"})
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		var image fakecloud.Image
		w.SetImage(ids[0], func(img *fakecloud.Image) { image = *img })
		w.RemoveImage(ids[0])
		time.Sleep(time.Minute)
		b.scrape(t) // the first 404
		time.Sleep(time.Minute)
		w.Inject(fakecloud.Fault{Match: about("list_members", ids[1]), Times: 1, Latency: 30 * time.Second})
		var patient collector.Snapshot
		var all sync.WaitGroup
		all.Go(func() { patient = b.cloud.Collect(t.Context(), limits(time.Minute)) }) // the second one
		time.Sleep(5 * time.Second)
		w.AddImage(image)
		w.Share(ids[0], consumerA)
		newer := b.cloud.Collect(t.Context(), limits(5*time.Second))
		if got := read(newer); len(got) != len(ids) {
			t.Fatalf("read %s", got)
		}
		all.Wait()
		b.cloud.Wait()
		if got := b.cloud.Latest()[0].Snapshot; !got.Start.Equal(newer.Start) {
			t.Errorf("the page shows the collection of %s, not that of %s", got.Start, newer.Start)
		}
		if imageIn(patient, ids[0]) != nil {
			t.Error("the older collection did not find it deleted: the test shows nothing")
		}
		w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusServiceUnavailable})
		if s := b.scrape(t); imageIn(s, ids[0]) == nil || len(s.Left) > 0 {
			t.Errorf("it is watched: %t, left: %v", imageIn(s, ids[0]) != nil, s.Left)
		}
	})
}

// Nor does it forget an image that others share by now.
func TestAnOlderCollectionForgetsNoInboundImage(t *testing.T) {
	w := newInboundWorld(fakecloud.Options{})
	bubble(t, w, user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
		b.scrape(t)
		time.Sleep(time.Minute)
		w.Inject(fakecloud.Fault{Match: about("list_members", strangeOffer), Times: 1, Latency: 9 * time.Second})
		var all sync.WaitGroup
		all.Go(func() { b.cloud.Collect(t.Context(), limits(time.Minute)) })
		time.Sleep(2 * time.Second)
		w.AddImage(fakecloud.Image{ID: "00000000-0000-4000-8000-00000000beef", Name: "newer", Owner: vendor, Visibility: "shared"})
		w.Share("00000000-0000-4000-8000-00000000beef", producer)
		if got := inboundOf(b.cloud.Collect(t.Context(), limits(5*time.Second))); !strings.Contains(got, "newer=pending") {
			t.Fatalf("got %s", got)
		}
		all.Wait()
		b.cloud.Wait()
		w.RemoveImage("00000000-0000-4000-8000-00000000beef")
		if got := inboundOf(b.scrape(t)); !strings.Contains(got, "newer=") { // until it is not found a second time
			t.Errorf("got %s", got)
		}
	})
}
