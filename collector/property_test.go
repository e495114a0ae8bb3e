package collector_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// everyKind is what must occur in the random worlds, so that the test cannot pass because nothing happened.
var everyKind = []string{
	"policy get_member",
	"policy get_members",
	"policy get_image",
	"policy get_images",
	"policy context_is_admin",
	"policy new defaults",
	"roles changed",
	"before 2.5", "two endpoints", "blank backend", "cache", "answers of a cache that are too old", "old proofs",
	"owner changed between rounds",
	"owner changed inside a round",
	"visibility changed inside a round",
	"members changed inside a round",
	"removed inside a round",
	"emptied",
	"no auth", "no auth, wrong project",
	"complete, no rows",
	"complete, rows",
	"complete, another project's",
	"read, not complete",
	"not read, code 200",
	"no members",
	"discovery succeeded",
	"discovery of all owners succeeded",
	"inbound succeeded",
	"inbound image of unknown status",
	"discovered image is gone",
	"skipped",
	"demanded: complete, no rows",
	"demanded: complete, another project's",
	"demanded: discovery",
	"demanded: inbound",
}

// TestRandomWorlds draws worlds in which everything may go wrong. Whatever does, what is reported of a world is true of it,
// and when nothing goes wrong any more, everything that can be proven is reported.
//
// The failing subtest's name is its seed. GLANCE_SEEDS=5000 runs that many of them:
//
//	GLANCE_SEEDS=5000 go test ./collector -run TestRandomWorlds
//
// A statement that is false only because a policy or a role changed after a proof that still counts is no failure. Neither is
// one that no client can know to be false. Both are counted, see apart and documented.
func TestRandomWorlds(t *testing.T) {
	randomWorlds(t, everyKind, func(t *testing.T, seed uint64) map[string]int {
		r := newTruth(seed)
		r.test(t)
		return r.notes
	})
}

// randomWorlds runs 60 worlds, or GLANCE_SEEDS, each in a bubble. A world returns how often what occurred in it; each kind must, in some
// world.
func randomWorlds(t *testing.T, kinds []string, world func(t *testing.T, seed uint64) map[string]int) {
	t.Helper()
	seeds := uint64(60)
	if s := os.Getenv("GLANCE_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	}
	var mu sync.Mutex
	ran, notes := uint64(0), map[string]int{}
	t.Cleanup(func() { // after the worlds
		for _, what := range slices.Sorted(maps.Keys(notes)) {
			t.Logf("%7d %s", notes[what], what)
		}
		for _, kind := range kinds {
			if ran == seeds && seeds >= 60 && notes[kind] == 0 {
				t.Errorf("%q never occurred in %d worlds", kind, seeds)
			}
		}
	})
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				noted := world(t, seed)
				mu.Lock()
				defer mu.Unlock()
				ran++
				for what, n := range noted {
					notes[what] += n
				}
			})
		})
	}
}

func (r *truth) test(t *testing.T) {
	if err := r.opts.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(r.connection())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cloud := collector.New(c, r.opts, log.NewNopLogger())
	defer cloud.Close()
	for round := range 6 {
		r.world.KeystoneDown(r.IntN(10) == 0)
		r.drawFront()
		r.round(t, cloud, round, 1+r.IntN(2))
		time.Sleep(pick(r.Rand, []time.Duration{time.Second, 10 * time.Second, time.Minute, 3 * time.Minute, 6 * time.Minute, 2 * time.Hour}))
		r.change()
		time.Sleep(6 * time.Second) // a cache may answer for 5 seconds
	}
	r.meddler.quiet = true
	r.world.KeystoneDown(false)
	r.world.SetCache(nil)
	r.setCatalog(false)
	if r.IntN(3) > 0 {
		r.policy = fakecloud.Policy{}
		r.world.SetPolicy(r.policy)
	}
	time.Sleep(time.Hour)
	var last *check
	for peace := range 4 {
		last = r.round(t, cloud, 100+peace, 1)
		time.Sleep(61 * time.Second)
	}
	last.everything()
}

func (r *truth) connection() client.Options {
	if !r.noAuth {
		return client.Options{Auth: user(r.user), Transport: r.meddler}
	}
	r.note("no auth")
	if r.claimed != r.project {
		r.note("no auth, wrong project")
	}
	return client.Options{Endpoint: "http://cloud.test/image", ProjectID: r.claimed, Transport: r.meddler}
}

// drawFront draws what is in front of the image API: a cache, a catalog with two endpoints.
func (r *truth) drawFront() {
	switch r.IntN(8) {
	case 0:
		r.note("cache")
		r.cached = true
		r.world.SetCache(&fakecloud.Cache{HonorsNoCache: r.IntN(2) == 0, Age: pick(r.Rand, []time.Duration{0, 0, time.Minute})})
	case 1: // the one of the last round, with its answers
	default:
		r.cached = false
		r.world.SetCache(nil)
	}
	r.setCatalog(r.IntN(10) == 0 && !r.noAuth)
}

