package collector_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

const (
	wholeServer = "7c2f7b1e-0c0f-4a51-9a53-1f8f0a5f6c5d"
	strange     = "9a1f3c5e-0c0f-4a51-9a53-1f8f0a5f6c5d"
)

// newHuawei is a Huawei Cloud in which a project shares an image with 1203 members, and another one of a full server.
func newHuawei() *fakecloud.Cloud {
	w := fakecloud.New(fakecloud.Options{Huawei: true, Domain: "account", Region: "cn-north-4"})
	w.AddProjectID(producer, "cn-north-4")
	w.AddUser("watcher", "hunter2", producer, "ims_readonly")
	w.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: producer})
	w.AddImage(fakecloud.Image{ID: shared, Name: "golden", Owner: producer})
	w.AddImage(fakecloud.Image{ID: wholeServer, Name: "server", Owner: producer, Whole: true})
	w.AddImage(fakecloud.Image{ID: empty, Name: "for nobody", Owner: producer})
	w.AddImage(fakecloud.Image{ID: strange, Name: "another project's", Owner: consumerA})
	for i := range 1201 {
		w.Share(shared, strconv.Itoa(i))
	}
	w.AddMember(shared, fakecloud.Member{MemberID: "7", Type: "domain", Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
	w.AddMember(shared, fakecloud.Member{MemberID: "8", Type: "organization", Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
	w.Share(wholeServer, consumerA)
	w.Share(strange, producer)
	w.SetStatus(strange, producer, "accepted")
	return w
}

type staticKey client.Key

func (k staticKey) Key(context.Context) (client.Key, error) { return client.Key(k), nil }

func byKey(members client.MembersAPI) client.Options {
	return client.Options{
		Settings: client.Settings{
			API:        client.IMS,
			MembersAPI: members,
		},
		Keys:      staticKey{Access: "AK", Secret: "SK"},
		ProjectID: producer,
		Endpoint:  "http://cloud.test/ims",
	}
}

// byIAM logs in with the account as domain and the region as project, and finds IMS in the catalog.
func byIAM() client.Options {
	return client.Options{Settings: client.Settings{API: client.IMS}, Region: "cn-north-4", Auth: func() (gophercloud.AuthOptions, error) {
		return gophercloud.AuthOptions{
			IdentityEndpoint: "http://cloud.test/identity/v3", Username: "watcher", Password: "hunter2", DomainName: "account",
			Scope: &gophercloud.AuthScope{ProjectName: "cn-north-4", DomainName: "account"},
		}, nil
	}}
}

func onIMS(images ...string) collector.Options {
	opts := options(images...)
	opts.API, opts.MembersFor = client.IMS, collector.DefaultMembersFor(client.IMS)
	return opts
}

func discoveringIMS() collector.Options {
	opts := onIMS()
	opts.Discover = []collector.Rule{{}}
	return opts
}

func imsBubble(t *testing.T, connection client.Options, opts collector.Options, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBenchWith(t, newHuawei(), connection, opts)) })
}

func TestHuaweiCloud(t *testing.T) {
	for name, connection := range map[string]client.Options{
		"v1 by access key": byKey(client.MembersV1), "v2 by access key": byKey(client.MembersV2), "v2 by IAM": byIAM(),
	} {
		t.Run(name, func(t *testing.T) {
			imsBubble(t, connection, discoveringIMS(), func(t *testing.T, b *bench) {
				s := b.scrape(t)
				if diff := cmp.Diff([]string{"golden", "server", "for nobody"}, names(s)); diff != "" {
					t.Fatal(diff)
				}
				types := map[string]int{}
				for _, m := range samples(t, s, "glance_image_member_updated_timestamp_seconds") {
					if m.labels["image_id"] == shared {
						types[m.labels["member_type"]]++
					}
				}
				if diff := cmp.Diff(map[string]int{"project": 1201, "domain": 1, "organization": 1}, types); diff != "" {
					t.Error(diff)
				}
				want := []string{
					`glance_discovery_success{cloud="prod"} 1`,
					`glance_image_members_complete{cloud="prod",image_id="` + wholeServer + `",image_name="server"} 1`,
					`glance_image_members_complete{cloud="prod",image_id="` + shared + `",image_name="golden"} 1`,
					`glance_image_members_complete{cloud="prod",image_id="` + empty + `",image_name="for nobody"} 1`,
					`glance_image_members_limit{cloud="prod",image_id="` + wholeServer + `",image_name="server"} 10`,
					`glance_image_members_limit{cloud="prod",image_id="` + shared + `",image_name="golden"} 128`,
					`glance_image_members_limit{cloud="prod",image_id="` + empty + `",image_name="for nobody"} 128`,
				}
				if diff := cmp.Diff(want,
					series(t, s, "glance_discovery_success", "glance_image_members_complete", "glance_image_members_limit")); diff != "" {
					t.Error(diff)
				}
				for _, img := range s.Images {
					if img.Record == nil {
						t.Errorf("%s has no record", img.Name)
					}
				}
				b.scrape(t)
				if got := b.world.Count(fakecloud.OpAuthenticate); got > 1 {
					t.Errorf("%d logins", got)
				}
			})
		})
	}
}

