package collector

import (
	"maps"
	"sync"
	"time"

	"glance_share_exporter/client"
)

// History is what the runs of a cloud leave for later ones, for all of its shards together. It has observations with
// their times and no verdicts. Names keep labels stable. Views, and lists that had rows, are evidence as long as
// evidence.go accepts it. The rest decides the order of requests, and which images are requested while they cannot be
// listed.
type History struct {
	mu          sync.Mutex
	opts        *Options             // current; runs with others add views, which lists had rows, and readings in the background
	runs        uint64               // runs that have started
	ended       int                  // how many runs with current options have ended; numbers them
	newest      uint64               // of the runs that have ended, the ID of the one that started last
	projects    []string             // of the credential, at the last login
	images      map[string]seenImage // by ID
	views       map[string]view      // by project: what was observed, for evidence.go
	lastChecks  map[check]time.Time  // when each check was last sent
	owners      map[string]int       // images in the last complete listing, by owner; replaced, never changed
	left        []leftImage          // images that are no longer watched, the latest last
	readings    map[string]reading   // by ID: images as they were last read, which may still be shown; replaced, never changed
	inbound     *inboundHistory      // replaced, never changed
	discovered  *discoveryResult     // nil: none
	discovering *discoveryFlight     // the discovery that is running; nil: none
	listed      map[Shard]bool       // shards of which a run had all listings, with the current options
}

func newHistory(opts *Options) *History {
	return &History{
		opts: opts, images: map[string]seenImage{}, views: map[string]view{}, lastChecks: map[check]time.Time{},
		owners: map[string]int{}, listed: map[Shard]bool{}, inbound: &inboundHistory{},
	}
}

// begin numbers a run and gives it what it needs from earlier ones.
func (h *History) begin(r *run) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs++
	r.id = h.runs
	for project, v := range h.views {
		r.views[project] = &v
	}
	r.seen, r.inbound.seen = h.seen(r.shard.shard, r.images), h.inbound
}

// exchange takes over what a run observed in its views, and gives it what other runs observed.
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
	// A run that learns that rows are visible must also learn which lists had rows: one that is empty now needs further
	// proof.
	for _, t := range r.images {
		image := h.images[t.ID]
		if e := r.evidence(t); e.read && len(e.rows) > 0 && e.listEnd.After(image.decided.at) {
			image.noteRows(&e)
			h.images[t.ID] = image
		}
		if image.former != "" && image.decided.at.After(t.seen.decided.at) {
			// Another run read rows meanwhile: what an earlier empty list began to prove is void.
			t.seen.former, t.seen.emptied, t.seen.decided = image.former, image.emptied, image.decided
			t.seen.checked, t.seen.refused, t.seen.rowsDespite = image.checked, image.refused, t.seen.rowsDespite || image.rowsDespite
		}
	}
}

// update takes over what an ended run found.
func (h *History) update(r *run) {
	h.endDiscovery(r, nil) // in case others wait for its listings, which it did not finish
	r.unclaimProbes()
	h.exchange(r)
	r.noted = true
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.discovered != nil && h.discovered.run == r.id {
		listed := *h.discovered
		listed.views = r.frozen()
		h.discovered = &listed
	}
	if r.opts != h.opts {
		if r.opts.RefreshInterval > 0 && h.opts.RefreshInterval > 0 {
			h.readings = r.nextReadings(h.readings) // it read later than the run before
		}
		return
	}
	h.updateImages(r)
	h.inbound = h.inbound.updated(r)
	h.readings = r.nextReadings(h.readings)
}

// setOptions sets the current options and drops the images that are not watched with them. It keeps which of their
// lists had rows: a rule may match them in the next listing.
func (h *History) setOptions(opts *Options) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := make(map[string]seenImage, len(h.images))
	for _, img := range opts.Images {
		if image, ok := h.images[img.ID]; ok {
			kept[img.ID] = image
		}
	}
	for id, image := range h.images {
		if _, configured := kept[id]; configured {
			continue
		}
		if image.early() || image.known != nil && opts.rule(image.known, h.projects) != nil {
			kept[id] = image
		} else if image.former != "" {
			kept[id] = image.rows()
		}
	}
	h.opts, h.images, h.inbound, h.listed = opts, kept, h.inbound.withOptions(opts), map[Shard]bool{}
	if opts.RefreshInterval == 0 {
		h.readings = nil
	}
}

