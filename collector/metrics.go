package collector

import (
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"glance_share_exporter/client"
)

func (s *Snapshot) print(p *printer) {
	labels := p.labels(p.label(cloudLabel, s.Cloud))
	p.flag(upDesc, labels, s.Up)
	p.gauge(durationDesc, labels, s.Duration.Seconds())
	p.gauge(watchedDesc, labels, float64(len(s.Images)))
	if !s.Taken.IsZero() {
		p.time(snapshotDesc, labels, s.Taken)
	}
	p.gauge(configHashDesc, labels, float64(s.opts.ConfigHash))
	if s.Discovers {
		p.flag(discoveryDesc, labels, s.Discovered)
	}
	if s.SkippedKnown {
		p.gauge(skippedDesc, labels, float64(s.Skipped))
	}
	if s.opts.Projects {
		for _, scope := range s.Scopes {
			id := p.label(projectIDLabel, scope.Access.ProjectID)
			p.gauge(projectInfoDesc, p.with(labels, id, p.label(projectNameLabel, scope.Access.ProjectName)), 1)
			p.flag(projectSuccessDesc, p.with(labels, id), scope.Err == nil)
		}
	}
	if !s.State.Expires.IsZero() {
		p.gauge(tokenExpiryDesc, labels, float64(s.State.Expires.Unix()))
	}
	p.flag(authPausedDesc, labels, s.State.Paused)
	if s.State.SkewKnown {
		p.gauge(clockSkewDesc, labels, s.State.Skew.Seconds())
	}
	for i := range s.Views {
		s.Views[i].print(p, labels)
	}
	for _, l := range s.Left {
		p.gauge(imageLeftDesc, p.with(labels, p.label(imageIDLabel, l.ID), p.label(reasonLabel, string(l.Reason))), 1)
	}
	for _, img := range s.sorted() {
		img.print(p, labels[0], s.opts)
	}
	for i := range s.Inbound {
		s.Inbound[i].print(p, labels[0], s.opts)
	}
	s.printNames(p, labels[0])
}

// print prints what is proven in the view, in the order of the values of the label sees.
func (v *ViewSnapshot) print(p *printer, cloud []*dto.LabelPair) {
	project := p.label(projectIDLabel, v.ProjectID)
	for i, proof := range []Proof{v.Administrator, v.Images, v.Members} {
		if proof != NotNeeded {
			p.flag(viewProvenDesc, p.with(cloud, project, seesPairs[i]), proof == Proven)
		}
	}
}

