package collector

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"glance_share_exporter/client"
)

// History is what the runs of a cloud leave for later ones, once for all of its shards, and for the cloud that takes its place after a
// reload. It has observations with their times and no judgement of them: no answer needs it to be true. Names keep labels steady, views
// and lists are evidence as long as evidence.go accepts it, and the rest decides in which order things are asked, and what is asked
// while images cannot be listed.
type History struct {
	mu       sync.Mutex
	opts     *Options                // at work; runs with others add what they observed of views, and nothing of images
	runs     uint64                  // that began
	ended    int                     // number of the last run that ended
	projects []string                // the credential's, as of the last login
	images   map[string]imageHistory // by ID
	views    map[string]view         // by project: what was observed, for evidence.go
	asked    map[question]time.Time  // when a question was last asked that is not for each run
	owners   map[string]int          // images that the last complete listing had, by owner; replaced, never changed
	left     []leftImage             // images that are not watched any more, the latest last
	readings map[string]reading      // of images that may be shown as they were read before, by ID; replaced, never changed
	inbound  *inboundHistory         // replaced, never changed
	sweep    *sweep                  // nil: none
	listing  *listing                // a sweep that is under way; nil: none is
}

func newHistory(opts *Options) *History {
	return &History{
		opts: opts, images: map[string]imageHistory{}, views: map[string]view{}, asked: map[question]time.Time{},
		owners: map[string]int{}, inbound: &inboundHistory{},
	}
}

// begin numbers a run and gives it what it needs of earlier ones.
func (h *History) begin(r *run) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs++
	r.id = h.runs
	for project, v := range h.views {
		r.views[project] = &v
	}
	r.past, r.readings, r.inboundPast = h.recall(r.part.shard, r.images), h.readings, h.inbound
}

// exchange takes over what a run observed of views, and lets it know what others did.
func (h *History) exchange(r *run) {
	r.note()
	h.mu.Lock()
	defer h.mu.Unlock()
	for project, v := range r.views {
		kept, ok := h.views[project]
		switch {
		case !ok || !kept.is(&v.access) && v.entered > kept.entered:
			kept = *v
		default:
			kept.merge(v)
		}
		h.views[project] = kept
		v.merge(&kept)
	}
}

// learn takes over what a run found that has ended.
func (h *History) learn(r *run) {
	h.swept(r, nil) // if it was to list for others, and did not come to its end
	h.exchange(r)
	r.noted = true
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sweep != nil && h.sweep.run == r.id {
		listed := *h.sweep
		listed.views = r.frozen()
		h.sweep = &listed
	}
	if r.opts != h.opts {
		return
	}
	h.learnImages(r)
	h.inbound = h.inbound.learn(r)
	h.readings = r.nextReadings(h.readings)
}

// keep forgets the images that are not watched with other options, which are at work from now on.
func (h *History) keep(opts *Options) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := make(map[string]imageHistory, len(h.images))
	for _, img := range opts.Images {
		if image, ok := h.images[img.ID]; ok {
			kept[img.ID] = image
		}
	}
	for id, image := range h.images {
		if image.known != nil && opts.rule(image.known, h.projects) != nil {
			kept[id] = image
		}
	}
	h.opts, h.images, h.inbound = opts, kept, h.inbound.keep(opts)
	if opts.RefreshInterval == 0 {
		h.readings = nil
	}
}

// leftImage is an image that is not watched any more, though the configuration is the same.
type leftImage struct {
	LeftImage
	at time.Time
}

const (
	keepLeft = time.Hour
	maxLeft  = 1000
)

// leave notes an image that is not watched any more.
func (h *History) leave(l LeftImage) {
	h.left = slices.DeleteFunc(h.left, func(old leftImage) bool { return old.ID == l.ID })
	h.left = append(h.left, leftImage{l, time.Now()})
	if len(h.left) > maxLeft {
		h.left = slices.Delete(h.left, 0, len(h.left)-maxLeft)
	}
}

// lately are the images of a run's shard that left within the last hour, but for those that are watched again.
func (h *History) lately(r *run) (list []LeftImage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = slices.DeleteFunc(h.left, func(l leftImage) bool { return age(l.at) > keepLeft || r.byID[l.ID] != nil && !r.gone(r.byID[l.ID]) })
	for _, l := range h.left {
		if r.part.shard.has(l.ID) {
			list = append(list, l.LeftImage)
		}
	}
	slices.SortFunc(list, func(a, b LeftImage) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// leftSince are the IDs of the images that are not watched any more since a time.
func (h *History) leftSince(began time.Time) map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]bool{}
	for _, l := range h.left {
		if l.at.After(began) {
			ids[l.ID] = true
		}
	}
	return ids
}

