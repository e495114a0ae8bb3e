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

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// said is what Latest has, in a line per part: the shard, and how many images were read of those watched.
func said(c *collector.Cloud) string {
	var lines []string
	for _, l := range c.Latest() {
		line := fmt.Sprintf("%s: none", l.Shard)
		if s := l.Snapshot; s != nil {
			line = fmt.Sprintf("%s: %d of %d", l.Shard, len(read(*s)), len(s.Images))
		}
		if len(l.Before) > 0 {
			line += fmt.Sprintf(", %d before", len(l.Before))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func wantSaid(t *testing.T, c *collector.Cloud, want string) {
	t.Helper()
	if got := said(c); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is remembered is what the last scrape was given, and looking at it asks nothing.
func TestLatest(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared, empty), func(t *testing.T, b *bench) {
		wantSaid(t, b.cloud, ": none")
		s := b.scrape(t)
		wantSaid(t, b.cloud, ": 2 of 2")
		before := w.Count("")
		l := b.cloud.Latest()[0]
		if diff := cmp.Diff(page(t, s), page(t, *l.Snapshot)); diff != "" {
			t.Error(diff)
		}
		if &l.Snapshot.Images[0] != &s.Images[0] {
			t.Error("the images are copied")
		}
		if got := w.Count("") - before; got != 0 {
			t.Errorf("%d requests", got)
		}

		// A scrape that its scraper gave up says nothing.
		ctx, cancel := context.WithCancel(t.Context())
		remove := w.Inject(fakecloud.Fault{Match: about("list_members", ""), Hang: true})
		time.AfterFunc(time.Second, cancel)
		b.cloud.Collect(ctx, limits(9*time.Second))
		wantSaid(t, b.cloud, ": 2 of 2")
		remove()
	})
}

// What is not read any more is still known from before, with its time, until it is read again.
func TestLatestBefore(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared, public), func(t *testing.T, b *bench) {
		began := time.Now()
		b.scrape(t)
		remove := w.Inject(fakecloud.Fault{Status: http.StatusServiceUnavailable})
		for range 3 {
			time.Sleep(time.Minute)
			b.scrape(t)
			wantSaid(t, b.cloud, ": 0 of 2, 2 before")
		}
		l := b.cloud.Latest()[0]
		if got := l.Before[shared]; !got.At.Equal(began) || len(got.Image.Members) != 3 {
			t.Errorf("%+v", got)
		}
		if got := l.Before[public]; !got.Image.Open() {
			t.Errorf("%+v", got)
		}
		remove()
		time.Sleep(time.Minute)
		b.scrape(t)
		wantSaid(t, b.cloud, ": 1 of 2") // public has no members to read
	})
}

// Scrapes at the same time: of one collection the longest view stays, whoever comes back last.
func TestLatestOfTwoScrapes(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 8)
	opts := options(ids...)
	opts.Concurrency = 1
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		w.SetLatency(time.Second)
		var scrapes sync.WaitGroup
		for _, timeout := range []time.Duration{30 * time.Second, 5 * time.Second} {
			scrapes.Go(func() { b.cloud.Collect(t.Context(), limits(timeout)) })
		}
		time.Sleep(6 * time.Second)
		if got := said(b.cloud); got == ": 8 of 8" {
			t.Error("the short scrape was given everything")
		}
		scrapes.Wait()
		wantSaid(t, b.cloud, ": 8 of 8")
	})
}

