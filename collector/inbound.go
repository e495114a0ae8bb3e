package collector

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"

	"glance_share_exporter/client"
)

// Inbound is what is expected of inbound images: those that other projects share with the credential's projects. An
// image that one of the credential's projects shares with another one is inbound, too.
type Inbound struct {
	// Owners are the projects that may share images, sorted by [SortMembers]. nil: owners are not judged. Empty: no
	// project may.
	Owners []ExpectedMember
	// MaxImages is how many inbound images of each project have their own series, because any project can share any
	// number; 0: [DefaultMaxImages].
	MaxImages int
}

// DefaultMaxImages is the default of [Inbound].MaxImages.
const DefaultMaxImages = 100

func (i *Inbound) validate() error {
	if i == nil {
		return nil
	}
	if i.MaxImages < 0 || i.MaxImages > maxInbound {
		return optionError("inbound.max_images", "must be from 1 to %d, the number of images of each project that have series", maxInbound)
	}
	for k, o := range i.Owners {
		field := fmt.Sprintf("inbound.expected_owners[%d]", k)
		switch {
		case OwnerIDProblem(o.ID) != "":
			return optionError(field, "%s", OwnerIDProblem(o.ID))
		case o.Type != client.TypeProject:
			return optionError(field, "%s is of type %s, but only projects own images: set the ID of a project", o.ID, o.Type)
		case k > 0 && i.Owners[k-1].compare(o) >= 0:
			return optionError(field, "%s is a duplicate, or not in order", o.ID)
		}
	}
	return nil
}

// OwnerIDProblem returns why a text cannot be an image owner's ID, or "".
func OwnerIDProblem(id string) string {
	if id == "*" {
		return "* is not an ID: set inbound: true if every project may share images"
	}
	return MemberIDProblem(id)
}

func (i *Inbound) judged() bool { return i.Owners != nil }

// InboundSnapshot is what was seen of a project's inbound images.
type InboundSnapshot struct {
	// ProjectID is empty if no login has returned it yet, and in the entry for projects that may be unknown because
	// their list was not read.
	ProjectID string
	// Images are those that were seen, sorted by ID. They are complete only if Err is nil.
	Images []InboundImage
	// Read is when the oldest request behind Images began; zero: nothing was read.
	Read time.Time
	// LeftOut is how many of Images have no series, because there are too many. The counts include them.
	LeftOut int
	// Err is why Images may be incomplete, or nil.
	Err error
}

// InboundImage is an image that another project shares with a project.
type InboundImage struct {
	// Name is the configured name of a watched image with this ID, else the first name read since start.
	Name   string
	Record client.Image
	// Status is the project's status as a member; empty: it was not read.
	Status client.Status
	// Owner is the configuration's entry for the owner, even if its approval has ended; nil: there is none.
	Owner *ExpectedMember
	// Unexpected is whether owners are judged and this one is not expected.
	Unexpected bool

	inUse bool // the last status that was read is accepted
	shown bool
}

// truncate decides which images have series. Images of unexpected owners come first, and of those the ones that the
// project accepted. Only the project can accept, so many pending images do not hide these. Equal ones are sorted by ID.
func (s *InboundSnapshot) truncate(limit int) {
	s.LeftOut = max(len(s.Images)-limit, 0)
	order := make([]*InboundImage, len(s.Images))
	for k := range s.Images {
		order[k] = &s.Images[k]
	}
	slices.SortStableFunc(order, func(a, b *InboundImage) int {
		return cmp.Or(compareBools(!a.Unexpected, !b.Unexpected), compareBools(!a.inUse, !b.inUse))
	})
	for _, img := range order[:len(order)-s.LeftOut] {
		img.shown = true
	}
}

// MaxSeries returns how many series the inbound images of one project have at most.
func (i *Inbound) MaxSeries() int {
	if i == nil {
		return 0
	}
	each := 1 + len(statuses) // inbound_image_info and inbound_image_status
	if i.judged() {
		each++
	}
	if slices.ContainsFunc(i.Owners, func(m ExpectedMember) bool { return !m.Until.IsZero() }) {
		each++
	}
	return i.maxImages() * each
}

func (i *Inbound) maxImages() int { return cmp.Or(i.MaxImages, DefaultMaxImages) }

// At returns the image as it is judged at a time: the owner's approval may have ended since it was read.
func (img *InboundImage) At(now time.Time) *InboundImage {
	if img.Unexpected || img.Owner == nil || !img.Owner.Ended(now) {
		return img
	}
	judged := *img
	judged.Unexpected = true
	return &judged
}

// Accepted reports whether the project has accepted the image.
func (img *InboundImage) Accepted() bool { return img.Status == client.Accepted }

// Rejected reports whether the project has rejected the image.
func (img *InboundImage) Rejected() bool { return img.Status == client.Rejected }

func (s *InboundSnapshot) print(p *printer, cloud *dto.LabelPair, opts *Options) {
	project := p.label(projectIDLabel, s.ProjectID)
	labels := p.labels(cloud, project)
	p.flag(inboundSuccessDesc, labels, s.Err == nil)
	counts, unexpected := make([]int, len(statuses)), 0
	for i := range s.Images {
		img := &s.Images[i]
		if k := slices.Index(statuses, img.Status); k >= 0 {
			counts[k]++
		}
		if img.Unexpected {
			unexpected++
		}
		if img.shown {
			img.print(p, cloud, project, opts)
		}
	}
	for i, n := range counts {
		if n > 0 || s.Err == nil {
			p.gauge(inboundImagesDesc, p.with(labels, statusPairs[i]), float64(n))
		}
	}
	if opts.Inbound.judged() && (unexpected > 0 || s.Err == nil) {
		p.gauge(inboundUnexpectedDesc, labels, float64(unexpected))
	}
	if !s.Read.IsZero() && (len(s.Images) > 0 || s.Err == nil) {
		p.time(inboundReadDesc, labels, s.Read)
	}
}

func (img *InboundImage) print(p *printer, cloud, project *dto.LabelPair, opts *Options) {
	r := &img.Record
	id, name := p.label(imageIDLabel, r.ID), p.label(imageNameLabel, img.Name)
	owner, ownerName := p.label(ownerIDLabel, r.Owner), p.label(ownerNameLabel, opts.memberName(r.Owner, img.Owner))
	p.gauge(inboundInfoDesc, p.labels(
		cloud, p.label(currentNameLabel, r.Name), p.label(hiddenLabel, strconv.FormatBool(r.Hidden)), id, name,
		p.label(imageStatusLabel, r.Status), owner, ownerName, project,
	), 1)
	labels := p.labels(cloud, id, name, owner, ownerName, project)
	if img.Status != "" {
		for i, status := range statuses {
			p.flag(inboundStatusDesc, p.with(labels, statusPairs[i]), img.Status == status)
		}
	}
	if opts.Inbound.judged() {
		p.flag(inboundExpectedDesc, labels, !img.Unexpected)
		if img.Owner != nil && !img.Owner.Until.IsZero() {
			p.time(inboundUntilDesc, labels, img.Owner.Until)
		}
	}
}
