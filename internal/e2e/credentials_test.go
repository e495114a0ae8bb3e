//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// testCredentials looks at the same images with every kind of credential.
func (w *world) testCredentials(t *testing.T) {
	shared := w.producer.newImage(t, "shared", "shared")
	w.producer.share(t, shared, w.alice, w.bob, w.carol)
	w.alice.respond(t, shared, "accepted")
	w.bob.respond(t, shared, "rejected")
	empty := w.producer.newImage(t, "empty", "shared")
	hidden := w.producer.newImage(t, "hidden", "shared")
	w.producer.share(t, hidden, w.bob)
	w.producer.set(t, hidden, "os_hidden", true)
	private := w.producer.newImage(t, "private", "private")
	community := w.producer.newImage(t, "community", "community")
	deleted := w.producer.newImage(t, "deleted", "shared")
	w.producer.share(t, deleted, w.carol)
	w.producer.deleteImage(t, deleted)
	theirs := w.outsider.newImage(t, "theirs", "shared")
	w.outsider.share(t, theirs, w.alice)
	theirsForUs := w.outsider.newImage(t, "theirs-for-us", "shared")
	w.outsider.share(t, theirsForUs, w.alice, w.producer)
	theirsForAll := w.outsider.newImage(t, "theirs-for-all", "community")
	all := []image{shared, empty, hidden, private, community, deleted, theirs, theirsForUs, theirsForAll}
	ours := []image{shared, empty, hidden}

	reader := w.producer.newReader(t, "producer-reader")
	appCred := w.producer.newAppCredential(t, "producer-app")
	rules := w.producer.newAppCredential(t, "producer-rules", "/v2/images", "/v2/images/*", "/v2/images/*/members")
	membersOnly := w.producer.newAppCredential(t, "producer-members-only", "/v2/images/*/members")
	cloudsFile := filepath.Join(t.TempDir(), "clouds.yaml")
	writeFile(t, cloudsFile, cloudsYAML(w.openstack,
		map[string]session{"password": w.producer, "reader": reader},
		map[string]appCredential{"app-credential": appCred, "access-rules": rules}))

	e := w.startExporter(t, "credentials",
		cloud{name: "password", auth: w.producer.passwordAuth(), images: all},
		cloud{name: "reader", auth: reader.passwordAuth(), images: all},
		cloud{name: "app-credential", auth: appCred.auth(w.openstack), images: all},
		cloud{name: "access-rules", auth: rules.auth(w.openstack), images: all},
		cloud{name: "members-only", auth: membersOnly.auth(w.openstack), images: ours},
		cloud{name: "clouds-yaml", auth: fmt.Sprintf("{clouds_yaml: {cloud: app-credential, file: %q}}", cloudsFile), images: ours})
	w.prometheus.scrape(t, "credentials", e.addr, 2*time.Second) // six clouds ask two workers

	// by has a row for each image of a cloud.
	by := func(metric, cloud string, labels ...string) string {
		return fmt.Sprintf(`max by (%s) (%s{exporter="credentials", cloud=%q})`, strings.Join(append(labels, "image_name"), ", "), metric, cloud)
	}

	t.Run("records and members of images that are shared, hidden, private, community, deleted, not ours", func(t *testing.T) {
		w.prometheus.eventually(t, "read", by("glance_image_scrape_success", "password"),
			"shared 1", "empty 1", "hidden 1", "private 1", "community 1", "deleted 0", "theirs 0", "theirs-for-us 1", "theirs-for-all 1")
		w.prometheus.eventually(t, "status code", by("glance_image_scrape_http_status_code", "password"),
			"shared 200", "empty 200", "hidden 200", "private 200", "community 200", "deleted 404", "theirs 404", "theirs-for-us "+
				"200", "theirs-for-all 200")
		w.prometheus.eventually(t, "members complete", by("glance_image_members_complete", "password"),
			"shared 1", "empty 1", "hidden 1", "deleted 0", "theirs 0", "theirs-for-us 0")
		w.prometheus.eventually(t, "visibility", by("glance_image_visibility", "password", "visibility")+" == 1",
			"shared shared 1", "empty shared 1", "hidden shared 1", "private private 1", "community community 1",
			"theirs-for-us shared 1", "theirs-for-all community 1")
		w.prometheus.eventually(t, "hidden", by("glance_image_info", "password", "hidden"),
			"false shared 1", "false empty 1", "true hidden 1", "false private 1", "false community 1", "false theirs-for-us 1", "false "+
				"theirs-for-all 1")
	})
	t.Run("the records of all images come in two requests", func(t *testing.T) {
		requests := `glance_api_requests_total{exporter="credentials", cloud="password", operation=%q}[9s]`
		perScrape := `max((max_over_time(` + requests + `) - min_over_time(` + requests + `)) / (count_over_time(` + requests + `) - 1))`
		per := func(operation string) string { return fmt.Sprintf(perScrape, operation, operation, operation) }
		w.prometheus.eventually(t, "list_images per scrape", per("list_images"), "2")
		// Those that no list has: deleted, theirs, shared with us but not accepted, and the community image of others.
		w.prometheus.eventually(t, "get_image per scrape", per("get_image"), "4")
	})
	t.Run("clouds.yaml", func(t *testing.T) {
		w.prometheus.eventually(t, "members complete", by("glance_image_members_complete", "clouds-yaml"), "shared 1", "empty 1", "hidden 1")
	})
	t.Run("access rules for the members only: members but no records, and no more logins", func(t *testing.T) {
		// Without a record nobody knows whose the image is, and to a member whose row is hidden its list is empty too.
		w.prometheus.eventually(t, "read", by("glance_image_scrape_success", "members-only"), "shared 1", "empty 0", "hidden 1")
		w.prometheus.eventually(t, "status code", by("glance_image_scrape_http_status_code", "members-only"),
			"shared 200", "empty 200", "hidden 200")
		w.prometheus.eventually(t, "members complete", by("glance_image_members_complete", "members-only"), "shared 0", "empty 0", "hidden 0")
		w.prometheus.eventually(t, "members per status", by("glance_image_members", "members-only", "status"),
			"shared accepted 1", "shared rejected 1", "shared pending 1", "hidden pending 1")
		w.prometheus.eventually(t, "visibility", by("glance_image_visibility", "members-only"))
		w.prometheus.eventually(t, "record", by("glance_image_info", "members-only"))
		w.prometheus.eventually(t, "a record was refused",
			`max(glance_api_request_errors_total{exporter="credentials", cloud="members-only", operation="get_image", code="401"}) > bool 0`, "1")
		// A refusal costs a login, which shows that a new token is refused too. While Glance is too slow for the first
		// collections, each listing and each record may cost one.
		const login = `glance_api_requests_total{exporter="credentials", cloud="members-only", operation="authenticate"}`
		w.prometheus.eventually(t, "a login because of a refusal", `max(`+login+`) > bool 1`, "1")
		logins := login + "[15s]"
		w.prometheus.eventually(t, "more logins in six scrapes",
			`max((max_over_time(`+logins+`) - min_over_time(`+logins+`)) and count_over_time(`+logins+`) > 6)`, "0")
		if n := w.prometheus.number(t, `max(max_over_time(`+logins+`))`); n > float64(1+2+len(ours)) {
			t.Errorf("%v logins", n)
		} else {
			t.Logf("%v logins", n)
		}
		w.prometheus.eventually(t, "up", `sum by (cloud) (glance_up{exporter="credentials", cloud="members-only"})`, "members-only 1")
	})
	t.Run("the members are those that openstack image member list prints", func(t *testing.T) {
		w.compareWithClient(t, cloudsFile, []string{"password", "reader", "app-credential", "access-rules"}, all)
	})
	t.Run("with access rules for the members only they are the same, where there are any", func(t *testing.T) {
		for _, img := range []image{shared, hidden} {
			want, err := w.membersInPrometheus("password", img)
			if err != nil {
				t.Fatal(err)
			}
			got, err := w.membersInPrometheus("members-only", img)
			if err != nil || !slices.Equal(got.members, want.members) || !got.listed {
				t.Errorf("%s: got %+v, want %+v, %v", img.name, got, want, err)
			}
		}
	})
	t.Run("SIGTERM ends it well", func(t *testing.T) { e.endsWell(t) })
}

