package collector_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

func expect(ids ...string) []collector.ExpectedMember {
	members := []collector.ExpectedMember{}
	for _, id := range ids {
		members = append(members, collector.ExpectedMember{Type: client.TypeProject, ID: id})
	}
	return collector.SortMembers(members)
}

// Each case is what is said of an image that has three members, A accepted, B rejected and C pending, or of one like it.
func TestWhatIsJudged(t *testing.T) {
	tests := []struct {
		name   string
		image  string
		policy collector.Policy
		auth   func() (gophercloud.AuthOptions, error)
		opts   func(*collector.Options)
		world  func(*fakecloud.Cloud)
		want   []string
	}{
		{
			name: "no list judges nothing",
			want: nil,
		},
		{
			name: "everybody is expected", policy: collector.Policy{Members: expect(consumerA, consumerB, consumerC)},
			want: []string{"expected_members 3", "unexpected_members 0", "missing_members 0", "A 1", "B 1", "C 1"},
		},
		{
			name: "an empty list expects nobody, whatever the status", policy: collector.Policy{Members: expect()},
			want: []string{"expected_members 0", "unexpected_members 3", "missing_members 0", "A 0", "B 0", "C 0"},
		},
		{
			name: "one is unexpected, one is missing", policy: collector.Policy{Members: expect(consumerA, consumerC, "missing")},
			want: []string{"expected_members 3", "unexpected_members 1", "missing_members 1", "A 1", "B 0", "C 1", "missing 1"},
		},
		{
			name: "names", policy: collector.Policy{Members: []collector.ExpectedMember{
				{Type: client.TypeProject, ID: consumerA, Name: "of the list"}, {Type: client.TypeProject, ID: "missing"},
			}},
			opts: func(o *collector.Options) {
				o.MemberNames = map[string]string{consumerA: "of all", consumerB: "b of all", "missing": "missing of all"}
			},
			want: []string{
				"expected_members 2", "unexpected_members 2", "missing_members 1",
				"A (of the list) 1", "B (b of all) 0", "C 0", "missing (missing of all) 1",
			},
		},
		{
			name:   "a member of another type is another member",
			policy: collector.Policy{Members: []collector.ExpectedMember{{Type: client.TypeDomain, ID: consumerA}}},
			want:   []string{"expected_members 1", "unexpected_members 3", "missing_members 1", "A 0", "A domain 1", "B 0", "C 0"},
		},
		{
			name: "no member details: counts alone", policy: collector.Policy{Members: expect(consumerA, "missing")},
			opts: func(o *collector.Options) { o.MemberDetails = false },
			want: []string{"expected_members 2", "unexpected_members 2", "missing_members 1"},
		},
		{
			name: "no members at all", image: empty, policy: collector.Policy{Members: expect(consumerA)},
			want: []string{"expected_members 1", "unexpected_members 0", "missing_members 1", "A 1"},
		},
		// Partial sight.
		{
			name:   "a member's view: no zero, nobody missing",
			auth:   user("consumer-a"),
			policy: collector.Policy{Members: expect(consumerA, "missing")},
			want:   []string{"expected_members 2", "A 1"},
		},
		{
			name: "a member's view: unexpected", auth: user("consumer-a"), policy: collector.Policy{Members: expect("missing")},
			want: []string{"expected_members 1", "unexpected_members 1", "A 0"},
		},
		{
			name: "a row without an ID is unexpected, and nobody is missing", policy: collector.Policy{Members: expect("a", "missing")},
			world: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusOK, Body: `{"members": [
					{"member_id": "a", "status": "accepted"}, {"status": "accepted"}]}`})
			},
			want: []string{"expected_members 2", "unexpected_members 1", "a 1"},
		},
		{
			name: "not read", policy: collector.Policy{Members: expect(consumerA), Visibility: []client.Visibility{client.Private}},
			world: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusServiceUnavailable})
			},
			want: []string{"visibility_expected 0"},
		},
		{
			name:   "not there",
			image:  absent,
			policy: collector.Policy{Members: expect(consumerA), Visibility: []client.Visibility{client.Private}},
			want:   nil,
		},
		// Visibility.
		{
			name: "the members of a private image are not judged", image: private, policy: collector.Policy{Members: expect(consumerA)},
			want: []string{"expected_members 1"},
		},
		{
			name: "meant to be public", image: public, policy: collector.Policy{Visibility: []client.Visibility{client.Community, client.Public}},
			want: []string{"visibility_expected 1"},
		},
		{
			name: "not meant to be public", image: public, policy: collector.Policy{Visibility: []client.Visibility{client.Shared}},
			want: []string{"visibility_expected 0"},
		},
		{
			name: "a visibility that nobody knows", policy: collector.Policy{Visibility: []client.Visibility{client.Shared}},
			world: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{
					Match: about("list_images", ""), Status: http.StatusOK,
					Body: `{"images": [{"id": "` + shared + `", "owner": "` + producer + `", "visibility": "friends"}]}`,
				})
			},
			want: []string{"visibility_expected 0"},
		},
		{
			name: "a record that cannot be read judges no visibility", policy: collector.Policy{Visibility: []client.Visibility{client.Shared}},
			world: func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
			},
			want: nil,
		},
	}
	names := map[string]string{consumerA: "A", consumerB: "B", consumerC: "C"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := options()
			if test.image == "" {
				test.image = shared
			}
			opts.Images = []collector.Image{{ID: test.image, Policy: test.policy}}
			if test.opts != nil {
				test.opts(&opts)
			}
			if test.auth == nil {
				test.auth = user("producer")
			}
			bubble(t, newWorld(), test.auth, opts, func(t *testing.T, b *bench) {
				if test.world != nil {
					test.world(b.world)
				}
				if diff := cmp.Diff(test.want, judgements(t, b.scrape(t), names)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// judgements is what is judged of a snapshot's images, in short: metric and value, or member and whether it is expected.
func judgements(t *testing.T, s collector.Snapshot, names map[string]string) (lines []string) {
	t.Helper()
	for _, m := range []string{"expected_members", "unexpected_members", "missing_members", "visibility_expected"} {
		for _, sample := range samples(t, s, "glance_image_"+m) {
			lines = append(lines, m+" "+sample.value)
		}
	}
	var members []string
	for _, sample := range samples(t, s, "glance_image_member_expected") {
		line := sample.labels["member_id"]
		if name := names[line]; name != "" {
			line = name
		}
		if kind := sample.labels["member_type"]; kind != "project" {
			line += " " + kind
		}
		if name := sample.labels["member_name"]; name != "" {
			line += " (" + name + ")"
		}
		members = append(members, line+" "+sample.value)
	}
	slices.Sort(members)
	return append(lines, members...)
}

func TestOrderOfMembers(t *testing.T) {
	// consumerA begins with f, B with 4, C with 1: whatever the order, they are found.
	for _, ids := range [][]string{{consumerA, consumerB, consumerC}, {consumerC, consumerA, consumerB, consumerA}} {
		if diff := cmp.Diff(expect(consumerC, consumerB, consumerA), expect(ids...)); diff != "" {
			t.Error(diff)
		}
	}
	unsorted := collector.Policy{
		Members: []collector.ExpectedMember{{Type: client.TypeProject, ID: "b"}, {Type: client.TypeProject, ID: "a"}},
	}
	opts := options()
	opts.Images = []collector.Image{{ID: shared, Policy: unsorted}}
	if err := opts.Validate(); err == nil {
		t.Error("a policy out of order is taken: it would find nobody")
	}
}
