// Package tools has the tests of what is packed around the exporter, and the tools that packing takes, in a module of its
// own: the exporter depends on none of it.
package tools

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-jsonnet"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

const (
	root  = "../.."
	chart = root + "/deploy/helm/glance-share-exporter"
	image = "--set=image.repository=registry.example.com/glance_share_exporter"
)

// buildDir is where programs are built; TestMain makes and removes it.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tools")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // nothing depends on it
	os.Exit(code)
}

// exporter builds the exporter, of the module around this one.
var exporter = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "glance_share_exporter")
	build := exec.Command("go", "build", "-C", root, "-buildvcs=false", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// run runs a command and returns its stdout, and its stderr with the error.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return stdout.String(), err
}

// helmPath is where go tool has helm, once it is built.
var helmPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-n", "helm").Output()
	return strings.TrimSpace(string(out)), err
})

func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	return run(t, path, args...)
}

// release is what the chart makes of some values.
type release struct {
	deployment     *appsv1.Deployment
	service        *corev1.Service
	account        *corev1.ServiceAccount
	config         *corev1.ConfigMap
	dashboard      *corev1.ConfigMap
	budget         *policyv1.PodDisruptionBudget
	policy         *networkingv1.NetworkPolicy
	ingress        *networkingv1.Ingress
	serviceMonitor *monitoringv1.ServiceMonitor
	rule           *monitoringv1.PrometheusRule
	scrapeConfig   *monitoringv1alpha1.ScrapeConfig
}

// render renders the chart and decodes every document by its type, in which it may have no unknown field.
func render(t *testing.T, args ...string) release {
	t.Helper()
	text, err := helm(t, append([]string{"template", "prod", chart, "--namespace", "images", image}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var r release
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
		if strings.TrimSpace(document) == "" {
			continue
		}
		var kind metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		var into any
		name := kind.APIVersion + " " + kind.Kind
		if name == "v1 ConfigMap" && strings.HasSuffix(kind.Name, "-dashboard") {
			name = "dashboard"
		}
		switch name {
		case "apps/v1 Deployment":
			into = &r.deployment
		case "v1 Service":
			into = &r.service
		case "v1 ServiceAccount":
			into = &r.account
		case "v1 ConfigMap":
			into = &r.config
		case "dashboard":
			into = &r.dashboard
		case "policy/v1 PodDisruptionBudget":
			into = &r.budget
		case "networking.k8s.io/v1 NetworkPolicy":
			into = &r.policy
		case "networking.k8s.io/v1 Ingress":
			into = &r.ingress
		case "monitoring.coreos.com/v1 ServiceMonitor":
			into = &r.serviceMonitor
		case "monitoring.coreos.com/v1 PrometheusRule":
			into = &r.rule
		case "monitoring.coreos.com/v1alpha1 ScrapeConfig":
			into = &r.scrapeConfig
		default:
			t.Fatalf("a %s:\n%s", name, document)
		}
		if !reflect.ValueOf(into).Elem().IsNil() {
			t.Fatalf("a second %s", name)
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Fatalf("%s: %v:\n%s", name, err, document)
		}
		if kind.Namespace != "images" {
			t.Errorf("%s is in namespace %q", name, kind.Namespace)
		}
	}
	if r.deployment == nil || r.service == nil || r.account == nil {
		t.Fatalf("no Deployment, Service or ServiceAccount:\n%s", text)
	}
	return r
}

func ci(name string) string { return "--values=" + chart + "/ci/" + name + "-values.yaml" }

// equal fails unless both are the same; what is printed is JSON-like enough to read.
func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s:\nwant %+v\ngot  %+v", what, want, got)
	}
}

func TestLint(t *testing.T) {
	for _, values := range []string{"one", "shards"} {
		if out, err := helm(t, "lint", "--strict", chart, ci(values)); err != nil {
			t.Errorf("%v%s", err, out)
		}
	}
}

