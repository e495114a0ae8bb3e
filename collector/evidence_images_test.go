package collector_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// refusing is a 403 that does not say that only shared images have members.
const refusing = `{"message": "You are not authorized to complete get_members action.<br /><br />\n\n\n", "code": "403 Forbidden", ` +
	`"title": "Forbidden"}`

// A private image has no members only on an API that is known to keep members from private images.
func TestE12PrivateImages(t *testing.T) {
	const proven = " producer/members=1"
	twoPrivate := func(w *fakecloud.Cloud) {
		w.AddImage(fakecloud.Image{ID: theirs, Name: "theirs", Owner: producer, Visibility: "private"})
	}
	lists := func(b *bench) []fakecloud.Request { return requestsOf(b.world, "list_members", "") }
	inSituations(t, []situation{
		{
			name: "only shared images have members", opts: forNobody(private), looks: looks(130, time.Minute, "private=none"),
			check: func(t *testing.T, b *bench) { // known at once, and renewed once an hour
				if got := lists(b); len(got) != 3 || apart(got) != time.Hour {
					t.Errorf("%d requests for members in 130 minutes, %s apart", len(got), apart(got))
				}
			},
		},
		{
			name: "several", opts: forNobody(private, theirs), prepare: twoPrivate, looks: looks(50, time.Minute, "private=none theirs=none"),
			check: func(t *testing.T, b *bench) { wantRequests(t, b, "list_members", "", 1) },
		},
		{
			name: "it decides before the policy get_members", opts: forNobody(private, shared),
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMembers: never}) },
			looks:   looks(3, time.Minute, "private=none shared=unread:403"),
		},
		{
			name: "another 403, while other lists are answered", opts: forNobody(private, shared),
			prepare: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_members", private), Status: 403, Body: refusing})
			},
			looks: looks(3, time.Minute, "private=none shared=all:3"+proven),
		},
		{
			name: "another 403, and no list is answered", opts: forNobody(private, shared, theirs),
			prepare: func(w *fakecloud.Cloud) {
				twoPrivate(w)
				w.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: 403, Body: refusing})
			},
			looks: looks(12, 15*time.Second, "private=unproven shared=unread:403 theirs=unproven producer/members=0"),
			check: func(t *testing.T, b *bench) {
				got := append(requestsOf(b.world, "list_members", private), requestsOf(b.world, "list_members", theirs)...)
				if len(got) != 3 || apart(got) < time.Minute {
					t.Errorf("%d requests for members of private images in 3 minutes, %s apart", len(got), apart(got))
				}
			},
		},
		{
			name: "no clear answer", opts: forNobody(private, theirs, shared, empty),
			prepare: func(w *fakecloud.Cloud) {
				twoPrivate(w)
				w.Inject(fakecloud.Fault{Match: about("list_members", private), Status: 500})
				w.Inject(fakecloud.Fault{Match: about("list_members", theirs), Status: 500})
				w.Inject(fakecloud.Fault{Match: about("list_members", empty), Status: 403, Body: refusing}) // no private image
			},
			looks: []look{
				{want: "empty=unread:403 private=unproven shared=all:3 theirs=unread:500 producer/members=0"},
				{after: 15 * time.Second, want: "empty=unread:403 private=unproven shared=all:3 theirs=unproven producer/members=0"},
			},
		},
		{
			name: "image API before 2.5", opts: forNobody(shared, empty, private), prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks: looks(12, time.Minute, "empty=all:0 private=all:0 shared=all:3"+proven),
			check: func(t *testing.T, b *bench) {
				if lines := strings.Join(b.log.take(), "\n"); strings.Count(lines, "private images") != 1 {
					t.Errorf("want one line about private images that have members:\n%s", lines)
				}
			},
		},
		{
			name:    "image API before 2.5, discovered",
			opts:    findingForNobody(collector.Rule{Name: "golden-*"}),
			prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks:   looks(3, time.Minute, "empty=all:0 hidden=all:1 shared=all:3 discovery=1 producer/images=1"+proven),
		},
		{
			name: "the API is upgraded", opts: forNobody(private), prepare: func(w *fakecloud.Cloud) { w.SetBefore25(true) },
			looks: []look{
				{want: "private=all:0" + proven},
				{after: time.Minute, do: func(b *bench) { b.world.SetBefore25(false) }, want: "private=none" + proven},
			},
		},
		{
			name: "the image is shared between its record and its list", opts: forNobody(private, theirs),
			prepare: func(w *fakecloud.Cloud) {
				twoPrivate(w)
				for _, id := range []string{private, theirs} {
					once(w, about("list_members", id), func() {
						w.SetImage(id, func(img *fakecloud.Image) { img.Visibility = "shared" })
						w.Share(id, consumerA)
					})
				}
			},
			looks: []look{
				// The other one is asked for within a minute; until then nothing is known.
				{want: "private=unproven theirs=all:1 producer/members=0"},
				{after: 15 * time.Second, want: "private=unproven theirs=all:1 producer/members=0"},
			},
		},
		{
			name: "the record that follows is not read", opts: forNobody(private),
			prepare: func(w *fakecloud.Cloud) {
				w.SetBefore25(true)
				w.Inject(fakecloud.Fault{Match: about("get_image", private), Status: 503})
			},
			looks: []look{{want: "private=unproven producer/members=0"}},
		},
		{
			name: "an answer that contradicts, and the record that follows is not read", opts: forNobody(private),
			looks: []look{
				{want: "private=none"},
				{after: 59 * time.Minute, do: func(b *bench) {
					b.world.SetBefore25(true)
					b.world.Inject(fakecloud.Fault{Match: about("get_image", private), Status: 503})
				}, want: "private=none"},
				{after: 2 * time.Minute, want: "private=unproven producer/members=0"},
			},
		},
		{
			name: "members_for has private", opts: func() collector.Options {
				opts := forNobody(private)
				opts.MembersFor = []client.Visibility{client.Shared, client.Private}
				return opts
			}(), looks: looks(3, time.Minute, "private=unread:403"),
		},
		{
			name: "an image that was shared before", opts: forNobody(private, shared),
			prepare: func(w *fakecloud.Cloud) {
				w.SetImage(private, func(img *fakecloud.Image) { img.Visibility = "shared" })
				w.Inject(fakecloud.Fault{
					Match:  func(r fakecloud.Request) bool { return r.Operation == "list_members" && r.ImageID != shared },
					Status: 500,
				})
			},
			looks: []look{
				{want: "private=unread:500 shared=all:3" + proven},
				{after: time.Minute, do: func(b *bench) {
					membersFirst(b.world)
					b.world.SetImage(private, func(img *fakecloud.Image) { img.Visibility = "private" })
				}, want: "private=unread:500 shared=all:3" + proven},
			},
		},
	})
}

