package collector_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// gather is a page's samples by metric.
func gather(t *testing.T, s collector.Snapshot) map[string][]sample {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector.Metrics(s))
	families, err := registry.Gather()
	if err != nil {
		t.Error(err)
	}
	page := map[string][]sample{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			page[f.GetName()] = append(page[f.GetName()], sample{labels, strconv.FormatFloat(m.GetGauge().GetValue(), 'f', -1, 64)})
		}
	}
	return page
}

// check compares what was reported with the truth: with one of the states that the world was in during the round.
type check struct {
	*testing.T
	*truth
	s      collector.Snapshot
	page   map[string][]sample
	states []*state
	what   string
}

func (c *check) wrong(id, format string, args ...any) {
	c.Helper()
	c.Errorf("%s: %s: %s\n%s\n%s", c.what, id, fmt.Sprintf(format, args...), c.describe(id), c.meddler.story())
}

// describe is the world, for a failure.
func (c *check) describe(id string) string {
	text := fmt.Sprintf("user %s, project %s, claimed %s, before 2.5 %t, no auth %t, round began %s, proofs %v\n", c.user,
		c.project, c.claimed, c.before25, c.noAuth, c.began, c.lastProof)
	for i, s := range c.states {
		text += fmt.Sprintf("state %d: roles %v, admin %t, get_images %t\n", i, s.roles, s.admin(), s.mayList())
		for _, other := range slices.Sorted(maps.Keys(s.images)) {
			if img := s.images[other]; other == id || i == 0 {
				text += fmt.Sprintf("  %s %q of %q %s hidden %t, get_image %t, get_members %t, get_member %t, members %v\n",
					other, img.Name, img.Owner, img.Visibility, img.Hidden,
					s.may(s.policy.GetImage, img), s.may(s.policy.GetMembers, img), s.may(s.policy.GetMember, img), s.members[other])
			}
		}
	}
	return text
}

// apart counts a statement that is false only because a policy or a role changed after a proof that still counts.
func (c *check) apart(what string) { c.note("apart: " + what) }

// documented counts a false statement that no client can know to be false.
func (c *check) documented(what string) { c.note("documented: " + what) }

// of returns the values of an image's samples of a metric, by one of their labels.
func (c *check) of(metric, id, label string) map[string]string {
	values := map[string]string{}
	for _, s := range c.page["glance_image_"+metric] {
		if s.labels["image_id"] == id {
			values[s.labels[label]] = s.value
		}
	}
	return values
}

// one returns the value of an image's only sample of a metric, or "".
func (c *check) one(metric, id string) string { return c.of(metric, id, "image_id")[id] }

func (c *check) shown() map[string]bool {
	shown := map[string]bool{}
	for _, s := range c.page["glance_image_scrape_success"] {
		shown[s.labels["image_id"]] = true
	}
	return shown
}

// always are the IDs that f returns of each state.
func (c *check) always(f func(s *state) []string) []string {
	ids := f(c.states[0])
	for _, s := range c.states[1:] {
		others := f(s)
		ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(others, id) })
	}
	return ids
}

// ever is whether something is so of an image in some state.
func (c *check) ever(id string, f func(s *state, img *fakecloud.Image) bool) bool {
	return slices.ContainsFunc(c.states, func(s *state) bool { return s.images[id] != nil && f(s, s.images[id]) })
}

func (c *check) all() {
	c.states = c.moments()
	shown := c.shown()
	for _, s := range c.page["glance_image_scrape_success"] {
		c.image(s.labels["image_id"], s.value)
	}
	c.inbound()
	c.readTimes()
	if n := c.page["glance_watched_images"][0].value; n != strconv.Itoa(len(shown)) {
		c.wrong("cloud", "%s watched images, and %d are shown", n, len(shown))
	}
	for _, img := range c.opts.Images {
		if !shown[img.ID] {
			c.wrong(img.ID, "is configured, and not shown")
		}
	}
	if c.page["glance_up"][0].value == "1" && !c.meddler.anyAnswer() {
		c.wrong("cloud", "is up, and the image API did not answer")
	}
	if c.twoEndpoints && c.page["glance_up"][0].value == "1" && !c.meddler.delivered("forged", "") {
		c.wrong("cloud", "is up, and the catalog has two endpoints (E19)")
	}
	c.discovery(shown)
}

