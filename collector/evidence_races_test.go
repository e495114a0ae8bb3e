package collector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// never scrapes n times after a pause, and fails if one of the words is reported.
func neverReports(t *testing.T, b *bench, n int, pause time.Duration, words ...string) {
	t.Helper()
	for range n {
		time.Sleep(pause)
		got := reported(t, b.scrape(t))
		for _, word := range words {
			if strings.Contains(got, word) {
				t.Errorf("%s in %s", word, got)
			}
		}
	}
}

// reportsAll scrapes after a pause, and fails unless all words are reported.
func reportsAll(t *testing.T, b *bench, pause time.Duration, words ...string) {
	t.Helper()
	time.Sleep(pause)
	got := reported(t, b.scrape(t))
	for _, word := range words {
		if !strings.Contains(got, word) {
			t.Errorf("no %s in %s", word, got)
		}
	}
}

// MySQL compares without case, accents and trailing blanks, so Glance gives a member the rows that have its ID in such a
// spelling. Any owner can add one. It proves nothing about others' rows.
func TestE9OurOwnRowInAnotherSpelling(t *testing.T) {
	for name, spelling := range map[string]string{
		"same": consumerC, "capitals": strings.ToUpper(consumerC), "blank": consumerC + " ", "accent": strings.Replace(consumerC, "a", "á", 1),
	} {
		world := func() *fakecloud.Cloud {
			w := newWorld()
			w.AddImage(fakecloud.Image{ID: others, Name: "others", Owner: consumerB})
			for _, m := range []string{consumerC, consumerA} { // the fake compares letter by letter
				w.AddMember(others, fakecloud.Member{MemberID: m, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
			}
			w.Inject(fakecloud.Fault{
				Match: about("list_members", others), Status: 200, Body: rowsOf(spelling), Header: http.Header{"Content-Type": {"application/json"}},
			})
			return w
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, world(), user("consumer-c"), forNobody(shared, others), func(t *testing.T, b *bench) {
				reportsAll(t, b, 0, "others=some:1")
				neverReports(t, b, 2, time.Minute, "=all")
			})
		})
		t.Run(name+", discovery", func(t *testing.T) {
			w := world()
			w.SetPolicy(fakecloud.Policy{ContextIsAdmin: func([]string) bool { return false }})
			w.AddUser("consumer-c", "consumer-c-secret", consumerC, "admin")
			bubble(t, w, user("consumer-c"), findingForNobody(collector.Rule{Owners: []string{collector.AllOwners}}), func(t *testing.T, b *bench) {
				neverReports(t, b, 2, time.Minute, "=all", "discovery=1")
			})
		})
		t.Run(name+", inbound", func(t *testing.T) {
			w := newInboundWorld(fakecloud.Options{})
			w.Inject(fakecloud.Fault{
				Match: about("list_members", strangeOffer), Status: 200, Header: http.Header{"Content-Type": {"application/json"}},
				Body: rowsOf(strings.NewReplacer(consumerC, producer, strings.ToUpper(consumerC), strings.ToUpper(producer)).Replace(spelling)),
			})
			bubble(t, w, user("producer"), withInbound(forNobody(empty)), func(t *testing.T, b *bench) {
				if in := b.scrape(t).Inbound[0]; len(in.Images) < 2 {
					t.Errorf("%d images: one offer hides all others", len(in.Images))
				}
			})
		})
	}
}

// A reload while a run in the background is under way does not bring back what the run before it read.
func TestE8AReloadBringsBackNoOlderReading(t *testing.T) {
	for name, then := range map[string]func(w *fakecloud.Cloud){
		"the list fails": func(w *fakecloud.Cloud) { w.Inject(fakecloud.Fault{Match: about("list_members", empty), Status: 503}) },
		"rows are hidden": func(w *fakecloud.Cloud) {
			w.SetPolicy(fakecloud.Policy{GetMember: func(fakecloud.Caller) bool { return false }})
		},
	} {
		for _, reload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reload %t", name, reload), func(t *testing.T) {
				opts := forNobody(empty, shared, hidden)
				opts.RefreshInterval, opts.RequestTimeout = 5*time.Minute, 50*time.Second
				w := newWorld()
				bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
					reportsAll(t, b, 0, "empty=all:0")
					w.Share(empty, consumerA)
					w.Inject(fakecloud.Fault{Match: about("list_members", hidden), Latency: 40 * time.Second, Times: 1})
					reportsAll(t, b, 5*time.Minute+10*time.Second, "empty=all:1") // by the run under way
					if reload {
						opts.MembersLimit = 77
						b.cloud.SetOptions(opts)
					}
					then(w)
					neverReports(t, b, 3, time.Minute, "empty=all:0")
				})
			})
		}
	}
}

