package fakecloud_test

import (
	"crypto/md5"
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// The world that was recorded under policies: another cloud, with the images of recordedWorld.
const (
	policyAdmin    = "60832f95867940d6a31ade34d00c168a"
	policyProducer = "e70a62588132413794ee28448fd7781d"
	policyA        = "bfe69cc69a814c98b95c5dbfa26e2187"
	policyB        = "547cdb1244334cefa9659e283056f1d2"
	policyC        = "ad100bf12e0b4e35846bde6479602616"
	policyOutsider = "f8c32b4e32334776817307cd4ded3a81"

	policyAll = "c401c49a-6261-49c4-9c79-77acc8a7feaf"
)

func policyWorld(opts fakecloud.Options) *fakecloud.Cloud {
	clk := &clock{now: time.Date(2026, 11, 27, 6, 41, 15, 0, time.UTC)}
	opts.Now = clk.Now
	c := fakecloud.New(opts)
	for _, u := range []struct {
		name, project, id string
		roles             []string
	}{
		{"admin", "admin", policyAdmin, []string{"admin"}},
		{"producer", "producer", policyProducer, []string{"member"}},
		{"reader", "producer", policyProducer, []string{"reader"}},
		{"consumer-a", "consumer-a", policyA, []string{"member"}},
		{"consumer-b", "consumer-b", policyB, []string{"member"}},
		{"consumer-c", "consumer-c", policyC, []string{"member"}},
		{"outsider", "outsider", policyOutsider, []string{"member"}},
		{"image-admin", "outsider", policyOutsider, []string{"reader", "cloud_image_admin"}},
	} {
		c.AddProjectID(u.id, u.project)
		c.AddUser(u.name, u.name+"-secret", u.id, u.roles...)
	}
	c.AddSystemRole("admin", "admin")
	c.AddAppCredential(fakecloud.AppCredential{
		ID: "member-only", Secret: "s", User: "producer", ProjectID: policyProducer, Roles: []string{"member"},
	})
	add := func(id, name, visibility, data string, statuses ...string) {
		clk.now = clk.now.Add(time.Microsecond)
		img := fakecloud.Image{ID: id, Name: name, Owner: policyProducer, Visibility: visibility, Size: int64(len(data))}
		img.Checksum = fmt.Sprintf("%x", md5.Sum([]byte(data)))
		img.HashValue = fmt.Sprintf("%x", sha512.Sum512([]byte(data)))
		switch name {
		case "shared-all-statuses":
			img.Tags, img.Properties = []string{"golden", "debian-12"}, map[string]string{"os_distro": "debian"}
		case "shared-one-pending":
			img.Tags = []string{"golden"}
		case "shared-two-accepted":
			img.Tags = []string{"release:1", "golden"}
		case "shared-no-members":
			img.UpdatedAt = clk.now.Add(time.Second)
		case "queued-shared":
			img.Status = "queued"
		}
		c.AddImage(img)
		for i, status := range statuses {
			member := []string{policyA, policyB, policyC}[i]
			c.Share(id, member)
			c.SetStatus(id, member, status)
		}
	}
	add(policyAll, "shared-all-statuses", "shared", strings.Repeat("golden image, take one\n", 64), "accepted", "rejected", "pending")
	add("51925ab1-1de1-4ea1-92ea-73bce9256b24", "shared-one-pending", "shared", strings.Repeat("x", 1024), "pending")
	add("3806b974-a2b4-4074-a11f-43ecf13666c1", "shared-two-accepted", "shared", strings.Repeat("y", 1024), "accepted", "accepted")
	add("5a847339-203b-482c-b2c6-b9ae4d44a2c6", "shared-no-members", "shared", strings.Repeat("z", 16))
	clk.now = clk.now.Add(time.Second)
	add("93cbdb0a-3842-4eca-90e1-0ec758598f9f", "private", "private", strings.Repeat("p", 16))
	add("a58732d8-d147-4a30-bae9-e86d62a5245b", "community", "community", strings.Repeat("c", 16))
	add("576f032b-9a49-4993-aa2c-895e238651bc", "public", "public", strings.Repeat("P", 16))
	add("6cbc6dee-700e-4ffd-beb7-1c7c63da53a0", "queued-shared", "shared", "")
	return c
}

// rules are the recorded policies' rules; an empty one lets everybody pass.
var rules = map[string]fakecloud.Rule{
	"":           nil,
	"role:admin": func(c fakecloud.Caller) bool { return c.HasRole("admin") },
	"role:reader and project_id:%(project_id)s": func(c fakecloud.Caller) bool { return c.HasRole("reader") && c.Own },
	"project_id:%(member_id)s":                  func(c fakecloud.Caller) bool { return c.Member },
	"role:admin or 'public':%(visibility)s or 'private':%(visibility)s": func(c fakecloud.Caller) bool {
		return c.HasRole("admin") || c.Visibility == "public" || c.Visibility == "private"
	},
	"role:admin or (role:reader and project_id:%(project_id)s)":                             fakecloud.NewDefaults().GetImages,
	"role:admin or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)": fakecloud.NewDefaults().GetMember,
	"role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s " +
		"or 'public':%(visibility)s or 'shared':%(visibility)s))": fakecloud.NewDefaults().GetImage,
}

// readPolicy reads the policy.yaml that a recording begins with, and what of glance-api.conf differs from the package's.
func readPolicy(t *testing.T, comments []string) (p fakecloud.Policy, opts fakecloud.Options) {
	t.Helper()
	for _, line := range comments {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
		value = strings.Trim(value, `"`)
		if name == "glance-api.conf" && value == "api_limit_max = 2" {
			opts.MaxPageSize = 2
		}
		opts.Chinese = opts.Chinese || strings.HasPrefix(value, "LANGUAGE=zh_CN")
		rule, known := rules[value]
		switch name = strings.Trim(name, `"`); name {
		case "glance-api.conf", "policy.yaml":
			continue
		case "context_is_admin":
			if role, _ := strings.CutPrefix(value, "role:"); role != "admin" {
				p.ContextIsAdmin = func(roles []string) bool { return fakecloud.Caller{Roles: roles}.HasRole(role) }
			}
			continue
		case "get_images":
			p.GetImages = rule
		case "get_image":
			p.GetImage = rule
		case "get_members":
			p.GetMembers = rule
		case "get_member":
			p.GetMember = rule
		default:
			known = false
		}
		if !known {
			t.Fatalf("unknown rule in %q", line)
		}
	}
	return p, opts
}

// scoped forbids tokens of the system, as enforce_scope does before a rule is looked at.
func scoped(r fakecloud.Rule) fakecloud.Rule {
	return func(c fakecloud.Caller) bool { return c.ProjectID != "" && (r == nil || r(c)) }
}

func TestRecordingsOfPolicies(t *testing.T) {
	files, err := filepath.Glob("testdata/recordings/policies/*.txt")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var comments []string
			rest := string(b)
			for strings.HasPrefix(rest, "# ") {
				var line string
				line, rest, _ = strings.Cut(rest, "\n")
				comments = append(comments, line)
			}
			policy, opts := readPolicy(t, comments)
			if strings.Contains(comments[0], "enforce_scope") {
				policy.GetImages, policy.GetImage = scoped(policy.GetImages), scoped(policy.GetImage)
			}
			c := policyWorld(opts)
			c.SetPolicy(policy)
			compare(t, c, parseRecording(t, rest), policyToken)
		})
	}
}

