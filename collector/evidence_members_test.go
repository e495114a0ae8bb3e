package collector_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// membersFirst makes the records come after the lists of members that are requested at once.
func membersFirst(w *fakecloud.Cloud) {
	w.Inject(fakecloud.Fault{Match: about("list_images", ""), Latency: time.Second})
}

// Whoever is in a list that was read has access, whatever the record says.
func TestE1RowsInSpiteOfTheVisibility(t *testing.T) {
	becomes := func(visibility string, rows ...string) func(*bench) {
		return func(b *bench) {
			b.world.ClearFaults()
			b.world.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = visibility })
			b.world.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusOK, Body: rowsOf(rows...)})
			membersFirst(b.world)
		}
	}
	const before, proven = "hidden=all:1 shared=all:3 producer/members=1", " producer/members=1"
	var situations []situation
	for _, visibility := range []string{"public", "community"} {
		situations = append(situations, situation{
			name: visibility + ", answered with 403 in the end", opts: forNobody(shared, hidden),
			looks: []look{
				{want: before},
				{after: 15 * time.Second, do: becomes(visibility, consumerA), want: "hidden=all:1 shared=some:1" + proven},
				// It is requested in each collection from then on, though its record says that it has none.
				{
					after: 15 * time.Second,
					do:    answerWith(about("list_members", shared), 200, rowsOf(consumerA, consumerB)),
					want:  "hidden=all:1 shared=some:2" + proven,
				},
				{after: 15 * time.Second, do: answerWith(about("list_members", shared), 503, ""), want: "hidden=all:1 shared=unread:503" + proven},
				{
					after: 15 * time.Second,
					do:    answerWith(about("list_members", shared), 200, rowsOf(consumerA)),
					want:  "hidden=all:1 shared=some:1" + proven,
				},
				{after: 15 * time.Second, do: func(b *bench) { b.world.ClearFaults() }, want: "hidden=all:1 shared=none" + proven},
				{after: 15 * time.Second, do: func(b *bench) { b.world.ResetLog() }, want: "hidden=all:1 shared=none" + proven},
			},
			check: func(t *testing.T, b *bench) { wantRequests(t, b, "list_members", shared, 0) },
		}, situation{
			name: visibility + ", with an empty list in the end", opts: forNobody(shared, hidden),
			looks: []look{
				{want: before},
				{after: 15 * time.Second, do: becomes(visibility, consumerA), want: "hidden=all:1 shared=some:1" + proven},
				// Its own probe says that only shared images have members, so another row must show that rows are visible.
				{
					after: 15 * time.Second,
					do:    answerWith(about("list_members", shared), 200, rowsOf()),
					want:  "hidden=all:1 shared=unproven producer/members=0",
				},
				{after: 15 * time.Second, want: "hidden=all:1 shared=none" + proven},
			},
		}, situation{
			name: visibility + ", with an empty list that nothing covers", opts: forNobody(shared),
			looks: []look{
				{want: "shared=all:3" + proven},
				{after: 15 * time.Second, do: becomes(visibility, consumerA), want: "shared=some:1" + proven},
				{after: 15 * time.Second, do: answerWith(about("list_members", shared), 200, rowsOf()), want: "shared=unproven producer/members=0"},
				{after: 15 * time.Second, want: "shared=unproven producer/members=0"},
			},
		}, situation{
			name: visibility + ", in a member's view", connect: loginOf("consumer-a"), opts: forNobody(shared),
			looks: []look{
				{want: "shared=some:1"},
				{after: 15 * time.Second, do: becomes(visibility, consumerA), want: "shared=some:1"},
				{after: 15 * time.Second, want: "shared=some:1"},
			},
		}, situation{
			name: visibility + ", in an administrator's view", connect: loginOf("admin"), opts: forNobody(shared, hidden),
			looks: []look{
				{want: "hidden=all:1 shared=all:3 admin/administrator=1 admin/members=1"},
				{
					after: 15 * time.Second,
					do:    becomes(visibility, consumerA),
					want:  "hidden=all:1 shared=some:1 admin/administrator=1 admin/members=1",
				},
			},
		}, situation{
			name: visibility + ", discovered", opts: findingForNobody(collector.Rule{Name: "golden-debian-1?"}),
			looks: []look{
				{want: "hidden=all:1 shared=all:3 discovery=1 producer/images=1" + proven},
				{
					after: 15 * time.Second,
					do:    becomes(visibility, consumerA),
					want:  "hidden=all:1 shared=some:1 discovery=1 producer/images=1" + proven,
				},
				{after: 15 * time.Second, want: "hidden=all:1 shared=some:1 discovery=1 producer/images=1" + proven},
			},
		})
	}
	situations = append(situations,
		situation{
			name: "private, when it is not known whether those have members", opts: forNobody(shared),
			looks: []look{
				{want: "shared=all:3" + proven},
				// No record that is read after the list says what the image was.
				{after: 15 * time.Second, do: func(b *bench) {
					becomes("private", consumerA)(b)
					b.world.Inject(fakecloud.Fault{Match: about("get_image", shared), Status: 503})
				}, want: "shared=some:1" + proven},
				{after: 15 * time.Second, do: func(b *bench) { b.world.ClearFaults() }, want: "shared=none" + proven},
			},
		},
		situation{
			name: "private, on an API whose private images have none", opts: forNobody(shared, private),
			looks: []look{
				{want: "private=none shared=all:3" + proven},
				{after: 15 * time.Second, do: func(b *bench) {
					becomes("private", consumerA)(b)
					b.world.Inject(fakecloud.Fault{Match: about("get_image", shared), Status: 503})
				}, want: "private=none shared=some:1" + proven},
				{after: 15 * time.Second, do: func(b *bench) { b.world.ClearFaults() }, want: "private=none shared=none" + proven},
			},
		},
		situation{
			name: "private, on an API whose private images have members", opts: forNobody(shared, empty),
			prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks:   looks(3, time.Minute, "empty=all:0 shared=all:3"+proven),
		})
	inSituations(t, situations)
}

// The owner must be the view's project before the list was read and after it.
// noSecondRecord lets the next record of an image be read, and no other one in the same scrape.
func noSecondRecord(w *fakecloud.Cloud) {
	lists := 0
	w.Inject(fakecloud.Fault{Match: about("get_image", empty), Status: 503})
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
		if r.Operation == "list_images" {
			lists++
		}
		return r.Operation == "list_images" && lists == 2
	}, Status: 500})
}

