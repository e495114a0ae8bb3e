package collector

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"glance_share_exporter/client"
)

// problem is a kind of trouble, as the log tells it: once when it begins and once when it is over, not once per image, project and
// scrape. The metrics say it every time.
type problem struct {
	what    string
	op      client.Operation
	code    string
	project string // ID, for what is about one
}

const (
	noToken     = "no access to the cloud"
	noProject   = "no token for a project; its images are not read"
	notListed   = "the list of the user's projects was not read; known projects are still read"
	noImageAPI  = "no image API found: the response to GET images is 404; correct endpoint, or the URL of the image service in the catalog"
	privateRead = "private images of this image API have members; they are read like shared images"
	notProven   = "members not read: the API responded, but the response is not proven"

	membersNotRead = "members not read"
	noRecord       = "image records not read, so owner and visibility are unknown"
	notSwept       = "discovery is incomplete; images found before are still read"
	idleRule       = "discover[%d] matches no image"
	notInbound     = "the listing of images that other projects share with a project is incomplete"
	inboundCut     = "other projects share more images with a project than inbound.max_images; all are counted, but the rest has no series"
	foreignView    = "member lists may be incomplete: the credential's project does not own the images"
)

// doubts are what the log says of lists that may be short.
var doubts = map[Doubt]string{
	ForeignView: foreignView,
	UnknownProject: "member lists may be incomplete: it is not confirmed that the token belongs to the project in project_id; " +
		"use a kind of auth that logs in to Keystone (with a token: set auth_url)",
	UnprovenAdministrator: "member lists may be incomplete: the credential has one of admin_roles, but it is not proven that the image API treats it as an " +
		"administrator; check rule context_is_admin in policy.yaml of Glance",
	ChangingImage:     "member lists may be incomplete: the owner or visibility of the images changed, or their records could not be read again",
	DespiteVisibility: "images have members, although their visibility allows none",
	HiddenRows:        "member lists may be incomplete: it is not proven that rows of such images are visible; allow rule get_member in policy.yaml of Glance",
}

// trouble is what one kind of problem did to a collection.
type trouble struct {
	images  int
	imageID string // of one of them
	err     error
}

// leastReported is the least time that a scrape must have for the log: with less, a cloud that is well cannot be read.
const leastReported = time.Second

// report logs what became of a collection. The caller holds the cloud's mu.
func (p *part) report(r *run) {
	if r.deadline.Sub(r.start) < leastReported {
		return
	}
	if r.err == nil {
		r.cloud.reportAccess(r.scopes)
	}
	p.reportDeparted(r.departed)
	now := r.troubles()
	var began, over []problem
	next := make(map[problem]bool, len(now))
	for kind := range now {
		next[kind] = true
		if !p.problems[kind] {
			began = append(began, kind)
		}
	}
	for kind := range p.problems {
		switch {
		case next[kind]:
		case r.err != nil || r.noImageAPI():
			next[kind] = true // nobody can tell whether it is over
		default:
			over = append(over, kind)
		}
	}
	for _, kinds := range byKind(began) {
		p.logTrouble(kinds, now[kinds[0]], r.endpoint())
	}
	for _, kinds := range byKind(over) {
		fields := []any{"msg", "resolved: " + kinds[0].what, "operation", kinds[0].op, "code", kinds[0].code}
		_ = level.Info(p.logger).Log(append(fields, projectFields(kinds)...)...)
	}
	p.problems = next
}

// byKind sorts problems, and puts those together that differ in the project alone: thousands of projects may have the same one.
func byKind(list []problem) (groups [][]problem) {
	slices.SortFunc(list, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.op, b.op), cmp.Compare(a.code, b.code), cmp.Compare(a.project, b.project))
	})
	for i, kind := range list {
		if i == 0 || kind.what != list[i-1].what || kind.op != list[i-1].op || kind.code != list[i-1].code {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], kind)
	}
	return groups
}

// maxNamed is how many of many projects a line of the log names.
const maxNamed = 3

// projectFields name the projects of problems that differ in nothing else: the only one, or some and how many there are.
func projectFields(kinds []problem) []any {
	if kinds[0].project == "" {
		return nil
	}
	ids := make([]string, len(kinds))
	for i, kind := range kinds {
		ids[i] = kind.project
	}
	return someOf(ids)
}

func someOf(projects []string) (fields []any) {
	if len(projects) > 1 {
		fields = []any{"projects", len(projects)}
	}
	return append(fields, "project_id", strings.Join(projects[:min(len(projects), maxNamed)], ","))
}

// endpoint is an image API's that was asked.
func (r *run) endpoint() string {
	for _, s := range r.scopes {
		if s.Access.Endpoint != "" {
			return s.Access.Endpoint
		}
	}
	return ""
}

