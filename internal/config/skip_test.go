package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/collector"
)

// Nothing is expected of images that are skipped, whatever the cloud expects of its images.
func TestSkip(t *testing.T) {
	cleanEnv(t)
	c, err := loadText(t, strings.Replace(steady, "discover: [{}]", `expected_members: []
    discover:
      - {skip: true, name: "scratch-*", tags: [scratch], owners: [edc89b490d7d4392898e19b2deb34797]}
      - {skip: false}`, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := []collector.Rule{
		{Skip: true, Name: "scratch-*", Tags: []string{"scratch"}, Owners: []string{"edc89b490d7d4392898e19b2deb34797"}},
		{Policy: collector.Policy{Members: []collector.ExpectedMember{}}},
	}
	if diff := cmp.Diff(want, c.Clouds[0].Collector.Discover); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const steady = `clouds:
  - name: prod
    auth: {none: {project_id: edc89b490d7d4392898e19b2deb34797}}
    endpoint: https://image.example.com
    discover: [{}]
`