// sorted returns the images by ID, in the order of a page.
func (s *Snapshot) sorted() []*ImageSnapshot {
	list := make([]*ImageSnapshot, len(s.Images))
	for i := range s.Images {
		list[i] = &s.Images[i]
	}
	slices.SortFunc(list, func(a, b *ImageSnapshot) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (s *ImageSnapshot) print(p *printer, cloud *dto.LabelPair, opts *Options) {
	labels := p.labels(cloud, p.label(imageIDLabel, s.ID), p.label(imageNameLabel, s.Name))
	p.flag(successDesc, labels, s.Coverage != Unread)
	p.gauge(statusCodeDesc, labels, float64(s.StatusCode))
	if s.Coverage != Unread {
		p.time(membersReadDesc, labels, s.MembersRead)
	}
	if s.Waiting {
		p.gauge(waitingDesc, labels, 1)
	}
	if s.Coverage != NotApplicable {
		p.flag(completeDesc, labels, s.Complete())
	}
	if s.Record != nil {
		s.printRecord(p, labels)
	}
	if s.Coverage != Unread && s.Policy.judged() {
		p.gauge(expectedMembersDesc, labels, float64(len(s.Policy.Members)))
	}
	if s.Coverage == Partial || s.Coverage == Complete {
		s.printCounts(p, labels, opts)
		if s.Policy.judged() {
			s.printJudgement(p, labels)
		}
		if opts.MemberDetails {
			s.printMembers(p, labels, opts)
		}
	}
}

func (s *ImageSnapshot) printRecord(p *printer, labels []*dto.LabelPair) {
	r := s.Record
	cloud, id, name := labels[0], labels[1], labels[2]
	p.gauge(infoDesc, p.labels(
		cloud, p.label(currentNameLabel, r.Name), p.label(hiddenLabel, strconv.FormatBool(r.Hidden)), id, name,
		p.label(imageStatusLabel, r.Status), p.label(ownerIDLabel, r.Owner),
	), 1)
	if expected := s.Policy.Visibility; len(expected) > 0 && r.Visibility != "" {
		p.flag(visibilityExpectedDesc, labels, slices.Contains(expected, r.Visibility))
		for i, visibility := range shownVisibility {
			if slices.Contains(expected, visibility) {
				p.gauge(expectedVisibilityDesc, p.with(labels, visibilityPairs[i]), 1)
			}
		}
	}
	if !r.Visibility.Known() {
		return // four zeros would mean that nobody may use it
	}
	for i, visibility := range shownVisibility {
		p.flag(visibilityDesc, p.with(labels, visibilityPairs[i]), r.Visibility == visibility)
	}
	p.time(visibilityReadDesc, labels, s.RecordRead)
}

func (s *ImageSnapshot) printCounts(p *printer, labels []*dto.LabelPair, opts *Options) {
	counts := make([]int, len(statuses))
	for i := range s.Members {
		if k := slices.Index(statuses, s.Members[i].Status); k >= 0 {
			counts[k]++
		}
	}
	for i, n := range counts {
		if n > 0 || s.Coverage == Complete {
			p.gauge(membersDesc, p.with(labels, statusPairs[i]), float64(n))
		}
	}
	if limit := opts.membersLimit(s.Record); limit > 0 {
		p.gauge(membersLimitDesc, labels, float64(limit))
	}
}

// printJudgement prints the numbers of unexpected and missing members, as far as they are certain: where there may be
// more members, only unexpected ones that were seen.
func (s *ImageSnapshot) printJudgement(p *printer, labels []*dto.LabelPair) {
	if n := s.Unexpected(); n > 0 || s.Coverage == Complete {
		p.gauge(unexpectedMembersDesc, labels, float64(n))
	}
	if s.whole() {
		p.gauge(missingMembersDesc, labels, float64(len(s.Missing())))
	}
}

func (s *ImageSnapshot) printMembers(p *printer, image []*dto.LabelPair, opts *Options) {
	shown := s.shown()
	for i := range shown {
		m := &shown[i]
		if m.ID == "" {
			continue // counted, and glance_image_members_complete is 0
		}
		expected, entry := s.Policy.find(m), s.Policy.Entry(m)
		labels := p.member(image, m.Type, m.ID, opts.memberName(m.ID, entry))
		for i, status := range statuses {
			p.flag(memberStatusDesc, p.with(labels, statusPairs[i]), m.Status == status)
		}
		if s.Policy.judged() {
			p.flag(memberExpectedDesc, labels, expected != nil)
		}
		if entry != nil && !entry.Until.IsZero() {
			p.time(memberUntilDesc, labels, entry.Until)
		}
		if !m.Created.IsZero() {
			p.gauge(memberCreatedDesc, labels, float64(m.Created.Unix()))
		}
		if !m.Updated.IsZero() {
			p.gauge(memberUpdatedDesc, labels, float64(m.Updated.Unix()))
		}
	}
	for _, m := range s.Missing() {
		labels := p.member(image, m.Type, m.ID, opts.memberName(m.ID, &m))
		p.gauge(memberExpectedDesc, labels, 1)
		if !m.Until.IsZero() {
			p.time(memberUntilDesc, labels, m.Until)
		}
	}
}

// member returns the labels of a member of an image.
func (p *printer) member(image []*dto.LabelPair, kind client.MemberType, id, name string) []*dto.LabelPair {
	return p.with(image, p.label(memberIDLabel, id), p.label(memberNameLabel, name), p.label(memberTypeLabel, string(kind)))
}
