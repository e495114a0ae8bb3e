package collector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

const (
	vendor   = "0e7d1c5be7d04a21a6a2dd0cbb0e4a11"
	stranger = "f00dfacef00d4ace8f00dfacef00dace"

	vendorBase   = "11111111-aaaa-4000-8000-000000000001"
	vendorNew    = "11111111-aaaa-4000-8000-000000000002"
	vendorHidden = "11111111-aaaa-4000-8000-000000000003"
	vendorOther  = "11111111-aaaa-4000-8000-000000000004"
	strangeOffer = "22222222-bbbb-4000-8000-000000000001"
	strangeOld   = "22222222-bbbb-4000-8000-000000000002"
)

// newInboundWorld is newWorld with images that a vendor and a stranger share with the producer and with others.
func newInboundWorld(opts fakecloud.Options) *fakecloud.Cloud {
	w := newWorldWith(opts)
	w.AddProjectID(vendor, "vendor")
	w.AddProjectID(stranger, "stranger")
	for _, img := range []struct {
		fakecloud.Image
		member, status string
	}{
		{fakecloud.Image{ID: vendorBase, Name: "base", Owner: vendor}, producer, "accepted"},
		{fakecloud.Image{ID: vendorNew, Name: "base-next", Owner: vendor}, producer, "pending"},
		{fakecloud.Image{ID: vendorHidden, Name: "base-old", Owner: vendor, Hidden: true}, producer, "accepted"},
		{fakecloud.Image{ID: strangeOffer, Name: "debian-12", Owner: stranger}, producer, "pending"},
		{fakecloud.Image{ID: strangeOld, Name: "debian-11", Owner: stranger}, producer, "rejected"},
		{fakecloud.Image{ID: vendorOther, Name: "for others", Owner: vendor}, consumerA, "accepted"},
		{fakecloud.Image{Name: "for nobody", Owner: vendor}, "", ""},
	} {
		id := w.AddImage(img.Image)
		if img.member != "" {
			w.AddMember(id, fakecloud.Member{MemberID: img.member, Status: img.status, CreatedAt: t0, UpdatedAt: t0})
		}
	}
	return w
}

func watchingInbound(owners []collector.ExpectedMember) collector.Options {
	opts := options()
	opts.Inbound = &collector.Inbound{Owners: owners}
	return opts
}

// inboundOf is what a snapshot says, project by project: each image's status by its name, dots where there may be more.
func inboundOf(s collector.Snapshot) string {
	var all []string
	for _, in := range s.Inbound {
		var images []string
		for _, img := range in.Images {
			images = append(images, img.Name+"="+string(img.Status))
		}
		slices.Sort(images)
		if in.LeftOut > 0 {
			images = append(images, fmt.Sprintf("-%d", in.LeftOut))
		}
		if in.Err != nil {
			images = append(images, "...")
		}
		all = append(all, strings.Join(images, " "))
	}
	return strings.Join(all, " | ")
}

const (
	wholeInbound   = "base-next=pending base-old=accepted base=accepted debian-11=rejected debian-12=pending"
	inboundMetrics = "glance_inbound"
)

// inboundPage is what a page says of inbound images.
func inboundPage(t *testing.T, s collector.Snapshot) string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(page(t, s)) {
		if strings.HasPrefix(line, inboundMetrics) || strings.Contains(line, " "+inboundMetrics) {
			text.WriteString(line)
		}
	}
	return text.String()
}

// inboundList matches the listings of inbound images with something in the query.
func inboundList(more string) func(fakecloud.Request) bool {
	return func(r fakecloud.Request) bool {
		return r.Operation == fakecloud.OpListImages && strings.Contains(r.RawQuery, "member_status") && strings.Contains(r.RawQuery, more)
	}
}

func TestWhatIsSaidOfInboundImages(t *testing.T) {
	for _, test := range []struct {
		name  string
		auth  func() (gophercloud.AuthOptions, error)
		opts  func(*collector.Options)
		world func(*fakecloud.Cloud)
	}{
		{name: "whole"},
		{name: "not-judged", opts: func(o *collector.Options) { o.Inbound.Owners = nil }},
		{name: "names", opts: func(o *collector.Options) {
			o.Images = []collector.Image{{ID: vendorBase, Name: "the vendor's"}}
			o.Inbound.Owners = []collector.ExpectedMember{{Type: client.TypeProject, ID: vendor, Name: "the vendor"}}
			o.MemberNames = map[string]string{vendor: "v", stranger: "somebody"}
		}},
		{name: "nobody-expected", auth: user("consumer-a"), opts: func(o *collector.Options) { o.Inbound.Owners = expect() }},
		{name: "nothing-shared", auth: user("consumer-b"), world: func(w *fakecloud.Cloud) { w.Unshare(shared, consumerB) }},
		{name: "second-page-fails", world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: inboundList("marker"), Status: http.StatusInternalServerError})
		}},
		{name: "hidden-fails", world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: inboundList("os_hidden"), Status: http.StatusInternalServerError})
		}},
		{name: "no-status", world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusInternalServerError})
		}},
		{name: "api-away", world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: http.StatusServiceUnavailable})
		}},
		{name: "admin", auth: user("admin")},
		{name: "admin-by-another-name", auth: user("admin"), opts: func(o *collector.Options) { o.AdminRoles = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts := watchingInbound(expect(vendor))
			if test.opts != nil {
				test.opts(&opts)
			}
			auth := test.auth
			if auth == nil {
				auth = user("producer")
			}
			world := newInboundWorld(fakecloud.Options{MaxPageSize: 2})
			if test.world != nil {
				test.world(world)
			}
			bubble(t, world, auth, opts, func(t *testing.T, b *bench) {
				s := b.scrape(t)
				golden(t, "inbound-"+test.name+".metrics", inboundPage(t, s))
				problems, err := testutil.GatherAndLint(gatherer(s))
				if err != nil || len(problems) > 0 {
					t.Error(err, problems)
				}
			})
		})
	}
}

