package collector

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// This file gathers the evidence of a collection, and asks for what is lacking: see evidence.go for what it proves.

// ownerIn is a project whose images were answered in the view of another one, or of itself.
type ownerIn struct{ view, owner string }

// question is something that is not asked in each collection.
type question struct {
	kind  questionKind
	about string // a project or an image
	view  uint64 // of which view: another one is asked anew
}

type questionKind int

const (
	probeOwn      questionKind = iota // for a row of one of the project's images
	probeOthers                       // for a row of another project's image
	probeImage                        // for a row of a list that became empty
	askPrivate                        // for the members of a private image
	lookAtAll                         // for what a view can see
	lookAtPrivate                     // for private images of others
)

const (
	betweenProbes   = time.Minute
	betweenLooks    = 2 * time.Minute
	privateRenewal  = time.Hour
	imagesPerLook   = 100
	maxProbesInARow = 3 // images that are shared no more when the probe comes
)

// claim reports whether a question may be asked now that is to be asked once in a while, all shards together.
func (h *History) claim(v *view, kind questionKind, about string, every time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := question{kind, about, v.entered}
	if last, ok := h.asked[q]; ok && age(last) < every {
		return false
	}
	if len(h.asked) >= maxQuestions {
		maps.DeleteFunc(h.asked, func(_ question, at time.Time) bool { return age(at) >= privateRenewal })
	}
	h.asked[q] = time.Now()
	return true
}

// unclaim lets a question be asked again that had no answer.
func (h *History) unclaim(v *view, kind questionKind, about string, err error) {
	if err == nil || imageStatus(err) != 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asked, question{kind, about, v.entered})
}

// maxQuestions is from how many remembered questions on the old ones are forgotten.
const maxQuestions = 10_000

// enterViews makes the views those of the scopes. What was observed with other roles, or at another endpoint, is forgotten.
func (r *run) enterViews() {
	for _, s := range r.scopes {
		if s.Err != nil {
			continue
		}
		if v := r.views[s.Access.ProjectID]; v == nil || !v.is(&s.Access) {
			entered := newView(s.Access, r.id)
			r.views[s.Access.ProjectID] = &entered
		}
	}
}

// observed is an observation of this collection.
func (r *run) observed(at moment) observation { return observation{at.at, r.id} }

// moment is a time, and its place among the moments of a collection.
type moment struct {
	at time.Time
	n  uint64
}

func (r *run) moment() moment {
	r.moments++
	return moment{time.Now(), r.moments}
}

// viewIn is the view of a project; one of nothing where there is none.
func (r *run) viewIn(project string) *view {
	if v := r.views[project]; v != nil {
		return v
	}
	return &view{project: project}
}

// viewOf is the view that an image's members are read in.
func (r *run) viewOf(t *image) *view {
	record := cmp.Or(t.record, t.past.last)
	switch {
	case t.membersRead:
		return r.viewIn(t.members.Access.ProjectID)
	case record != nil && r.views[record.Owner] != nil:
		return r.views[record.Owner]
	case record != nil:
		return r.viewIn(record.View)
	case len(r.projects) == 1:
		return r.viewIn(r.projects[0])
	}
	return r.viewIn("")
}

// endpointOf is the image API of a project.
func (r *run) endpointOf(project string) string {
	if a := r.accessTo(project); a != nil {
		return a.Endpoint
	}
	return ""
}

// accessTo is the access to one of the credential's projects, nil where there is none.
func (r *run) accessTo(project string) *client.Access {
	i, found := slices.BinarySearch(r.projects, project)
	if !found || r.scopes[i].Err != nil {
		return nil
	}
	return &r.scopes[i].Access
}

// noteRecord notes what a record shows of the view that it was read in.
func (r *run) noteRecord(img *client.Image, began moment) {
	r.answeredFor[ownerIn{img.View, img.Owner}] = true
	if v := r.views[img.View]; v != nil {
		v.noteRecord(img, r.observed(began))
	}
}