func TestE5TheOwnersView(t *testing.T) {
	give := func(id, owner string) func(*fakecloud.Cloud) {
		return func(w *fakecloud.Cloud) {
			w.SetImage(id, func(img *fakecloud.Image) { img.Owner = owner })
			w.AddMember(id, fakecloud.Member{MemberID: producer, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
		}
	}
	at := func(operation, image string, f func(*fakecloud.Cloud)) func(*fakecloud.Cloud) {
		return func(w *fakecloud.Cloud) { once(w, about(operation, image), func() { f(w) }) }
	}
	step := func(f func(*fakecloud.Cloud)) func(*bench) { return func(b *bench) { f(b.world) } }
	received := func() *fakecloud.Cloud {
		w := newWorld()
		w.AddImage(fakecloud.Image{ID: others, Name: "others", Owner: consumerB})
		for _, id := range []string{producer, consumerC} {
			w.AddMember(others, fakecloud.Member{MemberID: id, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
		}
		return w
	}
	inSituations(t, []situation{
		{
			name: "first seen, given away before the list is read", opts: forNobody(empty),
			prepare: at("list_members", empty, give(empty, consumerB)),
			looks:   looks(3, 15*time.Second, "empty=some:1"),
		},
		{
			name: "first seen, given away after the list is read", opts: forNobody(empty),
			prepare: func(w *fakecloud.Cloud) {
				read := false
				once(w, about("list_members", empty), func() { read = true })
				once(w, func(r fakecloud.Request) bool {
					return read && (r.Operation == "get_image" || r.Operation == "list_images")
				}, func() { give(empty, consumerB)(w) })
			},
			// The probe on another project's image is answered.
			looks: []look{{want: "empty=some:0 producer/members=1"}, {after: 15 * time.Second, want: "empty=some:1 producer/members=1"}},
		},
		{
			name: "first seen, received before the list is read", world: received, opts: forNobody(others),
			prepare: at("list_members", others, func(w *fakecloud.Cloud) {
				w.SetImage(others, func(img *fakecloud.Image) { img.Owner = producer })
			}),
			looks: []look{{want: "others=some:2"}, {after: 15 * time.Second, want: "others=all:2 producer/members=1"}},
		},
		{
			name: "first seen, and its record is not read again", opts: forNobody(empty, shared),
			prepare: noSecondRecord,
			looks: []look{
				{want: "empty=some:0 shared=all:3 producer/members=1"},
				{after: 15 * time.Second, want: "empty=all:0 shared=all:3 producer/members=1"},
			},
		},
		{
			// The probe proves nothing either: whose image it was is not certain.
			name: "first seen alone, and its record is not read again", opts: forNobody(empty),
			prepare: noSecondRecord,
			looks:   []look{{want: "empty=unproven producer/members=0"}, {after: time.Minute, want: "empty=all:0 producer/members=1"}},
		},
		{
			name: "given away between two scrapes", opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: 15 * time.Second, do: step(give(empty, consumerB)), want: "empty=some:1 producer/members=1"},
				{after: 15 * time.Second, want: "empty=some:1 producer/members=1"},
			},
		},
		{
			name: "given away between its record and its list", opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.Inject(fakecloud.Fault{Match: about("list_members", empty), Latency: time.Second})
					once(b.world, about("list_images", ""), func() {
						time.AfterFunc(500*time.Millisecond, func() { give(empty, consumerB)(b.world) })
					})
				}, want: "empty=some:1 producer/members=1"},
			},
		},
		{
			name: "given away after its record", opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: 15 * time.Second, do: func(b *bench) {
					once(b.world, about("list_images", ""), func() {
						time.AfterFunc(500*time.Millisecond, func() { give(empty, consumerB)(b.world) })
					})
					membersFirst(b.world)
				}, want: "empty=some:0 producer/members=1"},
			},
		},
		{
			name: "received, though its last record is another project's", world: received, opts: forNobody(others),
			looks: []look{
				{want: "others=some:1"},
				{after: 15 * time.Second, do: func(b *bench) {
					membersFirst(b.world)
					at("list_members", others,
						func(w *fakecloud.Cloud) { w.SetImage(others, func(img *fakecloud.Image) { img.Owner = producer }) })(b.world)
				}, want: "others=some:2"},
				{after: 15 * time.Second, want: "others=all:2 producer/members=1"},
			},
		},
		{
			name: "the visibility changed", opts: forNobody(empty, shared),
			prepare: func(w *fakecloud.Cloud) {
				w.SetImage(empty, func(img *fakecloud.Image) { img.Visibility = "community" })
			},
			looks: []look{
				{want: "empty=none shared=all:3 producer/members=1"},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.SetImage(empty, func(img *fakecloud.Image) { img.Visibility = "shared" })
					noSecondRecord(b.world)
				}, want: "empty=some:0 shared=all:3 producer/members=1"},
				{after: 15 * time.Second, want: "empty=all:0 shared=all:3 producer/members=1"},
			},
		},
		{
			name: "no record", opts: forNobody(shared),
			prepare: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: 503})
				w.Inject(fakecloud.Fault{Match: about("get_image", ""), Status: 503})
			},
			looks: looks(2, 15*time.Second, "shared=some:3"),
		},
		{
			name: "no owner", opts: forNobody(shared),
			prepare: func(w *fakecloud.Cloud) { w.SetImage(shared, func(img *fakecloud.Image) { img.Owner = "" }) },
			looks:   looks(2, 15*time.Second, "shared=unproven producer/members=0"),
		},
	})
}

// The requests that a second record costs.
func TestE5SecondRecords(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*fakecloud.Cloud)
		images  []string
		want    []string // of each scrape: records beside the ones before the list
	}{
		{"a row of another project", nil, []string{shared}, []string{"", ""}},
		{"an empty list", nil, []string{empty}, []string{"list_images 1", ""}},
		{
			"its own row", func(w *fakecloud.Cloud) { w.Share(empty, producer) },
			[]string{empty},
			[]string{"list_images 1", "list_images 1", "list_images 1"},
		},
		{
			"several, in a batch", func(w *fakecloud.Cloud) {
				for _, id := range []string{private, community} {
					w.SetImage(id, func(img *fakecloud.Image) { img.Visibility = "shared" })
				}
			}, []string{empty, private, community}, []string{"list_images 1", ""},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := (&situation{prepare: test.prepare, opts: forNobody(test.images...)}).bench(t)
				// So that the first records come before the lists.
				b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Latency: time.Second})
				for i, want := range test.want {
					b.world.ResetLog()
					b.scrape(t)
					got := map[string]int{"list_images": -1}
					for _, r := range b.world.Requests() {
						if r.Operation == "get_image" || r.Operation == "list_images" {
							got[r.Operation]++
						}
					}
					if counts(got) != want {
						t.Errorf("scrape %d: %q, want %q", i+1, counts(got), want)
					}
					time.Sleep(15 * time.Second)
				}
			})
		})
	}
}

