package collector

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// ownerIn is the owner of an image that was returned, and the project in whose view it was.
type ownerIn struct{ view, owner string }

// enterViews adds the views of the scopes. It drops what was observed as another user, with other roles or at another
// endpoint.
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

// at returns the observation of this run at a moment.
func (r *run) at(at moment) observation { return observation{at.at, r.id} }

// moment is a time and its position among the moments of a run.
type moment struct {
	at time.Time
	n  uint64
}

func (r *run) moment() moment {
	r.moments++
	return moment{time.Now(), r.moments}
}

// viewIn returns the view of a project, or an empty one.
func (r *run) viewIn(project string) *view {
	if v := r.views[project]; v != nil {
		return v
	}
	return &view{project: project}
}

// viewOf returns the view in which an image's members are read.
func (r *run) viewOf(t *image) *view {
	record := cmp.Or(t.record, t.seen.last)
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

// endpointOf returns the URL of a project's image API, empty if there is none.
func (r *run) endpointOf(project string) string {
	if a := r.accessTo(project); a != nil {
		return a.Endpoint
	}
	return ""
}

// accessTo returns the access to one of the credential's projects, or nil.
func (r *run) accessTo(project string) *client.Access {
	i, found := slices.BinarySearch(r.projects, project)
	if !found || r.scopes[i].Err != nil {
		return nil
	}
	return &r.scopes[i].Access
}

// noteRecord notes what a record shows about the view in which it was read.
func (r *run) noteRecord(img *client.Image, began moment) {
	v := r.views[img.View]
	if v != nil && img.By != nil && !v.is(img.By) {
		return // the token was replaced by one of another view
	}
	r.answeredFor[ownerIn{img.View, img.Owner}] = true
	if v != nil {
		v.noteRecord(img, r.at(began))
	}
}

// evidence returns what is known about an image's members.
func (r *run) evidence(t *image) imageEvidence {
	m := t.seen
	e := imageEvidence{
		api: r.opts.API, membersFor: r.opts.MembersFor, view: r.viewOf(t), roleOfAdmin: t.members.Access.HasRole(r.opts.AdminRoles),
		earlier: m.last, before: t.before, fresh: t.before != nil, record: t.record, after: t.after, recordBegan: t.recordBegan.at,
		list: r.at(t.membersBegan), listEnd: t.membersEnd.at, read: t.membersRead, partial: t.oneRow, rows: t.members.Members,
		access:      t.members.Access,
		lastForeign: m.foreign, rowsDespite: m.rowsDespite, hadRows: m.former != "", emptied: m.emptied, checked: m.checked,
		refused: m.refused.later(t.refused),
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

// note notes what the responses about all images show.
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

// verdict returns what may be reported about an image's members.
func (r *run) verdict(t *image) verdict {
	e := r.evidence(t)
	return e.verdict()
}

// hasNoMembers reports whether the image's record shows that its member list need not be read: the visibility has no
// members, or it is unknown whether it has.
func (r *run) hasNoMembers(t *image) bool {
	if t.record == nil {
		return false
	}
	e := r.evidence(t)
	return !e.wantsList()
}

// viewSnapshots returns what is proven in each view.
func (r *run) viewSnapshots() []ViewSnapshot {
	now := observation{time.Now(), r.id}
	list := make([]ViewSnapshot, 0, len(r.scopes))
	of := make(map[string]*ViewSnapshot, len(r.scopes)) // by project
	for _, s := range r.scopes {
		v := r.views[s.Access.ProjectID]
		if s.Err != nil || v == nil {
			continue
		}
		p := ViewSnapshot{ProjectID: s.Access.ProjectID, PrivateMembers: v.privates() == privateHasMembers}
		if r.opts.API != client.IMS && (v.ownRows.last.covers(now) || v.othersRows.last.covers(now)) {
			p.Members = Proven
		}
		list = append(list, p)
		of[p.ProjectID] = &list[len(list)-1]
	}
	for _, t := range r.images {
		e := r.evidence(t)
		v, p := e.view, of[e.view.project]
		if p == nil || v != r.views[v.project] || r.hasLeft(t) {
			continue
		}
		if e.verdict() == unproven {
			p.Members, p.Refused = Unproven, v.refused
		}
		if r.wantsAdministrator(t, v) && p.Administrator != Unproven {
			p.Administrator = provenIf(v.administrator(e.list))
		}
	}
	for _, l := range r.discovery.listed {
		p, v, then := of[l.project], r.viewIn(l.project), r.discoveryView(l.project)
		if p == nil || !l.began.made() {
			continue
		}
		if p.Images != Unproven {
			p.Images = provenIf(l.visible(v) || l.visible(then))
		}
		if l.foreign() && p.Administrator != Unproven {
			p.Administrator = provenIf(!l.wantsAdministrator(v) || !l.wantsAdministrator(then))
		}
	}
	for _, in := range r.inbound.projects {
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

// discoveryView returns the view of a project at the end of the run that listed, or an empty one.
func (r *run) discoveryView(project string) *view {
	if v := r.discovery.views[project]; v != nil {
		return v
	}
	return &view{project: project}
}

// frozen returns copies of the views.
func (r *run) frozen() map[string]*view {
	views := make(map[string]*view, len(r.views))
	for project, v := range r.views {
		frozen := *v
		views[project] = &frozen
	}
	return views
}
