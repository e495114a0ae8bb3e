package collector

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
)

// Rules that skip images change no listing, wherever they stand.
func TestSkippingChangesNoListing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := func(words ...string) []string {
		return slices.DeleteFunc(slices.Clone(words), func(string) bool { return rng.IntN(2) == 0 })
	}
	rule := func() Rule {
		r := Rule{Tags: some("a", "b"), Owners: some("p", "q", "r")}
		if rng.IntN(3) == 0 {
			r.Owners = []string{AllOwners}
		}
		if rng.IntN(2) == 0 {
			r.Visibility = []client.Visibility{client.Shared}
		}
		return r
	}
	filtered := 0
	for range 5_000 {
		var with, without Options
		for range 1 + rng.IntN(3) {
			watching := rule()
			for range rng.IntN(3) {
				skipping := rule()
				skipping.Skip = true
				with.Discover = append(with.Discover, skipping)
			}
			with.Discover, without.Discover = append(with.Discover, watching), append(without.Discover, watching)
		}
		own, admin := []string{"p", "q"}[:1+rng.IntN(2)], rng.IntN(2) == 0
		want, wantErr := without.queries(own, admin)
		got, err := with.queries(own, admin)
		if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, wantErr) {
			t.Fatalf("%+v\n%v, want %v\n(-want +got):\n%s", with.Discover, err, wantErr, diff)
		}
		if len(want) > 0 && len(want[0].Tags) > 0 {
			filtered++
		}
	}
	if filtered < 500 {
		t.Errorf("only %d listings were filtered by tags: the test says little", filtered)
	}
	alone := Options{Discover: []Rule{{Skip: true, Owners: []string{AllOwners}}}}
	if got, err := alone.queries([]string{"p"}, false); len(got) > 0 || err != nil {
		t.Errorf("a rule that skips images takes listings: %+v, %v", got, err)
	}
}
