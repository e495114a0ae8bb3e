package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
)

const keystone = "https://keystone.example.com/v3"

// cloudsYAML is auth with a cloud of testdata.
func cloudsYAML(t *testing.T, cloud string) string {
	t.Helper()
	path, err := filepath.Abs("testdata/files/clouds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return "clouds_yaml: {cloud: " + cloud + ", file: '" + path + "'}"
}

func TestAuth(t *testing.T) {
	const url = "auth_url: " + keystone
	projectID := &gophercloud.AuthScope{ProjectID: "edc8"}
	byName := gophercloud.AuthOptions{
		IdentityEndpoint: keystone, Username: "exporter", Password: password, DomainName: "Default",
		Scope: &gophercloud.AuthScope{ProjectName: "producer", DomainName: "Default"},
	}
	userID := gophercloud.AuthOptions{IdentityEndpoint: keystone, UserID: "abc", Password: password, Scope: projectID}
	appCred := gophercloud.AuthOptions{
		IdentityEndpoint: keystone, ApplicationCredentialID: "abc", ApplicationCredentialSecret: password,
	}
	for _, tc := range []struct {
		name, auth string
		more       string
		env        map[string]string
		want       gophercloud.AuthOptions
		project    string
		region     string
		iface      string
	}{
		{
			name: "password, names, the project in the user's domain",
			auth: "password: {" + url + ", username: exporter, user_domain_name: Default, password: hunter2, project_name: producer}",
			want: byName,
		},
		{
			name: "password, a project's domain",
			auth: "password: {" + url +
				", username: exporter, user_domain_id: default, password: hunter2, project_name: producer, project_domain_name: Other}",
			want: gophercloud.AuthOptions{
				IdentityEndpoint: keystone, Username: "exporter", Password: password, DomainID: "default",
				Scope: &gophercloud.AuthScope{ProjectName: "producer", DomainName: "Other"},
			},
		},
		{
			name: "password, IDs",
			auth: "password: {" + url + ", user_id: abc, password: hunter2, project_id: edc8}",
			want: userID,
		},
		{
			name: "password, a user's domain for the project of a user ID",
			auth: "password: {" + url + ", user_id: abc, user_domain_id: default, password: hunter2, project_name: producer}",
			want: gophercloud.AuthOptions{
				IdentityEndpoint: keystone, UserID: "abc", Password: password,
				Scope: &gophercloud.AuthScope{ProjectName: "producer", DomainID: "default"},
			},
		},
		{
			name: "password of digits",
			auth: "password: {" + url + ", user_id: abc, password: 0123, project_id: edc8}",
			want: gophercloud.AuthOptions{IdentityEndpoint: keystone, UserID: "abc", Password: "0123", Scope: projectID},
		},
		{
			name: "application credential by ID",
			auth: "application_credential: {" + url + ", id: abc, secret: hunter2}",
			want: appCred,
		},
		{
			name: "application credential by name",
			auth: "application_credential: {" + url + ", name: watch, username: exporter, user_domain_name: Default, secret: hunter2}",
			want: gophercloud.AuthOptions{
				IdentityEndpoint: keystone, ApplicationCredentialName: "watch", ApplicationCredentialSecret: password,
				Username: "exporter", DomainName: "Default",
			},
		},
		{
			name: "token",
			auth: "token: {" + url + ", token: hunter2}",
			want: gophercloud.AuthOptions{IdentityEndpoint: keystone, TokenID: password},
		},
		{
			name: "token for a project",
			auth: "token: {" + url + ", token: hunter2, project_id: edc8}",
			want: gophercloud.AuthOptions{IdentityEndpoint: keystone, TokenID: password, Scope: projectID},
		},
		{
			name:    "token as it is",
			auth:    "token: {token: hunter2, project_id: edc8}",
			more:    "endpoint: https://image.example.com",
			want:    gophercloud.AuthOptions{TokenID: password},
			project: "edc8",
		},
		{
			name:   "clouds.yaml, not the environment",
			auth:   cloudsYAML(t, "prod"),
			env:    map[string]string{"OS_REGION_NAME": "RegionEnv", "OS_INTERFACE": "admin", "OS_USERNAME": "env", "OS_CLOUD": "test"},
			want:   byName,
			region: "RegionOne", iface: "internal",
		},
		{
			name: "clouds.yaml that says no region, not the environment",
			auth: cloudsYAML(t, "minimal"),
			env:  map[string]string{"OS_REGION_NAME": "RegionEnv", "OS_INTERFACE": "admin"},
			want: byName,
		},
		{
			name:   "exporter.yml before clouds.yaml",
			auth:   cloudsYAML(t, "prod"),
			more:   "region: RegionTwo\n    interface: public",
			want:   byName,
			region: "RegionTwo",
		},
		{name: "clouds.yaml, application credential", auth: cloudsYAML(t, "appcred"), want: appCred},
		{
			name: "clouds.yaml, token beside a user",
			auth: cloudsYAML(t, "token"),
			want: gophercloud.AuthOptions{IdentityEndpoint: keystone, TokenID: password, Scope: projectID},
		},
		{
			name: "clouds.yaml, default domain and a password of digits",
			auth: cloudsYAML(t, "number"),
			want: gophercloud.AuthOptions{
				IdentityEndpoint: keystone, Username: "exporter", Password: "012345", DomainID: "default",
				Scope: &gophercloud.AuthScope{ProjectName: "producer", DomainID: "default"},
			},
		},
		{
			name: "environment, openrc",
			auth: "env: {}",
			env: map[string]string{
				"OS_AUTH_URL": keystone, "OS_USERNAME": "exporter", "OS_PASSWORD": password, "OS_USER_DOMAIN_NAME": "Default",
				"OS_PROJECT_NAME": "producer", "OS_PROJECT_DOMAIN_NAME": "Default", "OS_REGION_NAME": "RegionOne", "OS_INTERFACE": "internalURL",
				"OS_IDENTITY_API_VERSION": "3",
			},
			want:   byName,
			region: "RegionOne", iface: "internal",
		},
		{
			name: "environment, project by ID and name, domains by ID and name",
			auth: "env: {}",
			env: map[string]string{
				"OS_AUTH_URL": keystone, "OS_USERNAME": "exporter", "OS_PASSWORD": password,
				"OS_USER_DOMAIN_NAME": "Default", "OS_USER_DOMAIN_ID": "default", "OS_PROJECT_ID": "edc8",
				"OS_PROJECT_NAME": "producer", "OS_PROJECT_DOMAIN_ID": "default",
			},
			want: gophercloud.AuthOptions{
				IdentityEndpoint: keystone, Username: "exporter", Password: password, DomainID: "default", Scope: projectID,
			},
		},
		{
			name: "environment, tenant and default domain",
			auth: "env: {}",
			env: map[string]string{
				"OS_AUTH_URL": keystone, "OS_USERNAME": "exporter", "OS_PASSWORD": password,
				"OS_TENANT_NAME": "producer", "OS_DEFAULT_DOMAIN": "default",
			},
			want: gophercloud.AuthOptions{
				IdentityEndpoint: keystone, Username: "exporter", Password: password, DomainID: "default",
				Scope: &gophercloud.AuthScope{ProjectName: "producer", DomainID: "default"},
			},
		},
		{
			name: "environment, user ID",
			auth: "env: {}",
			env:  map[string]string{"OS_AUTH_URL": keystone, "OS_USER_ID": "abc", "OS_PASSWORD": password, "OS_TENANT_ID": "edc8"},
			want: userID,
		},
		{
			name: "environment, application credential beside a project",
			auth: "env: {}",
			env: map[string]string{
				"OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": keystone, "OS_APPLICATION_CREDENTIAL_ID": "abc",
				"OS_APPLICATION_CREDENTIAL_SECRET": password, "OS_PROJECT_ID": "edc8",
			},
			want: appCred,
		},
		{
			name: "environment, token",
			auth: "env: {}",
			env:  map[string]string{"OS_AUTH_URL": keystone, "OS_TOKEN": password, "OS_PROJECT_ID": "edc8", "OS_USERNAME": "exporter"},
			want: gophercloud.AuthOptions{IdentityEndpoint: keystone, TokenID: password, Scope: projectID},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cleanEnv(t)
			setenv(t, tc.env)
			c, err := loadText(t, oneCloud(tc.auth, tc.more))
			if err != nil {
				t.Fatal(err)
			}
			opts := c.Clouds[0].Client
			got, err := opts.Auth()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("options of the login (-want +got):\n%s", diff)
			}
			// gophercloud must be able to make a request of it.
			if opts.ProjectID == "" {
				scope, err := got.ToTokenV3ScopeMap()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := got.ToTokenV3CreateMap(scope); err != nil {
					t.Error(err)
				}
			}
			iface := tc.iface
			if iface == "" {
				iface = "public"
			}
			if diff := cmp.Diff([]string{tc.project, tc.region, iface}, []string{opts.ProjectID, opts.Region, opts.Interface}); diff != "" {
				t.Errorf("project, region, interface (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAuthEnvMistakes(t *testing.T) {
	good := map[string]string{
		"OS_AUTH_URL":         keystone,
		"OS_USERNAME":         "exporter",
		"OS_PASSWORD":         password,
		"OS_USER_DOMAIN_NAME": "Default",
		"OS_PROJECT_NAME":     "producer",
	}
	for _, tc := range []struct {
		name, variable, value string
		want                  string
	}{
		{"no domain", "OS_USER_DOMAIN_NAME", "", "OS_USER_DOMAIN_NAME (or OS_USER_DOMAIN_ID) is not set: set it for the exporter, as an " +
			"openrc file does, or use another kind of auth"},
		{
			"no password", "OS_PASSWORD", "",
			"OS_PASSWORD is not set: set it for the exporter, as an openrc file does, or use another kind of auth",
		},
		{
			"auth type", "OS_AUTH_TYPE", "v3totp",
			`OS_AUTH_TYPE: auth type "v3totp" is not supported: use v3applicationcredential, v3password or v3token`,
		},
		{"auth URL", "OS_AUTH_URL", "keystone.example.com", "OS_AUTH_URL must be a URL such as https://cloud.example.com:5000/v3"},
		{
			"auth URL without host", "OS_AUTH_URL", "http://:5000/v3",
			"OS_AUTH_URL has no host: write a URL such as https://cloud.example.com:5000/v3",
		},
		{"interface", "OS_INTERFACE", "extern", `OS_INTERFACE must be public, internal or admin, not "extern"`},
		{"CA", "OS_CACERT", "/nowhere/ca.pem", "OS_CACERT: /nowhere/ca.pem cannot be read, no such file: correct the path, or create the file"},
		{"certificate without key", "OS_CERT", "testdata/files/password", "OS_CERT and OS_KEY belong together: set both, or none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cleanEnv(t)
			setenv(t, good)
			t.Setenv(tc.variable, tc.value)
			_, err := loadText(t, oneCloud("env: {}"))
			want := ":3: clouds[0].auth.env: " + tc.want
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	t.Run("a cloud's name alone", func(t *testing.T) {
		cleanEnv(t)
		t.Setenv("OS_CLOUD", "prod")
		_, err := loadText(t, oneCloud("env: {}"))
		want := ":3: clouds[0].auth.env: OS_CLOUD is set and OS_AUTH_URL is not: write clouds_yaml: {cloud: prod} instead of env"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}
