package client

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

// This file binds answers to requests: an empty list of members names no image, so an old answer, or the answer to
// another request, would look like "nobody has access".

const (
	headerRequestID = "X-Openstack-Request-Id"
	headerAge       = "Age"
	// maxAge is how many seconds a cache on the way may have kept an answer for.
	maxAge = 5
)

// processPrefix begins the IDs of this process' requests: its half of the UUID is random and never changes.
var processPrefix = newProcessPrefix()

func newProcessPrefix() string {
	var b [8]byte
	_, _ = rand.Read(b[:])  // never fails
	b[6] = b[6]&0x0f | 0x40 // version 4, see RFC 9562
	h := hex.EncodeToString(b[:])
	return "req-" + h[:8] + "-" + h[8:12] + "-" + h[12:] + "-"
}

// newRequestID returns the ID of a new request. That this process made an ID can be told without remembering it.
func newRequestID() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], mathrand.Uint64())
	b[0] = b[0]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return processPrefix + h[:4] + "-" + h[4:]
}

// identify compares the request IDs of an answer with that of its request, which is empty where none was sent. foreign
// is an ID that this process sent with another request. Any other ID is the server's own and says nothing.
func identify(header http.Header, id string) (echoed bool, foreign string) {
	for _, got := range header[headerRequestID] {
		got = strings.TrimSpace(got)
		switch {
		case id != "" && strings.EqualFold(got, id):
			echoed = true
		case len(got) >= len(processPrefix) && strings.EqualFold(got[:len(processPrefix)], processPrefix):
			foreign = got
		}
	}
	return echoed, foreign
}

// tooOld returns why an answer is too old to be read, or nothing. Only caches send an Age.
func tooOld(header http.Header) string {
	age := strings.TrimSpace(header.Get(headerAge))
	if age == "" || strings.Trim(age, "0123456789") != "" {
		return ""
	}
	// A number that is too large for an int is a large one.
	if seconds, err := strconv.Atoi(age); err == nil && seconds <= maxAge {
		return ""
	}
	return fmt.Sprintf("response from a cache, %s seconds old: "+
		"disable caching of the image API, or set endpoint to the API itself", clean(age))
}

// refuse returns the error of an answer that is not read, whatever its status says, or nil. It closes the connection
// of an answer that belongs to another request: the next one on it would be one too late as well.
func (c *Client) refuse(resp *http.Response, foreign string) *Error {
	message := tooOld(resp.Header)
	if foreign != "" {
		message = "response to another request of this exporter, according to its " + headerRequestID +
			": a proxy mixes up connections, set endpoint to the API itself"
		_ = resp.Body.Close() // unread, which ends the connection
		// One without a body is idle again already.
		c.http.CloseIdleConnections()
	}
	if message == "" {
		return nil
	}
	e := &Error{Code: CodeDecode, Message: message}
	if resp.StatusCode/100 == 2 {
		e.StatusCode = resp.StatusCode // a status that says something is not believed
	}
	return e
}

// setSilent remembers that an endpoint does not echo request IDs.
func (c *Client) setSilent(endpoint string) {
	c.noEcho.Store(&endpoint)
}

// silent reports whether an endpoint is known not to echo request IDs.
func (c *Client) silent(endpoint string) bool {
	known := c.noEcho.Load()
	return known != nil && *known == endpoint
}
