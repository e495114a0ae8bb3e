package collector

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// seenImage is what is known about an image from earlier runs. The zero value means nothing.
type seenImage struct {
	name      string
	named     bool          // a record was read
	met       bool          // the record was requested, with or without success
	last      *client.Image // the last record that was read; nil: none
	endpoint  string        // of the image API where it was last seen
	timedOut  bool          // no response in time when its members were last requested
	answered  int           // number of the last run in which the request for members had a result, or was not needed
	throttled int           // its results in a row that were a 429 with a Retry-After
	skipped   int           // runs since the last result
	run       uint64        // the newest run that read its record or members
	known     *client.Image // the last record, if the image was discovered; nil: it was not

	// For evidence.go.
	foreign     *foreignList // nil: none
	rowsDespite bool         // members were listed although the visibility has none, and no response has ended that
	former      string       // the ID of a member when the list was last read, or anyMember; empty: it had none
	emptied     observation  // when the list was first empty after that
	decided     observation  // when the list was requested that former and rowsDespite are from
	checked     observation  // when the probe on this image showed that rows are visible
	refused     observation  // when that probe was refused
	missed      missing      // the run in which it was first not found
	unexpected  bool         // it had an unexpected member when the list was last read
	exposed     bool         // everyone could use it against its policy when the record was last read
	hadRow      bool         // it ever had a member
	since       time.Time    // when it was first watched
	lastRead    lastRead     // to detect changes
	dropped     time.Time    // when it was no longer watched; zero: it is watched, or never was
}

// missing is a run in which an image was not found.
type missing struct{ began, end time.Time }

// before reports whether a run that began at that time is a separate one, which may confirm that the image is deleted
// (E15).
func (m missing) before(began time.Time) bool {
	return !m.began.IsZero() && !began.Before(m.end) && between(m.began, began) >= minVanishInterval
}

const minVanishInterval = 10 * time.Second

// update takes over the results of the requests for the image. number is [History].ended.
func (m *seenImage) update(t *image, number int, r *run) {
	m.updateEvidence(t, r)
	if t.membersRead || t.record != nil {
		m.run = r.id
	}
	m.hadRow = m.hadRow || len(t.members.Members) > 0
	if m.since.IsZero() {
		m.since = r.start
	}
	switch {
	case !t.discovered:
		m.known = nil
	case t.record != nil:
		m.known = t.record
	case t.discoveredRecord != nil:
		record := *t.discoveredRecord // a copy: the other records of the list can be freed
		m.known = &record
	}
	if t.record != nil {
		s := ImageSnapshot{Record: t.record, Policy: t.Policy}
		m.exposed = s.Open() && s.Misplaced()
		if !m.named {
			m.name, m.named = t.record.Name, true
		}
		m.last = t.record
	}
	m.met = m.met || t.record != nil || t.recordErr != nil && !notRequested(t.recordErr)
	timeout := code(t.membersErr) == client.CodeTimeout
	noResponse := timeout && !t.requestedLate
	cutOff := notRequested(t.membersErr) || code(t.membersErr) == client.CodeCanceled || timeout
	switch {
	case r.hasNoMembers(t):
		m.timedOut, m.answered, m.throttled, m.skipped = false, number, 0, 0
	case cutOff || r.err != nil || !t.membersRead && t.membersErr == nil:
		m.timedOut = m.timedOut || noResponse
		m.skipped++
	case imageStatus(t.membersErr) != statusTooManyRequests:
		m.timedOut, m.answered, m.throttled, m.skipped = false, number, 0, 0
	case hasRetryAfter(t.membersErr):
		m.timedOut, m.answered, m.skipped = false, number, 0
		m.throttled++
	default:
		m.timedOut = false // otherwise as if it had not been requested
	}
}

