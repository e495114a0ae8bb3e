// Package demo is what --demo serves: a fake cloud in which something happens, and a configuration that watches it.
package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/fakecloud"
	"glance_share_exporter/internal/web"
)

const (
	// Name is what the configuration is called.
	Name = "the demo's own configuration"

	// pace is the time between two events in the cloud.
	pace = 10 * time.Second
	// interval is the time between the demo's own scrapes, which fill the status page.
	interval = 5 * time.Second
)

// Demo is a fake cloud on a port of this machine, and the configuration to watch it with.
type Demo struct {
	cloud  *fakecloud.Demo
	url    string
	config []byte
	stop   func()
}

// Start starts the cloud, which logs what happens in it. The caller must call Stop.
func Start(ctx context.Context, logger log.Logger) (*Demo, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the demo's cloud: %w", err)
	}
	d := &Demo{cloud: fakecloud.NewDemo(1), url: "http://" + listener.Addr().String()}
	d.cloud.Describe = func(what string) {
		_ = level.Info(logger).Log("msg", "in the fake cloud: "+what)
	}
	server := &http.Server{Handler: d.cloud, ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = server.Serve(listener) }) // until Stop closes it
	work.Go(func() { d.cloud.Run(ctx, pace) })
	d.stop = func() {
		cancel()
		d.cloud.ClearFaults()
		_ = server.Close()
		work.Wait()
	}
	var text bytes.Buffer
	err = configuration.Execute(&text, struct {
		*fakecloud.Demo
		URL, Until string
	}{d.cloud, d.url, time.Now().AddDate(0, 0, 30).Format(time.DateOnly)})
	if err != nil {
		d.Stop()
		return nil, err
	}
	d.config = text.Bytes()
	return d, nil
}

// Stop ends the cloud.
func (d *Demo) Stop() { d.stop() }

// Load returns the configuration.
func (d *Demo) Load() (*config.Config, error) { return config.Parse(Name, d.config) }

// Scrape scrapes the clouds at once and then again and again, as a Prometheus would, until stop is called or ctx is done.
func (d *Demo) Scrape(ctx context.Context, clouds func() ([]*collector.Cloud, func())) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var scraper sync.WaitGroup
	scraper.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for ctx.Err() == nil {
			current, release := clouds()
			web.Collect(ctx, current, collector.Limits{Timeout: interval})
			release()
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	})
	return func() {
		cancel()
		scraper.Wait()
	}
}

// WriteHint writes what to do with the demo: where the exporter serves, and a prometheus.yml for it. Its address has port 0
// where it gets any; its paths are those of its flags.
func (d *Demo) WriteHint(w io.Writer, address, externalURL, routePrefix, telemetryPath string) error {
	metrics, err := web.MetricsPath(externalURL, routePrefix, telemetryPath)
	if err != nil {
		return err
	}
	health, err := web.HealthPath(externalURL, routePrefix)
	if err != nil {
		return err
	}
	address, anyPort := strings.CutSuffix(address, ":0")
	if anyPort {
		address += ":PORT"
	}
	return hint.Execute(w, struct {
		*fakecloud.Demo
		URL, Address, Page, Path string
		AnyPort                  bool
		Pace                     time.Duration
	}{d.cloud, d.url, address, strings.TrimSuffix(health, "-/healthy"), metrics, anyPort, pace})
}

var configuration = template.Must(template.New("").Funcs(template.FuncMap{"join": strings.Join}).Parse(`scrape:
  timeout: 3s # one image hangs now and then
member_names:
{{- range .Projects}}
  {{.ID}}: {{.Name}}
{{- end}}
clouds:
  - name: demo
    auth:
      password:
        auth_url: {{.URL}}/identity/v3
        username: {{.User}}
        user_domain_name: Default
        password: {{.Password}}
        project_name: {{.Project}}
    resolve_project_names: true # as Keystone has them, beside those above
    inbound: # what others share with the project
      expected_owners: [{id: {{.Vendor.ID}}, name: {{.Vendor.Name}}, until: {{.Until}}, note: CHG-1234}]
    images:
{{- range .Images}}{{if or .Judged .ExpectedVisibility}}
      - id: {{.ID}}
        name: {{.Name}}
        {{- if .Judged}}
        expected_members: [{{range $i, $id := .Expected}}{{if $i}}, {{$id}}{{else}}{id: {{$id}}, until: {{$.Until}}}{{end}}{{end}}]
        {{- end}}
        {{- with .ExpectedVisibility}}
        expected_visibility: [{{join . ", "}}]
        {{- end}}
{{- end}}{{end}}
    discover: # the project's other images, which are for nobody else
      - expected_members: []
`))

var hint = template.Must(template.New("").Parse(`The status page: http://{{.Address}}{{.Page}}

A fake cloud on {{.URL}}, in which something happens every {{.Pace}}; the log below says what.
Who can use which of its images:

    curl -s http://{{.Address}}{{.Path}} | grep '^glance_image_members{'
    curl -s http://{{.Address}}{{.Path}} | grep '^glance_image_member_status.* 1$'
{{if .AnyPort}}
The log below says which PORT that is.
{{end}}
A prometheus.yml for it, in the directory of this program's source. With longer intervals much of it is not seen:

    global: {scrape_interval: 5s, evaluation_interval: 5s}
    rule_files: [dashboards/alerts.rules.yml]
    scrape_configs:
      - job_name: glance
        metrics_path: {{.Path}}
        static_configs: [{targets: ['{{.Address}}']}]

The cloud's password, for an exporter.yml of your own after the one at /config, is {{.Password}}.

`))
