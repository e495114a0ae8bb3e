package client

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Visibility is who may use an image beside its owner.
type Visibility string

// The visibilities that the image API knows.
const (
	Private   Visibility = "private"
	Shared    Visibility = "shared"
	Community Visibility = "community"
	Public    Visibility = "public"
)

// Visibilities returns the four visibilities that the image API knows.
func Visibilities() []Visibility { return []Visibility{Private, Shared, Community, Public} }

// Known reports whether v is one of the four visibilities above.
func (v Visibility) Known() bool {
	return v == Private || v == Shared || v == Community || v == Public
}

// Image is the part of an image's record that concerns sharing.
type Image struct {
	ID         string
	Name       string
	Owner      string // the owning project's ID; empty: unknown
	Visibility Visibility
	Status     string
	Hidden     bool
	Tags       []string
	// TagsUnknown is whether the record's tags cannot be read, so that the image may have any.
	TagsUnknown bool
	// View is the ID of the project in whose view the record was read.
	View string
	// By is that view, with the token's roles; nil: unknown.
	By *Access
	// FullServer is whether the image is of a full server with its disks, which Huawei Cloud allows fewer members for.
	FullServer bool
}

// MaxImagesPerRequest is how many IDs [Client.Images] accepts: a URL of about 4 kB, which every proxy accepts.
const MaxImagesPerRequest = 100

// Images returns the records of the given images that the credential may see, in no order: either the hidden ones
// (os_hidden) or the others, because a list never has both. An ID that is missing in the response may be hidden, deleted,
// invisible or left out by the server; only [Client.Image] shows which. It is one GET /v2/images?id=in:... request.
func (c *Client) Images(ctx context.Context, ids []string, hidden bool) ([]Image, error) {
	query := url.Values{"id": {"in:" + strings.Join(ids, ",")}, "limit": {strconv.Itoa(len(ids))}}
	if hidden {
		query.Set("os_hidden", "true")
	}
	var images []Image
	access, err := c.get(ctx, request{op: OpListImages, path: "images?" + query.Encode()}, func(resp response) (err error) {
		// A record that cannot be read counts as left out: its ID is requested alone.
		page, err := decodePage(resp.body, c.settings.Load().API)
		images = page.Images
		if err == nil {
			err = c.secrets.redactImages(images)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	setView(images, access)
	return images, nil
}

// setView sets in whose view records were read.
func setView(images []Image, access Access) {
	for i := range images {
		images[i].View, images[i].By = access.ProjectID, &access
	}
}

// Image returns one image's record, GET /v2/images/{image_id}. Only an [*Error] with StatusCode 404 means that this
// credential sees no such image.
func (c *Client) Image(ctx context.Context, id string) (Image, error) {
	var img Image
	access, err := c.get(ctx, request{op: OpGetImage, imageID: id, path: "images/" + url.PathEscape(id)}, func(resp response) (err error) {
		img, err = decodeImage(resp.body, id, c.settings.Load().API)
		if err != nil {
			return err
		}
		images := []Image{img}
		err, img = c.secrets.redactImages(images), images[0]
		return err
	})
	if err != nil {
		return Image{}, c.withRemedy(err)
	}
	img.View, img.By = access.ProjectID, &access
	return img, nil
}

func decodeImage(body []byte, id string, api API) (Image, error) {
	var row record[imageJSON]
	if err := decode(body, &row); err != nil {
		return Image{}, err
	}
	switch r := &row.value; {
	case !r.readable():
		return Image{}, errors.New(`"id", "owner" or "visibility" in the response is not a string, or duplicate`)
	case r.ID.value == "":
		return Image{}, errors.New(`no "id" in the response` + hint(body))
	case r.ID.value != id:
		return Image{}, errors.New("response is about another image: " + strconv.Quote(clean(r.ID.value)))
	default:
		return r.image(api), nil
	}
}

// imageJSON is a record of GET /v2/images and of GET /v2/images/{image_id}. A value of another type than documented, or two
// of the same name, cost that value only, unless the record is not readable.
type imageJSON struct {
	ID         property[string]   `json:"id"`
	Name       property[string]   `json:"name"`
	Owner      property[string]   `json:"owner"`
	Visibility property[string]   `json:"visibility"`
	Status     property[string]   `json:"status"`
	Hidden     property[flag]     `json:"os_hidden"`
	Tags       property[[]string] `json:"tags"`
	FullServer property[flag]     `json:"__whole_image"`
	Type       property[string]   `json:"__imagetype"`
}

// readable reports whether the record's ID, owner and visibility are unambiguous.
func (r *imageJSON) readable() bool { return !r.ID.odd && !r.Owner.odd && !r.Visibility.odd }

// image is the record's image. Properties that start with __ are Huawei Cloud's own; in Glance they are the owner's.
func (r *imageJSON) image(api API) Image {
	r.boundTags()
	visibility := Visibility(bounded(r.Visibility.value, maxText))
	if api == IMS {
		visibility = cmp.Or(imageTypes[r.Type.value], visibility)
	}
	return Image{
		ID: r.ID.value, Name: bounded(r.Name.value, maxName), Owner: bounded(r.Owner.value, maxText), Visibility: visibility,
		Status: bounded(r.Status.value, maxText), Hidden: bool(r.Hidden.value), Tags: r.Tags.value,
		TagsUnknown: r.Tags.odd,
		FullServer:  api == IMS && bool(r.FullServer.value),
	}
}

// imageTypes are the visibilities that Huawei Cloud's property __imagetype stands for. Its visibility is private for shared
// images.
var imageTypes = map[string]Visibility{"gold": Public, "private": Private, "shared": Shared}

// maxTags is how many bytes the tags of an image may have together. Glance allows 128 tags of 255 letters.
const maxTags = 256 << 10

// boundTags drops tags that are more than any cloud allows.
func (r *imageJSON) boundTags() {
	n := 0
	for _, tag := range r.Tags.value {
		n += 16 + len(tag)
	}
	if n > maxTags {
		r.Tags.value, r.Tags.odd = nil, true
	}
}

// flag is a boolean or the string for it, as in Huawei Cloud's own properties. Anything else is false: an owner may set a
// property to any value, and the record is used nevertheless.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(raw []byte) error {
	*f = string(raw) == "true" || string(raw) == `"true"` || string(raw) == `"True"`
	return nil
}

// isImageID reports whether a text looks like an image's ID. Both APIs use UUIDs.
func isImageID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
