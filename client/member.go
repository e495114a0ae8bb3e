package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is what a member did with the share. A member has access whatever its status: pending and rejected only keep the
// image out of its image list.
type Status string

// The statuses of a member.
const (
	Accepted Status = "accepted"
	Pending  Status = "pending"
	Rejected Status = "rejected"
	Unknown  Status = "unknown" // whatever else the API says
)

// Statuses returns every status that a [Member] can have.
func Statuses() []Status { return []Status{Pending, Accepted, Rejected, Unknown} }

func (s Status) strength() int {
	switch s {
	case Accepted:
		return 3
	case Pending:
		return 2
	case Rejected:
		return 1
	}
	return 0
}

// MemberType is what kind of thing a member is.
type MemberType string

// The types of members. Glance has projects only. A type that the API makes up is another one: it is nobody's who is
// expected.
const (
	TypeProject      MemberType = "project"
	TypeDomain       MemberType = "domain"
	TypeOrganization MemberType = "organization"
)

// MemberTypes returns the types that the API documents.
func MemberTypes() []MemberType { return []MemberType{TypeProject, TypeDomain, TypeOrganization} }

// Member is one row of an image's member list.
type Member struct {
	Type MemberType
	// ID is opaque, normally a project's ID. Empty: a row that does not say whose it is.
	ID     string
	Status Status
	// Created is when the image was first shared with the member: a share removed and made again keeps it. Updated is
	// the last change of the status. Zero where the API's value cannot be read.
	Created, Updated time.Time
}

// MemberList is an image's member list, sorted by type and ID, each member once.
type MemberList struct {
	Members []Member
	// Repeated is whether a member had several rows.
	Repeated bool
	// Access is the view that the list was given to.
	Access Access
}

