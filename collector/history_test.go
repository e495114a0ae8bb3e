package collector_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// A long collection reads rows, which proves that rows are visible, and another one begins, or the options change, before it ends. The
// proof must not outlive the knowledge which lists had rows: when rows are hidden, that list is not empty.
func TestE11ProofsDoNotOutliveTheListsThatHadRows(t *testing.T) {
	never := func(fakecloud.Caller) bool { return false }
	hideAndRead := func(t *testing.T, b *bench, _ collector.Options) {
		b.world.SetPolicy(fakecloud.Policy{GetMember: never})
		defer b.world.Inject(fakecloud.Fault{Match: about("list_members", hidden), Hang: true})()
		if got := reported(t, b.scrape(t)); strings.Contains(got, "shared=all:0") || !strings.Contains(got, "shared=unproven") {
			t.Errorf("meanwhile: %s", got)
		}
	}
	for name, meanwhile := range map[string]func(t *testing.T, b *bench, opts collector.Options){
		"alone": func(*testing.T, *bench, collector.Options) {},
		"a later one reads the record alone": func(t *testing.T, b *bench, _ collector.Options) {
			defer b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Hang: true})()
			b.scrape(t)
		},
		"the options change": func(_ *testing.T, b *bench, opts collector.Options) {
			opts.MembersLimit = 77
			b.cloud.SetOptions(opts)
		},
		"the options change, and one reads with them": func(t *testing.T, b *bench, opts collector.Options) {
			opts.MembersLimit = 77
			b.cloud.SetOptions(opts)
			hideAndRead(t, b, opts)
		},
		"rows are hidden, and a later one reads":                     hideAndRead,
		"rows are hidden, and a later one has begun before it tells": hideAndRead,
	} {
		for _, opts := range []collector.Options{
			forNobody(shared, hidden),
			findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}}),
		} {
			opts.RequestTimeout = 50 * time.Second
			bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
				b.world.Inject(fakecloud.Fault{Match: about("list_members", hidden), Hang: true, Times: 1})
				var all sync.WaitGroup
				all.Go(func() { b.cloud.Collect(t.Context(), limits(time.Minute)) })
				if strings.HasSuffix(name, "before it tells") {
					time.Sleep(5 * time.Second) // it shares what it observed after an eighth of its time
				} else {
					time.Sleep(20 * time.Second)
				}
				meanwhile(t, b, opts)
				all.Wait()
				b.world.SetPolicy(fakecloud.Policy{GetMember: never})
				for i := range 8 {
					if got := reported(t, b.scrape(t)); strings.Contains(got, "shared=all:0") {
						t.Errorf("%s, %d rules, scrape %d: %s", name, len(opts.Discover), i, got)
					}
					time.Sleep(time.Minute)
				}
			})
		}
	}
}

// An older collection does not bring back an image that a newer one saw leave, nor does its page forget that it left.
func TestE15AnOlderCollectionBringsNothingBack(t *testing.T) {
	w := newWorld()
	for _, id := range []string{shared, hidden} {
		w.SetImage(id, func(img *fakecloud.Image) { img.Tags = []string{"x"} })
	}
	opts := findingForNobody(collector.Rule{Tags: []string{"x"}})
	opts.RequestTimeout = 50 * time.Second
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		w.Inject(fakecloud.Fault{Match: about("list_members", hidden), Hang: true, Times: 1})
		var all sync.WaitGroup
		var older collector.Snapshot
		all.Go(func() { older = b.cloud.Collect(t.Context(), limits(time.Minute)) })
		time.Sleep(20 * time.Second)
		w.SetImage(shared, func(img *fakecloud.Image) { img.Tags = nil })
		if s := b.scrape(t); len(s.Left) != 1 {
			t.Fatalf("left: %v", s.Left)
		}
		all.Wait()
		if imageIn(older, shared) == nil {
			t.Error("the older collection did not have the image: the test shows nothing")
		}
		w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: 503})
		for range 3 {
			if s := b.scrape(t); imageIn(s, shared) != nil || len(s.Left) != 1 {
				t.Errorf("watched %t, left: %v", imageIn(s, shared) != nil, s.Left)
			}
			time.Sleep(time.Minute)
		}
		if lines := strings.Join(b.log.take(), "\n"); strings.Count(lines, "no longer matches a rule") != 1 {
			t.Errorf("log: %s", lines)
		}
	})
}

// What left is in the log even where the scrape that saw it has gone.
func TestE17WhatLeftIsLoggedForNobody(t *testing.T) {
	w := newWorld()
	for _, id := range []string{shared, hidden} {
		w.SetImage(id, func(img *fakecloud.Image) { img.Tags = []string{"x"} })
	}
	bubble(t, w, user("producer"), findingForNobody(collector.Rule{Tags: []string{"x"}}), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.log.take()
		w.SetImage(shared, func(img *fakecloud.Image) { img.Tags = nil })
		w.Inject(fakecloud.Fault{Match: about("list_members", hidden), Hang: true, Times: 1})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		b.cloud.Collect(ctx, limits(9*time.Second))
		b.cloud.Wait()
		b.scrape(t)
		if lines := strings.Join(b.log.take(), "\n"); strings.Count(lines, "no longer matches a rule") != 1 {
			t.Errorf("log: %s", lines)
		}
	})
}

// What was read with other options is judged by those at work.
func TestE1ReadingsFollowMembersFor(t *testing.T) {
	opts := forNobody(community, shared)
	opts.RefreshInterval = time.Minute
	bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: 500})
		opts.MembersFor = []client.Visibility{client.Shared, client.Community}
		b.cloud.SetOptions(opts)
		for range 3 {
			time.Sleep(30 * time.Second)
			if img := imageIn(b.scrape(t), community); img.Coverage != collector.Unread {
				t.Errorf("members of the community image were never requested, and coverage is %d", img.Coverage)
			}
		}
	})
}

// A probe for which a collection had no time is sent by the next one.
func TestAProbeThatWasNotSent(t *testing.T) {
	opts := forNobody(empty, hidden)
	opts.RequestTimeout, opts.Concurrency = 50*time.Second, 1
	bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		remove := b.world.Inject(fakecloud.Fault{Match: about("list_members", hidden), Hang: true})
		b.scrape(t)
		remove()
		b.world.Inject(fakecloud.Fault{Match: about("list_members", hidden), Status: 500})
		time.Sleep(15 * time.Second)
		if got := reported(t, b.scrape(t)); !strings.Contains(got, "empty=all:0") {
			t.Errorf("got %s", got)
		}
	})
}

// Why a probe was refused is known to the scrapes that send none.
func TestWhyAProbeWasRefusedIsKept(t *testing.T) {
	bubble(t, newWorld(), user("producer"), forNobody(empty), func(t *testing.T, b *bench) {
		b.world.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
		for i := range 6 {
			if v := b.scrape(t).Views[0]; v.Members != collector.Unproven || v.Refused == nil {
				t.Errorf("scrape %d: members %d, refused %v", i, v.Members, v.Refused)
			}
			time.Sleep(20 * time.Second)
		}
	})
}