// Huawei Cloud gives a member its own row, and nothing tells it from the owner's list but records.
func TestE5OnHuaweiCloud(t *testing.T) {
	own := func(opts collector.Options) collector.Options {
		for i := range opts.Images {
			opts.Images[i].Policy.Members = expect()
		}
		return opts
	}
	key := func(*fakecloud.Cloud) client.Options { return byKey(client.MembersV2) }
	give := func(w *fakecloud.Cloud) {
		w.SetImage(empty, func(img *fakecloud.Image) { img.Owner = consumerB })
		w.AddMember(empty, fakecloud.Member{MemberID: producer, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
	}
	inSituations(t, []situation{
		{
			name:    "owner",
			world:   newHuawei,
			connect: key,
			opts:    own(onIMS(shared, empty)),
			looks:   looks(3, time.Minute, "empty=all:0 shared=all:1203"),
		},
		{name: "member", world: newHuawei, connect: key, opts: own(onIMS(strange)), looks: looks(3, time.Minute, "another project's=some:1")},
		{
			name: "first seen, given away before the list is read", world: newHuawei, connect: key, opts: own(onIMS(empty)),
			prepare: func(w *fakecloud.Cloud) { once(w, about("list_members", empty), func() { give(w) }) },
			looks:   looks(2, time.Minute, "empty=some:1"),
		},
		{
			name: "first seen, received before the list is read", world: newHuawei, connect: key, opts: own(onIMS(strange)),
			prepare: func(w *fakecloud.Cloud) {
				w.Share(strange, consumerB)
				once(w, about("list_members", strange), func() { w.SetImage(strange, func(img *fakecloud.Image) { img.Owner = producer }) })
			},
			looks: []look{{want: "another project's=some:2"}, {after: time.Minute, do: func(b *bench) {
				// It takes one scrape more if the list comes before the new record.
				b.cloud.Collect(context.Background(), collector.Limits{Timeout: 9 * time.Second})
			}, want: "another project's=all:2"}},
		},
		{
			name: "first seen, and its record is not read again", world: newHuawei, connect: key, opts: own(onIMS(empty, wholeServer)),
			prepare: func(w *fakecloud.Cloud) {
				records := map[string]int{}
				w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
					if r.Operation == "get_image" {
						records[r.ImageID]++
					}
					return r.Operation == "get_image" && records[r.ImageID] > 1
				}, Status: 503})
			},
			looks: []look{
				{want: "empty=some:0 server=some:1"},
				{after: time.Minute, do: func(b *bench) { b.world.ClearFaults() }, want: "empty=all:0 server=all:1"},
			},
		},
		{
			name: "given away between two scrapes", world: newHuawei, connect: key, opts: own(onIMS(empty)),
			looks: []look{{want: "empty=all:0"}, {after: time.Minute, do: func(b *bench) { give(b.world) }, want: "empty=some:1"}},
		},
		{
			name: "a row of a domain is no proof, a member gets it too", world: newHuawei, connect: key, opts: own(onIMS(empty)),
			prepare: func(w *fakecloud.Cloud) {
				w.AddProjectGroup(producer, "domain", "account")
				w.AddMember(empty, fakecloud.Member{MemberID: "account", Type: "domain", Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
			},
			looks: []look{{want: "empty=all:1"}, {after: time.Minute, want: "empty=all:1"}, {after: time.Minute, do: func(b *bench) {
				once(b.world, about("list_members", empty), func() {
					b.world.SetImage(empty, func(img *fakecloud.Image) { img.Owner = consumerB })
					b.world.Share(empty, consumerC)
				})
			}, want: "empty=some:1"}},
		},
		{
			name: "a row of another project is no proof", world: newHuawei, connect: key, opts: own(onIMS(empty)),
			looks: []look{{want: "empty=all:0"}, {after: time.Minute, do: func(b *bench) {
				give(b.world)
				answerWith(about("list_members", empty), 200, rowsOf(producer, consumerC))(b)
			}, want: "empty=some:2"}},
		},
	})
}

// A list whose pages were given to tokens of different rights is not read.
func TestE3PagesOfTwoViews(t *testing.T) {
	inSituations(t, []situation{{
		name: "other roles", world: newHuawei, connect: func(*fakecloud.Cloud) client.Options { return byIAM() }, opts: onIMS(shared),
		looks: []look{
			{want: "shared=all:1203"},
			{after: time.Minute, do: func(b *bench) {
				once(b.world, func(r fakecloud.Request) bool { return r.Operation == "list_members" && r.RawQuery != "" }, func() {
					b.world.AddUser("watcher", "hunter2", producer, "ims_readonly", "ims_auditor")
					b.world.RevokeTokens()
				})
			}, want: "shared=unread:0"},
		},
	}})
}

// injecting is a proxy that authenticates: it adds a token to what has none.
func injecting(name, of string) func(*fakecloud.Cloud) http.Handler {
	return func(w *fakecloud.Cloud) http.Handler {
		token := w.Token(name, of)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Auth-Token", token)
			w.ServeHTTP(rw, r)
		})
	}
}

