package preflight

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"glance_share_exporter/collector"
)

const (
	imagesPerListing = 500 // a page of Huawei Cloud's listing
	inboundRequests  = 6   // three listings, each with an empty page at its end
)

// turns are about the images that are read when all others are read: how many requests a collection takes, and how long it takes
// until each of them was read.
func (e *evidence) turns() []finding {
	images := e.some(func(img *collector.ImageSnapshot) bool { return img.InTurns })
	if len(images) == 0 {
		return nil
	}
	all, listing := len(e.snapshot.Images), 0
	for range e.snapshot.Scopes {
		listing += all/imagesPerListing + 2 // the last page is empty
	}
	if len(e.snapshot.Inbound) > 0 {
		listing += inboundRequests * len(e.snapshot.Inbound)
	}
	first := all - len(images)
	f := finding{status: info, subject: "turns", text: fmt.Sprintf("%d of %d images seem to be shared with nobody: they are read in turns, when all others are read", len(images), all)}
	f.more = append(f.more, fmt.Sprintf("a collection takes %d requests: %d for listings, %d for images that are read each time, and %d for those in turns", listing+all, listing, first, len(images)))
	rate, period := e.ClientOptions.RequestsPerSecond, e.timeout
	if e.Options.RefreshInterval > 0 {
		period = e.Options.RefreshInterval
	}
	if rate == 0 {
		return []finding{f} // nobody knows what the API takes
	}
	whole := time.Duration(float64(listing+all) / rate * float64(time.Second))
	room := int(rate*period.Seconds()) - listing - first
	remedy := "raise requests_per_second, or write scrape.refresh_interval: " + roundUp(whole).String()
	switch {
	case room >= len(images):
		f.more = append(f.more, fmt.Sprintf("with requests_per_second: %v that is %s: each collection reads them all", rate, max(whole.Round(time.Second), time.Second)))
	case room <= 0:
		f.status = fail
		f.more = append(f.more, fmt.Sprintf("with requests_per_second: %v a collection of %s has no time for those in turns: %s", rate, period, remedy))
	default:
		n := (len(images) + room - 1) / room
		f.more = append(f.more, fmt.Sprintf("with requests_per_second: %v a collection of %s reads %d of those in turns, so a turn takes %d collections. To read all each time, %s", rate, period, room, n, remedy))
	}
	return []finding{f}
}

// roundUp is a duration in whole minutes, with some room.
func roundUp(d time.Duration) model.Duration {
	return model.Duration((d + d/4).Truncate(time.Minute) + time.Minute)
}
