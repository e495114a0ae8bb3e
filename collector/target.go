package collector

import (
	"slices"

	"glance_share_exporter/client"
)

// target is one image of a collection, and what the requests about it brought. The collection's mu guards it.
type target struct {
	Image
	discovered bool

	swept        *client.Image // its record in the last sweep, which may be old
	record       *client.Image
	recordErr    error
	membersAsked bool
	begun        bool // its turn has come
	recordFirst  bool // when its turn comes, its record is asked for before its members
	membersRead  bool
	members      client.MemberList
	membersErr   error
	late         bool // its members were asked for when nearly all of the time was over

	listed   bool // a listing has it, and a rule takes it
	unlisted bool // a list of this collection that would have it has it not
	doubted  bool // it was asked for alone, because it may be gone
	notFound bool // and that was a 404
	unwanted bool // no rule takes it any more
}

// notApplicable reports whether the image is known to have a visibility without members.
func (t *target) notApplicable(opts *Options) bool {
	return t.record != nil && t.record.Visibility.Known() && !slices.Contains(opts.MembersFor, t.record.Visibility)
}

// judge says what the findings let us say about an image, by the table "What is said when the sight is partial".
func (t *target) judge(opts *Options, s *ImageSnapshot) {
	s.ID, s.Record, s.RecordErr, s.Discovered, s.Policy = t.ID, t.record, t.recordErr, t.discovered, t.Policy
	switch {
	case t.notApplicable(opts):
		// The record decided. A 403 on the members of such an image means no more than that.
		s.Sight, s.StatusCode = NotApplicable, statusOK
	case t.membersRead:
		s.Sight, s.StatusCode = Partial, statusOK
		s.Members = t.members.Members
		owned := t.record != nil && t.record.Owner != "" && t.record.Owner == t.members.Access.ProjectID
		if owned || t.members.Access.HasRole(opts.AdminRoles) {
			s.Sight = Whole
		}
	default:
		s.Sight, s.Err = Unread, t.membersErr
		if s.Err == nil {
			s.Err = errNotAsked
		}
		s.StatusCode = imageStatus(s.Err)
	}
}
