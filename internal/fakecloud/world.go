package fakecloud

import (
	"slices"
	"time"
)

type project struct {
	id, name string
	domain   string // its ID
}

type user struct {
	id, name, password string
	roles              map[string][]string // by project ID
	projects           []string            // as added
	passwordEnds       time.Time           // zero: never
	domainRoles        []string
	systemRoles        []string
}

// AppCredential is an application credential: a login bound to one project.
type AppCredential struct {
	ID, Name, Secret string
	User             string // name of the user it belongs to
	ProjectID        string
	Roles            []string     // as listed, without implied ones; default: the user's roles in the project
	AccessRules      []AccessRule // none: every request is allowed
	Unrestricted     bool         // it may make other credentials
}

// AccessRule is one request that an application credential may make of Glance. In Path, * stands for one segment and
// ** for any number of them.
type AccessRule struct {
	Method, Path string
}

// Catalog overrides what the service catalog of a token says.
type Catalog struct {
	NoImageService bool
	// ImageURL, if set, returns the image endpoint of a region and interface; "" leaves the endpoint out. The base URL
	// is what the cloud answers on, and base + "/image" its Glance.
	ImageURL func(region, iface, base string) string
	// ImageURLs, if set, takes ImageURL's place and returns any number of them, in the order of the catalog: the first of
	// each region and interface is an endpoint of one service of type image, the second of a second service.
	ImageURLs func(region, iface, base string) []string
}

// SetCatalog changes the catalog of all tokens asked for from now on.
func (c *Cloud) SetCatalog(cat Catalog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catalog = cat
}

// AddProject adds a project and returns its ID.
func (c *Cloud) AddProject(name string) (id string) {
	id = hexID()
	c.AddProjectID(id, name)
	return id
}

// AddProjectID adds a project with a given ID, or renames the one that has it.
func (c *Cloud) AddProjectID(id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.projects[id] = &project{id: id, name: name, domain: "default"}
}

// AddProjectIn adds a project with a given ID to a domain other than Default.
func (c *Cloud) AddProjectIn(domainID, id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.projects[id] = &project{id: id, name: name, domain: domainID}
}

// Enable enables or disables a project or a domain, by its ID. As at Keystone, tokens for such a project are not valid while
// it is disabled, and the list of a user's projects shows whether a project is enabled, but not whether its domain is.
func (c *Cloud) Enable(id string, enabled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disabled[id] = !enabled
}

// whyDisabled says what of a token's scope is disabled, or nothing. The caller holds the lock.
func (c *Cloud) whyDisabled(t *token) string {
	p := c.projects[t.projectID]
	switch {
	case t.scope != projectScope || p == nil:
		return ""
	case c.disabled[p.domain]:
		return "domain " + p.domain
	case c.disabled[p.id]:
		return "project " + p.id
	}
	return ""
}

// AddUser adds a user of the domain Default with roles in a project (default: member). Called again for the same name
// it adds a role assignment and replaces the password. An empty projectID adds no assignment. The user has no default
// project: a login without a scope gets an unscoped token. Its ID is always the same.
func (c *Cloud) AddUser(name, password, projectID string, roles ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[name]
	if u == nil {
		u = &user{id: stableID("user", name), name: name, roles: map[string][]string{}}
		c.users[name] = u
	}
	u.password = password
	if projectID == "" {
		return
	}
	if len(roles) == 0 {
		roles = []string{"member"}
	}
	if _, ok := u.roles[projectID]; !ok {
		u.projects = append(u.projects, projectID)
	}
	u.roles[projectID] = roles
}

// SetPasswordEnd lets a user's password end at a time, as the security settings of a cloud may want it. The cloud only tells.
func (c *Cloud) SetPasswordEnd(name string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.users[name]; u != nil {
		u.passwordEnds = at
	}
}

// AddDomainRole gives a user roles in the domain Default, so that it may ask for a domain-scoped token.
func (c *Cloud) AddDomainRole(name string, roles ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.users[name]; u != nil {
		u.domainRoles = roles
	}
}

// AddSystemRole gives a user roles in the system, so that it may ask for a system-scoped token.
func (c *Cloud) AddSystemRole(name string, roles ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u := c.users[name]; u != nil {
		u.systemRoles = roles
	}
}

// AddAppCredential adds an application credential, or replaces the one with its ID. An empty ID is filled in.
func (c *Cloud) AddAppCredential(a AppCredential) (id string) {
	if a.ID == "" {
		a.ID = hexID()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appCreds[a.ID] = &a
	return a.ID
}

// Member is a row of an image's members list.
type Member struct {
	MemberID  string // normally a project ID; Glance doesn't check
	Type      string // project, domain or organization; IMS only, and "" is a project
	Status    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

type memberRecord struct {
	Member
	deleted bool
}

// Share adds a member, pending. As in Glance, one that was removed before keeps its created_at and its place in the
// list, and one that is a member already stays as it is (the API would answer 409).
func (c *Cloud) Share(imageID, memberID string) {
	now := c.opts.Now()
	c.withImage(imageID, func(img *imageRecord) {
		m := img.member(memberID)
		if m == nil {
			m = &memberRecord{Member: Member{MemberID: memberID, CreatedAt: now}, deleted: true}
			img.members = append(img.members, m)
		}
		if m.deleted {
			m.deleted, m.Status, m.UpdatedAt = false, "pending", now
		}
	})
}

// AddMember adds a row as it is, even where Glance would never have it: a member twice, without an ID, with an
// unknown status.
func (c *Cloud) AddMember(imageID string, m Member) {
	c.withImage(imageID, func(img *imageRecord) {
		img.members = append(img.members, &memberRecord{Member: m})
	})
}

// SetStatus changes a member's status to any string. Setting the same status again doesn't move updated_at.
func (c *Cloud) SetStatus(imageID, memberID, status string) {
	now := c.opts.Now()
	c.withImage(imageID, func(img *imageRecord) {
		if m := img.member(memberID); m != nil && !m.deleted && m.Status != status {
			m.Status, m.UpdatedAt = status, now
		}
	})
}

// Unshare removes a member.
func (c *Cloud) Unshare(imageID, memberID string) {
	now := c.opts.Now()
	c.withImage(imageID, func(img *imageRecord) {
		if m := img.member(memberID); m != nil && !m.deleted {
			m.deleted, m.UpdatedAt = true, now
		}
	})
}

// Members returns an image's members as they are, whatever its visibility: the truth that tests compare with.
func (c *Cloud) Members(imageID string) []Member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.images[imageID]
	if img == nil {
		return nil
	}
	var out []Member
	for _, m := range img.members {
		if !m.deleted {
			out = append(out, m.Member)
		}
	}
	return out
}

// Images returns the records of all images, as created: the truth that tests compare with.
func (c *Cloud) Images() []Image {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]Image, len(c.order))
	for i, img := range c.order {
		out[i] = img.Image
	}
	return out
}

func (c *Cloud) withImage(id string, f func(*imageRecord)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if img := c.images[id]; img != nil {
		f(img)
	}
}

func (img *imageRecord) member(id string) *memberRecord {
	if i := slices.IndexFunc(img.members, func(m *memberRecord) bool { return m.MemberID == id }); i >= 0 {
		return img.members[i]
	}
	return nil
}

// hasMember tells whether a project is a member with a status that counts; "all" counts every one.
func (img *imageRecord) hasMember(projectID, status string) bool {
	return slices.ContainsFunc(img.members, func(m *memberRecord) bool {
		return !m.deleted && m.MemberID == projectID && (status == "all" || m.Status == status)
	})
}