// What holds for whatever values.
func checkRelease(t *testing.T, r release) corev1.Container {
	t.Helper()
	pod := r.deployment.Spec.Template
	podLabels := labels.Set(pod.Labels)
	selects := func(what string, selector *metav1.LabelSelector, of labels.Set) {
		t.Helper()
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(of) {
			t.Errorf("%s selects %v, and there is %v (%v)", what, s, of, err)
		}
	}
	selects("the Deployment", r.deployment.Spec.Selector, podLabels)
	selects("the Service", &metav1.LabelSelector{MatchLabels: r.service.Spec.Selector}, podLabels)
	for _, spread := range pod.Spec.TopologySpreadConstraints {
		selects("the spread", spread.LabelSelector, podLabels)
	}
	if r.budget != nil {
		selects("the PodDisruptionBudget", r.budget.Spec.Selector, podLabels)
	}
	if r.policy != nil {
		selects("the NetworkPolicy", &r.policy.Spec.PodSelector, podLabels)
	}
	if m := r.serviceMonitor; m != nil {
		selects("the ServiceMonitor", &m.Spec.Selector, r.service.Labels)
		equal(t, "namespaces of the ServiceMonitor", []string{r.service.Namespace}, m.Spec.NamespaceSelector.MatchNames)
		if len(m.Spec.Endpoints) != 1 || m.Spec.Endpoints[0].Port != r.service.Spec.Ports[0].Name {
			t.Errorf("the ServiceMonitor's endpoints are %+v, and the Service's ports %+v", m.Spec.Endpoints, r.service.Spec.Ports)
		}
	}

	equal(t, "ServiceAccount", r.account.Name, pod.Spec.ServiceAccountName)
	for what, b := range map[string]*bool{
		"the pod":            pod.Spec.AutomountServiceAccountToken,
		"the ServiceAccount": r.account.AutomountServiceAccountToken,
	} {
		if b == nil || *b {
			t.Errorf("%s mounts a token of the cluster", what)
		}
	}
	if len(pod.Spec.Containers) != 1 || len(pod.Spec.InitContainers) != 0 {
		t.Fatalf("%d containers", len(pod.Spec.Containers))
	}
	c := pod.Spec.Containers[0]
	checkRestricted(t, pod.Spec, c)

	ports := map[string]bool{}
	for _, p := range c.Ports {
		ports[p.Name] = true
	}
	if target := r.service.Spec.Ports[0].TargetPort.StrVal; !ports[target] {
		t.Errorf("the Service's port goes to %q, and the container has %v", target, c.Ports)
	}
	for what, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		switch {
		case probe == nil:
			t.Errorf("no %s probe", what)
		case probe.HTTPGet != nil:
			if !ports[probe.HTTPGet.Port.StrVal] {
				t.Errorf("the %s probe asks port %v", what, probe.HTTPGet.Port)
			}
			want := prefix(t, c) + "/-/healthy"
			if what == "readiness" {
				want = prefix(t, c) + "/-/ready"
			}
			equal(t, what+" probe", want, probe.HTTPGet.Path)
		case probe.Exec == nil:
			t.Errorf("the %s probe does nothing", what)
		}
	}

	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440) {
			t.Errorf("the files of the Secret %s have mode %v", v.Secret.SecretName, v.Secret.DefaultMode)
		}
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] || !m.ReadOnly {
			t.Errorf("the mount %+v has no volume, or can be written to", m)
		}
		delete(volumes, m.Name)
	}
	if len(volumes) > 0 {
		t.Errorf("volumes without a mount: %v", volumes)
	}
	checkFlags(t, c)
	return c
}

// prefix returns the path of --web.external-url, which is before that of every page.
func prefix(t *testing.T, c corev1.Container) string {
	t.Helper()
	for _, arg := range c.Args {
		if address, ok := strings.CutPrefix(arg, "--web.external-url="); ok {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSuffix(u.Path, "/")
		}
	}
	return ""
}

