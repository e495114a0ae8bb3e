package collector_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// A record that another token got proves nothing in the view of the token before.
func TestE6ARecordOfAnotherToken(t *testing.T) {
	later := func(w *fakecloud.Cloud) {
		w.Inject(fakecloud.Fault{Latency: time.Second, Match: func(r fakecloud.Request) bool {
			return r.Operation == "list_images" && strings.Contains(r.RawQuery, "os_hidden=true")
		}})
	}
	t.Run("members, after a 401", func(t *testing.T) {
		w := newWorld()
		later(w)
		swapping(t, w, forNobody(shared, private), func(t *testing.T, b *bench, use func(user, project string)) {
			use("consumer-a", consumerA)
			once(w, about("get_image", private), func() {
				w.RevokeTokens()
				use("producer", producer)
			})
			neverReports(t, b, 1, 0, "shared=all")
		})
	})
	t.Run("members, another scrape has the new token", func(t *testing.T) {
		w := newWorld()
		swapping(t, w, forNobody(shared, private), func(t *testing.T, b *bench, use func(user, project string)) {
			use("consumer-a", consumerA)
			w.Inject(fakecloud.Fault{Latency: 2 * time.Second, Times: 1, Match: func(r fakecloud.Request) bool {
				return r.Operation == "list_images" && strings.Contains(r.RawQuery, "os_hidden=true")
			}})
			var all sync.WaitGroup
			all.Go(func() { neverReports(t, b, 1, 0, "shared=all") })
			time.Sleep(time.Second)
			use("producer", producer)
			b.cloud.CollectShard(t.Context(), collector.Shard{Number: 1, Of: 2}, limits(9*time.Second))
			all.Wait()
		})
	})
	t.Run("discovery", func(t *testing.T) {
		w := newWorld()
		swapping(t, w, findingForNobody(collector.Rule{}), func(t *testing.T, b *bench, use func(user, project string)) {
			reportsAll(t, b, 0, "discovery=1")
			time.Sleep(time.Minute)
			w.AddImage(fakecloud.Image{ID: foreign, Name: "new", Owner: producer, Visibility: "shared"})
			w.Share(foreign, consumerB)
			use("consumer-a", consumerA)
			once(w, about("get_image", private), func() {
				w.RevokeTokens()
				use("producer", producer)
			})
			neverReports(t, b, 1, 0, "discovery=1", "shared=all")
		})
	})
}

func TestE14InboundOfAnotherToken(t *testing.T) {
	w := newInboundWorld(fakecloud.Options{})
	swapping(t, w, withInbound(forNobody(shared, private)), func(t *testing.T, b *bench, use func(user, project string)) {
		use("consumer-b", consumerB)
		once(w, about("get_image", private), func() {
			w.RevokeTokens()
			use("producer", producer)
		})
		neverReports(t, b, 1, 0, "inbound=1")
	})
}

// That a list had rows is not forgotten because another scrape read it before they were added.
func TestE11RowsOfALongRequest(t *testing.T) {
	for name, fault := range map[string]fakecloud.Fault{
		"slow":    {Latency: 40 * time.Millisecond},
		"retried": {Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			bubble(t, w, user("producer"), forNobody(empty), func(t *testing.T, b *bench) {
				reportsAll(t, b, 0, "empty=all:0")
				time.Sleep(time.Minute)
				fault.Match, fault.Times = about("list_members", empty), 1
				w.Inject(fault)
				var all sync.WaitGroup
				all.Go(func() {
					if got := reported(t, b.cloud.Collect(t.Context(), limits(50*time.Second))); !strings.Contains(got, "empty=all:1") {
						t.Error(got)
					}
				})
				time.Sleep(10 * time.Millisecond)
				reportsAll(t, b, 0, "empty=all:0")
				w.Share(empty, consumerA)
				all.Wait()
				w.SetPolicy(fakecloud.Policy{GetMember: never})
				neverReports(t, b, 3, 30*time.Second, "empty=all:0")
			})
		})
	}
}

