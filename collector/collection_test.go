package collector_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// addImages adds n shared images of the producer with one member each.
func addImages(w *fakecloud.Cloud, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
		w.AddImage(fakecloud.Image{ID: ids[i], Name: fmt.Sprint("image ", i), Owner: producer, Visibility: "shared"})
		w.Share(ids[i], consumerA)
	}
	return ids
}

func read(s collector.Snapshot) (ids []string) {
	for _, img := range s.Images {
		if img.Coverage == collector.Complete {
			ids = append(ids, img.ID)
		}
	}
	return ids
}

func TestHangingImagesDoNotStarveTheRest(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 40)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
			return r.Operation == "list_members" && r.ImageID <= ids[15] // the 16 that are asked first
		}, Hang: true})
		for range 3 {
			began := time.Now()
			s := b.cloud.Collect(t.Context(), collector.Limits{Timeout: 3 * time.Second})
			if took := time.Since(began); took > 2500*time.Millisecond {
				t.Errorf("took %s of 2.5s", took)
			}
			if diff := cmp.Diff(ids[16:], read(s)); diff != "" {
				t.Error(diff)
			}
			time.Sleep(time.Minute)
		}
	})
}

// More hang than there are workers in all rounds of halved timeouts: the first scrapes learn which.
func TestManyHangingImages(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 400)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
			return r.Operation == "list_members" && r.ImageID <= ids[99]
		}, Hang: true})
		var s collector.Snapshot
		for range 6 {
			s = b.scrape(t)
			time.Sleep(time.Minute)
		}
		if diff := cmp.Diff(ids[100:], read(s)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAListTooLongForItsTimeIsSeenOverSomeScrapes(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 200)
	w.SetLatency(time.Second) // 8 at a time, 8.5 s: less than 70 a scrape
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		seen := map[string]bool{}
		for range 6 {
			began := time.Now()
			s := b.scrape(t)
			if took := time.Since(began); took > 8500*time.Millisecond {
				t.Errorf("took %s of 8.5s", took)
			}
			for _, id := range read(s) {
				seen[id] = true
			}
			for _, img := range s.Images {
				if img.Coverage == collector.Unread && len(img.Members) != 0 {
					t.Errorf("%s has members and is unread", img.ID)
				}
			}
			time.Sleep(time.Minute)
		}
		if len(seen) != len(ids) {
			t.Errorf("%d of %d images seen in 5 scrapes", len(seen), len(ids))
		}
	})
}

func TestOverlappingScrapesShareACollection(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 10)
	w.SetLatency(100 * time.Millisecond)
	bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if got := read(b.scrape(t)); len(got) != len(ids) {
					t.Errorf("read %d images", len(got))
				}
			})
		}
		all.Wait()
		for op, want := range map[string]int{"authenticate": 1, "list_images": 1, "list_members": 10} {
			if got := w.Count(op); got != want {
				t.Errorf("%s: %d requests, want %d", op, got, want)
			}
		}
		for range 20 {
			time.Sleep(time.Minute)
			b.scrape(t)
		}
		if got := w.Count("authenticate"); got != 1 {
			t.Errorf("%d logins after 20 scrapes, want 1", got)
		}
	})
}

func TestEachScrapeOfASharedCollectionKeepsItsDeadline(t *testing.T) {
	w := newWorld()
	opts := options(shared, empty)
	opts.RequestTimeout = 5 * time.Second
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: about("list_members", shared), Latency: 3 * time.Second})
		var all sync.WaitGroup
		for _, test := range []struct{ timeout, took time.Duration }{
			{2 * time.Second, 1480 * time.Millisecond},
			{9 * time.Second, 3 * time.Second},
		} {
			all.Go(func() {
				began := time.Now()
				s := b.cloud.Collect(t.Context(), collector.Limits{Timeout: test.timeout})
				if took := time.Since(began).Round(10 * time.Millisecond); took != test.took {
					t.Errorf("with %s to wait: took %s, want %s", test.timeout, took, test.took)
				}
				want := []string{empty}
				if test.took == 3*time.Second {
					want = []string{shared, empty}
				}
				if diff := cmp.Diff(want, read(s)); diff != "" {
					t.Errorf("with %s to wait: %s", test.timeout, diff)
				}
			})
			time.Sleep(time.Millisecond) // the short one begins the collection
		}
		all.Wait()
	})
}

