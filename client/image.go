package client

import (
	"context"
	"encoding/json"
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

// Image is an image's own record, as far as sharing is concerned.
type Image struct {
	ID         string
	Name       string
	Owner      string // the owning project's ID; empty where the API does not tell
	Visibility Visibility
	Status     string
	Hidden     bool
	Tags       []string
	// View is the ID of the project in whose view the record was read.
	View string
	// Whole is whether the image is of a full server with its disks, which Huawei Cloud lets be shared with fewer members.
	Whole bool
}

// imageJSON is a record of GET /v2/images and of GET /v2/images/{image_id}.
type imageJSON struct {
	otherLetters
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Owner      string   `json:"owner"`
	Visibility string   `json:"visibility"`
	Status     string   `json:"status"`
	Hidden     flag     `json:"os_hidden"`
	Tags       []string `json:"tags"`
	Whole      flag     `json:"__whole_image"`
}

// otherLetters takes the keys of a record in other letters than ours. Go's decoder gives them to the first field that they
// fit but for the letters, and an image's owner may give it properties of such names: a "Visibility" must not hide the
// visibility, nor a "TAGS" that is no list make the record unreadable.
type otherLetters struct {
	ID         ignored `json:"ID"`
	Name       ignored `json:"NAME"`
	Owner      ignored `json:"OWNER"`
	Visibility ignored `json:"VISIBILITY"`
	Status     ignored `json:"STATUS"`
	Hidden     ignored `json:"OS_HIDDEN"`
	Tags       ignored `json:"TAGS"`
	Whole      ignored `json:"__WHOLE_IMAGE"`
}

type ignored struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (ignored) UnmarshalJSON([]byte) error { return nil }

var errFlag = errors.New("a flag that is neither true nor false")

// flag is true or false, or the word for it: Huawei Cloud's own properties are words.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(raw []byte) error {
	switch string(raw) {
	case "true", `"true"`, `"True"`:
		*f = true
	case "false", `"false"`, `"False"`, `""`, "null":
		*f = false
	default:
		return errFlag
	}
	return nil
}

// maxTags is how many bytes the tags of an image may have in all. Glance lets it have 128 tags of 255 letters.
const maxTags = 256 << 10

// large reports whether a record is larger than any cloud makes it.
func (r *imageJSON) large() bool {
	n := 0
	for _, tag := range r.Tags {
		n += 16 + len(tag)
	}
	return n > maxTags
}

// isImageID reports whether a text looks like an image's ID. Both APIs make UUIDs.
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

func (r *imageJSON) image() Image {
	return Image{
		ID: r.ID, Name: bounded(r.Name, maxText), Owner: bounded(r.Owner, maxText), Visibility: Visibility(bounded(r.Visibility, maxText)), Status: bounded(r.Status, maxText),
		Hidden: bool(r.Hidden), Tags: r.Tags, Whole: bool(r.Whole),
	}
}

// MaxImagesPerRequest is how many IDs [Client.Images] takes: a URL of about 4 kB, which every proxy lets through.
const MaxImagesPerRequest = 100

// Images returns the records of those of the given images that the credential may see, in no order: either the ones that
// are hidden (os_hidden) or the ones that are not, since a list never has both. An ID that is missing in the answer may
// be hidden, deleted, invisible or left out by the server; only [Client.Image] can tell.
// It is one GET /v2/images?id=in:... request.
func (c *Client) Images(ctx context.Context, ids []string, hidden bool) ([]Image, error) {
	query := url.Values{"id": {"in:" + strings.Join(ids, ",")}, "limit": {strconv.Itoa(len(ids))}}
	if hidden {
		query.Set("os_hidden", "true")
	}
	var images []Image
	access, err := c.get(ctx, request{op: OpListImages, path: "images?" + query.Encode()}, func(a answer) (err error) {
		// A record that cannot be read is as good as left out: its ID is asked for alone.
		page, err := decodePage(a.body, c.settings.Load().API)
		images = page.Images
		return err
	})
	if err != nil {
		return nil, err
	}
	setView(images, access)
	return images, nil
}

// setView notes in whose view records were read.
func setView(images []Image, access Access) {
	for i := range images {
		images[i].View = access.ProjectID
	}
}

// Image returns one image's record, GET /v2/images/{image_id}. An [*Error] with StatusCode 404 alone means that there is
// no such image for this credential.
func (c *Client) Image(ctx context.Context, id string) (Image, error) {
	var img Image
	access, err := c.get(ctx, request{op: OpGetImage, imageID: id, path: "images/" + url.PathEscape(id)}, func(a answer) (err error) {
		img, err = decodeImage(a.body, id)
		return err
	})
	if err != nil {
		return Image{}, err
	}
	img.View = access.ProjectID
	return img, nil
}

func decodeImage(body []byte, id string) (Image, error) {
	var r imageJSON
	if err := json.Unmarshal(body, &r); err != nil {
		return Image{}, shapeError(err)
	}
	switch {
	case r.ID == id && r.large():
		return Image{}, errors.New("an image with more than " + strconv.Itoa(maxTags>>10) + " KiB of tags")
	case r.ID == id:
		return r.image(), nil
	case r.ID == "":
		return Image{}, errors.New(`a 200 without "id"` + hint(body))
	}
	return Image{}, errors.New("the answer is about another image, " + strconv.Quote(clean(r.ID)))
}
