package collector_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// Whatever goes wrong, what is said of a random world is true of it, and when nothing goes wrong any more, all of it is
// said. The failing subtest's name is its seed.
func TestRandomWorlds(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newTruth(seed).test(t) })
		})
	}
}

// truth is a random world as it is, beside the fake cloud that serves it.
type truth struct {
	*rand.Rand
	world   *fakecloud.Cloud
	images  map[string]*fakecloud.Image
	known   map[string]bool // discovered, and not gone since
	user    string
	project string // the user's
	opts    collector.Options
	meddler *meddler
}

const adminProject = "ad314dd314dd314dd314dd314dd314dd"

var (
	everyProject    = []string{producer, consumerA, consumerB, consumerC, adminProject}
	everyVisibility = []string{"shared", "shared", "shared", "private", "community", "public", "friends"}
	everyStatus     = []string{"accepted", "accepted", "pending", "rejected", "weird", ""}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func newTruth(seed uint64) *truth {
	r := &truth{Rand: rand.New(rand.NewPCG(seed, 1)), images: map[string]*fakecloud.Image{}, known: map[string]bool{}}
	r.world = newWorldWith(fakecloud.Options{MaxPageSize: pick(r.Rand, []int{1, 2, 3, 4, 1000})})
	for _, id := range []string{shared, empty, private, community, public, hidden} {
		r.world.RemoveImage(id)
	}
	r.user, r.project = "producer", producer
	switch r.IntN(4) {
	case 0:
		r.user, r.project = "admin", adminProject
	case 1:
		r.user, r.project = "consumer-a", consumerA
	}
	for range r.IntN(12) {
		r.addImage()
	}
	r.meddler = &meddler{next: fakecloud.InMemory(r.world), world: r.world, seed: seed}
	r.opts = options()
	r.opts.Concurrency = 1 + r.IntN(8)
	r.opts.RequestTimeout = pick(r.Rand, []time.Duration{0, 0, 300 * time.Millisecond, 3 * time.Second})
	r.opts.MemberDetails = r.IntN(5) > 0
	for _, id := range r.ids() {
		if r.IntN(2) == 0 {
			r.opts.Images = append(r.opts.Images, collector.Image{ID: id, Policy: r.policy()})
		}
	}
	if len(r.opts.Images) == 0 || r.IntN(3) == 0 {
		r.opts.Images = append(r.opts.Images, collector.Image{ID: absent, Policy: r.policy()})
	}
	rules := []collector.Rule{{Tags: []string{"a"}}, {Visibility: []client.Visibility{client.Shared}}, {Name: "golden-*"}, {Owners: []string{collector.AllOwners}}, {Owners: []string{consumerB}}, {}}
	for i := range r.IntN(3) {
		rule := rules[2*i+r.IntN(2)]
		rule.Policy = r.policy()
		r.opts.Discover = append(r.opts.Discover, rule)
	}
	if r.IntN(2) == 0 {
		r.opts.Inbound = &collector.Inbound{Owners: r.policy().Members}
	}
	return r
}

func (r *truth) admin() bool { return r.user == "admin" }

func (r *truth) ids() []string { return slices.Sorted(maps.Keys(r.images)) }

func (r *truth) policy() (p collector.Policy) {
	if r.IntN(2) == 0 {
		p = collector.Policy{Members: expect(everyProject[:r.IntN(3)]...)}
	}
	return p
}

func (r *truth) addImage() {
	img := &fakecloud.Image{
		ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32()), Owner: pick(r.Rand, append(everyProject, r.project, r.project, r.project, "")),
		Status: pick(r.Rand, []string{"active", "deactivated", "queued"}), CreatedAt: t0.Add(time.Duration(r.IntN(9)) * time.Hour),
	}
	if r.IntN(4) == 0 {
		img.Properties = map[string]string{pick(r.Rand, []string{"Visibility", "TAGS", "Owner", "OS_HIDDEN", "os_distro"}): pick(r.Rand, everyVisibility)}
	}
	r.changeRecord(img)
	r.world.AddImage(*img)
	r.images[img.ID] = img
	for range r.IntN(5) {
		r.changeMembers(img.ID)
	}
}

