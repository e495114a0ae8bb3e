package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// read passes the complete body of a response to decode.
func (c *Client) read(ctx context.Context, resp *http.Response, decode func(body []byte) error) *Error {
	buf := c.bodies.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= bigBody*2 { // A long one is rare, and would be kept forever.
			c.bodies.Put(buf)
		}
	}()
	buf.Reset()
	slot := bigBodySlot{all: c.limiter.bigBodies}
	defer slot.release()
	tooLong, err := readBody(ctx, buf, resp.Body, &slot)
	switch {
	case err != nil:
		return bodyError(ctx, resp, err)
	case tooLong:
		return decodeError(resp, "response body larger than "+strconv.Itoa(maxBody>>20)+" MiB")
	}
	if err = checkSize(buf.Bytes(), maxValues); err == nil {
		err = decode(buf.Bytes())
	}
	if err != nil {
		return decodeError(resp, err.Error())
	}
	return nil
}

// bodyError is the error of a body that could not be read to its end: there was no time, or it was cut off.
func bodyError(ctx context.Context, resp *http.Response, err error) *Error {
	code, message := transportError(ctx, err)
	if code == CodeConnect {
		return decodeError(resp, "response body cut off: "+message)
	}
	return &Error{Code: code, StatusCode: resp.StatusCode, Message: message}
}

func decodeError(resp *http.Response, message string) *Error {
	return &Error{Code: CodeDecode, StatusCode: resp.StatusCode, Message: message}
}

// statusError is the error of a response that is not successful. date is the server's clock, or zero.
func statusError(resp *http.Response, req request, date time.Time) *Error {
	if date.IsZero() {
		date = time.Now()
	}
	e := &Error{
		Code: strconv.Itoa(resp.StatusCode), StatusCode: resp.StatusCode,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), date),
	}
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		key := "endpoint"
		if req.op == OpListProjects || req.keystone {
			key = "auth_url" // Keystone's
		}
		e.Message = redirectMessage(resp.StatusCode, resp.Request.Method, resp.Request.URL, to, key)
		return e
	}
	// An error text may be cut off.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody+1))
	detail := parseServerError(body)
	e.Message, e.Means = detail.text(), meanings[detail.code]
	e.classify(req, detail, body)
	return e
}

// measure records the skew of the API's clock and returns the response's date, zero where it has none.
func (c *Client) measure(resp *http.Response, start time.Time) time.Time {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	// The header has whole seconds, rounded down. The clocks agree if such a moment lies between request and response.
	var skew time.Duration
	if earliest := start.Truncate(time.Second); date.Before(earliest) {
		skew = date.Sub(earliest)
	} else if now := time.Now(); date.After(now) {
		skew = date.Sub(now)
	}
	if last := c.skew.Load(); last == nil || *last != skew {
		c.skew.Store(&skew)
	}
	return date
}
