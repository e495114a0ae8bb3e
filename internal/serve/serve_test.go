package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
)

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
			opts := Options{Logger: log.NewNopLogger()}
			ended <- opts.serve(ctx, server, func() error { return server.Serve(listener) }, nil)
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

// A reload that hangs holds up neither the end nor, once it returned, the next reload.
func TestReloadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &http.Server{ReadHeaderTimeout: time.Minute}
		shut := make(chan struct{})
		server.RegisterOnShutdown(func() { close(shut) })
		hup, check := make(chan os.Signal, 1), make(chan time.Time, 1)
		var mu sync.Mutex
		var did []string
		note := func(what string) int {
			mu.Lock()
			defer mu.Unlock()
			did = append(did, what)
			return len(did)
		}
		opts := Options{
			Logger: log.NewNopLogger(), HUP: hup,
			Reload: func(ctx context.Context) error {
				note("reload")
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				return ctx.Err()
			},
			ReloadIfChanged: func(context.Context) (time.Duration, error) {
				return time.Duration(2-note("check")) * time.Second, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- opts.serve(ctx, server, func() error { <-shut; return http.ErrServerClosed }, check)
		}()
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(did, want) {
				t.Errorf("got %q, want %q", did, want)
			}
		}
		check <- time.Now()
		expect("check")
		time.Sleep(time.Second) // it asked for another one
		expect("check", "check")
		hup <- syscall.SIGHUP
		expect("check", "check", "reload")
		hup <- syscall.SIGHUP // waits for its turn
		expect("check", "check", "reload")
		time.Sleep(time.Minute)
		expect("check", "check", "reload", "reload")

		began := time.Now()
		cancel()
		if err := <-ended; err != nil || time.Since(began) > time.Second {
			t.Errorf("ended after %s: %v", time.Since(began), err)
		}
	})
}
