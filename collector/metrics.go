package collector

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"glance_share_exporter/client"
)

var (
	cloudLabels  = []string{"cloud"}
	imageLabels  = []string{"cloud", "image_id", "image_name"}
	memberLabels = []string{"cloud", "image_id", "image_name", "member_id", "member_name", "member_type"}

	projectLabels = []string{"cloud", "project_id"}
	inboundLabels = []string{"cloud", "image_id", "image_name", "owner_id", "owner_name", "project_id"}
)

// desc is a metric family.
type desc struct {
	*prometheus.Desc
	name, help string
	place      int // in allDescs
}

func newDesc(name, help string, labels []string, more ...string) *desc {
	name = "glance_" + name
	return &desc{prometheus.NewDesc(name, help, slices.Concat(labels, more), nil), name, help, 0}
}

var (
	upDesc = newDesc("up",
		"Whether the exporter had a token and the image API answered at least once in this collection: 1 yes, 0 no.", cloudLabels)
	durationDesc = newDesc("scrape_duration_seconds",
		"How long this collection of the cloud took, in seconds.", cloudLabels)
	snapshotDesc = newDesc("snapshot_timestamp_seconds",
		"When the oldest collection began that any of this is from, in seconds since 1970. Only with refresh_interval, where scrapes show what was read last in the background.", cloudLabels)
	watchedDesc = newDesc("watched_images",
		"Number of images that this collection was to read.", cloudLabels)
	discoveryDesc = newDesc("discovery_success",
		"Whether every listing of images to discover was read to its end: 1 yes, 0 no. Absent without discover.", cloudLabels)
	projectInfoDesc = newDesc("project_info",
		"A project that the credential asks for, always 1. Absent without projects.", cloudLabels, "project_id", "project_name")
	projectSuccessDesc = newDesc("project_success",
		"Whether the credential has a token for the project: 1 yes, 0 no. Absent without projects.", cloudLabels, "project_id")
	tokenExpiryDesc = newDesc("token_expiry_timestamp_seconds",
		"When the token at hand ends, by the cloud's clock, in seconds since 1970. Absent without such a token.", cloudLabels)
	authPausedDesc = newDesc("auth_paused",
		"Whether logins pause because the last one was refused, or brought nothing to use: 1 yes, 0 no.", cloudLabels)
	clockSkewDesc = newDesc("clock_skew_seconds",
		"The image API's clock less the exporter's, in seconds; 0 where they agree within the second that a Date header tells.", cloudLabels)

	successDesc = newDesc("image_scrape_success",
		"Whether the image's members were read, or its record shows that its visibility has none: 1 yes, 0 no.", imageLabels)
	statusCodeDesc = newDesc("image_scrape_http_status_code",
		"HTTP status code of the answer that decided glance_image_scrape_success, 0 without an answer. Huawei Cloud's own error codes count as the status they stand for.", imageLabels)
	completeDesc = newDesc("image_members_complete",
		"Whether the members shown are all there are: 1 yes, 0 no, as in a view other than the owner's. Absent where the image's visibility has no members.", imageLabels)
	infoDesc = newDesc("image_info",
		"The image's own record, always 1.", imageLabels, "current_name", "hidden", "image_status", "owner_id")
	visibilityDesc = newDesc("image_visibility",
		"Whether the image has this visibility: 1 yes, 0 no.", imageLabels, "visibility")
	visibilityExpectedDesc = newDesc("image_visibility_expected",
		"Whether the image has one of the visibilities that the configuration expects: 1 yes, 0 no.", imageLabels)
	membersDesc = newDesc("image_members",
		"Number of members of the image per status. Every member has access, whatever its status.", imageLabels, "status")
	membersLimitDesc = newDesc("image_members_limit",
		"Number of members that the cloud allows the image, from the configuration; at most 10 for Huawei Cloud's images of full servers.", imageLabels)

	expectedMembersDesc = newDesc("image_expected_members",
		"Number of members that the configuration expects of the image. Absent where it says nothing, or the image was not read.", imageLabels)
	unexpectedMembersDesc = newDesc("image_unexpected_members",
		"Number of members of the image that the configuration does not expect, whatever their status.", imageLabels)
	missingMembersDesc = newDesc("image_missing_members",
		"Number of members that the configuration expects and the image does not have.", imageLabels)

	memberStatusDesc = newDesc("image_member_status",
		"Whether the member has this status: 1 yes, 0 no.", memberLabels, "status")
	memberExpectedDesc = newDesc("image_member_expected",
		"Whether the configuration expects the member: 1 yes, also where it is no member, 0 it is a member and not expected.", memberLabels)
	memberCreatedDesc = newDesc("image_member_created_timestamp_seconds",
		"created_at of the member, in seconds since 1970: when the image was first shared with it. A share removed and made again keeps it.", memberLabels)
	memberUpdatedDesc = newDesc("image_member_updated_timestamp_seconds",
		"updated_at of the member, in seconds since 1970: when its share or status last changed.", memberLabels)

	inboundSuccessDesc = newDesc("inbound_success",
		"Whether all images that others share with the project were listed to the end: 1 yes, 0 no. Only with inbound.", projectLabels)
	inboundImagesDesc = newDesc("inbound_images",
		"Number of images that others share with the project, per status that the project gave them. It can use them all.", projectLabels, "status")
	inboundUnexpectedDesc = newDesc("inbound_unexpected_images",
		"Number of images that are shared with the project by owners whom the configuration does not expect, whatever their status.", projectLabels)
	inboundInfoDesc = newDesc("inbound_image_info",
		"The record of an image that others share with the project, always 1.",
		[]string{"cloud", "current_name", "hidden", "image_id", "image_name", "image_status", "owner_id", "owner_name", "project_id"})
	inboundStatusDesc = newDesc("inbound_image_status",
		"Whether the project gave the image this status: 1 yes, 0 no.", inboundLabels, "status")
	inboundExpectedDesc = newDesc("inbound_image_expected",
		"Whether the configuration expects the owner of the image: 1 yes, 0 no. Absent where it says nothing.", inboundLabels)
)

