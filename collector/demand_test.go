package collector_test

import (
	"maps"
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// inbound checks what is said of the images that others share with the user's project.
func (c *check) inbound() {
	if c.opts.Inbound == nil || len(c.page["glance_inbound_success"]) != 1 {
		if n := len(c.page["glance_inbound_success"]); n > 0 || c.opts.Inbound != nil {
			c.wrong("inbound", "%d rows of success", n)
		}
		return
	}
	success := c.page["glance_inbound_success"][0].value == "1"
	if success && c.adminRole() {
		c.wrong("inbound", "success for an administrator")
	}
	shown, counts := map[string]bool{}, map[string]int{}
	unexpected := 0
	for _, s := range c.page["glance_inbound_image_info"] {
		id := s.labels["image_id"]
		shown[id] = true
		c.inboundImage(id, s.labels, success)
		expected := slices.ContainsFunc(c.opts.Inbound.Owners, func(m collector.ExpectedMember) bool { return m.ID == s.labels["owner_id"] })
		unexpected += int(bit(!expected)[0] - '0')
		want := map[string]string{id: bit(expected)}
		if c.opts.Inbound.Owners == nil {
			want = map[string]string{}
		}
		judged := map[string]string{}
		for _, s := range c.page["glance_inbound_image_expected"] {
			if s.labels["image_id"] == id {
				judged[id] = s.value
			}
		}
		if diff := cmp.Diff(want, judged); diff != "" {
			c.wrong(id, "expected: %s", diff)
		}
	}
	statuses := map[string]bool{}
	for _, s := range c.page["glance_inbound_image_status"] {
		id := s.labels["image_id"]
		if statuses[id] = true; !shown[id] {
			c.wrong(id, "has a status and no record")
		}
		if s.value == "1" {
			counts[s.labels["status"]]++
		}
		states := c.since("glance_inbound_read_timestamp_seconds", "project_id", c.claimed)
		if s.value == "1" && !slices.ContainsFunc(states, func(st *state) bool { return st.inbound()[id] == s.labels["status"] }) {
			c.wrong(id, "status is %s, and it is %q", s.labels["status"], c.states[0].inbound()[id])
		}
	}
	c.inboundCounts(counts, unexpected, success)
	if !success {
		return
	}
	c.note("inbound succeeded")
	for _, id := range c.always(func(s *state) []string { return slices.Sorted(maps.Keys(s.inbound())) }) {
		if !statuses[id] {
			c.missingInbound(id)
		}
	}
}

// inboundImage checks one image: it is inbound, or it was and its place is kept.
func (c *check) inboundImage(id string, labels map[string]string, success bool) {
	got := []string{labels["current_name"], labels["hidden"], labels["image_status"], labels["owner_id"], labels["project_id"]}
	diff := func(img *fakecloud.Image) string {
		return cmp.Diff([]string{img.Name, strconv.FormatBool(img.Hidden), img.Status, img.Owner, c.claimed}, got)
	}
	problem := "no state has it, and none had it"
	if c.meddler.delivered("inbound", id) || c.meddler.delivered("members", id) && len(c.inboundSeen[id]) > 0 {
		for _, s := range c.states {
			if s.inbound()[id] != "" {
				if problem = diff(s.images[id]); problem == "" {
					return
				}
			}
		}
	}
	known := slices.ContainsFunc(c.page["glance_inbound_image_status"], func(s sample) bool { return s.labels["image_id"] == id })
	for _, img := range c.inboundSeen[id] {
		if diff(&img) == "" && !known && !success {
			c.note("inbound image of unknown status")
			return
		}
	}
	// E14: a row of a listing that the image's members contradict has an unknown status.
	listed := c.meddler.delivered("inbound", id) && c.ever(id, func(s *state, img *fakecloud.Image) bool {
		return (s.hasMembers(img) || s.before25 || c.claimed != c.project) && diff(img) == ""
	})
	switch {
	case success:
	case listed && c.claimed != c.project:
		c.documented("a wrong project_id, which nothing confirms: an image that is not inbound")
		return
	case known:
	case listed && c.before25:
		c.documented("before 2.5 public images with rows are listed: an inbound image of unknown status")
		return
	case listed && slices.ContainsFunc(c.states, (*state).admin):
		c.documented("an administrator without one of admin_roles: an inbound image of unknown status")
		return
	}
	c.wrong(id, "is shown as inbound, listed %t, status known %t, success %t: %s: %q", listed, known, success, problem, got)
}

func (c *check) inboundCounts(counts map[string]int, unexpected int, success bool) {
	want, got := map[string]string{}, map[string]string{}
	for _, s := range client.Statuses() {
		if n := counts[string(s)]; n > 0 || success {
			want[string(s)] = strconv.Itoa(n)
		}
	}
	for _, s := range c.page["glance_inbound_images"] {
		got[s.labels["status"]] = s.value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.wrong("inbound", "counts: %s", diff)
	}
	count := ""
	if c.opts.Inbound.Owners != nil && (unexpected > 0 || success) {
		count = strconv.Itoa(unexpected)
	}
	if rows := c.page["glance_inbound_unexpected_images"]; len(rows) > 1 || (len(rows) == 0) != (count == "") ||
		len(rows) == 1 && rows[0].value != count {
		c.wrong("inbound", "unexpected images: %v, want %q", rows, count)
	}
}

// missingInbound is for an image that is inbound and not shown as such, though all were read.
func (c *check) missingInbound(id string) {
	hidden := c.ever(id, func(s *state, img *fakecloud.Image) bool { return s.exists(img) && !s.visible(img) })
	switch {
	case hidden && !c.meddler.delivered("dropped", ""):
		c.documented("get_image drops rows of an inbound page without a next one")
	case c.meddler.delivered("blank 404 members", id), c.meddler.delivered("blank 404 record", id):
		c.documented("a blank backend said that an inbound image is not there")
	case c.meddler.delivered("blank inbound", ""):
		c.documented("a blank backend answered an inbound listing, and another one did not")
	case c.claimed != c.project:
		c.documented("a wrong project_id, which nothing confirms: inbound")
	default:
		c.wrong(id, "is inbound, and success without it")
	}
}

// everything checks that nothing is left out that the rules can prove of the world.
func (c *check) everything() {
	s := c.states[len(c.states)-1]
	for _, success := range c.page["glance_inbound_success"] {
		if s.provesInbound() {
			c.note("demanded: inbound")
			if success.value != "1" {
				c.wrong("inbound", "success is %s: %v", success.value, c.s.Inbound)
			}
		}
	}
	if found := c.page["glance_discovery_success"]; len(found) > 0 && s.provesDiscovery() {
		c.note("demanded: discovery")
		if found[0].value != "1" {
			c.wrong("cloud", "discovery: %s %v", found[0].value, c.s.DiscoveryErr)
		}
	}
	for _, id := range s.watched() {
		img := s.images[id]
		success, complete := false, false
		if img != nil {
			success, complete = s.proves(img)
		}
		if success && c.one("scrape_success", id) != "1" {
			c.wrong(id, "is not read: %v", c.snapshot(id).Err)
		}
		if !complete {
			continue
		}
		_, nameless := strongest(s.members[id])
		if c.one("members_complete", id) != bit(len(nameless) == 0) {
			c.wrong(id, "is not complete: doubt %v, %v", c.snapshot(id).Doubt, c.snapshot(id).Err)
		}
		switch {
		case img.Owner != c.claimed:
			c.note("demanded: complete, another project's")
		case len(s.members[id]) == 0:
			c.note("demanded: complete, no rows")
		}
	}
}

// watched are the images that are configured or discovered.
func (s *state) watched() (ids []string) {
	for _, img := range s.opts.Images {
		ids = append(ids, img.ID)
	}
	for _, id := range s.discoverable() {
		if img := s.images[id]; !slices.Contains(ids, id) && s.provesDiscovery() && img.Owner != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// readable are the configured images that are there, and whose records the user gets.
func (s *state) readable() (images []*fakecloud.Image) {
	for _, configured := range s.opts.Images {
		id := configured.ID
		if img := s.images[id]; img != nil && s.visible(img) {
			images = append(images, img)
		}
	}
	return images
}

// proves is whether the rules prove what an image's answers say, so that it must be read, and be complete.
func (s *state) proves(img *fakecloud.Image) (success, complete bool) {
	switch {
	case !s.visible(img) || img.Visibility == "friends" && !s.before25:
		return false, false
	case img.Visibility == "private" && img.Owner == "" && !s.before25 && !s.provesPrivate():
		return false, false
	case !s.hasMembers(img):
		return true, false // E12: a private image decides itself
	case !s.may(s.policy.GetMembers, img):
		return false, false
	case s.before25 && !s.provesMembersOfPrivate():
		return false, false
	}
	own := img.Owner == s.claimed && s.claimed == s.project
	complete = own && s.provesProject() || !own && img.Owner != s.claimed && s.provesAdministrator()
	if rows := s.rows(img); len(rows) > 0 {
		return true, complete && (own || img.Owner != "" && s.hasForeign(rows))
	}
	// The probe.
	success = (own || img.Owner != "" && s.admin()) && s.may(s.policy.GetMember, img)
	return success, success && complete
}

// provesMembersOfPrivate is whether a list of a private image shows that such images have members (E12).
func (s *state) provesMembersOfPrivate() bool {
	return s.policy.GetMembers == nil && s.policy.GetImage == nil
}

// provesPrivate is whether there is a private image that shows that such images have no members. Nothing is asked of one without
// an owner.
func (s *state) provesPrivate() bool {
	return slices.ContainsFunc(s.readable(), func(img *fakecloud.Image) bool { return img.Visibility == "private" && img.Owner != "" })
}

// provesProject is whether the view's project is confirmed (E6).
func (s *state) provesProject() bool {
	return !s.noAuth || !s.before25 && slices.ContainsFunc(s.readable(), func(img *fakecloud.Image) bool {
		return img.Owner == s.claimed && img.Visibility == "private"
	})
}

// provesAdministrator is whether the view is proven to be an administrator's (E9).
func (s *state) provesAdministrator() bool {
	if !s.admin() || s.noAuth {
		return false
	}
	privates := 0
	for _, img := range s.images {
		if img.Visibility == "private" {
			privates++
		}
	}
	return slices.ContainsFunc(s.readable(), func(img *fakecloud.Image) bool {
		if img.Owner == "" || img.Owner == s.project {
			return false
		}
		return s.hasMembers(img) && !s.before25 && s.may(s.policy.GetMembers, img) && s.hasForeign(s.rows(img)) ||
			!s.before25 && img.Visibility == "private"
	}) || !s.before25 && s.adminRole() && s.policy.GetImage == nil && s.mayList() && s.maxPage >= privates &&
		slices.ContainsFunc(slices.Collect(maps.Values(s.images)), func(img *fakecloud.Image) bool {
			return img.Visibility == "private" && !img.Hidden && img.Owner != "" && img.Owner != s.project
		})
}

// hasForeign is whether one of the rows is another project's than the user's.
func (s *state) hasForeign(rows []fakecloud.Member) bool {
	return slices.ContainsFunc(rows, func(m fakecloud.Member) bool { return m.MemberID != "" && m.MemberID != s.project })
}

// seesImages is whether some image is listed where everything is asked for (E13).
func (s *state) seesImages() bool {
	return s.mayList() && s.policy.GetImage == nil &&
		slices.ContainsFunc(slices.Collect(maps.Values(s.images)), func(img *fakecloud.Image) bool {
			accepted := slices.ContainsFunc(s.members[img.ID],
				func(m fakecloud.Member) bool { return m.MemberID == s.project && m.Status == "accepted" })
			v := s.visibility(img)
			return !img.Hidden && (img.Owner == s.project || v == "public" || s.admin() && v != "community" || s.hasMembers(img) && accepted)
		})
}

func (s *state) provesDiscovery() bool {
	if !s.seesImages() || s.claimed != s.project || s.noAuth {
		return false
	}
	return !slices.ContainsFunc(s.opts.Discover, func(rule collector.Rule) bool {
		return len(rule.Owners) > 0 && (!s.adminRole() || !s.provesAdministrator())
	})
}

func (s *state) provesInbound() bool {
	for id := range s.inbound() {
		rows := 0
		for _, m := range s.members[id] {
			if m.MemberID == s.claimed {
				rows++
			}
		}
		if rows > 1 {
			return false // which contradicts the listing (E14)
		}
	}
	return s.seesImages() && s.policy.GetMembers == nil && s.policy.GetMember == nil && s.claimed == s.project && !s.noAuth && !s.admin() &&
		!s.adminRole()
}