// withoutImages is a cloud in which there is nothing to see.
func withoutImages() *fakecloud.Cloud {
	w := newWorld()
	for _, id := range []string{shared, empty, private, community, public, hidden} {
		w.RemoveImage(id)
	}
	return w
}

// plainLook matches the requests for what a view can see.
func plainLook(r fakecloud.Request) bool {
	return r.Operation == "list_images" && r.RawQuery == "limit=100"
}

// wantPlainLooks fails the test unless what a view can see was asked for so often, two minutes apart.
func wantPlainLooks(want int) func(*testing.T, *bench) {
	return func(t *testing.T, b *bench) {
		var asked []fakecloud.Request
		for _, r := range b.world.Requests() {
			if plainLook(r) {
				asked = append(asked, r)
			}
		}
		if len(asked) != want || apart(asked) < 2*time.Minute {
			t.Errorf("%d requests for what the view can see, %s apart, want %d", len(asked), apart(asked), want)
		}
	}
}

func TestE13EveryImageWasFound(t *testing.T) {
	everywhere := collector.Rule{Owners: []string{collector.AllOwners}}
	nowAndThen := findingForNobody(everywhere)
	nowAndThen.DiscoveryInterval = 10 * time.Minute
	ownNowAndThen := findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}})
	ownNowAndThen.DiscoveryInterval = 10 * time.Minute
	hideAll := policy(fakecloud.Policy{GetImage: never})
	const rest = " discovery=1 producer/images=1 producer/members=1"
	paged := func() *fakecloud.Cloud { return newWorldWith(fakecloud.Options{MaxPageSize: 2}) }
	withoutPrivate := func(w *fakecloud.Cloud) { w.RemoveImage(private) }
	// Glance checks whether an image can have members first.
	lost := strings.NewReplacer("all:0", "unread:404", "all:1", "unread:404", "all:3", "unread:404", "none", "unread:403").
		Replace(wholeOfProducer)
	inSituations(t, []situation{
		{
			name: "get_image hides everything", opts: findingForNobody(collector.Rule{}),
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetImage: never}) },
			looks:   looks(8, time.Minute, "discovery=0 producer/images=0"), check: wantPlainLooks(4),
		},
		{
			name: "it does so later", opts: findingForNobody(collector.Rule{}),
			looks: []look{
				{want: wholeOfProducer + rest},
				{after: time.Minute, do: hideAll, want: lost + " discovery=0 producer/images=0 producer/members=1"},
				{after: time.Minute, want: lost + " discovery=0 producer/images=0 producer/members=1"},
				{after: time.Minute, do: policy(fakecloud.Policy{}), want: wholeOfProducer + rest},
			},
		},
		{
			name: "an owner without images", connect: loginOf("consumer-b"), opts: findingForNobody(collector.Rule{}),
			looks: looks(8, time.Minute, "discovery=1 B/images=1"), check: wantPlainLooks(3),
		},
		{
			name: "a cloud without images", world: withoutImages, opts: findingForNobody(collector.Rule{}),
			looks: append(looks(8, time.Minute, "discovery=0 producer/images=0"), look{after: time.Minute, do: func(b *bench) {
				b.world.AddImage(fakecloud.Image{ID: empty, Name: "canary", Owner: producer, Status: "queued"})
			}, want: "empty=all:0" + rest}),
		},
		{
			name: "nothing but a hidden image", world: withoutImages, opts: findingForNobody(collector.Rule{Name: "none"}),
			prepare: func(w *fakecloud.Cloud) {
				w.AddImage(fakecloud.Image{ID: hidden, Owner: producer, Hidden: true, Visibility: "private"})
			},
			looks: looks(3, time.Minute, "discovery=1 producer/images=1"), check: wantPlainLooks(0),
		},
		{
			name:  "rows are dropped from a page that has a next one",
			world: paged,
			opts:  findingForNobody(collector.Rule{}),
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{GetImage: func(c fakecloud.Caller) bool { return c.Visibility != "community" }})
			},
			looks: looks(2, time.Minute,
				"empty=all:0 hidden=all:1 private=none public=none shared=all:3 discovery=0 producer/images=1 producer/members=1"),
		},
		{
			name: "a server that lowers the limit", world: paged, opts: findingForNobody(collector.Rule{}),
			looks: looks(2, time.Minute, wholeOfProducer+rest),
		},
		{
			name:    "every project's, and the administrator is proven by a private image",
			connect: loginOf("admin"), opts: findingForNobody(everywhere),
			looks: looks(8, time.Minute, wholeOfProducer+" discovery=1 admin/administrator=1 admin/images=1 admin/members=1"),
		},
		{
			name: "every project's, and by a list with rows", connect: loginOf("admin"), opts: findingForNobody(everywhere), prepare: withoutPrivate,
			looks: looks(8, time.Minute,
				strings.Replace(wholeOfProducer, "private=none ", "", 1)+" discovery=1 admin/administrator=1 admin/images=1 admin/members=1"),
		},
		{
			name: "every project's, and nothing proves an administrator", connect: loginOf("admin"), opts: findingForNobody(everywhere),
			prepare: func(w *fakecloud.Cloud) {
				for _, id := range []string{private, shared, hidden} {
					w.RemoveImage(id)
				}
			},
			looks: append(looks(3, time.Minute,
				"community=none empty=some:0 public=none discovery=0 admin/administrator=0 admin/images=1 admin/members=1"),
				look{after: time.Minute, do: func(b *bench) {
					b.world.AddImage(fakecloud.Image{ID: theirs, Name: "canary", Owner: consumerC, Visibility: "private", Status: "queued"})
				}, want: "community=none empty=all:0 public=none theirs=none discovery=1 admin/administrator=1 admin/images=1 admin/members=1"},
			),
		},
		{
			name: "every project's, and context_is_admin is another role", connect: loginOf("admin"), opts: findingForNobody(everywhere),
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{ContextIsAdmin: func([]string) bool { return false }})
			},
			looks: looks(3, time.Minute, "community=none public=none discovery=0 admin/administrator=0 admin/images=1"),
		},
		{
			name:    "another project's, and context_is_admin is another role",
			connect: loginOf("admin"),
			opts:    findingForNobody(collector.Rule{Owners: []string{producer}}),
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{ContextIsAdmin: func([]string) bool { return false }})
			},
			looks: looks(3, time.Minute, "community=none public=none discovery=0 admin/administrator=0 admin/images=1"),
		},
		{
			name:    "another project's, by an administrator",
			connect: loginOf("admin"),
			opts:    findingForNobody(collector.Rule{Owners: []string{producer}}),
			looks:   looks(3, time.Minute, wholeOfProducer+" discovery=1 admin/administrator=1 admin/images=1 admin/members=1"),
		},
		{
			name: "now and then, every project's", connect: loginOf("admin"), opts: nowAndThen,
			looks: looks(25, time.Minute, wholeOfProducer+" discovery=1 admin/administrator=1 admin/images=1 admin/members=1"),
		},
		{
			name: "now and then, and hidden meanwhile", opts: ownNowAndThen,
			looks: []look{
				{want: "empty=all:0 hidden=all:1 shared=all:3" + rest},
				{after: time.Minute, do: hideAll, want: "empty=unread:404 hidden=unread:404 shared=unread:404" + rest},
				{after: 10 * time.Minute, want: "empty=unread:404 hidden=unread:404 shared=unread:404 discovery=0 producer/images=0"},
				{after: time.Minute, do: policy(fakecloud.Policy{}), want: "empty=all:0 hidden=all:1 shared=all:3" + rest},
			},
		},
	})
}

