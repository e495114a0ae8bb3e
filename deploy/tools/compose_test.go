package tools

import (
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// load loads compose.yaml as docker compose does.
func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{root + "/deploy/compose/compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// mounted returns the file of this repository that a service has at a path.
func mounted(t *testing.T, project *types.Project, service, target string) string {
	t.Helper()
	for _, v := range project.Services[service].Volumes {
		if v.Target == target {
			return v.Source
		}
	}
	t.Fatalf("%s has nothing at %s", service, target)
	return ""
}

// decode reads YAML without unknown keys.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// tool returns the path of a tool of Debian's packages of Prometheus.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: apt-get install -y --no-install-recommends prometheus prometheus-alertmanager", err)
	}
	return path
}

func TestCompose(t *testing.T) {
	project := load(t)
	equal(t, "services", []string{"alertmanager", "exporter", "grafana", "prometheus"}, project.ServiceNames())
	for name, s := range project.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") ||
			s.Privileged {
			t.Errorf("%s may do more than it must", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s is published on %q", name, p.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly || v.Type != types.VolumeTypeBind {
				t.Errorf("%s: %s is not there, or can be written to: %v", name, v.Source, err)
			}
		}
		if (s.Build == nil) == (s.Image == "") || s.Build == nil && !regexp.MustCompile(`:v?\d+\.\d+\.\d+$`).MatchString(s.Image) {
			t.Errorf("%s is of %q, a version that may be another one tomorrow", name, s.Image)
		}
	}
	// The health that Prometheus waits for is the image's own.
	exporterService := project.Services["exporter"]
	dockerfile, err := os.ReadFile(filepath.Join(exporterService.Build.Context, exporterService.Build.Dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(dockerfile), "\nHEALTHCHECK ") || exporterService.HealthCheck != nil {
		t.Error("the exporter's health is not told by its image")
	}
	path, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, path, append(exporterService.Command, "--config.check")...); err != nil {
		t.Error(err)
	}
}

// served reports whether a service listens on a port that it publishes.
func served(project *types.Project, address string) bool {
	name, port, err := net.SplitHostPort(address)
	return err == nil && slices.ContainsFunc(project.Services[name].Ports, func(p types.ServicePortConfig) bool {
		return port == strconv.FormatUint(uint64(p.Target), 10)
	})
}

func TestComposesPrometheus(t *testing.T) {
	project := load(t)
	file := mounted(t, project, "prometheus", "/etc/prometheus/prometheus.yml")
	// The directory as it is in the container.
	dir := t.TempDir()
	for _, v := range project.Services["prometheus"].Volumes {
		text, err := os.ReadFile(v.Source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strings.TrimPrefix(v.Target, "/etc/prometheus/")), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(t, tool(t, "promtool"), "check", "config", filepath.Join(dir, "prometheus.yml"))
	if err != nil || !strings.Contains(out, "rules found") {
		t.Errorf("%v%s", err, out)
	}
	type static struct {
		Targets []string `json:"targets"`
	}
	var config struct {
		Global    map[string]string `json:"global"`
		RuleFiles []string          `json:"rule_files"`
		Alerting  struct {
			Alertmanagers []struct {
				Static []static `json:"static_configs"`
			} `json:"alertmanagers"`
		} `json:"alerting"`
		Scrapes []struct {
			Job    string   `json:"job_name"`
			Static []static `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	decode(t, file, &config)
	equal(t, "job", "glance", config.Scrapes[0].Job)
	for _, address := range append(config.Scrapes[0].Static[0].Targets, config.Alerting.Alertmanagers[0].Static[0].Targets...) {
		if !served(project, address) {
			t.Errorf("nobody listens on %s", address)
		}
	}
}

func TestComposesAlertmanager(t *testing.T) {
	file := mounted(t, load(t), "alertmanager", "/etc/alertmanager/alertmanager.yml")
	if out, err := run(t, tool(t, "amtool"), "check-config", file); err != nil || !strings.Contains(out, "SUCCESS") {
		t.Errorf("%v%s", err, out)
	}
}

// Grafana itself is not here: what is checked is that its files fit to each other and to the rest.
func TestComposesGrafana(t *testing.T) {
	project := load(t)
	var sources struct {
		APIVersion  int `json:"apiVersion"`
		Datasources []struct {
			Name      string            `json:"name"`
			Type      string            `json:"type"`
			Access    string            `json:"access"`
			URL       string            `json:"url"`
			IsDefault bool              `json:"isDefault"`
			JSON      map[string]string `json:"jsonData"`
		} `json:"datasources"`
	}
	decode(t, mounted(t, project, "grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"), &sources)
	source := sources.Datasources[0]
	u, err := url.Parse(source.URL)
	if err != nil {
		t.Fatal(err)
	}
	if !served(project, u.Host) || source.Type != "prometheus" || !source.IsDefault || source.Access != "proxy" {
		t.Errorf("%+v", source)
	}
	var providers struct {
		APIVersion int `json:"apiVersion"`
		Providers  []struct {
			Name           string            `json:"name"`
			Type           string            `json:"type"`
			AllowUIUpdates bool              `json:"allowUiUpdates"`
			Options        map[string]string `json:"options"`
		} `json:"providers"`
	}
	decode(t, mounted(t, project, "grafana", "/etc/grafana/provisioning/dashboards/glance.yml"), &providers)
	dashboard := providers.Providers[0].Options["path"] + "/image-sharing.json"
	equal(t, "the dashboard", filepath.Join(absolute(t, root), "dashboards/image-sharing.json"), mounted(t, project, "grafana", dashboard))
	equal(t, "the home page", dashboard, *project.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