// That a list had rows is remembered for an hour from when the image was no longer watched, however long ago the list was read.
func TestE11RowsAreRememberedThoughTheListWasUnread(t *testing.T) {
	for _, reload := range []bool{false, true} {
		for _, minutes := range []int{30, 65} {
			t.Run(fmt.Sprintf("%d minutes, reload %t", minutes, reload), func(t *testing.T) {
				w := newWorld()
				for _, id := range []string{shared, empty} {
					w.SetImage(id, func(img *fakecloud.Image) { img.Tags = []string{"x"} })
				}
				found := findingForNobody(collector.Rule{Tags: []string{"x"}})
				opts := found
				if reload {
					opts = forNobody(shared, empty)
				}
				bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
					reportsAll(t, b, 0, "shared=all:3")
					heal := w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: 500})
					for range minutes {
						time.Sleep(time.Minute)
						b.scrape(t)
					}
					if reload {
						b.cloud.SetOptions(found)
					} else {
						w.SetImage(shared, func(img *fakecloud.Image) { img.Tags = nil })
						for range 4 {
							reportsAll(t, b, time.Minute, "left:shared=unmatched")
						}
						w.SetImage(shared, func(img *fakecloud.Image) { img.Tags = []string{"x"} })
					}
					reportsAll(t, b, time.Minute, "shared=unread:500")
					heal()
					w.SetPolicy(fakecloud.Policy{GetMember: func(fakecloud.Caller) bool { return false }})
					neverReports(t, b, 3, time.Minute, "shared=all:0")
				})
			})
		}
	}
}

// A probe on an emptied list says nothing once another scrape has read rows of it.
func TestE11AnotherScrapeReadRowsMeanwhile(t *testing.T) {
	w := newWorld()
	opts := forNobody(shared, hidden)
	opts.RequestTimeout = 50 * time.Second
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "shared=all:3")
		time.Sleep(6 * time.Minute)
		for _, id := range []string{consumerA, consumerB, consumerC} {
			w.Unshare(shared, id)
		}
		probed := false
		heal := w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
			probed = probed || r.Operation == "get_member"
			return probed && (r.Operation == "list_images" || r.Operation == "get_image")
		}, Status: 500})
		healList := w.Inject(fakecloud.Fault{Match: about("list_members", hidden), Status: 500})
		reportsAll(t, b, 0, "shared=unproven") // the probe proves the empty list, and the record after it is not read
		heal()
		healList()
		time.Sleep(30 * time.Second)
		var older sync.WaitGroup
		older.Go(func() { // begins first, and reads its list last
			heal := w.Inject(fakecloud.Fault{Match: about("list_members", shared), Latency: 30 * time.Second, Times: 1})
			defer heal()
			if got := reported(t, b.cloud.Collect(t.Context(), limits(time.Minute))); strings.Contains(got, "shared=all:0") {
				t.Errorf("the older scrape: %s", got)
			}
		})
		time.Sleep(5 * time.Second)
		w.Share(shared, consumerA)
		reportsAll(t, b, 0, "shared=all:1")
		w.SetPolicy(fakecloud.Policy{GetMember: func(fakecloud.Caller) bool { return false }})
		older.Wait()
	})
}

// notFoundBody is Glance's own 404 for an image.
func notFoundBody(id string) string {
	return `{"message": "No image found with ID ` + id + `<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}`
}