// A memberList is what somebody knows of an image's members.
type memberList struct {
	members []string // "ID status"
	listed  bool     // false: there is no list, which is not the same as nobody
	why     string   // why there is none
}

func (l memberList) String() string {
	switch {
	case !l.listed:
		return "(no list: " + l.why + ")"
	case len(l.members) == 0:
		return "nobody"
	}
	return strings.Join(l.members, ", ")
}

// compareWithClient requests the members of each image with each credential, through python-openstackclient and Prometheus.
func (w *world) compareWithClient(t *testing.T, cloudsFile string, clouds []string, images []image) {
	clients := make([][]memberList, len(clouds))
	var wg sync.WaitGroup
	for i, c := range clouds {
		wg.Go(func() { clients[i] = membersFromClient(t, cloudsFile, c, images) })
	}
	wg.Wait()

	names := strings.NewReplacer(w.alice.projectID, "alice", w.bob.projectID, "bob", w.carol.projectID,
		"carol", w.producer.projectID, "producer")
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CREDENTIAL\tIMAGE\topenstack image member list\tglance_image_member_status == 1")
	for i, c := range clouds {
		for j, client := range clients[i] {
			img := images[j]
			var exporter memberList
			// The clients may have kept the processors so busy that a scrape found no time.
			err := poll(10*time.Second, func() (err error) {
				exporter, err = w.membersInPrometheus(c, img)
				if err == nil && (exporter.listed != client.listed || !slices.Equal(exporter.members, client.members)) {
					err = fmt.Errorf("the exporter has %s, the client %s", exporter, client)
				}
				return err
			})
			if err != nil {
				t.Errorf("%s, image %s: %v", c, img.name, err)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c, img.name, names.Replace(client.String()), names.Replace(exporter.String()))
		}
	}
	_ = table.Flush() // into memory
	t.Logf("side by side:\n%s", b.String())
}

