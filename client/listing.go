package client

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// MaxImagesPerPage is how many records [Client.ImagePage] requests. A server may return fewer.
const MaxImagesPerPage = 1000

// ImageQuery selects the images of a listing.
type ImageQuery struct {
	// Owner is the project that owns the images. Empty: every project's images, including those that the API leaves out by
	// default (other projects' community images); that requires an administrator's credential.
	Owner string
	// Foreign is whether Owner is another project than the credential's. The API would leave its community images out.
	Foreign bool
	// Visibility, if not empty, is the visibility of all images.
	Visibility Visibility
	// Tags are those that each image has.
	Tags []string
	// Hidden selects the hidden images (os_hidden) instead of the others: no list has both.
	Hidden bool
	// SharedWith, if not empty, selects the shared images that a project, the credential's own, is a member of, whoever owns
	// them: Owner, Visibility and Tags are ignored. The list also has the images that the project itself shares, because the
	// API cannot exclude an owner, and for an administrator's credential all shared images of the cloud.
	SharedWith string
	// MemberStatus is, with SharedWith, the status of that membership; empty: any, which Huawei Cloud has no filter for.
	MemberStatus Status
	// Plain selects what the view sees by default, without filter and order. Of the other fields, only Limit and As are used.
	Plain bool
	// Limit, if not 0, is the number of records to request, in no order. Such a query is one page, whose Next is meaningless.
	Limit int
	// As, if not empty, is the project in whose view [Projects] sends the request. A [Client] ignores it.
	As string
}

func (q ImageQuery) values() url.Values {
	v := url.Values{"limit": {strconv.Itoa(cmp.Or(q.Limit, MaxImagesPerPage))}}
	if q.Plain {
		return v
	}
	if q.Limit == 0 {
		v.Set("sort", "created_at:asc,id:asc")
	}
	if q.Hidden {
		v.Set("os_hidden", "true")
	}
	if q.SharedWith != "" {
		v.Set("visibility", string(Shared))
		v.Set("member_status", cmp.Or(string(q.MemberStatus), "all"))
		return v
	}
	if q.Owner != "" {
		v.Set("owner", q.Owner)
	}
	switch {
	case q.Visibility != "":
		v.Set("visibility", string(q.Visibility))
	case q.Owner == "" || q.Foreign:
		v.Set("visibility", "all")
	}
	if len(q.Tags) > 0 {
		v["tag"] = q.Tags
	}
	return v
}

// maxCloudImages is how many records a page of Huawei Cloud's listing has.
const maxCloudImages = 500

// cloudImages is the query for Huawei Cloud's own listing, GET /v2/cloudimages: all images of the owner, or those that are
// shared with a project. It is not documented whether __imagetype=shared finds images that are shared with a domain or an
// organization only. There is no filter by tags, which have another format there.
func (q ImageQuery) cloudImages() url.Values {
	v := url.Values{"limit": {strconv.Itoa(cmp.Or(q.Limit, maxCloudImages))}}
	if q.Plain {
		return v
	}
	switch {
	case q.SharedWith != "":
		v.Set("__imagetype", "shared")
		// According to the API's documentation, member_status requires the visibility.
		v.Set("visibility", string(Shared))
		v.Set("member_status", cmp.Or(string(q.MemberStatus), string(Accepted)))
	case q.Owner != "":
		v.Set("owner", q.Owner)
	}
	return v
}

// limit is how many records of a page are requested.
func (q ImageQuery) limit(ims bool) int {
	if ims {
		return cmp.Or(q.Limit, maxCloudImages)
	}
	return cmp.Or(q.Limit, MaxImagesPerPage)
}

// ImagePage is one page of a listing.
type ImagePage struct {
	Images []Image
	// Unreadable is how many records of the page could not be read.
	Unreadable int
	// Next is the marker of the next page; empty: this is the last one.
	Next string
	// Dropped is whether the server left records out of the page, so that the listing is incomplete.
	Dropped bool
	// Access is the view in which the page was read.
	Access Access
}

// ImagePage returns the page of a listing that starts after marker, the first one for an empty marker:
// GET /v2/images?limit=1000&..., the oldest image first. The error is an [*Error]. With a marker, 400, 403 and 404 mean that
// the marker's image was deleted, and the listing must start again.
//
// A page with a link to the next one and fewer records than requested is requested again: either the server has a lower
// limit, or it left records out.
func (c *Client) ImagePage(ctx context.Context, q ImageQuery, marker string) (ImagePage, error) {
	page, err := c.imagePage(ctx, q, marker, 0)
	if err != nil {
		return ImagePage{}, err
	}
	if page.linked && q.Limit == 0 {
		if page.Dropped, err = c.rowsDropped(ctx, q, marker, page); err != nil {
			return ImagePage{}, err
		}
	}
	return page.ImagePage, nil
}

// linkedPage is a page, and whether it has a link to the next one.
type linkedPage struct {
	ImagePage
	linked bool
}

