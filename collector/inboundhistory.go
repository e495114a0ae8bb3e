package collector

import (
	"maps"
	"time"

	"glance_share_exporter/client"
)

// inboundHistory is what earlier runs left about inbound images. It is replaced, never changed.
type inboundHistory struct {
	projects map[string]projectHistory
	slow     bool // the last run did not finish in time
}

type projectHistory struct {
	names    map[string]string
	known    map[string]knownInbound // images that were shared with the project when last read
	endpoint string                  // of the image API where they were seen
	access   client.Access           // with which complete was read
	complete *inbound                // reused for DiscoveryInterval; nil: the last one was incomplete
	began    time.Time
}

// knownInbound is an image that was shared with the project when it was last read.
type knownInbound struct {
	record client.Image
	status client.Status // the last one that was read; empty: none was
	read   time.Time
	missed missing // the run in which it was first not found
}

// inboundName returns the value of the label image_name. As for watched images, the first name stays.
func (r *run) inboundName(project string, img *inboundImage) string {
	if t := r.byID[img.record.ID]; t != nil && t.Name != "" {
		return t.Name
	}
	if name, ok := r.inbound.seen.projects[project].names[img.record.ID]; ok {
		return name
	}
	return img.record.Name
}

// withOptions returns the history without what was listed with other options.
func (p *inboundHistory) withOptions(opts *Options) *inboundHistory {
	next := &inboundHistory{projects: map[string]projectHistory{}, slow: p.slow}
	if opts.Inbound == nil {
		return next
	}
	for id, m := range p.projects {
		m.complete = nil
		next.projects[id] = m
	}
	return next
}

// updated returns the history with what an ended run found.
func (p *inboundHistory) updated(r *run) *inboundHistory {
	if !r.watchesInbound() || r.err != nil {
		return p
	}
	next := &inboundHistory{projects: map[string]projectHistory{}}
	for _, in := range r.inbound.projects {
		old := p.projects[in.project]
		switch {
		case !in.from.IsZero(), old.complete != nil && old.began.After(r.start): // reused, or a later run ended before this one
			next.projects[in.project] = old
			continue
		case code(in.err) == client.CodeTimeout || notRequested(in.err) || !in.done:
			next.slow = true
		}
		updated := old.updated(in, r.start, r.endpointOf(in.project))
		updated.access = r.viewIn(in.project).access
		if !r.inboundConfirmed(in) {
			updated.complete = nil
		}
		next.projects[in.project] = updated
	}
	if r.scopesErr != nil {
		for id, m := range p.projects {
			if _, ok := next.projects[id]; !ok {
				next.projects[id] = m
			}
		}
	}
	return next
}

func (m projectHistory) updated(in *inbound, began time.Time, endpoint string) projectHistory {
	next := projectHistory{names: map[string]string{}, known: map[string]knownInbound{}, endpoint: m.endpoint, began: began}
	older := m.began.After(began) // than what a run left that began later and ended before
	if older {
		next.began = m.began
	}
	if in.err == nil && !older {
		next.complete, next.endpoint = in, endpoint
	} else {
		maps.Copy(next.names, m.names)
		maps.Copy(next.known, m.known)
		for id := range in.removed {
			if m.known[id].read.After(began) {
				continue
			}
			delete(next.names, id)
			delete(next.known, id)
		}
	}
	for id, img := range in.images {
		if img.conflicting || older && m.known[id].read.After(began) {
			continue
		}
		name, ok := m.names[id]
		if !ok {
			name = img.record.Name
		}
		next.names[id] = name
		known := knownInbound{record: img.record, status: img.status, read: img.read}
		if known.read.IsZero() {
			known.read = in.began.at
		}
		if old, ok := m.known[id]; ok && img.status == "" {
			known.status = old.status
			if img.kept {
				known.missed = old.missed
			}
		}
		if in.missing[id] && known.missed.began.IsZero() {
			known.missed = missing{began, time.Now()}
		}
		next.known[id] = known
	}
	for id := range next.names {
		if _, ok := in.images[id]; !ok && len(next.names) > inboundListings*maxInbound {
			delete(next.names, id) // from the listings of several runs
			delete(next.known, id)
		}
	}
	return next
}