// evidence is what is known of an image's members.
func (r *run) evidence(t *image) imageEvidence {
	m := t.past
	e := imageEvidence{
		api: r.opts.API, membersFor: r.opts.MembersFor, view: r.viewOf(t), roleOfAdmin: t.members.Access.HasRole(r.opts.AdminRoles),
		earlier: m.last, before: t.before, fresh: t.before != nil, record: t.record, after: t.after, recordBegan: t.recordBegan.at,
		list: r.observed(t.membersBegan), read: t.membersRead, partial: t.oneRow, rows: t.members.Members, access: t.members.Access,
		lastForeign: m.foreign, rowsDespite: m.rowsDespite, hadRows: m.former != "", emptied: m.emptied, checked: m.checked, refused: m.refused.later(t.refused),
	}
	if e.before == nil {
		e.before = m.last
	}
	if t.checked.made() {
		e.checked = t.checked
	}
	e.failed = t.membersErr != nil
	if apiErr, ok := errors.AsType[*client.Error](t.membersErr); ok && apiErr.Op == client.OpListMembers {
		e.failed = apiErr.Status() != statusForbidden
		e.forbidden, e.onlyShared = apiErr.Status() == statusForbidden, apiErr.OnlyShared
	}
	return e
}

// note notes what the answers about all images show.
func (r *run) note() {
	if r.noted {
		return
	}
	for _, t := range r.images {
		e := r.evidence(t)
		e.noteVisibility()
	}
	for _, v := range r.views {
		v.noteRefusal()
	}
	for _, t := range r.images {
		e := r.evidence(t)
		e.noteRows()
	}
}

// verdict is what may be reported of an image's members.
func (r *run) verdict(t *image) verdict {
	e := r.evidence(t)
	return e.verdict()
}

// hasNoMembers reports whether the image is known to have a visibility without members.
func (r *run) hasNoMembers(t *image) bool {
	if t.record == nil {
		return false
	}
	e := r.evidence(t)
	return !e.wantsList()
}

