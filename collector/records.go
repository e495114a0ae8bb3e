package collector

import (
	"context"
	"slices"

	"glance_share_exporter/client"
)

// requestRecords requests the records that the run does not have yet, many with one request: first among the images
// that are not hidden, then among the hidden ones, and then each missing record alone. The lists are requested one
// after another, in parallel with members.
func (r *run) requestRecords() {
	var missing []*image
	for _, t := range r.images {
		if t.record == nil && !t.verified {
			missing = append(missing, t)
		}
	}
	order(missing)
	r.queue.add(&r.queue.first, func(ctx context.Context) {
		how, why := byList, error(nil)
		if r.opts.API == client.IMS {
			how = oneByOne // its list does not accept IDs
		}
		for chunk := range slices.Chunk(missing, client.MaxImagesPerRequest) {
			how, why = r.requestChunk(ctx, chunk, how, why)
		}
	})
}

// recordMode is how the next records are requested. It follows from the responses so far.
type recordMode int

const (
	byList   recordMode = iota
	oneByOne            // the API rejects the request for a list, but not for single records
	giveUp              // the credential may not read records
)

// requestChunk requests the records of a chunk in a mode, and returns the mode for the next chunk. err is why the mode
// is giveUp.
func (r *run) requestChunk(ctx context.Context, chunk []*image, mode recordMode, err error) (recordMode, error) {
	missing := chunk
	if mode == byList {
		missing, err = r.listRecords(ctx, chunk)
	}
	if err == nil && mode != giveUp {
		for _, t := range missing {
			r.requestRecord(t)
		}
		return mode, nil
	}
	switch status := imageStatus(err); {
	case mode == giveUp:
	case status == statusNotFound:
		r.notImageAPI = true
		mode = oneByOne
	case status == statusUnauthorized || status == statusForbidden:
		// The credential may not list images. One record shows whether it may read single records.
		mode = giveUp
		if err = r.readRecord(ctx, missing[0]); err == nil || imageStatus(err) == statusNotFound {
			mode = oneByOne
		}
		missing = missing[1:]
	case status/100 == 4 && status != statusTooManyRequests:
		mode = oneByOne
	}
	for _, t := range missing {
		if mode == oneByOne {
			r.requestRecord(t)
		} else {
			r.setRecord(t, nil, moment{}, err)
		}
	}
	if mode != giveUp {
		err = nil
	}
	return mode, err
}

// listRecords reads records from the lists of images that are not hidden and of hidden ones. It returns the images that
// neither has.
func (r *run) listRecords(ctx context.Context, chunk []*image) (missing []*image, err error) {
	missing = chunk
	for _, hidden := range []bool{false, true} {
		if len(missing) > 0 && err == nil {
			missing, err = r.listRecordsOf(ctx, missing, hidden)
		}
	}
	return missing, err
}

// listRecordsOf is listRecords for one of the two lists.
func (r *run) listRecordsOf(ctx context.Context, requested []*image, hidden bool) (missing []*image, err error) {
	images, began, err := request(ctx, r, func(ctx context.Context) ([]client.Image, error) {
		return r.cloud.api.Images(ctx, ids(requested), hidden)
	})
	if err != nil {
		for _, t := range requested {
			r.noteProbed(t, nil, began, err)
		}
		return requested, err
	}
	return r.setRecords(requested, images, began), nil
}

func ids(images []*image) []string {
	ids := make([]string, len(images))
	for i, t := range images {
		ids[i] = t.ID
	}
	return ids
}

// requestRecord requests a record alone when the image is read. If the image was visited already, the request is
// among the first tasks, because the record was not read yet.
func (r *run) requestRecord(t *image) {
	t.recordFirst = true
	switch {
	case t.visited && t.requested:
		r.queue.add(&r.queue.first, func(ctx context.Context) { _ = r.readRecord(ctx, t) }) // which stores the error
	case t.visited:
		r.enqueue(t, &r.queue.first)
	}
}

func (r *run) readRecord(ctx context.Context, t *image) error {
	img, began, err := request(ctx, r, func(ctx context.Context) (client.Image, error) { return r.cloud.api.Image(ctx, t.ID) })
	if err != nil {
		r.setRecord(t, nil, began, err)
		return err
	}
	r.setRecord(t, &img, began, nil)
	return nil
}

// setRecords sets the records that a list has and returns the images that it lacks.
func (r *run) setRecords(requested []*image, images []client.Image, began moment) (missing []*image) {
	found := make(map[string]*client.Image, len(images))
	for i := range images {
		found[images[i].ID] = &images[i]
	}
	for _, t := range requested {
		if img := found[t.ID]; img != nil {
			record := *img // a copy, so that the list's other records need not stay in memory
			r.setRecord(t, &record, began, nil)
		} else {
			missing = append(missing, t)
		}
	}
	return missing
}

// setRecord sets a record that was requested at a moment, or why it was not read, and enqueues the image if the members
// waited for that.
func (r *run) setRecord(t *image, img *client.Image, began moment, err error) {
	again := t.record != nil
	if again && began.n < t.recordBegan.n {
		return // a later one was read already
	}
	if err == nil || !again {
		t.record, t.recordErr, t.recordBegan = img, err, began
	}
	r.noteProbed(t, img, began, err)
	if err == nil {
		r.noteRecord(img, began)
		if t.membersEnd.n > 0 && began.n > t.membersEnd.n {
			t.after = img
		}
	}
	if err == nil && !t.discovered && !again {
		r.weight += imageWeight(img) // addImages counts that of a discovered one
	}
	if t.discovered && err == nil {
		if rule := r.opts.rule(img, r.projects); rule != nil {
			t.Policy, t.unmatched = rule.Policy, false
		} else {
			t.unmatched = true
		}
	}
	if t.queuedIn != nil || t.visited && r.wantsMembers(t) {
		r.enqueue(t, r.placeOf(t))
	}
}
