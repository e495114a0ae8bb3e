package preflight

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"glance_share_exporter/client"
)

// When an expiry is near enough for a warning, and how far a clock may be off.
const (
	soon       = 30 * 24 * time.Hour
	skewed     = time.Minute
	sameClocks = 2 * time.Second
)

// findings returns the findings about one cloud, in the order in which the exporter depends on them.
func (e *evidence) findings() []finding {
	list := []finding{e.login()}
	if e.snapshot.Err != nil {
		if e.roleless() {
			list = append(list, e.projects()...)
		}
		return append(list, e.transport()...)
	}
	list = append(list, e.projects()...)
	list = append(list, e.rights())
	list = append(list, e.ends()...)
	list = append(list, e.imageAPI(), e.clock())
	list = append(list, e.transport()...)
	list = append(list, e.images()...)
	list = append(list, e.turns()...)
	list = append(list, e.lists())
	list = append(list, e.records()...)
	list = append(list, e.proofs()...)
	return append(list, e.series())
}

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

// asIs reports whether a configured token is used without asking Keystone about it.
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

// who names the user.
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

// how names the kind of credential.
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

// tried says with what a failed login was attempted, and where.
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

// cure says what to do about a failed login.
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
		return "Keystone does not say why. Check the secret, whether the application credential has expired, and whether its user still has the role in the project"
	case apiErr.StatusCode == http.StatusUnauthorized:
		return "Keystone does not say why. Check user, domain, password and project of auth in exporter.yml. If they are correct, the user has no role in the project: grant the role below"
	case apiErr.Code == client.CodeTLS:
		return "check that http.tls_config.ca_file has the certificate of the authority, and that the server's certificate is for the host in auth_url"
	case apiErr.Code == client.CodeTimeout, apiErr.Code == client.CodeConnect:
		return "check auth_url, and that firewalls and proxies allow connections from this machine to it"
	}
	return ""
}

// projects returns the findings about the projects of the credential.
func (e *evidence) projects() []finding {
	if !e.Options.Projects {
		return []finding{e.project()}
	}
	var failed, tooMuch, entered []finding
	except := slices.Clone(e.ClientOptions.Except)
	for _, s := range e.snapshot.Scopes {
		f := finding{status: good, subject: "project", text: projectName(s.Access) + ": " + roles(s.Access.Roles)}
		switch {
		case s.Err != nil:
			f.status, f.text = fail, "no token for "+projectName(s.Access)+", so its images are not read: "+reason(s.Err)
			if disabled(s.Err) {
				except = append(except, s.Access.ProjectID)
			}
			failed = append(failed, f)
		case slices.ContainsFunc(s.Access.Roles, e.shares): // which the line about rights judges
			tooMuch = append(tooMuch, f)
		default:
			entered = append(entered, f)
		}
	}
	if all := len(e.ClientOptions.Projects) == 0; all && len(except) > len(e.ClientOptions.Except) && len(failed) <= maxListed {
		failed[len(failed)-1].more = []string{"- projects_except: [" + strings.Join(except, ", ") + "]"}
	}
	list := few(failed, "no token for %d other projects")
	list = append(list, few(slices.Concat(tooMuch, entered), "tokens for %d more projects")...)
	if e.roleless() {
		list = append(list, finding{status: fail, subject: "project", text: reason(e.snapshot.Err)})
	}
	if e.snapshot.ScopesErr != nil {
		list = append(list, finding{status: fail, subject: "project", text: "there may be more, because the list of projects was not read: " + reason(e.snapshot.ScopesErr)})
	}
	return list
}

// disabled reports whether a project is disabled, or its domain is: a role would not help.
func disabled(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && (apiErr.Code == client.CodeDisabled || apiErr.StatusCode == http.StatusUnauthorized)
}

// few returns the first findings of a kind, and one that counts the others.
func few(list []finding, others string) []finding {
	if len(list) <= maxListed {
		return list
	}
	more := list[0]
	more.text = fmt.Sprintf(others, len(list)-maxListed)
	return append(list[:maxListed:maxListed], more)
}

