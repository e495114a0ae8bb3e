//go:build e2e

package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testPreflight looks at the same images with credentials of more and less right, and does what the page says.
func (w *world) testPreflight(t *testing.T) {
	img := w.producer.newImage(t, "preflight", "shared")
	w.producer.share(t, img, w.alice)
	open := w.producer.newImage(t, "preflight-open", "community")
	images := []image{img, open}

	w.newUser(t, "preflight-member", w.producer.projectID, "member")
	member := w.login(t, "preflight-member", "preflight-member-secret", w.producer.project)
	reader := w.producer.newReader(t, "preflight-reader")
	stranger := w.alice.newReader(t, "preflight-stranger")
	rules := w.producer.newAppCredential(t, "preflight-rules", "/v2/images", "/v2/images/*", "/v2/images/*/members", "/v2/images/*/members/*")

	// look returns what --preflight prints of one cloud.
	look := func(t *testing.T, auth string, wantCode int, want ...string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "exporter.yml")
		writeFile(t, path, exporterYAML([]cloud{{name: "prod", auth: auth, images: images}}))
		page, stderr, code := run(t, w.exporter, "--preflight", "--config.file="+path)
		t.Logf("exit code %d\n%s%s", code, page, stderr)
		if code != wantCode {
			t.Errorf("exit code %d, want %d", code, wantCode)
		}
		flat := strings.Join(strings.Fields(page), " ")
		for _, text := range want {
			if !strings.Contains(flat, text) {
				t.Errorf("the page does not say: %s", text)
			}
		}
		for _, secret := range []string{"-secret", rules.secret, "gAAAA"} {
			if strings.Contains(page+stderr, secret) {
				t.Errorf("the page has the secret %s", secret)
			}
		}
		return page
	}

	t.Run("the owner's reader", func(t *testing.T) {
		look(t, reader.passwordAuth(), 0, "ok login preflight-reader of domain Default, with a password",
			"ok project producer ("+w.producer.projectID+")",
			"ok rights role reader:",
			"ok image API v2.",
			"ok clock agrees",
			"ok images 2 of 2 configured images can be read",
			"ok members 1 of 1 member lists are complete, in the view of the owner without a member list: 1 community",
			"ok: the exporter can read everything in 1 cloud.")
	})
	t.Run("as the page says, Glance lets a reader share before 2023.1", func(t *testing.T) {
		reader.share(t, img, w.bob)
		w.producer.unshare(t, img, w.bob)
	})
	t.Run("a member of the owner's project", func(t *testing.T) {
		look(t, member.passwordAuth(), 0, "warn rights roles member, reader: the credential can share and delete images",
			"ok members 1 of 1 member lists are complete", "openstack role remove --user "+member.userID, "warn: the exporter can read "+
				"everything in 1 cloud; 1 warning.")
	})
	t.Run("another project", func(t *testing.T) {
		look(t, stranger.passwordAuth(), 1, "FAIL members 1 of 1 member lists are incomplete project "+w.producer.projectID+" owns them",
			"the credential belongs to alice ("+w.alice.projectID+")",
			"openstack role add --user "+stranger.userID+" \\ --project "+w.producer.projectID+" reader",
			"FAIL: the exporter cannot read everything in prod.")
	})
	t.Run("an application credential with access rules", func(t *testing.T) {
		look(t, rules.auth(w.openstack), 0, "ok login producer of domain Default, with application credential preflight-rules",
			"ok rights access rules limit the credential to reading, whatever its roles (member, reader)", "ok: the exporter can read "+
				"everything in 1 cloud.")
	})

	clouds := filepath.Join(t.TempDir(), "clouds.yaml")
	writeFile(t, clouds, cloudsYAML(w.openstack, map[string]session{"administrator": w.admin, "exporter": member}, nil))
	// shell pastes something.
	shell := func(t *testing.T, cloud, script string) string {
		t.Helper()
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "script"), "cd "+dir+"\n"+script+"\n")
		return mustRun(t, "/usr/bin/env", "OS_CLIENT_CONFIG_FILE="+clouds, "OS_CLOUD="+cloud, "/bin/bash", "-e", filepath.Join(dir, "script"))
	}
	// paste is what a page has for an administrator and for the exporter's user.
	paste := func(t *testing.T, page string) (administrators, users string) {
		t.Helper()
		_, text, found := strings.Cut(page, "# Least privilege for prod")
		administrators, users, both := strings.Cut(text, "\n\n")
		users, _, whole := strings.Cut(users, "\n\n")
		if !found || !both || !whole {
			t.Fatalf("nothing to paste in\n%s", page)
		}
		return "#" + administrators, users
	}
	t.Run("a project that sees none of the images: what is ready to paste opens them", func(t *testing.T) {
		outsider := w.outsider.newReader(t, "preflight-outsider")
		administrators, _ := paste(t, look(t, outsider.passwordAuth(), 1,
			"FAIL images 1 of 2 configured images cannot be read 404 Not Found: deleted, or owned by another project",
			"FAIL: the exporter cannot read everything in prod."))
		shell(t, "administrator", administrators)
		outsider.project = w.producer.project // as the page says
		look(t, outsider.passwordAuth(), 0, "ok rights role reader:", "ok: the exporter can read everything in 1 cloud.")
	})
	t.Run("what is ready to paste is the least right", func(t *testing.T) {
		administrators, users := paste(t, look(t, member.passwordAuth(), 0))
		shell(t, "administrator", administrators)
		look(t, member.passwordAuth(), 0, "ok rights role reader:", "ok: the exporter can read everything in 1 cloud.")
		table := shell(t, "exporter", users)
		column := func(name string) string {
			row := regexp.MustCompile(`(?m)^\| ` + name + ` +\| ([^ ]+) +\|$`).FindStringSubmatch(table)
			if row == nil {
				t.Fatalf("no %s in\n%s", name, table)
			}
			return row[1]
		}
		made := appCredential{column("id"), column("secret")}
		page := look(t, made.auth(w.openstack), 0, "with application credential glance-share-exporter",
			"ok rights access rules limit the credential to reading", "ok: the exporter can read everything in 1 cloud.")
		if strings.Contains(page, "access-rules.json") {
			t.Error("a credential with the least right is to be made again")
		}
	})
}
