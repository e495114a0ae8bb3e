package preflight

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"glance_share_exporter/collector"
)

const (
	imagesPerListing = 500 // a page of Huawei Cloud's listing
	inboundRequests  = 6   // three listings, each ends with an empty page
)

// turns returns the finding about the images that are read after all others: how many requests a run takes, and in how
// many runs each of them is read once.
func (e *evidence) turns() []finding {
	quiet := len(e.some(func(img *collector.ImageSnapshot) bool { return img.InTurns }))
	if quiet == 0 {
		return nil
	}
	all, listing := len(e.snapshot.Images), e.listingRequests()
	f := finding{status: info, subject: "turns"}
	f.text = fmt.Sprintf("%d of %d images seem to have no members. They are read in turns, after all others", quiet, all)
	f.more = []string{fmt.Sprintf("reading everything takes %d requests: %d for listings, %d for images that are read each time, and %d "+
		"for images in turns",
		listing+all, listing, all-quiet, quiet)}
	if rate := e.ClientOptions.RequestsPerSecond; rate > 0 { // else the rate limit is unknown
		var text string
		f.status, text = e.round(rate, listing+all-quiet, quiet)
		f.more = append(f.more, fmt.Sprintf("with requests_per_second: %v %s", rate, text))
	}
	return []finding{f}
}

// listingRequests returns how many requests the listings of a run take.
func (e *evidence) listingRequests() (n int) {
	for range e.snapshot.Scopes {
		n += len(e.snapshot.Images)/imagesPerListing + 2 // the last page is empty
	}
	return n + inboundRequests*len(e.snapshot.Inbound)
}

// round returns how many runs it takes to read all quiet images once, if each run sends that many other requests.
func (e *evidence) round(rate float64, others, quiet int) (status, string) {
	period := e.timeout
	if e.Options.RefreshInterval > 0 {
		period = e.Options.RefreshInterval
	}
	whole := time.Duration(float64(others+quiet) / rate * float64(time.Second))
	room := int(rate*period.Seconds()) - others
	remedy := "raise requests_per_second, or set scrape.refresh_interval: " + roundUp(whole).String()
	switch {
	case room >= quiet:
		return info, fmt.Sprintf("this takes %s, so each collection reads all of them", max(whole.Round(time.Second), time.Second))
	case room <= 0:
		return fail, fmt.Sprintf("a collection of %s has no time for images in turns: %s", period, remedy)
	}
	return info, fmt.Sprintf("a collection of %s reads %d of the images in turns, so a round takes %d collections. To read all in each "+
		"collection, %s",
		period, room, (quiet+room-1)/room, remedy)
}

// roundUp returns a duration in whole minutes, with some reserve.
func roundUp(d time.Duration) model.Duration {
	return model.Duration((d + d/4).Truncate(time.Minute) + time.Minute)
}
