// Package baseline prints who can use which image now, as entries of images in exporter.yml. Only an image that was
// read completely has an entry: any other entry would approve what nobody has seen.
package baseline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"glance_share_exporter/collector"
)

// timeout limits the run of a cloud that has no scrape.timeout. It is the longest that a run may take, because no
// Prometheus waits for this one.
const timeout = 2 * time.Minute

// longestID is the length in bytes up to which a member's ID was certainly not shortened by the client.
const longestID = 252

// Print collects each cloud once, or only the one called name, and writes its list to w. The list of one cloud can be
// loaded as it is. Those of several clouds are a document that no key of exporter.yml accepts, because images of one
// cloud must not be requested from another. The error has what was not read.
func Print(ctx context.Context, clouds []*collector.Cloud, name string, w io.Writer) error {
	clouds, err := choose(clouds, name)
	if err != nil {
		return err
	}
	snapshots := make([]collector.Snapshot, len(clouds))
	var all sync.WaitGroup
	for i, c := range clouds {
		all.Go(func() {
			snapshots[i] = c.Collect(ctx, collector.Limits{Timeout: timeout, Fresh: true})
			_, _, _ = c.Resolve(ctx, &snapshots[i]) // names are comments
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("print-expected: %w", context.Cause(ctx))
	}
	lists, errs := make([]*list, len(clouds)), []error{}
	for i := range snapshots {
		lists[i] = newList(&snapshots[i])
		for _, problem := range lists[i].problems {
			errs = append(errs, fmt.Errorf("cloud %s: %s", snapshots[i].Cloud, problem))
		}
		if n := len(lists[i].unread); n > 0 {
			errs = append(errs, fmt.Errorf("cloud %s: %d of %d images have no entry; the printed list says why",
				snapshots[i].Cloud, n, len(snapshots[i].Images)))
		}
	}
	if _, err := io.WriteString(w, render(lists)); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// choose returns the clouds to print.
func choose(clouds []*collector.Cloud, name string) ([]*collector.Cloud, error) {
	if name == "" {
		return clouds, nil
	}
	var names []string
	for i, c := range clouds {
		if c.Name() == name {
			return clouds[i : i+1], nil
		}
		names = append(names, c.Name())
	}
	return nil, fmt.Errorf("--print-expected=%s: no such cloud: write one of %s", name, strings.Join(names, ", "))
}

// list is what is printed for a cloud.
type list struct {
	*collector.Snapshot
	entries  []entry
	judged   int      // images without an entry, because they are as the configuration expects
	unread   []unread // images without an entry, because they were not read completely
	problems []string
	projects map[string]string // names of the credential's own projects, by ID
}

// entry is an image whose members and visibility are known.
type entry struct {
	*collector.ImageSnapshot
	policy collector.Policy
}

type unread struct {
	*collector.ImageSnapshot
	reason string
}

func newList(s *collector.Snapshot) *list {
	l := &list{Snapshot: s, projects: map[string]string{}}
	for _, scope := range s.Scopes {
		l.projects[scope.Access.ProjectID] = scope.Access.ProjectName
	}
	for i := range s.Images {
		img := &s.Images[i]
		e := entry{img, l.policy(img)}
		reason := incomplete(img)
		if reason == "" {
			reason = e.unusable()
		}
		switch {
		case reason != "":
			l.unread = append(l.unread, unread{img, reason})
		case img.Judged() && img.Unexpected() == 0 && len(img.Missing()) == 0 && !img.Misplaced():
			l.judged++
		default:
			l.entries = append(l.entries, e)
		}
	}
	slices.SortFunc(l.entries, func(a, b entry) int { return compare(a.ImageSnapshot, b.ImageSnapshot) })
	slices.SortFunc(l.unread, func(a, b unread) int { return compare(a.ImageSnapshot, b.ImageSnapshot) })
	l.problems = l.findProblems()
	return l
}

func compare(a, b *collector.ImageSnapshot) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// policy returns a policy that expects an image as it is, each member with its name if that is known. The entry
// replaces the image's configuration, so it keeps the configured visibility, and the end and note of each configured
// member.
func (l *list) policy(img *collector.ImageSnapshot) collector.Policy {
	list := make([]collector.ExpectedMember, 0, len(img.Members))
	for i := range img.Members {
		m := &img.Members[i]
		name := cmp.Or(l.MemberName(img, m), l.projects[m.ID], inKeystone(l.KeystoneNameOf(m.Type, m.ID)))
		e := collector.ExpectedMember{Type: m.Type, ID: m.ID, Name: name}
		if old := img.Policy.Entry(m); old != nil {
			e.Until, e.Note = old.Until, old.Note
		}
		list = append(list, e)
	}
	p := collector.Policy{Members: collector.SortMembers(list), Visibility: img.Policy.Visibility}
	if (img.Open() || len(p.Visibility) > 0) && img.Misplaced() {
		p.Visibility = append(slices.Clone(p.Visibility), img.Record.Visibility)
	}
	return p
}

// inKeystone marks a name as one in Keystone, which the project's owner chose.
func inKeystone(name string) string {
	if name == "" {
		return ""
	}
	return strconv.Quote(name) + " in Keystone"
}

// incomplete returns why it is not known who can use the image, or "".
func incomplete(img *collector.ImageSnapshot) string {
	known := img.Record != nil && img.Record.Visibility.Known()
	switch {
	case known && (img.Complete() || img.Coverage == collector.NotApplicable && !img.Unrequested()):
		return ""
	case img.Coverage == collector.Unread:
		return cmp.Or(img.Why(), "members not read")
	case img.Coverage == collector.Partial:
		return cmp.Or(img.Doubt.String(), "there may be more members")
	case !known:
		return "its visibility is unknown"
	case img.LeftOut > 0:
		return fmt.Sprintf("it has %d members, more than are shown", len(img.Members))
	}
	return "a member has no ID"
}

// unusable returns why exporter.yml cannot have the entry, or "".
func (e *entry) unusable() string {
	opts := collector.DefaultOptions()
	opts.Name = "any"
	opts.Images = []collector.Image{{ID: e.ID, Policy: e.policy}}
	if err := opts.Validate(); err != nil {
		return "exporter.yml cannot have it: " + err.Error()
	}
	for _, m := range e.policy.Members {
		switch {
		case strings.ContainsAny(m.ID, "${"):
			return fmt.Sprintf("exporter.yml cannot have it: the member %q looks like a placeholder", m.ID)
		case len(m.ID) > longestID:
			return fmt.Sprintf("exporter.yml cannot have it: the member %q is too long", m.ID)
		}
	}
	return ""
}

// findProblems returns why the list may not have every image.
func (l *list) findProblems() (problems []string) {
	for _, p := range collector.Problems(l.Snapshot) {
		if !p.Incomplete() || p.Images > 0 || p.Kind == collector.InboundIncomplete {
			continue
		}
		text := p.Message()
		if p.ProjectID != "" {
			text += ": project " + p.ProjectID
		}
		if p.Err != nil {
			text += ": " + p.Err.Error()
		}
		problems = append(problems, text)
	}
	if len(problems) == 0 && len(l.unread) == 0 && !l.Up {
		problems = append(problems, "could not be read; the log says why")
	}
	return problems
}
