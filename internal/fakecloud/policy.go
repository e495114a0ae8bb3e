package fakecloud

import "slices"

// Caller is whom a rule of Glance's policy is asked about.
type Caller struct {
	ProjectID string
	Roles     []string // with implied ones
	Admin     bool     // by ContextIsAdmin
	Own       bool     // the image is the project's; true for get_images
	// Member is project_id:%(member_id)s: the image is shared and another project's. Members see such images, and
	// administrators, for whom Glance doesn't look whether they are members.
	Member     bool
	Owner      string // of the image; "" for get_images
	Visibility string // of the image; "" for get_images
}

// HasRole tells whether the caller has a role, as role:NAME in a policy does.
func (c Caller) HasRole(role string) bool { return slices.Contains(c.Roles, role) }

// Rule decides about one image, or about the listing for get_images. It must not call the Cloud.
type Rule func(Caller) bool

// Policy are the rules of an operator's policy.yaml. A nil rule is Glance's default.
type Policy struct {
	ContextIsAdmin                             func(roles []string) bool // default: role:admin
	GetImages, GetImage, GetMembers, GetMember Rule                      // default: all that the database shows
	// ReadProjects is Keystone's identity:get_project and identity:list_projects; default: role:admin. A project's own token may
	// always read it.
	ReadProjects func(roles []string) bool
}

// SetPolicy replaces the policies, as Glance does when its file changes.
func (c *Cloud) SetPolicy(p Policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.policy = p
}

// NewDefaults are the rules of a Glance with enforce_secure_rbac, enforce_new_defaults and enforce_scope.
func NewDefaults() Policy {
	inProject := func(r Rule) Rule {
		return func(c Caller) bool { return c.ProjectID != "" && (c.HasRole("admin") || c.HasRole("reader") && r(c)) }
	}
	ofImage := inProject(func(c Caller) bool { return c.Own || c.Member })
	return Policy{
		GetImages:  inProject(func(Caller) bool { return true }),
		GetImage:   inProject(func(c Caller) bool { return c.Own || c.Visibility != "private" }),
		GetMembers: ofImage,
		GetMember:  ofImage,
	}
}

// view is a token as one request of the image API sees it.
type view struct {
	*token
	policy   Policy
	isAdmin  bool
	before25 bool
}

func (c *Cloud) view(t *token) *view {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v := &view{token: t, policy: c.policy, before25: c.before25}
	if v.isAdmin = t.admin(); v.policy.ContextIsAdmin != nil {
		v.isAdmin = v.policy.ContextIsAdmin(slices.Clone(t.roles))
	}
	return v
}

// admin hides the token's: who is an administrator of Glance is for its policy to say.
func (v *view) admin() bool { return v.isAdmin }

// mayList checks get_images, whose target is the caller's own project.
func (v *view) mayList() bool {
	return v.policy.GetImages == nil || v.policy.GetImages(Caller{
		ProjectID: v.projectID, Roles: slices.Clone(v.roles), Admin: v.isAdmin, Own: true,
	})
}

func (v *view) may(rule Rule, img *imageRecord) bool {
	if rule == nil {
		return true
	}
	own := v.projectID != "" && img.Owner == v.projectID
	return rule(Caller{
		ProjectID: v.projectID, Roles: slices.Clone(v.roles), Admin: v.isAdmin,
		Own: own, Member: !own && v.projectID != "" && img.Visibility == "shared",
		Owner: img.Owner, Visibility: img.Visibility,
	})
}

func notAuthorized(rule string) string {
	return "You are not authorized to complete " + rule + " action."
}

// notFoundText is webob's own, which a refused get_image gets wherever one is looked up.
const notFoundText = "The resource could not be found."
