//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A state is what an image is and who its members are. The zero state is that of no image.
type state struct {
	visibility string
	members    map[string]string // status by ID; also of an image that is not shared now
}

func (s state) exists() bool { return s.visibility != "" }

// shows reports whether one who reads both images would take them for the same.
func (s state) shows(other state) bool {
	return s.visibility == other.visibility && (s.visibility != "shared" || maps.Equal(s.members, other.members))
}

// A fact is a state that an image may have been in from one time to another. Facts overlap while it is not known whether a change
// has come about.
type fact struct {
	state
	from, to time.Time // to zero: it may be so still
	sure     time.Time // from when on the image was in this state; zero: that is not known
}

// images are all images there have ever been, with their histories.
type images struct {
	mu   sync.Mutex
	byID map[string]*history
}

type history struct {
	facts    []fact
	asked    bool      // for a change, and it is not answered yet
	doubtful bool      // a change was not answered well
	ended    time.Time // when that change was over, come about or not
}

// begin notes that an image is asked to change, which may come about from now on. No other change of it may be asked for until that
// has ended: done says when, and whether it went well.
func (i *images) begin(id string, to state) (done func(well bool)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := i.byID[id]
	if h == nil {
		h = &history{facts: []fact{{}}}
		i.byID[id] = h
	}
	h.facts = append(h.facts, fact{state: to, from: time.Now()})
	h.asked = true
	return func(well bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		now, last := time.Now(), len(h.facts)-1
		if h.asked, h.doubtful, h.ended = false, !well, now; !well {
			return
		}
		h.facts[last].sure = now
		for k := range h.facts[:last] {
			if h.facts[k].to.IsZero() {
				h.facts[k].to = now
			}
		}
	}
}

// settle ends doubts: the image was found in a state, after its last change was over. If that has not come about, the image was never
// as it was asked to be; if it has, the image is no more as it was since the change was over at the latest.
func (i *images) settle(id string, found state) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := i.byID[id]
	var facts []fact
	matched := false
	for _, f := range h.facts {
		switch {
		case !f.to.IsZero():
		case matched:
			continue
		case f.shows(found):
			if matched = true; f.sure.IsZero() {
				f.sure = h.ended
			}
		default:
			f.to = h.ended
		}
		facts = append(facts, f)
	}
	h.doubtful = false
	if !matched {
		return fmt.Errorf("image %s is %v, which nobody has made it: %+v", id, found, h.facts)
	}
	h.facts = facts
	return nil
}

// certain returns the images that there are, of which nothing is in doubt.
func (i *images) certain() map[string]state {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := map[string]state{}
	for id, h := range i.byID {
		if now := h.now(); !h.asked && !h.doubtful && now.exists() {
			list[id] = now
		}
	}
	return list
}

// now is the state that is known last.
func (h *history) now() state {
	for k := len(h.facts) - 1; k >= 0; k-- {
		if h.facts[k].to.IsZero() {
			return h.facts[k].state
		}
	}
	return state{}
}

// which returns the images of which something holds.
func (i *images) which(holds func(*history) bool) (ids []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, h := range i.byID {
		if holds(h) {
			ids = append(ids, id)
		}
	}
	return ids
}

// doubtful returns the images whose last change was not answered well.
func (i *images) doubtful() []string { return i.which(func(h *history) bool { return h.doubtful }) }

// asked is how many images are being changed.
func (i *images) asked() int { return len(i.which(func(h *history) bool { return h.asked })) }

// count is of the images that there are, or may be.
func (i *images) count() int { return len(i.certain()) + i.asked() + len(i.doubtful()) }

// clockSlack is how exact the times are that Prometheus notes.
const clockSlack = 10 * time.Millisecond

// during returns the facts that may have held at any time of a scrape.
func (h *history) during(s *scrape) (facts []fact) {
	begin, end := s.at.Add(-clockSlack), s.at.Add(s.took+clockSlack)
	for _, f := range h.facts {
		if !f.from.After(end) && (f.to.IsZero() || !f.to.Before(begin)) {
			facts = append(facts, f)
		}
	}
	return facts
}

// A contradiction is something false that was said of an image.
type contradiction struct{ id, text string }

// contradict returns what a scrape says that was at no time of it so. expected is the only member that is meant to have an image.
func (i *images) contradict(s *scrape, expected string) (faults []contradiction) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, said := range s.images {
		h := i.byID[id]
		if h == nil {
			faults = append(faults, contradiction{id, fmt.Sprintf("there has never been an image %s", id)})
			continue
		}
		if what := said.contradicts(h.during(s), expected); what != "" {
			faults = append(faults,
				contradiction{id, fmt.Sprintf("image %s: %s; it says %+v, and true was one of %+v, of %+v", id, what, *said, h.during(s), h.facts)})
		}
	}
	if !s.swept {
		return faults
	}
	for id, h := range i.byID {
		facts := h.during(s)
		if s.images[id] == nil && !slices.ContainsFunc(facts, func(f fact) bool { return !f.exists() }) {
			faults = append(faults, contradiction{id, fmt.Sprintf("the list of images is said to be whole, and lacks %s", id)})
		}
	}
	return faults
}

