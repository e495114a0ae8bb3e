package fakecloud

import (
	"cmp"
	"net/http"
	"slices"
)

func (c *Cloud) getImage(r *http.Request, v *view, id string) answer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.images[id]
	if img == nil || !img.visible(v) {
		return webobError(r, http.StatusNotFound, "No image found with ID "+id)
	}
	if !v.may(v.policy.GetImage, img) {
		if v.before25 {
			return webobError(r, http.StatusForbidden, notAuthorized("get_image"))
		}
		return webobError(r, http.StatusNotFound, notFoundText)
	}
	return jsonAnswer(http.StatusOK, v.appendImage(nil, img))
}

// listing is a GET /v2/images, read.
type listing struct {
	limit        int
	marker       *string
	memberStatus string
	tags         []string
	keys, dirs   []string
	filters      []filter
	visibility   *string
	ids          []string // if set, only these can match: they save the walk over all images
}

// badRequest is what a listing can't be read for; an empty text stands for a 500.
type badRequest struct{ text string }

func (c *Cloud) listImages(r *http.Request, v *view) answer {
	all := parseParams(r.URL.RawQuery)
	l, err := c.readListing(slices.Clone(all), v.before25)
	if err != nil {
		if err.text == "" {
			return webobError(r, http.StatusInternalServerError, erredText)
		}
		return webobError(r, http.StatusBadRequest, err.text)
	}

	if !v.mayList() {
		return webobError(r, http.StatusForbidden, notAuthorized("get_images"))
	}

	c.mu.RLock()
	defer c.mu.RUnlock()
	var marker *imageRecord
	if l.marker != nil {
		if marker = c.images[*l.marker]; marker == nil && v.admin() {
			marker = c.deleted[*l.marker]
		}
		if marker == nil {
			return webobError(r, http.StatusBadRequest, "No image found with ID "+*l.marker)
		}
		if !marker.visible(v) {
			return webobError(r, http.StatusForbidden, "Forbidding request, image "+*l.marker+" not visible")
		}
	}
	page := c.page(l, v, marker)
	full := len(page) == l.limit
	page = slices.DeleteFunc(page, func(img *imageRecord) bool {
		return !v.before25 && !v.may(v.policy.GetImage, img)
	})

	b := append(make([]byte, 0, 128+900*len(page)), `{"images": [`...)
	for i, img := range page {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = v.appendImage(b, img)
	}
	// The links are made from a dict of the parameters: of repeated ones (tag) only the last is left.
	links := all.dict()
	links.pop("marker")
	b = append(b, `], "first": `...)
	b = appendString(b, links.link(), false)
	b = append(b, `, "schema": "/v2/schemas/images"`...)
	if len(page) > 0 && full { // full before rows were dropped, so that the next page begins with dropped ones
		links = append(links, param{"marker", page[len(page)-1].ID})
		b = append(b, `, "next": `...)
		b = appendString(b, links.link(), false)
	}
	return jsonAnswer(http.StatusOK, append(b, '}'))
}

// page selects, sorts and cuts. The caller holds the lock.
func (c *Cloud) page(l *listing, v *view, marker *imageRecord) []*imageRecord {
	candidates := c.order
	if l.ids != nil {
		candidates = nil
		seen := map[string]bool{}
		for _, id := range l.ids {
			if img := c.images[id]; img != nil && !seen[id] {
				seen[id] = true
				candidates = append(candidates, img)
			}
		}
	}
	var page []*imageRecord
	for _, img := range candidates {
		if l.shows(img, v) && (marker == nil || l.compare(img, marker) > 0) {
			page = append(page, img)
		}
	}
	slices.SortFunc(page, l.compare)
	return page[:min(len(page), l.limit)]
}

// shows tells whether an image is in the list. Without a visibility community images of others are left out, for an
// admin too. The member status counts for others' shared images only, and not for an admin. A token without a project
// gets every shared image that has members: strange, but so it is.
func (l *listing) shows(img *imageRecord, v *view) bool {
	own := v.projectID != "" && img.Owner == v.projectID
	visibility := v.visibility(img)
	if v.before25 && l.visibility != nil && *l.visibility == "shared" {
		return l.showsShared(img, v) && l.passes(img)
	}
	if !own && !v.admin() && visibility != "public" && visibility != "community" {
		if !v.hasMembers(img) {
			return false
		}
		if v.projectID == "" {
			if !slices.ContainsFunc(img.members, func(m *memberRecord) bool { return !m.deleted }) {
				return false
			}
		} else if !img.hasMember(v.projectID, l.memberStatus) {
			return false
		}
	}
	switch {
	case l.visibility == nil && visibility == "community" && !own:
		return false
	case l.visibility != nil && *l.visibility != "all" && *l.visibility != visibility:
		return false
	}
	return l.passes(img)
}

// passes tells whether an image has the tags and passes the filters.
func (l *listing) passes(img *imageRecord) bool {
	for _, tag := range l.tags {
		if !slices.Contains(img.Tags, tag) {
			return false
		}
	}
	return !slices.ContainsFunc(l.filters, func(f filter) bool { return !f(img) })
}

func (l *listing) compare(a, b *imageRecord) int {
	for i, key := range l.keys {
		n := compareBy(key, a, b)
		if l.dirs[min(i, len(l.dirs)-1)] == "desc" {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return 0
}

func compareBy(key string, a, b *imageRecord) int {
	switch key {
	case "name":
		return cmp.Compare(a.Name, b.Name)
	case "status":
		return cmp.Compare(a.Status, b.Status)
	case "container_format":
		return cmp.Compare(a.ContainerFormat, b.ContainerFormat)
	case "disk_format":
		return cmp.Compare(a.DiskFormat, b.DiskFormat)
	case "size":
		return cmp.Compare(a.Size, b.Size)
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	}
	return cmp.Compare(a.ID, b.ID)
}
