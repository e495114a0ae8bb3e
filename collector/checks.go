package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"math/rand/v2"
	"time"

	"glance_share_exporter/client"
)

// check is a request that not every run sends.
type check struct {
	kind  checkKind
	about string // the ID of a project or an image
	view  uint64 // the run that first had the view: a new view is checked anew
}

type checkKind int

const (
	probeOwn      checkKind = iota // for a row of one of the project's images
	probeOthers                    // for a row of another project's image
	probeImage                     // for a row of a list that became empty
	checkPrivate                   // for the members of a private image
	surveyAll                      // for what a view can see
	surveyPrivate                  // for private images of others
)

const (
	probeInterval   = time.Minute
	surveyInterval  = 2 * time.Minute
	privateRenewal  = time.Hour
	surveyLimit     = 100
	maxProbesInARow = 3 // images that are no longer shared when the probe is sent
)

// due reports whether no shard has sent the check for the given time, so that it may be sent now.
func (h *History) due(v *view, kind checkKind, about string, every time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isDue(check{kind, about, v.entered}, every)
}

// isDue is due. The caller holds mu.
func (h *History) isDue(q check, every time.Duration) bool {
	last, ok := h.lastChecks[q]
	return !ok || age(last) >= every
}

// claim is due, and notes that the check is sent now. Its task calls it, so that a task that never runs delays no other
// run's check.
func (h *History) claim(v *view, kind checkKind, about string, every time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := check{kind, about, v.entered}
	if !h.isDue(q, every) {
		return false
	}
	if len(h.lastChecks) >= maxChecks {
		maps.DeleteFunc(h.lastChecks, func(_ check, at time.Time) bool { return age(at) >= privateRenewal })
	}
	h.lastChecks[q] = time.Now()
	return true
}

// unclaim allows a check that got no response to be sent again.
func (h *History) unclaim(v *view, kind checkKind, about string, err error) {
	if err == nil || imageStatus(err) != 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lastChecks, check{kind, about, v.entered})
}

// maxChecks is the number of remembered checks from which on old ones are dropped.
const maxChecks = 10_000

// probe requests a row that does not exist, of the first image that is still shared. If its absence is visible, rows
// are visible too.
func (r *run) probe(ctx context.Context, project string, kind checkKind, images []*image) {
	for _, t := range images[:min(len(images), maxProbesInARow)] {
		began := r.moment()
		again, err := r.requestRow(ctx, project, t, randomMember())
		if !again {
			v := r.viewIn(project)
			v.refused, v.refusedAt = err, r.at(began)
			r.history.unclaim(v, kind, project, err)
			return
		}
	}
}

// probeImage requests a row of an image whose list became empty: that of a former member, if one has an ID that can be
// requested.
func (r *run) probeImage(ctx context.Context, t *image, former string) {
	if former == anyMember {
		former = randomMember()
	}
	project := t.members.Access.ProjectID
	began := r.moment()
	_, err := r.requestRow(ctx, project, t, former) // without a proof the image is unread, which reports it
	if status := imageStatus(err); status/100 == 4 && status != statusTooManyRequests {
		t.refused = r.at(began)
	}
}

// requestRow requests one row and notes what the response shows. again is whether to try another image, since this one
// is no longer shared.
func (r *run) requestRow(ctx context.Context, project string, t *image, member string) (again bool, err error) {
	before := t.record
	answer, began, err := request(ctx, r, func(ctx context.Context) (client.MemberAnswer, error) {
		return r.cloud.api.MemberAs(ctx, project, t.ID, member)
	})
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		if apiErr.OnlyShared {
			return true, err
		}
		if apiErr.RowHidden {
			r.viewIn(project).noteHidden(t.record.Owner, r.at(r.moment())) // it may have been sent again after rows were read
		}
	}
	if err != nil {
		return false, err
	}
	if !r.viewIn(project).is(&answer.Access) || before == nil || before.Owner != t.record.Owner {
		return false, errMixedViews
	}
	if answer.Row == nil {
		t.probed = &probed{owner: before.Owner, access: answer.Access, at: r.at(began), end: r.moment()}
		t.checked = t.probed.at
	} else if len(t.members.Members) == 0 {
		t.members.Members, t.oneRow = []client.Member{*answer.Row}, true
	}
	return false, nil
}

