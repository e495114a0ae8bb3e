package collector

import (
	"slices"
	"sync/atomic"
	"time"

	"glance_share_exporter/client"
)

// Coverage is how much of an image's member list was seen.
type Coverage int

// The coverages, from nothing to everything.
const (
	// Unread: the list was not read, or its content is not proven. Nothing is known about members.
	Unread Coverage = iota
	// NotApplicable: the image's visibility has no members, and alone decides who may use the image.
	NotApplicable
	// Partial: the list was read, but may be incomplete. The members in it are certain, and there may be more.
	Partial
	// Complete: the list was read in the owner's or an administrator's view.
	Complete
)

// Snapshot is what one run of one cloud saw, a plain value. Metrics and pages are rendered from it. Only
// [Cloud.Resolve] changes it after it was returned.
type Snapshot struct {
	// ID is the same in all copies of the snapshot, and different in all other snapshots.
	ID       uint64
	Cloud    string
	Start    time.Time
	Duration time.Duration
	// Taken is when the oldest run with data in the snapshot began. Zero: all data is of this run.
	Taken time.Time
	// Round is about how long it takes until each image that is read in turns is read again; zero: unknown, or there
	// are no such images. A shard knows it from its second run on.
	Round time.Duration
	// Up is whether there was a token and the image API responded at least once.
	Up bool
	// Err is why there was no token, or nil.
	Err    error
	State  client.State
	Images []ImageSnapshot
	// Discovers is whether images are to be discovered, Discovered whether every listing is complete and proven.
	Discovers, Discovered bool
	// DiscoveryErr is why Discovered is false, if Discovers is true.
	DiscoveryErr error
	// Skipped is how many listed images rules skip, SkippedKnown whether there are such rules and Discovered is true.
	Skipped      int
	SkippedKnown bool
	// IdleRules are the indices of the rules that matched no image; empty unless Discovered is true.
	IdleRules []int
	// Scopes are the credential's projects, sorted by ID; empty with Err.
	Scopes []client.Scope
	// ScopesErr is why the projects could not be listed, so that Scopes are those of the last login, or nil.
	ScopesErr error
	// NoImageAPI is whether what responds does not seem to be an image API.
	NoImageAPI bool
	// Inbound has an entry for each project whose inbound images are requested; empty if [Options].Inbound is nil, and
	// in all shards but the first.
	Inbound []InboundSnapshot

	// Views has an entry for each project that has a token.
	Views []ViewSnapshot
	// Left are the images that left within the last hour.
	Left []LeftImage

	opts  *Options
	names map[string]string // Keystone's names of projects, by ID; never changed
}

// snapshots counts snapshots, for their IDs.
var snapshots atomic.Uint64

// LeftImage is a discovered image that is no longer watched, although the configuration did not change.
type LeftImage struct {
	ID, Name string
	Reason   Reason
	// Owner is the project that owned the image, as last read.
	Owner string
	// Unexpected is whether the image had an unexpected member when its members were last read.
	Unexpected bool
	// Exposed is whether everyone could use the image against its policy when its record was last read.
	Exposed bool
	// Skipped is whether a rule skips the image now, although a later one would select it.
	Skipped bool
}

// UnexpectedAccess reports whether somebody could use the image, when it was last read, whom the configuration does not expect.
func (l *LeftImage) UnexpectedAccess() bool { return l.Unexpected || l.Exposed }

// Reason is why an image is no longer watched, the label reason.
type Reason string

// The reasons.
const (
	Deleted   Reason = "deleted"   // the image API has no such image
	Unmatched Reason = "unmatched" // no rule matches it any longer, or one skips it
)

// ViewSnapshot is what is proven about the view of a project.
type ViewSnapshot struct {
	ProjectID string
	// Members is whether rows of member lists are visible, Images whether images in listings are, and Administrator
	// whether the API treats the credential as an administrator's.
	Members, Images, Administrator Proof
	// PrivateMembers is whether private images have members in this view.
	PrivateMembers bool
	// Refused is the error of the last probe that proved nothing, if Members is Unproven; nil: there was none.
	Refused error
}

// Proof is whether something is proven.
type Proof int

// The states of a proof.
const (
	NotNeeded Proof = iota // nothing depends on it
	Unproven
	Proven
)