func (r *truth) changeRecord(img *fakecloud.Image) {
	img.Visibility, img.Hidden, img.Tags = pick(r.Rand, everyVisibility), r.IntN(4) == 0, nil
	img.Name = pick(r.Rand, []string{"golden-" + strconv.Itoa(r.IntN(9)), "a\"b\\c\nd", "ü", ""})
	for _, tag := range []string{"a", "b"} {
		if r.IntN(2) == 0 {
			img.Tags = append(img.Tags, tag)
		}
	}
}

func (r *truth) changeMembers(image string) {
	id := pick(r.Rand, append(everyProject, "nobody we know", "\"}\\\n€"))
	switch r.IntN(8) {
	case 0, 1, 2:
		r.world.Share(image, id)
	case 3, 4:
		r.world.SetStatus(image, id, pick(r.Rand, everyStatus))
	case 5:
		r.world.Unshare(image, id)
	case 6: // as Glance would never have it
		r.world.AddMember(image, fakecloud.Member{MemberID: pick(r.Rand, []string{id, ""}), Status: pick(r.Rand, everyStatus), CreatedAt: t0, UpdatedAt: t0})
	}
}

// change makes the world another one.
func (r *truth) change() {
	for _, id := range r.ids() {
		switch r.IntN(12) {
		case 0:
			r.world.RemoveImage(id)
			delete(r.images, id)
		case 1, 2:
			r.changeRecord(r.images[id])
			r.world.SetImage(id, func(img *fakecloud.Image) { *img = *r.images[id] })
		case 3, 4, 5, 6:
			r.changeMembers(id)
		}
	}
	for range r.IntN(3) {
		r.addImage()
	}
}

func (r *truth) test(t *testing.T) {
	if err := r.opts.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Auth: user(r.user), Transport: r.meddler})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cloud := collector.New(c, r.opts, log.NewNopLogger())
	defer cloud.Close()
	for round := range 6 {
		r.meddler.begin(r.Rand, round)
		r.world.KeystoneDown(r.IntN(10) == 0)
		var (
			all sync.WaitGroup
			mu  sync.Mutex
		)
		shown := map[string]bool{}
		for range 1 + r.IntN(2) {
			limits := collector.Limits{Timeout: pick(r.Rand, []time.Duration{100 * time.Millisecond, time.Second, 9 * time.Second})}
			all.Go(func() {
				s := cloud.Collect(t.Context(), limits)
				check := &check{T: t, truth: r, s: s, page: gather(t, s), what: fmt.Sprint("round ", round)}
				check.all()
				mu.Lock()
				defer mu.Unlock()
				for _, img := range s.Images {
					shown[img.ID] = true
				}
			})
		}
		all.Wait()
		cloud.Wait()
		maps.Copy(r.known, shown)
		discoverable, _ := r.discoverable()
		maps.DeleteFunc(r.known, func(id string, _ bool) bool {
			return r.meddler.delivered("404 record", id) || !slices.Contains(discoverable, id)
		})
		time.Sleep(pick(r.Rand, []time.Duration{time.Second, time.Minute, 2 * time.Hour}))
		r.change()
	}
	r.meddler.end()
	r.world.KeystoneDown(false)
	time.Sleep(time.Hour)
	s := cloud.Collect(t.Context(), collector.Limits{Timeout: time.Minute})
	last := &check{T: t, truth: r, s: s, page: gather(t, s), what: "at peace"}
	last.all()
	last.everything()
}

// visible is whether the user can know of an image, owned whether the view of its members is whole.
func (r *truth) visible(img *fakecloud.Image) bool {
	isMember := slices.ContainsFunc(r.world.Members(img.ID), func(m fakecloud.Member) bool { return m.MemberID == r.project })
	return r.owned(img) || img.Owner == "" || img.Visibility == "public" || img.Visibility == "community" || img.Visibility == "shared" && isMember
}

func (r *truth) owned(img *fakecloud.Image) bool { return r.admin() || img.Owner == r.project }

// members are what the user can see of an image's members: the strongest status of each by its ID, and the statuses of the
// rows that have none.
func (r *truth) members(img *fakecloud.Image) (byID map[string]string, nameless []string) {
	byID = map[string]string{}
	strength := []string{"unknown", "rejected", "pending", "accepted"}
	for _, m := range r.world.Members(img.ID) {
		status := m.Status
		if !slices.Contains(strength, status) {
			status = "unknown"
		}
		switch {
		case !r.owned(img) && m.MemberID != r.project:
		case m.MemberID == "":
			nameless = append(nameless, status)
		case slices.Index(strength, status) >= slices.Index(strength, byID[m.MemberID]):
			byID[m.MemberID] = status
		}
	}
	return byID, nameless
}

