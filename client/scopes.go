package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// scope is one of the projects.
type scope struct {
	id, name string
	client   *Client // nil: the project cannot be entered, and is not tried

	// Under the mutex of Projects.
	access Access
	err    error // why there is no token
}

// scoped is a client whose token is for one project. It is got with the token that has none, so that a refused
// password is not sent once for each project. The caller holds mu.
func (p *Projects) scoped(id string) *Client {
	opts := p.opts
	opts.Settings, opts.Observer = p.settings, asForbidden(p.opts.Observer)
	opts.Auth = func() (gophercloud.AuthOptions, error) {
		tok, err := p.people.tokens.get(context.Background()) // which is there, or Enter had failed
		if err != nil {
			return gophercloud.AuthOptions{}, err
		}
		return gophercloud.AuthOptions{
			IdentityEndpoint: tok.auth.IdentityEndpoint, TokenID: tok.id, Scope: &gophercloud.AuthScope{ProjectID: id},
		}, nil
	}
	c, err := newClient(opts, p.limits, false)
	if err != nil {
		panic(err) // the options were good for the other client
	}
	c.tokens.oneOfMany = true
	return c
}

// asForbidden tells an observer that a token for a project was refused with 403, as other APIs do. Keystone's 401
// would look as if the user's own login had been refused.
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

// Enter gets a token for each project, as far as ctx leaves time for it: the next call goes on with those that it did
// not come to. Call it at the beginning of a collection. Its error is an *[Error]. The scopes are sorted by project
// ID. With scopes beside it, these are the ones of before, because the projects could not be listed anew. A project
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

// maxEntering is how many projects are entered at a time.
const maxEntering = 4

// enterAll enters the projects, and begins where the last call ended. As soon as there is one to read, the others
// have a part of the collection's time: a login that takes longer is there for the next collection.
func (p *Projects) enterAll(ctx context.Context, scopes []*scope) {
	part := partOf(ctx)
	ctx, stop := context.WithTimeout(ctx, part*7/2) // an eighth is left to report that none is entered
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
	var begun atomic.Int64
	var workers sync.WaitGroup
	for range maxEntering {
		workers.Go(func() {
			for ctx.Err() == nil { // else each call would leave a login behind for each project
				i := int(begun.Add(1)) - 1
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
	p.postpone(scopes[min(int(begun.Load()), len(scopes)):])
}

// rotate returns the scopes in the order in which they are entered.
func (p *Projects) rotate(scopes []*scope) []*scope {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, _ := slices.BinarySearchFunc(scopes, p.next, func(s *scope, id string) int { return strings.Compare(s.id, id) })
	return slices.Concat(scopes[first:], scopes[:first])
}

// postpone leaves scopes to the next collection. Those with a token are read all the same.
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
	Op: OpAuthenticate, Code: CodeNotAsked,
	Message: "not enough time to log in to every project; the next scrapes continue with the remaining ones",
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

// explain says what a refused login to a project means. Keystone listed the project for the same token, so the user
// has a role there. The caller holds mu.
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

func (p *Projects) errOf(s *scope) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.err
}

// scope returns one of the projects.
func (p *Projects) scope(project string) (*scope, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byID[project]; s != nil {
		return s, s.err
	}
	return nil, errNoScope
}

// administrator returns the first project with an administrator's role.
func (p *Projects) administrator() (*scope, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.scopes {
		if s.err == nil && s.access.HasRole(p.settings.AdminRoles) {
			return s, nil
		}
	}
	return nil, errNoScope
}

var errNoScope = &Error{
	Op: OpAuthenticate, Code: CodeNoRole, Message: "no project with a token can send this request",
}
