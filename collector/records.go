package collector

import (
	"context"
	"slices"

	"glance_share_exporter/client"
)

// requestRecords asks for the images' own records that are not there yet, many with one request: first the ones that are not hidden,
// then the hidden
// ones among those that are missing, then each that is still missing alone. The lists follow one another, beside the
// requests for members.
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
			how = oneByOne // its list takes no IDs
		}
		for chunk := range slices.Chunk(missing, client.MaxImagesPerRequest) {
			how, why = r.requestChunk(ctx, chunk, how, why)
		}
	})
}

// recordMode is in which way the next records are asked for, as the answers so far suggest.
type recordMode int

const (
	byList   recordMode = iota
	oneByOne            // the API does not take the list, but single questions
	giveUp              // the credential may not ask for records
)

// requestChunk asks for the records of a chunk in a mode, and returns the mode for the next one. err is why it is giveUp.
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
		// The credential may not list. One record alone tells whether it may read those.
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

// listRecords notes the records that the two lists have, and returns the images that they lack.
func (r *run) listRecords(ctx context.Context, chunk []*image) (missing []*image, err error) {
	missing = chunk
	for _, hidden := range []bool{false, true} {
		if len(missing) > 0 && err == nil {
			missing, err = r.listRecordsOf(ctx, missing, hidden)
		}
	}
	return missing, err
}

// listRecordsOf is listRecords for one of the lists.
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

// requestRecord requests a record when the image is read, or now if it was: before what is known, since it was never read.
func (r *run) requestRecord(t *image) {
	t.recordFirst = true
	switch {
	case t.visited && t.requested:
		r.queue.add(&r.queue.first, func(ctx context.Context) { _ = r.readRecord(ctx, t) }) // the error is noted there
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

// setRecords notes the records that a list has and returns the images that it lacks.
func (r *run) setRecords(requested []*image, images []client.Image, began moment) (missing []*image) {
	found := make(map[string]*client.Image, len(images))
	for i := range images {
		found[images[i].ID] = &images[i]
	}
	for _, t := range requested {
		if img := found[t.ID]; img != nil {
			record := *img // alone: the list's others need not stay
			r.setRecord(t, &record, began, nil)
		} else {
			missing = append(missing, t)
		}
	}
	return missing
}

// setRecord notes one record that was asked for at a time, or why it was not read, and asks for the members if that waited for it.
func (r *run) setRecord(t *image, img *client.Image, began moment, err error) {
	again := t.record != nil
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
		r.weight += imageWeight(img) // of a discovered one it is counted where that is found
	}
	if t.discovered && err == nil {
		if rule := r.opts.rule(img, r.projects); rule != nil {
			t.Policy = rule.Policy
		} else {
			t.unmatched = true
		}
	}
	if t.queuedIn != nil || t.visited && r.wantsMembers(t) {
		r.enqueue(t, r.placeOf(t))
	}
}
