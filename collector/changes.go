package collector

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"glance_share_exporter/client"
)

// ChangeKind is what changed between two complete reads.
type ChangeKind string

// The kinds of changes.
const (
	MemberAdded   ChangeKind = "member_added"
	MemberRemoved ChangeKind = "member_removed"
	StatusChanged ChangeKind = "status_changed" // of a member
	Opened        ChangeKind = "opened"         // to every project, by its visibility
	Closed        ChangeKind = "closed"
	ImageAdded    ChangeKind = "image_added" // discover found it
	ImageRemoved  ChangeKind = "image_removed"
)

// ChangeKinds returns all kinds.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{MemberAdded, MemberRemoved, StatusChanged, Opened, Closed, ImageAdded, ImageRemoved}
}

// change is one change of who can use an image.
type change struct {
	kind     ChangeKind
	id, name string
	member   client.Member // for changes of members; empty otherwise
	expected *bool         // nil: not judged
}

// changeLog counts the changes of a cloud and logs each once. All shards of the cloud share it.
type changeLog struct {
	logger log.Logger

	mu    sync.Mutex
	total map[ChangeKind]uint64
}

// maxChanges is how many changes of one run have their own line in the log.
const maxChanges = 100

func (l *changeLog) report(changes []change) {
	l.mu.Lock()
	for i := range changes {
		l.total[changes[i].kind]++
	}
	l.mu.Unlock()
	for i := range changes {
		if i == maxChanges {
			_ = level.Info(l.logger).Log("msg", "more images or members changed; all are counted", "changes", len(changes)-i)
			return
		}
		c := &changes[i]
		fields := []any{"msg", "image share changed", "change", c.kind, "image_id", c.id, "image_name", c.name}
		if c.member.Type != "" {
			fields = append(fields, "member_type", c.member.Type, "member_id", c.member.ID, "status", c.member.Status)
		}
		if c.expected != nil {
			fields = append(fields, "expected", *c.expected)
		}
		_ = level.Info(l.logger).Log(fields...)
	}
}

// Changes returns the number of changes since the cloud was connected, by kind.
func (c *Cloud) Changes() map[ChangeKind]uint64 {
	c.changes.mu.Lock()
	defer c.changes.mu.Unlock()
	all := make(map[ChangeKind]uint64)
	for _, kind := range ChangeKinds() {
		all[kind] = c.changes.total[kind]
	}
	return all
}

// lastRead is what the last complete reads of an image showed. The zero value means that nothing was read.
type lastRead struct {
	listed  bool // members are those of a complete list
	members []client.Member
	record  *client.Image // nil, or with a known visibility
}

// changes compares what a run read of an image with what was read before, and stores it. A list that may be incomplete
// and data that was not read change nothing. The list of a private image that cannot have members counts as empty.
func (l *lastRead) changes(t *image, v verdict, name string) (list []change) {
	if record := t.record; record != nil && record.Visibility.Known() {
		was, is := l.record != nil && (&ImageSnapshot{Record: l.record}).Open(), (&ImageSnapshot{Record: record}).Open()
		if l.record != nil && was != is {
			c := change{kind: Closed, id: t.ID, name: name}
			if is {
				c.kind = Opened
			}
			if is || len(t.Policy.Visibility) > 0 { // else closing is not judged
				expected := !(&ImageSnapshot{Record: record, Policy: t.Policy}).Misplaced()
				c.expected = &expected
			}
			list = append(list, c)
		}
		l.record = record
	}
	members := t.members.Members
	switch {
	case v == noMembers && t.record != nil && t.record.Visibility == client.Private:
		members = nil // members cannot use the image, if there are any
	case v != allMembers || slices.ContainsFunc(members, func(m client.Member) bool { return m.ID == "" }):
		return list
	}
	if l.listed {
		list = append(list, memberChanges(t, l.members, members, name)...)
	}
	l.listed, l.members = true, members
	return list
}

// memberChanges compares two sorted member lists.
func memberChanges(t *image, before, after []client.Member, name string) (list []change) {
	policy := t.Policy.At(time.Now())
	add := func(kind ChangeKind, m client.Member) {
		c := change{kind: kind, id: t.ID, name: name, member: m}
		if policy.judged() {
			expected := policy.find(&m) != nil
			c.expected = &expected
		}
		list = append(list, c)
	}
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = cmp.Or(cmp.Compare(before[0].Type, after[0].Type), cmp.Compare(before[0].ID, after[0].ID))
		}
		switch {
		case order < 0:
			add(MemberRemoved, before[0])
			before = before[1:]
		case order > 0:
			add(MemberAdded, after[0])
			after = after[1:]
		default:
			if before[0].Status != after[0].Status {
				add(StatusChanged, after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
	return list
}
