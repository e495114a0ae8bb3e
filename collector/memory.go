package collector

import (
	"cmp"
	"slices"

	"glance_share_exporter/client"
)

// memory is what a cloud's collector keeps from one collection to the next. No answer needs it to be true: names keep
// labels steady, the rest decides in which order things are asked.
type memory struct {
	past     *past
	problems map[problem]bool
}

// past is what earlier collections left. It is replaced, never changed.
type past struct {
	names      map[string]string
	visibility map[string]client.Visibility
	hung       map[string]bool         // no answer in time, when it was last asked
	answered   map[string]int          // number of the last collection in which the question for members had an answer
	number     int                     // of the last collection
	known      map[string]client.Image // discovered, with the last record that was read
	projects   []string                // the credential's, as of the last login
}

func newMemory() memory {
	return memory{past: &past{}, problems: map[problem]bool{}}
}

// keep forgets the images that are not watched with opts.
func (m *memory) keep(opts *Options) {
	old := m.past
	next := newPast(len(opts.Images) + len(old.known))
	next.number, next.projects = old.number, old.projects
	for _, img := range opts.Images {
		next.take(old, img.ID)
	}
	for id, img := range old.known {
		if opts.rule(&img, old.projects) != nil {
			next.known[id] = img
			next.take(old, id)
		}
	}
	m.past = next
}

// take takes over what an earlier past knows of an image.
func (p *past) take(from *past, id string) {
	move(p.names, from.names, id)
	move(p.visibility, from.visibility, id)
	move(p.hung, from.hung, id)
	move(p.answered, from.answered, id)
}

func newPast(size int) *past {
	return &past{
		names: make(map[string]string, size), visibility: make(map[string]client.Visibility, size),
		hung: map[string]bool{}, answered: make(map[string]int, size), known: map[string]client.Image{},
	}
}

func move[V any](to, from map[string]V, id string) {
	if v, ok := from[id]; ok {
		to[id] = v
	}
}

// learn takes over what a finished collection found.
func (m *memory) learn(c *collection) {
	old := m.past
	next := newPast(len(c.targets))
	next.number, next.projects = old.number+1, c.projects
	if c.err != nil {
		next.projects = old.projects
	}
	for _, t := range c.targets {
		if !c.gone(t) {
			next.learn(old, t, c)
		}
	}
	m.past = next
}

// learn takes over what one image's questions brought.
func (p *past) learn(old *past, t *target, c *collection) {
	move(p.names, old.names, t.ID)
	move(p.visibility, old.visibility, t.ID)
	if t.discovered {
		if t.swept != nil {
			p.known[t.ID] = *t.swept
		}
		move(p.known, old.known, t.ID)
	}
	if t.record != nil {
		if _, ok := p.names[t.ID]; !ok {
			p.names[t.ID] = t.record.Name
		}
		p.visibility[t.ID] = t.record.Visibility
		if t.discovered {
			p.known[t.ID] = *t.record
		}
	}
	hung := code(t.membersErr) == client.CodeTimeout
	cutOff := notAsked(t.membersErr) || code(t.membersErr) == client.CodeCanceled
	switch {
	case t.notApplicable(c.opts):
		p.answered[t.ID] = p.number
	case hung || cutOff || c.err != nil || !t.membersRead && t.membersErr == nil:
		move(p.answered, old.answered, t.ID)
		if hung || old.hung[t.ID] {
			p.hung[t.ID] = true
		}
	default:
		p.answered[t.ID] = p.number
	}
}

// order sorts targets in the order in which to ask: those first that were answered the longest ago.
func (p *past) order(targets []*target) {
	slices.SortStableFunc(targets, func(a, b *target) int { return cmp.Compare(p.answered[a.ID], p.answered[b.ID]) })
}