// contradicts says what of it was not so, whichever of the facts held.
func (said *said) contradicts(facts []fact, expected string) string {
	some := func(f func(state) bool) bool {
		return slices.ContainsFunc(facts, func(x fact) bool { return f(x.state) })
	}
	if said.visibility != "" && !some(func(x state) bool { return x.visibility == said.visibility }) {
		return "it had another visibility"
	}
	quiet := len(said.members) == 0 && len(said.counts) == 0 && said.unexpected < 0
	counts, unexpected := map[string]int{}, 0
	for id, status := range said.members {
		counts[status]++
		if id != expected {
			unexpected++
		}
	}
	switch {
	case !said.success:
		if !quiet || !said.incomplete {
			return "it was not read, and yet something is said of its members"
		}
	case said.complete:
		if !some(func(x state) bool { return x.visibility == "shared" && maps.Equal(x.members, said.members) }) {
			return "it had other members"
		}
		for _, status := range []string{"accepted", "pending", "rejected", "unknown"} {
			if n, ok := said.counts[status]; !ok || n != counts[status] {
				return "its members are counted wrong"
			}
		}
		if said.unexpected != unexpected {
			return "its unexpected members are counted wrong"
		}
	case said.incomplete:
		for id, status := range said.members {
			if !some(func(x state) bool { return x.members[id] == status }) {
				return "it had no such member"
			}
		}
		for status, n := range said.counts {
			if n != counts[status] || n == 0 {
				return "its members are counted wrong"
			}
		}
		if said.unexpected >= 0 && (said.unexpected != unexpected || unexpected == 0) {
			return "its unexpected members are counted wrong"
		}
	default:
		if !quiet {
			return "it has no list, and yet something is said of its members"
		}
		if !some(func(x state) bool { return x.exists() && x.visibility != "shared" }) {
			return "it was shared"
		}
	}
	return ""
}

// seen returns how many changes lasted until a scrape that read the image, and how many the first of these shows.
func (i *images) seen(scrapes []*scrape) (seen, chances int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for id, h := range i.byID {
		for k, f := range h.facts {
			if f.sure.IsZero() || !f.exists() {
				continue
			}
			until := f.to
			if k+1 < len(h.facts) {
				until = h.facts[k+1].from // it may have been over from then on
			}
			for _, s := range scrapes {
				if s.at.Before(f.sure.Add(clockSlack)) {
					continue
				}
				if !until.IsZero() && s.at.Add(s.took+clockSlack).After(until) {
					break
				}
				said := s.images[id]
				if said == nil || !said.success || said.incomplete || said.excused {
					continue
				}
				chances++
				if said.complete && f.visibility == "shared" && maps.Equal(said.members, f.members) ||
					!said.complete && said.visibility == f.visibility {
					seen++
				}
				break
			}
		}
	}
	return seen, chances
}

