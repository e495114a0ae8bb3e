package collector

import (
	"testing"
	"time"

	"glance_share_exporter/client"
)

var sometime = time.Date(2026, 11, 27, 6, 41, 15, 0, time.UTC)

// since is an observation of a collection, some time after another moment.
func since(d time.Duration, run uint64) observation { return observation{sometime.Add(d), run} }

// A proof covers a request that began at most five minutes before or after it, or in the same collection.
func TestE11Covers(t *testing.T) {
	for _, test := range []struct {
		name     string
		proof    observation
		of       observation
		want     bool
		laterIs1 bool
	}{
		{"never", observation{}, since(0, 1), false, false},
		{"just now", since(0, 1), since(0, 2), true, true},
		{"five minutes before", since(0, 1), since(5*time.Minute, 2), true, false},
		{"more than that", since(0, 1), since(5*time.Minute+1, 2), false, false},
		{"five minutes after", since(5*time.Minute, 2), since(0, 1), true, true},
		{"more than that after", since(5*time.Minute+1, 2), since(0, 1), false, true},
		{"an hour, in the same collection", since(time.Hour, 1), since(0, 1), true, true},
		{"an hour before, in the same collection", since(0, 1), since(time.Hour, 1), true, false},
	} {
		if got := test.proof.covers(test.of); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
		if got := test.proof.later(test.of) == test.proof; got != test.laterIs1 {
			t.Errorf("%s: the proof is the later one: %t", test.name, got)
		}
	}
}

// Observations of a view are shared by collections, and never by views with other roles, endpoints or users.
func TestE11ViewsApart(t *testing.T) {
	access := client.Access{ProjectID: "p", UserID: "u", Roles: []string{"reader", "member"}, Endpoint: "http://a/v2/", Confirmed: true}
	v := newView(access, 1)
	other := newView(access, 2)
	other.ownRows.note(since(0, 2))
	other.othersPrivate, other.otherOwner, other.onlyShared = since(0, 2), "q", since(0, 2)
	v.merge(&other)
	if !v.ownRows.last.made() || v.privates() != privateHasNone || !v.administrator(since(0, 3)) {
		t.Errorf("got %+v", v)
	}
	for name, change := range map[string]func(*client.Access){
		"project": func(a *client.Access) { a.ProjectID = "q" }, "user": func(a *client.Access) { a.UserID = "w" },
		"roles": func(a *client.Access) { a.Roles = []string{"reader"} }, "endpoint": func(a *client.Access) { a.Endpoint = "http://b/v2/" },
	} {
		a := access
		change(&a)
		fresh := newView(a, 3)
		if fresh.merge(&other); fresh.ownRows.last.made() || fresh.othersPrivate.made() || fresh.onlyShared.made() {
			t.Errorf("another %s, and proofs are taken over", name)
		}
	}
}

