package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"golang.org/x/sync/errgroup"
)

// Scope is a project that a credential asks for.
type Scope struct {
	// Access is what the project's token gives access to. Only ProjectID and ProjectName are there with Err.
	Access Access
	// Err is why the project cannot be entered, an *[Error].
	Err error
}

// Projects reads one cloud as one user in several projects, with a token for each. Each image is asked for in the view of
// the project that owns it, where that is one of them. It is safe for concurrent use.
type Projects struct {
	opts   Options
	pace   *pacer
	people *Client // with a token without a project, which the others are got with

	mu       sync.Mutex
	settings Settings
	changed  bool              // they are new
	scopes   []*scope          // sorted by ID
	seen     *recent[sighting] // by image ID
	turned   time.Time         // when what is in seen was last looked through
}

// sighting is who owns an image and who saw it.
type sighting struct {
	owner string
	by    *scope
}

type scope struct {
	id, name string
	client   *Client // nil: the project cannot be entered, and is not tried

	// Under the mutex of Projects.
	access Access
	err    error // why there is no token
}

// NewProjects returns a client for several projects. Auth of opts is a user's password, without a scope. It makes no
// request. Close must be called in the end.
func NewProjects(opts Options) (*Projects, error) {
	if opts.Transport != nil {
		opts.Transport = newWitness(opts.Transport) // for all of them
	}
	people, err := newClient(opts, newPacer(), true) // Keystone is asked, and paces nothing of the image API
	if err != nil {
		return nil, err
	}
	return &Projects{opts: opts, pace: newPacer(), people: people, settings: opts.Settings, seen: newRecent[sighting](maxSightings), turned: time.Now()}, nil
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

// Enter makes sure that there is a token for each project. Call it at the beginning of a collection. Its error is an
// *[Error]. With scopes beside it, these are the ones of before, because the projects could not be listed anew. A project
// that cannot be entered costs the others nothing.
func (p *Projects) Enter(ctx context.Context) ([]Scope, error) {
	p.forget()
	if _, err := p.people.Connect(ctx); err != nil {
		return nil, err
	}
	err := p.list(ctx)
	scopes := p.current()
	if len(scopes) == 0 {
		return nil, cmp.Or(err, p.errNoProject())
	}
	p.enterAll(ctx, scopes)
	return p.told(scopes), err
}

// enterAll enters the projects, four at a time. As soon as there is one to read, the others have a part of the collection's
// time: a login that takes longer is there for the next collection.
func (p *Projects) enterAll(ctx context.Context, scopes []*scope) {
	part := partOf(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	enough := make(chan struct{})
	var once sync.Once
	timer := time.AfterFunc(part, func() {
		select {
		case <-enough:
			cancel(context.DeadlineExceeded)
		case <-ctx.Done():
		}
	})
	defer timer.Stop()
	var group errgroup.Group
	group.SetLimit(4)
	for _, s := range scopes {
		group.Go(func() error {
			if p.enter(ctx, s) {
				once.Do(func() { close(enough) })
			}
			return nil // the scope keeps the error
		})
	}
	_ = group.Wait()
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

// enter connects one scope, unless it is known that it cannot be entered, and reports whether it has a token.
func (p *Projects) enter(ctx context.Context, s *scope) bool {
	if s.client == nil {
		return false
	}
	access, err := s.client.Connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.access, s.err = access, p.explain(err, s)
	return err == nil
}

// explain says what a refused login to a project means. Keystone listed the project for the same token, so the user has a role there.
// The caller holds mu.
func (p *Projects) explain(err error, s *scope) error {
	apiErr, ok := errors.AsType[*Error](err)
	if !ok || apiErr.StatusCode != http.StatusUnauthorized {
		return err
	}
	e := *apiErr
	e.Message = "Keystone lists project " + s.id + " as enabled but refuses a token for it, " +
		"probably because the project's domain is disabled: enable the domain, or " + p.leaveOut()
	return &e
}

// leaveOut is how to do without a project.
func (p *Projects) leaveOut() string {
	if len(p.settings.Projects) > 0 {
		return "remove the project from projects"
	}
	return "exclude the project with projects_except"
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

// told are the scopes as values.
func (p *Projects) told(scopes []*scope) []Scope {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Scope, len(scopes))
	for i, s := range scopes {
		list[i] = Scope{Access: s.access, Err: s.err}
		if s.err != nil {
			list[i].Access = Access{ProjectID: s.id, ProjectName: s.name}
		}
	}
	return list
}

// projects returns the projects that the user has a role in, GET /v3/auth/projects, see
// https://docs.openstack.org/api-ref/identity/v3/#get-available-project-scopes.
func (c *Client) projects(ctx context.Context) ([]listedProject, error) {
	var list []listedProject
	_, err := c.get(ctx, request{op: OpListProjects, path: "auth/projects"}, func(a answer) (err error) {
		list, err = decodeProjects(a.body)
		return err
	})
	return list, err
}

// listedProject is a project in the list of a user's projects. Whether its domain is disabled, Keystone does not say there.
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

// keep makes the scopes those that are wanted, of the listed ones. A scope that stays keeps its token. One that is listed no
// more, or as disabled, stays without: what was seen there must not look as if it were gone.
func (p *Projects) keep(listed []listedProject) {
	byID := make(map[string]listedProject, len(listed))
	for _, l := range listed {
		byID[l.id] = l
	}
	p.mu.Lock()
	old := make(map[string]*scope, len(p.scopes))
	for _, s := range p.scopes {
		old[s.id] = s
	}
	ids := p.wanted(listed)
	p.changed, p.scopes = false, make([]*scope, 0, len(ids))
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
		p.scopes = append(p.scopes, s)
	}
	p.mu.Unlock()
	for _, s := range old {
		if s.client != nil {
			s.client.Close()
		}
	}
}

// wanted are the IDs of the projects to enter, sorted: those in the settings, or all that are listed or were before, without those that
// are left out. The caller holds mu.
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
		ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(p.settings.Except, id) })
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// scoped is a client whose token is for one project. It is got with the token that has none, so that a refused password
// is not sent once for each project. The caller holds mu.
func (p *Projects) scoped(id string) *Client {
	opts := p.opts
	opts.Settings, opts.Observer = p.settings, asForbidden(p.opts.Observer)
	opts.Auth = func() (gophercloud.AuthOptions, error) {
		auth, err := p.opts.Auth()
		if err != nil {
			return gophercloud.AuthOptions{}, err
		}
		tok, err := p.people.session.token(context.Background()) // which is there, or Enter had failed
		if err != nil {
			return gophercloud.AuthOptions{}, err
		}
		return gophercloud.AuthOptions{
			IdentityEndpoint: auth.IdentityEndpoint, TokenID: tok.id, Scope: &gophercloud.AuthScope{ProjectID: id},
		}, nil
	}
	c, err := newClient(opts, p.pace, false)
	if err != nil {
		panic(err) // the options were good for the other client
	}
	c.session.scoped = true
	return c
}

