package collector_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// With more projects than one scrape can enter, each scrape ends in time, reads more of them than the one before, reports
// those that it did not enter, and says nothing of images that were not read.
func TestMoreProjectsThanAScrapeEnters(t *testing.T) {
	const projects, perProject = 60, 2
	opts := options()
	opts.Discover = []collector.Rule{{}}
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		all := projects + 3
		for i := range projects {
			id := fmt.Sprintf("%032x", i)
			b.world.AddProjectID(id, fmt.Sprint("project-", i))
			b.world.AddUser("roamer", "roamer-secret", id, "reader")
			for k := range perProject {
				b.world.AddImage(fakecloud.Image{Name: fmt.Sprint("image-", i, "-", k), Owner: id, Visibility: "shared"})
			}
		}
		b.world.Inject(fakecloud.Fault{Latency: 500 * time.Millisecond, Match: func(r fakecloud.Request) bool {
			return r.Operation == fakecloud.OpAuthenticate
		}})
		before, discovered := 0, false
		for range 8 {
			began := time.Now()
			s := b.scrape(t)
			if took := time.Since(began); took > 9*time.Second {
				t.Errorf("a scrape took %s", took)
			}
			entered := 0
			for _, line := range series(t, s, "glance_project_success") {
				if strings.HasSuffix(line, " 1") {
					entered++
				}
			}
			if len(s.Scopes) != all || entered < min(before+8, all) {
				t.Errorf("%d of %d projects are entered after %d", entered, len(s.Scopes), before)
			}
			if discovered = s.Discovered; discovered != (entered == all) {
				t.Errorf("discovered is %t with %d projects of %d", discovered, entered, all)
			}
			if got := len(s.Images); got < perProject*(entered-3) {
				t.Errorf("%d images with %d projects", got, entered)
			}
			before = entered
			time.Sleep(20 * time.Second)
		}
		if !discovered {
			t.Errorf("%d projects are entered in the end", before)
		}
		if n := b.world.MostInFlight(); n > 20 {
			t.Errorf("%d requests in flight", n)
		}
		if n := len(b.log.take()); n > 50 {
			t.Errorf("%d lines of the log", n)
		}
	})
}