func policyToken(t *testing.T, c *fakecloud.Cloud, owner string) string {
	t.Helper()
	switch owner {
	case "system":
		return login(t, c, passwordBody("admin", `{"system": {"all": true}}`))
	case "appcred-member-only":
		return login(t, c, appCredentialBody("member-only", "s"))
	}
	return c.Token(owner, map[string]string{
		"admin": policyAdmin, "producer": policyProducer, "reader": policyProducer, "consumer-a": policyA,
		"outsider": policyOutsider, "image-admin": policyOutsider,
	}[owner])
}

func TestPolicyIsReplaced(t *testing.T) {
	c := policyWorld(fakecloud.Options{})
	token := c.Token("reader", policyProducer)
	rows := func() int {
		return strings.Count(do(c, "GET", "/image/v2/images/"+policyAll+"/members", token, "").Body.String(), "member_id")
	}
	c.SetPolicy(fakecloud.Policy{GetMember: func(c fakecloud.Caller) bool {
		if want := (fakecloud.Caller{ProjectID: policyProducer, Own: true, Owner: policyProducer, Visibility: "shared"}); fmt.Sprint(
			c.ProjectID, c.Own, c.Owner, c.Visibility, c.Admin, c.Member) != fmt.Sprint(
			want.ProjectID, want.Own, want.Owner, want.Visibility, want.Admin, want.Member) {
			t.Errorf("%+v", c)
		}
		return false
	}})
	if n := rows(); n != 0 {
		t.Errorf("%d rows where none is allowed", n)
	}
	c.SetPolicy(fakecloud.Policy{})
	if n := rows(); n != 3 {
		t.Errorf("%d rows by default", n)
	}
}

// compare sends a recorded request and demands the recorded answer.
func compare(t *testing.T, c *fakecloud.Cloud, rec recording, token func(*testing.T, *fakecloud.Cloud, string) string) {
	t.Helper()
	got := httptest.NewRecorder()
	c.ServeHTTP(got, parseRequest(t, c, rec.request, token))
	if got.Code != rec.status {
		t.Errorf("status %d, want %d", got.Code, rec.status)
	}
	for k, want := range rec.header {
		if v := got.Header()[http.CanonicalHeaderKey(k)]; strings.Join(v, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: %q, want %q", k, v, want)
		}
	}
	if g, w := withoutIDs(got.Body.String()), withoutIDs(rec.body); g != w {
		t.Errorf("body\n%s\nwant\n%s", g, w)
	}
}