// seen is what earlier runs left about a shard's images. Only History.exchange changes it.
type seen struct {
	owners   map[string]int // replaced, never changed, like readings
	readings map[string]reading
	images   map[string]*seenImage
	known    map[string]*client.Image // the last records of the images that were discovered
	projects []string
}

// seen returns what is known about the configured images of a shard and about all that were discovered. The caller
// holds mu.
func (h *History) seen(shard Shard, configured []*image) *seen {
	p := &seen{
		images: make(map[string]*seenImage, len(configured)), known: map[string]*client.Image{}, projects: h.projects,
		owners: h.owners, readings: h.readings,
	}
	for _, t := range configured {
		image := h.images[t.ID]
		p.images[t.ID], t.seen = &image, &image
	}
	for id, image := range h.images {
		if _, ok := p.images[id]; !ok && image.known != nil && shard.has(id) {
			p.images[id], p.known[id] = &image, image.known
		}
	}
	return p
}

// updateImages takes over what a run found about images. The caller holds mu.
func (h *History) updateImages(r *run) {
	h.ended++
	newest := r.id > h.newest
	h.newest = max(h.newest, r.id)
	if r.err == nil && newest {
		h.projects = r.projects
		if r.scopesErr == nil {
			maps.DeleteFunc(h.views, func(project string, _ view) bool { return !isOwn(r.projects, project) })
		}
	}
	maps.DeleteFunc(h.images, func(id string, image seenImage) bool {
		return r.shard.shard.has(id) && r.byID[id] == nil && image.expired()
	})
	for id := range r.seen.images {
		if r.byID[id] == nil && !h.newer(id, r) {
			h.drop(id)
		}
	}
	if listed := r.listedOwners(); len(listed) > 0 && newest {
		owners := maps.Clone(h.owners)
		maps.Copy(owners, listed) // an owner without images now keeps its number: the images are not known to be deleted yet
		h.owners = owners
	}
	for _, t := range r.images {
		if h.newer(t.ID, r) || r.seen.known[t.ID] != nil && h.images[t.ID].known == nil { // a later run saw that it left
			continue
		}
		if r.hasLeft(t) {
			h.forget(t, r)
			continue
		}
		image, known := h.images[t.ID]
		if (!known || image.early()) && t.discovered && h.listed[r.shard.shard] {
			r.changes = append(r.changes, change{kind: ImageAdded, id: t.ID, name: r.imageName(t)})
		}
		image.update(t, h.ended, r)
		h.images[t.ID] = image
	}
	h.listed[r.shard.shard] = h.listed[r.shard.shard] || r.discovered()
}

// newer reports whether a run that started after r, and ended before it, has read an image.
func (h *History) newer(id string, r *run) bool { return r.id < h.images[id].run }

// drop removes an image, but keeps that its list had rows: it may be found again.
func (h *History) drop(id string) {
	image := h.images[id]
	delete(h.images, id)
	if image.former != "" {
		h.images[id] = image.rows()
	}
}

// forget drops an image that was deleted or that no rule selects any longer, and notes that it left.
func (h *History) forget(t *image, r *run) {
	image, known := h.images[t.ID]
	h.drop(t.ID)
	if !known || image.known == nil {
		return // it was never watched
	}
	left := LeftImage{
		ID: t.ID, Name: r.imageName(t), Reason: Deleted, Owner: image.known.Owner, Unexpected: image.unexpected, Exposed: image.exposed,
	}
	if t.unmatched {
		left.Reason = Unmatched
		left.Skipped = r.opts.skips(t.record, r.projects)
	}
	at := r.start
	if t.unmatched {
		at = t.recordBegan.at
	}
	h.leave(left, at)
	r.changes = append(r.changes, change{kind: ImageRemoved, id: left.ID, name: left.Name})
	r.departed = append(r.departed, left)
}
