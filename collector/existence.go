package collector

import (
	"cmp"
	"context"
	"errors"

	"glance_share_exporter/client"
)

// verifyExists requests the record of a discovered image alone if the image seems to be deleted: the complete listing
// of its owner's images lacks it, or it was listed and then the request for its members got a 404. An image is dropped
// only if the image API itself responds to that request with a 404, or if no rule selects the record.
func (r *run) verifyExists(t *image) {
	unlisted := !t.listed && r.ownerListed(t)
	membersNotFound := t.listed && imageStatus(t.membersErr) == statusNotFound
	verify := t.discovered && !t.verified && (unlisted || membersNotFound)
	t.verified = t.verified || verify
	if !verify {
		return
	}
	r.queue.add(&r.queue.first, func(ctx context.Context) {
		err := r.readRecord(ctx, t)
		t.notFound = ownNotFound(err)
		t.unmatched = t.unmatched || err == nil && r.opts.rule(t.record, r.projects) == nil
		if err == nil && unlisted && !t.unmatched {
			r.discovery.contradicted[t.record.Owner] = true
		}
		survey := t.notFound && !r.ownerAnswered(t) && r.onlyImage(t)
		project := r.viewOf(t).project
		if survey {
			r.survey(ctx, project)
		}
	})
}

// ownerListed reports whether the listings of an image's owner were read to the end, even if others were not.
func (r *run) ownerListed(t *image) bool {
	if last := t.seen.last; last != nil {
		if l := r.listingOf(last.Owner); l != nil {
			return r.discovery.ended && l.unread == 0
		}
	}
	return r.complete()
}

// ownNotFound reports whether an error is the image API's own response that there is no such image (E16).
func ownNotFound(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.OwnNotFound
}

// missing reports whether this run shows that a discovered image does not exist (E15): the image API's own 404, from
// the endpoint where the image was found, while the same view got another image of its owner, or, if it was the only
// one of its owner, a survey of the view returned some image.
func (r *run) missing(t *image) bool {
	if !t.discovered || !t.notFound || t.record != nil || t.membersRead || r.noImageAPI() {
		return false
	}
	v, last := r.viewOf(t), t.lastRecord()
	switch {
	case last != nil && r.contradicted(last.Owner):
		return false
	case t.seen.endpoint != "" && t.seen.endpoint != r.endpointOf(v.project):
		return false
	case last != nil && last.Owner == v.project && !v.knowsProject(observation{r.start, r.id}):
		return false // the credential may be another project's, which gets a 404, too (E6)
	case last != nil && last.Owner != v.project && !v.administratorIn(r.id):
		return false // a credential that is no longer an administrator's gets a 404, too
	}
	return r.ownerAnswered(t) || r.onlyImage(t) && r.viewOf(t).images.run == r.id
}

// ownerAnswered reports whether the API returned an image of the same owner in the same view.
func (r *run) ownerAnswered(t *image) bool {
	last := t.lastRecord()
	return last != nil && r.answeredFor[ownerIn{last.View, last.Owner}]
}

// onlyImage reports whether the image was the only one of its owner in the last complete listing.
func (r *run) onlyImage(t *image) bool {
	last := t.lastRecord()
	return last != nil && r.seen.owners[last.Owner] == 1
}

// lastRecord returns the last record of the image from an earlier run or its listings, or nil.
func (t *image) lastRecord() *client.Image { return cmp.Or(t.seen.last, t.seen.known) }

// hasLeft reports whether a discovered image no longer exists, according to two successive runs (E15), or is no longer
// selected by a rule.
func (r *run) hasLeft(t *image) bool {
	return t.unmatched || t.seen.missed.before(r.start) && r.missing(t)
}
