package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProjects(t *testing.T) {
	cleanEnv(t)
	const auth = "password: {auth_url: https://keystone.example.com:5000/v3, username: watcher, user_domain_name: Default, password: hunter2}"
	type settings struct{ Projects, Except []string }
	for text, want := range map[string]settings{
		"projects: all":                                {},
		"projects: [edc8, 2f9a]":                       {Projects: []string{"edc8", "2f9a"}},
		"projects: edc8":                               {Projects: []string{"edc8"}},
		"projects: all\n    projects_except: [edc8]":   {Except: []string{"edc8"}},
		"projects: [all]\n    projects_except: [edc8]": {Except: []string{"edc8"}},
	} {
		c, err := loadText(t, oneCloud(auth, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := c.Clouds[0]
		if diff := cmp.Diff(want, settings{got.Client.Projects, got.Client.Except}); diff != "" || !got.Collector.Projects {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}
