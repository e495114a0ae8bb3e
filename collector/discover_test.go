package collector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

const foreign = "9a1d5c52-1b0e-4a4d-8f6c-0b6c2a9d7e11"

// newWideWorld is newWorld with tags, an image of another project, and lists in pages of two.
func newWideWorld() *fakecloud.Cloud {
	w := newWorldWith(fakecloud.Options{MaxPageSize: 2})
	for _, id := range []string{shared, hidden, community} {
		w.SetImage(id, func(img *fakecloud.Image) { img.Tags = []string{"golden", "lts"} })
	}
	w.SetImage(empty, func(img *fakecloud.Image) { img.Tags = []string{"golden"} })
	w.AddImage(fakecloud.Image{ID: foreign, Name: "golden-foreign", Owner: consumerB, Visibility: "community", Tags: []string{"golden"}})
	return w
}

func discovering(rules ...collector.Rule) collector.Options {
	opts := options()
	opts.Discover = rules
	return opts
}

var imageNames = map[string]string{
	shared: "shared", empty: "empty", private: "private", community: "community", public: "public", hidden: "hidden", foreign: "foreign",
}

// watched is a snapshot's images by short names, sorted, with what was seen of them where that is not all.
func watched(s collector.Snapshot) string {
	var names []string
	for _, img := range s.Images {
		name := imageNames[img.ID]
		if name == "" {
			name = img.ID
		}
		switch img.Coverage {
		case collector.Unread:
			name += fmt.Sprint("(unread ", img.StatusCode, ")")
		case collector.Partial:
			name += "(partial)"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if !s.Discovered {
		names = append(names, "...")
	}
	return strings.Join(names, " ")
}

func TestWhatIsDiscovered(t *testing.T) {
	for _, test := range []struct {
		name  string
		auth  func() (gophercloud.AuthOptions, error)
		rules []collector.Rule
		want  string
	}{
		{name: "all of the project's", rules: []collector.Rule{{}}, want: "community empty hidden private public shared"},
		{name: "tags, all of them", rules: []collector.Rule{{Tags: []string{"lts", "golden"}}}, want: "community hidden shared"},
		{name: "a glob", rules: []collector.Rule{{Name: "golden-[de]*"}}, want: "empty hidden shared"},
		{
			name: "visibility", rules: []collector.Rule{{Visibility: []client.Visibility{client.Community, client.Public}}},
			want: "community public",
		},
		{name: "one visibility", rules: []collector.Rule{{Visibility: []client.Visibility{client.Shared}}}, want: "empty hidden shared"},
		{
			name: "two rules", rules: []collector.Rule{{Tags: []string{"lts"}, Visibility: []client.Visibility{client.Shared}}, {Name: "pr*"}},
			want: "hidden private shared",
		},
		{name: "none", rules: []collector.Rule{{Name: "nothing"}}, want: ""},
		{name: "its own project by ID", rules: []collector.Rule{{Owners: []string{producer}, Name: "private"}}, want: "private"},
		{
			name: "a project of others without the right", rules: []collector.Rule{{Owners: []string{consumerB}}, {Name: "private"}},
			want: "private ...",
		},
		{
			name: "the whole cloud without the right", rules: []collector.Rule{{Owners: []string{collector.AllOwners}}},
			want: "community empty hidden private public shared ...",
		},
		{
			name: "the whole cloud", auth: user("admin"), rules: []collector.Rule{{Owners: []string{collector.AllOwners}}},
			want: "community empty foreign hidden private public shared",
		},
		{name: "another project, with the right", auth: user("admin"), rules: []collector.Rule{{Owners: []string{consumerB}}}, want: "foreign"},
		{
			name: "two projects, with the right", auth: user("admin"),
			rules: []collector.Rule{{Owners: []string{consumerB, producer}, Tags: []string{"golden"}}},
			want:  "community empty foreign hidden shared",
		},
		{name: "an administrator's own project is another one", auth: user("admin"), rules: []collector.Rule{{}}, want: ""},
		{name: "a consumer's own project", auth: user("consumer-b"), rules: []collector.Rule{{}}, want: "foreign"},
	} {
		t.Run(test.name, func(t *testing.T) {
			auth := test.auth
			if auth == nil {
				auth = user("producer")
			}
			opts := discovering(test.rules...)
			bubble(t, newWideWorld(), auth, opts, func(t *testing.T, b *bench) {
				for range 2 {
					s := b.scrape(t)
					if got := watched(s); got != test.want {
						t.Errorf("got  %s\nwant %s\n%s", got, test.want, strings.Join(b.log.take(), "\n"))
					}
				}
			})
		})
	}
}

func TestTheFirstRuleWins(t *testing.T) {
	opts := discovering(
		collector.Rule{Name: "golden-debian-*", Policy: collector.Policy{Members: expect(consumerA)}},
		collector.Rule{Tags: []string{"golden"}, Policy: collector.Policy{Members: expect()}},
		collector.Rule{},
	)
	opts.Images = []collector.Image{{ID: hidden, Name: "my own", Policy: collector.Policy{Members: expect(consumerB)}}}
	bubble(t, newWideWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		got := map[string]string{}
		for _, img := range b.scrape(t).Images {
			members := "not judged"
			if img.Policy.Members != nil {
				members = ""
				for _, m := range img.Policy.Members {
					members += m.ID
				}
			}
			got[imageNames[img.ID]] = fmt.Sprint(img.Name, ": ", members, ": ", img.Discovered)
		}
		want := map[string]string{
			"hidden": "my own: " + consumerB + ": false", // configured
			"shared": "golden-debian-12: " + consumerA + ": true",
			"empty":  "golden-empty: : true", "community": "community: : true",
			"private": "private: not judged: true", "public": "public: not judged: true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// What the rules have in common is filtered by the server; the listings follow the pages with all of it.
func TestListings(t *testing.T) {
	for _, test := range []struct {
		name  string
		auth  func() (gophercloud.AuthOptions, error)
		rules []collector.Rule
		want  []string
	}{
		{
			"one rule", user("producer"),
			[]collector.Rule{{Tags: []string{"golden", "lts"}, Visibility: []client.Visibility{client.Shared}}},
			[]string{
				"owner=own tag=golden tag=lts visibility=shared", "os_hidden=true owner=own tag=golden tag=lts visibility=shared", "limit=100",
			},
		},
		{"common tags", user("producer"), []collector.Rule{{Tags: []string{"golden", "lts"}, Name: "a*"}, {Tags: []string{"golden"}}}, []string{
			"owner=own tag=golden", "os_hidden=true owner=own tag=golden", "limit=100",
		}},
		{
			"nothing in common", user("producer"),
			[]collector.Rule{
				{Tags: []string{"a"}, Visibility: []client.Visibility{client.Shared}},
				{Tags: []string{"b"}, Visibility: []client.Visibility{client.Public}},
			},
			[]string{"owner=own", "os_hidden=true owner=own"},
		},
		{"an administrator", user("admin"), []collector.Rule{
			{Tags: []string{"a"}},
			{Owners: []string{"x"}, Visibility: []client.Visibility{client.Public}},
			{Owners: []string{"y"}},
		}, []string{
			"owner=admin tag=a", "os_hidden=true owner=admin tag=a", "owner=x visibility=public", "os_hidden=true owner=x visibility=public",
			"owner=y visibility=all", "os_hidden=true owner=y visibility=all", "limit=100",
		}},
		{"everything", user("admin"), []collector.Rule{{Tags: []string{"a"}}, {Owners: []string{"*"}, Tags: []string{"a"}}}, []string{
			"tag=a visibility=all", "os_hidden=true tag=a visibility=all", "limit=100",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, newWorld(), test.auth, discovering(test.rules...), func(t *testing.T, b *bench) {
				b.scrape(t)
				var got []string
				for _, r := range b.world.Requests() {
					if r.Operation != "list_images" || strings.Contains(r.RawQuery, "id=in") {
						continue
					}
					q := strings.ReplaceAll(r.RawQuery, "&", " ")
					q = strings.NewReplacer("limit=1000 ", "", "sort=created_at%3Aasc%2Cid%3Aasc", "", producer, "own",
						"ad314dd314dd314dd314dd314dd314dd", "admin").Replace(q)
					q = strings.Join(strings.Fields(q), " ")
					got = append(got, q)
				}
				slices.Sort(got)
				slices.Sort(test.want)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// list matches the listing of a project, a page of it if it is told which.
func list(hidden bool, page string) func(fakecloud.Request) bool {
	return func(r fakecloud.Request) bool {
		return r.Operation == "list_images" && !strings.Contains(r.RawQuery, "id=in") &&
			strings.Contains(r.RawQuery, "os_hidden=true") == hidden && strings.Contains(r.RawQuery, page)
	}
}

const everything = "community empty hidden private public shared"

func TestAListingThatIsNotReadToItsEndDropsNothing(t *testing.T) {
	loop := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"images": [{"id": %q, "owner": %q, "visibility": "shared", "name": "golden-debian-12"}], "next": "?marker=%s"}`,
			shared, producer, shared)
	}
	for _, test := range []struct {
		name  string
		fault fakecloud.Fault
		// What is found without knowing anything of before.
		fresh string
		log   string
	}{
		{
			"refused",
			fakecloud.Fault{Match: list(false, ""), Status: http.StatusForbidden},
			"hidden ...", "403 Forbidden",
		},
		{
			"the second page fails",
			fakecloud.Fault{Match: list(false, "marker"), Status: http.StatusInternalServerError},
			"empty hidden shared ...", "500 Internal Server Error",
		},
		{
			"the hidden ones fail",
			fakecloud.Fault{Match: list(true, ""), Status: http.StatusServiceUnavailable},
			"community empty private public shared ...", "503 Service Unavailable",
		},
		{
			"no whole JSON",
			fakecloud.Fault{Match: list(false, ""), Status: http.StatusOK, Body: `{"images": [`},
			"hidden ...", "invalid JSON in the response",
		},
		{
			"no images key",
			fakecloud.Fault{Match: list(false, ""), Status: http.StatusOK, Body: `{}`},
			"hidden ...", `no \"images\" in the response`,
		},
		{
			"pages that go round",
			fakecloud.Fault{Match: list(false, ""), Raw: loop},
			"hidden shared ...", "pagination loop",
		},
		{
			"a record that cannot be read",
			fakecloud.Fault{Match: list(false, ""), Status: http.StatusOK, Body: `{"images": [{"name": "no id"}]}`},
			"hidden ...", "1 records cannot be read",
		},
		{
			"every marker is gone",
			fakecloud.Fault{Match: list(false, "marker"), Status: http.StatusBadRequest},
			"empty hidden shared ...", "400 Bad Request",
		},
		{
			"hanging",
			fakecloud.Fault{Match: list(false, ""), Hang: true},
			"hidden ...", "timeout",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
				if got := watched(b.scrape(t)); got != everything {
					t.Fatalf("before: %s", got)
				}
				b.log.take()
				b.world.Inject(test.fault)
				for range 2 {
					if got, want := watched(b.scrape(t)), everything+" ..."; got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
				}
				if lines := b.log.take(); !strings.Contains(lines[0], "discovery is incomplete") || !strings.Contains(lines[0], test.log) ||
					len(lines) != 1 {
					t.Errorf("the log says %s, want one line with %s", lines, test.log)
				}
				b.world.ClearFaults()
				if got := watched(b.scrape(t)); got != everything {
					t.Errorf("after: %s", got)
				}
				if lines := b.log.take(); len(lines) != 1 || !strings.Contains(lines[0], "resolved: discovery is incomplete") {
					t.Errorf("the log says %s", lines)
				}
			})
			bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
				b.world.Inject(test.fault)
				if got := watched(b.scrape(t)); got != test.fresh {
					t.Errorf("without a memory: got  %s\nwant %s", got, test.fresh)
				}
			})
		})
	}
}

func TestAMarkerThatIsGoneRestartsTheListing(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
				b.world.Inject(fakecloud.Fault{Match: list(false, "marker"), Status: status, Times: 1})
				s := b.scrape(t)
				if got := watched(s); got != everything || !s.Up {
					t.Errorf("got %s, up %t", got, s.Up)
				}
			})
		})
	}
	t.Run("as Glance does it", func(t *testing.T) {
		bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
			// The image that ends the first page is deleted before the second page is asked for, and before its members are
			// answered.
			b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Latency: time.Second})
			var once sync.Once
			b.world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
				if list(false, "marker="+empty)(r) {
					once.Do(func() { b.world.RemoveImage(empty) })
				}
				return false
			}})
			if got := watched(b.scrape(t)); got != "community empty(unread 404) hidden private public shared" {
				t.Errorf("got %s", got)
			}
			if n := b.world.Count("list_images"); n < 5 {
				t.Errorf("%d lists: the marker was not missed", n)
			}
		})
	})
}

