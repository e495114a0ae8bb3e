package preflight

import (
	"regexp"
	"slices"
	"strings"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// needed are the access rules for the requests of the exporter.
var needed = []client.AccessRule{
	{Service: "image", Method: "GET", Path: "/v2/images"},
	{Service: "image", Method: "GET", Path: "/v2/images/*"},
	{Service: "image", Method: "GET", Path: "/v2/images/*/members"},
	probeRule,
}

// neededForNames are the access rules for requesting the names of projects.
var neededForNames = []client.AccessRule{
	{Service: "identity", Method: "GET", Path: "/v3/projects"},
	{Service: "identity", Method: "GET", Path: "/v3/projects/*"},
}

// Roles by what Glance's default policy allows: all but readers may share a project's images. See
// https://docs.openstack.org/glance/latest/configuration/glance_policy.html.
var (
	readers       = []string{"reader"}
	sharers       = []string{"admin", "manager", "member", "_member_"} // each has all rights of the next
	huaweiSharers = []string{"te_admin"}                               // Huawei Cloud's Tenant Administrator
)

// rights returns the finding about rights of the credential that the exporter does not need.
func (e *evidence) rights() finding {
	f := finding{status: good, subject: "rights"}
	switch {
	case e.Options.API == client.IMS:
		return e.huaweiRights(f)
	case e.ClientOptions.Auth == nil:
		f.status, f.text = info, "unknown: a proxy authenticates the requests. Its credential needs only the role reader"
		return f
	case e.asIs():
		f.status, f.text = info, "unknown: Keystone is not asked about the configured token. Set auth_url to see its roles"
		return f
	}
	if app := e.credential.ApplicationCredential; app != nil && len(app.Rules) > 0 {
		return e.ruledRights(f, app)
	}
	all := e.roles()
	f.text = roles(all)
	unknown := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return slices.Contains(readers, r) || e.shares(r) })
	switch {
	case slices.ContainsFunc(all, e.admin):
		f.status = warn
		f.text += ": the credential can do everything in every project. "
		if e.foreign() {
			f.text += "Images of other projects require this. Limit it to reading with the access rules below, or set projects and grant " +
				"reader in each"
		} else if e.ownerless() {
			f.text += "It is unknown whether reader is enough, because the owners of some images are unknown"
		} else {
			f.text += "The exporter needs only reader, see below"
		}
	case slices.ContainsFunc(all, e.shares):
		f.status = warn
		f.text += ": the credential can share and delete images. The exporter needs only reader, see below"
	case len(unknown) > 0:
		f.status = warn
		f.text += ": the rights of " + strings.Join(unknown, ", ") + " are unknown. The exporter needs only reader"
	default:
		f.text += ": read-only under Glance's default policy since 2023.1"
	}
	if app := e.credential.ApplicationCredential; app != nil && app.Unrestricted {
		f.status = warn
		f.more = append(f.more, unrestricted)
	}
	return f
}

const unrestricted = "the application credential is unrestricted, so it can create other credentials. Create it without --unrestricted"

// ruledRights returns the finding about an application credential with access rules: no role allows it more than these.
func (e *evidence) ruledRights(f finding, app *client.ApplicationCredential) finding {
	var more, lacking []string
	for _, r := range app.Rules {
		if r.Method != "GET" && r.Method != "HEAD" {
			more = append(more, r.Method+" "+r.Path+" of "+r.Service)
		}
	}
	for _, n := range needed {
		if n != probeRule && !e.allows(n) {
			lacking = append(lacking, n.Method+" "+n.Path)
		}
	}
	f.text = "access rules limit the credential to reading, whatever its roles (" + strings.Join(e.roles(), ", ") + ")"
	if len(more) > 0 {
		f.status = warn
		f.text = "access rules allow more than reading: " + strings.Join(more, ", ") + ". Create a new application credential with " +
			"the rules below"
	}
	if len(lacking) > 0 {
		f.status = warn
		f.more = append(f.more, "access rules do not allow "+strings.Join(lacking, ", ")+": these requests of the exporter are refused with 401")
	}
	if !e.allows(probeRule) {
		f.status = warn
		f.more = append(f.more, "access rules do not allow GET "+probeRule.Path+", the request that shows whether the policy hides rows. "+
			"Without it, an empty list counts as read only while another list has a row. Create a new application credential with the rules below")
	}
	if app.Unrestricted {
		f.status = warn
		f.more = append(f.more, unrestricted)
	}
	return f
}

