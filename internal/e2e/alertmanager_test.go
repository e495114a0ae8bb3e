//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// alertmanager is a real Alertmanager with the configuration from dashboards, and everyone that it notifies.
type alertmanager struct {
	*daemon
	host string

	mu    sync.Mutex
	heard []notification
}

// A notification is what one webhook says of one alert.
type notification struct {
	at               time.Time
	receiver, Status string // Status: firing or resolved
	alert
}

// An alert is one in the words of webhooks and of Alertmanager's API.
type alert struct {
	Labels      labels
	Annotations labels
	StartsAt    time.Time
}

type labels = map[string]string

// startAlertmanager starts an Alertmanager that notifies a web server of the test's own, until t ends.
func startAlertmanager(t testing.TB) *alertmanager {
	t.Helper()
	dir := t.TempDir()
	a := &alertmanager{host: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	receivers := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = a.hear(t, body)
		}
		if err != nil {
			t.Errorf("a webhook: %v\n%s", err, body)
			rw.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(receivers.Close)
	writeFile(t, filepath.Join(dir, "alertmanager.yml"), shipped(t, "alertmanager.yml",
		`\burl: '[^']*'`, `url: '`+receivers.URL+`'`,
		`\b(group_wait|group_interval): [1-9][0-9]*[sm]`, `${1}: 1s`))
	a.daemon = startDaemon(t, dir, "alertmanager", alertmanagerPath, "--config.file="+filepath.Join(dir, "alertmanager.yml"),
		"--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+a.host, "--cluster.listen-address=").until(t)
	a.await(t, "http://"+a.host+"/-/ready")
	return a
}

// hear takes a webhook's body.
func (a *alertmanager) hear(t testing.TB, body []byte) error {
	var webhook struct {
		Receiver, Status string
		Alerts           []notification
	}
	if err := json.Unmarshal(body, &webhook); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, n := range webhook.Alerts {
		n.at, n.receiver = time.Now(), webhook.Receiver
		a.heard = append(a.heard, n)
		fmt.Fprintf(&b, "\n    %s since %s: %s", n.Status, n.StartsAt.Format(time.TimeOnly), n)
	}
	t.Logf("webhook to %s, %s:%s", webhook.Receiver, webhook.Status, b.String())
	return nil
}

// String is the alert as PromQL would select it, but without what is always the same here.
func (al alert) String() string {
	var labels []string
	for name, value := range al.Labels {
		if name != "alertname" {
			labels = append(labels, fmt.Sprintf("%s=%q", name, value))
		}
	}
	slices.Sort(labels)
	return al.Labels["alertname"] + "{" + strings.Join(labels, ", ") + "}"
}

// is says whether the alert has all those labels.
func (al alert) is(want labels) bool {
	for name, value := range want {
		if al.Labels[name] != value {
			return false
		}
	}
	return true
}

// told returns what was heard since a moment.
func (a *alertmanager) told(since time.Time) (told []notification) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.heard {
		if n.at.After(since) {
			told = append(told, n)
		}
	}
	return told
}

// tells waits until a receiver has heard that an alert is firing or resolved, since a moment.
func (a *alertmanager) tells(t testing.TB, since time.Time, receiver, status string, want labels) notification {
	t.Helper()
	var found notification
	err := poll(60*time.Second, func() error {
		for _, n := range a.told(since) {
			if n.receiver == receiver && n.Status == status && n.is(want) {
				found = n
				return nil
			}
		}
		return fmt.Errorf("%s has not heard that %s is %s", receiver, alert{Labels: want}, status)
	})
	if err != nil {
		t.Fatalf("after %s, %v; Alertmanager has %s", time.Since(since).Round(time.Second), err, a.state())
	}
	t.Logf("%s has heard that %s is %s (after %.1f s)", receiver, want["alertname"], status, found.at.Sub(since).Seconds())
	return found
}

// A known alert is one that Alertmanager has, whether it tells anyone or not.
type known struct {
	alert
	UpdatedAt time.Time
	Status    struct{ State string } // active or suppressed
}

// known returns what Alertmanager has.
func (a *alertmanager) known() (all []known, err error) {
	status, body, err := get("http://"+a.host+"/api/v2/alerts", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &all)
	}
	return all, err
}

// knows waits until Alertmanager has so many alerts in a state, all told by Prometheus since a moment.
func (a *alertmanager) knows(t testing.TB, since time.Time, count int, state string, want labels) {
	t.Helper()
	start := time.Now()
	err := poll(30*time.Second, func() error {
		all, err := a.known()
		n := 0
		for _, k := range all {
			if k.is(want) && k.Status.State == state && k.UpdatedAt.After(since) {
				n++
			}
		}
		if err == nil && n != count {
			err = fmt.Errorf("Alertmanager has %d %s, %s, want %d", n, alert{Labels: want}, state, count)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v; it has %s", err, a.state())
	}
	t.Logf("Alertmanager has %d %s, %s (after %.1f s)", count, want["alertname"], state, time.Since(start).Seconds())
}

// state is for people.
func (a *alertmanager) state() string {
	all, err := a.known()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, k := range all {
		fmt.Fprintf(&b, "\n    %s since %s: %s", k.Status.State, k.StartsAt.Format(time.TimeOnly), k)
	}
	return b.String()
}

// quickRules are the shipped rules with seconds for minutes.
func quickRules(t testing.TB) string {
	t.Helper()
	return shipped(t, "alerts.rules.yml", `(?m)^(\s+(?:for|keep_firing_for): \d+)m$`, `${1}s`, `(\[|offset )(\d+)m\b`, `${1}${2}s`)
}

// shipped returns a file of dashboards, with pairs of expression and replacement put to work. Each must find something.
func shipped(t testing.TB, name string, replacements ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "dashboards", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for pair := range slices.Chunk(replacements, 2) {
		expr := regexp.MustCompile(pair[0])
		if !expr.MatchString(text) {
			t.Fatalf("dashboards/%s has nothing that matches %s", name, pair[0])
		}
		text = expr.ReplaceAllString(text, pair[1])
	}
	return text
}