// discoverable are the images that the rules take, and whether the user may list all that they name.
func (r *truth) discoverable() (ids []string, may bool) {
	may = true
	for _, rule := range r.opts.Discover {
		may = may && (len(rule.Owners) == 0 || r.admin() || rule.Owners[0] == r.project)
	}
	for _, id := range r.ids() {
		img := r.images[id]
		if slices.ContainsFunc(r.opts.Discover, func(rule collector.Rule) bool {
			for _, tag := range rule.Tags {
				if !slices.Contains(img.Tags, tag) {
					return false
				}
			}
			byOwner := len(rule.Owners) == 0 && img.Owner == r.project ||
				len(rule.Owners) > 0 && (rule.Owners[0] == img.Owner || rule.Owners[0] == collector.AllOwners) && r.owned(img)
			return byOwner && (rule.Name == "" || strings.HasPrefix(img.Name, "golden-")) &&
				(len(rule.Visibility) == 0 || rule.Visibility[0] == client.Visibility(img.Visibility))
		}) {
			ids = append(ids, id)
		}
	}
	return ids, may
}

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

// check compares what was said with the truth.
type check struct {
	*testing.T
	*truth
	s    collector.Snapshot
	page map[string][]sample
	what string
}

func (c *check) wrong(id, format string, args ...any) {
	c.Errorf("%s: %s: %s\n%s", c.what, id, fmt.Sprintf(format, args...), c.meddler.story())
}

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

func (c *check) all() {
	said := map[string]bool{}
	for _, s := range c.page["glance_image_scrape_success"] {
		said[s.labels["image_id"]] = true
		c.image(s.labels["image_id"], s.value)
	}
	c.inbound()
	if n := c.page["glance_watched_images"][0].value; n != strconv.Itoa(len(said)) {
		c.wrong("cloud", "%s watched images, and %d are shown", n, len(said))
	}
	for _, img := range c.opts.Images {
		if !said[img.ID] {
			c.wrong(img.ID, "is configured, and not shown")
		}
	}
	discoverable, may := c.discoverable()
	for _, id := range discoverable {
		if c.known[id] && !said[id] && !c.meddler.delivered("404 record", id) {
			c.wrong(id, "was discovered before, and is not shown")
		}
	}
	if c.page["glance_up"][0].value == "1" && !c.meddler.anyAnswer() {
		c.wrong("cloud", "is up, and the image API did not answer")
	}
	if found := c.page["glance_discovery_success"]; len(found) == 0 || found[0].value == "0" {
		return
	}
	if !may {
		c.wrong("cloud", "discovery succeeded without the right to list")
	}
	for _, id := range discoverable {
		if !said[id] && !c.meddler.delivered("404 record", id) {
			c.wrong(id, "discovery succeeded without it")
		}
	}
}

func (c *check) image(id, success string) {
	img, complete := c.images[id], c.one("members_complete", id)
	if record := c.page["glance_image_info"]; slices.ContainsFunc(record, func(s sample) bool { return s.labels["image_id"] == id }) {
		c.record(id, img)
	}
	if success == "0" {
		for name, samples := range c.page {
			if strings.HasPrefix(name, "glance_image_member") || strings.HasSuffix(name, "_members") {
				for _, s := range samples {
					if s.labels["image_id"] == id && name != "glance_image_members_complete" {
						c.wrong(id, "was not read, and has %s", name)
					}
				}
			}
		}
		if complete != "0" {
			c.wrong(id, "was not read, and complete is %q", complete)
		}
		return
	}
	if img == nil || !c.visible(img) {
		c.wrong(id, "was read, and is none")
		return
	}
	applicable := img.Visibility == "shared"
	switch {
	case img.Visibility == "friends":
		c.wrong(id, "has a visibility that nobody knows, and was read")
	case !applicable && !c.meddler.delivered("record", id):
		c.wrong(id, "has no members, which nobody told")
	case applicable && !c.meddler.delivered("members", id):
		c.wrong(id, "was read, and its members were not told")
	}
	if applicable == (complete == "") {
		c.wrong(id, "is %s, and complete is %q", img.Visibility, complete)
	}
	if applicable {
		c.members(id, img, complete == "1")
	} else if len(c.of("members", id, "status"))+len(c.of("member_status", id, "status"))+len(c.of("member_expected", id, "member_id")) > 0 {
		c.wrong(id, "has no members, and they are counted")
	}
}

