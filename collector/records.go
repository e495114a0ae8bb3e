package collector

import (
	"context"
	"errors"
	"slices"

	"glance_share_exporter/client"
)

// askRecords asks for the images' own records, many with one request: first the ones that are not hidden, then the hidden
// ones among those that are missing, then each that is still missing alone. The lists follow one another, beside the
// requests for members.
func (c *collection) askRecords() {
	c.queue.add(&c.queue.first, func(ctx context.Context) {
		all := make([]int, len(c.opts.Images))
		for i := range all {
			all[i] = i
		}
		how := tryLists
		for chunk := range slices.Chunk(all, client.MaxImagesPerRequest) {
			how = c.askChunk(ctx, chunk, how)
		}
	})
}

// how is in which way the next records are asked for, as the answers so far suggest.
type how int

const (
	tryLists how = iota
	askAlone     // the API does not take the list, but single questions
	giveUp       // the credential may not ask for records
)

func (c *collection) askChunk(ctx context.Context, chunk []int, mode how) how {
	missing, err := chunk, error(nil)
	if mode == tryLists {
		missing, err = c.askLists(ctx, chunk)
	}
	if err == nil && mode != giveUp {
		for _, i := range missing {
			c.askRecordAlone(i)
		}
		return mode
	}
	switch status := imageStatus(err); {
	case mode == giveUp:
	case status == statusNotFound:
		c.mu.Lock()
		c.stranger = true
		c.mu.Unlock()
		mode = askAlone
	case status == statusUnauthorized || status == statusForbidden:
		// The credential may not list. One record alone tells whether it may read those.
		mode = giveUp
		if err = c.readRecord(ctx, missing[0]); err == nil || imageStatus(err) == statusNotFound {
			mode = askAlone
		}
		missing = missing[1:]
	case status/100 == 4 && status != statusTooManyRequests:
		mode = askAlone
	}
	for _, i := range missing {
		if mode == askAlone {
			c.askRecordAlone(i)
		} else {
			c.settleRecord(i, nil, err)
		}
	}
	return mode
}

// askLists notes the records that the two lists have, and returns the places of those that they lack.
func (c *collection) askLists(ctx context.Context, chunk []int) (missing []int, err error) {
	missing = chunk
	for _, hidden := range []bool{false, true} {
		if len(missing) == 0 {
			break
		}
		var images []client.Image
		err := c.request(ctx, func(ctx context.Context) (err error) {
			images, err = c.cloud.api.Images(ctx, c.ids(missing), hidden)
			return err
		})
		if err != nil {
			return missing, err
		}
		missing = c.settleRecords(missing, images)
	}
	return missing, nil
}

func (c *collection) ids(places []int) []string {
	ids := make([]string, len(places))
	for n, i := range places {
		ids[n] = c.opts.Images[i].ID
	}
	return ids
}

func (c *collection) askRecordAlone(i int) {
	c.queue.add(&c.queue.first, func(ctx context.Context) { _ = c.readRecord(ctx, i) }) // the error is noted there
}

func (c *collection) readRecord(ctx context.Context, i int) error {
	var img client.Image
	err := c.request(ctx, func(ctx context.Context) (err error) {
		img, err = c.cloud.api.Image(ctx, c.opts.Images[i].ID)
		return err
	})
	if err != nil {
		c.settleRecord(i, nil, err)
	} else {
		c.settleRecord(i, &img, nil)
	}
	return err
}

// settleRecords notes the records that a list has and returns the places of those that it lacks.
func (c *collection) settleRecords(asked []int, images []client.Image) (missing []int) {
	found := make(map[string]*client.Image, len(images))
	for i := range images {
		found[images[i].ID] = &images[i]
	}
	for _, i := range asked {
		if img := found[c.opts.Images[i].ID]; img != nil {
			c.settleRecord(i, img, nil)
		} else {
			missing = append(missing, i)
		}
	}
	return missing
}

// settleRecord notes one record, or why it was not read, and asks for the members if that waited for it.
func (c *collection) settleRecord(i int, img *client.Image, err error) {
	c.mu.Lock()
	f := &c.findings[i]
	f.record, f.recordErr = img, err
	ask := !f.notApplicable(c.opts) && !errors.Is(err, errNotAsked)
	c.mu.Unlock()
	if ask {
		c.askMembersOf(i)
	}
}