// asForbidden tells an observer that a token for a project was refused with 403, as other APIs do. Keystone's 401 would look as
// if the user's own login had been refused.
func asForbidden(observe Observer) Observer {
	if observe == nil {
		return nil
	}
	return func(op Operation, code string, took time.Duration) {
		if op == OpAuthenticate && code == strconv.Itoa(http.StatusUnauthorized) {
			code = strconv.Itoa(http.StatusForbidden)
		}
		observe(op, code, took)
	}
}

// entered returns the scopes with a token, and why another one has none.
func (p *Projects) entered() (list []*scope, failure error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.scopes {
		if s.err != nil {
			failure = s.err
		} else {
			list = append(list, s)
		}
	}
	return list, failure
}

// learn remembers whose images these are, which one project sees.
func (p *Projects) learn(by *scope, images ...Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, img := range images {
		p.seen.put(img.ID, sighting{owner: img.Owner, by: by})
	}
}

// Images is [Client.Images] in the view of all projects. Its error is for where none of them answered.
func (p *Projects) Images(ctx context.Context, ids []string, hidden bool) ([]Image, error) {
	scopes, failure := p.entered()
	var found []Image
	answered := false
	missing := slices.Clone(ids)
	for _, s := range scopes {
		if len(missing) == 0 {
			break
		}
		images, err := s.client.Images(ctx, missing, hidden)
		if err != nil {
			failure = err
			continue
		}
		answered = true
		p.learn(s, images...)
		found = append(found, images...)
		missing = slices.DeleteFunc(missing, func(id string) bool {
			return slices.ContainsFunc(images, func(img Image) bool { return img.ID == id })
		})
	}
	if !answered && failure != nil {
		return nil, failure
	}
	return found, nil
}

