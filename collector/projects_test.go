package collector_test

import (
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

const roamerImage = "5a1f3c5e-0c0f-4a51-9a53-1f8f0a5f6c5d" // consumerA's own, shared with the producer

// newProjects is the world of the other tests with a user who has a role in three of its projects.
func newProjects() *fakecloud.Cloud {
	w := newWorld()
	for _, id := range []string{producer, consumerA, consumerB} {
		w.AddUser("roamer", "roamer-secret", id, "reader")
	}
	w.AddImage(fakecloud.Image{ID: roamerImage, Name: "roamer's", Owner: consumerA, Visibility: "shared"})
	w.AddMember(roamerImage, fakecloud.Member{MemberID: producer, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
	w.AddMember(roamerImage, fakecloud.Member{MemberID: consumerC, Status: "pending", CreatedAt: t0, UpdatedAt: t0})
	return w
}

func projectsBubble(t *testing.T, ids []string, opts collector.Options, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.Projects = true
		b := &bench{world: newProjects(), api: collector.NewAPIMetrics(), log: &logLines{}}
		c, err := client.NewProjects(client.Options{
			Auth: func() (gophercloud.AuthOptions, error) {
				return gophercloud.AuthOptions{
					IdentityEndpoint: "http://cloud.test/identity/v3", Username: "roamer", Password: "roamer-secret", DomainName: "Default",
				}, nil
			},
			Settings:  client.Settings{Projects: ids, AdminRoles: opts.AdminRoles},
			Transport: fakecloud.InMemory(b.world), Observer: b.api.Observer(opts.Name, client.OpListProjects),
		})
		if err != nil {
			t.Fatal(err)
		}
		b.projects = c
		b.cloud = collector.New(c, opts, log.NewLogfmtLogger(b.log))
		t.Cleanup(func() {
			b.cloud.Close()
			c.Close()
		})
		f(t, b)
	})
}

// askedFor are the images whose members were asked for, and by which project.
func (b *bench) askedFor() map[string]string {
	asked := map[string]string{}
	for _, r := range b.world.Requests() {
		if r.Operation == fakecloud.OpListMembers {
			asked[r.ImageID] = strings.TrimPrefix(asked[r.ImageID]+" "+r.Project, " ")
		}
	}
	return asked
}

func sortedNames(s collector.Snapshot) string {
	all := names(s)
	sort.Strings(all)
	return strings.Join(all, ", ")
}

func TestAllProjects(t *testing.T) {
	for name, ids := range map[string][]string{"all": nil, "listed": {consumerB, producer, consumerA}} {
		t.Run(name, func(t *testing.T) {
			opts := options()
			opts.Discover = []collector.Rule{{}}
			projectsBubble(t, ids, opts, func(t *testing.T, b *bench) {
				s := b.scrape(t)
				if want := "community, golden-debian-11, golden-debian-12, golden-empty, private, public, roamer's"; sortedNames(s) != want {
					t.Errorf("got  %s\nwant %s", sortedNames(s), want)
				}
				// Each in the view of its owner, once, also what another one of the projects sees.
				if diff := cmp.Diff(map[string]string{
					shared: producer, empty: producer, hidden: producer, roamerImage: consumerA,
					private: producer,
				}, b.askedFor()); diff != "" {
					t.Error(diff)
				}
				want := []string{
					`glance_discovery_success{cloud="prod"} 1`,
					`glance_project_info{cloud="prod",project_id="` + consumerB + `",project_name="consumer-b"} 1`,
					`glance_project_info{cloud="prod",project_id="` + producer + `",project_name="producer"} 1`,
					`glance_project_info{cloud="prod",project_id="` + consumerA + `",project_name="consumer-a"} 1`,
					`glance_project_success{cloud="prod",project_id="` + consumerB + `"} 1`,
					`glance_project_success{cloud="prod",project_id="` + producer + `"} 1`,
					`glance_project_success{cloud="prod",project_id="` + consumerA + `"} 1`,
				}
				if diff := cmp.Diff(want, series(t, s, "glance_discovery_success", "glance_project_info", "glance_project_success")); diff != "" {
					t.Error(diff)
				}
				for _, img := range s.Images {
					if img.Coverage != collector.Complete && img.Coverage != collector.NotApplicable {
						t.Errorf("%s: sight %d", img.Name, img.Coverage)
					}
				}
				for range 5 {
					b.scrape(t)
				}
				if got := b.world.Count(fakecloud.OpAuthenticate); got != 4 {
					t.Errorf("%d logins, want one of the user and one per project", got)
				}
				time.Sleep(61 * time.Minute) // all tokens end
				if s := b.scrape(t); !s.Discovered || len(s.Images) != 7 {
					t.Errorf("after an hour: %s", sortedNames(s))
				}
			})
		})
	}
}

func TestConfiguredImagesOfSeveralProjects(t *testing.T) {
	projectsBubble(t, nil, options(shared, roamerImage, absent), func(t *testing.T, b *bench) {
		for range 2 {
			s := b.scrape(t)
			want := []string{
				`glance_image_members_complete{cloud="prod",image_id="` + absent + `",image_name=""} 0`,
				`glance_image_members_complete{cloud="prod",image_id="` + roamerImage + `",image_name="roamer's"} 1`,
				`glance_image_members_complete{cloud="prod",image_id="` + shared + `",image_name="golden-debian-12"} 1`,
			}
			if diff := cmp.Diff(want, series(t, s, "glance_image_members_complete")); diff != "" {
				t.Error(diff)
			}
			if got := series(t, s, "glance_image_scrape_http_status_code")[0]; !strings.HasSuffix(got, " 404") {
				t.Error(got)
			}
			if diff := cmp.Diff(map[string]string{shared: producer, roamerImage: consumerA}, b.askedFor()); diff != "" {
				t.Error(diff)
			}
			b.world.ResetLog()
		}
	})
}

// A project that cannot be entered is told, drops nothing, and costs the others nothing.
func TestAProjectThatCannotBeEntered(t *testing.T) {
	opts := options()
	opts.Discover = []collector.Rule{{}}
	projectsBubble(t, []string{producer, consumerC}, opts, func(t *testing.T, b *bench) {
		for range 3 {
			s := b.scrape(t)
			if want := "community, golden-debian-11, golden-debian-12, golden-empty, private, public"; sortedNames(s) != want {
				t.Errorf("got %s", sortedNames(s))
			}
			want := []string{
				`glance_discovery_success{cloud="prod"} 0`,
				`glance_project_success{cloud="prod",project_id="` + consumerC + `"} 0`,
				`glance_project_success{cloud="prod",project_id="` + producer + `"} 1`,
				`glance_up{cloud="prod"} 1`,
			}
			if diff := cmp.Diff(want, series(t, s, "glance_up", "glance_discovery_success", "glance_project_success")); diff != "" {
				t.Error(diff)
			}
		}
		lines := strings.Join(b.log.take(), "\n")
		if got := strings.Count(lines, `msg="no token for a project; its images are not read" project_id=`+consumerC); got != 1 {
			t.Errorf("told %d times:\n%s", got, lines)
		}
		// The role comes later.
		b.world.AddUser("roamer", "roamer-secret", consumerC, "reader")
		if s := b.scrape(t); !s.Discovered {
			t.Error("still not entered")
		}
	})
}

// While a project's token is refused, the images that were found in it are not taken for gone.
func TestAProjectThatIsLostDropsNothing(t *testing.T) {
	opts := options(absent)
	opts.Discover = []collector.Rule{{}}
	projectsBubble(t, []string{producer, consumerA}, opts, func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.RevokeTokens()
		b.world.Inject(fakecloud.Fault{Status: 503, Match: func(r fakecloud.Request) bool {
			return r.Operation == fakecloud.OpAuthenticate
		}})
		s := b.scrape(t)
		if want := ", community, golden-debian-11, golden-debian-12, golden-empty, private, public, roamer's"; sortedNames(s) != want {
			t.Errorf("got %s", sortedNames(s))
		}
		if s.Discovered {
			t.Error("discovered")
		}
		for _, line := range series(t, s, "glance_image_scrape_success") {
			if !strings.HasSuffix(line, " 0") {
				t.Error(line)
			}
		}
		b.world.ClearFaults()
		time.Sleep(time.Minute)
		if s := b.scrape(t); !s.Discovered {
			t.Errorf("not discovered again: %v", b.log.take())
		}
	})
}

