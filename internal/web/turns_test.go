package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

type accessKey client.Key

func (k accessKey) Key(context.Context) (client.Key, error) { return client.Key(k), nil }

// quiet is a cloud of Huawei Cloud with so many images that are shared with nobody, and an exporter's status page of it.
func quiet(t *testing.T, images int) (*site, *collector.Cloud) {
	const project = "61c9216745884e7782dc16e5123a5fc9"
	world := fakecloud.New(fakecloud.Options{Huawei: true})
	world.AddProjectID(project, "cn-north-4")
	world.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: project})
	for i := range images {
		world.AddImage(fakecloud.Image{Name: fmt.Sprint("private-", i), Owner: project, Visibility: "private"})
	}
	c, err := client.New(client.Options{
		Settings: client.Settings{API: client.IMS, MembersAPI: client.MembersV1, RequestsPerSecond: 10},
		Keys: accessKey{
			Access: "AK",
			Secret: "SK",
		},
		ProjectID: project,
		Endpoint:  "http://cloud.test/ims",
		Transport: fakecloud.InMemory(world),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	opts := collector.DefaultOptions()
	opts.Name, opts.API, opts.MembersFor = "huawei", client.IMS, collector.DefaultMembersFor(client.IMS)
	opts.Discover = []collector.Rule{{Policy: collector.Policy{Members: []collector.ExpectedMember{}}}}
	s := newSite(t, nil)
	return s, s.add(t, c, opts)
}

// Images that wait for their turn are not those that could not be read.
func TestImagesThatAreReadInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cloud := quiet(t, 60)
		for range 2 {
			cloud.Collect(t.Context(), collector.Limits{Timeout: 3 * time.Second})
		}
		page := s.page(t, "/")
		for text, want := range map[string]bool{
			"it is read in turns and was not read yet": true, "It is read in turns and was not read again yet.": true,
			"It could not be read again": false,
		} {
			if strings.Contains(page, text) != want {
				t.Errorf("%q: %v", text, !want)
			}
		}
	})
}

// An image that waits for its turn is not old before its turn should have come, however many minutes a round takes.
func TestReadingsInTurnsGetOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cloud := quiet(t, 200)
		const noTime = 60 * time.Millisecond // to ask for anything
		scrape := func(n int, timeout time.Duration) {
			for range n {
				cloud.Collect(t.Context(), collector.Limits{Timeout: timeout})
				time.Sleep(time.Minute)
			}
		}
		has := func(when string, want map[string]bool) {
			t.Helper()
			page := s.page(t, "/")
			for text, want := range want {
				if strings.Contains(page, text) != want {
					t.Errorf("%s: %q: %v", when, text, !want)
				}
			}
		}
		scrape(12, 3*time.Second) // of which nine read each image once
		has("in the second round", map[string]bool{
			"No unexpected access": true, "200 watched images were read completely.": true, "200 images in turns, each about every 9 min": true,
			"State when last read, 9 min ago:": true, "Stale</span>": false, "It is unknown who can use it now.": false,
		})
		scrape(8, noTime)
		has("late by less than a round", map[string]bool{"Stale</span>": false, "It is unknown who can use it now.": false})
		scrape(4, noTime)
		has("late by more than a round",
			map[string]bool{"Incomplete view": true, "Stale</span>": true, "It is unknown who can use it now.": true})
		scrape(12, 3*time.Second)
		has("in turns again", map[string]bool{"No unexpected access": true, "Stale</span>": false})
		time.Sleep(5 * time.Minute)
		has("without a scrape", map[string]bool{"Incomplete view": true, "Stale</span>": true})
	})
}
