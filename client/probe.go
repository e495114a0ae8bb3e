package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MemberAnswer is what the image API answers about one member. Either Row is set or NotMember is true.
type MemberAnswer struct {
	// Row is the member's row; nil: there is none.
	Row *Member
	// NotMember is whether the API's own 404 says that the member is not in the list. Glance says so only where the rows
	// of the image are visible.
	NotMember bool
	// Access is the view that the answer was given to.
	Access Access
}

// MemberAs returns the row of one member, GET /v2/images/{image_id}/members/{member_id}, as [Projects] has it: the
// client is of one project. Glance answers a list of members with 200 and drops the rows that its policy get_member
// does not allow; this request tells a list without rows from a list without visible rows. Everything but a row and a
// 404 that names both the member and the image is an [*Error]. It never renews the token, whatever is answered.
func (c *Client) MemberAs(ctx context.Context, _, imageID, memberID string) (MemberAnswer, error) {
	var (
		row       Member
		notMember bool
	)
	access, err := c.get(ctx, request{
		op: OpGetMember, imageID: imageID, memberID: memberID, notMember: &notMember,
		path: "images/" + url.PathEscape(imageID) + "/members/" + url.PathEscape(memberID),
	}, func(resp response) (err error) {
		row, err = decodeMember(resp.body, imageID, memberID, resp.date)
		return err
	})
	switch {
	case err == nil:
		return MemberAnswer{Row: &row, Access: access}, nil
	case notMember:
		return MemberAnswer{NotMember: true, Access: access}, nil
	}
	return MemberAnswer{}, err
}

// decodeMember reads one row of a member list. now is the server's clock at the answer, or zero.
func decodeMember(body []byte, imageID, memberID string, now time.Time) (Member, error) {
	var r memberJSON
	if err := decode(body, &r); err != nil {
		return Member{}, err
	}
	switch {
	case r.MemberID == "" || r.ImageID == "":
		return Member{}, errors.New(`no "member_id" and "image_id" in the response` + hint(body))
	case r.ImageID != imageID:
		return Member{}, errors.New("response is about another image: " + strconv.Quote(clean(r.ImageID)))
	case r.MemberID != memberID:
		return Member{}, errors.New("response is about another member: " + strconv.Quote(clean(r.MemberID)))
	}
	return r.member(now), nil
}

// classify notes what an error answer says of the image: whether it is the image API's own 404, and for a probe
// whether it proves that rows are visible. Status codes alone prove nothing: gateways and proxies answer 404 too.
func (e *Error) classify(req request, said said, body []byte) {
	notFound := e.Status() == http.StatusNotFound
	switch {
	case req.op == OpListMembers && e.Status() == http.StatusForbidden, req.op == OpGetMember && notFound:
		e.OnlyShared = strings.Contains(said.message, "Only shared images have members")
	}
	switch own, glance := glanceNotFound(body); {
	case !notFound:
	case req.op == OpGetMember:
		*req.notMember = e.StatusCode == http.StatusNotFound && glance && !e.OnlyShared &&
			hasWord(own, req.imageID) && hasWord(own, req.memberID) && !strings.Contains(own, "/")
	case req.op == OpGetImage || req.op == OpListMembers:
		e.OwnNotFound = strings.HasPrefix(said.code, "IMG.") ||
			glance && hasWord(own, req.imageID) && !strings.Contains(own, "/")
	}
}

// glancePage is the page that Glance, by webob, answers errors with where JSON is not asked for, or not understood.
var glancePage = regexp.MustCompile(`(?is)^\s*<html>\s*<head>\s*<title>404 [^<]*</title>\s*</head>\s*` +
	`<body>\s*<h1>404 [^<]*</h1>(.*)</body>\s*</html>\s*$`)

// glanceNotFound returns the message of a 404 in Glance's own form: an object with code, title and message, or a page.
// What markup there was is removed: webob appends <br /><br />, to JSON as well.
func glanceNotFound(body []byte) (message string, ok bool) {
	if m := glancePage.FindSubmatch(body); m != nil {
		return oneLine(string(m[1])), true
	}
	var object struct {
		Message string  `json:"message"`
		Title   string  `json:"title"`
		Code    rawJSON `json:"code"`
	}
	if decode(body, &object) != nil || object.Message == "" || object.Title == "" {
		return "", false
	}
	var code string
	if decode(object.Code, &code) != nil {
		code = string(object.Code) // a number
	}
	if code != "404" && !strings.HasPrefix(code, "404 ") {
		return "", false
	}
	return oneLine(object.Message), true
}

// hasWord reports whether a text contains an ID that no letter, digit, hyphen or underscore of ASCII stands next to.
// Other letters may: not every language puts blanks between words.
func hasWord(text, id string) bool {
	if id == "" {
		return false
	}
	for rest, before := text, byte(' '); ; {
		i := strings.Index(rest, id)
		if i < 0 {
			return false
		}
		if i > 0 {
			before = rest[i-1]
		}
		after := byte(' ')
		if end := i + len(id); end < len(rest) {
			after = rest[end]
		}
		if !wordByte(before) && !wordByte(after) {
			return true
		}
		before, rest = rest[i], rest[i+1:]
	}
}

func wordByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
}