// A project that nobody confirms counts only if its private images were read.
func TestE6TheProjectOfTheView(t *testing.T) {
	none := func(*fakecloud.Cloud) client.Options {
		return client.Options{ProjectID: producer, Endpoint: "http://cloud.test/image"}
	}
	remedy := func(t *testing.T, b *bench) {
		if lines := strings.Join(b.log.take(), "\n"); !strings.Contains(lines, "auth_url") {
			t.Errorf("no remedy in the log: %s", lines)
		}
	}
	ofConsumer := func(w *fakecloud.Cloud) {
		w.AddImage(fakecloud.Image{ID: theirs, Name: "theirs", Owner: consumerA, Visibility: "private"})
	}
	inSituations(t, []situation{
		{
			name: "a token as it is", connect: byToken("producer", producer, producer), opts: forNobody(shared, empty, private),
			looks: looks(8, time.Minute, "empty=all:0 private=none shared=all:3 producer/members=1"),
		},
		{
			name: "a token as it is, and no private image", connect: byToken("producer", producer, producer), opts: forNobody(shared, empty),
			looks: looks(2, time.Minute, "empty=some:0 shared=some:3 producer/members=1"), check: remedy,
		},
		{
			name: "a token of another project", connect: byToken("consumer-a", consumerA, producer), opts: forNobody(shared, private),
			looks: looks(2, time.Minute, "private=unread:404 shared=some:1"), check: remedy,
		},
		{
			name: "a token of another project, with its private image", prepare: ofConsumer,
			connect: byToken("consumer-a", consumerA, producer), opts: forNobody(shared, theirs),
			looks: looks(2, time.Minute, "shared=some:1 theirs=none"), check: remedy,
		},
		{
			name:    "a private image on an API whose private images have members",
			connect: byToken("producer", producer, producer),
			opts:    forNobody(shared),
			prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks:   looks(2, time.Minute, "shared=some:3"), check: remedy,
		},
		{
			name: "the private image is deleted", connect: byToken("producer", producer, producer), opts: forNobody(shared, private),
			looks: []look{
				{want: "private=none shared=all:3 producer/members=1"},
				{
					after: time.Minute,
					do:    func(b *bench) { b.world.RemoveImage(private) },
					want:  "private=unread:404 shared=all:3 producer/members=1",
				},
				{after: 5*time.Minute + time.Second, want: "private=unread:404 shared=some:3"},
			},
		},
		{
			name:    "a private image that no rule takes",
			connect: byToken("producer", producer, producer),
			opts:    findingForNobody(collector.Rule{Name: "golden-*"}),
			looks:   looks(3, time.Minute, "empty=all:0 hidden=all:1 shared=all:3 discovery=1 producer/images=1 producer/members=1"),
		},
		{
			name: "none", connect: none, proxy: injecting("producer", producer), opts: forNobody(shared, empty, private),
			looks: looks(8, time.Minute, "empty=all:0 private=none shared=all:3 producer/members=1"),
		},
		{
			name: "none, and no private image", connect: none, proxy: injecting("producer", producer), opts: forNobody(shared),
			looks: looks(2, time.Minute, "shared=some:3"), check: remedy,
		},
		{
			name: "none, of another project", connect: none, proxy: injecting("consumer-a", consumerA), opts: forNobody(shared),
			looks: looks(2, time.Minute, "shared=some:1"), check: remedy,
		},
		{
			name: "an administrator's token of another project", prepare: ofConsumer,
			connect: byToken("admin", admins, producer), opts: forNobody(shared, theirs),
			looks: looks(2, time.Minute, "shared=some:3 theirs=none"), check: remedy,
		},
	})
}

// The operator's policy drops rows, with status 200.
func TestE8HiddenRows(t *testing.T) {
	both := forNobody(shared, empty, private)
	inSituations(t, []situation{
		{
			name: "get_member for administrators alone, to the owner's reader", opts: both,
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: byAdmin}) },
			looks:   looks(8, time.Minute, "empty=unproven private=none shared=unproven producer/members=0"),
			check: func(t *testing.T, b *bench) {
				if lines := strings.Join(b.log.take(), "\n"); !strings.Contains(lines, "get_member") ||
					!strings.Contains(lines, "GET /v2/images/*/members/*") {
					t.Errorf("no remedy in the log: %s", lines)
				}
			},
		},
		{
			name: "it comes later, and goes", opts: both,
			looks: []look{
				{want: "empty=all:0 private=none shared=all:3 producer/members=1"},
				// The proof of before covers neither the list that became empty nor, as its probe was refused, the one that was empty.
				{
					after: time.Minute,
					do:    policy(fakecloud.Policy{GetMember: byAdmin}),
					want:  "empty=unproven private=none shared=unproven producer/members=0",
				},
				{after: 5 * time.Minute, want: "empty=unproven private=none shared=unproven producer/members=0"},
				{after: time.Minute, do: policy(fakecloud.Policy{}), want: "empty=all:0 private=none shared=all:3 producer/members=1"},
			},
		},
		{
			name: "get_member for the own project alone, to a member", connect: loginOf("consumer-a"), opts: forNobody(shared),
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: ofOwn}) },
			looks:   looks(3, time.Minute, "shared=unproven A/members=0"),
		},
		{
			name: "get_member for the own project alone, to an administrator of another one", connect: loginOf("admin"), opts: both,
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: ofOwn}) },
			looks:   looks(8, time.Minute, "empty=unproven private=none shared=unproven admin/administrator=1 admin/members=0"),
		},
		{
			name: "get_member for the own project alone, to the owner", opts: both,
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: ofOwn}) },
			looks:   looks(8, time.Minute, "empty=all:0 private=none shared=all:3 producer/members=1"),
		},
		{
			name: "the probe is refused", opts: both,
			prepare: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("get_member", ""), Status: http.StatusForbidden})
				w.Unshare(shared, consumerA)
				w.Unshare(shared, consumerB)
				w.Unshare(shared, consumerC)
			},
			looks: looks(3, time.Minute, "empty=unproven private=none shared=unproven producer/members=0"),
		},
		{
			name: "a proxy answers the probe", opts: both,
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
				w.Inject(fakecloud.Fault{Match: about("get_member", ""), Raw: func(rw http.ResponseWriter, r *http.Request) {
					image, member, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/image/v2/images/"), "/members/")
					rw.Header().Set("Content-Type", "application/json")
					rw.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(rw, `{"code": "404 Not Found", "title": "", "message": "no `+member+` in `+image+`"}`)
				}})
			},
			looks: looks(3, time.Minute, "empty=unproven private=none shared=unproven producer/members=0"),
		},
		{
			name: "get_members, to everybody", opts: both,
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMembers: never}) },
			looks:   looks(3, time.Minute, "empty=unread:403 private=none shared=unread:403"),
		},
	})
}

// What was seen before stays on the page as long as max_staleness allows.
func TestE8InTheBackground(t *testing.T) {
	opts := forNobody(shared, empty)
	opts.RefreshInterval, opts.MaxStaleness = time.Minute, 10*time.Minute
	before := "empty=all:0 shared=all:3 producer/members=1"
	inSituations(t, []situation{
		{
			name: "rows are hidden", opts: opts,
			looks: []look{
				{want: before},
				{after: 30 * time.Second, do: policy(fakecloud.Policy{GetMember: byAdmin}), want: before},
				{after: time.Minute, want: "empty=all:0 shared=all:3 producer/members=0"},
				{after: 7 * time.Minute, want: "empty=all:0 shared=all:3 producer/members=0"},
				{after: 3 * time.Minute, want: "empty=unproven shared=unproven producer/members=0"},
				{after: 5 * time.Minute, want: "empty=unproven shared=unproven producer/members=0"},
				{after: time.Minute, do: policy(fakecloud.Policy{}), want: "empty=unproven shared=unproven producer/members=0"},
				{after: time.Minute, want: before},
			},
		},
		{
			name: "the image is given away", opts: opts,
			looks: []look{
				{want: before},
				{after: 30 * time.Second, do: func(b *bench) {
					b.world.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
					b.world.SetImage(shared, func(img *fakecloud.Image) { img.Owner = consumerB })
					b.world.Share(shared, producer)
				}, want: before},
				// What was read of it before is not all any more.
				{after: time.Minute, want: "empty=all:0 shared=some:3 producer/members=0"},
			},
		},
		{
			name: "a proof of before does not age on the page", opts: opts,
			looks: []look{
				{want: before},
				{after: 30 * time.Second, do: func(b *bench) {
					b.world.Inject(fakecloud.Fault{Match: ofImageService, Status: 503})
				}, want: before},
				{after: 8 * time.Minute, want: "empty=all:0 shared=all:3"},
			},
		},
	})
}

