package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Scope is a project that a credential asks for.
type Scope struct {
	// Access is what the project's token gives access to. Only ProjectID and ProjectName are there with Err.
	Access Access
	// Err is why the project cannot be entered, an *[Error].
	Err error
}

// Projects reads one cloud as one user in several projects, with a token for each. Each image is asked for in the
// view of the project that owns it, where that is one of them. It is safe for concurrent use.
type Projects struct {
	opts   Options
	limits *limiter
	people *Client // with a token without a project, which the others are got with

	mu        sync.Mutex
	settings  Settings
	changed   bool              // they are new
	scopes    []*scope          // sorted by ID
	byID      map[string]*scope // the same
	next      string            // ID of the scope that Enter begins with
	seen      *cache[seenBy]    // by image ID
	rotatedAt time.Time         // when what is in seen was last looked through
}

// NewProjects returns a client for several projects. Auth of opts is a user's password, without a scope. It makes no
// request. Close must be called in the end.
func NewProjects(opts Options) (*Projects, error) {
	if opts.Transport != nil {
		opts.Transport = newCertRecorder(opts.Transport) // for all of them
	}
	people, err := newClient(opts, newLimiter(), true) // not the others' limiter: its requests are to Keystone
	if err != nil {
		return nil, err
	}
	return &Projects{
		opts: opts, limits: newLimiter(), people: people, settings: opts.Settings,
		seen: newCache[seenBy](maxSeen), rotatedAt: time.Now(),
	}, nil
}

// Set replaces the settings. What is under way goes on with the old ones. Projects that the user lost its role in are
// forgotten.
func (p *Projects) Set(s Settings) {
	p.mu.Lock()
	p.settings, p.changed = s, true
	p.mu.Unlock()
	p.people.Set(s)
	for _, scope := range p.current() {
		if scope.client != nil {
			scope.client.Set(s)
		}
	}
}

// Close ends what is under way and waits for it.
func (p *Projects) Close() {
	p.people.Close()
	for _, s := range p.current() {
		if s.client != nil {
			s.client.Close()
		}
	}
}

func (p *Projects) current() []*scope {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.scopes)
}

// list brings the scopes up to date. Where there are some, a slow Keystone must not take the collection's time.
func (p *Projects) list(ctx context.Context) error {
	if len(p.current()) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, partOf(ctx))
		defer cancel()
	}
	listed, err := p.people.projects(ctx)
	if err == nil {
		p.keep(listed)
	}
	return err
}

// projects returns the projects that the user has a role in, GET /v3/auth/projects, see
// https://docs.openstack.org/api-ref/identity/v3/#get-available-project-scopes.
func (c *Client) projects(ctx context.Context) ([]listedProject, error) {
	var list []listedProject
	_, err := c.get(ctx, request{op: OpListProjects, path: "auth/projects"}, func(resp response) (err error) {
		list, err = decodeProjects(resp.body)
		return err
	})
	return list, err
}

// listedProject is a project in the list of a user's projects. Whether its domain is disabled, Keystone does not say
// there.
type listedProject struct {
	id, name string
	disabled bool
}

func decodeProjects(body []byte) ([]listedProject, error) {
	var answer struct {
		Projects []record[struct {
			ID      string `json:"id"`
			Name    string `json:"name"`
			Enabled *bool  `json:"enabled"`
		}] `json:"projects"`
		Others otherSpelling `json:"PROJECTS,case:ignore"`
		Links  struct {
			Next rawJSON `json:"next,case:ignore"`
		} `json:"links,case:ignore"`
		refusal
	}
	if err := decode(body, &answer); err != nil {
		return nil, err
	}
	if err := answer.check(body); err != nil {
		return nil, err
	}
	switch {
	case answer.Projects == nil:
		return nil, errors.New(`no "projects" in the response` + hint(body))
	case says(answer.Links.Next):
		return nil, errors.New("unexpected pagination in the list of projects")
	}
	var list []listedProject
	for _, row := range answer.Projects {
		p := &row.value
		if p.ID == "" {
			return nil, errors.New("a project without an ID")
		}
		list = append(list, listedProject{id: p.ID, name: p.Name, disabled: p.Enabled != nil && !*p.Enabled})
	}
	return list, nil
}

