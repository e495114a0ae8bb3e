package collector_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// named are the IDs of projects with the names that series have for them.
func named(t *testing.T, s collector.Snapshot) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, line := range series(t, s, "glance_member_name_info") {
		var name, id string
		rest := strings.TrimPrefix(line, `glance_member_name_info{cloud="prod",keystone_name=`)
		if _, err := fmt.Sscanf(rest, "%q,member_id=%q,member_type=\"project\"} 1", &name, &id); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		found[id] = name
	}
	return found
}

// namesAsked are the paths that Keystone was asked for names by, since the last call.
func namesAsked(b *bench) (paths []string) {
	for _, r := range b.world.Requests() {
		if r.Operation == fakecloud.OpReadProjects {
			paths = append(paths, strings.TrimPrefix(r.Path, "/identity/v3/"))
		}
	}
	b.world.ResetLog()
	return paths
}

func namesOptions(images ...string) collector.Options {
	opts := options(images...)
	opts.ResolveNames = true
	return opts
}

func mayRead([]string) bool { return true }

func TestNames(t *testing.T) {
	bubble(t, newWorld(), user("producer"), namesOptions(shared, empty), func(t *testing.T, b *bench) {
		w := b.world
		w.SetPolicy(fakecloud.Policy{ReadProjects: mayRead})
		step := func(what string, want map[string]string, asked ...string) {
			t.Helper()
			b.cloud.Wait()
			namesAsked(b)
			shown := named(t, b.scrape(t))
			b.cloud.Wait()
			if diff := cmp.Diff(want, shown); diff != "" {
				t.Errorf("%s: names (-want +got):\n%s", what, diff)
			}
			if diff := cmp.Diff(asked, namesAsked(b)); diff != "" {
				t.Errorf("%s: asked for (-want +got):\n%s", what, diff)
			}
		}
		one := func(id string) string { return "projects/" + id }
		all := map[string]string{consumerA: "consumer-a", consumerB: "consumer-b", consumerC: "consumer-c"}
		step("the first scrape waits for no name", map[string]string{}, one(consumerC), one(consumerB), one(consumerA))
		step("the second one has them", all)
		w.Share(shared, "aaaabbbbccccddddeeeeffff00001111")
		w.Share(shared, "../users")
		w.Share(shared, "a?name=b")
		w.Share(shared, "deadbeef")
		step("new members, of which no project exists", all, one("aaaabbbbccccddddeeeeffff00001111"), one("deadbeef"))
		step("those are not asked for again", all)
		w.AddProjectID(consumerA, "renamed")
		time.Sleep(59 * time.Minute)
		step("a new name is not seen yet", all)
		time.Sleep(2 * time.Minute)
		step("an hour later there is one list for many", all, "projects", one("aaaabbbbccccddddeeeeffff00001111"), one("deadbeef"))
		all[consumerA] = "renamed"
		step("which has the new name", all)
		w.SetPolicy(fakecloud.Policy{})
		time.Sleep(61 * time.Minute)
		step("nothing may be read any more", all, "projects", one(consumerC), one(consumerB), one("aaaabbbbccccddddeeeeffff00001111"))
		if lines := b.log.take(); !slices.ContainsFunc(lines, func(line string) bool {
			return strings.Contains(line, `msg="Keystone does not return the names of projects"`) &&
				strings.Contains(line, "identity:get_project")
		}) {
			t.Errorf("the log does not say so: %q", lines)
		}
		step("after three refusals nobody is asked for", all)
		time.Sleep(23 * time.Hour)
		b.scrape(t)
		step("a name is forgotten after a day", map[string]string{})
		for _, line := range b.log.take() {
			if strings.Contains(line, "names of projects") {
				t.Errorf("logged again: %s", line)
			}
		}
		if testutil.ToFloat64(counter{b.api, string(client.OpResolveNames), "403"}) == 0 {
			t.Error("the requests are not counted")
		}
	})
}