// After a reload, what was seen with other options is not told any more: other images are watched, others are expected.
func TestLatestAfterNewOptions(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared, empty), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.cloud.SetOptions(options(shared, empty)) // the same
		wantSaid(t, b.cloud, ": 2 of 2")
		judged := options(shared, empty)
		judged.Images[0].Policy.Members = expect(consumerA)
		b.cloud.SetOptions(judged)
		wantSaid(t, b.cloud, ": none")
		b.scrape(t)
		w.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusServiceUnavailable})
		time.Sleep(time.Minute)
		b.scrape(t)
		wantSaid(t, b.cloud, ": 0 of 2, 2 before")
		b.cloud.SetOptions(options(shared))
		wantSaid(t, b.cloud, ": none")
		b.scrape(t)
		wantSaid(t, b.cloud, ": 0 of 1")
		w.ClearFaults()

		// A collection that began before is given to its scrape, and not remembered.
		w.SetLatency(2 * time.Second)
		var scrape sync.WaitGroup
		scrape.Go(func() { b.scrape(t) })
		time.Sleep(time.Second)
		b.cloud.SetOptions(options(empty))
		scrape.Wait()
		wantSaid(t, b.cloud, ": none")
	})
}

func TestLatestShards(t *testing.T) {
	w := newWorld()
	ids := addImages(w, 40)
	opts := options(ids...)
	opts.ByProbe, opts.Shards = true, 2
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		shard := func(number, of int) {
			time.Sleep(time.Second)
			b.cloud.CollectShard(t.Context(), collector.Shard{Number: number, Of: of}, limits(9*time.Second))
		}
		wantSaid(t, b.cloud, "1/2: none; 2/2: none")
		shard(2, 2)
		if got := said(b.cloud); !strings.HasPrefix(got, "1/2: none; 2/2: ") || strings.HasSuffix(got, "none") {
			t.Error(got)
		}
		shard(1, 2)
		images := 0
		for _, l := range b.cloud.Latest() {
			images += len(l.Snapshot.Images)
		}
		if images != 40 {
			t.Errorf("%d images", images)
		}
		// Somebody looks at all of it, and Prometheus goes on.
		time.Sleep(time.Second)
		b.scrape(t)
		wantSaid(t, b.cloud, ": 40 of 40")
		shard(1, 2)
		if got := said(b.cloud); !strings.HasPrefix(got, "1/2: ") || strings.Contains(got, "none") {
			t.Error(got)
		}
		shard(1, 1)
		wantSaid(t, b.cloud, ": 40 of 40")
		// A stranger asks for shards of its own.
		shard(1, 2)
		shard(1, 1000)
		if got := b.cloud.Latest(); len(got) != 2 {
			t.Errorf("%d parts", len(got))
		}
		// More shards: those before are forgotten when they are old.
		time.Sleep(10 * time.Minute)
		shard(3, 4)
		if got := b.cloud.Latest(); len(got) != 4 || got[2].Snapshot == nil || got[0].Snapshot != nil {
			t.Error(said(b.cloud))
		}
		time.Sleep(2 * time.Hour)
		shard(3, 4)
		shard(1, 2)
		if got := b.cloud.Latest(); len(got) != 2 || got[0].Snapshot == nil || got[1].Snapshot != nil {
			t.Error(said(b.cloud))
		}
	})
}

// In the background it is the last collection, as a scrape shows it; it keeps its age.
func TestLatestWithRefreshInterval(t *testing.T) {
	w := newWorld()
	opts := options(shared)
	opts.RefreshInterval = time.Minute
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		wantSaid(t, b.cloud, ": none")
		b.scrape(t)
		wantSaid(t, b.cloud, ": 1 of 1")
		w.Unshare(shared, consumerA)
		time.Sleep(61 * time.Second)
		l := b.cloud.Latest()[0]
		if len(l.Snapshot.Images[0].Members) != 2 || time.Since(l.Snapshot.Start) > time.Minute {
			t.Errorf("%+v", l.Snapshot)
		}
		if got := l.Snapshot.FreshFor(); got != 3*time.Minute {
			t.Errorf("fresh for %s", got)
		}
		b.cloud.SetOptions(options(empty))
		wantSaid(t, b.cloud, ": none")
	})
}

