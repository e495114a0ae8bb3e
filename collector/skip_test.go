package collector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

func skip(r collector.Rule) collector.Rule {
	r.Skip = true
	return r
}

// skipped is the value of glance_skipped_images, or empty.
func skipped(t *testing.T, s collector.Snapshot) string {
	t.Helper()
	lines := series(t, s, "glance_skipped_images")
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimPrefix(strings.Join(lines, "\n"), `glance_skipped_images{cloud="prod"} `)
}

func TestSkip(t *testing.T) {
	all := collector.Rule{}
	lts := collector.Rule{Tags: []string{"lts"}}
	for _, test := range []struct {
		name    string
		rules   []collector.Rule
		change  func(*collector.Options)
		want    string
		skipped string
		idle    []int
	}{
		{name: "nothing", rules: []collector.Rule{all}, want: "community empty hidden private public shared"},
		{name: "by tags", rules: []collector.Rule{skip(lts), all}, want: "empty private public", skipped: "3"},
		{name: "by a glob", rules: []collector.Rule{skip(collector.Rule{Name: "p*"}), all}, want: "community empty hidden shared", skipped: "2"},
		{
			name: "by visibility", rules: []collector.Rule{skip(collector.Rule{Visibility: []client.Visibility{client.Public}}), all},
			want: "community empty hidden private shared", skipped: "1",
		},
		{
			name: "the first rule wins", rules: []collector.Rule{{Visibility: []client.Visibility{client.Shared}}, skip(lts), all},
			want: "empty hidden private public shared", skipped: "1",
		},
		{
			name: "two rules that skip", rules: []collector.Rule{skip(lts), skip(collector.Rule{Tags: []string{"golden"}}), all},
			want: "private public", skipped: "4",
		},
		{
			name: "what no other rule takes", rules: []collector.Rule{skip(lts), {Visibility: []client.Visibility{client.Shared}}},
			want: "empty", skipped: "2",
		},
		{
			name: "no image", rules: []collector.Rule{skip(collector.Rule{Name: "scratch-*"}), all},
			want: "community empty hidden private public shared", skipped: "0", idle: []int{0},
		},
		{
			name: "other projects' images alone", rules: []collector.Rule{skip(collector.Rule{Owners: []string{consumerB}}), all},
			want: "community empty hidden private public shared", skipped: "0", idle: []int{0},
		},
		{
			name: "images win", rules: []collector.Rule{skip(lts), all}, want: "empty hidden private public", skipped: "2",
			change: func(o *collector.Options) { o.Images = []collector.Image{{ID: hidden}} },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, interval := range []time.Duration{0, 5 * time.Minute} {
				opts := discovering(test.rules...)
				opts.DiscoveryInterval = interval
				if test.change != nil {
					test.change(&opts)
				}
				if err := opts.Validate(); err != nil {
					t.Fatal(err)
				}
				bubble(t, newWideWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
					for range 3 {
						s := b.scrape(t)
						if got := watched(s); got != test.want {
							t.Errorf("interval %s: watched %s, want %s", interval, got, test.want)
						}
						if got := skipped(t, s); got != test.skipped {
							t.Errorf("interval %s: %q skipped, want %q", interval, got, test.skipped)
						}
						if !slices.Equal(s.IdleRules, test.idle) {
							t.Errorf("interval %s: idle rules %v, want %v", interval, s.IdleRules, test.idle)
						}
						time.Sleep(time.Minute)
					}
				})
			}
		})
	}
}

// Where a listing is not complete, there may be more images than those counted.
func TestSkippedImagesOfAnIncompleteListing(t *testing.T) {
	bubble(t, newWideWorld(), user("producer"), discovering(skip(collector.Rule{Tags: []string{"lts"}}), collector.Rule{}),
		func(t *testing.T, b *bench) {
			if got := skipped(t, b.scrape(t)); got != "3" {
				t.Errorf("%q skipped", got)
			}
			b.world.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
			if s := b.scrape(t); s.Discovered || skipped(t, s) != "" {
				t.Errorf("discovered %t, %q skipped", s.Discovered, skipped(t, s))
			}
		})
}

// Each shard counts its own, so that the sum is right.
func TestSkippedImagesOfShards(t *testing.T) {
	for _, interval := range []time.Duration{0, 5 * time.Minute} {
		w := newWorld()
		addImages(w, 40)
		opts := discovering(skip(collector.Rule{Name: "image *"}), collector.Rule{})
		opts.DiscoveryInterval = interval
		bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
			for range 2 {
				sum, most := 0, 0
				for k := range 4 {
					s := b.cloud.CollectShard(t.Context(), collector.Shard{Number: k + 1, Of: 4}, limits(9*time.Second))
					sum, most = sum+s.Skipped, max(most, s.Skipped)
				}
				if sum != 40 || most == 40 {
					t.Errorf("interval %s: %d skipped in 4 shards, at most %d in one", interval, sum, most)
				}
			}
		})
	}
}

func TestSkippedImagesInTheBackground(t *testing.T) {
	opts := discovering(skip(collector.Rule{Tags: []string{"lts"}}), collector.Rule{})
	opts.RefreshInterval = time.Minute
	bubble(t, newWideWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		for range 3 {
			if s := b.scrape(t); skipped(t, s) != "3" || watched(s) != "empty private public" {
				t.Errorf("%q skipped, watched %s", skipped(t, s), watched(s))
			}
			time.Sleep(50 * time.Second)
		}
	})
}

// Where it is not known whose an image is, a rule for some owners does not hide it.
func TestAnImageOfUnknownOwnerIsNotSkipped(t *testing.T) {
	world := newWideWorld()
	world.AddImage(fakecloud.Image{ID: absent, Name: "lost", Visibility: "shared"})
	for owners, want := range map[string]string{"": "lost", producer: "lost", collector.AllOwners: ""} {
		first := skip(collector.Rule{Name: "lost"})
		if owners != "" {
			first.Owners = []string{owners}
		}
		bubble(t, world, user("admin"), discovering(first, collector.Rule{Owners: []string{collector.AllOwners}, Name: "los*"}),
			func(t *testing.T, b *bench) {
				got := ""
				for _, img := range b.scrape(t).Images {
					got += img.Name
				}
				if got != want {
					t.Errorf("owners %q: watched %q, want %q", owners, got, want)
				}
			})
	}
}

func TestRulesThatSkipInVain(t *testing.T) {
	golden := collector.Rule{Name: "golden-*"}
	for _, test := range []struct {
		rules []collector.Rule
		want  string
	}{
		{[]collector.Rule{skip(golden), {}}, ""},
		{[]collector.Rule{skip(golden)}, "discover[0].skip: has no effect"},
		{[]collector.Rule{golden, skip(collector.Rule{})}, "discover[1].skip: has no effect"},
		{[]collector.Rule{skip(golden), {Name: "a*"}, skip(collector.Rule{Name: "b*"})}, "discover[2].skip: has no effect"},
		{[]collector.Rule{skip(collector.Rule{}), golden}, "discover[1]: can never match"},
		{[]collector.Rule{golden, skip(golden), {}}, "discover[1]: can never match"},
	} {
		got := fmt.Sprint(discovering(test.rules...).Validate())
		if test.want == "" && got != "<nil>" || !strings.HasPrefix(got, test.want) {
			t.Errorf("%+v: got %s, want %s", test.rules, got, test.want)
		}
	}
}
