package client

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"
)

// namesTimeout bounds a request for names.
const namesTimeout = 5 * time.Second

// ProjectNames returns the names of the projects that the credential may list, by ID: GET /v3/projects, see
// https://docs.openstack.org/api-ref/identity/v3/#list-projects. Keystone may leave some out. Whoever owns a project chooses its
// name. The request uses the token that there is, and nothing depends on it: it is neither repeated nor delayed, and says nothing
// about the token. The error is an *[Error].
func (c *Client) ProjectNames(ctx context.Context) (names map[string]string, err error) {
	err = c.askKeystone(ctx, "projects", func(resp response) error {
		list, err := decodeProjects(resp.body)
		if err != nil {
			return err
		}
		names = make(map[string]string, len(list))
		for _, p := range list {
			if c.secrets.refuse(p.id) == nil {
				names[p.id] = c.projectName(p.name)
			}
		}
		return nil
	})
	return names, err
}

// ProjectName is [Client.ProjectNames] for one project, GET /v3/projects/{project_id}. The error is an *[Error], with the status 404
// where Keystone has no such project.
func (c *Client) ProjectName(ctx context.Context, id string) (name string, err error) {
	err = c.askKeystone(ctx, "projects/"+url.PathEscape(id), func(resp response) error {
		var body struct {
			Project record[projectJSON] `json:"project"`
			errorJSON
		}
		if err := decode(resp.body, &body); err != nil {
			return err
		}
		if err := body.check(resp.body); err != nil {
			return err
		}
		if body.Project.value.ID != id {
			return errors.New("the response is of another project")
		}
		name = c.projectName(body.Project.value.Name)
		return nil
	})
	return name, err
}

func (c *Client) projectName(name string) string { return bounded(c.secrets.Redact(name), maxText) }

func (c *Client) askKeystone(ctx context.Context, path string, decode func(response) error) error {
	tok := c.tokens.current()
	if tok == nil || tok.auth.IdentityEndpoint == "" {
		return &Error{Op: OpResolveNames, Code: CodeNotRequested, Message: "there is no token from Keystone"}
	}
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	return c.send(ctx, tok, request{op: OpResolveNames, path: path, keystone: true}, decode).orNil()
}

// ProjectNames is [Client.ProjectNames] in the view of one project.
func (p *Projects) ProjectNames(ctx context.Context) (map[string]string, error) {
	c, err := p.forNames()
	if err != nil {
		return nil, err
	}
	return c.ProjectNames(ctx)
}

// ProjectName is [Client.ProjectName] in the view of one project.
func (p *Projects) ProjectName(ctx context.Context, id string) (string, error) {
	c, err := p.forNames()
	if err != nil {
		return "", err
	}
	return c.ProjectName(ctx, id)
}

// forNames returns the client of a project in which the user is an administrator, or of the first one that was entered.
func (p *Projects) forNames() (*Client, error) {
	scopes, failure := p.entered()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range scopes {
		if slices.ContainsFunc(s.access.Roles, func(role string) bool { return slices.Contains(p.settings.AdminRoles, role) }) {
			return s.client, nil
		}
	}
	if len(scopes) > 0 {
		return scopes[0].client, nil
	}
	if failure == nil {
		failure = &Error{Op: OpResolveNames, Code: CodeNotRequested, Message: "no project was entered"}
	}
	return nil, failure
}
