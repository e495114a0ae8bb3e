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

// Inbound is what is expected of the images that others share with the credential's projects. Others are all but the
// project itself: what one of the credential's projects shares with another one is inbound, too.
type Inbound struct {
	// Owners are the projects that may share images, sorted by [SortMembers]. nil: they are not judged. Empty: nobody may.
	Owners []ExpectedMember
	// MaxImages is how many images of each project have series of their own, since anybody can share any number; 0: DefaultMaxImages.
	MaxImages int
}

// DefaultMaxImages is how many of the images that others share with a project have series of their own.
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

// OwnerIDProblem says what keeps a text from being an image owner's ID, or "".
func OwnerIDProblem(id string) string {
	if id == "*" {
		return "* is not an ID: set inbound: true if every project may share images"
	}
	return MemberIDProblem(id)
}

func (i *Inbound) judged() bool { return i.Owners != nil }

// InboundSnapshot is what was seen of the images that others share with a project.
type InboundSnapshot struct {
	// ProjectID is empty as long as there was no login to tell it, and for the projects that may be missing from a list that was not
	// read.
	ProjectID string
	// Images were seen, sorted by ID. They are all there are only where Err is nil.
	Images []InboundImage
	// Read is when the oldest request began that Images are from; zero where nothing was read.
	Read time.Time
	// LeftOut is how many of them have no series of their own, because there are too many; they are in the counts.
	LeftOut int
	// Err is why not everything was read, or nil.
	Err error
}

// InboundImage is an image that others share with a project.
type InboundImage struct {
	// Name is that of a watched image with this ID, else the first one read since start.
	Name   string
	Record client.Image
	// Status is what the project made of the offer; empty: that was not read.
	Status client.Status
	// Owner is what the configuration has of the owner, even if its approval has ended; nil: nothing.
	Owner *ExpectedMember
	// Unexpected is whether owners are judged, and this one is not expected.
	Unexpected bool

	inUse bool // the project accepted the offer, as far as its status was ever read
	shown bool
}

// limit decides which images are shown: those first that an unexpected owner shares and the project accepted, which strangers cannot
// do, so that a flood of offers hides nothing that is in use. Of one kind those with the lowest IDs are shown.
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

// MaxSeries is how many series the images that others share with one project have at most.
func (i *Inbound) MaxSeries() int {
	if i == nil {
		return 0
	}
	each := 1 + len(statuses) // the record, and the status
	if i.judged() {
		each++
	}
	if slices.ContainsFunc(i.Owners, func(m ExpectedMember) bool { return !m.Until.IsZero() }) {
		each++
	}
	return i.maxImages() * each
}

func (i *Inbound) maxImages() int { return cmp.Or(i.MaxImages, DefaultMaxImages) }

// At returns the image as it is judged at a time: an approval may have ended since it was read.
func (img *InboundImage) At(now time.Time) *InboundImage {
	if img.Unexpected || img.Owner == nil || !img.Owner.Ended(now) {
		return img
	}
	judged := *img
	judged.Unexpected = true
	return &judged
}

// Accepted reports whether the project has accepted the offer.
func (img *InboundImage) Accepted() bool { return img.Status == client.Accepted }

// Rejected reports whether the project has rejected the offer.
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
