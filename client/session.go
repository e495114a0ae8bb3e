package client

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// How long a session holds back. A refused login is not repeated soon because Keystone locks accounts; a renewal that
// cured nothing is not, because each would cost Keystone a token for nothing.
const (
	loginTimeout      = 30 * time.Second
	firstLoginPause   = 30 * time.Second
	firstRenewalPause = 5 * time.Second
	maxPause          = maxBackoff

	// maxServed is how many requests are remembered that the token had an answer to, and twice as many at the most: a token
	// may never end, and images come and go. A cloud has not as many.
	maxServed = 100_000
)

// session keeps one token and decides when to get another. At most one login is under way.
//
// A 401 from the image API is a riddle: the token may have ended or been revoked, but a real Glance answers it to good
// tokens too, while Keystone is away, and to each request that the credential's access rules leave out. So a 401
// renews the token once. What the new token does not get either, while it serves other requests, is denied, and asks for
// no renewal any more, until a token that served it stops to. Where nothing is served, renewals pause longer and longer.
type session struct {
	opts     Options
	http     *http.Client
	unscoped bool // the tokens have no project
	scoped   bool // to one of several projects: a login that nobody waits for any more goes on, for the next collection

	mu     sync.Mutex
	cur    *token
	flight *loginFlight // the login under way
	logins sync.WaitGroup
	closed bool

	loginPause   time.Duration // of the last refused login, 0 after a good one
	pausedUntil  time.Time
	refusedAuth  gophercloud.AuthOptions // what was refused
	refusedError *Error

	connected time.Time // when the collection under way began

	failure      *Error // how the last login ended, if it failed and nobody refused it
	failedAuth   gophercloud.AuthOptions
	failedAt     time.Time
	failurePause time.Duration

	ambiguous      *Error        // how the last login ended, if its catalog has two image endpoints
	renewalPause   time.Duration // of the last renewal that cured nothing
	renewAfter     time.Time
	renewalUseless bool                 // some renewal cured nothing
	lastServed     time.Time            // when a request had an answer that shows its token to be good
	served         *recent[struct{}]    // requests that the current token had such an answer to
	renewedFor     map[string]struct{}  // requests that the current token was got for, and has not answered yet
	pending401     map[string]struct{}  // requests that got a 401 in this collection, while nothing was served
	denied         map[string]time.Time // requests that good tokens get a 401 to, and when they did last
}

// loginFlight is a login that several callers wait for. It ends early when the last of them gives up.
type loginFlight struct {
	done    chan struct{}
	cancel  context.CancelCauseFunc
	waiters int
	auth    gophercloud.AuthOptions
	tok     *token
	err     error // an *Error
}

func newSession(opts Options, httpClient *http.Client) *session {
	s := &session{
		opts: opts, http: httpClient,
		served: newRecent[struct{}](maxServed), renewedFor: map[string]struct{}{}, pending401: map[string]struct{}{}, denied: map[string]time.Time{},
	}
	if opts.Auth == nil {
		signed := opts.Keys != nil || opts.Metadata != nil
		s.cur = &token{access: Access{ProjectID: opts.ProjectID, Endpoint: imageEndpoint(opts.Endpoint), Confirmed: signed}}
	}
	return s
}

func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	if s.flight != nil {
		s.flight.cancel(context.Canceled)
	}
	s.mu.Unlock()
	s.logins.Wait()
}

// resume ends the pauses after refused and failed logins.
func (s *session) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loginPause, s.pausedUntil = 0, time.Time{}
	s.failurePause = 0
}

func (s *session) state() (expires time.Time, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil {
		expires = s.cur.expires
	}
	return expires, time.Now().Before(s.pausedUntil)
}

// connect returns the token to begin a collection with.
func (s *session) connect(ctx context.Context) (*token, error) {
	if s.opts.Auth == nil {
		return s.cur, nil
	}
	auth, err := s.opts.Auth()
	s.mu.Lock()
	cur := s.cur
	if s.lastServed.After(s.failedAt) {
		s.failure, s.failurePause = nil, 0 // the token serves, so Keystone may be well again
	}
	s.connected = time.Now()
	clear(s.pending401)
	// What is asked for no more is forgotten.
	maps.DeleteFunc(s.denied, func(_ string, at time.Time) bool { return time.Since(at) > 2*maxPause })
	s.mu.Unlock()
	if err != nil {
		if cur != nil {
			return cur, nil // a secret's file that cannot be read just now takes nothing from a good token
		}
		return nil, &Error{Op: OpAuthenticate, Code: CodeConfig, Message: clean(err.Error())}
	}
	if auth.IdentityEndpoint == "" { // a token that is used as it is
		return s.adopt(auth), nil
	}
	if cur != nil && reflect.DeepEqual(cur.auth, auth) && !cur.endsSoon() {
		return cur, nil
	}
	if cur == nil {
		return s.enter(ctx, auth, cur)
	}
	// There is a token that may still serve: a slow Keystone must not take the collection's time.
	ctx, cancel := context.WithTimeout(ctx, partOf(ctx))
	defer cancel()
	if tok, err := s.enter(ctx, auth, cur); err == nil {
		return tok, nil
	}
	return cur, nil
}

