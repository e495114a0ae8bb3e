package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"glance_share_exporter/client"
)

// roleless reports whether the user logged in and has no role in any project.
func (e *evidence) roleless() bool { return e.snapshot.Err != nil && noRole(e.snapshot.Err) }

// noRole reports whether a project has no token because the user has no role in it.
func noRole(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.Code == client.CodeNoRole
}

// signs reports whether requests are signed with an access key.
func (e *evidence) signs() bool {
	return e.ClientOptions.Keys != nil || e.ClientOptions.Metadata != nil
}

// asIs reports whether a configured token is used without a request to Keystone about it.
func (e *evidence) asIs() bool { return e.credential.Given && e.credential.Keystone == "" }

// believed reports whether exporter.yml is the only source for the project of this view.
func (e *evidence) believed() bool { return e.asIs() || e.ClientOptions.Auth == nil && !e.signs() }

func (e *evidence) login() finding {
	f := finding{status: good, subject: "login"}
	if e.snapshot.Err != nil && !e.roleless() {
		f.status, f.text = fail, "failed: "+reason(e.snapshot.Err)
		f.more = []string{e.tried(), e.cure(e.snapshot.Err)}
		return f
	}
	switch {
	case e.Auth == "ecs_agency":
		f.text = "not needed: requests are signed with temporary keys of this server's agency"
	case e.signs():
		f.text = "not needed: requests are signed with access key " + e.credential.AccessKey
	case e.asIs():
		f.text = "not needed: requests carry the configured token"
	case e.ClientOptions.Auth == nil:
		f.text = "not needed: a proxy authenticates the requests"
	default:
		f.text = e.who() + ", " + e.how()
	}
	return f
}

// who returns the user's name and domain.
func (e *evidence) who() string {
	user := name(e.credential.User)
	if domain := name(e.credential.Domain); domain != "" && user != "" {
		user += " of domain " + domain
	}
	if user == "" {
		return "unknown user"
	}
	return user
}

func name(n client.Named) string {
	if n.Name != "" {
		return n.Name
	}
	return n.ID
}

// how returns the kind of credential.
func (e *evidence) how() string {
	kind := "with a password"
	switch app := e.credential.ApplicationCredential; {
	case app != nil:
		kind = "with application credential " + name(app.Named)
	case e.credential.Given:
		kind = "with a token"
	}
	if e.Auth == "clouds_yaml" || e.Auth == "env" {
		kind += " (" + e.Auth + ")"
	}
	return kind
}

// tried returns with which credential a failed login was attempted, and where.
func (e *evidence) tried() string {
	if e.signs() || e.credential.Keystone == "" {
		return ""
	}
	var as []string
	if user := name(e.credential.User); user != "" {
		as = append(as, "as "+e.who())
	}
	if project := name(e.credential.Project); project != "" {
		as = append(as, "in project "+project)
	}
	return fmt.Sprintf("tried %s at %s", strings.Join(append(as, e.how()), ", "), e.credential.Keystone)
}

// cure returns what to do about a failed login.
func (e *evidence) cure(err error) string {
	apiErr, ok := errors.AsType[*client.Error](err)
	if !ok {
		return ""
	}
	switch {
	case e.signs():
		return "correct auth in exporter.yml"
	case apiErr.StatusCode == http.StatusUnauthorized && e.credential.Given:
		return "the token has expired, or Keystone does not know it. Provide a new one"
	case apiErr.StatusCode == http.StatusUnauthorized && e.credential.ApplicationCredential != nil:
		return "Keystone does not say why. Check the secret, whether the application credential has expired, and whether its user still " +
			"has the role in the project"
	case apiErr.StatusCode == http.StatusUnauthorized:
		return "Keystone does not say why. Check user, domain, password and project of auth in exporter.yml. If they are correct, the user " +
			"has no role in the project: grant the role below"
	case apiErr.Code == client.CodeTLS:
		return "check that http.tls_config.ca_file has the certificate of the authority, and that the server's certificate is for the " +
			"host in auth_url"
	case apiErr.Code == client.CodeTimeout, apiErr.Code == client.CodeConnect:
		return "check auth_url, and that firewalls and proxies allow connections from this machine to it"
	}
	return ""
}
