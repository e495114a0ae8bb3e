//go:build e2e

package e2e

import (
	"context"
	"io"
	"net"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

// A wire carries connections to a server, well or badly, and sees the tokens on it.
type wire struct {
	addr, target string
	listener     net.Listener
	done         context.Context
	work         sync.WaitGroup

	mu        sync.Mutex
	delay     time.Duration // of each piece of an answer
	breaks    int           // after so many bytes of answers a connection ends; 0: never
	seenToken []string
}

// newWire lays a wire to a host and port, until t ends.
func newWire(t testing.TB, target string) *wire {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String(), target: target, listener: l, done: ctx}
	w.work.Go(w.accept)
	t.Cleanup(func() {
		cancel()
		l.Close()
		w.work.Wait()
	})
	return w
}

// set makes the wire bad, or good with two zeros.
func (w *wire) set(delay time.Duration, breaks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.breaks = delay, breaks
}

// tokens returns those that were sent to the server, the last one last.
func (w *wire) tokens() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seenToken)
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.work.Go(func() { w.carry(client.(*net.TCPConn)) })
	}
}

// carry carries a connection until one side ends it.
func (w *wire) carry(client *net.TCPConn) {
	defer client.Close()
	c, err := (&net.Dialer{Timeout: time.Minute}).DialContext(w.done, "tcp", w.target)
	if err != nil {
		_ = client.SetLinger(0) // a reset, not an end
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	stop := context.AfterFunc(w.done, func() {
		client.Close()
		server.Close()
	})
	defer stop()
	w.work.Go(func() {
		defer server.Close()
		_, _ = io.Copy(io.MultiWriter(server, tokenWatcher{w}), client)
	})
	piece, carried := make([]byte, 200), 0
	for {
		n, err := server.Read(piece)
		w.mu.Lock()
		delay, breaks := w.delay, w.breaks
		w.mu.Unlock()
		if carried += n; breaks > 0 && carried > breaks {
			_ = client.SetLinger(0)
			return
		}
		if delay > 0 && n > 0 {
			pause(w.done, delay)
		}
		if _, writeErr := client.Write(piece[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// tokenWatcher notes the tokens in what is written to it, each piece of which has whole header lines, or none.
type tokenWatcher struct{ *wire }

var tokenHeader = regexp.MustCompile(`\r\nX-Auth-Token: (\S+)\r\n`)

func (w tokenWatcher) Write(p []byte) (int, error) {
	if m := tokenHeader.FindSubmatch(p); m != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if token := string(m[1]); !slices.Contains(w.seenToken, token) {
			w.seenToken = append(w.seenToken, token)
		}
	}
	return len(p), nil
}
