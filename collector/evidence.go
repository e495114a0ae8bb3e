package collector

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// This file is what counts as proof that somebody, or nobody, has access to an image: pure functions from observations to
// what may be reported. An observation says what an answer showed, in which view and when. Nothing stores a verdict: each is
// computed anew. The rules, E1 to E22, are listed in CONTRIBUTING.md.

const (
	// proofWindow is how far apart a proof's request and the one that it covers may have begun (E11).
	proofWindow = 5 * time.Minute
	// proofRenewal is the age at which the next collection renews a proof that it depends on.
	proofRenewal = 2 * time.Minute
)

// observation is when something was observed: when the request began, and in which collection of the cloud. The zero value
// is never.
type observation struct {
	at  time.Time
	run uint64
}

// made reports whether there was an observation.
func (o observation) made() bool { return o.run != 0 }

// recent reports whether the observation need not be renewed yet.
func (o observation) recent() bool { return o.made() && age(o.at) <= proofRenewal }

// covers reports whether o counts for an answer to a request that was made at another time (E11).
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

// between is the time between two moments. The monotonic clock stands still while a machine sleeps.
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

// view has what was observed in the view of one project: of one credential at one endpoint. The latest observation of each
// kind is kept.
type view struct {
	project string
	// access tells views of a project apart: another endpoint, role or user makes another view. Confirmed is whether Keystone, or the
	// API itself for a signed request, named the project (E6).
	access client.Access

	ownRows    rowsSeen    // a row of a list of an image of the project was visible (E10)
	othersRows rowsSeen    // the same of another project's image
	foreignRow observation // a row that only an administrator gets (E9)

	ownPrivate    observation // a private image of the project was read (E6)
	othersPrivate observation // a private image of another project was read (E9)
	otherOwner    string      // whose that was
	thirdPrivate  observation // a private image of yet another project was read
	thirdOwner    string      // whose that was
	privateImage  string      // the ID of one of them

	images     observation     // some image was listed where everything that the view can see was asked for (E13)
	lookOwners map[string]bool // whose images those were, hidden ones left out; replaced, never changed
	lookShared bool            // whether others share one of them

	refused error  // what the last probe was answered that proved nothing
	entered uint64 // the collection that first had the view

	onlyShared     observation // 403 "Only shared images have members" (E12)
	privateRefused observation // 403 without that text for the list of a private image
	listAnswered   observation // the list of a shared image was answered with 200
	refusedBeside  observation // both in one collection, before any private image was known to have members
	privateListed  observation // 200 for the list of an image that was private before and after it
}

func newView(a client.Access, run uint64) view {
	return view{project: a.ProjectID, access: a, entered: run}
}

// is reports whether an answer was given to the view.
func (v *view) is(a *client.Access) bool {
	return v.access.UserID == a.UserID && v.access.SameView(*a)
}

// privates is what is known of the members of private images. An answer holds until another one contradicts it.
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

// knowsProject reports whether the view is of the project that it says, as far as answers at a time tell (E6).
func (v *view) knowsProject(at observation) bool {
	return v.access.Confirmed || v.privates() == privateHasNone && v.ownPrivate.covers(at)
}

// administrator reports whether the view was an administrator's (E9).
func (v *view) administrator(at observation) bool {
	if v.knowsProject(at) {
		return v.foreignRow.covers(at) || v.privates() == privateHasNone && v.othersPrivate.covers(at)
	}
	return v.privates() == privateHasNone && v.othersPrivate.covers(at) && v.thirdPrivate.covers(at) && v.thirdOwner != v.otherOwner
}

// administratorIn reports whether a collection showed that the view is an administrator's.
func (v *view) administratorIn(run uint64) bool {
	return run != 0 && (v.foreignRow.run == run || v.privates() == privateHasNone && v.othersPrivate.run == run)
}

// seesRows reports whether rows of the project's own images, or of others', were visible (E7, E10).
func (v *view) seesRows(own bool, at observation) bool { return v.rows(own).last.covers(at) }

