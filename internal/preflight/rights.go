package preflight

import (
	"fmt"
	"net/http"
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

// Roles by what Glance's default policy lets them do: all but readers may share a project's images. See
// https://docs.openstack.org/glance/latest/configuration/glance_policy.html.
var (
	readers       = []string{"reader"}
	sharers       = []string{"admin", "manager", "member", "_member_"} // each of them with all rights of the next
	huaweiSharers = []string{"te_admin"}                               // Huawei Cloud's Tenant Administrator
)

// rights is about rights of the credential that the exporter does not need.
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
			f.text += "Images of other projects require this. Limit it to reading with the access rules below, or set projects and grant reader in each"
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

// ruledRights is about an application credential with access rules: no role lets it do more.
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
		f.text = "access rules allow more than reading: " + strings.Join(more, ", ") + ". Create a new application credential with the rules below"
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
		f.status, f.text = info, "unknown: the token names roles ("+strings.Join(all, ", ")+") but no policies. Compare its policies with the one below"
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

// foreign reports whether the exporter needs an administrator's role: to discover other projects' images, or because
// lists are complete only for that reason.
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
		if slices.ContainsFunc(rule.Owners, func(owner string) bool { return !slices.Contains(e.projectIDs(), owner) }) {
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

// grant is what to grant for a cloud, ready to paste.
type grant struct {
	cloud    string
	commands []string // for an administrator
	role     string   // of an application credential with access rules; empty: there can be none
	huawei   bool
}

// grant returns the zero value where the credential has least privilege already, or that is unknown.
func (e *evidence) grant() grant {
	g := grant{cloud: e.Options.Name}
	switch {
	case e.Options.API == client.IMS:
		g.huawei = true
		return g
	case e.ClientOptions.Auth == nil, e.asIs(), e.credential.Keystone == "":
		return g
	}
	app := e.credential.ApplicationCredential
	owners := e.owners()
	switch err := e.snapshot.Err; {
	case err != nil && !refusal(err) && !e.roleless(), err == nil && !e.snapshot.Up:
		return g // fix the other problem first
	case err == nil && slices.ContainsFunc(e.roles(), e.admin) && !e.foreign() && e.ownerless():
		return g // less could be too little
	case err == nil && app != nil && len(app.Rules) > 0 && len(owners) == 0 && e.rights().status == good:
		return g
	}
	user := userArgs(e.credential)
	for i, owner := range owners {
		if i < maxListed {
			g.commands = append(g.commands, command("role add", user, "--project "+argument(owner, "PROJECT"), "reader"))
		}
	}
	if !e.Options.Projects {
		g.role = "reader"
	}
	if lost := e.outside(); lost != "" && len(owners) == 0 {
		// An administrator sees it, or nobody does.
		g.commands = append(g.commands, "owner=$(openstack image show -f value -c owner \\\n  "+argument(lost, "ID")+")",
			command("role add", user, `--project "$owner"`, "reader"))
		return g
	}
	switch {
	case len(owners) > 0 || app != nil:
		return g
	case e.foreign():
		g.role = "admin"
		return g
	}
	more := 0
	for _, s := range e.snapshot.Scopes {
		project := "--project " + argument(s.Access.ProjectID, "PROJECT")
		top := slices.IndexFunc(sharers, func(r string) bool { return slices.Contains(s.Access.Roles, r) })
		switch {
		case s.Err != nil && !noRole(s.Err), top < 0 && s.Err == nil && slices.Contains(s.Access.Roles, "reader"):
			continue
		case len(g.commands) >= 2*maxListed:
			more++
			continue
		}
		g.commands = append(g.commands, command("role add", user, project, "reader"))
		if top >= 0 {
			g.commands = append(g.commands, command("role remove", user, project, sharers[top]))
		}
	}
	if more > 0 {
		g.commands = append(g.commands, fmt.Sprintf("# and the same for %d other projects", more))
	}
	if len(e.snapshot.Scopes) == 0 {
		project := "--project PROJECT"
		if e.credential.Project.ID != "" {
			project = "--project " + argument(e.credential.Project.ID, "PROJECT")
		} else if e.credential.Project.Name != "" {
			project = "--project " + argument(e.credential.Project.Name, "PROJECT")
		}
		g.commands = append(g.commands, command("role add", user, project, "reader"))
	}
	return g
}

// refusal reports whether a login may have failed for lack of a right.
func refusal(err error) bool {
	text := reason(err)
	return strings.HasPrefix(text, "401 ") || strings.HasPrefix(text, "403 ")
}

// owners returns the projects that own images whose lists are incomplete for that reason, sorted.
func (e *evidence) owners() []string {
	var owners []string
	for i := range e.snapshot.Images {
		if owner := e.foreignOwner(&e.snapshot.Images[i]); owner != "" {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// outside returns an image that is not found while no watched image is read in its owner's view: the credential is in
// another project, or all images are deleted. Otherwise it returns "".
func (e *evidence) outside() (lost string) {
	for i := range e.snapshot.Images {
		img := &e.snapshot.Images[i]
		switch {
		case img.Coverage == collector.Complete || e.owns(img):
			return ""
		case img.StatusCode == http.StatusNotFound && lost == "":
			lost = img.ID
		}
	}
	return lost
}

func userArgs(c client.Credential) string {
	if c.User.ID != "" {
		return "--user " + argument(c.User.ID, "USER")
	}
	args := "--user " + argument(c.User.Name, "USER")
	if domain := name(c.Domain); domain != "" {
		args += " --user-domain " + argument(domain, "DOMAIN")
	}
	return args
}

// command returns an openstack command in lines that fit.
func command(verb, user, project, role string) string {
	one := fmt.Sprintf("openstack %s %s %s %s", verb, user, project, role)
	if len(one) <= width {
		return one
	}
	return fmt.Sprintf("openstack %s %s \\\n  %s %s", verb, user, project, role)
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_.@:][A-Za-z0-9_.@:-]*$`)

// argument quotes a word for a shell. Text from a cloud must not become a command or an option.
func argument(s, placeholder string) string {
	switch {
	case s == "" || s[0] == '-' || printable(s) != s:
		return placeholder
	case plain.MatchString(s):
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// least returns the commands to paste for all clouds.
func least(grants []grant) string {
	var b strings.Builder
	ruled := map[string][]string{} // by role
	var signed []string
	for _, g := range grants {
		if len(g.commands) > 0 {
			fmt.Fprintf(&b, "\n# Least privilege for %s. Run as an administrator:\n%s\n", g.cloud, strings.Join(g.commands, "\n"))
		}
		if g.role != "" {
			ruled[g.role] = append(ruled[g.role], g.cloud)
		}
		if g.huawei {
			signed = append(signed, g.cloud)
		}
	}
	if len(ruled) > 0 {
		b.WriteString("\n" + comment("Recommended: an application credential whose access rules allow only the requests of the exporter. "+
			"It cannot share even in Glance before 2023.1, where every role can, unless enforce_new_defaults is set. Glance needs service_type = image under [keystone_authtoken]. "+
			"A credential with only the first three rules still works where a list has a row. Then each request for the fourth adds a warning to Glance's log."))
		b.WriteString("cat > access-rules.json <<'EOF'\n[\n")
		for i, r := range needed {
			comma := ","
			if i == len(needed)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, "  {\"service\": %q, \"method\": %q, \"path\": %q}%s\n", r.Service, r.Method, r.Path, comma)
		}
		b.WriteString("]\nEOF\n")
		for _, role := range []string{"reader", "admin"} {
			if len(ruled[role]) == 0 {
				continue
			}
			where := ". Run as the exporter's user in the project that owns the images:"
			if role == "admin" {
				where = ". Run as the exporter's user, with role admin, because several projects own the images:"
			}
			b.WriteString(comment("For "+enumerate(ruled[role])+where) + "openstack application credential create --role " + role +
				" \\\n  --access-rules access-rules.json glance-share-exporter\n")
		}
	}
	if len(signed) > 0 {
		b.WriteString("\n" + comment("Least privilege for "+enumerate(signed)+" with members_api: v1: a custom policy in JSON for the user or agency, in its project. "+
			`The default, v2, also requires "ims:images:share", which allows sharing.`))
		b.WriteString(`{
  "Version": "1.1",
  "Statement": [
    {"Effect": "Allow", "Action": ["ims:images:get", "ims:images:list"]}
  ]
}
`)
	}
	return b.String()
}

// comment returns a text as lines of shell comment.
func comment(text string) string {
	var b strings.Builder
	for _, line := range wrap(text, width-2) {
		b.WriteString("# " + line + "\n")
	}
	return b.String()
}

func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