func (e *evidence) project() finding {
	f := finding{status: good, subject: "project"}
	for _, s := range e.snapshot.Scopes {
		f.text = projectName(s.Access)
	}
	switch {
	case e.believed():
		f.status = warn
		f.text += " from exporter.yml, not confirmed by Keystone. "
		remedy := "Set auth_url, so that Keystone confirms the project"
		if !e.asIs() {
			remedy = "Use another kind of auth, which logs in to Keystone"
		}
		if e.unconfirmed() {
			f.status = fail
			f.text += "All member lists count as incomplete. "
			remedy += ", or watch a private image of this project"
		} else {
			f.text += "Member lists count as complete only while a private image of this project is read. "
		}
		f.text += remedy
	case e.signs():
		f.text += " from exporter.yml"
	}
	return f
}

// projectName returns a project's name and ID.
func projectName(a client.Access) string {
	if a.ProjectName == "" {
		return a.ProjectID
	}
	return a.ProjectName + " (" + a.ProjectID + ")"
}

// ends returns the findings about when token, access key and password expire.
func (e *evidence) ends() (list []finding) {
	expires, cred := e.snapshot.State.Expires, &e.credential
	clock := e.now.Add(e.snapshot.State.Skew) // the cloud's
	f := finding{status: good, subject: "token"}
	if e.signs() {
		f.subject = "access key"
	}
	if !expires.IsZero() {
		f.text = expiry(expires, clock)
	}
	switch {
	case e.Auth == "ecs_agency":
		f.text += "; the exporter renews it in time"
	case e.signs() && cred.Temporary && !expires.IsZero():
		f.status = warn
		f.text += ". Something must write the next key to credential_file before that"
	case e.signs() && cred.Temporary:
		f.status, f.text = warn, "temporary, with unknown expiry. The exporter cannot renew it: write a new key to its files before it expires"
	case e.signs(), e.ClientOptions.Auth == nil:
		return nil
	case cred.Given && expires.IsZero():
		f.status, f.text = warn, "unknown expiry. The exporter cannot renew it: provide a new token before it expires, or use an application credential"
	case cred.Given:
		f.status = warn
		f.text += ". The exporter cannot renew it: provide a new token before, or use an application credential"
	case expires.IsZero():
		f.text = "does not expire"
	default:
		f.text += "; the exporter renews it in time"
	}
	list = append(list, f)
	if end := cred.PasswordEnds; !end.IsZero() && cred.ApplicationCredential == nil {
		p := finding{status: good, subject: "password", text: expiry(end, clock)}
		if end.Sub(clock) < soon {
			p.status = warn
			p.text += ". After that nothing can be read. Set a new password, or use an application credential"
		}
		list = append(list, p)
	}
	return list
}

func (e *evidence) imageAPI() finding {
	f := finding{status: good, subject: "image API"}
	endpoint := e.endpoint()
	origin := "from the catalog, interface " + orElse(e.ClientOptions.Interface, "public")
	if e.ClientOptions.Region != "" {
		origin += ", region " + e.ClientOptions.Region
	}
	if e.ClientOptions.Endpoint != "" {
		origin = "from endpoint in exporter.yml"
	}
	where := endpoint + " (" + origin + ")"
	switch {
	case e.snapshot.NoImageAPI:
		f.status, f.text = fail, "not found at "+where+": the response to a list of images is 404. Correct endpoint, or the URL of the image service in the catalog"
		return f
	case !e.snapshot.Up:
		f.status, f.text = fail, "no usable response from "+where
		if why := e.firstError(); why != nil {
			f.more = []string{reason(why)}
		}
		return f
	}
	f.text = e.version + " at " + where
	if e.versionErr != nil {
		f.text = where
		f.more = []string{"version unknown: " + reason(e.versionErr)}
	}
	major, minor, ok := client.ParseVersion(e.version)
	if old := ok && (major < 2 || major == 2 && minor < 5); old && e.Options.API != client.IMS && !slices.Contains(e.Options.MembersFor, client.Private) {
		f.status = warn
		f.more = append(f.more, "before v2.5, private images can have members: set members_for: [shared, private]")
	}
	return f
}

// endpoint returns the URL of the image API.
func (e *evidence) endpoint() string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.Endpoint != "" {
			return s.Access.Endpoint
		}
	}
	return ""
}

// firstError returns why the first image, or the discovery, was not read.
func (e *evidence) firstError() error {
	for i := range e.snapshot.Images {
		if err := e.snapshot.Images[i].Err; err != nil {
			return err
		}
	}
	return e.snapshot.DiscoveryErr
}