func gatherer(s collector.Snapshot) prometheus.Gatherer {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.Metrics(s))
	return registry
}

// offer shares n images of the stranger's with a project.
func offer(w *fakecloud.Cloud, n int, project, status string) (ids []string) {
	for i := range n {
		id := fmt.Sprintf("%x-cccc-4000-8000-%012d", status[:4], i)
		w.AddImage(fakecloud.Image{ID: id, Name: fmt.Sprintf("%s-%02d", status, i), Owner: stranger})
		w.AddMember(id, fakecloud.Member{MemberID: project, Status: status})
		ids = append(ids, id)
	}
	return ids
}

// statusesOf counts a project's images by status.
func statusesOf(s collector.InboundSnapshot) map[client.Status]int {
	count := map[client.Status]int{}
	for _, img := range s.Images {
		count[img.Status]++
	}
	return count
}

// Few images are asked about one by one, many by three listings, and each way with few requests.
func TestRequestsForInboundImages(t *testing.T) {
	for _, test := range []struct {
		name           string
		world          func(*fakecloud.Cloud)
		lists, members int
	}{
		{"none", func(w *fakecloud.Cloud) {
			for _, id := range []string{vendorBase, vendorNew, vendorHidden, strangeOffer, strangeOld} {
				w.Unshare(id, producer)
			}
		}, 2, 0},
		{"few", func(*fakecloud.Cloud) {}, 2, 5},
		{"many, and a hidden one", func(w *fakecloud.Cloud) { offer(w, 10, producer, "pending") }, 2 + 3*2, 1},
		{"many", func(w *fakecloud.Cloud) {
			w.Unshare(vendorHidden, producer)
			offer(w, 10, producer, "accepted")
		}, 2 + 3, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			world := newInboundWorld(fakecloud.Options{})
			test.world(world)
			bubble(t, world, user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
				s := b.scrape(t)
				if s.Inbound[0].Err != nil || !s.Up {
					t.Errorf("up %t: %v", s.Up, s.Inbound[0].Err)
				}
				for _, img := range s.Inbound[0].Images {
					if got := memberOf(world, img.Record.ID, producer); got != string(img.Status) {
						t.Errorf("%s: got %s, want %s", img.Name, img.Status, got)
					}
				}
				if lists, members := world.Count(fakecloud.OpListImages), world.Count(fakecloud.OpListMembers); lists != test.lists ||
					members != test.members {
					t.Errorf("%d lists and %d members, want %d and %d", lists, members, test.lists, test.members)
				}
			})
		})
	}
}

// memberOf is the truth about a membership: its status, "" where there is none.
func memberOf(w *fakecloud.Cloud, image, project string) string {
	for _, m := range w.Members(image) {
		if m.MemberID == project {
			return m.Status
		}
	}
	return ""
}

// once runs f at the first request that matches, before it is answered.
func once(w *fakecloud.Cloud, match func(fakecloud.Request) bool, f func()) {
	done := false
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
		if !done && match(r) {
			done = true
			f()
		}
		return false
	}})
}