// checkRestricted checks what the Pod Security Standard "restricted" demands, and a read-only root beside it.
func checkRestricted(t *testing.T, pod corev1.PodSpec, c corev1.Container) {
	t.Helper()
	p, s := pod.SecurityContext, c.SecurityContext
	if p == nil || s == nil {
		t.Fatal("no security context")
	}
	ok := func(b *bool, want bool) bool { return b != nil && *b == want }
	switch {
	case !ok(p.RunAsNonRoot, true), p.RunAsUser == nil || *p.RunAsUser == 0:
		t.Error("may run as root")
	case p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Error("no seccomp profile")
	case !ok(s.AllowPrivilegeEscalation, false), s.Privileged != nil, s.RunAsUser != nil:
		t.Error("may get privileges")
	case !ok(s.ReadOnlyRootFilesystem, true):
		t.Error("may write to its root")
	case s.Capabilities == nil || len(s.Capabilities.Add) != 0 || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}):
		t.Error("has capabilities")
	case pod.HostNetwork, pod.HostPID, pod.HostIPC:
		t.Error("shares a namespace with the host")
	}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			t.Errorf("has the host's %s", v.HostPath.Path)
		}
	}
}

// checkFlags lets the exporter itself look at its arguments, and at those of the probes.
func checkFlags(t *testing.T, c corev1.Container) {
	t.Helper()
	path, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	args := slices.DeleteFunc(slices.Clone(c.Args), func(arg string) bool {
		return strings.HasPrefix(arg, "--config.file=") || strings.HasPrefix(arg, "--web.config.file=") // not on this machine
	})
	if !slices.Contains(args, "--demo") {
		args = append(args, "--demo")
	}
	if out, err := run(t, path, append(args, "--config.check")...); err != nil || !strings.Contains(out, "good") {
		t.Errorf("the arguments are refused: %v%s", err, out)
	}
	if probe := c.LivenessProbe.Exec; probe != nil {
		if probe.Command[0] != "/bin/glance_share_exporter" || !slices.Contains(probe.Command, "--healthcheck") {
			t.Errorf("the liveness probe runs %v", probe.Command)
		}
		for _, arg := range probe.Command[2:] {
			if !slices.Contains(c.Args, arg) {
				t.Errorf("the liveness probe has %s, and the exporter has not: %v", arg, c.Args)
			}
		}
	}
}

