package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/internal/fakecloud"
)

// A SIGHUP before the flags are read ends nothing.
func TestSIGHUPAtTheStart(t *testing.T) {
	_, url := newWorld(t)
	fifo := filepath.Join(t.TempDir(), "web.yml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	p := newProcess(t, 0, "--config.file="+file, "--web.config.file="+fifo)
	p.start(t)
	// The program reads its flags now, and waits for what is written here.
	web, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	time.Sleep(100 * time.Millisecond) // for what would end it
	if err := os.Remove(fifo); err != nil {
		t.Fatal(err)
	}
	writeFile(t, fifo, "{}\n") // which is read again later
	if _, err := io.WriteString(web, "{}\n"); err != nil {
		t.Fatal(err)
	}
	if err := web.Close(); err != nil {
		t.Fatal(err)
	}
	p.listen(t)
	if _, page := p.get(t, "/metrics"); !strings.Contains(page, `glance_up{cloud="prod"} 1`) {
		t.Errorf("it does not serve:\n%s", page)
	}
}

// The program goes on when nobody reads its log any more, as with "2>&1 | head -1".
func TestAClosedLogPipe(t *testing.T) {
	_, url := newWorld(t)
	file := writeFile(t, "exporter.yml", fmt.Sprintf(configText, url))
	p := newProcess(t, 0, "--config.file="+file, "--web.enable-lifecycle")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	p.start(t)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(reader); !strings.Contains(p.stderr.String(), "TLS is disabled") && lines.Scan(); {
		_, _ = fmt.Fprintln(p.stderr, lines.Text()) // in memory
	}
	p.listen(t)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.signal(t, syscall.SIGHUP) // the log has a line about it
		if status, body := post(t, p.program, "/-/reload"); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
		if _, page := p.get(t, "/metrics"); !strings.Contains(page, `glance_up{cloud="prod"} 1`) {
			t.Errorf("it does not serve:\n%s", page)
		}
	}
	p.client.CloseIdleConnections()
	p.signal(t, syscall.SIGTERM)
	if err := p.wait(t); err != nil {
		t.Error(err)
	}
}

// Who closes the pipe of --once needs no error message about it, but is told by the exit code.
func TestOnceIntoAClosedPipe(t *testing.T) {
	p := newProcess(t, 0, "--once", "--demo", "--log.level=error")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = writer
	p.start(t)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	err = p.wait(t)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 || p.stderr.String() != "" {
		t.Errorf("got %v\n%s", err, p.stderr)
	}
}

// hangingScrape starts the program and a scrape of it that hangs. The returned function waits for the scrape.
func hangingScrape(t *testing.T) (p *process, wait func() error) {
	t.Helper()
	w, url := newWorld(t)
	w.Inject(fakecloud.Fault{Hang: true, Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }})
	p = startProcess(t, 0, "--config.file="+writeFile(t, "exporter.yml", fmt.Sprintf(configText, url)))
	ended := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/metrics", nil)
		if err == nil {
			req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "60")
			var resp *http.Response
			if resp, err = p.client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		ended <- err
	}()
	waitFor(t, func() bool { return w.Count(fakecloud.OpListMembers) > 0 })
	return p, func() error { return <-ended }
}

// A scrape that hangs is not waited for until its own end, and makes no error of the program's end.
func TestSIGTERMWhileAScrapeHangs(t *testing.T) {
	p, wait := hangingScrape(t)
	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	if err := p.wait(t); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
	took := time.Since(began)
	t.Logf("ended after %s", took.Round(time.Millisecond))
	if took > 20*time.Second { // 5, on a machine that is busy with other things, too; see TestDrain for the exact time
		t.Errorf("ended after %s", took)
	}
	if err := wait(); err == nil {
		t.Error("the scrape was answered")
	}
}

func TestASecondSIGTERM(t *testing.T) {
	p, wait := hangingScrape(t)
	p.signal(t, syscall.SIGTERM)
	waitFor(t, func() bool { return strings.Contains(p.stderr.String(), "msg=stopping") })
	p.signal(t, syscall.SIGTERM)
	err := p.wait(t)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || strings.Contains(p.stderr.String(), "msg=stopped") {
		t.Errorf("got %v\n%s", err, p.stderr)
	}
	if err := wait(); err == nil {
		t.Error("the scrape was answered")
	}
}

// memoryListener accepts connections that are made in memory.
type memoryListener struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.connections:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.IPAddr{} }

// dial returns a connection, or an error where nobody accepts one any more.
func (l *memoryListener) dial() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.connections <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// After the signal no request is answered any more, those at work get 5 s, and the program ends without an error.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &memoryListener{connections: make(chan net.Conn), closed: make(chan struct{})}
		canceled := make(chan time.Time, 1)
		server := &http.Server{ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/short":
				time.Sleep(2 * time.Second)
			case "/long":
				<-r.Context().Done()
				canceled <- time.Now()
			}
			_, _ = io.WriteString(w, "a page")
		})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- serve(ctx, server, func() error { return server.Serve(listener) }, events{}, log.NewNopLogger())
		}()
		ask := func(conn net.Conn, path string) (int, error) {
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: exporter\r\n\r\n", path); err != nil {
				return 0, err
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return resp.StatusCode, err
		}
		var conns []net.Conn
		for range 4 {
			conn, err := listener.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns = append(conns, conn)
		}
		if status, err := ask(conns[0], "/"); status != http.StatusOK {
			t.Fatal(status, err)
		}
		var requests sync.WaitGroup
		requests.Go(func() {
			if status, err := ask(conns[1], "/short"); status != http.StatusOK || err != nil {
				t.Errorf("a short request at work: %d, %v", status, err)
			}
		})
		requests.Go(func() {
			if status, err := ask(conns[2], "/long"); err == nil {
				t.Errorf("a long request at work: %d", status)
			}
		})
		synctest.Wait()
		began := time.Now()
		cancel()
		synctest.Wait()
		if _, err := listener.dial(); err == nil {
			t.Error("a new connection is accepted")
		}
		if status, err := ask(conns[3], "/"); err == nil {
			t.Errorf("a new request on an old connection: %d", status)
		}
		if err := <-ended; err != nil || time.Since(began) != drainTimeout {
			t.Errorf("ended after %s: %v", time.Since(began), err)
		}
		if at := <-canceled; at.Sub(began) != drainTimeout {
			t.Errorf("canceled after %s", at.Sub(began))
		}
		requests.Wait()
	})
}
