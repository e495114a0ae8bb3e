// Package client speaks to one cloud's image API as one credential: who am I, which images are there, who are their
// members. It logs in with Keystone v3 and reads OpenStack Glance's Image API v2 and what speaks the same.
//
// It knows nothing of metrics, configuration files or logs. It starts no request without the caller's context, and what
// it returns is either what the API said or an [*Error]: an answer that is not whole is never an empty list.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Client reads one cloud. It is safe for concurrent use; its requests share one token, or one access key.
type Client struct {
	opts         Options
	http         *http.Client
	fresh        *http.Client // a new connection for each request; nil: there is none
	tokens       *tokenSource
	certRecorder *certRecorder
	limiter      *limiter
	keys         *keyring  // nil: no request is signed
	bodies       sync.Pool // of *bytes.Buffer

	settings atomic.Pointer[Settings]

	mu   sync.Mutex
	skew time.Duration
	date bool // skew was measured

	// What most requests have in common with the one before.
	pageLimit   atomic.Pointer[pageLimit]
	noEcho      atomic.Pointer[string] // the endpoint that is known not to echo request IDs
	lastHeaders atomic.Pointer[headers]
	lastDate    atomic.Pointer[dateHeader]
}

// New returns a client for the cloud of opts, or the error of [Options.Validate]. It makes no request. Close must be
// called in the end.
func New(opts Options) (*Client, error) { return newClient(opts, newLimiter(), false) }

// key tells requests apart that the API may allow or deny each by itself.
func (r request) key() string {
	return string(r.op) + " " + r.imageID
}

// newClient is New. An unscoped client has a token without a project, and Keystone itself is what it asks.
func newClient(opts Options, limits *limiter, unscoped bool) (*Client, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.Transport == nil {
		return nil, errors.New("client: Options.Transport is required")
	}
	if opts.Observer == nil {
		opts.Observer = func(Operation, string, time.Duration) {}
	}
	c := &Client{opts: opts, limiter: limits, certRecorder: newCertRecorder(opts.Transport), keys: newKeyring(opts)}
	c.http = c.over(c.certRecorder)
	if opts.Fresh != nil {
		c.fresh = c.over(c.certRecorder.beside(opts.Fresh))
	}
	c.tokens = newTokenSource(opts, &keystone{opts: opts, http: c.http, unscoped: unscoped})
	c.bodies.New = func() any { return new(bytes.Buffer) }
	c.Set(opts.Settings)
	return c, nil
}

// over is an HTTP client over a transport, which signs the requests if there are keys.
func (c *Client) over(transport http.RoundTripper) *http.Client {
	if c.keys != nil {
		transport = &signingTransport{next: transport, keys: c.keys, projectID: c.opts.ProjectID, now: time.Now}
	}
	return &http.Client{Transport: transport, CheckRedirect: sameThing}
}

// Set replaces the settings. What is under way goes on with the old ones. A pause of the logins ends: whoever sets
// something may have mended what they were refused for.
func (c *Client) Set(s Settings) {
	c.settings.Store(&s)
	c.limiter.set(s.RequestsPerSecond)
	c.tokens.resume()
}

// Close ends a login that is under way and waits for it, and closes the idle connections.
func (c *Client) Close() {
	c.tokens.close()
	c.keys.close()
	c.http.CloseIdleConnections()
	if c.fresh != nil {
		c.fresh.CloseIdleConnections()
	}
}

// Connect makes sure that there is a token and returns what it gives access to. Call it at the beginning of a
// collection: it reads the secrets anew, logs in where there is no token or the secrets changed, and renews a token that
// is about to end. Its error is an [*Error] with Op OpAuthenticate.
func (c *Client) Connect(ctx context.Context) (Access, error) {
	c.limiter.holdOff.startCollection()
	if c.keys != nil {
		if _, err := c.keys.Key(ctx); err != nil {
			return Access{}, err
		}
	}
	tok, err := c.tokens.connect(ctx)
	if err != nil {
		return Access{}, err
	}
	return tok.access, nil
}

// Enter is Connect, as [Projects] has it.
func (c *Client) Enter(ctx context.Context) ([]Scope, error) {
	access, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return []Scope{{Access: access}}, nil
}

