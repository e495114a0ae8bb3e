package fakecloud

import "net/http"

// visible tells whether a token may know of an image at all.
func (img *imageRecord) visible(v *view) bool {
	visibility := v.visibility(img)
	switch {
	case v.admin(), img.Owner == "", visibility == "public", visibility == "community":
		return true
	case v.projectID == "":
		return false
	}
	return img.Owner == v.projectID || v.hasMembers(img) && img.hasMember(v.projectID, "all")
}

// sees tells whether a token gets to see a row of the members list: owner and admin see all, a member its own.
func (img *imageRecord) sees(v *view, m *memberRecord) bool {
	return !m.deleted && (v.admin() || v.projectID != "" && (img.Owner == v.projectID || m.MemberID == v.projectID))
}

// listMembers answers 404 to all who may not know of the image, and 403 where members don't apply, to the owner and
// the admin too. There are no pages: limit and marker are ignored.
func (c *Cloud) listMembers(r *http.Request, v *view, imageID string) answer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.images[imageID]
	if img == nil || !img.visible(v) {
		return webobError(r, http.StatusNotFound, "Image "+imageID+" not found.")
	}
	if refused := v.refuseMembers(r, img); refused != nil {
		return *refused
	}
	// Glance asks for each row, but about the image: the answer is always the same.
	mayMember := v.before25 || v.may(v.policy.GetMember, img)
	b := append(make([]byte, 0, 64+240*len(img.members)), `{"members": [`...)
	first := true
	for _, m := range img.members {
		if !mayMember || !img.sees(v, m) {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = m.appendTo(b, imageID)
	}
	return jsonAnswer(http.StatusOK, append(b, `], "schema": "/v2/schemas/members"}`...))
}

func (c *Cloud) getMember(r *http.Request, v *view, imageID, memberID string) answer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.images[imageID]
	if img == nil || !img.visible(v) {
		return webobError(r, http.StatusNotFound, "Image "+imageID+" not found.")
	}
	if refused := v.refuseMember(r, img); refused != nil {
		return *refused
	}
	if m := img.member(memberID); m != nil && img.sees(v, m) {
		return jsonAnswer(http.StatusOK, m.appendTo(nil, imageID))
	}
	return webobError(r, http.StatusNotFound, memberID+" not found in the member list of the image "+imageID+".")
}

func (m *memberRecord) appendTo(b []byte, imageID string) []byte {
	b = append(b, `{"member_id": `...)
	b = appendString(b, m.MemberID, false)
	b = append(b, `, "image_id": `...)
	b = appendString(b, imageID, false)
	b = append(b, `, "status": `...)
	b = appendString(b, m.Status, false)
	b = append(b, `, "created_at": "`...)
	b = append(b, isoTime(m.CreatedAt)...)
	b = append(b, `", "updated_at": "`...)
	b = append(b, isoTime(m.UpdatedAt)...)
	return append(b, `", "schema": "/v2/schemas/member"}`...)
}

const memberSchema = `{"name": "member", "properties": {` +
	`"member_id": {"type": "string", "description": "An identifier for the image member (tenantId)"}, ` +
	`"image_id": {"type": "string", "description": "An identifier for the image", "pattern": ` +
	`"^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"}, ` +
	`"created_at": {"type": "string", "description": "Date and time of image member creation"}, ` +
	`"updated_at": {"type": "string", "description": "Date and time of last modification of image member"}, ` +
	`"status": {"type": "string", "description": "The status of this image member", ` +
	`"enum": ["pending", "accepted", "rejected"]}, ` +
	`"schema": {"readOnly": true, "type": "string"}}}`

var schemas = map[string]string{
	"member": memberSchema,
	"members": `{"name": "members", "properties": {"members": {"type": "array", "items": ` + memberSchema +
		`}, "schema": {"type": "string"}}, "links": [{"rel": "describedby", "href": "{schema}"}]}`,
}