// setCatalog sets whether the catalog has two image endpoints. Behind the other one there is an empty cloud.
func (r *truth) setCatalog(two bool) {
	if r.twoEndpoints = two; !two {
		r.world.SetCatalog(fakecloud.Catalog{})
		return
	}
	r.note("two endpoints")
	first := r.IntN(2)
	r.world.SetCatalog(fakecloud.Catalog{ImageURLs: func(_, _, base string) []string {
		urls := []string{base + "/image", "http://" + otherHost + "/image"}
		return []string{urls[first], urls[1-first]}
	}})
	r.world.RevokeTokens() // those that are in use have an endpoint
}

// round collects, one or more times at once, and checks what is reported.
func (r *truth) round(t *testing.T, cloud *collector.Cloud, round, times int) (last *check) {
	r.meddler.begin(r.Rand, round)
	r.mu.Lock()
	r.began, r.changed, r.states = time.Now(), map[string]bool{}, []*state{r.now()}
	r.mu.Unlock()
	if r.before25 {
		r.note("before 2.5")
	}
	for _, at := range r.lastProof {
		if r.began.Sub(at) > 5*time.Minute {
			r.note("old proofs")
		}
	}
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		checks []*check
	)
	timeouts := []time.Duration{100 * time.Millisecond, time.Second, 9 * time.Second}
	for range times {
		limits := collector.Limits{Timeout: pick(r.Rand, timeouts)}
		if r.meddler.quiet {
			limits.Timeout = time.Minute
		}
		all.Go(func() {
			s := cloud.Collect(t.Context(), limits)
			check := &check{T: t, truth: r, s: s, page: gather(t, s), what: fmt.Sprint("round ", round)}
			check.all()
			mu.Lock()
			defer mu.Unlock()
			checks = append(checks, check)
		})
	}
	all.Wait()
	cloud.Wait()
	r.learn(checks)
	return checks[0]
}

// learn takes over what the next rounds are compared with.
func (r *truth) learn(checks []*check) {
	states := r.moments()
	end := states[len(states)-1]
	for _, c := range checks {
		for id := range c.shown() {
			r.known[id] = true
		}
	}
	for id := range r.known {
		if r.meddler.delivered("record", id) || r.meddler.delivered("members", id) {
			delete(r.missed, id)
		} else if _, ok := r.missed[id]; !ok && r.meddler.delivered("404 record", id) {
			r.missed[id] = r.began
		}
		gone := !slices.ContainsFunc(checks, func(c *check) bool { return c.shown()[id] })
		if gone || !slices.Contains(end.discoverable(), id) {
			delete(r.known, id)
			delete(r.missed, id)
		}
	}
	rows := map[string][]bool{}
	for _, c := range checks {
		for i := range c.s.Images {
			if s := &c.s.Images[i]; s.Coverage == collector.Complete || s.Coverage == collector.Partial {
				rows[s.ID] = append(rows[s.ID], len(s.Members) > 0)
			}
		}
	}
	for id, had := range rows {
		r.rowsShown[id] = !slices.Contains(had, false)
	}
	for _, s := range states {
		inbound := s.inbound()
		for id, img := range s.images {
			// To an administrator, and to another project, more is listed than what is inbound.
			more := (s.admin() && s.hasMembers(img) || s.before25 || r.claimed != r.project) && img.Owner != r.claimed
			if (more || inbound[id] != "") && r.meddler.delivered("inbound", id) {
				r.inboundSeen[id] = append(r.inboundSeen[id], *img)
			}
		}
	}
	if changesOwner(states) {
		r.lastProof[ownerChange] = time.Now()
	}
	if r.borrowed(states) {
		r.lastProof[borrowedRows] = time.Now()
	}
	for kind, seen := range end.proofs() {
		if seen {
			r.lastProof[kind] = time.Now()
		}
	}
}

// The kinds of proofs that a change of policies makes wrong.
const (
	proofOwn           = "own rows"
	proofOthers        = "others' rows"
	proofAdministrator = "administrator"
	proofImages        = "images"

	ownerChange  = "an owner changed inside a round" // between a record and a probe, perhaps
	borrowedRows = "rows of an image that was another project's meanwhile"
)

// proofs are what could be proven.
func (s *state) proofs() map[string]bool {
	rows := func(owner string) bool {
		img := &fakecloud.Image{Owner: owner, Visibility: "shared"}
		return s.may(s.policy.GetImage, img) && s.may(s.policy.GetMember, img)
	}
	image := func(owner string) bool {
		return s.may(s.policy.GetImage, &fakecloud.Image{Owner: owner, Visibility: "public"})
	}
	return map[string]bool{
		proofOwn: rows(s.project), proofOthers: rows("other"), proofAdministrator: s.admin(),
		proofImages: s.mayList() && (image(s.project) || image("other")),
	}
}

// recently reports whether something could be proven within the last five minutes.
func (r *truth) recently(kind string) bool {
	at, ok := r.lastProof[kind]
	return ok && r.began.Sub(at) <= 5*time.Minute
}