// ImageSnapshot is what was seen of one image.
type ImageSnapshot struct {
	ID string
	// Name is the configured name, else the first name read since start.
	Name string
	// Discovered is whether a rule watches the image, Policy what is expected of it.
	Discovered bool
	Policy     Policy
	// Record is the image's record; nil: it was not read, RecordErr is why.
	Record    *client.Image
	RecordErr error
	Coverage  Coverage
	// Doubt is why Members may be incomplete if Coverage is Partial.
	Doubt Doubt
	// Members is empty unless Coverage is Partial or Complete.
	Members []client.Member
	// LeftOut is how many of Members have no series, because there are too many. The counts include them.
	LeftOut int
	// StatusCode is the HTTP status that the response that decided Coverage stands for, 0 without a response that can
	// be used. 200 with Unread: the API responded, but the response is not proven.
	StatusCode int
	// Err is why Coverage is Unread.
	Err error
	// Taken is when the run that read this image began. Zero: that is the snapshot's own run.
	Taken time.Time
	// MembersRead is when the request that decided Coverage began, for the member list or for the record; zero if
	// Coverage is Unread.
	MembersRead time.Time
	// RecordRead is when the request for Record began.
	RecordRead time.Time
	// InTurns is whether the image is read in turns, after all others. Waiting is whether it was never read because its
	// turn has not come yet.
	InTurns, Waiting bool

	first bool // its members were never read before
}

// At returns the image as it is judged at a time: approvals may have ended since it was read.
func (s *ImageSnapshot) At(now time.Time) *ImageSnapshot {
	policy := s.Policy.At(now)
	if len(policy.Ended) == len(s.Policy.Ended) {
		return s
	}
	judged := *s
	judged.Policy = policy
	return &judged
}

// Complete reports whether Members has all members, each with an ID, and none is left out of the series.
func (s *ImageSnapshot) Complete() bool { return s.LeftOut == 0 && s.whole() }

// whole reports whether Members has all members, each with an ID.
func (s *ImageSnapshot) whole() bool {
	return s.Coverage == Complete && !slices.ContainsFunc(s.Members, func(m client.Member) bool { return m.ID == "" })
}

// Unexpected counts the members that the policy does not expect, 0 if it does not judge members.
func (s *ImageSnapshot) Unexpected() int {
	if !s.Policy.judged() {
		return 0
	}
	return s.Policy.unexpected(s.Members)
}

// Missing returns the expected members that the image does not have. It is empty if there may be more members.
func (s *ImageSnapshot) Missing() []ExpectedMember {
	if !s.whole() {
		return nil
	}
	return s.Policy.missing(s.Members)
}

// Bounds of the members that have series, so that a broken or hostile cloud does not overload Prometheus. Counts have
// no bound.
const (
	maxShown      = 2_000   // members of an image
	maxShownInAll = 400_000 // members of a cloud
)

// limit decides how many members of each image have series: as many as the bounds allow, so that an image with
// thousands of members takes no room from those with a few.
func limit(images []ImageSnapshot) {
	sizes := make([]int, len(images))
	total := 0
	for i := range images {
		sizes[i] = min(len(images[i].Members), maxShown)
		total += sizes[i]
	}
	most := maxShown
	if total > maxShownInAll {
		most = share(sizes, maxShownInAll)
	}
	for i := range images {
		images[i].LeftOut = max(len(images[i].Members)-most, 0)
	}
}

// share returns the most members that each image may show, so that all images together show at most total.
func share(sizes []int, total int) int {
	slices.Sort(sizes)
	for i, size := range sizes {
		if each := total / (len(sizes) - i); size > each {
			return each
		}
		total -= size
	}
	return maxShown
}

// shown returns the members that have series. Where not all have, unexpected members come first.
func (s *ImageSnapshot) shown() []client.Member {
	if s.LeftOut == 0 {
		return s.Members
	}
	list := make([]client.Member, 0, len(s.Members))
	for _, expected := range []bool{false, true} {
		for i := range s.Members {
			if (s.Policy.find(&s.Members[i]) != nil) == expected {
				list = append(list, s.Members[i])
			}
		}
	}
	return list[:len(list)-s.LeftOut]
}
