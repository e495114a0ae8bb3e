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

// How near an end is worth a word, and how far off a clock.
const (
	soon       = 30 * 24 * time.Hour
	skewed     = time.Minute
	sameClocks = 2 * time.Second
)

// findings are about one cloud, in the order in which the exporter would stumble.
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

// roleless reports whether the user logged in, and has a role in no project.
func (e *evidence) roleless() bool { return e.snapshot.Err != nil && noRole(e.snapshot.Err) }

// noRole reports whether a role is what lacks for a project.
func noRole(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.Code == client.CodeNoRole
}

// signs reports whether requests are signed with an access key.
func (e *evidence) signs() bool {
	return e.ClientOptions.Keys != nil || e.ClientOptions.Metadata != nil
}

// asIs reports whether a token is used that nobody was asked about.
func (e *evidence) asIs() bool { return e.credential.Given && e.credential.Keystone == "" }

// believed reports whether nobody but exporter.yml tells which project's view this is.
func (e *evidence) believed() bool { return e.asIs() || e.ClientOptions.Auth == nil && !e.signs() }

func (e *evidence) login() finding {
	f := finding{status: good, subject: "login"}
	if e.snapshot.Err != nil && !e.roleless() {
		f.status, f.text = fail, "not entered: "+reason(e.snapshot.Err)
		f.more = []string{e.tried(), e.cure(e.snapshot.Err)}
		return f
	}
	switch {
	case e.Auth == "ecs_agency":
		f.text = "none: requests are signed with temporary keys of this server's agency"
	case e.signs():
		f.text = "none: requests are signed with access key " + e.credential.AccessKey
	case e.asIs():
		f.text = "none: the token is used as it is"
	case e.ClientOptions.Auth == nil:
		f.text = "none: a proxy authenticates"
	default:
		f.text = e.who() + ", " + e.how()
	}
	return f
}

// who is the user.
func (e *evidence) who() string {
	user := name(e.credential.User)
	if domain := name(e.credential.Domain); domain != "" && user != "" {
		user += " of domain " + domain
	}
	if user == "" {
		return "a user whose name is not told"
	}
	return user
}

func name(n client.Named) string {
	if n.Name != "" {
		return n.Name
	}
	return n.ID
}

// how is by what the user proves who it is.
func (e *evidence) how() string {
	kind := "by password"
	switch app := e.credential.ApplicationCredential; {
	case app != nil:
		kind = "by application credential " + name(app.Named)
	case e.credential.Given:
		kind = "by a token"
	}
	if e.Auth == "clouds_yaml" || e.Auth == "env" {
		kind += " (" + e.Auth + ")"
	}
	return kind
}

// tried is what was sent in vain, and where to.
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

// cure is what to do about a login that failed.
func (e *evidence) cure(err error) string {
	apiErr, ok := errors.AsType[*client.Error](err)
	if !ok {
		return ""
	}
	switch {
	case e.signs():
		return "correct auth in exporter.yml"
	case apiErr.StatusCode == http.StatusUnauthorized && e.credential.Given:
		return "the token has ended, or is not Keystone's: write a new one"
	case apiErr.StatusCode == http.StatusUnauthorized && e.credential.ApplicationCredential != nil:
		return "Keystone does not say what is wrong: the secret, an application credential that has ended, or its user, who lost the role in the project"
	case apiErr.StatusCode == http.StatusUnauthorized:
		return "Keystone does not say what is wrong: user, domain, password, project, or no role there. Correct auth in exporter.yml, or grant the role below"
	case apiErr.Code == client.CodeTLS:
		return "is the authority's certificate in http.tls_config.ca_file, and auth_url's name in the server's?"
	case apiErr.Code == client.CodeTimeout, apiErr.Code == client.CodeConnect:
		return "is auth_url right, and do firewall and proxy let this machine there?"
	}
	return ""
}

// projects are those that the credential asks for.
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
			f.status, f.text = fail, projectName(s.Access)+" is not entered, so its images are not read: "+reason(s.Err)
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
	list := few(failed, "%d others are not entered")
	list = append(list, few(slices.Concat(tooMuch, entered), "%d others are entered")...)
	if e.roleless() {
		list = append(list, finding{status: fail, subject: "project", text: reason(e.snapshot.Err)})
	}
	if e.snapshot.ScopesErr != nil {
		list = append(list, finding{status: fail, subject: "project", text: "there may be more, the list could not be read: " + reason(e.snapshot.ScopesErr)})
	}
	return list
}

// disabled reports whether a project is disabled, or its domain is: a role would not help.
func disabled(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && (apiErr.Code == client.CodeDisabled || apiErr.StatusCode == http.StatusUnauthorized)
}

// few are the first findings of a kind, and how many others there are.
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
		f.text += ", as exporter.yml says, and Keystone does not confirm it. "
		remedy := "Set auth_url, so that Keystone names the project"
		if !e.asIs() {
			remedy = "Log in at Keystone, with auth_url, instead of by a proxy"
		}
		if e.unconfirmed() {
			f.status = fail
			f.text += "No member list counts as complete. "
			remedy += ", or watch a private image of this project"
		} else {
			f.text += "Member lists count as complete only while a private image of this project is read. "
		}
		f.text += remedy
	case e.signs():
		f.text += ", as exporter.yml says"
	}
	return f
}

// projectName is a project's name and ID.
func projectName(a client.Access) string {
	if a.ProjectName == "" {
		return a.ProjectID
	}
	return a.ProjectName + " (" + a.ProjectID + ")"
}