// checkConfig lets the exporter check its configuration, with secrets where the mounts have them.
func checkConfig(t *testing.T, r release, c corev1.Container) {
	t.Helper()
	var at string
	secrets := t.TempDir()
	for _, m := range c.VolumeMounts {
		for _, v := range r.deployment.Spec.Template.Spec.Volumes {
			switch {
			case v.Name != m.Name:
			case v.ConfigMap != nil:
				equal(t, "the mounted ConfigMap", r.config.Name, v.ConfigMap.Name)
				at = m.MountPath
			case v.Secret != nil && strings.HasPrefix(m.MountPath, "/secrets/"):
				dir := filepath.Join(secrets, m.MountPath)
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{"secret", "password"} {
					if err := os.WriteFile(filepath.Join(dir, key), []byte("guess\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if want := "--config.file=" + at + "/exporter.yml"; !slices.Contains(c.Args, want) {
		t.Errorf("no %s in %v", want, c.Args)
	}
	file := filepath.Join(t.TempDir(), "exporter.yml")
	text := strings.ReplaceAll(r.config.Data["exporter.yml"], "/secrets/", secrets+"/secrets/")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, path, "--config.check", "--config.file="+file); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// checkRules compares the rules with dashboards/alerts.rules.yml and the links with those of the mixin.
func checkRules(t *testing.T, r release, exporterURL, dashboardURL string) {
	t.Helper()
	vm := jsonnet.MakeVM()
	vm.ExtVar("exporterURL", exporterURL)
	vm.ExtVar("dashboardURL", dashboardURL)
	text, err := vm.EvaluateAnonymousSnippet("test", `((import '`+root+`/dashboards/mixin.libsonnet')
		+ {_config+:: {exporterURL: std.extVar('exporterURL'), dashboardURL: std.extVar('dashboardURL')}}).prometheusAlerts`)
	if err != nil {
		t.Fatal(err)
	}
	var want monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Groups) == 0 || len(want.Groups[0].Rules) < 23 {
		t.Fatalf("the mixin has %d groups", len(want.Groups))
	}
	equal(t, "rules", want, r.rule.Spec)
}

func checkDashboard(t *testing.T, r release) {
	t.Helper()
	want, err := os.ReadFile(root + "/dashboards/image-sharing.json")
	if err != nil {
		t.Fatal(err)
	}
	if r.dashboard.Data["image-sharing.json"] != string(want) {
		t.Error("the dashboard is not dashboards/image-sharing.json")
	}
	equal(t, "the sidecar's label", "1", r.dashboard.Labels["grafana_dashboard"])
}

func TestOneExporter(t *testing.T) {
	r := render(t, ci("one"))
	c := checkRelease(t, r)
	checkConfig(t, r, c)
	checkRules(t, r, "", "")
	checkDashboard(t, r)
	equal(t, "replicas", int32(1), *r.deployment.Spec.Replicas)
	if r.budget != nil || r.scrapeConfig != nil || r.ingress != nil || len(r.deployment.Spec.Template.Spec.TopologySpreadConstraints) > 0 {
		t.Error("it has what is for more than one")
	}
	// The text is the one that was given, comments and odd IDs too.
	var values struct {
		Config string `json:"config"`
	}
	text, err := os.ReadFile(chart + "/ci/one-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	equal(t, "exporter.yml", values.Config, r.config.Data["exporter.yml"])

	endpoint := r.serviceMonitor.Spec.Endpoints[0]
	equal(t, "path", "/metrics", endpoint.Path)
	equal(t, "label of the ServiceMonitor", "kube-prometheus-stack", r.serviceMonitor.Labels["release"])
	equal(t, "job", "glance", *endpoint.RelabelConfigs[0].Replacement)
	equal(t, "policy's ingress", "http", r.policy.Spec.Ingress[0].Ports[0].Port.StrVal)
	var open []int32
	for _, rule := range r.policy.Spec.Egress {
		for _, port := range rule.Ports {
			open = append(open, port.Port.IntVal)
		}
	}
	equal(t, "policy's egress", []int32{53, 53, 443, 5000, 9292}, open)
}

func TestFourExportersWithEightShards(t *testing.T) {
	r := render(t, ci("shards"))
	c := checkRelease(t, r)
	checkConfig(t, r, c)
	checkRules(t, r, "https://monitoring.example.com/images/", "https://grafana.example.com/d/glance-image-sharing")
	checkDashboard(t, r)
	equal(t, "replicas", int32(4), *r.deployment.Spec.Replicas)
	if r.budget == nil || r.budget.Spec.MaxUnavailable.IntVal != 1 || len(r.deployment.Spec.Template.Spec.TopologySpreadConstraints) != 1 {
		t.Error("four pods may all go at once, or be on one node")
	}
	if r.deployment.Spec.Template.Annotations["checksum/config"] == "" {
		t.Error("nothing restarts the pods when the configuration changes, and they don't look at it themselves")
	}

	s := r.scrapeConfig
	if s == nil || len(s.Spec.HTTPSDConfigs) != 1 {
		t.Fatal("no ScrapeConfig with /sd")
	}
	equal(t, "/sd", "https://prod-glance-share-exporter.images.svc:10292/images/sd", string(s.Spec.HTTPSDConfigs[0].URL))
	equal(t, "/sd's address", fmt.Sprintf("https://%s.%s.svc:%d/images/sd", r.service.Name, r.service.Namespace,
		r.service.Spec.Ports[0].Port), string(s.Spec.HTTPSDConfigs[0].URL))
	equal(t, "job", "glance", *s.Spec.JobName)
	equal(t, "scheme", "HTTPS", string(*s.Spec.Scheme))
	for what, ok := range map[string]bool{
		"the targets": s.Spec.BasicAuth != nil && s.Spec.TLSConfig != nil,
		"/sd":         s.Spec.HTTPSDConfigs[0].BasicAuth != nil && s.Spec.HTTPSDConfigs[0].TLSConfig != nil,
		"the pods":    r.serviceMonitor.Spec.Endpoints[0].BasicAuth != nil && r.serviceMonitor.Spec.Endpoints[0].TLSConfig != nil,
	} {
		if !ok {
			t.Errorf("%s are asked without TLS or password", what)
		}
	}
	if c.LivenessProbe.Exec == nil || c.ReadinessProbe.Exec == nil {
		t.Error("the kubelet asks without a password")
	}
	equal(t, "external URL", true, slices.Contains(c.Args, "--web.external-url=https://monitoring.example.com/images/"))
	equal(t, "external URL of the probe", true,
		slices.Contains(c.LivenessProbe.Exec.Command, "--web.external-url=https://monitoring.example.com/images/"))
	equal(t, "path of the pods", "/images/metrics", r.serviceMonitor.Spec.Endpoints[0].Path)
	rule, prefix := r.ingress.Spec.Rules[0], networkingv1.PathTypePrefix
	equal(t, "host", "monitoring.example.com", rule.Host)
	equal(t, "path", []networkingv1.HTTPIngressPath{{Path: "/images", PathType: &prefix, Backend: networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{
			Name: r.service.Name,
			Port: networkingv1.ServiceBackendPort{Name: r.service.Spec.Ports[0].Name},
		},
	}}}, rule.HTTP.Paths)
	equal(t, "TLS", []networkingv1.IngressTLS{{Hosts: []string{rule.Host}, SecretName: "monitoring-tls"}}, r.ingress.Spec.TLS)
	equal(t, "class", "nginx", *r.ingress.Spec.IngressClassName)
	equal(t, "where the clouds are", "203.0.113.0/24", r.policy.Spec.Egress[1].To[0].IPBlock.CIDR)
}

func TestDemoOfTheChart(t *testing.T) {
	r := render(t, "--set=demo=true")
	c := checkRelease(t, r)
	if !slices.Contains(c.Args, "--demo") || r.config != nil || len(c.VolumeMounts) > 0 {
		t.Errorf("arguments %v, mounts %v", c.Args, c.VolumeMounts)
	}
}

// Whatever an external URL ends with, all that asks for a page asks under its path.
func TestExternalURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://a.example.com": "", "https://a.example.com/": "",
		"http://a.example.com:8080/x/y/": "/x/y",
	} {
		r := render(t, "--set=demo=true,serviceMonitor.enabled=true,scrapeConfig.enabled=true,ingress.enabled=true,web.externalURL="+address)
		equal(t, "prefix", want, prefix(t, checkRelease(t, r)))
		equal(t, "path to scrape", want+"/metrics", r.serviceMonitor.Spec.Endpoints[0].Path)
		equal(t, "/sd", "http://prod-glance-share-exporter.images.svc:10292"+want+"/sd", string(r.scrapeConfig.Spec.HTTPSDConfigs[0].URL))
		equal(t, "host", "a.example.com", r.ingress.Spec.Rules[0].Host)
		equal(t, "path", cmp.Or(want, "/"), r.ingress.Spec.Rules[0].HTTP.Paths[0].Path)
		equal(t, "TLS of the Ingress", 0, len(r.ingress.Spec.TLS))
	}
}

func TestConfigurationsThatExist(t *testing.T) {
	r := render(t, "--set=existingConfigMap=ours")
	checkRelease(t, r)
	if r.config != nil || r.deployment.Spec.Template.Spec.Volumes[0].ConfigMap.Name != "ours" {
		t.Error("the ConfigMap that exists is not used")
	}
}

// In an older cluster nothing is asked for that it does not know.
func TestOldCluster(t *testing.T) {
	if c := checkRelease(t, render(t, "--set=demo=true", "--kube-version=1.28.0")); c.Lifecycle != nil {
		t.Errorf("%+v", c.Lifecycle)
	}
	if c := checkRelease(t, render(t, "--set=demo=true", "--kube-version=1.34.0")); c.Lifecycle == nil {
		t.Error("a pod that ends is still sent scrapes")
	}
}

// inline is a configuration of one cloud with something more.
func inline(more string) []string {
	return []string{"--set-json=config=" + fmt.Sprintf("%q", "clouds: [{name: prod, "+more+"}]")}
}

// What has the name of a secret, and is none.
func TestConfigurationsWithoutSecrets(t *testing.T) {
	config := `
# password: a comment
member_names: {token: team-a}
clouds:
  - name: prod
    auth:
      password:
        password_file: /secrets/prod/password
    http: {http_headers: {X-Key: {values: [a], files: [/secrets/prod/key]}}, basic_auth: {password_file: /secrets/prod/basic}, proxy_url: "http://user@proxy:3128"}
  - {name: keys, auth: {aksk: {access_key: abc, secret_key_file: /secrets/prod/key}}}
  - {name: token, auth: {token: {token_file: /secrets/prod/token}}}
`
	checkRelease(t, render(t, "--set-json=config="+fmt.Sprintf("%q", config)))
}

// What values have in common with what the chart says is there once, as values say it.
func TestValuesThatTheChartHasToo(t *testing.T) {
	r := render(t, "--set=demo=true,serviceMonitor.enabled=true,scrapeConfig.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
		`--set-json=serviceMonitor={"endpoint": {"scheme": "https", "interval": "2m", "relabelings": [{"targetLabel": "team", `+
			`"replacement": "a"}]}, "labels": {"app.kubernetes.io/instance": "x"}}`,
		`--set-json=scrapeConfig.labels={"app.kubernetes.io/instance": "x"}`,
		`--set-json=prometheusRule.labels={"app.kubernetes.io/instance": "x"}`,
		`--set-json=dashboard.labels={"app.kubernetes.io/instance": "x"}`,
		`--set-json=podLabels={"app.kubernetes.io/version": "x", "team": "a"}`,
		`--set-json=podAnnotations={"kubectl.kubernetes.io/default-container": "other", "team": "a"}`)
	checkRelease(t, r)
	for what, labels := range map[string]map[string]string{
		"ServiceMonitor": r.serviceMonitor.Labels, "ScrapeConfig": r.scrapeConfig.Labels,
		"PrometheusRule": r.rule.Labels, "dashboard": r.dashboard.Labels,
	} {
		equal(t, "label of the "+what, "x", labels["app.kubernetes.io/instance"])
		equal(t, "name in the labels of the "+what, "glance-share-exporter", labels["app.kubernetes.io/name"])
	}
	pod := r.deployment.Spec.Template
	equal(t, "pod labels", "x a", pod.Labels["app.kubernetes.io/version"]+" "+pod.Labels["team"])
	equal(t, "pod annotations", "exporter a", pod.Annotations["kubectl.kubernetes.io/default-container"]+" "+pod.Annotations["team"])
	endpoint := r.serviceMonitor.Spec.Endpoints[0]
	equal(t, "interval", "2m 30s", string(endpoint.Interval)+" "+string(endpoint.ScrapeTimeout))
	equal(t, "scheme", "https", strings.ToLower(string(*endpoint.Scheme)))
	if len(endpoint.RelabelConfigs) != 2 || *endpoint.RelabelConfigs[0].Replacement != "glance" ||
		endpoint.RelabelConfigs[1].TargetLabel != "team" {
		t.Errorf("relabelings %+v", endpoint.RelabelConfigs)
	}
}

func TestMistakesInValues(t *testing.T) {
	config := "clouds: [{name: prod, scrape_via: probe}]"
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"no image": {
			[]string{"--set=demo=true,image.repository="},
			"image.repository: not set: build the image, push it to your registry, and set image.repository=REGISTRY/glance_share_exporter, " +
				"see docs/install.md",
		},
		"an Ingress to nowhere": {
			[]string{"--set=demo=true,ingress.enabled=true"},
			"ingress.enabled: host and path are not known: set web.externalURL, such as https://monitoring.example.com/images",
		},
		"a URL without a host": {[]string{"--set=demo=true,web.externalURL=https:///x"}, "/web/externalURL"},
		"a URL with a password": {
			[]string{"--set=demo=true,web.externalURL=https://u:hunter2@a.example.com"},
			"web.externalURL: it has a user or a password",
		},
		"nothing to watch": {
			nil,
			"what is to be watched? Give exporter.yml by --set-file config=exporter.yml, or set one of existingConfigMap and demo: true",
		},
		"two things to watch":        {[]string{"--set=demo=true,existingConfigMap=x"}, "what is to be watched?"},
		"a key that there is not":    {[]string{"--set=demo=true,replica=2"}, "additional properties 'replica' not allowed"},
		"configuration as a mapping": {[]string{"--set-json=config={\"clouds\":[]}"}, "got object, want string"},
		"no YAML":                    {[]string{"--set=config=a: [b"}, "config: error converting YAML to JSON"},
		"a flag that breaks probes":  {[]string{"--set=demo=true", "--set=extraArgs={--web.route-prefix=/x}"}, "'not' failed"},
		"a cloud that nobody scrapes": {
			[]string{"--set-json=config=" + fmt.Sprintf("%q", config), "--set=serviceMonitor.enabled=true"},
			"nobody would scrape prod, which is scraped via probe: set scrapeConfig.enabled, or serviceMonitor.enabled to false and scrape by " +
				"means of your own",
		},
		"a password": {inline("auth: {password: {username: u, password: hunter2}}"), "config: clouds[0].auth.password.password is " +
			"a secret, and config becomes a ConfigMap: write password_file: /secrets/NAME/password instead, and the name of the Secret that " +
			"has it under secrets"},
		"a password of digits": {inline("auth: {password: {password: 12345678}}"), "clouds[0].auth.password.password is a secret"},
		"a password in a block": {
			inline("auth: {password: {password: \"two\\nlines\"}}"),
			"clouds[0].auth.password.password is a secret",
		},
		"an application's": {
			inline("auth: {application_credential: {id: abc, secret: hunter2}}"),
			"write secret_file: /secrets/NAME/secret instead",
		},
		"a token":           {inline("auth: {token: {token: hunter2}}"), "write token_file: "},
		"a secret key":      {inline("auth: {aksk: {access_key: abc, secret_key: hunter2}}"), "write secret_key_file: "},
		"a temporary key's": {inline("auth: {aksk: {access_key: abc, security_token: hunter2}}"), "write security_token_file: "},
		"a proxy's password": {
			inline("http: {basic_auth: {username: u, password: hunter2}}"),
			"clouds[0].http.basic_auth.password is a secret",
		},
		"a bearer's": {inline("http: {authorization: {credentials: hunter2}}"), "write credentials_file: "},
		"a header's": {
			inline("http: {http_headers: {X-Key: {secrets: [hunter2]}}}"),
			"clouds[0].http.http_headers.X-Key.secrets is a secret, and config becomes a ConfigMap: write files: [/secrets/NAME/KEY] instead",
		},
		"a proxy's, in its URL": {inline("http: {proxy_url: \"http://u:hunter2@proxy:3128\"}"), "config: clouds[0].http.proxy_url has a " +
			"password, and config becomes a ConfigMap: write proxy_from_environment: true instead, and HTTPS_PROXY or, "},
		"one with a slash": {
			inline("http: {proxy_url: \"http://u:hunter2/x@proxy:3128\"}"),
			"clouds[0].http.proxy_url has a password",
		},
		"a proxy's header": {
			inline("http: {proxy_connect_header: {Proxy-Authorization: [hunter2]}}"),
			"config: clouds[0].http.proxy_connect_header is a secret",
		},
		"a private key": {inline("http: {tls_config: {key: hunter2}}"), "write key_file: "},
		"pods of another name": {
			[]string{"--set=demo=true", `--set=podLabels.app\.kubernetes\.io/name=x`},
			"podLabels: the pods are selected by app.kubernetes.io/name: leave it out",
		},
		"another port to scrape": {
			[]string{"--set=demo=true,serviceMonitor.endpoint.port=metrics"},
			"serviceMonitor.endpoint.port: that is the Service's",
		},
		"another job": {
			[]string{"--set=demo=true,scrapeConfig.client.jobName=x"},
			"scrapeConfig.client.jobName: the chart says that",
		},
		"a name with a dot":  {[]string{"--set=demo=true,nameOverride=a.b"}, "/nameOverride"},
		"a name in capitals": {[]string{"--set=demo=true,fullnameOverride=Exporter"}, "/fullnameOverride"},
		"a Service's name":   {[]string{"--set=demo=true,fullnameOverride=2nd"}, "/fullnameOverride"},
		"a name too long":    {[]string{"--set=demo=true,fullnameOverride=" + strings.Repeat("a", 64)}, "/fullnameOverride"},
		"a policy that lets everyone in": {
			[]string{"--set=demo=true,networkPolicy.enabled=true", "--set-json=networkPolicy.from=[]"},
			"minItems: got 0, want 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helm(t, append([]string{"template", "prod", chart, image}, test.args...)...)
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("want an error with %q, got %v\n%.500s", test.err, err, out)
			}
			if _, said, _ := strings.Cut(fmt.Sprint(err), "Error: "); strings.Contains(said, "hunter2") {
				t.Errorf("the secret is in the error: %s", said)
			}
		})
	}
}

