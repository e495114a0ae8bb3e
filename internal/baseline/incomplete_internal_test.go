package baseline

import (
	"errors"
	"testing"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// Whatever an image is, it has an entry only if all members and the visibility are known, or the visibility has no members.
func TestOnlyWhatIsKnownHasAnEntry(t *testing.T) {
	records := map[string]*client.Image{"no record": nil, "no visibility": {}, "unknown visibility": {Visibility: "secret"}}
	for _, v := range client.Visibilities() {
		records[string(v)] = &client.Image{Visibility: v}
	}
	members := map[string][]client.Member{
		"nobody": nil, "a member": {{Type: client.TypeProject, ID: "a"}}, "a row without an ID": {{Type: client.TypeProject}},
	}
	entries := 0
	for name, record := range records {
		for who, list := range members {
			for coverage := collector.Unread; coverage <= collector.Complete; coverage++ {
				for doubt := collector.NoDoubt; doubt <= collector.HiddenRows; doubt++ {
					for leftOut := range 2 {
						for _, err := range []error{nil, errors.New("502 Bad Gateway")} {
							img := &collector.ImageSnapshot{
								Record: record, Coverage: coverage, Doubt: doubt, Members: list, LeftOut: leftOut, Err: err,
							}
							want := coverage == collector.Complete && leftOut == 0 && who != "a row without an ID" ||
								coverage == collector.NotApplicable && name != "shared"
							want = want && record != nil && record.Visibility.Known()
							reason := incomplete(img)
							if got := reason == ""; got != want {
								t.Errorf("%s, %s, coverage %d, doubt %d, %d left out, %v: an entry %t, want %t (%s)",
									name, who, coverage, doubt, leftOut, err, got, want, reason)
							}
							if want {
								entries++
							}
						}
					}
				}
			}
		}
	}
	if entries == 0 {
		t.Error("nothing has an entry")
	}
}
