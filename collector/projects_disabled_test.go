package collector_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// lock makes it impossible to enter a project, in each of the ways that Keystone knows.
var lock = map[string]func(w *fakecloud.Cloud, id string){
	"disabled domain": func(w *fakecloud.Cloud, id string) {
		w.AddProjectIn("branch", id, "locked")
		w.Enable("branch", false)
	},
	"disabled project": func(w *fakecloud.Cloud, id string) { w.Enable(id, false) },
}

// eachLock runs f with all projects of the user, by the word all and as a list, and each way to lock one of them.
func eachLock(t *testing.T, opts collector.Options, f func(t *testing.T, b *bench, locks func(*fakecloud.Cloud, string))) {
	t.Helper()
	for way, locks := range lock {
		for name, ids := range map[string][]string{"all": nil, "listed": {producer, consumerA, consumerB}} {
			t.Run(name+" with a "+way, func(t *testing.T) {
				projectsBubble(t, ids, opts, func(t *testing.T, b *bench) { f(t, b, locks) })
			})
		}
	}
}

// E15: the owner's own 404 ends an image, whatever becomes of other projects.
func TestE15ADeletedImageBesideALockedProject(t *testing.T) {
	opts := options()
	opts.Discover = []collector.Rule{{}}
	for when, wait := range map[string]bool{"before": false, "while running": true} {
		t.Run(when, func(t *testing.T) {
			eachLock(t, opts, func(t *testing.T, b *bench, locks func(*fakecloud.Cloud, string)) {
				if wait {
					b.scrape(t)
					time.Sleep(time.Minute)
				}
				locks(b.world, consumerB)
				b.scrape(t)
				b.world.RemoveImage(shared)
				b.world.RemoveImage(roamerImage) // the only one of its project
				time.Sleep(time.Minute)
				s := b.scrape(t)
				for _, id := range []string{shared, roamerImage} {
					if img := imageIn(s, id); img == nil || img.Coverage != collector.Unread || img.StatusCode != 404 {
						t.Errorf("%s at first: %+v", id, img)
					}
				}
				time.Sleep(3 * time.Minute) // it takes a look at all that the view can see, one in 2 minutes
				s = b.scrape(t)
				if want := "community, golden-debian-11, golden-empty, private, public"; sortedNames(s) != want {
					t.Errorf("got %s", sortedNames(s))
				}
				for _, img := range s.Images {
					if img.Coverage == collector.Unread {
						t.Errorf("%s: %v", img.Name, img.Err)
					}
				}
				left := []string{}
				for _, l := range s.Left {
					left = append(left, l.ID+" "+string(l.Reason))
				}
				want := []string{shared + " deleted", roamerImage + " deleted"}
				slices.Sort(want)
				if diff := cmp.Diff(want, left); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func imageIn(s collector.Snapshot, id string) *collector.ImageSnapshot {
	i := slices.IndexFunc(s.Images, func(img collector.ImageSnapshot) bool { return img.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Images[i]
}

// A configured image is not found where its owner says so.
func TestAConfiguredImageIsDeletedBesideALockedProject(t *testing.T) {
	eachLock(t, options(shared), func(t *testing.T, b *bench, locks func(*fakecloud.Cloud, string)) {
		locks(b.world, consumerB)
		b.scrape(t)
		b.world.RemoveImage(shared)
		for range 3 {
			time.Sleep(time.Minute)
			if img := imageIn(b.scrape(t), shared); img.StatusCode != 404 {
				t.Errorf("code %d: %v", img.StatusCode, img.Err)
			}
		}
	})
}

// Where the owner is not known, or cannot be entered, nobody can tell whether an image is there.
func TestAnImageThatMayBeALockedProjects(t *testing.T) {
	eachLock(t, options(absent, roamerImage), func(t *testing.T, b *bench, locks func(*fakecloud.Cloud, string)) {
		b.scrape(t)
		locks(b.world, consumerA)
		b.world.RevokeTokens()
		b.world.RemoveImage(roamerImage)
		for range 3 {
			time.Sleep(time.Minute)
			for _, img := range b.scrape(t).Images {
				if img.Coverage != collector.Unread || img.StatusCode != 0 {
					t.Errorf("%s: code %d: %v", img.ID, img.StatusCode, img.Err)
				}
			}
		}
	})
}

// An administrator's view of other projects' images needs no other project.
func TestE15AnAdministratorBesideALockedProject(t *testing.T) {
	opts := options()
	opts.Discover = []collector.Rule{{Owners: []string{collector.AllOwners}}}
	for way, locks := range lock {
		t.Run(way, func(t *testing.T) {
			projectsBubble(t, []string{consumerA, consumerB}, opts, func(t *testing.T, b *bench) {
				b.world.AddUser("roamer", "roamer-secret", consumerA, "admin")
				locks(b.world, consumerB)
				b.scrape(t)
				b.world.RemoveImage(shared)
				time.Sleep(time.Minute)
				b.scrape(t)
				time.Sleep(time.Minute)
				if img := imageIn(b.scrape(t), shared); img != nil {
					t.Errorf("code %d: %v", img.StatusCode, img.Err)
				}
			})
		})
	}
}

// A project that is locked is named, for as long as it is, and pauses nothing but itself.
func TestALockedProjectIsNamed(t *testing.T) {
	opts := options()
	opts.Discover, opts.Inbound = []collector.Rule{{}}, &collector.Inbound{}
	eachLock(t, opts, func(t *testing.T, b *bench, locks func(*fakecloud.Cloud, string)) {
		b.scrape(t)
		b.world.AddImage(fakecloud.Image{ID: absent, Name: "locked-in", Owner: consumerB, Visibility: "shared"})
		time.Sleep(time.Minute)
		b.scrape(t)
		locks(b.world, consumerB)
		time.Sleep(6 * time.Minute) // Glance's cache of tokens
		for i := range 12 {
			s := b.scrape(t)
			if i == 0 {
				// The one with which the image API's 401 is found out.
				time.Sleep(time.Minute)
				continue
			}
			want := []string{
				`glance_auth_paused{cloud="prod"} 0`,
				`glance_discovery_success{cloud="prod"} 0`,
				`glance_inbound_success{cloud="prod",project_id="` + consumerB + `"} 0`,
				`glance_inbound_success{cloud="prod",project_id="` + producer + `"} 1`,
				`glance_inbound_success{cloud="prod",project_id="` + consumerA + `"} 1`,
				`glance_project_success{cloud="prod",project_id="` + consumerB + `"} 0`,
				`glance_project_success{cloud="prod",project_id="` + producer + `"} 1`,
				`glance_project_success{cloud="prod",project_id="` + consumerA + `"} 1`,
				`glance_up{cloud="prod"} 1`,
			}
			got := series(t, s, "glance_up", "glance_discovery_success", "glance_project_success", "glance_inbound_success", "glance_auth_paused")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			for _, img := range s.Images {
				if unread := img.Coverage == collector.Unread; unread != (img.ID == absent) || unread && img.StatusCode != 0 {
					t.Errorf("%s: code %d: %v", img.Name, img.StatusCode, img.Err)
				}
			}
			time.Sleep(time.Minute)
		}
		lines := strings.Join(b.log.take(), "\n")
		if got := strings.Count(lines, `msg="no token for a project; its images are not read" project_id=`+consumerB); got != 1 {
			t.Errorf("told %d times:\n%s", got, lines)
		}
		if !strings.Contains(lines, "disabled") || strings.Contains(lines, "has no role") {
			t.Errorf("the log does not say why:\n%s", lines)
		}
		// The credential is good.
		for _, op := range []string{"authenticate", "list_projects"} {
			if n := testutil.ToFloat64(counter{b.api, op, "401"}); n != 0 {
				t.Errorf("%v %s answered with 401", n, op)
			}
		}
		// Only the image API's own, when the token ended.
		if n := testutil.ToFloat64(counter{b.api, "list_members", "401"}); n > 1 {
			t.Errorf("%v list_members answered with 401", n)
		}
		b.world.Enable("branch", true)
		b.world.Enable(consumerB, true)
		time.Sleep(6 * time.Minute)
		if s := b.scrape(t); !s.Discovered || imageIn(s, absent) == nil || imageIn(s, absent).Coverage != collector.Complete {
			t.Errorf("not entered again: %v", s.DiscoveryErr)
		}
	})
}

// Logins pause where none of the projects can be entered.
func TestNoProjectCanBeEntered(t *testing.T) {
	projectsBubble(t, []string{consumerB}, options(shared), func(t *testing.T, b *bench) {
		lock["disabled domain"](b.world, consumerB)
		if s := b.scrape(t); s.Up || !s.State.Paused {
			t.Errorf("up %t, paused %t", s.Up, s.State.Paused)
		}
	})
}

// Projects that are left out are not asked for.
func TestProjectsThatAreLeftOut(t *testing.T) {
	opts := options()
	opts.Discover = []collector.Rule{{}}
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		lock["disabled domain"](b.world, consumerB)
		b.scrape(t)
		b.projects.Set(client.Settings{Except: []string{consumerB, consumerC}})
		for range 3 {
			s := b.scrape(t)
			want := []string{
				`glance_project_success{cloud="prod",project_id="` + producer + `"} 1`,
				`glance_project_success{cloud="prod",project_id="` + consumerA + `"} 1`,
			}
			if diff := cmp.Diff(want, series(t, s, "glance_project_success")); diff != "" || !s.Discovered {
				t.Errorf("discovered %t: %v\n%s", s.Discovered, s.DiscoveryErr, diff)
			}
			time.Sleep(time.Minute)
		}
		b.projects.Set(client.Settings{Except: []string{consumerB, consumerA, producer}})
		if s := b.scrape(t); s.Err == nil || !strings.Contains(s.Err.Error(), "projects_except") {
			t.Errorf("all are left out: %v", s.Err)
		}
	})
}

// A user without a role anywhere is told so.
func TestNoRoleAnywhere(t *testing.T) {
	opts := options(shared)
	opts.Discover = []collector.Rule{{}}
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		b.world.Inject(fakecloud.Fault{Status: 200, Body: `{"projects": []}`, Match: func(r fakecloud.Request) bool {
			return r.Operation == fakecloud.OpListProjects
		}})
		for range 2 {
			s := b.scrape(t)
			for _, err := range []error{s.Err, s.DiscoveryErr, s.Images[0].Err} {
				if err == nil || !strings.Contains(err.Error(), "the user has no role in any project") {
					t.Errorf("got %v", err)
				}
			}
			if s.Up || s.State.Paused {
				t.Errorf("up %t, paused %t", s.Up, s.State.Paused)
			}
			time.Sleep(time.Minute)
		}
		if lines := b.log.take(); len(lines) != 1 || !strings.Contains(lines[0], "the user has no role in any project") {
			t.Errorf("log:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// Thousands of projects with one kind of trouble are one line, with how many and which, and one when it is over.
func TestTheLogOfManyProjects(t *testing.T) {
	t.Parallel()
	const many = 3000
	opts := options()
	opts.Discover, opts.Inbound = []collector.Rule{{}}, &collector.Inbound{}
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		for i := range many {
			id := fmt.Sprintf("%032x", i)
			b.world.AddProjectIn([]string{"branch", "default"}[i%2], id, "")
			b.world.AddUser("roamer", "roamer-secret", id, "reader")
			b.world.Enable(id, i%2 == 0)
		}
		b.world.Enable("branch", false)
		b.scrape(t)
		lines := b.log.take()
		if len(lines) > 10 {
			t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines[:10], "\n"))
		}
		text := strings.Join(lines, "\n")
		for first := range 2 {
			want := fmt.Sprintf("projects=1500 project_id=%032x,%032x,%032x", first, first+2, first+4)
			if !strings.Contains(text, want) {
				t.Errorf("no line with %s:\n%s", want, text)
			}
		}
		time.Sleep(10 * time.Minute)
		b.world.Enable("branch", true)
		b.scrape(t)
		lines = b.log.take()
		const over = `"resolved: no token for a project; its images are not read" operation=authenticate code=401 projects=1500`
		if text := strings.Join(lines, "\n"); len(lines) > 10 || !strings.Contains(text, over) {
			t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines[:min(10, len(lines))], "\n"))
		}
	})
}
