package fakecloud_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"glance_share_exporter/internal/fakecloud"
)

func TestListsAsSeenBy(t *testing.T) {
	c, _ := recordedWorld()
	c.AddImage(fakecloud.Image{Name: "hidden", Owner: producerID, Hidden: true})
	const (
		shared = "page-3 page-2 page-1 many lifecycle2 deact queued-shared shared-no-members shared-two-accepted " +
			"shared-one-pending shared-all-statuses"
		withMembers = "many deact shared-two-accepted shared-one-pending shared-all-statuses"
	)
	tests := []struct {
		name, token, query, want string
	}{
		{"outsider", "outsider", "", "public"},
		{"outsider, all", "outsider", "visibility=all", "lifecycle public community"},
		{"outsider, community", "outsider", "visibility=community", "lifecycle community"},
		{"outsider, by ID", "outsider", "id=" + allStatuses, ""},
		{"member that rejected", "consumer-b", "", "public shared-two-accepted"},
		{"member that rejected, all", "consumer-b", "member_status=all", "public shared-two-accepted shared-all-statuses"},
		{"owner, by IDs", "producer", "id=in:" + private + ",zz," + community + "," + private + "," + unknownID, "community private"},
		{"member, by IDs", "consumer-a", "id=in:" + private + "," + onePending + "," + community, ""},
		{
			"member, by IDs, never accepted", "consumer-a",
			"visibility=shared&member_status=all&id=in:" + private + "," + onePending, "shared-one-pending",
		},
		{"owner, hidden", "producer", "os_hidden=true", "hidden"},
		{"owner, hidden in capitals", "producer", "os_hidden=TRUE", "hidden"},
		{"admin", "admin", "visibility=shared", shared},
		{"admin without others' community", "admin", "status=active&visibility=all&limit=2", "public community"},
		{"admin, default", "admin", "status=active&limit=2", "public private"},
		{"admin, member_status is ignored", "admin", "visibility=shared&member_status=rejected", shared},
		{"unscoped sees every share", "unscoped", "visibility=shared", withMembers},
		{"status in", "producer", "status=in:deactivated,killed", "deact"},
		{"name in quotes", "producer", `name=in:"a,b","public"`, "public"},
		{"owner of others", "producer", "owner=" + consumerA, ""},
		{"size", "producer", "size_min=17&size_max=1100", "shared-two-accepted shared-one-pending"},
		{"protected", "producer", "protected=true", ""},
		{"last visibility counts", "producer", "visibility=shared&visibility=private", "private"},
		{"second limit is a property", "producer", "limit=2&limit=1", ""},
		{
			"sort by two keys", "producer", "sort=status:asc,name:desc&limit=3",
			"shared-two-accepted shared-one-pending shared-no-members",
		},
		{"old sort", "producer", "sort_key=name&sort_dir=asc&limit=2", "community deact"},
		{"direction without a key", "producer", "sort_dir=asc&limit=2", "shared-all-statuses shared-one-pending"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := names(t, do(c, "GET", "/image/v2/images?"+strings.ReplaceAll(tt.query, `"`, "%22"), tokenFor(t, c, tt.token), ""))
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("%s\nwant %s", g, tt.want)
			}
		})
	}
}

func TestListsThatAreRefused(t *testing.T) {
	c, _ := recordedWorld()
	c.RemoveImage(queued)
	tests := []struct {
		name, token, query string
		code               int
		want               string
	}{
		{"marker of a deleted image", "producer", "marker=" + queued, 400, "No image found with ID " + queued},
		{"marker out of sight", "outsider", "marker=" + private, 403, "Forbidding request, image " + private + " not visible"},
		{"sort key", "producer", "sort=nope", 400, "Invalid sort key: nope. It must be one of the following: name, status, " +
			"container_format, disk_format, size, id, created_at, updated_at."},
		{"sort direction", "producer", "sort=name:up", 400, "Invalid sort direction: up"},
		{"both sorts", "producer", "sort=name&sort_key=name", 400, "Old and new sorting syntax cannot be combined"},
		{"os_hidden", "producer", "os_hidden=x", 400, "Invalid value 'x' for 'os_hidden' filter. Valid values are 'true' or 'false'."},
		{"protected", "producer", "protected=x", 400, "Invalid value 'x' for 'protected' filter. Valid values are 'true' or 'false'."},
		{"time", "producer", "created_at=gt:x", 400, `Bad "created_at" query filter format. Use ISO 8601 DateTime notation.`},
		{"operator of a time", "producer", "created_at=x:2020-01-01T00:00:00Z", 400, "Unable to filter on a unknown operator."},
		{"operator", "producer", "id=gt:3", 400, "Unable to filter by unknown operator 'gt'."},
		{"range", "producer", "size_min=x", 400, "Unable to filter on a range with a non-numeric value."},
		{"range of what is none", "producer", "foo_min=1", 500, "The server has either erred or is incapable of performing " +
			"the requested operation."},
		{"empty limit", "producer", "limit=", 400, "limit param must be an integer"},
		{"open quote", "producer", "name=in:%22a", 400, `Invalid filter value "a. The quote is not closed.`},
		{"bad UTF-8", "producer", "name=%ff", 400, "Error decoding your request. Either the URL or the request body contained " +
			"characters that could not be decoded by Glance"},
		{"changes-since", "producer", "changes-since=1", 400, `The "changes-since" filter is no longer available on v2.`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := do(c, "GET", "/image/v2/images?"+tt.query, tokenFor(t, c, tt.token), "")
			var got struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.code || got.Message != tt.want+"<br /><br />\n\n\n" {
				t.Errorf("%d %s\nwant %d %s", w.Code, got.Message, tt.code, tt.want)
			}
		})
	}
}