func (p *linkedPage) rows() int { return len(p.Images) + p.Unreadable }

// imagePage sends the request for a page. limit, if not 0, replaces the query's.
func (c *Client) imagePage(ctx context.Context, q ImageQuery, marker string, limit int) (linkedPage, error) {
	// Each page has a new query, because the server's link to the next page has only the last of the tags.
	api := c.settings.Load().API
	query, path := q.values(), "images?"
	if api == IMS {
		query, path = q.cloudImages(), "cloudimages?"
	}
	if marker != "" {
		query.Set("marker", marker)
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page linkedPage
	unbound := false
	req := request{op: OpListImages, path: path + query.Encode()}
	decode := func(resp response) (err error) {
		page, err = decodePage(resp.body, api)
		unbound = err == nil && resp.unbound && page.rows() == 0
		if err == nil {
			err = c.secrets.redactImages(page.Images)
		}
		return err
	}
	access, err := c.get(ctx, req, decode)
	if err == nil && unbound { // an empty page names no image: only a new connection shows that it is this page
		req.fresh = true
		access, err = c.get(ctx, req, decode)
	}
	if err != nil {
		return linkedPage{}, c.withRemedy(err)
	}
	if n := len(page.Images); api == IMS && page.Next == "" && n > 0 {
		// There is no link to the next page, and a page may be short because the server has a lower limit.
		page.Next = page.Images[n-1].ID
	}
	page.Access = access
	setView(page.Images, access)
	return page, nil
}

// pageLimit is a server's limit of the records in a page, lower than what is requested.
type pageLimit struct {
	endpoint string
	rows     int
	until    time.Time
	marker   string // of the page that showed it
	sure     bool   // a page with another marker showed it, too
}

// keepPageLimit is how long a server's limit is used.
const keepPageLimit = time.Hour

// rowsDropped reports whether records were left out of a page with a link to the next one. With a limit of as many records as
// the page has, a server that left some out returns fewer again, unless they were the last ones of the page. Those are the
// first ones of the next page, so one page alone does not show the server's limit.
func (c *Client) rowsDropped(ctx context.Context, q ImageQuery, marker string, page linkedPage) (bool, error) {
	rows := page.rows()
	switch {
	case rows >= q.limit(c.settings.Load().API == IMS):
		return false, nil
	case rows == 0:
		return true, nil
	}
	known := c.pageLimit.Load()
	valid := known != nil && known.endpoint == page.Access.Endpoint && known.rows == rows && time.Now().Before(known.until)
	if valid && known.sure {
		return false, nil
	}
	again, err := c.imagePage(ctx, q, marker, rows)
	switch {
	case err != nil:
		return false, err
	case !again.Access.SameView(page.Access):
		return false, &Error{Op: OpListImages, Code: CodeDecode, Message: "a page was read with tokens of different rights: try again"}
	case again.rows() < rows:
		return true, nil
	}
	c.pageLimit.Store(&pageLimit{page.Access.Endpoint, rows, time.Now().Add(keepPageLimit), marker, valid && known.marker != marker})
	return false, nil
}

func decodePage(body []byte, api API) (linkedPage, error) {
	var list struct {
		Images []record[imageJSON] `json:"images"`
		Others otherSpelling       `json:"IMAGES,case:ignore"`
		Next   string              `json:"next,case:ignore"`
		moreJSON
		errorJSON
	}
	if err := decode(body, &list); err != nil {
		return linkedPage{}, err
	}
	if err := list.check(body); err != nil {
		return linkedPage{}, err
	}
	more := list.more()
	if isSet(list.PageInfo.NextMarker) {
		more = "page_info.next_marker"
	}
	if list.Next == "" && more != "" {
		return linkedPage{}, errors.New("unexpected " + strconv.Quote(more) + " in the list of images")
	}
	if list.Images == nil {
		return linkedPage{}, errors.New(`no "images" in the response` + hint(body))
	}
	page := linkedPage{ImagePage: ImagePage{Images: make([]Image, 0, len(list.Images))}, linked: list.Next != ""}
	for i := range list.Images {
		if r := &list.Images[i].value; !r.readable() || !isImageID(r.ID.value) {
			page.Unreadable++
		} else {
			page.Images = append(page.Images, r.image(api))
		}
	}
	switch {
	case list.Next != "":
		next, err := url.Parse(list.Next)
		if err == nil {
			page.Next = next.Query().Get("marker")
		}
		if page.Next == "" {
			return linkedPage{}, errors.New(`"next" in the response has no marker: ` + strconv.Quote(clean(list.Next)))
		}
		if len(page.Next) > maxMarker {
			return linkedPage{}, errors.New(`"next" in the response has a marker of more than ` + strconv.Itoa(maxMarker) + " bytes")
		}
	case len(list.Images) >= MaxImagesPerPage && len(page.Images) > 0:
		// A full page without a link may not be the last one.
		page.Next = page.Images[len(page.Images)-1].ID
	}
	return page, nil
}
