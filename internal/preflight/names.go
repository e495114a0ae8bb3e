package preflight

import (
	"fmt"
	"strings"
)

// names are those that Keystone has for the projects that the images are shared with.
type names struct {
	found, all int
	err        error // why others have none
}

// projectNames is about the names of projects. Nothing is read or judged by them.
func (e *evidence) projectNames() []finding {
	n := &e.names
	if !e.Options.ResolveNames || n.all == 0 {
		return nil
	}
	f := finding{status: good, subject: "names", text: fmt.Sprintf("Keystone names %d of %s", n.found, plural(n.all, "project"))}
	if n.err != nil {
		f.status = warn
		f.text += ": " + strings.TrimSuffix(reason(n.err), ".") + ". Only names are missing. To see them, grant the credential the right " +
			"to read projects (identity:get_project or identity:list_projects)"
	}
	return []finding{f}
}
