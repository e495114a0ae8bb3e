package fakecloud

import (
	"encoding/json"
	"net/http"
	"slices"
)

type loginBody struct {
	Auth *struct {
		Identity *struct {
			Methods  []string `json:"methods"`
			Password *struct {
				User userRef `json:"user"`
			} `json:"password"`
			Token *struct {
				ID string `json:"id"`
			} `json:"token"`
			AppCredential *struct {
				ID     string  `json:"id"`
				Name   string  `json:"name"`
				Secret string  `json:"secret"`
				User   userRef `json:"user"`
			} `json:"application_credential"`
		} `json:"identity"`
		Scope json.RawMessage `json:"scope"`
	} `json:"auth"`
}

type userRef struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Password string     `json:"password"`
	Domain   *domainRef `json:"domain"`
}

type domainRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// known tells the one domain that there is.
func (d *domainRef) known(name string) bool { return d.ID == "default" || d.ID == "" && d.Name == name }

type scopeBody struct {
	Project *struct {
		ID     string     `json:"id"`
		Name   string     `json:"name"`
		Domain *domainRef `json:"domain"`
	} `json:"project"`
	Domain   *domainRef       `json:"domain"`
	System   *json.RawMessage `json:"system"`
	Unscoped *json.RawMessage `json:"unscoped"`
}

func (c *Cloud) login(x *exchange) answer {
	b, f := decodeLogin(x)
	if f != nil {
		return f.answer(x)
	}
	t, f := c.identify(b)
	if f == nil {
		f = c.enterScope(t, b)
	}
	if f != nil {
		return f.answer(x)
	}
	c.mu.Lock()
	c.issue(t)
	c.mu.Unlock()
	return c.tokenAnswer(x, http.StatusCreated, t, true)
}