// State is what a client knows without asking.
type State struct {
	// Expires is when the token or the temporary access key at hand ends by the cloud's clock; zero: there is none, or it
	// does not tell.
	Expires time.Time
	// Paused is whether logins pause because the last one was refused.
	Paused bool
	// Skew is the image API's clock less ours, 0 where the two agree within the resolution of a second. SkewKnown is
	// whether an answer with a date was seen.
	Skew      time.Duration
	SkewKnown bool
}

// State returns what the client knows now.
func (c *Client) State() State {
	var s State
	s.Expires, s.Paused = c.tokens.state()
	if c.keys != nil {
		s.Expires = c.keys.recent().Expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Skew, s.SkewKnown = c.skew, c.date
	return s
}

// request is one GET below the image API's v2/, path and query.
type request struct {
	op       Operation
	imageID  string
	path     string
	memberID string // for a probe
	v1       bool   // it is below v1/{project_id}/
	root     bool   // it is for what is above v2/, and path is empty

	// fresh is whether a list is asked for on a new connection.
	fresh bool
	// notMember, for a probe, is set to whether the answer proves that the member does not exist and rows are visible.
	notMember *bool
}

// probe reports whether the request asks for one row. How it ends says nothing of the token.
func (r request) probe() bool { return r.op == OpGetMember }

// url is the request's URL for those who have access.
func (r request) url(to Access) string {
	above := strings.TrimSuffix(to.Endpoint, "v2/")
	switch {
	case r.root:
		return above
	case r.v1:
		return above + "v1/" + url.PathEscape(to.ProjectID) + "/" + r.path
	}
	return to.Endpoint + r.path
}

// takes reports whether an answer of a status is what was asked for.
func (r request) takes(status int) bool {
	return status == http.StatusOK || r.root && status == http.StatusMultipleChoices
}

// answer is a whole 200.
type answer struct {
	body []byte // until decode returns
	date time.Time
	// unbound is whether nothing shows that the answer belongs to the request, and a new connection would.
	unbound bool
}

// get makes the request, again where that may help, and returns the access that the answer was given to, with an answer's
// error too. Its error is an *Error.
func (c *Client) get(ctx context.Context, req request, decode func(answer) error) (Access, error) {
	for n := 1; ; n++ {
		start := time.Now()
		access, err := c.once(ctx, req, decode)
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

// once makes the request, and a second time after a 401 that a new token may cure.
func (c *Client) once(ctx context.Context, req request, decode func(answer) error) (Access, error) {
	tok, err := c.tokens.get(ctx)
	if err != nil {
		return Access{}, err
	}
	apiErr := c.attempt(ctx, tok, req, decode)
	if req.probe() {
		if apiErr != nil {
			return tok.access, apiErr
		}
		return tok.access, nil
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
	if apiErr != nil {
		return tok.access, apiErr
	}
	return tok.access, nil
}

// attempt makes one request with one token, when its turn comes, and tells the observer how it ended.
func (c *Client) attempt(ctx context.Context, tok *token, req request, decode func(answer) error) (apiErr *Error) {
	ctx, end, apiErr := c.limiter.start(ctx, req)
	if apiErr != nil {
		apiErr.Op, apiErr.ImageID = req.op, req.imageID
		return apiErr
	}
	defer func() { end(apiErr) }()
	start := time.Now()
	apiErr = c.exchange(ctx, tok, req, decode)
	took := time.Since(start)
	if apiErr == nil {
		c.opts.Observer(req.op, "", took)
		return nil
	}
	if apiErr.Op != "" {
		return apiErr // there was no key, and so no request
	}
	apiErr.Op, apiErr.ImageID = req.op, req.imageID
	apiErr.Message = redact(apiErr.Message, c.keys.secrets(tok.secrets)...)
	if c.keys != nil && apiErr.Status() == http.StatusUnauthorized && !req.probe() {
		hint := c.clockHint()
		if hint == "" {
			c.keys.refused()
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

func (c *Client) exchange(ctx context.Context, tok *token, req request, decode func(answer) error) *Error {
	httpReq, err := http.NewRequestWithContext(ctx, http.MethodGet, req.url(tok.access), nil)
	if err != nil {
		return &Error{Code: CodeConfig, Message: clean(err.Error())}
	}
	id := ""
	if c.keys == nil {
		id = newRequestID()
	}
	httpReq.Header = c.headers(tok, id)
	httpClient := c.http
	var reused atomic.Bool // the connection was
	if c.fresh != nil && req.op == OpListMembers {
		if req.fresh || c.silent(tok.access.Endpoint) {
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
	date := c.measure(resp, start)
	if !req.takes(resp.StatusCode) {
		apiErr := statusError(resp, req)
		if date.IsZero() {
			date = time.Now()
		}
		apiErr.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), date)
		return apiErr
	}
	buf := c.bodies.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= bigBody*2 { // a long one is rare, and would be kept for good
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
		return &Error{Code: CodeDecode, StatusCode: resp.StatusCode, Message: "response body larger than " + strconv.Itoa(maxBody>>20) + " MiB"}
	}
	if err = checkSize(buf.Bytes(), maxValues); err == nil {
		err = decode(answer{body: buf.Bytes(), date: date, unbound: !echoed && resp.ProtoMajor == 1 && reused.Load()})
	}
	if err != nil {
		return &Error{Code: CodeDecode, StatusCode: resp.StatusCode, Message: err.Error()}
	}
	return nil
}

// bodyError is for a body that broke off: the time was over, or what came cannot be decoded as a whole.
func bodyError(ctx context.Context, resp *http.Response, err error) *Error {
	code, message := transportError(ctx, err)
	if code == CodeConnect {
		code, message = CodeDecode, "response body cut off: "+message
	}
	return &Error{Code: code, StatusCode: resp.StatusCode, Message: message}
}

// statusError makes an Error of an answer that is no 200.
func statusError(resp *http.Response, req request) *Error {
	e := &Error{Code: strconv.Itoa(resp.StatusCode), StatusCode: resp.StatusCode}
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		key := "endpoint"
		if req.op == OpListProjects {
			key = "auth_url" // Keystone's
		}
		e.Message = redirectMessage(resp.StatusCode, resp.Request.Method, resp.Request.URL, to, key)
		return e
	}
	// What was read of an error's text is good enough, however it ended.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	said := serverError(body)
	e.Message, e.Means = said.text(), meanings[said.code]
	e.classify(req, said, body)
	return e
}

// measure notes how far the API's clock is from ours and returns the answer's date, zero where it has none.
func (c *Client) measure(resp *http.Response, start time.Time) time.Time {
	date := c.parseDate(resp.Header.Get("Date"))
	if date.IsZero() {
		return time.Time{}
	}
	// The header has whole seconds, cut off. It agrees with ours if such a moment lies between question and answer.
	var skew time.Duration
	if earliest := start.Truncate(time.Second); date.Before(earliest) {
		skew = date.Sub(earliest)
	} else if now := time.Now(); date.After(now) {
		skew = date.Sub(now)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew, c.date = skew, true
	return date
}

// headers are those of the requests with a token, but for their IDs.
type headers struct {
	tok    *token
	header http.Header // no transport may change it, says [http.RoundTripper]
}

// headers returns the headers of a request with a token and an ID, if that is not empty.
func (c *Client) headers(tok *token, id string) http.Header {
	last := c.lastHeaders.Load()
	if last == nil || last.tok != tok {
		last = &headers{tok, http.Header{
			"Accept": {"application/json"}, "Accept-Language": {"en"}, "Cache-Control": {"no-cache"}, "User-Agent": {c.opts.UserAgent},
		}}
		if tok.id != "" {
			last.header.Set("X-Auth-Token", tok.id)
		}
		c.lastHeaders.Store(last)
	}
	if id == "" {
		return last.header
	}
	header := make(http.Header, len(last.header)+1)
	maps.Copy(header, last.header) // the values are shared
	header[headerRequestID] = []string{id}
	return header
}

// dateHeader is a Date header, and what it says.
type dateHeader struct {
	text string
	date time.Time
}

// parseDate returns what a Date header says, zero where that is no date. Most are those of the answer before.
func (c *Client) parseDate(text string) time.Time {
	if last := c.lastDate.Load(); last != nil && last.text == text {
		return last.date
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}
	}
	c.lastDate.Store(&dateHeader{text, date})
	return date
}
