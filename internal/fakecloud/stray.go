package fakecloud

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// RawJSON is a whole response over HTTP/1.1 with status 200, as Fault.Stray takes it.
func RawJSON(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// sendStray sends the answer and behind it another that nobody asked for. It reports false where the connection can't
// be taken over. The connection stays open until the client closes it or sends its next request, to which the stray
// response is the answer for a client that doesn't notice.
func (a answer) sendStray(w http.ResponseWriter, method string, stray []byte) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	header := a.header.Clone()
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	if method != http.MethodHead {
		b.Write(a.body)
	}
	b.Write(stray)
	_, _ = conn.Write(b.Bytes()) // a client that is gone is no concern of ours
	go func() {
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = conn.Read(make([]byte, 1))
	}()
	return true
}
