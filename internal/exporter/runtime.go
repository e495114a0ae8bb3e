// Package exporter runs the clouds: it connects them, provides them to scrapes, and replaces them when the
// configuration changes.
package exporter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
)

// Runtime is the current configuration: the clouds that are collected, and their replacement by a reload.
type Runtime struct {
	opts    RuntimeOptions
	current atomic.Pointer[running]

	mu      sync.Mutex // guards closed and writes of current; never held while a file is read
	closed  bool
	retired sync.WaitGroup
	watch   watch
	pauses  map[string]*client.LoginPause // by cloud; the slot of watch guards it

	successful prometheus.Gauge
	successAt  prometheus.Gauge
}

// RuntimeOptions are the options of a [Runtime]. All are required.
type RuntimeOptions struct {
	// Load returns a new configuration.
	Load func() (*config.Config, error)
	// API counts the clouds' requests.
	API       *collector.APIMetrics
	UserAgent string
	Logger    log.Logger
}

// running is a configuration with its clouds, in the same order. It is immutable.
type running struct {
	config *config.Config
	clouds []runningCloud
}

type runningCloud struct {
	config    config.Cloud
	client    connected
	collector *collector.Cloud
	users     *sync.WaitGroup // of collector, from [Runtime.Clouds]; mu guards Add
}

// connected is a client of one project or of several.
type connected interface {
	collector.API
	Asker
	Set(s client.Settings)
	Close()
}

// NewRuntime loads the configuration for the first time. It sends no request to a cloud. The caller must call Close. It
// fails at most a second after ctx is done, even if reading a file hangs.
func NewRuntime(ctx context.Context, opts RuntimeOptions) (*Runtime, error) {
	return interruptible(ctx, func() (*Runtime, error) { return newRuntime(opts) })
}

func newRuntime(opts RuntimeOptions) (*Runtime, error) {
	r := &Runtime{
		opts:  opts,
		watch: watch{slot: make(chan struct{}, 1)}, pauses: map[string]*client.LoginPause{},
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "glance_exporter_config_last_reload_successful",
			Help: "Whether the last attempt to load the configuration succeeded: 1 yes, 0 no.",
		}),
		successAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "glance_exporter_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last loaded, in seconds since 1970.",
		}),
	}
	r.current.Store(&running{})
	r.watch.slot <- struct{}{}
	if a := r.load(context.Background(), r.readNow); a.err != nil {
		return nil, a.err
	}
	return r, nil
}

// find returns the cloud with the same connection, or nil.
func (s *running) find(cloud config.Cloud) *runningCloud {
	for i := range s.clouds {
		if s.clouds[i].config.SameConnection(cloud) {
			return &s.clouds[i]
		}
	}
	return nil
}

// connect makes a client for a cloud. The caller holds the slot.
func (r *Runtime) connect(cloud config.Cloud) (connected, error) {
	transport, err := cloud.NewTransport()
	if err != nil {
		return nil, err
	}
	fresh, err := cloud.NewFreshTransport()
	if err != nil {
		return nil, err
	}
	opts, name := cloud.Client, cloud.Collector.Name
	if r.pauses[name] == nil {
		r.pauses[name] = &client.LoginPause{}
	}
	opts.Pause = r.pauses[name]
	opts.Transport, opts.Fresh, opts.Secrets, opts.UserAgent = transport, fresh, cloud.Secrets(), r.opts.UserAgent
	opts.Observer = r.observer(cloud)
	if cloud.Projects {
		return client.NewProjects(opts)
	}
	return client.New(opts)
}

// observer returns the observer that counts a cloud's requests. The counters of all its operations exist from now on.
func (r *Runtime) observer(cloud config.Cloud) client.Observer {
	var more []client.Operation
	if cloud.Projects {
		more = append(more, client.OpListProjects)
	}
	if cloud.Collector.ResolveNames {
		more = append(more, client.OpResolveNames)
	}
	return r.opts.API.Observer(cloud.Collector.Name, more...)
}

// retire closes a removed cloud once it is no longer used.
func (r *Runtime) retire(entry runningCloud) {
	r.retired.Go(func() {
		entry.users.Wait()
		entry.collector.Retire()
		entry.client.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range r.current.Load().clouds {
			if c.config.Collector.Name == entry.config.Collector.Name {
				return // a cloud with another connection has this name now
			}
		}
		r.opts.API.Forget(entry.config.Collector.Name)
	})
}

// Clouds returns the clouds to collect. A reload that removes one of them closes it only after release was called, so
// that a scrape reads all clouds that it began with.
func (r *Runtime) Clouds() (clouds []*collector.Cloud, release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := r.current.Load().clouds
	for _, entry := range entries {
		entry.users.Add(1)
		clouds = append(clouds, entry.collector)
	}
	return clouds, func() {
		for _, entry := range entries {
			entry.users.Done()
		}
	}
}

// Asker is the part of a cloud's client that a collection does not use.
type Asker interface {
	Credential() client.Credential
	Peers() []client.Peer
	Version(ctx context.Context) (string, error)
}

// Connection is a cloud with its client and its collector.
type Connection struct {
	Cloud     config.Cloud
	Client    Asker
	Collector *collector.Cloud
}

// Connections returns the clouds of [Runtime.Clouds] with their options and clients.
func (r *Runtime) Connections() []Connection {
	var list []Connection
	for _, entry := range r.current.Load().clouds {
		list = append(list, Connection{entry.config, entry.client, entry.collector})
	}
	return list
}

// Redacted returns the effective configuration as YAML, without its secrets.
func (r *Runtime) Redacted() ([]byte, error) { return r.current.Load().config.Redacted() }

// Close ends everything that is running and waits for it, for a second at most: a file may hang, and so may a cloud.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.closed = true
	current := r.current.Load()
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var clouds sync.WaitGroup
		for _, entry := range current.clouds {
			clouds.Go(func() {
				entry.collector.Close()
				entry.client.Close()
			})
		}
		clouds.Wait()
		r.retired.Wait()
		r.watch.slot <- struct{}{} // wait for a reload
		<-r.watch.slot
	}()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
	}
}

var changesDesc = prometheus.NewDesc("glance_image_share_changes_total",
	"Changes of who can use an image, between two complete reads by this process. change is member_added, member_removed, "+
		"status_changed, opened, closed, image_added or image_removed.", []string{"cloud", "change"}, nil)

// Describe implements prometheus.Collector.
func (r *Runtime) Describe(ch chan<- *prometheus.Desc) {
	r.successful.Describe(ch)
	r.successAt.Describe(ch)
	ch <- changesDesc
}

// Collect implements prometheus.Collector.
func (r *Runtime) Collect(ch chan<- prometheus.Metric) {
	r.successful.Collect(ch)
	r.successAt.Collect(ch)
	for _, entry := range r.current.Load().clouds {
		for kind, n := range entry.collector.Changes() {
			ch <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(n), entry.config.Collector.Name, string(kind))
		}
	}
}
