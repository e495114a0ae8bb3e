package collector

import (
	"slices"
	"time"

	"glance_share_exporter/client"
)

// This file decides what counts as proof that somebody, or nobody, has access to an image. It has pure functions from
// observations to what may be reported. An observation is what a response showed, in which view and when. No verdict is
// stored: each is computed anew. CONTRIBUTING.md lists the rules, E1 to E22.

// imageEvidence is what one run observed about an image's members, and what earlier runs left.
type imageEvidence struct {
	api        client.API
	membersFor []client.Visibility
	view       *view

	earlier *client.Image // the last record of earlier runs; nil: none
	before  *client.Image // the last record that was read before the list was requested; nil: none
	fresh   bool          // before is of this run
	record  *client.Image // the last record of this run; nil: none was read
	after   *client.Image // the last record that was requested after the list was read; nil: none

	list    observation // when the list was requested
	listEnd time.Time   // when it was read
	read    bool        // all pages of the list were read
	partial bool        // rows are not from the list, which was empty, but from a request for one of them
	rows    []client.Member
	access  client.Access // to which the list was given
	// roleOfAdmin is whether access has one of the roles that administrators have, which proves nothing.
	roleOfAdmin bool
	failed      bool // there was an error for the list, other than a 403
	forbidden   bool // the list got a 403
	onlyShared  bool // a 403 "Only shared images have members"

	recordBegan time.Time // when record was requested

	// What earlier runs left.
	lastForeign *foreignList // nil: none
	rowsDespite bool         // there were rows although the visibility has none, and no response has ended that yet (E1)
	hadRows     bool         // the list had rows when it was last read
	emptied     observation  // when it was first empty after that
	checked     observation  // when the probe on this image showed that rows are visible
	refused     observation  // when that probe was refused
}

// verdict is what may be reported of an image's members.
type verdict int

const (
	notRead    verdict = iota // nothing
	unproven                  // nothing, although the API responded: nothing proves what the response seems to show
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

// applies returns whether the image's visibility, by its record, has members.
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

// lacksSecondRecord reports whether a record that is read after the list may make it complete, or show whether private
// images have members.
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

// wantsProbe reports whether nothing follows from the list without a proof that rows are visible: it is empty, or it is
// an administrator's and has no row that only an administrator gets.
func (e *imageEvidence) wantsProbe() bool {
	if e.api == client.IMS || !e.read || !e.inView() || e.record == nil || e.record.Owner == "" ||
		e.applies() != membersYes && !e.rowsDespite {
		return false
	}
	return len(e.rows) == 0 || !e.ownImage() && !e.administratorsRow() && e.administrators()
}

// provenAdministrator reports whether the view is proven to be an administrator's, and to see rows of other projects'
// images, as far as the list needs that.
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

// stillPrivate reports whether the list of a private image got a 200, and no later record shows yet whether the image
// stayed private.
func (e *imageEvidence) stillPrivate() bool {
	return e.read && e.before != nil && e.before.Visibility == client.Private && e.after == nil
}

// privateThroughout reports whether the image was private before and after the list was read.
func (e *imageEvidence) privateThroughout() bool {
	return e.before != nil && e.after != nil && e.before.Visibility == client.Private && e.after.Visibility == client.Private
}

// project returns the project in whose view the list was read.
func (e *imageEvidence) project() string { return e.access.ProjectID }

// inView reports whether the list was read in the view that the observations are of.
func (e *imageEvidence) inView() bool { return e.view.is(&e.access) }

// complete reports whether the rows of a list that was read are all members (E2): it was read in the owner's view or an
// administrator's, and rows of such images are visible there.
func (e *imageEvidence) complete() bool {
	if e.partial || !e.inView() || !e.owned() && !e.administrators() {
		return false
	}
	return e.rowsVisible()
}

// administrators reports whether the list was read as an administrator. It needs a proof of the same run if its only
// row is that of the project or the user, which a member gets too, or if the last list had rows that only an
// administrator gets and this one has none.
func (e *imageEvidence) administrators() bool {
	if e.api == client.IMS || !e.view.administrator(e.list) || e.mayBeOurs() {
		return false
	}
	return e.administratorsRow() || e.lastForeign == nil && len(e.rows) == 0 || e.view.administratorIn(e.list.run)
}

// mayBeOurs reports whether the empty list of another project's image may be that of an image that has become our own,
// with rows hidden: the image is seen for the first time or has changed, no row of our own images was visible, and no
// later record confirms the owner.
func (e *imageEvidence) mayBeOurs() bool {
	if e.ownImage() || len(e.rows) > 0 || !e.changed() || e.view.seesRows(true, e.list) {
		return false
	}
	return e.before == nil || e.after == nil || e.before.Owner != e.after.Owner
}

// ownImage reports whether, by its record, the image belongs to the view's project.
func (e *imageEvidence) ownImage() bool {
	return e.record != nil && e.record.Owner != "" && e.record.Owner == e.project()
}

// rowsVisible reports whether rows of such images are visible in the view (E7). Huawei Cloud documents no policy on
// rows.
func (e *imageEvidence) rowsVisible() bool {
	return e.api == client.IMS || e.inView() && e.record != nil && e.view.seesRows(e.ownImage(), e.list)
}

// emptyCovered reports whether an empty list counts as read (E7, E8, E11).
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
	if e.checked.made() && !e.checked.at.Before(e.emptied.at) {
		return true
	}
	// Where the probe is refused, policies that hide rows may have changed in between: rows must be visible between the
	// two empty lists, and in the run of the second one.
	rows := e.view.rows(e.ownImage())
	return e.refused.made() && !e.refused.at.Before(e.emptied.at) && e.emptied.run != e.list.run &&
		rows.between(e.emptied, e.list) && rows.last.run == e.list.run
}

