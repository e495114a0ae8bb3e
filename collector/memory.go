package collector

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// memory is what a cloud's collector keeps from one collection to the next, once for all of its shards: whoever asks for
// others takes nothing from them. No answer needs it to be true: names keep labels steady, the rest decides in which order
// things are asked, and what is asked while images cannot be listed.
type memory struct {
	images   map[string]memo
	number   int      // of the last collection that ended
	projects []string // the credential's, as of the last login

	runs   uint64                 // collections that began
	views  map[string]view        // by project: what was observed, for evidence.go
	asked  map[question]time.Time // when a question was last asked that is not for each collection
	owners map[string]int         // images that the last complete listing had, by owner
	left   []leftImage            // images that are not watched any more, the latest last
}

func newMemory() memory {
	return memory{images: map[string]memo{}, views: map[string]view{}, asked: map[question]time.Time{}, owners: map[string]int{}}
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
func (m *memory) leave(l LeftImage) {
	m.left = slices.DeleteFunc(m.left, func(old leftImage) bool { return old.ID == l.ID })
	m.left = append(m.left, leftImage{l, time.Now()})
	if len(m.left) > maxLeft {
		m.left = slices.Delete(m.left, 0, len(m.left)-maxLeft)
	}
}

// lately are the images of a shard that left within the last hour, but for those that are watched again.
func (m *memory) lately(r *run) (list []LeftImage) {
	m.left = slices.DeleteFunc(m.left, func(l leftImage) bool { return age(l.at) > keepLeft || r.byID[l.ID] != nil && !r.gone(r.byID[l.ID]) })
	for _, l := range m.left {
		if r.part.shard.has(l.ID) {
			list = append(list, l.LeftImage)
		}
	}
	slices.SortFunc(list, func(a, b LeftImage) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// memo is what is remembered of an image. The zero value is nothing.
type memo struct {
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
	images   map[string]*memo
	known    map[string]*client.Image // of the images, those that were discovered
	projects []string
}

// recall returns what is remembered of configured images of a shard, and of all that were discovered.
func (m *memory) recall(shard Shard, configured []*target) *past {
	p := &past{images: make(map[string]*memo, len(configured)), known: map[string]*client.Image{}, projects: m.projects, owners: m.owners}
	for _, t := range configured {
		image := m.images[t.ID]
		p.images[t.ID], t.past = &image, &image
	}
	for id, image := range m.images {
		if _, ok := p.images[id]; !ok && image.known != nil && shard.has(id) {
			p.images[id], p.known[id] = &image, image.known
		}
	}
	return p
}

// keep forgets the images that are not watched with opts.
func (m *memory) keep(opts *Options) {
	kept := make(map[string]memo, len(m.images))
	for _, img := range opts.Images {
		if image, ok := m.images[img.ID]; ok {
			kept[img.ID] = image
		}
	}
	for id, image := range m.images {
		if image.known != nil && opts.rule(image.known, m.projects) != nil {
			kept[id] = image
		}
	}
	m.images = kept
}

// learn takes over what a finished collection found.
func (m *memory) learn(r *run) {
	m.number++
	if r.err == nil {
		m.projects = r.projects
		if r.scopesErr == nil {
			maps.DeleteFunc(m.views, func(project string, _ view) bool { return !isOwn(r.projects, project) })
		}
	}
	for id := range r.past.images {
		if r.byID[id] == nil && !m.newer(id, r) {
			delete(m.images, id)
		}
	}
	if listed := r.listedOwners(); len(listed) > 0 {
		owners := maps.Clone(m.owners)
		maps.Copy(owners, listed) // one that has none any more keeps its number, for what it had is not known to be gone yet
		m.owners = owners
	}
	for _, t := range r.targets {
		if m.newer(t.ID, r) {
			continue
		}
		if r.gone(t) {
			m.forget(t, r)
			continue
		}
		image := m.images[t.ID]
		image.learn(t, m.number, r)
		m.images[t.ID] = image
	}
}

// newer reports whether a collection that began after c, and ended before it, has read an image.
func (m *memory) newer(id string, r *run) bool { return r.id < m.images[id].run }

// forget drops an image that is gone, or that no rule takes any more.
func (m *memory) forget(t *target, r *run) {
	image, known := m.images[t.ID]
	delete(m.images, t.ID)
	if !known || image.known == nil {
		return // it was never watched
	}
	left := LeftImage{ID: t.ID, Name: r.imageName(t), Reason: Deleted, Unexpected: image.unexpected, Owner: image.known.Owner}
	if t.unmatched {
		left.Reason = Unmatched
	}
	m.leave(left)
	r.departed = append(r.departed, left)
}

// learn takes over what the image's questions brought.
func (m *memo) learn(t *target, number int, r *run) {
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
func (m *memo) learnEvidence(t *target, r *run) {
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
func (m *memo) comesLast() bool { return m.throttled > 1 && m.passed < maxPassed }

// order sorts targets in the order in which to ask: those first that were answered the longest ago, and of those that were in the
// same collection the ones that got their first 429.
func order(targets []*target) {
	slices.SortStableFunc(targets, func(a, b *target) int {
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
