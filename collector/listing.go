package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"glance_share_exporter/client"
)

var errUnreadable = errors.New("records cannot be read")

var (
	errMixedViews = errors.New("listing images: pages were read with tokens of different rights")
	errDropped    = errors.New("listing images: a page has fewer images than requested, although another page follows: " +
		"Glance's policy hides images from the credential, allow rule get_image in policy.yaml of Glance")
)

var errGoingRound = errors.New("listing images: pagination loop, marker repeated: the image API may ignore the marker, so images " +
	"may be missing")

// maxRestarts is how often a listing is restarted because the marker's image was deleted or hidden.
const maxRestarts = 3

// list reads one listing to its end and calls take for each page. After a restart, take gets images again.
func (r *run) list(ctx context.Context, q client.ImageQuery, take func(page client.ImagePage, began moment) error) error {
	for restarts := 0; ; restarts++ {
		again, err := r.listPages(ctx, q, take)
		if !again || restarts == maxRestarts {
			return err
		}
	}
}

// listPages reads the pages of a listing from the first one on. again is whether the marker's image was deleted or
// hidden meanwhile, so that the listing must be restarted.
func (r *run) listPages(ctx context.Context, q client.ImageQuery, take func(client.ImagePage, moment) error) (again bool, err error) {
	marker, seen, unreadable, dropped := "", map[string]bool{}, 0, false
	var view *client.Access // of the first page
	for {
		page, began, err := r.page(ctx, q, marker)
		if err != nil {
			status := imageStatus(err)
			if marker == "" && status == statusNotFound {
				r.notImageAPI = true
			}
			return marker != "" && (status == statusBadRequest || status == statusForbidden || status == statusNotFound), err
		}
		if view == nil {
			view = &page.Access
		} else if !view.SameView(page.Access) {
			return false, errMixedViews
		}
		if marker != "" && hasImage(page.Images, marker) {
			return false, errGoingRound
		}
		if err := take(page, began); err != nil {
			return false, err
		}
		unreadable += page.Unreadable
		dropped = dropped || page.Dropped
		if page.Next == "" {
			break
		}
		if seen[page.Next] {
			return false, errGoingRound
		}
		seen[page.Next], marker = true, page.Next
	}
	switch {
	case unreadable > 0:
		return false, fmt.Errorf("listing images: %d %w", unreadable, errUnreadable)
	case dropped:
		return false, errDropped
	}
	return false, nil
}

func hasImage(images []client.Image, id string) bool {
	return slices.ContainsFunc(images, func(img client.Image) bool { return img.ID == id })
}