func (v *view) rows(own bool) *rowsSeen {
	if own {
		return &v.ownRows
	}
	return &v.othersRows
}

// rowsSeen is when rows were visible last, and last in a collection before that one.
type rowsSeen struct{ last, previous observation }

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

// between reports whether rows were visible after one observation and before another one.
func (r *rowsSeen) between(after, before observation) bool {
	inside := func(o observation) bool { return o.made() && o.at.After(after.at) && !o.at.After(before.at) }
	return inside(r.last) || inside(r.previous)
}

// noteRecord notes what an image's record shows.
func (v *view) noteRecord(img *client.Image, at observation) {
	if img.Visibility != client.Private {
		return
	}
	v.privateImage = img.ID
	switch {
	case img.Owner == "":
	case img.Owner == v.project:
		v.ownPrivate = v.ownPrivate.later(at)
	case v.otherOwner == "" || v.otherOwner == img.Owner || !v.othersPrivate.covers(at):
		v.othersPrivate, v.otherOwner = v.othersPrivate.later(at), img.Owner
	default:
		v.thirdPrivate, v.thirdOwner = v.thirdPrivate.later(at), img.Owner
	}
}

// noteProbe notes that the absence of a row was visible in the list of an image of an owner.
func (v *view) noteProbe(owner string, at observation) {
	switch owner {
	case "":
	case v.project:
		v.ownRows.note(at)
	default:
		v.othersRows.note(at)
	}
}

// imageEvidence is what one collection observed of an image's members, and what it has from earlier ones.
type imageEvidence struct {
	api        client.API
	membersFor []client.Visibility
	view       *view

	earlier *client.Image // the last record of earlier collections; nil: none
	before  *client.Image // the last record that was read before the list was asked for; nil: none
	fresh   bool          // before is of this collection
	record  *client.Image // the last record of this collection; nil: none was read
	after   *client.Image // the last record that was asked for after the list was read; nil: none

	list    observation // when the list was asked for
	read    bool        // it was read, all pages of it
	partial bool        // rows are not of the list, which was empty, but of a request for one of them
	rows    []client.Member
	access  client.Access // to whom it was given
	// roleOfAdmin is whether that one has one of the roles that administrators have, which proves nothing.
	roleOfAdmin bool
	failed      bool // it was asked for, and had another answer than 200 and 403, or none
	forbidden   bool // it was answered with 403
	onlyShared  bool // which said that only shared images have members

	recordBegan time.Time // when record was asked for

	// What earlier collections left.
	lastForeign *foreignList // nil: none
	rowsDespite bool         // there were rows though the visibility has none, and no answer has ended that yet (E1)
	hadRows     bool         // the list had rows when it was last read
	emptied     observation  // when it was first empty after that
	checked     observation  // when the probe on this very image showed that rows are visible
	refused     observation  // when it was refused
}

// verdict is what may be reported of an image's members.
type verdict int

const (
	notRead    verdict = iota // nothing
	unproven                  // nothing, though the API answered: there is no proof of what the answer seems to say
	noMembers                 // the image's visibility has no members
	someKnown                 // the rows that were read; there may be more
	allMembers                // the rows that were read are all
)

// verdict applies the rules E1 to E12.
func (e *imageEvidence) verdict() verdict {
	applies := e.applies()
	switch {
	case e.read && len(e.rows) > 0 && (applies != membersYes || !e.complete()):
		return someKnown // E1
	case e.read && len(e.rows) > 0:
		return allMembers
	case e.read && applies == membersNo && !e.rowsDespite:
		return noMembers
	case e.read && applies == membersUnknown, e.read && !e.emptyCovered():
		return unproven // E8, E12
	case e.read && applies == membersNo:
		return noMembers
	case e.read && e.complete():
		return allMembers
	case e.read:
		return someKnown
	case e.rowsDespite && !e.forbidden:
		return notRead
	case applies == membersNo:
		return noMembers
	case applies == membersUnknown && e.view.privates() == privateUnknown && !e.failed:
		return unproven // E12
	}
	return notRead
}