// Where replicas disagree, an image whose list was read in the same collection is not gone.
func TestE15AnImageWithRowsIsNotGone(t *testing.T) {
	header := http.Header{"Content-Type": {"application/json"}}
	w := newWorld()
	bubble(t, w, user("producer"), findingForNobody(collector.Rule{}), func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "shared=all:3")
		w.Inject(fakecloud.Fault{Match: about("get_image", shared), Status: 404, Header: header, Body: notFoundBody(shared)})
		w.Inject(fakecloud.Fault{Match: about("list_members", shared), Times: 1, Status: 404, Header: header, Body: notFoundBody(shared)})
		rows := rowsOf(consumerA, consumerB, consumerC)
		w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: 200, Header: header, Body: rows})
		w.SetImage(shared, func(img *fakecloud.Image) { img.Owner = consumerC }) // so that the fake's listing lacks it
		neverReports(t, b, 3, time.Minute, "left:shared=deleted")
	})
	w = newInboundWorld(fakecloud.Options{})
	bubble(t, w, user("producer"), withInbound(forNobody(empty)), func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "inbound=1")
		w.SetImage(strangeOffer, func(img *fakecloud.Image) { img.Owner, img.Visibility = consumerC, "private" }) // no listing has it
		w.Inject(fakecloud.Fault{Match: about("get_image", strangeOffer), Status: 404, Header: header, Body: notFoundBody(strangeOffer)})
		w.Inject(fakecloud.Fault{Match: about("list_members", strangeOffer), Status: 200, Header: header, Body: rowsOf(producer)})
		neverReports(t, b, 3, time.Minute, "inbound=1")
	})
}

// listings matches the listings of discover.
func listings(r fakecloud.Request) bool {
	return r.Operation == "list_images" && strings.Contains(r.RawQuery, "sort=")
}

// Listings without an image contradict the images that are known, whosever they list.
func TestE13BlankListingsOfEveryOwner(t *testing.T) {
	for name, test := range map[string]struct {
		user string
		rule collector.Rule
	}{
		"own":         {"producer", collector.Rule{}},
		"one foreign": {"admin", collector.Rule{Owners: []string{producer}}},
		"every owner": {"admin", collector.Rule{Owners: []string{collector.AllOwners}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, newWorld(), user(test.user), findingForNobody(test.rule), func(t *testing.T, b *bench) {
				reportsAll(t, b, 0, "discovery=1")
				b.world.AddImage(fakecloud.Image{ID: foreign, Name: "new", Owner: producer, Visibility: "shared"})
				b.world.Share(foreign, consumerB)
				b.world.Inject(fakecloud.Fault{Blank: true, Match: listings})
				neverReports(t, b, 3, time.Minute, "discovery=1")
			})
		})
	}
	t.Run("every owner, a new process", func(t *testing.T) {
		opts := findingForNobody(collector.Rule{Owners: []string{collector.AllOwners}})
		opts.Images = forNobody(hidden).Images
		w := newWorld()
		w.Inject(fakecloud.Fault{Blank: true, Match: listings})
		bubble(t, w, user("admin"), opts, func(t *testing.T, b *bench) {
			neverReports(t, b, 3, time.Minute, "discovery=1")
		})
	})
}

// An image is not gone while the listing that lacks it lacks others, too.
func TestE15TheListingOfEveryOwnerIsContradicted(t *testing.T) {
	w := newWorld()
	w.AddImage(fakecloud.Image{ID: foreign, Name: "golden-foreign", Owner: consumerB, Visibility: "shared"})
	w.Share(foreign, consumerC)
	bubble(t, w, user("admin"), findingForNobody(collector.Rule{Owners: []string{collector.AllOwners}}), func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "discovery=1", "foreign=all:1")
		w.Inject(fakecloud.Fault{Blank: true, Match: func(r fakecloud.Request) bool {
			return listings(r) || strings.Contains(r.Path, foreign) || strings.Contains(r.RawQuery, "in%3A"+foreign)
		}})
		neverReports(t, b, 4, time.Minute, "left:")
	})
}

