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

// This file binds responses to requests: an empty list of members names no image, so an old response, or one to another
// request, would look like "nobody has access".

const (
	headerRequestID = "X-Openstack-Request-Id"
	headerAge       = "Age"
	// maxAge is how many seconds a response may have been in a cache.
	maxAge = 5
)

// processPrefix is the start of the IDs of this process' requests: a random half of the UUID, which never changes.
var processPrefix = newProcessPrefix()

func newProcessPrefix() string {
	var b [8]byte
	_, _ = rand.Read(b[:])  // never fails
	b[6] = b[6]&0x0f | 0x40 // version 4, see RFC 9562
	h := hex.EncodeToString(b[:])
	return "req-" + h[:8] + "-" + h[8:12] + "-" + h[12:] + "-"
}

// newRequestID returns the ID of a new request. Its prefix shows that it is from this process, so that no list of them is
// needed.
func newRequestID() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], mathrand.Uint64())
	b[0] = b[0]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return processPrefix + h[:4] + "-" + h[4:]
}

// identify compares the request IDs of a response with that of its request, which is empty where none was sent. foreign is
// an ID that this process sent with another request. Any other ID is the server's own and proves nothing.
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

// refuse returns the error of a response that is not used, whatever its status, or nil. It closes the connection of a
// response to another request, because the next response on it would be the wrong one too.
func (c *Client) refuse(resp *http.Response, foreign string) *Error {
	message := cachedHint(resp.Header)
	if foreign != "" {
		message = "response to another request of this exporter, according to its " + headerRequestID +
			": a proxy mixes up connections, set endpoint to the API itself"
		_ = resp.Body.Close() // An unread body closes the connection.
		// Without a body, the connection is idle already.
		c.http.CloseIdleConnections()
	}
	if message == "" {
		return nil
	}
	e := &Error{Code: CodeDecode, Message: message}
	if resp.StatusCode/100 == 2 {
		e.StatusCode = resp.StatusCode // Any other status would be evidence, and is not used.
	}
	return e
}

// cachedHint returns why a response is too old to be used, empty where it is not. Only caches send an Age.
func cachedHint(header http.Header) string {
	for age := range strings.SplitSeq(strings.Join(header[headerAge], ","), ",") {
		age = strings.TrimSpace(age)
		if age == "" || strings.Trim(age, "0123456789") != "" {
			continue
		}
		// A number that is too large for an int is above the limit too.
		if seconds, err := strconv.Atoi(age); err == nil && seconds <= maxAge {
			continue
		}
		return fmt.Sprintf("response from a cache, %s seconds old: "+
			"disable caching of the image API, or set endpoint to the API itself", clean(age))
	}
	return ""
}

// setNoEcho records that an endpoint does not echo request IDs.
func (c *Client) setNoEcho(endpoint string) {
	c.noEcho.Store(&endpoint)
}

// hasNoEcho reports whether an endpoint is known not to echo request IDs.
func (c *Client) hasNoEcho(endpoint string) bool {
	known := c.noEcho.Load()
	return known != nil && *known == endpoint
}
