package fakecloud

import (
	"net/http"
	"slices"
)

// SetBefore25 makes the image API one before 2.5, as Mitaka and Newton have it: shared is no visibility, and any image
// that is not public is private and may have members. Texts and filters follow Liberty's source; nothing of it is recorded.
func (c *Cloud) SetBefore25(before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before25 = before
}

// newest is the minor version of the image API.
func (c *Cloud) newest() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.before25 {
		return 4
	}
	return 16
}

// visibility is an image's, as this API shows it.
func (v *view) visibility(img *imageRecord) string {
	if v.before25 && img.Visibility != "public" {
		return "private"
	}
	return img.Visibility
}

// hasMembers tells whether members belong to an image.
func (v *view) hasMembers(img *imageRecord) bool {
	return img.Visibility == "shared" || v.before25 && img.Visibility != "public"
}

// appendImage writes a record. An API before 2.5 has none of the newer fields.
func (v *view) appendImage(b []byte, img *imageRecord) []byte {
	rec := img.Image
	rec.Visibility = v.visibility(img)
	if !v.before25 {
		return rec.appendTo(b, v.admin())
	}
	return rec.appendFields(b, slices.DeleteFunc(rec.fields(v.admin()), func(f field) bool {
		return slices.Contains([]string{"os_hidden", "os_hash_algo", "os_hash_value", "stores"}, f.key)
	}))
}

// showsShared is visibility=shared before 2.5: a query of the members alone. It finds what is shared with the caller,
// not what it shares; for an administrator, all that has members.
func (l *listing) showsShared(img *imageRecord, v *view) bool {
	if v.admin() {
		return slices.ContainsFunc(img.members, func(m *memberRecord) bool { return !m.deleted })
	}
	return img.hasMember(v.projectID, l.memberStatus)
}

// refuseMembers is what GET members is refused with, or nil. Before 2.5 get_member has no say in it.
func (v *view) refuseMembers(r *http.Request, img *imageRecord) *answer {
	id := img.ID
	refuse := func(status int, text string) *answer {
		a := webobError(r, status, text)
		return &a
	}
	mayImage, mayMembers := v.may(v.policy.GetImage, img), v.may(v.policy.GetMembers, img)
	if v.before25 {
		switch {
		case !mayImage:
			return refuse(http.StatusForbidden, "You are not authorized to lookup image "+id+".")
		case !v.hasMembers(img):
			return refuse(http.StatusForbidden, publicText(id))
		case !mayMembers:
			return refuse(http.StatusForbidden, "Not allowed to list members for image "+id+".")
		}
		return nil
	}
	switch {
	case !v.hasMembers(img):
		return refuse(http.StatusForbidden, "Not allowed to list members for image "+id+": "+onlySharedText)
	case !mayImage:
		return refuse(http.StatusNotFound, notFoundText)
	case !mayMembers:
		return refuse(http.StatusForbidden, notAuthorized("get_members"))
	}
	return nil
}

// refuseMember is what GET members/{member} is refused with, or nil. It has no 403, so that it can't tell "not shared"
// from "not allowed".
func (v *view) refuseMember(r *http.Request, img *imageRecord) *answer {
	text := ""
	mayImage, mayMember := v.may(v.policy.GetImage, img), v.may(v.policy.GetMember, img)
	switch {
	case v.before25 && !mayImage:
		text = "You are not authorized to lookup image " + img.ID + "."
	case !v.hasMembers(img):
		if text = onlySharedText; v.before25 {
			text = publicText(img.ID)
		}
	case !mayImage:
		text = notFoundText
	case !mayMember:
		if text = notAuthorized("get_member"); v.before25 {
			text = "You are not authorized to lookup the members of the image " + img.ID + "."
		}
	default:
		return nil
	}
	a := webobError(r, http.StatusNotFound, text)
	return &a
}

const onlySharedText = "Only shared images have members."

func publicText(id string) string {
	return "Error fetching members of image " + id + ": Public images do not have members."
}
