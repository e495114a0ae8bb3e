package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// grant is what to grant for a cloud, ready to paste.
type grant struct {
	cloud    string
	commands []string // for an administrator
	role     string   // of an application credential with access rules; empty: there can be none
	huawei   bool
	names    bool // the names of projects are requested from Keystone
}

// grant returns the zero value where the credential has least privilege already, or that is unknown.
func (e *evidence) grant() grant {
	g := grant{cloud: e.Options.Name, names: e.Options.ResolveNames}
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
		// If the image exists, an administrator can see it.
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
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && (apiErr.StatusCode == http.StatusUnauthorized || apiErr.StatusCode == http.StatusForbidden)
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

// argument quotes a word for a shell. A text from a cloud must not become a command or an option.
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
	rules := needed
	for _, g := range grants {
		if len(g.commands) > 0 {
			fmt.Fprintf(&b, "\n# Least privilege for %s. Run as an administrator:\n%s\n", g.cloud, strings.Join(g.commands, "\n"))
		}
		if g.role != "" {
			ruled[g.role] = append(ruled[g.role], g.cloud)
		}
		if g.role != "" && g.names && len(rules) == len(needed) {
			rules = slices.Concat(needed, neededForNames)
		}
		if g.huawei {
			signed = append(signed, g.cloud)
		}
	}
	if len(ruled) > 0 {
		b.WriteString("\n" + comment("Recommended: an application credential whose access rules allow only the requests of the exporter. "+
			"It cannot share even in Glance before 2023.1, where every role can, unless enforce_new_defaults is set. Glance needs "+
			"service_type = image under [keystone_authtoken]. "+
			"A credential with only the first three rules still works where a list has a row. Then each request for the fourth adds a warning "+
			"to Glance's log."))
		b.WriteString("cat > access-rules.json <<'EOF'\n[\n")
		for i, r := range rules {
			comma := ","
			if i == len(rules)-1 {
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
		b.WriteString("\n" + comment("Least privilege for "+enumerate(signed)+" with members_api: v1: a custom policy in JSON for the user "+
			"or agency, in its project. "+
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

// comment returns a text as lines of a shell comment.
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
