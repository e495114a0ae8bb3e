package fakecloud_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"glance_share_exporter/internal/fakecloud"
)

// The projects that were recorded: roamer is a reader in the first three.
const (
	ofBranch        = "1c673ad738a0480c88c87168554d2c96" // of the domain branch, which is disabled
	disabledProject = "1f65d4c0029e4d41a9a30001db7d01f7"
	goodProject     = "e47f7d223f3640bb948ee36f68a6cd5a"
	otherProject    = "40dc20055d974125a539a1b9c1479161"
	branch          = "f12e32e002f1402c951a2762f219bd0e"
)

// projectsWorld is the recorded world before anything was disabled.
func projectsWorld() (*fakecloud.Cloud, *clock) {
	clk := &clock{}
	clk.at("10:03:02")
	clk.now = clk.now.AddDate(0, 0, 4) // of another day than the other recordings
	c := fakecloud.New(fakecloud.Options{Now: clk.Now})
	c.AddProjectIn(branch, ofBranch, "of-branch")
	c.AddProjectID(disabledProject, "disabled")
	c.AddProjectID(goodProject, "good")
	c.AddProjectID(otherProject, "other")
	c.AddProjectID(adminID, "admin")
	c.AddUser("admin", "admin-secret", adminID, "admin")
	c.AddUser("nobody", "nobody-secret", "")
	for _, id := range []string{ofBranch, disabledProject, goodProject} {
		c.AddUser("roamer", "roamer-secret", id, "reader")
	}
	return c, clk
}

// What Keystone says of a disabled project, and of a project of a disabled domain.
func TestRecordingsOfProjects(t *testing.T) {
	files, err := filepath.Glob("testdata/recordings/projects/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			c, clk := projectsWorld()
			tokens := map[string]string{
				"admin": c.Token("admin", adminID), "nobody": c.Token("nobody", ""), "roamer": c.Token("roamer", ""),
				"roamer-disabled": c.Token("roamer", disabledProject), "roamer-of-branch": c.Token("roamer", ofBranch),
			}
			if !strings.HasSuffix(name, "all-enabled") {
				c.Enable(disabledProject, false)
				c.Enable(branch, false)
			}
			if strings.HasSuffix(name, "revoked-token") {
				c.RevokeTokens()
			}
			clk.at("10:03:03")
			clk.now = clk.now.AddDate(0, 0, 4)
			rec := readRecording(t, file)
			for owner, id := range tokens {
				rec.request = bytes.ReplaceAll(rec.request, []byte("<"+owner+">"), []byte(id))
			}
			compare(t, c, rec, func(_ *testing.T, _ *fakecloud.Cloud, owner string) string { return tokens[owner] })
		})
	}
}