func (c *check) discovery(shown map[string]bool) {
	discoverable := c.always((*state).discoverable)
	for id := range c.known {
		switch {
		case shown[id]:
		case !slices.Contains(discoverable, id):
			c.note("discovered image is gone")
		default:
			c.vanished(id)
		}
	}
	if found := c.page["glance_discovery_success"]; len(found) == 0 || found[0].value == "0" {
		return
	}
	c.note("discovery succeeded")
	admin := slices.ContainsFunc(c.states, (*state).admin)
	foreign := slices.ContainsFunc(c.opts.Discover,
		func(rule collector.Rule) bool { return len(rule.Owners) > 0 && rule.Owners[0] != c.claimed })
	switch {
	case !foreign:
	case admin:
		c.note("discovery of all owners succeeded")
	case c.recently(proofAdministrator):
		c.apart("discovery of an administrator that was one")
	default:
		c.wrong("cloud", "discovery succeeded without the right to list")
	}
	for _, id := range c.always((*state).skipped) {
		c.note("skipped")
		switch {
		case !shown[id]:
		case c.meddler.delivered("blank list", "") && !c.meddler.delivered("record", id):
			// No response of the round had its record, so nothing showed that a rule skips it now.
			c.documented("a blank backend answered a listing, and another one did not")
		default:
			c.wrong(id, "is skipped by a rule, and is shown")
		}
	}
	for _, id := range discoverable {
		if !shown[id] {
			c.undiscovered(id, discoverable)
		}
	}
}

// vanished is for an image that was discovered before, is there and is not shown any more.
func (c *check) vanished(id string) {
	at, ok := c.missed[id]
	switch {
	case !ok || c.began.Sub(at).Seconds() < 10 || !c.meddler.delivered("404 record", id):
		c.wrong(id, "was discovered before, and is not shown")
	case c.meddler.delivered("blank 404 record", id):
		c.documented("a blank backend said twice that an image is not there")
	case c.ever(id, func(s *state, img *fakecloud.Image) bool { return s.exists(img) && !s.visible(img) }):
		c.documented("get_image hides an image, which looks like its deletion")
	case c.ever(id, func(s *state, img *fakecloud.Image) bool { return !s.exists(img) }):
		c.documented("an administrator that is none any more does not find an image, which looks like its deletion")
	default:
		c.wrong(id, "is there, and is gone")
	}
}

// undiscovered is for an image that is not shown though discovery succeeded.
func (c *check) undiscovered(id string, discoverable []string) {
	// A page without any row has no next one, so that one image may hide others.
	hidden := slices.ContainsFunc(discoverable, func(id string) bool {
		return c.ever(id, func(s *state, img *fakecloud.Image) bool { return s.exists(img) && !s.visible(img) })
	})
	unseen := c.ever(id, func(s *state, img *fakecloud.Image) bool { return !s.exists(img) })
	switch {
	case hidden && !c.meddler.delivered("dropped", ""):
		c.documented("get_image drops rows of a page without a next one")
	case c.meddler.delivered("blank list", ""):
		c.documented("a blank backend answered a listing, and another one did not")
	case (unseen || !slices.ContainsFunc(c.states, (*state).admin)) && c.recently(proofAdministrator):
		c.apart("an image that an administrator saw")
	case c.claimed != c.project:
		c.documented("a wrong project_id, which nothing confirms: discovery")
	default:
		c.wrong(id, "discovery succeeded without it")
	}
}

func (c *check) image(id, success string) {
	if slices.ContainsFunc(c.page["glance_image_info"], func(s sample) bool { return s.labels["image_id"] == id }) {
		c.record(id)
	}
	complete := c.one("members_complete", id)
	if success == "0" {
		c.unread(id, complete)
		return
	}
	if complete != "" {
		if !c.meddler.delivered("members", id) {
			c.wrong(id, "was read, and its members were not told")
		}
		c.members(id, complete == "1")
		return
	}
	c.note("no members")
	if !slices.ContainsFunc(c.since("glance_image_members_read_timestamp_seconds", "image_id", id), func(s *state) bool {
		img := s.images[id]
		return img != nil && s.recorded(img) && !s.hasMembers(img) && img.Visibility != "friends"
	}) {
		c.wrong(id, "has no members by its visibility, it says, and it is %+v", c.states[0].images[id])
	}
	if !c.meddler.delivered("record", id) {
		c.wrong(id, "has no members, which nobody told")
	}
	if len(c.of("members", id, "status"))+len(c.of("member_status", id, "status"))+len(c.of("member_expected", id, "member_id")) > 0 {
		c.wrong(id, "has no members, and they are counted")
	}
}

