package collector

import (
	"slices"
	"time"

	"glance_share_exporter/client"
)

// This file is what counts as proof that somebody, or nobody, has access to an image: pure functions from observations to
// what may be reported. An observation says what an answer showed, in which view and when. Nothing stores a verdict: each is
// computed anew. The rules, E1 to E22, are listed in CONTRIBUTING.md.

// imageEvidence is what one run observed of an image's members, and what it has from earlier ones.
type imageEvidence struct {
	api        client.API
	membersFor []client.Visibility
	view       *view

	earlier *client.Image // the last record of earlier runs; nil: none
	before  *client.Image // the last record that was read before the list was asked for; nil: none
	fresh   bool          // before is of this run
	record  *client.Image // the last record of this run; nil: none was read
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

	// What earlier runs left.
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
	if e.api == client.IMS || !e.read || !e.inView() || e.record == nil || e.record.Owner == "" ||
		e.applies() != membersYes && !e.rowsDespite {
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
// the last one had rows that only an administrator gets and this one has none, it takes a proof of the same run.
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
	if e.checked.made() && !e.checked.at.Before(e.emptied.at) {
		return true
	}
	// Where the probe is refused, policies that hide rows may come and go: rows must be visible between the two empty lists, and in the
	// collection of the second one.
	rows := e.view.rows(e.ownImage())
	return e.refused.made() && !e.refused.at.Before(e.emptied.at) && e.emptied.run != e.list.run &&
		rows.between(e.emptied, e.list) && rows.last.run == e.list.run
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

// foreign is what the next run may learn from the list, nil where that is nothing.
func (e *imageEvidence) foreign(end time.Time) *foreignList {
	if e.api == client.IMS || !e.read || e.partial || !e.inView() || !e.administratorsRow() || e.before == nil || e.before.Owner == "" ||
		e.before.Owner == e.project() {
		return nil
	}
	return &foreignList{owner: e.before.Owner, access: e.access, list: e.list, end: end}
}
