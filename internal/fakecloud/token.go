package fakecloud

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

type scope int

const (
	unscoped scope = iota
	projectScope
	domainScope
	systemScope
)

type token struct {
	id        string
	user      *user
	scope     scope
	projectID string
	roles     []string
	methods   []string
	auditIDs  []string
	issued    time.Time
	expires   time.Time
	appCred   *AppCredential
	revoked   atomic.Bool
	confirmed atomic.Int64 // when Keystone last confirmed it to Glance, Unix nanoseconds
}

// admin tells whether a token has the role that Keystone and Glance's default policy know, in any scope.
func (t *token) admin() bool { return slices.Contains(t.roles, "admin") }

func (t *token) valid(now time.Time) bool { return !t.revoked.Load() && now.Before(t.expires) }

// Token issues a project-scoped token without a login; with an empty projectID, an unscoped one. It is empty if there
// is no such user or the user has no role in the project.
func (c *Cloud) Token(userName, projectID string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.users[userName]
	if u == nil || projectID != "" && (u.roles[projectID] == nil || c.projects[projectID] == nil) {
		return ""
	}
	t := &token{user: u, methods: []string{"password"}}
	if projectID != "" {
		t.scope, t.projectID, t.roles = projectScope, projectID, withImplied(u.roles[projectID])
	}
	return c.issue(t).id
}

// RevokeTokens makes all tokens issued so far answer 401, at once: the cloud has no worker that would still believe
// them.
func (c *Cloud) RevokeTokens() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, t := range c.tokens {
		t.revoked.Store(true)
	}
}

// usable reports whether nothing of a token's scope is disabled.
func (c *Cloud) usable(t *token) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.whyDisabled(t) == ""
}

// issue fills in what all tokens have and keeps the token. The caller holds the lock.
func (c *Cloud) issue(t *token) *token {
	now := c.opts.Now()
	if len(c.tokens) >= 10_000 {
		for id, old := range c.tokens {
			if !now.Before(old.expires) {
				delete(c.tokens, id)
			}
		}
	}
	t.id = fernet(now)
	t.issued = now.UTC().Truncate(time.Second)
	if t.expires.IsZero() {
		t.expires = t.issued.Add(c.opts.TokenLife)
	}
	t.auditIDs = append([]string{base64.RawURLEncoding.EncodeToString(randomBytes(16))}, t.auditIDs...)
	c.tokens[t.id] = t
	return t
}

// fernet looks like a Fernet token of Keystone: version, time, then what only Keystone can read.
func fernet(now time.Time) string {
	b := randomBytes(137)
	b[0] = 0x80
	binary.BigEndian.PutUint64(b[1:], uint64(now.Unix()))
	return base64.RawURLEncoding.EncodeToString(b)
}

func (c *Cloud) token(id string) *token {
	if id == "" {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tokens[id]
}

// tokenOf joins repeated headers as WSGI does, which makes two good tokens one bad one.
func tokenOf(r *http.Request) string { return strings.Join(r.Header["X-Auth-Token"], ",") }

// withImplied adds the roles that Keystone's bootstrap makes others imply: admin is member, member is reader.
func withImplied(roles []string) []string {
	out := slices.Clone(roles)
	for i := 0; i < len(out); i++ {
		implied := map[string]string{"admin": "member", "member": "reader"}[out[i]]
		if implied != "" && !slices.Contains(out, implied) {
			out = append(out, implied)
		}
	}
	return out
}

// authorize is Glance's token check. Its answer to everything it doesn't like is nil, which becomes 401.
func (c *Cloud) authorize(x *exchange) *token {
	id := tokenOf(x.r)
	if id == "" {
		return nil
	}
	now, t := c.opts.Now(), c.token(id)
	if t != nil && !t.valid(now) {
		return nil // the expiry is in the cached token too, so that no Keystone is needed
	}
	cached := t != nil && now.Sub(time.Unix(0, t.confirmed.Load())) < c.opts.TokenCache
	if !cached {
		if c.keystoneDown.Load() {
			pause(x.r.Context(), c.opts.KeystoneDownDelay)
			return nil
		}
		if t == nil || !c.usable(t) {
			return nil
		}
		t.confirmed.Store(now.UnixNano())
	}
	if t.appCred != nil && !t.appCred.allows(x.r.Method, x.route.path) {
		return nil
	}
	return t
}

// allows is keystonemiddleware's check of access rules, a 401 where one would expect a 403.
func (a *AppCredential) allows(method, path string) bool {
	if len(a.AccessRules) == 0 {
		return true
	}
	return slices.ContainsFunc(a.AccessRules, func(r AccessRule) bool {
		return r.Method == method && matchGlob(r.Path, path)
	})
}

// matchGlob matches a whole path: ** any text, * and {name} one segment or a part of it, but not nothing.
func matchGlob(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case strings.HasPrefix(pattern, "**"):
		for i := 0; i <= len(s); i++ {
			if matchGlob(pattern[2:], s[i:]) {
				return true
			}
		}
		return false
	case pattern[0] == '*' || pattern[0] == '{':
		rest := pattern[1:]
		if pattern[0] == '{' {
			_, rest, _ = strings.Cut(pattern, "}")
		}
		for i := 1; i <= len(s) && s[i-1] != '/'; i++ {
			if matchGlob(rest, s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && s[0] == pattern[0] && matchGlob(pattern[1:], s[1:])
}