// Names are no label of other series, judge nobody, and are never shown where they are not asked for.
func TestNamesChangeNothingElse(t *testing.T) {
	pages := map[bool]string{}
	for _, resolve := range []bool{false, true} {
		opts := options(shared, empty, public)
		opts.ResolveNames = resolve
		opts.Images[0].Policy = collector.Policy{
			Members: []collector.ExpectedMember{{Type: client.TypeProject, ID: consumerA, Name: "consumer-b"}},
		}
		bubble(t, newWorld(), user("admin"), opts, func(t *testing.T, b *bench) {
			b.scrape(t)
			b.cloud.Wait()
			s := b.scrape(t)
			for line := range strings.Lines(page(t, s)) {
				switch {
				case strings.Contains(line, "glance_member_name_info"), strings.Contains(line, "_created_"), strings.Contains(line, "_updated_"):
				default:
					pages[resolve] += line
				}
			}
			if n := len(namesAsked(b)); (n > 0) != resolve {
				t.Errorf("with names %t, %d requests for names", resolve, n)
			}
			if n := len(named(t, s)); (n == 3) != resolve {
				t.Errorf("with names %t, there are %d", resolve, n)
			}
		})
	}
	if diff := cmp.Diff(pages[false], pages[true]); diff != "" {
		t.Errorf("other series (-without names +with them):\n%s", diff)
	}
}

// A Keystone that hangs or breaks delays no scrape, no reload and no end.
func TestNamesDelayNothing(t *testing.T) {
	bubble(t, newWorld(), user("admin"), namesOptions(shared), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpReadProjects }, Hang: true})
		for range 10 {
			began := time.Now()
			if s := b.scrape(t); s.Images[0].Coverage != collector.Complete || time.Since(began) > 0 {
				t.Errorf("coverage %d after %s", s.Images[0].Coverage, time.Since(began))
			}
			time.Sleep(15 * time.Second)
		}
		if n := len(namesAsked(b)); n > 3 {
			t.Errorf("%d requests to a Keystone that hangs", n)
		}
		b.scrape(t)
		synctest.Wait()
		began := time.Now()
		b.cloud.Retire()
		if took := time.Since(began); took > 0 {
			t.Errorf("the cloud ended after %s", took)
		}
	})
}