// A discovered image is dropped when it is known to be gone, and only then.
func TestDiscoveredImagesThatVanish(t *testing.T) {
	single := func(status int) fakecloud.Fault {
		return fakecloud.Fault{Match: about("get_image", shared), Status: status}
	}
	const rest = "community empty hidden private public"
	for _, test := range []struct {
		name   string
		happen func(w *fakecloud.Cloud)
		want   string
		later  string // after a second look; empty: the same
	}{
		{"deleted", func(w *fakecloud.Cloud) { w.RemoveImage(shared) }, rest + " shared(unread 404)", rest},
		{
			"deleted between the listing and the question", func(w *fakecloud.Cloud) {
				once(w, about("list_members", shared), func() { w.RemoveImage(shared) })
			}, rest + " shared(unread 404)", rest,
		},
		{
			"in the listing, and nowhere else", func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_members", shared), Blank: true})
				w.Inject(fakecloud.Fault{Match: about("get_image", shared), Blank: true})
			}, rest + " shared(unread 404)", "",
		},
		{
			"a proxy that does not find it", func(w *fakecloud.Cloud) {
				w.RemoveImage(shared)
				w.Inject(single(http.StatusNotFound))
			}, rest + " shared(unread 404)", "",
		},
		{
			"its members alone are a 404", func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusNotFound})
			}, rest + " shared(unread 404)", "",
		},
		{
			"deleted, but nobody can say so", func(w *fakecloud.Cloud) {
				w.RemoveImage(shared)
				w.Inject(single(http.StatusInternalServerError))
			}, rest + " shared(unread 404)", "",
		},
		{
			"missing in the listing only", func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: list(false, ""), Status: http.StatusOK, Body: `{"images": []}`})
			}, everything, "",
		},
		{
			"deleted while a listing fails", func(w *fakecloud.Cloud) {
				w.RemoveImage(shared)
				w.Inject(fakecloud.Fault{Match: list(true, ""), Status: http.StatusBadGateway})
			}, rest + " shared(unread 404) ...", "",
		},
		{
			"opened to the public", func(w *fakecloud.Cloud) {
				w.SetImage(shared, func(img *fakecloud.Image) { img.Visibility = "public" })
			}, everything, "",
		},
		{"hidden", func(w *fakecloud.Cloud) { w.SetImage(shared, func(img *fakecloud.Image) { img.Hidden = true }) }, everything, ""},
		{"no rule takes it any more", func(w *fakecloud.Cloud) {
			w.SetImage(shared, func(img *fakecloud.Image) { img.Name = "renamed" })
		}, rest, ""},
		{"given to another project", func(w *fakecloud.Cloud) {
			w.SetImage(shared, func(img *fakecloud.Image) { img.Owner = consumerB })
		}, rest + " shared(unread 404)", rest},
		{
			"nothing answers", func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: http.StatusServiceUnavailable})
			},
			"community(unread 503) empty(unread 503) hidden(unread 503) private(unread 503) public(unread 503) shared(unread 503) ...", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{Name: "[!r]*"}), func(t *testing.T, b *bench) {
				if got := watched(b.scrape(t)); got != everything {
					t.Fatalf("before: %s", got)
				}
				test.happen(b.world)
				for range 2 { // two looks within ten seconds count as one
					if got := watched(b.scrape(t)); got != test.want {
						t.Errorf("got  %s\nwant %s", got, test.want)
					}
					time.Sleep(4 * time.Second)
				}
				time.Sleep(10 * time.Second)
				want := test.later
				if want == "" {
					want = test.want
				}
				for range 2 {
					if got := watched(b.scrape(t)); got != want {
						t.Errorf("later: got  %s\nwant %s", got, want)
					}
				}
			})
		})
	}
}