// What changes while it is read is seen as it was before or after, and never not at all.
func TestInboundImagesChangeWhileTheyAreRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		when  string // in the query of a listing
		what  func(w *fakecloud.Cloud, pending, accepted string)
		image func(pending, accepted string) string
		want  string
		alone int // how many images are asked about alone
	}{
		{
			"accepted after the list of the accepted", "member_status=pending",
			func(w *fakecloud.Cloud, p, _ string) { w.SetStatus(p, producer, "accepted") }, first, "accepted", 1,
		},
		{
			"rejected after the list of the pending", "member_status=rejected",
			func(w *fakecloud.Cloud, p, _ string) { w.SetStatus(p, producer, "rejected") }, first, "rejected", 1,
		},
		{
			"rejected before", "member_status=pending", func(w *fakecloud.Cloud, p, _ string) { w.SetStatus(p, producer, "rejected") },
			first, "rejected", 0,
		},
		{
			"accepted, then pending again", "member_status=pending",
			func(w *fakecloud.Cloud, _, a string) { w.SetStatus(a, producer, "pending") }, second, "pending", 1,
		},
		{"withdrawn", "member_status=accepted", func(w *fakecloud.Cloud, p, _ string) { w.Unshare(p, producer) }, first, "404", 1},
		{"deleted", "member_status=accepted", func(w *fakecloud.Cloud, p, _ string) { w.RemoveImage(p) }, first, "404", 1},
		{"opened to everyone", "member_status=accepted", func(w *fakecloud.Cloud, p, _ string) {
			w.SetImage(p, func(img *fakecloud.Image) { img.Visibility = "community" })
		}, first, "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			world := newInboundWorld(fakecloud.Options{})
			pending := offer(world, 10, producer, "pending")[3]
			accepted := offer(world, 10, producer, "accepted")[3]
			once(world, inboundList(test.when), func() { test.what(world, pending, accepted) })
			bubble(t, world, user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
				s := b.scrape(t)
				got := ""
				for _, img := range s.Inbound[0].Images {
					if img.Record.ID == test.image(pending, accepted) {
						got = string(img.Status)
					}
				}
				if err := s.Inbound[0].Err; err != nil {
					got += code(err) // it is gone after a second look
				}
				if got != test.want {
					t.Errorf("got %q, want %q; %v", got, test.want, s.Inbound[0].Err)
				}
				if n := world.Count(fakecloud.OpListMembers) - 1; n != test.alone {
					t.Errorf("%d more images were asked about alone, want %d", n, test.alone)
				}
			})
		})
	}
}

func first(a, _ string) string  { return a }
func second(_, b string) string { return b }

// An image that was accepted goes when its own answer says so, and not because a listing lacks it.
func TestAnAcceptedImageGoesByItsOwnAnswer(t *testing.T) {
	for _, test := range []struct {
		name string
		what func(w *fakecloud.Cloud)
		want string // after two looks
	}{
		{
			"withdrawn", func(w *fakecloud.Cloud) { w.Unshare(vendorBase, producer) },
			"base-next=pending base-old=accepted debian-11=rejected debian-12=pending",
		},
		{
			"deleted", func(w *fakecloud.Cloud) { w.RemoveImage(vendorBase) },
			"base-next=pending base-old=accepted debian-11=rejected debian-12=pending",
		},
		{"a proxy does not find it", func(w *fakecloud.Cloud) {
			w.Unshare(vendorBase, producer)
			w.Inject(fakecloud.Fault{Match: about("list_members", vendorBase), Status: http.StatusNotFound})
			w.Inject(fakecloud.Fault{Match: about("get_image", vendorBase), Status: http.StatusNotFound})
		}, "base-next=pending base-old=accepted base= debian-11=rejected debian-12=pending ..."},
		{"public", func(w *fakecloud.Cloud) {
			w.SetImage(vendorBase, func(img *fakecloud.Image) { img.Visibility = "public" })
		}, "base-next=pending base-old=accepted debian-11=rejected debian-12=pending"},
		{"unhidden between the two listings", func(w *fakecloud.Cloud) {
			once(w, inboundList("os_hidden"), func() { w.SetImage(vendorHidden, func(img *fakecloud.Image) { img.Hidden = false }) })
		}, wholeInbound},
		{"the project's own by now, and shared with it still", func(w *fakecloud.Cloud) {
			w.SetImage(vendorBase, func(img *fakecloud.Image) { img.Owner = producer })
		}, "base-next=pending base-old=accepted debian-11=rejected debian-12=pending"},
		{"the project's own by now, and shared with another one", func(w *fakecloud.Cloud) {
			w.SetImage(vendorBase, func(img *fakecloud.Image) { img.Owner = producer })
			w.Unshare(vendorBase, producer)
			w.Share(vendorBase, consumerA)
		}, "base-next=pending base-old=accepted debian-11=rejected debian-12=pending"},
		{"the project's own by now, and not shared", func(w *fakecloud.Cloud) {
			w.SetImage(vendorBase, func(img *fakecloud.Image) { img.Owner, img.Visibility = producer, "private" })
		}, "base-next=pending base-old=accepted debian-11=rejected debian-12=pending"},
		{"the project's own after the listings", func(w *fakecloud.Cloud) {
			w.Unshare(vendorBase, producer)
			once(w, about("list_members", vendorBase), func() {
				w.SetImage(vendorBase, func(img *fakecloud.Image) { img.Owner = producer })
				w.Share(vendorBase, consumerA)
			})
		}, "base-next=pending base-old=accepted debian-11=rejected debian-12=pending"},
		{"its question fails", func(w *fakecloud.Cloud) {
			w.Unshare(vendorBase, producer)
			w.Inject(fakecloud.Fault{Match: about("list_members", vendorBase), Status: http.StatusInternalServerError})
		}, "base-next=pending base-old=accepted base= debian-11=rejected debian-12=pending ..."},
		{"it is no right any more", func(w *fakecloud.Cloud) {
			w.Unshare(vendorBase, producer)
			w.Inject(fakecloud.Fault{Match: about("list_members", vendorBase), Status: http.StatusForbidden})
			w.Inject(fakecloud.Fault{Match: about("get_image", vendorBase), Status: http.StatusForbidden})
		}, "base-next=pending base-old=accepted base= debian-11=rejected debian-12=pending ..."},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
				if got := inboundOf(b.scrape(t)); got != wholeInbound {
					t.Fatal(got)
				}
				test.what(b.world)
				b.scrape(t)
				time.Sleep(10 * time.Second)
				for range 2 { // what is not known stays not known
					if got := inboundOf(b.scrape(t)); got != test.want {
						t.Errorf("got  %s\nwant %s", got, test.want)
					}
				}
			})
		})
	}
}