// adopt takes a token that needs no login.
func (s *session) adopt(auth gophercloud.AuthOptions) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil || s.cur.id != auth.TokenID {
		s.cur = &token{
			id: auth.TokenID, access: Access{ProjectID: s.opts.ProjectID, Endpoint: imageEndpoint(s.opts.Endpoint)},
			auth: auth, secrets: []string{auth.TokenID}, credential: asked(auth),
		}
		s.forget()
	}
	return s.cur
}

// endsSoon reports whether the token should be renewed before it is used: in the last tenth of its life, a minute at most.
func (t *token) endsSoon() bool {
	return !t.until.IsZero() && time.Until(t.until) < min(time.Minute, t.life()/10)
}

func (t *token) life() time.Duration { return t.until.Sub(t.began) }

// partOf is a quarter of the time that ctx leaves.
func partOf(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return loginTimeout
	}
	return time.Until(deadline) / 4
}

// token returns the current token for a request.
func (s *session) token(ctx context.Context) (*token, error) {
	s.mu.Lock()
	cur := s.cur
	s.mu.Unlock()
	if cur != nil {
		return cur, nil
	}
	return s.connect(ctx)
}

// refused is told of a 401 and returns the token to try again with, or nil and, where it helps, why there is none.
func (s *session) refused(ctx context.Context, tok *token, req request) (again *token, why string) {
	if s.opts.Auth == nil {
		return nil, ""
	}
	s.mu.Lock()
	if s.cur != tok {
		defer s.mu.Unlock()
		return s.cur, ""
	}
	if why = s.noRenewal(req.key()); why != "" {
		s.mu.Unlock()
		return nil, why
	}
	s.mu.Unlock()
	auth, err := s.opts.Auth()
	if err != nil {
		return nil, "the token cannot be renewed: " + clean(err.Error())
	}
	if auth.IdentityEndpoint == "" {
		if auth.TokenID == tok.id {
			return nil, "provide a new token"
		}
		return s.adopt(auth), ""
	}
	again, err = s.enter(ctx, auth, tok)
	if err != nil {
		return nil, "renewing the token: " + err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == again {
		s.renewedFor[req.key()] = struct{}{}
	}
	return again, ""
}

// noRenewal says why a 401 is no reason to renew the current token, if it is none. The caller holds mu.
func (s *session) noRenewal(key string) string {
	if _, ok := s.renewedFor[key]; ok { // the first try with this token ended in a timeout, perhaps
		s.curedNothing(key)
		return "a new token was refused too"
	}
	if _, served := s.served.get(key); !served {
		_, denied := s.denied[key]
		if (denied && time.Since(s.lastServed) < maxPause) || (s.renewalUseless && s.othersServed()) {
			s.denied[key] = time.Now()
			return "a new token was refused too, while other requests succeed: the credential may not send this request"
		}
	}
	s.pending401[key] = struct{}{}
	switch {
	case s.loginsFail():
		return "renewing the token: " + s.failure.Error()
	case time.Now().Before(s.renewAfter) && s.ambiguous != nil:
		return "renewing the token: " + s.ambiguous.Error()
	case time.Now().Before(s.renewAfter):
		return "a new token was refused too"
	}
	return ""
}

// othersServed reports whether anything was served in this collection. The caller holds mu.
func (s *session) othersServed() bool {
	return !s.lastServed.IsZero() && !s.lastServed.Before(s.connected)
}

// loginsFail reports whether the last login failed so lately that another one would as well. The caller holds mu.
func (s *session) loginsFail() bool {
	return s.failure != nil && time.Since(s.failedAt) < s.failurePause
}

// stillRefused is told that a new token got a 401 too.
func (s *session) stillRefused(tok *token, req request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == tok {
		s.curedNothing(req.key())
	}
}

// curedNothing notes that the current token does not get what it was got for. The caller holds mu.
func (s *session) curedNothing(key string) {
	s.renewalUseless = true
	delete(s.renewedFor, key)
	if s.othersServed() {
		s.denied[key] = time.Now()
		return
	}
	s.pending401[key] = struct{}{}
	if now := time.Now(); !now.Before(s.renewAfter) {
		s.renewalPause = nextDelay(s.renewalPause, firstRenewalPause)
		s.renewAfter = now.Add(s.renewalPause)
	}
}

// accepted is told of an answer that shows a token to be good.
func (s *session) accepted(tok *token, req request) {
	if s.opts.Auth == nil {
		return // there is no other token to think of
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastServed = time.Now()
	s.renewalPause, s.renewAfter = 0, time.Time{} // whatever was refused, the token was not the reason
	key := req.key()
	if s.cur == tok {
		s.served.put(key, struct{}{})
		delete(s.renewedFor, key)
	}
	delete(s.pending401, key)
	delete(s.denied, key)
	for k := range s.pending401 {
		s.denied[k] = time.Now()
		delete(s.pending401, k)
	}
}

// key tells requests apart that may be allowed or denied each on its own.
func (r request) key() string {
	return string(r.op) + " " + r.imageID
}

// enter logs in, or joins the login under way, and returns the new current token. instead is the token that there is to be
// another one for, nil where there was none: who has meanwhile got another one is not asked again. The error is an *Error.
func (s *session) enter(ctx context.Context, auth gophercloud.AuthOptions, instead *token) (*token, error) {
	for {
		tok, other, err := s.join(ctx, auth, instead)
		if err == nil || !other || ctx.Err() != nil {
			return tok, err
		}
		// What failed was a login with another credential, from before this one was written.
	}
}

// join is enter. other is whether the login was one with another credential.
func (s *session) join(ctx context.Context, auth gophercloud.AuthOptions, instead *token) (tok *token, other bool, err error) {
	s.mu.Lock()
	if s.cur != instead && s.cur != nil {
		defer s.mu.Unlock()
		return s.cur, false, nil
	}
	f := s.flight
	if f == nil {
		now := time.Now()
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, false, &Error{Op: OpAuthenticate, Code: CodeCanceled, Message: "closed"}
		case now.Before(s.pausedUntil) && reflect.DeepEqual(auth, s.refusedAuth):
			defer s.mu.Unlock()
			e := *s.refusedError
			e.Message = strings.TrimPrefix(fmt.Sprintf("%s; logins are paused until %s, or until the credential changes",
				e.Message, s.pausedUntil.UTC().Format(time.RFC3339)), "; ")
			return nil, false, &e
		case s.cur != nil && s.loginsFail() && reflect.DeepEqual(auth, s.failedAuth):
			defer s.mu.Unlock()
			return nil, false, s.failure
		}
		f = s.start(auth)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
		return f.tok, !reflect.DeepEqual(auth, f.auth), f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	if f.waiters--; f.waiters == 0 && !s.scoped {
		f.cancel(context.Cause(ctx))
		if s.flight == f {
			s.flight = nil
		}
	}
	s.mu.Unlock()
	code, message := transportError(ctx, ctx.Err())
	return nil, false, &Error{Op: OpAuthenticate, Code: code, Message: message}
}

// start starts a login. The caller holds mu.
func (s *session) start(auth gophercloud.AuthOptions) *loginFlight {
	base, cancel := context.WithCancelCause(context.Background())
	f := &loginFlight{done: make(chan struct{}), cancel: cancel, auth: auth}
	s.flight = f
	s.logins.Go(func() {
		defer close(f.done)
		defer cancel(nil)
		ctx, stop := context.WithTimeout(base, loginTimeout)
		defer stop()
		tok, err, ambiguous := s.login(ctx, auth)
		s.finish(f, tok, err, ambiguous)
	})
	return f
}

// finish notes how a login ended. With an ambiguous catalog logins do not pause, because the credential is good; only renewals
// after a 401 do, so that not each of them costs a login.
func (s *session) finish(f *loginFlight, tok *token, err *Error, ambiguous bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == f {
		s.flight = nil
	}
	now := time.Now()
	if err != nil {
		f.err = err
		switch {
		case err.Code == CodeCanceled: // nobody waited any more
		case ambiguous:
			s.ambiguous = err
			s.renewalPause = nextDelay(s.renewalPause, firstRenewalPause)
			s.renewAfter = now.Add(s.renewalPause)
		case err.StatusCode == http.StatusUnauthorized, err.StatusCode == http.StatusForbidden, err.Code == CodeConfig:
			// A token that cannot be used is as bad as none: asking for another one changes nothing.
			s.loginPause = nextDelay(s.loginPause, firstLoginPause)
			s.pausedUntil, s.refusedAuth, s.refusedError = now.Add(s.loginPause), f.auth, err
			if s.scoped && err.StatusCode != 0 {
				s.cur = nil // the user may not enter the project any more, and Keystone calls the old token invalid too
			}
		default:
			s.failure, s.failedAuth, s.failedAt = err, f.auth, now
			s.failurePause = nextDelay(s.failurePause, firstRenewalPause)
		}
		return
	}
	f.tok = tok
	s.cur = tok
	s.loginPause, s.pausedUntil, s.refusedAuth, s.refusedError = 0, time.Time{}, gophercloud.AuthOptions{}, nil
	s.failure, s.failurePause, s.ambiguous = nil, 0, nil
	s.forget()
}

// forget clears what was learned of the last token. The caller holds mu.
func (s *session) forget() {
	s.served.clear()
	clear(s.renewedFor)
	clear(s.pending401)
}

// nextDelay doubles a pause.
func nextDelay(pause, first time.Duration) time.Duration {
	return min(max(2*pause, first), maxPause)
}
