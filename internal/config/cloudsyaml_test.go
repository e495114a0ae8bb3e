package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glance_share_exporter/internal/config"
)

const cloudsFile = `clouds:
  prod:
    auth:
      auth_url: https://keystone.example.com/v3
      username: exporter
      user_domain_name: Default
      project_name: producer
      password: hunter2
    region_name: %REGION%
`

func regionFile(region string) string { return strings.Replace(cloudsFile, "%REGION%", region, 1) }

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// The files that other OpenStack clients would find are found, in their order.
func TestCloudsYAMLPlaces(t *testing.T) {
	cleanEnv(t)
	home, work, only := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "only.yaml")
	t.Setenv("HOME", home)
	t.Chdir(work)
	expect := func(want string) {
		t.Helper()
		c, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod}"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Clouds[0].Client.Region; got != want {
			t.Errorf("found the one of %s, want %s", got, want)
		}
	}
	write(t, filepath.Join(mkdir(t, filepath.Join(home, ".config/openstack")), "clouds.yaml"), regionFile("home"))
	expect("home")
	xdg := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", xdg)
	write(t, filepath.Join(mkdir(t, filepath.Join(xdg, "openstack")), "clouds.yaml"), regionFile("xdg"))
	expect("xdg")
	write(t, "clouds.yaml", regionFile("work"))
	expect("work")
	t.Setenv("OS_CLIENT_CONFIG_FILE", only)
	_, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod}"))
	want := ":3: clouds[0].auth.clouds_yaml: no clouds.yaml in the places searched, " + only +
		": write the file, or name one, as in file: /etc/openstack/clouds.yaml"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	write(t, only, regionFile("only"))
	expect("only")
}

func TestCloudsYAMLSecureAndProfile(t *testing.T) {
	cleanEnv(t)
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "clouds.yaml", "clouds:\n  prod:\n    profile: vendor\n    auth:\n      username: exporter\n      user_domain_name: "+
		"Default\n      project_name: producer\n")
	write(t, "secure.yaml", "clouds:\n  prod:\n    auth:\n      password: hunter2\n")
	text := oneCloud("clouds_yaml: {cloud: prod, file: " + filepath.Join(dir, "clouds.yaml") + "}")
	if _, err := os.Stat("/etc/openstack/clouds-public.yaml"); err != nil {
		_, err := loadText(t, text)
		want := ":3: clouds[0].auth.clouds_yaml: cloud prod of " + filepath.Join(dir, "clouds.yaml") +
			": profile vendor needs a clouds-public.yaml, and there is none: write its settings into the cloud itself"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	write(t, "clouds-public.yaml", "public-clouds:\n  vendor:\n    auth:\n      auth_url: https://keystone.example.com/v3\n    "+
		"region_name: vendor\n    interface: internal\n")
	c, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	opts := c.Clouds[0].Client
	o, err := opts.Auth()
	if err != nil || o.Password != password || o.IdentityEndpoint != keystone || opts.Region != "vendor" || opts.Interface != "internal" {
		t.Errorf("got %q at %q, region %q, interface %q, %v", o.Password, o.IdentityEndpoint, opts.Region, opts.Interface, err)
	}
}

// A new password in clouds.yaml is used, and a broken file is told without its secrets.
func TestCloudsYAMLReadAnew(t *testing.T) {
	cleanEnv(t)
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, file, regionFile("one"))
	c, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod, file: "+file+"}"))
	if err != nil {
		t.Fatal(err)
	}
	auth := c.Clouds[0].Client.Auth
	write(t, file, strings.Replace(regionFile("one"), password, "changed", 1))
	if o, err := auth(); err != nil || o.Password != "changed" {
		t.Errorf("got %q, %v", o.Password, err)
	}
	in := "auth.clouds_yaml: "
	for _, tc := range []struct{ text, want string }{
		{
			strings.Replace(regionFile("one"), password, "*hunter2", 1),
			in + file + ":8: not valid YAML: a * refers to an anchor that is not defined: put the value in quotes, or define the anchor with &",
		},
		{
			strings.Replace(regionFile("one"), password, "[hunter2]", 1),
			in + file + ":8: a duplicate key, or a list or mapping where a string is expected: correct it",
		},
		{strings.Replace(regionFile("one"), "prod:", "test:", 1), "auth.clouds_yaml.cloud: " + file + ` has no cloud "prod": write one of test`},
	} {
		write(t, file, tc.text)
		if _, err := auth(); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want := in + file + " cannot be read, no such file: correct the path, or create the file"
	if _, err := auth(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestSameConnection(t *testing.T) {
	const base = `
clouds:
  - name: prod
    auth: {password: {auth_url: https://keystone.example.com/v3, user_id: abc, password: hunter2, project_id: edc8}}
    region: RegionOne
    http: {oauth2: {client_id: a, token_url: https://id.example.com, client_secret: hunter2}, proxy_url: http://proxy.example.com}
    images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]
`
	for _, tc := range []struct {
		name, old, new string
		want           bool
	}{
		{"nothing", "", "", true},
		{"image", "d164b5df", "d164b5d0", true},
		{"concurrency", "region:", "scrape: {concurrency: 2}\n    region:", true},
		{"interface said as the default", "region:", "interface: public\n    region:", true},
		{"name", "prod", "test", false},
		{"password", "password: hunter2", "password: changed", false},
		{"auth URL", "keystone.example", "keystone2.example", false},
		{"region", "RegionOne", "RegionTwo", false},
		{"interface", "region:", "interface: internal\n    region:", false},
		{"endpoint", "region:", "endpoint: https://image.example.com\n    region:", false},
		{"proxy", "http://proxy", "http://proxy2", false},
		{"OAuth 2", "client_id: a", "client_id: b", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cleanEnv(t)
			one := cloudOf(t, base)
			two := cloudOf(t, strings.Replace(base, tc.old, tc.new, 1))
			if _, err := one.NewTransport(); err != nil { // changes nothing
				t.Fatal(err)
			}
			if got := one.SameConnection(two); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
			if got := two.SameConnection(one); got != tc.want {
				t.Errorf("the other way: got %t, want %t", got, tc.want)
			}
		})
	}
}

func cloudOf(t *testing.T, text string) config.Cloud {
	t.Helper()
	c, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Clouds[0]
}
