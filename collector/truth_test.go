package collector_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// truth is a random world as it is, beside the fake cloud that serves it.
type truth struct {
	*rand.Rand
	world        *fakecloud.Cloud
	user         string
	project      string // the user's
	claimed      string // the project that the configuration names; the same but for a wrong project_id
	noAuth       bool   // a proxy authenticates, so nothing confirms the project
	before25     bool
	maxPage      int
	opts         collector.Options
	meddler      *meddler
	twoEndpoints bool
	cached       bool // a cache is in front of the image API

	notesMu sync.Mutex
	notes   map[string]int // what occurred

	mu      sync.Mutex
	images  map[string]*fakecloud.Image
	policy  fakecloud.Policy
	auditor bool     // the user has this role too
	states  []*state // of the round

	// From round to round:
	began       time.Time
	known       map[string]bool              // discovered, and not gone since
	missed      map[string]time.Time         // when a round began in which the API itself said that a known image is not there
	rowsShown   map[string]bool              // the image's list had rows when it was last shown as read
	inboundSeen map[string][]fakecloud.Image // what listings may have said of an inbound image
	lastProof   map[string]time.Time         // when rows, or everything, could last be seen
	changed     map[string]bool              // images that changed inside the round
}

// state is the world at one moment.
type state struct {
	*truth
	at      time.Time // when it began
	images  map[string]*fakecloud.Image
	members map[string][]fakecloud.Member
	policy  fakecloud.Policy
	roles   []string
}

const adminProject = "ad314dd314dd314dd314dd314dd314dd"

var (
	everyProject    = []string{producer, consumerA, consumerB, consumerC, adminProject}
	everyVisibility = []string{"shared", "shared", "shared", "private", "community", "public", "friends"}
	everyStatus     = []string{"accepted", "accepted", "pending", "rejected", "weird", ""}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func newTruth(seed uint64) *truth {
	r := &truth{
		Rand:        rand.New(rand.NewPCG(seed, 1)),
		images:      map[string]*fakecloud.Image{},
		known:       map[string]bool{},
		notes:       map[string]int{},
		missed:      map[string]time.Time{},
		rowsShown:   map[string]bool{},
		inboundSeen: map[string][]fakecloud.Image{},
		lastProof:   map[string]time.Time{},
	}
	r.maxPage = pick(r.Rand, []int{1, 2, 3, 4, 1000, 1000})
	r.world = newWorldWith(fakecloud.Options{MaxPageSize: r.maxPage})
	for _, id := range []string{shared, empty, private, community, public, hidden} {
		r.world.RemoveImage(id)
	}
	r.user, r.project = "producer", producer
	switch r.IntN(4) {
	case 0:
		r.user, r.project = "admin", adminProject
	case 1:
		r.user, r.project = "consumer-a", consumerA
	}
	r.claimed = r.project
	if r.IntN(6) == 0 {
		r.noAuth = true
		if r.IntN(3) == 0 {
			r.claimed = pick(r.Rand, []string{producer, consumerA, consumerB})
		}
	}
	if r.before25 = r.IntN(8) == 0; r.before25 {
		r.world.SetBefore25(true)
	}
	for range r.IntN(12) {
		r.addImage()
	}
	if r.IntN(2) == 0 {
		r.changeRights()
	}
	r.meddler = newMeddler(r, seed)
	r.drawOptions()
	return r
}

func (r *truth) drawOptions() {
	r.opts = options()
	r.opts.Concurrency = 1 + r.IntN(8)
	r.opts.RequestTimeout = pick(r.Rand, []time.Duration{0, 0, 300 * time.Millisecond, 3 * time.Second})
	r.opts.MemberDetails = r.IntN(5) > 0
	if r.IntN(3) == 0 {
		r.opts.AdminRoles = append(r.opts.AdminRoles, "auditor")
	}
	for _, id := range r.ids() {
		if r.IntN(2) == 0 {
			r.opts.Images = append(r.opts.Images, collector.Image{ID: id, Policy: r.expected()})
		}
	}
	if len(r.opts.Images) == 0 || r.IntN(3) == 0 {
		r.opts.Images = append(r.opts.Images, collector.Image{ID: absent, Policy: r.expected()})
	}
	rules := []collector.Rule{
		{Tags: []string{"a"}},
		{Visibility: []client.Visibility{client.Shared}},
		{Name: "golden-*"},
		{Owners: []string{collector.AllOwners}},
		{Owners: []string{consumerB}},
		{},
	}
	for i := range r.IntN(3) {
		rule := rules[2*i+r.IntN(2)]
		rule.Policy = r.expected()
		r.opts.Discover = append(r.opts.Discover, rule)
	}
	if len(r.opts.Discover) > 0 && r.IntN(4) == 0 {
		r.opts.Discover = slices.Insert(r.opts.Discover, 0, skip(collector.Rule{Tags: []string{"b"}}))
	}
	if r.IntN(2) == 0 {
		r.opts.Inbound = &collector.Inbound{Owners: r.expected().Members}
	}
}

func (r *truth) ids() []string { return slices.Sorted(maps.Keys(r.images)) }

func (r *truth) expected() (p collector.Policy) {
	if r.IntN(2) == 0 {
		p = collector.Policy{Members: expect(everyProject[:r.IntN(3)]...)}
	}
	return p
}

func (r *truth) addImage() {
	img := &fakecloud.Image{
		ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32()), Owner: r.owner(r.Rand),
		Status: pick(r.Rand, []string{"active", "deactivated", "queued"}), CreatedAt: t0.Add(time.Duration(r.IntN(9)) * time.Hour),
	}
	if r.IntN(4) == 0 {
		img.Properties = map[string]string{
			pick(r.Rand, []string{"Visibility", "TAGS", "Owner", "OS_HIDDEN", "os_distro"}): pick(r.Rand, everyVisibility),
		}
	}
	r.changeRecord(img)
	r.world.AddImage(*img)
	r.images[img.ID] = img
	for range r.IntN(5) {
		r.changeMembers(r.Rand, img.ID)
	}
}

