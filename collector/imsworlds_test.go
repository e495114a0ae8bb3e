package collector_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// everyIMSKind is what must occur in the random worlds of IMS.
var everyIMSKind = []string{
	"gateway", "error beside a list", "wrong count", "marker ignored", "cut", "key that ended", "no key", "rights",
	"changed inside",
	"complete, rows",
	"complete, no rows",
	"complete, of an earlier scrape",
	"waiting",
	"partial",
	"not read",
	"discovery succeeded",
	"inbound succeeded",
	"inbound, status unknown",
	"row of a domain or organization", "at last: all",
}

// TestRandomWorldsOfIMS draws worlds of Huawei Cloud: domains and organizations, pages, faults of the gateway and of IMS, keys that rotate
// and end. Whatever is reported of them is true, and when nothing goes wrong any more, everything is reported. The failing subtest's name is
// its seed:
//
//	GLANCE_SEEDS=2000 go test ./collector -run TestRandomWorldsOfIMS
func TestRandomWorldsOfIMS(t *testing.T) {
	randomWorlds(t, everyIMSKind, func(t *testing.T, seed uint64) map[string]int {
		w := newIMSWorld(t, seed)
		w.run()
		return w.notes
	})
}

// imsWorld is a random world of IMS. It is the client's transport and its source of keys, too.
type imsWorld struct {
	*testing.T
	world *fakecloud.Cloud
	cloud *collector.Cloud
	opts  collector.Options
	// groupsHidden is whether __imagetype, which the documented listings ask for, does not tell shares with domains and organizations alone.
	groupsHidden bool
	pageSize     int

	mu     sync.Mutex
	rand   *rand.Rand
	notes  map[string]int
	faulty float64 // of the requests
	inside bool    // one change is to come inside this scrape
	first  map[string][]byte
	key    client.Key
	keys   int
	noKey  bool
	rights []string
	states []imsState           // of this scrape
	past   map[int64][]imsState // of earlier ones, by when they began
	known  map[string]bool      // own images that were shown
	own    map[string]bool      // images that were once the project's own
	told   []string             // what was done to requests
}

// imsState is what is true at a moment: the members of each own image, and the images of others that the project has.
type imsState struct {
	own     map[string][]string
	inbound map[string][]string // the statuses of the rows by which the project has it
	// unlisted are images of others that the documented listings may not have.
	unlisted map[string]bool
}

const (
	imsDomain = "d0000000000000000000000000000000"
	imsUnit   = "ou-unit"
)

func newIMSWorld(t *testing.T, seed uint64) *imsWorld {
	r := rand.New(rand.NewPCG(seed, 7))
	w := &imsWorld{
		T:     t,
		rand:  r,
		notes: map[string]int{},
		first: map[string][]byte{},
		past:  map[int64][]imsState{},
		known: map[string]bool{},
		own:   map[string]bool{},
	}
	w.groupsHidden, w.pageSize = r.IntN(2) == 0, pick(r, []int{2, 3, 10, 1000})
	w.world = fakecloud.New(fakecloud.Options{
		Huawei: true, MaxPageSize: w.pageSize, PrivateGroupShares: w.groupsHidden, HCSO: r.IntN(4) == 0, EncodedDenials: r.IntN(4) == 0,
	})
	w.world.AddProjectID(producer, "cn-north-4")
	w.world.AddProjectGroup(producer, "domain", imsDomain)
	w.world.AddProjectGroup(producer, "organization", imsUnit)
	w.world.SetLatency(pick(r, []time.Duration{0, 50 * time.Millisecond}))
	w.rotate()
	w.world.AddImage(fakecloud.Image{Name: "public", Owner: stranger, Visibility: "public"})
	for range 1 + r.IntN(30) {
		w.addImage()
	}
	w.opts = withInbound(discoveringIMS())
	w.opts.MaxStaleness = pick(r, []time.Duration{0, 5 * time.Minute})
	w.opts.Discover[0].Policy.Members = expect(consumerA)
	if r.IntN(3) == 0 {
		w.opts.DiscoveryInterval = 3 * time.Minute
	}
	if err := w.opts.Validate(); err != nil {
		t.Fatal(err)
	}
	connection := client.Options{
		Settings: client.Settings{
			API:               client.IMS,
			MembersAPI:        pick(r, []client.MembersAPI{client.MembersV1, client.MembersV2}),
			RequestsPerSecond: pick(r, []float64{0, 3, 10}),
		},
		Keys: w, ProjectID: producer, Endpoint: "http://cloud.test/ims", Transport: w,
	}
	c, err := client.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	w.cloud = collector.New(c, w.opts, log.NewNopLogger())
	t.Cleanup(func() {
		w.cloud.Close()
		c.Close()
	})
	return w
}

