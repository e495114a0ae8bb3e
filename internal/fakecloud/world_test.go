package fakecloud_test

import (
	"fmt"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

func TestLifeOfAShare(t *testing.T) {
	clk := &clock{}
	clk.at("12:00:00")
	c := fakecloud.New(fakecloud.Options{Now: clk.Now})
	id := c.AddImage(fakecloud.Image{Owner: "owner"})
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"offered", func() { c.Share(id, "m") }, "[m pending 12:00:01 12:00:01]"},
		{"offered twice", func() { c.Share(id, "m") }, "[m pending 12:00:01 12:00:01]"},
		{"accepted", func() { c.SetStatus(id, "m", "accepted") }, "[m accepted 12:00:01 12:00:03]"},
		{"accepted twice", func() { c.SetStatus(id, "m", "accepted") }, "[m accepted 12:00:01 12:00:03]"},
		{"private", func() { setVisibility(c, id, "private") }, "[m accepted 12:00:01 12:00:03]"},
		{"unknown status", func() { c.SetStatus(id, "m", "frozen") }, "[m frozen 12:00:01 12:00:06]"},
		{"removed", func() { c.Unshare(id, "m") }, ""},
		{"status of a member that is gone", func() { c.SetStatus(id, "m", "accepted") }, ""},
		{"another one", func() { c.Share(id, "n") }, "[n pending 12:00:09 12:00:09]"},
		{"offered again", func() { c.Share(id, "m") }, "[m pending 12:00:01 12:00:10][n pending 12:00:09 12:00:09]"},
		{
			"a row that can't be",
			func() { c.AddMember(id, fakecloud.Member{Status: "x", CreatedAt: clk.now, UpdatedAt: clk.now}) },
			"[m pending 12:00:01 12:00:10][n pending 12:00:09 12:00:09][ x 12:00:11 12:00:11]",
		},
		{"image deleted", func() { c.RemoveImage(id) }, ""},
		{"share of an image that is gone", func() { c.Share(id, "m") }, ""},
	}
	for _, s := range steps {
		clk.now = clk.now.Add(time.Second)
		s.do()
		got := ""
		for _, m := range c.Members(id) {
			got += fmt.Sprint("[", m.MemberID, " ", m.Status, " ",
				m.CreatedAt.Format(time.TimeOnly), " ", m.UpdatedAt.Format(time.TimeOnly), "]")
		}
		if got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
	}
}

func TestUpdatedAtOfAnImage(t *testing.T) {
	clk := &clock{}
	clk.at("12:00:00")
	c := fakecloud.New(fakecloud.Options{Now: clk.Now})
	id := c.AddImage(fakecloud.Image{Visibility: "public"})
	c.AddUser("u", "u", c.AddProject("p"))
	clk.now = clk.now.Add(time.Minute)
	c.SetImage(id, func(img *fakecloud.Image) { img.Name, img.ID = "new", "other" })
	list, _ := names(t, do(c, "GET", "/image/v2/images?updated_at=2026-11-23T12:01:00Z&created_at=lt:2026-11-23T12:01:00Z&id="+id,
		c.Token("u", ""), ""))
	if len(list) != 1 || list[0] != "new" {
		t.Errorf("%v", list)
	}
}
