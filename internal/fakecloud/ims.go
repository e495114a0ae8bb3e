package fakecloud

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Huawei Cloud's image service, as its documents describe it: Glance's paths and some of its own, pages of members, errors
// of its own. It serves the same world below /ims.

const (
	serviceIMS = "ims"
	imsPage    = 500
	imsMaxPage = 1000
)

// Rights of Huawei Cloud that reading takes.
const (
	RightGet   = "ims:images:get"
	RightList  = "ims:images:list"
	RightShare = "ims:images:share"
)

// Throttled is the answer of Huawei Cloud's gateway to who asks too often, as a fault.
func Throttled() Fault {
	return Fault{
		Status: http.StatusTooManyRequests, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"error_msg": "The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute", "error_code": "APIGW.0308", "request_id": "7d6d1e9a4ce5b2b1"}`,
	}
}

// FlowControl is the answer of IMS itself to who asks too often, as a fault.
func FlowControl() Fault {
	return Fault{
		Status: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"error": {"message": "flow control", "code": "IMG.0060"}}`,
	}
}

// imsRoute is where a path below /ims leads.
func imsRoute(path string) (rt route, v1Project string) {
	seg := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(seg) == 2 && seg[0] == "v2" && (seg[1] == "cloudimages" || seg[1] == "images"):
		return route{kind: routeImages, path: "/v2/" + seg[1]}, ""
	case len(seg) == 3 && seg[0] == "v2" && seg[1] == "images":
		return route{kind: routeImage, path: path, image: seg[2]}, ""
	case len(seg) == 4 && seg[0] == "v2" && seg[1] == "images" && seg[3] == "members":
		return route{kind: routeMembers, path: path, image: seg[2]}, ""
	case len(seg) == 5 && seg[0] == "v1" && seg[2] == "cloudimages" && seg[4] == "members":
		return route{kind: routeMembers, path: path, image: seg[3]}, seg[1]
	}
	return route{}, ""
}

// caller is who asks IMS.
type caller struct {
	projectID string
	rights    []string // nil: all
}

func (p caller) may(rights ...string) bool {
	return p.rights == nil || !slices.ContainsFunc(rights, func(r string) bool { return !slices.Contains(p.rights, r) })
}

func (c *Cloud) ims(x *exchange) answer {
	if strings.Trim(x.path, "/") == "" && x.r.Method == http.MethodGet {
		// https://support.huaweicloud.com/api-ims/ims_03_0726.html
		return jsonAnswer(http.StatusOK, appendValue(nil, object{{"versions", []any{object{
			{"status", "CURRENT"},
			{"id", "v2.2"},
			{"links", []any{object{{"href", x.base + "/" + serviceIMS + "/v2/"}, {"rel", "self"}}}},
		}}}}, true))
	}
	who, refused := c.caller(x)
	if refused != nil {
		return jsonAnswer(http.StatusUnauthorized, appendValue(nil, object{
			{"error_msg", refused.text}, {"error_code", refused.code}, {"request_id", hexID()},
		}, true))
	}
	rt, v1Project := imsRoute(x.path)
	switch {
	case x.r.Method != http.MethodGet || rt.kind == routeUnknown:
		return imsError(http.StatusNotFound, "IMG.0009", "No such API")
	case v1Project != "" && v1Project != who.projectID:
		return imsError(http.StatusForbidden, "IMG.0026", "The project in the path is not the caller's.")
	}
	switch rt.kind {
	case routeImages:
		if !who.may(RightList) {
			return c.denied()
		}
		return c.data(x).cloudImages(x.r.URL.Query(), who)
	case routeImage:
		if !who.may(RightGet) {
			return c.denied()
		}
		return c.data(x).imsImage(rt.image, who)
	}
	if !who.may(RightGet) || v1Project == "" && !who.may(RightShare) {
		return c.denied()
	}
	return c.data(x).imsMembers(x.r.URL.Query(), rt.image, who)
}

// caller checks the token or the signature.
func (c *Cloud) caller(x *exchange) (caller, *denial) {
	if id := tokenOf(x.r); id != "" {
		t := c.token(id)
		if t == nil || !t.valid(c.opts.Now()) || t.projectID == "" {
			return caller{}, &denial{"APIGW.0307", "The token must be updated."}
		}
		return caller{projectID: t.projectID}, nil
	}
	key, refused := c.verify(x.r)
	if refused != nil {
		return caller{}, refused
	}
	return caller{key.ProjectID, key.Rights}, nil
}

func imsError(status int, code, message string) answer {
	return jsonAnswer(status, appendValue(nil, object{{"error", object{{"message", message}, {"code", code}}}}, true))
}

func (c *Cloud) denied() answer {
	if c.opts.EncodedDenials {
		return jsonAnswer(http.StatusForbidden, []byte(`{"encoded_authorization_message": "XXXXXXXXXXXXXXX"}`))
	}
	return imsError(http.StatusForbidden, "IMG.0026", "You do not have the permission to perform this operation.")
}

// imsVisible finds an image that a project owns or is a member of. The caller holds the lock.
func (c *Cloud) imsVisible(id, projectID string) *imageRecord {
	img := c.images[id]
	if img == nil || img.Owner != projectID && img.Visibility != "public" && !img.hasMember(projectID, "all") {
		return nil
	}
	return img
}

func noImage(id string) answer {
	return imsError(http.StatusBadRequest, "IMG.0027", "The image ["+id+"] does not exist.")
}