// A rule that takes no image may be one that was meant to judge some.
func TestARuleThatTakesNothingIsTold(t *testing.T) {
	bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{Name: "golden-debian-*"}, collector.Rule{Name: "gloden-*"}),
		func(t *testing.T, b *bench) {
			b.scrape(t)
			if lines := b.log.take(); len(lines) != 2 || !strings.Contains(lines[1], `level=warn cloud=prod msg="discover[1] matches no image"`) {
				t.Errorf("the log says %q", lines)
			}
			b.world.Inject(fakecloud.Fault{Match: list(false, ""), Status: http.StatusInternalServerError})
			b.scrape(t)
			if lines := b.log.take(); len(lines) != 1 {
				t.Errorf("a listing that broke off: the log says %q", lines)
			}
			b.world.ClearFaults()
			b.world.AddImage(imageOf(producer, "gloden-suse"))
			b.scrape(t)
			if lines := strings.Join(b.log.take(), "\n"); !strings.Contains(lines, "resolved: discover[1] matches no image") {
				t.Errorf("the log says %s", lines)
			}
		})
}

// Without a token nothing is listed, and what is known is still shown as not read.
func TestDiscoveryWithoutAToken(t *testing.T) {
	auth, password := user("producer"), "producer-secret"
	changing := func() (gophercloud.AuthOptions, error) {
		ao, err := auth()
		ao.Password = password
		return ao, err
	}
	bubble(t, newWideWorld(), changing, discovering(collector.Rule{Name: "golden-e*"}), func(t *testing.T, b *bench) {
		if got := watched(b.scrape(t)); got != "empty" {
			t.Fatalf("before: %s", got)
		}
		password = "wrong"
		time.Sleep(24 * time.Hour) // the token ends
		if got, want := series(t, b.scrape(t), "glance_up", "glance_discovery_success", "glance_watched_images",
			"glance_image_scrape_success"), []string{
			`glance_discovery_success{cloud="prod"} 0`,
			`glance_image_scrape_success{cloud="prod",image_id="` + empty + `",image_name="golden-empty"} 0`,
			`glance_up{cloud="prod"} 0`, `glance_watched_images{cloud="prod"} 1`,
		}; !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
}

// A credential that loses its right over other projects still asks for their images, and does not take the 404 for an end.
func TestALostRightDropsNothing(t *testing.T) {
	w := newWideWorld()
	auth := user("admin")
	opts := discovering(collector.Rule{Owners: []string{collector.AllOwners}, Name: "golden-foreign"})
	bubble(t, w, auth, opts, func(t *testing.T, b *bench) {
		if got := watched(b.scrape(t)); got != "foreign" {
			t.Fatalf("before: %s", got)
		}
		b.world.SetImage(foreign, func(img *fakecloud.Image) { img.Visibility = "private" })
		b.world.AddUser("admin", "admin-secret", "ad314dd314dd314dd314dd314dd314dd", "reader")
		b.world.RevokeTokens()
		if got := watched(b.scrape(t)); got != "foreign(unread 404) ..." {
			t.Errorf("got %s", got)
		}
		if lines := strings.Join(b.log.take(), "\n"); !strings.Contains(lines,
			"owners names other projects, but the credential has none of admin_roles") {
			t.Errorf("the log says %s", lines)
		}
	})
}

func TestReloadChangesTheRules(t *testing.T) {
	bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
		if got := watched(b.scrape(t)); got != everything {
			t.Fatalf("before: %s", got)
		}
		b.cloud.SetOptions(discovering(collector.Rule{Tags: []string{"lts"}}))
		b.world.Inject(fakecloud.Fault{Match: list(false, ""), Status: http.StatusInternalServerError})
		if got := watched(b.scrape(t)); got != "community hidden shared ..." {
			t.Errorf("after a change: %s", got)
		}
		b.cloud.SetOptions(options(empty))
		if got, lines := watched(b.scrape(t)), series(t, b.scrape(t), "glance_discovery_success"); got != "empty ..." || len(lines) > 0 {
			t.Errorf("without rules: %s %s", got, lines)
		}
		b.cloud.SetOptions(discovering(collector.Rule{}))
		if got := watched(b.scrape(t)); got != "hidden ..." {
			t.Errorf("what was forgotten came back: %s", got)
		}
	})
}