func TestE14NobodyElseShares(t *testing.T) {
	inbound := func() *fakecloud.Cloud { return newInboundWorld(fakecloud.Options{}) }
	lone := func() *fakecloud.Cloud { // one image of the vendor's
		w := withoutImages()
		w.AddProjectID(vendor, "vendor")
		w.AddImage(fakecloud.Image{ID: vendorBase, Name: "base", Owner: vendor})
		w.AddMember(vendorBase, fakecloud.Member{MemberID: producer, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
		return w
	}
	opts := withInbound(options())
	one := func(body string) func(*fakecloud.Cloud) {
		return func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_members", vendorBase), Status: 200, Body: body})
		}
	}
	const unknown = "inbound=0 in:base= producer/images=1"
	inSituations(t, []situation{
		{name: "one image", world: lone, opts: opts, looks: looks(3, time.Minute, "inbound=1 in:base=accepted producer/images=1")},
		{name: "no row", world: lone, opts: opts, prepare: one(rowsOf()), looks: looks(3, time.Minute, unknown)},
		{
			name: "get_member hides rows of others' images", world: lone, opts: opts,
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetMember: ofOwn}) },
			looks:   looks(3, time.Minute, unknown),
		},
		{
			name: "two rows of the project", world: lone, opts: opts,
			prepare: one(`{"members": [{"member_id": "` + producer + `", "status": "accepted"}, {"member_id": "` +
				producer + `", "status": "rejected"}]}`),
			looks: looks(3, time.Minute, unknown),
		},
		// Only an administrator gets such a list, and the listing may then have images that nobody shares with the project.
		{
			name:    "rows of other projects alone",
			world:   lone,
			opts:    opts,
			prepare: one(rowsOf(consumerA)),
			looks:   looks(3, time.Minute, "inbound=0 producer/images=1"),
		},
		{
			name: "get_image hides everything", world: inbound, opts: opts,
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.Policy{GetImage: never}) },
			looks:   looks(3, time.Minute, "inbound=0 producer/images=0"),
		},
		{
			name: "it does so later", world: lone, opts: opts,
			looks: []look{
				{want: "inbound=1 in:base=accepted producer/images=1"},
				{after: time.Minute, do: policy(fakecloud.Policy{GetImage: never}), want: "inbound=0 in:base= producer/images=0"},
				{after: time.Minute, want: "inbound=0 in:base= producer/images=0"},
				{after: time.Minute, do: policy(fakecloud.Policy{}), want: "inbound=1 in:base=accepted producer/images=1"},
			},
		},
		{
			name:  "nobody shares, and nothing can be seen",
			world: withoutImages,
			opts:  opts,
			looks: looks(3, time.Minute, "inbound=0 producer/images=0"),
		},
		{
			name: "nobody shares, and others' images can be seen", connect: loginOf("consumer-b"), opts: opts,
			prepare: func(w *fakecloud.Cloud) { w.Unshare(shared, consumerB) },
			looks:   looks(8, time.Minute, "inbound=1 B/images=1"), check: wantPlainLooks(3),
		},
		{
			name:  "rows are dropped from a page",
			world: func() *fakecloud.Cloud { return newInboundWorld(fakecloud.Options{MaxPageSize: 3}) },
			opts:  opts,
			prepare: func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{GetImage: func(c fakecloud.Caller) bool { return c.Own || c.Owner == vendor }})
			},
			looks: looks(2, time.Minute, "inbound=0 in:base=accepted in:base-next=pending in:base-old=accepted producer/images=1"),
		},
	})
}