type applicability int

const (
	membersYes applicability = iota
	membersNo
	membersUnknown
)

// applies is whether the image has members, by the visibility in its record.
func (e *imageEvidence) applies() applicability {
	switch {
	case e.record == nil || !e.record.Visibility.Known() || slices.Contains(e.membersFor, e.record.Visibility):
		return membersYes
	case e.record.Visibility != client.Private:
		return membersNo
	case e.view.privates() == privateHasNone && !e.stillPrivate():
		return membersNo
	case e.view.privates() == privateHasMembers:
		return membersYes
	}
	return membersUnknown
}

// wantsList reports whether the list must be read to know who has access.
func (e *imageEvidence) wantsList() bool { return e.rowsDespite || e.applies() == membersYes }

// lacksSecondRecord reports whether a record that is read after the list may make it complete, or show what private images are.
func (e *imageEvidence) lacksSecondRecord() bool {
	switch {
	case !e.read || e.after != nil || !e.inView():
		return false
	case e.applies() == membersUnknown:
		return e.stillPrivate()
	case e.api != client.IMS && e.foreignRow():
		return false
	}
	if e.applies() != membersYes {
		return false
	}
	if e.ownImage() {
		return e.wantsSecondRecord() && (e.fresh || !e.changed())
	}
	return e.mayBeOurs() && e.view.administrator(e.list)
}

// wantsProbe reports whether it takes a proof that rows are visible to say anything of the list: it is empty, or an administrator's with a
// row that proves nothing for others.
func (e *imageEvidence) wantsProbe() bool {
	if e.api == client.IMS || !e.read || !e.inView() || e.record == nil || e.record.Owner == "" || e.applies() != membersYes && !e.rowsDespite {
		return false
	}
	return len(e.rows) == 0 || !e.ownImage() && !e.administratorsRow() && e.administrators()
}

// provenAdministrator reports whether the view is known to be an administrator's, and to see rows of others' images, as far as the list
// calls for that.
func (e *imageEvidence) provenAdministrator() bool {
	switch {
	case e.api == client.IMS || !e.read || !e.inView() || e.ownImage() || e.record == nil:
		return true
	case e.administratorsRow():
		return e.view.administrator(e.list) && e.view.seesRows(false, e.list)
	case e.lastForeign != nil, len(e.rows) > 0 && e.roleOfAdmin:
		return e.view.administratorIn(e.list.run)
	}
	return true
}

// stillPrivate reports whether the list of a private image was answered with 200, and no later record says yet that the image is
// not private any more, or was not at the time.
func (e *imageEvidence) stillPrivate() bool {
	return e.read && e.before != nil && e.before.Visibility == client.Private && e.after == nil
}

// privateThroughout reports whether the image was private before and after the list was asked for.
func (e *imageEvidence) privateThroughout() bool {
	return e.before != nil && e.after != nil && e.before.Visibility == client.Private && e.after.Visibility == client.Private
}

// project is the project whose view the list was given to.
func (e *imageEvidence) project() string { return e.access.ProjectID }

// inView reports whether the list was given to the view that the observations are of.
func (e *imageEvidence) inView() bool { return e.view.is(&e.access) }

// complete reports whether the rows of a list that was read are all members (E2): in the owner's view or an administrator's, and
// where rows of such images are visible.
func (e *imageEvidence) complete() bool {
	if e.partial || !e.inView() || !e.owned() && !e.administrators() {
		return false
	}
	return e.rowsVisible()
}

// administrators reports whether the list was given to an administrator. Where it has no row but our own, which is what others get, or
// the last one had rows that only an administrator gets and this one has none, it takes a proof of the same collection.
func (e *imageEvidence) administrators() bool {
	if e.api == client.IMS || !e.view.administrator(e.list) || e.mayBeOurs() {
		return false
	}
	return e.administratorsRow() || e.lastForeign == nil && len(e.rows) == 0 || e.view.administratorIn(e.list.run)
}

