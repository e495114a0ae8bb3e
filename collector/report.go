package collector

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-kit/log/level"

	"glance_share_exporter/client"
)

// problem is a kind of trouble, as the log tells it: once when it begins and once when it is over, not once per image and
// scrape. The metrics say it every time.
type problem struct {
	what    string
	op      client.Operation
	code    string
	project string // ID, for what is about one
}

const (
	noToken     = "no access to the cloud"
	noProject   = "a project cannot be entered; its images are not read"
	notListed   = "the user's projects cannot be listed; those known before are still asked"
	noImageAPI  = "no image API here: GET images answers 404; correct endpoint, or the image service's URL in the catalog"
	privateRead = "private images of this image API have members; they are read as shared ones are"
	notProven   = "members not read: the API answered, and nothing proves what the answer seems to say"

	membersNotRead = "members not read"
	noRecord       = "image records not read, so owner and visibility are unknown"
	notSwept       = "images not discovered: a listing was not read to its end; those known before are still asked"
	idleRule       = "discover[%d] takes no image"
	notInbound     = "what others share with a project is not read whole"
	inboundCut     = "others share more images with a project than are shown; its glance_inbound_success is 0"
	foreignView    = "member lists may be short: the credential's project does not own the images"
)

// doubts are what the log says of lists that may be short.
var doubts = map[Doubt]string{
	ForeignView: foreignView,
	UnknownProject: "member lists may be short: nothing confirms that the token is of the project in project_id; " +
		"set auth_url, so that Keystone names the project",
	UnprovenAdministrator: "member lists may be short: the credential has one of admin_roles, and nothing shows that the image API takes it for an " +
		"administrator's; check the policy context_is_admin",
	ChangingImage:     "member lists may be short: the owner or visibility of the images changed, or their records could not be read again",
	DespiteVisibility: "images have members, though their visibility says that they have none",
	HiddenRows:        "member lists may be short: nothing shows that rows of such images are visible; allow the policy get_member",
}

// trouble is what one kind of problem did to a collection.
type trouble struct {
	images  int
	imageID string // of one of them
	err     error
}

// report logs what became of a collection. The caller holds the cloud's mu.
func (p *part) report(coll *collection) {
	if coll.err == nil {
		coll.cloud.reportAccess(coll.scopes)
	}
	for _, l := range coll.departed {
		what := "a discovered image was deleted; it is not watched any more"
		if l.Reason == Unmatched {
			what = "a discovered image matches no rule any more; it is not watched any more"
		}
		_ = level.Warn(p.logger).Log("msg", what, "image_id", l.ID, "image_name", l.Name, "owner_id", l.Owner, "unexpected_member", l.Unexpected)
	}
	now := coll.troubles()
	for kind, t := range now {
		if !p.problems[kind] {
			p.logTrouble(kind, t, coll.endpoint())
		}
	}
	next := make(map[problem]bool, len(now))
	for kind := range now {
		next[kind] = true
	}
	for kind := range p.problems {
		switch {
		case next[kind]:
		case coll.err != nil || coll.noImageAPI():
			next[kind] = true // nobody can tell whether it is over
		default:
			fields := []any{"msg", "over: " + kind.what, "operation", kind.op, "code", kind.code}
			if kind.project != "" {
				fields = append(fields, "project_id", kind.project)
			}
			_ = level.Info(p.logger).Log(fields...)
		}
	}
	p.problems = next
}

// reportAccess logs what is new of the projects. The caller holds mu.
func (c *Cloud) reportAccess(scopes []client.Scope) {
	told := map[string]client.Access{}
	for _, s := range c.told {
		told[s.Access.ProjectID] = s.Access
	}
	for i, s := range scopes {
		old, known := told[s.Access.ProjectID]
		delete(told, s.Access.ProjectID)
		if s.Err != nil {
			if known {
				scopes = slices.Clone(scopes)
				scopes[i].Access = old
			}
			continue
		}
		if a := s.Access; !known || !reflect.DeepEqual(old, a) {
			_ = level.Info(c.logger).Log("msg", "asking the image API", "endpoint", a.Endpoint, "project_id", a.ProjectID, "project_name", a.ProjectName)
		}
	}
	for _, a := range told {
		_ = level.Warn(c.logger).Log("msg", "the credential asks for this project no more; its images are watched no more", "project_id", a.ProjectID, "project_name", a.ProjectName)
	}
	c.told = scopes
}

