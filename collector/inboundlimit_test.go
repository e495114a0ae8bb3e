package collector_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// shownInbound are the IDs of the inbound images that have series.
func shownInbound(t *testing.T, s collector.Snapshot) (ids []string) {
	t.Helper()
	for _, l := range samples(t, s, "glance_inbound_image_info") {
		ids = append(ids, l.labels["image_id"])
	}
	return ids
}

// offers shares images with the producer. Their IDs are in order.
func offers(w *fakecloud.Cloud, first string, n int, owner, status string) (ids []string) {
	for i := range n {
		id := w.AddImage(fakecloud.Image{ID: fmt.Sprintf("%s-0000-4000-8000-%012d", first, i), Owner: owner, Status: "queued"})
		w.AddMember(id, fakecloud.Member{MemberID: producer, Status: status})
		ids = append(ids, id)
	}
	return ids
}

// Whatever strangers share, they add no more than so many series to a page. All of it is counted, and known.
func TestStrangersCannotFillAPage(t *testing.T) {
	for _, most := range []int{0, 7} {
		world := newInboundWorld(fakecloud.Options{})
		opts := watchingInbound(expect(vendor))
		opts.Inbound.MaxImages = most
		want := most
		if most == 0 {
			want = 100
		}
		bubble(t, world, user("producer"), opts, func(t *testing.T, b *bench) {
			before := strings.Count(page(t, b.scrape(t)), "\nglance_")
			offers(world, "eeeeeeee", 150, stranger, "pending")
			b.log.take()
			for range 2 {
				s := b.scrape(t)
				if after := strings.Count(page(t, s), "\nglance_"); after > before+want*6 {
					t.Errorf("%d series, and %d before", after, before)
				}
				if got := shownInbound(t, s); len(got) != want {
					t.Errorf("%d images are shown, want %d", len(got), want)
				}
				wantSeries := []string{
					`glance_inbound_images{cloud="prod",project_id="` + producer + `",status="accepted"} 2`,
					`glance_inbound_images{cloud="prod",project_id="` + producer + `",status="pending"} 152`,
					`glance_inbound_images{cloud="prod",project_id="` + producer + `",status="rejected"} 1`,
					`glance_inbound_images{cloud="prod",project_id="` + producer + `",status="unknown"} 0`,
					`glance_inbound_success{cloud="prod",project_id="` + producer + `"} 1`,
					`glance_inbound_unexpected_images{cloud="prod",project_id="` + producer + `"} 152`,
				}
				got := series(t, s, "glance_inbound_images", "glance_inbound_unexpected_images", "glance_inbound_success")
				if diff := cmp.Diff(wantSeries, got); diff != "" {
					t.Error(diff)
				}
				if in := s.Inbound[0]; in.LeftOut != 155-want || in.Err != nil {
					t.Errorf("%d are left out, %v", in.LeftOut, in.Err)
				}
			}
			told := strings.Join(b.log.take(), "\n")
			const line = "other projects share more images with a project than inbound.max_images; all are counted, but the rest has no series"
			if strings.Count(told, line) != 1 {
				t.Errorf("the log says\n%s", told)
			}
		})
	}
}

// Which images are shown is always decided in one way: accepted ones of unexpected owners first, then what else they share.
func TestWhichInboundImagesAreShown(t *testing.T) {
	world := newWorld()
	opts := watchingInbound(expect(vendor))
	opts.Inbound.MaxImages = 6
	offers(world, "00000000", 3, vendor, "pending")
	expectedAccepted := offers(world, "11111111", 3, vendor, "accepted")
	pending := offers(world, "22222222", 1, stranger, "pending")
	rejected := offers(world, "33333333", 1, stranger, "rejected")
	accepted := offers(world, "ffffffff", 2, stranger, "accepted")
	bubble(t, world, user("producer"), opts, func(t *testing.T, b *bench) {
		shown := func(lists ...[]string) {
			t.Helper()
			if diff := cmp.Diff(slices.Sorted(slices.Values(slices.Concat(lists...))), shownInbound(t, b.scrape(t))); diff != "" {
				t.Error(diff)
			}
		}
		shown(accepted, pending, rejected, expectedAccepted[:2])
		unexpected := offers(world, "44444444", 2, stranger, "pending") // later IDs take no place from earlier ones of their kind
		shown(accepted, pending, rejected, unexpected)
		offers(world, "55555555", 9, stranger, "pending")
		shown(accepted, pending, rejected, unexpected)
		world.RemoveImage(pending[0])

		// An accepted image keeps its place while its status is not known.
		world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: 500})
		world.Inject(fakecloud.Fault{Match: inboundList("member_status=accepted"), Status: 500})
		if got := shownInbound(t, b.scrape(t)); !slices.Contains(got, accepted[0]) || !slices.Contains(got, accepted[1]) {
			t.Errorf("shown are %v", got)
		}
	})
}

func TestMaxImages(t *testing.T) {
	for _, n := range []int{-1, 5_001} {
		opts := watchingInbound(nil)
		opts.Inbound.MaxImages = n
		want := "inbound.max_images: must be from 1 to 5000, the number of images of each project that have series"
		if diff := cmp.Diff(want, fmt.Sprint(opts.Validate())); diff != "" {
			t.Error(diff)
		}
	}
}