// logTrouble logs the beginning of problems of one kind. t is what the first of them did.
func (p *part) logTrouble(kinds []problem, t *trouble, endpoint string) {
	kind := kinds[0]
	logger := level.Error(p.logger)
	if kind.warns() {
		logger = level.Warn(p.logger)
	}
	fields := append([]any{"msg", kind.what}, projectFields(kinds)...)
	if t.imageID != "" {
		fields = append(fields, "images", t.images, "image_id", t.imageID)
	}
	if t.err != nil {
		fields = append(fields, "err", t.err)
	}
	if kind.what == noImageAPI {
		fields = append(fields, "endpoint", endpoint)
	}
	_ = logger.Log(fields...)
}

// warns reports whether a problem is logged as a warning.
func (p *problem) warns() bool {
	switch p.what {
	case noRecord, privateRead, inboundCut:
		return true
	}
	return strings.HasPrefix(p.what, "member lists may be incomplete") || strings.HasPrefix(p.what, "discover[")
}

// troubles finds what went wrong in a finished collection, the images of one kind together. The caller holds the cloud's
// mu.
func (r *run) troubles() map[problem]*trouble {
	found := map[problem]*trouble{}
	note := func(what, imageID string, err error) {
		p := problem{what: what, code: code(err)}
		var apiErr *client.Error
		if errors.As(err, &apiErr) {
			p.op = apiErr.Op
		}
		if found[p] == nil {
			found[p] = &trouble{imageID: imageID, err: err}
		}
		found[p].images++
	}
	if r.err != nil {
		note(noToken, "", r.err)
		return found
	}
	if r.scopesErr != nil {
		note(notListed, "", r.scopesErr)
	}
	for _, s := range r.scopes {
		if s.Err != nil {
			p := problem{what: noProject, op: client.OpAuthenticate, code: code(s.Err), project: s.Access.ProjectID}
			found[p] = &trouble{err: s.Err}
		}
	}
	if r.noImageAPI() {
		note(noImageAPI, "", nil)
		return found
	}
	for _, s := range r.scopes {
		if !r.hasPrivateMembers() && r.viewIn(s.Access.ProjectID).privates() == privateHasMembers {
			found[problem{what: privateRead, project: s.Access.ProjectID}] = &trouble{}
		}
	}
	if len(r.opts.Discover) > 0 && !r.discovered() {
		note(notSwept, "", cmp.Or(r.discovery.err, r.sweptDoubt(), errNotAsked))
	}
	for _, in := range r.inboundSnapshots() {
		if in.LeftOut > 0 {
			found[problem{what: inboundCut, project: in.ProjectID}] = &trouble{}
		}
		p := problem{what: notInbound, code: code(in.Err), project: in.ProjectID}
		var apiErr *client.Error
		switch {
		case in.ProjectID == "" && r.scopesErr != nil:
			continue // notListed says it
		case in.Err == nil || found[problem{what: noProject, op: client.OpAuthenticate, code: p.code, project: in.ProjectID}] != nil:
			continue
		case errors.As(in.Err, &apiErr):
			p.op = apiErr.Op
		}
		if in.Err != nil {
			found[p] = &trouble{err: in.Err}
		}
	}
	for i := range r.opts.Discover {
		// A listing that broke off shows no rule to be idle, and none to be so no more.
		what := fmt.Sprintf(idleRule, i)
		if !r.discovery.used[&r.opts.Discover[i]] && (r.complete() || r.part.problems[problem{what: what}]) {
			note(what, "", nil)
		}
	}
	for _, t := range r.images {
		if r.gone(t) {
			continue
		}
		var img ImageSnapshot
		e := r.evidence(t)
		t.judge(&e, &img)
		switch {
		case img.Coverage == Unread && IsUnproven(img.Err):
			note(notProven, t.ID, img.Err)
		case r.waitsAsMeant(t):
		case img.Coverage == Unread:
			note(membersNotRead, t.ID, img.Err)
		case img.Coverage == Partial && img.Doubt == ChangingImage && r.inTurns(t) && t.past.answered == 0: // its record comes again with the next listing
		case img.Coverage == Partial && t.record != nil:
			note(doubts[img.Doubt], t.ID, nil)
		}
		if t.record == nil && t.recordErr != nil && img.StatusCode != statusNotFound && !sameCause(&img, t.recordErr) {
			note(noRecord, t.ID, t.recordErr)
		}
	}
	return found
}

// sameCause reports whether an image's members and its record were not read for one reason, which one line tells.
func sameCause(img *ImageSnapshot, recordErr error) bool {
	return img.Coverage == Unread && code(img.Err) == code(recordErr)
}
