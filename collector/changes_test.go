package collector_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

var changeLine = regexp.MustCompile(`msg="image share changed" change=(\S+) image_id=(\S+) image_name=\S*(?: member_type=(\S+) ` +
	`member_id=(\S+) status=(\S+))?(?: expected=(\S+))?$`)

// changed returns the changes that were logged since the last call, without what is empty.
func changed(b *bench) (list []string) {
	for _, line := range b.log.take() {
		if found := changeLine.FindStringSubmatch(line); found != nil {
			parts := slices.DeleteFunc(found[1:], func(s string) bool { return s == "" || s == "project" })
			list = append(list, strings.Join(parts, " "))
		}
	}
	slices.Sort(list)
	return list
}

func TestChanges(t *testing.T) {
	const id, other = "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-666666666666"
	opts := options(shared, empty, public)
	opts.Images[0].Policy = collector.Policy{
		Members: collector.SortMembers([]collector.ExpectedMember{{Type: client.TypeProject, ID: consumerA}}),
	}
	opts.Discover = []collector.Rule{{Tags: []string{"golden"}}}
	bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		w := b.world
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{name: "the first reads", do: func() {}},
			{name: "nothing", do: func() {}},
			{name: "members come and change", do: func() {
				w.AddMember(empty, fakecloud.Member{MemberID: consumerB, Status: "pending"})
				w.AddMember(shared, fakecloud.Member{MemberID: consumerC, Status: "accepted"})
				w.Unshare(shared, consumerB)
			}, want: []string{
				"member_added " + empty + " " + consumerB + " pending", "member_removed " + shared + " " + consumerB + " rejected false",
				"status_changed " + shared + " " + consumerC + " accepted false",
			}},
			{
				name: "an expected member comes and goes", do: func() { w.Unshare(shared, consumerA) },
				want: []string{"member_removed " + shared + " " + consumerA + " accepted true"},
			},
			{name: "a change that cannot be read", do: func() {
				w.AddMember(empty, fakecloud.Member{MemberID: consumerC, Status: "accepted"})
				w.Inject(fakecloud.Fault{Match: about("list_members", empty), Status: 503})
			}},
			{
				name: "it is told when it can be read again", do: w.ClearFaults,
				want: []string{"member_added " + empty + " " + consumerC + " accepted"},
			},
			{name: "rows are hidden", do: func() {
				w.SetPolicy(fakecloud.Policy{GetMember: func(fakecloud.Caller) bool { return false }})
			}},
			{name: "and visible again", do: func() { w.SetPolicy(fakecloud.Policy{}) }},
			{name: "an image opens", do: func() {
				w.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "community" })
				w.SetImage(public, func(img *fakecloud.Image) { img.Visibility = "private" })
			}, want: []string{"closed " + public, "opened " + shared + " false"}},
			{
				name: "and closes", do: func() { w.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "shared" }) },
				want: []string{"closed " + shared},
			},
			{
				name: "an image is private", do: func() { w.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "private" }) },
				want: []string{
					"member_removed " + shared + " " + consumerC + " accepted false",
				},
			},
			{name: "and shared", do: func() { w.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "shared" }) }, want: []string{
				"member_added " + shared + " " + consumerC + " accepted false",
			}},
			{name: "an image is found", do: func() {
				w.AddImage(fakecloud.Image{ID: id, Name: "new", Visibility: "shared", Owner: producer, Tags: []string{"golden"}})
			}, want: []string{"image_added " + id}},
			{
				name: "and has a member", do: func() { w.AddMember(id, fakecloud.Member{MemberID: consumerA, Status: "accepted"}) },
				want: []string{"member_added " + id + " " + consumerA + " accepted"},
			},
			{name: "an image is found that has a member", do: func() {
				w.AddImage(fakecloud.Image{ID: other, Name: "newer", Visibility: "shared", Owner: producer, Tags: []string{"golden"}})
				w.AddMember(other, fakecloud.Member{MemberID: consumerA, Status: "accepted"})
			}, want: []string{"image_added " + other}},
			{name: "other options, the same images", do: func() {
				opts.MembersLimit = 77
				b.cloud.SetOptions(opts)
			}},
			{
				name: "a change after them", do: func() { w.Unshare(id, consumerA) },
				want: []string{"member_removed " + id + " " + consumerA + " accepted"},
			},
			{
				name: "no rule takes it", do: func() { w.SetImage(id, func(img *fakecloud.Image) { img.Tags = nil }) },
				want: []string{"image_removed " + id},
			},
		} {
			step.do()
			s := b.scrape(t)
			if got := changed(b); !slices.Equal(got, step.want) {
				t.Errorf("%s:\ngot  %q\nwant %q\n%v", step.name, got, step.want, s.Err)
			}
			time.Sleep(time.Minute)
		}
		want := map[collector.ChangeKind]uint64{
			collector.MemberAdded: 4, collector.MemberRemoved: 4, collector.StatusChanged: 1, collector.Opened: 1, collector.Closed: 2,
			collector.ImageAdded: 2, collector.ImageRemoved: 1,
		}
		if got := b.cloud.Changes(); !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
	})
}

