package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// Runtime is the configuration at work: the clouds that are collected, and their replacement by a reload.
type Runtime struct {
	opts    RuntimeOptions
	current atomic.Pointer[running]

	mu      sync.Mutex // held by the one reload at a time
	files   []string   // that the last attempt looked at
	seen    fingerprint
	retired sync.WaitGroup

	successful prometheus.Gauge
	successAt  prometheus.Gauge
}

// RuntimeOptions are what a [Runtime] works with. All are required.
type RuntimeOptions struct {
	// Load returns a new configuration.
	Load func() (*Config, error)
	// API counts the clouds' requests.
	API       *collector.APIMetrics
	UserAgent string
	Logger    log.Logger
}

// running is one configuration with its clouds, in the same order. It does not change.
type running struct {
	config *Config
	clouds []runningCloud
}

type runningCloud struct {
	config    Cloud
	client    connected
	collector *collector.Cloud
}

// connected is a client of one project or of several.
type connected interface {
	collector.API
	Asker
	Set(s client.Settings)
	Close()
}

// NewRuntime loads the configuration for the first time. It asks no cloud. Close must be called in the end.
func NewRuntime(opts RuntimeOptions) (*Runtime, error) {
	r := &Runtime{
		opts: opts,
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
	if err := r.Reload(); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload loads the configuration again, all or nothing: after an error everything goes on as before. A cloud whose
// connection is unchanged keeps its token, its connections and its counters.
func (r *Runtime) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reload()
}

// ReloadIfChanged reloads if any file that the configuration is made of, a secret's for one, has another content than at
// the last attempt. It reports whether it tried.
func (r *Runtime) ReloadIfChanged() (tried bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fingerprintOf(r.files) == r.seen {
		return false, nil
	}
	return true, r.reload()
}

// reload is Reload. The caller holds mu.
func (r *Runtime) reload() error {
	before := fingerprintOf(r.files)
	config, err := r.opts.Load()
	r.note(config, err, before)
	if err == nil {
		err = r.apply(config)
	}
	if err != nil {
		r.successful.Set(0)
		return err
	}
	r.successful.Set(1)
	r.successAt.SetToCurrentTime()
	images, rules := 0, 0
	for _, c := range config.Clouds {
		images += len(c.Collector.Images)
		rules += len(c.Collector.Discover)
	}
	_ = level.Info(r.opts.Logger).Log("msg", "configuration loaded", "clouds", len(config.Clouds), "images", images, "discover_rules", rules)
	return nil
}

// note remembers which files an attempt looked at, and what was in them. before is of those that the last attempt looked
// at, and was taken before this one: what changes under its eyes must not be missed. The caller holds mu.
func (r *Runtime) note(config *Config, err error, before fingerprint) {
	files := r.files
	if bad, ok := errors.AsType[*LoadError](err); ok {
		files = bad.Files
	} else if config != nil {
		files = config.Files
	}
	if slices.Equal(files, r.files) {
		r.seen = before
		return
	}
	r.files, r.seen = files, fingerprintOf(files)
}

func (r *Runtime) apply(config *Config) error {
	old := r.current.Load()
	next := &running{config: config}
	var fresh []connected
	for _, cloud := range config.Clouds {
		entry := runningCloud{config: cloud}
		if kept := old.find(cloud); kept != nil {
			entry.client, entry.collector = kept.client, kept.collector
		} else {
			c, err := r.connect(cloud)
			if err != nil {
				for _, c := range fresh {
					c.Close()
				}
				return fmt.Errorf("cloud %s: %w", cloud.Collector.Name, err)
			}
			fresh = append(fresh, c)
			entry.client, entry.collector = c, collector.New(c, cloud.Collector, r.opts.Logger)
		}
		next.clouds = append(next.clouds, entry)
	}
	// Nothing fails from here on.
	for _, entry := range next.clouds {
		entry.client.Set(entry.config.Client.Settings)
		entry.collector.SetOptions(entry.config.Collector)
	}
	r.current.Store(next)
	for _, entry := range old.clouds {
		if next.find(entry.config) == nil {
			r.retire(entry)
		}
	}
	return nil
}

// find returns the cloud with the same connection, or nil.
func (s *running) find(cloud Cloud) *runningCloud {
	for i := range s.clouds {
		if s.clouds[i].config.SameConnection(cloud) {
			return &s.clouds[i]
		}
	}
	return nil
}

func (r *Runtime) connect(cloud Cloud) (connected, error) {
	transport, err := cloud.NewTransport()
	if err != nil {
		return nil, err
	}
	opts := cloud.Client
	opts.Transport, opts.UserAgent = transport, r.opts.UserAgent
	if cloud.projects {
		opts.Observer = r.opts.API.Observer(cloud.Collector.Name, client.OpListProjects)
		return client.NewProjects(opts)
	}
	opts.Observer = r.opts.API.Observer(cloud.Collector.Name)
	return client.New(opts)
}

// retire lets a cloud that is not configured any more finish what it does, and closes it.
func (r *Runtime) retire(entry runningCloud) {
	r.retired.Go(func() {
		entry.collector.Retire()
		entry.client.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range r.current.Load().clouds {
			if c.config.Collector.Name == entry.config.Collector.Name {
				return // another connection goes on under the name
			}
		}
		r.opts.API.Forget(entry.config.Collector.Name)
	})
}

// Clouds returns the clouds to collect.
func (r *Runtime) Clouds() []*collector.Cloud {
	current := r.current.Load()
	clouds := make([]*collector.Cloud, len(current.clouds))
	for i, entry := range current.clouds {
		clouds[i] = entry.collector
	}
	return clouds
}

// Asker is what a cloud's client can tell beside what is collected.
type Asker interface {
	Credential() client.Credential
	Peers() []client.Peer
	Version(ctx context.Context) (string, error)
}

// Connection is a cloud with all that works for it.
type Connection struct {
	Cloud     Cloud
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

// Close ends everything that is under way and waits for it.
func (r *Runtime) Close() {
	r.mu.Lock()
	current := r.current.Load()
	r.mu.Unlock()
	for _, entry := range current.clouds {
		entry.collector.Close()
		entry.client.Close()
	}
	r.retired.Wait()
}

// Describe implements prometheus.Collector.
func (r *Runtime) Describe(ch chan<- *prometheus.Desc) {
	r.successful.Describe(ch)
	r.successAt.Describe(ch)
}

// Collect implements prometheus.Collector.
func (r *Runtime) Collect(ch chan<- prometheus.Metric) {
	r.successful.Collect(ch)
	r.successAt.Collect(ch)
}