// The members of images that are known are asked for beside the listing, not after it.
func TestAListingHoldsUpNothing(t *testing.T) {
	bubble(t, newWideWorld(), user("producer"), discovering(collector.Rule{}), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.Inject(fakecloud.Fault{Match: list(false, ""), Latency: time.Second})
		b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Latency: 1500 * time.Millisecond})
		start := time.Now()
		// Three pages one after another, and the members meanwhile.
		if got, took := watched(b.scrape(t)), time.Since(start); got != everything || took > 4500*time.Millisecond {
			t.Errorf("got %s after %s", got, took)
		}
	})
}

func TestDiscoveryAsksNoRecordTwice(t *testing.T) {
	opts := discovering(collector.Rule{})
	opts.Images = []collector.Image{{ID: private}, {ID: absent}}
	bubble(t, newWideWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.ResetLog()
		if got := watched(b.scrape(t)); got != "00000000-0000-4000-8000-000000000000(unread 404) "+everything {
			t.Errorf("got %s", got)
		}
		// Three pages of images and one of hidden ones, and two lists for the absent one.
		got := []int{b.world.Count("list_images"), b.world.Count("get_image"), b.world.Count("list_members")}
		if diff := cmp.Diff([]int{6, 1, 4}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func imageOf(owner, name string) fakecloud.Image { return fakecloud.Image{Owner: owner, Name: name} }

// What finds nothing lets no image go.
func TestAGatewayOf404(t *testing.T) {
	for name, match := range map[string]func(fakecloud.Request) bool{
		"everywhere": func(r fakecloud.Request) bool { return r.Operation != "authenticate" },
		"below images": func(r fakecloud.Request) bool {
			return r.Operation == "list_members" || r.Operation == "get_image"
		},
	} {
		for _, interval := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(name, ", discovery_interval ", interval), func(t *testing.T) {
				w := newWorld()
				ids := addImages(w, 20)
				opts := discovering(collector.Rule{Name: "image *"})
				opts.DiscoveryInterval = interval
				bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
					b.scrape(t)
					remove := w.Inject(fakecloud.Fault{Match: match, Status: http.StatusNotFound, Body: "default backend - 404"})
					for range 3 {
						time.Sleep(time.Minute)
						s := b.scrape(t)
						if len(s.Images) != len(ids) || len(read(s)) > 0 {
							t.Errorf("%d of %d images are watched, %d read", len(s.Images), len(ids), len(read(s)))
						}
						if everywhere := name == "everywhere"; s.Up == everywhere || s.Discovered == everywhere {
							t.Errorf("up %t, discovered %t", s.Up, s.Discovered)
						}
					}
					remove()
					w.RemoveImage(ids[0])
					b.scrape(t)
					time.Sleep(10 * time.Second)
					if s := b.scrape(t); len(s.Images) != len(ids)-1 || len(read(s)) != len(ids)-1 {
						t.Errorf("one is gone: %d of %d images are watched, %d read", len(s.Images), len(ids), len(read(s)))
					}
				})
			})
		}
	}
}