func names(s collector.Snapshot) (all []string) {
	for _, img := range s.Images {
		all = append(all, img.Name)
	}
	return all
}

// An image that is configured is asked for by itself; its record costs one request, for there is no list by ID.
func TestConfiguredImagesOfHuaweiCloud(t *testing.T) {
	imsBubble(t, byKey(client.MembersV1), onIMS(shared, empty, absent, strange), func(t *testing.T, b *bench) {
		s := b.scrape(t)
		want := []string{
			`glance_image_members_complete{cloud="prod",image_id="` + absent + `",image_name=""} 0`,
			`glance_image_members_complete{cloud="prod",image_id="` + shared + `",image_name="golden"} 1`,
			`glance_image_members_complete{cloud="prod",image_id="` + strange + `",image_name="another project's"} 0`,
			`glance_image_members_complete{cloud="prod",image_id="` + empty + `",image_name="for nobody"} 1`,
			`glance_image_scrape_http_status_code{cloud="prod",image_id="` + absent + `",image_name=""} 404`,
		}
		got := series(t, s, "glance_image_members_complete")
		for _, line := range series(t, s, "glance_image_scrape_http_status_code") {
			if strings.Contains(line, absent) {
				got = append(got, line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got := b.world.Count(fakecloud.OpListImages); got != 0 {
			t.Errorf("%d lists were asked for", got)
		}
	})
}

// Part of a list is none: no series of a member, and no count.
func TestALaterPageThatFails(t *testing.T) {
	second := func(r fakecloud.Request) bool {
		return r.Operation == fakecloud.OpListMembers && strings.Contains(r.RawQuery, "marker=")
	}
	const next = `{"members": [{"member_id": "0", "image_id": "` + shared +
		`", "status": "accepted"}], "page_info": {"next_marker": "c2FtZQ=="}}`
	throttled := fakecloud.Throttled()
	throttled.Match = second
	for name, fault := range map[string]fakecloud.Fault{
		"503":              {Match: second, Status: 503},
		"throttled":        throttled,
		"cut":              {Match: second, Status: 200, Body: `{"members": [{"mem`},
		"a marker repeats": {Match: second, Status: 200, Body: next},
	} {
		t.Run(name, func(t *testing.T) {
			imsBubble(t, byKey(client.MembersV2), onIMS(shared), func(t *testing.T, b *bench) {
				b.world.Inject(fault)
				s := b.scrape(t)
				if diff := cmp.Diff([]string{`glance_image_scrape_success{cloud="prod",image_id="` + shared + `",image_name="golden"} 0`},
					series(t, s, "glance_image_scrape_success", "glance_image_members", "glance_image_member_status",
						"glance_image_unexpected_members")); diff != "" {
					t.Error(diff)
				}
				if got := b.world.Count(fakecloud.OpListMembers); got > 4 {
					t.Errorf("%d pages were asked for", got)
				}
			})
		})
	}
}

// The log says once which rights are lacking.
func TestARightThatIsLacking(t *testing.T) {
	imsBubble(t, byKey(client.MembersV2), onIMS(shared, empty), func(t *testing.T, b *bench) {
		b.world.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: producer, Rights: []string{fakecloud.RightGet}})
		b.scrape(t)
		b.scrape(t)
		const want = "listing members requires the actions ims:images:get and ims:images:share; with only ims:images:get, set members_api: v1"
		if got := strings.Count(strings.Join(b.log.take(), "\n"), want); got != 1 {
			t.Errorf("it is said %d times", got)
		}
	})
}

// An image that is shared no more is watched on, so that what is said of it ends with a read.
func TestAnImageThatIsSharedNoMore(t *testing.T) {
	imsBubble(t, byKey(client.MembersV1), discoveringIMS(), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.Unshare(wholeServer, consumerA)
		b.scrape(t) // its record has changed, so that it takes another one before the list
		s := b.scrape(t)
		var got []string
		for _, m := range samples(t, s, "glance_image_members") {
			if m.labels["image_id"] == wholeServer {
				got = append(got, m.labels["status"]+" "+m.value)
			}
		}
		if diff := cmp.Diff([]string{"accepted 0", "pending 0", "rejected 0", "unknown 0"}, got); diff != "" {
			t.Error(diff)
		}
		b.world.RemoveImage(wholeServer)
		b.scrape(t)
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]string{"golden", "for nobody"}, names(b.scrape(t))); diff != "" {
			t.Error(diff)
		}
	})
}

