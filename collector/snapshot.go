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
	// Unread: the list was not read. Nothing may be said about members.
	Unread Coverage = iota
	// NotApplicable: the image's visibility has no members, and says itself who may use the image.
	NotApplicable
	// Partial: the list was read in the view of a project that may not see all of it. What it shows is true; what it
	// does not show may be true too.
	Partial
	// Complete: the list was read in the owner's or an administrator's view.
	Complete
)

// Snapshot is what one collection of one cloud saw. It is a value that nobody changes any more; metrics and pages are
// renderings of it.
type Snapshot struct {
	// ID is the same in all copies of the snapshot, and in no other one.
	ID       uint64
	Cloud    string
	Start    time.Time
	Duration time.Duration
	// Taken is when the oldest collection began that any of this is from, zero where all is from this one.
	Taken time.Time
	// Round is about how long it takes until each image that is read in turns is read again; zero: unknown, or there are none. A shard
	// knows it from its second collection on.
	Round time.Duration
	// Up is whether there was a token and the image API answered at least once.
	Up bool
	// Err is why there was no token, or nil.
	Err    error
	State  client.State
	Images []ImageSnapshot
	// Discovers is whether images are to be discovered, Discovered whether every listing was read to its end.
	Discovers, Discovered bool
	// DiscoveryErr is why Discovered is false where images are to be discovered.
	DiscoveryErr error
	// Skipped is how many listed images rules leave out; SkippedKnown is whether there are such rules, and Discovered.
	Skipped      int
	SkippedKnown bool
	// IdleRules are the indices of the rules that matched no image, though every listing was read to its end.
	IdleRules []int
	// Scopes are the projects that the credential asks for, sorted by their IDs; empty with Err.
	Scopes []client.Scope
	// ScopesErr is why Scopes are those of before, or nil.
	ScopesErr error
	// NoImageAPI is whether what answers seems to be something else than an image API.
	NoImageAPI bool
	// Inbound has an entry for each project that others' images are asked for; empty where [Options].Inbound is nil, and in
	// all shards but the first.
	Inbound []InboundSnapshot

	// Views has what was seen of each of the credential's projects.
	Views []ViewSnapshot
	// Left are images that are not watched any more, since less than an hour.
	Left []LeftImage

	opts  *Options
	names map[string]string // that Keystone has for projects, by ID; nobody changes them
}

// snapshots counts those that were made.
var snapshots atomic.Uint64

// LeftImage is a discovered image that is not watched any more, though the configuration is the same.
type LeftImage struct {
	ID, Name string
	Reason   Reason
	// Owner is the project that owned the image, as last read.
	Owner string
	// Unexpected is whether the image had an unexpected member when its members were last read.
	Unexpected bool
	// Skipped is whether a rule leaves it out now, though another one would take it.
	Skipped bool
}

// Reason is why an image is not watched any more, the label reason.
type Reason string

// The reasons.
const (
	Deleted   Reason = "deleted"   // the image API says that there is no such image
	Unmatched Reason = "unmatched" // no rule takes it any more, or one skips it
)

// ViewSnapshot is what is proven of the view of a project.
type ViewSnapshot struct {
	ProjectID string
	// Members is whether rows of member lists were seen to be visible, Images the same of images in listings, and Administrator
	// whether the API takes the credential for an administrator's.
	Members, Images, Administrator Proof
	// PrivateMembers is whether private images have members in this view.
	PrivateMembers bool
	// Refused is what the image API said when one row of a list was asked for; nil: nothing that proves anything else.
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
	// Name is the configured name, else the first one read since start.
	Name string
	// Discovered is whether a rule watches the image, Policy what is expected of it.
	Discovered bool
	Policy     Policy
	// Record is the image's own record; nil: it was not read, RecordErr says why.
	Record    *client.Image
	RecordErr error
	Coverage  Coverage
	// Doubt is why the members may not be all where Coverage is Partial.
	Doubt Doubt
	// Members is empty unless Coverage is Partial or Complete.
	Members []client.Member
	// LeftOut is how many of them have no series of their own, because there are too many; they are in the counts.
	LeftOut int
	// StatusCode is what the answer that decided Coverage means as an HTTP status, 0 without an answer that can be used. 200 with Unread: the
	// API answered, and nothing proves what the answer seems to say.
	StatusCode int
	// Err is why Coverage is Unread.
	Err error
	// Taken is when the collection began that read this, zero where that is the snapshot's own.
	Taken time.Time
	// MembersRead is when the request for the list of members began that Coverage is from, or the one for the record where that decided;
	// zero where Coverage is Unread.
	MembersRead time.Time
	// RecordRead is when the request for Record began.
	RecordRead time.Time
	// InTurns is whether the image is read when all others are read, Waiting whether it was never read because its turn has not come yet.
	InTurns, Waiting bool

	first bool // its members were never read before
}

// At returns the image as it is judged at a time: an approval may have ended since it was read.
func (s *ImageSnapshot) At(now time.Time) *ImageSnapshot {
	policy := s.Policy.At(now)
	if len(policy.Ended) == len(s.Policy.Ended) {
		return s
	}
	judged := *s
	judged.Policy = policy
	return &judged
}

// Complete reports whether Members are all there are, each with an ID of its own, and none is left out.
func (s *ImageSnapshot) Complete() bool { return s.LeftOut == 0 && s.whole() }

// whole reports whether Members are all there are, each with an ID of its own.
func (s *ImageSnapshot) whole() bool {
	return s.Coverage == Complete && !slices.ContainsFunc(s.Members, func(m client.Member) bool { return m.ID == "" })
}

// Unexpected counts the members that the policy does not expect, 0 where it judges no members.
func (s *ImageSnapshot) Unexpected() int {
	if !s.Policy.judged() {
		return 0
	}
	return s.Policy.unexpected(s.Members)
}

// Missing returns the expected members that the image does not have. It is empty where there may be more members than
// those seen.
func (s *ImageSnapshot) Missing() []ExpectedMember {
	if !s.whole() {
		return nil
	}
	return s.Policy.missing(s.Members)
}

// What a cloud may make of its members in series, so that one that is broken or hostile is no burden to Prometheus. Counts
// have no bound.
const (
	maxShown      = 2_000   // members of an image
	maxShownInAll = 400_000 // members of a cloud
)

// limit decides how many members of each image are shown: as many of each as the bounds allow, so that an image with
// thousands takes nothing from those with a few.
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

// share is the most that each may take, so that all together take no more than there is.
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

// shown are the members that have series, those first that nobody expects.
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