// record checks what is said of an image's own record.
func (c *check) record(id string, img *fakecloud.Image) {
	if img == nil || !c.visible(img) || !c.meddler.delivered("record", id) {
		c.wrong(id, "has a record, and nobody told")
		return
	}
	for label, want := range map[string]string{
		"current_name": img.Name, "hidden": strconv.FormatBool(img.Hidden), "image_status": img.Status, "owner_id": img.Owner,
	} {
		if diff := cmp.Diff(map[string]string{want: "1"}, c.of("info", id, label)); diff != "" {
			c.wrong(id, "%s: %s", label, diff)
		}
	}
	want := map[string]string{}
	for _, v := range client.Visibilities() {
		if img.Visibility != "friends" {
			want[string(v)] = bit(img.Visibility == string(v))
		}
	}
	if diff := cmp.Diff(want, c.of("visibility", id, "visibility")); diff != "" {
		c.wrong(id, "visibility: %s", diff)
	}
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// members checks what is said of the members of an image that was read.
func (c *check) members(id string, img *fakecloud.Image, complete bool) {
	i := slices.IndexFunc(c.s.Images, func(s collector.ImageSnapshot) bool { return s.ID == id })
	whole, policy := c.s.Images[i].Sight == collector.Whole, c.s.Images[i].Policy
	byID, nameless := c.truth.members(img)
	if whole && !c.owned(img) || complete != (whole && len(nameless) == 0) {
		c.wrong(id, "whole %t, complete %t, of another project %t, %d rows without an ID", whole, complete, !c.owned(img), len(nameless))
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
			c.wrong(id, "%s (-truth +said): %s", what, diff)
		}
	}
}

// inbound checks what is said of the images that others share with the user's project.
func (c *check) inbound() {
	if c.opts.Inbound == nil || len(c.page["glance_inbound_success"]) != 1 {
		if n := len(c.page["glance_inbound_success"]); n > 0 || c.opts.Inbound != nil {
			c.wrong("inbound", "%d rows of success", n)
		}
		return
	}
	success := c.page["glance_inbound_success"][0].value == "1"
	if success && c.admin() {
		c.wrong("inbound", "success for an administrator")
	}
	inbound := c.truth.inbound()
	shown, status, counts := map[string]bool{}, map[string]string{}, map[string]int{}
	unexpected := 0
	for _, s := range c.page["glance_inbound_image_info"] {
		id := s.labels["image_id"]
		shown[id] = true
		img := c.images[id]
		if inbound[id] == "" || c.admin() || !c.meddler.delivered("inbound", id) {
			c.wrong(id, "is inbound, and nobody told, or it is not: %+v", img)
			continue
		}
		got := []string{s.labels["current_name"], s.labels["hidden"], s.labels["image_status"], s.labels["owner_id"], s.labels["project_id"]}
		if diff := cmp.Diff([]string{img.Name, strconv.FormatBool(img.Hidden), img.Status, img.Owner, c.project}, got); diff != "" {
			c.wrong(id, "inbound record: %s", diff)
		}
		expected := slices.ContainsFunc(c.opts.Inbound.Owners, func(m collector.ExpectedMember) bool { return m.ID == img.Owner })
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
	for _, s := range c.page["glance_inbound_image_status"] {
		id := s.labels["image_id"]
		if s.value != bit(s.labels["status"] == inbound[id]) {
			c.wrong(id, "status %s is %s, and it is %s", s.labels["status"], s.value, inbound[id])
		}
		status[id] = inbound[id]
	}
	for id, s := range status {
		counts[s]++
		if !shown[id] {
			c.wrong(id, "has a status and no record")
		}
	}
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
	if rows := c.page["glance_inbound_unexpected_images"]; len(rows) > 1 || (len(rows) == 0) != (count == "") || len(rows) == 1 && rows[0].value != count {
		c.wrong("inbound", "unexpected images: %v, want %q", rows, count)
	}
	for id := range inbound {
		if success && status[id] == "" && !c.meddler.delivered("404 members", id) && !c.meddler.delivered("404 record", id) {
			c.wrong(id, "is inbound, and success without it")
		}
	}
}

// inbound are the images that others share with the user's project, with the status of it.
func (r *truth) inbound() map[string]string {
	inbound := map[string]string{}
	for id, img := range r.images {
		if img.Visibility != "shared" || img.Owner == r.project {
			continue
		}
		if byID, _ := r.members(img); byID[r.project] != "" {
			inbound[id] = byID[r.project]
		}
	}
	return inbound
}

// everything checks that nothing is left out.
func (c *check) everything() {
	for _, s := range c.page["glance_inbound_success"] {
		if s.value != bit(!c.admin()) {
			c.wrong("inbound", "success is %s", s.value)
		}
	}
	ids, may := c.discoverable()
	if found := c.page["glance_discovery_success"]; len(found) > 0 && found[0].value != bit(may) {
		c.wrong("cloud", "discovery: %s", found[0].value)
	}
	for _, img := range c.opts.Images {
		ids = append(ids, img.ID)
	}
	for _, id := range ids {
		img := c.images[id]
		if want := bit(img != nil && c.visible(img) && img.Visibility != "friends"); c.one("scrape_success", id) != want {
			c.wrong(id, "success is %q, want %s: %+v", c.one("scrape_success", id), want, img)
		}
		if img != nil && img.Visibility == "shared" && c.owned(img) {
			if _, nameless := c.truth.members(img); c.one("members_complete", id) != bit(len(nameless) == 0) {
				c.wrong(id, "is not complete: %+v", img)
			}
		}
	}
}

// meddler comes between an exporter and its cloud. What it does to a request follows from the seed, the round and the
// request, so that the order of requests does not matter.
type meddler struct {
	next  http.RoundTripper
	world *fakecloud.Cloud
	seed  uint64

	mu    sync.Mutex
	round int
	rate  float64
	only  string          // operation; empty: all
	seen  map[string]int  // requests by URL
	told  map[string]bool // what was answered as it is, and about which image
	lines []string
}

// begin begins a round in which more or less goes wrong.
func (m *meddler) begin(r *rand.Rand, round int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.round, m.rate, m.only = round, pick(r, []float64{0, 0.05, 0.3, 0.3, 0.8}), pick(r, []string{"", "", "members", "record", "list", "inbound", "keystone"})
	m.seen, m.told, m.lines = map[string]int{}, map[string]bool{}, nil
}

func (m *meddler) end() {
	m.begin(rand.New(rand.NewPCG(0, 0)), -1)
	m.rate = 0
}

func (m *meddler) delivered(what, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told[what+" "+id]
}

func (m *meddler) anyAnswer() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told["answer"]
}

