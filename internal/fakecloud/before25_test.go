package fakecloud_test

import (
	"encoding/json"
	"strings"
	"testing"

	"glance_share_exporter/internal/fakecloud"
)

func TestBefore25(t *testing.T) {
	c, _ := recordedWorld()
	c.SetBefore25(true)
	members := func(id string) string { return "/v2/images/" + id + "/members" }
	tests := []struct {
		name, token, path string
		status            int
		want              string // a part of the body
	}{
		{"owner", "producer", members(allStatuses), 200, consumerA},
		{"owner, private", "producer", members(private), 200, `"members": []`},
		{"owner, community", "producer", members(community), 200, `"members": []`},
		{"owner, public", "producer", members(public), 403, "Error fetching members of image " + public +
			": Public images do not have members."},
		{"member", "consumer-b", members(allStatuses), 200, `"members": [{"member_id": "` + consumerB},
		{"outsider", "outsider", members(community), 404, "Image " + community + " not found."},
		{"admin", "admin", members(private), 200, `"members": []`},
		{
			"probe", "producer", members(private) + "/" + consumerC, 404,
			consumerC + " not found in the member list of the image " + private,
		},
		{"probe, public", "producer", members(public) + "/" + consumerC, 404, "Public images do not have members."},
		{"record", "producer", "/v2/images/" + allStatuses, 200, `"visibility": "private"`},
		{"record of a public image", "producer", "/v2/images/" + public, 200, `"visibility": "public"`},
		{"all is no visibility", "producer", "/v2/images?visibility=all", 400, "Invalid visibility value: all"},
		{"community is no visibility", "producer", "/v2/images?visibility=community", 400, "Invalid visibility value: community"},
		{"versions", "producer", "/versions", 200, `{"versions": [{"id": "v2.4", "status": "CURRENT"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := do(c, "GET", "/image"+tt.path, tokenFor(t, c, tt.token), "")
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	var record map[string]any
	w := do(c, "GET", "/image/v2/images/"+allStatuses, c.Token("producer", producerID), "")
	if err := json.Unmarshal(w.Body.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if _, ok := record["os_hidden"]; ok || record["id"] != allStatuses {
		t.Errorf("%v", record)
	}
	c.SetBefore25(false)
	if w := do(c, "GET", "/image"+members(private), c.Token("producer", producerID), ""); w.Code != 403 {
		t.Errorf("%d %s after it", w.Code, w.Body)
	}
}

func TestListsBefore25(t *testing.T) {
	c, _ := recordedWorld()
	c.SetBefore25(true)
	tests := []struct{ name, token, query, want string }{
		{
			"own, private", "producer", "visibility=private&status=active",
			"community private shared-no-members shared-two-accepted shared-one-pending shared-all-statuses",
		},
		{"public", "producer", "visibility=public", "public"},
		{"shared is what is shared with the caller", "producer", "visibility=shared&member_status=all", "lifecycle"},
		{"shared with a member", "consumer-b", "visibility=shared", "shared-two-accepted"},
		{"shared with a member, all", "consumer-b", "visibility=shared&member_status=all", "shared-two-accepted shared-all-statuses"},
		{"shared, of an owner", "consumer-b", "visibility=shared&member_status=all&owner=" + consumerA, ""},
		{"a member's default", "consumer-b", "", "public shared-two-accepted"},
		{"an outsider's default", "outsider", "", "public"},
		{"admin, shared", "admin", "visibility=shared&status=active", "shared-two-accepted shared-one-pending shared-all-statuses"},
		{"os_hidden is a property", "producer", "os_hidden=false", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := names(t, do(c, "GET", "/image/v2/images?"+tt.query, tokenFor(t, c, tt.token), ""))
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("%s\nwant %s", g, tt.want)
			}
		})
	}
}

func TestPoliciesBefore25(t *testing.T) {
	c, _ := recordedWorld()
	c.SetBefore25(true)
	never := func(fakecloud.Caller) bool { return false }
	members := "/v2/images/" + allStatuses + "/members"
	tests := []struct {
		name   string
		policy fakecloud.Policy
		path   string
		status int
		want   string
	}{
		{"get_member drops no row", fakecloud.Policy{GetMember: never}, members, 200, consumerA},
		{
			"get_member",
			fakecloud.Policy{GetMember: never},
			members + "/x", 404,
			"You are not authorized to lookup the members of the image " + allStatuses + ".",
		},
		{"get_members", fakecloud.Policy{GetMembers: never}, members, 403, "Not allowed to list members for image " + allStatuses + "."},
		{"get_image, members", fakecloud.Policy{GetImage: never}, members, 403, "You are not authorized to lookup image " + allStatuses + "."},
		{
			"get_image, probe",
			fakecloud.Policy{GetImage: never},
			members + "/x", 404,
			"You are not authorized to lookup image " + allStatuses + ".",
		},
		{"get_image", fakecloud.Policy{GetImage: never}, "/v2/images/" + allStatuses, 403, "get_image"},
		{"get_image drops no row", fakecloud.Policy{GetImage: never}, "/v2/images", 200, allStatuses},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.SetPolicy(tt.policy)
			w := do(c, "GET", "/image"+tt.path, c.Token("producer", producerID), "")
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}
