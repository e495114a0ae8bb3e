package exporter_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/exporter"
)

// reloads is a runtime of a file that is written again and again, in a bubble of synctest.
type reloads struct {
	t       *testing.T
	file    string
	runtime *exporter.Runtime
	loads   int
	before  func() // called before a load
	after   func() // called after a load
}

const steadyCloud = "clouds:\n  - {name: steady, auth: {none: {project_id: edc8}}, endpoint: 'https://image.example.com', discover: [{}]}\n"

func newReloads(t *testing.T, text string) *reloads {
	t.Helper()
	cleanEnv(t)
	nothing := func() {}
	r := &reloads{t: t, file: filepath.Join(t.TempDir(), "exporter.yml"), before: nothing, after: nothing}
	write(t, r.file, text)
	load := func() (*config.Config, error) {
		r.before()
		c, err := config.Load(r.file)
		r.after()
		r.loads++
		return c, err
	}
	var err error
	r.runtime, err = exporter.NewRuntime(t.Context(),
		exporter.RuntimeOptions{Load: load, API: collector.NewAPIMetrics(), Logger: log.NewNopLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.runtime.Close)
	r.loads = 0
	return r
}

// check calls ReloadIfChanged and reports whether it asks for another check.
func (r *reloads) check(wantErr string) (wait time.Duration) {
	r.t.Helper()
	wait, err := r.runtime.ReloadIfChanged(r.t.Context())
	if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
		r.t.Errorf("got %v, want %q", err, wantErr)
	}
	return wait
}

// settle checks until nothing is pending, and expects as many loads.
func (r *reloads) settle(loads int, wantErr string) {
	r.t.Helper()
	before := r.loads
	for range 10 {
		wait, err := r.runtime.ReloadIfChanged(r.t.Context())
		if err != nil && (wantErr == "" || !strings.Contains(err.Error(), wantErr)) || err == nil && wait == 0 && wantErr != "" {
			r.t.Errorf("got %v, want %q", err, wantErr)
		}
		if wait == 0 {
			break
		}
		time.Sleep(wait)
	}
	if got := r.loads - before; got != loads {
		r.t.Errorf("%d loads, want %d", got, loads)
	}
	r.check("")
	if got := r.loads - before; got != loads {
		r.t.Errorf("%d loads after another check, want %d", got, loads)
	}
}

func (r *reloads) expect(clouds ...string) {
	r.t.Helper()
	var names []string
	running, release := r.runtime.Clouds()
	defer release()
	for _, c := range running {
		names = append(names, c.Name())
	}
	if !slices.Equal(names, clouds) {
		r.t.Errorf("clouds %q, want %q", names, clouds)
	}
}

func (r *reloads) successful() float64 {
	r.t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.runtime)
	families, err := registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "glance_exporter_config_last_reload_successful" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	r.t.Fatal("no glance_exporter_config_last_reload_successful")
	return 0
}

func TestReloadIfChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloads(t, steadyCloud)
		secret := filepath.Join(filepath.Dir(r.file), "password")
		r.settle(0, "")
		write(t, r.file, steadyCloud) // the same text
		r.settle(0, "")

		// A change is loaded at the second look, which is at least a second later.
		write(t, r.file, strings.ReplaceAll(steadyCloud, "steady", "other"))
		for range 4 {
			if wait := r.check(""); wait <= 0 || r.loads > 0 {
				t.Errorf("waits %s, %d loads", wait, r.loads)
			}
			time.Sleep(240 * time.Millisecond)
		}
		time.Sleep(r.check(""))
		r.settle(1, "")
		r.expect("other")

		// One that is taken back is not loaded at all, and if it is made again, there are two looks again.
		write(t, r.file, steadyCloud)
		r.check("")
		write(t, r.file, strings.ReplaceAll(steadyCloud, "steady", "other"))
		time.Sleep(time.Minute)
		r.settle(0, "")
		write(t, r.file, steadyCloud)
		r.check("")
		r.expect("other")

		// SIGHUP and /-/reload load at once, and what they loaded is no change.
		write(t, r.file, steadyCloud)
		if err := r.runtime.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.expect("steady")
		r.settle(0, "")

		// A secret's file is watched even before it exists. A bad configuration is refused once.
		auth := "password: {auth_url: 'https://keystone.example.com/v3', username: a, user_domain_name: b, project_name: c, password_file: password}"
		write(t, r.file, strings.Replace(steadyCloud, "none: {project_id: edc8}", auth, 1))
		r.settle(2, "no such file") // the first one tells which file belongs to it
		write(t, secret, "hunter2\n")
		r.settle(1, "")
		write(t, secret, "hunter3\n")
		r.settle(1, "")
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
		r.settle(1, "no such file")
		if got := r.successful(); got != 0 {
			t.Errorf("successful: %v", got)
		}
		write(t, r.file, steadyCloud)
		r.settle(1, "")
		if got := r.successful(); got != 1 {
			t.Errorf("successful: %v", got)
		}
		r.expect("steady")
	})
}

