package collector

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// seenImage is what is remembered of an image. The zero value is nothing.
type seenImage struct {
	name      string
	named     bool          // a record was read
	met       bool          // a question for the record was answered, with or without one
	last      *client.Image // the last record that was read; nil: none was
	endpoint  string        // of the image API that it was last seen at
	timedOut  bool          // no answer in time, when it was last asked
	answered  int           // number of the last run in which the question for members had an answer
	throttled int           // answers to it in a row that were a 429 with a Retry-After
	skipped   int           // runs since the last of them in which it was not asked
	run       uint64        // the newest run that it learned an answer from
	known     *client.Image // the last record that was read of an image that was discovered; nil: it was not

	// For evidence.go.
	foreign     *foreignList // nil: none
	rowsDespite bool         // members were listed, though the visibility has none, and no answer has ended that
	former      string       // the ID of a member of the list that was last read; empty: it had none
	emptied     observation  // when the list was first empty after that
	decided     observation  // when the list was requested that former and rowsDespite are from
	checked     observation  // when the probe on this image showed that rows are visible
	refused     observation  // when the probe on this image was refused
	missed      missing      // when the image API first said that there is no such image
	unexpected  bool         // an unexpected member was seen when the list was last read
	hadRow      bool         // it ever had a member
	since       time.Time    // when it was first watched
	lastRead    lastRead     // for changes
}

// missing is a run in which an image was not found.
type missing struct{ began, end time.Time }

// before reports whether a run that began at a time is another look, and not the same one (E15).
func (m missing) before(began time.Time) bool {
	return !m.began.IsZero() && !began.Before(m.end) && between(m.began, began) >= minVanishInterval
}

const minVanishInterval = 10 * time.Second

// update takes over what the image's questions brought.
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
		record := *t.discoveredRecord // alone: the list's others need not stay
		m.known = &record
	}
	if t.record != nil {
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
		m.timedOut = false // and it is as if it had not been asked
	}
}

// updateEvidence takes over what the next run needs to judge the image.
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
	case !t.membersRead || m.decided.at.After(e.list.at):
	case len(t.members.Members) > 0:
		m.noteRows(&e)
	case v == noMembers && !e.rowsDespite: // by the record, whatever the list hid
	case v != unproven:
		m.rowsDespite, m.former, m.emptied, m.refused, m.decided = false, "", observation{}, observation{}, e.list
	case m.former != "" && !m.emptied.made():
		m.emptied = e.list
	}
	r.changes = append(r.changes, m.lastRead.changes(t, v, r.imageName(t))...)
	if v != notRead && v != unproven {
		img := ImageSnapshot{Policy: t.Policy.At(time.Now()), Members: t.members.Members}
		m.unexpected = v != noMembers && img.Unexpected() > 0
	}
}

// early reports whether nothing is known but that the list had rows: by a run that had not ended, or before the image was watched no more.
// No run may ever watch the image again.
func (m *seenImage) early() bool { return m.run == 0 && m.known == nil && m.decided.made() }

// rows is what must outlive the watch of an image: that its list had rows.
func (m *seenImage) rows() seenImage {
	return seenImage{former: m.former, emptied: m.emptied, rowsDespite: m.rowsDespite, hadRow: m.hadRow, decided: m.decided}
}

// noteRows notes that the list has rows.
func (m *seenImage) noteRows(e *imageEvidence) {
	m.rowsDespite = e.applies() != membersYes
	m.hadRow, m.former, m.emptied, m.refused, m.decided = true, formerMember(e.rows), observation{}, observation{}, e.list
}

// formerMember is a member to ask for when the list is empty. What is no ID of Keystone's is not put in a URL.
func formerMember(members []client.Member) string {
	for i := range members {
		if hexID.MatchString(members[i].ID) {
			return members[i].ID
		}
	}
	return anyMember
}

// anyMember stands for one that has no ID to ask for.
const anyMember = "*"

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// asksForPause reports whether an answer has a Retry-After.
func hasRetryAfter(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.RetryAfter > 0
}

// maxPassed is how many runs in a row may pass an image by because it comes last.
const maxSkipped = 3

// lowPriority reports whether an image comes after all others. One that gets a 429 each time is not worth the pause that two of
// them begin for all. A first 429 may be for what others asked.
func (m *seenImage) lowPriority() bool { return m.throttled > 1 && m.skipped < maxSkipped }

// order sorts images in the order in which to ask: those first that were answered the longest ago, and of those that were in the
// same run the ones that got their first 429.
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
