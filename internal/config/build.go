package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// builder converts a decoded document to options, completes the document with the defaults, and collects the mistakes.
type builder struct {
	*walker
	doc      *document
	name     string // of the file; relative paths are relative to its directory
	problems []*problem
	warnings []*problem
	unusual  map[string]bool // IDs that have a warning

	globs      []string          // of images_files
	imageFiles []string          // that they match
	origins    map[string]origin // of the images in these, by their paths
}

func (b *builder) add(path, format string, args ...any) {
	b.problems = append(b.problems, b.problemAt(path, format, args...))
}

// warn adds a warning about something that may be right.
func (b *builder) warn(path, format string, args ...any) {
	b.warnings = append(b.warnings, b.problemAt(path, format, args...))
}

func (b *builder) problemAt(path, format string, args ...any) *problem {
	return b.locate(&problem{line: b.lineOf(path), path: path, text: fmt.Sprintf(format, args...)})
}

// warningLines returns the warnings as lines about the file name, from its top to its bottom.
func (b *builder) warningLines(name string) (lines []string) {
	slices.SortStableFunc(b.warnings, (*problem).compare)
	for _, w := range b.warnings {
		lines = append(lines, w.in(name))
	}
	return lines
}

// first returns the mistake nearest to the top of the file, else one in another file, or nil.
func (b *builder) first() *problem {
	if len(b.problems) == 0 {
		return nil
	}
	return slices.MinFunc(b.problems, (*problem).compare)
}

// sources returns the paths of the files that the document refers to or is completed by.
func (b *builder) sources() []string {
	files := slices.Clone(b.imageFiles)
	for _, f := range b.files {
		files = append(files, f.value.String())
	}
	for i := range b.doc.Clouds {
		e := &b.doc.Clouds[i]
		if e.Auth.CloudsYAML != nil {
			files = append(files, e.Auth.CloudsYAML.files()...)
		}
		files = append(files, e.HTTP.TLSConfig.CAFile, e.HTTP.TLSConfig.CertFile, e.HTTP.TLSConfig.KeyFile)
	}
	slices.Sort(files)
	return slices.DeleteFunc(slices.Compact(files), func(path string) bool { return path == "" })
}

func (b *builder) build() []Cloud {
	if len(b.doc.Clouds) == 0 {
		if _, ok := b.lines["clouds"]; ok {
			b.add("clouds", "is empty: add at least one cloud, as in %s", minimal)
		} else {
			b.add("clouds", "is required: write at least one cloud, as in %s", minimal)
		}
	}
	b.memberNames()
	b.memberGroups()
	b.resolve()
	b.scrape()
	clouds := make([]Cloud, len(b.doc.Clouds))
	names := map[string]int{}
	for i := range b.doc.Clouds {
		e := &b.doc.Clouds[i]
		clouds[i] = b.cloud(fmt.Sprintf("clouds[%d]", i), e)
		if first, ok := names[e.Name]; ok && e.Name != "" {
			b.add(fmt.Sprintf("clouds[%d].name", i), "%s is also the name of clouds[%d]: rename one of them", e.Name, first)
			continue
		}
		names[e.Name] = i
	}
	return clouds
}