// mayBeOurs reports whether the empty list of another project's image, which is seen for the first time or not as before, may be that of
// an image of our own by then, with rows hidden: no row of our own images was visible, and no later record names the owner of before.
func (e *imageEvidence) mayBeOurs() bool {
	if e.ownImage() || len(e.rows) > 0 || !e.changed() || e.view.seesRows(true, e.list) {
		return false
	}
	return e.before == nil || e.after == nil || e.before.Owner != e.after.Owner
}

// ownImage reports whether the record says that the image is the view's project's own.
func (e *imageEvidence) ownImage() bool {
	return e.record != nil && e.record.Owner != "" && e.record.Owner == e.project()
}

// rowsVisible reports whether rows of such images are visible in the view (E7). Huawei Cloud documents no policy on rows.
func (e *imageEvidence) rowsVisible() bool {
	return e.api == client.IMS || e.inView() && e.record != nil && e.view.seesRows(e.ownImage(), e.list)
}

// emptyCovered reports whether an empty list counts as read (E7, E8, and the end of E11).
func (e *imageEvidence) emptyCovered() bool {
	if !e.rowsVisible() {
		return false
	}
	if !e.hadRows || e.api == client.IMS {
		return true
	}
	if !e.emptied.made() {
		return e.checked.run == e.list.run && e.checked.made()
	}
	return e.checked.made() && !e.checked.at.Before(e.emptied.at) ||
		e.refused.made() && !e.refused.at.Before(e.emptied.at) && e.emptied.run != e.list.run && e.view.rows(e.ownImage()).between(e.emptied, e.list)
}

// changed reports whether the image is seen for the first time, or is not what its last record said.
func (e *imageEvidence) changed() bool {
	return e.earlier == nil || e.record == nil || e.earlier.Owner != e.record.Owner || e.earlier.Visibility != e.record.Visibility
}

// owned reports whether the list was given to the owner of the image (E5, E6).
func (e *imageEvidence) owned() bool {
	if !e.ownImage() || !e.view.knowsProject(e.list) || e.before != nil && e.before.Owner != e.project() {
		return false
	}
	if e.api != client.IMS && e.foreignRow() {
		return true // nobody but an owner or an administrator gets one
	}
	if e.before == nil || e.after != nil && e.after.Owner != e.project() {
		return false
	}
	return !e.wantsSecondRecord() || e.after != nil && (e.fresh || !e.changed())
}

// wantsSecondRecord reports whether ownership is certain only by a record that is read after the list.
func (e *imageEvidence) wantsSecondRecord() bool {
	return e.changed() || e.hadRows && len(e.rows) == 0 || len(e.rows) > 0 && !e.foreignRow()
}

// foreignRow reports whether the list has a row of another project than the view's. One of a domain or an organization may be how the
// project itself has the image.
func (e *imageEvidence) foreignRow() bool {
	return slices.ContainsFunc(e.rows, func(m client.Member) bool {
		return m.ID != "" && m.ID != e.project() && m.Type == client.TypeProject
	})
}

// administratorsRow reports whether the list has a row that is neither the view's project nor its user.
func (e *imageEvidence) administratorsRow() bool {
	return slices.ContainsFunc(e.rows, func(m client.Member) bool {
		return m.ID != "" && m.ID != e.project() && m.ID != e.view.access.UserID
	})
}

// noteVisibility adds to the view what the image's answers show of images of its visibility.
func (e *imageEvidence) noteVisibility() {
	v := e.view
	switch {
	case e.onlyShared:
		v.onlyShared = v.onlyShared.later(e.list)
	case e.forbidden && e.privateThroughout() && e.before.Owner == v.project && e.after.Owner == v.project:
		v.privateRefused = v.privateRefused.later(e.list)
	}
	if !e.read || !e.inView() {
		return
	}
	if e.ownImage() && e.record.Visibility == client.Shared { // which there is since image API 2.5
		v.listAnswered = v.listAnswered.later(e.list)
	}
	if e.privateThroughout() {
		v.privateListed = v.privateListed.later(e.list)
	}
}

