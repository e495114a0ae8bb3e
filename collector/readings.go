package collector

import (
	"maps"
	"time"

	"glance_share_exporter/client"
)

// On Huawei Cloud a listing has all images of the project, since an image with visibility private may be shared with a
// domain or an organization. Thousands of them may be shared with nobody. These are read in turns, after everything
// else, and between two reads their last reading is shown.

// inTurns reports whether an image is one of them: discovered, private, and never seen with a member.
func (r *run) inTurns(t *image) bool {
	if r.opts.API != client.IMS || !t.discovered || t.seen.hadRow || len(t.members.Members) > 0 {
		return false
	}
	record := t.record
	if record == nil {
		record = t.seen.last
	}
	if record == nil {
		record = t.discoveredRecord
	}
	return record != nil && record.Visibility == client.Private
}

// waits reports whether the turn of an image has not come in this run. A turn that the end of the run cuts off does not
// count, since the image is the first of the next turns. A second one in a row counts.
func (r *run) waits(t *image) bool {
	attempted := t.membersErr != nil && !notRequested(t.membersErr) && (!t.cutOff || t.seen.timedOut)
	return r.inTurns(t) && !t.membersRead && !attempted && !t.notFound
}

// waitsForFirst reports whether an image was never read because its turn has not come yet. An image that waits for
// longer than a reading may be shown counts as unread.
func (r *run) waitsForFirst(t *image) bool {
	since := t.seen.since
	return r.waits(t) && t.seen.answered == 0 && (since.IsZero() || age(since) <= r.opts.staleness())
}

// readingInTurn returns how an image is shown where each scrape collects: as this run read it or, if its turn did not
// come, as it was read before.
func (r *run) readingInTurn(t *image) reading {
	if before, ok := r.seen.readings[t.ID]; ok && r.waits(t) && age(before.taken) <= r.opts.staleness() {
		if s := r.readingOf(t, before); s.image != nil {
			return s
		}
	}
	return reading{image: t, evidence: r.evidence(t)}
}

// nextReadings returns the readings that later runs may show: in the background those of all images, otherwise those of
// images in turns.
func (r *run) nextReadings(readings map[string]reading) map[string]reading {
	all := r.opts.RefreshInterval > 0
	if !all && r.opts.API != client.IMS {
		return nil
	}
	next := maps.Clone(readings)
	if next == nil {
		next = map[string]reading{}
	}
	views := r.frozen()
	for _, t := range r.images {
		if readings[t.ID].taken.After(r.start) {
			continue // by a later run that ended before this one
		}
		s := r.readingOf(t, readings[t.ID])
		delete(next, t.ID)
		if s.image == nil || r.hasLeft(t) || !all && !r.inTurns(t) {
			continue
		}
		if v := views[s.evidence.view.project]; s.taken.Equal(r.start) && v != nil {
			s.evidence.view = v // as of now
		}
		next[t.ID] = s
	}
	maps.DeleteFunc(next, func(_ string, s reading) bool { return age(s.taken) > r.opts.staleness() })
	return next
}

// reading is an image as it was read. If a later run cannot read the image, this is shown, with its age.
type reading struct {
	image    *image
	evidence imageEvidence
	taken    time.Time // when the run that read its members began
}

// readingOf returns how an image is to be shown: as the run read it or, if it got no response, as it was before with
// its current record. A 403 or 404 is a response, and so is a 404 for the record, once it is clear that an image API
// returned it. The zero value is an image that is not read.
func (r *run) readingOf(t *image, before reading) reading {
	e := r.evidence(t)
	v := e.verdict()
	if v != notRead && v != unproven {
		return reading{t, e, r.start}
	}
	responded := v != unproven && (t.membersErr != nil && answered(t.membersErr) || imageStatus(t.recordErr) == statusNotFound)
	certain := r.served || !r.end.IsZero() && !r.noImageAPI()
	if before.image == nil || responded && certain {
		return reading{}
	}
	again := *t
	again.membersRead, again.members, again.membersErr = before.image.membersRead, before.image.members, nil
	then := before.evidence
	if then.api != r.opts.API {
		return reading{}
	}
	then.membersFor = r.opts.MembersFor // which a reload may have changed
	if again.record == nil {
		again.record = before.image.record
	} else {
		then.record, then.recordBegan = again.record, again.recordBegan.at
		if then.read {
			then.after = again.record
		}
	}
	// Old observations prove nothing about another view, nor about private images once these are known to be different.
	now := r.viewIn(then.view.project)
	if !now.is(&then.view.access) || now.privates() != then.view.privates() && !r.hasPrivateMembers() {
		return reading{}
	}
	if v := then.verdict(); v == notRead || v == unproven {
		return reading{}
	}
	return reading{&again, then, before.taken}
}
