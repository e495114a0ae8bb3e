package config_test

import (
	"strings"
	"testing"
)

const hashedText = `
member_groups: {partners: [a1]}
clouds:
  - name: prod
    auth: {password: {auth_url: "https://keystone.example.com/v3", username: exporter, user_domain_name: Default, password: hunter2}}
    projects: all
    region: RegionOne
    scrape: {concurrency: 3}
    inbound: {expected_owners: [{id: b1, name: vendor}]}
    images:
      - {id: d164b5df-1bc3-4c3f-893e-3e471fd16e64, name: golden, expected_members: [{group: partners}]}
      - {id: 7c2f7b1e-0c0f-4a51-9a53-1f8f0a5f6c5d, expected_visibility: [private]}
    discover: [{tags: [golden], expected_members: [{id: c1, name: team}]}]
`

// The hash changes with what a cloud watches and expects, and with nothing else.
func TestConfigHash(t *testing.T) {
	cleanEnv(t)
	hash := func(change ...string) uint64 {
		t.Helper()
		text := hashedText
		if len(change) > 0 {
			if text = strings.Replace(hashedText, change[0], change[1], 1); text == hashedText {
				t.Fatalf("there is no %s", change[0])
			}
		}
		c, err := loadText(t, text)
		if err != nil {
			t.Fatal(err)
		}
		return c.Clouds[0].Collector.ConfigHash
	}
	first := hash()
	if first == 0 || first >= 1<<53 {
		t.Errorf("got %d", first)
	}
	seen := map[uint64]string{first: "what it was"}
	for _, change := range [][]string{
		{"RegionOne", "RegionTwo"},
		{"region: RegionOne", "endpoint: https://image.example.com"},
		{"keystone.example.com", "keystone.test"},
		{"projects: all", "projects: [d1]"},
		{"projects: all", "projects: all\n    projects_except: [d1]"},
		{"region: RegionOne", "admin_roles: [root]"},
		{"region: RegionOne", "members_for: [shared, private]"},
		{"inbound: {expected_owners: [{id: b1, name: vendor}]}", "inbound: false"},
		{"{id: b1, name: vendor}", ""},
		{"{id: b1, name: vendor}", "b2"},
		{"partners: [a1]", "partners: [a2]"},
		{"d164b5df", "d164b5de"},
		{", expected_members: [{group: partners}]", ""},
		{"{group: partners}", ""},
		{"[private]", "[private, public]"},
		{"discover: [", "discover: [{name: scratch}, "},
		{"discover: [", "discover: [{name: scratch, skip: true}, "},
		{"tags: [golden], ", ""},
		{"tags: [golden]", "owners: [e1]"},
		{", expected_members: [{id: c1, name: team}]", ""},
	} {
		got := hash(change...)
		if other, ok := seen[got]; ok {
			t.Errorf("%q instead of %q is as %s", change[1], change[0], other)
		}
		seen[got] = change[1]
	}
	for _, change := range [][]string{
		{},
		{"hunter2", "hunter3"},
		{"concurrency: 3", "concurrency: 4"},
		{"name: prod", "name: test"},
		{"name: golden", "name: silver"},
		{", name: vendor", ""},
		{", name: team", ""},
	} {
		if got := hash(change...); got != first {
			t.Errorf("with %q it is %d, and %d before", change, got, first)
		}
	}
}