type memberJSON struct {
	MemberID  string `json:"member_id"`
	Type      string `json:"member_type"` // Huawei Cloud only
	ImageID   string `json:"image_id"`
	Status    string `json:"status"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

var errTooManyMembers = errors.New("member list with more than " + strconv.Itoa(maxMembers) + " members")

// maxMemberPages bounds a list that never ends: a hundred pages of 500 are far beyond any cloud's quota.
const maxMemberPages = 100

// Members returns the members of one image, GET /v2/images/{image_id}/members, or what [Settings].MembersAPI says instead,
// all pages of it: part of a list is an error. The error is an [*Error]. 404: there is no such image for this credential.
// 403: no right, or the image has a visibility without members.
func (c *Client) Members(ctx context.Context, imageID string) (MemberList, error) {
	var (
		list    MemberList
		markers = map[string]bool{} // of the pages that were begun
		marker  string
		total   float64 // what the pages say the whole list has
	)
	for first := true; first || marker != ""; first = false {
		unbound := false
		req := c.membersRequest(imageID, marker)
		decode := func(a answer) error {
			page, err := decodeMembers(a.body, imageID, a.date, c.settings.Load().API)
			if unbound = err == nil && a.unbound && len(page.members) == 0; unbound {
				return nil
			}
			rows := len(list.Members) + len(page.members)
			total = max(total, page.total)
			switch {
			case err != nil:
				return err
			case page.next == "" && total > float64(rows):
				return fmt.Errorf("member list has %d rows, but reports %v", rows, total)
			case page.next != "" && markers[page.next]:
				return errors.New("pagination loop: marker repeated")
			case rows > maxMembers:
				return errTooManyMembers
			case page.next != "" && len(markers) == maxMemberPages-1:
				return errors.New("member list with more than " + strconv.Itoa(maxMemberPages) + " pages")
			}
			if list.Members == nil {
				list.Members = page.members
			} else {
				list.Members = append(list.Members, page.members...)
			}
			if marker = page.next; marker != "" {
				markers[marker] = true
			}
			return nil
		}
		access, err := c.get(ctx, req, decode)
		if err == nil && unbound {
			// Nothing but a new connection shows that it is this image that has no members, here and from now on.
			c.setSilent(access.Endpoint)
			req.fresh = true
			access, err = c.get(ctx, req, decode)
		}
		if err == nil && !first && !access.SameView(list.Access) {
			err = &Error{Op: OpListMembers, ImageID: imageID, Code: CodeDecode, Message: "the pages of the member list were read with tokens of different rights"}
		}
		if err != nil {
			return MemberList{}, c.explain(err)
		}
		list.Access = access
	}
	rows := len(list.Members)
	list.Members = normalize(list.Members)
	list.Repeated = len(list.Members) < rows
	return list, nil
}

// MembersAs is Members, as [Projects] has it: the client is of one project.
func (c *Client) MembersAs(ctx context.Context, _, imageID string) (MemberList, error) {
	return c.Members(ctx, imageID)
}

// membersRequest is for the page that begins after marker, which is sent back as it came.
func (c *Client) membersRequest(imageID, marker string) request {
	req := request{op: OpListMembers, imageID: imageID, path: "images/" + url.PathEscape(imageID) + "/members"}
	if c.settings.Load().MembersAPI == MembersV1 {
		req.v1, req.path = true, "cloudimages/"+url.PathEscape(imageID)+"/members"
	}
	if marker != "" {
		req.path += "?marker=" + url.QueryEscape(marker)
	}
	return req
}

// memberPage is one page of a member list.
type memberPage struct {
	members []Member
	next    string  // the marker of the next page; empty: this is the last one
	total   float64 // how many rows the whole list has, as far as the page says; 0: it does not
}

// imsMemberPage is how many rows Huawei Cloud's documents give a page by default.
const imsMemberPage = 500

// decodeMembers reads a page of a member list. now is the server's clock at the answer, or zero.
func decodeMembers(body []byte, imageID string, now time.Time, api API) (memberPage, error) {
	if err := checkSize(body, maxMemberValues); err != nil {
		return memberPage{}, err
	}
	rows, around, err := memberRows(body)
	if err != nil {
		return memberPage{}, err
	}
	page, err := around.check(body, len(rows), api)
	if err != nil {
		return memberPage{}, err
	}
	if len(rows) > maxMembers {
		return memberPage{}, errTooManyMembers
	}
	members := make([]Member, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		if r.ImageID != "" && r.ImageID != imageID {
			return memberPage{}, errors.New("row is about another image: " + strconv.Quote(clean(r.ImageID)))
		}
		if strings.ContainsRune(r.MemberID, utf8.RuneError) {
			return memberPage{}, errors.New("member_id is not valid Unicode text: two members could look the same")
		}
		members = append(members, r.member(now))
	}
	page.members = members
	return page, nil
}

// envelope is what stands around a list of members and says that it is not all, or none.
type envelope struct {
	Next         json.RawMessage `json:"next"`
	MembersLinks json.RawMessage `json:"members_links"`
	NextMarker   json.RawMessage `json:"next_marker"`
	Links        json.RawMessage `json:"links"`
	Total        json.RawMessage `json:"total"`
	TotalCount   json.RawMessage `json:"total_count"`
	Count        json.RawMessage `json:"count"`
	PageInfo     struct {
		NextMarker   json.RawMessage `json:"next_marker"`
		CurrentCount json.RawMessage `json:"current_count"`
	} `json:"page_info"`
	refusal
}

// The keys that are looked at, of an envelope and of what is in it: a row, the page_info, or the links.
var (
	envelopeKeys = newKeySet(append(refusalKeys(), "members", "page_info", "next", "members_links", "next_marker", "links",
		"total", "total_count", "count")...)
	rowKeys = newKeySet("member_id", "member_type", "image_id", "status", "created_at", "updated_at", "next_marker", "current_count", "next")
)

// refusal is an error that comes as a 200.
type refusal struct {
	Error     json.RawMessage `json:"error"`
	ErrorCode json.RawMessage `json:"error_code"`
	ErrorMsg  json.RawMessage `json:"error_msg"`
	Errors    json.RawMessage `json:"errors"`
	Encoded   json.RawMessage `json:"encoded_authorization_message"`
	Message   json.RawMessage `json:"message"`
	Code      json.RawMessage `json:"code"`
}

// refusalKeys returns the keys of a refusal.
func refusalKeys() []string {
	return []string{"error", "error_code", "error_msg", "errors", "encoded_authorization_message", "message", "code"}
}

// says reports whether a value is there and says something: null, "", [] and {} say nothing.
func says(raw json.RawMessage) bool {
	switch n := len(raw); {
	case n == 0 || string(raw) == "null" || string(raw) == `""`:
		return false
	case raw[0] == '[' || raw[0] == '{':
		return len(bytes.TrimSpace(raw[1:n-1])) > 0
	}
	return true
}

// check returns the error that a 200 has in it, or nil.
func (r *refusal) check(body []byte) error {
	if says(r.Error) || says(r.ErrorCode) || says(r.ErrorMsg) || says(r.Errors) || says(r.Encoded) || says(r.Message) && says(r.Code) {
		return errors.New("response with status 200 contains an error" + hint(body))
	}
	return nil
}

// check returns a page with what the envelope says of it, or why a page of so many rows is not what it seems to be.
func (e *envelope) check(body []byte, rows int, api API) (page memberPage, err error) {
	if err := e.refusal.check(body); err != nil {
		return memberPage{}, err
	}
	switch more := e.more(); {
	case more != "":
		return memberPage{}, errors.New("unexpected " + strconv.Quote(more) + " in the member list")
	case !utf8.Valid(body):
		return memberPage{}, errors.New("response is not UTF-8: two members could look the same")
	}
	if err := checkKeys(body, envelopeKeys, rowKeys); err != nil {
		return memberPage{}, err
	}
	info := &e.PageInfo
	if says(info.NextMarker) && json.Unmarshal(info.NextMarker, &page.next) != nil {
		return memberPage{}, errors.New("next_marker is not a string")
	}
	if len(page.next) > maxMarker {
		return memberPage{}, errors.New("next_marker has more than " + strconv.Itoa(maxMarker) + " bytes")
	}
	if says(info.CurrentCount) {
		if n, ok := number(info.CurrentCount); !ok || n != float64(rows) {
			return memberPage{}, fmt.Errorf("page has %d members, but current_count is %s", rows, clean(string(info.CurrentCount)))
		}
	}
	if api == IMS && rows == imsMemberPage && len(info.NextMarker) == 0 && len(info.CurrentCount) == 0 {
		return memberPage{}, fmt.Errorf("page of %d members without page_info: it may not be the last page", rows)
	}
	for _, raw := range []json.RawMessage{e.Total, e.TotalCount, e.Count} {
		if n, ok := number(raw); ok {
			page.total = max(page.total, n)
		}
	}
	return page, nil
}

// more returns the key that says that there is another page, or nothing.
func (e *envelope) more() string {
	switch {
	case says(e.Next):
		return "next"
	case says(e.MembersLinks):
		return "members_links"
	case says(e.NextMarker):
		return "next_marker"
	case len(e.Links) == 0:
		return ""
	}
	var links struct {
		Next json.RawMessage `json:"next"`
	}
	// Links of another type than an object name no next page by this key.
	if json.Unmarshal(e.Links, &links) == nil && says(links.Next) {
		return "links.next"
	}
	return ""
}

// number reads a number, or a string with one in it.
func number(raw json.RawMessage) (float64, bool) {
	if len(raw) == 0 {
		return 0, false
	}
	text := string(raw)
	if raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && !math.IsNaN(n)
}

func memberRows(body []byte) (rows []memberJSON, around *envelope, err error) {
	// A pointer tells a list that is missing or null from an empty one.
	var list struct {
		Others  ignored       `json:"MEMBERS"` // in other letters, as in otherLetters
		Members *[]memberJSON `json:"members"`
		envelope
	}
	err = json.Unmarshal(body, &list)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return lenientRows(body)
	}
	if err != nil {
		return nil, nil, shapeError(err)
	}
	if list.Members == nil {
		return nil, nil, errors.New(`no "members" in the response` + hint(body))
	}
	return *list.Members, &list.envelope, nil
}

// lenientRows reads a list in which some value has another type than the API document says. A bad status or time costs
// that value; a bad ID or a row that is no object costs the list, because then nobody knows who is in it.
func lenientRows(body []byte) (rows []memberJSON, around *envelope, err error) {
	var list struct {
		Others  ignored `json:"MEMBERS"`
		Members *[]struct {
			MemberID  string          `json:"member_id"`
			Type      string          `json:"member_type"`
			ImageID   string          `json:"image_id"`
			Status    json.RawMessage `json:"status"`
			CreatedAt json.RawMessage `json:"created_at"`
			UpdatedAt json.RawMessage `json:"updated_at"`
		} `json:"members"`
		envelope
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, nil, shapeError(err)
	}
	if list.Members == nil {
		return nil, nil, errors.New(`no "members" in the response` + hint(body))
	}
	if len(*list.Members) > maxMembers {
		return nil, nil, errTooManyMembers
	}
	rows = make([]memberJSON, 0, len(*list.Members))
	for _, r := range *list.Members {
		row := memberJSON{MemberID: r.MemberID, Type: r.Type, ImageID: r.ImageID}
		row.setLenient(r.Status, r.CreatedAt, r.UpdatedAt)
		rows = append(rows, row)
	}
	return rows, &list.envelope, nil
}

// setLenient sets the values that may have any type. What is no string stays empty.
func (r *memberJSON) setLenient(status, created, updated json.RawMessage) {
	_ = json.Unmarshal(status, &r.Status)
	_ = json.Unmarshal(created, &r.CreatedAt)
	_ = json.Unmarshal(updated, &r.UpdatedAt)
}

func (r *memberJSON) member(now time.Time) Member {
	m := Member{Type: cmp.Or(MemberType(bounded(r.Type, maxID)), TypeProject), ID: bounded(r.MemberID, maxID), Status: Unknown, Created: parseTime(r.CreatedAt), Updated: parseTime(r.UpdatedAt)}
	switch s := Status(r.Status); s {
	case Accepted, Pending, Rejected:
		m.Status = s
	}
	// Glance tells the present moment for a row of old that has no updated_at.
	if !now.IsZero() && !m.Updated.Before(now) {
		m.Updated = m.Created
	}
	return m
}

// normalize sorts the rows and keeps each member once, with its strongest status. Rows without an ID are all kept: they
// may be different members.
func normalize(members []Member) []Member {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID), cmp.Compare(b.Status.strength(), a.Status.strength()),
			b.Updated.Compare(a.Updated))
	})
	return slices.CompactFunc(members, func(a, b Member) bool { return a.Type == b.Type && a.ID == b.ID && a.ID != "" })
}

// shapeError says in short why a body is not the JSON that it should be.
func shapeError(err error) error {
	var typeErr *json.UnmarshalTypeError
	if errors.As(err, &typeErr) {
		if typeErr.Field == "" {
			return errors.New("response is a JSON " + typeErr.Value + ", not an object")
		}
		return errors.New(strconv.Quote(typeErr.Field) + " in the response is a JSON " + typeErr.Value)
	}
	return errors.New("invalid JSON in the response: " + clean(err.Error()))
}

// hint quotes what an unexpected body says.
func hint(body []byte) string {
	if m := serverMessage(body); m != "" {
		return ": " + m
	}
	return ""
}
