package collector_test

import (
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// unreachable reports whether the second of two rules is refused.
func unreachable(t *testing.T, first, second collector.Rule) bool {
	t.Helper()
	err := discovering(first, second).Validate()
	if err != nil && !strings.Contains(err.Error(), "can never match") {
		t.Fatalf("%+v %+v: %v", first, second, err)
	}
	return err != nil
}

func TestRulesThatCanNeverMatch(t *testing.T) {
	name := func(glob string) collector.Rule { return collector.Rule{Name: glob} }
	owners := func(ids ...string) collector.Rule { return collector.Rule{Owners: ids} }
	tags := func(tags ...string) collector.Rule { return collector.Rule{Tags: tags} }
	visible := func(v ...client.Visibility) collector.Rule { return collector.Rule{Visibility: v} }
	for _, test := range []struct {
		first, second collector.Rule
		want          bool
	}{
		{name(""), name("golden"), true},
		{name("*"), name("golden"), true},
		{name("**"), name(""), true},
		{name("golden-*"), name("golden-debian"), true},
		{name("golden-*"), name("golden-debian-*"), true},
		{name("*a*"), name("b*a?"), true},
		{name("golden-debian"), name("golden-*"), false},
		{name("golden-*"), name(""), false},
		{name("golden-*"), name("*"), false},
		{name("a?"), name("a?"), true},
		{name("a?"), name("ab"), false}, // true, but not worth an analysis
		{name("*b*"), name("[ab]"), false},
		{tags("a"), tags("a", "b"), true},
		{tags("a", "b"), tags("a"), false},
		{tags("a"), tags("b"), false},
		{visible(client.Shared, client.Public), visible(client.Public), true},
		{visible(client.Shared), visible(client.Shared, client.Public), false},
		{visible(client.Shared), visible(), false},
		{visible(), visible(client.Shared), true},
		{owners("*"), owners(), true},
		{owners("*"), owners("x"), true},
		{owners("x", "y"), owners("y"), true},
		{owners("x"), owners("x", "y"), false},
		{owners(), owners("x"), false}, // x may be the credential's project, or not
		{owners("x"), owners(), false},
		{owners(), owners("*"), false},
		{owners(), owners(), true},
	} {
		if got := unreachable(t, test.first, test.second); got != test.want {
			t.Errorf("%+v before %+v: unreachable %t, want %t", test.first, test.second, got, test.want)
		}
	}
}

// A rule that is refused must not be one that could have matched: the operator would look for a mistake that is none.
func TestNoRuleIsRefusedWrongly(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string) string {
		b := make([]byte, rng.IntN(5))
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	refused := 0
	for range 20_000 {
		first, second := word("ab**?"), word("ab**?")
		if first == "" || second == "" || !unreachable(t, collector.Rule{Name: first}, collector.Rule{Name: second}) {
			continue
		}
		refused++
		for range 30 {
			name := word("ab")
			taken, _ := path.Match(first, name)
			if matched, _ := path.Match(second, name); matched && !taken {
				t.Fatalf("%q before %q is refused, but only the second takes %q", first, second, name)
			}
		}
	}
	if refused < 1000 {
		t.Errorf("only %d pairs were refused: the test says little", refused)
	}
}

func TestGlobs(t *testing.T) {
	for _, test := range []struct {
		glob, name string
		want       bool
	}{
		{"golden-*", "golden-debian/12", true},
		{"*/12", "golden-debian/12", true},
		{"a/b", "a/b", true},
		{"a?b", "a/b", true},
		{"[!a]b", "bb", true},
		{"[!a]b", "ab", false},
		{"[^a]b", "bb", true},
		{"Golden", "golden", false},
		{`a\*`, "a*", true},
		{`a\*`, "ab", false},
		{"日*", "日本", true},
	} {
		bubble(t, newWorld(), user("producer"), discovering(collector.Rule{Name: test.glob}), func(t *testing.T, b *bench) {
			for id := range imageNames {
				b.world.RemoveImage(id)
			}
			b.world.AddImage(imageOf(producer, test.name))
			if got := len(b.scrape(t).Images) == 1; got != test.want {
				t.Errorf("%q and %q: %t, want %t", test.glob, test.name, got, test.want)
			}
		})
	}
}