// imageHistory is what is remembered of an image. The zero value is nothing.
type imageHistory struct {
	name      string
	named     bool          // a record was read
	met       bool          // a question for the record was answered, with or without one
	last      *client.Image // the last record that was read; nil: none was
	endpoint  string        // of the image API that it was last seen at
	hung      bool          // no answer in time, when it was last asked
	answered  int           // number of the last collection in which the question for members had an answer
	throttled int           // answers to it in a row that were a 429 with a Retry-After
	passed    int           // collections since the last of them in which it was not asked
	run       uint64        // the newest collection that it learned an answer from
	known     *client.Image // the last record that was read of an image that was discovered; nil: it was not

	// For evidence.go.
	foreign     *foreignList // nil: none
	rowsDespite bool         // members were listed, though the visibility has none, and no answer has ended that
	former      string       // the ID of a member of the list that was last read; empty: it had none
	emptied     observation  // when the list was first empty after that
	checked     observation  // when the probe on this image showed that rows are visible
	refused     observation  // when the probe on this image was refused
	missed      missing      // when the image API first said that there is no such image
	unexpected  bool         // an unexpected member was seen when the list was last read
	hadRow      bool         // it ever had a member
	since       time.Time    // when it was first watched
}

// missing is a collection in which an image was not found.
type missing struct{ began, end time.Time }

// before reports whether a collection that began at a time is another look, and not the same one (E15).
func (m missing) before(began time.Time) bool {
	return !m.began.IsZero() && !began.Before(m.end) && between(m.began, began) >= leastBetweenLooks
}

const leastBetweenLooks = 10 * time.Second

// past is what earlier collections left of a shard's images. It does not change.
type past struct {
	owners   map[string]int // replaced, never changed
	images   map[string]*imageHistory
	known    map[string]*client.Image // of the images, those that were discovered
	projects []string
}

// recall returns what is remembered of configured images of a shard, and of all that were discovered. The history is locked.
func (h *History) recall(shard Shard, configured []*image) *past {
	p := &past{images: make(map[string]*imageHistory, len(configured)), known: map[string]*client.Image{}, projects: h.projects, owners: h.owners}
	for _, t := range configured {
		image := h.images[t.ID]
		p.images[t.ID], t.past = &image, &image
	}
	for id, image := range h.images {
		if _, ok := p.images[id]; !ok && image.known != nil && shard.has(id) {
			p.images[id], p.known[id] = &image, image.known
		}
	}
	return p
}

// learnImages takes over what a run found of images. The history is locked.
func (h *History) learnImages(r *run) {
	h.ended++
	if r.err == nil {
		h.projects = r.projects
		if r.scopesErr == nil {
			maps.DeleteFunc(h.views, func(project string, _ view) bool { return !isOwn(r.projects, project) })
		}
	}
	for id := range r.past.images {
		if r.byID[id] == nil && !h.newer(id, r) {
			delete(h.images, id)
		}
	}
	if listed := r.listedOwners(); len(listed) > 0 {
		owners := maps.Clone(h.owners)
		maps.Copy(owners, listed) // one that has none any more keeps its number, for what it had is not known to be gone yet
		h.owners = owners
	}
	for _, t := range r.images {
		if h.newer(t.ID, r) {
			continue
		}
		if r.gone(t) {
			h.forget(t, r)
			continue
		}
		image := h.images[t.ID]
		image.learn(t, h.ended, r)
		h.images[t.ID] = image
	}
}

// newer reports whether a run that began after r, and ended before it, has read an image.
func (h *History) newer(id string, r *run) bool { return r.id < h.images[id].run }

// forget drops an image that is gone, or that no rule takes any more.
func (h *History) forget(t *image, r *run) {
	image, known := h.images[t.ID]
	delete(h.images, t.ID)
	if !known || image.known == nil {
		return // it was never watched
	}
	left := LeftImage{ID: t.ID, Name: r.imageName(t), Reason: Deleted, Unexpected: image.unexpected, Owner: image.known.Owner}
	if t.unmatched {
		left.Reason = Unmatched
	}
	h.leave(left)
	r.departed = append(r.departed, left)
}

