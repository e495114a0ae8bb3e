package client

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
)

type answering struct{}

func (answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{},
		Body:       io.NopCloser(strings.NewReader(`{"members": []}`)),
		Request:    r,
	}, nil
}

// Images that come and go leave nothing behind, also where no login ever clears what was learned of a token.
func TestMemoryDoesNotGrow(t *testing.T) {
	id := ""
	for name, auth := range map[string]func() (gophercloud.AuthOptions, error){
		"none":  nil,
		"token": func() (gophercloud.AuthOptions, error) { return gophercloud.AuthOptions{TokenID: id}, nil },
	} {
		c, err := New(Options{Transport: answering{}, Endpoint: "http://cloud.test", ProjectID: "p", Auth: auth})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10_000 {
			if i%100 == 0 { // a new token in the file
				id = fmt.Sprint("token ", i)
				if _, err := c.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Members(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.tokens.denials.accepted.cur) + len(c.tokens.denials.accepted.old); n > 100 {
			t.Errorf("%s: %d requests are remembered", name, n)
		}
		c.Close()
	}
}

// Who saw that there is no token, and is late, finds the one that others have got meanwhile.
func TestOneLoginForWhoIsLate(t *testing.T) {
	auth := gophercloud.AuthOptions{IdentityEndpoint: "http://keystone.test/v3", TokenID: "secret"}
	c, err := New(Options{Transport: answering{}, Auth: func() (gophercloud.AuthOptions, error) { return auth, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := &token{id: "of the others", auth: auth}
	c.tokens.token = got
	if tok, err := c.tokens.renew(t.Context(), auth, nil); tok != got || err != nil {
		t.Errorf("%v, %v: it logged in again", tok, err)
	}
}

// A token that never ends, and images that are new each time: what is remembered has a bound.
func TestATokenThatNeverEnds(t *testing.T) {
	c, err := New(Options{
		Transport: answering{}, Endpoint: "http://cloud.test", ProjectID: "p",
		Auth: func() (gophercloud.AuthOptions, error) { return gophercloud.AuthOptions{TokenID: "t"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tok, err := c.tokens.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := request{op: OpListMembers}
	for i := range 5 * maxServed {
		last.imageID = fmt.Sprint(i)
		c.tokens.accepted(tok, last)
	}
	if n := len(c.tokens.denials.accepted.cur) + len(c.tokens.denials.accepted.old); n > 2*maxServed {
		t.Errorf("%d requests are remembered", n)
	}
	if _, ok := c.tokens.denials.accepted.get(last.key()); !ok {
		t.Error("the last one is not")
	}
}
