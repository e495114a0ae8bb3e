package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const twoRegions = `
    regions:
      - RegionOne
      - name: RegionTwo
        values:
          interface: internal
          auth: {auth_url: 'https://two.example.com/v3', password: other2}
`

// cloudEntry is the cloud prod of a clouds.yaml with more keys, and a test file beside it.
func cloudEntry(more string) string {
	return regionFile("")[:strings.Index(regionFile(""), "    region_name")] + more
}

// What openstacksdk reads of an entry is honoured.
func TestCloudsYAMLEntry(t *testing.T) {
	type result struct{ AuthURL, Password, Endpoint, Region, Interface string }
	usual := result{keystone, password, "", "", "public"}
	changed := func(change func(*result)) result {
		r := usual
		change(&r)
		return r
	}
	for _, tc := range []struct {
		name, entry, more string
		want              result
	}{
		{"nothing more", "", "", usual},
		{"one region", "    regions: [RegionOne]\n", "", changed(func(r *result) { r.Region = "RegionOne" })},
		{"a region without values", twoRegions, "region: RegionOne", changed(func(r *result) { r.Region = "RegionOne" })},
		{
			"a region with values", twoRegions, "region: RegionTwo",
			result{"https://two.example.com/v3", "other2", "", "RegionTwo", "internal"},
		},
		{
			"one region with values",
			"    regions: [{name: RegionTwo, values: {image_endpoint_override: 'https://image.two.example.com/v2'}}]\n", "",
			changed(func(r *result) { r.Region, r.Endpoint = "RegionTwo", "https://image.two.example.com/v2" }),
		},
		{
			"an endpoint", "    image_endpoint_override: https://image.example.com\n", "",
			changed(func(r *result) { r.Endpoint = "https://image.example.com" }),
		},
		{
			"an endpoint in exporter.yml", "    image_endpoint_override: https://image.example.com\n", "endpoint: https://other.example.com",
			changed(func(r *result) { r.Endpoint = "https://other.example.com" }),
		},
		{
			"the image service's interface", "    interface: admin\n    image_interface: internal\n", "",
			changed(func(r *result) { r.Interface = "internal" }),
		},
		{
			"the image service's region", "    region_name: RegionOne\n    image_region_name: RegionTwo\n", "",
			changed(func(r *result) { r.Region = "RegionTwo" }),
		},
		{"null", "    image_endpoint_override:\n    regions:\n    verify:\n", "", usual},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cleanEnv(t)
			file := filepath.Join(t.TempDir(), "clouds.yaml")
			write(t, file, cloudEntry(tc.entry))
			c, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod, file: "+file+"}", tc.more))
			if err != nil {
				t.Fatal(err)
			}
			opts := c.Clouds[0].Client
			o, err := opts.Auth()
			if err != nil {
				t.Fatal(err)
			}
			got := result{o.IdentityEndpoint, o.Password, opts.Endpoint, opts.Region, opts.Interface}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A region's values are those of secure.yaml too, and of the profile where the cloud has no regions.
func TestCloudsYAMLRegionsElsewhere(t *testing.T) {
	cleanEnv(t)
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "clouds.yaml", cloudEntry("    profile: vendor\n"))
	write(t, "clouds-public.yaml", "public-clouds:\n  vendor:\n    region_name: RegionTwo\n"+twoRegions)
	text := oneCloud("clouds_yaml: {cloud: prod, file: "+filepath.Join(dir, "clouds.yaml")+"}", "region: RegionTwo")
	c, err := loadText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.Clouds[0].Client.Auth(); err != nil || o.Password != "other2" {
		t.Errorf("got %q, %v", o.Password, err)
	}
	write(t, "secure.yaml", "clouds:\n  prod:\n    regions: [{name: RegionTwo, values: {auth: {password: third3}}}]\n")
	if o, err := c.Clouds[0].Client.Auth(); err != nil || o.Password != "third3" || o.IdentityEndpoint != keystone {
		t.Errorf("with secure.yaml: got %q at %s, %v", o.Password, o.IdentityEndpoint, err)
	}
	write(t, "secure.yaml", "# nothing\n")
	if o, err := c.Clouds[0].Client.Auth(); err != nil || o.Password != "other2" {
		t.Errorf("with an empty secure.yaml: got %q, %v", o.Password, err)
	}
}