// prove asks, after everything else, for what is lacking to report what the answers say. It does not wait for long for what hangs.
func (r *run) prove(ctx context.Context) {
	for rounds := 0; rounds < maxProofRounds && ctx.Err() == nil && r.left() >= leastTime; {
		alone := r.queue.quiet(ctx, max(r.left()/8, leastTime))
		if !alone && r.queue.queued() && !r.ending() {
			continue
		}
		tasks := r.lacking(alone)
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

// ending reports whether three quarters of the collection's time are over.
func (r *run) ending() bool {
	return time.Until(r.deadline) < r.deadline.Sub(r.start)/4
}

// lacking are the questions that the run still has to ask. idle is whether nothing else is left to be read.
func (r *run) lacking(idle bool) []task {
	r.history.exchange(r)
	if r.err != nil || r.noImageAPI() {
		return nil
	}
	l := lack{run: r, wanted: map[rowsOf][]*image{}, others: map[string]*image{}, doubtful: map[string]bool{}}
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

// lack is what a run still has to ask.
type lack struct {
	run *run

	tasks    []task
	again    []*image            // images whose record is to be read once more
	wanted   map[rowsOf][]*image // images whose lists need a proof that such rows are visible
	others   map[string]*image   // an image whose record may prove an administrator, by project
	doubtful map[string]bool     // where that is lacking
}

// rowsOf are the rows of lists in the view of one project: of its own images, or of others'.
type rowsOf struct {
	project string
	own     bool
}

// image adds what is lacking of one image.
func (l *lack) image(t *image) {
	r := l.run
	e := r.evidence(t)
	switch {
	case r.gone(t):
		return
	case !t.requested && t.queuedIn == nil && t.record != nil && e.wantsList():
		l.tasks = append(l.tasks, r.turnOf(t, &r.queue.first))
		return
	}
	probed := t.probed != nil && !t.probed.asked && t.recordBegan.n < t.probed.end.n
	if e.lacksSecondRecord() && !t.askedAgain || probed {
		l.again = append(l.again, t)
	} else if e.after == nil && e.foreign(time.Time{}) != nil && !t.askedAgain {
		l.others[e.project()] = t
	}
	if !e.provenAdministrator() {
		l.doubtful[e.project()] = true
	}
	if !e.wantsProbe() {
		return
	}
	rows := rowsOf{e.project(), e.ownImage()}
	l.wanted[rows] = append(l.wanted[rows], t)
	if e.hadRows && len(e.rows) == 0 && !t.checked.made() && !e.emptyCovered() && r.history.claim(e.view, probeImage, t.ID, betweenProbes) {
		former := t.past.former
		l.tasks = append(l.tasks, func(ctx context.Context) { r.checkImage(ctx, t, former) })
	}
}

// probes adds a probe for each kind of rows that was not seen lately.
func (l *lack) probes() {
	r := l.run
	for rows, targets := range l.wanted {
		v, kind := r.viewIn(rows.project), probeOthers
		if rows.own {
			kind = probeOwn
		}
		if last := v.rows(rows.own).last; last.run == r.id || last.recent() {
			continue
		}
		if !r.history.claim(v, kind, rows.project, betweenProbes) {
			continue
		}
		l.tasks = append(l.tasks, func(ctx context.Context) { r.probe(ctx, rows.project, kind, targets) })
	}
}

// privates adds the questions about private images in one view: whether they have members, and whether others' are seen.
func (l *lack) privates(project string, v *view) {
	r := l.run
	known := v.onlyShared.later(v.privateListed).later(v.privateRefused)
	every := betweenProbes
	if v.privates() != privateUnknown {
		every = privateRenewal
	}
	due := every == betweenProbes || age(known.at) >= privateRenewal
	if id := v.privateImage; id != "" && !r.hasPrivateMembers() && due && r.history.claim(v, askPrivate, project, every) {
		l.tasks = append(l.tasks, func(ctx context.Context) { r.askPrivate(ctx, project, id) })
	}
	if r.wantsPrivateLook(v) && r.history.claim(v, lookAtPrivate, project, betweenLooks) {
		l.tasks = append(l.tasks, func(ctx context.Context) { r.lookAtPrivate(ctx, project) })
	}
}

// records are the requests for the records that are to be read once more.
func (l *lack) records() []task {
	for project, t := range l.others {
		if l.doubtful[project] {
			l.again = append(l.again, t)
		}
	}
	for _, t := range l.again {
		t.askedAgain = true
		if t.probed != nil {
			t.probed.asked = true
		}
	}
	return l.run.readAgain(l.again)
}

// hasPrivateMembers reports whether private images are asked for their members by the configuration.
func (r *run) hasPrivateMembers() bool {
	return slices.Contains(r.opts.MembersFor, client.Private)
}

// wantsPrivateLook reports whether the view should be an administrator's, by its role, and nothing has shown it.
func (r *run) wantsPrivateLook(v *view) bool {
	a := r.accessTo(v.project)
	if r.opts.API == client.IMS || a == nil || !a.HasRole(r.opts.AdminRoles) {
		return false
	}
	if v.foreignRow.recent() || v.othersPrivate.recent() {
		return false
	}
	for _, l := range r.listed {
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
func (r *run) readAgain(targets []*image) (tasks []task) {
	listed := map[bool][]*image{} // by whether they are hidden
	for _, t := range targets {
		if r.opts.API == client.IMS || t.recordFirst || t.record == nil {
			tasks = append(tasks, func(ctx context.Context) { _ = r.readRecord(ctx, t) }) // what was read before stays
		} else {
			listed[t.record.Hidden] = append(listed[t.record.Hidden], t)
		}
	}
	for hidden, targets := range listed {
		for chunk := range slices.Chunk(targets, client.MaxImagesPerRequest) {
			tasks = append(tasks, func(ctx context.Context) {
				missing, _ := r.askList(ctx, chunk, hidden) // what was read before stays
				for _, t := range missing {
					_ = r.readRecord(ctx, t)
				}
			})
		}
	}
	return tasks
}

// probe asks for a row that is not there, of the first image that is still shared: whether its absence is visible shows whether a row
// would be.
func (r *run) probe(ctx context.Context, project string, kind questionKind, targets []*image) {
	for _, t := range targets[:min(len(targets), maxProbesInARow)] {
		again, err := r.askRow(ctx, project, t, randomMember())
		if !again {
			v := r.viewIn(project)
			v.refused = err
			r.history.unclaim(v, kind, project, err)
			return
		}
	}
}

// checkImage asks for a row of an image whose list became empty: of a former member, if one has an ID that can be asked for.
func (r *run) checkImage(ctx context.Context, t *image, former string) {
	if former == anyMember {
		former = randomMember()
	}
	project := t.members.Access.ProjectID
	began := r.moment()
	_, err := r.askRow(ctx, project, t, former) // without a proof the list is not read, which says it
	if imageStatus(err)/100 == 4 {
		t.refused = r.observed(began)
	}
}

// askRow asks for one row and notes what the answer shows. again is whether another image should be asked for, since this one is not
// shared any more.
func (r *run) askRow(ctx context.Context, project string, t *image, member string) (again bool, err error) {
	answer, began, err := request(ctx, r, func(ctx context.Context) (client.MemberAnswer, error) {
		return r.cloud.api.MemberAs(ctx, project, t.ID, member)
	})
	if apiErr, ok := errors.AsType[*client.Error](err); ok && apiErr.OnlyShared {
		return true, err
	}
	if err != nil {
		return false, err
	}
	if !r.viewIn(project).is(&answer.Access) || t.record == nil {
		return false, errMixedViews
	}
	if answer.Row == nil {
		t.probed = &probed{owner: t.record.Owner, access: answer.Access, at: r.observed(began), end: r.moment()}
		t.checked = t.probed.at
	} else if len(t.members.Members) == 0 {
		t.members.Members, t.oneRow = []client.Member{*answer.Row}, true
	}
	return false, nil
}

// probed is an answer of the probe that proves that rows of an image are visible. Of whose images that is, a record tells that is read
// after it.
type probed struct {
	owner  string // before the probe
	access client.Access
	at     observation
	end    moment
	asked  bool // for the record
}

// noteProbed notes what the probe shows, where a record that was read after it names the same owner.
func (r *run) noteProbed(t *image, img *client.Image, began moment) {
	p := t.probed
	if p == nil || began.n < p.end.n || img.Owner != p.owner {
		return
	}
	if v := r.viewIn(p.access.ProjectID); v.is(&p.access) {
		v.noteProbe(p.owner, p.at)
	}
}

// randomMember is an ID that no project has.
func randomMember() string {
	var id [16]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(id[:])
}

// askPrivate asks for the members of a private image, to see whether private images of this API have any (E12).
func (r *run) askPrivate(ctx context.Context, project, id string) {
	t := r.byID[id]
	if t != nil && !t.requested {
		r.readMembers(ctx, t)
		e := r.evidence(t)
		again := (e.read || e.forbidden && !e.onlyShared) && !t.askedAgain
		t.askedAgain = t.askedAgain || again
		if again {
			_ = r.readRecord(ctx, t) // without it nothing is known
		}
		return
	}
	_, began, err := request(ctx, r, func(ctx context.Context) (client.MemberList, error) { return r.cloud.api.MembersAs(ctx, project, id) })
	apiErr, ok := errors.AsType[*client.Error](err)
	onlyShared := ok && apiErr.OnlyShared
	forbidden := ok && apiErr.Op == client.OpListMembers && apiErr.Status() == statusForbidden
	if onlyShared || err != nil && !forbidden {
		if v := r.viewIn(project); onlyShared {
			v.onlyShared = v.onlyShared.later(r.observed(began))
		}
		return
	}
	img, recordErr := r.record(ctx, id)
	if recordErr != nil || img.Visibility != client.Private {
		return
	}
	if v := r.viewIn(project); forbidden {
		if img.Owner == project {
			v.privateRefused = v.privateRefused.later(r.observed(began))
		}
	} else {
		v.privateListed = v.privateListed.later(r.observed(began))
	}
}

// record reads the record of any image.
func (r *run) record(ctx context.Context, id string) (client.Image, error) {
	img, _, err := request(ctx, r, func(ctx context.Context) (client.Image, error) { return r.cloud.api.Image(ctx, id) })
	return img, err
}

// page reads a page of a listing.
func (r *run) page(ctx context.Context, q client.ImageQuery, marker string) (client.ImagePage, moment, error) {
	return request(ctx, r, func(ctx context.Context) (client.ImagePage, error) { return r.cloud.api.ImagePage(ctx, q, marker) })
}

// look asks what the view of a project can see, to tell a listing without images from images that cannot be seen (E13).
func (r *run) look(ctx context.Context, project string) {
	under := r.looks[project]
	if under == nil {
		r.looks[project] = make(chan struct{})
		defer close(r.looks[project])
	}
	if under != nil {
		r.queue.wait(ctx, under, r.left())
		return
	}
	if r.history.claim(r.viewIn(project), lookAtAll, project, betweenLooks) {
		r.readLook(ctx, project, lookAtAll, client.ImageQuery{As: project, Plain: true, Limit: imagesPerLook})
	}
}

// lookAtPrivate looks for a private image of another project, which only an administrator sees (E9).
func (r *run) lookAtPrivate(ctx context.Context, project string) {
	r.readLook(ctx, project, lookAtPrivate, client.ImageQuery{As: project, Visibility: client.Private, Limit: imagesPerLook})
}

func (r *run) readLook(ctx context.Context, project string, kind questionKind, q client.ImageQuery) {
	all := kind == lookAtAll
	page, began, err := r.page(ctx, q, "")
	v := r.viewIn(project)
	r.history.unclaim(v, kind, project, err)
	if err != nil || !v.is(&page.Access) {
		return
	}
	for i := range page.Images {
		r.noteRecord(&page.Images[i], began)
	}
	if all && len(page.Images) > 0 {
		v.noteLook(page.Images, r.observed(began))
	}
}

// viewSnapshots is what is proven in each view.
func (r *run) viewSnapshots() []ViewSnapshot {
	now := r.observed(r.moment())
	list := make([]ViewSnapshot, 0, len(r.scopes))
	of := make(map[string]*ViewSnapshot, len(r.scopes)) // by project
	for _, s := range r.scopes {
		v := r.views[s.Access.ProjectID]
		if s.Err != nil || v == nil {
			continue
		}
		p := ViewSnapshot{ProjectID: s.Access.ProjectID}
		if r.opts.API != client.IMS && (v.ownRows.last.covers(now) || v.othersRows.last.covers(now)) {
			p.Members = Proven
		}
		list = append(list, p)
		of[p.ProjectID] = &list[len(list)-1]
	}
	for _, t := range r.images {
		e := r.evidence(t)
		v, p := e.view, of[e.view.project]
		if p == nil || v != r.views[v.project] || r.gone(t) {
			continue
		}
		if e.verdict() == unproven {
			p.Members, p.Refused = Unproven, v.refused
		}
		if r.wantsAdministrator(t, v) && p.Administrator != Unproven {
			p.Administrator = provenIf(v.administrator(e.list))
		}
	}
	for _, l := range r.listed {
		p, v, swept := of[l.project], r.viewIn(l.project), r.sweptView(l.project)
		if p == nil || !l.began.made() {
			continue
		}
		if p.Images != Unproven {
			p.Images = provenIf(l.visible(v) || l.visible(swept))
		}
		if l.foreign() && p.Administrator != Unproven {
			p.Administrator = provenIf(!l.wantsAdministrator(v) || !l.wantsAdministrator(swept))
		}
	}
	for _, in := range r.inbound {
		if p := of[in.project]; p != nil && in.began.made() && p.Images != Unproven {
			p.Images = provenIf(in.visible(r.viewIn(in.project)) || !in.from.IsZero())
		}
	}
	return list
}

func provenIf(yes bool) Proof {
	if yes {
		return Proven
	}
	return Unproven
}

// sweptView is the view of a project at the end of the collection that listed.
func (r *run) sweptView(project string) *view {
	if v := r.sweepViews[project]; v != nil {
		return v
	}
	return &view{project: project}
}

// frozen are copies of the views.
func (r *run) frozen() map[string]*view {
	views := make(map[string]*view, len(r.views))
	for project, v := range r.views {
		frozen := *v
		views[project] = &frozen
	}
	return views
}
