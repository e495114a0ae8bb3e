package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const fuzzedID = "83a34450-688e-449a-abea-c212f45c5a6c"

// FuzzMembers: never a panic, never "no members" from what is not an empty list, never a row less than there are.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{"members": []}`,
		`{"members": [{"member_id": "a", "status": "accepted", "image_id": "` + fuzzedID +
			`", "created_at": "2016-09-01T02:05:14Z", "schema": "/v2/schemas/member"}], "schema": "/v2/schemas/members"}`,
		`{"members": [{"member_id": "a", "status": 7, "member_type": "domain"}, {}], "page_info": {"next_marker": "x", "current_count": 2}}`,
		`{"members": [{"member_id": "a"}], "Members": []}`,
		`{"members": [{"member_id": "a"}], "\u006dembers": []}`,
		"{\"members\": [{\"member_id\": \"\xff\"}]}",
		`{"members": null}`, `{"members": {}}`, `{"members": [null]}`, `{"error": {"message": "no"}}`, `[]`, `null`, ``, `{"members": []} {}`,
		`{"members": [{"member_id": "a", "member_id": "b"}]}`, `{"members": [{"Member_ID": "a"}]}`,
		`{"members": [{"member_id": "a", "x": {"member_id": "c"}, "Member_ID": "b"}]}`,
		`{"members": [], "page_info": {"next_marker": "x", "next_mar\u212aer": ""}}`,
		`{"members": [{"member_id": "status", "status": "x"}], "page_info": null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := decodeMembers(body, fuzzedID, time.Unix(1e9, 0), Glance)
		if err != nil {
			if len(page.members) > 0 || page.next != "" {
				t.Error("an error, and a page beside it")
			}
			return
		}
		rows, ok := independentRows(body)
		if !ok || rows != len(page.members) {
			t.Errorf("%d members, of %d rows (a list: %t)", len(page.members), rows, ok)
		}
		for _, m := range page.members {
			if !slices.Contains(Statuses(), m.Status) || !utf8.ValidString(m.ID) || len(m.ID) > maxID || len(m.Type) > maxID || m.Type == "" {
				t.Errorf("%+v", m)
			}
		}
		list := normalize(slices.Clone(page.members))
		if len(page.members) > 0 && len(list) == 0 || len(list) > len(page.members) {
			t.Errorf("%d of %d members are left", len(list), len(page.members))
		}
	})
}

// independentRows counts the rows of the one list in an object, token by token. It is not ok if the list, or a part of it that is
// looked at, is there more than once.
func independentRows(body []byte) (n int, ok bool) {
	keys, values, ok := independentKeys(body)
	if !ok {
		return 0, false
	}
	lists := 0
	for i, key := range keys {
		switch {
		case strings.EqualFold(key, "page_info"):
			if independentRepeats(values[i], "next_marker") {
				return 0, false
			}
		case strings.EqualFold(key, "members"):
			if lists++; key != "members" {
				return 0, false
			}
			var rows []json.RawMessage
			if json.Unmarshal(values[i], &rows) != nil || rows == nil {
				return 0, false
			}
			for _, row := range rows {
				if independentRepeats(row, "member_id", "member_type", "status") {
					return 0, false
				}
			}
			n = len(rows)
		}
	}
	return n, lists == 1
}

// independentKeys are the keys of an object in their order, with their values.
func independentKeys(body []byte) (keys []string, values []json.RawMessage, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, nil, false
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, nil, false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, nil, false
		}
		name, _ := key.(string)
		keys, values = append(keys, name), append(values, value)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, false
	}
	_, err := dec.Token()
	return keys, values, errors.Is(err, io.EOF)
}

// independentRepeats reports whether an object has one of the keys more than once, in whatever letters.
func independentRepeats(body []byte, once ...string) bool {
	keys, _, _ := independentKeys(body)
	for _, key := range once {
		n := 0
		for _, k := range keys {
			if strings.EqualFold(k, key) {
				n++
			}
		}
		if n > 1 {
			return true
		}
	}
	return false
}

// FuzzImagePage: every record of a page is there, or counted as unreadable.
func FuzzImagePage(f *testing.F) {
	for _, seed := range []string{
		`{"images": [], "schema": "/v2/schemas/images", "first": "/v2/images"}`,
		`{"images": [{"id": "` + fuzzedID + `", "name": "x", "owner": "a", "visibility": "shared", "os_hidden": false, "tags": ["a"]}], ` +
			`"next": "/v2/images?marker=` + fuzzedID + `"}`,
		`{"images": [{"id": 7}, {"id": "../x"}, null, {"id": "a", "os_hidden": "True"}]}`,
		`{"images": null}`, `{"error": "x", "images": []}`, `{"images": [], "next": "%"}`, `[]`, ``,
		`{"images": [{"id": "a", "Visibility": "private", "TAGS": "x", "OS_HIDDEN": 1}], "Images": []}`,
		`{"images": [{"id": "a", "id": "b"}, {"id": "c", "x": 1, "x": {"y": "\ud800", "y": []}, "tags": [1], "tags": {}}, [{}]], "Next": ""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := decodePage(body, IMS)
		if err != nil {
			return
		}
		var rows []json.RawMessage
		if json.Unmarshal(exactly(t, body)["images"], &rows) != nil || rows == nil || len(rows) != len(page.Images)+page.Unreadable {
			t.Errorf("%d images and %d unreadable, of %d", len(page.Images), page.Unreadable, len(rows))
		}
		for _, img := range page.Images {
			if !isImageID(img.ID) || len(img.Name) > maxName || len(img.Owner) > maxText {
				t.Errorf("%+v", img)
			}
		}
	})
}

