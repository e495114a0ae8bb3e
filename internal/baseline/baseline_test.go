package baseline_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/baseline"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
	"glance_share_exporter/internal/fakecloud"
)

const (
	projectID = "61c9216745884e7782dc16e5123a5fc9"
	otherID   = "0f5d7c2ab1c84d7f9c8a1f0e6f3b2d41"
	teamID    = "2c63888f28f04481be6ddce7a7ace732"
	rareID    = "ac8efe121c5949f1ba2dde83458bfed0"
	password  = "correct-horse-battery"
	anyAuth   = "{password: {auth_url: 'http://keystone.example.com/v3', user_id: u, password: p, project_id: " + projectID + "}}"
)

func imageID(n int) string { return fmt.Sprintf("83a34450-688e-449a-abea-%012d", n) }

func newWorld(t *testing.T) (w *fakecloud.Cloud, auth string) {
	t.Helper()
	w = fakecloud.New(fakecloud.Options{})
	w.AddProjectID(projectID, "producer")
	w.AddUser("watcher", password, projectID, "reader")
	const text = "{password: {auth_url: %s/identity/v3, username: watcher, user_domain_name: Default, password: %s, project_name: producer}}"
	return w, fmt.Sprintf(text, serve(t, w), password)
}

func newHuaweiWorld(t *testing.T) (w *fakecloud.Cloud, entry string) {
	t.Helper()
	w = fakecloud.New(fakecloud.Options{Huawei: true})
	w.AddProjectID(projectID, "cn-north-4")
	w.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: password, ProjectID: projectID})
	const text = "{name: huawei, api: ims, members_api: v1, endpoint: %s, auth: {aksk: {access_key: AK, secret_key: %s, project_id: %s}}, "
	return w, fmt.Sprintf(text, serve(t, w), password, projectID)
}

func serve(t *testing.T, w *fakecloud.Cloud) string {
	t.Helper()
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		w.ClearFaults()
		server.Close()
	})
	return server.URL
}

