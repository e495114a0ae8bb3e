package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// answerNames makes Keystone answer requests for names with a body.
func answerNames(w *fakecloud.Cloud, status int, body string) {
	w.ClearFaults()
	w.Inject(fakecloud.Fault{
		Match:  func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpReadProjects },
		Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	})
}

func TestProjectNames(t *testing.T) {
	w := newWorld()
	c, seen := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	var apiErr *client.Error
	if _, err := c.ProjectNames(t.Context()); !errors.As(err, &apiErr) || apiErr.Code != client.CodeNotRequested || len(seen.take()) > 0 {
		t.Errorf("without a token: %v", err)
	}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen.take()
	_, listErr := c.ProjectNames(t.Context())
	_, oneErr := c.ProjectName(t.Context(), consumerA)
	for _, err := range []error{listErr, oneErr} {
		if !errors.As(err, &apiErr) || apiErr.Status() != http.StatusForbidden || apiErr.Op != client.OpResolveNames {
			t.Errorf("refused: %v", err)
		}
	}
	w.SetPolicy(fakecloud.Policy{ReadProjects: func([]string) bool { return true }})
	names, err := c.ProjectNames(t.Context())
	if diff := cmp.Diff(map[string]string{producer: "producer", consumerA: "consumer-a", consumerB: "consumer-b"}, names); diff != "" ||
		err != nil {
		t.Errorf("%v, names (-want +got):\n%s", err, diff)
	}
	if name, err := c.ProjectName(t.Context(), consumerA); name != "consumer-a" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := c.ProjectName(t.Context(), "../../v3/users"); !errors.As(err, &apiErr) || apiErr.Status() != http.StatusNotFound {
		t.Errorf("another path: %v", err)
	}
	want := []string{"resolve_names 403", "resolve_names 403", "resolve_names", "resolve_names", "resolve_names 404"}
	if got := seen.take(); !slices.Equal(got, want) {
		t.Errorf("observed %q, want %q", got, want)
	}
}

func TestStrangeNames(t *testing.T) {
	w := newWorld()
	c, _ := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ body, name, err string }{
		{`{"project": {"id": "` + consumerA + `", "name": "x"}}`, "x", ""},
		{`{"project": {"id": "` + consumerA + `", "name": "x", "name": "y", "Name": "z"}}`, "y", ""},
		{`{"project": {"id": "` + consumerA + `"}}`, "", ""},
		{`{"project": {"id": "` + consumerA + `", "name": "` + password + `"}}`, "<secret>", ""},
		{`{"project": {"id": "` + consumerB + `", "name": "x"}}`, "", "another project"},
		{`{"project": {"name": "x"}}`, "", "another project"},
		{`{}`, "", "another project"},
		{`[]`, "", "a JSON array"},
		{`{"project": {"id": "` + consumerA + `", "name": {}}}`, "", "JSON object"},
		{`{"error": {"code": 403, "message": "no"}}`, "", "no"},
		{`{"project": {"id": "` + consumerA, "", "invalid JSON"},
	} {
		answerNames(w, http.StatusOK, test.body)
		name, err := c.ProjectName(t.Context(), consumerA)
		if name != test.name || (err == nil) != (test.err == "") || !strings.Contains(fmt.Sprint(err), test.err) {
			t.Errorf("%s: %q, %v, want %q and %q", test.body, name, err, test.name, test.err)
		}
	}
	answerNames(w, http.StatusOK,
		fmt.Sprintf(`{"projects": [{"id": %q, "name": "x"}, {"id": %q, "name": %q}]}`, password, consumerA, strings.Repeat("x", 2000)))
	names, err := c.ProjectNames(t.Context())
	if len(names) != 1 || len(names[consumerA]) > 512 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
}

// What Keystone says of names changes no token, and its clock is not the image API's.
func TestNamesTellNothingElse(t *testing.T) {
	w := newWorld()
	c, seen := newClient(t, client.Options{Auth: byPassword(start(t, w) + "/identity/v3")})
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		answerNames(w, http.StatusUnauthorized, `{}`)
		if _, err := c.ProjectName(t.Context(), consumerA); err == nil {
			t.Error("no error")
		}
	}
	w.ClearFaults()
	if c.State().SkewKnown {
		t.Error("the clock of Keystone counts as the image API's")
	}
	if ids := memberIDs(t, c, golden); len(ids) != 2 {
		t.Error(ids)
	}
	want := []string{"authenticate", "resolve_names 401", "resolve_names 401", "resolve_names 401", "list_members"}
	if got := seen.take(); !slices.Equal(got, want) {
		t.Errorf("observed %q, want %q", got, want)
	}
}
