package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"gopkg.in/yaml.v3"

	"glance_share_exporter/internal/web"
)

// healthcheckTimeout is short, as whoever restarts what does not answer waits for it.
const healthcheckTimeout = 3 * time.Second

// healthcheck asks the exporter that runs with these flags whether it serves, and prints a line if it does. It looks for
// a sign of life and nothing else. So it sends no password, and takes a refusal by the server's own rules (401, 429, a demand for a
// client's certificate) for the answer that it is: nobody else gives it.
func healthcheck(ctx context.Context, f *flags, stdout io.Writer) error {
	address := (*f.toolkit.WebListenAddresses)[0]
	if *f.toolkit.WebSystemdSocket {
		return errors.New("--healthcheck: the address is not known, as with --web.systemd-socket it is systemd's: leave that out and name it in --web.listen-address")
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "0" || strings.HasPrefix(address, "vsock://") {
		return fmt.Errorf("--healthcheck: --web.listen-address=%s: must be a TCP address with a fixed port such as :10292, first of all", address)
	}
	path, err := web.HealthPath(f.externalURL, f.routePrefix)
	if err != nil {
		return err
	}
	secure, err := servesTLS(*f.toolkit.WebConfigFile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	url := "http://" + localAddress(f) + path
	if secure {
		url = "https://" + localAddress(f) + path
	}
	said, err := askHealth(ctx, address, url)
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer within %s", healthcheckTimeout)
	}
	if err != nil {
		return fmt.Errorf("%s: not healthy: %w", url, err)
	}
	_, err = fmt.Fprintf(stdout, "%s: %s\n", url, said)
	return err
}

// servesTLS reports whether exporter-toolkit's file makes the server speak TLS.
func servesTLS(file string) (bool, error) {
	if file == "" {
		return false, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("--web.config.file: %w", err)
	}
	var config struct {
		TLS toolkit.TLSConfig `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return false, webConfigError(file, err)
	}
	return config.TLS.IsEnabled(), nil
}

// askHealth asks once, and once more by TLS where a server without --web.config.file turns out to speak it: an image's HEALTHCHECK
// does not know the flags that the container was started with. address may lack a host, which is this one then.
func askHealth(ctx context.Context, address, url string) (string, error) {
	var asked atomic.Bool // for a client's certificate
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		// Nothing is told to the other side and nothing of it believed but that it answers; and the certificate is for the
		// name by which Prometheus knows it, not for a loopback address.
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked.Store(true) // its half of the handshake is done
				return &tls.Certificate{}, nil
			},
		},
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		if asked.Load() && ctx.Err() == nil {
			return "healthy (it asks for a client's certificate)", nil
		}
		return "", errors.Unwrap(err) // without the URL once more
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	switch {
	case resp.StatusCode == http.StatusOK && text == "Healthy.":
		return "healthy", nil
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Sprintf("healthy (it answers %s)", resp.Status), nil
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(text, "HTTP request to an HTTPS server"):
		said, err := askHealth(ctx, address, strings.Replace(url, "http:", "https:", 1))
		return said + ", by TLS", err
	case resp.StatusCode == http.StatusNotFound:
		return "", errors.New("404 Not Found: give the --web.route-prefix or --web.external-url that the exporter has")
	case resp.StatusCode == http.StatusOK:
		return "", errors.New("200 OK, but not by this program: give the --web.listen-address that the exporter has")
	default:
		return "", errors.New(resp.Status)
	}
}
