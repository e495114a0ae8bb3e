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

// memberJSON is a row of a member list. A bad status or time costs that value; a bad ID costs the list, because then
// nobody knows who is in it.
type memberJSON struct {
	MemberID  string           `json:"member_id,case:ignore"`
	Type      string           `json:"member_type,case:ignore"` // Huawei Cloud only
	ImageID   string           `json:"image_id,case:ignore"`
	Status    property[string] `json:"status,case:ignore"`
	CreatedAt property[string] `json:"created_at,case:ignore"`
	UpdatedAt property[string] `json:"updated_at,case:ignore"`
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
		decode := func(resp response) error {
			page, err := decodeMembers(resp.body, imageID, resp.date, c.settings.Load().API)
			if unbound = err == nil && resp.unbound && len(page.members) == 0; unbound {
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
	var list struct {
		Members []memberJSON  `json:"members"`
		Others  otherSpelling `json:"MEMBERS,case:ignore"`
		envelope
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
		members = append(members, r.member(now))
	}
	page.members = members
	return page, nil
}

func (r *memberJSON) member(now time.Time) Member {
	m := Member{Type: cmp.Or(MemberType(bounded(r.Type, maxID)), TypeProject), ID: bounded(r.MemberID, maxID), Status: Unknown, Created: parseTime(r.CreatedAt.value), Updated: parseTime(r.UpdatedAt.value)}
	switch s := Status(r.Status.value); s {
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