// Many projects cost one list an hour, or a few requests a scrape until each was asked for.
func TestNamesOfManyProjects(t *testing.T) {
	t.Parallel()
	const members = 900
	for _, test := range []struct {
		name   string
		auth   string
		policy fakecloud.Policy
		want   []int // requests for names after each scrape
		shown  int   // names in the end
	}{
		{name: "an administrator", auth: "admin", want: []int{1, 0, 0}, shown: members},
		{
			name: "a reader of some projects", auth: "producer", policy: fakecloud.Policy{ReadProjects: mayRead},
			want: []int{1, 0, 0}, shown: members,
		},
		{name: "refused", auth: "producer", want: []int{4, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for i := range members {
				id := fmt.Sprintf("%032x", i+1)
				w.AddProjectID(id, fmt.Sprint("project ", i))
				w.Share(empty, id)
			}
			w.SetPolicy(test.policy)
			bubble(t, w, user(test.auth), namesOptions(empty), func(t *testing.T, b *bench) {
				var got []int
				for range test.want {
					namesAsked(b)
					b.scrape(t)
					b.cloud.Wait()
					got = append(got, len(namesAsked(b)))
					time.Sleep(15 * time.Second)
				}
				if n := len(named(t, b.scrape(t))); !slices.Equal(got, test.want) || n != test.shown {
					t.Errorf("%v requests after the scrapes and %d names, want %v and %d", got, n, test.want, test.shown)
				}
			})
		})
	}
	t.Run("more than are kept", func(t *testing.T) {
		w := newWorld()
		w.SetPolicy(fakecloud.Policy{ReadProjects: mayRead})
		opts := namesOptions()
		for i := range 3 {
			id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
			w.AddImage(fakecloud.Image{ID: id, Owner: producer, Visibility: "shared"})
			opts.Images = append(opts.Images, collector.Image{ID: id})
			for k := range 9_000 {
				member := fmt.Sprintf("%032x", i*9_000+k+1)
				w.AddProjectID(member, "project")
				w.Share(id, member)
			}
		}
		bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
			b.scrape(t)
			b.cloud.Wait()
			if n := len(named(t, b.scrape(t))); n != 20_000 {
				t.Errorf("%d names", n)
			}
		})
	})
	t.Run("slowly", func(t *testing.T) {
		w := newWorld()
		for i := range 50 {
			w.AddProjectID(fmt.Sprintf("%032x", i+1), fmt.Sprint("project ", i))
			w.Share(empty, fmt.Sprintf("%032x", i+1))
		}
		w.SetPolicy(fakecloud.Policy{ReadProjects: mayRead})
		bubble(t, w, user("producer"), namesOptions(empty), func(t *testing.T, b *bench) {
			b.world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return strings.HasSuffix(r.Path, "/projects") }, Status: 403})
			b.world.Inject(fakecloud.Fault{
				Match:   func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpReadProjects },
				Latency: 900 * time.Millisecond,
			})
			for range 6 {
				b.scrape(t)
				time.Sleep(15 * time.Second)
			}
			if n := len(named(t, b.scrape(t))); n != 50 {
				t.Errorf("%d names", n)
			}
			for _, line := range b.log.take() {
				if strings.Contains(line, "names of projects") {
					t.Errorf("our own end of time counts as a failure: %s", line)
				}
			}
		})
	})
	t.Run("one by one", func(t *testing.T) {
		w := newWorld()
		w.SetPolicy(fakecloud.Policy{ReadProjects: mayRead})
		for i := range 50 {
			w.AddProjectID(fmt.Sprintf("%032x", i+1), fmt.Sprint("project ", i))
			w.Share(empty, fmt.Sprintf("%032x", i+1))
		}
		bubble(t, w, user("producer"), namesOptions(empty), func(t *testing.T, b *bench) {
			b.world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return strings.HasSuffix(r.Path, "/projects") }, Status: 403})
			for _, want := range []int{1 + 20, 20, 10, 0} {
				namesAsked(b)
				b.scrape(t)
				b.cloud.Wait()
				if n := len(namesAsked(b)); n != want {
					t.Errorf("%d requests, want %d", n, want)
				}
			}
			if n := len(named(t, b.scrape(t))); n != 50 {
				t.Errorf("%d names", n)
			}
		})
	})
}

func TestResolve(t *testing.T) {
	bubble(t, newWorld(), user("admin"), namesOptions(shared), func(t *testing.T, b *bench) {
		s := b.scrape(t)
		found, all, err := b.cloud.Resolve(t.Context(), &s)
		if found != 4 || all != 4 || err != nil || s.KeystoneName(consumerA) != "consumer-a" || s.KeystoneName(producer) != "producer" {
			t.Errorf("%d of %d names, %v", found, all, err)
		}
	})
	bubble(t, newWorld(), user("producer"), namesOptions(shared), func(t *testing.T, b *bench) {
		s := b.scrape(t)
		found, all, err := b.cloud.Resolve(t.Context(), &s)
		apiErr, ok := errors.AsType[*client.Error](err)
		if found != 0 || all != 3 || !ok || apiErr.StatusCode != 403 || len(named(t, s)) != 0 {
			t.Errorf("refused: %d of %d names, %v", found, all, err)
		}
	})
}

// A user in several projects asks in the one where it is an administrator.
func TestNamesOfSeveralProjects(t *testing.T) {
	projectsBubble(t, nil, namesOptions(shared), func(t *testing.T, b *bench) {
		b.world.AddUser("roamer", "roamer-secret", consumerB, "admin")
		b.scrape(t)
		b.cloud.Wait()
		if got := named(t, b.scrape(t)); got[consumerC] != "consumer-c" {
			t.Errorf("names %v", got)
		}
	})
}
