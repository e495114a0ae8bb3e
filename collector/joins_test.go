package collector_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// A scrape that has time to wait for a login gets it, though it joins one that has not.
func TestJoiningDuringALogin(t *testing.T) {
	bubble(t, newWorld(), user("producer"), options(shared), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("authenticate", ""), Latency: 3 * time.Second})
		var all sync.WaitGroup
		all.Go(func() {
			if s := b.cloud.Collect(t.Context(), collector.Limits{Timeout: 2 * time.Second}); s.Up || s.Duration > 2*time.Second {
				t.Errorf("the first: up %t after %s", s.Up, s.Duration)
			}
		})
		time.Sleep(time.Millisecond)
		if s := b.scrape(t); s.Err != nil || s.Images[0].Coverage != collector.Complete {
			t.Errorf("after %s of 8.5s: %v, sight %d", s.Duration, s.Err, s.Images[0].Coverage)
		}
		all.Wait()
	})
}

// A single 404 to the list of images does not make a cloud of something else, where members are answered with 200.
func TestNoListOfImages(t *testing.T) {
	bubble(t, newWorld(), user("admin"), options(shared), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusNotFound})
		if s := b.scrape(t); !s.Up || s.Images[0].Coverage != collector.Complete {
			t.Errorf("up %t, sight %d", s.Up, s.Images[0].Coverage)
		}
	})
	bubble(t, newWorld(), user("producer"), options(shared), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusServiceUnavailable})
		b.scrape(t)
		b.log.take()
		b.world.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusNotFound})
		b.world.Inject(fakecloud.Fault{Match: about("get_image", ""), Status: http.StatusNotFound})
		if s := b.scrape(t); s.Up {
			t.Error("up, though nothing is answered as an image API does")
		}
		lines := b.log.take()
		if text := strings.Join(lines, "\n"); len(lines) != 1 || !strings.Contains(text, "no image API found") {
			t.Errorf("nothing is known to be over, but the log says:\n%s", text)
		}
	})
}

// What was cut off because the scraper went away was not answered: it is asked first next time.
func TestWhatWasCutOffIsAskedFirst(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 24)
	opts := options(ids...)
	opts.Concurrency = 2
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		remove := w.Inject(fakecloud.Fault{Match: about("list_members", ""), Latency: 3 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		b.cloud.Collect(ctx, collector.Limits{Timeout: 30 * time.Second})
		b.cloud.Wait()
		var cut []string
		for _, r := range w.Requests()[len(w.Requests())-3:] {
			if r.Operation == "list_members" {
				cut = append(cut, r.ImageID)
			}
		}
		remove()
		w.ResetLog()
		w.SetLatency(10 * time.Millisecond) // or one worker could answer them all before the other begins
		b.scrape(t)
		var asked []string
		for _, r := range w.Requests() {
			if r.Operation == "list_members" {
				asked = append(asked, r.ImageID)
			}
		}
		for _, id := range cut {
			if i := slices.Index(asked, id); i > len(ids)/2 {
				t.Errorf("%s was cut off, and asked as the %d. of %d", id, i+1, len(ids))
			}
		}
		if len(cut) == 0 {
			t.Error("nothing was cut off")
		}
	})
}

func TestRecordsThatCannotBeReadAreCounted(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 250)
	bubble(t, w, appCredential("rules"), options(ids...), func(t *testing.T, b *bench) {
		b.scrape(t)
		lines := strings.Join(b.log.take(), "\n")
		if !strings.Contains(lines, `msg="image records not read, so owner and visibility are unknown" images=250`) ||
			strings.Count(lines, "image records not read") != 1 {
			t.Errorf("the log says\n%s", lines)
		}
	})
}

