package sdkoracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
)

const openstackPath = "/usr/bin/openstack" // Debian's python3-openstackclient

// python-openstackclient reads the same of the fake Keystone and Glance as our client does. It takes seconds for each request.
func TestOpenStackClient(t *testing.T) {
	if _, err := os.Stat(openstackPath); err != nil {
		t.Skip("needs Debian's python3-openstackclient")
	}
	url, credential := newOpenStack(t)
	authURL := url + "/identity/v3"
	for name, test := range map[string]struct {
		env  []string
		auth gophercloud.AuthOptions
	}{
		"password": {
			env: []string{
				"OS_AUTH_TYPE=v3password", "OS_USERNAME=watcher", "OS_PASSWORD=hunter2", "OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_ID=" + project,
			},
			auth: gophercloud.AuthOptions{
				Username: "watcher", Password: "hunter2", DomainName: "Default", Scope: &gophercloud.AuthScope{ProjectID: project},
			},
		},
		"application credential": {
			env: []string{
				"OS_AUTH_TYPE=v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID=" + credential, "OS_APPLICATION_CREDENTIAL_SECRET=s3cret",
			},
			auth: gophercloud.AuthOptions{ApplicationCredentialID: credential, ApplicationCredentialSecret: "s3cret"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.auth.IdentityEndpoint = authURL
			ours := newClient(t, client.Options{Auth: func() (gophercloud.AuthOptions, error) { return test.auth, nil }})
			theirs := cli{t, append(test.env, "OS_AUTH_URL="+authURL, "OS_IDENTITY_API_VERSION=3", "HOME="+t.TempDir())}
			same(t, "members", ourMembers(t, ours, golden), theirs.members(golden), 3)
			img, err := ours.Image(t.Context(), golden)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "record", []string{imageLine(img)}, []string{theirs.record(golden)}, 1)
			for option, hidden := range map[string]bool{"--limit=1000": false, "--hidden": true} {
				own := client.ImageQuery{Owner: project, Hidden: hidden}
				same(t, "images "+option, names(t, ours, own), theirs.images(option), 1)
			}
		})
	}
}

// names are the IDs, names and statuses of the images that our client lists.
func names(t *testing.T, c *client.Client, q client.ImageQuery) (lines []string) {
	t.Helper()
	page, err := c.ImagePage(t.Context(), q, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range page.Images {
		lines = append(lines, line(img.ID, img.Name, img.Status))
	}
	return lines
}

// cli reads with python-openstackclient.
type cli struct {
	*testing.T
	env []string
}

// run runs openstack, and decodes what it prints.
func (c cli) run(result any, args ...string) {
	c.Helper()
	cmd := exec.CommandContext(c.Context(), openstackPath, append(args, "-f", "json")...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		c.Fatalf("openstack %v: %v", args, err)
	}
}

func (c cli) members(id string) (lines []string) {
	var rows []struct {
		ID     string `json:"Member ID"`
		Status string
	}
	c.run(&rows, "image", "member", "list", id)
	for _, r := range rows {
		lines = append(lines, line("project", r.ID, r.Status))
	}
	return lines
}

func (c cli) record(id string) string {
	var img struct{ ID, Name, Owner, Visibility, Status string }
	c.run(&img, "image", "show", id)
	return line(img.ID, img.Name, img.Owner, img.Visibility, img.Status)
}

func (c cli) images(option string) (lines []string) {
	var rows []struct{ ID, Name, Status string }
	c.run(&rows, "image", "list", option)
	for _, r := range rows {
		lines = append(lines, line(r.ID, r.Name, r.Status))
	}
	return lines
}
