package collector

import (
	"context"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// This file gathers the evidence of a run and requests what is missing: see evidence.go for what it proves.

// prove requests, after everything else, what is missing to report what the responses show. It does not wait long for
// requests that hang.
func (r *run) prove(ctx context.Context) {
	for rounds := 0; rounds < maxProofRounds && ctx.Err() == nil && r.left() >= minTime; {
		alone := r.queue.quiet(ctx, max(r.left()/8, minTime))
		if !alone && r.queue.queued() && !r.ending() {
			continue
		}
		tasks := r.missingEvidence(alone)
		if alone && len(tasks) == 0 {
			return
		}
		if len(tasks) > 0 {
			rounds++
		}
		for _, t := range tasks {
			r.queue.add(&r.queue.first, t)
		}
	}
}

// maxProofRounds is how often responses may lead to more requests: a private image turns out to have members, its list
// is empty, the probe requests a row, and a record shows who owned the image.
const maxProofRounds = 8

// ending reports whether three quarters of the run's time have passed.
func (r *run) ending() bool {
	return time.Until(r.deadline) < r.deadline.Sub(r.start)/4
}

// missingEvidence returns the requests that the run still has to send. idle is whether nothing else is left to be read.
func (r *run) missingEvidence(idle bool) []task {
	r.history.exchange(r)
	if r.err != nil || r.noImageAPI() {
		return nil
	}
	l := missingEvidence{run: r, needProof: map[rowsOf][]*image{}, others: map[string]*image{}, doubtful: map[string]bool{}}
	for _, t := range r.images {
		if idle || !r.inTurns(t) { // in turns: the next listing has the second record, or the turn has not come
			l.image(t)
		}
	}
	l.probes()
	for project, v := range r.views {
		l.privates(project, v)
	}
	if len(l.tasks) > 0 {
		return l.tasks // their results may need the same records
	}
	return l.records()
}

// missingEvidence is what a run still has to request.
type missingEvidence struct {
	run *run

	tasks     []task
	again     []*image            // images whose record is to be read again
	needProof map[rowsOf][]*image // images whose lists need a proof that such rows are visible
	others    map[string]*image   // by project: an image whose record may prove an administrator
	doubtful  map[string]bool     // projects for which that is missing
}

// rowsOf are the rows of member lists in the view of one project: of its own images, or of others'.
type rowsOf struct {
	project string
	own     bool
}

// image adds what is missing for one image.
func (l *missingEvidence) image(t *image) {
	r := l.run
	e := r.evidence(t)
	switch {
	case r.hasLeft(t):
		return
	case !t.requested && t.queuedIn == nil && t.record != nil && e.wantsList():
		l.tasks = append(l.tasks, r.reads(t, &r.queue.first))
		return
	}
	probed := t.probed != nil && !t.probed.recordRequested && t.recordBegan.n < t.probed.end.n
	if e.lacksSecondRecord() && !t.recordRepeated || probed {
		l.again = append(l.again, t)
	} else if e.after == nil && e.foreign(time.Time{}) != nil && !t.recordRepeated {
		l.others[e.project()] = t
	}
	if !e.provenAdministrator() {
		l.doubtful[e.project()] = true
	}
	if !e.wantsProbe() {
		return
	}
	rows := rowsOf{e.project(), e.ownImage()}
	l.needProof[rows] = append(l.needProof[rows], t)
	if e.hadRows && len(e.rows) == 0 && !t.checked.made() && !e.emptyCovered() {
		former := t.seen.former
		l.check(e.view, probeImage, t.ID, probeInterval, func(ctx context.Context) { r.probeImage(ctx, t, former) })
	}
}

// check adds a request that is sent at most once in a period.
func (l *missingEvidence) check(v *view, kind checkKind, about string, every time.Duration, check task) {
	h := l.run.history
	if !h.due(v, kind, about, every) {
		return
	}
	l.tasks = append(l.tasks, func(ctx context.Context) {
		if h.claim(v, kind, about, every) {
			check(ctx)
		}
	})
}

// probes adds a probe for each kind of rows that was not seen recently.
func (l *missingEvidence) probes() {
	r := l.run
	for rows, images := range l.needProof {
		v, kind := r.viewIn(rows.project), probeOthers
		if rows.own {
			kind = probeOwn
		}
		if last := v.rows(rows.own).last; last.run == r.id || last.recent() {
			continue
		}
		l.check(v, kind, rows.project, probeInterval, func(ctx context.Context) { r.probe(ctx, rows.project, kind, images) })
	}
}

// privates adds the requests about private images in one view: whether they have members, and whether others' are
// visible.
func (l *missingEvidence) privates(project string, v *view) {
	r := l.run
	known := v.onlyShared.later(v.privateListed).later(v.privateRefused)
	every := probeInterval
	if v.privates() != privateUnknown {
		every = privateRenewal
	}
	due := every == probeInterval || age(known.at) >= privateRenewal
	if id := v.privateImage; id != "" && !r.hasPrivateMembers() && due {
		l.check(v, checkPrivate, project, every, func(ctx context.Context) { r.requestPrivateMembers(ctx, project, id) })
	}
	if r.wantsPrivateSurvey(v) {
		l.check(v, surveyPrivate, project, surveyInterval, func(ctx context.Context) { r.surveyPrivate(ctx, project) })
	}
}

// records returns the requests for the records that are to be read again.
func (l *missingEvidence) records() []task {
	for project, t := range l.others {
		if l.doubtful[project] {
			l.again = append(l.again, t)
		}
	}
	for _, t := range l.again {
		t.recordRepeated = true
		if t.probed != nil {
			t.probed.recordRequested = true
		}
	}
	return l.run.readAgain(l.again)
}

// hasPrivateMembers reports whether the configuration includes the members of private images.
func (r *run) hasPrivateMembers() bool {
	return slices.Contains(r.opts.MembersFor, client.Private)
}

// wantsPrivateSurvey reports whether the view should be an administrator's, by its role, and a survey of private images
// may prove it: something depends on it, and nothing has proven it recently.
func (r *run) wantsPrivateSurvey(v *view) bool {
	a := r.accessTo(v.project)
	if r.opts.API == client.IMS || a == nil || !a.HasRole(r.opts.AdminRoles) {
		return false
	}
	if v.foreignRow.recent() || v.othersPrivate.recent() {
		return false
	}
	for _, l := range r.discovery.listed {
		if l.project == v.project && l.foreign() {
			return l.owner != ""
		}
	}
	return slices.ContainsFunc(r.images, func(t *image) bool { return r.wantsAdministrator(t, v) })
}

// wantsAdministrator reports whether the list of another project's image was read in a view that should be an
// administrator's.
func (r *run) wantsAdministrator(t *image, v *view) bool {
	a := &t.members.Access
	return t.membersRead && a.ProjectID == v.project && a.HasRole(r.opts.AdminRoles) && t.record != nil && t.record.Owner != v.project
}

// readAgain returns the requests for records that must be read after something else: as lists, if the earlier ones came
// from lists.
func (r *run) readAgain(images []*image) (tasks []task) {
	listed := map[bool][]*image{} // by whether they are hidden
	for _, t := range images {
		if r.opts.API == client.IMS || t.recordFirst || t.record == nil {
			tasks = append(tasks, func(ctx context.Context) { _ = r.readRecord(ctx, t) }) // on an error, the earlier record stays
		} else {
			listed[t.record.Hidden] = append(listed[t.record.Hidden], t)
		}
	}
	for hidden, images := range listed {
		for chunk := range slices.Chunk(images, client.MaxImagesPerRequest) {
			tasks = append(tasks, func(ctx context.Context) {
				missing, _ := r.listRecordsOf(ctx, chunk, hidden) // on an error, the earlier records stay
				for _, t := range missing {
					_ = r.readRecord(ctx, t)
				}
			})
		}
	}
	return tasks
}