func TestE14OnHuaweiCloud(t *testing.T) {
	key := func(*fakecloud.Cloud) client.Options { return byKey(client.MembersV2) }
	opts := withInbound(onIMS())
	inSituations(t, []situation{
		{
			name: "each status, with the visibility", world: newHuawei, connect: key, opts: opts,
			looks: looks(2, time.Minute, "inbound=1 in:another project's=accepted producer/images=1"),
			check: func(t *testing.T, b *bench) {
				statuses := 0
				for _, r := range requestsOf(b.world, "list_images", "") {
					if strings.Contains(r.RawQuery, "member_status") {
						statuses++
						if !strings.Contains(r.RawQuery, "visibility=shared") {
							t.Errorf("without the visibility: %s", r.RawQuery)
						}
					}
				}
				if statuses < 3 {
					t.Errorf("%d listings of a status", statuses)
				}
			},
		},
		{
			name: "a row of a domain", world: newHuawei, connect: key, opts: opts,
			prepare: func(w *fakecloud.Cloud) {
				// Two listings have it, so that it is asked for alone.
				for _, status := range []string{"pending", "rejected"} {
					w.AddMember(strange, fakecloud.Member{MemberID: producer, Status: status, CreatedAt: t0, UpdatedAt: t0})
				}
				w.Inject(fakecloud.Fault{
					Match: about("list_members", strange), Status: 200,
					Body: `{"members": [{"member_id": "d", "member_type": "domain", "status": "accepted"}], "page_info": {"current_count": 1}}`,
				})
			},
			looks: looks(2, time.Minute, "inbound=1 in:another project's= producer/images=1"),
		},
		{
			name: "no row", world: newHuawei, connect: key, opts: opts,
			prepare: func(w *fakecloud.Cloud) {
				for _, status := range []string{"pending", "rejected"} {
					w.AddMember(strange, fakecloud.Member{MemberID: producer, Status: status, CreatedAt: t0, UpdatedAt: t0})
				}
				w.Inject(fakecloud.Fault{Match: about("list_members", strange), Status: 200, Body: rowsOf()})
			},
			looks: looks(2, time.Minute, "inbound=0 in:another project's= producer/images=1"),
		},
	})
}

