package collector_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// readTimes checks when it is said that something was read: there where it is shown, within the collection that read it.
func (c *check) readTimes() {
	ids := func(metric, value string) map[string]bool {
		set := map[string]bool{}
		for _, s := range c.page[metric] {
			if value == "" || s.value == value {
				set[s.labels["image_id"]+s.labels["project_id"]] = true
			}
		}
		return set
	}
	inbound := ids("glance_inbound_images", "")
	for _, s := range c.page["glance_inbound_image_info"] {
		inbound[s.labels["project_id"]] = true
	}
	for metric, want := range map[string]map[string]bool{
		"glance_image_members_read_timestamp_seconds":    ids("glance_image_scrape_success", "1"),
		"glance_image_visibility_read_timestamp_seconds": ids("glance_image_visibility", ""),
		"glance_inbound_read_timestamp_seconds":          inbound,
	} {
		for _, s := range c.page[metric] {
			id := s.labels["image_id"] + s.labels["project_id"]
			if !want[id] {
				c.wrong(id, "has %s, and nothing was read", metric)
			}
			delete(want, id)
			if at := timeOf(s); at > seconds(time.Now()) {
				c.wrong(id, "%s is %f, and it is %f", metric, at, seconds(time.Now()))
			} else if at < seconds(c.s.Start) && !c.kept(id) {
				c.wrong(id, "%s is %f, and the collection began at %f", metric, at, seconds(c.s.Start))
			}
		}
		for id := range want {
			c.wrong(id, "has no %s", metric)
		}
	}
}

// kept is whether a project has an inbound image that was read earlier, so that its status is not known.
func (c *check) kept(project string) bool {
	return slices.ContainsFunc(c.page["glance_inbound_image_info"], func(s sample) bool {
		known := slices.ContainsFunc(c.page["glance_inbound_image_status"], func(o sample) bool {
			return o.labels["image_id"] == s.labels["image_id"]
		})
		return s.labels["project_id"] == project && !known
	})
}

// timeOf is a sample's value.
func timeOf(s sample) float64 {
	at, _ := strconv.ParseFloat(s.value, 64)
	return at
}

// since are the states that the world was in when something was read, or later. What is said of it must be true of one of them. A cache may
// have answered with what was so five seconds before.
func (c *check) since(metric, label, id string) []*state {
	i := slices.IndexFunc(c.page[metric], func(s sample) bool { return s.labels[label] == id })
	if i < 0 {
		return c.states
	}
	at := timeOf(c.page[metric][i])
	if c.cached {
		at -= 5
	}
	first := len(c.states) - 1
	for first > 0 && seconds(c.states[first].at) >= at {
		first--
	}
	return c.states[first:]
}

// readAt are when an image's members and its visibility were read, as a page says; 0: it does not.
func readAt(t *testing.T, s collector.Snapshot, id string) (members, visibility float64) {
	t.Helper()
	page := gather(t, s)
	of := func(metric string) (at float64) {
		for _, s := range page[metric] {
			if s.labels["image_id"] == id {
				at = timeOf(s)
			}
		}
		return at
	}
	return of("glance_image_members_read_timestamp_seconds"), of("glance_image_visibility_read_timestamp_seconds")
}

// Both are when the request began, for each image alone.
func TestWhenAnImageWasRead(t *testing.T) {
	bubble(t, newWorld(), user("producer"), options(shared, empty, public), func(t *testing.T, b *bench) {
		b.scrape(t)
		b.world.SetLatency(time.Second)
		opts := options(shared, public)
		opts.Concurrency = 1
		b.cloud.SetOptions(opts)
		s := b.scrape(t)
		start := seconds(s.Start)
		members, visibility := readAt(t, s, shared)
		record, same := readAt(t, s, public)
		got := []float64{members - start, visibility - start, record - start, same - start}
		if slices.Sort(got[:2]); !slices.Equal(got[:2], []float64{0, 1}) {
			t.Errorf("the list and the record of an image were read at %v", got[:2])
		}
		if record != same || record != visibility {
			t.Errorf("the record of an image without members was read at %f and %f, want %f", record, same, visibility)
		}
	})
}

// In the background they are the times of what is shown, whichever collection read that.
func TestWhenAnImageWasReadInTheBackground(t *testing.T) {
	opts := options(shared)
	opts.RefreshInterval, opts.MaxStaleness = time.Minute, time.Hour
	bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
		first := b.scrape(t)
		time.Sleep(30 * time.Second)
		b.world.Inject(fakecloud.Fault{Match: about("list_members", ""), Status: http.StatusInternalServerError})
		time.Sleep(10 * time.Minute)
		s := b.scrape(t)
		members, visibility := readAt(t, s, shared)
		if members != seconds(first.Start) || visibility < members+500 || visibility > seconds(time.Now()) {
			t.Errorf("members were read at %f, want %f, and the record at %f", members, seconds(first.Start), visibility)
		}
		b.world.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
		b.world.Inject(fakecloud.Fault{Match: about("get_image", ""), Status: http.StatusInternalServerError})
		time.Sleep(10 * time.Minute)
		s = b.scrape(t)
		if m, v := readAt(t, s, shared); m != members || v != visibility {
			t.Errorf("members were read at %f, and the record at %f, want %f and %f", m, v, members, visibility)
		}
	})
}

// What others share was read when the first listing began, in whichever collection that was.
func TestWhenInboundImagesWereRead(t *testing.T) {
	opts := watchingInbound(nil)
	opts.DiscoveryInterval = time.Minute
	bubble(t, newInboundWorld(fakecloud.Options{}), user("producer"), opts, func(t *testing.T, b *bench) {
		readAt := func(s collector.Snapshot) float64 {
			return timeOf(samples(t, s, "glance_inbound_read_timestamp_seconds")[0]) - seconds(s.Start)
		}
		b.scrape(t)
		time.Sleep(time.Minute)
		b.world.SetLatency(10 * time.Millisecond)
		if at := readAt(b.scrape(t)); at != 0 {
			t.Errorf("read %f s after the collection began", at)
		}
		time.Sleep(30 * time.Second)
		if at := readAt(b.scrape(t)); at > -30 || at < -31 {
			t.Errorf("read %f s after the collection began, and it read nothing", at)
		}
		// An image that is not found keeps its place, and is as old as it is.
		time.Sleep(time.Minute)
		b.world.RemoveImage(vendorBase)
		if at := readAt(b.scrape(t)); at > -90 {
			t.Errorf("read %f s after the collection began, and an image was not found since", at)
		}
	})
}

// A page has the hash of the options that it was collected with.
func TestConfigHashOfAPage(t *testing.T) {
	for _, refresh := range []time.Duration{0, time.Hour} {
		opts := options(shared)
		opts.RefreshInterval, opts.ConfigHash = refresh, 1<<53-1
		bubble(t, newWorld(), user("producer"), opts, func(t *testing.T, b *bench) {
			check := func(want string) {
				t.Helper()
				if got := samples(t, b.scrape(t), "glance_cloud_config_hash")[0].value; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			check("9007199254740991")
			next := options(shared, empty)
			next.RefreshInterval, next.ConfigHash = refresh, 7
			b.cloud.SetOptions(next)
			time.Sleep(time.Second)
			check("7")
		})
	}
}
