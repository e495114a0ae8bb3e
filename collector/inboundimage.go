package collector

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// resolveStatuses requests single images: those without a status, those with two and, if all listings were read, those
// of earlier runs that are in no listing. Only the response about the image itself removes it, because between two
// listings an image may move from one to the other.
func (r *run) resolveStatuses(ctx context.Context, in *inbound, complete bool) (failure error) {
	var twice, open, missing []string
	for _, id := range slices.Sorted(maps.Keys(in.images)) {
		switch img := in.images[id]; {
		case img.conflicting:
			twice = append(twice, id)
		case img.status == "":
			open = append(open, id)
		}
	}
	known := r.inbound.seen.projects[in.project].known
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if in.images[id] == nil && complete && !in.removed[id] {
			missing = append(missing, id)
		}
	}
	slices.SortStableFunc(missing, func(a, b string) int {
		return compareBools(known[a].status != client.Accepted, known[b].status != client.Accepted)
	})
	for _, id := range missing {
		r.keepInbound(in, id)
	}
	if len(open) > maxInboundRequested {
		open, failure = nil, errInboundStatus
	}
	if len(missing) > maxMissingRequested {
		missing, failure = missing[:maxMissingRequested], errInboundStatus
	}
	for _, id := range slices.Concat(twice, open, missing) {
		err := r.resolveStatus(ctx, in, id)
		failure = cmp.Or(failure, err)
		if in.wrongView != nil || notRequested(err) || ctx.Err() != nil {
			return cmp.Or(failure, errInboundStatus)
		}
	}
	return failure
}

// keepInbound adds an image of an earlier run that no listing has, with an unknown status.
func (r *run) keepInbound(in *inbound, id string) {
	if known, ok := r.inbound.seen.projects[in.project].known[id]; ok && in.images[id] == nil {
		in.images[id] = &inboundImage{record: known.record, read: known.read, kept: true}
	}
}

// resolveStatus reads the status of one image, or notes that it is no longer there.
func (r *run) resolveStatus(ctx context.Context, in *inbound, id string) error {
	list, began, err := request(ctx, r, func(ctx context.Context) (client.MemberList, error) {
		return r.cloud.api.MembersAs(ctx, in.project, id)
	})
	if apiErr, ok := errors.AsType[*client.Error](err); ok && apiErr.OnlyShared {
		v := r.viewIn(in.project)
		v.onlyShared = v.onlyShared.later(r.at(began)) // E12
	}
	img := in.images[id]
	if err == nil {
		err = r.checkView(in, list.Access)
	}
	if img == nil || in.wrongView != nil {
		return err
	}
	own := ownRow(in.project, list.Members)
	var over bool
	// An owner gets the list, too, whoever the members are: an image that is no longer in a listing may now be the
	// project's own.
	if err == nil && (own == nil || img.kept) || imageStatus(err) == statusForbidden {
		record, recordErr := r.record(ctx, id)
		if recordErr == nil {
			over = r.inboundOver(in.project, &record, own != nil)
			record.Tags = nil
			img.record, img.read = record, time.Time{}
		}
		if err == nil || ownNotFound(recordErr) {
			err = recordErr
		}
	}
	if imageStatus(err) == statusNotFound {
		if own != nil {
			img.status, img.conflicting = "", false // whatever the record says, the list has our row
			return err
		}
		return r.noteNotFound(ctx, in, id, err)
	}
	switch {
	case over:
		in.remove(id)
		return nil
	case err != nil:
		return err
	case own != nil && !list.Repeated:
		img.status, img.conflicting, img.kept = own.Status, false, false
		return nil
	case img.record.Owner == "" && img.kept:
		in.remove(id) // without an owner, every project gets the list
		return nil
	case r.opts.API == client.IMS && slices.ContainsFunc(list.Members, func(m client.Member) bool { return m.Type != client.TypeProject }):
		img.status, img.conflicting = "", false // shared with the project's domain or organization
		return nil
	case r.opts.API == client.IMS, own != nil, !hasAnother(list.Members, in.project):
		img.status, img.conflicting = "", false
		return errInboundRow
	}
	in.wrongView = errInboundView // a project that is not a member gets a 404
	return in.wrongView
}

// noteNotFound notes that an image was not found. It is removed when it gets the image API's own 404 in two runs (E15).
func (r *run) noteNotFound(ctx context.Context, in *inbound, id string, err error) error {
	seen := in.rows > 0 || r.viewIn(in.project).images.run == r.id
	if !seen {
		r.survey(ctx, in.project)
	}
	past := r.inbound.seen.projects[in.project]
	seen = seen || r.viewIn(in.project).images.run == r.id
	if ownNotFound(err) && seen && r.inboundConfirmed(in) && (past.endpoint == "" || past.endpoint == r.endpointOf(in.project)) {
		if past.known[id].missed.before(r.start) {
			in.remove(id)
			return nil
		}
		in.missing[id] = true
	}
	if img := in.images[id]; img != nil {
		img.status, img.conflicting = "", false
	}
	return err
}

func (in *inbound) remove(id string) {
	delete(in.images, id)
	in.removed[id] = true
}

// ownRow returns the row of the project itself, or nil.
func ownRow(project string, members []client.Member) *client.Member {
	for i := range members {
		if members[i].Type == client.TypeProject && members[i].ID == project {
			return &members[i]
		}
	}
	return nil
}

// inboundOver reports whether an image's record shows that it is not inbound: the project owns it, or its visibility
// has no members. listed is whether its member list has the project.
func (r *run) inboundOver(project string, img *client.Image, listed bool) bool {
	switch {
	case img.Owner == project:
		return true
	case listed || img.Visibility == "" || slices.Contains(r.opts.MembersFor, img.Visibility):
		return false
	case img.Visibility != client.Private:
		return true
	}
	return r.viewIn(project).privates() == privateHasNone
}
