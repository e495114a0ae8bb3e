package config

import (
	"cmp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// The kinds of auth whose options are in exporter.yml.

// field is one key of a kind of auth.
type field struct{ key, value string }

// onlyOne refuses two keys with the same meaning.
func onlyOne(a, b field) *problem {
	if a.value != "" && b.value != "" {
		return problemf(b.key, "is set together with %s: keep only one", lastKey(a.key))
	}
	return nil
}

// lastKey returns c of a.b.c.
func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func firstProblem(problems ...*problem) *problem {
	for _, f := range problems {
		if f != nil {
			return f
		}
	}
	return nil
}

// wants has what to write for a setting that is missing.
var wants = map[string]string{
	"auth_url":         "is required: write Keystone's URL, such as https://cloud.example.com:5000/v3",
	"username":         "is required: write username or user_id",
	"user_domain_name": "is required with username: write user_domain_name or user_domain_id, as in user_domain_name: Default",
	"project_name":     "is required: write project_name or project_id, the project that owns the images",
	"project_domain_name": "is required with project_name: " +
		"write project_domain_name or project_domain_id, or a project_id instead of the name",
	"application_credential_id": "is required: write id, or name with username and user_domain_name",

	"application_credential.username": "is required with name: " +
		"write the name of the user who made the application credential, or its id instead of name",
	"application_credential.user_domain_name": "is required with username: write the name of the user's domain, as in " +
		"user_domain_name: Default",
}

// lacking returns the problem of the settings that settle found missing below kind, or nil.
func lacking(kind string, missing needs) *problem {
	if len(missing) == 0 {
		return nil
	}
	name := missing[0].name
	text := cmp.Or(wants[kind+"."+name], wants[name])
	if name == "application_credential_id" {
		name = "id"
	}
	return problemf(kind+"."+name, "%s", text)
}

func checkAuthURL(key, raw string) *problem {
	if raw == "" {
		return problemf(key, "%s", wants["auth_url"])
	}
	if text := checkURL("auth_url", raw); text != "" {
		return problemf(key, "%s", text)
	}
	return nil
}

// written is a login whose options are in exporter.yml, with the secret separate.
type written struct {
	kind   string
	method method
	opts   gophercloud.AuthOptions
	secret secret
}

func (w written) options() (gophercloud.AuthOptions, *problem) {
	o := w.opts
	text, bad := w.secret.read()
	if bad != nil {
		return o, bad
	}
	switch w.method {
	case byToken:
		o.TokenID = text
	case byApplicationCredential:
		o.ApplicationCredentialSecret = text
	default:
		o.Password = text
	}
	if w.method == byToken && o.IdentityEndpoint == "" {
		return o, nil
	}
	o, missing := settle(w.method, o)
	return o, lacking(w.kind, missing)
}

func (w written) credential() (credential, *problem) {
	bad := w.secret.check()
	if bad == nil {
		_, bad = w.options()
	}
	return credential{login: w}, bad
}

func (p *passwordAuth) credential(conn connection) (credential, *problem) {
	const kind = "password"
	m := byPassword
	if conn.projects {
		m = byUnscopedPassword
		for _, f := range []field{
			{"password.project_name", p.ProjectName},
			{"password.project_id", p.ProjectID},
			{"password.project_domain_name", p.ProjectDomainName},
			{"password.project_domain_id", p.ProjectDomainID},
		} {
			if f.value != "" {
				return credential{}, problemf(f.key, "has no effect with projects: remove it")
			}
		}
	}
	if bad := firstProblem(
		checkAuthURL("password.auth_url", p.AuthURL),
		onlyOne(field{"password.username", p.Username}, field{"password.user_id", p.UserID}),
		onlyOne(field{"password.user_domain_name", p.UserDomainName}, field{"password.user_domain_id", p.UserDomainID}),
		onlyOne(field{"password.project_name", p.ProjectName}, field{"password.project_id", p.ProjectID}),
		onlyOne(field{"password.project_domain_name", p.ProjectDomainName}, field{"password.project_domain_id", p.ProjectDomainID}),
	); bad != nil {
		return credential{}, bad
	}
	opts := gophercloud.AuthOptions{
		IdentityEndpoint: p.AuthURL,
		Username:         p.Username, UserID: p.UserID,
		DomainName: p.UserDomainName, DomainID: p.UserDomainID,
		Scope: &gophercloud.AuthScope{
			ProjectName: p.ProjectName, ProjectID: p.ProjectID,
			DomainName: p.ProjectDomainName, DomainID: p.ProjectDomainID,
		},
	}
	return written{kind, m, opts, secret{"password.password", p.Password, p.PasswordFile}}.credential()
}

func (a *appCredAuth) credential(connection) (credential, *problem) {
	const kind = "application_credential"
	if bad := firstProblem(
		checkAuthURL(kind+".auth_url", a.AuthURL),
		onlyOne(field{kind + ".id", a.ID}, field{kind + ".name", a.Name}),
	); bad != nil {
		return credential{}, bad
	}
	if a.ID != "" && a.Username != "" {
		return credential{}, problemf(kind+".username", "has no effect with id: remove it")
	}
	opts := gophercloud.AuthOptions{
		IdentityEndpoint:          a.AuthURL,
		ApplicationCredentialID:   a.ID,
		ApplicationCredentialName: a.Name,
		Username:                  a.Username,
		DomainName:                a.UserDomainName,
	}
	return written{kind, byApplicationCredential, opts, secret{kind + ".secret", a.Secret, a.SecretFile}}.credential()
}

func (t *tokenAuth) credential(conn connection) (credential, *problem) {
	const kind = "token"
	asIs := t.AuthURL == "" && conn.endpoint != ""
	switch {
	case asIs && t.ProjectID == "":
		return credential{}, problemf("token.project_id", "is required without auth_url: write the ID of the project that the token is for")
	case !asIs && t.AuthURL == "":
		return credential{}, problemf("token.auth_url", "is required: write Keystone's URL, or set endpoint to use the token as it is")
	}
	opts := gophercloud.AuthOptions{IdentityEndpoint: t.AuthURL}
	if !asIs {
		if bad := checkAuthURL("token.auth_url", t.AuthURL); bad != nil {
			return credential{}, bad
		}
		if t.ProjectID != "" {
			opts.Scope = &gophercloud.AuthScope{ProjectID: t.ProjectID}
		}
	}
	cred, bad := written{kind, byToken, opts, secret{"token.token", t.Token, t.TokenFile}}.credential()
	if asIs {
		cred.projectID = t.ProjectID
	}
	return cred, bad
}