// Metrics renders snapshots, of different clouds, as metrics. It is a prometheus.Collector that makes no request.
func Metrics(snapshots ...Snapshot) prometheus.Collector { return rendering(snapshots) }

type rendering []Snapshot

var allDescs = []*desc{
	upDesc, durationDesc, snapshotDesc, watchedDesc, discoveryDesc, projectInfoDesc, projectSuccessDesc, tokenExpiryDesc, authPausedDesc, clockSkewDesc,
	successDesc, statusCodeDesc, completeDesc, infoDesc, visibilityDesc, visibilityExpectedDesc,
	membersDesc, membersLimitDesc, expectedMembersDesc, unexpectedMembersDesc, missingMembersDesc,
	memberStatusDesc, memberExpectedDesc, memberCreatedDesc, memberUpdatedDesc,
	inboundSuccessDesc, inboundImagesDesc, inboundUnexpectedDesc, inboundInfoDesc, inboundStatusDesc, inboundExpectedDesc,
}

func init() {
	for i, d := range allDescs {
		d.place = i
	}
}

func (rendering) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		ch <- d.Desc
	}
}

func (r rendering) Collect(ch chan<- prometheus.Metric) {
	for i := range r {
		r[i].metrics(func(s sample) { ch <- s })
	}
}

// Gather renders snapshots of different clouds as a registry with [Metrics] does, sorted by name, at a fraction of its cost: no
// series is there twice, and each has its labels in order, so that nothing is left to check or sort.
func Gather(snapshots ...Snapshot) []*dto.MetricFamily {
	lists := make([]list, len(allDescs))
	for i := range snapshots {
		snapshots[i].metrics(func(s sample) { lists[s.desc.place].add(s) })
	}
	var families []*dto.MetricFamily
	for i, d := range allDescs {
		if metrics := lists[i].metrics; len(metrics) > 0 {
			families = append(families, &dto.MetricFamily{Name: &d.name, Help: &d.help, Type: dto.MetricType_GAUGE.Enum(), Metric: metrics})
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families
}

// list are the series of a family. Their parts are made many at a time, and never copied.
type list struct {
	metrics []*dto.Metric
	spare   []series
}

type series struct {
	metric dto.Metric
	gauge  dto.Gauge
	value  float64
}

// The series that are made at a time: as many as there are already, within these.
const leastSeries, mostSeries = 16, 1024

func (l *list) add(s sample) {
	if len(l.spare) == 0 {
		l.spare = make([]series, min(max(len(l.metrics), leastSeries), mostSeries))
	}
	m := &l.spare[0]
	l.spare = l.spare[1:]
	m.value = s.value
	m.gauge.Value = &m.value
	m.metric.Label, m.metric.Gauge = s.labels, &m.gauge
	l.metrics = append(l.metrics, &m.metric)
}

func (s *Snapshot) metrics(emit func(sample)) {
	labels := []*dto.LabelPair{label("cloud", s.Cloud)}
	emit(sample{upDesc, labels, number(s.Up)})
	emit(sample{durationDesc, labels, s.Duration.Seconds()})
	emit(sample{watchedDesc, labels, float64(len(s.Images))})
	if !s.Taken.IsZero() {
		emit(sample{snapshotDesc, labels, float64(s.Taken.UnixMilli()) / 1000})
	}
	if s.Discovers {
		emit(sample{discoveryDesc, labels, number(s.Discovered)})
	}
	if s.opts.Projects {
		for _, p := range s.Scopes {
			id := label("project_id", p.Access.ProjectID)
			emit(sample{projectInfoDesc, with(labels, id, label("project_name", p.Access.ProjectName)), 1})
			emit(sample{projectSuccessDesc, with(labels, id), number(p.Err == nil)})
		}
	}
	if !s.State.Expires.IsZero() {
		emit(sample{tokenExpiryDesc, labels, float64(s.State.Expires.Unix())})
	}
	emit(sample{authPausedDesc, labels, number(s.State.Paused)})
	if s.State.SkewKnown {
		emit(sample{clockSkewDesc, labels, s.State.Skew.Seconds()})
	}
	for _, img := range s.sorted() {
		img.metrics(emit, labels[0], s.opts)
	}
	for i := range s.Inbound {
		s.Inbound[i].metrics(emit, labels[0], s.opts)
	}
}

// sorted are the images by ID, as a page shows them.
func (s *Snapshot) sorted() []*ImageSnapshot {
	list := make([]*ImageSnapshot, len(s.Images))
	for i := range s.Images {
		list[i] = &s.Images[i]
	}
	slices.SortFunc(list, func(a, b *ImageSnapshot) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (s *ImageSnapshot) metrics(emit func(sample), cloud *dto.LabelPair, opts *Options) {
	labels := []*dto.LabelPair{cloud, label("image_id", s.ID), label("image_name", s.Name)}
	emit(sample{successDesc, labels, number(s.Sight != Unread)})
	emit(sample{statusCodeDesc, labels, float64(s.StatusCode)})
	if s.Sight != NotApplicable {
		emit(sample{completeDesc, labels, number(s.Complete())})
	}
	if s.Record != nil {
		s.recordMetrics(emit, labels)
	}
	if s.Sight != Unread && s.Policy.judged() {
		emit(sample{expectedMembersDesc, labels, float64(len(s.Policy.Members))})
	}
	if s.Sight == Partial || s.Sight == Whole {
		s.countMetrics(emit, labels, opts)
		if s.Policy.judged() {
			s.judgementMetrics(emit, labels)
		}
		if opts.MemberDetails {
			s.memberMetrics(emit, labels, opts)
		}
	}
}

func (s *ImageSnapshot) recordMetrics(emit func(sample), labels []*dto.LabelPair) {
	r := s.Record
	cloud, id, name := labels[0], labels[1], labels[2]
	emit(sample{infoDesc, []*dto.LabelPair{
		cloud, label("current_name", r.Name), label("hidden", strconv.FormatBool(r.Hidden)), id, name,
		label("image_status", r.Status), label("owner_id", r.Owner),
	}, 1})
	if expected := s.Policy.Visibility; len(expected) > 0 && r.Visibility != "" {
		emit(sample{visibilityExpectedDesc, labels, number(slices.Contains(expected, r.Visibility))})
	}
	if !r.Visibility.Known() {
		return // four zeros would say that nobody may use it
	}
	withEach(labels, visibilityPairs, func(i int, labels []*dto.LabelPair) {
		emit(sample{visibilityDesc, labels, number(r.Visibility == shownVisibility[i])})
	})
}

func (s *ImageSnapshot) countMetrics(emit func(sample), labels []*dto.LabelPair, opts *Options) {
	counts := make([]int, len(statuses))
	for i := range s.Members {
		if k := slices.Index(statuses, s.Members[i].Status); k >= 0 {
			counts[k]++
		}
	}
	for i, n := range counts {
		if n > 0 || s.Sight == Whole {
			emit(sample{membersDesc, with(labels, statusPairs[i]), float64(n)})
		}
	}
	if limit := opts.membersLimit(s.Record); limit > 0 {
		emit(sample{membersLimitDesc, labels, float64(limit)})
	}
}

// judgementMetrics compares the members with the expected ones. Where there may be more members than those seen, it says
// what it saw.
func (s *ImageSnapshot) judgementMetrics(emit func(sample), labels []*dto.LabelPair) {
	if n := s.Unexpected(); n > 0 || s.Sight == Whole {
		emit(sample{unexpectedMembersDesc, labels, float64(n)})
	}
	if s.whole() {
		emit(sample{missingMembersDesc, labels, float64(len(s.Missing()))})
	}
}

func (s *ImageSnapshot) memberMetrics(emit func(sample), image []*dto.LabelPair, opts *Options) {
	shown := s.shown()
	for i := range shown {
		m := &shown[i]
		if m.ID == "" {
			continue // it is in the counts, and members_complete is 0
		}
		expected := s.Policy.find(m)
		labels := memberPairs(image, m.Type, m.ID, opts.memberName(m.ID, expected))
		withEach(labels, statusPairs, func(i int, labels []*dto.LabelPair) {
			emit(sample{memberStatusDesc, labels, number(m.Status == statuses[i])})
		})
		if s.Policy.judged() {
			emit(sample{memberExpectedDesc, labels, number(expected != nil)})
		}
		if !m.Created.IsZero() {
			emit(sample{memberCreatedDesc, labels, float64(m.Created.Unix())})
		}
		if !m.Updated.IsZero() {
			emit(sample{memberUpdatedDesc, labels, float64(m.Updated.Unix())})
		}
	}
	for _, m := range s.Missing() {
		emit(sample{memberExpectedDesc, memberPairs(image, m.Type, m.ID, opts.memberName(m.ID, &m)), 1})
	}
}

func memberPairs(image []*dto.LabelPair, kind client.MemberType, id, name string) []*dto.LabelPair {
	return with(image, label("member_id", id), label("member_name", name), label("member_type", string(kind)))
}

// sample is a gauge that shares its label pairs with others: a page of a hundred thousand series has only a few times as
// many pairs as images and members. Pairs are never changed once made.
type sample struct {
	desc   *desc
	labels []*dto.LabelPair // sorted by name
	value  float64
}

func (s sample) Desc() *prometheus.Desc { return s.desc.Desc }

func (s sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	m.Gauge = &dto.Gauge{Value: new(s.value)}
	return nil
}

// pair is a label with what it points to.
type pair struct {
	dto.LabelPair
	name, value string
}

func label(name, value string) *dto.LabelPair {
	p := &pair{name: name, value: labelValue(value)}
	p.Name, p.Value = &p.name, &p.value
	return &p.LabelPair
}

// withEach is with for each of some pairs, in one piece of memory.
func withEach(base, pairs []*dto.LabelPair, f func(i int, labels []*dto.LabelPair)) {
	n := len(base) + 1
	all := make([]*dto.LabelPair, 0, n*len(pairs))
	for i, p := range pairs {
		all = append(append(all, base...), p)
		f(i, all[i*n:(i+1)*n:(i+1)*n])
	}
}

// with returns the labels of base and more. The names of more must come after those of base.
func with(base []*dto.LabelPair, more ...*dto.LabelPair) []*dto.LabelPair {
	return append(append(make([]*dto.LabelPair, 0, len(base)+len(more)), base...), more...)
}

// The values of the labels status and visibility, in the order of the alphabet, and their pairs.
var (
	statuses        = slices.Sorted(slices.Values(client.Statuses()))
	statusPairs     = pairs("status", statuses)
	shownVisibility = slices.Sorted(slices.Values(client.Visibilities()))
	visibilityPairs = pairs("visibility", shownVisibility)
)

func pairs[T ~string](name string, values []T) []*dto.LabelPair {
	list := make([]*dto.LabelPair, len(values))
	for i, v := range values {
		list[i] = label(name, string(v))
	}
	return list
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
