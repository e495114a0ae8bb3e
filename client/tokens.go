package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

const (
	loginTimeout      = 30 * time.Second
	firstRenewalDelay = 5 * time.Second
)

// tokenSource holds one token and decides when to get another one. At most one login is in flight. It is safe for
// concurrent use.
type tokenSource struct {
	// auth is [Options].Auth; nil: the token never changes.
	auth    func() (gophercloud.AuthOptions, error)
	secrets *Secrets
	login   func(context.Context, gophercloud.AuthOptions) (_ *token, ambiguous bool, _ *Error)
	// unchecked is what a token gives access to that is used as it is.
	unchecked Access
	// oneOfMany is whether the tokens are for one of the user's projects. Where Keystone refuses one, the user may not enter
	// the project, and Keystone calls the old token invalid too.
	oneOfMany bool

	logins  flight[*loginResult]
	refused *LoginPause

	mu        sync.Mutex
	token     *token      // nil: there is none
	failed    failedLogin // without a refusal
	ambiguous *Error      // of the last login, if its catalog has two image endpoints
	denials   denials
}

// loginResult is the result of a login with one credential. The token is nil where it failed.
type loginResult struct {
	auth  gophercloud.AuthOptions
	token *token
}

func newTokenSource(opts Options, k *keystone) *tokenSource {
	s := &tokenSource{
		auth: opts.Auth, secrets: opts.Secrets, login: k.login, refused: cmp.Or(opts.Pause, &LoginPause{}), denials: newDenials(),
		unchecked: Access{ProjectID: opts.ProjectID, Endpoint: imageEndpoint(opts.Endpoint), Confirmed: opts.signed()},
	}
	if s.auth == nil {
		s.token = &token{access: s.unchecked}
	}
	return s
}

// close cancels a login in flight and waits for its end.
func (s *tokenSource) close() { s.logins.close() }

// resume ends the delays after refused logins, as far as it may, and after failed ones.
func (s *tokenSource) resume() {
	s.refused.resume()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed.reset()
}

// state returns when the token expires, and whether logins are paused because the last one was refused.
func (s *tokenSource) state() (expires time.Time, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != nil {
		expires = s.token.expires
	}
	return expires, s.refused.active()
}

// current returns the current token, nil where there is none.
func (s *tokenSource) current() *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// get returns the token for a request.
func (s *tokenSource) get(ctx context.Context) (*token, error) {
	if tok := s.current(); tok != nil {
		return tok, nil
	}
	return s.connect(ctx)
}

// connect returns the token to start a collection with.
func (s *tokenSource) connect(ctx context.Context) (*token, error) {
	if s.auth == nil {
		return s.current(), nil
	}
	auth, err := s.auth()
	tok := s.startCollection()
	switch {
	case err != nil && tok != nil:
		return tok, nil // The token is good, even if the file with the secret cannot be read now.
	case err != nil:
		return nil, &Error{Op: OpAuthenticate, Code: CodeConfig, Message: s.secrets.message(oneLine(err.Error()))}
	case auth.IdentityEndpoint == "":
		return s.adopt(auth), nil
	case tok == nil:
		return s.renew(ctx, auth, nil)
	case reflect.DeepEqual(tok.auth, auth) && !tok.endsSoon():
		return tok, nil
	}
	// The old token may still be good, so a slow Keystone must not use up the collection's time.
	ctx, cancel := context.WithTimeout(ctx, partOf(ctx))
	defer cancel()
	if renewed, err := s.renew(ctx, auth, tok); err == nil {
		return renewed, nil
	}
	return tok, nil
}

func (s *tokenSource) startCollection() *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.denials.lastServed.After(s.failed.failedAt()) {
		s.failed.reset() // The API accepts the token, so Keystone may be available again.
	}
	s.denials.startCollection()
	return s.token
}

// partOf is a quarter of the time that ctx leaves.
func partOf(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return loginTimeout
	}
	return time.Until(deadline) / 4
}

// adopt makes a token current that needs no login.
func (s *tokenSource) adopt(auth gophercloud.AuthOptions) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil || s.token.id != auth.TokenID {
		s.secrets.learn(auth.TokenID)
		access := s.unchecked
		access.Token = fmt.Sprintf("%x", sha256.Sum256([]byte(auth.TokenID)))
		s.token = &token{id: auth.TokenID, access: access, auth: auth, credential: credentialOf(auth)}
		s.denials.newToken()
	}
	return s.token
}

