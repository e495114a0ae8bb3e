package collector

import (
	"context"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// This file gathers the evidence of a run, and asks for what is lacking: see evidence.go for what it proves.

// prove asks, after everything else, for what is lacking to report what the answers say. It does not wait for long for what hangs.
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

// maxProofRounds is how often answers may call for more questions: a private image turns out to have members, its list is empty, the
// probe asks for a row, and a record tells whose image it was.
const maxProofRounds = 8

// ending reports whether three quarters of the run's time are over.
func (r *run) ending() bool {
	return time.Until(r.deadline) < r.deadline.Sub(r.start)/4
}

// missingEvidence are the questions that the run still has to ask. idle is whether nothing else is left to be read.
func (r *run) missingEvidence(idle bool) []task {
	r.history.exchange(r)
	if r.err != nil || r.noImageAPI() {
		return nil
	}
	l := missingEvidence{run: r, needProof: map[rowsOf][]*image{}, others: map[string]*image{}, doubtful: map[string]bool{}}
	for _, t := range r.images {
		if idle || !r.inTurns(t) { // the next listing has the second record, and others wait for their turn
			l.image(t)
		}
	}
	l.probes()
	for project, v := range r.views {
		l.privates(project, v)
	}
	if len(l.tasks) > 0 {
		return l.tasks // what they bring may need the same records
	}
	return l.records()
}

// missingEvidence is what a run still has to ask.
type missingEvidence struct {
	run *run

	tasks     []task
	again     []*image            // images whose record is to be read once more
	needProof map[rowsOf][]*image // images whose lists need a proof that such rows are visible
	others    map[string]*image   // an image whose record may prove an administrator, by project
	doubtful  map[string]bool     // where that is lacking
}

// rowsOf are the rows of lists in the view of one project: of its own images, or of others'.
type rowsOf struct {
	project string
	own     bool
}

// image adds what is lacking of one image.
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

// ask adds a question that is to be asked once in a while.
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

// probes adds a probe for each kind of rows that was not seen lately.
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

// privates adds the questions about private images in one view: whether they have members, and whether others' are seen.
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

// records are the requests for the records that are to be read once more.
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

// hasPrivateMembers reports whether private images are asked for their members by the configuration.
func (r *run) hasPrivateMembers() bool {
	return slices.Contains(r.opts.MembersFor, client.Private)
}

// wantsPrivateLook reports whether the view should be an administrator's, by its role, and nothing has shown it.
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

// wantsAdministrator reports whether the list of another project's image was read in a view that should be an administrator's.
func (r *run) wantsAdministrator(t *image, v *view) bool {
	a := &t.members.Access
	return t.membersRead && a.ProjectID == v.project && a.HasRole(r.opts.AdminRoles) && t.record != nil && t.record.Owner != v.project
}

// readAgain are the requests for records that must be read after something else: in lists, where those brought them before.
func (r *run) readAgain(images []*image) (tasks []task) {
	listed := map[bool][]*image{} // by whether they are hidden
	for _, t := range images {
		if r.opts.API == client.IMS || t.recordFirst || t.record == nil {
			tasks = append(tasks, func(ctx context.Context) { _ = r.readRecord(ctx, t) }) // what was read before stays
		} else {
			listed[t.record.Hidden] = append(listed[t.record.Hidden], t)
		}
	}
	for hidden, images := range listed {
		for chunk := range slices.Chunk(images, client.MaxImagesPerRequest) {
			tasks = append(tasks, func(ctx context.Context) {
				missing, _ := r.listRecordsOf(ctx, chunk, hidden) // what was read before stays
				for _, t := range missing {
					_ = r.readRecord(ctx, t)
				}
			})
		}
	}
	return tasks
}