func TestE15GoneAfterTwoLooks(t *testing.T) {
	opts := findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}})
	const all, without, rest = "empty=all:0 hidden=all:1 shared=all:3", "empty=all:0 hidden=all:1", " discovery=1 producer/images=1 " +
		"producer/members=1"
	const missing = without + " shared=unread:404" + rest
	remove := func(ids ...string) func(*bench) {
		return func(b *bench) {
			for _, id := range ids {
				b.world.RemoveImage(id)
			}
		}
	}
	lone := func() *fakecloud.Cloud { // others' public images can be seen, and one own image
		w := newWorld()
		for _, id := range []string{shared, empty, private, community, hidden} {
			w.RemoveImage(id)
		}
		w.SetImage(public, func(img *fakecloud.Image) { img.Owner = consumerB })
		w.AddImage(fakecloud.Image{ID: empty, Name: "golden", Owner: producer})
		return w
	}
	inSituations(t, []situation{
		{
			name: "deleted", opts: opts,
			looks: []look{
				{want: all + rest},
				{after: time.Minute, do: remove(shared), want: missing},
				{after: 5 * time.Second, want: missing}, // that is the same look
				{after: 5 * time.Second, want: without + rest + " left:shared=deleted"},
				{after: 59 * time.Minute, want: without + rest + " left:shared=deleted"},
				{after: 2 * time.Minute, want: without + rest},
			},
		},
		{
			name: "it comes back in between", opts: opts,
			looks: []look{
				{want: all + rest},
				{after: time.Minute, do: remove(shared), want: missing},
				{after: time.Minute, do: func(b *bench) {
					b.world.AddImage(fakecloud.Image{ID: shared, Name: "golden-debian-12", Owner: producer})
					for _, id := range []string{consumerA, consumerB, consumerC} {
						b.world.Share(shared, id)
					}
				}, want: all + rest},
				{after: time.Minute, do: remove(shared), want: missing},
				{after: time.Minute, want: without + rest + " left:shared=deleted"},
				{after: time.Minute, do: func(b *bench) {
					b.world.AddImage(fakecloud.Image{ID: shared, Name: "golden-debian-12", Owner: producer})
				}, want: "empty=all:0 hidden=all:1 shared=all:0" + rest},
			},
		},
		{
			name: "a configured one never is", opts: forNobody(shared, empty),
			looks: append([]look{
				{want: "empty=all:0 shared=all:3 producer/members=1"},
				{after: time.Minute, do: remove(shared), want: "empty=all:0 shared=unread:404 producer/members=1"},
			},
				looks(5, time.Minute, "empty=all:0 shared=unread:404 producer/members=1")...),
		},
		{
			name: "all at once", opts: opts,
			looks: append([]look{{want: all + rest}}, append([]look{{
				after: time.Minute, do: remove(shared, empty, hidden, private, community, public),
				want: "empty=unread:404 hidden=unread:404 shared=unread:404 discovery=0 producer/images=0 producer/members=1",
			}}, look{after: 5 * time.Minute, want: "empty=unread:404 hidden=unread:404 shared=unread:404 discovery=0 producer/images=0"},
				look{after: 5 * time.Minute, want: "empty=unread:404 hidden=unread:404 shared=unread:404 discovery=0 producer/images=0"})...),
		},
		{
			name:  "several that leave none, and others' images can be seen",
			opts:  findingForNobody(collector.Rule{}),
			world: lone,
			prepare: func(w *fakecloud.Cloud) {
				w.AddImage(fakecloud.Image{ID: private, Name: "second", Owner: producer, Visibility: "private"})
			},
			looks: append([]look{
				{want: "empty=all:0 private=none" + rest},
				{after: time.Minute, do: remove(empty, private), want: "empty=unread:404 private=unread:404" + rest},
			},
				looks(5, 6*time.Minute, "empty=unread:404 private=unread:404 discovery=1 producer/images=1")...),
		},
		{
			name: "its owner's only image, and others' images can be seen", opts: findingForNobody(collector.Rule{}), world: lone,
			looks: []look{
				{want: "empty=all:0" + rest},
				{after: 3 * time.Minute, do: remove(empty), want: "empty=unread:404" + rest},
				{after: 3 * time.Minute, want: "discovery=1 producer/images=1 left:empty=deleted"},
			},
		},
		{
			name:    "its owner's only image, and nothing can be seen",
			opts:    findingForNobody(collector.Rule{}),
			world:   lone,
			prepare: func(w *fakecloud.Cloud) { w.RemoveImage(public) },
			looks: append([]look{
				{want: "empty=all:0" + rest},
				{after: 3 * time.Minute, do: remove(empty), want: "empty=unread:404 discovery=0 producer/images=0 producer/members=1"},
			},
				looks(5, 6*time.Minute, "empty=unread:404 discovery=0 producer/images=0")...),
		},
		{
			name: "get_image hides one", opts: opts,
			looks: []look{
				{want: all + rest},
				// The image API's 404 names no image then.
				{after: time.Minute, do: func(b *bench) {
					b.world.SetPolicy(fakecloud.Policy{GetImage: func(c fakecloud.Caller) bool { return c.Visibility != "private" }})
					b.world.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "private" })
				}, want: without + " shared=unread:403" + rest},
				{after: time.Minute, want: without + " shared=unread:403" + rest},
				{after: time.Minute, want: without + " shared=unread:403" + rest},
			},
		},
		{
			name: "one scrape alone", opts: opts,
			looks: []look{{want: all + rest}, {after: time.Minute, do: remove(shared), want: missing}},
		},
	})
	// A scrape that began before the first look ended is no second one.
	t.Run("scrapes that overlap", func(t *testing.T) {
		bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
			b.scrape(t)
			time.Sleep(time.Minute)
			b.world.RemoveImage(shared)
			b.world.SetLatency(8 * time.Second)
			done := make(chan string)
			scrape := func(after, timeout time.Duration) {
				time.Sleep(after)
				done <- reported(t, b.cloud.Collect(t.Context(), collector.Limits{Timeout: timeout}))
			}
			go scrape(0, 50*time.Second)
			go scrape(11*time.Second, 20*time.Second) // too short to join
			for range 2 {
				if got := <-done; strings.Contains(got, "left:") {
					t.Errorf("got %s", got)
				}
			}
		})
	})
}

