package client_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// keystoneWith answers logins with a token's body, and all else as next does.
func keystoneWith(token func() string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/auth/tokens") {
			next(w, r)
			return
		}
		w.Header().Set("X-Subject-Token", "token-of-the-test")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		fmt.Fprintf(w, `{"token": %s}`, token())
	})
}

// E6: whether Keystone, or the API itself, confirmed the project of a view.
func TestE6ConfirmedProjects(t *testing.T) {
	body := `{"project": {"id": "p", "name": "n"}, "user": {"id": "u-1", "name": "watcher"}, "roles": [{"name": "reader"}, {"name": "admin"}]}`
	url := start(t, keystoneWith(func() string { return body }, http.NotFound))
	tests := []struct {
		name      string
		opts      client.Options
		confirmed bool
		user      string
	}{
		{"password", client.Options{Auth: byPassword(url)}, true, "u-1"},
		{"a token that Keystone tells about", client.Options{Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{IdentityEndpoint: url, TokenID: "t"}, nil
		}}, true, "u-1"},
		{"a token as it is", client.Options{ProjectID: "p", Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{TokenID: "t"}, nil
		}}, false, ""},
		{"none", client.Options{ProjectID: "p"}, false, ""},
		{"access key", client.Options{ProjectID: "p", Keys: accessKey}, true, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.opts.Endpoint = url
			c, _ := newClient(t, test.opts)
			access, err := c.Connect(t.Context())
			if err != nil || access.Confirmed != test.confirmed || access.UserID != test.user || access.ProjectID != "p" {
				t.Errorf("got %+v, %v", access, err)
			}
			if want := []string{"admin", "reader"}; test.user != "" && !slices.Equal(access.Roles, want) {
				t.Errorf("roles %s, want %s", access.Roles, want)
			}
		})
	}
}

func TestSameView(t *testing.T) {
	a := client.Access{ProjectID: "p", Roles: []string{"a", "b"}, Endpoint: "https://image.test/v2/", Confirmed: true}
	for name, change := range map[string]func(*client.Access){
		"project":   func(b *client.Access) { b.ProjectID = "q" },
		"roles":     func(b *client.Access) { b.Roles = []string{"a"} },
		"token":     func(b *client.Access) { b.Token = "another" },
		"endpoint":  func(b *client.Access) { b.Endpoint = "https://other.test/v2/" },
		"confirmed": func(b *client.Access) { b.Confirmed = false },
	} {
		b := a
		change(&b)
		if a.SameView(b) || !a.SameView(a) {
			t.Errorf("%s: the same view", name)
		}
	}
}

// E5: a record says in whose view it was read, with several projects too.
func TestE5RecordsHaveTheirView(t *testing.T) {
	roaming(t, func(t *testing.T, w *fakecloud.Cloud, _ *gate, p *client.Projects) {
		if _, err := p.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		images, err := p.Images(t.Context(), []string{golden}, false)
		if err != nil || len(images) != 1 || images[0].View != producer {
			t.Errorf("got %+v, %v", images, err)
		}
		page, err := p.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, "")
		if err != nil || len(page.Images) != 1 || page.Images[0].View != producer {
			t.Errorf("got %+v, %v", page, err)
		}
		w.AddImage(fakecloud.Image{ID: absent, Name: "theirs", Owner: consumerA, Visibility: "shared"})
		img, err := p.Image(t.Context(), absent)
		if err != nil || img.View != consumerA {
			t.Errorf("got %+v, %v", img, err)
		}
	})
}