// A wrong password is sent once, not once for each project.
func TestARefusedPasswordOfSeveralProjects(t *testing.T) {
	projectsBubble(t, nil, options(shared), func(t *testing.T, b *bench) {
		b.world.AddUser("roamer", "another-secret", "")
		s := b.scrape(t)
		if s.Up || s.Err == nil || !s.State.Paused {
			t.Errorf("got %+v", s)
		}
		b.scrape(t)
		if got := b.world.Count(fakecloud.OpAuthenticate); got != 1 {
			t.Errorf("%d logins", got)
		}
	})
}

// A Keystone that is away, or slow, takes nothing from good tokens; but there may be projects that nobody knows of.
func TestProjectsThatCannotBeListed(t *testing.T) {
	for name, fault := range map[string]fakecloud.Fault{
		"503": {Status: 503}, "404": {Status: 404}, "hangs": {Hang: true}, "no list": {Status: 200, Body: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := options(shared)
			opts.Discover = []collector.Rule{{}}
			projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
				b.scrape(t)
				b.log.take()
				fault.Match = func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListProjects }
				b.world.Inject(fault)
				for range 2 {
					s := b.scrape(t)
					if s.Err != nil || !s.Up || s.Discovered || len(s.Images) != 7 {
						t.Errorf("up %t, discovered %t, %s", s.Up, s.Discovered, sortedNames(s))
					}
					for _, img := range s.Images {
						if img.Coverage == collector.Unread {
							t.Errorf("%s: %v", img.Name, img.Err)
						}
					}
				}
				if got := strings.Count(strings.Join(b.log.take(), "\n"), "the list of the user's projects was not read"); got != 1 {
					t.Errorf("told %d times", got)
				}
			})
		})
	}
}

