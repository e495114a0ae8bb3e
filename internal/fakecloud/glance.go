package fakecloud

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

type routeKind int

const (
	routeUnknown routeKind = iota
	routeVersions
	routeVersionsPage
	routeHealth
	routeRoot
	routeImages
	routeImage
	routeMembers
	routeMember
	routeSchema
)

// route is where a path of the image API leads.
type route struct {
	kind   routeKind
	path   string // with the version as /v2
	image  string
	member string // or the schema's name
}

// allow is the Allow header of the real API, which can do more than this one.
var allow = map[routeKind]string{
	routeImages:  "GET, POST",
	routeImage:   "GET, PATCH, DELETE",
	routeMembers: "GET, POST",
	routeMember:  "GET, PUT, DELETE",
	routeSchema:  "GET",
}

const mimeVersion = "application/vnd.openstack.images-"

// routeOf follows Glance's version negotiation and router: the path is decoded first and slashes are collapsed, so
// that %2F and // lead where nobody meant them to. What has no known version gets the list of versions.
func routeOf(path, accept string) route {
	first, rest, found := strings.Cut(strings.TrimLeft(path, "/"), "/")
	switch {
	case first == "versions" && !strings.HasPrefix(path, "//"):
		return route{kind: routeVersionsPage}
	case first == "healthcheck":
		return route{kind: routeHealth}
	}
	version := first
	if v, ok := strings.CutPrefix(accept, mimeVersion); ok {
		version, rest, found = v, strings.TrimPrefix(path, "/"), true
	}
	if !knownVersion(version) {
		return route{kind: routeVersions}
	}
	if !found {
		return route{kind: routeRoot, path: "/v2"}
	}
	rest = "/" + rest
	for strings.Contains(rest, "//") {
		rest = strings.ReplaceAll(rest, "//", "/")
	}
	r := route{path: "/v2" + rest}
	seg := strings.Split(rest[1:], "/")
	switch {
	case len(seg) == 1 && seg[0] == "images":
		r.kind = routeImages
	case len(seg) == 2 && seg[0] == "images" && seg[1] != "":
		r.kind, r.image = routeImage, seg[1]
	case len(seg) == 3 && seg[0] == "images" && seg[2] == "members":
		r.kind, r.image = routeMembers, seg[1]
	case len(seg) == 4 && seg[0] == "images" && seg[2] == "members" && seg[3] != "":
		r.kind, r.image, r.member = routeMember, seg[1], seg[3]
	case len(seg) == 2 && seg[0] == "schemas" && (seg[1] == "member" || seg[1] == "members"):
		r.kind, r.member = routeSchema, seg[1]
	}
	return r
}

func knownVersion(v string) bool {
	if v == "v2" {
		return true
	}
	minor, ok := strings.CutPrefix(v, "v2.")
	n, err := strconv.Atoi(minor)
	return ok && err == nil && n >= 0 && n <= 16 && strconv.Itoa(n) == minor
}

// Lines longer than these are refused by eventlet, the server below Glance.
const (
	maxRequestLine = 8192
	maxHeaderLine  = 16384
)

func (c *Cloud) glance(x *exchange) answer {
	r, rt := x.r, x.route
	line := len(r.Method) + len(" ") + len(r.RequestURI) + len(" HTTP/1.1\r\n")
	if line >= maxRequestLine {
		return bareAnswer(http.StatusRequestURITooLong)
	}
	for name, values := range r.Header {
		for _, v := range values {
			if len(name)+len(": \r\n")+len(v) >= maxHeaderLine {
				return bareAnswer(http.StatusBadRequest)
			}
		}
	}
	switch {
	case r.Method == http.MethodOptions:
		return answer{status: http.StatusOK, header: http.Header{}}
	case rt.kind == routeHealth:
		return textAnswer(http.StatusOK, "text/plain; charset=UTF-8", "OK")
	case !utf8.ValidString(r.URL.Path):
		a := bareAnswer(http.StatusInternalServerError)
		a.header.Set("Content-Type", "text/plain")
		return a
	case rt.kind == routeVersions:
		return versionsAnswer(http.StatusMultipleChoices, x.endpoint(), c.newest())
	case rt.kind == routeVersionsPage:
		return versionsAnswer(http.StatusOK, x.endpoint(), c.newest())
	}

	t := c.authorize(x)
	if t == nil {
		a := webobError(r, http.StatusUnauthorized, unauthorizedText)
		a.header.Set("Www-Authenticate", fmt.Sprintf("Keystone uri=%q", x.base+"/"+serviceIdentity))
		return a // without a request ID: the request never reaches the part that makes one
	}
	id, ok := requestID(r)
	a := c.data(x).route(x, c.view(t))
	if c.opts.Chinese && a.explanation != "" {
		a = explain(r, a.status, inChinese(a.explanation))
	}
	if ok {
		a.header.Set("X-Openstack-Request-Id", id)
	} else if rt.kind != routeUnknown {
		a = webobError(r, http.StatusInternalServerError, erredText)
	}
	return a
}

func (c *Cloud) route(x *exchange, v *view) answer {
	r, rt := x.r, x.route
	if rt.kind == routeRoot {
		a := textAnswer(http.StatusFound, "text/plain; charset=utf8", "")
		a.header.Set("Location", x.endpoint()+"/v2/")
		return a
	}
	if rt.kind == routeUnknown {
		return webobError(r, http.StatusNotFound, notFoundText)
	}
	if r.Method != http.MethodGet {
		a := methodNotAllowed(r)
		a.header.Set("Allow", allow[rt.kind])
		return a
	}
	if rt.kind == routeImages {
		return c.listImages(r, v) // the only one that puts up with a body
	}
	if len(x.body) > 0 {
		return webobError(r, http.StatusBadRequest, "A body is not expected with this request.")
	}
	switch rt.kind {
	case routeImage:
		return c.getImage(r, v, rt.image)
	case routeMembers:
		return c.listMembers(r, v, rt.image)
	case routeMember:
		return c.getMember(r, v, rt.image, rt.member)
	}
	return jsonAnswer(http.StatusOK, []byte(schemas[rt.member]))
}

// endpoint is the image API's own URL, as the request knows it.
func (x *exchange) endpoint() string {
	if x.region != "" {
		return x.base + "/regions/" + x.region + "/" + serviceImage
	}
	return x.base + "/" + serviceImage
}

// requestID takes over the client's ID; ok is false for one that is longer than Glance's column, which becomes a 500.
func requestID(r *http.Request) (id string, ok bool) {
	id = r.Header.Get("X-Openstack-Request-Id")
	if id == "" {
		return "req-" + newUUID(), true
	}
	if !strings.HasPrefix(id, "req-") {
		id = "req-" + id
	}
	return id, len(id) <= 64
}

func versionsAnswer(status int, endpoint string, newest int) answer {
	var list []any
	for minor := newest; minor >= 0; minor-- {
		state := "SUPPORTED"
		if minor == newest {
			state = "CURRENT"
		}
		list = append(list, object{
			{"id", "v2." + strconv.Itoa(minor)},
			{"status", state},
			{"links", []any{object{{"rel", "self"}, {"href", endpoint + "/v2/"}}}},
		})
	}
	return jsonAnswer(status, appendValue(nil, object{{"versions", list}}, true))
}
