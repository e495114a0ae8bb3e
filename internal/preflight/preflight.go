// Package preflight collects each cloud once, before the first scrape, and reports what the exporter can read there,
// what it cannot read and why, which rights the credential has and does not need, and the least privilege to grant
// instead.
//
// Its findings about images come from the [collector.Snapshot] that a scrape would render. It sends one more request,
// for the version of the image API, and changes nothing.
package preflight

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// Asker is the part of a cloud's client that preflight uses: a *client.Client or a *client.Projects.
type Asker interface {
	Credential() client.Credential
	Peers() []client.Peer
	Version(ctx context.Context) (string, error)
}

var (
	_ Asker = (*client.Client)(nil)
	_ Asker = (*client.Projects)(nil)
)

// Cloud is a cloud to check. Collector and Client were made with the options.
type Cloud struct {
	Auth          string // the kind of auth, as in exporter.yml
	Options       collector.Options
	ClientOptions client.Options
	Collector     *collector.Cloud
	Client        Asker
}

// Options are the options of [Run].
type Options struct {
	Clouds []Cloud
	// Timeout bounds the check of a cloud that has no scrape.timeout.
	Timeout time.Duration
	// Process has the metrics on /metrics that do not belong to a cloud.
	Process prometheus.Gatherer
}

// Result has the findings about all clouds.
type Result struct {
	clouds []report
	page   []finding // not about a single cloud
}

// report has the findings about one cloud.
type report struct {
	name     string
	findings []finding
	grant    grant
}

// status is the severity of a finding.
type status int

const (
	info status = iota // neither good nor bad
	good
	warn // the exporter works, but the credential can do too much, or something expires
	fail // the exporter cannot read everything
)

// finding is a line of the page, perhaps with more below it.
type finding struct {
	status  status
	subject string
	text    string
	more    []string // each on its own line
}

// evidence is the input of the findings about a cloud.
type evidence struct {
	*Cloud
	timeout    time.Duration
	snapshot   collector.Snapshot
	credential client.Credential
	peers      []client.Peer
	names      names
	version    string
	versionErr error
	now        time.Time
}

// Run checks the clouds concurrently. It returns early with the context's error when ctx is done.
func Run(ctx context.Context, opts Options) (*Result, error) {
	result := &Result{clouds: make([]report, len(opts.Clouds))}
	gathered := make([]*evidence, len(opts.Clouds))
	var group errgroup.Group
	for i := range opts.Clouds {
		group.Go(func() error {
			gathered[i] = gather(ctx, &opts.Clouds[i], opts.Timeout)
			return nil // a failure is a finding
		})
	}
	_ = group.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("preflight: %w", context.Cause(ctx))
	}
	for i, e := range gathered {
		result.clouds[i] = report{e.Options.Name, e.findings(), e.grant()}
	}
	if opts.Process != nil {
		families, err := opts.Process.Gather()
		if err != nil {
			return nil, fmt.Errorf("counting series: %w", err)
		}
		result.page = page(gathered, samples(families))
	}
	return result, nil
}

// gather collects a cloud.
func gather(ctx context.Context, c *Cloud, timeout time.Duration) *evidence {
	e := &evidence{Cloud: c, timeout: cmp.Or(c.Options.Timeout, timeout)}
	bounded, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	e.snapshot = c.Collector.Collect(bounded, collector.Limits{Timeout: e.timeout, Fresh: true})
	e.names.found, e.names.all, e.names.err = c.Collector.Resolve(ctx, &e.snapshot)
	if e.snapshot.Err == nil {
		e.version, e.versionErr = c.Client.Version(bounded)
	}
	e.credential, e.peers, e.now = c.Client.Credential(), c.Client.Peers(), time.Now()
	return e
}

// samples counts the samples of a scrape in Prometheus' text format.
func samples(families []*dto.MetricFamily) (n int) {
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch {
			case m.GetHistogram() != nil:
				n += len(m.GetHistogram().GetBucket()) + 3 // +Inf, sum and count
			case m.GetSummary() != nil:
				n += len(m.GetSummary().GetQuantile()) + 2
			default:
				n++
			}
		}
	}
	return n
}

// Failed returns the names of the clouds that the exporter cannot read completely.
func (r *Result) Failed() (names []string) {
	for i := range r.clouds {
		if worst(r.clouds[i].findings) == fail {
			names = append(names, r.clouds[i].name)
		}
	}
	return names
}

func worst(findings []finding) (s status) {
	for _, f := range findings {
		s = max(s, f.status)
	}
	return s
}