// A domain has the image, and only a project of the same ID is expected.
func TestADomainIsNoProject(t *testing.T) {
	opts := options()
	opts.Images = []collector.Image{
		{ID: shared, Policy: collector.Policy{Members: []collector.ExpectedMember{{Type: client.TypeProject, ID: consumerA}}}},
	}
	bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{
			Match: about("list_members", shared), Status: http.StatusOK,
			Body: `{"members": [{"member_id": "` + consumerA + `", "member_type": "domain", "status": "accepted"}]}`,
		})
		got := judgements(t, b.scrape(t), map[string]string{consumerA: "A"})
		want := []string{"expected_members 1", "unexpected_members 1", "missing_members 1", "A 1", "A domain 0"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Two Prometheis whose scrapes overlap, and a cloud that takes longer than a scrape: no collection goes on from one to the next,
// with what it read first.
func TestOverlappingScrapesReadAnew(t *testing.T) {
	const timeout, interval = 10 * time.Second, 15 * time.Second
	w := newWorld()
	opts := options(append([]string{empty}, addImages(w, 300)...)...)
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.client.Set(client.Settings{RequestsPerSecond: 5})
		var all sync.WaitGroup
		var mu sync.Mutex
		var change time.Time
		seen := 0
		for p := range 2 {
			all.Go(func() {
				time.Sleep(time.Duration(p) * interval / 2)
				for range 40 {
					at := time.Now()
					s := b.cloud.Collect(t.Context(), limits(timeout))
					mu.Lock()
					for _, img := range s.Images {
						if img.ID != empty || img.Coverage != collector.Complete || change.IsZero() || at.Before(change.Add(timeout/2)) {
							continue
						}
						if seen++; len(img.Members) == 0 {
							t.Errorf("a scrape that began %s after the share says that nobody has access", at.Sub(change))
						}
					}
					mu.Unlock()
					time.Sleep(time.Until(at.Add(interval)))
				}
			})
		}
		time.Sleep(9 * time.Second) // it was read, without members
		w.Share(empty, consumerA)
		mu.Lock()
		change = time.Now()
		mu.Unlock()
		all.Wait()
		if seen == 0 {
			t.Error("the image was never read again")
		}
	})
}

// Somebody asks for a day's time, and an image hangs.
func TestNobodyJoinsAnOldCollection(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared, empty), func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: about("list_members", shared), Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.cloud.Collect(ctx, limits(24*time.Hour))
		time.Sleep(time.Second)
		w.Share(empty, consumerA)
		time.Sleep(time.Minute)
		s := b.scrape(t)
		if img := s.Images[1]; img.Coverage != collector.Complete || len(img.Members) != 1 {
			t.Errorf("sight %d, members %v, read %s ago", img.Coverage, img.Members, time.Since(s.Start))
		}
	})
}

// Who joins with more time has it for a request that was cut short for the first.
func TestJoiningWithMoreTime(t *testing.T) {
	bubble(t, newWorld(), user("producer"), options(shared), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.Inject(fakecloud.Fault{Match: about("list_members", shared), Latency: 2 * time.Second})
		go b.cloud.Collect(t.Context(), limits(3*time.Second))
		time.Sleep(time.Millisecond)
		if s := b.cloud.Collect(t.Context(), limits(30*time.Second)); s.Images[0].Coverage != collector.Complete {
			t.Errorf("sight %d after %s of 30s: %v", s.Images[0].Coverage, s.Duration, s.Images[0].Err)
		}
	})
}

// lateKey is a key source that has failed, and says so at once until it tries again.
type lateKey struct{ calls int }

func (k *lateKey) Key(context.Context) (client.Key, error) {
	k.calls++
	return client.Key{}, &client.Error{Op: client.OpAuthenticate, Code: client.CodeTimeout, Message: "no complete response in time"}
}

func TestALoginThatTimedOutIsNotAskedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts, keys := byKey(client.MembersV2), &lateKey{}
		opts.Keys = keys
		b := newBenchWith(t, newHuawei(), opts, onIMS(shared))
		if s := b.scrape(t); s.Up || keys.calls > 2 {
			t.Errorf("up %t, asked for a key %d times", s.Up, keys.calls)
		}
	})
}

// An API that must be asked for each record alone, and no faster than this: images are read whole in their turn.
func TestRecordsDoNotTakeTheTimeOfMembers(t *testing.T) {
	const images = 100
	for name, newBench := range map[string]func(t *testing.T) *bench{
		"ims": func(t *testing.T) *bench {
			w := newHuawei()
			opts := onIMS()
			for i := range images {
				id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
				w.AddImage(fakecloud.Image{ID: id, Owner: producer})
				opts.Images = append(opts.Images, collector.Image{ID: id})
			}
			connection := byKey(client.MembersV2)
			connection.RequestsPerSecond = 10
			return newBenchWith(t, w, connection, opts)
		},
		"a list that has nothing": func(t *testing.T) *bench {
			w := newWorld()
			b := newBench(t, w, user("producer"), options(addImages(w, images)...))
			b.client.Set(client.Settings{RequestsPerSecond: 10})
			w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusOK, Body: `{"images": []}`})
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				ever := map[string]bool{}
				for n := range 7 {
					s := b.scrape(t)
					got := 0
					for _, img := range s.Images {
						if img.Complete() {
							ever[img.ID] = true
							got++
						}
					}
					if got < 20 {
						t.Errorf("scrape %d: %d images are whole, of some 80 requests", n, got)
					}
					time.Sleep(time.Minute)
				}
				if len(ever) != images {
					t.Errorf("%d of %d images were ever whole", len(ever), images)
				}
			})
		})
	}
}
