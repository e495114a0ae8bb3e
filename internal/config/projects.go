package config

import (
	"fmt"
	"slices"

	"glance_share_exporter/collector"
)

func (b *builder) checkProjects(path string, e *entry) {
	b.checkExcept(path+".projects_except", e)
	if e.Projects == nil {
		return
	}
	path += ".projects"
	switch {
	case e.Auth.ApplicationCredential != nil:
		b.add(path, "is not supported with an application credential, which belongs to one project: remove it, or use auth password")
	case e.Auth.Password == nil:
		b.add(path, "is supported only with auth password: log in with that, or remove projects")
	}
	switch i := slices.Index(e.Projects, allProjects); {
	case i < 0:
		b.checkIDs(path, e.Projects)
	case len(e.Projects) > 1:
		b.add(fmt.Sprintf("%s[%d]", path, i), "all means every project: write projects: all, without a list")
	}
}

func (b *builder) checkExcept(path string, e *entry) {
	switch _, given := b.lines[path]; {
	case !given:
	case e.Projects == nil:
		b.add(path, "is supported only with projects: all: remove it")
	case e.ids() != nil:
		b.add(path, "is supported only with projects: all: remove the projects from the list projects instead")
	case slices.Contains(e.ProjectsExcept, allProjects):
		b.add(path, "all would exclude every project: write the IDs of the projects to exclude")
	default:
		b.checkIDs(path, e.ProjectsExcept)
	}
}

// checkIDs checks a list of IDs of projects.
func (b *builder) checkIDs(path string, ids []string) {
	b.notEmpty(path, ids)
	for i, id := range ids {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.checkID(at, id)
		if slices.Contains(ids[:i], id) {
			b.add(at, "%s is a duplicate: remove one", id)
		}
	}
}

func (b *builder) checkID(at, id string) {
	if problem := collector.MemberIDProblem(id); problem != "" {
		b.add(at, "%s", problem)
	}
	b.warnUnusual(at, id)
}

// warnUnusual warns once of an ID of a project or domain that may be a name.
func (b *builder) warnUnusual(at, id string) {
	if collector.UsualID(id) || id == collector.AllOwners || b.unusual[id] {
		return
	}
	b.unusual[id] = true
	b.warn(at, "%s is not 32 hexadecimal digits, so it may be a name, which matches nobody: "+
		"write the ID that `openstack project list` shows; if it is this one, ignore the warning", shorten(id))
}

// ids returns the IDs of the projects; nil: all projects.
func (e *entry) ids() []string {
	if slices.Contains(e.Projects, allProjects) {
		return nil
	}
	return e.Projects
}
