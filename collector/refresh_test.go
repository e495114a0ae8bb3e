package collector_test

import (
	"context"
	"net/http"
	"strings"
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
		if len(read(s)) != 0 || len(s.Images) != 40 || s.Up || !s.Taken.IsZero() || time.Since(began) > 9*time.Second {
			t.Errorf("before the first collection: %d read, up %t, after %s", len(read(s)), s.Up, time.Since(began))
		}
		if want := "not asked: the first collection in the background has not ended yet"; s.Err == nil || s.Err.Error() != want || s.Images[0].Sight != collector.Unread {
			t.Errorf("%v", s.Err)
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
		if len(s.Images[0].Members) != 0 || s.Images[0].Sight != collector.Whole || s.Images[1].Sight != collector.Unread {
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
		if s.Images[0].Sight != collector.Unread || !s.Taken.After(taken) {
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
		if want := "the last collection in the background began 1h1m0s ago, more than max_staleness"; len(read(s)) != 0 || s.Up || s.Err == nil || s.Err.Error() != want {
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