// clouds are those of a configuration, ready to be collected for the first time.
func clouds(t *testing.T, text string) []*collector.Cloud {
	t.Helper()
	file := filepath.Join(t.TempDir(), "exporter.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runtime, err := exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
		Load: func() (*config.Config, error) { return config.Load(file) }, API: collector.NewAPIMetrics(), Logger: log.NewNopLogger(),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Cleanup(runtime.Close)
	list, release := runtime.Clouds()
	t.Cleanup(release)
	return list
}

func printed(t *testing.T, text, name string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := baseline.Print(t.Context(), clouds(t, text), name, &out)
	return out.String(), err
}

// oneCloud is a configuration with one cloud, and more keys of it.
func oneCloud(auth, keys string) string {
	return "clouds:\n  - name: prod\n    auth: " + auth + "\n" + indent(keys) + "\n"
}

func indent(text string) string {
	return regexp.MustCompile("(?m)^(.)").ReplaceAllString(text, "    $1")
}

// expectations returns what a printed list of one cloud expects of each image, as exporter.yml reads it.
func expectations(t *testing.T, text string) map[string]collector.Policy {
	t.Helper()
	found := map[string]collector.Policy{}
	loaded, err := config.Parse("exporter.yml", []byte(oneCloud(anyAuth, "discover: [{}]\nimages:\n"+text)))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, img := range loaded.Clouds[0].Collector.Images {
		found[img.ID] = img.Policy
	}
	return found
}

// truth is what fakecloud's members are as expected ones.
func truth(members []fakecloud.Member) []collector.ExpectedMember {
	list := []collector.ExpectedMember{}
	for _, m := range members {
		kind := client.MemberType(m.Type)
		if kind == "" {
			kind = client.TypeProject
		}
		list = append(list, collector.ExpectedMember{Type: kind, ID: m.MemberID})
	}
	return collector.SortMembers(list)
}

// What is printed is loaded again, and then everything is as expected and nothing is left to print.
func TestRoundTrip(t *testing.T) {
	w, auth := newWorld(t)
	statuses := []string{"accepted", "pending", "rejected", "odd"}
	open := 0
	for n := range 60 {
		visibility := []string{"shared", "private", "community", "public"}[n%4]
		w.AddImage(fakecloud.Image{ID: imageID(n), Name: fmt.Sprintf("image %d", n), Owner: projectID, Visibility: visibility, Hidden: n%7 == 0})
		if visibility == "shared" {
			for i := range n % 5 {
				w.AddMember(imageID(n), fakecloud.Member{MemberID: fmt.Sprintf("%032x", n+i), Status: statuses[i]})
			}
		}
		if n%4 > 1 {
			open++
		}
	}
	text, err := printed(t, oneCloud(auth, "discover: [{}]"), "")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !strings.HasPrefix(text, "# Review this: it writes today's state down as approved.\n") {
		t.Errorf("no warning at the top of\n%s", text)
	}
	policies := expectations(t, text)
	opened := 0
	for _, img := range w.Images() {
		p, ok := policies[img.ID]
		if diff := cmp.Diff(truth(w.Members(img.ID)), p.Members); !ok || diff != "" {
			t.Errorf("image %s, printed %t (-cloud +printed):\n%s", img.ID, ok, diff)
		}
		if len(p.Visibility) > 0 {
			opened++
		}
		if v := client.Visibility(img.Visibility); v == client.Public || v == client.Community {
			if !slices.Equal(p.Visibility, []client.Visibility{v}) {
				t.Errorf("image %s is %s, and expected to be %s", img.ID, v, p.Visibility)
			}
		}
	}
	if len(policies) != 60 || opened != open {
		t.Errorf("%d images and %d that are open, want 60 and %d", len(policies), opened, open)
	}
	approved := oneCloud(auth, "discover: [{}]\nimages:\n"+text)
	s := clouds(t, approved)[0].Collect(t.Context(), collector.Limits{Timeout: 9e9, Fresh: true})
	for i := range s.Images {
		img := &s.Images[i]
		if !img.Judged() || img.Coverage < collector.NotApplicable || img.Unexpected() > 0 || len(img.Missing()) > 0 || img.Misplaced() {
			t.Errorf("image %s: coverage %d, %d unexpected, missing %v, misplaced %t",
				img.ID, img.Coverage, img.Unexpected(), img.Missing(), img.Misplaced())
		}
	}
	if len(s.Images) != 60 {
		t.Errorf("%d images are watched", len(s.Images))
	}
	if text, err = printed(t, approved, ""); err != nil || !strings.HasSuffix(text, "\n[]\n") {
		t.Errorf("%v, and left to print is\n%s", err, text)
	}
	w.Share(imageID(8), rareID)
	text, err = printed(t, approved, "prod")
	if got := slices.Collect(maps.Keys(expectations(t, text))); err != nil || !slices.Equal(got, []string{imageID(8)}) {
		t.Errorf("%v: after one share of image 8, %v are printed:\n%s", err, got, text)
	}
}

// An image without an entry, or with one that says less, is printed; a rule's images are printed as all others.
func TestWhatIsJudgedAlready(t *testing.T) {
	w, auth := newWorld(t)
	names := []string{"as expected", "not judged", "unexpected", "missing", "open", "approved to be open", "one of golden", "two of golden"}
	for n, name := range names {
		visibility := "shared"
		if strings.Contains(name, "open") {
			visibility = "public"
		}
		w.AddImage(fakecloud.Image{ID: imageID(n), Name: name, Owner: projectID, Visibility: visibility})
		if visibility == "shared" {
			w.Share(imageID(n), teamID)
		}
	}
	w.Share(imageID(7), rareID)
	keys := fmt.Sprintf(`images:
- {id: %s, expected_members: [%s]}
- {id: %s}
- {id: %s, expected_members: []}
- {id: %s, expected_members: [%s, %s]}
- {id: %s, expected_members: []}
- {id: %s, expected_members: [], expected_visibility: [public]}
discover: [{name: '*golden', expected_members: [%s]}]
`, imageID(0), teamID, imageID(1), imageID(2), imageID(3), teamID, rareID, imageID(4), imageID(5), teamID)
	text, err := printed(t, oneCloud(auth, keys), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`- id: "` + imageID(3) + `"  # missing (instead of its entry)`,
		`- id: "` + imageID(1) + `"  # not judged (instead of its entry)`,
		`- id: "` + imageID(4) + `"  # open (instead of its entry)`,
		`- id: "` + imageID(7) + `"  # two of golden`,
		`- id: "` + imageID(2) + `"  # unexpected (instead of its entry)`,
	}
	if diff := cmp.Diff(want, regexp.MustCompile("(?m)^- .*$").FindAllString(text, -1)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if !strings.Contains(text, ". Entries: 5, left out because all is as expected: 3, without an entry: 0.\n") {
		t.Errorf("the head of\n%s", text)
	}
}

// The head shows whose share is rare.
func TestTheHeadCountsProjects(t *testing.T) {
	w, auth := newWorld(t)
	for n := range 3 {
		w.AddImage(fakecloud.Image{ID: imageID(n), Name: "golden", Owner: projectID})
		w.Share(imageID(n), teamID)
	}
	w.Share(imageID(1), rareID)
	w.AddImage(fakecloud.Image{ID: imageID(3), Owner: projectID, Visibility: "community"})
	text, err := printed(t, "member_names: {"+teamID+": team-payments}\n"+oneCloud(auth, "discover: [{}]"), "")
	want := fmt.Sprintf("# How many of the entries each project has, rare ones first:\n"+
		"#      1  everyone: community\n#      1  project %q\n#      3  project %q  # team-payments\n- id: ", rareID, teamID)
	if err != nil || !strings.Contains(text, want) {
		t.Errorf("%v, no\n%s in\n%s", err, want, text)
	}
	if got := strings.Count(text, fmt.Sprintf("\n    - %q  # team-payments\n", teamID)); got != 3 {
		t.Errorf("%d members with their name:\n%s", got, text)
	}
}

// What Keystone calls a project is a comment that says so.
func TestNamesFromKeystone(t *testing.T) {
	w, auth := newWorld(t)
	w.AddProjectID(teamID, "payments")
	w.AddProjectID(rareID, "payments\n- id: *")
	w.AddImage(fakecloud.Image{ID: imageID(0), Name: "golden", Owner: projectID})
	w.Share(imageID(0), teamID)
	w.Share(imageID(0), rareID)
	lines := func(team, rare string) string {
		return fmt.Sprintf("  expected_members:\n    - %q%s\n    - %q%s\n", teamID, team, rareID, rare)
	}
	config := oneCloud(auth, "resolve_project_names: true\ndiscover: [{}]")
	if text, err := printed(t, config, ""); err != nil || !strings.Contains(text, lines("", "")) {
		t.Errorf("refused: %v\n%s", err, text)
	}
	w.SetPolicy(fakecloud.Policy{ReadProjects: func([]string) bool { return true }})
	want := lines(`  # "payments" in Keystone`, `  # "payments\n- id: *" in Keystone`)
	text, err := printed(t, config, "")
	if err != nil || !strings.Contains(text, want) {
		t.Errorf("%v, no\n%s in\n%s", err, want, text)
	}
	if n := len(expectations(t, text)); n != 1 {
		t.Errorf("%d entries", n)
	}
	text, err = printed(t, "member_names: {"+teamID+": team-payments}\n"+config, "")
	if want = lines("  # team-payments", `  # "payments\n- id: *" in Keystone`); err != nil || !strings.Contains(text, want) {
		t.Errorf("%v, no\n%s in\n%s", err, want, text)
	}
}

// What was not seen is a comment. Nothing in the list says that nobody has the image.
func TestUnreadImages(t *testing.T) {
	is := func(op, part string) func(fakecloud.Request) bool {
		return func(r fakecloud.Request) bool { return r.Operation == op && strings.Contains(r.Path, part) }
	}
	const one = "cloud prod: 1 of 3 images have no entry; the printed list says why"
	noEntry := func(n int, reason string) string {
		return fmt.Sprintf("# No entry: %s: %s", imageID(n), reason)
	}
	for name, test := range map[string]struct {
		change func(w *fakecloud.Cloud)
		read   []int  // of three images
		says   string // in a comment
		err    string
	}{
		"members refused": {
			func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: is(fakecloud.OpListMembers, imageID(1)), Status: http.StatusForbidden})
			},
			[]int{0, 2},
			noEntry(1, "listing members"), one,
		},
		"no empty list is proven": {
			func(w *fakecloud.Cloud) {
				w.SetPolicy(fakecloud.Policy{GetMember: func(fakecloud.Caller) bool { return false }}) // which hides all rows
			},
			nil, noEntry(0, "the list is empty, and it is not proven"),
			"cloud prod: 3 of 3 images have no entry; the printed list says why",
		},
		"another project's image": {
			func(w *fakecloud.Cloud) {
				w.SetImage(imageID(2), func(img *fakecloud.Image) { img.Owner = otherID })
				w.Share(imageID(2), projectID)
				w.SetStatus(imageID(2), projectID, "accepted")
			},
			[]int{0, 1},
			noEntry(2, "member lists may be incomplete: the credential's project does not own the images"),
			one,
		},
		"a row without an ID": {
			func(w *fakecloud.Cloud) { w.AddMember(imageID(0), fakecloud.Member{Status: "accepted"}) },
			[]int{1, 2},
			noEntry(0, "a member has no ID"), one,
		},
		"more members than are shown": {
			func(w *fakecloud.Cloud) {
				for n := range 2001 {
					w.Share(imageID(0), fmt.Sprintf("%032x", n))
				}
			},
			[]int{1, 2},
			noEntry(0, "it has 2002 members, more than are shown"),
			one,
		},
		"the listing breaks off": {
			func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool {
					return r.Operation == fakecloud.OpListImages && strings.Contains(r.RawQuery, "os_hidden")
				}, Status: http.StatusInternalServerError})
			},
			[]int{0, 1, 2},
			"# Incomplete: discovery is incomplete; images found before are still read: listing images",
			"cloud prod: discovery is incomplete; images found before are still read: listing images",
		},
		"no login": {
			func(w *fakecloud.Cloud) { w.AddUser("watcher", "another", projectID, "reader") },
			nil, "# Incomplete: no access to the cloud: logging in: 401 Unauthorized",
			"cloud prod: no access to the cloud: logging in: 401 Unauthorized",
		},
		"the image API is away": {
			func(w *fakecloud.Cloud) {
				w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: http.StatusNotFound})
			},
			nil, "# Incomplete: no image API found", "cloud prod: no image API found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, auth := newWorld(t)
			for n := range 3 {
				w.AddImage(fakecloud.Image{ID: imageID(n), Name: fmt.Sprint("golden ", n), Owner: projectID})
				w.Share(imageID(n), teamID)
			}
			test.change(w)
			keys := fmt.Sprintf("images: [{id: %s}]\ndiscover: [{}]", imageID(2))
			text, err := printed(t, oneCloud(auth, keys), "")
			if err == nil || !strings.HasPrefix(err.Error(), test.err) {
				t.Errorf("error %v, want %s", err, test.err)
			}
			if !strings.Contains(text, "\n"+test.says) {
				t.Errorf("no %s in\n%s", test.says, text)
			}
			if strings.Contains(text, "[]") {
				t.Errorf("somebody has access to each image, and the list says nobody:\n%s", text)
			}
			if test.read == nil {
				if regexp.MustCompile("(?m)^[^#]").MatchString(text) {
					t.Errorf("nothing was read, and there is a list:\n%s", text)
				}
				return
			}
			var want []string
			for _, n := range test.read {
				want = append(want, imageID(n))
			}
			if got := slices.Sorted(maps.Keys(expectations(t, text))); !slices.Equal(got, want) {
				t.Errorf("entries of %v, want %v:\n%s", got, want, text)
			}
		})
	}
}

