package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// scope is one of the projects of [Projects], whose mutex guards access and err.
type scope struct {
	id, name string
	client   *Client // nil: the project cannot be entered
	access   Access
	err      error // why there is no token
}

// list brings the scopes up to date. Where there are some, a slow Keystone must not use up the collection's time.
func (p *Projects) list(ctx context.Context) error {
	if len(p.current()) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, partOf(ctx))
		defer cancel()
	}
	listed, err := p.user.projects(ctx)
	if err != nil {
		return err
	}
	for _, s := range p.update(listed) {
		s.client.Close()
	}
	return nil
}

// projects returns the projects that the user has a role in, GET /v3/auth/projects, see
// https://docs.openstack.org/api-ref/identity/v3/#get-available-project-scopes.
func (c *Client) projects(ctx context.Context) ([]listedProject, error) {
	var list []listedProject
	_, err := c.get(ctx, request{op: OpListProjects, path: "auth/projects"}, func(resp response) (err error) {
		if list, err = decodeProjects(resp.body); err != nil {
			return err
		}
		for i := range list {
			list[i].name = c.secrets.Redact(list[i].name)
			if err := c.secrets.refuse(list[i].id); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// listedProject is a project in the list of a user's projects. The list does not show whether its domain is disabled.
type listedProject struct {
	id, name string
	disabled bool
}

type projectJSON struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Enabled *bool  `json:"enabled"`
}

func decodeProjects(body []byte) ([]listedProject, error) {
	var page struct {
		Projects []record[projectJSON] `json:"projects"`
		Others   otherSpelling         `json:"PROJECTS,case:ignore"`
		Links    struct {
			Next rawJSON `json:"next,case:ignore"`
		} `json:"links,case:ignore"`
		errorJSON
	}
	if err := decode(body, &page); err != nil {
		return nil, err
	}
	if err := page.check(body); err != nil {
		return nil, err
	}
	switch {
	case page.Projects == nil:
		return nil, errors.New(`no "projects" in the response` + hint(body))
	case isSet(page.Links.Next):
		return nil, errors.New("unexpected pagination in the list of projects")
	}
	var list []listedProject
	for _, row := range page.Projects {
		p := &row.value
		if p.ID == "" {
			return nil, errors.New("a project without an ID")
		}
		list = append(list, listedProject{id: p.ID, name: p.Name, disabled: p.Enabled != nil && !*p.Enabled})
	}
	return list, nil
}

// update makes the scopes those that are required, of the listed projects. A scope that stays keeps its token. One that is
// no longer listed, or is disabled, stays without a token: its images must not look deleted. The scopes that it returns have
// a client to close.
func (p *Projects) update(listed []listedProject) (removed []*scope) {
	byID := make(map[string]listedProject, len(listed))
	for _, l := range listed {
		byID[l.id] = l
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old, known := p.byID, p.scopes
	if p.changed {
		known = nil
	}
	ids := required(p.settings, listed, known)
	p.changed, p.scopes, p.byID = false, make([]*scope, 0, len(ids)), make(map[string]*scope, len(ids))
	for _, id := range ids {
		l, ok := byID[id]
		s, err := old[id], checkProject(id, l, ok, p.settings)
		switch {
		case err != nil:
			name := l.name
			if s != nil {
				name = cmp.Or(name, s.name)
			}
			s = &scope{id: id, name: name, err: err}
		case s == nil || s.client == nil:
			s = &scope{id: id, name: l.name, client: p.newScopeClient(id, p.settings)}
		}
		p.scopes, p.byID[id] = append(p.scopes, s), s
	}
	for id, s := range old {
		if s.client != nil && p.byID[id] != s {
			removed = append(removed, s)
		}
	}
	return removed
}

// required returns the IDs of the projects to enter, sorted: those in the settings, or all that are listed or known, without
// those that the settings exclude.
func required(settings Settings, listed []listedProject, known []*scope) []string {
	ids := slices.Clone(settings.Projects)
	if len(ids) == 0 {
		for _, l := range listed {
			ids = append(ids, l.id)
		}
		for _, s := range known {
			ids = append(ids, s.id)
		}
		except := make(map[string]bool, len(settings.Except))
		for _, id := range settings.Except {
			except[id] = true
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return except[id] })
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// checkProject returns why a project cannot be entered, nil where nothing is known that prevents it.
func checkProject(id string, l listedProject, listed bool, settings Settings) error {
	switch {
	case !listed:
		return &Error{Op: OpAuthenticate, Code: CodeNoRole, Message: "the user has no role in project " + id + ": grant one, " +
			"or remove the project from projects; with projects: all, a reload drops it"}
	case l.disabled:
		return &Error{
			Op: OpAuthenticate, Code: CodeDisabled,
			Message: "project " + id + " is disabled: enable it, or " + exclusionHint(settings),
		}
	}
	return nil
}

// exclusionHint is how to exclude a project.
func exclusionHint(settings Settings) string {
	if len(settings.Projects) > 0 {
		return "remove the project from projects"
	}
	return "exclude the project with projects_except"
}

// newScopeClient returns a client with tokens for one project. They are requested with the user's token, so that a refused
// password is not sent once for each project.
func (p *Projects) newScopeClient(id string, settings Settings) *Client {
	opts := p.opts
	opts.Pause = nil // That is the user's own.
	opts.Settings, opts.Observer = settings, refusedAsForbidden(p.opts.Observer)
	opts.Auth = func() (gophercloud.AuthOptions, error) {
		tok, err := p.user.tokens.get(context.Background()) // There is one: otherwise Enter had failed.
		if err != nil {
			return gophercloud.AuthOptions{}, err
		}
		return gophercloud.AuthOptions{
			IdentityEndpoint: tok.auth.IdentityEndpoint, TokenID: tok.id, Scope: &gophercloud.AuthScope{ProjectID: id},
		}, nil
	}
	c, err := newClient(opts, p.limits, false)
	if err != nil {
		panic(err) // The options were valid for the user's client.
	}
	c.tokens.oneOfMany = true
	return c
}

// refusedAsForbidden returns an observer that gets the code 403 for a refused token for a project, as from other APIs.
// Keystone's 401 would look as if the user's own login had been refused.
func refusedAsForbidden(observe Observer) Observer {
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

// explainRefusal explains a refused login to a project. Keystone listed the project for the same token, so the user has a
// role in it.
func explainRefusal(err error, id string, settings Settings) error {
	apiErr, ok := errors.AsType[*Error](err)
	if !ok || apiErr.StatusCode != http.StatusUnauthorized {
		return err
	}
	e := *apiErr
	e.Message = "Keystone lists project " + id + " as enabled but refuses a token for it, " +
		"probably because the project's domain is disabled: enable the domain, or " + exclusionHint(settings)
	return &e
}
