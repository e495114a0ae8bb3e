package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// request is a GET of the image API.
type request struct {
	op       Operation
	imageID  string
	memberID string // of a probe
	path     string // and query, below v2/
	v1       bool   // whether path is below v1/{project_id}/ instead
	root     bool   // whether the request is for what is above v2/; path is empty
	keystone bool   // whether path is below Keystone's v3/ instead

	// fresh is whether a list is requested on a new connection.
	fresh bool
	// notMember, of a probe, is set to whether the response proves that the member does not exist and rows are visible.
	notMember *bool
}

// probe reports whether the request is for one row. Its result says nothing about the token.
func (r request) probe() bool { return r.op == OpGetMember }

// key identifies the requests that the API allows or denies together.
func (r request) key() string { return string(r.op) + " " + r.imageID }

// url is the request's URL for a token.
func (r request) url(tok *token) string {
	base := strings.TrimSuffix(tok.access.Endpoint, "v2/")
	switch {
	case r.keystone:
		return withVersion(tok.auth.IdentityEndpoint, "v3", "v2.0") + r.path
	case r.root:
		return base
	case r.v1:
		return base + "v1/" + url.PathEscape(tok.access.ProjectID) + "/" + r.path
	}
	return tok.access.Endpoint + r.path
}

// succeeds reports whether a status is that of a successful response.
func (r request) succeeds(status int) bool {
	return status == http.StatusOK || r.root && status == http.StatusMultipleChoices
}

// response is a complete successful response.
type response struct {
	body []byte // valid until decode returns
	date time.Time
	// unbound is whether nothing shows that the response belongs to the request, and a new connection would.
	unbound bool
}

// get sends the request, and repeats it where that may help. It returns the access that the response was given to, with an
// error response too. Its error is an *Error.
func (c *Client) get(ctx context.Context, req request, decode func(response) error) (Access, error) {
	for n := 1; ; n++ {
		start := time.Now()
		access, err := c.authorized(ctx, req, decode)
		if err == nil {
			c.limiter.retries.earn()
			return access, nil
		}
		apiErr, ok := errors.AsType[*Error](err)
		if !ok || apiErr.Op != req.op || !c.limiter.retry(ctx, apiErr, n, time.Since(start)) {
			return access, err
		}
	}
}

// authorized makes an attempt, and a second one after a 401 that a new token may help against.
func (c *Client) authorized(ctx context.Context, req request, decode func(response) error) (Access, error) {
	tok, err := c.tokens.get(ctx)
	if err != nil {
		return Access{}, err
	}
	apiErr := c.attempt(ctx, tok, req, decode)
	if req.probe() {
		return tok.access, apiErr.orNil()
	}
	if apiErr != nil && apiErr.Status() == http.StatusUnauthorized {
		renewed, why := c.tokens.onUnauthorized(ctx, tok, req)
		if renewed == nil {
			if why != "" {
				apiErr.Message = strings.TrimPrefix(apiErr.Message+"; "+why, "; ")
			}
			return tok.access, apiErr
		}
		tok = renewed
		if apiErr = c.attempt(ctx, tok, req, decode); apiErr != nil && apiErr.Status() == http.StatusUnauthorized {
			c.tokens.stillUnauthorized(tok, req)
			return tok.access, apiErr
		}
	}
	if apiErr == nil || apiErr.Status() == http.StatusForbidden || apiErr.Status() == http.StatusNotFound {
		c.tokens.accepted(tok, req)
	}
	return tok.access, apiErr.orNil()
}

// attempt sends the request once, when the limiter allows it, and calls the observer.
func (c *Client) attempt(ctx context.Context, tok *token, req request, decode func(response) error) (apiErr *Error) {
	ctx, end, apiErr := c.limiter.start(ctx, req)
	if apiErr != nil {
		apiErr.Op, apiErr.ImageID = req.op, req.imageID
		return apiErr
	}
	defer func() { end(apiErr) }()
	return c.send(ctx, tok, req, decode)
}

// send sends the request once, at once, and calls the observer.
func (c *Client) send(ctx context.Context, tok *token, req request, decode func(response) error) *Error {
	start := time.Now()
	apiErr := c.exchange(ctx, tok, req, decode)
	took := time.Since(start)
	if apiErr == nil {
		c.opts.Observer(req.op, "", took)
		return nil
	}
	if apiErr.Op != "" {
		return apiErr // There was no key, and so no request.
	}
	apiErr.Op, apiErr.ImageID = req.op, req.imageID
	apiErr.Message = c.secrets.message(apiErr.Message)
	if c.signer != nil && apiErr.Status() == http.StatusUnauthorized && !req.probe() {
		hint := clockHint(c.State().Skew)
		if hint == "" {
			c.signer.onUnauthorized()
		}
		apiErr.Message = strings.TrimPrefix(apiErr.Message+hint, "; ")
	}
	if apiErr.RetryAfter > 0 {
		apiErr.Message = strings.TrimPrefix(fmt.Sprintf("%s; retry after %s", apiErr.Message, apiErr.RetryAfter), "; ")
	}
	if apiErr.Code != CodeCanceled {
		c.opts.Observer(req.op, apiErr.Code, took)
	}
	return apiErr
}

// exchange sends the request and decodes the response. Its error has an Op only where no request was sent.
func (c *Client) exchange(ctx context.Context, tok *token, req request, decode func(response) error) *Error {
	httpReq, err := http.NewRequestWithContext(ctx, http.MethodGet, req.url(tok), nil)
	if err != nil {
		return &Error{Code: CodeConfig, Message: oneLine(err.Error())}
	}
	id := ""
	if c.signer == nil {
		id = newRequestID()
	}
	httpReq.Header = c.headers(tok, id)
	httpClient := c.http
	var reused atomic.Bool // whether the connection is not new
	if c.fresh != nil && (req.op == OpListMembers || req.op == OpListImages) {
		if req.fresh || req.op == OpListMembers && c.hasNoEcho(tok.access.Endpoint) {
			httpClient = c.fresh
		} else {
			httpReq = httpReq.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) { reused.Store(info.Reused) },
			}))
		}
	}
	start := time.Now()
	resp, err := httpClient.Do(httpReq)
	if noKey, ok := errors.AsType[*Error](err); ok {
		return noKey
	}
	if err != nil {
		code, message := transportError(ctx, err)
		return &Error{Code: code, Message: message}
	}
	defer resp.Body.Close()
	echoed, foreign := identify(resp.Header, id)
	if apiErr := c.refuse(resp, foreign); apiErr != nil {
		return apiErr
	}
	var date time.Time
	if !req.keystone { // whose clock is another one
		date = c.measure(resp, start)
	}
	if !req.succeeds(resp.StatusCode) {
		return statusError(resp, req, date)
	}
	return c.read(ctx, resp, func(body []byte) error {
		return decode(response{body: body, date: date, unbound: !echoed && resp.ProtoMajor == 1 && reused.Load()})
	})
}

// headers returns the headers of a request with a token and an ID. An empty ID is left out.
func (c *Client) headers(tok *token, id string) http.Header {
	header := http.Header{
		"Accept": {"application/json"}, "Accept-Language": {"en"}, "Cache-Control": {"no-cache"}, "User-Agent": {c.opts.UserAgent},
	}
	if tok.id != "" {
		header.Set("X-Auth-Token", tok.id)
	}
	if id != "" {
		header.Set(headerRequestID, id)
	}
	return header
}
