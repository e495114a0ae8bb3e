package client

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

const (
	// firstLoginDelay is long because Keystone locks accounts after some refused logins.
	firstLoginDelay = 30 * time.Second
	// resumeInterval is how often [LoginPause.resume] may end the pause of the same credential.
	resumeInterval = time.Minute
)

// failedLogin is how the last login failed. While its backoff is active, the same credential is not sent again.
type failedLogin struct {
	backoff
	auth gophercloud.AuthOptions
	err  *Error
}

func (f *failedLogin) record(auth gophercloud.AuthOptions, err *Error, first time.Duration) {
	f.auth, f.err = auth, err
	f.extend(first)
}

// prevents reports whether a login with a credential must wait.
func (f *failedLogin) prevents(auth gophercloud.AuthOptions) bool {
	return f.active() && reflect.DeepEqual(f.auth, auth)
}

// LoginPause is the pause after refused logins to one cloud. The client of a changed configuration takes over that of its
// predecessor, so that it does not send a refused credential again. The zero value is no pause. It is safe for concurrent use.
type LoginPause struct {
	mu      sync.Mutex
	refused []failedLogin // of different credentials, the last one last
	resumed time.Time     // when resume last ended a pause; it may be in the future
}

// maxRefused is how many refused credentials are remembered: enough for a few that alternate, not for all that are tried.
const maxRefused = 8

// Over reports whether the next client does not need the pause.
func (p *LoginPause) Over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.refused, func(f failedLogin) bool { return time.Since(f.until) <= resumeInterval })
}

func (p *LoginPause) active() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.refused) > 0 && p.refused[len(p.refused)-1].active()
}

// of returns the place of a credential among the refused ones, or -1.
func (p *LoginPause) of(auth gophercloud.AuthOptions) int {
	return slices.IndexFunc(p.refused, func(f failedLogin) bool { return reflect.DeepEqual(f.auth, auth) })
}

// refusal returns why a credential must not be sent now, nil if it may.
func (p *LoginPause) refusal(auth gophercloud.AuthOptions) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.of(auth)
	if i < 0 || !p.refused[i].active() {
		return nil
	}
	e := *p.refused[i].err
	e.Message = strings.TrimPrefix(fmt.Sprintf("%s; logins are paused until %s, or until the credential changes",
		e.Message, p.refused[i].until.UTC().Format(time.RFC3339)), "; ")
	return &e
}

func (p *LoginPause) record(auth gophercloud.AuthOptions, err *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var f failedLogin
	if i := p.of(auth); i >= 0 {
		f = p.refused[i]
		p.refused = slices.Delete(p.refused, i, i+1)
	}
	f.record(auth, err, firstLoginDelay)
	p.refused = append(p.refused, f)
	p.refused = p.refused[max(len(p.refused)-maxRefused, 0):]
}

// reset forgets the refused logins.
func (p *LoginPause) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused, p.resumed = nil, time.Time{}
}

// resume ends the pause, because the reason may have been corrected: at once, or a minute after it last ended one. The
// pause after another refusal is still longer than this one.
func (p *LoginPause) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := time.Now()
	if next := p.resumed.Add(resumeInterval); next.After(end) {
		end = next
	}
	for i := range p.refused {
		if f := &p.refused[i]; f.until.After(end) {
			f.until, p.resumed = end, end
		}
	}
}
