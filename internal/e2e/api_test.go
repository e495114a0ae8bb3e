//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A session is a user's token for a project.
type session struct {
	*openstack
	user, password string
	project        string // the project's name
	projectID      string
	userID         string
	token          string
}

// call is do for a request that must succeed within half a minute.
func (s session) call(t testing.TB, method, url string, in, out any) http.Header {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	header, err := s.do(ctx, method, url, in, out)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

// do sends a request with the session's token to Keystone or Glance and decodes the answer into out, if that is not nil.
// Any status but 2xx is an error.
func (s session) do(ctx context.Context, method, url string, in, out any) (http.Header, error) {
	contentType, body := "application/json", []byte(nil)
	switch v := in.(type) {
	case nil:
	case []byte:
		contentType, body = "application/octet-stream", v
	default:
		if strings.HasPrefix(url, s.GlanceURL) && method == http.MethodPatch {
			contentType = "application/openstack-images-v2.1-json-patch"
		}
		var err error
		if body, err = json.Marshal(v); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Auth-Token", s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = refusal{resp.StatusCode, answer}
	}
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	return resp.Header, nil
}

// A refusal is an answer other than 2xx.
type refusal struct {
	status int
	body   []byte
}

func (r refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.body) }

// revoke makes Keystone disown a token.
func (o *openstack) revoke(t testing.TB, token string) {
	t.Helper()
	if status, err := o.disown(token); err != nil || status != http.StatusNoContent {
		t.Fatalf("revoking a token: %d %v", status, err)
	}
}

// disown is revoke for a token that Keystone may know no more.
func (o *openstack) disown(token string) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, o.KeystoneURL+"/v3/auth/tokens", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("X-Subject-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

type object map[string]any

// login gets a token for a user in the project of the same name, or another one.
func (o *openstack) login(t testing.TB, user, password, project string) session {
	t.Helper()
	domain := object{"id": "default"}
	var answer struct {
		Token struct {
			Project struct{ ID string }
			User    struct{ ID string }
		}
	}
	s := session{openstack: o, user: user, password: password, project: project}
	header := s.call(t, http.MethodPost, o.KeystoneURL+"/v3/auth/tokens", object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{
			"user": object{"name": user, "domain": domain, "password": password},
		}},
		"scope": object{"project": object{"name": project, "domain": domain}},
	}}, &answer)
	s.token, s.projectID, s.userID = header.Get("X-Subject-Token"), answer.Token.Project.ID, answer.Token.User.ID
	return s
}

// created is the answer to a POST to Keystone: one object with an ID under its kind's name.
type created map[string]struct{ ID, Secret string }

// bootstrapImageService makes what Glance needs in Keystone: its user and its place in the catalog.
func (o *openstack) bootstrapImageService(t testing.TB) {
	t.Helper()
	o.admin = o.login(t, "admin", "admin-secret", "admin")
	v3 := o.KeystoneURL + "/v3"
	var known struct{ Roles []struct{ ID, Name string } }
	o.admin.call(t, http.MethodGet, v3+"/roles", nil, &known)
	o.roles = make(map[string]string)
	for _, r := range known.Roles {
		o.roles[r.Name] = r.ID
	}
	if o.roles["service"] == "" {
		answer := created{}
		o.admin.call(t, http.MethodPost, v3+"/roles", object{"role": object{"name": "service"}}, &answer)
		o.roles["service"] = answer["role"].ID
	}
	service := created{}
	o.admin.call(t, http.MethodPost, v3+"/services", object{"service": object{"type": "image", "name": "glance"}}, &service)
	o.admin.call(t, http.MethodPost, v3+"/endpoints", object{"endpoint": object{
		"interface": "public", "service_id": service["service"].ID, "region_id": "RegionOne", "url": o.GlanceURL,
	}}, nil)
	o.newUser(t, "glance", o.newProject(t, "service"), "admin", "service")
}

func (o *openstack) newProject(t testing.TB, name string) (id string) {
	t.Helper()
	answer := created{}
	o.admin.call(t, http.MethodPost, o.KeystoneURL+"/v3/projects", object{"project": object{"name": name, "domain_id": "default"}}, &answer)
	return answer["project"].ID
}