func TestE15InboundImages(t *testing.T) {
	lone := func() *fakecloud.Cloud {
		w := withoutImages()
		w.AddProjectID(vendor, "vendor")
		w.AddImage(fakecloud.Image{ID: vendorBase, Name: "base", Owner: vendor})
		w.AddMember(vendorBase, fakecloud.Member{MemberID: producer, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
		w.AddImage(fakecloud.Image{ID: public, Name: "public", Owner: consumerB, Visibility: "public"})
		return w
	}
	withdraw := func(b *bench) { b.world.Unshare(vendorBase, producer) }
	const there = "inbound=1 in:base=accepted producer/images=1"
	inSituations(t, []situation{
		{
			name: "withdrawn", world: lone, opts: withInbound(options()),
			looks: []look{
				{want: there},
				{after: 3 * time.Minute, do: withdraw, want: "inbound=0 in:base= producer/images=1"},
				{after: 5 * time.Second, want: "inbound=0 in:base= producer/images=1"},
				{after: 3 * time.Minute, want: "inbound=1 producer/images=1"},
			},
		},
		{
			name: "withdrawn, with a scrape every 30 seconds", world: lone, opts: withInbound(options()),
			looks: append([]look{{want: there}, {after: 30 * time.Second, do: withdraw, want: "inbound=0 in:base= producer/images=1"}},
				append(looks(4, 30*time.Second, "inbound=0 in:base= producer/images=1")[:3],
					look{after: 30 * time.Second, want: "inbound=1 producer/images=1"})...),
		},
		{
			name: "nothing can be seen", world: lone, opts: withInbound(options()), prepare: func(w *fakecloud.Cloud) { w.RemoveImage(public) },
			looks: append([]look{{want: there}, {after: 3 * time.Minute, do: withdraw, want: "inbound=0 in:base= producer/images=0"}},
				looks(5, 3*time.Minute, "inbound=0 in:base= producer/images=0")...),
		},
		{
			name: "a gateway does not find it", world: lone, opts: withInbound(options()),
			looks: append([]look{{want: there}, {after: 3 * time.Minute, do: func(b *bench) {
				withdraw(b)
				b.world.Inject(fakecloud.Fault{
					Match: about("", vendorBase), Status: 404,
					Body: `{"error_msg": "no such API", "error_code": "APIGW.0101"}`,
				})
			}, want: "inbound=0 in:base= producer/images=1"}}, looks(5, 3*time.Minute, "inbound=0 in:base= producer/images=1")...),
		},
	})
}

// What is gone does not come back with an older listing, and not with a record that only a listing had.
func TestE15OlderListing(t *testing.T) {
	opts := findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}})
	opts.DiscoveryInterval = 5 * time.Minute
	const rest, proven = "empty=all:0 hidden=all:1", " discovery=1 producer/images=1 producer/members=1"
	gone := rest + proven + " left:shared=deleted"
	inSituations(t, []situation{{
		name: "deleted", opts: opts,
		looks: append([]look{
			{want: rest + " shared=all:3" + proven},
			{after: 30 * time.Second, do: func(b *bench) { b.world.RemoveImage(shared) }, want: rest + " shared=unread:404" + proven},
		}, looks(20, 30*time.Second, gone)...),
	}})
}

// A gateway's 404 says nothing about an image.
func TestE16Gateways(t *testing.T) {
	opts := findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}})
	const rest = " discovery=1 producer/images=1 producer/members=1"
	var situations []situation
	for name, body := range map[string]string{
		"APIGW.0101": `{"error_msg": "The API does not exist or has not been published in the environment", "error_code": "APIGW.0101", ` +
			`"request_id": "1"}`,
		"a page": "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<center><h1>404 Not " +
			"Found</h1></center>\n<hr><center>nginx</center>\n</body>\n</html>",
		"the path": `{"code": "404 Not Found", "title": "Not Found", "message": "no route for /v2/images/` + shared + `"}`,
		"nothing":  "",
	} {
		situations = append(situations, situation{
			name: name, opts: opts,
			looks: append([]look{{want: "empty=all:0 hidden=all:1 shared=all:3" + rest}, {after: time.Minute, do: func(b *bench) {
				b.world.RemoveImage(shared)
				b.world.Inject(fakecloud.Fault{Match: about("", shared), Status: http.StatusNotFound, Body: body})
			}, want: "empty=all:0 hidden=all:1 shared=unread:404" + rest}},
				looks(5, time.Minute, "empty=all:0 hidden=all:1 shared=unread:404"+rest)...),
		})
	}
	situations = append(situations, situation{
		name: "nothing at all is there", opts: opts,
		looks: append([]look{{want: "empty=all:0 hidden=all:1 shared=all:3" + rest}, {after: time.Minute, do: func(b *bench) {
			b.world.Inject(fakecloud.Fault{Match: ofImageService, Status: http.StatusNotFound})
		}, want: "empty=unread:404 hidden=unread:404 shared=unread:404 discovery=0 producer/members=1"}},
			looks(3, time.Minute, "empty=unread:404 hidden=unread:404 shared=unread:404 discovery=0 producer/members=1")...),
	})
	inSituations(t, situations)
}

