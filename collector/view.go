package collector

import (
	"cmp"
	"time"

	"glance_share_exporter/client"
)

const (
	// proofWindow is the longest time between the starts of a proof's request and of a request that the proof covers
	// (E11).
	proofWindow = 5 * time.Minute
	// proofRenewal is the age at which the next run renews a proof that it depends on.
	proofRenewal = 2 * time.Minute
)

// observation is the time of something that was observed: when the request began, and in which run of the cloud. The
// zero value means never.
type observation struct {
	at  time.Time
	run uint64
}

// made reports whether there was an observation.
func (o observation) made() bool { return o.run != 0 }

// recent reports whether there was an observation that needs no renewal yet.
func (o observation) recent() bool { return o.made() && age(o.at) <= proofRenewal }

// covers reports whether o is valid for the response to a request that was sent at another time (E11).
func (o observation) covers(other observation) bool {
	return o.made() && (o.run == other.run || between(o.at, other.at) <= proofWindow)
}

// later returns the later of two observations.
func (o observation) later(other observation) observation {
	if !o.made() || other.made() && other.at.After(o.at) {
		return other
	}
	return o
}

// between returns the time between two moments. The wall clock counts too, because the monotonic clock stops while a
// machine sleeps.
func between(a, b time.Time) time.Duration {
	return max(a.Sub(b).Abs(), a.Round(0).Sub(b.Round(0)).Abs())
}

// privateMembers is whether private images of an API can have members (E12).
type privateMembers int

const (
	privateUnknown    privateMembers = iota
	privateHasNone                   // image API 2.5 and later
	privateHasMembers                // before image API 2.5, and Huawei Cloud
)

// view holds what was observed in the view of one project: of one credential at one endpoint. It has the latest
// observation of each kind.
type view struct {
	project string
	// access distinguishes views of a project: another endpoint, role or user makes another view. Its Confirmed is
	// whether Keystone, or the API itself for a signed request, named the project (E6).
	access client.Access

	ownRows    rowsSeen    // a row in the member list of an image of the project was visible (E10)
	othersRows rowsSeen    // the same for images of other projects
	foreignRow observation // a row that only an administrator gets (E9)

	ownPrivate    observation // a private image of the project was read (E6)
	othersPrivate observation // a private image of another project was read (E9)
	otherOwner    string      // the owner of that image
	thirdPrivate  observation // a private image of a third project was read
	thirdOwner    string      // the owner of that image
	privateImage  string      // the ID of a private image that was read

	images       observation     // a survey returned an image (E13)
	surveyOwners map[string]bool // the owners of its images, without hidden ones; replaced, never changed
	surveyShared bool            // whether another project shares one of them

	refused   error       // the last probe's error; nil: it had none
	refusedAt observation // when that probe was sent
	entered   uint64      // the run that first had the view

	onlyShared     observation // 403 "Only shared images have members" (E12)
	privateRefused observation // 403 without that text for the list of a private image of the project
	listAnswered   observation // 200 for the list of a shared image of the project
	refusedBeside  observation // both in one run, before any private image was known to have members
	privateListed  observation // 200 for the list of an image that was private before and after it
}

func newView(a client.Access, run uint64) view {
	return view{project: a.ProjectID, access: a, entered: run}
}

// is reports whether a response that was given to a belongs to the view.
func (v *view) is(a *client.Access) bool {
	return v.access.UserID == a.UserID && v.access.SameView(*a)
}

// privates returns what is known about the members of private images. An observation holds until a later one
// contradicts it.
func (v *view) privates() privateMembers {
	none := v.onlyShared.later(v.refusedBeside)
	switch {
	case !none.made() && !v.privateListed.made():
		return privateUnknown
	case none.later(v.privateListed) == none:
		return privateHasNone
	}
	return privateHasMembers
}

// knowsProject reports whether it was proven at the time that the view is of its project (E6).
func (v *view) knowsProject(at observation) bool {
	return v.access.Confirmed || v.privates() == privateHasNone && v.ownPrivate.covers(at)
}

// administrator reports whether it was proven at the time that the view is an administrator's (E9).
func (v *view) administrator(at observation) bool {
	if v.knowsProject(at) {
		return v.foreignRow.covers(at) || v.privates() == privateHasNone && v.othersPrivate.covers(at)
	}
	return v.privates() == privateHasNone && v.othersPrivate.covers(at) && v.thirdPrivate.covers(at) && v.thirdOwner != v.otherOwner
}

// administratorIn reports whether that run proved that the view is an administrator's.
func (v *view) administratorIn(run uint64) bool {
	return run != 0 && (v.foreignRow.run == run || v.privates() == privateHasNone && v.othersPrivate.run == run)
}

// seesRows reports whether rows of the project's own images, or of others', were visible (E7, E10). A probe that the
// API forbade later ends that.
func (v *view) seesRows(own bool, at observation) bool {
	rows := v.rows(own)
	return rows.last.covers(at) && !rows.hidden.at.After(rows.last.at)
}

func (v *view) rows(own bool) *rowsSeen {
	if own {
		return &v.ownRows
	}
	return &v.othersRows
}