func TestDeadlines(t *testing.T) {
	w := newWorld()
	tests := []struct {
		name   string
		opts   func(*collector.Options)
		limits collector.Limits
		most   time.Duration
		least  time.Duration
	}{
		{name: "offset", limits: collector.Limits{Timeout: 3 * time.Second}, most: 2500 * time.Millisecond, least: time.Second},
		{
			name:   "long rendering",
			limits: collector.Limits{Timeout: 3 * time.Second, Reserve: time.Second},
			most:   2 * time.Second,
			least:  900 * time.Millisecond,
		},
		{
			name:   "rendering takes too long",
			limits: collector.Limits{Timeout: 3 * time.Second, Reserve: time.Minute},
			most:   1500 * time.Millisecond,
			least:  700 * time.Millisecond,
		},
		{
			name:   "own timeout",
			opts:   func(o *collector.Options) { o.Timeout = 2 * time.Second },
			limits: collector.Limits{Timeout: 10 * time.Second},
			most:   1500 * time.Millisecond,
			least:  700 * time.Millisecond,
		},
		{
			name:   "request timeout",
			opts:   func(o *collector.Options) { o.RequestTimeout = 100 * time.Millisecond },
			limits: collector.Limits{Timeout: 10 * time.Second},
			most:   100 * time.Millisecond,
			least:  100 * time.Millisecond,
		},
		{
			name:   "request timeout beyond the end",
			opts:   func(o *collector.Options) { o.RequestTimeout = time.Minute },
			limits: collector.Limits{Timeout: 2 * time.Second},
			most:   1500 * time.Millisecond,
			least:  1400 * time.Millisecond,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := options(shared)
			if test.opts != nil {
				test.opts(&opts)
			}
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				defer w.Inject(fakecloud.Fault{Match: about("list_members", ""), Hang: true})()
				began := time.Now()
				s := b.cloud.Collect(t.Context(), test.limits)
				if took := time.Since(began); took > test.most || took < test.least {
					t.Errorf("took %s, want %s to %s", took, test.least, test.most)
				}
				if img := s.Images[0]; img.Coverage != collector.Unread || img.StatusCode != 0 || !strings.Contains(img.Err.Error(), "timeout") {
					t.Errorf("got %+v", img)
				}
				if !s.Up {
					t.Error("the records were answered")
				}
			})
		})
	}
}

func TestWhoeverScrapesHangsUp(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared), func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Hang: true})
		hangUp, up := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, up)
		began := time.Now()
		b.cloud.Collect(hangUp, collector.Limits{Timeout: 9 * time.Second})
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s, want 1s", took)
		}
		b.cloud.Wait()
		if got := testutil.ToFloat64(counter{b.api, `list_members`, `timeout`}); got != 0 {
			t.Errorf("%v timeouts counted, though nobody waited", got)
		}
	})
}

// The codes that the API document lists: each raises its own counter by the attempts made, and costs only its image.
func TestEachCodeCostsOneImage(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld()
			ids := addImages(w, 5)
			bubble(t, w, user("producer"), options(ids...), func(t *testing.T, b *bench) {
				w.Inject(fakecloud.Fault{Match: about("list_members", ids[2]), Status: status})
				const scrapes = 3
				var s collector.Snapshot
				for range scrapes {
					s = b.scrape(t)
					time.Sleep(time.Minute)
				}
				if diff := cmp.Diff([]string{ids[0], ids[1], ids[3], ids[4]}, read(s)); diff != "" {
					t.Error(diff)
				}
				if got := s.Images[2]; got.Coverage != collector.Unread || got.StatusCode != status || len(got.Members) != 0 {
					t.Errorf("got %+v", got)
				}
				attempts := float64(scrapes)
				switch status {
				case http.StatusUnauthorized:
					attempts++ // the first one was tried again with a new token
				case http.StatusServiceUnavailable:
					attempts *= 3 // each was tried again twice
				}
				for _, code := range []string{"400", "401", "403", "404", "500", "503"} {
					want := 0.0
					if code == fmt.Sprint(status) {
						want = attempts
					}
					if got := testutil.ToFloat64(counter{b.api, "list_members", code}); got != want {
						t.Errorf("%s: counted %v, want %v", code, got, want)
					}
				}
				if got := w.Count("list_members"); float64(got) != attempts+4*scrapes {
					t.Errorf("%d requests", got)
				}
			})
		})
	}
}

