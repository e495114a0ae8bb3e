package collector

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"glance_share_exporter/client"
)

// journal logs the problems of a cloud, or of a shard: once when they begin and once when they end, not once per image,
// project and scrape. The metrics show them in every scrape.
type journal struct {
	logger log.Logger

	mu     sync.Mutex
	logged map[Problem]bool // problems that are in the log, by their keys
}

// minReported is the minimum time of a run whose problems are logged.
const minReported = time.Second

// report logs the problems that began or ended with a run.
func (j *journal) report(s *Snapshot) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var began, over []Problem
	now := make(map[Problem]bool)
	for _, p := range Problems(s) {
		now[p.key()] = true
		if !j.logged[p.key()] {
			began = append(began, p)
		}
	}
	for p := range j.logged {
		switch {
		case now[p]:
		case s.Err != nil || s.NoImageAPI, p.Kind == RuleIdle && !s.Discovered:
			now[p] = true // it is unknown whether it has ended
		default:
			over = append(over, p)
		}
	}
	for _, kinds := range byKind(began) {
		j.begin(kinds, s.endpoint())
	}
	for _, kinds := range byKind(over) {
		fields := []any{"msg", "resolved: " + kinds[0].Message(), "operation", kinds[0].Op, "code", kinds[0].Code}
		_ = level.Info(j.logger).Log(append(fields, projectFields(kinds)...)...)
	}
	j.logged = now
}

// begin logs the beginning of problems of one kind.
func (j *journal) begin(kinds []Problem, endpoint string) {
	p := &kinds[0]
	logger := level.Error(j.logger)
	if p.warns() {
		logger = level.Warn(j.logger)
	}
	fields := append([]any{"msg", p.Message()}, projectFields(kinds)...)
	if p.ImageID != "" {
		fields = append(fields, "images", p.Images, "image_id", p.ImageID)
	}
	if p.Err != nil {
		fields = append(fields, "err", p.Err)
	}
	if p.Kind == NoImageAPI {
		fields = append(fields, "endpoint", endpoint)
	}
	_ = logger.Log(fields...)
}

// endpoint returns the endpoint of the first project that has one.
func (s *Snapshot) endpoint() string {
	for _, scope := range s.Scopes {
		if scope.Access.Endpoint != "" {
			return scope.Access.Endpoint
		}
	}
	return ""
}

// messages are the log messages of the kinds.
var messages = map[Kind]string{
	NoToken: "no access to the cloud",
	NoImageAPI: "no image API found: the response to GET images is 404; correct endpoint, or the URL of the image service " +
		"in the catalog",
	ProjectsNotListed: "the list of the user's projects was not read; known projects are still read",
	NoProjectToken:    "no token for a project; its images are not read",
	ListingIncomplete: "discovery is incomplete; images found before are still read",
	InboundIncomplete: "the listing of images that other projects share with a project is incomplete",
	InboundCut: "other projects share more images with a project than inbound.max_images; all are counted, " +
		"but the rest has no series",
	MembersUnread:   "members not read",
	MembersUnproven: "members not read: the API responded, but the response is not proven",
	RecordsUnread:   "image records not read, so owner and visibility are unknown",
	PrivateMembers:  "private images of this image API have members; they are read like shared images",
}

// doubts are the log messages about lists that may be incomplete.
var doubts = map[Doubt]string{
	ForeignView: "member lists may be incomplete: the credential's project does not own the images",
	UnknownProject: "member lists may be incomplete: it is not confirmed that the token belongs to the project in project_id; " +
		"use a kind of auth that logs in to Keystone (with a token: set auth_url)",
	UnprovenAdministrator: "member lists may be incomplete: the credential has one of admin_roles, but it is not proven that the image API " +
		"treats it as an administrator; check rule context_is_admin in policy.yaml of Glance",
	ChangingImage: "member lists may be incomplete: the owner or visibility of the images changed, or their records could not " +
		"be read again",
	DespiteVisibility: "images have members, although their visibility allows none",
	HiddenRows: "member lists may be incomplete: it is not proven that rows of such images are visible; " +
		"allow rule get_member in policy.yaml of Glance",
}

// String returns the log message about why lists may be incomplete, empty for NoDoubt.
func (d Doubt) String() string { return doubts[d] }

// Message returns the log message of the problem, without the error.
func (p *Problem) Message() string {
	switch p.Kind {
	case MembersDoubtful:
		return p.Doubt.String()
	case RuleIdle:
		return fmt.Sprintf("discover[%d] matches no image", p.Rule)
	}
	return messages[p.Kind]
}

