package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// inboundRun is what a run knows about the inbound images of the credential's projects.
type inboundRun struct {
	seen     *inboundHistory
	projects []*inbound
	kept     int // images of all of them
}

// inbound is what a run read about one project's inbound images.
type inbound struct {
	listingEvidence // of all listings; project is the member that the images are shared with

	images  map[string]*inboundImage
	removed map[string]bool // images that were deleted, are no longer shared with the project, or are its own
	missing map[string]bool // images that were not found in this run

	wrongView error // the responses are not for the project as a member
	err       error
	done      bool
	from      time.Time // when it was read, if in an earlier run
}

func newInbound(project string) *inbound {
	return &inbound{
		listingEvidence: listingEvidence{project: project, inbound: true},
		images:          map[string]*inboundImage{}, removed: map[string]bool{}, missing: map[string]bool{},
	}
}

type inboundImage struct {
	record      client.Image
	status      client.Status
	conflicting bool // listings of two statuses have it: its status changed, or every project sees it
	kept        bool // no listing has it, but nothing proves that it is no longer shared
	// read is when record was read, if in an earlier run.
	read time.Time
}

var (
	errInboundAdmin = errors.New("the credential has one of admin_roles, so the API lists the shared images of every project: " +
		"for inbound, use a credential with only the role reader in the project")
	errInboundView = errors.New("the API lists images that are not shared with the project, as it does for an administrator: " +
		"add the credential's role to admin_roles, or use a credential with only the role reader for inbound")
	errInboundProject = errors.New("the renewed token belongs to another project")
	errInboundMany    = fmt.Errorf("more than %d images are shared with the project, or more than %d with "+
		"all projects", maxInbound, maxInboundKept)
	errInboundStatus = errors.New("the status of some images is unknown")
	errInboundRow    = unprovenError{text: "a listing has an image that is shared with the project, but the image's member list has no " +
		"row of the project: " +
		"allow rule get_member in policy.yaml of Glance for its members"}
	errInboundUnknown = unprovenError{text: "it is not confirmed that the credential belongs to the configured project: " +
		"use a kind of auth that logs in to Keystone (with a token: set auth_url), or keep a private image in the project"}
	errInboundBlank = unprovenError{text: "the listings have no image, and it is not proven that the credential can see images: allow " +
		"rule get_image in policy.yaml of Glance, " +
		"or keep one image in the project"}
)

const (
	maxInbound          = 5_000  // images of others that are read from a listing: any project can share any number
	maxInboundKept      = 50_000 // images of all projects of a cloud
	maxAcceptedKept     = 50_000 // besides, accepted ones: pending images of one project leave room for those that another one accepted
	maxInboundRequested = 20     // images requested one by one: few change their status between two listings
	maxMissingRequested = 100    // images requested one by one that are no longer in a listing
	inboundListings     = 3      // one per status; each image must be in one of them
	inboundPartOfPool   = 4      // at most a quarter of the workers read inbound images
)

// watchesInbound reports whether the run reads inbound images. The first shard does it for all, because a listing has
// all images anyway.
func (r *run) watchesInbound() bool {
	return r.opts.Inbound != nil && r.shard.shard.Number < 2
}

// enqueueInbound queues the requests for the inbound images of each project, a few projects at a time. It reports
// whether there are any.
func (r *run) enqueueInbound() bool {
	if !r.watchesInbound() {
		return false
	}
	var waiting []*inbound
	for _, s := range r.scopes {
		in := newInbound(s.Access.ProjectID)
		past := r.inbound.seen.projects[in.project]
		switch {
		case s.Err != nil:
			in.err, in.done = s.Err, true
		case s.Access.HasRole(r.opts.AdminRoles):
			in.err, in.done = errInboundAdmin, true
		case past.complete != nil && r.viewIn(in.project).is(&past.access) && age(past.began) < r.opts.DiscoveryInterval:
			in.images, in.done, in.from = past.complete.images, true, past.began // never changed after the run that read them
			in.listingEvidence = past.complete.listingEvidence
		default:
			waiting = append(waiting, in)
		}
		r.inbound.projects = append(r.inbound.projects, in)
	}
	to := &r.queue.first
	if r.inbound.seen.slow {
		to = &r.queue.slow
	}
	var next task
	next = func(ctx context.Context) {
		if len(waiting) == 0 {
			return
		}
		in := waiting[0]
		waiting = waiting[1:]
		err := r.readInbound(ctx, in)
		if in.wrongView != nil {
			in.images, err = map[string]*inboundImage{}, in.wrongView // the images may not be shared with the project
		}
		if errors.Is(in.wrongView, errInboundView) {
			for id, known := range r.inbound.seen.projects[in.project].known {
				if known.status != "" { // without a status, only listings showed that it is shared with the project
					r.keepInbound(in, id)
				}
			}
		}
		in.err, in.done = err, true
		r.queue.add(to, next) // at the end, so that other tasks run in between
	}
	lanes := max(1, r.opts.Concurrency/inboundPartOfPool)
	some := len(waiting) > 0
	for range min(lanes, len(waiting)) {
		r.queue.add(to, next)
	}
	return some
}

