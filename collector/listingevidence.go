package collector

import (
	"cmp"
	"context"
)

// listingEvidence is what the listings of one owner's images, or of all images, showed.
type listingEvidence struct {
	project  string // in whose view they were read
	owner    string // empty: every project's
	inbound  bool   // the images are those that others share with the project
	filtered bool   // by more than the owner
	unread   int    // how many listings were not read to their end
	rows     int    // images, hidden ones and others, whether or not a rule selects them
	began    observation
}

// foreign reports whether images of other projects were listed.
func (l *listingEvidence) foreign() bool { return l.owner != l.project }

// visible reports whether images were visible in the listings (E13), also in those of images that others share (E14).
func (l *listingEvidence) visible(v *view) bool {
	if l.rows > 0 {
		return true
	}
	contradicted := !l.filtered && (v.surveyOwners[l.owner] || l.owner == "" && len(v.surveyOwners) > 0)
	if l.inbound {
		contradicted = v.surveyShared
	}
	return v.images.covers(l.began) && !contradicted
}

// wantsProject reports whether the listings are of the project's own images, and nothing confirms that the view is of
// the project (E6).
func (l *listingEvidence) wantsProject(v *view) bool { return !l.foreign() && !v.knowsProject(l.began) }

// wantsAdministrator reports whether only an administrator's listings are complete, and v is not proven to be one's
// (E13).
func (l *listingEvidence) wantsAdministrator(v *view) bool {
	return l.foreign() && !v.administrator(l.began)
}

// endedDoubt returns listingDoubt for complete listings, otherwise nil.
func (r *run) endedDoubt() error {
	if !r.complete() {
		return nil
	}
	return r.listingDoubt()
}

// listingDoubt returns why listings that were read to their end may lack images.
func (r *run) listingDoubt() error {
	for _, l := range r.discovery.listed {
		if err := r.doubtOf(l); err != nil {
			return err
		}
	}
	return nil
}

// doubtOf is listingDoubt for one owner's listings.
func (r *run) doubtOf(l *listingEvidence) error {
	now, then := r.viewIn(l.project), r.discoveryView(l.project)
	switch {
	case l.wantsAdministrator(now) && l.wantsAdministrator(then):
		return errNoAdministrator
	case l.wantsProject(now) && l.wantsProject(then):
		return errUnknownProject
	case l.rows == 0 && r.contradicted(l.owner):
		return errBlankListing
	}
	return nil
}

// listedOwners returns how many images the owners have whose listings this run read to their end without a doubt.
func (r *run) listedOwners() map[string]int {
	owners := map[string]int{}
	for owner, images := range r.discovery.ownerRows {
		if l := r.listingOf(owner); l != nil && l.unread == 0 && r.doubtOf(l) == nil {
			owners[owner] = images
		}
	}
	return owners
}

// listingOf returns the evidence of the listings that have an owner's images: the owner's, or those of all owners.
func (r *run) listingOf(owner string) *listingEvidence {
	return cmp.Or(r.discovery.listedBy[owner], r.discovery.listedBy[""])
}

// contradicted reports whether the complete listings that have an owner's images lack one that exists and that a rule selects.
func (r *run) contradicted(owner string) bool {
	l := r.listingOf(owner)
	for other := range r.discovery.contradicted {
		if other == owner || l != nil && r.listingOf(other) == l {
			return true
		}
	}
	return false
}

var errNoAdministrator = unprovenError{text: "listing the images of other projects: the credential has one of admin_roles, but it is " +
	"not proven that the image API " +
	"treats it as an administrator, so images may be missing: check rule context_is_admin in policy.yaml of Glance, " +
	"or create a proof: a private image without data (queued) in another project"}

var errUnknownProject = unprovenError{text: "listing images: it is not confirmed that the credential belongs to the configured " +
	"project, so images may be missing: " +
	"use a kind of auth that logs in to Keystone (with a token: set auth_url), or keep a private image in the project"}

var errBlankListing = unprovenError{text: "listing images: no image returned, and it is not proven that the credential can see " +
	"images: allow rule get_image in policy.yaml of Glance, " +
	"or keep one image in the project"}

// byOwner returns the listings by owner.
func byOwner(listed []*listingEvidence) map[string]*listingEvidence {
	owners := make(map[string]*listingEvidence, len(listed))
	for _, l := range listed {
		owners[l.owner] = l
	}
	return owners
}

// surveyBlanks returns errBlankListing if an owner's listings were empty and nothing shows that the view sees images at
// all.
func (r *run) surveyBlanks(ctx context.Context) error {
	if r.discovery.err != nil {
		return nil
	}
	var blank []listingEvidence
	for _, l := range r.discovery.listed {
		if l.began.made() && l.rows == 0 {
			blank = append(blank, *l)
		}
	}
	for _, l := range blank {
		if !r.seesImages(ctx, l) {
			return errBlankListing
		}
	}
	return nil
}

// seesImages reports whether images are visible in the view in which the listings were read. If these were empty, and no
// survey returned an image recently, it requests a survey.
func (r *run) seesImages(ctx context.Context, l listingEvidence) bool {
	visible := func() bool {
		return l.visible(r.viewIn(l.project))
	}
	renew := l.rows == 0 && !r.viewIn(l.project).images.recent()
	if renew {
		r.survey(ctx, l.project)
	}
	return visible()
}
