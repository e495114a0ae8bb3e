package sdkoracle

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

const (
	project = "edc89b490d7d4392898e19b2deb34797"
	other   = "77b6a44cba5143ab91d13ab9a8ff44fd"
	golden  = "d164b5df-1bc3-4c3f-893e-3e471fd16e64"
)

// newHuawei is a Huawei Cloud whose golden image has three pages of members, and whose project has 600 images more.
func newHuawei(t *testing.T) (*fakecloud.Cloud, string) {
	t.Helper()
	w := fakecloud.New(fakecloud.Options{Huawei: true, Domain: "account", Region: "cn-north-4"})
	w.AddProjectID(project, "cn-north-4")
	w.AddAccessKey(permanent.AccessKey())
	w.AddAccessKey(temporary.AccessKey())
	w.AddImage(fakecloud.Image{ID: golden, Name: "golden", Owner: project, Whole: true})
	for i := range 1199 {
		w.Share(golden, fmt.Sprintf("%032x", i))
	}
	w.SetStatus(golden, fmt.Sprintf("%032x", 3), "accepted")
	w.AddMember(golden, fakecloud.Member{MemberID: other, Type: "domain", Status: "accepted"})
	w.AddMember(golden, fakecloud.Member{MemberID: "ou-1", Type: "organization", Status: "accepted"})
	for i := range 600 {
		w.AddImage(fakecloud.Image{Name: fmt.Sprint("private ", i), Owner: project, Visibility: "private"})
	}
	for _, status := range []string{"accepted", "pending", "rejected"} {
		w.AddMember(w.AddImage(fakecloud.Image{Name: "from others, " + status, Owner: other}),
			fakecloud.Member{MemberID: project, Status: status})
	}
	return w, serve(t, w)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// key is an access key, as our client takes it.
type key client.Key

var (
	permanent = key{Access: "QTWAOYTTINDUT2QVKYUC", Secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"}
	temporary = key{Access: "TEMPORARYTTINDUT2QVK", Secret: "another", SecurityToken: "a+token/with=characters"}
)

func (k key) Key(context.Context) (client.Key, error) { return client.Key(k), nil }

func (k key) AccessKey() fakecloud.AccessKey {
	return fakecloud.AccessKey{Access: k.Access, Secret: k.Secret, SecurityToken: k.SecurityToken, ProjectID: project}
}

func newClient(t *testing.T, opts client.Options) *client.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	opts.Transport = transport
	c, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ourMembers are the members that our client reads, as lines.
func ourMembers(t *testing.T, c *client.Client, id string) (lines []string) {
	t.Helper()
	list, err := c.Members(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Members {
		lines = append(lines, line(string(m.Type), m.ID, string(m.Status)))
	}
	return lines
}

// ourImages are the images that our client lists, all pages of them, as lines.
func ourImages(t *testing.T, c *client.Client, q client.ImageQuery) (lines []string) {
	t.Helper()
	for marker, first := "", true; first || marker != ""; first = false {
		page, err := c.ImagePage(t.Context(), q, marker)
		if err != nil || page.Unreadable > 0 {
			t.Fatalf("%v, %d unreadable", err, page.Unreadable)
		}
		for _, img := range page.Images {
			lines = append(lines, imageLine(img))
		}
		marker = page.Next
	}
	return lines
}

func imageLine(img client.Image) string {
	return line(img.ID, img.Name, img.Owner, string(img.Visibility), img.Status)
}

func line(fields ...string) string { return strings.Join(fields, " | ") }

// same demands that two clients read the same lines, at least so many.
func same(t *testing.T, what string, ours, theirs []string, least int) {
	t.Helper()
	slices.Sort(ours)
	slices.Sort(theirs)
	if len(ours) < least {
		t.Errorf("%s: %d lines", what, len(ours))
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("%s: ours has %d lines and theirs %d:\n%s\n%s", what, len(ours), len(theirs), strings.Join(ours[:min(3, len(ours))], "\n"),
			strings.Join(theirs[:min(3, len(theirs))], "\n"))
	}
	t.Logf("%s: both read the same %d", what, len(ours))
}
