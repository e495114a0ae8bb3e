package collector

import (
	"cmp"
	"context"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// image is one image of a run, and what the requests about it brought.
type image struct {
	Image
	seen       *seenImage // what earlier runs left; only History.exchange changes it
	discovered bool
	progress
	existence
	recordResult
	membersResult
	probeResult
}

// progress is where an image is on its way through the queue.
type progress struct {
	queuedIn    *[]task // where it waits to be read; nil: it does not
	visited     bool    // it was read, as far as that could be; what becomes known now may call for more
	requested   bool    // its members are, or were
	recordFirst bool    // its record is requested alone, before its members
}

// existence is what shows whether a discovered image is still there, and ours to watch.
type existence struct {
	listed           bool          // a listing has it, and a rule takes it
	discoveredRecord *client.Image // its record in the listing of an earlier run, which may be old
	verified         bool          // it was requested alone, because it may be gone
	notFound         bool          // and that was a 404 of the image API's own
	unmatched        bool          // no rule takes it any more, or one skips it
}

// recordResult is what the requests for an image's record brought.
type recordResult struct {
	record         *client.Image // the last one
	recordBegan    moment        // when it was requested
	recordErr      error
	before         *client.Image // the last record when the members were requested; nil: there was none in this run
	after          *client.Image // the last record that was requested after the members were read
	recordRepeated bool          // the record was, after the members
}

// membersResult is what the request for an image's members brought.
type membersResult struct {
	members       client.MemberList
	membersRead   bool
	membersErr    error
	membersBegan  moment
	membersEnd    moment
	requestedLate bool // they were requested when nearly all of the time was over
	cutOff        bool // what was left of the time was too short for the answer
}

// probeResult is what requests for one row of an image's members brought.
type probeResult struct {
	probed  *probed     // nil: none of this run proved anything
	checked observation // rows of this very image are visible
	refused observation // the probe on this very image was refused
	oneRow  bool        // members is that row, and the list was empty
}

// enqueueImages lets every image wait to be read.
func (r *run) enqueueImages() {
	images := slices.Clone(r.images)
	order(images)
	for _, t := range images {
		r.enqueue(t, r.placeOf(t))
	}
}

// placeOf is where an image waits to be read: late where that is done in turns, and early, for half of the workers, where it hung the last
// time.
func (r *run) placeOf(t *image) *[]task {
	switch {
	case t.record == nil && !r.readsUnseen(t):
		return &r.queue.rest
	case r.inTurns(t):
		return &r.queue.last
	case t.seen.timedOut:
		return &r.queue.slow
	}
	return &r.queue.rest
}

// enqueue lets an image wait in a place, and in no other one.
func (r *run) enqueue(t *image, place *[]task) {
	if t.requested || t.queuedIn == place {
		return
	}
	r.queue.add(place, r.reads(t, place))
}

// reads is the task that reads an image, unless it waits in another place by then.
func (r *run) reads(t *image, place *[]task) task {
	t.queuedIn = place
	return func(ctx context.Context) {
		if t.queuedIn == place {
			t.queuedIn = nil
			r.readImage(ctx, t)
		}
	}
}

// readImage reads an image from top to bottom: its record where no list has it, its members, and its record again where the evidence takes
// one that is read after the members. So each image is complete before the next one, and the records of all don't take the time of
// all members. Where the record is still to come from a list, and the members cannot be requested without it, the image is read once
// more then.
func (r *run) readImage(ctx context.Context, t *image) {
	t.visited = false
	if t.recordFirst && t.record == nil {
		_ = r.readRecord(ctx, t) // the error is noted there
	}
	t.visited = true
	if !t.requested && r.wantsMembers(t) {
		r.readMembers(ctx, t)
	}
}

// wantsMembers reports whether an image's members are to be requested, by what is known of it now.
func (r *run) wantsMembers(t *image) bool {
	switch {
	case t.unmatched:
		return false
	case t.record != nil:
		e := r.evidence(t)
		return e.wantsList()
	case t.recordErr != nil && !notRequested(t.recordErr):
		return true
	}
	return r.readsUnseen(t)
}

// readsUnseen reports whether an image's members are requested though its record is not read in this run: not where the image is seen for
// the first time, nor where its last record says that it has none.
func (r *run) readsUnseen(t *image) bool {
	if t.seen.last == nil {
		return t.seen.met
	}
	e := r.evidence(t)
	e.record = t.seen.last
	return e.wantsList()
}

// readMembers reads an image's list of members.
func (r *run) readMembers(ctx context.Context, t *image) {
	t.requested = true
	t.before, t.after = t.record, nil // those at hand, and those to come
	nearDeadline := r.nearDeadline()
	list, began, err := request(ctx, r, func(ctx context.Context) (client.MemberList, error) { return r.cloud.api.Members(ctx, t.ID) })
	cutOff := code(err) == client.CodeTimeout && (r.opts.RequestTimeout == 0 || r.left() <= 0)
	if err == nil {
		err = r.reserve(listWeight(list.Members))
	}
	if err != nil {
		list = client.MemberList{}
	}
	t.members, t.membersErr, t.membersRead, t.requestedLate, t.cutOff = list, err, err == nil, nearDeadline, cutOff
	t.membersBegan, t.membersEnd = began, r.moment()
	r.verifyExists(t)
	if e := r.evidence(t); t.recordFirst && !t.recordRepeated && e.lacksSecondRecord() {
		t.recordRepeated = true
		_ = r.readRecord(ctx, t) // what was read before stays
	}
}

// classify says what the evidence lets us say about an image, by the table "What is reported when the view is incomplete".
func (t *image) classify(e *imageEvidence, s *ImageSnapshot) {
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
		s.Coverage, s.Err = Unread, cmp.Or(t.membersErr, t.notRequested(), errNotRequested)
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
func (t *image) notRequested() error {
	if t.notFound || notRequested(t.recordErr) {
		return t.recordErr
	}
	return nil
}