// changed reports whether the image is seen for the first time, has no record, or has another owner or visibility than
// in the last run's record.
func (e *imageEvidence) changed() bool {
	return e.earlier == nil || e.record == nil || e.earlier.Owner != e.record.Owner || e.earlier.Visibility != e.record.Visibility
}

// owned reports whether the list was read in the view of the image's owner (E5, E6).
func (e *imageEvidence) owned() bool {
	if !e.ownImage() || !e.view.knowsProject(e.list) || e.before != nil && e.before.Owner != e.project() {
		return false
	}
	if e.api != client.IMS && e.foreignRow() {
		return true // only an owner or an administrator gets one
	}
	if e.before == nil || e.after != nil && e.after.Owner != e.project() {
		return false
	}
	return !e.wantsSecondRecord() || e.after != nil && (e.fresh || !e.changed())
}

// wantsSecondRecord reports whether ownership is certain only with a record that is read after the list.
func (e *imageEvidence) wantsSecondRecord() bool {
	return e.changed() || e.hadRows && len(e.rows) == 0 || len(e.rows) > 0 && !e.foreignRow()
}

// foreignRow reports whether the list has a row of a project other than the view's. A row of a domain or an
// organization may be how the project itself has the image.
func (e *imageEvidence) foreignRow() bool {
	return slices.ContainsFunc(e.rows, func(m client.Member) bool {
		return isAnother(m.ID, e.project()) && m.Type == client.TypeProject
	})
}

// administratorsRow reports whether the list has a row that is neither the view's project nor its user.
func (e *imageEvidence) administratorsRow() bool {
	return slices.ContainsFunc(e.rows, func(m client.Member) bool {
		return isAnother(m.ID, e.project()) && isAnother(m.ID, e.view.access.UserID)
	})
}

// noteVisibility adds to the view what the image's responses show about images of its visibility.
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
	if e.ownImage() && e.record.Visibility == client.Shared { // a visibility since image API 2.5
		v.listAnswered = v.listAnswered.later(e.list)
	}
	if e.privateThroughout() {
		v.privateListed = v.privateListed.later(e.list)
	}
}

// noteRows adds to the view what the rows of the list show. noteVisibility of all images must run first.
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

// foreignList is a list with a row that only an administrator gets, of an image that belonged to another project
// before. The next record shows whether it still did afterwards.
type foreignList struct {
	owner  string
	access client.Access // to which the list was given
	list   observation
	end    time.Time
}

// foreign returns what the next run may learn from the list, or nil.
func (e *imageEvidence) foreign(end time.Time) *foreignList {
	if e.api == client.IMS || !e.read || e.partial || !e.inView() || !e.administratorsRow() || e.before == nil || e.before.Owner == "" ||
		e.before.Owner == e.project() {
		return nil
	}
	return &foreignList{owner: e.before.Owner, access: e.access, list: e.list, end: end}
}
