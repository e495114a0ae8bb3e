package client

import (
	"encoding/json"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Credential identifies a client: before a login it is what the client sends, and then what Keystone returns about the token.
// It contains no secret.
type Credential struct {
	// Keystone is the identity service's URL; empty: there is none.
	Keystone string
	// User and its Domain, and the Project that is requested. After a login, the project is in [Access].
	User, Domain, Project Named
	// Known is whether Keystone returned the user.
	Known bool
	// Given is whether the credential is a token: the client cannot get another one.
	Given bool
	// PasswordEnds is when the user's password expires; zero: never, or unknown.
	PasswordEnds time.Time
	// ApplicationCredential is the one in use, or nil.
	ApplicationCredential *ApplicationCredential
	// AccessKey is the access key's ID where requests are signed. Temporary is whether it expires.
	AccessKey string
	Temporary bool
}

// Named is an object in Keystone with an ID and a name, each of which may be unknown.
type Named struct{ ID, Name string }

// ApplicationCredential is a credential that is bound to a project.
type ApplicationCredential struct {
	Named
	// Unrestricted is whether it may create other credentials.
	Unrestricted bool
	// Rules are the only requests that it may send; none: all that its roles allow.
	Rules []AccessRule
}

// AccessRule is a kind of request, see
// https://docs.openstack.org/keystone/latest/user/application_credentials.html#access-rules.
type AccessRule struct {
	Service, Method, Path string
}

// Credential returns what is known of the credential.
func (c *Client) Credential() Credential {
	if c.signer != nil {
		key := c.signer.lastKey()
		return Credential{AccessKey: key.Access, Temporary: key.SecurityToken != ""}
	}
	return c.tokens.credential()
}

// Credential returns what is known of the user.
func (p *Projects) Credential() Credential { return p.user.Credential() }

func (s *tokenSource) credential() Credential {
	if tok := s.current(); tok != nil {
		return tok.credential
	}
	auth, err := s.auth() // without one there is a token
	if err != nil {
		return Credential{}
	}
	return credentialOf(auth)
}

// credentialOf is what is known of a credential before a login.
func credentialOf(auth gophercloud.AuthOptions) Credential {
	c := Credential{
		Keystone: auth.IdentityEndpoint, Given: auth.TokenID != "",
		User: Named{auth.UserID, auth.Username}, Domain: Named{auth.DomainID, auth.DomainName}, Project: Named{auth.TenantID, auth.TenantName},
	}
	if auth.Scope != nil {
		c.Project = Named{auth.Scope.ProjectID, auth.Scope.ProjectName}
	}
	if auth.ApplicationCredentialID != "" || auth.ApplicationCredentialName != "" {
		c.ApplicationCredential = &ApplicationCredential{Named: Named{auth.ApplicationCredentialID, auth.ApplicationCredentialName}}
	}
	return c
}

// complete adds what Keystone returns about a credential. Only the preflight uses this part of the response, so what cannot
// be read is left out.
func (c *Credential) complete(body loginBody, secrets *Secrets) {
	text := func(s string) string { return bounded(secrets.Redact(s), maxText) }
	named := func(id, name string) Named { return Named{text(id), text(name)} }
	var user struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Expires string `json:"password_expires_at"`
		Domain  struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"domain"`
	}
	if json.Unmarshal(body.User, &user) == nil {
		c.User, c.Domain = named(user.ID, user.Name), named(user.Domain.ID, user.Domain.Name)
		c.Known, c.PasswordEnds = true, parseTime(user.Expires)
	}
	var app struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		Restricted *bool  `json:"restricted"`
		Rules      []struct {
			Service string `json:"service"`
			Method  string `json:"method"`
			Path    string `json:"path"`
		} `json:"access_rules"`
	}
	if len(body.ApplicationCredential) == 0 || json.Unmarshal(body.ApplicationCredential, &app) != nil || app.ID == "" {
		return
	}
	a := &ApplicationCredential{Named: named(app.ID, app.Name), Unrestricted: app.Restricted != nil && !*app.Restricted}
	for _, r := range app.Rules {
		a.Rules = append(a.Rules, AccessRule{text(r.Service), text(r.Method), text(r.Path)})
	}
	c.ApplicationCredential = a
}