func (m *meddler) story() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.lines, "\n")
}

// subject tells a request's operation and image.
func subject(u *url.URL) (op, id string) {
	rest, ok := strings.CutPrefix(u.Path, "/image/v2/images")
	id, members := strings.CutSuffix(strings.Trim(rest, "/"), "/members")
	switch {
	case !ok:
		return "keystone", ""
	case members:
		return "members", id
	case id != "":
		return "record", id
	case u.Query().Has("member_status"):
		return "inbound", ""
	}
	return "list", ""
}

var errBroken = errors.New("connection reset by peer")

func (m *meddler) RoundTrip(req *http.Request) (*http.Response, error) {
	op, id := subject(req.URL)
	m.mu.Lock()
	key := req.Method + " " + req.URL.String()
	m.seen[key]++
	hash := fnv.New64a()
	fmt.Fprint(hash, m.round, key, m.seen[key])
	r := rand.New(rand.NewPCG(m.seed, hash.Sum64()))
	meddle := r.Float64() < m.rate && (m.only == "" || m.only == op)
	m.mu.Unlock()
	what, resp, err := "as it is", (*http.Response)(nil), error(nil)
	if meddle {
		what, resp, err = m.meddle(r, op, req)
	} else {
		resp, err = m.next.RoundTrip(req)
	}
	m.note(fmt.Sprintf("%s %s: %s", op, req.URL.RequestURI(), what), resp, err)
	if err != nil {
		return nil, err
	}
	if what == "as it is" {
		m.tell(op, id, resp)
	} else if op != "keystone" && slices.Contains([]int{200, 403, 404}, resp.StatusCode) {
		m.add("answer")
		if resp.StatusCode == http.StatusNotFound {
			m.add("404 " + op + " " + id)
		}
	}
	return resp, nil
}