// learn takes over what the image's questions brought.
func (m *imageHistory) learn(t *image, number int, r *run) {
	m.learnEvidence(t, r)
	if t.membersRead || t.record != nil {
		m.run = r.id
	}
	m.hadRow = m.hadRow || len(t.members.Members) > 0
	if m.since.IsZero() {
		m.since = r.start
	}
	switch {
	case !t.discovered:
		m.known = nil
	case t.record != nil:
		m.known = t.record
	case t.swept != nil:
		record := *t.swept // alone: the sweep's others need not stay
		m.known = &record
	}
	if t.record != nil {
		if !m.named {
			m.name, m.named = t.record.Name, true
		}
		m.last = t.record
	}
	m.met = m.met || t.record != nil || t.recordErr != nil && !notAsked(t.recordErr)
	timeout := code(t.membersErr) == client.CodeTimeout
	hung := timeout && !t.late
	cutOff := notAsked(t.membersErr) || code(t.membersErr) == client.CodeCanceled || timeout
	switch {
	case r.hasNoMembers(t):
		m.hung, m.answered, m.throttled, m.passed = false, number, 0, 0
	case cutOff || r.err != nil || !t.membersRead && t.membersErr == nil:
		m.hung = m.hung || hung
		m.passed++
	case imageStatus(t.membersErr) != statusTooManyRequests:
		m.hung, m.answered, m.throttled, m.passed = false, number, 0, 0
	case asksForPause(t.membersErr):
		m.hung, m.answered, m.passed = false, number, 0
		m.throttled++
	default:
		m.hung = false // and it is as if it had not been asked
	}
}

// learnEvidence takes over what the next collection needs to judge the image.
func (m *imageHistory) learnEvidence(t *image, r *run) {
	e := r.evidence(t)
	v := e.verdict()
	if t.record != nil || t.membersRead {
		m.endpoint, m.missed = r.endpointOf(e.view.project), missing{}
	} else if r.missed(t) && m.missed.began.IsZero() {
		m.missed = missing{r.start, time.Now()}
	}
	if foreign := e.foreign(t.membersEnd.at); foreign != nil || v == allMembers {
		m.foreign = foreign
	}
	if t.checked.made() {
		m.checked = t.checked
	}
	m.refused = m.refused.later(t.refused)
	if e.forbidden {
		m.rowsDespite = false
	}
	switch {
	case !t.membersRead:
	case len(t.members.Members) > 0:
		m.rowsDespite = e.applies() != membersYes
		m.former, m.emptied, m.refused = formerMember(t.members.Members), observation{}, observation{}
	case v != unproven:
		m.rowsDespite, m.former, m.emptied, m.refused = false, "", observation{}, observation{}
	case m.former != "" && !m.emptied.made():
		m.emptied = e.list
	}
	if v != notRead && v != unproven {
		img := ImageSnapshot{Policy: t.Policy, Members: t.members.Members}
		m.unexpected = v != noMembers && img.Unexpected() > 0
	}
}

// formerMember is a member to ask for when the list is empty. What is no ID of Keystone's is not put in a URL.
func formerMember(members []client.Member) string {
	for i := range members {
		if hexID.MatchString(members[i].ID) {
			return members[i].ID
		}
	}
	return anyMember
}

// anyMember stands for one that has no ID to ask for.
const anyMember = "*"

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// asksForPause reports whether an answer has a Retry-After.
func asksForPause(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.RetryAfter > 0
}

// maxPassed is how many collections in a row may pass an image by because it comes last.
const maxPassed = 3

// comesLast reports whether an image comes after all others. One that gets a 429 each time is not worth the pause that two of
// them begin for all. A first 429 may be for what others asked.
func (m *imageHistory) comesLast() bool { return m.throttled > 1 && m.passed < maxPassed }

// order sorts targets in the order in which to ask: those first that were answered the longest ago, and of those that were in the
// same collection the ones that got their first 429.
func order(targets []*image) {
	slices.SortStableFunc(targets, func(a, b *image) int {
		one, other := a.past, b.past
		return cmp.Or(
			compareBools(one.comesLast(), other.comesLast()), cmp.Compare(one.answered, other.answered), compareBools(other.throttled == 1, one.throttled == 1),
		)
	})
}

// compareBools is cmp.Compare with false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
