package fakecloud_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// The recorded world.
const (
	adminID    = "d48811e21f754824bd9a58ad89f903f5"
	producerID = "61c9216745884e7782dc16e5123a5fc9"
	consumerA  = "fb0d5993e8f14ca887876f3d14abb39d"
	consumerB  = "47778e75944945adb89fbb37229364c1"
	consumerC  = "19ea119fd1694653936fb429216988df"
	outsiderID = "e3a3ffe4cb434ab3a08b3ba3f30b9a72"

	allStatuses = "83a34450-688e-449a-abea-c212f45c5a6c"
	onePending  = "e4d94745-5725-42cb-b559-5a77dd36a548"
	twoAccepted = "fb362e33-964a-479e-8c1f-de2fd0a250ca"
	noMembers   = "e9d33e2c-e591-4100-b341-fe027f12b992"
	private     = "5b04179d-7f5c-439d-84c7-4c9a888f66af"
	community   = "2c30e81a-4cb8-4510-bff2-a16f3b5f9769"
	public      = "ce1c7d9b-ff7b-4d0a-b5c5-fa928e15950f"
	queued      = "48c072c6-195b-434b-8500-4b4815007384"
	deactivated = "d2d345db-f79c-4f29-a994-98a1c0961b0b"
	lifecycle   = "60f79bd6-6c53-4fc1-9d28-2ffa93c85220"
	lifecycle2  = "6035294a-bd35-48ec-aa6f-10bfc530e423"
	many        = "9d0a4da2-cefd-439c-b075-5a94578d4d45"
	unknownID   = "00000000-0000-4000-8000-000000000000"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// at moves the clock to a time of the day of the recordings. Each call is a microsecond later than the one before, as
// lists are sorted by more than the seconds they show.
func (c *clock) at(hms string) {
	t, err := time.Parse(time.DateTime, "2026-11-23 "+hms)
	if err != nil {
		panic(err)
	}
	if c.now = c.now.Add(time.Microsecond); c.now.Truncate(time.Second) != t {
		c.now = t
	}
}

// recordedWorld builds the cloud that was recorded, as it was in the end.
func recordedWorld() (*fakecloud.Cloud, *clock) {
	clk := &clock{}
	clk.at("20:50:45")
	c := fakecloud.New(fakecloud.Options{Now: clk.Now})
	for id, name := range map[string]string{
		adminID: "admin", producerID: "producer", consumerA: "consumer-a", consumerB: "consumer-b", consumerC: "consumer-c",
		outsiderID: "outsider",
	} {
		c.AddProjectID(id, name)
		roles := []string{"reader", "member"}
		if name == "admin" {
			roles = []string{"admin"}
		}
		c.AddUser(name, name+"-secret", id, roles...)
	}
	c.AddSystemRole("admin", "admin")
	c.AddDomainRole("producer", "member")
	c.AddAppCredential(fakecloud.AppCredential{
		ID: "rules", Secret: "s", User: "producer", ProjectID: producerID,
		AccessRules: []fakecloud.AccessRule{{Method: "GET", Path: "/v2/images/*/members"}},
	})
	c.AddAppCredential(fakecloud.AppCredential{ID: "a", Secret: "s", User: "consumer-a", ProjectID: consumerA})

	add := func(hms, id, name, visibility, data string, more ...func(*fakecloud.Image)) {
		clk.at(hms)
		img := fakecloud.Image{ID: id, Name: name, Owner: producerID, Visibility: visibility, Size: int64(len(data))}
		img.Checksum = fmt.Sprintf("%x", md5.Sum([]byte(data)))
		img.HashValue = fmt.Sprintf("%x", sha512.Sum512([]byte(data)))
		if data == "" {
			img.Status = "queued"
		}
		for _, f := range more {
			f(&img)
		}
		c.AddImage(img)
	}
	share := func(id string, statuses ...string) {
		for i, status := range statuses {
			member := []string{consumerA, consumerB, consumerC}[i]
			c.Share(id, member)
			c.SetStatus(id, member, status)
		}
	}
	add("20:50:46", allStatuses, "shared-all-statuses", "shared", strings.Repeat("golden image, take one\n", 64),
		func(img *fakecloud.Image) {
			img.Tags = []string{"golden", "debian-12"}
			img.Properties = map[string]string{"os_distro": "debian"}
		})
	share(allStatuses, "accepted", "rejected", "pending")
	add("20:50:46", onePending, "shared-one-pending", "shared", strings.Repeat("x", 1024), func(img *fakecloud.Image) {
		img.Tags = []string{"golden"}
	})
	share(onePending, "pending")
	add("20:50:46", twoAccepted, "shared-two-accepted", "shared", strings.Repeat("y", 1024), func(img *fakecloud.Image) {
		img.Tags = []string{"release:1", "golden"}
	})
	share(twoAccepted, "accepted", "accepted")
	add("20:50:46", noMembers, "shared-no-members", "shared", strings.Repeat("z", 16), func(img *fakecloud.Image) {
		img.UpdatedAt = clk.now.Add(time.Second)
	})
	add("20:50:47", private, "private", "private", strings.Repeat("p", 16))
	add("20:50:47", community, "community", "community", strings.Repeat("c", 16))
	add("20:50:47", public, "public", "public", strings.Repeat("P", 16))
	add("20:50:47", queued, "queued-shared", "shared", "")
	add("20:50:49", deactivated, "deact", "shared", "xyz", func(img *fakecloud.Image) { img.Status = "deactivated" })
	share(deactivated, "pending")

	add("20:50:59", lifecycle, "lifecycle", "shared", "")
	clk.at("20:51:00")
	for _, m := range []string{consumerA, "5", "no-such-project", producerID, strings.Repeat("m", 256), "a/b", consumerC} {
		c.Share(lifecycle, m)
	}
	clk.at("20:51:06")
	c.SetStatus(lifecycle, consumerA, "accepted")
	clk.at("20:51:08")
	c.Unshare(lifecycle, consumerA)
	c.Share(lifecycle, consumerA)
	clk.at("20:51:09")
	c.SetImage(lifecycle, func(img *fakecloud.Image) { img.Visibility = "community" })

	add("20:51:09", lifecycle2, "lifecycle2", "shared", "")
	add("20:51:09", many, "many", "shared", "")
	share(many, "pending")
	add("20:51:12", "fb5fc697-ce9a-47c7-9632-8552ea8e30df", "page-1", "shared", "")
	add("20:51:12", "cb336360-ee81-403e-bd4d-d3e6325d7fa8", "page-2", "shared", "")
	add("20:51:12", "5e30b358-8508-408c-a1a9-27b7335e4065", "page-3", "shared", "")
	clk.at("20:50:59")
	return c, clk
}

// before holds what is undone of the world's end for recordings made earlier.
var before = map[string]func(*fakecloud.Cloud){
	"237-list-after-reshare":     func(c *fakecloud.Cloud) { setVisibility(c, lifecycle, "shared") },
	"242-member-while-private":   func(c *fakecloud.Cloud) { setVisibility(c, lifecycle, "private") },
	"411-keystone-down-uncached": func(c *fakecloud.Cloud) { c.KeystoneDown(true) },
}

func setVisibility(c *fakecloud.Cloud, id, visibility string) {
	c.SetImage(id, func(img *fakecloud.Image) { img.Visibility = visibility })
}

type recording struct {
	request []byte // with "Token: owner"
	status  int
	header  http.Header
	body    string
}

func readRecording(t *testing.T, file string) recording {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parseRecording(t, string(b))
}

func parseRecording(t *testing.T, text string) recording {
	t.Helper()
	request, response, ok := strings.Cut(text, "\n-- ")
	if !ok {
		t.Fatalf("no answer in %s", text)
	}
	head, body, _ := strings.Cut(response, "\n\n")
	lines := strings.Split(head, "\n")
	rec := recording{request: []byte(request + "\n"), header: http.Header{}, body: body}
	var err error
	if rec.status, err = strconv.Atoi(lines[0]); err != nil {
		t.Fatal(err)
	}
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ": ")
		rec.header.Add(k, v)
	}
	return rec
}