func (r *truth) owner(rnd *rand.Rand) string {
	return pick(rnd, append(everyProject, r.project, r.project, r.project, ""))
}

func (r *truth) changeRecord(img *fakecloud.Image) {
	img.Visibility, img.Hidden, img.Tags = pick(r.Rand, everyVisibility), r.IntN(4) == 0 && !r.before25, nil
	img.Name = pick(r.Rand, []string{"golden-" + strconv.Itoa(r.IntN(9)), "a\"b\\c\nd", "ü", ""})
	for _, tag := range []string{"a", "b"} {
		if r.IntN(2) == 0 {
			img.Tags = append(img.Tags, tag)
		}
	}
}

func (r *truth) changeMembers(rnd *rand.Rand, image string) {
	id := pick(rnd, append(everyProject, "nobody we know", "\"}\\\n~")) // one beyond ASCII proves nothing of an administrator
	switch rnd.IntN(8) {
	case 0, 1, 2:
		r.world.Share(image, id)
	case 3, 4:
		r.world.SetStatus(image, id, pick(rnd, everyStatus))
	case 5:
		r.world.Unshare(image, id)
	case 6: // as Glance would never have it
		r.world.AddMember(image,
			fakecloud.Member{MemberID: pick(rnd, []string{id, ""}), Status: pick(rnd, everyStatus), CreatedAt: t0, UpdatedAt: t0})
	}
}

// change makes the world another one, between two rounds.
func (r *truth) change() {
	for _, id := range r.ids() {
		switch r.IntN(14) {
		case 0:
			r.world.RemoveImage(id)
			delete(r.images, id)
		case 1, 2:
			r.changeRecord(r.images[id])
			r.world.SetImage(id, func(img *fakecloud.Image) { *img = *r.images[id] })
		case 3, 4, 5, 6:
			r.changeMembers(r.Rand, id)
		case 7:
			r.note("owner changed between rounds")
			r.images[id].Owner = r.owner(r.Rand)
			r.world.SetImage(id, func(img *fakecloud.Image) { img.Owner = r.images[id].Owner })
		case 8:
			r.note("emptied")
			for _, m := range r.world.Members(id) {
				r.world.Unshare(id, m.MemberID)
			}
		}
	}
	for range r.IntN(3) {
		r.addImage()
	}
	if r.IntN(4) == 0 {
		r.changeRights()
	}
}