// rowsSeen is when rows were last visible, when they were last visible in a run before that one, and when the API last
// forbade the probe.
type rowsSeen struct{ last, previous, hidden observation }

// note adds an observation.
func (r *rowsSeen) note(o observation) {
	switch {
	case !o.made():
	case o.run == r.last.run || !r.last.made():
		r.last = r.last.later(o)
	case o.at.After(r.last.at):
		r.last, r.previous = o, r.last
	default:
		r.previous = r.previous.later(o)
	}
}

// between reports whether rows were visible after one observation and before another.
func (r *rowsSeen) between(after, before observation) bool {
	inside := func(o observation) bool { return o.made() && o.at.After(after.at) && !o.at.After(before.at) }
	return inside(r.last) || inside(r.previous)
}

// noteRecord notes what an image's record shows about the view.
func (v *view) noteRecord(img *client.Image, at observation) {
	if img.Visibility != client.Private {
		return
	}
	v.privateImage = img.ID
	switch {
	case img.Owner == "":
	case img.Owner == v.project:
		v.ownPrivate = v.ownPrivate.later(at)
	case !isAnother(img.Owner, v.project): // the project in another spelling
	case v.otherOwner == "" || v.otherOwner == img.Owner || !v.othersPrivate.covers(at):
		v.othersPrivate, v.otherOwner = v.othersPrivate.later(at), img.Owner
	default:
		v.thirdPrivate, v.thirdOwner = v.thirdPrivate.later(at), img.Owner
	}
}

// noteProbe notes that a probe on an image of owner proved that rows are visible.
func (v *view) noteProbe(owner string, at observation) {
	switch {
	case owner == "":
	case owner == v.project:
		v.ownRows.note(at)
	case isAnother(owner, v.project):
		v.othersRows.note(at)
	}
}

// noteHidden notes that the API forbade the probe on an image of owner, as it does where a policy hides rows.
func (v *view) noteHidden(owner string, at observation) {
	if owner != "" {
		rows := v.rows(owner == v.project)
		rows.hidden = rows.hidden.later(at)
	}
}

// noteRefusal notes that the list of a private image of the project got a 403 while the list of a shared one got a 200
// (E12).
func (v *view) noteRefusal() {
	if v.privateRefused.made() && v.privateRefused.run == v.listAnswered.run && !v.privateListed.made() {
		v.refusedBeside = v.refusedBeside.later(v.privateRefused)
	}
}

// noteSurvey notes the images that a survey returned.
func (v *view) noteSurvey(images []client.Image, at observation) {
	if v.images.later(at) != at {
		return
	}
	v.images, v.surveyOwners, v.surveyShared = at, map[string]bool{}, false
	for i := range images {
		img := &images[i]
		if img.Hidden {
			continue
		}
		v.surveyOwners[img.Owner] = true
		v.surveyShared = v.surveyShared || img.Owner != v.project && img.Visibility == client.Shared
	}
}

// noteForeignRow notes a row that only an administrator gets. before and after are the image's owners before and after
// the list was read: they must be the same other project (E9).
func (v *view) noteForeignRow(before, after string, at observation) {
	if before == "" || before != after || !isAnother(before, v.project) {
		return
	}
	v.foreignRow = v.foreignRow.later(at)
	v.othersRows.note(at)
}

// merge takes over the later observations of o, if both are of the same view.
func (v *view) merge(o *view) {
	if !v.is(&o.access) {
		return
	}
	if o.othersPrivate.made() && o.othersPrivate.later(v.othersPrivate) == o.othersPrivate {
		v.otherOwner = o.otherOwner
	}
	if o.thirdPrivate.made() && o.thirdPrivate.later(v.thirdPrivate) == o.thirdPrivate {
		v.thirdPrivate, v.thirdOwner = o.thirdPrivate, o.thirdOwner
	}
	if o.refusedAt.made() && o.refusedAt.later(v.refusedAt) == o.refusedAt {
		v.refused, v.refusedAt = o.refused, o.refusedAt
	}
	v.privateImage = cmp.Or(v.privateImage, o.privateImage)
	if o.images.made() && o.images.later(v.images) == o.images {
		v.images, v.surveyOwners, v.surveyShared = o.images, o.surveyOwners, o.surveyShared
	}
	for own, rows := range map[*rowsSeen]*rowsSeen{&v.ownRows: &o.ownRows, &v.othersRows: &o.othersRows} {
		own.note(rows.previous)
		own.note(rows.last)
		own.hidden = own.hidden.later(rows.hidden)
	}
	for _, pair := range [][2]*observation{
		{&v.foreignRow, &o.foreignRow},
		{&v.ownPrivate, &o.ownPrivate},
		{&v.othersPrivate, &o.othersPrivate},
		{&v.onlyShared, &o.onlyShared},
		{&v.privateRefused, &o.privateRefused},
		{&v.listAnswered, &o.listAnswered},
		{&v.privateListed, &o.privateListed},
		{&v.refusedBeside, &o.refusedBeside},
	} {
		*pair[0] = pair[0].later(*pair[1])
	}
}