// membersFromClient returns what `openstack image member list` prints for each image. One process runs all commands, as it
// takes more than a second to start. It may be called from any goroutine.
func membersFromClient(t *testing.T, cloudsFile, cloud string, images []image) []memberList {
	const next = "next image"
	dir := t.TempDir()
	mark, file := filepath.Join(dir, "mark"), filepath.Join(dir, "commands")
	writeFile(t, mark, fmt.Sprintf("echo %[1]s; echo %[1]s >&2", next))
	var commands strings.Builder
	for _, img := range images {
		fmt.Fprintf(&commands, "!sh %s\nimage member list %s -f json\n", mark, img.id)
	}
	writeFile(t, file, commands.String())
	stdout, stderr, code := run(t, "/usr/bin/env", "OS_CLIENT_CONFIG_FILE="+cloudsFile, "OS_CLOUD="+cloud, "PYTHONUNBUFFERED=1",
		"/bin/sh", "-c", `exec "$0" <"$1"`, openstackPath, file)
	outputs, errors := strings.Split(stdout, next)[1:], strings.Split(stderr, next)[1:]
	if code != 0 || len(outputs) != len(images) || len(errors) != len(images) {
		t.Errorf("%s: exit code %d, %d outputs and %d errors\n%s%s", cloud, code, len(outputs), len(errors), stdout, stderr)
		return nil
	}
	lists := make([]memberList, len(images))
	for i := range images {
		output := strings.TrimSpace(outputs[i])
		if output == "" {
			why, _, _ := strings.Cut(errors[i], ": Client Error")
			lists[i].why = strings.TrimSpace(why)
			continue
		}
		var rows []map[string]string
		if err := json.Unmarshal([]byte(output), &rows); err != nil {
			t.Errorf("%s, image %s: %v\n%s", cloud, images[i].name, err, output)
		}
		lists[i].listed = true
		for _, m := range rows {
			lists[i].members = append(lists[i].members, m["Member ID"]+" "+m["Status"])
		}
		slices.Sort(lists[i].members)
	}
	return lists
}

// membersInPrometheus returns what the exporter's last scrape told.
func (w *world) membersInPrometheus(cloud string, img image) (memberList, error) {
	of := fmt.Sprintf(`{exporter="credentials", cloud=%q, image_id=%q}`, cloud, img.id)
	// A list is there for an image that was read and whose members apply.
	read, err := w.prometheus.query(`max by (cloud) (glance_image_members_complete` + of +
		` and on (cloud, image_id) glance_image_scrape_success == 1)`)
	if err != nil {
		return memberList{}, err
	}
	code, err := w.prometheus.query(`max by (cloud) (glance_image_scrape_http_status_code` + of + `)`)
	if err != nil {
		return memberList{}, err
	}
	rows, err := w.prometheus.query(`max by (member_id, status) (glance_image_member_status` + of + ` == 1)`)
	l := memberList{listed: len(read) == 1}
	if !l.listed {
		l.why = "status " + strings.TrimPrefix(strings.Join(code, ""), cloud+" ")
	}
	for _, r := range rows {
		l.members = append(l.members, strings.TrimSuffix(r, " 1"))
	}
	return l, err
}
