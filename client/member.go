package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is a member's response to the share. A member has access whatever its status: pending and rejected only hide the
// image in its image list.
type Status string

// The statuses of a member.
const (
	Accepted Status = "accepted"
	Pending  Status = "pending"
	Rejected Status = "rejected"
	Unknown  Status = "unknown" // anything else
)

// Statuses returns every status that a [Member] can have.
func Statuses() []Status { return []Status{Pending, Accepted, Rejected, Unknown} }

// MemberType is the kind of a member.
type MemberType string

// The types of members. Glance has projects only. A member of a type that is not documented is never an expected one.
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
	// ID is opaque, normally a project's ID. Empty: the row has none.
	ID     string
	Status Status
	// Created is when the image was first shared with the member: a share that was removed and created again keeps it.
	// Updated is the last change of the status. Zero: the API's value cannot be read.
	Created, Updated time.Time
}

// MemberList is an image's member list, sorted by type and ID, each member once.
type MemberList struct {
	Members []Member
	// Repeated is whether a member had several rows.
	Repeated bool
	// Access is the view in which the list was read.
	Access Access
}

var errTooManyMembers = errors.New("member list with more than " + strconv.Itoa(maxMembers) + " members")

// maxMemberPages bounds an endless list: a hundred pages of 500 are far above any cloud's quota.
const maxMemberPages = 100

// Members returns the members of one image, GET /v2/images/{image_id}/members or as [Settings].MembersAPI selects, all pages:
// an incomplete list is an error. The error is an [*Error]. 404: this credential sees no such image. 403: it has no
// permission, or the image has a visibility without members.
func (c *Client) Members(ctx context.Context, imageID string) (MemberList, error) {
	var (
		list    MemberList
		markers = map[string]bool{} // of the pages that were requested
		marker  string
		total   float64 // of the whole list, as the pages report it
	)
	for first := true; first || marker != ""; first = false {
		unbound := false
		req := c.membersRequest(imageID, marker)
		decode := func(resp response) error {
			page, err := decodeMembers(resp.body, imageID, resp.date, c.settings.Load().API)
			if err == nil {
				err = c.secrets.refuseMembers(page.members)
			}
			if unbound = err == nil && resp.unbound && !page.named; unbound {
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
			// Only a new connection shows that it is this image that has no members, now and later.
			c.setNoEcho(access.Endpoint)
			req.fresh = true
			access, err = c.get(ctx, req, decode)
		}
		if err == nil && !first && !access.SameView(list.Access) {
			err = &Error{
				Op: OpListMembers, ImageID: imageID, Code: CodeDecode,
				Message: "the pages of the member list were read with tokens of different rights",
			}
		}
		if err != nil {
			return MemberList{}, c.withRemedy(err)
		}
		list.Access = access
	}
	rows := len(list.Members)
	list.Members = normalize(list.Members)
	list.Repeated = len(list.Members) < rows
	if list.Repeated && len(markers) > 0 {
		return MemberList{}, &Error{
			Op: OpListMembers, ImageID: imageID, Code: CodeDecode,
			Message: "the pages of the member list repeat a row, so they may lack another one",
		}
	}
	if list.Repeated && total > float64(len(list.Members)) {
		return MemberList{}, &Error{
			Op: OpListMembers, ImageID: imageID, Code: CodeDecode,
			Message: fmt.Sprintf("member list has %d different rows, but reports %v", len(list.Members), total),
		}
	}
	return list, nil
}

// MembersAs is Members with the arguments of [Projects.MembersAs]. The client has one project only.
func (c *Client) MembersAs(ctx context.Context, _, imageID string) (MemberList, error) {
	return c.Members(ctx, imageID)
}

// membersRequest is the request for the page after marker, which is sent unchanged.
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
	named   bool    // a row names the image
	next    string  // the marker of the next page; empty: this is the last one
	total   float64 // how many rows the whole list has, as the page reports it; 0: it does not
}

// imsMemberPage is the default number of rows in a page, according to Huawei Cloud's documentation.
const imsMemberPage = 500

// decodeMembers decodes a page of a member list. now is the server's clock, or zero.
func decodeMembers(body []byte, imageID string, now time.Time, api API) (memberPage, error) {
	if err := checkSize(body, maxMemberValues); err != nil {
		return memberPage{}, err
	}
	var list struct {
		Members []memberJSON  `json:"members"`
		Others  otherSpelling `json:"MEMBERS,case:ignore"`
		pageJSON
	}
	if err := decode(body, &list); err != nil {
		return memberPage{}, err
	}
	if list.Members == nil {
		return memberPage{}, errors.New(`no "members" in the response` + hint(body))
	}
	page, err := list.check(body, len(list.Members), api)
	if err != nil {
		return memberPage{}, err
	}
	if len(list.Members) > maxMembers {
		return memberPage{}, errTooManyMembers
	}
	members := make([]Member, 0, len(list.Members))
	for i := range list.Members {
		r := &list.Members[i]
		if r.ImageID != "" && r.ImageID != imageID {
			return memberPage{}, errors.New("row is about another image: " + strconv.Quote(clean(r.ImageID)))
		}
		if strings.ContainsRune(r.MemberID, utf8.RuneError) {
			return memberPage{}, errors.New("member_id is not valid Unicode text: two members could look the same")
		}
		page.named = page.named || r.ImageID != ""
		members = append(members, r.member(now))
	}
	page.members = members
	return page, nil
}

// memberJSON is a row of a member list. An invalid status or time costs that value; an invalid ID costs the list, because the
// member is unknown.
type memberJSON struct {
	MemberID  string           `json:"member_id,case:ignore"`
	Type      string           `json:"member_type,case:ignore"` // Huawei Cloud only
	ImageID   string           `json:"image_id,case:ignore"`
	Status    property[string] `json:"status,case:ignore"`
	CreatedAt property[string] `json:"created_at,case:ignore"`
	UpdatedAt property[string] `json:"updated_at,case:ignore"`
}

func (r *memberJSON) member(now time.Time) Member {
	m := Member{
		Type: cmp.Or(MemberType(bounded(r.Type, maxID)), TypeProject), ID: bounded(r.MemberID, maxID), Status: Unknown,
		Created: parseTime(r.CreatedAt.value), Updated: parseTime(r.UpdatedAt.value),
	}
	switch s := Status(r.Status.value); s {
	case Accepted, Pending, Rejected:
		m.Status = s
	}
	// Glance returns the present time for an old row without updated_at.
	if !now.IsZero() && !m.Updated.Before(now) {
		m.Updated = m.Created
	}
	return m
}

// normalize sorts the rows and keeps each member once, with its strongest status. It keeps all rows without an ID, because
// they may be different members.
func normalize(members []Member) []Member {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID), cmp.Compare(b.Status.strength(), a.Status.strength()),
			b.Updated.Compare(a.Updated))
	})
	return slices.CompactFunc(members, func(a, b Member) bool { return a.Type == b.Type && a.ID == b.ID && a.ID != "" })
}

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
