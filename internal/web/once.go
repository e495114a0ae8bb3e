package web

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"glance_share_exporter/collector"
)

// Once collects every cloud once and writes the page to w. Its error names the clouds that could not be read.
func Once(ctx context.Context, clouds []*collector.Cloud, process prometheus.Gatherer, w io.Writer) error {
	snapshots := Collect(ctx, clouds, collector.Limits{Timeout: DefaultTimeout, Fresh: true})
	shared := newSharedSeries()
	series := make([]*heldSeries, len(snapshots))
	for i := range snapshots {
		series[i] = shared.take(&snapshots[i], expfmt.FmtText)
	}
	page, err := join(expfmt.FmtText, series, process)
	if err := page.WritePlain(w); err != nil {
		return err
	}
	for _, s := range snapshots {
		if !s.Up {
			err = errors.Join(err, fmt.Errorf("cloud %s could not be read; the log says why", s.Cloud))
		}
	}
	return err
}