// A cloud that has nothing to ask for is asked all the same whether it is there.
func TestUpWhereNothingIsToBeAsked(t *testing.T) {
	check := func(t *testing.T, b *bench, shard collector.Shard) {
		t.Helper()
		for _, want := range []bool{true, true, false} {
			if !want {
				b.world.Inject(fakecloud.Fault{
					Match:  func(r fakecloud.Request) bool { return r.Operation != "authenticate" },
					Status: http.StatusServiceUnavailable,
				})
			}
			if s := b.cloud.CollectShard(t.Context(), shard, limits(9*time.Second)); s.Up != want {
				t.Errorf("%s: up %t, want %t", shard, s.Up, want)
			}
			time.Sleep(time.Minute)
		}
	}
	t.Run("a rule that takes no image yet", func(t *testing.T) {
		opts := discovering(collector.Rule{Name: "no such image"})
		opts.DiscoveryInterval = time.Hour
		bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) { check(t, b, collector.Shard{}) })
	})
	t.Run("an administrator's rule", func(t *testing.T) {
		opts := discovering(collector.Rule{Name: "no such image", Owners: []string{collector.AllOwners}})
		opts.DiscoveryInterval = time.Hour
		bubble(t, newWorld(), user("admin"), opts, func(t *testing.T, b *bench) { check(t, b, collector.Shard{}) })
	})
	t.Run("shards of one image", func(t *testing.T) {
		for n := range 4 {
			bubble(t, newWorld(), user("producer"), options(shared), func(t *testing.T, b *bench) {
				check(t, b, collector.Shard{Number: n + 1, Of: 4})
			})
		}
	})
	t.Run("Huawei Cloud", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBenchWith(t, newHuawei(), byKey(client.MembersV2), onIMS(shared))
			for n := range 4 {
				if s := b.cloud.CollectShard(t.Context(), collector.Shard{Number: n + 1, Of: 4}, limits(9*time.Second)); !s.Up {
					t.Errorf("shard %d of 4 is not up", n+1)
				}
			}
		})
	})
}
