package collector_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// An approval ends at midnight, also where the image is not read again: then the member is unexpected, and one that is not
// there is not missing.
func TestApprovalsEnd(t *testing.T) {
	midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	entry := func(id string, until time.Time) collector.ExpectedMember {
		return collector.ExpectedMember{Type: client.TypeProject, ID: id, Name: "named", Until: until, Note: "CHG-1"}
	}
	for _, refresh := range []time.Duration{0, 7 * time.Hour} {
		opts := options(shared, empty)
		opts.RefreshInterval = refresh
		opts.Images[0].Policy.Members = collector.SortMembers([]collector.ExpectedMember{
			entry(consumerA, midnight),
			entry(consumerB, time.Time{}), entry(consumerC, midnight.AddDate(0, 0, 1)),
		})
		opts.Images[1].Policy.Members = []collector.ExpectedMember{entry(consumerA, midnight)}
		bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
			b.scrape(t)
			time.Sleep(time.Until(midnight.Add(-time.Minute)))
			said := func() string {
				return strings.Join(series(t, b.scrape(t), "glance_image_unexpected_members", "glance_image_missing_members",
					"glance_image_member_expected"), "\n")
			}
			before := said()
			asked := b.world.Count("list_members")
			time.Sleep(time.Minute)
			after := said()
			if refresh > 0 && b.world.Count("list_members") != asked {
				t.Fatal("the images were read again: the test shows nothing")
			}
			for text, want := range map[string][2]bool{
				`unexpected_members{cloud="prod",image_id="` + shared +
					`",image_name="golden-debian-12"} 0`: {true, false},
				`unexpected_members{cloud="prod",image_id="` + shared +
					`",image_name="golden-debian-12"} 1`: {false, true},
				`missing_members{cloud="prod",image_id="` + empty +
					`",image_name="golden-empty"} 1`: {true, false},
				`missing_members{cloud="prod",image_id="` + empty +
					`",image_name="golden-empty"} 0`: {false, true},
				`member_expected{cloud="prod",image_id="` + shared + `",image_name="golden-debian-12",member_id="` + consumerA +
					`",member_name="named",member_type="project"} 0`: {false, true},
				`member_expected{cloud="prod",image_id="` + shared + `",image_name="golden-debian-12",member_id="` + consumerC +
					`",member_name="named",member_type="project"} 1`: {true, true},
			} {
				if got := [2]bool{strings.Contains(before, text), strings.Contains(after, text)}; got != want {
					t.Errorf("refresh_interval %s: %s: got %v, want %v\n%s\n%s", refresh, text, got, want, before, after)
				}
			}
			s := b.scrape(t)
			rows, _ := s.Rows(imageIn(s, shared), 10)
			if rows[0].ID != consumerA || rows[0].Judgement != collector.UnexpectedMember || rows[0].Note != "CHG-1" ||
				!rows[0].Until.Equal(midnight) {
				t.Errorf("row %+v", rows[0])
			}
			until := series(t, s, "glance_image_member_expected_until_timestamp_seconds")
			if len(until) != 2 || !slices.ContainsFunc(until, func(line string) bool { return strings.Contains(line, consumerA) }) {
				t.Errorf("ends %q", until)
			}
		})
	}
}

// An owner whose approval has ended is unexpected.
func TestApprovalsOfOwnersEnd(t *testing.T) {
	midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	w := newWorld()
	w.AddImage(fakecloud.Image{ID: absent, Name: "vendor", Owner: consumerA, Visibility: "shared"})
	w.AddMember(absent, fakecloud.Member{MemberID: producer, Status: "accepted"})
	opts := options(shared)
	opts.Inbound = &collector.Inbound{
		Owners: []collector.ExpectedMember{{Type: client.TypeProject, ID: consumerA, Name: "vendor", Until: midnight}},
	}
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		for _, want := range []string{"0", "1"} {
			s := b.scrape(t)
			if got := series(t, s, "glance_inbound_unexpected_images"); len(got) != 1 || !strings.HasSuffix(got[0], "} "+want) {
				t.Errorf("want %s, got %q", want, got)
			}
			if got := series(t, s, "glance_inbound_image_info"); len(got) != 1 || !strings.Contains(got[0], `owner_name="vendor"`) {
				t.Errorf("the name does not stay: %q", got)
			}
			time.Sleep(time.Until(midnight))
		}
	})
}