// Many changes at once have some lines, and all are counted.
func TestManyChanges(t *testing.T) {
	bubble(t, newWorld(), user("producer"), options(empty), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.log.take()
		for i := range 300 {
			b.world.AddMember(empty, fakecloud.Member{MemberID: fmt.Sprintf("%032x", i), Status: "pending"})
		}
		b.scrape(t)
		lines := b.log.take()
		told := 0
		for _, line := range lines {
			if changeLine.MatchString(line) {
				told++
			}
		}
		if told != 100 || !strings.Contains(strings.Join(lines, "\n"), "all are counted\" changes=200") ||
			b.cloud.Changes()[collector.MemberAdded] != 300 {
			t.Errorf("%d lines, %v", told, b.cloud.Changes())
		}
	})
}

// Whatever happens, and whatever cannot be read: the changes that are told lead from one complete list to the next one.
func TestChangesAddUp(t *testing.T) {
	seeds := 40
	for seed := range seeds {
		random := rand.New(rand.NewPCG(1, uint64(seed)))
		bubble(t, newWorld(), user("producer"), options(shared, empty), func(t *testing.T, b *bench) {
			known := map[string]map[string]string{} // the members as told, by image
			for range 20 {
				for range random.IntN(4) {
					id, member := []string{shared, empty}[random.IntN(2)], []string{consumerA, consumerB, consumerC}[random.IntN(3)]
					switch random.IntN(3) {
					case 0:
						b.world.Unshare(id, member)
					default:
						b.world.Unshare(id, member)
						b.world.AddMember(id, fakecloud.Member{MemberID: member, Status: []string{"accepted", "pending", "rejected"}[random.IntN(3)]})
					}
				}
				b.world.ClearFaults()
				if random.IntN(3) == 0 {
					b.world.Inject(fakecloud.Fault{Match: about("list_members", []string{shared, empty}[random.IntN(2)]), Status: 500})
				}
				s := b.scrape(t)
				told := changed(b)
				for i := range s.Images {
					img := &s.Images[i]
					if !img.Complete() {
						if strings.Contains(strings.Join(told, "\n"), img.ID) {
							t.Fatalf("seed %d: %s was not read completely, and changed: %q", seed, img.ID, told)
						}
						continue
					}
					now := map[string]string{}
					for _, m := range img.Members {
						now[m.ID] = string(m.Status)
					}
					if before, ok := known[img.ID]; ok {
						apply(t, before, img.ID, told)
						if !maps.Equal(before, now) {
							t.Fatalf("seed %d: %s has %v, and by what was told %v: %q", seed, img.ID, now, before, told)
						}
					}
					known[img.ID] = now
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// apply changes the members of an image as told, each of which must be a change.
func apply(t *testing.T, members map[string]string, id string, told []string) {
	t.Helper()
	for _, line := range told {
		f := strings.Fields(line)
		if f[1] != id {
			continue
		}
		kind, member, status := f[0], f[2], f[3]
		old, had := members[member]
		switch {
		case kind == "member_added" && !had, kind == "status_changed" && had && old != status:
			members[member] = status
		case kind == "member_removed" && had && old == status:
			delete(members, member)
		default:
			t.Fatalf("%s, but before it was %q", line, old)
		}
	}
}