func TestCloudsYAMLEntryMistakes(t *testing.T) {
	for _, tc := range []struct{ name, entry, more, want string }{
		{"several regions", twoRegions, "", "has several regions: write one of RegionOne, RegionTwo as region in exporter.yml"},
		{
			"several regions beside region_name", "    region_name: RegionTwo\n" + twoRegions, "",
			"has several regions: write one of RegionOne, RegionTwo as region in exporter.yml",
		},
		{
			"no such region", twoRegions, "region: regiontwo",
			`has no region "regiontwo", which exporter.yml names in region: write one of RegionOne, RegionTwo`,
		},
		{
			"another region for images", twoRegions + "    image_region_name: RegionTwo\n", "region: RegionOne",
			"image_region_name is RegionTwo, but region in exporter.yml is RegionOne: write the same region in both",
		},
		{
			"a region without a name", "    regions: [{values: {interface: internal}}]\n", "",
			"regions[0] has no name: write regions: [{name: RegionOne, values: {...}}]",
		},
		{
			"an endpoint without a host", "    image_endpoint_override: http://:9292\n", "",
			"image_endpoint_override has no host: write a URL such as https://image.example.com",
		},
		{"interface", "    image_interface: extern\n", "", `image_interface must be public, internal or admin, not "extern"`},
		{"an old name", "    image_endpoint: https://image.example.com\n", "", "image_endpoint is not read: write image_endpoint_override"},
		{"verify in quotes", "    verify: \"False\"\n", "", "verify must be true or false, without quotes"},
		{
			"verify with a CA", "    verify: /etc/ssl/ca.pem\n", "",
			"verify must be true or false, without quotes; write the path of a CA's certificate as cacert",
		},
		{"insecure", "    insecure: sure\n", "", "insecure must be true or false, without quotes"},
		{"profile", "    profile: vendor\n", "", "profile vendor is not in clouds-public.yaml: write its settings into the cloud itself"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cleanEnv(t)
			dir := t.TempDir()
			t.Chdir(dir)
			file := filepath.Join(dir, "clouds.yaml")
			write(t, file, cloudEntry(tc.entry))
			write(t, "clouds-public.yaml", "public-clouds: {other: {}}\n")
			_, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod, file: "+file+"}", tc.more))
			want := ":3: clouds[0].auth.clouds_yaml: cloud prod of " + file + ": " +
				strings.Replace(tc.want, "clouds-public", filepath.Join(dir, "clouds-public"), 1)
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	t.Run("tenant_name", func(t *testing.T) {
		cleanEnv(t)
		file := filepath.Join(t.TempDir(), "clouds.yaml")
		for _, key := range []string{"name", "id"} {
			write(t, file, strings.Replace(cloudEntry(""), "project_name", "tenant_"+key, 1))
			_, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod, file: "+file+"}"))
			want := ": cloud prod of " + file + ": auth has tenant_" + key + ", which is not read: write project_" + key
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
	})
}

func TestEnvImageService(t *testing.T) {
	cleanEnv(t)
	setenv(t, map[string]string{
		"OS_AUTH_URL": keystone, "OS_TOKEN": password, "OS_REGION_NAME": "RegionOne", "OS_INTERFACE": "admin",
		"OS_IMAGE_ENDPOINT_OVERRIDE": "https://image.example.com", "OS_IMAGE_INTERFACE": "internal", "OS_IMAGE_REGION_NAME": "RegionTwo",
	})
	c, err := loadText(t, oneCloud("env: {}"))
	if err != nil {
		t.Fatal(err)
	}
	opts := c.Clouds[0].Client
	want := []string{"https://image.example.com", "internal", "RegionTwo"}
	if diff := cmp.Diff(want, []string{opts.Endpoint, opts.Interface, opts.Region}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"OS_IMAGE_ENDPOINT_OVERRIDE": "OS_IMAGE_ENDPOINT_OVERRIDE has no host: write a URL such as https://image.example.com",
		"OS_IMAGE_INTERFACE":         `OS_IMAGE_INTERFACE must be public, internal or admin, not "http://:9292"`,
		"OS_INSECURE":                `OS_INSECURE must be true or false, not "http://:9292"`,
	} {
		before := os.Getenv(name)
		t.Setenv(name, "http://:9292")
		if _, err := loadText(t, oneCloud("env: {}")); err == nil || !strings.HasSuffix(err.Error(), ":3: clouds[0].auth.env: "+want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		t.Setenv(name, before)
	}
}