// covers reports whether a rule allows what another one, whose path has no other pattern than *, allows.
func covers(r, want client.AccessRule) bool {
	if r.Service != want.Service || r.Method != want.Method {
		return false
	}
	var b strings.Builder
	for rest := r.Path; rest != ""; {
		n := 1
		switch {
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			n = 2
		case rest[0] == '*':
			b.WriteString("[^/]+")
		case rest[0] == '{' && strings.Contains(rest, "}"):
			b.WriteString("[^/]+")
			n = strings.Index(rest, "}") + 1
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
		}
		rest = rest[n:]
	}
	pattern, err := regexp.Compile("^" + b.String() + "$")
	return err == nil && pattern.MatchString(strings.ReplaceAll(want.Path, "*", "d164b5df-1bc3-4c3f-893e-3e471fd16e64"))
}

func (e *evidence) huaweiRights(f finding) finding {
	all := e.roles()
	switch {
	case slices.ContainsFunc(all, func(r string) bool { return slices.Contains(huaweiSharers, r) }):
		f.status, f.text = warn, roles(all)+": the credential can share and delete images. Grant the policy below instead"
	case e.signs():
		f.status, f.text = info, "unknown: no response says what an access key may do. Compare its policies with the one below"
	default:
		f.status, f.text = info, "unknown: the token names roles ("+strings.Join(all, ", ")+") but no policies. Compare its policies with "+
			"the one below"
	}
	if e.ClientOptions.MembersAPI != client.MembersV1 {
		f.status = warn
		f.more = append(f.more, "members_api: v2 requires the action ims:images:share, which also allows sharing. "+
			"If the region has v1, set members_api: v1, and remove that action")
	}
	return f
}

// roles returns the roles of the tokens, without duplicates.
func (e *evidence) roles() (all []string) {
	for _, s := range e.snapshot.Scopes {
		all = append(all, s.Access.Roles...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (e *evidence) admin(role string) bool {
	return role == "admin" || slices.Contains(e.Options.AdminRoles, role)
}

func (e *evidence) shares(role string) bool { return slices.Contains(sharers, role) || e.admin(role) }

// foreign reports whether the exporter needs an administrator's role, because it discovers other projects' images or
// has lists that are complete only in an administrator's view.
func (e *evidence) foreign() bool {
	if !slices.ContainsFunc(e.roles(), e.admin) {
		return false
	}
	for i := range e.snapshot.Images {
		if img := &e.snapshot.Images[i]; img.Coverage == collector.Complete && img.Record != nil && img.Record.Owner != "" && !e.owns(img) {
			return true
		}
	}
	for _, rule := range e.Options.Discover {
		if !rule.Skip && slices.ContainsFunc(rule.Owners, func(owner string) bool { return !slices.Contains(e.projectIDs(), owner) }) {
			return true
		}
	}
	return false
}

// owns reports whether one of the credential's projects is known to own an image.
func (e *evidence) owns(img *collector.ImageSnapshot) bool {
	return img.Record != nil && slices.Contains(e.projectIDs(), img.Record.Owner)
}

func (e *evidence) projectIDs() (ids []string) {
	for _, s := range e.snapshot.Scopes {
		ids = append(ids, s.Access.ProjectID)
	}
	return ids
}

func roles(names []string) string {
	switch len(names) {
	case 0:
		return "no known role"
	case 1:
		return "role " + names[0]
	}
	names = slices.Sorted(slices.Values(names))
	return "roles " + strings.Join(names, ", ")
}

// ------------------------------------------------------------------------------------------------------------------