// identify finds out who it is: the user and what vouches for it, without a scope yet.
func (c *Cloud) identify(b *loginBody) (*token, *refusal) {
	id := b.Auth.Identity
	if len(id.Methods) == 0 {
		return nil, unauthorized()
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	t := &token{}
	for _, method := range id.Methods {
		var f *refusal
		switch method {
		case "password":
			f = c.byPassword(t, b)
		case "token":
			f = c.byToken(t, b)
		case "application_credential":
			f = c.byAppCredential(t, b)
		default:
			f = &refusal{
				status: http.StatusUnauthorized,
				text:   "Attempted to authenticate with an unsupported method.",
				extra:  `"identity":{"methods":["external","password","token","oauth1","mapped","application_credential"]},`,
			}
		}
		if f != nil {
			return nil, f
		}
	}
	return t, nil
}

func (c *Cloud) byPassword(t *token, b *loginBody) *refusal {
	p := b.Auth.Identity.Password
	if p == nil {
		return expecting("password in identity")
	}
	u, f := c.findUser(p.User, "identity/password/user")
	if f != nil {
		return f
	}
	if u == nil || u.password != p.User.Password {
		return unauthorized()
	}
	t.user = u
	t.methods = append(t.methods, "password")
	return nil
}

// findUser returns nil for a user that doesn't exist. The caller holds the lock.
func (c *Cloud) findUser(ref userRef, where string) (*user, *refusal) {
	switch {
	case ref.ID != "":
		for _, u := range c.users {
			if u.id == ref.ID {
				return u, nil
			}
		}
		return nil, nil
	case ref.Name == "":
		return nil, invalidField(where)
	case ref.Domain == nil:
		return nil, expecting("domain in user")
	case !ref.Domain.known(c.opts.Domain):
		return nil, nil
	}
	return c.users[ref.Name], nil
}

// byToken trades a token for another one, which lives no longer. A token of an application credential can't be traded.
func (c *Cloud) byToken(t *token, b *loginBody) *refusal {
	ref := b.Auth.Identity.Token
	if ref == nil {
		return expecting("token in identity")
	}
	old := c.tokens[ref.ID]
	switch {
	case old == nil:
		return unknownToken()
	case !old.valid(c.opts.Now()):
		return &refusal{status: http.StatusNotFound, text: "Failed to validate token"}
	case old.appCred != nil:
		return &refusal{
			status: http.StatusForbidden,
			text: "You are not authorized to perform the requested action: " +
				"Using a delegated token to create another token is not allowed..",
		}
	}
	t.user, t.expires = old.user, old.expires
	t.methods = slices.Clone(old.methods)
	if !slices.Contains(t.methods, "token") {
		t.methods = append(t.methods, "token")
	}
	t.auditIDs = old.auditIDs[len(old.auditIDs)-1:]
	return nil
}

func (c *Cloud) byAppCredential(t *token, b *loginBody) *refusal {
	ref := b.Auth.Identity.AppCredential
	if ref == nil {
		return expecting("application_credential in identity")
	}
	var cred *AppCredential
	if ref.ID != "" {
		if cred = c.appCreds[ref.ID]; cred == nil {
			// The one refusal that says what is wrong.
			return &refusal{status: http.StatusNotFound, text: "Could not find Application Credential: " + ref.ID + "."}
		}
	} else {
		u, f := c.findUser(ref.User, "identity/application_credential/user")
		if f != nil {
			return f
		}
		for _, a := range c.appCreds {
			if u != nil && a.User == u.name && a.Name == ref.Name {
				cred = a
			}
		}
	}
	if cred == nil || cred.Secret != ref.Secret || c.users[cred.User] == nil {
		return unauthorized()
	}
	t.user, t.appCred = c.users[cred.User], cred
	t.methods = append(t.methods, "application_credential")
	return nil
}

// enterScope gives the token the scope that was asked for, if the user has a role there.
func (c *Cloud) enterScope(t *token, b *loginBody) *refusal {
	c.mu.RLock()
	defer c.mu.RUnlock()
	raw := b.Auth.Scope
	if t.appCred != nil {
		if len(raw) > 0 {
			return &refusal{
				status: http.StatusUnauthorized,
				text: "Error authenticating with application credential: " +
					"Application credentials cannot request a scope.",
				extra: `"identity":{},`,
			}
		}
		roles := t.appCred.Roles
		if len(roles) == 0 {
			roles = withImplied(t.user.roles[t.appCred.ProjectID])
		}
		return c.enterProject(t, t.appCred.ProjectID, roles)
	}
	if len(raw) == 0 || string(raw) == `"unscoped"` {
		return nil
	}
	var s scopeBody
	if err := json.Unmarshal(raw, &s); err != nil {
		return &refusal{status: http.StatusBadRequest, text: "Invalid input for field scope: " + err.Error()}
	}
	switch {
	case s.Project != nil:
		id := s.Project.ID
		if id == "" {
			switch {
			case s.Project.Name == "":
				return invalidField("scope/project")
			case s.Project.Domain == nil:
				return expecting("domain in project")
			case !s.Project.Domain.known(c.opts.Domain):
				return unauthorized()
			}
			id = c.projectNamed(s.Project.Name)
		}
		return c.enterProject(t, id, withImplied(t.user.roles[id]))
	case s.Domain != nil:
		if !s.Domain.known(c.opts.Domain) || len(t.user.domainRoles) == 0 {
			return unauthorized()
		}
		t.scope, t.roles = domainScope, withImplied(t.user.domainRoles)
	case s.System != nil:
		if len(t.user.systemRoles) == 0 {
			return unauthorized()
		}
		t.scope, t.roles = systemScope, withImplied(t.user.systemRoles)
	case s.Unscoped == nil:
		return expecting("system, project, domain, OS-TRUST:trust or unscoped in scope")
	}
	return nil
}

func (c *Cloud) enterProject(t *token, id string, roles []string) *refusal {
	p := c.projects[id]
	if p == nil || len(roles) == 0 || c.disabled[p.id] || c.disabled[p.domain] {
		return unauthorized()
	}
	t.scope, t.projectID, t.roles = projectScope, id, roles
	return nil
}

func (c *Cloud) projectNamed(name string) string {
	for id, p := range c.projects {
		if p.name == name {
			return id
		}
	}
	return ""
}