// What is printed is the state of now, also where scrapes show that of the background. The credential's own projects have their names.
func TestTheStateOfNow(t *testing.T) {
	w, auth := newWorld(t)
	w.AddProjectID(teamID, "consumer")
	w.AddUser("watcher", password, teamID, "reader")
	w.AddImage(fakecloud.Image{ID: imageID(0), Owner: projectID})
	list := clouds(t, oneCloud(strings.Replace(auth, ", project_name: producer", "", 1),
		"projects: all\nscrape: {refresh_interval: 1h}\nimages: [{id: "+imageID(0)+"}]"))
	for _, want := range []string{"  expected_members: []\n", fmt.Sprintf("  expected_members:\n    - %q  # consumer\n", teamID)} {
		var out strings.Builder
		if err := baseline.Print(t.Context(), list, "", &out); err != nil || !strings.HasSuffix(out.String(), want) {
			t.Errorf("%v, no\n%s at the end of\n%s", err, want, &out)
		}
		w.Share(imageID(0), teamID)
	}
}

// A cloud that only watches inbound shares has nothing to print, but it may be down.
func TestNoImages(t *testing.T) {
	w, auth := newWorld(t)
	text, err := printed(t, oneCloud(auth, "inbound: true"), "")
	if err != nil || !strings.HasSuffix(text, "\n[]\n") {
		t.Errorf("%v, printed\n%s", err, text)
	}
	w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: http.StatusInternalServerError})
	text, err = printed(t, oneCloud(auth, "inbound: true"), "")
	if err == nil || err.Error() != "cloud prod: could not be read; the log says why" || strings.Contains(text, "[]") {
		t.Errorf("%v, printed\n%s", err, text)
	}
}