// Image is [Client.Image] in the view of the first project that sees the image. It is not found where none of the projects finds it,
// and the project that owns it, or an administrator, says so or all of them do.
func (p *Projects) Image(ctx context.Context, id string) (Image, error) {
	scopes, failure := p.entered()
	first, sure := p.scopeOf(id)
	if first != nil {
		scopes = slices.DeleteFunc(scopes, func(s *scope) bool { return s == first })
		if p.errOf(first) == nil {
			scopes = slices.Insert(scopes, 0, first)
		}
	}
	var gone, notFound error
	for _, s := range scopes {
		img, err := s.client.Image(ctx, id)
		if err == nil {
			p.learn(s, img)
			return img, nil
		}
		if apiErr, ok := errors.AsType[*Error](err); ok && apiErr.Op == OpGetImage && apiErr.Status() == http.StatusNotFound {
			if notFound == nil || !apiErr.OwnNotFound {
				notFound = err // a gateway's says nothing of the image, whatever the others say
			}
			if s == first && sure && apiErr.OwnNotFound {
				gone = err
			}
		} else {
			failure = err
		}
	}
	switch {
	case gone != nil:
		return Image{}, gone
	case failure != nil:
		return Image{}, failure
	case notFound != nil:
		return Image{}, notFound
	}
	return Image{}, p.errNoProject()
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

// scopeOf returns the project to ask for an image: its owner, else one that sees it; nil where that is not known. sure is whether
// the project sees the image as long as there is one: the owner does, and one with an administrator's role, which is asked where
// the owner cannot be.
func (p *Projects) scopeOf(id string) (s *scope, sure bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.seen.get(id)
	if !ok {
		return nil, false
	}
	by, admin := known.by, known.by.err == nil && known.by.access.HasRole(p.settings.AdminRoles)
	if !slices.Contains(p.scopes, by) {
		by, admin = nil, false
	}
	i := slices.IndexFunc(p.scopes, func(s *scope) bool { return s.id == known.owner })
	if i >= 0 && (p.scopes[i].err == nil || !admin) {
		return p.scopes[i], true
	}
	return by, admin
}

func (p *Projects) errOf(s *scope) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.err
}

// Members is [Client.Members] in the view of the project that owns the image, or else of one that sees it.
func (p *Projects) Members(ctx context.Context, imageID string) (MemberList, error) {
	s, sure := p.scopeOf(imageID)
	if s == nil {
		if _, err := p.Image(ctx, imageID); err != nil {
			return MemberList{}, err
		}
		if s, sure = p.scopeOf(imageID); s == nil {
			return MemberList{}, p.errNoProject()
		}
	}
	if err := p.errOf(s); err != nil {
		return MemberList{}, err
	}
	list, err := s.client.Members(ctx, imageID)
	if apiErr, ok := errors.AsType[*Error](err); ok && apiErr.Op == OpListMembers && apiErr.Status() == http.StatusNotFound && !sure {
		p.mu.Lock()
		p.seen.delete(imageID) // the next time, whoever sees it is asked
		p.mu.Unlock()
	}
	return list, err
}

// MembersAs is [Client.Members] in the view of one of the projects.
func (p *Projects) MembersAs(ctx context.Context, project, imageID string) (MemberList, error) {
	s, err := p.scope(func(s *scope) bool { return s.id == project })
	if err != nil {
		return MemberList{}, err
	}
	return s.client.Members(ctx, imageID)
}

// MemberAs is [Client.MemberAs] in the view of one of the projects.
func (p *Projects) MemberAs(ctx context.Context, project, imageID, memberID string) (MemberAnswer, error) {
	s, err := p.scope(func(s *scope) bool { return s.id == project })
	if err != nil {
		return MemberAnswer{}, err
	}
	return s.client.MemberAs(ctx, project, imageID, memberID)
}

// ImagePage is [Client.ImagePage] in the view that the query names, of the owner or member that is asked for, or of a project
// with an administrator's role.
func (p *Projects) ImagePage(ctx context.Context, q ImageQuery, marker string) (ImagePage, error) {
	s, err := p.scope(func(s *scope) bool {
		switch {
		case q.As != "":
			return s.id == q.As
		case q.SharedWith != "":
			return s.id == q.SharedWith
		case q.Owner == "" || q.Foreign:
			return s.err == nil && s.access.HasRole(p.settings.AdminRoles)
		}
		return s.id == q.Owner
	})
	if err != nil {
		return ImagePage{}, err
	}
	page, err := s.client.ImagePage(ctx, q, marker)
	if q.SharedWith == "" { // else anybody could offer images to be remembered
		p.learn(s, page.Images...)
	}
	return page, err
}

// scope returns the first project that fits. takes is called with the mutex held.
func (p *Projects) scope(takes func(*scope) bool) (*scope, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.scopes, takes)
	if i < 0 {
		return nil, errNoScope
	}
	return p.scopes[i], p.scopes[i].err
}

var errNoScope = &Error{Op: OpAuthenticate, Code: CodeNoRole, Message: "no project with a token can send this request"}

// State is the first token's end, whether logins pause, and the largest difference of the clocks. A pause of one project is no pause of the
// cloud's, unless no project can be entered.
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

const (
	// keepSightings is for how long it is remembered at least who sees an image that nobody asks for. By time, not by
	// collections: each shard has its own, and the images of the others are not asked for in it.
	keepSightings = time.Hour
	maxSightings  = 500_000 // and twice as many at the most
)

// forget forgets what is asked for no more.
func (p *Projects) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.turned) >= keepSightings {
		p.turned = now
		p.seen.turn()
	}
}
