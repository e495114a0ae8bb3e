package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
)

// credential is the result of a kind of auth.
type credential struct {
	login     login // nil: no token is sent
	keys      client.KeySource
	metadata  *client.MetadataOptions
	projectID string
	// Defaults for what exporter.yml does not set.
	region, iface, endpoint string
	tls                     tlsFiles
}

// connection is what a kind of auth may use of the rest of the entry.
type connection struct {
	endpoint, region string
	projects         bool // there are several
	tls              tlsFiles
}

// login reads what the next login sends: a secret may have changed.
type login interface {
	options() (gophercloud.AuthOptions, *problem)
}

// failed is the login of a kind of auth with a mistake.
type failed struct{ *problem }

func (f failed) options() (gophercloud.AuthOptions, *problem) {
	return gophercloud.AuthOptions{}, f.problem
}

// auth returns c's login for [client.Options].
func (c credential) auth() func() (gophercloud.AuthOptions, error) {
	if c.login == nil {
		return nil
	}
	return func() (gophercloud.AuthOptions, error) {
		opts, bad := c.login.options()
		if bad != nil {
			return gophercloud.AuthOptions{}, fmt.Errorf("auth.%w", bad)
		}
		return opts, nil
	}
}

// authKind is one kind of auth. The paths of its problems begin below auth.
type authKind interface {
	credential(connection) (credential, *problem)
}

const kindsOfAuth = "clouds_yaml, env, password, application_credential, token, aksk, ecs_agency or none"

// Auth is the kind of auth, such as password.
func (c Cloud) Auth() string {
	_, names := c.auth.kinds()
	return strings.Join(names, "")
}

// kinds returns the kinds of auth that are set: one, unless there is a mistake.
func (a *auth) kinds() (kinds []authKind, names []string) {
	add := func(name string, kind authKind, there bool) {
		if there {
			kinds, names = append(kinds, kind), append(names, name)
		}
	}
	add("clouds_yaml", a.CloudsYAML, a.CloudsYAML != nil)
	add("env", a.Env, a.Env != nil)
	add("password", a.Password, a.Password != nil)
	add("application_credential", a.ApplicationCredential, a.ApplicationCredential != nil)
	add("token", a.Token, a.Token != nil)
	add("aksk", a.AKSK, a.AKSK != nil)
	add("ecs_agency", a.ECSAgency, a.ECSAgency != nil)
	add("none", a.None, a.None != nil)
	return kinds, names
}

// projectID returns the project_id that is set, if any.
func (a *auth) projectID() field {
	switch {
	case a.Password != nil:
		return field{"password.project_id", a.Password.ProjectID}
	case a.Token != nil:
		return field{"token.project_id", a.Token.ProjectID}
	case a.AKSK != nil:
		return field{"aksk.project_id", a.AKSK.ProjectID}
	case a.ECSAgency != nil:
		return field{"ecs_agency.project_id", a.ECSAgency.ProjectID}
	case a.None != nil:
		return field{"none.project_id", a.None.ProjectID}
	}
	return field{}
}

func (a *auth) credential(conn connection) (credential, *problem) {
	kinds, names := a.kinds()
	switch len(kinds) {
	case 0:
		return credential{}, problemf("", "is required: write one of %s, as in auth: %s", kindsOfAuth, a.example())
	case 1:
		return kinds[0].credential(conn)
	}
	return credential{}, problemf("", "has %s: keep only one", enumerate(names, "and"))
}

func (n *noneAuth) credential(connection) (credential, *problem) {
	return credential{projectID: n.ProjectID}, nil
}

// checkURL returns what is wrong with a URL, or "". field is the key of such a URL in exporter.yml.
func checkURL(field, raw string) string {
	if bad, ok := errors.AsType[*client.OptionError](client.CheckURL(field, raw)); ok {
		return bad.Problem
	}
	return ""
}

// enumerate joins a list, as in "a, b and c".
func enumerate(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + last + " " + names[len(names)-1]
}