// hostile are texts that YAML or a terminal may take for something else.
var hostile = []string{
	"12345678901234567890123456789012", "1234567890123456789012345678e901", "1e5", "0x10", "017", "1_000", "2001-12-14",
	"~", "null", "true", "NO", "''", `"`, `\`, "é", "名字", "\u202eabc", "\u200b", "\U0001f600",
	"*a", "&a", "!t", "!!int", "#x", "-", "[", "]", "a:", ":a", "a,b", "|", ">", "@a", "`", "%a", "?",
	"*", "a b", "a: b", "- x", "a\nb", "a\r\n- id: x", "\x1b[31m", "\x00", "\u0085", "\u2028",
	"${OS_PASSWORD}", "$OS_PASSWORD", "{{x}}", "$(x)", "EDC89B490D7D4392898E19B2DEB34797", "edc89b49-0d7d-4392-898e-19b2deb34797",
	strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("é", 250),
}

// unusable is how many of them no member can have in exporter.yml: those with a space or a control character, placeholders, IDs that are
// spelled as none is, and those that may have been cut.
const unusable = 19

// Each ID of a member is read back as it is, or its image is a comment. Names of images stay in their comments.
func TestHostileTexts(t *testing.T) {
	w, auth := newWorld(t)
	huawei, entry := newHuaweiWorld(t)
	w.AddImage(fakecloud.Image{ID: "golden", Owner: projectID})
	for n, text := range hostile {
		w.AddImage(fakecloud.Image{ID: imageID(n), Name: text + "\n- id: " + imageID(999) + "\n  expected_members: []", Owner: projectID})
		w.Share(imageID(n), text)
		for i, kind := range []string{"domain", "organization", text} {
			id := imageID(3*n + i)
			huawei.AddImage(fakecloud.Image{ID: id, Name: text, Owner: projectID})
			huawei.AddMember(id, fakecloud.Member{MemberID: text, Type: kind, Status: "accepted"})
		}
	}
	for name, test := range map[string]struct {
		world    *fakecloud.Cloud
		config   string
		comments int
	}{
		"Glance":       {w, oneCloud(auth, "discover: [{}]"), unusable + 1},
		"Huawei Cloud": {huawei, "clouds: [" + entry + "discover: [{}]}]", 2*unusable + len(hostile)},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := printed(t, test.config, "")
			policies, entries := expectations(t, text), 0
			for _, img := range test.world.Images() {
				p, ok := policies[img.ID]
				if comment := strings.Contains(text, "\n# No entry: "+img.ID+": "); comment == ok {
					t.Errorf("image %s of member %q is an entry: %t, a comment: %t", img.ID, test.world.Members(img.ID), ok, comment)
				}
				if !ok {
					continue
				}
				entries++
				if diff := cmp.Diff(truth(test.world.Members(img.ID)), p.Members); diff != "" {
					t.Errorf("image %s (-cloud +printed):\n%s", img.ID, diff)
				}
			}
			all := len(test.world.Images())
			if entries != len(policies) || all-entries != test.comments {
				t.Errorf("%d of %d entries are of the cloud's images, %d images have none, want %d",
					entries, len(policies), all-entries, test.comments)
			}
			if want := fmt.Sprintf("%d of %d images have no entry", test.comments, all); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("text that controls a terminal: %.20q", text[i:])
			}
		})
	}
}

