//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// A daemon is a process of ours in a process group of its own. Its output goes to a file.
type daemon struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startDaemon starts a process. The caller says until when it lives.
func startDaemon(t testing.TB, dir, name string, argv ...string) *daemon {
	t.Helper()
	d := &daemon{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d.cmd = exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = dir, out, out
	d.cmd.Env = cleanEnv()
	// Pdeathsig ends the daemon even when the test process is killed and no cleanup runs.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // stop reports how it ended
		// The rest of the group too: workers that outlive their master. Later its number may be somebody else's.
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	}()
	return d
}

// endOfLog is how until begins the end of a log.
const endOfLog = "the end of"

// until stops the daemon, with all its children, when t ends. If t has failed by then, the end of its log is shown.
func (d *daemon) until(t testing.TB) *daemon {
	t.Cleanup(func() {
		d.stop(t)
		if t.Failed() {
			t.Logf("%s %s's log:\n%s", endOfLog, d.name, tail(d.log, 20))
		}
	})
	return d
}

// stop asks the daemon to end, insists after a while, and returns its exit code, -1 if it had to be killed.
func (d *daemon) stop(t testing.TB) int {
	t.Helper()
	d.signal(syscall.SIGTERM)
	d.thaw()
	return d.wait(t)
}

// wait waits for the end after a SIGTERM and returns the exit code. A second SIGTERM would end the exporter at once.
func (d *daemon) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-d.done:
	case <-time.After(15 * time.Second):
		t.Logf("%s did not end within 15 s after SIGTERM", d.name)
	}
	d.kill()
	return d.cmd.ProcessState.ExitCode()
}

// signal sends sig to the daemon's main process, if that is still there.
func (d *daemon) signal(sig os.Signal) { _ = d.cmd.Process.Signal(sig) }

// kill ends the daemon and its workers at once; they can put nothing in order.
func (d *daemon) kill() {
	d.signalAll(syscall.SIGKILL)
	<-d.done
}

// freeze stops the daemon and its workers without ending them, until thaw.
func (d *daemon) freeze() { d.signalAll(syscall.SIGSTOP) }
func (d *daemon) thaw()   { d.signalAll(syscall.SIGCONT) }

// signalAll sends sig to the daemon and its workers, unless it has ended.
func (d *daemon) signalAll(sig syscall.Signal) {
	select {
	case <-d.done:
	default:
		_ = syscall.Kill(-d.cmd.Process.Pid, sig)
	}
}

// await waits until url gives any HTTP answer.
func (d *daemon) await(t testing.TB, url string) {
	t.Helper()
	err := poll(time.Minute, func() error {
		select {
		case <-d.done:
			t.Fatalf("%s ended at its start; its log:\n%s", d.name, tail(d.log, 40))
		default:
		}
		_, _, err := get(url, nil)
		return err
	})
	if err != nil {
		t.Fatalf("%s does not answer at %s: %v; its log:\n%s", d.name, url, err, tail(d.log, 40))
	}
}

// ------------------------------------------------------------------------------------------------------------------

// run runs a program to its end and returns what it printed. It may be called from any goroutine.
func run(t testing.TB, argv ...string) (stdout, stderr string, exitCode int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errOut, cleanEnv()
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Errorf("running %s: %v", strings.Join(argv, " "), err)
		return "", "", -1
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// mustRun is run for a program that must not fail.
func mustRun(t testing.TB, argv ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, argv...)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(argv, " "), code, stdout, stderr)
	}
	return stdout
}

// cleanEnv is the environment without what could lead a daemon elsewhere: another cloud, a proxy, another Python.
func cleanEnv() []string {
	env := []string{"GORACE=atexit_sleep_ms=0"} // of the exporter's race detector; 1000 unless told
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		if strings.HasPrefix(upper, "OS_") || strings.HasPrefix(upper, "PYTHON") || strings.HasSuffix(upper, "_PROXY") ||
			upper == "VIRTUAL_ENV" {
			continue
		}
		env = append(env, kv)
	}
	return env
}

// freePort finds a port that nobody listens on, below those that the kernel gives to outgoing connections: a daemon that
// is away for a while must get its port back.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(5000)
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no free port between 10000 and 15000")
	return 0
}

// render writes testdata/name, filled with data, into dir.
func render(t testing.TB, dir, name string, data any) {
	t.Helper()
	tmpl, err := template.ParseFiles(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, name), b.String())
}

// writeFile writes a file that nobody ever sees half written.
func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// poll calls f until it returns nil, and returns its last error when the time is over.
func poll(patience time.Duration, f func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// get reads an address whole, whatever the status.
func get(url string, header http.Header) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