// Its own record says that an image is no longer watched, and the log whether it had an unexpected member.
func TestE17Unmatched(t *testing.T) {
	rule := collector.Rule{Name: "golden-*", Visibility: []client.Visibility{client.Shared, client.Community}, Tags: []string{"golden"}}
	opts := findingForNobody(rule)
	world := func() *fakecloud.Cloud {
		w := newWorld()
		for _, id := range []string{shared, empty} {
			w.SetImage(id, func(img *fakecloud.Image) { img.Tags = []string{"golden"} })
		}
		return w
	}
	logged := func(unexpected string) func(*testing.T, *bench) {
		return func(t *testing.T, b *bench) {
			lines := strings.Join(b.log.take(), "\n")
			for _, want := range []string{
				"no longer matches a rule", "image_id=" + shared,
				"image_name=golden-debian-12", "unexpected_member=" + unexpected,
			} {
				if !strings.Contains(lines, want) {
					t.Errorf("the log lacks %q:\n%s", want, lines)
				}
			}
		}
	}
	const both, one, rest = "empty=all:0 shared=all:3", "empty=all:0", " discovery=1 producer/images=1 producer/members=1"
	var situations []situation
	for name, change := range map[string]func(*fakecloud.Image){
		"renamed":  func(img *fakecloud.Image) { img.Name = "mine" },
		"retagged": func(img *fakecloud.Image) { img.Tags = []string{"silver"} },
		"private":  func(img *fakecloud.Image) { img.Visibility = "private" },
	} {
		situations = append(situations, situation{
			name: name, world: world, opts: opts,
			looks: []look{
				{want: both + rest},
				{after: time.Minute, do: setImage(shared, change), want: one + rest + " left:shared=unmatched"},
				{after: 59 * time.Minute, want: one + rest + " left:shared=unmatched"},
				{after: 2 * time.Minute, want: one + rest},
			},
			check: logged("true"),
		})
	}
	without := findingForNobody(rule)
	without.Discover[0].Name = "golden-e*"
	situations = append(situations,
		situation{
			name: "and comes back", world: world, opts: opts,
			looks: []look{
				{want: both + rest},
				{
					after: time.Minute,
					do:    setImage(shared, func(img *fakecloud.Image) { img.Name = "mine" }),
					want:  one + rest + " left:shared=unmatched",
				},
				{after: time.Minute, do: setImage(shared, func(img *fakecloud.Image) { img.Name = "golden-debian-12" }), want: both + rest},
			},
		},
		situation{
			name: "the configuration changed", world: world, opts: opts,
			looks: []look{
				{want: both + rest},
				{after: time.Minute, do: func(b *bench) { b.cloud.SetOptions(without) }, want: one + rest},
				{after: time.Minute, want: one + rest},
			},
			check: func(t *testing.T, b *bench) {
				if lines := strings.Join(b.log.take(), "\n"); strings.Contains(lines, "no longer") {
					t.Errorf("the log names an image that the configuration left out:\n%s", lines)
				}
			},
		},
		situation{
			name: "given to another project that a rule does not take", world: world, opts: opts,
			looks: []look{
				{want: both + rest},
				{after: time.Minute, do: func(b *bench) {
					b.world.SetImage(shared, func(img *fakecloud.Image) { img.Owner = consumerB })
					b.world.Share(shared, producer)
				}, want: one + rest + " left:shared=unmatched"},
			},
		})
	skips := findingForNobody(rule)
	skips.Discover = []collector.Rule{skip(collector.Rule{Tags: []string{"scratch"}}), skips.Discover[0]}
	listed := skips
	listed.Images = forNobody(shared).Images
	toScratch := setImage(shared, func(img *fakecloud.Image) { img.Tags = append(img.Tags, "scratch") })
	situations = append(situations,
		situation{
			name: "skipped", world: world, opts: skips,
			looks: []look{
				{want: both + rest},
				{after: time.Minute, do: toScratch, want: one + rest + " left:shared=unmatched"},
				{after: 59 * time.Minute, want: one + rest + " left:shared=unmatched"},
				{after: 2 * time.Minute, want: one + rest},
			},
			check: func(t *testing.T, b *bench) {
				lines := strings.Join(b.log.take(), "\n")
				want := `msg="a rule now skips a discovered image; it is no longer watched" image_id=` +
					shared + " image_name=golden-debian-12 owner_id=" +
					producer + " unexpected_member=true"
				if strings.Count(lines, want) != 1 {
					t.Errorf("the log lacks %q:\n%s", want, lines)
				}
			},
		},
		situation{
			name: "skipped while the listing fails", world: world, opts: skips,
			looks: []look{
				{want: both + rest},
				{after: time.Minute, do: func(b *bench) {
					toScratch(b)
					b.world.Inject(fakecloud.Fault{
						Match: func(r fakecloud.Request) bool {
							return r.Operation == fakecloud.OpListImages && !strings.Contains(r.RawQuery, "in%3A")
						},
						Status: http.StatusInternalServerError,
					})
				}, want: one + " discovery=0 producer/members=1 left:shared=unmatched"},
			},
		},
		situation{
			name: "skipped by a changed configuration", world: world, opts: findingForNobody(rule),
			looks: []look{
				{do: toScratch, want: both + rest},
				{after: time.Minute, do: func(b *bench) { b.cloud.SetOptions(skips) }, want: one + rest},
			},
		},
		situation{
			name: "skipped, but listed by its ID", world: world, opts: listed,
			looks: []look{{want: both + rest}, {after: time.Minute, do: toScratch, want: both + rest}},
		})
	inSituations(t, situations)
	expected := discovering(rule)
	expected.Discover[0].Policy.Members = expect(consumerA, consumerB, consumerC)
	t.Run("its members were expected", func(t *testing.T) {
		bubble(t, world(), user("producer"), expected, func(t *testing.T, b *bench) {
			b.scrape(t)
			setImage(shared, func(img *fakecloud.Image) { img.Name = "mine" })(b)
			b.scrape(t)
			logged("false")(t, b)
		})
	})
}

