package healthcheck_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/healthcheck"
	"glance_share_exporter/internal/tlstest"
	"glance_share_exporter/internal/web"
)

// flags are what the health check and the exporter are given.
type flags struct{ address, config, externalURL, routePrefix string }

func (f flags) toolkit() *toolkit.FlagConfig {
	addresses, socket := []string{f.address, "127.0.0.1:1"}, f.address == ""
	return &toolkit.FlagConfig{WebListenAddresses: &addresses, WebSystemdSocket: &socket, WebConfigFile: &f.config}
}

func (f flags) check(t *testing.T) (string, error) {
	t.Helper()
	var stdout strings.Builder
	err := healthcheck.Run(t.Context(), f.toolkit(), f.externalURL, f.routePrefix, &stdout)
	return stdout.String(), err
}

// serve serves the exporter's pages until the end of the test, and returns the address.
func (f flags) serve(t *testing.T) string {
	t.Helper()
	handler, err := web.New(web.Options{
		Clouds: func() ([]*collector.Cloud, func()) { return nil, func() {} }, Gatherer: prometheus.NewRegistry(), Logger: log.NewNopLogger(),
		ExternalURL: f.externalURL, RoutePrefix: f.routePrefix,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := web.Server(handler)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = toolkit.Serve(listener, server, f.toolkit(), slog.New(slog.DiscardHandler))
	}()
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + port
}

func TestHealthcheck(t *testing.T) {
	cert, key, _ := tlstest.SelfSigned(t)
	tls := fmt.Sprintf("cert_file: %s, key_file: %s", cert, key)
	config := func(text string) string {
		path := filepath.Join(t.TempDir(), "web.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mutual := func(more string) string {
		return config(fmt.Sprintf("tls_server_config: {%s, client_auth_type: RequireAndVerifyClientCert, client_ca_file: %s%s}\n",
			tls, tlstest.NewAuthority(t).File, more))
	}
	secure := config("tls_server_config: {" + tls + "}\n")
	password := config(fmt.Sprintf("basic_auth_users: {prometheus: %s}\n", tlstest.Bcrypt(t, "guess")))
	const (
		certificate = "https://ADDRESS/-/healthy: healthy (it asks for a client's certificate)\n"
		otherPrefix = "http://ADDRESS/-/healthy: not healthy: 404 Not Found: " +
			"give the --web.route-prefix or --web.external-url that the exporter has"
	)
	for name, test := range map[string]struct {
		serves flags
		asks   *flags // nil: what the exporter has
		want   string
		err    string
	}{
		"plain":        {want: "http://ADDRESS/-/healthy: healthy\n"},
		"route prefix": {serves: flags{routePrefix: "/glance"}, want: "http://ADDRESS/glance/-/healthy: healthy\n"},
		"external URL": {
			serves: flags{externalURL: "https://example.com/images/"}, want: "http://ADDRESS/images/-/healthy: healthy\n",
		},
		"TLS":                  {serves: flags{config: secure}, want: "https://ADDRESS/-/healthy: healthy\n"},
		"TLS without its file": {serves: flags{config: secure}, asks: &flags{}, want: "http://ADDRESS/-/healthy: healthy, by TLS\n"},
		"basic auth": {
			serves: flags{config: password}, want: "http://ADDRESS/-/healthy: healthy (it answers 401 Unauthorized)\n",
		},
		"client certificates":          {serves: flags{config: mutual("")}, want: certificate},
		"client certificates, TLS 1.3": {serves: flags{config: mutual(", min_version: TLS13")}, want: certificate},
		"client certificates, TLS 1.2": {serves: flags{config: mutual(", max_version: TLS12")}, want: certificate},
		"not the exporter's prefix":    {serves: flags{routePrefix: "/glance"}, asks: &flags{}, err: otherPrefix},
		"TLS where there is none": {
			asks: &flags{config: secure},
			err:  "https://ADDRESS/-/healthy: not healthy: http: server gave HTTP response to HTTPS client",
		},
		"the file of another start is gone": {
			asks: &flags{config: "nope.yml"}, err: "--web.config.file=nope.yml: open nope.yml: no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			asks := test.serves
			if test.asks != nil {
				asks = *test.asks
			}
			asks.address = test.serves.serve(t)
			got, err := asks.check(t)
			if want := strings.ReplaceAll(test.want, "ADDRESS", asks.address); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
			want := strings.ReplaceAll(test.err, "ADDRESS", asks.address)
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// Without a host, and with the one that stands for all of them, it is this machine that is asked.
func TestHealthcheckOfEveryAddress(t *testing.T) {
	_, port, err := net.SplitHostPort(flags{}.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	for listen, shown := range map[string]string{":": "localhost:", "0.0.0.0:": "0.0.0.0:", "localhost:": "localhost:"} {
		if got, err := (flags{address: listen + port}).check(t); err != nil || got != "http://"+shown+port+"/-/healthy: healthy\n" {
			t.Errorf("%s: %s %v", listen, got, err)
		}
	}
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
	const free = "--healthcheck: --web.listen-address=ADDRESS: must be a TCP address with a fixed port such as :10292, first of all"
	for name, test := range map[string]struct {
		flags flags
		err   string
	}{
		"nobody there": {
			flags{address: address(t, gone.URL)}, "http://ADDRESS/-/healthy: not healthy: dial tcp ADDRESS: connect: connection refused",
		},
		"somebody else": {
			flags{address: answer(200, "Hello.")},
			"http://ADDRESS/-/healthy: not healthy: 200 OK, but not by this program: give the --web.listen-address that the exporter has",
		},
		"in trouble":     {flags{address: answer(500, "Healthy.")}, "http://ADDRESS/-/healthy: not healthy: 500 Internal Server Error"},
		"sent elsewhere": {flags{address: address(t, redirect.URL)}, "http://ADDRESS/-/healthy: not healthy: 302 Found"},
		"systemd's": {
			flags{}, "--healthcheck: the address is not known, as with --web.systemd-socket it is systemd's: " +
				"leave that out and name it in --web.listen-address",
		},
		"a free port":      {flags{address: "127.0.0.1:0"}, free},
		"a virtual socket": {flags{address: "vsock://:9100"}, free},
		"no port":          {flags{address: "localhost"}, free},
		"no prefix":        {flags{address: ":10292", routePrefix: "{x}"}, "--web.route-prefix={x}: must be a path such as /glance"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.flags.check(t)
			if want := strings.ReplaceAll(test.err, "ADDRESS", test.flags.address); err == nil || err.Error() != want || got != "" {
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
	_, err = flags{address: at}.check(t)
	if want := "http://" + at + "/-/healthy: not healthy: no answer within 3s"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if took := time.Since(began); took < 3*time.Second || took > 9*time.Second {
		t.Errorf("it took %s", took)
	}
}
