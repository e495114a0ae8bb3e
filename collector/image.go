package collector

import (
	"cmp"
	"context"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// image is one image of a run, with the results of its requests.
type image struct {
	Image
	seen       *seenImage // from earlier runs; only History.exchange changes it
	discovered bool
	progress
	existence
	recordResult
	membersResult
	probeResult
}

// progress is how far the reading of an image has come.
type progress struct {
	queuedIn    *[]task // list of the queue in which it waits to be read; nil: none
	visited     bool    // it was read as far as possible; what becomes known later may require more
	requested   bool    // its members were requested
	recordFirst bool    // its record is requested alone, before its members
}

// existence is what shows whether a discovered image still exists and still has to be watched.
type existence struct {
	listed           bool          // a listing has it, and a rule selects it
	discoveredRecord *client.Image // its record in an earlier run's listing, which may be old
	verified         bool          // its record was requested alone, because the image may be deleted
	notFound         bool          // and that got the image API's own 404
	unmatched        bool          // no rule selects it, or one skips it
}

// recordResult is the result of the requests for an image's record.
type recordResult struct {
	record         *client.Image // the last one
	recordBegan    moment        // when that was requested
	recordErr      error
	before         *client.Image // the last record when the members were requested; nil: none in this run yet
	after          *client.Image // the last record that was requested after the members were read
	recordRepeated bool          // the record was requested again, after the members
}

// membersResult is the result of the request for an image's members.
type membersResult struct {
	members       client.MemberList
	membersRead   bool
	membersErr    error
	membersBegan  moment
	membersEnd    moment
	requestedLate bool // they were requested near the run's deadline
	cutOff        bool // the time left was too short for the response
}

// probeResult is the result of requests for one row of an image's members.
type probeResult struct {
	probed  *probed     // nil: no probe of this run proved anything
	checked observation // the probe on this image showed that rows are visible
	refused observation // the probe on this image was refused
	oneRow  bool        // members is that row, because the list was empty
}

// enqueueImages puts every image in the queue.
func (r *run) enqueueImages() {
	images := slices.Clone(r.images)
	order(images)
	for _, t := range images {
		r.enqueue(t, r.placeOf(t))
	}
}

// placeOf returns the list of the queue in which an image waits: last if it is read in turns, slow if it timed out last
// time, else rest.
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

// enqueue moves an image to a list of the queue, unless its members were requested.
func (r *run) enqueue(t *image, place *[]task) {
	if t.requested || t.queuedIn == place {
		return
	}
	r.queue.add(place, r.reads(t, place))
}

// reads returns the task that reads an image. It does nothing if the image was moved to another list meanwhile.
func (r *run) reads(t *image, place *[]task) task {
	t.queuedIn = place
	return func(ctx context.Context) {
		if t.queuedIn == place {
			t.queuedIn = nil
			r.readImage(ctx, t)
		}
	}
}

// readImage reads everything about an image: its record if no list has it, its members, and its record again if the
// evidence requires one that is read after the members. So each image is complete before the next one, and the records
// of all images do not use up the time for their members. If a list will bring the record, and the members cannot be
// requested without it, the image is read again after that list.
func (r *run) readImage(ctx context.Context, t *image) {
	t.visited = false
	if t.recordFirst && t.record == nil {
		_ = r.readRecord(ctx, t) // which stores the error
	}
	t.visited = true
	if !t.requested && r.wantsMembers(t) {
		r.readMembers(ctx, t)
	}
}

// wantsMembers reports whether an image's members must be requested, as far as is known now.
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

// readsUnseen reports whether an image's members are requested although its record is not read in this run. They are
// not if the image is seen for the first time, or if its visibility had no members in its last record.
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
	t.before, t.after = t.record, nil // the record before the request; none is read after it yet
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
		_ = r.readRecord(ctx, t) // on an error, the earlier record stays
	}
}

// classify sets what the evidence allows to report about an image, see the table "What is reported when the view is
// incomplete".
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
		// The record decided. A 403 for the members of such an image has no other meaning.
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
			s.StatusCode = 0 // a response that was rejected counts as none
		}
	}
}

// readAt returns when the request began that a verdict is based on, zero if nothing was read. If the record decided and
// the list was requested too, it is the earlier of the two requests.
func (e *imageEvidence) readAt(v verdict) time.Time {
	switch {
	case v == notRead || v == unproven:
		return time.Time{}
	case v == noMembers && (e.list.at.IsZero() || e.recordBegan.Before(e.list.at)):
		return e.recordBegan
	}
	return e.list.at
}

// notRequested returns why the members were not requested, if the result of the request for the record is the reason,
// else nil.
func (t *image) notRequested() error {
	if t.notFound || notRequested(t.recordErr) {
		return t.recordErr
	}
	return nil
}
