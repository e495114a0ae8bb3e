package collector

import (
	"cmp"
	"slices"
	"time"
)

// leftImage is an image that is no longer watched, although the configuration did not change.
type leftImage struct {
	LeftImage
	at   time.Time // end of the run
	seen time.Time // start of the request that showed it
}

const (
	keepLeft = time.Hour
	maxLeft  = 1000
)

// leave notes an image that is no longer watched, which a request showed that began at seen.
func (h *History) leave(l LeftImage, seen time.Time) {
	h.left = slices.DeleteFunc(h.left, func(old leftImage) bool { return old.ID == l.ID })
	h.left = append(h.left, leftImage{l, time.Now(), seen})
	if len(h.left) > maxLeft {
		h.left = slices.Delete(h.left, 0, len(h.left)-maxLeft)
	}
}

// lately returns the images of a run's shard that left within the last hour, without those that are watched again.
func (h *History) lately(r *run) (list []LeftImage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = slices.DeleteFunc(h.left, func(l leftImage) bool {
		again := l.at.Before(r.start) && r.byID[l.ID] != nil && !r.hasLeft(r.byID[l.ID])
		return age(l.at) > keepLeft || again
	})
	for _, l := range h.left {
		if r.shard.shard.has(l.ID) {
			list = append(list, l.LeftImage)
		}
	}
	slices.SortFunc(list, func(a, b LeftImage) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// leftSince returns the IDs of the images that left after a time.
func (h *History) leftSince(began time.Time) map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]bool{}
	for _, l := range h.left {
		if l.seen.After(began) {
			ids[l.ID] = true
		}
	}
	return ids
}
