package collector

import (
	"maps"
	"sync"
	"time"

	"glance_share_exporter/client"
)

// History is what the runs of a cloud leave for later ones, once for all of its shards. It has observations with their times and no
// judgement of them. Names keep labels steady; views, and lists that had rows, are evidence as long as evidence.go accepts it; the rest
// decides in which order things are asked, and what is asked while images cannot be listed.
type History struct {
	mu          sync.Mutex
	opts        *Options             // at work; runs with others add what they observed of views, and nothing of images
	runs        uint64               // that began
	ended       int                  // number of the last run that ended
	newest      uint64               // of those that ended, the one that began last
	projects    []string             // the credential's, as of the last login
	images      map[string]seenImage // by ID
	views       map[string]view      // by project: what was observed, for evidence.go
	lastChecks  map[check]time.Time  // when a question was last asked that is not for each run
	owners      map[string]int       // images that the last complete listing had, by owner; replaced, never changed
	left        []leftImage          // images that are not watched any more, the latest last
	readings    map[string]reading   // of images that may be shown as they were read before, by ID; replaced, never changed
	inbound     *inboundHistory      // replaced, never changed
	discovered  *discoveryResult     // nil: none
	discovering *discoveryFlight     // a discovery that is under way; nil: none is
	listed      map[Shard]bool       // of which a run had all listings, with the options at work
}

func newHistory(opts *Options) *History {
	return &History{
		opts: opts, images: map[string]seenImage{}, views: map[string]view{}, lastChecks: map[check]time.Time{},
		owners: map[string]int{}, listed: map[Shard]bool{}, inbound: &inboundHistory{},
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
	r.seen, r.inbound.seen = h.seen(r.shard.shard, r.images), h.inbound
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
	// Who is told that rows are visible must know which lists had some: one that is empty now takes a proof of its own.
	for _, t := range r.images {
		image := h.images[t.ID]
		if e := r.evidence(t); e.read && len(e.rows) > 0 && e.list.at.After(image.decided.at) {
			image.noteRows(&e)
			h.images[t.ID] = image
		}
		if t.seen.former == "" {
			t.seen.former, t.seen.emptied, t.seen.rowsDespite = image.former, image.emptied, t.seen.rowsDespite || image.rowsDespite
		}
	}
}

// update takes over what a run found that has ended.
func (h *History) update(r *run) {
	h.endDiscovery(r, nil) // if it was to list for others, and did not come to its end
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
		return
	}
	h.updateImages(r)
	h.inbound = h.inbound.updated(r)
	h.readings = r.nextReadings(h.readings)
}

// setOptions forgets the images that are not watched with other options, which are at work from now on, but not that their lists had
// rows: a rule may watch them as soon as the next listing is read.
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

// seen is what earlier runs left of a shard's images. It does not change.
type seen struct {
	owners   map[string]int // replaced, never changed, as readings
	readings map[string]reading
	images   map[string]*seenImage
	known    map[string]*client.Image // of the images, those that were discovered
	projects []string
}

// seen returns what is remembered of configured images of a shard, and of all that were discovered. The history is locked.
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

// updateImages takes over what a run found of images. The history is locked.
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
	maps.DeleteFunc(h.images, func(_ string, image seenImage) bool { return image.early() && age(image.decided.at) > keepLeft })
	for id := range r.seen.images {
		if r.byID[id] == nil && !h.newer(id, r) {
			h.drop(id)
		}
	}
	if listed := r.listedOwners(); len(listed) > 0 && newest {
		owners := maps.Clone(h.owners)
		maps.Copy(owners, listed) // one that has none any more keeps its number, for what it had is not known to be gone yet
		h.owners = owners
	}
	for _, t := range r.images {
		if h.newer(t.ID, r) || r.seen.known[t.ID] != nil && h.images[t.ID].known == nil { // a later run saw it leave
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

// newer reports whether a run that began after r, and ended before it, has read an image.
func (h *History) newer(id string, r *run) bool { return r.id < h.images[id].run }

// drop forgets an image, but not that its list had rows: it may be found again.
func (h *History) drop(id string) {
	image := h.images[id]
	delete(h.images, id)
	if image.former != "" {
		h.images[id] = image.rows()
	}
}

// forget drops an image that is gone, or that no rule takes any more.
func (h *History) forget(t *image, r *run) {
	image, known := h.images[t.ID]
	h.drop(t.ID)
	if !known || image.known == nil {
		return // it was never watched
	}
	left := LeftImage{ID: t.ID, Name: r.imageName(t), Reason: Deleted, Unexpected: image.unexpected, Owner: image.known.Owner}
	if t.unmatched {
		left.Reason = Unmatched
		left.Skipped = r.opts.skips(t.record, r.projects)
	}
	h.leave(left)
	r.changes = append(r.changes, change{kind: ImageRemoved, id: left.ID, name: left.Name})
	r.departed = append(r.departed, left)
}