func (e *evidence) clock() finding {
	f := finding{status: good, subject: "clock"}
	skew := e.snapshot.State.Skew
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	switch {
	case !e.snapshot.State.SkewKnown:
		f.status, f.text = info, "unknown: no response of the image API had a date"
	case skew.Abs() < sameClocks:
		f.text = "agrees with the clock of the image API"
	default:
		f.text = fmt.Sprintf("the clock of the image API is %s %s this machine's", words(skew.Abs()), way)
	}
	if skew.Abs() >= skewed {
		f.status = warn
		f.text += ". Ages of shares are wrong by that much. Synchronize the clocks with NTP"
		if e.signs() {
			f.text += ". A difference of 15 minutes or more makes signed requests fail"
		}
	}
	return f
}

// transport returns the findings about TLS on the connections to Keystone and to the image API.
func (e *evidence) transport() (list []finding) {
	type service struct{ what, raw string }
	services := []service{{"Keystone", e.credential.Keystone}, {"the image API", e.endpoint()}}
	if a, b := hostOf(services[0].raw), hostOf(services[1].raw); a != nil && b != nil && a.Scheme == b.Scheme && a.Host == b.Host {
		services = []service{{"Keystone and the image API", services[0].raw}}
	}
	for _, s := range services {
		u := hostOf(s.raw)
		if u == nil {
			continue
		}
		if u.Scheme == "http" {
			text := s.what + " uses plain HTTP"
			if strings.Contains(s.what, " and ") {
				text = s.what + " use plain HTTP"
			}
			f := finding{status: good, subject: "TLS", text: text + " on this machine"}
			if !loopback(u.Hostname()) {
				f.status = warn
				f.text = text + ". Anyone on the network path can read " + e.exposed(s.what) + ", and can change the responses. Use https"
			}
			list = append(list, f)
			continue
		}
		if i := slices.IndexFunc(e.peers, func(p client.Peer) bool { return p.Host == u.Host }); i >= 0 {
			list = append(list, e.certificate(s.what, e.peers[i]))
		}
	}
	return list
}

// exposed names what can be read from a plain connection to a service.
func (e *evidence) exposed(service string) string {
	switch {
	case e.signs() || e.ClientOptions.Auth == nil:
		return "the requests"
	case e.credential.Given || !strings.Contains(service, "Keystone"):
		return "the token"
	case e.credential.ApplicationCredential != nil:
		return "the secret and the token"
	}
	return "the password and the token"
}

func (e *evidence) certificate(what string, p client.Peer) finding {
	f := finding{status: good, subject: "TLS", text: fmt.Sprintf("the certificate of %s (%s) %s", what, p.Host, expiry(p.CertificateEnds, e.now))}
	if p.CertificateEnds.Sub(e.now) < soon {
		f.status = warn
		f.text += ". After that nothing can be read. Renew it"
	}
	if p.Unverified {
		f.status = warn
		f.more = append(f.more, "it is not verified (insecure_skip_verify), so anyone on the network path can impersonate the server. Set ca_file instead")
	}
	return f
}

// hostOf returns nil for an invalid URL.
func hostOf(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil
	}
	return u
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reason returns an error's text without the operation and the image, which the line names already.
func reason(err error) string {
	apiErr, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err.Error()
	}
	e := *apiErr
	e.ImageID = ""
	text := e.Error()
	if _, rest, found := strings.Cut(text, ": "); found {
		text = rest
	}
	return text
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// expiry says when something expires or expired.
func expiry(end, now time.Time) string {
	verb := "expires in"
	if end.Before(now) {
		verb = "expired"
	}
	return fmt.Sprintf("%s %s, at %s", verb, words(end.Sub(now)), end.UTC().Format("2006-01-02 15:04 UTC"))
}

// words returns a duration in words.
func words(d time.Duration) string {
	count := func(n time.Duration, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < 0:
		return words(-d) + " ago"
	case d < 2*time.Minute:
		return count(d.Round(time.Second)/time.Second, "second")
	case d < 2*time.Hour:
		return count(d.Round(time.Minute)/time.Minute, "minute")
	case d < 48*time.Hour:
		return count(d.Round(time.Hour)/time.Hour, "hour")
	}
	return count(d/(24*time.Hour), "day")
}
