// Package client reads one cloud's image API with one credential: the images and their members. It logs in with Keystone
// v3 and reads OpenStack Glance's Image API v2 and compatible ones.
//
// The package knows no metrics, configuration files or logs. It sends no request without the caller's context. It returns
// what the API returned, or an [*Error]: an incomplete response is never an empty list.
package client

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Client reads one cloud. It is safe for concurrent use; its requests share one token, or one access key.
type Client struct {
	opts         Options
	http         *http.Client
	fresh        *http.Client // makes a connection for each request; nil: there is none
	secrets      *Secrets
	certRecorder *certRecorder
	tokens       *tokenSource
	signer       *signer // nil: requests are not signed
	limiter      *limiter

	settings atomic.Pointer[Settings]
	skew     atomic.Pointer[time.Duration] // the API's clock less the local one; nil: not measured

	pageLimit atomic.Pointer[pageLimit]
	noEcho    atomic.Pointer[string] // the endpoint that is known not to echo request IDs
	bodies    sync.Pool              // of *bytes.Buffer
}

// New returns a client for the cloud of opts, or the error of [Options.Validate]. It sends no request. The caller must call
// Close.
func New(opts Options) (*Client, error) { return newClient(opts, newLimiter(), false) }

// newClient is New. The token of an unscoped client has no project, and its endpoint is Keystone.
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
	if opts.Secrets == nil {
		opts.Secrets = &Secrets{}
	}
	c := &Client{
		opts: opts, limiter: limits, secrets: opts.Secrets, certRecorder: newCertRecorder(opts.Transport), signer: newSigner(opts),
	}
	c.http = c.newHTTPClient(c.certRecorder)
	if opts.Fresh != nil {
		c.fresh = c.newHTTPClient(c.certRecorder.beside(opts.Fresh))
	}
	c.tokens = newTokenSource(opts, &keystone{opts: opts, http: c.http, unscoped: unscoped})
	c.bodies.New = func() any { return new(bytes.Buffer) }
	c.set(opts.Settings)
	return c, nil
}

func (c *Client) newHTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: c.signer.transport(c.secrets.watch(transport)), CheckRedirect: checkRedirect}
}

// Set replaces the settings. Requests in flight keep the old ones. The delay after failed logins ends, because the reason may
// have been corrected. So does that after refused logins, once a minute: Keystone locks accounts after some of them.
func (c *Client) Set(s Settings) {
	c.set(s)
	c.tokens.resume()
}

func (c *Client) set(s Settings) {
	c.settings.Store(&s)
	c.limiter.set(s.RequestsPerSecond)
}

// Close cancels a login in flight, waits for its end, and closes the idle connections.
func (c *Client) Close() {
	c.tokens.close()
	c.signer.close()
	c.http.CloseIdleConnections()
	if c.fresh != nil {
		c.fresh.CloseIdleConnections()
	}
}

// Connect makes sure that there is a token and returns what it gives access to. Call it at the start of a collection: it
// reads the secrets again, logs in where there is no token or the secrets changed, and renews a token that expires soon.
// Its error is an [*Error] with Op OpAuthenticate.
func (c *Client) Connect(ctx context.Context) (Access, error) {
	c.limiter.holdOff.startCollection()
	if c.signer != nil {
		if _, err := c.signer.key(ctx); err != nil {
			return Access{}, err
		}
	}
	tok, err := c.tokens.connect(ctx)
	if err != nil {
		return Access{}, err
	}
	return tok.access, nil
}

// Enter is Connect with the result of [Projects.Enter].
func (c *Client) Enter(ctx context.Context) ([]Scope, error) {
	access, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return []Scope{{Access: access}}, nil
}

// State is what a client knows without a request.
type State struct {
	// Expires is when the current token or temporary access key expires by the cloud's clock; zero: there is none, or it is
	// not known.
	Expires time.Time
	// Paused is whether logins are paused because the last one was refused.
	Paused bool
	// Skew is the image API's clock less the local one, 0 where the two agree within the resolution of a second. SkewKnown
	// is whether there was a response with a date.
	Skew      time.Duration
	SkewKnown bool
}

// State returns what the client knows now.
func (c *Client) State() State {
	var s State
	s.Expires, s.Paused = c.tokens.state()
	if c.signer != nil {
		s.Expires = c.signer.lastKey().Expires
	}
	if skew := c.skew.Load(); skew != nil {
		s.Skew, s.SkewKnown = *skew, true
	}
	return s
}
