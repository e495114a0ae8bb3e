package fakecloud

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var signingTime = time.Date(2019, 11, 15, 3, 36, 55, 0, time.UTC)

const (
	vectorAccess = "QTWAOYTTINDUT2QVKYUC"
	vectorSecret = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
	imsProject   = "edc89b490d7d4392898e19b2deb34797"
	imsGolden    = "d164b5df-1bc3-4c3f-893e-3e471fd16e64"
)

// The published vectors.
func TestSignatureOf(t *testing.T) {
	for _, test := range []struct {
		url, signed string
		want        string
	}{
		{
			"https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
			"content-type;host;x-sdk-date", "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
		},
		{
			"https://ims.cn-north-4.myhuaweicloud.com/v2/images/" + imsGolden + "/members",
			"host;x-project-id;x-sdk-date", "2c74f84a138e30c7302f6a9a1edc4cee58be2a974785ce98803a65e0a1ce5c50",
		},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Project-Id", imsProject)
		r.Header.Set("X-Sdk-Date", "20191115T033655Z")
		if got := signatureOf(r, strings.Split(test.signed, ";"), vectorSecret); got != test.want {
			t.Errorf("%s: got %s, want %s", test.url, got, test.want)
		}
	}
}

func newIMSWorld() *Cloud {
	c := New(Options{Huawei: true, Domain: "account", Region: "cn-north-4", Now: func() time.Time { return signingTime }})
	c.AddProjectID(imsProject, "cn-north-4")
	c.AddAccessKey(AccessKey{Access: vectorAccess, Secret: vectorSecret, ProjectID: imsProject})
	c.AddImage(Image{ID: imsGolden, Name: "golden", Owner: imsProject, Whole: true})
	return c
}

// ask makes a signed request; change spoils it before it is signed, spoil after.
func ask(t *testing.T, c *Cloud, path string, change, spoil func(*http.Request)) (int, string) {
	t.Helper()
	return askSigned(t, c, path, nil, change, spoil)
}

