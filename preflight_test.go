package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/internal/fakecloud"
)

// tunnel is a proxy through which every name is one server.
type tunnel struct {
	to    string
	conns sync.WaitGroup
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", p.to)
	if err != nil || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		there.Close()
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		to.Close()
		from.Close()
	}
	p.conns.Go(func() { pipe(there, here) })
	p.conns.Go(func() { pipe(here, there) })
}

// serveNames serves a world as keystone.example.com and image.example.com, over TLS, and returns the exporter.yml's http
// block to get there by.
func serveNames(t *testing.T, w *fakecloud.Cloud) (httpBlock string) {
	t.Helper()
	w.SetCatalog(fakecloud.Catalog{ImageURL: func(_, _, _ string) string { return "https://image.example.com" }})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"keystone.example.com", "image.example.com"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(300*24*time.Hour + time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		service := "/image"
		if strings.HasPrefix(r.Host, "keystone.") {
			service = "/identity"
		}
		r.URL.Path = service + r.URL.Path
		w.ServeHTTP(out, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	through := &tunnel{to: server.Listener.Addr().String()}
	proxy := httptest.NewServer(through)
	t.Cleanup(func() {
		proxy.Close()
		server.Close()
		through.conns.Wait()
	})
	ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return fmt.Sprintf("    http: {proxy_url: %s, tls_config: {ca_file: %s}}\n", proxy.URL, ca)
}

var (
	aDate       = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`)
	aTime       = regexp.MustCompile(`\b\d\d:\d\d\b`)
	ofTheSystem = regexp.MustCompile(`\d\d\d (series|of the process)`)
)

// withoutTimes is a page without what is another time or on another system different.
func withoutTimes(page string) string {
	page = ofTheSystem.ReplaceAllString(page, "100 $1")
	return aTime.ReplaceAllString(aDate.ReplaceAllString(page, "2026-03-09"), "08:00")
}

// What the documentation shows of a preflight is what the configuration that stands there comes to, for a user who is a member.
func TestTheDocumentedPreflight(t *testing.T) {
	w := fakecloud.New(fakecloud.Options{})
	w.AddProjectID(projectID, "images")
	w.AddUser("glance-share-exporter", password, projectID, "member")
	for _, img := range []fakecloud.Image{
		{ID: "5796a670-482c-490e-8d97-82bfcdc83011", Name: "debian-12"},
		{ID: "3c3ae353-fb14-428e-90b4-01a6c1cc0aff", Name: "appliance"},
		{ID: "e179f773-a6e0-43c0-9514-b7dde2ad0478", Name: "rescue", Visibility: "public"},
	} {
		img.Owner = projectID
		w.AddImage(img)
	}
	for _, expected := range []string{"2c63888f28f04481be6ddce7a7ace732", "8a119b9e16bc47328f7b7676d015b0dc"} {
		w.Share("5796a670-482c-490e-8d97-82bfcdc83011", expected)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", writeFile(t, "clouds.yaml", fmt.Sprintf(
		"clouds: {prod: {auth: {auth_url: https://keystone.example.com:5000/v3, username: glance-share-exporter, user_domain_name: Default, password: %s, project_name: images}}}\n", password)))
	config := example(t, configurationPage, "exporter.yml") + serveNames(t, w)
	var stdout, stderr output
	if err := run(t.Context(), []string{"--preflight", "--config.file=" + writeFile(t, "exporter.yml", config)}, &stdout, &stderr); err != nil {
		t.Fatal(err, stderr.String())
	}
	command, want, _ := strings.Cut(example(t, credentialsPage, "preflight"), "\n")
	if command != "$ glance_share_exporter --preflight" {
		t.Errorf("the command is %s", command)
	}
	got := withoutTimes(stdout.String())
	begin, end, cut := strings.Cut(withoutTimes(want), "...\n") // the recommendation follows further below
	if !cut || !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, "\n\n"+end) {
		t.Errorf("-%s +got:\n%s\nin full:\n%s", credentialsPage, cmp.Diff(withoutTimes(want), got), stdout.String())
	}
	_, rules, _ := strings.Cut(readText(t, credentialsPage), "```json\n")
	rules, _, _ = strings.Cut(rules, "```")
	if !strings.HasPrefix(rules, "[\n  {\"service\"") || !strings.Contains(got, rules) {
		t.Errorf("the access rules are not those of %s:\n%s", credentialsPage, rules)
	}
	if strings.Contains(stdout.String()+stderr.String(), password) {
		t.Error("the password is told")
	}
}

func TestPreflight(t *testing.T) {
	w, url := newWorld(t)
	w.AddUser("stranger", password, "", "")
	w.AddProjectID(memberID, "consumer")
	w.AddUser("stranger", password, memberID, "reader")
	good := "--config.file=" + writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	strange := "--config.file=" + writeFile(t, "exporter.yml",
		strings.NewReplacer("username: watcher", "username: stranger", "producer", "consumer").Replace(fmt.Sprintf(configText, url)))
	for name, test := range map[string]struct {
		args       []string
		last, fail string
	}{
		"all is well":            {[]string{good}, "ok: the exporter can read everything in 1 cloud.\n", ""},
		"another project's":      {[]string{strange}, "FAIL: the exporter cannot read everything in prod.\n", "preflight failed"},
		"the demo":               {[]string{"--demo"}, "ok: the exporter can read everything in 1 cloud.\n", ""},
		"no such file":           {[]string{"--config.file=/nonexistent/exporter.yml"}, "", "/nonexistent/exporter.yml: no such file: write it, or name another one with --config.file; try --demo without one, or see --help"},
		"and --once":             {[]string{good, "--once"}, "", "--preflight and --once: write one of them, and run the other one after it"},
		"and --config.check too": {[]string{good, "--config.check"}, "", "--preflight and --config.check: write one of them, and run the other one after it"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr output
			err := run(context.WithoutCancel(t.Context()), append(test.args, "--preflight"), &stdout, &stderr)
			if text := fmt.Sprint(err); err == nil && test.fail != "" || err != nil && text != test.fail {
				t.Errorf("error %v, want %s", err, test.fail)
			}
			if !strings.HasSuffix(stdout.String(), test.last) || (stdout.String() == "") != (test.last == "") {
				t.Errorf("want %s at the end of\n%s", test.last, &stdout)
			}
			if stderr.String() != "" {
				t.Errorf("the log says\n%s", &stderr)
			}
			if strings.Contains(stdout.String(), "\x1b") {
				t.Error("there are colours in what is no terminal")
			}
		})
	}
}

// The series that are told are as many as a scrape has.
func TestPreflightCountsWhatAScrapeHas(t *testing.T) {
	w, url := newWorld(t)
	for i := range 7 {
		w.Share(imageID, fmt.Sprintf("%032d", i))
	}
	text := fmt.Sprintf(configText, url) + "        expected_members: [" + memberID + ", 61c9216745884e7782dc16e5123a5fc0]\n    discover: [{}]\n"
	config := "--config.file=" + writeFile(t, "exporter.yml", text)
	var stdout output
	if err := run(t.Context(), []string{"--preflight", config}, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	_, page := startExporter(t, config).get(t, "/metrics")
	all := regexp.MustCompile(`(?m)^[a-z].*\n`).FindAllString(page, -1)
	clouds := regexp.MustCompile(`(?m)^glance_[a-z_]+\{cloud="prod".*\n`).FindAllString(page, -1)
	requests := regexp.MustCompile(`(?m)^glance_api_.*\n`).FindAllString(page, -1)
	for _, want := range []string{
		fmt.Sprintf("info  series      %d now\n", len(clouds)-len(requests)),
		fmt.Sprintf("info  /metrics    %d series: %d of prod, %d of the exporter process", len(all), len(clouds)-len(requests), len(all)-len(clouds)+len(requests)),
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
}