// The packed chart has the rules and the dashboard, and not a link to where they were.
func TestPackage(t *testing.T) {
	dir := t.TempDir()
	if _, err := helm(t, "package", chart, "--destination", dir); err != nil {
		t.Fatal(err)
	}
	packed, err := filepath.Glob(dir + "/glance-share-exporter-*.tgz")
	if err != nil || len(packed) != 1 {
		t.Fatal(packed, err)
	}
	args := []string{"template", "prod", "--namespace", "images", ci("one")}
	want, err := helm(t, append(args, chart)...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := helm(t, append(args, packed[0])...)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Error("the packed chart renders something else than the directory")
	}
	list, err := run(t, "tar", "tzvf", packed[0])
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(list, "->") || strings.Contains(list, "/ci/") || !strings.Contains(list, "files/alerts.rules.yml") {
		t.Errorf("links, or the tests' values, or no rules:\n%s", list)
	}
}

// NOTES.txt is printed by an install alone, and an install needs a cluster, unless it is a dry one.
func TestNotes(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
		not  []string
	}{
		"demo": {
			[]string{"--set=demo=true"},
			[]string{"This is a fake cloud", "Nobody scrapes it", "There are no alerts", "Then open http://localhost:10292/, or"},
			nil,
		},
		"shards": {
			[]string{ci("shards")},
			[]string{"curl -s https://localhost:10292"},
			[]string{"Nobody scrapes", "no alerts", "fake", "Each of the"},
		},
		"outside": {
			[]string{"--set=demo=true,web.externalURL=https://images.example.com/shares"},
			[]string{"is on the status page: https://images.example.com/shares\n", "Then open http://localhost:10292/shares/, or"},
			nil,
		},
		"many": {
			[]string{ci("one"), "--set=replicas=3"},
			[]string{"Each of the 3 pods is scraped and asks for all of prod by itself"},
			[]string{"Nobody scrapes"},
		},
		"by hand": {
			[]string{ci("shards"), "--set=serviceMonitor.enabled=false,scrapeConfig.enabled=false"},
			[]string{"https://prod-glance-share-exporter.images.svc:10292/images/sd", "nobody watches prod otherwise"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helm(t, append([]string{"install", "prod", chart, "--namespace", "images", "--dry-run=client", image}, test.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			_, notes, _ := strings.Cut(out, "NOTES:")
			for _, want := range test.want {
				if !strings.Contains(notes, want) {
					t.Errorf("no %q in\n%s", want, notes)
				}
			}
			for _, not := range test.not {
				if strings.Contains(notes, not) {
					t.Errorf("%q in\n%s", not, notes)
				}
			}
		})
	}
}

// The chart is for the version that is released with it.
func TestVersionOfTheChart(t *testing.T) {
	changes, err := os.ReadFile(root + "/CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## (\S+) / `).FindSubmatch(changes)
	text, err := os.ReadFile(chart + "/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var about struct {
		Version    string `json:"version"`
		AppVersion string `json:"appVersion"`
	}
	if err := yaml.Unmarshal(text, &about); err != nil {
		t.Fatal(err)
	}
	if newest == nil || about.AppVersion != string(newest[1]) || about.Version != about.AppVersion {
		t.Errorf("Chart.yaml has %+v, and CHANGELOG.md begins with %s", about, newest)
	}
}