// TestContradictions checks that what TestChaos goes by notices a false word.
func TestContradictions(t *testing.T) {
	at := time.Unix(1000, 0)
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	members := map[string]string{"alice": "accepted", "bob": "pending"}
	cloud := &images{byID: map[string]*history{
		"shared":  {facts: []fact{{to: second(-90)}, {state: state{"shared", members}, from: second(-91), sure: second(-90)}}},
		"private": {facts: []fact{{state: state{"private", members}, from: second(-90)}}},
		"changed": {facts: []fact{
			{state: state{visibility: "shared"}, from: second(-90), to: second(1)},
			{state: state{"shared", map[string]string{"bob": "pending"}}, from: second(0), sure: second(1)},
		}},
		"gone": {
			facts: []fact{{state: state{visibility: "shared"}, from: second(-90), to: second(-10)}, {from: second(-11), sure: second(-10)}},
		},
	}}
	whole := func(m map[string]string, accepted, pending, unexpected int) *said {
		return &said{
			success: true, complete: true, visibility: "shared", members: m, unexpected: unexpected,
			counts: map[string]int{"accepted": accepted, "pending": pending, "rejected": 0, "unknown": 0},
		}
	}
	unread := func() *said { return &said{incomplete: true, unexpected: -1} }
	none := func(visibility string) *said { return &said{success: true, visibility: visibility, unexpected: -1} }
	truth := map[string]*said{"shared": whole(members, 1, 1, 1), "private": none("private"), "changed": whole(nil, 0, 0, 0)}
	for name, tc := range map[string]struct {
		say  map[string]*said
		omit string
		want int
	}{
		"the truth":                {nil, "", 0},
		"not read":                 {map[string]*said{"shared": unread(), "private": unread(), "changed": unread()}, "", 0},
		"a change is seen already": {map[string]*said{"changed": whole(map[string]string{"bob": "pending"}, 0, 1, 1)}, "", 0},
		"nobody has access":        {map[string]*said{"shared": whole(nil, 0, 0, 0)}, "", 1},
		"one of two":               {map[string]*said{"shared": whole(map[string]string{"alice": "accepted"}, 1, 0, 0)}, "", 1},
		"another status": {map[string]*said{"shared": whole(map[string]string{"alice": "accepted", "bob": "accepted"},
			2, 0, 1)}, "", 1},
		"counted wrong":       {map[string]*said{"shared": whole(members, 1, 0, 1)}, "", 1},
		"judged wrong":        {map[string]*said{"shared": whole(members, 1, 1, 0)}, "", 1},
		"unread, with a zero": {map[string]*said{"shared": {incomplete: true, unexpected: 0}}, "", 1},
		"unread, with a count": {map[string]*said{"shared": {
			incomplete: true, unexpected: -1,
			counts: map[string]int{"accepted": 0},
		}}, "", 1},
		"partial, with a zero": {map[string]*said{"shared": {
			success: true, incomplete: true, unexpected: -1,
			counts: map[string]int{"accepted": 0},
		}}, "", 1},
		"partial, with a stranger": {map[string]*said{"shared": {
			success: true, incomplete: true, unexpected: -1,
			members: map[string]string{"eve": "pending"},
		}}, "", 1},
		"partial": {map[string]*said{"shared": {
			success: true, incomplete: true, unexpected: 1,
			members: map[string]string{"bob": "pending"}, counts: map[string]int{"pending": 1},
		}}, "", 0},
		"shared where it is private":     {map[string]*said{"private": whole(members, 1, 1, 1)}, "", 1},
		"private where it is shared":     {map[string]*said{"shared": none("")}, "", 1},
		"a visibility that it never had": {map[string]*said{"private": none("community")}, "", 1},
		"an image that is gone":          {map[string]*said{"gone": whole(nil, 0, 0, 0)}, "", 1},
		"an image that never was":        {map[string]*said{"never": unread()}, "", 1},
		"an image is lacking":            {nil, "shared", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scrape{at: at, took: 500 * time.Millisecond, up: true, swept: true, images: maps.Clone(truth)}
			maps.Copy(s.images, tc.say)
			delete(s.images, tc.omit)
			if got := cloud.contradict(s, "alice"); len(got) != tc.want {
				t.Errorf("%d contradictions, want %d: %q", len(got), tc.want, got)
			}
		})
	}
}

// TestAChangeInDoubt checks that both what an image was and what it was asked to be may be true until the change is over and looked up,
// and that from then on only that is which was.
func TestAChangeInDoubt(t *testing.T) {
	const open = -1
	type times struct{ from, to, sure int } // in seconds from the start, to -1: open, sure -1: not known
	before, after := state{"shared", map[string]string{"alice": "accepted"}}, state{visibility: "shared", members: map[string]string{}}
	changed := []times{{0, 2, 0}, {1, open, 2}}
	for name, tc := range map[string]struct {
		well  bool
		found state // where it did not go well
		want  []times
		shows state // in the end
	}{
		"it went well":    {true, state{}, changed, after},
		"it was made":     {false, after, changed, after},
		"it was not made": {false, before, []times{{0, open, 0}}, before},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				cloud := &images{byID: map[string]*history{"x": {facts: []fact{{state: before, from: start, sure: start}}}}}
				h := cloud.byID["x"]
				seconds := func(at time.Time) int {
					if at.IsZero() {
						return -1
					}
					return int(at.Sub(start).Seconds())
				}
				expect := func(when string, asked, doubtful, certain int, want ...times) {
					t.Helper()
					var got []times
					for _, f := range h.facts {
						got = append(got, times{seconds(f.from), seconds(f.to), seconds(f.sure)})
					}
					if !slices.Equal(got, want) || cloud.asked() != asked || len(cloud.doubtful()) != doubtful || len(cloud.certain()) != certain ||
						cloud.count() != 1 {
						t.Errorf("%s: %v (want %v), %d asked, %d in doubt, %d certain", when, got, want, cloud.asked(),
							len(cloud.doubtful()), len(cloud.certain()))
					}
				}
				time.Sleep(time.Second)
				done := cloud.begin("x", after)
				both := []times{{0, open, 0}, {1, open, -1}}
				expect("while it is asked for", 1, 0, 0, both...)
				time.Sleep(time.Second)
				if done(tc.well); !tc.well {
					expect("when it is over", 0, 1, 0, both...)
					time.Sleep(3 * time.Second)
					if err := cloud.settle("x", tc.found); err != nil {
						t.Error(err)
					}
				}
				expect("in the end", 0, 0, 1, tc.want...)
				if now := cloud.certain()["x"]; !now.shows(tc.shows) {
					t.Errorf("it is taken for %v", now)
				}
			})
		})
	}

	// What nobody asked for is an error: the test itself does not know the world.
	cloud := &images{byID: map[string]*history{"x": {facts: []fact{{state: before}}, doubtful: true}}}
	if err := cloud.settle("x", after); err == nil || !strings.Contains(err.Error(), "which nobody has made it") {
		t.Errorf("settled with %v", err)
	}
}
