package collector

import (
	"cmp"
	"errors"
	"slices"

	"glance_share_exporter/client"
)

// memory is what a cloud's collector keeps from one collection to the next. No answer needs it to be true: names keep
// labels steady, the rest decides in which order things are asked.
type memory struct {
	past     *past
	problems map[problem]bool
	access   client.Access // as the log told it
}

// past is what earlier collections left. It is replaced, never changed.
type past struct {
	names      map[string]string
	visibility map[string]client.Visibility
	hung       map[string]bool // no answer in time, when it was last asked
	answered   map[string]int  // number of the last collection in which the question for members had an answer
	number     int             // of the last collection
}

func newMemory() memory {
	return memory{past: &past{}, problems: map[problem]bool{}}
}

// keep forgets the images that are not watched any more.
func (m *memory) keep(images []Image) {
	next := newPast(len(images))
	for _, img := range images {
		move(next.names, m.past.names, img.ID)
		move(next.visibility, m.past.visibility, img.ID)
		move(next.hung, m.past.hung, img.ID)
		move(next.answered, m.past.answered, img.ID)
	}
	next.number = m.past.number
	m.past = next
}

func newPast(size int) *past {
	return &past{
		names: make(map[string]string, size), visibility: make(map[string]client.Visibility, size),
		hung: map[string]bool{}, answered: make(map[string]int, size),
	}
}

func move[V any](to, from map[string]V, id string) {
	if v, ok := from[id]; ok {
		to[id] = v
	}
}

// learn takes over what a finished collection found.
func (m *memory) learn(c *collection) {
	next := newPast(len(c.findings))
	next.number = m.past.number + 1
	for i := range c.findings {
		f, id := &c.findings[i], c.opts.Images[i].ID
		move(next.names, m.past.names, id)
		move(next.visibility, m.past.visibility, id)
		if f.record != nil {
			if _, ok := next.names[id]; !ok {
				next.names[id] = f.record.Name
			}
			next.visibility[id] = f.record.Visibility
		}
		switch hung := code(f.membersErr) == client.CodeTimeout; {
		case hung || c.err != nil || !f.membersRead && (f.membersErr == nil || errors.Is(f.membersErr, errNotAsked)):
			move(next.answered, m.past.answered, id)
			if hung || m.past.hung[id] {
				next.hung[id] = true
			}
		default:
			next.answered[id] = next.number
		}
	}
	m.past = next
}

// order returns the places of the images in the order in which to ask: those first that were answered the longest ago.
func (p *past) order(images []Image) []int {
	places := make([]int, len(images))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int {
		return cmp.Compare(p.answered[images[a].ID], p.answered[images[b].ID])
	})
	return places
}
