package collector

import (
	"cmp"
	"errors"
	"slices"

	"glance_share_exporter/client"
)

// Problem is one problem of a cloud, however many images it concerns. The log, the status page and preflight report the
// same problems, each in its own words.
type Problem struct {
	Kind Kind
	// Op and Code are those of the request that failed, empty if the problem is not about a request.
	Op   client.Operation
	Code string
	// ProjectID is set if the problem is about one project.
	ProjectID string
	// Rule is the index of the rule, for RuleIdle. Doubt is why lists may be incomplete, for MembersDoubtful.
	Rule  int
	Doubt Doubt
	// Images is how many images the problem concerns, ImageID one of them.
	Images  int
	ImageID string
	// Err is the error of that image, or of the cloud; nil if the kind is enough.
	Err error
}

// Kind is the kind of a problem.
type Kind int

// The kinds, first those that keep the most from being read.
const (
	NoToken           Kind = iota // no login, so nothing is read
	NoImageAPI                    // what responds is not an image API
	ProjectsNotListed             // there may be more projects than those known
	NoProjectToken                // one project is not read
	ListingIncomplete             // there may be more images that discover would find
	InboundIncomplete             // there may be more images that others share with a project
	InboundCut                    // some of those have no series
	MembersUnread                 // of images
	MembersUnproven               // the API responded for images, and the response is not proven
	MembersDoubtful               // there may be more members of images
	RecordsUnread                 // of images, so their owners and visibilities are unknown
	PrivateMembers                // private images have members here, and are read like shared ones
	RuleIdle                      // a rule of discover matches no image
)

// Incomplete reports whether the problem keeps something from being seen: an image, a member or an owner. Only such a
// problem makes preflight fail or a cloud incomplete.
func (p *Problem) Incomplete() bool {
	switch p.Kind {
	case InboundCut, PrivateMembers, RuleIdle:
		return false
	}
	return true
}

// Problems returns the problems in a snapshot, each once, in a fixed order.
func Problems(s *Snapshot) []Problem {
	var list problems
	switch {
	case s.Err != nil:
		list.add(problemOf(NoToken, s.Err))
		return list.sorted()
	case s.ScopesErr != nil:
		list.add(problemOf(ProjectsNotListed, s.ScopesErr))
	}
	for _, scope := range s.Scopes {
		if scope.Err != nil {
			list.add(Problem{
				Kind: NoProjectToken, Op: client.OpAuthenticate, Code: code(scope.Err), ProjectID: scope.Access.ProjectID,
				Err: scope.Err,
			})
		}
	}
	if s.NoImageAPI {
		list.add(Problem{Kind: NoImageAPI})
		return list.sorted()
	}
	for i := range s.Views {
		if s.Views[i].PrivateMembers && !slices.Contains(s.opts.MembersFor, client.Private) {
			list.add(Problem{Kind: PrivateMembers, ProjectID: s.Views[i].ProjectID})
		}
	}
	if s.Discovers && !s.Discovered {
		list.add(problemOf(ListingIncomplete, s.DiscoveryErr))
	}
	for _, rule := range s.IdleRules {
		list.add(Problem{Kind: RuleIdle, Rule: rule})
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

// key returns the fields that identify a problem.
func (p *Problem) key() Problem {
	return Problem{Kind: p.Kind, Op: p.Op, Code: p.Code, ProjectID: p.ProjectID, Rule: p.Rule, Doubt: p.Doubt}
}

// problems has problems by their keys.
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
		list.add(Problem{Kind: InboundCut, ProjectID: in.ProjectID, Images: in.LeftOut})
	}
	p := problemOf(InboundIncomplete, in.Err)
	p.ProjectID = in.ProjectID
	entered := Problem{Kind: NoProjectToken, Op: client.OpAuthenticate, Code: p.Code, ProjectID: in.ProjectID}
	switch {
	case in.Err == nil || (*list)[entered] != nil:
	case in.ProjectID == "" && s.ScopesErr != nil: // ProjectsNotListed reports it
	default:
		list.add(p)
	}
}

func (list *problems) image(img *ImageSnapshot) {
	add := func(kind Kind, err error) {
		p := problemOf(kind, err)
		p.Images, p.ImageID = 1, img.ID
		if kind == MembersDoubtful {
			p.Doubt = img.Doubt
		}
		list.add(p)
	}
	switch {
	case img.Coverage == Unread && IsUnproven(img.Err):
		add(MembersUnproven, img.Err)
	case img.Waiting:
	case img.Coverage == Unread:
		add(MembersUnread, img.Err)
	case img.Coverage == Partial && img.Doubt == ChangingImage && img.InTurns && img.first: // the next listing has its second record
	case img.Coverage == Partial && img.Record != nil:
		add(MembersDoubtful, nil)
	}
	if img.Record == nil && img.RecordErr != nil && img.StatusCode != statusNotFound && !sameCause(img) {
		add(RecordsUnread, img.RecordErr)
	}
}

// sameCause reports whether an image's members and its record were not read for the same reason, to be reported once.
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
	return cmp.Or(cmp.Compare(p.Kind, o.Kind), cmp.Compare(p.Doubt, o.Doubt), cmp.Compare(p.Rule, o.Rule), cmp.Compare(p.Op, o.Op),
		cmp.Compare(p.Code, o.Code), cmp.Compare(p.ProjectID, o.ProjectID))
}
