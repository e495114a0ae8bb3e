package fakecloud

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"maps"
	"slices"
	"time"
)

// Image is an image's record. Fields left empty are filled in as AddImage says.
type Image struct {
	ID         string // default: a new UUID
	Name       string // "" is served as null
	Owner      string // project ID; "" is served as null
	Visibility string // default "shared", as in Glance
	Status     string // default "active"; a queued image has no size, checksum or store
	Hidden     bool
	Whole      bool // of a full server; IMS tells
	Protected  bool
	Tags       []string
	Properties map[string]string

	DiskFormat      string // default "raw"
	ContainerFormat string // default "bare"
	Size            int64  // default 16
	Checksum        string // default: derived from the ID
	HashValue       string // default: derived from the ID

	CreatedAt time.Time // default: now. Lists are sorted by it, down to the nanosecond
	UpdatedAt time.Time // default: CreatedAt
}

type imageRecord struct {
	Image
	members []*memberRecord
}

// AddImage adds an image and returns its ID.
func (c *Cloud) AddImage(img Image) (id string) {
	now := c.opts.Now()
	orString := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	if img.ID == "" {
		img.ID = newUUID()
	}
	orString(&img.Visibility, "shared")
	orString(&img.Status, "active")
	orString(&img.DiskFormat, "raw")
	orString(&img.ContainerFormat, "bare")
	if img.Checksum == "" {
		sum := md5.Sum([]byte(img.ID))
		img.Checksum = hex.EncodeToString(sum[:])
	}
	if img.HashValue == "" {
		sum := sha512.Sum512([]byte(img.ID))
		img.HashValue = hex.EncodeToString(sum[:])
	}
	if img.Size == 0 {
		img.Size = 16
	}
	if img.CreatedAt.IsZero() {
		img.CreatedAt = now
	}
	if img.UpdatedAt.IsZero() {
		img.UpdatedAt = img.CreatedAt
	}
	img.Tags, img.Properties = slices.Clone(img.Tags), maps.Clone(img.Properties)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(img.ID)
	rec := &imageRecord{Image: img}
	c.images[img.ID] = rec
	c.order = append(c.order, rec)
	return img.ID
}

// SetImage changes an image's record; updated_at moves unless f sets it. The ID can't be changed, and the members stay,
// whatever the visibility becomes: shared, private and shared again has the members of before.
func (c *Cloud) SetImage(id string, f func(*Image)) {
	now := c.opts.Now()
	c.withImage(id, func(rec *imageRecord) {
		img := rec.Image
		img.Tags, img.Properties = slices.Clone(img.Tags), maps.Clone(img.Properties)
		f(&img)
		img.ID = id
		if img.UpdatedAt.Equal(rec.UpdatedAt) {
			img.UpdatedAt = now
		}
		rec.Image = img
	})
}

// RemoveImage deletes an image with its members.
func (c *Cloud) RemoveImage(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
}

func (c *Cloud) remove(id string) {
	rec := c.images[id]
	if rec == nil {
		return
	}
	delete(c.images, id)
	c.deleted[id] = rec // a deleted image still serves an admin as a marker
	c.order = slices.DeleteFunc(c.order, func(r *imageRecord) bool { return r == rec })
}

// appendTo writes the record as Glance does: the image's own properties first, then fixed fields in fixed order. Only
// an admin sees where the data of a deactivated image is stored.
func (img *Image) appendTo(b []byte, admin bool) []byte {
	return img.appendFields(b, img.fields(admin))
}

func (img *Image) appendFields(b []byte, fields object) []byte {
	b = append(b, '{')
	for _, k := range slices.Sorted(maps.Keys(img.Properties)) {
		b = appendString(b, k, false)
		b = append(b, ": "...)
		b = appendString(b, img.Properties[k], false)
		b = append(b, ", "...)
	}
	return append(fields.appendFields(b, false), '}')
}

func (img *Image) fields(admin bool) object {
	hasData := img.Status != "queued"
	tags := make([]any, len(img.Tags))
	for i, t := range img.Tags {
		tags[i] = t
	}
	self := "/v2/images/" + img.ID
	fields := object{
		{"name", orNull(img.Name)},
		{"disk_format", img.DiskFormat},
		{"container_format", img.ContainerFormat},
		{"visibility", img.Visibility},
		{"size", unlessNull(hasData, img.Size)},
		{"virtual_size", unlessNull(hasData, img.Size)},
		{"status", img.Status},
		{"checksum", unlessNull(hasData, img.Checksum)},
		{"protected", img.Protected},
		{"min_ram", int64(0)},
		{"min_disk", int64(0)},
		{"owner", orNull(img.Owner)},
		{"os_hidden", img.Hidden},
		{"os_hash_algo", unlessNull(hasData, "sha512")},
		{"os_hash_value", unlessNull(hasData, img.HashValue)},
		{"id", img.ID},
		{"created_at", isoTime(img.CreatedAt)},
		{"updated_at", isoTime(img.UpdatedAt)},
		{"tags", tags},
		{"self", self},
		{"file", self + "/file"},
		{"schema", "/v2/schemas/image"},
	}
	if hasData && (admin || img.Status != "deactivated") {
		fields = append(fields, field{"stores", "file"})
	}
	return fields
}

func orNull(s string) any { return unlessNull(s != "", s) }

func unlessNull(ok bool, v any) any {
	if !ok {
		return nil
	}
	return v
}