func TestAMarkerThatIsGoneRestartsTheInboundListing(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound} {
		bubble(t, newInboundWorld(fakecloud.Options{MaxPageSize: 2}), user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
			b.world.Inject(fakecloud.Fault{Match: inboundList("marker"), Status: status, Times: 1})
			if got := inboundOf(b.scrape(t)); got != wholeInbound {
				t.Errorf("%d: got %s", status, got)
			}
			b.world.Inject(fakecloud.Fault{Match: inboundList("marker"), Status: status})
			if s := b.scrape(t); s.Inbound[0].Err == nil {
				t.Errorf("%d on each second page: whole", status)
			}
		})
	}
}

// Whatever the role is called: who sees images that nobody shared with it says nothing.
func TestAnAdministratorSaysNothingOfInboundImages(t *testing.T) {
	for _, test := range []struct {
		name   string
		roles  []string
		offer  int
		member bool // of the image that is asked about first
		log    string
	}{
		{"by name", []string{"admin"}, 0, false, "the credential has one of admin_roles, so the API lists the shared images of every " +
			"project: for inbound, use a credential with only the role reader in the project"},
		{"by one image", nil, 0, false, "the API lists images that are not shared with the project, as it does for an administrator: add " +
			"the credential's role to admin_roles, or use a credential with only the role reader for inbound"},
		{"by one image of many", nil, 30, false, "the API lists images that are not shared with the project, as it does for an " +
			"administrator: add the credential's role to admin_roles, or use a credential with only the role reader for inbound"},
		{"by the lists", nil, 30, true, "the API lists images that are not shared with the project, as it does for an administrator: add " +
			"the credential's role to admin_roles, or use a credential with only the role reader for inbound"},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts := watchingInbound(expect())
			opts.AdminRoles = test.roles
			opts.Images = []collector.Image{{ID: shared}}
			world := newInboundWorld(fakecloud.Options{})
			offer(world, test.offer, "ad314dd314dd314dd314dd314dd314dd", "accepted")
			if test.member {
				world.Share(vendorBase, "ad314dd314dd314dd314dd314dd314dd")
			}
			bubble(t, world, user("admin"), opts, func(t *testing.T, b *bench) {
				s := b.scrape(t)
				if got := inboundOf(s); got != "..." || s.Images[0].Coverage == collector.Unread {
					t.Errorf("got %s, and sight %d of the others", got, s.Images[0].Coverage)
				}
				want := `level=error cloud=prod msg="the listing of images that other projects share with a project is incomplete" ` +
					`project_id=ad314dd314dd314dd314dd314dd314dd err="` + test.log + `"`
				if lines := b.log.take(); !slices.Contains(lines, want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
				}
				b.scrape(t)
				if lines := b.log.take(); lines[0] != "" {
					t.Errorf("told again: %s", lines)
				}
			})
		})
	}
}

// Nor where the first collection has neither the time to find out, nor the lists that would contradict each other.
func TestALateAdministratorSaysNothingOfInboundImages(t *testing.T) {
	for _, listed := range []string{"accepted", "pending"} {
		opts := watchingInbound(expect())
		opts.AdminRoles = nil
		world := newInboundWorld(fakecloud.Options{})
		offer(world, 30, consumerA, "accepted")
		bubble(t, world, user("admin"), opts, func(t *testing.T, b *bench) {
			world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
				one := strings.Contains(r.RawQuery, "member_status=") && !strings.Contains(r.RawQuery, "member_status=all")
				return r.Operation == "list_members" ||
					r.Operation == "list_images" && one && !strings.Contains(r.RawQuery, "member_status="+listed)
			}, Status: http.StatusServiceUnavailable})
			for i := range 3 {
				for _, img := range b.scrape(t).Inbound[0].Images {
					if img.Status != "" || i > 0 {
						t.Errorf("with the list %s, scrape %d: %s is %q", listed, i, img.Name, img.Status)
					}
				}
				world.ClearFaults()
				time.Sleep(15 * time.Second)
			}
		})
	}
}

