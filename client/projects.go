package client

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Projects reads one cloud as one user in several projects, with a token for each. Each image is read in the view of the
// project that owns it, if that is one of them. It is safe for concurrent use.
type Projects struct {
	opts   Options
	limits *limiter // of all projects together
	// user has a token without a project, which the tokens for the projects are requested with.
	user *Client

	mu        sync.Mutex
	settings  Settings
	changed   bool              // whether the settings are new
	scopes    []*scope          // sorted by ID; mu guards their access and err
	byID      map[string]*scope // the same
	next      string            // ID of the scope that Enter starts with
	seen      *cache[seenBy]    // by image ID
	rotatedAt time.Time         // when seen was last rotated
}

// Scope is a project, as [Projects.Enter] returns it.
type Scope struct {
	// Access is what the project's token gives access to. With Err, only ProjectID and ProjectName are set.
	Access Access
	// Err is why the project cannot be entered, an *[Error].
	Err error
}

// NewProjects returns a client for several projects. Auth of opts is a user's password, without a scope. It sends no
// request. The caller must call Close.
func NewProjects(opts Options) (*Projects, error) {
	if opts.Secrets == nil {
		opts.Secrets = &Secrets{} // of all of them
	}
	if opts.Transport != nil {
		opts.Transport = newCertRecorder(opts.Transport) // for all of them
	}
	user, err := newClient(opts, newLimiter(), true) // Its requests are to Keystone, which has no limit.
	if err != nil {
		return nil, err
	}
	return &Projects{
		opts: opts, limits: newLimiter(), user: user, settings: opts.Settings,
		seen: newCache[seenBy](maxSeen), rotatedAt: time.Now(),
	}, nil
}

// Set replaces the settings. Requests in flight keep the old ones. Projects in which the user has lost its role are dropped.
func (p *Projects) Set(s Settings) {
	p.mu.Lock()
	p.settings, p.changed = s, true
	p.mu.Unlock()
	p.user.Set(s)
	for _, scope := range p.current() {
		if scope.client != nil {
			scope.client.Set(s)
		}
	}
}

// Close cancels the logins in flight and waits for their end.
func (p *Projects) Close() {
	p.user.Close()
	for _, s := range p.current() {
		if s.client != nil {
			s.client.Close()
		}
	}
}

// Enter gets a token for each project, as far as ctx leaves time for it: the next call continues with the others. Call it
// at the start of a collection. Its error is an *[Error]. The scopes are sorted by project ID. Scopes beside an error are
// those of the last call, because the projects could not be listed again. A project that cannot be entered does not affect
// the others.
func (p *Projects) Enter(ctx context.Context) ([]Scope, error) {
	p.forget()
	if _, err := p.user.Connect(ctx); err != nil {
		return nil, err
	}
	err := p.list(ctx)
	scopes := p.current()
	switch {
	case len(scopes) > 0:
		p.enterAll(ctx, scopes)
		return p.values(scopes), err
	case err != nil:
		return nil, err
	}
	return nil, p.errNoProject()
}

// maxEntering is how many projects are entered at a time.
const maxEntering = 4

// enterAll enters the projects, and starts where the last call ended. As soon as one is entered, the others have a quarter
// of the collection's time: a login that takes longer is there for the next collection.
func (p *Projects) enterAll(ctx context.Context, scopes []*scope) {
	part := partOf(ctx)
	ctx, stop := context.WithTimeout(ctx, part*7/2) // An eighth is left to report that none is entered.
	defer stop()
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
	scopes = p.rotate(scopes)
	var started atomic.Int64
	var workers sync.WaitGroup
	for range maxEntering {
		workers.Go(func() {
			for ctx.Err() == nil { // Otherwise each call would leave a login in flight for each project.
				i := int(started.Add(1)) - 1
				if i >= len(scopes) {
					return
				}
				if p.enter(ctx, scopes[i]) {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	workers.Wait()
	p.postpone(scopes[min(int(started.Load()), len(scopes)):])
}

// rotate returns the scopes in the order in which they are entered.
func (p *Projects) rotate(scopes []*scope) []*scope {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, _ := slices.BinarySearchFunc(scopes, p.next, func(s *scope, id string) int { return strings.Compare(s.id, id) })
	return slices.Concat(scopes[first:], scopes[:first])
}

// enter connects one scope, unless it cannot be entered, and reports whether it has a token.
func (p *Projects) enter(ctx context.Context, s *scope) bool {
	if s.client == nil {
		return false
	}
	access, err := s.client.Connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.access, s.err = access, explainRefusal(err, s.id, p.settings)
	return err == nil
}

// postpone leaves scopes to the next collection. Those with a token are read nevertheless.
func (p *Projects) postpone(scopes []*scope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(scopes) > 0 {
		p.next = scopes[0].id
	}
	for _, s := range scopes {
		if s.client == nil {
			continue
		}
		if tok := s.client.tokens.current(); tok != nil {
			s.access, s.err = tok.access, nil
		} else if s.err == nil {
			s.err = errPostponed
		}
	}
}

var errPostponed = &Error{
	Op: OpAuthenticate, Code: CodeNotRequested,
	Message: "not enough time to log in to every project; the next scrapes continue with the remaining ones",
}

// values returns the scopes as values.
func (p *Projects) values(scopes []*scope) []Scope {
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

// State returns when the first token expires, whether logins are paused, and the largest skew. Where one project can be
// entered, the paused logins of others do not count.
func (p *Projects) State() State {
	all := p.user.State()
	all.Skew, all.SkewKnown = 0, false // of Keystone's clock
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

func (p *Projects) current() []*scope {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.scopes)
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