func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/recordings/*.txt")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			rec := readRecording(t, file)
			c, _ := recordedWorld()
			if f := before[name]; f != nil {
				f(c)
			}
			compare(t, c, rec, tokenFor)
		})
	}
}

// parseRequest makes a request of the recorded one without net/http's client, which would clean up its path.
func parseRequest(t *testing.T, c *fakecloud.Cloud, raw []byte,
	token func(*testing.T, *fakecloud.Cloud, string) string,
) *http.Request {
	t.Helper()
	line, rest, _ := bytes.Cut(raw, []byte("\n"))
	head, body, _ := bytes.Cut(append([]byte("Host: 127.0.0.1\n"), rest...), []byte("\n\n"))
	body = bytes.TrimSpace(body)
	text := fmt.Appendf(nil, "%s HTTP/1.1\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
		line, bytes.ReplaceAll(bytes.TrimSpace(head), []byte("\n"), []byte("\r\n")), len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	if owner := r.Header.Get("Token"); owner != "" {
		r.Header.Del("Token")
		r.Header["X-Auth-Token"] = append([]string{token(t, c, owner)}, r.Header["X-Auth-Token"]...)
	}
	if _, ok := r.Header["Accept"]; !ok {
		r.Header.Set("Accept", "*/*") // curl's default
	}
	return r
}

func tokenFor(t *testing.T, c *fakecloud.Cloud, owner string) string {
	t.Helper()
	projects := map[string]string{
		"admin": adminID, "producer": producerID, "consumer-a": consumerA, "consumer-b": consumerB, "consumer-c": consumerC,
		"outsider": outsiderID,
	}
	switch owner {
	case "garbage":
		return owner
	case "unscoped":
		return c.Token("producer", "")
	case "domain":
		return login(t, c, passwordBody("producer", `{"domain": {"id": "default"}}`))
	case "system":
		return login(t, c, passwordBody("admin", `{"system": {"all": true}}`))
	case "appcred":
		return login(t, c, appCredentialBody("a", "s"))
	case "appcred-rules":
		return login(t, c, appCredentialBody("rules", "s"))
	}
	return c.Token(owner, projects[owner])
}

var (
	keystoneID = regexp.MustCompile(`"id": "[0-9a-f]{32}"`)
	auditID    = regexp.MustCompile(`"audit_ids": \[[^]]*\]`)
	someTags   = regexp.MustCompile(`"tags": \["[^]]*"\]`)
)

// withoutIDs hides what Keystone made up in a token: the IDs of the user, roles, services and endpoints. It sorts the
// tags of images, which are in another order in each process of Glance.
func withoutIDs(body string) string {
	body = someTags.ReplaceAllStringFunc(body, func(s string) string {
		tags := strings.Split(s[len(`"tags": [`):len(s)-1], ", ")
		slices.Sort(tags)
		return strings.Join(tags, ", ")
	})
	if !strings.HasPrefix(body, `{"token"`) {
		return body
	}
	return auditID.ReplaceAllString(keystoneID.ReplaceAllString(body, `"id": "..."`), `"audit_ids": "..."`)
}