// Even where nothing else is to be asked, the cloud is up.
func TestInboundImagesAloneAreNoOutage(t *testing.T) {
	opts := watchingInbound(nil)
	opts.DiscoveryInterval = time.Hour
	for name, want := range map[string]string{"admin": "...", "producer": wholeInbound} {
		bubble(t, newInboundWorld(fakecloud.Options{}), user(name), opts, func(t *testing.T, b *bench) {
			b.scrape(t)
			before := b.world.Count("")
			s := b.scrape(t)
			if got := inboundOf(s); got != want || !s.Up || b.world.Count("") != before+1 {
				t.Errorf("%s: got %s, up %t, after %d requests", name, got, s.Up, b.world.Count("")-before)
			}
		})
	}
	// And where there is nobody to ask for, it is not.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.AddUser("lonely", "lonely-secret", "")
		c, err := client.NewProjects(client.Options{Transport: fakecloud.InMemory(w), Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{
				IdentityEndpoint: "http://cloud.test/identity/v3",
				Username:         "lonely",
				Password:         "lonely-secret",
				DomainName:       "Default",
			}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		cloud := collector.New(c, watchingInbound(nil), log.NewNopLogger())
		defer cloud.Close()
		s := cloud.Collect(t.Context(), collector.Limits{Timeout: 9 * time.Second})
		if got := inboundOf(s); got != "..." || s.Up {
			t.Errorf("without a project: got %s, up %t", got, s.Up)
		}
	})
}

// What one of several projects shares with another one is inbound there.
func TestInboundImagesOfSeveralProjects(t *testing.T) {
	opts := watchingInbound(expect(producer))
	opts.Concurrency = 4 // for one project at a time
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		offer(b.world, 1, consumerB, "pending")
		s := b.scrape(t)
		golden(t, "inbound-several-projects.metrics", inboundPage(t, s))
		// A project that cannot be entered costs the others nothing.
		b.world.AddUser("roamer", "roamer-secret", consumerC, "reader")
		b.world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
			return r.Operation == fakecloud.OpListImages &&
				r.Project == consumerB
		}, Status: http.StatusInternalServerError})
		want := map[string]string{
			producer:  "roamer's=accepted",
			consumerA: "golden-debian-11=accepted golden-debian-12=accepted",
			consumerB: "...",
			consumerC: "golden-debian-12=pending roamer's=pending",
		}
		s = b.scrape(t)
		for _, in := range s.Inbound {
			if got := inboundOf(collector.Snapshot{Inbound: []collector.InboundSnapshot{in}}); got != want[in.ProjectID] {
				t.Errorf("%s: got %s, want %s", in.ProjectID, got, want[in.ProjectID])
			}
			delete(want, in.ProjectID)
		}
		if len(want) > 0 {
			t.Errorf("nothing is said of %v", want)
		}
	})
}

// While nobody knows whether there are more projects, it is not said that all is seen; what is seen of the others stays.
func TestInboundImagesWhileProjectsCannotBeListed(t *testing.T) {
	projectsBubble(t, nil, watchingInbound(expect(producer)), func(t *testing.T, b *bench) {
		before := series(t, b.scrape(t), "glance_inbound_success", "glance_inbound_images")
		b.log.take()
		b.world.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListProjects },
			Status: http.StatusServiceUnavailable,
		})
		want := slices.Sorted(slices.Values(append(slices.Clone(before), `glance_inbound_success{cloud="prod",project_id=""} 0`)))
		for range 2 {
			s := b.scrape(t)
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(series(t, s, "glance_inbound_success", "glance_inbound_images")))); diff != "" {
				t.Error(diff)
			}
			if problems, err := testutil.GatherAndLint(gatherer(s)); err != nil || len(problems) > 0 {
				t.Error(err, problems)
			}
		}
		if told := b.log.take(); len(told) != 1 || !strings.Contains(told[0], "the list of the user's projects was not read") {
			t.Errorf("the log says\n%s", strings.Join(told, "\n"))
		}
		b.world.ClearFaults()
		if diff := cmp.Diff(before, series(t, b.scrape(t), "glance_inbound_success", "glance_inbound_images")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestInboundImagesWithoutALogin(t *testing.T) {
	opts := watchingInbound(expect())
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
		b.world.KeystoneDown(true)
		before := []string{`glance_inbound_success{cloud="prod",project_id=""} 0`}
		if got := series(t, b.scrape(t), "glance_inbound_success", "glance_inbound_images"); !slices.Equal(got, before) {
			t.Errorf("got %s, want %s", got, before)
		}
		b.world.KeystoneDown(false)
		time.Sleep(10 * time.Minute)
		if got := inboundOf(b.scrape(t)); got != wholeInbound {
			t.Error(got)
		}
		time.Sleep(61 * time.Minute) // the token has ended
		b.world.KeystoneDown(true)
		after := []string{`glance_inbound_success{cloud="prod",project_id="` + producer + `"} 0`}
		if got := series(t, b.scrape(t), "glance_inbound_success", "glance_inbound_images"); !slices.Equal(got, after) {
			t.Errorf("got %s, want %s", got, after)
		}
		b.world.KeystoneDown(false)
		time.Sleep(10 * time.Minute)
		if got := inboundOf(b.scrape(t)); got != wholeInbound {
			t.Error(got)
		}
	})
}