// An administrator is proven by what only an administrator sees, never by a role or a record.
func TestE9Administrators(t *testing.T) {
	another := func(roles []string) bool { return fakecloud.Caller{Roles: roles}.HasRole("cloud_admin") }
	withoutPrivate := func() *fakecloud.Cloud {
		w := newWorld()
		w.RemoveImage(private)
		return w
	}
	const proven = " admin/administrator=1 admin/members=1"
	looked := func(r fakecloud.Request) bool {
		return r.Operation == "list_images" && r.RawQuery == "limit=100&visibility=private"
	}
	inSituations(t, []situation{
		{
			name: "context_is_admin is another role", connect: loginOf("admin"), opts: forNobody(shared, empty),
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{ContextIsAdmin: another})
				w.Share(shared, admins)
			},
			looks: looks(3, time.Minute, "empty=unread:404 shared=some:1 admin/administrator=0"),
		},
		{
			name: "context_is_admin is another role, before image API 2.5", connect: loginOf("admin"), opts: forNobody(shared),
			prepare: func(w *fakecloud.Cloud) {
				w.SetBefore25(true)
				w.SetPolicy(fakecloud.Policy{ContextIsAdmin: another})
				w.Share(shared, admins)
			},
			looks: looks(3, time.Minute, "shared=some:1 admin/administrator=0"),
		},
		{
			name: "it becomes another one", connect: loginOf("admin"), opts: forNobody(shared),
			prepare: func(w *fakecloud.Cloud) { w.Share(shared, admins) },
			looks: []look{
				{want: "shared=all:4" + proven},
				// The list had rows that only an administrator gets. Without them, the proof of before does not count.
				{after: time.Minute, do: policy(fakecloud.Policy{ContextIsAdmin: another}), want: "shared=some:1" + proven},
				{after: 5 * time.Minute, want: "shared=some:1 admin/administrator=0"},
			},
		},
		{
			name: "by the policy, with a role that admin_roles lacks", connect: loginOf("cloud_admin"), opts: forNobody(shared, empty),
			prepare: func(w *fakecloud.Cloud) {
				w.AddProjectID(vendor, "cloud_admin")
				w.AddUser("cloud_admin", "cloud_admin-secret", vendor, "reader", "cloud_admin")
				w.SetPolicy(fakecloud.Policy{ContextIsAdmin: another})
			},
			looks: looks(2, time.Minute, "empty=all:0 shared=all:3 vendor/members=1"),
		},
		{
			name: "no list with rows, and no private image", world: withoutPrivate, connect: loginOf("admin"), opts: forNobody(empty),
			looks: append(looks(8, time.Minute, "empty=some:0 admin/administrator=0 admin/members=1"), look{
				// The operator makes a proof.
				after: time.Minute, do: func(b *bench) {
					b.world.AddImage(fakecloud.Image{ID: theirs, Name: "canary", Owner: consumerC, Visibility: "private", Status: "queued"})
				}, want: "empty=all:0" + proven,
			}),
			check: func(t *testing.T, b *bench) {
				var asked []fakecloud.Request
				for _, r := range b.world.Requests() {
					if looked(r) {
						asked = append(asked, r)
					}
				}
				if len(asked) != 5 || apart(asked) < 2*time.Minute {
					t.Errorf("%d requests for private images, %s apart", len(asked), apart(asked))
				}
			},
		},
		{
			name: "only its own private images", connect: loginOf("admin"), opts: forNobody(empty),
			prepare: func(w *fakecloud.Cloud) { w.SetImage(private, func(img *fakecloud.Image) { img.Owner = admins }) },
			looks:   looks(3, time.Minute, "empty=some:0 admin/administrator=0 admin/members=1"),
		},
		{
			name: "private images may be shared before image API 2.5", connect: loginOf("consumer-a"), opts: forNobody(shared, hidden),
			prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks:   looks(3, time.Minute, "hidden=some:1 shared=some:1"),
		},
		{
			name: "an administrator before image API 2.5", connect: loginOf("admin"), opts: forNobody(shared, empty),
			prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks:   looks(3, time.Minute, "empty=all:0 shared=all:3"+proven),
		},
		{
			name: "a shared record proves nothing", connect: loginOf("consumer-a"), opts: forNobody(shared),
			looks: looks(3, time.Minute, "shared=some:1"),
		},
		{
			name:    "two projects' private images, in a view that nobody confirms",
			connect: byToken("admin", admins, admins),
			opts:    forNobody(shared, empty, private, theirs),
			prepare: func(w *fakecloud.Cloud) {
				w.AddImage(fakecloud.Image{ID: theirs, Name: "theirs", Owner: consumerB, Visibility: "private"})
			},
			looks: looks(3, time.Minute, "empty=all:0 private=none shared=all:3 theirs=none admin/members=1"),
		},
		{
			name:    "one project's private image, in a view that nobody confirms",
			connect: byToken("admin", admins, admins),
			opts:    forNobody(shared, empty, private),
			looks:   looks(3, time.Minute, "empty=some:0 private=none shared=some:3 admin/members=1"),
		},
		{
			name: "the owner changes while the list is read", connect: loginOf("consumer-a"), opts: forNobody(shared, hidden),
			prepare: func(w *fakecloud.Cloud) {
				read := false
				once(w, about("list_members", shared), func() {
					read = true
					w.SetImage(shared, func(img *fakecloud.Image) { img.Owner = consumerA })
				})
				again := func(r fakecloud.Request) bool { return read && r.Operation == "list_images" }
				once(w, again, func() { w.SetImage(shared, func(img *fakecloud.Image) { img.Owner = consumerB }) })
			},
			looks: []look{{want: "hidden=some:1 shared=some:3"}, {after: time.Minute, want: "hidden=some:1 shared=some:1"}},
		},
	})
	t.Run("a row of the view's user", func(t *testing.T) {
		bubble(t, newWorld(), user("consumer-a"), forNobody(shared, hidden), func(t *testing.T, b *bench) {
			access, err := b.client.Connect(t.Context())
			if err != nil || access.UserID == "" {
				t.Fatal(err)
			}
			answerWith(about("list_members", shared), 200, rowsOf(consumerA, access.UserID))(b)
			for range 2 {
				if got, want := reported(t, b.scrape(t)), "hidden=some:1 shared=some:2"; got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	})
}

// Rows of own images prove nothing for those of others, nor the other way round.
func TestE10OwnAndOthersApart(t *testing.T) {
	world := func() *fakecloud.Cloud {
		w := newWorld()
		w.AddUser("boss", "boss-secret", producer, "admin")
		w.AddImage(fakecloud.Image{ID: others, Name: "others", Owner: consumerB})
		w.AddImage(fakecloud.Image{ID: theirs, Name: "theirs", Owner: consumerB})
		w.AddMember(theirs, fakecloud.Member{MemberID: consumerC, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
		return w
	}
	boss := func(*fakecloud.Cloud) client.Options {
		return client.Options{Auth: func() (ao gophercloud.AuthOptions, err error) {
			ao, err = user("boss")()
			ao.Scope.ProjectName = "producer"
			return ao, err
		}}
	}
	reader := func(rules ...string) func(*fakecloud.Cloud) client.Options {
		return func(w *fakecloud.Cloud) client.Options {
			c := fakecloud.AppCredential{ID: "probing", Secret: "rules-secret", User: "producer", ProjectID: producer, Roles: []string{"reader"}}
			for _, path := range rules {
				c.AccessRules = append(c.AccessRules, fakecloud.AccessRule{Method: "GET", Path: path})
			}
			w.AddAppCredential(c)
			return client.Options{Auth: appCredential("probing")}
		}
	}
	three := []string{"/v2/images", "/v2/images/*", "/v2/images/*/members"}
	one := func(t *testing.T, b *bench) { wantRequests(t, b, fakecloud.OpAuthenticate, "", 1) }
	inSituations(t, []situation{
		{
			name: "both", world: world, connect: boss, opts: forNobody(shared, empty, others, theirs),
			looks: looks(8, time.Minute, "empty=all:0 others=all:0 shared=all:3 theirs=all:1 producer/administrator=1 producer/members=1"),
		},
		{
			name:    "own rows alone",
			world:   world,
			connect: boss,
			opts:    forNobody(shared, empty, private, others, theirs),
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: ofOwn}) },
			looks: looks(8, time.Minute,
				"empty=all:0 others=unproven private=none shared=all:3 theirs=unproven producer/administrator=0 producer/members=0"),
		},
		{
			name: "others' rows alone", world: world, connect: boss, opts: forNobody(shared, empty, others, theirs),
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{GetMember: func(c fakecloud.Caller) bool { return !c.Own }})
			},
			looks: looks(8, time.Minute, "empty=unproven others=all:0 shared=unproven theirs=all:1 producer/administrator=1 producer/members=0"),
		},
		{
			name: "three access rules, and a list with rows", connect: reader(three...), opts: forNobody(shared, empty),
			looks: looks(8, time.Minute, "empty=all:0 shared=all:3 producer/members=1"), check: one,
		},
		{
			name: "three access rules, and no list with rows", connect: reader(three...), opts: forNobody(empty),
			looks: looks(8, time.Minute, "empty=unproven producer/members=0"), check: one,
		},
		{
			name: "four access rules", connect: reader(append(three, "/v2/images/*/members/*")...), opts: forNobody(empty),
			looks: looks(8, time.Minute, "empty=all:0 producer/members=1"), check: one,
		},
		{
			// Rows of the new owner's images are visible, and its own are not.
			name: "given away between its record and the probe", opts: forNobody(empty, private),
			prepare: func(w *fakecloud.Cloud) {
				w.SetImage(private, func(img *fakecloud.Image) { img.Visibility = "shared" })
				w.SetPolicy(fakecloud.Policy{GetMember: func(c fakecloud.Caller) bool { return !c.Own }})
				given := false
				once(w, about("get_member", ""), func() { given = true })
				w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
					if given && r.Operation == "get_member" {
						w.SetImage(r.ImageID, func(img *fakecloud.Image) { img.Owner = consumerB })
						w.Share(r.ImageID, producer)
						given = false
					}
					return false
				}})
			},
			check: func(t *testing.T, b *bench) {
				for range 2 {
					s := b.scrape(t)
					for _, img := range s.Images {
						if img.Record != nil && img.Record.Owner == producer && img.Coverage != collector.Unread {
							t.Errorf("%s is read, sight %d", img.Name, img.Coverage)
						}
					}
					time.Sleep(15 * time.Second)
				}
			},
		},
		{
			// The probe is sent again with the next scrape, and not a minute later.
			name: "no time for the record after the probe", opts: forNobody(empty),
			prepare: func(w *fakecloud.Cloud) {
				probed := time.Time{}
				once(w, about("get_member", ""), func() { probed = time.Now() })
				w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
					return r.Operation != "get_member" && !probed.IsZero() && time.Since(probed) < 9*time.Second
				}, Hang: true})
			},
			looks: []look{
				{want: "empty=unproven producer/members=0"},
				{after: 15 * time.Second, want: "empty=all:0 producer/members=1"},
			},
		},
		{
			name: "rows of its own as a member", connect: loginOf("consumer-a"), opts: forNobody(shared, others),
			prepare: func(w *fakecloud.Cloud) {
				w.AddImage(fakecloud.Image{ID: others, Name: "others", Owner: consumerA})
				w.SetPolicy(fakecloud.Policy{GetMember: func(c fakecloud.Caller) bool { return !c.Own }})
			},
			looks: looks(3, time.Minute, "others=unproven shared=some:1 A/members=0"),
		},
		{
			name: "Chinese", world: func() *fakecloud.Cloud { return newWorldWith(fakecloud.Options{Chinese: true}) }, opts: forNobody(empty),
			looks: looks(3, time.Minute, "empty=all:0 producer/members=1"),
		},
	})
}

