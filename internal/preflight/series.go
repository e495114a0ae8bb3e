package preflight

import (
	"fmt"
	"slices"
	"strings"

	"glance_share_exporter/collector"

	dto "github.com/prometheus/client_model/go"
)

// size is the number of a cloud's series on a page.
type size struct {
	now   int // including images that other projects share
	own   int // excluding them
	bound int // maximum for them: any project can share more images
}

func (e *evidence) size() size {
	s := size{bound: len(e.snapshot.Inbound) * e.Options.Inbound.MaxSeries()}
	e.snapshot.Each(func(f *dto.MetricFamily, _ []*dto.LabelPair, _ float64) {
		s.now++
		if !strings.HasPrefix(f.GetName(), "glance_inbound_image_") {
			s.own++
		}
	})
	return s
}

func (e *evidence) series() finding {
	n := e.size()
	f := finding{status: info, subject: "series", text: fmt.Sprintf("%d now", n.now)}
	if e.Options.ByProbe {
		f.text += fmt.Sprintf(", on /probe?cloud=%s", e.Options.Name)
		if shards := e.Options.Shards; shards > 1 {
			f.text += fmt.Sprintf(" in %d shards", shards)
			n.own = n.own/shards + 1 // the first shard has all images that other projects share
		}
		f.text += fmt.Sprintf(". Suggested sample_limit: %d", n.limit())
	}
	if e.less() {
		f.text += ". More once everything is read"
	}
	return f
}

// less reports whether there would be more series if everything had been read.
func (e *evidence) less() bool {
	return e.snapshot.Err != nil || len(e.some(unread)) > 0 || e.snapshot.Discovers && !e.snapshot.Discovered ||
		slices.ContainsFunc(e.snapshot.Inbound, func(in collector.InboundSnapshot) bool { return in.Err != nil })
}

// limit returns a sample_limit, in thousands, for twice the cloud's own series and the maximum that other projects can
// add.
func (s size) limit() int { return (2*s.own + s.bound + 999) / 1000 * 1000 }

// page returns the finding about /metrics.
func page(clouds []*evidence, process int) []finding {
	var parts []string
	total, more := size{now: process, own: process}, ""
	for _, e := range clouds {
		if e.Options.ByProbe {
			continue
		}
		n := e.size()
		total = size{total.now + n.now, total.own + n.own, total.bound + n.bound}
		if e.less() {
			more = ". More once everything is read"
		}
		parts = append(parts, fmt.Sprintf("%d of %s", n.now, e.Options.Name))
	}
	if len(parts) > maxListed {
		parts = []string{fmt.Sprintf("%d of %d clouds", total.now-process, len(parts))}
	}
	parts = append(parts, fmt.Sprintf("%d of the exporter process", process))
	return []finding{{status: info, subject: "/metrics", text: fmt.Sprintf("%d series: %s. Suggested sample_limit in prometheus.yml: %d%s",
		total.now, strings.Join(parts, ", "), total.limit(), more)}}
}