// One shard of a cloud, and each collection of all of it, says what is inbound.
func TestInboundImagesAndShards(t *testing.T) {
	opts := watchingInbound(nil)
	opts.ByProbe, opts.Shards = true, 3
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
		for shard, want := range map[collector.Shard]string{
			{}: wholeInbound, {Number: 1, Of: 1}: wholeInbound,
			{Number: 1, Of: 3}: wholeInbound, {Number: 2, Of: 3}: "", {Number: 3, Of: 3}: "",
		} {
			s := b.cloud.CollectShard(t.Context(), shard, collector.Limits{Timeout: 9 * time.Second})
			if got := inboundOf(s); got != want {
				t.Errorf("shard %s: got %q, want %q", shard, got, want)
			}
			if want == "" && len(s.Inbound) > 0 {
				t.Errorf("shard %s says something", shard)
			}
		}
	})
}

func TestInboundImagesNowAndThen(t *testing.T) {
	opts := watchingInbound(nil)
	opts.DiscoveryInterval = 10 * time.Minute
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
		for _, step := range []struct {
			after time.Duration
			do    func()
			want  string
		}{
			{0, nil, wholeInbound},
			{5 * time.Minute, func() { b.world.Unshare(vendorHidden, producer) }, wholeInbound},
			{4 * time.Minute, func() {
				b.world.Inject(fakecloud.Fault{Match: inboundList(""), Status: http.StatusInternalServerError})
			}, wholeInbound},
			{2 * time.Minute, nil, "..."},
			{time.Minute, b.world.ClearFaults, "base-next=pending base-old= base=accepted debian-11=rejected debian-12=pending ..."},
			{time.Minute, nil, "base-next=pending base=accepted debian-11=rejected debian-12=pending"},
			{
				8 * time.Minute, func() { b.world.Unshare(vendorBase, producer) },
				"base-next=pending base=accepted debian-11=rejected debian-12=pending",
			},
			// New options are at work at once.
			{0, func() {
				judging := opts
				judging.Inbound = &collector.Inbound{Owners: expect()}
				b.cloud.SetOptions(judging)
			}, "base-next=pending base= debian-11=rejected debian-12=pending ..."},
			{time.Minute, nil, "base-next=pending debian-11=rejected debian-12=pending"},
			{0, func() {
				off := options(shared)
				b.cloud.SetOptions(off)
			}, ""},
		} {
			time.Sleep(step.after)
			if step.do != nil {
				step.do()
			}
			if got := inboundOf(b.scrape(t)); got != step.want {
				t.Errorf("got  %s\nwant %s", got, step.want)
			}
		}
	})
}

func TestInboundImagesInTheBackground(t *testing.T) {
	opts := watchingInbound(nil)
	opts.RefreshInterval = 5 * time.Minute
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
		if got := inboundOf(b.scrape(t)); got != wholeInbound {
			t.Error(got)
		}
		b.world.Inject(fakecloud.Fault{Hang: true})
		time.Sleep(20 * time.Minute)
		if got := inboundOf(b.scrape(t)); got != "..." {
			t.Errorf("nothing answers: %s", got)
		}
		b.world.ClearFaults()
	})
	// One that takes as long as it may, and is too old when it is over.
	opts.RefreshInterval, opts.MaxStaleness = time.Hour, time.Hour
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Hang: true})
		time.Sleep(61 * time.Minute)
		want := []string{`glance_inbound_success{cloud="prod",project_id="` + producer + `"} 0`}
		if got := series(t, b.scrape(t), "glance_inbound_success", "glance_inbound_images"); !slices.Equal(got, want) {
			t.Errorf("too old: got %s, want %s", got, want)
		}
		b.world.ClearFaults()
	})
}

// The first name stays, and the present one is told.
func TestARenamedInboundImage(t *testing.T) {
	bubble(t, newInboundWorld(fakecloud.Options{}), user("consumer-a"), watchingInbound(nil), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.SetImage(shared, func(img *fakecloud.Image) { img.Name = "renamed" })
		b.world.Inject(fakecloud.Fault{Match: inboundList(""), Status: http.StatusInternalServerError, Times: 6})
		b.scrape(t) // a bad collection forgets nothing
		b.world.ClearFaults()
		want := `glance_inbound_image_info{cloud="prod",current_name="renamed",hidden="false",image_id="` + shared +
			`",image_name="golden-debian-12",image_status="active",owner_id="` + producer + `",owner_name="",project_id="` + consumerA + `"} 1`
		if got := series(t, b.scrape(t), "glance_inbound_image_info"); !slices.Contains(got, want) {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), want)
		}
	})
}