// probed is a response to the probe that proves that rows of an image are visible. A record that is read after it shows
// who owns the image.
type probed struct {
	owner           string // before the probe
	access          client.Access
	at              observation
	end             moment
	recordRequested bool // a record was, after the probe
	answered        bool // the request for that record got a response
}

// noteProbed notes what the probe proves, if a record that was read after it has the same owner. err is why no record
// was read.
func (r *run) noteProbed(t *image, img *client.Image, began moment, err error) {
	p := t.probed
	if p == nil || began.n < p.end.n {
		return
	}
	p.answered = p.answered || err == nil || imageStatus(err) != 0
	if err != nil || img.Owner != p.owner {
		return
	}
	if v := r.viewIn(p.access.ProjectID); v.is(&p.access) {
		v.noteProbe(p.owner, p.at)
	}
}

// unclaimProbes allows probes to be sent again that proved nothing because the request for a record after them got no
// response.
func (r *run) unclaimProbes() {
	for _, t := range r.images {
		p := t.probed
		if p == nil || p.answered {
			continue
		}
		kind := probeOthers
		if p.owner == p.access.ProjectID {
			kind = probeOwn
		}
		r.history.unclaim(r.viewIn(p.access.ProjectID), kind, p.access.ProjectID, errNotRequested)
	}
}

// randomMember returns an ID that no project has.
func randomMember() string {
	var id [16]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(id[:])
}

// requestPrivateMembers requests the members of a private image, to learn whether private images of this API have any
// (E12).
func (r *run) requestPrivateMembers(ctx context.Context, project, id string) {
	if t := r.byID[id]; t != nil && !t.requested {
		r.readMembers(ctx, t)
		r.history.unclaim(r.viewIn(project), checkPrivate, project, t.membersErr)
		if e := r.evidence(t); !t.recordRepeated && (e.read || e.forbidden && !e.onlyShared) {
			t.recordRepeated = true
			_ = r.readRecord(ctx, t) // without it, nothing is proven
		}
		return
	}
	_, began, err := request(ctx, r, func(ctx context.Context) (client.MemberList, error) { return r.cloud.api.MembersAs(ctx, project, id) })
	apiErr, ok := errors.AsType[*client.Error](err)
	forbidden := ok && apiErr.Op == client.OpListMembers && apiErr.Status() == statusForbidden
	v := r.viewIn(project)
	switch {
	case ok && apiErr.OnlyShared:
		v.onlyShared = v.onlyShared.later(r.at(began))
		return
	case err != nil && !forbidden:
		r.history.unclaim(v, checkPrivate, project, err)
		return
	}
	img, err := r.record(ctx, id)
	switch v := r.viewIn(project); {
	case err != nil:
		r.history.unclaim(v, checkPrivate, project, err)
	case img.Visibility != client.Private:
	case !forbidden:
		v.privateListed = v.privateListed.later(r.at(began))
	case img.Owner == project:
		v.privateRefused = v.privateRefused.later(r.at(began))
	}
}

// survey requests what the view of a project can see, to distinguish a listing without images from images that are
// hidden (E13).
func (r *run) survey(ctx context.Context, project string) {
	if under := r.surveys[project]; under != nil {
		r.queue.wait(ctx, under, r.left())
		return
	}
	r.surveys[project] = make(chan struct{})
	defer close(r.surveys[project])
	if r.history.claim(r.viewIn(project), surveyAll, project, surveyInterval) {
		r.readSurvey(ctx, project, surveyAll, client.ImageQuery{As: project, Plain: true, Limit: surveyLimit})
	}
}

// surveyPrivate requests private images. Only an administrator sees those of other projects (E9).
func (r *run) surveyPrivate(ctx context.Context, project string) {
	r.readSurvey(ctx, project, surveyPrivate, client.ImageQuery{As: project, Visibility: client.Private, Limit: surveyLimit})
}

func (r *run) readSurvey(ctx context.Context, project string, kind checkKind, q client.ImageQuery) {
	all := kind == surveyAll
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
		v.noteSurvey(page.Images, r.at(began))
	}
}
