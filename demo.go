package main

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
	// demoPace is the time from one thing that happens in the demo to the next.
	demoPace = 10 * time.Second
	// demoInterval is the time between the demo's own scrapes, which fill the status page.
	demoInterval = 5 * time.Second
)

// demo is a fake cloud on a port of its own, and the configuration to watch it with.
type demo struct {
	name string
	text []byte
	stop func()
}

func (d *demo) load() (*config.Config, error) { return config.Parse(d.name, d.text) }

// scrape scrapes the clouds at once and every demoInterval, as a Prometheus would, until ctx is done.
func (d *demo) scrape(ctx context.Context, clouds func() ([]*collector.Cloud, func())) {
	ticker := time.NewTicker(demoInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		current, release := clouds()
		web.Collect(ctx, current, collector.Limits{Timeout: demoInterval})
		release()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

var demoConfig = template.Must(template.New("").Funcs(template.FuncMap{"join": strings.Join}).Parse(`scrape:
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
    inbound: # what others share with the project
      expected_owners: [{id: {{.Vendor.ID}}, name: {{.Vendor.Name}}}]
    images:
{{- range .Images}}{{if or .Judged .ExpectedVisibility}}
      - id: {{.ID}}
        name: {{.Name}}
        {{- if .Judged}}
        expected_members: [{{join .Expected ", "}}]
        {{- end}}
        {{- with .ExpectedVisibility}}
        expected_visibility: [{{join . ", "}}]
        {{- end}}
{{- end}}{{end}}
    discover: # the project's other images, which are for nobody else
      - expected_members: []
`))

var demoHint = template.Must(template.New("").Parse(`The status page: http://{{.Address}}{{.Page}}

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

// startDemo starts the demo's cloud; stop ends it.
func startDemo(ctx context.Context, flags *flags, stdout io.Writer, logger log.Logger) (*demo, error) {
	path, err := web.MetricsPath(flags.externalURL, flags.routePrefix, flags.telemetryPath)
	if err != nil {
		return nil, err
	}
	health, err := web.HealthPath(flags.externalURL, flags.routePrefix)
	if err != nil {
		return nil, err
	}
	cloud := fakecloud.NewDemo(1)
	cloud.Describe = func(what string) {
		_ = level.Info(logger).Log("msg", "in the fake cloud: "+what)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the demo's cloud: %w", err)
	}
	server := &http.Server{Handler: cloud, ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = server.Serve(listener) }) // until stop closes it
	work.Go(func() { cloud.Run(ctx, demoPace) })
	d := &demo{name: "the demo's own configuration", stop: func() {
		cancel()
		cloud.ClearFaults()
		_ = server.Close()
		work.Wait()
	}}

	address, anyPort := strings.CutSuffix(localAddress(flags), ":0")
	if anyPort {
		address += ":PORT"
	}
	values := struct {
		*fakecloud.Demo
		URL, Address, Page, Path string
		AnyPort                  bool
		Pace                     time.Duration
	}{cloud, "http://" + listener.Addr().String(), address, strings.TrimSuffix(health, "-/healthy"), path, anyPort, demoPace}
	var text bytes.Buffer
	if err = demoConfig.Execute(&text, values); err == nil && !flags.configCheck && !flags.once && !flags.preflight {
		err = demoHint.Execute(stdout, values)
	}
	if err != nil {
		d.stop()
		return nil, err
	}
	d.text = text.Bytes()
	return d, nil
}

// localAddress is where the pages are, as far as the flags tell.
func localAddress(flags *flags) string {
	host, port, err := net.SplitHostPort((*flags.toolkit.WebListenAddresses)[0])
	if err != nil || host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