func (c *Cloud) imsImage(id string, who caller) answer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.imsVisible(id, who.projectID)
	if img == nil {
		return noImage(id)
	}
	return jsonAnswer(http.StatusOK, img.appendIMS(nil))
}

// appendIMS writes the record as IMS does, with properties of its own. What is shared is private there.
func (img *imageRecord) appendIMS(b []byte) []byte {
	rec := img.Image
	kind := "private"
	if slices.ContainsFunc(img.members, func(m *memberRecord) bool { return !m.deleted }) {
		kind = "shared"
	}
	rec.Properties = map[string]string{"__imagetype": kind, "virtual_env_type": "FusionCompute"}
	if img.Whole {
		rec.Properties["__whole_image"] = "true"
	}
	if rec.Visibility == "shared" {
		rec.Visibility = "private"
	}
	return rec.appendTo(b, false)
}

// cloudImages is GET /v2/cloudimages. There is no link to the next page.
func (c *Cloud) cloudImages(q url.Values, who caller) answer {
	limit, bad := imsLimit(q, "IMG.0105")
	if bad != nil {
		return *bad
	}
	if status := q.Get("member_status"); !slices.Contains([]string{"", "accepted", "rejected", "pending"}, status) {
		return imsError(http.StatusBadRequest, "IMG.0105", "member_status ["+status+"] is not accepted, rejected or pending")
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	start := 0
	if marker := q.Get("marker"); marker != "" {
		start = 1 + slices.IndexFunc(c.order, func(img *imageRecord) bool { return img.ID == marker })
		if start == 0 {
			return imsError(http.StatusBadRequest, "IMG.0144", "The marker ["+marker+"] does not exist.")
		}
	}
	b := append(make([]byte, 0, 4096), `{"images": [`...)
	n := 0
	for _, img := range c.order[start:] {
		if n == limit || !img.inCloudImages(q, who) {
			continue
		}
		if n++; n > 1 {
			b = append(b, ", "...)
		}
		b = img.appendIMS(b)
	}
	return jsonAnswer(http.StatusOK, append(b, `], "schema": "/v2/schemas/images"}`...))
}

// inCloudImages tells whether an image is in the list: the caller's own, and those of others that it is a member of with
// member_status, by default accepted.
func (img *imageRecord) inCloudImages(q url.Values, who caller) bool {
	status := cmp.Or(q.Get("member_status"), "accepted")
	shared := slices.ContainsFunc(img.members, func(m *memberRecord) bool { return !m.deleted })
	own := img.Owner == who.projectID
	switch owner := q.Get("owner"); {
	case owner != "" && img.Owner != owner, q.Get("id") != "" && q.Get("id") != img.ID, !own && !img.hasMember(who.projectID, status):
		return false
	}
	switch q.Get("__imagetype") {
	case "shared":
		return shared
	case "private":
		return own
	}
	return true
}

// imsLimit reads limit: 1 to 1000, by default 500.
func imsLimit(q url.Values, code string) (int, *answer) {
	text := q.Get("limit")
	if text == "" {
		return imsPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > imsMaxPage {
		a := imsError(http.StatusBadRequest, code, "limit must be from 1 to 1000")
		return 0, &a
	}
	return n, nil
}

// imsMembers is a page of an image's members. The owner sees all of them, a member its own row.
func (c *Cloud) imsMembers(q url.Values, id string, who caller) answer {
	limit, bad := imsLimit(q, "IMG.0143")
	if bad != nil {
		return *bad
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.imsVisible(id, who.projectID)
	if img == nil {
		return noImage(id)
	}
	rows := make([]*memberRecord, 0, len(img.members))
	for _, m := range img.members {
		if img.sees(&view{token: &token{projectID: who.projectID}}, m) {
			rows = append(rows, m)
		}
	}
	start, ok := markedRow(q.Get("marker"))
	if !ok || start > len(rows) {
		return imsError(http.StatusBadRequest, "IMG.0143", "marker is invalid")
	}
	page := rows[start:min(start+limit, len(rows))]
	b := append(make([]byte, 0, 64+320*len(page)), `{"members": [`...)
	for i, m := range page {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = m.appendIMS(b, id)
	}
	b = append(b, `], "schema": "/v2/schemas/members", "page_info": {`...)
	if start+len(page) < len(rows) {
		b = append(b, `"next_marker": `...)
		b = append(appendString(b, rowMarker(start+len(page)), true), ", "...)
	}
	b = append(b, `"current_count": `...)
	return jsonAnswer(http.StatusOK, append(strconv.AppendInt(b, int64(len(page)), 10), "}}"...))
}

// rowMarker marks the row that a page begins with, in base64 with characters that mean something else in a query.
func rowMarker(row int) string {
	return base64.StdEncoding.EncodeToString([]byte("\xfb\xef\xff" + strconv.Itoa(row)))
}

func markedRow(marker string) (row int, ok bool) {
	if marker == "" {
		return 0, true
	}
	raw, err := base64.StdEncoding.DecodeString(marker)
	if err != nil {
		return 0, false
	}
	row, err = strconv.Atoi(strings.TrimPrefix(string(raw), "\xfb\xef\xff"))
	return row, err == nil && row >= 0
}

func (m *memberRecord) appendIMS(b []byte, imageID string) []byte {
	b = m.appendTo(b, imageID)
	kind := m.Type
	if kind == "" {
		kind = "project"
	}
	b = append(b[:len(b)-1], `, "member_type": `...)
	b = appendString(b, kind, true)
	return append(b, '}')
}
