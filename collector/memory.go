package collector

import (
	"cmp"
	"errors"
	"slices"

	"glance_share_exporter/client"
)

// memory is what a cloud's collector keeps from one collection to the next, once for all of its shards: whoever asks for
// others takes nothing from them. No answer needs it to be true: names keep labels steady, the rest decides in which order
// things are asked, and what is asked while images cannot be listed.
type memory struct {
	images   map[string]memo
	number   int      // of the last collection
	projects []string // the credential's, as of the last login
}

// memo is what is remembered of an image. The zero value is nothing.
type memo struct {
	name       string
	named      bool // a record was read
	visibility client.Visibility
	hung       bool          // no answer in time, when it was last asked
	answered   int           // number of the last collection in which the question for members had an answer
	throttled  int           // answers to it in a row that were a 429 with a Retry-After
	passed     int           // collections since the last of them in which it was not asked
	known      *client.Image // the last record that was read of an image that was discovered; nil: it was not
}

// past is what earlier collections left of a shard's images. It does not change.
type past struct {
	images   map[string]memo
	known    map[string]*client.Image // of the images, those that were discovered
	projects []string
}

// recall returns what is remembered of configured images of a shard, and of all that were discovered.
func (m *memory) recall(shard Shard, configured []*target) *past {
	p := &past{images: make(map[string]memo, len(configured)), known: map[string]*client.Image{}, projects: m.projects}
	for _, t := range configured {
		p.images[t.ID] = m.images[t.ID]
	}
	for id, image := range m.images {
		if _, ok := p.images[id]; !ok && image.known != nil && shard.has(id) {
			p.images[id], p.known[id] = image, image.known
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
func (m *memory) learn(c *collection) {
	m.number++
	if c.err == nil {
		m.projects = c.projects
	}
	for id := range c.past.images {
		if c.byID[id] == nil {
			delete(m.images, id)
		}
	}
	for _, t := range c.targets {
		if c.gone(t) {
			delete(m.images, t.ID)
			continue
		}
		image := m.images[t.ID]
		image.learn(t, m.number, c)
		m.images[t.ID] = image
	}
}

// learn takes over what the image's questions brought.
func (m *memo) learn(t *target, number int, c *collection) {
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
		m.visibility = t.record.Visibility
	}
	timeout := code(t.membersErr) == client.CodeTimeout
	hung := timeout && !t.late
	cutOff := notAsked(t.membersErr) || code(t.membersErr) == client.CodeCanceled || timeout
	switch {
	case t.notApplicable(c.opts):
		m.hung, m.answered, m.throttled, m.passed = false, number, 0, 0
	case cutOff || c.err != nil || !t.membersRead && t.membersErr == nil:
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
func (p *past) order(targets []*target) {
	slices.SortStableFunc(targets, func(a, b *target) int {
		one, other := p.images[a.ID], p.images[b.ID]
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