// endpoint is an image API's that was asked.
func (c *collection) endpoint() string {
	for _, s := range c.scopes {
		if s.Access.Endpoint != "" {
			return s.Access.Endpoint
		}
	}
	return ""
}

func (p *part) logTrouble(kind problem, t *trouble, endpoint string) {
	logger := level.Error(p.logger)
	if kind.what == noRecord || kind.what == privateRead || strings.HasPrefix(kind.what, "member lists may be short") || strings.HasPrefix(kind.what, "discover[") {
		logger = level.Warn(p.logger)
	}
	fields := []any{"msg", kind.what}
	if kind.project != "" {
		fields = append(fields, "project_id", kind.project)
	}
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

// troubles finds what went wrong in a finished collection, the images of one kind together. The caller holds the cloud's
// mu.
func (c *collection) troubles() map[problem]*trouble {
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
	if c.err != nil {
		note(noToken, "", c.err)
		return found
	}
	if c.scopesErr != nil {
		note(notListed, "", c.scopesErr)
	}
	for _, s := range c.scopes {
		if s.Err != nil {
			p := problem{what: noProject, op: client.OpAuthenticate, code: code(s.Err), project: s.Access.ProjectID}
			found[p] = &trouble{err: s.Err}
		}
	}
	if c.noImageAPI() {
		note(noImageAPI, "", nil)
		return found
	}
	for _, s := range c.scopes {
		if !c.hasPrivateMembers() && c.viewIn(s.Access.ProjectID).privates() == privateHasMembers {
			found[problem{what: privateRead, project: s.Access.ProjectID}] = &trouble{}
		}
	}
	if len(c.opts.Discover) > 0 && !c.discovered() {
		note(notSwept, "", cmp.Or(c.discoveryErr, c.sweptDoubt(), errNotAsked))
	}
	for _, in := range c.inboundSnapshots() {
		p := problem{what: notInbound, code: code(in.Err), project: in.ProjectID}
		var apiErr *client.Error
		switch {
		case in.ProjectID == "" && c.scopesErr != nil:
			continue // notListed says it
		case in.LeftOut > 0:
			found[problem{what: inboundCut, project: in.ProjectID}] = &trouble{}
		case in.Err == nil || found[problem{what: noProject, op: client.OpAuthenticate, code: p.code, project: in.ProjectID}] != nil:
			continue
		case errors.As(in.Err, &apiErr):
			p.op = apiErr.Op
		}
		if in.Err != nil {
			found[p] = &trouble{err: in.Err}
		}
	}
	for i := range c.opts.Discover {
		// A listing that broke off shows no rule to be idle, and none to be so no more.
		what := fmt.Sprintf(idleRule, i)
		if !c.used[&c.opts.Discover[i]] && (c.complete() || c.part.problems[problem{what: what}]) {
			note(what, "", nil)
		}
	}
	for _, t := range c.targets {
		if c.gone(t) {
			continue
		}
		var img ImageSnapshot
		e := c.evidence(t)
		t.judge(&e, &img)
		switch {
		case img.Sight == Unread && IsUnproven(img.Err):
			note(notProven, t.ID, img.Err)
		case img.Sight == Unread:
			note(membersNotRead, t.ID, img.Err)
		case img.Sight == Partial && t.record != nil:
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
	return img.Sight == Unread && code(img.Err) == code(recordErr)
}

// code is an error's code, as the counters have it.
func code(err error) string {
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		return apiErr.Code
	}
	return ""
}
