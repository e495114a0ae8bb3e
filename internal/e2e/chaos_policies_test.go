//go:build e2e

package e2e

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// policyFaults are policies that hide something, each until the ordinary ones are back.
func (c *chaos) policyFaults(t testing.TB) (faults []fault) {
	for _, f := range []struct {
		name   string
		hides  hidden
		differ rules
	}{
		{"rows are for administrators", hiddenRows, rules{"get_member": "role:admin"}},
		{"images are for administrators", hiddenImages, rules{"get_image": "role:admin"}},
		{"lists of members are for administrators", hiddenNothing, rules{"get_members": "role:admin"}}, // with a 403
	} {
		var ordinary func()
		faults = append(faults, fault{
			f.name,
			func() { ordinary = c.policies.begin(f.hides); c.setPolicy(t, f.differ) },
			func() { c.setPolicy(t, nil); ordinary() },
		})
	}
	return faults
}

// policies are the times in which Glance's policies hid something without saying so.
type policies struct {
	mu    sync.Mutex
	times []policyTime
}

// hidden is what policies hide behind a 200.
type hidden int

const (
	hiddenNothing hidden = iota
	hiddenRows
	hiddenImages
)

type policyTime struct {
	hides    hidden
	from, to time.Time
}

// begin notes that policies may be in effect from now on. ordinary notes that they are not any more.
func (p *policies) begin(hides hidden) (ordinary func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := len(p.times)
	p.times = append(p.times, policyTime{hides: hides, from: time.Now()})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.times[i].to = time.Now()
	}
}

// proofWindow is for how long a proof covers an answer that may be due to other policies.
const proofWindow = 5 * time.Minute

// excuse reports whether a scrape says something false only because a proof of before the policies changed covers what they hide: that
// an image has no members, or that there is no such image. An image that had members when its list was last read is never excused, nor
// one that was watched before. before is what was said of the image then.
func (p *policies) excuse(s *scrape, f contradiction, before *said) bool {
	hides := hiddenImages
	if now := s.images[f.id]; now != nil {
		if hides = hiddenRows; !now.complete || len(now.members) > 0 || before != nil && len(before.members) > 0 {
			return false
		}
	} else if before != nil {
		return false
	}
	return slices.ContainsFunc(p.times, func(x policyTime) bool {
		return x.hides == hides && s.at.Add(s.took).After(x.from) && s.at.Sub(x.from) < proofWindow && (x.to.IsZero() || s.at.Before(x.to))
	})
}

// TestExcuses checks that a false word is excused only where a proof of before the policies changed covers it.
func TestExcuses(t *testing.T) {
	at := time.Unix(1000, 0)
	nobody := &said{success: true, complete: true, visibility: "shared", unexpected: 0}
	some := &said{success: true, complete: true, visibility: "shared", unexpected: 1, members: map[string]string{"bob": "pending"}}
	unread := &said{incomplete: true, unexpected: -1}
	for name, tc := range map[string]struct {
		hides       hidden
		from, to    time.Duration // before the scrape
		before, now *said
		want        bool
	}{
		"no members of an image that had none":                  {hiddenRows, 3 * time.Second, -time.Second, nobody, nobody, true},
		"no members of a new image":                             {hiddenRows, 3 * time.Second, -time.Second, nil, nobody, true},
		"no members of an image that had some":                  {hiddenRows, 3 * time.Second, -time.Second, some, nobody, false},
		"some members":                                          {hiddenRows, 3 * time.Second, -time.Second, nobody, some, false},
		"something of an image that was not read":               {hiddenRows, 3 * time.Second, -time.Second, nobody, unread, false},
		"no members, and the policies hide no rows":             {hiddenImages, 3 * time.Second, -time.Second, nobody, nobody, false},
		"no members, before the policies":                       {hiddenRows, -2 * time.Second, -3 * time.Second, nobody, nobody, false},
		"no members, after the policies":                        {hiddenRows, 3 * time.Second, 2 * time.Second, nobody, nobody, false},
		"no members, for longer than a proof covers":            {hiddenRows, 301 * time.Second, -time.Second, nobody, nobody, false},
		"no such image, which is new":                           {hiddenImages, 3 * time.Second, -time.Second, nil, nil, true},
		"no such image, which was watched":                      {hiddenImages, 3 * time.Second, -time.Second, unread, nil, false},
		"no such image, and the policies hide nothing but rows": {hiddenRows, 3 * time.Second, -time.Second, nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := policies{times: []policyTime{{tc.hides, at.Add(-tc.from), at.Add(-tc.to)}}}
			s := &scrape{at: at, took: time.Second, images: map[string]*said{}}
			if tc.now != nil {
				s.images["x"] = tc.now
			}
			if got := p.excuse(s, contradiction{id: "x"}, tc.before); got != tc.want {
				t.Errorf("excused %t, want %t", got, tc.want)
			}
		})
	}
}