// A proof covers five minutes and is renewed after two.
func TestE11Window(t *testing.T) {
	probed := func(b *bench) []fakecloud.Request {
		return requestsOf(b.world, fakecloud.OpGetMember, "")
	}
	refused := policy(fakecloud.Policy{GetMember: byAdmin})
	withoutProbe := func(b *bench) { b.world.Inject(fakecloud.Fault{Match: about("get_member", ""), Status: 401}) }
	inSituations(t, []situation{
		{
			name: "renewed", opts: forNobody(empty), looks: looks(40, 30*time.Second, "empty=all:0 producer/members=1"),
			check: func(t *testing.T, b *bench) {
				if p := probed(b); len(p) != 8 || apart(p) != 150*time.Second {
					t.Errorf("%d probes in 20 minutes, %s apart", len(p), apart(p))
				}
			},
		},
		{
			name:  "rows need no probe",
			opts:  forNobody(shared, empty),
			looks: looks(40, 30*time.Second, "empty=all:0 shared=all:3 producer/members=1"),
			check: func(t *testing.T, b *bench) {
				if p := probed(b); len(p) > 1 {
					t.Errorf("%d probes", len(p))
				}
			},
		},
		{
			name: "refused", opts: forNobody(empty), prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: byAdmin}) },
			looks: looks(40, 15*time.Second, "empty=unproven producer/members=0"),
			check: func(t *testing.T, b *bench) {
				if p := probed(b); len(p) != 10 || apart(p) < time.Minute {
					t.Errorf("%d probes in 10 minutes, %s apart", len(p), apart(p))
				}
			},
		},
		{
			name: "over", opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: time.Minute, do: withoutProbe, want: "empty=all:0 producer/members=1"},
				{after: 4 * time.Minute, want: "empty=all:0 producer/members=1"},
				{after: time.Second, want: "empty=unproven producer/members=0"},
			},
		},
		{
			name: "over when the renewal is refused", opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: time.Minute, do: refused, want: "empty=all:0 producer/members=1"},
				{after: 2 * time.Minute, want: "empty=unproven producer/members=0"},
				{after: time.Minute, do: policy(fakecloud.Policy{}), want: "empty=all:0 producer/members=1"},
			},
		},
		{
			name: "in the same collection, however long it takes", opts: forNobody(empty),
			prepare: func(w *fakecloud.Cloud) { w.SetLatency(time.Second) },
			looks:   looks(3, time.Minute, "empty=all:0 producer/members=1"),
		},
		{
			name: "another project, another view", opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: time.Minute, do: func(b *bench) {
					b.world.AddUser("producer", "producer-secret", producer, "reader", "auditor") // other roles
					b.world.RevokeTokens()
					b.world.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
				}, want: "empty=unproven producer/members=0"},
			},
		},
	})
}