// askSigned is ask with the headers that are signed.
func askSigned(t *testing.T, c *Cloud, path string, signed []string, change, spoil func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://ims.test"+path, nil)
	r.Header.Set("X-Project-Id", imsProject)
	r.Header.Set("X-Sdk-Date", "20191115T033655Z")
	if change != nil {
		change(r)
	}
	switch {
	case signed != nil:
	case r.Header.Get("X-Security-Token") == "":
		signed = []string{"host", "x-project-id", "x-sdk-date"}
	default:
		signed = []string{"host", "x-project-id", "x-sdk-date", "x-security-token"}
	}
	r.Header.Set("Authorization", "SDK-HMAC-SHA256 Access="+vectorAccess+", SignedHeaders="+strings.Join(signed, ";")+
		", Signature="+signatureOf(r, signed, vectorSecret))
	if spoil != nil {
		spoil(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestSignaturesAreVerified(t *testing.T) {
	c := newIMSWorld()
	const path = "/ims/v2/images/" + imsGolden + "/members?limit=7"
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, test := range map[string]struct {
		change, spoil func(*http.Request)
		signed        []string // nil: host, x-project-id, x-sdk-date and, where there is one, x-security-token
		code          string   // "": it is good
	}{
		"good":                {},
		"none":                {spoil: func(r *http.Request) { r.Header.Del("Authorization") }, code: "APIGW.0301"},
		"another query":       {spoil: func(r *http.Request) { r.URL.RawQuery = "limit=8" }, code: "APIGW.0301"},
		"another path":        {spoil: func(r *http.Request) { r.URL.Path = "/ims/v2/images/x/members" }, code: "APIGW.0301"},
		"another project":     {spoil: set("X-Project-Id", "other"), code: "APIGW.0301"},
		"another host":        {spoil: func(r *http.Request) { r.Host = "other.test" }, code: "APIGW.0301"},
		"a token that is not": {change: set("X-Security-Token", "x"), code: "APIGW.0301"},
		"an unsigned token":   {spoil: set("X-Security-Token", "x"), code: "APIGW.0301"},
		"an unsigned host":    {signed: []string{"x-sdk-date"}, spoil: func(r *http.Request) { r.Host = "other.test" }},
		"as the SDK signs":    {signed: []string{"user-agent", "x-project-id", "x-sdk-date"}},
		"an unsigned date":    {signed: []string{"host", "x-project-id"}, code: "APIGW.0301"},
		"14 minutes old":      {change: set("X-Sdk-Date", "20191115T032255Z")},
		"16 minutes old":      {change: set("X-Sdk-Date", "20191115T032055Z"), code: "APIGW.0301"},
		"16 minutes ahead":    {change: set("X-Sdk-Date", "20191115T035255Z"), code: "APIGW.0301"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := askSigned(t, c, path, test.signed, test.change, test.spoil)
			if test.code == "" && status != http.StatusOK ||
				test.code != "" && (status != http.StatusUnauthorized || !strings.Contains(body, `"error_code": "`+test.code)) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func TestPagesOfIMS(t *testing.T) {
	c := newIMSWorld()
	for i := range 1201 {
		c.Share(imsGolden, strconv.Itoa(i))
	}
	c.AddMember(imsGolden, Member{MemberID: "7", Type: "domain", Status: "pending"})
	c.AddMember(imsGolden, Member{MemberID: "8", Type: "organization", Status: "accepted"})
	seen, sizes, marker := map[string]bool{}, []int{}, ""
	for {
		path := "/ims/v1/" + imsProject + "/cloudimages/" + imsGolden + "/members"
		if marker != "" {
			path += "?marker=" + url.QueryEscape(marker)
		}
		status, body := ask(t, c, path, nil, nil)
		var page struct {
			Members []struct {
				ID   string `json:"member_id"`
				Type string `json:"member_type"`
			} `json:"members"`
			Info struct {
				Next  string `json:"next_marker"`
				Count int    `json:"current_count"`
			} `json:"page_info"`
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK || page.Info.Count != len(page.Members) {
			t.Fatalf("%d %v %s", status, err, body)
		}
		for _, m := range page.Members {
			seen[m.Type+" "+m.ID] = true
		}
		sizes = append(sizes, len(page.Members))
		if marker = page.Info.Next; marker == "" {
			break
		}
		if !strings.ContainsAny(marker, "+/=") {
			t.Errorf("marker %s needs no escaping", marker)
		}
	}
	if !slices.Equal(sizes, []int{500, 500, 203}) || len(seen) != 1203 || !seen["domain 7"] || !seen["organization 8"] || !seen["project 7"] {
		t.Errorf("pages of %v, %d members", sizes, len(seen))
	}
}

func TestErrorsOfIMS(t *testing.T) {
	c := newIMSWorld()
	c.Share(imsGolden, "a")
	only := func(rights ...string) {
		c.AddAccessKey(AccessKey{Access: vectorAccess, Secret: vectorSecret, ProjectID: imsProject, Rights: rights})
	}
	is := func(path string, status int, text string) {
		t.Helper()
		if got, body := ask(t, c, path, nil, nil); got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
	v1, v2 := "/ims/v1/"+imsProject+"/cloudimages/"+imsGolden+"/members", "/ims/v2/images/"+imsGolden+"/members"
	only(RightGet)
	is(v1, 200, `"member_id": "a"`)
	is(v2, 403, "IMG.0026")
	is("/ims/v2/cloudimages", 403, "IMG.0026")
	only(RightGet, RightList, RightShare)
	is(v2, 200, `"member_type": "project"`)
	is("/ims/v2/images/"+imsGolden, 200, `"visibility": "private"`)
	is("/ims/v2/cloudimages?__imagetype=shared&owner="+imsProject, 200, `"__whole_image": "true"`)
	is("/ims/v2/cloudimages?__imagetype=shared&owner=other", 200, `{"images": []`)
	is("/ims/v2/images/00000000-0000-4000-8000-000000000000/members", 400, "IMG.0027")
	is(v2+"?limit=1001", 400, "IMG.0001")
	is(v2+"?marker=nonsense!", 400, "IMG.0001")
	is(strings.Replace(v1, imsProject, "other", 1), 400, "IMG.0030")
	is("/ims/v2/nothing", 404, "APIGW.0101")
	if status, body := ask(t, c, v2, func(r *http.Request) { r.Header.Set("X-Project-Id", "other") }, nil); status != 400 ||
		!strings.Contains(body, "IMG.0030") {
		t.Errorf("another project: %d %s", status, body)
	}
	c.opts.NoMembersV1 = true
	is(v1, 404, "APIGW.0101")
	c.opts.NoMembersV1 = false
	only()
	c.AddAccessKey(AccessKey{Access: vectorAccess, Secret: vectorSecret, ProjectID: imsProject, Rights: []string{}})
	c.opts.HCSO = true
	is(v2, 401, "EPS.0003")
	c.opts.EncodedDenials = true
	only()
	c.AddAccessKey(AccessKey{Access: vectorAccess, Secret: vectorSecret, ProjectID: imsProject, Rights: []string{}})
	is(v2, 403, "encoded_authorization_message")
	c.Inject(Throttled())
	is(v2, 429, "APIGW.0308")
	c.ClearFaults()
	c.Inject(FlowControl())
	is(v2, 400, "IMG.0060")
}

func TestInboundImagesOfIMS(t *testing.T) {
	c := newIMSWorld()
	c.AddProjectGroup(imsProject, "domain", "account")
	for _, status := range []string{"accepted", "pending", "rejected"} {
		c.AddMember(c.AddImage(Image{Name: status, Owner: "another"}), Member{MemberID: imsProject, Status: status})
	}
	ofDomain := c.AddImage(Image{Name: "domain", Owner: "another"})
	c.AddMember(ofDomain, Member{MemberID: "account", Type: "domain", Status: "accepted"})
	c.AddMember(c.AddImage(Image{Name: "of others", Owner: "another"}), Member{MemberID: imsProject, Type: "organization", Status: "accepted"})
	c.AddImage(Image{Name: "public", Owner: "another", Visibility: "public"})
	for query, want := range map[string]string{
		"": "200 golden accepted domain public", "__imagetype=private": "200 golden", "__imagetype=gold": "200 public",
		"owner=" + imsProject:                                              "200 golden",
		"__imagetype=shared":                                               "200 accepted domain",
		"__imagetype=shared&member_status=pending":                         "200 accepted domain", // which does not count alone
		"__imagetype=shared&visibility=shared":                             "200 accepted domain",
		"__imagetype=shared&visibility=shared&member_status=pending":       "200 pending",
		"visibility=shared&member_status=rejected":                         "200 rejected",
		"visibility=shared&member_status=all":                              "400 ",
		"owner=another&visibility=shared&member_status=pending":            "200 pending",
		"owner=" + imsProject + "&visibility=shared&member_status=pending": "200 ",
	} {
		code, body := ask(t, c, "/ims/v2/cloudimages?"+query, nil, nil)
		var list struct {
			Images []struct{ Name, Visibility string }
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, img := range list.Images {
			names = append(names, img.Name)
		}
		if got := strconv.Itoa(code) + " " + strings.Join(names, " "); got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
	// A project sees the row that it has the image by.
	if code, body := ask(t, c, "/ims/v2/images/"+ofDomain+"/members", nil, nil); code != 200 ||
		!strings.Contains(body, `"member_type": "domain", "urn": "organizations::`) {
		t.Errorf("%d %s", code, body)
	}
}

// The keys that the documents call mandatory in a record, and those that only Glance has.
func TestRecordOfIMS(t *testing.T) {
	c := newIMSWorld()
	_, body := ask(t, c, "/ims/v2/images/"+imsGolden, nil, nil)
	var record map[string]any
	if err := json.Unmarshal([]byte(body), &record); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"__image_size", "__image_source_type", "__imagetype", "__isregistered", "__os_type", "active_at",
		"container_format", "created_at", "disk_format", "file", "id",
		"min_disk", "min_ram", "name", "owner", "protected", "schema", "self", "status", "tags", "updated_at", "virtual_env_type", "visibility",
	} {
		if record[key] == nil {
			t.Errorf("no %s in %s", key, body)
		}
	}
	if _, ok := record["os_hidden"]; ok {
		t.Errorf("os_hidden in %s", body)
	}
	for _, private := range []bool{false, true} {
		c.opts.PrivateGroupShares = private
		c.AddMember(imsGolden, Member{MemberID: "d", Type: "domain", Status: "accepted"})
		want := map[bool]string{false: "shared", true: "private"}[private]
		if _, body := ask(t, c, "/ims/v2/images/"+imsGolden, nil, nil); !strings.Contains(body, `"__imagetype": "`+want) {
			t.Errorf("not %s: %s", want, body)
		}
	}
}

// Glance's own listing has pages of 25 and links to the next one.
func TestNativeImagesOfIMS(t *testing.T) {
	c := newIMSWorld()
	for i := range 30 {
		c.AddImage(Image{Name: strconv.Itoa(i), Owner: imsProject})
	}
	path, sizes := "/v2/images?owner="+imsProject, []int{}
	for path != "" {
		var page struct {
			Images []struct{ ID string }
			Next   string
		}
		_, body := ask(t, c, "/ims"+path, nil, nil)
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		sizes, path = append(sizes, len(page.Images)), page.Next
	}
	if !slices.Equal(sizes, []int{25, 6}) {
		t.Errorf("pages of %v", sizes)
	}
}

func TestIMSAtTheRoot(t *testing.T) {
	c := newIMSWorld()
	for path, want := range map[string]string{
		"/": `300 {"versions": [{"status": "CURRENT", "id": "v2.2"`, "/v2/images/" + imsGolden: `200 {"__image_size"`,
		"/v1/x": `404 {"error_msg": "The API does not exist`,
	} {
		if status, body := ask(t, c, path, nil, nil); !strings.HasPrefix(strconv.Itoa(status)+" "+body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := ask(t, c, "/ims/", nil, nil); strings.Count(body, `"id": "v`) != 5 {
		t.Error(body)
	}
	c.opts.Huawei = false
	if status, _ := ask(t, c, "/v2/images/"+imsGolden, nil, nil); status != 404 {
		t.Errorf("a Glance at the root: %d", status)
	}
}
