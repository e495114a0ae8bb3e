// Package healthcheck asks a running exporter whether it serves.
package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"glance_share_exporter/internal/serve"
	"glance_share_exporter/internal/web"
)

// timeout is short: whoever restarts a program that does not answer waits for it.
const timeout = 3 * time.Second

// Run asks the exporter with these flags whether it serves, and prints a line if it does. It looks for a sign of life and
// nothing else. So it sends no password, and a refusal by the server's own rules is an answer too: 401, 429, or a demand for
// a client's certificate.
func Run(ctx context.Context, flags *toolkit.FlagConfig, externalURL, routePrefix string, stdout io.Writer) error {
	address := (*flags.WebListenAddresses)[0]
	if *flags.WebSystemdSocket {
		return errors.New("--healthcheck: the address is not known, as with --web.systemd-socket it is systemd's: " +
			"leave that out and name it in --web.listen-address")
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "0" || strings.HasPrefix(address, "vsock://") {
		return fmt.Errorf("--healthcheck: --web.listen-address=%s: must be a TCP address with a fixed port such as :10292, first of all", address)
	}
	path, err := web.HealthPath(externalURL, routePrefix)
	if err != nil {
		return err
	}
	scheme := "http"
	if tls, err := serve.UsesTLS(*flags.WebConfigFile); err != nil {
		return err
	} else if tls {
		scheme = "https"
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	url := scheme + "://" + serve.LocalAddress(flags) + path
	answer, err := ask(ctx, address, url)
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer within %s", timeout)
	}
	if err != nil {
		return fmt.Errorf("%s: not healthy: %w", url, err)
	}
	_, err = fmt.Fprintf(stdout, "%s: %s\n", url, answer)
	return err
}

// ask requests url from address, which may have no host: this machine. It asks again by TLS where a server turns out to use it
// although --web.config.file is not given: an image's HEALTHCHECK does not know the flags of the container.
func ask(ctx context.Context, address, url string) (string, error) {
	var wantsCertificate atomic.Bool
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		// The answer is trusted with nothing, and no secret is sent. The certificate is for the name that Prometheus uses, not
		// for a loopback address.
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				wantsCertificate.Store(true) // The server's half of the handshake is done.
				return &tls.Certificate{}, nil
			},
		},
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		if wantsCertificate.Load() && ctx.Err() == nil {
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
		answer, err := ask(ctx, address, strings.Replace(url, "http:", "https:", 1))
		return answer + ", by TLS", err
	case resp.StatusCode == http.StatusNotFound:
		return "", errors.New("404 Not Found: give the --web.route-prefix or --web.external-url that the exporter has")
	case resp.StatusCode == http.StatusOK:
		return "", errors.New("200 OK, but not by this program: give the --web.listen-address that the exporter has")
	default:
		return "", errors.New(resp.Status)
	}
}