// newUser makes a user whose password is its name and "-secret", with roles in one project.
func (o *openstack) newUser(t testing.TB, name, projectID string, roles ...string) {
	t.Helper()
	answer := created{}
	o.admin.call(t, http.MethodPost, o.KeystoneURL+"/v3/users", object{"user": object{
		"name": name, "password": name + "-secret", "domain_id": "default", "default_project_id": projectID,
	}}, &answer)
	for _, r := range roles {
		o.assign(t, http.MethodPut, projectID, answer["user"].ID, r)
	}
}

// assign gives a user a role in a project (PUT), or takes it away (DELETE).
func (o *openstack) assign(t testing.TB, method, projectID, userID, role string) {
	t.Helper()
	o.admin.call(t, method, o.KeystoneURL+"/v3/projects/"+projectID+"/users/"+userID+"/roles/"+o.roles[role], nil, nil)
}

// newTenant makes a project and a member of it by the same name.
func (o *openstack) newTenant(t testing.TB, name string) session {
	t.Helper()
	o.newUser(t, name, o.newProject(t, name), "member")
	return o.login(t, name, name+"-secret", name)
}

// newReader makes a user who may only read the session's project.
func (s session) newReader(t testing.TB, name string) session {
	t.Helper()
	s.newUser(t, name, s.projectID, "reader")
	return s.login(t, name, name+"-secret", s.project)
}

// An appCredential is an application credential of a user.
type appCredential struct{ id, secret string }

// newAppCredential makes an application credential. With paths it may only GET those.
func (s session) newAppCredential(t testing.TB, name string, paths ...string) appCredential {
	t.Helper()
	// Implied roles are not added: member alone could not read.
	spec := object{"name": name, "roles": []object{{"name": "member"}, {"name": "reader"}}}
	var rules []object
	for _, p := range paths {
		service := "image"
		if strings.HasPrefix(p, "/v3/") {
			service = "identity"
		}
		rules = append(rules, object{"service": service, "method": "GET", "path": p})
	}
	if rules != nil {
		spec["access_rules"] = rules
	}
	answer := created{}
	s.call(t, http.MethodPost, s.KeystoneURL+"/v3/users/"+s.userID+"/application_credentials", object{"application_credential": spec}, &answer)
	return appCredential{answer["application_credential"].ID, answer["application_credential"].Secret}
}

// newImage makes an image with a few bytes of data.
func (s session) newImage(t testing.TB, name, visibility string) image {
	t.Helper()
	var answer struct{ ID string }
	s.call(t, http.MethodPost, s.GlanceURL+"/v2/images", object{
		"name": name, "visibility": visibility, "container_format": "bare", "disk_format": "raw",
	}, &answer)
	s.call(t, http.MethodPut, s.GlanceURL+"/v2/images/"+answer.ID+"/file", []byte("golden"), nil)
	return image{name: name, id: answer.ID}
}

// set changes one property of an image.
func (s session) set(t testing.TB, img image, property string, value any) {
	t.Helper()
	s.call(t, http.MethodPatch, s.GlanceURL+"/v2/images/"+img.id, []object{{"op": "replace", "path": "/" + property, "value": value}}, nil)
}

// deleteImage deletes an image.
func (s session) deleteImage(t testing.TB, img image) {
	t.Helper()
	s.call(t, http.MethodDelete, s.GlanceURL+"/v2/images/"+img.id, nil, nil)
}

// share makes the projects members of an image.
func (s session) share(t testing.TB, img image, with ...session) {
	t.Helper()
	for _, m := range with {
		s.call(t, http.MethodPost, s.GlanceURL+"/v2/images/"+img.id+"/members", object{"member": m.projectID}, nil)
	}
}

// unshare takes the image from a member.
func (s session) unshare(t testing.TB, img image, from session) {
	t.Helper()
	s.call(t, http.MethodDelete, s.GlanceURL+"/v2/images/"+img.id+"/members/"+from.projectID, nil, nil)
}

// respond sets the session's own status at an image that was shared with it.
func (s session) respond(t testing.TB, img image, status string) {
	t.Helper()
	s.call(t, http.MethodPut, s.GlanceURL+"/v2/images/"+img.id+"/members/"+s.projectID, object{"status": status}, nil)
}