// noteRefusal notes that the list of a private image of the project was refused while the list of a shared one was answered (E12).
func (v *view) noteRefusal() {
	if v.privateRefused.made() && v.privateRefused.run == v.listAnswered.run && !v.privateListed.made() {
		v.refusedBeside = v.refusedBeside.later(v.privateRefused)
	}
}

// noteLook notes what a look at all that the view can see brought.
func (v *view) noteLook(images []client.Image, at observation) {
	if v.images.later(at) != at {
		return
	}
	v.images, v.lookOwners, v.lookShared = at, map[string]bool{}, false
	for i := range images {
		img := &images[i]
		if img.Hidden {
			continue
		}
		v.lookOwners[img.Owner] = true
		v.lookShared = v.lookShared || img.Owner != v.project && img.Visibility == client.Shared
	}
}

// noteRows adds to the view what the rows of the list show. It comes after noteVisibility of all images.
func (e *imageEvidence) noteRows() {
	if last := e.lastForeign; last != nil && e.view.is(&last.access) && e.record != nil && !e.recordBegan.Before(last.end) {
		e.view.noteForeignRow(last.owner, e.record.Owner, last.list)
	}
	if e.api == client.IMS || !e.read || e.partial || len(e.rows) == 0 || !e.inView() {
		return
	}
	if e.owned() {
		e.view.ownRows.note(e.list)
	}
	if e.administratorsRow() && e.before != nil && e.after != nil {
		e.view.noteForeignRow(e.before.Owner, e.after.Owner, e.list)
	}
}

// foreignList is a list with a row that only an administrator gets, of an image that belonged to another project before. The next
// record shows whether it did afterwards.
type foreignList struct {
	owner  string
	access client.Access // to whom it was given
	list   observation
	end    time.Time
}

// foreign is what the next collection may learn from the list, nil where that is nothing.
func (e *imageEvidence) foreign(end time.Time) *foreignList {
	if e.api == client.IMS || !e.read || e.partial || !e.inView() || !e.administratorsRow() || e.before == nil || e.before.Owner == "" || e.before.Owner == e.project() {
		return nil
	}
	return &foreignList{owner: e.before.Owner, access: e.access, list: e.list, end: end}
}

// noteForeignRow notes a row that only an administrator gets: of an image that belonged to the same other project before and after
// the list was read (E9).
func (v *view) noteForeignRow(before, after string, at observation) {
	if before == "" || before != after || before == v.project {
		return
	}
	v.foreignRow = v.foreignRow.later(at)
	v.othersRows.note(at)
}

