package collector

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// newSnapshot returns what a run saw that has ended.
func (r *run) newSnapshot() Snapshot {
	s := r.head()
	s.ID, s.State, s.Left, s.names = snapshots.Add(1), r.cloud.api.State(), r.history.lately(r), r.cloud.namesFor(r.opts)
	s.Images = r.imageSnapshots(r.readingInTurn)
	for i := range s.Images {
		if taken := s.Images[i].Taken; !taken.IsZero() && (s.Taken.IsZero() || taken.Before(s.Taken)) {
			s.Taken = taken
		}
	}
	return s
}

// head returns a snapshot of the cloud itself, without images.
func (r *run) head() Snapshot {
	r.note()
	end := r.end
	if end.IsZero() {
		end = time.Now()
	}
	s := Snapshot{
		Cloud: r.opts.Name, Start: r.start, Duration: end.Sub(r.start), Up: r.err == nil && r.answered && !r.noImageAPI(), Err: r.err,
		Discovers: len(r.opts.Discover) > 0, Discovered: r.discovered() && !r.noImageAPI(), Scopes: r.scopes, ScopesErr: r.scopesErr,
		NoImageAPI: r.err == nil && r.noImageAPI(),
		opts:       r.opts,
	}
	r.sayDiscovery(&s)
	s.Inbound = r.inboundSnapshots()
	s.Views = r.viewSnapshots()
	return s
}

// imageSnapshots returns the images of a snapshot, each as in the reading that see returns.
func (r *run) imageSnapshots(see func(t *image) reading) []ImageSnapshot {
	images, now := make([]ImageSnapshot, 0, len(r.images)), time.Now()
	for _, t := range r.images {
		if r.hasLeft(t) {
			continue
		}
		s := see(t)
		img := ImageSnapshot{
			Name: r.imageName(t), Taken: s.taken, InTurns: r.inTurns(t), Waiting: r.waitsForFirst(t),
			first: t.seen.answered == 0,
		}
		s.image.classify(&s.evidence, &img)
		img.Policy = img.Policy.At(now)
		images = append(images, img)
	}
	if r.opts.MemberDetails {
		limit(images)
	}
	return images
}

// sayDiscovery sets the result of the listings in a snapshot.
func (r *run) sayDiscovery(s *Snapshot) {
	switch {
	case !s.Discovers:
	case !s.Discovered:
		s.DiscoveryErr = cmp.Or(r.err, r.discovery.err, r.endedDoubt(), errNotRequested)
	default:
		s.Skipped = len(r.discovery.skipped)
		for i := range r.opts.Discover {
			s.SkippedKnown = s.SkippedKnown || r.opts.Discover[i].Skip
			if !r.discovery.used[&r.opts.Discover[i]] {
				s.IdleRules = append(s.IdleRules, i)
			}
		}
	}
}

// imageName returns the value of the label image_name. The first name that was read stays, because a new label value
// would restart an alert's "for" time.
func (r *run) imageName(t *image) string {
	if t.Name != "" {
		return t.Name
	}
	if image := t.seen; image.named {
		return image.name
	}
	if t.record != nil {
		return t.record.Name
	}
	return ""
}

// inboundSnapshots returns what is known about inbound images at this point of the run.
func (r *run) inboundSnapshots() []InboundSnapshot {
	if !r.watchesInbound() {
		return nil
	}
	list := make([]InboundSnapshot, 0, len(r.inbound.projects))
	owners := Policy{Members: r.opts.Inbound.Owners}.At(time.Now())
	for _, in := range r.inbound.projects {
		past := r.inbound.seen.projects[in.project]
		s := InboundSnapshot{ProjectID: in.project, Err: in.err, Read: in.read(), Images: make([]InboundImage, 0, len(in.images))}
		switch {
		case !in.done:
			s.Err = errNotRequested
		case in.err == nil && !r.inboundConfirmed(in):
			s.Err = errInboundUnknown
		}
		for _, id := range slices.Sorted(maps.Keys(in.images)) {
			if img := in.images[id]; !img.conflicting {
				owner := &client.Member{Type: client.TypeProject, ID: img.record.Owner}
				s.Images = append(s.Images, InboundImage{
					Name: r.inboundName(in.project, img), Record: img.record, Status: img.status,
					Owner: owners.Entry(owner), Unexpected: owners.judged() && owners.find(owner) == nil,
					inUse: cmp.Or(img.status, past.known[id].status) == client.Accepted,
				})
			}
		}
		list = append(list, s)
	}
	switch {
	case len(list) > 0 && r.scopesErr != nil:
		// There may be unknown projects that have inbound images.
		list = append(list, InboundSnapshot{Err: r.scopesErr})
	case len(list) == 0:
		// The run knows no projects: at most the IDs of the last login are known.
		projects := r.seen.projects
		if len(projects) == 0 {
			projects = []string{""}
		}
		for _, id := range projects {
			list = append(list, InboundSnapshot{ProjectID: id, Err: cmp.Or(r.err, errNotRequested)})
		}
	}
	for i := range list {
		list[i].truncate(r.opts.Inbound.maxImages())
	}
	return list
}

// read returns when the oldest of the images was read. Without images it is when the first listing began.
func (in *inbound) read() time.Time {
	oldest := in.began.at
	for _, img := range in.images {
		if !img.read.IsZero() && img.read.Before(oldest) {
			oldest = img.read
		}
	}
	return oldest
}

// inboundConfirmed reports whether it is confirmed that the listings are the configured project's (E6).
func (r *run) inboundConfirmed(in *inbound) bool {
	return !in.from.IsZero() || r.viewIn(in.project).knowsProject(in.began)
}
