package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// password is every secret in testdata.
const password = "hunter2"

// cleanEnv makes the test independent of the machine's OpenStack settings.
func cleanEnv(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OS_") {
			t.Setenv(name, "")
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
}

// withoutHash is for what TestConfigHash is about.
var withoutHash = cmpopts.IgnoreFields(collector.Options{}, "ConfigHash")

func setenv(t *testing.T, vars map[string]string) {
	t.Helper()
	for name, value := range vars {
		t.Setenv(name, value)
	}
}

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loadText loads text as a file of its own directory.
func loadText(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "exporter.yml")
	write(t, path, text)
	c, err := config.Load(path)
	return c, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// oneCloud is a configuration with auth and perhaps more keys of the cloud, all in flow style.
func oneCloud(auth string, more ...string) string {
	return "clouds:\n  - name: prod\n    auth: {" + auth + "}\n    images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]\n    " +
		strings.Join(more, "\n    ") + "\n"
}

func TestLoadDefaults(t *testing.T) {
	cleanEnv(t)
	c := load(t, "testdata/good/minimal.yml")
	want := collector.DefaultOptions()
	want.Name = "prod"
	want.Images = []collector.Image{{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64"}}
	if diff := cmp.Diff(want, c.Clouds[0].Collector, withoutHash); diff != "" {
		t.Errorf("collector (-want +got):\n%s", diff)
	}
	wantClient := client.Options{
		Settings:  client.Settings{API: client.Glance, AdminRoles: []string{"admin"}},
		ProjectID: "edc8",
		Interface: "public",
		Endpoint:  "https://image.example.com",
	}
	if diff := cmp.Diff(wantClient, c.Clouds[0].Client); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
}

func TestLoadOverrides(t *testing.T) {
	cleanEnv(t)
	c := load(t, "testdata/good/overrides.yml")
	names := map[string]string{"edc8": "team-a"}
	want := []collector.Options{{
		Name:           "prod",
		API:            client.Glance,
		Timeout:        20 * time.Second,
		TimeoutOffset:  time.Second,
		RequestTimeout: 90 * time.Second,
		Concurrency:    2,
		MembersFor:     []client.Visibility{client.Shared, client.Private},
		MemberNames:    names,
		Images: []collector.Image{
			{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64", Name: "golden"},
			{ID: "7c2f7b1e-0c0f-4a51-9a53-1f8f0a5f6c5d"},
		},
	}, {
		Name:          "test",
		API:           client.Glance,
		TimeoutOffset: 500 * time.Millisecond,
		Concurrency:   4,
		AdminRoles:    []string{"admin"},
		MembersFor:    []client.Visibility{client.Shared},
		MembersLimit:  128,
		MemberDetails: true,
		MemberNames:   names,
		Images:        []collector.Image{{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64"}},
	}}
	var got []collector.Options
	for _, cloud := range c.Clouds {
		got = append(got, cloud.Collector)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), withoutHash); diff != "" {
		t.Errorf("collector (-want +got):\n%s", diff)
	}
	wantClient := []client.Options{
		{
			Settings:  client.Settings{API: client.Glance, AdminRoles: []string{}},
			ProjectID: "edc8",
			Region:    "RegionTwo",
			Interface: "internal",
			Endpoint:  "https://image.example.com",
		},
		{
			Settings:  client.Settings{API: client.Glance, AdminRoles: []string{"admin"}},
			ProjectID: "12345",
			Interface: "public",
			Endpoint:  "http://image.test.example.com",
		},
	}
	if diff := cmp.Diff(wantClient, []client.Options{c.Clouds[0].Client, c.Clouds[1].Client}); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
}

func project(id, name string) collector.ExpectedMember {
	return collector.ExpectedMember{Type: client.TypeProject, ID: id, Name: name}
}

func TestExpectedMembers(t *testing.T) {
	cleanEnv(t)
	c := load(t, "testdata/good/expected.yml")
	teamA, teamB := project("edc8", ""), project("2f9a", "")
	acme := collector.ExpectedMember{Type: client.TypeOrganization, ID: "ou-qdjr", Name: "acme"}
	wantImages := []collector.Image{
		{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64", Policy: collector.Policy{
			Members:    []collector.ExpectedMember{acme, project("11aa", ""), teamB, teamA, project("edc9", "team c")},
			Visibility: []client.Visibility{client.Shared, client.Private},
		}},
		{ID: "7c2f7b1e-0c0f-4a51-9a53-1f8f0a5f6c5d", Policy: collector.Policy{Members: []collector.ExpectedMember{}}},
		{ID: "5f0e3a52-9c0c-4c5e-8b0f-0d6f0c8a7b11", Policy: collector.Policy{Members: []collector.ExpectedMember{teamA}}},
	}
	if diff := cmp.Diff(wantImages, c.Clouds[0].Collector.Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	wantRules := []collector.Rule{
		{
			Tags: []string{"golden", "lts"}, Name: "golden-*", Visibility: []client.Visibility{client.Shared, client.Community},
			Policy: collector.Policy{Members: []collector.ExpectedMember{teamB, teamA}, Visibility: []client.Visibility{client.Shared}},
		},
		{Owners: []string{"*"}, Policy: collector.Policy{Members: []collector.ExpectedMember{teamA}}},
	}
	if diff := cmp.Diff(wantRules, c.Clouds[0].Collector.Discover); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	// Nothing said is not the same as nobody expected.
	if diff := cmp.Diff([]collector.Rule{{}}, c.Clouds[1].Collector.Discover); diff != "" {
		t.Errorf("without expected_members (-want +got):\n%s", diff)
	}
}

func TestInbound(t *testing.T) {
	cleanEnv(t)
	want := []*collector.Inbound{
		{Owners: []collector.ExpectedMember{project("11aa", "acme"), project("2f9a", ""), project("edc8", "")}, MaxImages: 100},
		{Owners: []collector.ExpectedMember{}, MaxImages: 5000},
		{MaxImages: 100},
		nil,
		{MaxImages: 1},
	}
	var got []*collector.Inbound
	for _, c := range load(t, "testdata/good/inbound.yml").Clouds {
		got = append(got, c.Collector.Inbound)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadNoFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const instead = ": write it, or name another one with --config.file"
	for path, want := range map[string]string{
		"exporter.yml":              "no such file in " + dir + instead,
		"etc/exporter.yml":          "no such file in " + filepath.Join(dir, "etc") + instead,
		"/nonexistent/exporter.yml": "no such file" + instead,
		dir:                         "is a directory: write the configuration into a file, and name that with --config.file",
		"/dev/null":                 "is a device, not a regular file: write the configuration into a file, and name that with --config.file",
	} {
		if _, err := config.Load(path); err == nil || err.Error() != path+": "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRedacted(t *testing.T) {
	for _, name := range []string{"minimal", "overrides", "aliases", "relative", "secrets", "expected", "huawei", "inbound"} {
		t.Run(name, func(t *testing.T) {
			cleanEnv(t)
			setenv(t, map[string]string{
				"OS_AUTH_URL": "https://keystone.example.com/v3", "OS_TOKEN": password, "OS_REGION_NAME": "RegionEnv",
			})
			got, err := load(t, "testdata/good/"+name+".yml").Redacted()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(got), password) {
				t.Errorf("it has a secret:\n%s", got)
			}
			golden := "testdata/redacted/" + name + ".yml"
			if *update {
				write(t, golden, string(got))
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The annotated example is a configuration that loads, and says nothing but the defaults where it may.
func TestExample(t *testing.T) {
	cleanEnv(t)
	text, err := os.ReadFile("../../exporter.yml")
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, password+"\n")
	const there = "/etc/glance_share_exporter/secret"
	if n := bytes.Count(text, []byte(there)); n != 1 {
		t.Fatalf("the example has %s %d times", there, n)
	}
	c, err := loadText(t, strings.Replace(string(text), there, secret, 1))
	if err != nil {
		t.Fatal(err)
	}
	teamA, teamB := project("edc89b490d7d4392898e19b2deb34797", ""), project("2a6bc96af7c04de48b0c1a0e2b6ad39e", "team-b")
	want := collector.DefaultOptions()
	want.Name = "prod"
	want.MemberNames = map[string]string{"edc89b490d7d4392898e19b2deb34797": "team-a"}
	want.Images = []collector.Image{
		{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64", Name: "golden-debian-12", Policy: collector.Policy{
			Members: []collector.ExpectedMember{
				{
					Type:  client.TypeProject,
					ID:    "19ea119fd1694653936fb429216988df",
					Until: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
					Note:  "CHG-1234",
				},
				teamB, project("8f1d0e6c5b7a49d2a3c4e5f60718293a", ""), teamA,
			},
		}},
		{
			ID:     "7c2f7b1e-0c0f-4a51-9a53-1f8f0a5f6c5d",
			Policy: collector.Policy{Visibility: []client.Visibility{client.Community, client.Public}},
		},
	}
	want.Discover = []collector.Rule{
		{
			Tags: []string{"golden"}, Name: "golden-*", Visibility: []client.Visibility{client.Shared, client.Community, client.Public},
			Policy: collector.Policy{Members: []collector.ExpectedMember{teamB, teamA}},
		},
		{Policy: collector.Policy{Members: []collector.ExpectedMember{}}},
	}
	if diff := cmp.Diff(want, c.Clouds[0].Collector, withoutHash); diff != "" {
		t.Errorf("collector (-want +got):\n%s", diff)
	}
	if _, err := c.Clouds[0].Client.Auth(); err != nil {
		t.Error(err)
	}
}

// An ID of another form than Keystone's may be right, or a name that matches nobody.
func TestWarnings(t *testing.T) {
	cleanEnv(t)
	c := load(t, "testdata/good/unusual.yml")
	const text = " is not 32 hexadecimal digits, so it may be a name, which matches nobody: " +
		"write the ID that `openstack project list` shows; if it is this one, ignore the warning"
	want := []string{
		"testdata/good/unusual.yml:2: member_groups.platform[0]: team-payments" + text,
		"testdata/good/unusual.yml:5: clouds[0].auth.password.project_id: default" + text,
		"testdata/good/unusual.yml:9: clouds[0].images[0].expected_members[1].id: 2f9a" + text,
		"testdata/good/unusual.yml:10: clouds[0].discover[0].owners[0]: team-a" + text,
		"testdata/good/unusual.yml:11: clouds[0].inbound.expected_owners[0]: acme" + text,
		"testdata/good/unusual.yml:15: clouds[1].projects[0]: team-c" + text,
		"testdata/good/unusual.yml:21: clouds[2].projects_except[0]: team-d" + text,
		"testdata/good/unusual.yml:28: clouds[3].expected_members[0].id: my-account" + text,
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := load(t, "testdata/good/usual.yml"); len(c.Warnings) > 0 {
		t.Errorf("without a reason: %q", c.Warnings)
	}
}
