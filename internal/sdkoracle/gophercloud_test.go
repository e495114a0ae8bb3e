package sdkoracle

import (
	"fmt"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

const hidden = "0b1c2d3e-1bc3-4c3f-893e-3e471fd16e64"

// newOpenStack is an OpenStack with three pages of images by gophercloud's default, and a hidden image.
func newOpenStack(t *testing.T) (url, credential string) {
	t.Helper()
	w := fakecloud.New(fakecloud.Options{})
	w.AddProjectID(project, "producer")
	w.AddUser("watcher", "hunter2", project, "reader")
	credential = w.AddAppCredential(fakecloud.AppCredential{Name: "exporter", Secret: "s3cret", User: "watcher", ProjectID: project})
	w.AddImage(fakecloud.Image{ID: golden, Name: "golden", Owner: project, Tags: []string{"a", "b"}})
	w.AddImage(fakecloud.Image{ID: hidden, Name: "old", Owner: project, Hidden: true})
	for i, status := range []string{"accepted", "pending", "rejected"} {
		w.AddMember(golden, fakecloud.Member{MemberID: fmt.Sprintf("%032x", i), Status: status})
	}
	w.Share(hidden, other)
	for i := range 60 {
		w.AddImage(fakecloud.Image{Name: fmt.Sprint("image ", i), Owner: project, Visibility: "private"})
	}
	return serve(t, w), credential
}

// gophercloud reads the same of the fake Keystone and Glance as our client does, by a password and by an application credential.
func TestGlance(t *testing.T) {
	url, credential := newOpenStack(t)
	for name, auth := range map[string]gophercloud.AuthOptions{
		"password": {
			Username: "watcher", Password: "hunter2", DomainName: "Default", Scope: &gophercloud.AuthScope{ProjectID: project},
		},
		"application credential": {ApplicationCredentialID: credential, ApplicationCredentialSecret: "s3cret"},
	} {
		t.Run(name, func(t *testing.T) {
			auth.IdentityEndpoint = url + "/identity/v3"
			ours := newClient(t, client.Options{Auth: func() (gophercloud.AuthOptions, error) { return auth, nil }})
			theirs := newGophercloud(t, auth)
			for _, id := range []string{golden, hidden} {
				same(t, "members", ourMembers(t, ours, id), theirs.members(id), 1)
				img, err := ours.Image(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				same(t, "record", []string{imageLine(img)}, []string{theirs.record(id)}, 1)
			}
			for _, hidden := range []bool{false, true} {
				q := client.ImageQuery{Owner: project, Hidden: hidden}
				same(t, fmt.Sprintf("images, hidden %v", hidden), ourImages(t, ours, q),
					theirs.images(images.ListOpts{Owner: project, Hidden: hidden}), 1)
			}
		})
	}
}

// gopher reads with gophercloud.
type gopher struct {
	*testing.T
	*gophercloud.ServiceClient
}

func newGophercloud(t *testing.T, auth gophercloud.AuthOptions) gopher {
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), auth)
	if err != nil {
		t.Fatal(err)
	}
	c, err := openstack.NewImageV2(provider, gophercloud.EndpointOpts{})
	if err != nil {
		t.Fatal(err)
	}
	return gopher{t, c}
}

func (g gopher) members(id string) (lines []string) {
	pages, err := members.List(g.ServiceClient, id).AllPages(g.Context())
	if err != nil {
		g.Fatal(err)
	}
	list, err := members.ExtractMembers(pages)
	if err != nil {
		g.Fatal(err)
	}
	for _, m := range list {
		lines = append(lines, line("project", m.MemberID, m.Status))
	}
	return lines
}

func (g gopher) record(id string) string {
	img, err := images.Get(g.Context(), g.ServiceClient, id).Extract()
	if err != nil {
		g.Fatal(err)
	}
	return theirLine(img)
}

func (g gopher) images(opts images.ListOpts) (lines []string) {
	pages, err := images.List(g.ServiceClient, opts).AllPages(g.Context())
	if err != nil {
		g.Fatal(err)
	}
	list, err := images.ExtractImages(pages)
	if err != nil {
		g.Fatal(err)
	}
	for i := range list {
		lines = append(lines, theirLine(&list[i]))
	}
	return lines
}

func theirLine(img *images.Image) string {
	return line(img.ID, img.Name, img.Owner, string(img.Visibility), string(img.Status))
}