func (w *imsWorld) run() {
	for range 12 {
		w.mu.Lock()
		w.faulty, w.inside, w.noKey = pick(w.rand, []float64{0, 0, 0.1, 0.5}), w.rand.IntN(2) == 0, w.rand.IntN(12) == 0
		w.mu.Unlock()
		w.scrape(pick(w.rand, []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second}))
		time.Sleep(pick(w.rand, []time.Duration{time.Second, 15 * time.Second, time.Minute, 4 * time.Minute}))
		w.mu.Lock()
		for range w.rand.IntN(4) {
			w.change()
		}
		switch w.rand.IntN(6) {
		case 0, 1:
			w.rights = nil
			w.rotate()
		case 2:
			w.note("rights")
			w.rights = pick(w.rand, [][]string{{fakecloud.RightGet}, {fakecloud.RightGet, fakecloud.RightList}, {}})
			w.rotate()
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.faulty, w.inside, w.noKey, w.rights = 0, false, false, nil
	w.rotate()
	w.mu.Unlock()
	var last collector.Snapshot
	for range 8 {
		time.Sleep(time.Minute)
		w.mu.Lock()
		w.rotate()
		w.mu.Unlock()
		last = w.scrape(30 * time.Second)
	}
	w.everything(last)
}

// scrape collects once, and checks what is reported.
func (w *imsWorld) scrape(timeout time.Duration) collector.Snapshot {
	w.mu.Lock()
	w.states, w.told = []imsState{w.state()}, nil
	w.mu.Unlock()
	s := w.cloud.Collect(w.Context(), collector.Limits{Timeout: timeout})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.past[s.Start.UnixNano()] = w.states
	w.checkDiscovery(&s)
	for i := range s.Images {
		w.checkImage(&s.Images[i])
	}
	w.checkInbound(&s)
	for _, st := range w.states {
		for id := range st.own {
			w.own[id] = true
		}
	}
	return s
}

// state is what is true now. The caller holds mu.
func (w *imsWorld) state() imsState {
	s := imsState{own: map[string][]string{}, inbound: map[string][]string{}, unlisted: map[string]bool{}}
	for _, img := range w.world.Images() {
		rows := w.world.Members(img.ID)
		switch img.Owner {
		case stranger:
			continue // everybody's
		case producer:
			s.own[img.ID] = sorted(rows)
			continue
		}
		s.unlisted[img.ID] = w.groupsHidden && !slices.ContainsFunc(rows, func(m fakecloud.Member) bool { return m.Type == "" })
		for _, m := range rows {
			if m.MemberID == producer && m.Type == "" || (m.MemberID == imsDomain || m.MemberID == imsUnit) && m.Type != "" {
				s.inbound[img.ID] = append(s.inbound[img.ID], m.Status)
			}
		}
	}
	return s
}

func sorted(rows []fakecloud.Member) []string {
	list := []string{}
	for _, m := range rows {
		kind := m.Type
		if kind == "" {
			kind = "project"
		}
		list = append(list, kind+" "+m.MemberID+" "+m.Status)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func readRows(img *collector.ImageSnapshot) []string {
	list := []string{}
	for _, m := range img.Members {
		list = append(list, string(m.Type)+" "+m.ID+" "+string(m.Status))
	}
	slices.Sort(list)
	return list
}

func (w *imsWorld) wrong(format string, args ...any) {
	w.Helper()
	w.Errorf(format+"\n%s", append(args, strings.Join(w.told, "\n"))...)
}

func (w *imsWorld) checkImage(img *collector.ImageSnapshot) {
	states, taken := w.states, !img.Taken.IsZero()
	if taken {
		states = w.past[img.Taken.UnixNano()]
		if !img.InTurns || time.Since(img.Taken) > max(w.opts.MaxStaleness, time.Hour) {
			w.wrong("%s is of an earlier scrape, and %+v", img.Name, img)
		}
	}
	truth := func(f func(rows []string) bool) bool {
		return slices.ContainsFunc(states, func(s imsState) bool { return f(s.own[img.ID]) })
	}
	rows := readRows(img)
	switch {
	case img.Coverage == collector.Unread:
		w.note(map[bool]string{false: "not read", true: "waiting"}[img.Waiting])
		if len(rows) > 0 || img.Waiting && img.StatusCode != 0 {
			w.wrong("%s was not read: %+v", img.Name, img)
		}
	case img.Complete():
		w.note(map[bool]string{false: "complete, rows", true: "complete, no rows"}[len(rows) == 0])
		if taken {
			w.note("complete, of an earlier scrape")
		}
		switch {
		case truth(func(all []string) bool { return slices.Equal(all, rows) }):
		case truth(func(all []string) bool { return len(all) > w.pageSize }) && len(states) > 1:
			w.note("documented: a member changed between two pages of a list")
		case len(states) > 1 && states[0].own[img.ID] == nil && w.own[img.ID]:
			w.note("documented: the owner changed twice between two records")
		default:
			w.wrong("%s is complete with %q, and the truth is %+v (of an earlier scrape: %v)", img.Name, rows, truths(states, img.ID), taken)
		}
	default:
		w.note("partial")
		if !truth(func(all []string) bool {
			return !slices.ContainsFunc(rows, func(r string) bool { return !slices.Contains(all, r) })
		}) && slices.ContainsFunc(states, func(s imsState) bool { return s.own[img.ID] != nil }) {
			w.wrong("%s has %q, and the truth is %+v", img.Name, rows, truths(states, img.ID))
		}
	}
	if slices.ContainsFunc(rows, func(r string) bool { return !strings.HasPrefix(r, "project ") }) {
		w.note("row of a domain or organization")
	}
}

func truths(states []imsState, id string) (list [][]string) {
	for _, s := range states {
		list = append(list, s.own[id])
	}
	return list
}

func (w *imsWorld) checkDiscovery(s *collector.Snapshot) {
	shown := map[string]bool{}
	for i := range s.Images {
		shown[s.Images[i].ID] = true
	}
	if s.Discovered {
		w.note("discovery succeeded")
	}
	for id := range w.states[0].own {
		always := !slices.ContainsFunc(w.states, func(st imsState) bool { return st.own[id] == nil })
		switch {
		case shown[id]:
			w.known[id] = true
		case !always:
		case s.Discovered && w.opts.DiscoveryInterval == 0:
			w.wrong("discovery succeeded without %s", id)
		case w.known[id]:
			w.wrong("%s is there, was shown, and is not any more (%v)", id, s.DiscoveryErr)
		}
	}
	for id := range w.known {
		// One that was another project's at any time of the collection, and is not shown, may have left: it comes back with a listing.
		left := !shown[id] && slices.ContainsFunc(w.states, func(st imsState) bool { return st.own[id] == nil })
		if left || w.states[len(w.states)-1].own[id] == nil {
			delete(w.known, id)
		}
	}
}

func (w *imsWorld) checkInbound(s *collector.Snapshot) {
	for _, in := range s.Inbound {
		seen := map[string]string{}
		for _, img := range in.Images {
			seen[img.Record.ID] = string(img.Status)
			if img.Status == "" {
				w.note("inbound, status unknown")
				continue
			}
			if w.opts.DiscoveryInterval == 0 && !slices.ContainsFunc(w.states, func(st imsState) bool {
				return slices.Contains(st.inbound[img.Record.ID], string(img.Status))
			}) && in.Err == nil {
				w.wrong("inbound %s is %s, and that was never so", img.Record.Name, img.Status)
			}
		}
		if in.Err != nil || w.opts.DiscoveryInterval > 0 {
			continue
		}
		w.note("inbound succeeded")
		for id := range w.states[0].inbound {
			_, ok := seen[id]
			switch {
			case ok || slices.ContainsFunc(w.states, func(st imsState) bool { return st.inbound[id] == nil || st.unlisted[id] }):
			case !slices.Equal(w.states[0].inbound[id], w.states[len(w.states)-1].inbound[id]):
				w.note("documented: an answer to an offer was taken back between two listings")
			default:
				w.wrong("inbound succeeded without %s, which is %s", id, w.states[0].inbound[id])
			}
		}
	}
}

// everything demands that all is reported, after a while in which nothing went wrong.
func (w *imsWorld) everything(s collector.Snapshot) {
	w.note("at last: all")
	truth := w.state()
	if len(truth.own) == 0 {
		return // that all have vanished is not believed
	}
	if !s.Discovered || len(s.Images) != len(truth.own) {
		w.wrong("at last: discovered %v (%v), %d images of %d", s.Discovered, s.DiscoveryErr, len(s.Images), len(truth.own))
	}
	for i := range s.Images {
		if img := &s.Images[i]; !img.Complete() || !slices.Equal(readRows(img), truth.own[img.ID]) {
			w.wrong("at last: %s is %v, %q (%v, taken %s), and has %q", img.Name, img.Coverage, readRows(img), img.Err, img.Taken, truth.own[img.ID])
		}
	}
	for _, in := range s.Inbound {
		shown := map[string]bool{}
		for _, img := range in.Images {
			if shown[img.Record.ID] = true; truth.inbound[img.Record.ID] == nil {
				w.wrong("at last: inbound %s is there, and nobody shares it", img.Record.Name)
			}
		}
		for id := range truth.inbound {
			if in.Err != nil || !shown[id] && !truth.unlisted[id] {
				w.wrong("at last: inbound %v, without %s", in.Err, id)
			}
		}
	}
}

// ------------------------------------------------------------------------------------------------------------------

func (w *imsWorld) note(what string) { w.notes[what]++ }

func (w *imsWorld) addImage() {
	img := fakecloud.Image{
		ID:    fmt.Sprintf("%08x-0000-4000-8000-%012x", w.rand.Uint32(), w.rand.Uint32()),
		Name:  fmt.Sprint("image ", w.rand.Uint32()),
		Owner: pick(w.rand, []string{producer, producer, producer, consumerA, vendor}),
	}
	if img.Owner == producer && w.rand.IntN(2) == 0 {
		img.Visibility = "private"
	}
	id := w.world.AddImage(img)
	if img.Visibility != "private" {
		for range w.rand.IntN(6) {
			w.changeMembers(id)
		}
	}
}

func (w *imsWorld) changeMembers(id string) {
	m := pick(w.rand, []fakecloud.Member{
		{MemberID: producer},
		{MemberID: consumerA},
		{MemberID: consumerB},
		{MemberID: consumerC},
		{MemberID: stranger},
		{MemberID: imsDomain, Type: "domain"},
		{MemberID: imsUnit, Type: "organization"},
		{MemberID: consumerA, Type: "domain"},
	})
	rows := w.world.Members(id)
	there := slices.ContainsFunc(rows, func(o fakecloud.Member) bool { return o.MemberID == m.MemberID && o.Type == m.Type })
	alike := slices.ContainsFunc(rows, func(o fakecloud.Member) bool { return o.MemberID == m.MemberID && o.Type != m.Type })
	switch {
	case alike: // the fake tells members apart by their IDs alone
	case there && w.rand.IntN(2) == 0:
		w.world.Unshare(id, m.MemberID)
	case there:
		w.world.SetStatus(id, m.MemberID, pick(w.rand, []string{"accepted", "pending", "rejected"}))
	default:
		m.Status = pick(w.rand, []string{"accepted", "pending", "rejected"})
		w.world.AddMember(id, m)
	}
}

// change changes one thing. The caller holds mu.
func (w *imsWorld) change() {
	images := w.world.Images()
	id := images[1+w.rand.IntN(len(images)-1)].ID // the first one is public
	switch w.rand.IntN(8) {
	case 0:
		if len(images) > 3 {
			w.world.RemoveImage(id)
		}
	case 1:
		w.addImage()
	case 2:
		w.world.SetImage(id, func(img *fakecloud.Image) { img.Owner = pick(w.rand, []string{producer, vendor}) })
	default:
		w.changeMembers(id)
	}
}

// rotate makes a new key, which ends some time. The caller holds mu.
func (w *imsWorld) rotate() {
	w.keys++
	name := fmt.Sprint("AK", w.keys)
	w.key = client.Key{Access: name, Secret: "SK", SecurityToken: "token of " + name, Expires: time.Now().Add(10 * time.Minute)}
	w.world.AddAccessKey(fakecloud.AccessKey{
		Access: name, Secret: "SK", SecurityToken: w.key.SecurityToken,
		ProjectID: producer, Expires: w.key.Expires, Rights: w.rights,
	})
}

// Key implements client.KeySource.
func (w *imsWorld) Key(context.Context) (client.Key, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noKey {
		w.note("no key")
		return client.Key{}, &client.Error{Op: client.OpAuthenticate, Code: client.CodeConfig, Message: "there is none"}
	}
	if w.key.Ended() {
		w.note("key that ended")
	}
	return w.key, nil
}

// RoundTrip implements http.RoundTripper.
func (w *imsWorld) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	if w.inside && w.rand.IntN(8) == 0 {
		w.inside = false
		w.note("changed inside")
		w.change()
		w.states = append(w.states, w.state())
	}
	kind := -1
	if w.rand.Float64() < w.faulty {
		kind = w.rand.IntN(10)
	}
	pageOne := w.first[req.URL.Path]
	w.mu.Unlock()

	resp, err := fakecloud.InMemory(w.world).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if resp.StatusCode == http.StatusOK && !req.URL.Query().Has("marker") && !req.URL.Query().Has("member_status") {
		w.first[req.URL.Path] = body
	}
	what, status, meddled := w.meddle(kind, req, resp.StatusCode, body, pageOne)
	w.note(what)
	w.told = append(w.told, fmt.Sprintf("%s %s: %d %s", req.URL.Path, req.URL.RawQuery, status, what))
	resp.StatusCode, resp.Body, resp.ContentLength = status, io.NopCloser(bytes.NewReader(meddled)), int64(len(meddled))
	return resp, nil
}

// meddle is what becomes of an answer. What it does to one must be noticeable.
func (w *imsWorld) meddle(kind int, req *http.Request, status int, body, pageOne []byte) (what string, newStatus int, newBody []byte) {
	members, marker := strings.HasSuffix(req.URL.Path, "/members"), req.URL.Query().Has("marker")
	switch kind {
	case 0, 1, 2:
		f := pick(w.rand, []fakecloud.Fault{
			fakecloud.NotPublished(), fakecloud.NoBackend(), fakecloud.Throttled(),
			fakecloud.FlowControl(),
			{Status: 503, Body: "down"},
			{Status: 404},
		})
		return "gateway", f.Status, []byte(f.Body)
	case 3, 4:
		key := "images"
		if members {
			key = "members"
		}
		more := pick(w.rand, []string{
			`"error_msg": "backend away"`, `"encoded_authorization_message": "bm8="`,
			`"error": {"code": "IMG.0114", "message": "no"}`, `"error_code": "IMG.0114"`,
		})
		return "error beside a list", http.StatusOK, []byte(`{"` + key + `": [], ` + more + `}`)
	case 5, 6:
		if members && status == http.StatusOK {
			head, _, _ := bytes.Cut(body, []byte(`"current_count": `))
			return "wrong count", status, append(bytes.Clone(head), `"current_count": 499}}`...)
		}
	case 7, 8:
		if marker && pageOne != nil && !req.URL.Query().Has("member_status") && bytes.Contains(pageOne, []byte(`"id"`)) == !members {
			return "marker ignored", http.StatusOK, pageOne
		}
	case 9:
		return "cut", status, body[:len(body)/2]
	}
	return "as it is", status, body
}