// keep makes the scopes those that are wanted, of the listed ones. A scope that stays keeps its token. One that is
// listed no more, or as disabled, stays without: what was seen there must not look as if it were gone.
func (p *Projects) keep(listed []listedProject) {
	byID := make(map[string]listedProject, len(listed))
	for _, l := range listed {
		byID[l.id] = l
	}
	p.mu.Lock()
	old := p.byID
	ids := p.wanted(listed)
	p.changed, p.scopes, p.byID = false, make([]*scope, 0, len(ids)), make(map[string]*scope, len(ids))
	for _, id := range ids {
		l, ok := byID[id]
		s, why := old[id], p.whyNot(id, l, ok)
		switch {
		case s == nil:
			s = &scope{id: id, name: l.name}
		case why != nil:
			s = &scope{id: id, name: cmp.Or(l.name, s.name)}
		}
		if why != nil {
			s.err = why
		} else if s.client == nil {
			s = &scope{id: id, name: l.name, client: p.scoped(id)}
		}
		if s == old[id] {
			delete(old, id)
		}
		p.scopes, p.byID[id] = append(p.scopes, s), s
	}
	p.mu.Unlock()
	for _, s := range old {
		if s.client != nil {
			s.client.Close()
		}
	}
}

// wanted are the IDs of the projects to enter, sorted: those in the settings, or all that are listed or were before,
// without those that are left out. The caller holds mu.
func (p *Projects) wanted(listed []listedProject) []string {
	ids := slices.Clone(p.settings.Projects)
	if len(ids) == 0 {
		for _, l := range listed {
			ids = append(ids, l.id)
		}
		for _, s := range p.scopes {
			if !p.changed {
				ids = append(ids, s.id)
			}
		}
		except := make(map[string]bool, len(p.settings.Except))
		for _, id := range p.settings.Except {
			except[id] = true
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return except[id] })
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// whyNot is why a project cannot be entered, nil where nothing is known that forbids it. The caller holds mu.
func (p *Projects) whyNot(id string, l listedProject, listed bool) error {
	switch {
	case !listed:
		return &Error{Op: OpAuthenticate, Code: CodeNoRole, Message: "the user has no role in project " + id + ": grant one, " +
			"or remove the project from projects; with projects: all, a reload drops it"}
	case l.disabled:
		return &Error{Op: OpAuthenticate, Code: CodeDisabled, Message: "project " + id + " is disabled: enable it, or " + p.leaveOut()}
	}
	return nil
}

// leaveOut is how to do without a project.
func (p *Projects) leaveOut() string {
	if len(p.settings.Projects) > 0 {
		return "remove the project from projects"
	}
	return "exclude the project with projects_except"
}

func (p *Projects) errNoProject() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &Error{Op: OpAuthenticate, Code: CodeNoRole}
	e.Message = "the user has no role in any project: grant one in each project that owns images"
	if len(p.settings.Except) > 0 {
		e.Message = "the user has no role in any project outside projects_except: grant one in each project that owns images"
	}
	return e
}

// State is the first token's end, whether logins pause, and the largest difference of the clocks. A pause of one
// project is no pause of the cloud's, unless no project can be entered.
func (p *Projects) State() State {
	all := p.people.State()
	all.Skew, all.SkewKnown = 0, false // of Keystone
	entered, _ := p.entered()
	for _, s := range p.current() {
		if s.client == nil {
			continue
		}
		one := s.client.State()
		if all.Expires.IsZero() || !one.Expires.IsZero() && one.Expires.Before(all.Expires) {
			all.Expires = one.Expires
		}
		all.Paused = all.Paused || one.Paused && len(entered) == 0
		if one.SkewKnown && (!all.SkewKnown || one.Skew.Abs() > all.Skew.Abs()) {
			all.Skew, all.SkewKnown = one.Skew, true
		}
	}
	return all
}