// The lists of several clouds are valid YAML that nothing loads, so that no image gets into another cloud.
func TestSeveralClouds(t *testing.T) {
	w, auth := newWorld(t)
	_, second := newWorld(t)
	huawei, entry := newHuaweiWorld(t)
	w.AddImage(fakecloud.Image{ID: imageID(0), Owner: projectID})
	w.Share(imageID(0), teamID)
	huawei.AddImage(fakecloud.Image{ID: imageID(1), Owner: projectID})
	huawei.AddMember(imageID(1), fakecloud.Member{MemberID: teamID, Type: "domain", Status: "accepted"})
	judged := strings.Replace(oneCloud(auth, "images: [{id: "+imageID(0)+", expected_members: ["+teamID+"]}]"), "prod", "judged", 1)
	all := oneCloud(auth, "scrape_via: probe\nshards: 4\ndiscover: [{}]") + strings.TrimPrefix(judged, "clouds:\n") +
		"  - " + entry + "discover: [{}]}\n"
	text, err := printed(t, all, "")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Clouds []struct {
			Name   string
			Images []struct {
				ID      string `yaml:"id"`
				Members []any  `yaml:"expected_members"`
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&doc); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got := fmt.Sprint(doc.Clouds)
	want := fmt.Sprintf("[{prod [{%s [%s]}]} {judged []} {huawei [{%s [map[id:%s type:domain]]}]}]", imageID(0), teamID, imageID(1), teamID)
	if got != want {
		t.Errorf("got  %s\nwant %s\nin\n%s", got, want, text)
	}
	for what, load := range map[string]func() error{
		"exporter.yml": func() error { _, err := parse(text); return err },
		"images":       func() error { _, err := parse(oneCloud(anyAuth, "images:\n"+indent(text))); return err },
	} {
		if load() == nil {
			t.Errorf("the lists of several clouds can be loaded as %s:\n%s", what, text)
		}
	}
	if !strings.Contains(text, "--print-expected=CLOUD\n") {
		t.Errorf("nothing says how to print one cloud:\n%s", text)
	}
	text, err = printed(t, all, "huawei")
	if got := expectations(t, text)[imageID(1)].Members; err != nil || !slices.Equal(got, truth(huawei.Members(imageID(1)))) {
		t.Errorf("%v, huawei alone expects %v:\n%s", err, got, text)
	}
	text, err = printed(t, all, "hauwei")
	if want := "--print-expected=hauwei: no such cloud: write one of prod, judged, huawei"; text != "" || err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s\nprinted %s", err, want, text)
	}
	both := oneCloud(strings.Replace(second, password, "wrong", 1), "discover: [{}]") + strings.TrimPrefix(judged, "clouds:\n")
	text, err = printed(t, both, "")
	if err == nil || strings.Contains(err.Error(), "judged") || !strings.Contains(err.Error(), "cloud prod: no access to the cloud") {
		t.Errorf("error %v", err)
	}
	_, rest, _ := strings.Cut(text, "  - name: \"judged\"\n")
	if !strings.HasSuffix(rest, "\n    images: []\n") || strings.Count(text, "images: []") != 1 {
		t.Errorf("a cloud is away, and the lists are\n%s", text)
	}
}