// Anybody can offer any number of images. What an unexpected owner shares and the project accepted is shown all the same.
func TestAFloodOfOffers(t *testing.T) {
	for _, n := range []int{2_100, 5_100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			world := newInboundWorld(fakecloud.Options{})
			offer(world, n, producer, "pending")
			late := offer(world, 1, producer, "accepted")[0] // newer than all of them
			opts := watchingInbound(expect(vendor))
			opts.Images = []collector.Image{{ID: shared}}
			bubble(t, world, user("producer"), opts, func(t *testing.T, b *bench) {
				s := b.scrape(t)
				if s.Images[0].Coverage != collector.Complete {
					t.Errorf("sight %d of the others", s.Images[0].Coverage)
				}
				if got := statusesOf(s.Inbound[0])[client.Accepted]; got != 3 {
					t.Errorf("%d accepted images", got)
				}
				shown := map[string]bool{}
				for _, l := range samples(t, s, "glance_inbound_image_status") {
					if l.labels["status"] == "accepted" {
						shown[l.labels["image_id"]] = l.value == "1"
					}
				}
				if len(shown) != 100 || !shown[late] {
					t.Errorf("%d images are shown, the accepted one: %t", len(shown), shown[late])
				}
				want := []string{`glance_inbound_success{cloud="prod",project_id="` + producer + `"} ` + bit(n < 5_000)}
				if got := series(t, s, "glance_inbound_success"); !slices.Equal(got, want) {
					t.Error(got)
				}
				counted := series(t, s, "glance_inbound_images")
				if n == 2_100 && len(counted) != 4 || n > 5_000 && len(counted) != 3 {
					t.Errorf("the counts are %s", strings.Join(counted, "\n"))
				}
				told := strings.Join(b.log.take(), "\n")
				if !strings.Contains(told, "other projects share more images with a project than inbound.max_images") ||
					strings.Contains(told, "more than 5000 images are shared with the project, or more than 50000 with all projects") != (n > 5_000) {
					t.Errorf("the log says\n%s", told)
				}
			})
		})
	}
}

// Offers to some projects hide nothing that another one has accepted, hidden or not.
func TestAFloodOfOffersToOtherProjects(t *testing.T) {
	t.Parallel()
	opts := watchingInbound(nil)
	opts.Concurrency = 1 // one project after the other
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		w := b.world
		var flooded []string
		for i := range 10 {
			id := fmt.Sprintf("%032x", i+1) // listed before the others
			w.AddProjectID(id, fmt.Sprintf("a%d", i))
			w.AddUser("roamer", "roamer-secret", id, "reader")
			flooded = append(flooded, id)
		}
		for i := range 5_000 {
			id := w.AddImage(fakecloud.Image{ID: fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i), Owner: stranger})
			for _, project := range flooded {
				w.AddMember(id, fakecloud.Member{MemberID: project, Status: "pending"})
			}
		}
		want := map[string]string{
			producer:  "roamer's=accepted ...",
			consumerA: "golden-debian-11=accepted golden-debian-12=accepted ...",
			consumerB: "...",
		}
		for _, in := range b.scrape(t).Inbound {
			if slices.Contains(flooded, in.ProjectID) {
				if len(in.Images) != 5_000 || in.Err != nil {
					t.Errorf("%s: %d images, %v", in.ProjectID, len(in.Images), in.Err)
				}
				continue
			}
			if got := inboundOf(collector.Snapshot{Inbound: []collector.InboundSnapshot{in}}); got != want[in.ProjectID] {
				t.Errorf("%s: got %s, want %s", in.ProjectID, got, want[in.ProjectID])
			}
			delete(want, in.ProjectID)
		}
		if len(want) > 0 {
			t.Errorf("nothing is said of %v", want)
		}
	})
}

// What the project itself shares is in the listings too, and is none of these.
func TestInboundImagesAmongManyOfItsOwn(t *testing.T) {
	world := newInboundWorld(fakecloud.Options{})
	for range 5_100 {
		world.AddImage(fakecloud.Image{Owner: producer})
	}
	bubble(t, world, user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
		if got := inboundOf(b.scrape(t)); got != wholeInbound {
			t.Error(got)
		}
		if lists := world.Count(fakecloud.OpListImages); lists != 7 {
			t.Errorf("%d pages", lists)
		}
	})
}

// Which of two lists to believe of an image that is in both is asked; where nobody answers that, nothing is said of it.
func TestAnInboundImageInTwoLists(t *testing.T) {
	world := newInboundWorld(fakecloud.Options{})
	pending := offer(world, 21, producer, "pending")[3]
	once(world, inboundList("member_status=rejected"), func() { world.SetStatus(pending, producer, "rejected") })
	world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusInternalServerError})
	bubble(t, world, user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
		s := b.scrape(t)
		if s.Inbound[0].Err == nil || strings.Contains(inboundOf(s), "pending-03") || len(s.Inbound[0].Images) != 5+20 {
			t.Errorf("%d images: %s", len(s.Inbound[0].Images), inboundOf(s))
		}
	})
}

