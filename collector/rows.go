package collector

import (
	"errors"
	"slices"
	"strings"
	"time"

	"glance_share_exporter/client"
)

// Judgement is how the configuration judges a member.
type Judgement int

// The judgements, in the order in which they are shown.
const (
	// UnexpectedMember means that the member has the image and is not expected.
	UnexpectedMember Judgement = iota
	// MissingMember means that the member is expected and does not have the image.
	MissingMember
	// UnjudgedMember means that the member has the image, and the configuration does not say who is expected.
	UnjudgedMember
	// ExpectedMemberSeen means that the member has the image and is expected.
	ExpectedMemberSeen
)

// Row is a member for display. Its texts have the form of label values.
type Row struct {
	ID, Name, Type string // an empty ID: the API does not identify the member
	Status         string // empty for a missing member
	Created        time.Time
	Updated        time.Time
	Judgement      Judgement
	// Keystone is the project's name in Keystone, see [Snapshot.KeystoneName].
	Keystone string
	// Until and Note are from the configuration's entry, even if its approval has ended.
	Until time.Time
	Note  string
}

// Expected returns the row as an expected member.
func (r *Row) Expected() ExpectedMember {
	return ExpectedMember{Type: client.MemberType(r.Type), ID: r.ID, Name: r.Name}
}

// Rows returns at most limit of an image's members and missing members, in the order of the judgements, and how many it
// left out. The image may be one of [Before].
func (s *Snapshot) Rows(img *ImageSnapshot, limit int) (rows []Row, left int) {
	missing := img.Missing()
	total := len(img.Members) + len(missing)
	rows = make([]Row, 0, min(total, limit))
	for judgement := UnexpectedMember; judgement <= ExpectedMemberSeen; judgement++ {
		if judgement == MissingMember {
			for i := 0; i < len(missing) && len(rows) < limit; i++ {
				m := &missing[i]
				rows = append(rows, Row{
					ID: labelValue(m.ID), Name: labelValue(s.opts.memberName(m.ID, m)), Type: string(m.Type), Judgement: judgement,
					Keystone: s.KeystoneNameOf(m.Type, m.ID), Until: m.Until, Note: m.Note,
				})
			}
			continue
		}
		for i := 0; i < len(img.Members) && len(rows) < limit; i++ {
			m := &img.Members[i]
			if img.judge(img.Policy.find(m)) != judgement {
				continue
			}
			entry := img.Policy.Entry(m)
			row := Row{
				ID: labelValue(m.ID), Name: labelValue(s.opts.memberName(m.ID, entry)), Type: labelValue(string(m.Type)),
				Status: string(m.Status), Created: m.Created, Updated: m.Updated, Judgement: judgement,
				Keystone: s.KeystoneNameOf(m.Type, m.ID),
			}
			if entry != nil {
				row.Until, row.Note = entry.Until, entry.Note
			}
			rows = append(rows, row)
		}
	}
	return rows, total - len(rows)
}

func (s *ImageSnapshot) judge(expected *ExpectedMember) Judgement {
	switch {
	case !s.Policy.judged():
		return UnjudgedMember
	case expected != nil:
		return ExpectedMemberSeen
	}
	return UnexpectedMember
}

// Judged reports whether the configuration says who may have the image.
func (s *ImageSnapshot) Judged() bool { return s.Policy.judged() }

// Label returns the value of the label image_name.
func (s *ImageSnapshot) Label() string { return labelValue(s.Name) }

// MemberName returns the value of the label member_name for a member, empty if the configuration has no name for it.
func (s *Snapshot) MemberName(img *ImageSnapshot, m *client.Member) string {
	return labelValue(s.opts.memberName(m.ID, img.Policy.Entry(m)))
}

// Open reports whether the image's record shows that everyone in the cloud can use it, as a member or not.
func (s *ImageSnapshot) Open() bool {
	return s.Record != nil && (s.Record.Visibility == client.Public || s.Record.Visibility == client.Community)
}

// Unrequested reports whether the image may have members that were not requested: of the images that are not open to
// everyone, only a private one certainly has none.
func (s *ImageSnapshot) Unrequested() bool {
	return s.Coverage == NotApplicable && !s.Open() && s.Record.Visibility != client.Private
}

// Misplaced reports whether the image has a visibility that is not expected. If the configuration does not say which
// are, that is one that opens the image to everyone.
func (s *ImageSnapshot) Misplaced() bool {
	if len(s.Policy.Visibility) == 0 {
		return s.Open()
	}
	return s.Record != nil && s.Record.Visibility != "" && !slices.Contains(s.Policy.Visibility, s.Record.Visibility)
}

// MembersLimit returns how many members the cloud allows an image; 0: none is configured.
func (s *Snapshot) MembersLimit(img *ImageSnapshot) int { return s.opts.membersLimit(img.Record) }

// OwnerName returns the value of the label owner_name for the project that shares an image, empty if the configuration
// has no name for it.
func (s *Snapshot) OwnerName(img *InboundImage) string {
	return labelValue(s.opts.memberName(img.Record.Owner, img.Owner))
}

// JudgesOwners reports whether the configuration says who may share images with the credential's projects.
func (s *Snapshot) JudgesOwners() bool { return s.opts.Inbound != nil && s.opts.Inbound.judged() }

// Huawei reports whether the image API is Huawei Cloud's.
func (s *Snapshot) Huawei() bool { return s.opts.API == client.IMS }

// Why returns why the image was not read, without its ID, so that the text is the same for all images that fail alike.
// It is empty if the image was read.
func (s *ImageSnapshot) Why() string {
	if s.Err == nil {
		return ""
	}
	err := s.Err
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		alike := *apiErr
		alike.ImageID, alike.Message = "", strings.ReplaceAll(alike.Message, s.ID, "ID")
		err = &alike
	}
	return err.Error()
}
