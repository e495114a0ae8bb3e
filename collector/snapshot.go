package collector

import (
	"slices"
	"time"

	"glance_share_exporter/client"
)

// Sight is how much of an image's member list was seen.
type Sight int

// The sights, from nothing to everything.
const (
	// Unread: the list was not read. Nothing may be said about members.
	Unread Sight = iota
	// NotApplicable: the image's visibility has no members, and says itself who may use the image.
	NotApplicable
	// Partial: the list was read in the view of a project that may not see all of it. What it shows is true; what it
	// does not show may be true too.
	Partial
	// Whole: the list was read in the owner's or an administrator's view.
	Whole
)

// Snapshot is what one collection of one cloud saw. It is a value that nobody changes any more; metrics and pages are
// renderings of it.
type Snapshot struct {
	Cloud    string
	Start    time.Time
	Duration time.Duration
	// Up is whether there was a token and the image API answered at least once.
	Up bool
	// Err is why there was no token, or nil.
	Err    error
	State  client.State
	Images []ImageSnapshot

	opts *Options
}

// ImageSnapshot is what was seen of one image.
type ImageSnapshot struct {
	ID string
	// Name is the configured name, else the first one read since start.
	Name string
	// Record is the image's own record; nil: it was not read.
	Record *client.Image
	Sight  Sight
	// Members is empty unless Sight is Partial or Whole.
	Members []client.Member
	// StatusCode is the HTTP status of the request that decided Sight, 0 without an answer.
	StatusCode int
	// Err is why Sight is Unread.
	Err error
}

// Complete reports whether Members are all there are, each with an ID of its own.
func (s *ImageSnapshot) Complete() bool {
	return s.Sight == Whole && !slices.ContainsFunc(s.Members, func(m client.Member) bool { return m.ID == "" })
}

// findings is what the requests about one image brought.
type findings struct {
	record       *client.Image
	recordErr    error
	membersAsked bool
	membersRead  bool
	members      client.MemberList
	membersErr   error
}

// notApplicable reports whether the image is known to have a visibility without members.
func (f *findings) notApplicable(opts *Options) bool {
	return f.record != nil && f.record.Visibility.Known() && !slices.Contains(opts.MembersFor, f.record.Visibility)
}

// judge says what the findings let us say about an image, by the table "What is said when the sight is partial".
func (f *findings) judge(opts *Options, s *ImageSnapshot) {
	s.Record = f.record
	switch {
	case f.notApplicable(opts):
		// The record decided. A 403 on the members of such an image means no more than that.
		s.Sight, s.StatusCode = NotApplicable, statusOK
	case f.membersRead:
		s.Sight, s.StatusCode = Partial, statusOK
		s.Members = f.members.Members
		owned := f.record != nil && f.record.Owner != "" && f.record.Owner == f.members.Access.ProjectID
		if owned || f.members.Access.HasRole(opts.AdminRoles) {
			s.Sight = Whole
		}
	default:
		s.Sight, s.Err = Unread, f.membersErr
		if s.Err == nil {
			s.Err = errNotAsked
		}
		s.StatusCode = imageStatus(s.Err)
	}
}
