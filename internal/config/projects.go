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
		b.add(path, "is not possible with an application credential, which is bound to one project: leave it out, or log in with password")
	case e.Auth.Password == nil:
		b.add(path, "is possible with auth password only: leave it out, or log in with password")
	}
	switch i := slices.Index(e.Projects, allProjects); {
	case i < 0:
		b.checkIDs(path, e.Projects)
	case len(e.Projects) > 1:
		b.add(fmt.Sprintf("%s[%d]", path, i), "all stands for every project: write projects: all")
	}
}

func (b *builder) checkExcept(path string, e *entry) {
	switch _, given := b.lines[path]; {
	case !given:
	case e.Projects == nil:
		b.add(path, "is possible beside projects: all only: leave it out")
	case e.ids() != nil:
		b.add(path, "is possible beside projects: all only: take the projects off the list projects instead")
	case slices.Contains(e.ProjectsExcept, allProjects):
		b.add(path, "all would leave out every project: write the IDs of those to leave out")
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
	b.warn(at, "%s is not 32 hexadecimal digits as IDs of projects usually are, and would match nobody if it is a name: "+
		"write the ID that `openstack project list` shows, or keep it if that shows it", shorten(id))
}

// ids are the projects' IDs; none: all of them.
func (e *entry) ids() []string {
	if slices.Contains(e.Projects, allProjects) {
		return nil
	}
	return e.Projects
}
