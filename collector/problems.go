package collector

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"glance_share_exporter/client"
)

// Problem is one kind of trouble of a cloud. However many images it keeps from being read, it is one.
type Problem struct {
	// Kind is what the log says of it.
	Kind Kind
	// Op and Code are of the request that failed, empty where it is not about one.
	Op   client.Operation
	Code string
	// ProjectID is set for what is about one project.
	ProjectID string
	// Images is how many images it concerns, ImageID one of them.
	Images  int
	ImageID string
	// Err is the error of that image, or of the cloud; nil where Kind says it all.
	Err error
}

// Kind is a sentence of the log.
type Kind string

const (
	noToken     Kind = "no access to the cloud"
	noProject   Kind = "no token for a project; its images are not read"
	notListed   Kind = "the list of the user's projects was not read; known projects are still read"
	noImageAPI  Kind = "no image API found: the response to GET images is 404; correct endpoint, or the URL of the image service in the catalog"
	privateRead Kind = "private images of this image API have members; they are read like shared images"
	notProven   Kind = "members not read: the API responded, but the response is not proven"

	membersNotRead Kind = "members not read"
	noRecord       Kind = "image records not read, so owner and visibility are unknown"
	notSwept       Kind = "discovery is incomplete; images found before are still read"
	idleRule            = "discover[%d] matches no image"
	notInbound     Kind = "the listing of images that other projects share with a project is incomplete"
	inboundCut     Kind = "other projects share more images with a project than inbound.max_images; all are counted, but the rest has no series"
	foreignView    Kind = "member lists may be incomplete: the credential's project does not own the images"
)

// doubts are what the log says of lists that may be short.
var doubts = map[Doubt]Kind{
	ForeignView: foreignView,
	UnknownProject: "member lists may be incomplete: it is not confirmed that the token belongs to the project in project_id; " +
		"use a kind of auth that logs in to Keystone (with a token: set auth_url)",
	UnprovenAdministrator: "member lists may be incomplete: the credential has one of admin_roles, but it is not proven that the image API treats it as an " +
		"administrator; check rule context_is_admin in policy.yaml of Glance",
	ChangingImage:     "member lists may be incomplete: the owner or visibility of the images changed, or their records could not be read again",
	DespiteVisibility: "images have members, although their visibility allows none",
	HiddenRows:        "member lists may be incomplete: it is not proven that rows of such images are visible; allow rule get_member in policy.yaml of Glance",
}

// Problems are what is wrong with what a snapshot shows, each kind once, in a fixed order.
func Problems(s *Snapshot) []Problem {
	var list problems
	switch {
	case s.Err != nil:
		list.add(problemOf(noToken, s.Err))
		return list.sorted()
	case s.ScopesErr != nil:
		list.add(problemOf(notListed, s.ScopesErr))
	}
	for _, scope := range s.Scopes {
		if scope.Err != nil {
			list.add(Problem{Kind: noProject, Op: client.OpAuthenticate, Code: code(scope.Err), ProjectID: scope.Access.ProjectID, Err: scope.Err})
		}
	}
	if s.NoImageAPI {
		list.add(Problem{Kind: noImageAPI})
		return list.sorted()
	}
	for i := range s.Views {
		if s.Views[i].PrivateMembers && !slices.Contains(s.opts.MembersFor, client.Private) {
			list.add(Problem{Kind: privateRead, ProjectID: s.Views[i].ProjectID})
		}
	}
	if s.Discovers && !s.Discovered {
		list.add(problemOf(notSwept, s.DiscoveryErr))
	}
	for _, rule := range s.IdleRules {
		list.add(Problem{Kind: Kind(fmt.Sprintf(idleRule, rule))})
	}
	for i := range s.Inbound {
		list.inbound(s, &s.Inbound[i])
	}
	for i := range s.Images {
		list.image(&s.Images[i])
	}
	return list.sorted()
}

func problemOf(kind Kind, err error) Problem {
	p := Problem{Kind: kind, Code: code(err), Err: err}
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		p.Op = apiErr.Op
	}
	return p
}

// key is what makes problems the same one.
func (p *Problem) key() Problem {
	return Problem{Kind: p.Kind, Op: p.Op, Code: p.Code, ProjectID: p.ProjectID}
}

// problems has them by their keys.
type problems map[Problem]*Problem

func (list *problems) add(p Problem) {
	if *list == nil {
		*list = problems{}
	}
	if old := (*list)[p.key()]; old != nil {
		old.Images += p.Images
		return
	}
	(*list)[p.key()] = &p
}

func (list *problems) inbound(s *Snapshot, in *InboundSnapshot) {
	if in.LeftOut > 0 {
		list.add(Problem{Kind: inboundCut, ProjectID: in.ProjectID})
	}
	p := problemOf(notInbound, in.Err)
	p.ProjectID = in.ProjectID
	entered := Problem{Kind: noProject, Op: client.OpAuthenticate, Code: p.Code, ProjectID: in.ProjectID}
	switch {
	case in.Err == nil || (*list)[entered] != nil:
	case in.ProjectID == "" && s.ScopesErr != nil: // notListed says it
	default:
		list.add(p)
	}
}

func (list *problems) image(img *ImageSnapshot) {
	add := func(kind Kind, err error) {
		p := problemOf(kind, err)
		p.Images, p.ImageID = 1, img.ID
		list.add(p)
	}
	switch {
	case img.Coverage == Unread && IsUnproven(img.Err):
		add(notProven, img.Err)
	case img.Waiting:
	case img.Coverage == Unread:
		add(membersNotRead, img.Err)
	case img.Coverage == Partial && img.Doubt == ChangingImage && img.InTurns && img.first: // its record comes again with the next listing
	case img.Coverage == Partial && img.Record != nil:
		add(doubts[img.Doubt], nil)
	}
	if img.Record == nil && img.RecordErr != nil && img.StatusCode != statusNotFound && !sameCause(img) {
		add(noRecord, img.RecordErr)
	}
}

// sameCause reports whether an image's members and its record were not read for one reason, which one line tells.
func sameCause(img *ImageSnapshot) bool {
	return img.Coverage == Unread && code(img.Err) == code(img.RecordErr)
}

func (list problems) sorted() []Problem {
	all := make([]Problem, 0, len(list))
	for _, p := range list {
		all = append(all, *p)
	}
	slices.SortFunc(all, Problem.compare)
	return all
}

func (p Problem) compare(o Problem) int {
	return cmp.Or(cmp.Compare(p.Kind, o.Kind), cmp.Compare(p.Op, o.Op), cmp.Compare(p.Code, o.Code), cmp.Compare(p.ProjectID, o.ProjectID))
}
