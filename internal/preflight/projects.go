package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"glance_share_exporter/client"
)

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
		case slices.ContainsFunc(s.Access.Roles, e.shares): // the finding about rights covers it
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
		list = append(list, finding{status: fail, subject: "project", text: "there may be more, because the list of projects " +
			"was not read: " + reason(e.snapshot.ScopesErr)})
	}
	return list
}

// disabled reports whether a project or its domain is disabled, so that a role would not help.
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
