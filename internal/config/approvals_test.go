package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
)

// The ends of approvals: of an entry, of a group, of a member in a group, and of a member in two groups.
func TestApprovals(t *testing.T) {
	const (
		one, two, three, four = "2c63888f28f04481be6ddce7a7ace732", "8a119b9e16bc47328f7b7676d015b0dc", "ac8efe121c5949f1ba2dde83458bfed0", "19ea119fd1694653936fb429216988df"
		text                  = `
member_groups:
  early: [{id: ` + one + `, until: 2999-03-01, note: in group}, ` + two + `, ` + three + `]
  late: [{id: ` + two + `, until: 2999-05-05}, {id: ` + three + `, until: 2999-01-01}]
clouds:
  - name: prod
    auth: {none: {project_id: edc89b490d7d4392898e19b2deb34797}}
    endpoint: https://image.example.com
    inbound: {expected_owners: [{id: ` + one + `, until: 2999-12-31, note: CHG-7}]}
    images:
      - id: d164b5df-1bc3-4c3f-893e-3e471fd16e64
        expected_members:
          - {group: early, until: 2999-02-01, note: CHG-1}
          - {group: late}
          - {id: ` + four + `, until: 2001-01-31, note: over}
`
	)
	loaded, err := config.Parse("exporter.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	end := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	member := func(id string, until time.Time, note string) collector.ExpectedMember {
		return collector.ExpectedMember{Type: client.TypeProject, ID: id, Until: until, Note: note}
	}
	want := []collector.ExpectedMember{
		member(four, end(2001, 2, 1), "over"),
		member(one, end(2999, 2, 2), "CHG-1; in group"),
		member(two, end(2999, 5, 6), ""),
		member(three, end(2999, 2, 2), "CHG-1"),
	}
	options := loaded.Clouds[0].Collector
	if diff := cmp.Diff(want, options.Images[0].Policy.Members); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]collector.ExpectedMember{member(one, end(3000, 1, 1), "CHG-7")}, options.Inbound.Owners); diff != "" {
		t.Errorf("owners (-want +got)\n%s", diff)
	}
	warning := []string{
		"exporter.yml:15: clouds[0].images[0].expected_members[2].until: the approval has ended: renew it, or remove the entry",
	}
	if diff := cmp.Diff(warning, loaded.Warnings); diff != "" {
		t.Errorf("warnings (-want +got)\n%s", diff)
	}
}