// Anybody can set a property on an image that they share.
func TestE18SideFields(t *testing.T) {
	prepare := func(w *fakecloud.Cloud) {
		for _, id := range []string{shared, empty, private} {
			w.SetImage(id, func(img *fakecloud.Image) {
				img.Properties = map[string]string{"__whole_image": "perhaps", "__imagetype": "x", "__lazyloading": "7"}
			})
		}
	}
	odd := `{"images": [{"id": "` + shared + `", "name": "golden-debian-12", "owner": "` + producer + `", "visibility": "shared", "status": "active",
		"tags": {"a": 1}, "os_hidden": "perhaps", "created_at": 7, "__whole_image": ["true"]}]}`
	inSituations(t, []situation{
		{
			name:    "configured",
			opts:    forNobody(shared, empty, private),
			prepare: prepare,
			looks:   looks(2, time.Minute, "empty=all:0 private=none shared=all:3 producer/members=1"),
		},
		{
			name: "discovered", opts: findingForNobody(collector.Rule{}), prepare: prepare,
			looks: looks(2, time.Minute, wholeOfProducer+" discovery=1 producer/images=1 producer/members=1"),
		},
		{
			name: "of other types", opts: findingForNobody(collector.Rule{Name: "golden-*"}),
			prepare: func(w *fakecloud.Cloud) { w.Inject(fakecloud.Fault{Match: list(false, ""), Status: 200, Body: odd}) },
			looks:   looks(2, time.Minute, "hidden=all:1 shared=all:3 discovery=1 producer/images=1 producer/members=1"),
		},
	})
	t.Run("a property of Glance", func(t *testing.T) {
		bubble(t, newWorld(), user("producer"), forNobody(shared), func(t *testing.T, b *bench) {
			b.world.SetImage(shared, func(img *fakecloud.Image) { img.Properties = map[string]string{"__whole_image": "true"} })
			if got := samples(t, b.scrape(t), "glance_image_members_limit"); len(got) != 1 || got[0].value != "128" {
				t.Errorf("it decides: %v", got)
			}
		})
	})
}

// What was found at one endpoint is not gone because another one does not have it.
func TestE19AnotherEndpoint(t *testing.T) {
	world := func() *fakecloud.Cloud { return newWorldWith(fakecloud.Options{TokenLife: 3 * time.Minute}) } // a new token has the new catalog
	opts := findingForNobody(collector.Rule{Visibility: []client.Visibility{client.Shared}})
	const rest = " discovery=1 producer/images=1 producer/members=1"
	const all = "empty=all:0 hidden=all:1 shared=all:3" + rest
	move := func(b *bench) {
		b.world.SetCatalog(fakecloud.Catalog{ImageURL: func(_, _, base string) string { return base + "/regions/RegionTwo/image" }})
	}
	remove := func(b *bench) {
		move(b)
		b.world.RemoveImage(shared)
	}
	lost := "empty=all:0 hidden=all:1 shared=unread:404" + rest
	inSituations(t, []situation{
		{
			name: "an image that is not there", world: world, opts: opts,
			looks: append([]look{{want: all}, {after: 4 * time.Minute, do: remove, want: lost}}, looks(5, time.Minute, lost)...),
		},
		{
			name: "an image that is there, and then not", world: world, opts: opts,
			looks: []look{
				{want: all},
				{after: 4 * time.Minute, do: move, want: all},
				{after: time.Minute, do: func(b *bench) { b.world.RemoveImage(shared) }, want: lost},
				{after: time.Minute, want: "empty=all:0 hidden=all:1" + rest + " left:shared=deleted"},
			},
		},
		{
			name: "proofs do not hold for another endpoint", world: world, opts: forNobody(empty),
			looks: []look{
				{want: "empty=all:0 producer/members=1"},
				{after: 4 * time.Minute, do: func(b *bench) {
					move(b)
					b.world.SetPolicy(fakecloud.Policy{GetMember: byAdmin})
				}, want: "empty=unproven producer/members=0"},
			},
		},
		{
			name: "two endpoints", opts: opts,
			prepare: func(w *fakecloud.Cloud) {
				w.SetCatalog(fakecloud.Catalog{ImageURLs: func(_, _, base string) []string { return []string{base + "/image", base + "/other"} }})
			},
			looks: looks(3, time.Minute, "discovery=0"),
			check: func(t *testing.T, b *bench) {
				if s := b.scrape(t); s.Up || s.State.Paused {
					t.Errorf("up %t, paused %t", s.Up, s.State.Paused)
				}
				wantRequests(t, b, "list_images", "", 0)
			},
		},
	})
}

// A cache has yesterday's answers, with an Age, and they are not read.
func TestE20Caches(t *testing.T) {
	cached := func(c fakecloud.Cache) func(*fakecloud.Cloud) {
		return func(w *fakecloud.Cloud) { w.SetCache(&c) }
	}
	old := func(age string) func(*bench) {
		return func(b *bench) {
			b.world.ClearFaults()
			b.world.Inject(fakecloud.Fault{
				Match: about("list_members", shared), Status: 200, Body: rowsOf(consumerA), Header: http.Header{"Age": {age}},
			})
		}
	}
	const all = "empty=all:0 shared=all:3 producer/members=1"
	inSituations(t, []situation{
		{
			name: "one that honors no-cache", opts: forNobody(shared, empty), prepare: cached(fakecloud.Cache{HonorsNoCache: true}),
			looks: []look{
				{want: all},
				{
					after: time.Minute,
					do:    func(b *bench) { b.world.Unshare(shared, consumerA) },
					want:  "empty=all:0 shared=all:2 producer/members=1",
				},
			},
		},
		{
			name: "one that does not", opts: forNobody(shared, empty), prepare: cached(fakecloud.Cache{}),
			looks: []look{{want: all}, {after: time.Minute, want: "empty=unread:0 shared=unread:0 producer/members=1"}},
		},
		{
			name: "an old answer", opts: forNobody(shared, empty),
			looks: []look{
				{want: all},
				{after: time.Minute, do: old("5"), want: "empty=all:0 shared=all:1 producer/members=1"},
				{after: time.Minute, do: old("6"), want: "empty=all:0 shared=unread:0 producer/members=1"},
			},
		},
	})
}