// unread checks that nothing is said of an image that was not read.
func (c *check) unread(id, complete string) {
	for name, samples := range c.page {
		if !strings.HasPrefix(name, "glance_image_member") && !strings.HasSuffix(name, "_members") {
			continue
		}
		for _, s := range samples {
			if s.labels["image_id"] == id && name != "glance_image_members_complete" {
				c.wrong(id, "was not read, and has %s", name)
			}
		}
	}
	if complete != "0" {
		c.wrong(id, "was not read, and complete is %q", complete)
	}
	if c.one("scrape_http_status_code", id) == "200" {
		c.note("not read, code 200")
	}
}

// record checks what is said of an image's own record.
func (c *check) record(id string) {
	if !c.meddler.delivered("record", id) {
		c.wrong(id, "has a record, and nobody told")
		return
	}
	problem := "it is not visible"
	for _, s := range c.since("glance_image_visibility_read_timestamp_seconds", "image_id", id) {
		if img := s.images[id]; img != nil && s.recorded(img) {
			if problem = c.recordDiff(id, s, img); problem == "" {
				return
			}
		}
	}
	c.wrong(id, "record: %s", problem)
}

func (c *check) recordDiff(id string, s *state, img *fakecloud.Image) (diff string) {
	for label, want := range map[string]string{
		"current_name": img.Name, "hidden": strconv.FormatBool(img.Hidden), "image_status": img.Status, "owner_id": img.Owner,
	} {
		diff += cmp.Diff(map[string]string{want: "1"}, c.of("info", id, label))
	}
	want := map[string]string{}
	for _, v := range client.Visibilities() {
		if s.visibility(img) != "friends" {
			want[string(v)] = bit(s.visibility(img) == string(v))
		}
	}
	return diff + cmp.Diff(want, c.of("visibility", id, "visibility"))
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (c *check) snapshot(id string) *collector.ImageSnapshot {
	for i := range c.s.Images {
		if c.s.Images[i].ID == id {
			return &c.s.Images[i]
		}
	}
	return &collector.ImageSnapshot{Err: errors.New("not shown")}
}

// members checks what is said of the members of an image that was read.
func (c *check) members(id string, complete bool) {
	got := c.snapshot(id)
	whole := got.Coverage == collector.Complete
	problem := "no state has such a list"
	for _, s := range c.since("glance_image_members_read_timestamp_seconds", "image_id", id) {
		img := s.images[id]
		if img == nil || !s.hasMembers(img) || !s.visible(img) || whole && !s.owned(img) {
			continue
		}
		lists := [][]fakecloud.Member{s.members[id]} // all members, whatever the user can see
		if !whole {
			lists[0] = s.rows(img)
			for _, row := range lists[0] {
				lists = append(lists, []fakecloud.Member{row}) // a probe found one
			}
		}
		for _, rows := range lists {
			if problem = c.membersDiff(id, rows, got, complete); problem == "" {
				c.noteRead(img, complete, len(rows))
				return
			}
		}
	}
	kind := proofOthers
	if c.ever(id, func(_ *state, img *fakecloud.Image) bool { return img.Owner == c.claimed }) {
		kind = proofOwn
	}
	hidden := c.ever(id, func(s *state, img *fakecloud.Image) bool { return s.rowsHidden(img) })
	lost := c.ever(id, func(s *state, img *fakecloud.Image) bool { return !s.owned(img) })
	switch {
	case whole && len(got.Members) == 0 && !c.rowsShown[id] && hidden && c.recently(kind):
		c.apart("an empty list whose rows were visible")
	case whole && !c.rowsShown[id] && lost && c.recently(proofAdministrator):
		c.apart("a list of an administrator that was one")
	case whole && len(got.Members) == 0 && c.left(id) && !c.rowsShown[id]:
		c.documented("owner and members of an image without rows change from one list to the next")
	case whole && len(got.Members) == 1 && got.Members[0].ID == c.claimed && lost && kind == proofOwn:
		c.documented("an image changes its owner twice between two records, and shows our own row meanwhile")
	case whole && len(got.Members) == 0 && !c.rowsShown[id] && hidden && kind == proofOwn &&
		(c.borrowed(c.states) || c.recently(borrowedRows)):
		c.documented("an image changes its owner twice between two records, and shows an administrator its rows meanwhile")
	default:
		c.wrong(id, "complete %t, %d rows, had rows before %t: %s", complete, len(got.Members), c.rowsShown[id], problem)
	}
}

// borrowed is whether an image of the view's project was another one's meanwhile, and its list showed an administrator rows, which are
// hidden of the project's own images.
func (r *truth) borrowed(states []*state) bool {
	return slices.ContainsFunc(states, func(s *state) bool {
		return s.admin() && slices.ContainsFunc(slices.Collect(maps.Values(s.images)), func(img *fakecloud.Image) bool {
			ours := slices.ContainsFunc(states, func(s *state) bool { return s.images[img.ID] != nil && s.images[img.ID].Owner == r.claimed })
			return ours && img.Owner != r.claimed && r.meddler.delivered("members", img.ID) && len(s.rows(img)) > 0
		})
	})
}

// left is whether an image of the view's project has no owner in another state: everybody gets its list, without rows.
func (c *check) left(id string) bool {
	was := c.ever(id, func(s *state, img *fakecloud.Image) bool { return img.Owner == s.claimed })
	return was && c.ever(id, func(_ *state, img *fakecloud.Image) bool { return img.Owner == "" })
}

func changesOwner(states []*state) bool {
	first, last := states[0], states[len(states)-1]
	for id, img := range first.images {
		if now := last.images[id]; now != nil && now.Owner != img.Owner {
			return true
		}
	}
	return false
}

func (c *check) noteRead(img *fakecloud.Image, complete bool, rows int) {
	switch {
	case !complete:
		c.note("read, not complete")
	case img.Owner != c.claimed:
		c.note("complete, another project's")
	case rows > 0:
		c.note("complete, rows")
	default:
		c.note("complete, no rows")
	}
}

// membersDiff is what is reported of an image's members, compared with a list.
func (c *check) membersDiff(id string, rows []fakecloud.Member, got *collector.ImageSnapshot, complete bool) (problem string) {
	whole, policy := got.Coverage == collector.Complete, got.Policy
	byID, nameless := strongest(rows)
	if complete != (whole && len(nameless) == 0) {
		problem = fmt.Sprintf("whole %t, complete %t, %d rows without an ID", whole, complete, len(nameless))
	}
	counts, status, expected := map[string]int{}, map[string]string{}, map[string]string{}
	unexpected, missing := len(nameless), 0
	for _, s := range slices.Concat(slices.Collect(maps.Values(byID)), nameless) {
		counts[s]++
	}
	for id, s := range byID {
		for _, other := range client.Statuses() {
			status[id+" "+string(other)] = bit(s == string(other))
		}
		judged := slices.ContainsFunc(policy.Members, func(m collector.ExpectedMember) bool { return m.ID == id })
		unexpected += int(bit(!judged)[0] - '0')
		expected[id] = bit(judged)
	}
	for _, m := range policy.Members {
		if _, ok := byID[m.ID]; !ok {
			missing++
			if complete {
				expected[m.ID] = "1"
			}
		}
	}
	wantCounts := map[string]string{}
	for _, s := range client.Statuses() {
		if n := counts[string(s)]; n > 0 || whole {
			wantCounts[string(s)] = strconv.Itoa(n)
		}
	}
	gotStatus := map[string]string{}
	for _, s := range c.page["glance_image_member_status"] {
		if s.labels["image_id"] == id {
			gotStatus[s.labels["member_id"]+" "+s.labels["status"]] = s.value
		}
	}
	wantUnexpected, wantMissing := "", ""
	if policy.Members == nil {
		expected = map[string]string{}
	} else {
		if unexpected > 0 || whole {
			wantUnexpected = strconv.Itoa(unexpected)
		}
		if complete {
			wantMissing = strconv.Itoa(missing)
		}
	}
	if !c.opts.MemberDetails {
		clear(status)
		clear(expected)
	}
	for what, diff := range map[string]string{
		"counts": cmp.Diff(wantCounts, c.of("members", id, "status")), "statuses": cmp.Diff(status, gotStatus),
		"expected":   cmp.Diff(expected, c.of("member_expected", id, "member_id")),
		"unexpected": cmp.Diff(wantUnexpected, c.one("unexpected_members", id)), "missing": cmp.Diff(wantMissing, c.one("missing_members", id)),
	} {
		if diff != "" {
			problem += fmt.Sprintf("%s (-truth +said): %s", what, diff)
		}
	}
	return problem
}
