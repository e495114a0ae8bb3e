package collector_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// flips makes an image change before each of two requests, so that neither of them brings it.
func flips(
	w *fakecloud.Cloud, image string, first, second func(fakecloud.Request) bool, hide, show func(img *fakecloud.Image),
) (stop func()) {
	return w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
		switch {
		case first(r):
			w.SetImage(image, hide)
		case second(r):
			w.SetImage(image, show)
		}
		return false
	}})
}

func hide(img *fakecloud.Image)   { img.Hidden = true }
func unhide(img *fakecloud.Image) { img.Hidden = false }

// hiddenList matches the listings of hidden images.
func hiddenList(r fakecloud.Request) bool {
	return r.Operation == fakecloud.OpListImages && strings.Contains(r.RawQuery, "os_hidden=true")
}

// An image that others share, and that no listing has because its owner hides it and shows it again meanwhile, is asked for before it is
// called gone (E15).
func TestE15AnInboundImageIsHiddenBetweenListings(t *testing.T) {
	visible := func(r fakecloud.Request) bool { return inboundList("")(r) && !hiddenList(r) }
	for _, test := range []struct {
		name   string
		before func(w *fakecloud.Cloud) (stop func()) // in the first scrape
	}{
		{"whose status was read", func(*fakecloud.Cloud) func() { return func() {} }},
		{"whose status was never read", func(w *fakecloud.Cloud) func() {
			return w.Inject(fakecloud.Fault{Match: about("list_members", vendorBase), Status: http.StatusInternalServerError})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), watchingInbound(expect()), func(t *testing.T, b *bench) {
				stop := test.before(b.world)
				if got := shownInbound(t, b.scrape(t)); !slices.Contains(got, vendorBase) {
					t.Fatalf("got %v", got)
				}
				stop()
				stop = flips(b.world, vendorBase, visible, func(r fakecloud.Request) bool { return inboundList("")(r) && hiddenList(r) }, hide, unhide)
				for range 10 {
					time.Sleep(30 * time.Second)
					if got := inboundOf(b.scrape(t)); got != wholeInbound {
						t.Errorf("got  %s\nwant %s", got, wholeInbound)
					}
				}
				// It is gone when the image API says so twice.
				stop()
				b.world.Unshare(vendorBase, producer)
				gone := strings.Replace(wholeInbound, " base=accepted", "", 1)
				for i := range 3 {
					time.Sleep(30 * time.Second)
					if got := inboundOf(b.scrape(t)); (got == gone) != (i > 0) {
						t.Errorf("scrape %d: got %s", i, got)
					}
				}
			})
		})
	}
}

// So is an image that is shared with the project's domain, which has no status.
func TestE15AnInboundImageOfADomainIsInNoListing(t *testing.T) {
	world := newInboundWorld(fakecloud.Options{Huawei: true, Domain: "account"})
	opts := watchingInbound(nil)
	opts.API, opts.MembersFor = client.IMS, collector.DefaultMembersFor(client.IMS)
	world.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: producer})
	world.Inject(fakecloud.Fault{
		Match: about("list_members", strangeOffer), Status: http.StatusOK,
		Body: `{"members": [{"member_id": "d", "member_type": "domain", "status": "accepted"}], "page_info": {"current_count": 1}}`,
	})
	want := strings.Replace(wholeInbound, "debian-12=pending", "debian-12=", 1)
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, world, byKey(client.MembersV1), opts)
		world.SetStatus(strangeOffer, producer, "pending")
		// In two listings, so that its members are asked for.
		once(world, inboundList("member_status=accepted"), func() { world.SetStatus(strangeOffer, producer, "accepted") })
		if got := inboundOf(b.scrape(t)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		world.SetStatus(strangeOffer, producer, "another one") // which nobody lists
		for range 3 {
			time.Sleep(30 * time.Second)
			if got := inboundOf(b.scrape(t)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	})
}

// A discovered image that no listing has, because it is hidden and shown again meanwhile or has no tag for a while, is asked for, too.
func TestE15ADiscoveredImageFlipsBetweenListings(t *testing.T) {
	listed := func(r fakecloud.Request) bool {
		return r.Operation == fakecloud.OpListImages && strings.Contains(r.RawQuery, "owner=") && !strings.Contains(r.RawQuery, "member_status")
	}
	for _, test := range []struct {
		name       string
		hide, show func(img *fakecloud.Image)
		first      func(r fakecloud.Request) bool
	}{
		{"hidden", hide, unhide, func(r fakecloud.Request) bool { return listed(r) && !hiddenList(r) }},
		{"untagged", func(img *fakecloud.Image) { img.Tags = nil }, func(img *fakecloud.Image) { img.Tags = []string{"golden"} }, listed},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			w.SetImage(shared, func(img *fakecloud.Image) { img.Tags = []string{"golden"} })
			w.SetImage(empty, func(img *fakecloud.Image) { img.Tags = []string{"golden"} })
			opts := discovering(collector.Rule{Tags: []string{"golden"}})
			opts.Concurrency = 1 // one listing after the other
			bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
				b.scrape(t)
				second := func(r fakecloud.Request) bool {
					return listed(r) && hiddenList(r) || r.Operation == fakecloud.OpGetImage && r.ImageID == shared
				}
				if test.name == "untagged" {
					second = about("get_image", shared)
				}
				flips(w, shared, test.first, second, test.hide, test.show)
				for range 10 {
					time.Sleep(30 * time.Second)
					s := b.scrape(t)
					if got := names(s); len(got) != 2 || !s.Discovered {
						t.Errorf("got %v, discovered %t: %v", got, s.Discovered, s.DiscoveryErr)
					}
				}
			})
		})
	}
}

// What only the listings of an administrator had is no image of the project's, and does not stay.
func TestAnAdministratorsListingLeavesNothing(t *testing.T) {
	opts := watchingInbound(nil)
	opts.AdminRoles = nil
	bubble(t, newWorld(), user("admin"), opts, func(t *testing.T, b *bench) { // few images, so that each is asked for alone
		stop := b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusInternalServerError})
		if s := b.scrape(t); len(s.Inbound[0].Images) == 0 || s.Inbound[0].Err == nil {
			t.Errorf("got %s, %v", inboundOf(s), s.Inbound[0].Err)
		}
		stop()
		time.Sleep(30 * time.Second)
		if got := inboundOf(b.scrape(t)); got != "..." {
			t.Errorf("got %s", got)
		}
	})
}
