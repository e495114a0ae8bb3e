package fakecloud

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// group is a domain or an organization that images can be shared with.
type group struct{ kind, id string }

// AddProjectGroup makes a project one of a domain or an organization. What is shared with that one, the project can use.
func (c *Cloud) AddProjectGroup(projectID, kind, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[projectID] = append(c.groups[projectID], group{kind, id})
}

// is tells whether a member is the caller: its project, or what that belongs to.
func (p caller) is(m *memberRecord) bool {
	kind := cmp.Or(m.Type, "project")
	if kind == "project" {
		return m.MemberID == p.projectID
	}
	return slices.Contains(p.groups, group{kind, m.MemberID})
}

// sharedWith tells whether the caller is a member with a status that counts; "all" counts every one.
func (img *imageRecord) sharedWith(who caller, status string) bool {
	return slices.ContainsFunc(img.members, func(m *memberRecord) bool {
		return !m.deleted && who.is(m) && (status == "all" || m.Status == status)
	})
}

// imsVisible finds an image that a project owns or is a member of. The caller holds the lock.
func (c *Cloud) imsVisible(id string, who caller) *imageRecord {
	img := c.images[id]
	if img == nil || img.Owner != who.projectID && img.Visibility != "public" && !img.sharedWith(who, "all") {
		return nil
	}
	return img
}

func (c *Cloud) imsImage(id string, who caller) answer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.imsVisible(id, who)
	if img == nil {
		return noImage(id)
	}
	return jsonAnswer(http.StatusOK, c.appendIMS(nil, img))
}

// imageType is the property __imagetype. Whether it is shared where only domains and organizations are members, no document says.
func (c *Cloud) imageType(img *imageRecord) string {
	switch {
	case img.Visibility == "public":
		return "gold"
	case slices.ContainsFunc(img.members, func(m *memberRecord) bool {
		return !m.deleted && (!c.opts.PrivateGroupShares || m.Type == "" || m.Type == "project")
	}):
		return "shared"
	}
	return "private"
}

// glanceOnly are the keys of Glance's records that IMS does not have.
var glanceOnly = []string{"os_hidden", "os_hash_algo", "os_hash_value", "stores"}

// appendIMS writes the record as IMS does, with the properties that its documents call mandatory. A shared image is
// private there.
func (c *Cloud) appendIMS(b []byte, img *imageRecord) []byte {
	rec := img.Image
	rec.Properties = map[string]string{
		"__imagetype": c.imageType(img), "virtual_env_type": "FusionCompute", "__isregistered": "true", "__image_source_type": "uds",
		"__image_size": strconv.FormatInt(rec.Size, 10), "__os_type": "Linux", "__platform": "CentOS", "__os_bit": "64",
		"active_at": isoTime(rec.CreatedAt),
	}
	maps.Copy(rec.Properties, img.Properties)
	if img.Whole {
		rec.Properties["__whole_image"] = "true"
	}
	if rec.Visibility == "shared" {
		rec.Visibility = "private"
	}
	fields := slices.DeleteFunc(rec.fields(false), func(f field) bool { return slices.Contains(glanceOnly, f.key) })
	return rec.appendFields(b, fields)
}

// imsImages is GET /v2/cloudimages, which has no link to the next page, and GET /v2/images, which has one and shorter pages.
func (c *Cloud) imsImages(path string, q url.Values, who caller) answer {
	native := path == "/v2/images"
	most := imsPage
	if native {
		most = c.opts.PageSize
	}
	limit, bad := c.imsLimit(q, most)
	if bad != nil {
		return *bad
	}
	if status := q.Get("member_status"); !slices.Contains([]string{"", "accepted", "rejected", "pending"}, status) {
		return *badParameter("member_status [" + status + "] is not accepted, rejected or pending")
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	start := 0
	if marker := q.Get("marker"); marker != "" {
		start = 1 + slices.IndexFunc(c.order, func(img *imageRecord) bool { return img.ID == marker })
		if start == 0 {
			return imsError(http.StatusBadRequest, "IMG.0144", "The marker ["+marker+"] does not exist.")
		}
	}
	b := append(make([]byte, 0, 4096), `{"images": [`...)
	n, last := 0, ""
	for _, img := range c.order[start:] {
		if n == limit || !c.inIMSImages(img, q, who) {
			continue
		}
		if n++; n > 1 {
			b = append(b, ", "...)
		}
		b, last = c.appendIMS(b, img), img.ID
	}
	b = append(b, `], "schema": "/v2/schemas/images"`...)
	if native {
		q.Del("marker")
		b = appendString(append(b, `, "first": `...), path+"?"+q.Encode(), true)
		if n == limit {
			q.Set("marker", last)
			b = appendString(append(b, `, "next": `...), path+"?"+q.Encode(), true)
		}
	}
	return jsonAnswer(http.StatusOK, append(b, '}'))
}

// inIMSImages tells whether an image is in the list: the caller's own, public ones, and those of others that it is a member of and
// has accepted. Another member_status counts beside visibility=shared only. The caller holds the lock.
func (c *Cloud) inIMSImages(img *imageRecord, q url.Values, who caller) bool {
	shared := q.Get("visibility") == "shared"
	status := "accepted"
	if shared {
		status = cmp.Or(q.Get("member_status"), status)
	}
	own, public := img.Owner == who.projectID, img.Visibility == "public"
	ofOthers := !own && !public && img.sharedWith(who, status)
	switch {
	case q.Get("owner") != "" && img.Owner != q.Get("owner"), q.Get("id") != "" && q.Get("id") != img.ID:
		return false
	case q.Get("__imagetype") != "" && c.imageType(img) != q.Get("__imagetype"):
		return false
	}
	switch q.Get("visibility") {
	case "shared":
		return ofOthers
	case "public":
		return public
	case "private":
		return own && !public
	}
	return own || public || ofOthers
}

// imsLimit reads limit: 1 to 1000. A lower MaxPageSize trims it without a word.
func (c *Cloud) imsLimit(q url.Values, def int) (int, *answer) {
	text := q.Get("limit")
	if text == "" {
		return min(def, c.opts.MaxPageSize), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > imsMaxPage {
		return 0, badParameter("limit must be from 1 to 1000")
	}
	return min(n, c.opts.MaxPageSize), nil
}
