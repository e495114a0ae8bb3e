package fakecloud

import (
	"net/http"
	"slices"
	"strings"
)

// Huawei Cloud's image service, as its documents describe it: Glance's paths and others, pages of members, errors in
// another form. It serves the same world below /ims, and with [Options].Huawei at the root too, because the vendor's SDK
// drops the path of an endpoint.

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

// Throttled is the response of Huawei Cloud's gateway to too many requests, as a fault.
func Throttled() Fault {
	return gatewayFault(http.StatusTooManyRequests, "APIGW.0308",
		"The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute")
}

// NoBackend is the answer of Huawei Cloud's gateway where it cannot find what is behind it. It says nothing of an image.
func NoBackend() Fault {
	return gatewayFault(http.StatusNotFound, "APIGW.0103", "The backend does not exist.")
}

// NotPublished is the answer of Huawei Cloud's gateway to a path that no API has. It says nothing of an image.
func NotPublished() Fault { return gatewayFault(http.StatusNotFound, "APIGW.0101", notPublished) }

const notPublished = "The API does not exist or has not been published in the environment"

func gatewayFault(status int, code, message string) Fault {
	a := gatewayError(status, code, message)
	return Fault{Status: a.status, Header: a.header, Body: string(a.body)}
}

// FlowControl is the response of IMS itself to too many requests, as a fault.
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

// imsAtRoot tells whether a path that no service's name begins is one of IMS.
func imsAtRoot(path string) bool {
	return path == "/" || path == "" || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/")
}

// caller is the sender of a request to IMS.
type caller struct {
	projectID string
	rights    []string // nil: all
	groups    []group  // that the project belongs to
}

func (p caller) may(rights ...string) bool {
	return p.rights == nil || !slices.ContainsFunc(rights, func(r string) bool { return !slices.Contains(p.rights, r) })
}

func (c *Cloud) ims(x *exchange) answer {
	if strings.Trim(x.path, "/") == "" && x.r.Method == http.MethodGet {
		return imsVersions(x.base)
	}
	rt, v1Project := imsRoute(x.path)
	if x.r.Method != http.MethodGet || rt.kind == routeUnknown || v1Project != "" && c.opts.NoMembersV1 {
		return gatewayError(http.StatusNotFound, "APIGW.0101", notPublished)
	}
	who, refused := c.caller(x)
	switch {
	case refused != nil:
		return *refused
	case v1Project != "" && v1Project != who.projectID:
		return wrongProject()
	}
	switch rt.kind {
	case routeImages:
		if !who.may(RightList) {
			return c.denied()
		}
		return c.data(x).imsImages(rt.path, x.r.URL.Query(), who)
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

// imsVersions lists the versions, see https://support.huaweicloud.com/api-ims/ims_03_0726.html.
func imsVersions(base string) answer {
	var versions []any
	for _, v := range []struct{ id, status, path string }{
		{"v2.2", "CURRENT", "v2"},
		{"v2.1", "SUPPORTED", "v2"},
		{"v2.0", "SUPPORTED", "v2"},
		{"v1.1", "SUPPORTED", "v1"},
		{"v1.0", "SUPPORTED", "v1"},
	} {
		href := object{{"href", base + "/" + v.path + "/"}, {"rel", "self"}}
		versions = append(versions, object{{"status", v.status}, {"id", v.id}, {"links", []any{href}}})
	}
	return jsonAnswer(http.StatusMultipleChoices, appendValue(nil, object{{"versions", versions}}, true))
}

// caller checks the token or the signature.
func (c *Cloud) caller(x *exchange) (caller, *answer) {
	refuse := func(code, message string) (caller, *answer) {
		a := gatewayError(http.StatusUnauthorized, code, message)
		return caller{}, &a
	}
	var who caller
	if id := tokenOf(x.r); id != "" {
		t := c.token(id)
		if t == nil || !t.valid(c.opts.Now()) || t.projectID == "" {
			return refuse("APIGW.0307", "The token must be updated.")
		}
		who.projectID = t.projectID
	} else {
		key, refused := c.verify(x.r)
		if refused != nil {
			return refuse(refused.code, refused.text)
		}
		who.projectID, who.rights = key.ProjectID, key.Rights
	}
	if named := x.r.Header.Get("X-Project-Id"); named != "" && named != who.projectID {
		a := wrongProject()
		return caller{}, &a
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	who.groups = c.groups[who.projectID]
	return who, nil
}

// gatewayError is an answer of the gateway in front of IMS.
func gatewayError(status int, code, message string) answer {
	return jsonAnswer(status, appendValue(nil, object{{"error_msg", message}, {"error_code", code}, {"request_id", hexID()}}, true))
}

func imsError(status int, code, message string) answer {
	return jsonAnswer(status, appendValue(nil, object{{"error", object{{"message", message}, {"code", code}}}}, true))
}

func wrongProject() answer {
	return imsError(http.StatusBadRequest, "IMG.0030", "The project ID in the token does not match that in the URL.")
}

func badParameter(message string) *answer {
	a := imsError(http.StatusBadRequest, "IMG.0001", message)
	return &a
}

func (c *Cloud) denied() answer {
	switch {
	case c.opts.EncodedDenials:
		return jsonAnswer(http.StatusForbidden, []byte(`{"encoded_authorization_message": "XXXXXXXXXXXXXXX"}`))
	case c.opts.HCSO:
		return imsError(http.StatusUnauthorized, "EPS.0003", "Policy doesn't allow the action to be performed.")
	}
	return imsError(http.StatusForbidden, "IMG.0026", "You do not have the permission to perform this operation.")
}

func noImage(id string) answer {
	return imsError(http.StatusBadRequest, "IMG.0027", "The image ["+id+"] does not exist.")
}