// scrape checks the values for all clouds, even if every cloud overrides them.
func (b *builder) scrape() {
	b.doc.Scrape = b.doc.Scrape.or(defaultScrape())
	o := collector.DefaultOptions()
	o.Name, o.Images = "all", []collector.Image{{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64"}}
	b.doc.Scrape.apply(&o)
	b.addOption("", o.Validate())
	b.addOption("", client.Options{Settings: client.Settings{RequestsPerSecond: *b.doc.Scrape.PerSecond}, Auth: noLogin}.Validate())
}

// noLogin replaces a credential where there is none to check.
func noLogin() (gophercloud.AuthOptions, error) {
	return gophercloud.AuthOptions{}, errors.New("no credential")
}

func (b *builder) memberNames() {
	for id, name := range b.doc.MemberNames {
		path := below("member_names", id)
		switch {
		case id == "" || strings.ContainsFunc(id, unicode.IsSpace):
			b.add(path, "the key must be a project's ID, without spaces: write it as `openstack project list` shows it")
		case collector.MemberIDProblem(id) != "":
			b.add(path, "%s", collector.MemberIDProblem(id))
		case strings.TrimSpace(name) == "":
			b.add(path, "has an empty name: write the name to show for this member, or remove the line")
		}
	}
}

// resolve resolves the paths of files against the file's directory.
func (b *builder) resolve() {
	for _, f := range b.files {
		f.value.SetString(expand(filepath.Dir(b.name), f.value.String()))
	}
}

func (b *builder) cloud(path string, e *entry) Cloud {
	cred, bad := e.Auth.credential(connection{
		endpoint: e.Endpoint, region: e.Region, projects: e.Projects != nil,
		tls: tlsFiles{ca: e.HTTP.TLSConfig.CAFile, cert: e.HTTP.TLSConfig.CertFile, key: e.HTTP.TLSConfig.KeyFile},
	})
	if bad != nil {
		b.add(joinKey(path+".auth", bad.path), "%s", bad.text)
		cred.login = failed{bad} // so that the rest is checked
	}
	files := b.imagesFiles(path, e)
	b.checkEntry(path, e)
	e.Region = cmp.Or(e.Region, cred.region)
	e.Interface = cmp.Or(e.Interface, cred.iface, "public")
	e.Endpoint = cmp.Or(e.Endpoint, cred.endpoint)
	options := b.collectorOptions(path, e)
	options.ConfigHash = e.hash(&options)
	c := Cloud{
		Collector: options,
		Client: client.Options{
			Settings: client.Settings{
				API: client.API(e.API), MembersAPI: client.MembersAPI(e.MembersAPI), Projects: e.ids(), Except: e.ProjectsExcept,
				AdminRoles:        e.AdminRoles,
				RequestsPerSecond: *e.Scrape.PerSecond,
			},
			Auth: cred.auth(), Keys: cred.keys, Metadata: cred.metadata, ProjectID: cred.projectID,
			Region: e.Region, Interface: e.Interface, Endpoint: e.Endpoint,
		},
		auth: e.Auth, secrets: transportSecrets(&e.HTTP), Projects: e.Projects != nil,
		globs: e.ImagesFiles, imagesFiles: files,
	}
	b.addOption(path, c.Client.Validate())
	if e.Discover == nil || len(e.Discover) > 0 { // else rules has reported it
		b.addOption(path, c.Collector.Validate())
	}
	if b.checkHTTP(path, e) && bad == nil {
		_, given := b.lines[path+".http.tls_config"]
		cred.tls.fill(&e.HTTP.TLSConfig, !given)
		c.http = e.HTTP
		if _, err := c.NewTransport(); err != nil {
			at := path + ".auth"
			if given {
				at = path + ".http.tls_config"
			}
			b.add(at, "%s", httpProblem(err))
		}
	}
	return c
}

func (b *builder) checkEntry(path string, e *entry) {
	if _, given := b.lines[path+".members_for"]; !given {
		e.MembersFor = nil
		for _, v := range collector.DefaultMembersFor(client.API(e.API)) {
			e.MembersFor = append(e.MembersFor, string(v))
		}
	}
	if e.API == string(client.IMS) && e.MembersAPI == "" {
		e.MembersAPI = string(client.MembersV2)
	}
	if e.ScrapeVia != viaMetrics && e.ScrapeVia != viaProbe {
		b.add(path+".scrape_via", "must be metrics or probe, not %q", shorten(e.ScrapeVia))
	}
	if signs := e.Auth.AKSK != nil || e.Auth.ECSAgency != nil; signs && e.API != string(client.IMS) {
		b.add(path+".api", "must be ims, because access keys are Huawei Cloud's: write api: ims")
	}
	switch t := e.Auth.Token; {
	case e.ResolveNames && t != nil && t.AuthURL == "":
		b.add(path+".resolve_project_names", "requires a login with Keystone, which knows the names: set auth.token.auth_url, or remove it")
	case e.ResolveNames && e.Auth.None != nil:
		b.add(path+".resolve_project_names", "has no effect with auth none, which does not log in with Keystone: remove it")
	}
	b.checkProjects(path, e)
	if f := e.Auth.projectID(); f.value != "" {
		b.checkID(path+".auth."+f.key, f.value)
	}
	for i, role := range e.AdminRoles {
		if strings.TrimSpace(role) == "" {
			b.add(fmt.Sprintf("%s.admin_roles[%d]", path, i), "is empty: write the name of a role, or remove the line")
		}
	}
}

func (b *builder) collectorOptions(path string, e *entry) collector.Options {
	e.Scrape = e.Scrape.or(b.doc.Scrape)
	o := collector.Options{
		Name:          e.Name,
		API:           client.API(e.API),
		Projects:      e.Projects != nil,
		ByProbe:       e.ScrapeVia == viaProbe,
		AdminRoles:    e.AdminRoles,
		MembersLimit:  e.MembersLimit,
		MemberDetails: e.MemberDetails,
		MemberNames:   b.doc.MemberNames,
		ResolveNames:  e.ResolveNames,
	}
	e.Scrape.apply(&o)
	if e.Shards != nil {
		if o.Shards = *e.Shards; o.Shards == 0 {
			o.Shards = -1 // which is refused
		}
	}
	for _, v := range e.MembersFor {
		o.MembersFor = append(o.MembersFor, client.Visibility(v))
	}
	var defaults []collector.ExpectedMember
	if e.ExpectedMembers != nil {
		defaults = b.members(path+".expected_members", *e.ExpectedMembers)
	}
	for i := range e.Images {
		img := &e.Images[i]
		policy := b.policy(fmt.Sprintf("%s.images[%d]", path, i), img.ExpectedMembers, img.ExpectedVisibility, defaults)
		o.Images = append(o.Images, collector.Image{ID: img.ID, Name: img.Name, Policy: policy})
	}
	o.Discover = b.rules(path+".discover", e, defaults)
	if o.Inbound = b.inbound(path+".inbound", e.Inbound); o.Inbound == nil {
		e.Inbound = nil // as without the key
	}
	return o
}

// addOption adds the problem that the package of an option found.
func (b *builder) addOption(path string, err error) {
	bad, ok := errors.AsType[*client.OptionError](err)
	if !ok {
		return
	}
	at := joinKey(path, bad.Field)
	if _, ok := b.lines[at]; !ok {
		if _, ok := b.lines[bad.Field]; ok && strings.HasPrefix(bad.Field, "scrape.") {
			at = bad.Field // the value is from there
		}
	}
	b.add(at, "%s", bad.Problem)
}

// joinKey appends a relative path to a path.
func joinKey(path, key string) string {
	if key == "" {
		return path
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
