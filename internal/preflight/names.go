package preflight

import (
	"fmt"
	"strings"
)

// names is how many of the projects that the images are shared with have a name in Keystone.
type names struct {
	found, all int
	err        error // why the others have none
}

// projectNames returns the finding about the names of projects. They have no effect on what is read or checked.
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