func TestImagesWithoutMembersAreNotAskedForThem(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(public, private, shared), func(t *testing.T, b *bench) {
		b.scrape(t)
		w.ResetLog()
		b.scrape(t)
		if got := w.Count("list_members"); got != 1 {
			t.Errorf("%d lists of members asked, want 1", got)
		}
		w.SetImage(private, func(img *fakecloud.Image) { img.Visibility = "shared" })
		w.Share(private, consumerB)
		got := series(t, b.scrape(t), "glance_image_members")
		want := `glance_image_members{cloud="prod",image_id="` + private + `",image_name="private",status="pending"} 1`
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("the share of a formerly private image is not seen in the first scrape after it:\n%s", strings.Join(got, "\n"))
		}
		w.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "community" })
		if s := b.scrape(t); s.Images[2].Coverage != collector.NotApplicable || s.Images[2].Record.Visibility != client.Community {
			t.Errorf("got %+v", s.Images[2])
		}
	})
}

func TestNamesStay(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared), func(t *testing.T, b *bench) {
		b.scrape(t)
		w.SetImage(shared, func(img *fakecloud.Image) { img.Name = "renamed" })
		s := b.scrape(t)
		if img := s.Images[0]; img.Name != "golden-debian-12" || img.Record.Name != "renamed" {
			t.Errorf("label %q, current name %q", img.Name, img.Record.Name)
		}
		w.RemoveImage(shared)
		if img := b.scrape(t).Images[0]; img.Name != "golden-debian-12" || img.StatusCode != 404 {
			t.Errorf("after the image is gone: label %q, code %d", img.Name, img.StatusCode)
		}
	})
}

func TestNewOptionsFromTheNextScrapeOn(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.cloud.SetOptions(options(empty, shared))
		if diff := cmp.Diff([]string{empty, shared}, read(b.scrape(t))); diff != "" {
			t.Error(diff)
		}
		if got := w.Count("authenticate"); got != 1 {
			t.Errorf("%d logins, want 1", got)
		}
	})
}

func TestTheLogTellsEachTroubleOnce(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 20)
	bubble(t, w, user("producer"), options(append(ids, shared)...), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.log.take()
		remove := w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
			return r.Operation == "list_members" &&
				r.ImageID != shared
		}, Status: 503, Body: "try later"})
		for range 3 {
			b.scrape(t)
		}
		remove()
		b.scrape(t)
		want := []string{
			`level=error cloud=prod msg="members not read" images=20 image_id=` + ids[0] + ` err="listing members of image ` +
				ids[0] + `: 503 Service Unavailable: try later"`,
			`level=info cloud=prod msg="resolved: members not read" operation=list_members code=503`,
		}
		if diff := cmp.Diff(want, b.log.take()); diff != "" {
			t.Error(diff)
		}
	})
	bubble(t, w, user("consumer-a"), options(shared), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.scrape(t)
		want := []string{
			`level=info cloud=prod msg="using the image API" endpoint=http://cloud.test/image/v2/ project_id=` +
				consumerA + ` project_name=consumer-a`,
			`level=warn cloud=prod msg="member lists may be incomplete: the credential's project does not own the images" images=1 ` +
				`image_id=` + shared,
		}
		if diff := cmp.Diff(want, b.log.take()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSomethingElseThanAnImageAPI(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared), func(t *testing.T, b *bench) {
		w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: 404, Body: "404 page not found"})
		if s := b.scrape(t); s.Up || s.Images[0].Coverage != collector.Unread {
			t.Errorf("got %+v", s)
		}
		b.scrape(t)
		want := []string{
			`level=info cloud=prod msg="using the image API" endpoint=http://cloud.test/image/v2/ project_id=` + producer + ` project_name=producer`,
			`level=error cloud=prod msg="no image API found: the response to GET images is 404; correct endpoint, or the URL of the image ` +
				`service in the catalog" endpoint=http://cloud.test/image/v2/`,
		}
		if diff := cmp.Diff(want, b.log.take()); diff != "" {
			t.Error(diff)
		}
	})
}