// Listings that hang, or are slow, take no time from the members.
func TestInboundListingsThatHang(t *testing.T) {
	for _, workers := range []int{1, 8} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			opts := watchingInbound(nil)
			opts.Concurrency = workers
			opts.Images = []collector.Image{{ID: shared}, {ID: empty}, {ID: hidden}}
			bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
				b.world.Inject(fakecloud.Fault{Match: inboundList(""), Hang: true})
				for range 3 {
					began := time.Now()
					s := b.scrape(t)
					for _, img := range s.Images {
						if img.Coverage != collector.Complete {
							t.Errorf("%s: sight %d, %v", img.Name, img.Coverage, img.Err)
						}
					}
					if got := inboundOf(s); got != "..." {
						t.Error(got)
					}
					if took := time.Since(began); took > 9*time.Second {
						t.Errorf("took %s", took)
					}
				}
				b.world.ClearFaults()
				b.scrape(t)
				if got := inboundOf(b.scrape(t)); got != wholeInbound {
					t.Errorf("then %s", got)
				}
			})
		})
	}
}

// What was read by the deadline is told, and no more.
func TestInboundImagesAtTheDeadline(t *testing.T) {
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), watchingInbound(nil), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Match: about("list_members", strangeOffer), Hang: true})
		if got, want := inboundOf(b.scrape(t)), "base-next=pending base-old=accepted base=accepted debian-11=rejected debian-12= "+
			"..."; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		b.world.ClearFaults()
	})
}

func TestInboundImagesOfHuaweiCloud(t *testing.T) {
	world := newInboundWorld(fakecloud.Options{Huawei: true, Domain: "account"})
	world.AddMember(strangeOffer, fakecloud.Member{MemberID: consumerA, Status: "accepted"})
	opts := watchingInbound(expect(vendor))
	opts.API, opts.MembersFor = client.IMS, collector.DefaultMembersFor(client.IMS)
	world.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: producer})
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, world, byKey(client.MembersV1), opts)
		golden(t, "inbound-huawei.metrics", inboundPage(t, b.scrape(t)))
		if lists := world.Count(fakecloud.OpListImages); lists != 6 { // each has another page, which is empty
			t.Errorf("%d lists", lists)
		}
		world.Unshare(vendorBase, producer)
		b.scrape(t)
		time.Sleep(10 * time.Second)
		want := "base-next=pending base-old=accepted debian-11=rejected debian-12=pending"
		if got := inboundOf(b.scrape(t)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		// Between two lists.
		once(world, inboundList("member_status=rejected"), func() { world.SetStatus(vendorHidden, producer, "pending") })
		want = "base-next=pending base-old=pending debian-11=rejected debian-12=pending"
		if got := inboundOf(b.scrape(t)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		// By now the project's own, whose only member is no answer about the project.
		world.SetStatus(vendorHidden, producer, "accepted")
		b.scrape(t)
		world.SetImage(vendorHidden, func(img *fakecloud.Image) { img.Owner = producer })
		world.Unshare(vendorHidden, producer)
		world.Share(vendorHidden, consumerA)
		want = "base-next=pending debian-11=rejected debian-12=pending"
		for range 2 {
			if got := inboundOf(b.scrape(t)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	})
}

func TestInboundOptions(t *testing.T) {
	for want, owners := range map[string][]collector.ExpectedMember{
		`inbound.expected_owners[0]: * is not an ID: set inbound: true if every project may share ` +
			`images`: {{Type: client.TypeProject, ID: "*"}},
		`inbound.expected_owners[0]: acme is of type organization, but only projects own images: set the ID of a ` +
			`project`: {{Type: client.TypeOrganization, ID: "acme"}},
		`inbound.expected_owners[1]: a is a duplicate, or not in order`: {
			{Type: client.TypeProject, ID: "a"},
			{Type: client.TypeProject, ID: "a"},
		},
	} {
		err := watchingInbound(owners).Validate()
		if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
			t.Error(diff)
		}
	}
}

// An image without an owner may have members, in an API before 2.5: the listing has it, and no record says that it has none.
func TestE14AnImageWithoutAnOwner(t *testing.T) {
	w := newWorld()
	w.SetBefore25(true)
	w.AddImage(fakecloud.Image{ID: absent, Name: "nobody's", Visibility: "private"})
	w.AddMember(absent, fakecloud.Member{MemberID: producer, Status: "accepted"})
	w.SetPolicy(fakecloud.Policy{GetMembers: func(fakecloud.Caller) bool { return false }})
	opts := options(shared)
	opts.Inbound = &collector.Inbound{}
	bubble(t, w, user("producer"), opts, func(t *testing.T, b *bench) {
		for range 3 {
			s := b.scrape(t)
			has := len(series(t, s, "glance_inbound_image_info")) > 0
			if whole := series(t, s, "glance_inbound_success"); !has && strings.HasSuffix(whole[0], " 1") {
				t.Errorf("it is not shown, and all are said to be: %q", whole)
			}
			time.Sleep(time.Minute)
		}
	})
}