// accepted records a response that shows a token to be good.
func (s *tokenSource) accepted(tok *token, req request) {
	if s.auth == nil {
		return // There is no other token to get.
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denials.served(req.key(), tok == s.token)
}

// onUnauthorized records a 401. It returns the token to repeat the request with, or nil and, where it helps, why there is
// none.
func (s *tokenSource) onUnauthorized(ctx context.Context, tok *token, req request) (again *token, why string) {
	if s.auth == nil {
		return nil, ""
	}
	again, why, renew := s.mayRenew(tok, req.key())
	if !renew {
		return again, why
	}
	auth, err := s.auth()
	switch {
	case err != nil:
		return nil, "the token cannot be renewed: " + s.secrets.message(oneLine(err.Error()))
	case auth.IdentityEndpoint == "" && auth.TokenID == tok.id:
		return nil, "provide a new token"
	case auth.IdentityEndpoint == "":
		return s.adopt(auth), ""
	}
	again, err = s.renew(ctx, auth, tok)
	if err != nil {
		return nil, "renewing the token: " + err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == again {
		s.denials.renewed(req.key())
	}
	return again, ""
}

// mayRenew reports whether a 401 is a reason to get another token. If not, it returns the token that has replaced tok, or why
// another one would not help.
func (s *tokenSource) mayRenew(tok *token, key string) (replaced *token, why string, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != tok {
		return s.token, "", false
	}
	why = s.denials.explain(key)
	switch {
	case why != "":
	case s.failed.active():
		why = "renewing the token: " + s.failed.err.Error()
	case s.denials.renewals.active() && s.ambiguous != nil:
		why = "renewing the token: " + s.ambiguous.Error()
	case s.denials.renewals.active():
		why = refusedToo
	}
	return nil, why, why == ""
}

// stillUnauthorized records that a renewed token got a 401 too.
func (s *tokenSource) stillUnauthorized(tok *token, req request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == tok {
		s.denials.renewalUseless(req.key())
	}
}

// renew returns a token that replaces old, which is nil where there was none: the current one if it is another one by now,
// else the result of a login. The error is an *[Error].
func (s *tokenSource) renew(ctx context.Context, auth gophercloud.AuthOptions, old *token) (*token, error) {
	for {
		tok, login, err := s.startLogin(auth, old)
		if login == nil {
			return tok, err
		}
		result, err := login.wait(ctx)
		switch {
		case result == nil:
			return nil, err
		case err == nil && result.token != old:
			return result.token, nil
		case err != nil && reflect.DeepEqual(result.auth, auth), ctx.Err() != nil:
			return result.token, err
		}
		// The login was in flight before: it failed with another credential, or its result is the token to replace.
	}
}

// startLogin returns the current token if it is not old, else the login in flight or a new one, else why none is made.
func (s *tokenSource) startLogin(auth gophercloud.AuthOptions, old *token) (*token, *call[*loginResult], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != nil && s.token != old {
		return s.token, nil, nil
	}
	if login := s.logins.current(); login != nil {
		return nil, login, nil
	}
	if err := s.refused.refusal(auth); err != nil {
		return nil, nil, err
	}
	if s.token != nil && s.failed.prevents(auth) {
		return nil, nil, s.failed.err
	}
	return nil, s.logins.start(loginTimeout, func(ctx context.Context) (*loginResult, error) { return s.logIn(ctx, auth) }), nil
}

// logIn logs in and records the result.
func (s *tokenSource) logIn(ctx context.Context, auth gophercloud.AuthOptions) (*loginResult, error) {
	tok, ambiguous, err := s.login(ctx, auth)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.refused.reset()
		s.token, s.failed, s.ambiguous = tok, failedLogin{}, nil
		s.denials.newToken()
		return &loginResult{auth, tok}, nil
	}
	switch {
	case err.Code == CodeCanceled: // by close
	case ambiguous:
		// The credential is good, so logins go on. Only renewals after a 401 back off: else each 401 would cost a login.
		s.ambiguous = err
		s.denials.renewals.extend(firstRenewalDelay)
	case err.StatusCode == http.StatusUnauthorized, err.StatusCode == http.StatusForbidden, err.Code == CodeConfig:
		// A token that cannot be used counts as refused: the next one would be the same.
		s.refused.record(auth, err)
		if s.oneOfMany && err.StatusCode != 0 {
			s.token = nil
		}
	default:
		s.failed.record(auth, err, firstRenewalDelay)
	}
	return &loginResult{auth, nil}, err
}
