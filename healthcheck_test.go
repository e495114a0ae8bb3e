package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// check runs the health check with these flags and returns what it prints.
func check(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr output
	err := run(t.Context(), append([]string{"--healthcheck"}, args...), &stdout, &stderr)
	if stderr.String() != "" {
		t.Errorf("more than the one line: %s", stderr.String())
	}
	return stdout.String(), err
}

// address returns the address of a URL.
func address(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestHealthcheck(t *testing.T) {
	_, cloud := newWorld(t)
	config := "--config.file=" + writeFile(t, "exporter.yml", fmt.Sprintf(configText, cloud))
	cert, key, _ := selfSigned(t)
	tls := fmt.Sprintf("cert_file: %s, key_file: %s", cert, key)
	web := func(text string) string { return "--web.config.file=" + writeFile(t, "web.yml", text) }
	secure := web("tls_server_config: {" + tls + "}\n")
	mutual := web(fmt.Sprintf("tls_server_config: {%s, client_auth_type: RequireAndVerifyClientCert, client_ca_file: %s}\n", tls, newAuthority(t).file))
	mutual13 := web(fmt.Sprintf("tls_server_config: {%s, min_version: TLS13, client_auth_type: RequireAndVerifyClientCert, client_ca_file: %s}\n", tls, newAuthority(t).file))
	mutual12 := web(fmt.Sprintf("tls_server_config: {%s, max_version: TLS12, client_auth_type: RequireAndVerifyClientCert, client_ca_file: %s}\n", tls, newAuthority(t).file))
	password := web(fmt.Sprintf("basic_auth_users: {prometheus: %s}\n", bcryptOf(t, "guess")))
	tests := []struct {
		name   string
		serves []string
		asks   []string // what is added to the address; nil: what the exporter has
		want   string
		err    string
	}{
		{name: "plain", want: "http://ADDRESS/-/healthy: healthy\n"},
		{name: "route prefix", serves: []string{"--web.route-prefix=/glance"}, want: "http://ADDRESS/glance/-/healthy: healthy\n"},
		{name: "external URL", serves: []string{"--web.external-url=https://example.com/images/"}, want: "http://ADDRESS/images/-/healthy: healthy\n"},
		{name: "another metrics path", serves: []string{"--web.telemetry-path=/m"}, want: "http://ADDRESS/-/healthy: healthy\n"},
		{name: "TLS", serves: []string{secure}, want: "https://ADDRESS/-/healthy: healthy\n"},
		{name: "TLS without its file", serves: []string{secure}, asks: []string{}, want: "http://ADDRESS/-/healthy: healthy, by TLS\n"},
		{name: "basic auth", serves: []string{password}, want: "http://ADDRESS/-/healthy: healthy (it answers 401 Unauthorized)\n"},
		{name: "clients' certificates", serves: []string{mutual}, want: "https://ADDRESS/-/healthy: healthy (it asks for a client's certificate)\n"},
		{name: "clients' certificates, TLS 1.3", serves: []string{mutual13}, want: "https://ADDRESS/-/healthy: healthy (it asks for a client's certificate)\n"},
		{name: "clients' certificates, TLS 1.2", serves: []string{mutual12}, want: "https://ADDRESS/-/healthy: healthy (it asks for a client's certificate)\n"},
		{
			name: "not the exporter's prefix", serves: []string{"--web.route-prefix=/glance"}, asks: []string{},
			err: "http://ADDRESS/-/healthy: not healthy: 404 Not Found: give the --web.route-prefix or --web.external-url that the exporter has",
		},
		{
			name: "TLS where there is none", asks: []string{secure},
			err: "https://ADDRESS/-/healthy: not healthy: http: server gave HTTP response to HTTPS client",
		},
		{name: "the file of another start is gone", asks: []string{"--web.config.file=nope.yml"}, err: "--web.config.file=nope.yml: open nope.yml: no such file or directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := startExporter(t, append(test.serves, config)...)
			at := address(t, e.url)
			asks := test.asks
			if asks == nil {
				asks = test.serves
			}
			got, err := check(t, append(asks, "--web.listen-address="+at, "--web.listen-address=127.0.0.1:1")...)
			if want := strings.ReplaceAll(test.want, "ADDRESS", at); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
			if want := strings.ReplaceAll(test.err, "ADDRESS", at); want != "" && (err == nil || err.Error() != want) || want == "" && err != nil {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// Without a host, and with the one that stands for all of them, it is this machine that is asked.
func TestHealthcheckOfEveryAddress(t *testing.T) {
	_, cloud := newWorld(t)
	e := startExporter(t, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, cloud)))
	_, port, err := net.SplitHostPort(address(t, e.url))
	if err != nil {
		t.Fatal(err)
	}
	for listen, shown := range map[string]string{":" + port: "localhost:" + port, "0.0.0.0:" + port: "0.0.0.0:" + port, "localhost:" + port: "localhost:" + port} {
		if got, err := check(t, "--web.listen-address="+listen); err != nil || got != "http://"+shown+"/-/healthy: healthy\n" {
			t.Errorf("%s: %s %v", listen, got, err)
		}
	}
}

func TestHealthcheckFails(t *testing.T) {
	answer := func(status int, text string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(server.Close)
		return address(t, server.URL)
	}
	redirect := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	t.Cleanup(redirect.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"nobody there":     {[]string{"--web.listen-address=" + address(t, gone.URL)}, "http://ADDRESS/-/healthy: not healthy: dial tcp ADDRESS: connect: connection refused"},
		"somebody else":    {[]string{"--web.listen-address=" + answer(200, "Hello.")}, "http://ADDRESS/-/healthy: not healthy: 200 OK, but not by this program: give the --web.listen-address that the exporter has"},
		"in trouble":       {[]string{"--web.listen-address=" + answer(500, "Healthy.")}, "http://ADDRESS/-/healthy: not healthy: 500 Internal Server Error"},
		"sent elsewhere":   {[]string{"--web.listen-address=" + address(t, redirect.URL)}, "http://ADDRESS/-/healthy: not healthy: 302 Found"},
		"systemd's":        {[]string{"--web.systemd-socket"}, "--healthcheck: the address is not known, as with --web.systemd-socket it is systemd's: leave that out and name it in --web.listen-address"},
		"a free port":      {[]string{"--web.listen-address=127.0.0.1:0"}, "--healthcheck: --web.listen-address=ADDRESS: must be a TCP address with a fixed port such as :10292, first of all"},
		"a virtual socket": {[]string{"--web.listen-address=vsock://:9100"}, "--healthcheck: --web.listen-address=ADDRESS: must be a TCP address with a fixed port such as :10292, first of all"},
		"no port":          {[]string{"--web.listen-address=localhost"}, "--healthcheck: --web.listen-address=ADDRESS: must be a TCP address with a fixed port such as :10292, first of all"},
		"no prefix":        {[]string{"--web.route-prefix={x}"}, "--web.route-prefix={x}: must be a path such as /glance"},
	} {
		t.Run(name, func(t *testing.T) {
			_, at, _ := strings.Cut(test.args[0], "=")
			got, err := check(t, test.args...)
			if want := strings.ReplaceAll(test.err, "ADDRESS", at); err == nil || err.Error() != want || got != "" {
				t.Errorf("got  %v %s\nwant %s", err, got, want)
			}
		})
	}
}

// What accepts and says no more is as dead as what does not accept.
func TestHealthcheckOfWhatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // the kernel accepts, and nobody else does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	at, began := listener.Addr().String(), time.Now()
	_, err = check(t, "--web.listen-address="+at)
	if want := "http://" + at + "/-/healthy: not healthy: no answer within 3s"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if took := time.Since(began); took < healthcheckTimeout || took > 3*healthcheckTimeout {
		t.Errorf("it took %s", took)
	}
}

// Against the program as it is installed, by itself: exit codes.
func TestHealthcheckExits(t *testing.T) {
	p := startProcess(t, 0, "--demo")
	for listen, want := range map[string]int{address(t, p.url): 0, "127.0.0.1:1": 1} {
		if _, got := command(t, "--healthcheck", "--web.listen-address="+listen); got != want {
			t.Errorf("%s: exit %d, want %d", listen, got, want)
		}
	}
}