// changeInside changes one image before a request that is about it. Each image changes at most once in a round: two changes
// of which the second undoes what the first did to a record cannot be noticed.
func (r *truth) changeInside(rnd *rand.Rand, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	img := r.images[id]
	if img == nil || r.changed[id] {
		return
	}
	r.changed[id] = true
	switch rnd.IntN(6) {
	case 0:
		r.note("removed inside a round")
		r.world.RemoveImage(id)
		delete(r.images, id)
	case 1, 2:
		r.note("owner changed inside a round")
		img.Owner = r.owner(rnd)
		r.world.SetImage(id, func(i *fakecloud.Image) { i.Owner = img.Owner })
	case 3:
		r.note("visibility changed inside a round")
		img.Visibility = pick(rnd, everyVisibility)
		r.world.SetImage(id, func(i *fakecloud.Image) { i.Visibility = img.Visibility })
	default:
		r.note("members changed inside a round")
		r.changeMembers(rnd, id)
	}
	r.states = append(r.states, r.now())
}

// changeRights draws the operator's policies and the user's roles anew.
func (r *truth) changeRights() {
	rule := func(name string) fakecloud.Rule {
		if r.IntN(3) > 0 {
			return nil
		}
		r.note("policy " + name)
		role, own, others := pick(r.Rand, []string{"auditor", "admin", "nobody"}), r.IntN(2) == 0, r.IntN(2) == 0
		return func(c fakecloud.Caller) bool { return c.HasRole(role) || c.Own && own || !c.Own && others }
	}
	r.policy = fakecloud.Policy{}
	switch r.IntN(8) {
	case 0:
		r.note("policy new defaults")
		r.policy = fakecloud.NewDefaults()
	case 1, 2, 3:
		r.policy.GetMember = rule("get_member")
	case 4, 5:
		r.policy = fakecloud.Policy{
			GetMember:  rule("get_member"),
			GetMembers: rule("get_members"),
			GetImage:   rule("get_image"),
			GetImages:  rule("get_images"),
		}
	}
	if r.IntN(3) == 0 {
		r.note("policy context_is_admin")
		role := pick(r.Rand, []string{"auditor", "auditor", "member", "nobody"})
		r.policy.ContextIsAdmin = func(roles []string) bool { return slices.Contains(roles, role) }
	}
	r.world.SetPolicy(r.policy)
	if r.IntN(3) > 0 {
		return
	}
	r.note("roles changed")
	r.auditor = !r.auditor
	r.world.AddUser(r.user, r.user+"-secret", r.project, r.baseRoles()...)
	r.world.RevokeTokens() // the old ones have the old roles
	if !r.noAuth {
		clear(r.lastProof) // another view
	}
}

func (r *truth) baseRoles() []string {
	roles := []string{"member", "reader"}
	if r.user == "admin" {
		roles = []string{"admin", "member", "reader"}
	}
	if r.auditor {
		roles = append(roles, "auditor")
	}
	return roles
}

// adminRole is whether the user has one of admin_roles, which proves nothing. Nothing tells the roles that a proxy has.
func (r *truth) adminRole() bool {
	return !r.noAuth && slices.ContainsFunc(r.baseRoles(), func(role string) bool { return slices.Contains(r.opts.AdminRoles, role) })
}

// now is the world's state. The caller holds mu.
func (r *truth) now() *state {
	s := &state{
		truth:   r,
		at:      time.Now(),
		images:  map[string]*fakecloud.Image{},
		members: map[string][]fakecloud.Member{},
		policy:  r.policy,
		roles:   r.baseRoles(),
	}
	for id, img := range r.images {
		i := *img
		s.images[id], s.members[id] = &i, r.world.Members(id)
	}
	return s
}

// moments are the states of the round until now.
func (r *truth) moments() []*state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.states)
}

// note counts something that occurred.
func (r *truth) note(what string) {
	r.notesMu.Lock()
	defer r.notesMu.Unlock()
	r.notes[what]++
}

// admin is whether the user is an administrator of Glance.
func (s *state) admin() bool {
	if s.policy.ContextIsAdmin != nil {
		return s.policy.ContextIsAdmin(s.roles)
	}
	return slices.Contains(s.roles, "admin")
}

// may is what a rule says of an image.
func (s *state) may(rule fakecloud.Rule, img *fakecloud.Image) bool {
	own := img.Owner == s.project
	return rule == nil || rule(fakecloud.Caller{
		ProjectID:  s.project,
		Roles:      s.roles,
		Admin:      s.admin(),
		Own:        own,
		Member:     !own && img.Visibility == "shared",
		Owner:      img.Owner,
		Visibility: img.Visibility,
	})
}

func (s *state) mayList() bool {
	return s.policy.GetImages == nil ||
		s.policy.GetImages(fakecloud.Caller{ProjectID: s.project, Roles: s.roles, Admin: s.admin(), Own: true})
}

