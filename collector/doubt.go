package collector

import (
	"errors"
	"slices"
)

// unprovenError is why the API's response proves nothing, and what to do about it.
type unprovenError struct {
	text string
	gap  Gap // for an image
}

func (e unprovenError) Error() string { return e.text }

// IsUnproven reports whether the error means that the API responded, but nothing proves what the response seems to
// show.
func IsUnproven(err error) bool {
	_, ok := errors.AsType[unprovenError](err)
	return ok
}

// Gap is what is missing to prove what the response about an image seems to show.
type Gap int

// The gaps.
const (
	NoGap            Gap = iota
	OwnRowsHidden        // the list is empty, and rows of the project's own images may be hidden
	OthersRowsHidden     // the list is empty, and rows of other projects' images may be hidden
	PrivateUnknown       // private images may have members
	OwnerUnknown         // the list is empty, and the record was not read
)

const (
	allowRow   = "allow rule get_member in policy.yaml of Glance and the request GET /v2/images/*/members/*"
	emptiedRow = "the list had members and is empty now, and it is not proven yet that rows are visible: " + allowRow
)

// unprovenErrs has the error of an image for each gap.
var unprovenErrs = map[Gap]unprovenError{
	PrivateUnknown: {"the image is private, and it is unknown whether private images of this API have members: " +
		"allow rule get_members in policy.yaml of Glance, so that the members of a private image can be requested", PrivateUnknown},
	OwnRowsHidden: {
		"the list is empty, and it is not proven that the credential can see rows of its own project's images: " + allowRow +
			", or create a proof: share an image of this project with another project of yours, and list that project in its expected_members",
		OwnRowsHidden,
	},
	OthersRowsHidden: {"the list is empty, and it is not proven that the credential can see rows of other projects' images: " + allowRow +
		", or use a credential of the project that owns the image", OthersRowsHidden},
	OwnerUnknown: {"the list is empty and not proven complete, because the image's record was not read: " +
		"allow the requests GET /v2/images and GET /v2/images/*", OwnerUnknown},
}

// gap returns what is missing where the verdict is unproven.
func (e *imageEvidence) gap() Gap {
	switch {
	case e.applies() == membersUnknown:
		return PrivateUnknown
	case e.record == nil:
		return OwnerUnknown
	case e.ownImage():
		return OwnRowsHidden
	}
	return OthersRowsHidden
}

// unprovenErr returns why the verdict is unproven.
func (e *imageEvidence) unprovenErr() error {
	gap := e.gap()
	if (gap == OwnRowsHidden || gap == OthersRowsHidden) && e.rowsVisible() {
		return unprovenError{emptiedRow, gap}
	}
	return unprovenErrs[gap]
}

// Gap returns what is missing to prove what the response about the image seems to show, or NoGap if Coverage is not
// Unread for that reason.
func (s *ImageSnapshot) Gap() Gap {
	if err, ok := errors.AsType[unprovenError](s.Err); ok && s.Coverage == Unread {
		return err.gap
	}
	return NoGap
}

// ViewOf returns the project in whose view an image was read, empty if it is unknown.
func (s *Snapshot) ViewOf(img *ImageSnapshot) string {
	own := func(v ViewSnapshot) bool { return v.ProjectID == img.Record.Owner }
	switch {
	case img.Record == nil && len(s.Views) == 1:
		return s.Views[0].ProjectID
	case img.Record == nil:
		return ""
	case slices.ContainsFunc(s.Views, own):
		return img.Record.Owner
	}
	return img.Record.View
}

// Doubt is why the members that were read may not be all.
type Doubt int

const (
	// NoDoubt means that they are all.
	NoDoubt Doubt = iota
	// ForeignView means that the image belongs to another project, or that its owner is unknown.
	ForeignView
	// UnknownProject means that nothing confirms that the credential belongs to the configured project.
	UnknownProject
	// UnprovenAdministrator means that the credential has one of admin_roles, and nothing proves that the API treats it
	// as an administrator.
	UnprovenAdministrator
	// ChangingImage means that the owner or the visibility changed, or that no record was read after the list.
	ChangingImage
	// DespiteVisibility means that there are members although the image's visibility has none, or is not known to have
	// any.
	DespiteVisibility
	// HiddenRows means that it was not proven that rows of such images are visible.
	HiddenRows
)

// doubt returns why the list may not be complete.
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