// A listing that ignores the marker, with pages shorter than what was asked for, shows 100 of 250 images.
func TestAListingThatIgnoresTheMarker(t *testing.T) {
	imsBubble(t, byIAM(), discoveringIMS(), func(t *testing.T, b *bench) {
		for i := range 250 {
			b.world.Share(b.world.AddImage(fakecloud.Image{Name: "image " + strconv.Itoa(i), Owner: producer}), consumerA)
		}
		const again = "X-Test-Again"
		b.world.Inject(fakecloud.Fault{
			Match: func(r fakecloud.Request) bool {
				return r.Operation == fakecloud.OpListImages && r.Header.Get(again) == ""
			},
			Raw: func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				q.Del("marker")
				q.Set("limit", "100")
				r = r.Clone(r.Context())
				r.URL.RawQuery = q.Encode()
				r.Header.Set(again, "1")
				b.world.ServeHTTP(w, r)
			},
		})
		s := b.scrape(t)
		if s.Discovered || s.DiscoveryErr == nil || !strings.Contains(s.DiscoveryErr.Error(), "may ignore the marker") {
			t.Errorf("discovered %v: %v", s.Discovered, s.DiscoveryErr)
		}
	})
}

// What is shared with a domain and with an organization has rows that are not the project's. The image is shown, with a status that is
// not known.
func TestInboundByDomainAndOrganization(t *testing.T) {
	imsBubble(t, byKey(client.MembersV1), withInbound(onIMS()), func(t *testing.T, b *bench) {
		b.world.AddProjectGroup(producer, "domain", "account")
		b.world.AddProjectGroup(producer, "organization", "unit")
		id := b.world.AddImage(fakecloud.Image{Name: "both", Owner: consumerA})
		b.world.AddMember(id, fakecloud.Member{MemberID: "account", Type: "domain", Status: "accepted"})
		b.world.AddMember(id, fakecloud.Member{MemberID: "unit", Type: "organization", Status: "pending"})
		for range 3 {
			s := b.scrape(t)
			in := s.Inbound[0]
			if in.Err != nil || len(in.Images) != 2 {
				t.Fatalf("%v: %+v", in.Err, in.Images)
			}
			for _, img := range in.Images {
				if want := map[string]client.Status{strange: client.Accepted, id: ""}[img.Record.ID]; img.Status != want {
					t.Errorf("%s is %q, want %q", img.Name, img.Status, want)
				}
			}
			time.Sleep(time.Minute)
		}
	})
}

// A gateway's 404 says nothing of an image: nothing that others share vanishes by it.
func TestInboundBehindAGatewayWithoutTheAPI(t *testing.T) {
	for name, fault := range map[string]fakecloud.Fault{"APIGW.0101": fakecloud.NotPublished(), "APIGW.0103": fakecloud.NoBackend()} {
		t.Run(name, func(t *testing.T) {
			imsBubble(t, byKey(client.MembersV1), withInbound(onIMS()), func(t *testing.T, b *bench) {
				b.scrape(t)
				b.world.SetStatus(strange, producer, "nonsense") // no listing has it any more
				fault.Match = func(r fakecloud.Request) bool { return r.ImageID != "" }
				b.world.Inject(fault)
				for range 4 {
					time.Sleep(time.Minute)
					if in := b.scrape(t).Inbound[0]; in.Err == nil || len(in.Images) != 1 || in.Images[0].Status != "" {
						t.Errorf("%v: %+v", in.Err, in.Images)
					}
				}
			})
		})
	}
}

// An image that is found again stays watched, however long its record and its members cannot be read.
func TestAnImageThatIsFoundAgainStays(t *testing.T) {
	opts := onIMS()
	opts.Discover = []collector.Rule{{Name: "server"}}
	opts.DiscoveryInterval = 50 * time.Minute
	imsBubble(t, byKey(client.MembersV1), opts, func(t *testing.T, b *bench) {
		look := func(want string) {
			t.Helper()
			if got := strings.Join(names(b.scrape(t)), " "); got != want {
				t.Errorf("after %s: watched is %q, want %q", time.Since(t0).Round(time.Minute), got, want)
			}
		}
		rename := func(name string) { b.world.SetImage(wholeServer, func(img *fakecloud.Image) { img.Name = name }) }
		look("server")
		time.Sleep(time.Minute)
		rename("another")
		look("")
		rename("server")
		time.Sleep(50 * time.Minute) // to the next listing, which is all that can be read
		b.world.Inject(fakecloud.Fault{Match: about("get_image", ""), Status: 503})
		b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: 503})
		for range 8 {
			look("server")
			time.Sleep(5 * time.Minute)
		}
	})
}