// ends are the ends of what the exporter logs in with.
func (e *evidence) ends() (list []finding) {
	expires, cred := e.snapshot.State.Expires, &e.credential
	clock := e.now.Add(e.snapshot.State.Skew) // the cloud's
	f := finding{status: good, subject: "token"}
	if e.signs() {
		f.subject = "access key"
	}
	if !expires.IsZero() {
		f.text = fmt.Sprintf("ends in %s, at %s", words(expires.Sub(clock)), expires.UTC().Format("2006-01-02 15:04 UTC"))
	}
	switch {
	case e.Auth == "ecs_agency":
		f.text += "; the exporter gets another one before"
	case e.signs() && cred.Temporary:
		f.status, f.text = warn, "is temporary, and does not tell when it ends: something must write another one to its files in time"
	case e.signs(), e.ClientOptions.Auth == nil:
		return nil
	case cred.Given && expires.IsZero():
		f.status, f.text = warn, "does not tell when it ends, and the exporter cannot renew it: something must write another one in time, or use an application credential"
	case cred.Given:
		f.status = warn
		f.text += ", and the exporter cannot renew it: something must write another one before, or use an application credential"
	case expires.IsZero():
		f.text = "does not end"
	default:
		f.text += "; the exporter gets another one before"
	}
	list = append(list, f)
	if end := cred.PasswordEnds; !end.IsZero() && cred.ApplicationCredential == nil {
		p := finding{status: good, subject: "password", text: fmt.Sprintf("ends in %s, at %s", words(end.Sub(clock)), end.UTC().Format("2006-01-02 15:04 UTC"))}
		if end.Sub(clock) < soon {
			p.status = warn
			p.text += ": from then on nothing is seen. Write a new one, or use an application credential"
		}
		list = append(list, p)
	}
	return list
}

func (e *evidence) imageAPI() finding {
	f := finding{status: good, subject: "image API"}
	endpoint := e.endpoint()
	origin := "from the catalog: " + orElse(e.ClientOptions.Interface, "public")
	if e.ClientOptions.Region != "" {
		origin += ", region " + e.ClientOptions.Region
	}
	if e.ClientOptions.Endpoint != "" {
		origin = "from endpoint in exporter.yml"
	}
	where := endpoint + " (" + origin + ")"
	switch {
	case e.snapshot.NoImageAPI:
		f.status, f.text = fail, "there is none at "+where+": it answers 404 to a list of images. Correct endpoint, or the image service's URL in the catalog"
		return f
	case !e.snapshot.Up:
		f.status, f.text = fail, "no good answer from "+where
		if why := e.firstError(); why != nil {
			f.more = []string{reason(why)}
		}
		return f
	}
	f.text = e.version + " at " + where
	if e.versionErr != nil {
		f.text = where
		f.more = []string{"its version is not told: " + reason(e.versionErr)}
	}
	major, minor, ok := client.ParseVersion(e.version)
	if old := ok && (major < 2 || major == 2 && minor < 5); old && e.Options.API != client.IMS && !slices.Contains(e.Options.MembersFor, client.Private) {
		f.status = warn
		f.more = append(f.more, "before v2.5 an image that is called private may have members: write members_for: [shared, private]")
	}
	return f
}

// endpoint is the image API's URL.
func (e *evidence) endpoint() string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.Endpoint != "" {
			return s.Access.Endpoint
		}
	}
	return ""
}

// firstError is why the first thing was not read that was not.
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
		f.status, f.text = info, "the image API does not tell its time"
	case skew.Abs() < sameClocks:
		f.text = "agrees with the image API's"
	default:
		f.text = fmt.Sprintf("the image API's is %s %s this machine's", words(skew.Abs()), way)
	}
	if skew.Abs() >= skewed {
		f.status = warn
		f.text += ": ages of shares are wrong by that much. Set the clock, by NTP"
		if e.signs() {
			f.text += "; from 15 minutes on, signatures are refused"
		}
	}
	return f
}

// transport is how the way to Keystone and to the image API is kept from others.
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
			f := finding{status: good, subject: "TLS", text: s.what + " is asked over plain HTTP, on this machine"}
			if strings.Contains(s.what, " and ") {
				f.text = s.what + " are asked over plain HTTP, on this machine"
			}
			if !loopback(u.Hostname()) {
				f.status = warn
				f.text = strings.TrimSuffix(f.text, ", on this machine") + ": whoever is on the way can read " + e.exposed(s.what) + ", and change the answers. Use https"
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

// exposed is what can be read off a plain connection to a service.
func (e *evidence) exposed(service string) string {
	switch {
	case e.signs() || e.ClientOptions.Auth == nil:
		return "what is asked"
	case e.credential.Given || !strings.Contains(service, "Keystone"):
		return "the token"
	case e.credential.ApplicationCredential != nil:
		return "secret and token"
	}
	return "password and token"
}

func (e *evidence) certificate(what string, p client.Peer) finding {
	left := p.CertificateEnds.Sub(e.now)
	f := finding{status: good, subject: "TLS", text: fmt.Sprintf("the certificate of %s, %s, ends in %s, at %s",
		what, p.Host, words(left), p.CertificateEnds.UTC().Format("2006-01-02 15:04 UTC"))}
	if left < soon {
		f.status = warn
		f.text += ": from then on nothing is seen. Have it renewed"
	}
	if p.Unverified {
		f.status = warn
		f.more = append(f.more, "nobody looks at who signed it (insecure_skip_verify), so anybody on the way can be it: write ca_file instead")
	}
	return f
}

// hostOf returns nil for what is no URL.
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

// reason is an error without what the line says already.
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

// words are a time as people say it.
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