func TestDeletedMarkerServesAnAdmin(t *testing.T) {
	c, _ := recordedWorld()
	c.RemoveImage(private)
	got, _ := names(t, do(c, "GET", "/image/v2/images?marker="+private, c.Token("admin", adminID), ""))
	if want := "shared-no-members shared-two-accepted shared-one-pending shared-all-statuses"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// bulkCloud has n shared images of one project, all created in the same instant.
func bulkCloud(opts fakecloud.Options, n int) (c *fakecloud.Cloud, token string) {
	clk := &clock{}
	clk.at("12:00:00")
	opts.Now = clk.Now
	c = fakecloud.New(opts)
	owner := c.AddProject("bulk")
	c.AddUser("bulk", "bulk-secret", owner, "reader")
	for i := range n {
		id := c.AddImage(fakecloud.Image{Name: fmt.Sprint("bulk-", i), Owner: owner})
		for j := range 3 {
			c.Share(id, fmt.Sprint("project-", j))
		}
	}
	return c, c.Token("bulk", owner)
}

func TestPagesHoldEveryImageOnce(t *testing.T) {
	tests := []struct {
		name, query      string
		images, requests int
	}{
		{"default page", "", 60, 3},
		{"limit", "limit=7", 60, 9},
		{"limit above the largest page", "limit=1000000000000000000000", 60, 2},
		{"pages that end with the images", "limit=20", 60, 4}, // the last one is empty
		{"by name", "sort=name:asc&limit=11", 60, 6},
		{"only one tag of two comes along", "tag=a&tag=b&limit=50", 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, token := bulkCloud(fakecloud.Options{MaxPageSize: 50}, 60)
			seen := map[string]bool{}
			next := "/v2/images?" + tt.query
			for next != "" {
				var page []string
				page, next = names(t, do(c, "GET", "/image"+next, token, ""))
				for _, name := range page {
					if seen[name] {
						t.Errorf("%s twice", name)
					}
					seen[name] = true
				}
			}
			if n := c.Count(fakecloud.OpListImages); len(seen) != tt.images || n != tt.requests {
				t.Errorf("%d images in %d requests, want %d in %d", len(seen), n, tt.images, tt.requests)
			}
		})
	}
}

func TestManyIDsInOneRequest(t *testing.T) {
	c, token := bulkCloud(fakecloud.Options{}, 215)
	ids := allIDs(t, c, token)
	w := do(c, "GET", "/image/v2/images?limit=1000&id=in:"+strings.Join(ids, ","), token, "")
	if got, _ := names(t, w); len(ids) != 215 || len(got) != 215 {
		t.Errorf("%d, %d of 215 images", len(ids), len(got))
	}
	w = do(c, "GET", "/image/v2/images?limit=1000&id=in:"+strings.Join(append(ids, ids[:10]...), ","), token, "")
	if w.Code != 414 {
		t.Errorf("request line above 8 KiB: %d", w.Code)
	}
}

func allIDs(t testing.TB, c *fakecloud.Cloud, token string) (ids []string) {
	t.Helper()
	var page struct{ Images []struct{ ID string } }
	if err := json.Unmarshal(do(c, "GET", "/image/v2/images?limit=1000", token, "").Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	for _, img := range page.Images {
		ids = append(ids, img.ID)
	}
	return ids
}

func TestRecordsWithOddText(t *testing.T) {
	c, token := bulkCloud(fakecloud.Options{}, 0)
	want := "a \"quoted\" <b>\\\n\x01 é 😀"
	id := c.AddImage(fakecloud.Image{Name: want, Visibility: "public", Properties: map[string]string{"k": want}})
	var got struct {
		Name, K string
		Owner   *string
	}
	if err := json.Unmarshal(do(c, "GET", "/image/v2/images/"+id, token, "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != want || got.K != want || got.Owner != nil {
		t.Errorf("%+v", got)
	}
}
