package collector

import (
	"cmp"
	"context"
	"errors"

	"glance_share_exporter/client"
)

// verifyExists requests a discovered image alone if it seems to be gone: its owner's whole listing lacks it, or it was listed and then
// its members are answered with a 404. Only its own 404 lets it go, or a record that no rule takes.
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

// ownerListed reports whether the listings of an image's owner were read to their ends, whatever became of others'.
func (r *run) ownerListed(t *image) bool {
	if last := t.seen.last; last != nil {
		if l := r.listingOf(last.Owner); l != nil {
			return r.discovery.ended && l.unread == 0
		}
	}
	return r.complete()
}

// ownNotFound reports whether an error is the image API's own answer that there is no such image (E16).
func ownNotFound(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.OwnNotFound
}

// missing reports whether this run shows that a discovered image is not there (E15): the image API's own 404, from the
// endpoint where the image was found, while another image of its owner was answered in the same view.
func (r *run) missing(t *image) bool {
	if !t.discovered || !t.notFound || t.record != nil || r.noImageAPI() {
		return false
	}
	v, last := r.viewOf(t), t.lastRecord()
	switch {
	case last != nil && r.discovery.contradicted[last.Owner]:
		return false
	case t.seen.endpoint != "" && t.seen.endpoint != r.endpointOf(v.project):
		return false
	case last != nil && last.Owner != v.project && !v.administratorIn(r.id):
		return false // who is no administrator any more gets a 404, too
	}
	return r.ownerAnswered(t) || r.onlyImage(t) && r.viewOf(t).images.run == r.id
}

// ownerAnswered reports whether an image of the same owner was answered in the same view.
func (r *run) ownerAnswered(t *image) bool {
	last := t.lastRecord()
	return last != nil && r.answeredFor[ownerIn{last.View, last.Owner}]
}

// onlyImage reports whether the image was the only one of its owner in the last complete listing.
func (r *run) onlyImage(t *image) bool {
	last := t.lastRecord()
	return last != nil && r.seen.owners[last.Owner] == 1
}

// lastRecord is what an earlier run, or a listing in one, said of the image, nil where none did.
func (t *image) lastRecord() *client.Image { return cmp.Or(t.seen.last, t.seen.known) }

// hasLeft reports whether a discovered image is not there any more, in two runs one after the other (E15), or not ours to
// watch.
func (r *run) hasLeft(t *image) bool {
	return t.unmatched || t.seen.missed.before(r.start) && r.missing(t)
}
