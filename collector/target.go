package collector

import (
	"cmp"
	"time"

	"glance_share_exporter/client"
)

// target is one image of a collection, and what the requests about it brought. The collection's mu guards it.
type target struct {
	Image
	past       *imageHistory // what earlier collections left; it does not change
	discovered bool

	swept       *client.Image // its record in the last sweep, which may be old
	record      *client.Image // the last one
	recordBegan moment        // when it was asked for
	recordErr   error
	before      *client.Image // the last record when the members were asked for; nil: there was none in this collection
	after       *client.Image // the last record that was asked for after the members were read

	membersAsked bool
	lowPriority  bool // it was asked for when nothing else is left
	membersTaken bool // its members are read, or were
	begun        bool // its turn has come
	inTurn       bool // its record is asked for alone, and its members in the same turn
	recordFirst  bool // when its turn comes, its record is asked for before its members
	membersRead  bool
	members      client.MemberList
	membersErr   error
	membersBegan moment
	membersEnd   moment
	probed       *probed     // nil: no probe of this collection proved anything
	checked      observation // the probe on this very image showed that rows are visible
	refused      observation // the probe on this very image was refused
	oneRow       bool        // members is what the probe on this very image was answered, and the list was empty
	late         bool        // its members were asked for when nearly all of the time was over
	cutOff       bool        // what was left of the time was too short for the answer

	listed     bool // a listing has it, and a rule takes it
	askedAgain bool // its record was, after its members

	doubted   bool // it was asked for alone, because it may be gone
	notFound  bool // and that was a 404 of the image API's own
	unmatched bool // no rule takes it any more
}

// judge says what the evidence lets us say about an image, by the table "What is reported when the view is incomplete".
func (t *target) judge(e *imageEvidence, s *ImageSnapshot) {
	s.ID, s.Record, s.RecordErr, s.Discovered, s.Policy = t.ID, t.record, t.recordErr, t.discovered, t.Policy
	v := e.verdict()
	s.MembersRead = e.readAt(v)
	if t.record != nil {
		s.RecordRead = e.recordBegan
	}
	s.StatusCode = statusOK
	switch v {
	case noMembers:
		// The record decided. A 403 on the members of such an image means no more than that.
		s.Coverage = NotApplicable
	case allMembers:
		s.Coverage, s.Members = Complete, t.members.Members
	case someKnown:
		s.Coverage, s.Members, s.Doubt = Partial, t.members.Members, e.doubt()
	case unproven:
		s.Coverage, s.Err = Unread, e.unprovenErr()
	case notRead:
		s.Coverage, s.Err = Unread, cmp.Or(t.membersErr, t.notRequested(), errNotAsked)
		if s.StatusCode = imageStatus(s.Err); s.StatusCode == statusOK {
			s.StatusCode = 0 // an answer that was refused is none
		}
	}
}

// readAt is when the request began that a verdict is from, zero where nothing was read. A record decides together with the list that it
// was read beside, if there is one.
func (e *imageEvidence) readAt(v verdict) time.Time {
	switch {
	case v == notRead || v == unproven:
		return time.Time{}
	case v == noMembers && (e.list.at.IsZero() || e.recordBegan.Before(e.list.at)):
		return e.recordBegan
	}
	return e.list.at
}

// notRequested is why members were not asked for, as far as the request for the record tells; nil where it tells nothing.
func (t *target) notRequested() error {
	if t.notFound || notAsked(t.recordErr) {
		return t.recordErr
	}
	return nil
}