// A server's limit of rows in a page is not known from one page: its last row may have been dropped.
func TestE13TheLastRowOfAPage(t *testing.T) {
	for _, hiddenAt := range []int{24, 25, 26} {
		t.Run(fmt.Sprint(hiddenAt), func(t *testing.T) {
			w := newWorldWith(fakecloud.Options{MaxPageSize: 25})
			for _, id := range []string{shared, empty, private, community, public, hidden} {
				w.RemoveImage(id)
			}
			for i := 1; i <= 80; i++ {
				visibility := "shared"
				if i == hiddenAt {
					visibility = "community"
				}
				w.AddImage(fakecloud.Image{
					ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Owner: producer, Visibility: visibility,
					CreatedAt: t0.Add(time.Duration(i) * time.Minute),
				})
			}
			w.SetPolicy(fakecloud.Policy{GetImage: func(c fakecloud.Caller) bool { return c.Visibility != "community" }})
			bubble(t, w, user("producer"), findingForNobody(collector.Rule{}), func(t *testing.T, b *bench) {
				neverReports(t, b, 2, time.Minute, "discovery=1")
			})
		})
	}
}

// A record that no rule selects is void once a later one of the same image is selected.
func TestE17RenamedBack(t *testing.T) {
	has := func(s collector.Snapshot) bool {
		return slices.ContainsFunc(s.Images, func(img collector.ImageSnapshot) bool { return img.ID == shared })
	}
	rename := func(b *bench, name string) { b.world.SetImage(shared, func(img *fakecloud.Image) { img.Name = name }) }
	for _, interval := range []time.Duration{0, 10 * time.Minute} {
		t.Run(fmt.Sprintf("within a listing, interval %s", interval), func(t *testing.T) {
			opts := findingForNobody(collector.Rule{Name: "golden-*"})
			opts.DiscoveryInterval = interval
			bubble(t, newWorldWith(fakecloud.Options{MaxPageSize: 2}), user("producer"), opts, func(t *testing.T, b *bench) {
				b.world.SetLatency(10 * time.Millisecond)
				if !has(b.scrape(t)) {
					t.Fatal("not found")
				}
				time.Sleep(interval + time.Minute)
				rename(b, "mine")
				b.world.Inject(fakecloud.Fault{Times: 1, Match: list(false, "marker"), Raw: func(w http.ResponseWriter, _ *http.Request) {
					rename(b, "golden-debian-12")
					w.WriteHeader(http.StatusBadRequest)
				}})
				for minute := range 12 {
					if s := b.scrape(t); s.Discovered && !has(s) {
						t.Errorf("minute %d: not watched: left %v", minute, s.Left)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
	t.Run("between two shards", func(t *testing.T) {
		opts := findingForNobody(collector.Rule{Name: "golden-*"})
		opts.DiscoveryInterval, opts.RequestTimeout = 10*time.Minute, 25*time.Second
		bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
			shard := func(n int) collector.Snapshot {
				return b.cloud.CollectShard(t.Context(), collector.Shard{Number: n, Of: 2}, limits(29*time.Second))
			}
			shard(1)
			shard(2)
			time.Sleep(10*time.Minute - 9*time.Second)
			rename(b, "mine")
			heal := b.world.Inject(fakecloud.Fault{Match: about("list_members", empty), Latency: 20 * time.Second})
			slow := make(chan collector.Snapshot)
			go func() { slow <- shard(2) }()
			time.Sleep(5 * time.Second)
			rename(b, "golden-debian-12")
			time.Sleep(6 * time.Second)
			shard(1) // lists anew
			<-slow
			heal()
			for minute := range 12 {
				time.Sleep(time.Minute)
				shard(1)
				if s := shard(2); s.Discovered && !has(s) {
					t.Errorf("minute %d: not watched: left %v", minute, s.Left)
				}
			}
		})
	})
}

// A 403 "Only shared images have members" decides for an inbound image, too: here nothing else shows what private images have.
func TestE12AnInboundImageBecomesPrivateWithoutAnOwner(t *testing.T) {
	w := newInboundWorld(fakecloud.Options{})
	bubble(t, w, user("producer"), withInbound(forNobody(empty)), func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "inbound=1")
		w.SetImage(strangeOffer, func(img *fakecloud.Image) { img.Owner, img.Visibility = "", "private" })
		b.scrape(t)
		time.Sleep(time.Minute)
		in := b.scrape(t).Inbound[0]
		kept := slices.ContainsFunc(in.Images, func(img collector.InboundImage) bool { return img.Record.ID == strangeOffer })
		if in.Err != nil || kept {
			t.Errorf("%d images, kept %t, %v", len(in.Images), kept, in.Err)
		}
	})
}
