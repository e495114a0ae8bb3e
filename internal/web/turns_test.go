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

// Images that wait for their turn are not those that could not be read.
func TestImagesThatAreReadInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const project = "61c9216745884e7782dc16e5123a5fc9"
		world := fakecloud.New(fakecloud.Options{Huawei: true})
		world.AddProjectID(project, "cn-north-4")
		world.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: project})
		for i := range 60 {
			world.AddImage(fakecloud.Image{Name: fmt.Sprint("private-", i), Owner: project, Visibility: "private"})
		}
		c, err := client.New(client.Options{
			Settings: client.Settings{API: client.IMS, MembersAPI: client.MembersV1, RequestsPerSecond: 10},
			Keys:     accessKey{Access: "AK", Secret: "SK"}, ProjectID: project, Endpoint: "http://cloud.test/ims", Transport: fakecloud.InMemory(world),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		opts := collector.DefaultOptions()
		opts.Name, opts.API, opts.MembersFor, opts.Discover = "huawei", client.IMS, collector.DefaultMembersFor(client.IMS), []collector.Rule{{}}
		s := newSite(t, nil)
		cloud := s.add(t, c, opts)
		for range 2 {
			cloud.Collect(t.Context(), collector.Limits{Timeout: 3 * time.Second})
		}
		page := s.page(t, "/")
		for text, want := range map[string]bool{
			"it is read in turns and was not read yet": true, "It is read in turns and was not read again yet.": true, "It could not be read again": false,
		} {
			if strings.Contains(page, text) != want {
				t.Errorf("%q: %v", text, !want)
			}
		}
	})
}