// Each of the first lines of this file is a valid configuration.
func TestHalfWrittenFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var whole []string
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			whole = append(whole, strings.TrimPrefix(strings.ReplaceAll(steadyCloud, "steady", name), "clouds:\n"))
		}
		r := newReloads(t, steadyCloud)
		for i := range whole {
			write(t, r.file, "clouds:\n"+strings.Join(whole[:i+1], ""))
			for range 2 { // as with an interval that is shorter than a second
				r.check("")
				time.Sleep(400 * time.Millisecond)
			}
			r.expect("steady")
		}
		if r.loads != 0 {
			t.Errorf("half a file was loaded %d times", r.loads)
		}
		r.settle(1, "")
		r.expect("a", "b", "c", "d", "e", "f")

		// As with a long interval: each look finds something else.
		for i := range whole {
			write(t, r.file, "clouds:\n"+strings.Join(whole[i:], "")+"# again\n")
			r.check("")
			time.Sleep(time.Minute)
		}
		r.expect("a", "b", "c", "d", "e", "f")
		r.settle(1, "")
		r.expect("f")
	})
}

// A file that the new configuration names for the first time may be half-written, too.
func TestHalfWrittenSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloads(t, steadyCloud)
		token := filepath.Join(filepath.Dir(r.file), "clouds.yaml")
		entry := "  %: {region_name: %, auth: {auth_url: 'https://keystone.example.com/v3', username: a, password: b, project_name: c, " +
			"user_domain_name: d}}\n"
		half := "clouds:\n" + strings.ReplaceAll(entry, "%", "one")
		write(t, token, half)
		write(t, r.file, "clouds:\n  - {name: one, auth: {clouds_yaml: {file: clouds.yaml, cloud: one}}, discover: [{}]}\n")
		time.Sleep(r.check(""))
		time.Sleep(r.check("")) // exporter.yml is stable, and it names clouds.yaml
		write(t, token, strings.ReplaceAll(half, "region_name: one", "region_name: two"))
		time.Sleep(r.check(""))
		r.expect("steady")
		r.settle(1, "")
		r.expect("one")
		if text, err := r.runtime.Redacted(); err != nil || !strings.Contains(string(text), "region: two") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// What is applied is what was looked at twice.
func TestFileThatChangesDuringTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := func(name string) string { return strings.ReplaceAll(steadyCloud, "steady", name) }
		r := newReloads(t, steadyCloud)
		for name, change := range map[string]*func(){"before": &r.before, "after": &r.after} {
			r.before, r.after = func() {}, func() {}
			*change = func() { write(t, r.file, text("third")) }
			write(t, r.file, text("second"))
			time.Sleep(r.check(""))
			if wait := r.check(""); wait == 0 || r.loads == 0 {
				t.Errorf("%s: waits %s, %d loads", name, wait, r.loads)
			}
			r.expect("steady")
			r.before, r.after = func() {}, func() {}
			time.Sleep(time.Second)
			r.settle(1, "")
			r.expect("third")

			// A mistake in something that is being written is not reported.
			write(t, r.file, "clouds: []\n")
			*change = func() { write(t, r.file, steadyCloud) }
			time.Sleep(r.check(""))
			r.check("")
			time.Sleep(time.Second)
			r.settle(1, "")
			r.expect("steady")
			r.loads = 0
		}

		// Reload applies it at once, and what changed meanwhile is seen at the next looks.
		for _, change := range []*func(){&r.before, &r.after} {
			r.before, r.after = func() {}, func() {}
			*change = func() { write(t, r.file, text("third")) }
			write(t, r.file, text("second"))
			if err := r.runtime.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.before, r.after = func() {}, func() {}
			r.settle(1, "")
			r.expect("third")
		}
	})
}

func TestReloadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloads(t, steadyCloud)
		hang := make(chan struct{})
		r.after = func() { <-hang }
		write(t, r.file, strings.ReplaceAll(steadyCloud, "steady", "other"))
		const want = "reading the configuration: not finished within 10s: check the file system"
		for range 2 { // the second one waits for the first one
			began := time.Now()
			if err := r.runtime.Reload(t.Context()); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("it took %s", took)
			}
		}
		if got := r.successful(); got != 0 {
			t.Errorf("successful: %v", got)
		}
		r.check("") // does not wait, and says nothing more
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if err := r.runtime.Reload(ctx); err == nil || time.Since(began) != time.Second {
			t.Errorf("after the end: %v, %s", err, time.Since(began))
		}

		close(hang)
		synctest.Wait()
		r.expect("steady") // it is too late for that one
		r.after = func() {}
		r.settle(1, "")
		r.expect("other")
		if got := r.successful(); got != 1 {
			t.Errorf("successful: %v", got)
		}
	})
}

func TestCloseWhileAReloadHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloads(t, steadyCloud)
		hang, ended := make(chan struct{}), make(chan error, 1)
		r.after = func() { <-hang }
		go func() { ended <- r.runtime.Reload(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		r.runtime.Close()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
		close(hang)
		if err := <-ended; err == nil || err.Error() != "the runtime is closed" {
			t.Error(err)
		}
	})
}

func TestIrregularFiles(t *testing.T) {
	cleanEnv(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	reading, writing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	defer writing.Close()
	write(t, at("large.yml"), steadyCloud+strings.Repeat("#", 16<<20))
	write(t, at("good.yml"), steadyCloud)
	for link, to := range map[string]string{"..data": ".", "link.yml": "..data/good.yml", "link-to-fifo": "fifo"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("clouds-fifo.yml"), "clouds:\n  - {name: one, auth: {clouds_yaml: {file: clouds.yaml, cloud: one}}, discover: [{}]}\n")
	write(t, at("clouds.yaml"), "clouds: {one: {}}\n")
	if err := syscall.Mkfifo(at("secure.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	const instead = ": write the configuration into a file, and name that with --config.file"
	for path, want := range map[string]string{
		at("fifo"):         ": is a pipe, not a regular file" + instead,
		at("link-to-fifo"): ": is a pipe, not a regular file" + instead,
		"/dev/fd/" + strconv.Itoa(int(reading.Fd())): ": is a pipe, not a regular file" + instead, // --config.file=<(command)
		at("socket"):    ": is a socket, not a regular file" + instead,
		"/dev/zero":     ": is a device, not a regular file" + instead,
		dir:             ": is a directory" + instead,
		at("large.yml"): ": has more than 16 MiB: use discover instead of a list of images, or split it between several exporters",
		at("clouds-fifo.yml"): ":2: clouds[0].auth.clouds_yaml: " + at("secure.yaml") +
			" is a pipe, not a regular file: name a regular file of at most 16 MiB",
		at("good.yml"): "",
		at("link.yml"): "",
	} {
		_, err := config.Load(path)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != path+want) {
			t.Errorf("got  %v\nwant %s%s", err, path, want)
		}
	}
}

// cleanEnv removes what would be read from the environment.
func cleanEnv(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each load logs its warnings once.
func TestReloadLogsWarnings(t *testing.T) {
	cleanEnv(t)
	file := filepath.Join(t.TempDir(), "exporter.yml")
	write(t, file, steadyCloud)
	var logged strings.Builder
	r, err := exporter.NewRuntime(t.Context(), exporter.RuntimeOptions{
		Load: func() (*config.Config, error) { return config.Load(file) }, API: collector.NewAPIMetrics(), Logger: log.NewLogfmtLogger(&logged),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for loads := 1; loads <= 2; loads++ {
		const warning = `level=warn msg="the configuration may have a mistake" warning="`
		if got := strings.Count(logged.String(), warning+file+":2: clouds[0].auth.none.project_id: edc8 is not"); got != loads {
			t.Errorf("%d warnings after %d loads:\n%s", got, loads, logged.String())
		}
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