// A list that had rows needs a proof of its own when it has none.
func TestE11ListsThatBecomeEmpty(t *testing.T) {
	unshare := func(b *bench) {
		for _, id := range []string{consumerA, consumerB, consumerC} {
			b.world.Unshare(shared, id)
		}
	}
	emptied := func(b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: 200, Body: rowsOf()})
	}
	// As without the access rule for it.
	noProbe := func(w *fakecloud.Cloud) { w.Inject(fakecloud.Fault{Match: about("get_member", ""), Status: 401}) }
	const proven = " producer/members=1"
	inSituations(t, []situation{
		{
			name: "nobody has it any more", opts: forNobody(shared),
			looks: []look{
				{want: "shared=all:3" + proven},
				{after: 15 * time.Second, do: unshare, want: "shared=all:0" + proven},
				{after: 15 * time.Second, want: "shared=all:0" + proven},
			},
			check: func(t *testing.T, b *bench) {
				wantRequests(t, b, fakecloud.OpGetMember, shared, 1)
				for _, r := range requestsOf(b.world, fakecloud.OpGetMember, shared) {
					if !strings.Contains(consumerA+consumerB+consumerC, r.MemberID) {
						t.Errorf("asked for %s, which was no member", r.MemberID)
					}
				}
			},
		},
		{
			name: "with a former member that has another ID", opts: forNobody(empty),
			prepare: func(w *fakecloud.Cloud) { w.Share(empty, "Some/Thing") },
			looks: []look{
				{want: "empty=all:1" + proven},
				{after: 15 * time.Second, do: func(b *bench) { b.world.Unshare(empty, "Some/Thing") }, want: "empty=all:0" + proven},
			},
		},
		{
			name: "the row is there", opts: forNobody(shared),
			looks: []look{
				{want: "shared=all:3" + proven},
				{after: 15 * time.Second, do: emptied, want: "shared=some:1" + proven},
				{after: 15 * time.Second, do: func(b *bench) { b.world.ClearFaults() }, want: "shared=all:3" + proven},
			},
		},
		{
			name: "rows of other images prove nothing in the same collection", opts: forNobody(shared, hidden), prepare: noProbe,
			looks: []look{
				{want: "hidden=all:1 shared=all:3" + proven},
				{after: 15 * time.Second, do: unshare, want: "hidden=all:1 shared=unproven producer/members=0"},
				{after: 15 * time.Second, want: "hidden=all:1 shared=all:0" + proven},
			},
		},
		{
			name: "without a probe and without rows", opts: forNobody(shared, empty), prepare: noProbe,
			looks: append([]look{
				{want: "empty=all:0 shared=all:3" + proven},
				{after: 15 * time.Second, do: unshare, want: "empty=all:0 shared=unproven producer/members=0"},
			},
				looks(3, time.Minute, "empty=all:0 shared=unproven producer/members=0")...),
		},
		{
			name: "rows are hidden", opts: forNobody(shared),
			looks: append([]look{
				{want: "shared=all:3" + proven},
				{after: 15 * time.Second, do: policy(fakecloud.Policy{GetMember: byAdmin}), want: "shared=unproven producer/members=0"},
			},
				looks(20, 15*time.Second, "shared=unproven producer/members=0")...),
			check: func(t *testing.T, b *bench) {
				// One a minute for the view, and one a minute for the image.
				if p := requestsOf(b.world, fakecloud.OpGetMember, ""); len(p) > 2*6+1 {
					t.Errorf("%d probes in 5 minutes", len(p))
				}
			},
		},
		{
			name: "rows are hidden twice, and a row of another image is read between", opts: forNobody(shared, hidden),
			looks: []look{
				{want: "hidden=all:1 shared=all:3" + proven},
				{
					after: 15 * time.Second,
					do:    policy(fakecloud.Policy{GetMember: byAdmin}),
					want:  "hidden=unproven shared=unproven producer/members=0",
				},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.SetPolicy(fakecloud.Policy{})
					b.world.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: 503})
				}, want: "hidden=all:1 shared=unread:503" + proven},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.ClearFaults()
					b.world.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
				}, want: "hidden=unproven shared=unproven producer/members=0"},
				{after: 15 * time.Second, do: func(b *bench) { b.world.SetPolicy(fakecloud.Policy{}) }, want: "hidden=all:1 shared=all:3" + proven},
			},
		},
		{
			name: "rows of before prove nothing when the probe is refused", opts: forNobody(shared, empty),
			looks: []look{
				{want: "empty=all:0 shared=all:3" + proven},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
					b.world.Share(empty, consumerB)
				}, want: "empty=unproven shared=unproven producer/members=0"},
			},
		},
		{
			name: "and in an administrator's view", connect: loginOf("admin"), opts: forNobody(shared, empty),
			looks: []look{
				{want: "empty=all:0 shared=all:3 admin/administrator=1 admin/members=1"},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.SetPolicy(fakecloud.Policy{GetMember: never})
					b.world.Share(empty, consumerB)
				}, want: "empty=unproven shared=unproven admin/administrator=1 admin/members=0"},
			},
		},
		{
			name: "watched by a rule instead, meanwhile", opts: forNobody(shared, hidden),
			looks: []look{
				{want: "hidden=all:1 shared=all:3" + proven},
				{
					after: 15 * time.Second,
					do:    policy(fakecloud.Policy{GetMember: byAdmin}),
					want:  "hidden=unproven shared=unproven producer/members=0",
				},
				{after: 2 * time.Minute, do: func(b *bench) {
					b.cloud.SetOptions(findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}}))
				}, want: "empty=unproven hidden=unproven shared=unproven discovery=1 producer/images=1 producer/members=0"},
				{after: 15 * time.Second, want: "empty=unproven hidden=unproven shared=unproven discovery=1 producer/images=1 producer/members=0"},
			},
		},
		{
			name: "watched by a rule instead, without a probe", opts: forNobody(shared, hidden), prepare: noProbe,
			looks: []look{
				{want: "hidden=all:1 shared=all:3" + proven},
				{after: 15 * time.Second, do: func(b *bench) {
					b.cloud.SetOptions(findingForNobody(collector.Rule{Name: "golden-debian-1?"}))
					emptied(b)
				}, want: "hidden=all:1 shared=unproven discovery=1 producer/images=1 producer/members=0"},
			},
		},
		{
			name: "watched by no rule meanwhile", opts: findingForNobody(collector.Rule{Name: "golden-debian-1?"}), prepare: noProbe,
			looks: []look{
				{want: "hidden=all:1 shared=all:3 discovery=1 producer/images=1" + proven},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.SetImage(shared, func(img *fakecloud.Image) { img.Name = "another" })
				}, want: "hidden=all:1 discovery=1 producer/images=1" + proven + " left:shared=unmatched"},
				{after: 15 * time.Second, do: func(b *bench) {
					b.world.SetImage(shared, func(img *fakecloud.Image) { img.Name = "golden-debian-12" })
					b.world.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: 200, Body: rowsOf()})
				}, want: "hidden=all:1 shared=unproven discovery=1 producer/images=1 producer/members=0"},
			},
		},
		{
			name: "a probe that comes too often is not refused", opts: forNobody(shared, hidden),
			prepare: func(w *fakecloud.Cloud) { w.Inject(fakecloud.Fault{Match: about("get_member", ""), Status: 429}) },
			looks: []look{
				{want: "hidden=all:1 shared=all:3" + proven},
				{after: 15 * time.Second, do: unshare, want: "hidden=all:1 shared=unproven producer/members=0"},
				{after: 15 * time.Second, want: "hidden=all:1 shared=unproven producer/members=0"},
				{after: time.Minute, want: "hidden=all:1 shared=unproven producer/members=0"},
			},
		},
		{
			name: "a check of before", opts: forNobody(shared),
			looks: []look{
				{want: "shared=all:3" + proven},
				{after: 15 * time.Second, do: unshare, want: "shared=all:0" + proven},
				{after: 15 * time.Second, do: func(b *bench) { b.world.Share(shared, consumerA) }, want: "shared=all:1" + proven},
				{after: 15 * time.Second, do: func(b *bench) {
					noProbe(b.world)
					unshare(b)
				}, want: "shared=unproven producer/members=0"},
				{after: 15 * time.Second, want: "shared=unproven producer/members=0"},
			},
		},
		{
			name: "in an administrator's view", connect: loginOf("admin"), opts: forNobody(shared, hidden),
			looks: []look{
				{want: "hidden=all:1 shared=all:3 admin/administrator=1 admin/members=1"},
				{after: 15 * time.Second, do: unshare, want: "hidden=all:1 shared=all:0 admin/administrator=1 admin/members=1"},
			},
		},
	})
}

