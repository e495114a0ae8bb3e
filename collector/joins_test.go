package collector_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
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
		if s := b.scrape(t); s.Err != nil || s.Images[0].Sight != collector.Whole {
			t.Errorf("after %s of 8.5s: %v, sight %d", s.Duration, s.Err, s.Images[0].Sight)
		}
		all.Wait()
	})
}

// A single 404 to the list of images does not make a cloud of something else, where members are answered with 200.
func TestNoListOfImages(t *testing.T) {
	bubble(t, newWorld(), user("admin"), options(shared), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusNotFound})
		if s := b.scrape(t); !s.Up || s.Images[0].Sight != collector.Whole {
			t.Errorf("up %t, sight %d", s.Up, s.Images[0].Sight)
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
		if text := strings.Join(lines, "\n"); len(lines) != 1 || !strings.Contains(text, "no image API here") {
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
		if !strings.Contains(lines, `msg="image records not read, so owner and visibility are unknown" images=250`) || strings.Count(lines, "image records not read") != 1 {
			t.Errorf("the log says\n%s", lines)
		}
	})
}

// A domain has the image, and only a project of the same ID is expected.
func TestADomainIsNoProject(t *testing.T) {
	opts := options()
	opts.Images = []collector.Image{{ID: shared, Policy: collector.Policy{Members: []collector.ExpectedMember{{Type: client.TypeProject, ID: consumerA}}}}}
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