// merge takes over the later observations, if both are of the same view.
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
	v.privateImage = cmp.Or(v.privateImage, o.privateImage)
	if o.images.made() && o.images.later(v.images) == o.images {
		v.images, v.lookOwners, v.lookShared = o.images, o.lookOwners, o.lookShared
	}
	for own, rows := range map[*rowsSeen]*rowsSeen{&v.ownRows: &o.ownRows, &v.othersRows: &o.othersRows} {
		own.note(rows.previous)
		own.note(rows.last)
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

// listingEvidence is what the listings of one owner's images, or of all images, showed.
type listingEvidence struct {
	project  string // in whose view they were read
	owner    string // empty: every project's
	inbound  bool   // they are of what others share with the project
	filtered bool   // by more than the owner
	unread   int    // of them, those that were not read to their ends
	rows     int    // images, hidden ones and others, whether a rule takes them or not
	began    observation
}

// foreign reports whether the images of other projects were listed.
func (l *listingEvidence) foreign() bool { return l.owner != l.project }

// visible reports whether images were visible in the listings (E13). It is the same for those that others share (E14).
func (l *listingEvidence) visible(v *view) bool {
	if l.rows > 0 {
		return true
	}
	contradicted := !l.filtered && v.lookOwners[l.owner]
	if l.inbound {
		contradicted = v.lookShared
	}
	return v.images.covers(l.began) && !contradicted
}

// wantsProject reports whether the listings are of the project's own images, and nothing confirms that the view is the project's (E6).
func (l *listingEvidence) wantsProject(v *view) bool { return !l.foreign() && !v.knowsProject(l.began) }

// wantsAdministrator reports whether only an administrator's listings are complete, and v was not seen to be one's (E13).
func (l *listingEvidence) wantsAdministrator(v *view) bool {
	return l.foreign() && !v.administrator(l.began)
}

// unprovenError is why the API's answer proves nothing, and what to do about it.
type unprovenError string

func (e unprovenError) Error() string { return string(e) }

// IsUnproven reports whether an error says that the API answered, and that nothing proves what the answer seems to say.
func IsUnproven(err error) bool {
	_, ok := errors.AsType[unprovenError](err)
	return ok
}

const (
	errPrivateUnknown = unprovenError("the image is private, and it is unknown whether private images of this API have members: " +
		"allow rule get_members in policy.yaml of Glance, so that the members of a private image can be requested")
	errOwnRowsHidden = unprovenError("the list is empty, and it is not proven that the credential can see rows of its own project's images: " +
		"allow rule get_member in policy.yaml of Glance and the request GET /v2/images/*/members/*, " +
		"or create a proof: share an image of this project with another project of yours, and list that project in its expected_members")
	errOthersRowsHidden = unprovenError("the list is empty, and it is not proven that the credential can see rows of other projects' images: " +
		"allow rule get_member in policy.yaml of Glance and the request GET /v2/images/*/members/*, or use a credential of the project that owns the image")
	errEmptied = unprovenError("the list had members and is empty now, and it is not proven yet that rows are visible: " +
		"allow rule get_member in policy.yaml of Glance and the request GET /v2/images/*/members/*")
	errOwnerUnknown = unprovenError("the list is empty and not proven complete, because the image's record was not read: " +
		"allow the requests GET /v2/images and GET /v2/images/*")
)

// unprovenErr says why the verdict is unproven.
func (e *imageEvidence) unprovenErr() error {
	switch {
	case e.applies() == membersUnknown:
		return errPrivateUnknown
	case e.record == nil:
		return errOwnerUnknown
	case !e.rowsVisible() && e.ownImage():
		return errOwnRowsHidden
	case !e.rowsVisible():
		return errOthersRowsHidden
	}
	return errEmptied
}

// Doubt is why the members that were read may not be all.
type Doubt int

const (
	// NoDoubt means that they are all.
	NoDoubt Doubt = iota
	// ForeignView means that the image is another project's, or its owner is not known.
	ForeignView
	// UnknownProject means that nothing confirms that the credential is of the project that the configuration names.
	UnknownProject
	// UnprovenAdministrator means that the credential has one of admin_roles, and nothing shows that the API takes it for an administrator's.
	UnprovenAdministrator
	// ChangingImage means that the owner or the visibility changed, or no record was read after the list.
	ChangingImage
	// DespiteVisibility means that there are members, though the image's visibility has none.
	DespiteVisibility
	// HiddenRows means that rows of such images were not seen to be visible.
	HiddenRows
)

// doubt says why the list is not complete.
func (e *imageEvidence) doubt() Doubt {
	switch {
	case e.applies() != membersYes:
		return DespiteVisibility
	case !e.ownImage() && e.view.administrator(e.list) && e.mayBeOurs():
		return ChangingImage
	case !e.ownImage() && e.roleOfAdmin:
		return UnprovenAdministrator
	case !e.ownImage():
		return ForeignView
	case !e.view.knowsProject(e.list):
		return UnknownProject
	case e.owned() && !e.rowsVisible():
		return HiddenRows
	}
	return ChangingImage
}
