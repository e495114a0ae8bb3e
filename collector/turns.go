package collector

import (
	"maps"
	"time"

	"glance_share_exporter/client"
)

// On Huawei Cloud a listing has all images of the project, since an image that is called private may be shared with a domain or an
// organization. There may be thousands of those that are shared with nobody. They are read in turns, when everything else is read, and in
// between their last reading is shown.

// inTurns reports whether an image is one of them: discovered, called private, and never seen with a member.
func (r *run) inTurns(t *image) bool {
	if r.opts.API != client.IMS || !t.discovered || t.past.hadRow || len(t.members.Members) > 0 {
		return false
	}
	record := t.record
	if record == nil {
		record = t.past.last
	}
	if record == nil {
		record = t.swept
	}
	return record != nil && record.Visibility == client.Private
}

// waits reports whether the turn of an image has not come in this collection. A turn that the end of the collection's time cuts
// off counts as none, since the image is the first of the next turns; but not twice in a row.
func (r *run) waits(t *image) bool {
	asked := t.membersErr != nil && !notAsked(t.membersErr) && (!t.cutOff || t.past.hung)
	return r.inTurns(t) && !t.membersRead && !asked && !t.notFound
}

// waitsForFirst reports whether an image was never read because its turn has not come yet. An image that waits for longer than
// a reading may be old counts as not read.
func (r *run) waitsForFirst(t *image) bool {
	since := t.past.since
	return r.waits(t) && t.past.answered == 0 && (since.IsZero() || age(since) <= r.opts.staleness())
}

// waitsAsMeant reports whether nothing is wrong with an image that was not read: its turn has not come, and it still waits for its first
// one, or its last reading is shown. The run has ended.
func (r *run) waitsAsMeant(t *image) bool {
	before := r.readings[t.ID]
	return r.waits(t) && (r.waitsForFirst(t) || before.image != nil && age(before.taken) <= r.opts.staleness())
}

// sightInTurn is how an image is shown where each scrape collects: as this collection read it, or as it was read before if its
// turn did not come.
func (r *run) sightInTurn(t *image) reading {
	if before, ok := r.readings[t.ID]; ok && r.waits(t) && age(before.taken) <= r.opts.staleness() {
		if s := r.sight(t, before); s.image != nil {
			return s
		}
	}
	return reading{image: t, evidence: r.evidence(t)}
}

// nextReadings are the readings that later runs may show: in the background those of all images, else of those that are read in turns.
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
		s := r.sight(t, readings[t.ID])
		delete(next, t.ID)
		if s.image == nil || r.gone(t) || !all && !r.inTurns(t) {
			continue
		}
		if v := views[s.evidence.view.project]; s.taken.Equal(r.start) && v != nil {
			s.evidence.view = v // as it is now
		}
		next[t.ID] = s
	}
	maps.DeleteFunc(next, func(_ string, s reading) bool { return age(s.taken) > r.opts.staleness() })
	return next
}

// learnPace notes how many images in turns were read since the collection before s, and sets the snapshot's Round by that. A collection that
// read none says nothing: the images that wait get old. The caller holds the cloud's mu.
func (p *part) learnPace(s *Snapshot) {
	all, read := 0, 0
	for i := range s.Images {
		img := &s.Images[i]
		if !img.InTurns {
			continue
		}
		all++
		if img.Taken.IsZero() && !img.Waiting && (img.Coverage != Unread || !notAsked(img.Err)) {
			read++
		}
	}
	if p.last == nil {
		p.pace = 0
	} else if elapsed := s.Start.Sub(p.last.Start).Seconds(); elapsed > 0 && read > 0 {
		pace := float64(read) / elapsed
		if p.pace > 0 {
			pace = p.pace + (pace-p.pace)/4 // one collection may be slow, or late
		}
		p.pace = pace
	}
	if p.pace > 0 {
		s.Round = time.Duration(float64(all) / p.pace * float64(time.Second))
	}
}