// What is known of private images' members is what the last answer said.
func TestE12LastAnswer(t *testing.T) {
	for _, test := range []struct {
		name string
		view view
		want privateMembers
	}{
		{"nothing", view{}, privateUnknown},
		{"only shared images have members", view{onlyShared: since(0, 1)}, privateHasNone},
		{"refused", view{privateRefused: since(0, 1)}, privateUnknown},
		{"refused, while others are answered", view{privateRefused: since(0, 1), listAnswered: since(0, 1)}, privateHasNone},
		{"refused, and others were answered later", view{privateRefused: since(0, 1), listAnswered: since(0, 2)}, privateUnknown},
		{"listed", view{privateListed: since(0, 1)}, privateHasMembers},
		{"listed later", view{onlyShared: since(0, 1), privateListed: since(1, 2)}, privateHasMembers},
		{"listed before", view{onlyShared: since(1, 2), privateListed: since(0, 1)}, privateHasNone},
	} {
		test.view.noteRefusal()
		if got := test.view.privates(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// A second look begins after the first one ended, and ten seconds after the first one began.
func TestE15SecondLook(t *testing.T) {
	first := missing{sometime, sometime.Add(15 * time.Second)}
	for d, want := range map[time.Duration]bool{0: false, 11 * time.Second: false, 15 * time.Second: true, time.Hour: true} {
		if got := first.before(sometime.Add(d)); got != want {
			t.Errorf("after %s: %t", d, got)
		}
	}
	first.end = sometime.Add(time.Second)
	for d, want := range map[time.Duration]bool{9 * time.Second: false, 10 * time.Second: true} {
		if got := first.before(sometime.Add(d)); got != want {
			t.Errorf("a short one, after %s: %t", d, got)
		}
	}
	if (missing{}).before(sometime) {
		t.Error("without a first look there is a second one")
	}
}

// A complete list takes rows that were seen to be visible, whoever reads it.
func TestE2CompleteTakesVisibleRows(t *testing.T) {
	access := client.Access{ProjectID: "p", Endpoint: "http://a/v2/", Confirmed: true}
	img := &client.Image{ID: "i", Owner: "q", Visibility: client.Shared}
	v := newView(access, 1)
	v.onlyShared, v.othersPrivate = since(0, 1), since(0, 1) // an administrator's
	e := imageEvidence{
		membersFor: []client.Visibility{client.Shared}, view: &v, access: access, read: true, list: since(0, 1),
		earlier: img, before: img, record: img, rows: []client.Member{{ID: "r"}},
	}
	if got := e.verdict(); got != someKnown {
		t.Errorf("rows that may be hidden: %d", got)
	}
	v.othersRows.note(since(0, 1))
	if got := e.verdict(); got != allMembers {
		t.Errorf("rows that are visible: %d", got)
	}
}

// An administrator's empty list of an image that is new, or another one's than before, may be of an image of our own by then, whose rows
// are hidden.
func TestE5AdministratorsEmptyList(t *testing.T) {
	access := client.Access{ProjectID: "p", Endpoint: "http://a/v2/", Confirmed: true}
	of := func(owner string) *client.Image {
		return &client.Image{ID: "i", Owner: owner, Visibility: client.Shared}
	}
	for name, test := range map[string]struct {
		earlier, after *client.Image
		ownRows        observation
		want           verdict
		lacks          bool
	}{
		"new":                                  {want: someKnown, lacks: true},
		"new, and the same afterwards":         {after: of("q"), want: allMembers},
		"new, and another's afterwards":        {after: of("r"), want: someKnown},
		"new, and own rows are visible":        {ownRows: since(0, 1), want: allMembers},
		"new, and own rows were visible once":  {ownRows: since(-time.Hour, 1), want: someKnown, lacks: true},
		"another one's before":                 {earlier: of("r"), want: someKnown, lacks: true},
		"as before":                            {earlier: of("q"), want: allMembers},
		"another one's before, and afterwards": {earlier: of("r"), after: of("q"), want: allMembers},
	} {
		v := newView(access, 1)
		v.foreignRow = since(0, 2)
		v.othersRows.note(since(0, 2))
		v.ownRows.note(test.ownRows)
		e := imageEvidence{
			api: client.Glance, membersFor: DefaultMembersFor(client.Glance), view: &v, access: access, read: true, list: since(0, 2),
			earlier: test.earlier, before: of("q"), fresh: true, record: of("q"), after: test.after,
		}
		if got := e.verdict(); got != test.want || e.lacksSecondRecord() != test.lacks {
			t.Errorf("%s: %d, lacks a record %t", name, got, e.lacksSecondRecord())
		}
		if got := e.doubt(); test.want == someKnown && got != ChangingImage {
			t.Errorf("%s: doubt %d", name, got)
		}
	}
}

// The record that shows whose image it was after the list is read after it, and the list was given to the same view.
func TestE9ForeignListOfBefore(t *testing.T) {
	access := client.Access{ProjectID: "p", Endpoint: "http://a/v2/", Confirmed: true}
	for name, test := range map[string]struct {
		began time.Duration // of the record
		to    func(*client.Access)
		owner string
		want  bool
	}{
		"after the list":            {began: time.Second, owner: "q", want: true},
		"before the list ended":     {began: -time.Second, owner: "q"},
		"another owner":             {began: time.Second, owner: "r"},
		"at another endpoint":       {began: time.Second, owner: "q", to: func(a *client.Access) { a.Endpoint = "http://b/v2/" }},
		"with other roles":          {began: time.Second, owner: "q", to: func(a *client.Access) { a.Roles = []string{"admin"} }},
		"the view's own, all along": {began: time.Second, owner: "p"},
	} {
		v := newView(access, 1)
		last := foreignList{owner: "q", access: access, list: since(-time.Minute, 1), end: sometime}
		if test.owner == "p" {
			last.owner = "p"
		}
		if test.to != nil {
			test.to(&last.access)
		}
		e := imageEvidence{
			view:        &v,
			lastForeign: &last,
			record:      &client.Image{Owner: test.owner, Visibility: client.Shared},
			recordBegan: sometime.Add(test.began),
		}
		if e.noteRows(); v.foreignRow.made() != test.want {
			t.Errorf("%s: proven %t, want %t", name, !test.want, test.want)
		}
	}
}

// A row that is read after an empty list says nothing of whether rows were visible when the list was read.
func TestE11RowsBeforeTheList(t *testing.T) {
	access := client.Access{ProjectID: "p", Confirmed: true}
	record := &client.Image{ID: "i", Owner: "p", Visibility: client.Shared}
	for name, test := range map[string]struct {
		rows []observation
		want verdict
	}{
		"before both":                       {[]observation{since(-time.Second, 1)}, unproven},
		"between, in the first run":         {[]observation{since(5*time.Second, 1)}, unproven},
		"between, in the second run":        {[]observation{since(5*time.Second, 2)}, allMembers},
		"after the second":                  {[]observation{since(11*time.Second, 2)}, unproven},
		"between, and after the second":     {[]observation{since(5*time.Second, 1), since(11*time.Second, 2)}, allMembers},
		"before both, and after the second": {[]observation{since(-time.Second, 1), since(11*time.Second, 2)}, unproven},
	} {
		v := newView(access, 1)
		for _, o := range test.rows {
			v.ownRows.note(o)
		}
		e := imageEvidence{
			api:        client.Glance,
			membersFor: DefaultMembersFor(client.Glance),
			view:       &v,
			earlier:    record,
			before:     record,
			record:     record,
			after:      record,
			list:       since(10*time.Second, 2),
			read:       true,
			access:     access,
			hadRows:    true,
			emptied:    since(0, 1),
			refused:    since(time.Second, 1),
		}
		if got := e.verdict(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// A probe on an image whose owner is the view's project in another spelling proves nothing of others' images.
func TestE10ProbeOfOurProjectInAnotherSpelling(t *testing.T) {
	v := view{project: "ac8efe121c5949f1ba2dde83458bfed0"}
	v.noteProbe("AC8EFE121C5949F1BA2DDE83458BFED0", observation{time.Now(), 1})
	if v.othersRows.last.made() || v.ownRows.last.made() {
		t.Errorf("own %v, others' %v", v.ownRows.last, v.othersRows.last)
	}
}
