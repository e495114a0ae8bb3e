package client

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"
)

// MaxImagesPerPage is how many records [Client.ImagePage] asks for. A server may give fewer.
const MaxImagesPerPage = 1000

// ImageQuery selects the images of a listing.
type ImageQuery struct {
	// Owner is the project that owns the images. Empty: every project's images, those that the API leaves out unless it
	// is asked for them (other projects' community images) too; that takes an administrator's credential.
	Owner string
	// Foreign says that Owner is not the credential's project, so that the API would leave its community images out.
	Foreign bool
	// Visibility, if not empty, is that of all the images.
	Visibility Visibility
	// Tags are what each of the images has, all of them.
	Tags []string
	// Hidden selects the images that are hidden (os_hidden), instead of the ones that are not: no list has both.
	Hidden bool
	// SharedWith, if not empty, selects the shared images that a project, the credential's own, is a member of, whoever
	// owns them: Owner, Visibility and Tags don't count. The images that the project itself shares come along, for the API
	// can't leave an owner out, and to an administrator's credential all of the cloud's shared images.
	SharedWith string
	// MemberStatus is, with SharedWith, the status of that membership; empty: any, which Huawei Cloud can't be asked for.
	MemberStatus Status
	// Plain selects what the view can see by default: no filter and no order. Only Limit and As count beside it.
	Plain bool
	// Limit, if not 0, is the number of records to ask for, in no order: such a query is one page, whose Next means nothing.
	Limit int
	// As, if not empty, is the project in whose view [Projects] asks, whatever the other fields say. A [Client] ignores it.
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

// cloudImages is the query for Huawei Cloud's own listing, GET /v2/cloudimages: all images of the owner, or those that are shared with
// a project. Whether __imagetype=shared finds what is shared with a domain or an organization alone, no document says. Tags are not
// asked for, since they are written in another way there.
func (q ImageQuery) cloudImages() url.Values {
	v := url.Values{"limit": {strconv.Itoa(cmp.Or(q.Limit, maxCloudImages))}}
	if q.Plain {
		return v
	}
	switch {
	case q.SharedWith != "":
		v.Set("__imagetype", "shared")
		// The API's document says that member_status needs the visibility beside it.
		v.Set("visibility", string(Shared))
		v.Set("member_status", cmp.Or(string(q.MemberStatus), string(Accepted)))
	case q.Owner != "":
		v.Set("owner", q.Owner)
	}
	return v
}

// limit is how many records a page is asked for.
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
	// Dropped is whether the page has fewer records than the server had for it: rows were left out, so the listing is not
	// complete.
	Dropped bool
	// Access is the view that the page was given to.
	Access Access
}

// ImagePage returns the page of a listing that begins after marker, the first one for an empty marker:
// GET /v2/images?limit=1000&..., the oldest image first. The error is an [*Error]. With a marker 400, 403 and 404 mean
// that the image it names is gone, and the listing must begin again.
//
// A page with a link to the next one and fewer records than were asked for is asked for once more: either the server has a
// lower limit of its own, or it left records out.
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

// linkedPage is a page, and whether the server has a link to the next one in it.
type linkedPage struct {
	ImagePage
	linked bool
}

func (p *linkedPage) rows() int { return len(p.Images) + p.Unreadable }

// imagePage makes the one request of a page. limit, if not 0, is asked for instead of the query's.
func (c *Client) imagePage(ctx context.Context, q ImageQuery, marker string, limit int) (linkedPage, error) {
	// The query is made anew for each page: the server's own link to the next page loses all but the last of the tags.
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
	access, err := c.get(ctx, request{op: OpListImages, path: path + query.Encode()}, func(resp response) (err error) {
		page, err = decodePage(resp.body, api)
		return err
	})
	if err != nil {
		return linkedPage{}, c.explain(err)
	}
	if n := len(page.Images); api == IMS && page.Next == "" && n > 0 {
		// There is no link to a next page here, and a page may be short because the server gives fewer than it is asked for.
		page.Next = page.Images[n-1].ID
	}
	page.Access = access
	setView(page.Images, access)
	return page, nil
}

// pageLimit is a server's own limit of the records in a page, lower than what is asked for.
type pageLimit struct {
	endpoint string
	rows     int
	until    time.Time
}

// keepPageLimit is for how long a server's own limit is believed.
const keepPageLimit = time.Hour

// rowsDropped reports whether records were left out of a page with a link to the next one. With a limit of as many records
// as the page has, a server that left some out has fewer again.
func (c *Client) rowsDropped(ctx context.Context, q ImageQuery, marker string, page linkedPage) (bool, error) {
	rows := page.rows()
	if rows >= q.limit(c.settings.Load().API == IMS) {
		return false, nil
	}
	if rows == 0 {
		return true, nil
	}
	if known := c.pageLimit.Load(); known != nil && known.endpoint == page.Access.Endpoint && known.rows == rows && time.Now().Before(known.until) {
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
	c.pageLimit.Store(&pageLimit{page.Access.Endpoint, rows, time.Now().Add(keepPageLimit)})
	return false, nil
}

func decodePage(body []byte, api API) (linkedPage, error) {
	var list struct {
		Images []record[imageJSON] `json:"images"`
		Others otherSpelling       `json:"IMAGES,case:ignore"`
		Next   string              `json:"next,case:ignore"`
		refusal
	}
	if err := decode(body, &list); err != nil {
		return linkedPage{}, err
	}
	if err := list.check(body); err != nil {
		return linkedPage{}, err
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
		// A full page without a link may still not be the last one.
		page.Next = page.Images[len(page.Images)-1].ID
	}
	return page, nil
}