func TestLatestIsSafeForConcurrentUse(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), options(shared, empty), func(t *testing.T, b *bench) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for k := range 20 {
					switch i % 4 {
					case 0:
						b.scrape(t)
					case 1:
						b.cloud.CollectShard(t.Context(), collector.Shard{Number: 1 + k%2, Of: 2}, limits(9*time.Second))
					case 2:
						b.cloud.SetOptions(options([]string{shared, empty}[:1+k%2]...))
					default:
						for _, l := range b.cloud.Latest() {
							if l.Snapshot == nil {
								continue
							}
							for j := range l.Snapshot.Images {
								l.Snapshot.Rows(&l.Snapshot.Images[j], 10)
							}
						}
					}
				}
			})
		}
		all.Wait()
	})
}

func TestRows(t *testing.T) {
	w := newWorld()
	opts := options(shared, empty)
	const absentee = "bc67ba94637d4efaa09e467ada679f81"
	opts.Images[0].Policy.Members = expect(consumerA, absentee)
	opts.MemberNames = map[string]string{consumerA: "consumer-a", absentee: "absentee"}
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		s := b.scrape(t)
		rows := func(img *collector.ImageSnapshot, most int) string {
			var got []string
			list, left := s.Rows(img, most)
			for _, r := range list {
				got = append(got, fmt.Sprint(r.ID[:4], " ", r.Name, " ", r.Status, " ", r.Judgement))
			}
			return fmt.Sprint(strings.Join(got, ", "), " +", left)
		}
		shared := &s.Images[0]
		if got, want := rows(shared, 10), "19ea  pending 0, 4777  rejected 0, bc67 absentee  1, fb0d consumer-a accepted 3 +0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := rows(shared, 3), "19ea  pending 0, 4777  rejected 0, bc67 absentee  1 +1"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := rows(&s.Images[1], 10); got != " +0" {
			t.Error(got)
		}
		if got := s.MembersLimit(shared); got != 128 {
			t.Error(got)
		}
		unjudged := *shared
		unjudged.Policy = collector.Policy{}
		if got := rows(&unjudged, 1); got != "19ea  pending 2 +2" || unjudged.Judged() || !shared.Judged() {
			t.Error(got)
		}
	})
}

func TestMisplaced(t *testing.T) {
	for _, test := range []struct {
		visibility      client.Visibility
		expected        []client.Visibility
		open, misplaced bool
	}{
		{visibility: client.Public, open: true, misplaced: true},
		{visibility: client.Community, open: true, misplaced: true},
		{visibility: client.Public, expected: []client.Visibility{client.Community}, open: true, misplaced: true},
		{visibility: client.Public, expected: []client.Visibility{client.Community, client.Public}, open: true},
		{visibility: client.Shared},
		{visibility: client.Shared, expected: []client.Visibility{client.Private}, misplaced: true},
		{visibility: "", expected: []client.Visibility{client.Private}},
		{visibility: "anyone", expected: []client.Visibility{client.Private}, misplaced: true},
	} {
		img := collector.ImageSnapshot{Record: &client.Image{Visibility: test.visibility}, Policy: collector.Policy{Visibility: test.expected}}
		if img.Open() != test.open || img.Misplaced() != test.misplaced {
			t.Errorf("%+v: open %t, misplaced %t", test, img.Open(), img.Misplaced())
		}
	}
	if unknown := (&collector.ImageSnapshot{}); unknown.Open() || unknown.Misplaced() {
		t.Error("a record that was not read tells something")
	}
}

// What a page for people says when a listing breaks off, and where something else answers.
func TestWhyNotAllIsSeen(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
		if s := b.scrape(t); s.DiscoveryErr != nil || s.NoImageAPI {
			t.Errorf("%v, %t", s.DiscoveryErr, s.NoImageAPI)
		}
		w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
		if s := b.scrape(t); s.DiscoveryErr == nil || !strings.HasPrefix(s.DiscoveryErr.Error(), "listing images: 500") {
			t.Errorf("%v", s.DiscoveryErr)
		}
		w.ClearFaults()
		w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Operation != fakecloud.OpAuthenticate },
			Status: http.StatusNotFound,
		})
		if s := b.scrape(t); !s.NoImageAPI || s.Up {
			t.Errorf("%+v", s)
		}
	})
}
