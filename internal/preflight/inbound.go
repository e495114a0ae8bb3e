package preflight

import (
	"fmt"

	"glance_share_exporter/collector"
)

// inbound returns the finding about the images that other projects share with the credential's projects.
func (e *evidence) inbound() finding {
	f := finding{status: good, subject: "inbound"}
	total, unexpected := 0, 0
	for _, in := range e.snapshot.Inbound {
		total += len(in.Images)
		for i := range in.Images {
			if in.Images[i].Unexpected {
				unexpected++
			}
		}
		why := ""
		if in.Err != nil {
			f.status = fail
			if why = reason(in.Err); collector.IsUnproven(in.Err) && e.listingGap(in.ProjectID) {
				why = "it is not proven that images are visible, " + seeProof
			}
		}
		switch {
		case in.Err != nil && len(e.snapshot.Inbound) > 1:
			f.more = append(f.more, "- "+orElse(in.ProjectID, "projects missing from the list")+": "+why)
		case in.Err != nil:
			f.more = append(f.more, why)
		case in.LeftOut > 0:
			f.status = max(f.status, warn)
			f.more = append(f.more,
				fmt.Sprintf("%d of them are counted, but have no series: raise inbound.max_images if you expect so many", in.LeftOut))
		}
	}
	switch images := imageCount(total, false); {
	case f.status == fail && total == 0:
		f.text = "it is unknown which images other projects share with you"
	case f.status == fail:
		f.text = "other projects share at least " + images + " with you; the listing is incomplete"
	default:
		f.text = "other projects share " + images + " with you"
	}
	if unexpected > 0 {
		f.status = max(f.status, warn)
		f.text += fmt.Sprintf(", %d of unexpected owners", unexpected)
	}
	return f
}

func countOf(list []kind) (n int) {
	for _, k := range list {
		n += len(k.images)
	}
	return n
}
