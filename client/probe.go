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

// MemberAnswer is the image API's response about one member. Either Row is set or NotMember is true.
type MemberAnswer struct {
	// Row is the member's row; nil: there is none.
	Row *Member
	// NotMember is whether the API's own 404 shows that the member is not in the list. Glance returns it only where the rows
	// of the image are visible.
	NotMember bool
	// Access is the view in which the response was read.
	Access Access
}

// MemberAs returns the row of one member, GET /v2/images/{image_id}/members/{member_id}, with the arguments of
// [Projects.MemberAs]. Glance returns a list of members with 200 and drops the rows that its policy get_member does not
// allow; this request distinguishes a list without rows from a list without visible rows. Everything but a row and a 404
// that names both the member and the image is an [*Error]. No response renews the token.
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
		if err == nil {
			err = c.secrets.refuseMembers([]Member{row})
		}
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

// decodeMember decodes one row of a member list. now is the server's clock, or zero.
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

// classify records whether an error is the image API's own 404 and, for a probe, whether it proves that rows are visible.
// Status codes alone prove nothing: gateways and proxies return 404 too.
func (e *Error) classify(req request, detail serverError, body []byte) {
	notFound := e.Status() == http.StatusNotFound
	e.RowHidden = req.op == OpGetMember && e.Status() == http.StatusForbidden
	switch {
	case req.op == OpListMembers && e.Status() == http.StatusForbidden, req.op == OpGetMember && notFound:
		e.OnlyShared = strings.Contains(detail.message, "Only shared images have members")
	}
	switch own, glance := glanceNotFound(body); {
	case !notFound:
	case req.op == OpGetMember:
		*req.notMember = e.StatusCode == http.StatusNotFound && glance && !e.OnlyShared &&
			hasWord(own, req.imageID) && hasWord(own, req.memberID) && !strings.Contains(own, "/")
		e.RowHidden = glance && !e.OnlyShared && !hasWord(own, req.imageID)
	case req.op == OpGetImage || req.op == OpListMembers:
		e.OwnNotFound = strings.HasPrefix(detail.code, "IMG.") ||
			glance && hasWord(own, req.imageID) && !strings.Contains(own, "/")
	}
}

// glancePage is the error page of Glance, by webob, for requests that do not accept JSON.
var glancePage = regexp.MustCompile(`(?is)^\s*<html>\s*<head>\s*<title>404 [^<]*</title>\s*</head>\s*` +
	`<body>\s*<h1>404 [^<]*</h1>(.*)</body>\s*</html>\s*$`)

// glanceNotFound returns the message of a 404 in Glance's own form: an object with code, title and message, or a page. It
// removes markup: webob appends <br /><br />, to JSON too.
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

// hasWord reports whether a text contains an ID without an ASCII letter, digit, hyphen or underscore beside it. Other letters
// may be there: not every language has spaces between words.
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