// readInbound reads one project's inbound images from listings, and their statuses from a listing per status or, where
// that takes fewer requests, from their member lists, in which a member sees only itself. After an error it continues,
// to read what it can, and returns the first error.
func (r *run) readInbound(ctx context.Context, in *inbound) (failure error) {
	pages, cut := 0, false
	broken, selective := false, false // about the listings of single statuses
	list := func(hidden bool, status client.Status) {
		if in.wrongView != nil {
			return
		}
		q := client.ImageQuery{SharedWith: in.project, Hidden: hidden, MemberStatus: status}
		seen := map[string]bool{}
		err := r.list(ctx, q, func(page client.ImagePage, began moment) error {
			pages++
			return r.addInboundPage(in, page, began, status, seen)
		})
		failure = cmp.Or(failure, err)
		cut = cut || errors.Is(err, errInboundMany)
		if status == "" {
			return
		}
		broken = broken || err != nil
		selective = selective || err == nil && in.lacks(hidden, seen)
	}
	kinds := []bool{false}
	ims := r.opts.API == client.IMS // with api ims, no listing has all statuses or only the hidden images
	if !ims {
		list(false, "")
		list(true, "")
		kinds = r.inboundKinds(in)
	}
	if cut {
		kinds = []bool{false, true} // images that were not kept may be hidden or not
	}
	if ims || cut || len(in.images) > min(inboundListings*pages, maxInboundRequested) {
		if !ims && len(in.images) > 0 {
			// One image is enough to detect an administrator's view before the statuses of thousands are read.
			failure = cmp.Or(failure, r.resolveStatus(ctx, in, slices.Min(slices.Collect(maps.Keys(in.images)))))
		}
		statuses := []client.Status{client.Accepted, client.Pending, client.Rejected}
		if ims {
			// In the order in which statuses change: an image whose status changes meanwhile is then in two listings,
			// not in none.
			statuses = []client.Status{client.Pending, client.Rejected, client.Accepted}
		}
		for _, status := range statuses {
			for _, hidden := range kinds {
				list(hidden, status)
			}
		}
		if !ims && broken && !selective {
			// An administrator gets every image in each of these listings, and only all listings together show that.
			for _, img := range in.images {
				img.status, img.conflicting = "", false
			}
		}
	}
	if in.wrongView != nil {
		return in.wrongView
	}
	if failure == nil && !r.seesImages(ctx, in.listingEvidence) {
		failure = errInboundBlank
		for id := range r.inbound.seen.projects[in.project].known {
			r.keepInbound(in, id)
		}
	}
	failure = cmp.Or(failure, r.resolveStatuses(ctx, in, failure == nil))
	confirmed := r.viewIn(in.project).access.Confirmed
	if !confirmed {
		r.survey(ctx, in.project) // for a private image of the project, which confirms it
	}
	return failure
}

// lacks reports whether a listing of the hidden images, or of the others, lacks one of them.
func (in *inbound) lacks(hidden bool, list map[string]bool) bool {
	for id, img := range in.images {
		if img.record.Hidden == hidden && !list[id] {
			return true
		}
	}
	return false
}

// inboundKinds returns the values of os_hidden that the images have.
func (r *run) inboundKinds(in *inbound) (kinds []bool) {
	for _, hidden := range []bool{false, true} {
		for _, img := range in.images {
			if img.record.Hidden == hidden {
				kinds = append(kinds, hidden)
				break
			}
		}
	}
	return kinds
}

// checkView returns an error unless a response was for the project as a member of images.
func (r *run) checkView(in *inbound, to client.Access) error {
	switch {
	case to.ProjectID != in.project:
		in.wrongView = errInboundProject
	case to.HasRole(r.opts.AdminRoles):
		in.wrongView = errInboundAdmin
	}
	return in.wrongView
}

// addInboundPage adds the images of a page of a listing, without those that the project itself shares. seen has the IDs
// of the listing's images.
func (r *run) addInboundPage(in *inbound, page client.ImagePage, began moment, status client.Status, seen map[string]bool) error {
	if err := r.checkView(in, page.Access); err != nil {
		return err
	}
	if !r.viewIn(in.project).is(&page.Access) {
		return errMixedViews
	}
	in.rows += len(page.Images) + page.Unreadable
	if !in.began.made() {
		in.began = r.at(began)
	}
	for i := range page.Images {
		record := &page.Images[i]
		r.noteRecord(record, began)
		if record.Owner == in.project {
			_, known := r.inbound.seen.projects[in.project].known[record.ID]
			if known || in.images[record.ID] != nil {
				in.remove(record.ID) // another project owned it before
			}
			continue
		}
		img := in.images[record.ID]
		seen[record.ID] = true
		kept := maxInboundKept
		if status == client.Accepted {
			kept += maxAcceptedKept
		}
		if len(seen) > maxInbound || img == nil && r.inbound.kept >= kept {
			return errInboundMany
		}
		if img == nil {
			r.inbound.kept++
			img = &inboundImage{}
			in.images[record.ID] = img
		}
		img.record = *record
		img.record.Tags = nil // any project can set many, and they are not used here
		if status != "" {
			img.conflicting = img.conflicting || img.status != "" && img.status != status
			img.status = status
		}
	}
	return nil
}