// updateEvidence takes over what the next run needs for its verdict on the image.
func (m *seenImage) updateEvidence(t *image, r *run) {
	e := r.evidence(t)
	v := e.verdict()
	if t.record != nil || t.membersRead {
		m.endpoint, m.missed = r.endpointOf(e.view.project), missing{}
	} else if r.missing(t) && m.missed.began.IsZero() {
		m.missed = missing{r.start, time.Now()}
	}
	if foreign := e.foreign(t.membersEnd.at); foreign != nil || v == allMembers {
		m.foreign = foreign
	}
	if t.checked.made() {
		m.checked = t.checked
	}
	m.refused = m.refused.later(t.refused)
	if e.forbidden {
		m.rowsDespite = false
	}
	switch {
	case !t.membersRead || m.decided.at.After(e.listEnd), len(t.members.Members) == 0 && m.decided.at.After(e.list.at):
	case len(t.members.Members) > 0:
		m.noteRows(&e)
	case v == noMembers && !e.rowsDespite: // by the record, whatever rows the list may hide
	case v != unproven:
		m.rowsDespite, m.former, m.emptied, m.refused, m.decided = false, "", observation{}, observation{}, e.list
	case m.former != "" && !m.emptied.made():
		m.emptied = observation{e.listEnd, e.list.run}
	}
	r.changes = append(r.changes, m.lastRead.changes(t, v, r.imageName(t))...)
	if v != notRead && v != unproven {
		img := ImageSnapshot{Policy: t.Policy.At(time.Now()), Members: t.members.Members}
		m.unexpected = v != noMembers && img.Unexpected() > 0
	}
}

// early reports whether it is only known that the list had rows: from a run that has not ended, or from before the
// image was dropped. Possibly no run watches the image again.
func (m *seenImage) early() bool { return m.run == 0 && m.known == nil && m.decided.made() }

// expired reports whether only such knowledge is left, and it is too old to be kept.
func (m *seenImage) expired() bool {
	return m.early() && age(m.decided.at) > keepLeft && age(m.dropped) > keepLeft
}

// rows returns what is kept of an image that is no longer watched: that its list had rows.
func (m *seenImage) rows() seenImage {
	return seenImage{
		former: m.former, emptied: m.emptied, rowsDespite: m.rowsDespite, hadRow: m.hadRow, decided: m.decided, dropped: time.Now(),
	}
}

// noteRows notes that the list has rows.
func (m *seenImage) noteRows(e *imageEvidence) {
	m.rowsDespite = e.applies() != membersYes
	m.hadRow, m.former, m.emptied, m.refused = true, formerMember(e.rows), observation{}, observation{}
	m.decided = observation{e.listEnd, e.list.run}
}

// formerMember returns a member to request when the list is empty. An ID that does not have Keystone's form is not put
// into a URL.
func formerMember(members []client.Member) string {
	for i := range members {
		if hexID.MatchString(members[i].ID) {
			return members[i].ID
		}
	}
	return anyMember
}

// anyMember stands for a member whose ID cannot be requested.
const anyMember = "*"

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// hasRetryAfter reports whether an error is of a response with a Retry-After.
func hasRetryAfter(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.RetryAfter > 0
}

// maxSkipped is how many runs in a row may skip an image because of its low priority.
const maxSkipped = 3

// lowPriority reports whether an image is read after all others. One that gets a 429 each time is not worth the
// hold-off of all requests that two of these begin. A first 429 may be due to the requests for other images.
func (m *seenImage) lowPriority() bool { return m.throttled > 1 && m.skipped < maxSkipped }

// order sorts images into the order in which to request them: first those whose last result is the oldest and, of those
// of one run, the ones that got their first 429.
func order(images []*image) {
	slices.SortStableFunc(images, func(a, b *image) int {
		one, other := a.seen, b.seen
		return cmp.Or(
			compareBools(one.lowPriority(), other.lowPriority()), cmp.Compare(one.answered, other.answered),
			compareBools(other.throttled == 1, one.throttled == 1),
		)
	})
}

// compareBools is cmp.Compare with false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