// A page that was requested before a newer record does not choose the rule.
func TestE5AnOlderPageChoosesNoRule(t *testing.T) {
	w := newWorldWith(fakecloud.Options{MaxPageSize: 1})
	opts := discovering(
		collector.Rule{Name: "golden-*", Policy: collector.Policy{Members: expect(consumerA)}},
		collector.Rule{Policy: collector.Policy{Members: expect()}},
	)
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		time.Sleep(time.Minute)
		w.Share(empty, consumerA)
		w.SetImage(empty, func(img *fakecloud.Image) {
			img.Name, img.Hidden, img.CreatedAt = "debug", true, img.CreatedAt.Add(time.Hour) // on the last page
		})
		w.Inject(fakecloud.Fault{
			Match: list(false, "sort="), Times: 1, Status: 200, Header: jsonHeader, Latency: 4 * time.Second,
			Body: `{"images": [` + strings.Replace(recordOf(empty, producer, "shared"), `"name": "x"`, `"name": "golden-empty"`, 1) + `,` +
				recordOf(shared, producer, "shared") + `]}`,
		})
		w.Inject(fakecloud.Fault{Match: list(true, "sort="), Times: 1, Latency: time.Second})
		for _, img := range b.scrape(t).Images {
			if img.ID == empty && img.Complete() && img.Unexpected() == 0 {
				t.Errorf("record %q has unexpected members 0: %v", img.Record.Name, img.Policy)
			}
		}
	})
}

// A refused probe ends the proof of rows that were read before it, in the same scrape, too.
func TestE11HiddenWithinAScrape(t *testing.T) {
	w := newWorld()
	bubble(t, w, user("producer"), forNobody(shared, hidden, empty), func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "empty=all:0", "hidden=all:1")
		time.Sleep(time.Minute)
		w.Share(empty, consumerB)
		for _, id := range []string{empty, hidden} {
			w.Inject(fakecloud.Fault{Match: about("list_members", id), Times: 1, Latency: time.Second})
		}
		time.AfterFunc(500*time.Millisecond, func() { w.SetPolicy(fakecloud.Policy{GetMember: never}) })
		neverReports(t, b, 3, 0, "empty=all:0")
	})
}

// A rule matches the whole name.
func TestE13ALongName(t *testing.T) {
	w := newWorld()
	w.AddImage(fakecloud.Image{ID: foreign, Name: strings.Repeat("金", 200) + "-golden", Owner: producer, Visibility: "shared"})
	w.Share(foreign, consumerB)
	bubble(t, w, user("producer"), findingForNobody(collector.Rule{Name: "*-golden"}), func(t *testing.T, b *bench) {
		got := reported(t, b.scrape(t))
		if strings.Contains(got, "discovery=1") && !strings.Contains(got, "all:1") {
			t.Error(got)
		}
	})
}

// Tags that cannot be read do not show that an image has none.
func TestE18TagsThatCannotBeRead(t *testing.T) {
	for name, tags := range map[string]string{"odd": `{"golden": true}`, "many": `["golden", "` + strings.Repeat("x", 300_000) + `"]`} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.SetImage(shared, func(img *fakecloud.Image) { img.Tags = []string{"golden"} })
			bubble(t, w, user("producer"), findingForNobody(collector.Rule{Tags: []string{"golden"}}), func(t *testing.T, b *bench) {
				reportsAll(t, b, 0, "shared=all:3", "discovery=1")
				w.Inject(fakecloud.Fault{
					Match: list(false, "sort="), Status: 200, Header: jsonHeader,
					Body: `{"images": [` + strings.Replace(recordOf(shared, producer, "shared"), `"tags": []`, `"tags": `+tags, 1) + `]}`,
				})
				neverReports(t, b, 2, time.Minute, "left:shared=unmatched")
			})
		})
	}
}

// Nor do so many tags that they are not kept.
func TestE18ManyTags(t *testing.T) {
	w := newWorld()
	tags := []string{"golden"}
	for i := range 1200 {
		tags = append(tags, strings.Repeat("x", 250)+fmt.Sprint(i))
	}
	w.AddImage(fakecloud.Image{ID: foreign, Name: "new", Owner: producer, Visibility: "shared", Tags: tags})
	w.Share(foreign, consumerB)
	bubble(t, w, user("producer"), findingForNobody(collector.Rule{Tags: []string{"golden"}}), func(t *testing.T, b *bench) {
		if got := reported(t, b.scrape(t)); strings.Contains(got, "discovery=1") && !strings.Contains(got, "all:1") {
			t.Error(got)
		}
	})
}
