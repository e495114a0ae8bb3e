package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// E19: two different image endpoints for one region and interface are a mistake that only the operator can mend.
func TestE19TwoEndpoints(t *testing.T) {
	const first = "https://image.example.com:9292"
	for _, test := range []struct {
		first, second string
		same          bool
	}{
		{first, first, true},
		{first, first + "/", true},
		{first, first + "/v2", true},
		{first, first + "/v2/", true},
		{first, "HTTPS://Image.Example.COM:9292", true},
		{"https://image.example.com", "https://image.example.com:443/v2", true},
		{"http://image.example.com:80", "http://image.example.com", true},
		{first, "https://image.example.com", false},
		{first, "http://image.example.com:9292", false},
		{first, "https://edge.example.com:9292", false},
		{first, first + "/image", false},
		{first + "/image", first + "/Image", false},
		{first, "https://user:secret-pw@edge.example.com/?token=secret-pw", false},
	} {
		for _, services := range []bool{false, true} { // of one service, or of two
			between := ","
			if services {
				between = `]}, {"type": "image", "endpoints": [`
			}
			body := fmt.Sprintf(`{"project": {"id": "p"}, "catalog": [{"type": "image", "endpoints": [
				{"interface": "public", "region": "R1", "url": %q}, {"interface": "internal", "region": "R1", "url": "https://inside.example.com"}%s
				{"interface": "public", "region": "R1", "url": %q}, {"interface": "public", "region": "R2", "url": "https://r2.example.com"}]}]}`,
				test.first, between, test.second)
			logins := 0
			keystone := keystoneWith(func() string { logins++; return body }, http.NotFound)
			c, _ := newClient(t, client.Options{Auth: byPassword(inMemoryURL), Region: "R1", Transport: fakecloud.InMemory(keystone)})
			for range 2 {
				_, err := c.Connect(t.Context())
				if test.same {
					if err != nil {
						t.Errorf("%s and %s: %v", test.first, test.second, err)
					}
					continue
				}
				shown := strings.ReplaceAll(strings.ReplaceAll(test.second, "user:secret-pw@", ""), "?token=secret-pw", "")
				want := "logging in: the catalog has two image endpoints for this region and interface, " + test.first +
					" and " + shown + ": set endpoint to the one to use"
				if err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				if asError(t, err).Code != client.CodeConfig || c.State().Paused {
					t.Errorf("%+v, paused: %t", err, c.State().Paused)
				}
			}
			if want := map[bool]int{true: 1, false: 2}[test.same]; logins != want {
				t.Errorf("%s and %s: %d logins, want %d", test.first, test.second, logins, want)
			}
			// With an endpoint of one's own nobody looks at the catalog.
			c, _ = newClient(t, client.Options{Auth: byPassword(inMemoryURL), Endpoint: first, Transport: fakecloud.InMemory(keystone)})
			if _, err := c.Connect(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// E19: as soon as the catalog is mended, a login is good. A token from before goes on, and its 401s don't cost a login each.
func TestE19TwoEndpointsAtARenewal(t *testing.T) {
	second, refuse, logins := "", false, 0
	token := func() string {
		logins++
		return fmt.Sprintf(`{"project": {"id": "p"}, "catalog": [{"type": "image", "endpoints": [{"interface": "public", "region": "R", `+
			`"url": "http://cloud.test"}%s]}]}`, second)
	}
	c, _ := newClient(t, client.Options{
		Auth: byPassword(inMemoryURL),
		Transport: fakecloud.InMemory(keystoneWith(token, func(w http.ResponseWriter, _ *http.Request) {
			if refuse {
				w.WriteHeader(http.StatusUnauthorized)
			}
			fmt.Fprint(w, `{"members": []}`)
		})),
	})
	if _, err := c.Members(t.Context(), golden); err != nil {
		t.Fatal(err)
	}
	second, refuse = `, {"interface": "public", "region": "R", "url": "http://edge.test"}`, true
	for i := range 20 {
		_, err := c.Members(t.Context(), fmt.Sprint(i))
		if err == nil || !strings.Contains(err.Error(), "renewing the token: logging in: the catalog has two image endpoints") {
			t.Fatal(err)
		}
	}
	if logins != 2 || c.State().Paused {
		t.Errorf("%d logins, paused: %t", logins, c.State().Paused)
	}
}