func (m *meddler) note(line string, resp *http.Response, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		line += fmt.Sprint(", ", resp.StatusCode)
	}
	m.lines = append(m.lines, line)
}

func (m *meddler) add(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told[what] = true
}

// tell notes what an answer tells.
func (m *meddler) tell(op, id string, resp *http.Response) {
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if op == "keystone" {
		return
	}
	switch {
	case resp.StatusCode == http.StatusNotFound:
		m.add("404 " + op + " " + id)
	case resp.StatusCode == http.StatusOK && (op == "list" || op == "inbound"):
		for _, part := range strings.Split(string(body), `"id": "`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			m.add(strings.Replace(op, "list", "record", 1) + " " + id)
		}
	case resp.StatusCode == http.StatusOK:
		m.add(op + " " + id)
	}
	if slices.Contains([]int{200, 403, 404}, resp.StatusCode) {
		m.add("answer")
	}
}

// garbage is what nobody may believe, by operation.
var garbage = map[string][]string{
	"members": {
		`{"members": null}`, `{"members": {}}`, `{"members": [1]}`, `{"members": []`, `{"members": [], "next": "x"}`, `{"images": []}`, `{"members": [], "error_code": "APIGW.0301"}`,
		`{"members": [{"member_id": "a"}], "Members": []}`, `{"members": [{"member_id": "a", "image_id": "b"}]}`, "{\"members\": [{\"member_id\": \"\xff\"}]}",
	},
	"list": {
		`{"images": null}`, `{"images": {}}`, `{"images": [1]}`, `{"images": [{"id": 1}]}`, `{"images": [{"id": "a b"}]}`, `{"images": [], "next": "x"}`, `{"images": [], "error": "x"}`, `{"members": []}`,
	},
	"inbound": {`{"images": null}`, `{"images": [1]}`, `{"images": [{"id": "a b"}]}`, `{"images": [], "next": "x"}`, `{"images": [], "error": "x"}`, `{"members": []}`},
	"record":  {`{"id": "b", "visibility": "private"}`, `{"id": 1}`, `{"visibility": "private"}`, `{"images": []}`},
}

// meddle does something to a request, or to its answer.
func (m *meddler) meddle(r *rand.Rand, op string, req *http.Request) (what string, resp *http.Response, err error) {
	wait := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(req.Context(), d)
		defer cancel()
		<-ctx.Done()
		return req.Context().Err()
	}
	switch r.IntN(9) {
	case 0:
		return "hang", nil, errors.Join(wait(24*time.Hour), errBroken)
	case 1:
		if err := wait(time.Duration(r.IntN(4000)) * time.Millisecond); err != nil {
			return "too slow", nil, err
		}
		resp, err = m.next.RoundTrip(req)
		return "as it is", resp, err
	case 2:
		return "no connection", nil, errBroken
	case 3:
		if _, err := m.next.RoundTrip(req); err != nil {
			return "broken", nil, err
		}
		return "broken", nil, errBroken
	case 4, 5: // a 200 that is cut, with an error or without one
		if resp, err = m.next.RoundTrip(req); err != nil {
			return "cut", nil, err
		}
		body, _ := io.ReadAll(resp.Body)
		if len(body) == 0 || resp.StatusCode >= 300 {
			return "broken", nil, errBroken
		}
		cut := io.Reader(bytes.NewReader(body[:r.IntN(len(body))]))
		if r.IntN(2) == 0 {
			cut = io.MultiReader(cut, brokenBody{})
		}
		resp.Body = io.NopCloser(cut)
		return "cut", resp, nil
	case 6:
		m.world.RevokeTokens()
		resp, err = m.next.RoundTrip(req)
		return "as it is", resp, err
	case 7:
		return "garbage", answer(req, http.StatusOK, pick(r, append(garbage[op], "", "null", "{}", "[]", "\x1f\x8b\x00", "<html>Please log in</html>", `{"error": {"code": 500}}`))), nil
	}
	codes := []int{201, 204, 300, 302, 400, 400, 401, 401, 403, 403, 404, 404, 404, 404, 405, 409, 410, 413, 429, 500, 502, 503, 504, 599, 999}
	if op == "keystone" {
		codes = []int{200, 300, 401, 403, 404, 429, 500, 503}
	}
	return "status", answer(req, pick(r, codes), pick(r, []string{"", `{"message": "no"}`, `{"members": [], "images": []}`})), nil
}

func answer(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