// Rows that were hidden while the image was no longer shared are missed when it is shared again.
func TestE11AnImageThatIsSharedAgain(t *testing.T) {
	for _, visibility := range []string{"community", "public"} {
		set := func(b *bench, v string) { b.world.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = v }) }
		inSituations(t, []situation{{
			name: visibility, opts: forNobody(shared, hidden),
			looks: []look{
				{want: "hidden=all:1 shared=all:3 producer/members=1"},
				{after: 15 * time.Second, do: func(b *bench) {
					// The list is read while the rows are hidden, and the records after it.
					answerWith(about("list_members", shared), 200, rowsOf())(b)
					membersFirst(b.world)
					set(b, visibility)
				}, want: "hidden=all:1 shared=none producer/members=1"},
				{after: 15 * time.Second, do: func(b *bench) {
					answerWith(about("list_members", shared), 200, rowsOf())(b)
					b.world.Inject(fakecloud.Fault{Match: about("get_member", ""), Status: 401}) // as without the access rule for it
					set(b, "shared")
				}, want: "hidden=all:1 shared=unproven producer/members=0"},
			},
		}})
	}
}

// A backend that is another one for a scrape takes nothing away.
func TestE11ABlankBackend(t *testing.T) {
	blank := func(b *bench) { b.world.Inject(fakecloud.Fault{Match: ofImageService, Blank: true}) }
	back := func(b *bench) { b.world.ClearFaults() }
	found := findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}})
	refreshed := found
	refreshed.RefreshInterval = time.Minute
	const all, rest = "empty=all:0 hidden=all:1 shared=all:3", " discovery=1 producer/images=1 producer/members=1"
	const lost = "empty=unread:404 hidden=unread:404 shared=unread:404"
	inSituations(t, []situation{
		{
			name: "configured", opts: forNobody(shared, empty, hidden),
			looks: []look{
				{want: all + " producer/members=1"},
				{after: 15 * time.Second, do: blank, want: lost + " producer/members=1"},
				{after: 15 * time.Second, want: lost + " producer/members=1"},
				{after: 15 * time.Second, do: back, want: all + " producer/members=1"},
			},
		},
		{
			name: "discovered", opts: found,
			looks: []look{
				{want: all + rest},
				{after: 15 * time.Second, do: blank, want: lost + " discovery=0 producer/images=0 producer/members=1"},
				{after: 15 * time.Second, want: lost + " discovery=0 producer/images=0 producer/members=1"},
				{after: 15 * time.Second, do: back, want: all + rest},
			},
		},
		{
			name: "discovered in the background", opts: refreshed,
			looks: []look{
				{want: all + rest},
				{after: 30 * time.Second, do: blank, want: all + rest},
				{after: time.Minute, want: lost + " discovery=0 producer/images=0 producer/members=1"},
				{after: 10 * time.Second, do: back, want: lost + " discovery=0 producer/images=0 producer/members=1"},
				{after: time.Minute, want: all + rest},
			},
		},
	})
}
