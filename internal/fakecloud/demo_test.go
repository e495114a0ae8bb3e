package fakecloud_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// state is who has which image, in a line.
func state(t *testing.T, d *fakecloud.Demo) (s string) {
	t.Helper()
	for _, img := range d.Images {
		s += img.Name + ":"
		for _, m := range d.Members(img.ID) {
			s += " " + m.MemberID[:4] + " " + m.Status
		}
		s += "\n"
	}
	token := d.Token(d.User, d.ProjectID)
	for _, v := range []string{
		"shared", "community", "public", "private", "shared&os_hidden=true",
		"shared&member_status=pending", "shared&member_status=rejected",
	} {
		list, _ := names(t, do(d.Cloud, "GET", "/image/v2/images?visibility="+v, token, ""))
		s += fmt.Sprintln(v, list)
	}
	return s
}

func TestDemoComesBackToWhereItBegan(t *testing.T) {
	d := fakecloud.NewDemo(1)
	d.SetLatency(0)
	var told []string
	d.Describe = func(s string) { told = append(told, s) }
	began := state(t, d)
	for range 2 {
		for i := range d.Steps() {
			last := state(t, d)
			d.Step()
			if i < d.Steps()-2 && state(t, d) == last {
				t.Errorf("nothing happened: %s", told[len(told)-1])
			}
		}
		if got := state(t, d); got != began {
			t.Errorf("after a round:\n%s\nat the beginning:\n%s", got, began)
		}
	}
	if len(told) != 2*d.Steps() {
		t.Errorf("%d steps described", len(told))
	}
}

func TestDemoBadMinute(t *testing.T) {
	d := fakecloud.NewDemo(1)
	d.SetLatency(0)
	codes := func() map[int]int {
		m := map[int]int{}
		for _, img := range d.Images {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			r, err := http.NewRequestWithContext(ctx, "GET", "/image/v2/images/"+img.ID+"/members", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Auth-Token", d.Token(d.User, d.ProjectID))
			w := serve(d.Cloud, r)
			if ctx.Err() != nil {
				w.Code = 0
			}
			cancel()
			m[w.Code]++
		}
		return m
	}
	if got, want := fmt.Sprint(codes()), "map[200:7 403:3]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for range d.Steps() - 1 {
		d.Step()
	}
	if got, want := fmt.Sprint(codes()), "map[0:1 200:4 403:3 500:1 503:1]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDemoLoginAndRun(t *testing.T) {
	d := fakecloud.NewDemo(1)
	w := do(d.Cloud, "POST", "/identity/v3/auth/tokens", "", fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"],
		"password": {"user": {"name": %q, "domain": {"name": "Default"}, "password": %q}}},
		"scope": {"project": {"name": %q, "domain": {"name": "Default"}}}}}`, d.User, d.Password, d.Project))
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	d.Describe = func(string) {
		if n++; n == d.Steps()+1 {
			cancel()
		}
	}
	d.Run(ctx, time.Millisecond) // returns, or the test hangs
	if n < d.Steps()+1 {
		t.Errorf("%d steps", n)
	}
}