// visibility is an image's, as the API shows it.
func (s *state) visibility(img *fakecloud.Image) string {
	if s.before25 && img.Visibility != "public" {
		return "private"
	}
	return img.Visibility
}

// hasMembers is whether members of the image have access.
func (s *state) hasMembers(img *fakecloud.Image) bool {
	return img.Visibility == "shared" || s.before25 && img.Visibility != "public"
}

// exists is whether the database shows the image to the user.
func (s *state) exists(img *fakecloud.Image) bool {
	isMember := slices.ContainsFunc(s.members[img.ID], func(m fakecloud.Member) bool { return m.MemberID == s.project })
	v := s.visibility(img)
	return s.owned(img) || img.Owner == "" || v == "public" || v == "community" || s.hasMembers(img) && isMember
}

// recorded is whether the user can get the image's record: before 2.5 no policy leaves it out of a listing.
func (s *state) recorded(img *fakecloud.Image) bool {
	return s.exists(img) && (s.before25 || s.visible(img))
}

// visible is whether the policies show the image to the user, too.
func (s *state) visible(img *fakecloud.Image) bool {
	return s.exists(img) && s.may(s.policy.GetImage, img)
}

// owned is whether the user's view of the members is complete, but for policies.
func (s *state) owned(img *fakecloud.Image) bool { return s.admin() || img.Owner == s.project }

// rowsHidden is whether the policies hide the rows of the list.
func (s *state) rowsHidden(img *fakecloud.Image) bool {
	return !s.before25 && !s.may(s.policy.GetMember, img)
}

// rows are the rows of the image's list that the user gets.
func (s *state) rows(img *fakecloud.Image) []fakecloud.Member {
	if s.rowsHidden(img) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.members[img.ID]),
		func(m fakecloud.Member) bool { return !s.owned(img) && m.MemberID != s.project })
}

// discoverable are the images that the rules take.
func (s *state) discoverable() (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(s.images)) {
		if rule := s.rule(id); rule != nil && !rule.Skip {
			ids = append(ids, id)
		}
	}
	return ids
}

// rule is the first rule that matches an image, or nil.
func (s *state) rule(id string) *collector.Rule {
	i := slices.IndexFunc(s.opts.Discover, func(rule collector.Rule) bool { return s.takes(rule, s.images[id]) })
	if i < 0 {
		return nil
	}
	return &s.opts.Discover[i]
}

// skipped are the images that a rule leaves out.
func (s *state) skipped() (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(s.images)) {
		configured := slices.ContainsFunc(s.opts.Images, func(img collector.Image) bool { return img.ID == id })
		if rule := s.rule(id); !configured && rule != nil && rule.Skip {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *state) takes(rule collector.Rule, img *fakecloud.Image) bool {
	for _, tag := range rule.Tags {
		if !slices.Contains(img.Tags, tag) {
			return false
		}
	}
	byOwner := len(rule.Owners) == 0 && img.Owner == s.claimed ||
		len(rule.Owners) > 0 && (rule.Owners[0] == img.Owner || rule.Owners[0] == collector.AllOwners) && s.adminRole()
	return byOwner && (rule.Name == "" || strings.HasPrefix(img.Name, "golden-")) &&
		(len(rule.Visibility) == 0 || string(rule.Visibility[0]) == s.visibility(img))
}

// inbound are the images that others share with the project, with the status of it.
func (s *state) inbound() map[string]string {
	inbound := map[string]string{}
	for id, img := range s.images {
		if !s.hasMembers(img) || img.Owner == s.claimed {
			continue
		}
		if byID, _ := strongest(s.members[id]); byID[s.claimed] != "" {
			inbound[id] = byID[s.claimed]
		}
	}
	return inbound
}

// strongest is the strongest status of each member by its ID, and the statuses of the rows that have none.
func strongest(rows []fakecloud.Member) (byID map[string]string, nameless []string) {
	byID = map[string]string{}
	strength := []string{"unknown", "rejected", "pending", "accepted"}
	for _, m := range rows {
		status := m.Status
		if !slices.Contains(strength, status) {
			status = "unknown"
		}
		switch {
		case m.MemberID == "":
			nameless = append(nameless, status)
		case slices.Index(strength, status) >= slices.Index(strength, byID[m.MemberID]):
			byID[m.MemberID] = status
		}
	}
	return byID, nameless
}
