package config

import (
	"fmt"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// method is how a login authenticates.
type method int

const (
	byPassword method = iota
	byApplicationCredential
	byToken
	byUnscopedPassword
)

// methodOf returns the method of OS_AUTH_TYPE or auth_type. Without one it depends on the options that are set, as in
// other OpenStack clients.
func methodOf(authType string, o gophercloud.AuthOptions) (method, error) {
	switch strings.ToLower(authType) {
	case "password", "v3password", "v2password":
		return byPassword, nil
	case "v3applicationcredential":
		return byApplicationCredential, nil
	case "token", "v3token", "v2token":
		return byToken, nil
	case "":
	default:
		return 0, fmt.Errorf("auth type %q is not supported: use v3applicationcredential, v3password or v3token", shorten(authType))
	}
	switch {
	case o.ApplicationCredentialID != "" || o.ApplicationCredentialName != "":
		return byApplicationCredential, nil
	case o.TokenID != "" && o.Password == "":
		return byToken, nil
	}
	return byPassword, nil
}

// loginOptions returns the options of a login. get returns the first of OpenStack's settings that is set.
func loginOptions(get func(names ...string) string) gophercloud.AuthOptions {
	o := gophercloud.AuthOptions{
		IdentityEndpoint: get("auth_url"),
		Username:         get("username"),
		UserID:           get("user_id"),
		Password:         get("password"),
		DomainID:         get("user_domain_id"),
		DomainName:       get("user_domain_name"),
		TokenID:          get("token"),
		Scope: &gophercloud.AuthScope{
			ProjectID:   get("project_id"),
			ProjectName: get("project_name"),
			DomainID:    get("project_domain_id"),
			DomainName:  get("project_domain_name"),
			TrustID:     get("trust_id"),
		},
		ApplicationCredentialID:     get("application_credential_id"),
		ApplicationCredentialName:   get("application_credential_name"),
		ApplicationCredentialSecret: get("application_credential_secret"),
	}
	if s := o.Scope; s.DomainID == "" && s.DomainName == "" {
		s.DomainID, s.DomainName = get("domain_id"), get("domain_name")
	}
	if o.DomainID == "" && o.DomainName == "" {
		o.DomainID, o.DomainName = get("domain_id", "default_domain_id", "default_domain"), get("domain_name", "default_domain_name")
	}
	return o
}

// need is a setting that is missing, by its names in OpenStack.
type need struct{ name, or string }

type needs []need

// names returns the names of the missing settings, as written formats them.
func (n needs) names(written func(string) string) (names []string) {
	for _, m := range n {
		name := written(m.name)
		if m.or != "" {
			name += " (or " + written(m.or) + ")"
		}
		names = append(names, name)
	}
	return names
}

// settle returns the options of one method, without those of other methods: gophercloud refuses a user beside a token,
// both an ID and a name of a domain, and more. The scope is explicit, because the one that gophercloud derives has the
// user's domain as the project's. The second result is what is missing.
func settle(m method, o gophercloud.AuthOptions) (gophercloud.AuthOptions, needs) {
	var missing needs
	require := func(there bool, name, or string) {
		if !there {
			missing = append(missing, need{name, or})
		}
	}
	out := gophercloud.AuthOptions{IdentityEndpoint: o.IdentityEndpoint}
	require(o.IdentityEndpoint != "", "auth_url", "")
	user := func() {
		require(o.UserID != "" || o.Username != "", "username", "user_id")
		if out.UserID = o.UserID; out.UserID != "" || o.Username == "" {
			return
		}
		out.Username = o.Username
		if out.DomainID = o.DomainID; out.DomainID == "" {
			out.DomainName = o.DomainName
		}
		require(out.DomainID != "" || out.DomainName != "", "user_domain_name", "user_domain_id")
	}
	switch m {
	case byApplicationCredential:
		out.ApplicationCredentialID = o.ApplicationCredentialID
		if out.ApplicationCredentialID == "" {
			out.ApplicationCredentialName = o.ApplicationCredentialName
			require(out.ApplicationCredentialName != "", "application_credential_id", "application_credential_name")
			if out.ApplicationCredentialName != "" {
				user()
			}
		}
		out.ApplicationCredentialSecret = o.ApplicationCredentialSecret
		require(out.ApplicationCredentialSecret != "", "application_credential_secret", "")
	case byToken:
		out.TokenID = o.TokenID
		require(out.TokenID != "", "token", "")
		out.Scope = projectScope(o)
	default:
		user()
		out.Password = o.Password
		require(out.Password != "", "password", "")
		if m == byUnscopedPassword {
			break
		}
		out.Scope = projectScope(o)
		require(out.Scope != nil, "project_name", "project_id")
		if out.Scope != nil && out.Scope.ProjectName != "" && out.UserID != "" { // a user's name has a domain, which is the default
			require(out.Scope.DomainID != "" || out.Scope.DomainName != "", "project_domain_name", "project_domain_id")
		}
	}
	return out, missing
}

// projectScope returns the scope of o if it is a project or a trust. The project's domain defaults to the user's.
func projectScope(o gophercloud.AuthOptions) *gophercloud.AuthScope {
	switch s := o.Scope; {
	case s == nil:
	case s.TrustID != "":
		return &gophercloud.AuthScope{TrustID: s.TrustID}
	case s.ProjectID != "":
		return &gophercloud.AuthScope{ProjectID: s.ProjectID}
	case s.ProjectName != "":
		scope := &gophercloud.AuthScope{ProjectName: s.ProjectName, DomainID: s.DomainID, DomainName: s.DomainName}
		if scope.DomainID == "" && scope.DomainName == "" {
			scope.DomainID, scope.DomainName = o.DomainID, o.DomainName
		}
		if scope.DomainID != "" {
			scope.DomainName = ""
		}
		return scope
	}
	return nil
}
