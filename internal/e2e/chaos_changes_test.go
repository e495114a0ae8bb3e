//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"
)

// changeLine is a line of the exporter's log about a change of who can use an image.
var changeLine = regexp.MustCompile(`ts=(\S+) .*msg="image share changed" change=(\S+) image_id=(\S+) image_name=\S*(?: ` +
	`member_type=project member_id=(\S+) status=(\S+))?`)

// changeWindow is how long before its line a change may have been read: as long as a scrape takes.
const changeWindow = chaosInterval + 500*time.Millisecond

// told is what the log has said of an image so far.
type told struct {
	members map[string]string // status by ID; empty: no member. What is not there was never a change
	open    string            // the last of opened and closed
	watched bool              // since a change
}

// judgeChanges replays the changes in the exporter's log, and compares them with the histories of the images: each was so when it was
// read, none is there twice, and in the end they lead to what is true. Images of which something false was said are left out.
func (c *chaos) judgeChanges(t *testing.T, log string, scrapes []*scrape, falseOf map[string]bool) {
	t.Helper()
	firstRead := map[string]time.Time{}
	for _, s := range scrapes {
		for id, said := range s.images {
			if _, read := firstRead[id]; !read && said.complete {
				firstRead[id] = s.at
			}
		}
	}
	images, lines := map[string]*told{}, map[string]int{}
	wrong := func(line []string, format string, args ...any) {
		t.Errorf("%s: %s", line[0], fmt.Sprintf(format, args...))
	}
	for _, line := range changeLine.FindAllStringSubmatch(log, -1) {
		change, id, member, status := line[2], line[3], line[4], line[5]
		lines[change]++
		at, err := time.Parse(time.RFC3339Nano, line[1])
		if err != nil {
			t.Fatal(err)
		}
		if falseOf[id] {
			continue
		}
		if images[id] == nil {
			images[id] = &told{members: map[string]string{}}
		}
		img := images[id]
		before, known := img.members[member]
		switch change {
		case "member_added":
			if known && before != "" {
				wrong(line, "it was a member before, %s", before)
			}
		case "member_removed":
			if known && before != status {
				wrong(line, "its status was %q before", before)
			}
			status = ""
		case "status_changed":
			if known && (before == "" || before == status) {
				wrong(line, "its status was %q before", before)
			}
		case "opened", "closed":
			if img.open == change {
				wrong(line, "so it was before")
			}
			img.open = change
		case "image_added":
			img.watched = true
		case "image_removed":
			if !img.watched && !c.images.since(id, c.started) {
				wrong(line, "it was never added")
			}
			delete(images, id) // its next read is a first one
		}
		if member == "" {
			continue
		}
		img.members[member] = status
		if !c.images.hadMember(id, member, status, at.Add(-changeWindow), at.Add(clockSlack)) {
			wrong(line, "that was not so in the %s before", changeWindow)
		}
	}
	for id, now := range c.images.certain() {
		if falseOf[id] || now.visibility != "shared" && now.visibility != "private" {
			continue
		}
		if images[id] == nil {
			images[id] = &told{}
		}
		// Whoever has an image and is in no line had it when it was first read.
		for member, status := range now.members {
			at, read := firstRead[id]
			if _, known := images[id].members[member]; now.visibility != "shared" || known || !read {
				continue
			}
			if !c.images.hadMember(id, member, status, at.Add(-clockSlack), at.Add(changeWindow)) {
				t.Errorf("image %s: that %s became a member, %s, is in no line", id, member, status)
			}
		}
		for member, status := range images[id].members {
			want := now.members[member]
			if now.visibility == "private" {
				want = ""
			}
			if status != want {
				t.Errorf("image %s, member %s: the changes lead to status %q, and it is %q", id, member, status, want)
			}
		}
	}
	t.Logf("changes in the log: %v", lines)
	for change, n := range lines {
		c.prometheus.eventually(t, "changes",
			fmt.Sprintf(`sum by (change) (last_over_time(glance_image_share_changes_total{exporter="chaos", change=%q}[5m]))`, change),
			fmt.Sprintf("%s %d", change, n))
	}
	if lines["member_added"]+lines["member_removed"] < len(scrapes)/10 {
		t.Errorf("so few changes prove nothing")
	}
}

// since reports whether there was an image before a time.
func (i *images) since(id string, at time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := i.byID[id]
	return h != nil && slices.ContainsFunc(h.facts, func(f fact) bool { return f.exists() && f.from.Before(at) })
}

// hadMember reports whether a member may have had an image with a status at any time of a span; an empty status: it had not. Nobody has
// an image that is private, and of one that is open to everyone nobody asks.
func (i *images) hadMember(id, member, status string, from, to time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := i.byID[id]
	if h == nil {
		return false
	}
	for _, f := range h.facts {
		if f.from.After(to) || !f.to.IsZero() && f.to.Before(from) {
			continue
		}
		if f.visibility == "shared" && f.members[member] == status || f.visibility == "private" && status == "" {
			return true
		}
	}
	return false
}
