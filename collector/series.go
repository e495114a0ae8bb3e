package collector

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"glance_share_exporter/client"
)

// Metrics returns a prometheus.Collector that renders snapshots of different clouds as metrics. It sends no requests.
func Metrics(snapshots ...Snapshot) prometheus.Collector { return rendering(snapshots) }

type rendering []Snapshot

func (rendering) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		ch <- d.Desc
	}
}

func (r rendering) Collect(ch chan<- prometheus.Metric) {
	p := printer{emit: func(s sample) { ch <- s }}
	for i := range r {
		r[i].print(&p)
	}
}

// Each calls emit for each series of the snapshot, with its family, which has no series here, and its labels, sorted by
// name. The series of a family come in the order of a page. Series share labels, so emit must not change them.
func (s *Snapshot) Each(emit func(family *dto.MetricFamily, labels []*dto.LabelPair, value float64)) {
	s.print(&printer{emit: func(s sample) { emit(s.desc.family, s.labels, s.value) }})
}

// sample is a gauge that shares its label pairs with others: a page of 100,000 series has only a few times as many
// pairs as images and members. Pairs never change.
type sample struct {
	desc   *desc
	labels []*dto.LabelPair // sorted by name
	value  float64
}

func (s sample) Desc() *prometheus.Desc { return s.desc.Desc }

func (s sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	m.Gauge = &dto.Gauge{Value: &s.value}
	return nil
}

// printer prints samples. Their labels are in a few blocks of memory, which are freed with the page.
type printer struct {
	emit  func(sample)
	pairs slab[pair]
	lists slab[*dto.LabelPair]
}

func (p *printer) gauge(desc *desc, labels []*dto.LabelPair, value float64) {
	p.emit(sample{desc, labels, value})
}

// flag prints 1 for yes and 0 for no.
func (p *printer) flag(desc *desc, labels []*dto.LabelPair, yes bool) {
	if yes {
		p.gauge(desc, labels, 1)
	} else {
		p.gauge(desc, labels, 0)
	}
}

// time prints a time in seconds since 1970, rounded down to milliseconds.
func (p *printer) time(desc *desc, labels []*dto.LabelPair, t time.Time) {
	p.gauge(desc, labels, float64(t.UnixMilli())/1000)
}

// labels returns a list of the pairs, which must be sorted by name.
func (p *printer) labels(pairs ...*dto.LabelPair) []*dto.LabelPair { return p.with(nil, pairs...) }

// with returns the labels of base and more. The names of more must come after those of base.
func (p *printer) with(base []*dto.LabelPair, more ...*dto.LabelPair) []*dto.LabelPair {
	list := p.lists.take(len(base) + len(more))
	copy(list[copy(list, base):], more)
	return list
}

// pair is a label with its value.
type pair struct {
	dto.LabelPair
	value string
}

func (p *pair) of(name *string, value string) *dto.LabelPair {
	p.value = labelValue(value)
	p.Name, p.Value = name, &p.value
	return &p.LabelPair
}

func (p *printer) label(name *string, value string) *dto.LabelPair {
	return p.pairs.take(1)[0].of(name, value)
}

// slab allocates values of a type in blocks: each block has as many as were allocated before, within bounds.
type slab[T any] struct {
	free []T
	made int
}

const minMade, maxMade = 16, 1024

// take returns n zero values.
func (s *slab[T]) take(n int) []T {
	if len(s.free) < n {
		s.free = make([]T, max(n, min(max(s.made, minMade), maxMade)))
		s.made += len(s.free)
	}
	taken := s.free[:n:n]
	s.free = s.free[n:]
	return taken
}

// The names of the labels.
var (
	cloudLabel        = new("cloud")
	currentNameLabel  = new("current_name")
	hiddenLabel       = new("hidden")
	imageIDLabel      = new("image_id")
	imageNameLabel    = new("image_name")
	imageStatusLabel  = new("image_status")
	keystoneNameLabel = new("keystone_name")
	memberIDLabel     = new("member_id")
	memberNameLabel   = new("member_name")
	memberTypeLabel   = new("member_type")
	ownerIDLabel      = new("owner_id")
	ownerNameLabel    = new("owner_name")
	projectIDLabel    = new("project_id")
	projectNameLabel  = new("project_name")
	reasonLabel       = new("reason")
	seesLabel         = new("sees")
	statusLabel       = new("status")
	visibilityLabel   = new("visibility")
)

// The values of the labels status, visibility and sees in alphabetical order, and their pairs.
var (
	statuses        = slices.Sorted(slices.Values(client.Statuses()))
	statusPairs     = pairs(statusLabel, statuses)
	shownVisibility = slices.Sorted(slices.Values(client.Visibilities()))
	visibilityPairs = pairs(visibilityLabel, shownVisibility)
	seesPairs       = pairs(seesLabel, []string{"administrator", "images", "members"})
)

func pairs[T ~string](name *string, values []T) []*dto.LabelPair {
	list := make([]*dto.LabelPair, len(values))
	for i, v := range values {
		list[i] = new(pair).of(name, string(v))
	}
	return list
}