func parse(text string) (*config.Config, error) { return config.Parse("exporter.yml", []byte(text)) }

// An interrupt prints no list: every image would be one that was not read.
func TestInterrupt(t *testing.T) {
	w, auth := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.Inject(fakecloud.Fault{Hang: true, Match: func(fakecloud.Request) bool { cancel(); return true }})
	var out strings.Builder
	err := baseline.Print(ctx, clouds(t, oneCloud(auth, "discover: [{}]")), "", &out)
	if err == nil || err.Error() != "print-expected: context canceled" || out.String() != "" {
		t.Errorf("%v, printed %s", err, &out)
	}
}

// An entry replaces the image's own one, so what that says of members and visibilities that are still there stays: no approval that ends
// becomes one for ever.
func TestWhatIsConfiguredStays(t *testing.T) {
	w, auth := newWorld(t)
	w.AddImage(fakecloud.Image{ID: imageID(0), Name: "golden", Owner: projectID})
	for _, id := range []string{teamID, otherID, rareID} {
		w.Share(imageID(0), id)
	}
	keys := fmt.Sprintf(`images:
- id: %s
  expected_visibility: [private, shared]
  expected_members: [{id: %s, until: 2999-01-31, note: 'CHG "1": x'}, {id: %s, until: 2001-01-31, note: over}]
`, imageID(0), teamID, otherID)
	text, err := printed(t, oneCloud(auth, keys), "")
	if err != nil {
		t.Fatal(err)
	}
	day := func(year int) time.Time { return time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC) }
	want := collector.Policy{
		Visibility: []client.Visibility{client.Private, client.Shared},
		Members: collector.SortMembers([]collector.ExpectedMember{
			{Type: client.TypeProject, ID: teamID, Until: day(2999), Note: `CHG "1": x`},
			{Type: client.TypeProject, ID: otherID, Until: day(2001), Note: "over"},
			{Type: client.TypeProject, ID: rareID},
		}),
	}
	if diff := cmp.Diff(want, expectations(t, text)[imageID(0)]); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, text)
	}
}