// warns reports whether a problem is logged as a warning. Members despite the image's visibility are an error.
func (p *Problem) warns() bool {
	switch p.Kind {
	case RecordsUnread, PrivateMembers, InboundCut, RuleIdle:
		return true
	}
	return p.Kind == MembersDoubtful && p.Doubt != DespiteVisibility
}

// byKind sorts problems and groups those that differ only in the project: thousands of projects may have the same one.
func byKind(list []Problem) (groups [][]Problem) {
	slices.SortFunc(list, Problem.compare)
	for _, p := range list {
		if last := len(groups) - 1; last >= 0 {
			other := p
			if other.ProjectID = groups[last][0].ProjectID; other.key() == groups[last][0].key() {
				groups[last] = append(groups[last], p)
				continue
			}
		}
		groups = append(groups, []Problem{p})
	}
	return groups
}

// maxNamed is how many projects a line of the log names at most.
const maxNamed = 3

// projectFields returns the log fields of the projects of problems that differ in nothing else: the only project, or
// some and how many there are.
func projectFields(kinds []Problem) []any {
	if kinds[0].ProjectID == "" {
		return nil
	}
	ids := make([]string, len(kinds))
	for i, kind := range kinds {
		ids[i] = kind.ProjectID
	}
	return someOf(ids)
}

func someOf(projects []string) (fields []any) {
	if len(projects) > 1 {
		fields = []any{"projects", len(projects)}
	}
	return append(fields, "project_id", strings.Join(projects[:min(len(projects), maxNamed)], ","))
}

// accessLog logs which projects the credential enters, and at which endpoint.
type accessLog struct {
	logger log.Logger

	mu     sync.Mutex
	scopes []client.Scope // that are in the log
}

// report logs the changes of the projects.
func (l *accessLog) report(scopes []client.Scope) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := map[string]client.Access{}
	for _, s := range l.scopes {
		before[s.Access.ProjectID] = s.Access
	}
	entered := map[string][]client.Access{} // by endpoint
	scopes = slices.Clone(scopes)
	for i, s := range scopes {
		old, known := before[s.Access.ProjectID]
		delete(before, s.Access.ProjectID)
		switch a := s.Access; {
		case s.Err != nil && known:
			scopes[i].Access = old
		case s.Err == nil && (!known || !reflect.DeepEqual(old, a)):
			entered[a.Endpoint] = append(entered[a.Endpoint], a)
		}
	}
	for _, endpoint := range slices.Sorted(maps.Keys(entered)) {
		fields := []any{"msg", "using the image API", "endpoint", endpoint}
		_ = level.Info(l.logger).Log(append(fields, accessFields(entered[endpoint])...)...)
	}
	if len(before) > 0 {
		left := slices.SortedFunc(maps.Values(before), func(a, b client.Access) int { return cmp.Compare(a.ProjectID, b.ProjectID) })
		fields := []any{"msg", "the credential no longer covers this project; its images are no longer watched"}
		_ = level.Warn(l.logger).Log(append(fields, accessFields(left)...)...)
	}
	l.scopes = scopes
}

// accessFields returns the log fields of projects, like projectFields.
func accessFields(list []client.Access) []any {
	ids, names := make([]string, len(list)), make([]string, len(list))
	for i, a := range list {
		ids[i], names[i] = a.ProjectID, a.ProjectName
	}
	return append(someOf(ids), "project_name", strings.Join(names[:min(len(names), maxNamed)], ","))
}

// maxDeparted is how many of the images that left in one run have their own line in the log.
const maxDeparted = 20

// reportLeft logs the images that are no longer watched, first those with unexpected access.
func (j *journal) reportLeft(images []LeftImage) {
	images = slices.Clone(images)
	slices.SortStableFunc(images, func(a, b LeftImage) int { return compareBools(b.UnexpectedAccess(), a.UnexpectedAccess()) })
	for i, l := range images {
		if i == maxDeparted {
			what := "more discovered images were deleted, no longer match a rule or are skipped by one; they are no longer watched"
			_ = level.Warn(j.logger).Log("msg", what, "images", len(images)-i)
			return
		}
		what := "a discovered image was deleted; it is no longer watched"
		switch {
		case l.Skipped:
			what = "a rule now skips a discovered image; it is no longer watched"
		case l.Reason == Unmatched:
			what = "a discovered image no longer matches a rule; it is no longer watched"
		}
		_ = level.Warn(j.logger).Log("msg", what, "image_id", l.ID, "image_name", l.Name, "owner_id", l.Owner,
			"unexpected_member", l.Unexpected, "exposed", l.Exposed)
	}
}
