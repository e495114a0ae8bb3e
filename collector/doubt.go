package collector

import "errors"

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