// exactly is an object by its keys as they are written, where Go's decoder is content with keys in other letters.
func exactly(t *testing.T, body []byte) map[string]json.RawMessage {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(body, &values); err != nil {
		t.Error(err)
	}
	return values
}

// FuzzImage: a record is about the image that was asked for, or none, and an image's own property never takes the place of
// what the API says.
func FuzzImage(f *testing.F) {
	for _, seed := range []string{
		`{"id": "` + fuzzedID + `", "name": null, "owner": "a", "visibility": "public", "os_hidden": true}`, `{"id": "another"}`, `{}`, `null`,
		`{"id": "` + fuzzedID + `", "owner": "a", "OWNER": "b", "visibility": "shared", "Visibility": "private", "vi\u017fibility": ` +
			`"private"}`, `{"id": "` + fuzzedID + `", "ID": "another"}`, `{"id": "` + fuzzedID + `", "name": "a", "name": "b", "owner": "c", ` +
			`"x": "\ud800", "x": {}}`, `{"id": "` + fuzzedID + `", "tags": [1]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		img, err := decodeImage(body, fuzzedID, Glance)
		if err == nil && img.ID != fuzzedID || err != nil && img.ID != "" {
			t.Errorf("%+v, %v", img, err)
		}
		if err != nil {
			return
		}
		values := map[string][]json.RawMessage{}
		keys, raws, _ := independentKeys(body)
		for i, key := range keys {
			values[key] = append(values[key], raws[i])
		}
		for key, got := range map[string]string{
			"id": img.ID, "name": img.Name, "owner": img.Owner,
			"visibility": string(img.Visibility), "status": img.Status,
		} {
			var want string
			switch raws := values[key]; {
			case len(raws) == 1:
				_ = json.Unmarshal(raws[0], &want) // stays empty for a value of another type
			case len(raws) > 1 && key != "name" && key != "status":
				t.Errorf("%s is %q, of %s", key, got, raws)
			}
			if bounded(want, maxText) != got {
				t.Errorf("%s is %q, not %q", key, got, want)
			}
		}
	})
}

// FuzzProjects: no project without an ID, and no list from what is none.
func FuzzProjects(f *testing.F) {
	for _, seed := range []string{
		`{"projects": [{"id": "a", "name": "b", "enabled": true}], "links": {"next": null}}`,
		`{"projects": [{"name": "b"}]}`, `{"projects": []}`, `{}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := decodeProjects(body)
		if err != nil && list != nil {
			t.Error("an error, and a list beside it")
		}
		for _, p := range list {
			if p.id == "" {
				t.Error("a project without an ID")
			}
		}
		if err == nil && !bytes.Contains(bytes.ToLower(body), []byte("projects")) && !bytes.Contains(body, []byte(`\`)) && utf8.Valid(body) &&
			isASCII(body) {
			t.Error("a list from nothing")
		}
	})
}

func isASCII(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf })
}

// FuzzErrorText: a short line of printable text, whatever a server says, and no secret in it.
func FuzzErrorText(f *testing.F) {
	const secret = "s3cr3t-t0ken"
	secrets := &Secrets{}
	secrets.Add(secret)
	for _, seed := range []string{
		`{"message": "no", "code": "404 Not Found", "title": "Not Found"}`, `{"error": {"code": 401, "message": "x", "title": "Unauthorized"}}`,
		`{"error_msg": "throttled", "error_code": "APIG.0308"}`, "<html><title>x</title><body>502 <b>Bad</b></body></html>",
		"\x00\x1b[31m" + secret, secret[:5] + "\n" + secret[5:],
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text := secrets.message(serverMessage(append(body, secret...)))
		if strings.Contains(text, secret) || strings.ContainsAny(text, "\r\n\x00\x1b") || !utf8.ValidString(text) ||
			utf8.RuneCountInString(text) > maxMessage+1 {
			t.Errorf("%q", text)
		}
	})
}

// FuzzRetryAfter: a time from none to a day, and none from what is neither seconds nor a date.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"", "0", "120", " 7 ", "-1", "1.5", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT",
		"Wed, 09 Sep 2001 01:46:50 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "soon", "+5", "٣",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		now := time.Unix(1e9, 0)
		got := retryAfter(value, now)
		if got < 0 || got > maxRetryAfter {
			t.Errorf("%q: %s", value, got)
		}
		if got > 0 && !strings.ContainsAny(value, "123456789") {
			t.Errorf("%q: %s from nothing", value, got)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "-1": 0, "1.5": 0, "+5": 0, "soon": 0,
		"99999999999999999999":           24 * time.Hour,
		"100000":                         24 * time.Hour,
		"Sun, 09 Sep 2001 01:46:50 GMT":  10 * time.Second,
		"Sunday, 09-Sep-01 01:46:50 GMT": 10 * time.Second,
		"Sun Sep  9 01:46:50 2001":       10 * time.Second,
		"Sun, 09 Sep 2001 01:46:30 GMT":  0,
		"Sun, 09 Sep 2040 01:46:30 GMT":  24 * time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
