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

// needed are the access rules for what the exporter asks.
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

// rights is what the credential can do that it need not.
func (e *evidence) rights() finding {
	f := finding{status: good, subject: "rights"}
	switch {
	case e.Options.API == client.IMS:
		return e.huaweiRights(f)
	case e.ClientOptions.Auth == nil:
		f.status, f.text = info, "those of the proxy's credential: it needs no more than reader"
		return f
	case e.asIs():
		f.status, f.text = info, "not told: the token is used as it is. With auth_url Keystone tells"
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
		f.text += ": it can do everything, in every project. "
		if e.foreign() {
			f.text += "Images of other projects take that much: keep it to reading by access rules, below, or use projects, with reader in each of them"
		} else if e.ownerless() {
			f.text += "Whether reader is enough is not known, since not all owners of the images are"
		} else {
			f.text += "The exporter needs reader, see below"
		}
	case slices.ContainsFunc(all, e.shares):
		f.status = warn
		f.text += ": it can share images, and delete them. The exporter needs reader, see below"
	case len(unknown) > 0:
		f.status = warn
		f.text += ": what " + strings.Join(unknown, ", ") + " may do is not known here. The exporter needs reader alone"
	default:
		f.text += ": it reads and, by Glance's policy since 2023.1, shares nothing"
	}
	if app := e.credential.ApplicationCredential; app != nil && app.Unrestricted {
		f.status = warn
		f.more = append(f.more, unrestricted)
	}
	return f
}

const unrestricted = "the application credential is unrestricted, so it can make other credentials: make it without --unrestricted"

// ruledRights are those of an application credential with access rules: no role lets it do more.
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
	f.text = "access rules let it read, and no more, whatever its roles are (" + strings.Join(e.roles(), ", ") + ")"
	if len(more) > 0 {
		f.status = warn
		f.text = "access rules let it do more than read: " + strings.Join(more, ", ") + ". Make a new one by the rules below"
	}
	if len(lacking) > 0 {
		f.status = warn
		f.more = append(f.more, "access rules leave out "+strings.Join(lacking, ", ")+": what the exporter asks for there is refused with 401")
	}
	if !e.allows(probeRule) {
		f.status = warn
		f.more = append(f.more, "access rules leave out GET "+probeRule.Path+", which shows whether rows of an empty list are hidden: "+
			"an empty list counts only while another list has a row. Create a new credential with the rules below")
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
		f.status, f.text = warn, roles(all)+": it can share images, and delete them. Grant the policy below instead"
	case e.signs():
		f.status, f.text = info, "not told: no answer says what an access key may do. Compare its policies with the one below"
	default:
		f.status, f.text = info, "not told: the token names roles ("+strings.Join(all, ", ")+"), and no policy. Compare those with the one below"
	}
	if e.ClientOptions.MembersAPI != client.MembersV1 {
		f.status = warn
		f.more = append(f.more, "members_api: v2 takes the right ims:images:share, which can share: write members_api: v1, and take that right away")
	}
	return f
}

// roles are those of the tokens, without repetition.
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

// foreign reports whether an administrator's role is of use: other projects' images are to be discovered, or lists are
// whole only for that reason.
func (e *evidence) foreign() bool {
	if !slices.ContainsFunc(e.roles(), e.admin) {
		return false
	}
	for i := range e.snapshot.Images {
		if img := &e.snapshot.Images[i]; img.Sight == collector.Whole && img.Record != nil && img.Record.Owner != "" && !e.owns(img) {
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
		return "no role is told"
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
	commands []string // of an administrator
	role     string   // of an application credential with access rules; empty: none is to be had
	huawei   bool
}

// grant returns the zero value where the credential has the least right already, or nobody can tell.
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
		return g // something else is to be mended first
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

// refusal reports whether a login failed because of a right, perhaps.
func refusal(err error) bool {
	text := reason(err)
	return strings.HasPrefix(text, "401 ") || strings.HasPrefix(text, "403 ")
}

// owners are the projects that own images whose lists are not whole for that reason, sorted.
func (e *evidence) owners() []string {
	var owners []string
	for i := range e.snapshot.Images {
		if owner := e.stranger(&e.snapshot.Images[i]); owner != "" {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// outside is an image that is not found where none of those that are watched is seen as its owner sees it: the credential
// is in another project, or all are gone. Else it is empty.
func (e *evidence) outside() (lost string) {
	for i := range e.snapshot.Images {
		img := &e.snapshot.Images[i]
		switch {
		case img.Sight == collector.Whole || e.owns(img):
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

// command is one of openstack's, in lines that fit.
func command(verb, user, project, role string) string {
	one := fmt.Sprintf("openstack %s %s %s %s", verb, user, project, role)
	if len(one) <= width {
		return one
	}
	return fmt.Sprintf("openstack %s %s \\\n  %s %s", verb, user, project, role)
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_.@:][A-Za-z0-9_.@:-]*$`)

// argument is a word as a shell takes it. What comes from a cloud must not become a command, or an option.
func argument(s, placeholder string) string {
	switch {
	case s == "" || s[0] == '-' || printable(s) != s:
		return placeholder
	case plain.MatchString(s):
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// least is what to paste for all clouds.
func least(grants []grant) string {
	var b strings.Builder
	ruled := map[string][]string{} // by role
	var signed []string
	for _, g := range grants {
		if len(g.commands) > 0 {
			fmt.Fprintf(&b, "\n# The least right for %s, by an administrator:\n%s\n", g.cloud, strings.Join(g.commands, "\n"))
		}
		if g.role != "" {
			ruled[g.role] = append(ruled[g.role], g.cloud)
		}
		if g.huawei {
			signed = append(signed, g.cloud)
		}
	}
	if len(ruled) > 0 {
		b.WriteString("\n" + comment("Less than any role: an application credential that can ask what the exporter asks, and nothing else. "+
			"It holds before 2023.1 too, where Glance lets every role share unless it has enforce_new_defaults. Glance needs service_type = image under [keystone_authtoken]. "+
			"A credential with the first three rules alone keeps working wherever a list has a row; each request that it makes by the fourth is a warning line in Glance's log."))
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
			where := ", as the exporter's user in the project that owns the images:"
			if role == "admin" {
				where = ", as the exporter's user, since the images are many projects':"
			}
			b.WriteString(comment("For "+enumerate(ruled[role])+where) + "openstack application credential create --role " + role +
				" \\\n  --access-rules access-rules.json glance-share-exporter\n")
		}
	}
	if len(signed) > 0 {
		b.WriteString("\n" + comment("The least right for "+enumerate(signed)+", a custom policy in JSON for the user or agency, in its project; with members_api: v1. "+
			`The default, v2, takes "ims:images:share" besides, which can share.`))
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

// comment is a text in lines that a shell does not mind.
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
