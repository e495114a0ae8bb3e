package collector

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"glance_share_exporter/client"
)

// discovery is the result of a run's listings, or of another run's listings that it uses.
type discovery struct {
	ended     bool
	err       error           // why the listings are incomplete; nil: they are complete
	transient bool            // one of the reasons may be temporary
	cutOff    bool            // a listing was canceled, or not requested before the deadline
	open      int             // listings that have not ended
	used      map[*Rule]bool  // rules that matched an image
	skipped   map[string]bool // IDs of the shard's images that a rule skips
	found     []client.Image  // images of any shard that match a rule, for other runs

	listed       []*listingEvidence // one per owner
	listedBy     map[string]*listingEvidence
	ownerRows    map[string]int   // images in the listings, by owner
	contradicted map[string]bool  // owners whose complete listing lacks an existing image that a rule selects
	views        map[string]*view // at the end of the run that listed; nil: it has not ended, or is this one
}

func newDiscovery() discovery {
	return discovery{
		used: map[*Rule]bool{}, skipped: map[string]bool{}, listedBy: map[string]*listingEvidence{}, ownerRows: map[string]int{},
		contradicted: map[string]bool{},
	}
}

// discover reads the listings concurrently, and then requests the records that they lack.
func (r *run) discover() {
	queries, err := r.opts.queries(r.projects, r.admin())
	r.discovery.err, r.discovery.open = cmp.Or(err, r.scopesErr), len(queries)
	r.discovery.transient = r.scopesErr != nil
	watched := len(r.images)
	for _, q := range queries {
		l := r.discovery.listedBy[q.Owner]
		if l == nil {
			l = &listingEvidence{owner: q.Owner, filtered: q.Visibility != "" || len(q.Tags) > 0}
			r.discovery.listed, r.discovery.listedBy[q.Owner] = append(r.discovery.listed, l), l
		}
		l.unread++
	}
	if len(queries) == 0 {
		r.shareDiscovery()
		if watched > 0 {
			r.requestRecords()
		} else {
			r.queue.add(&r.queue.first, func(ctx context.Context) { r.requestAnything(ctx, nil) })
		}
		return
	}
	for _, q := range queries {
		r.queue.add(&r.queue.first, func(ctx context.Context) {
			r.endListing(ctx, q.Owner, r.list(ctx, q, func(page client.ImagePage, began moment) error {
				if err := r.opts.mayList(q, page.Access); err != nil {
					return err // the token was renewed and has other rights
				}
				if err := r.noteListing(q, page, began); err != nil {
					return err
				}
				return r.addImages(page.Images, began)
			}))
		})
	}
}

// admin reports whether the credential has one of [Options].AdminRoles in a project.
func (r *run) admin() bool {
	return slices.ContainsFunc(r.scopes, func(s client.Scope) bool { return s.Access.HasRole(r.opts.AdminRoles) })
}

// addImages adds the images of a page that a rule selects, and notes the records of those that are watched anyway.
func (r *run) addImages(images []client.Image, began moment) error {
	for i := range images {
		img := &images[i]
		rule, matched := r.matchListed(img)
		t := r.byID[img.ID]
		keep := matched && r.opts.DiscoveryInterval > 0
		add := t == nil && rule != nil && r.shard.shard.has(img.ID)
		if add || keep || r.discovery.skipped[img.ID] {
			if err := r.reserve(imageWeight(img)); err != nil {
				return err
			}
		}
		if keep {
			r.discovery.found = append(r.discovery.found, *img)
		}
		if add {
			t = r.add(image{Image: Image{ID: img.ID}, discovered: true, progress: progress{visited: true}}) // the listing has its record
		}
		if t != nil && t.discovered && rule != nil {
			t.listed = true
			if t.record == nil || began.n >= t.recordBegan.n { // otherwise a later record chose the rule
				t.Policy = rule.Policy
			}
		}
		if t != nil {
			record := *img // a copy does not keep the page in memory
			r.setRecord(t, &record, began, nil)
			r.verifyExists(t)
		}
	}
	return nil
}

// matchListed returns the rule that selects a listed image, or nil, and whether any rule matches it. It notes which
// rule matches, and whether that skips the image.
func (r *run) matchListed(img *client.Image) (rule *Rule, matched bool) {
	rule = r.opts.match(img, r.projects)
	r.discovery.used[rule] = true
	delete(r.discovery.skipped, img.ID) // as noted from an earlier page
	if rule == nil || !rule.Skip {
		return rule, rule != nil
	}
	t := r.byID[img.ID]
	if r.shard.shard.has(img.ID) && (t == nil || t.discovered) && r.opts.skips(img, r.projects) {
		r.discovery.skipped[img.ID] = true
	}
	return nil, true
}

// endListing notes the end of a listing of an owner's images. After the last one it requests the missing records.
func (r *run) endListing(ctx context.Context, owner string, err error) {
	r.noteListingEnd(err)
	if err == nil {
		r.discovery.listedBy[owner].unread--
	}
	r.discovery.open--
	last := r.discovery.open == 0
	if !last {
		return
	}
	err = r.surveyBlanks(ctx)
	r.noteListingEnd(err)
	r.discovery.ended = true
	images := slices.Clone(r.images)
	r.shareDiscovery()
	for _, t := range images {
		r.verifyExists(t)
	}
	r.requestRecords()
}

// noteListingEnd notes why a listing is incomplete, or proves nothing. A nil error changes nothing.
func (r *run) noteListingEnd(err error) {
	if r.discovery.err == nil {
		r.discovery.err = err
	}
	r.discovery.cutOff = r.discovery.cutOff || notRequested(err) || code(err) == client.CodeCanceled
	r.discovery.transient = r.discovery.transient || err != nil && !errors.Is(err, errUnreadable) && !errors.Is(err, errTooMuch)
}

// shareDiscovery lets other runs use what this run listed, unless it was cut off: they may have more time.
func (r *run) shareDiscovery() {
	var s *discoveryResult
	if !r.discovery.cutOff {
		s = &discoveryResult{
			run: r.id, began: r.start, opts: r.opts, projects: r.projects, admin: r.admin(), images: r.discovery.found, err: r.discovery.err,
			transient: r.discovery.transient, listed: r.discovery.listed,
		}
		for _, scope := range r.scopes {
			if scope.Err == nil {
				s.access = append(s.access, scope.Access)
			}
		}
	}
	r.history.endDiscovery(r, s)
}

// complete reports whether every listing was read to its end.
func (r *run) complete() bool { return r.discovery.ended && r.discovery.err == nil }

// discovered reports whether the listings are complete and proven to have every image (E13).
func (r *run) discovered() bool { return r.complete() && r.listingDoubt() == nil }

// noteListing notes a page of a listing.
func (r *run) noteListing(q client.ImageQuery, page client.ImagePage, began moment) error {
	if !r.viewIn(page.Access.ProjectID).is(&page.Access) {
		return errMixedViews
	}
	l := r.discovery.listedBy[q.Owner]
	l.project = page.Access.ProjectID
	l.rows += page.Unreadable
	for i := range page.Images {
		owner := page.Images[i].Owner
		r.discovery.ownerRows[owner]++
		if q.Owner == "" || owner == q.Owner {
			l.rows++
		}
	}
	if !l.began.made() {
		l.began = r.at(began)
	}
	for i := range page.Images {
		r.noteRecord(&page.Images[i], began)
	}
	return nil
}