// The status of a list of projects is none of an image.
func TestNoListOfProjectsFromTheBeginning(t *testing.T) {
	projectsBubble(t, nil, options(shared), func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Status: 404, Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListProjects }})
		s := b.scrape(t)
		want := []string{
			`glance_image_scrape_http_status_code{cloud="prod",image_id="` + shared + `",image_name=""} 0`,
			`glance_image_scrape_success{cloud="prod",image_id="` + shared + `",image_name=""} 0`,
			`glance_up{cloud="prod"} 0`,
		}
		if diff := cmp.Diff(want, series(t, s, "glance_up", "glance_image_scrape_success", "glance_image_scrape_http_status_code")); diff != "" {
			t.Error(diff)
		}
	})
}

// A role that is taken away does not look like images that are gone; a reload accepts it.
func TestALostRole(t *testing.T) {
	for name, ids := range map[string][]string{"all": nil, "listed": {consumerA, producer}} {
		t.Run(name, func(t *testing.T) {
			opts := options()
			opts.Discover = []collector.Rule{{}}
			projectsBubble(t, ids, opts, func(t *testing.T, b *bench) {
				before := sortedNames(b.scrape(t))
				lost := fakecloud.Fault{
					Status: 200, Body: `{"projects": [{"id": "` + producer + `", "name": "producer", "enabled": true}]}`,
					Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListProjects },
				}
				b.world.Inject(lost)
				for range 2 {
					s := b.scrape(t)
					if sortedNames(s) != before || s.Discovered {
						t.Errorf("discovered %t, %s", s.Discovered, sortedNames(s))
					}
					for _, img := range s.Images {
						if unread := img.Coverage == collector.Unread; unread != (img.ID == roamerImage) {
							t.Errorf("%s: %v", img.Name, img.Err)
						}
					}
				}
				b.projects.Set(client.Settings{})
				if s := b.scrape(t); !s.Discovered || strings.Contains(sortedNames(s), "roamer") {
					t.Errorf("after a reload: discovered %t, %s", s.Discovered, sortedNames(s))
				}
				b.world.ClearFaults()
				if s := b.scrape(t); !s.Discovered || sortedNames(s) != before {
					t.Errorf("with the role again: discovered %t, %s, %v", s.Discovered, sortedNames(s), s.DiscoveryErr)
				}
			})
		})
	}
}
