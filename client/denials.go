package client

import (
	"maps"
	"time"
)

// maxServed is how many requests a token source remembers that its token was good for, and up to twice as many: a token may
// never expire, and images come and go. No cloud has as many.
const maxServed = 100_000

// denials remembers which requests got a 401 and which did not. The image API answers 401 to an expired or revoked token.
// A real Glance also answers 401 to a good token: to every request while Keystone is unavailable, and to those requests
// that the access rules of an application credential exclude.
//
// So a 401 renews the token once. A request that gets a 401 with the new token too, while others succeed, is denied. It
// renews no more tokens until the API refuses a token that it accepted for this request before. While no request
// succeeds, renewals back off.
//
// denials is not safe for concurrent use: its [tokenSource] guards it. The keys are those of requests.
type denials struct {
	start      time.Time // of the collection in progress
	lastServed time.Time // when a response last showed a token to be good
	renewals   backoff   // of renewals that did not help
	useless    bool      // whether a renewal ever did not help

	accepted   *cache[struct{}]     // requests that the current token was good for
	renewedFor map[string]struct{}  // requests that the current token was requested for, and was not good for yet
	pending401 map[string]struct{}  // requests that got a 401 in this collection, while nothing was served
	denied     map[string]time.Time // requests that get a 401 with good tokens, and when they last did
}

const refusedToo = "a new token was refused too"

func newDenials() denials {
	return denials{
		accepted: newCache[struct{}](maxServed), renewedFor: map[string]struct{}{},
		pending401: map[string]struct{}{}, denied: map[string]time.Time{},
	}
}

func (d *denials) startCollection() {
	d.start = time.Now()
	clear(d.pending401)
	maps.DeleteFunc(d.denied, func(_ string, at time.Time) bool { return time.Since(at) > 2*maxBackoff }) // no longer requested
}

// newToken forgets what depends on the token before.
func (d *denials) newToken() {
	d.accepted.clear()
	clear(d.renewedFor)
	clear(d.pending401)
}

// served records a response that shows a token to be good.
func (d *denials) served(key string, current bool) {
	now := time.Now()
	d.lastServed = now
	d.renewals.reset() // Whatever was refused, the token was not the reason.
	if current {
		d.accepted.put(key, struct{}{})
		delete(d.renewedFor, key)
	}
	delete(d.pending401, key)
	delete(d.denied, key)
	for k := range d.pending401 {
		d.denied[k] = now
	}
	clear(d.pending401)
}

// explain returns why the request gets a 401 with the current token. Empty: another token may help.
func (d *denials) explain(key string) string {
	if _, ok := d.renewedFor[key]; ok { // The first attempt with this token had no response, perhaps.
		d.renewalUseless(key)
		return refusedToo
	}
	if _, ok := d.accepted.get(key); !ok {
		_, denied := d.denied[key]
		if (denied && time.Since(d.lastServed) < maxBackoff) || (d.useless && d.othersServed()) {
			d.denied[key] = time.Now()
			return refusedToo + ", while other requests succeed: the credential may not send this request"
		}
	}
	d.pending401[key] = struct{}{}
	return ""
}

// renewed records that the current token was requested for this request.
func (d *denials) renewed(key string) { d.renewedFor[key] = struct{}{} }

// renewalUseless records that the request gets a 401 with the token that was requested for it.
func (d *denials) renewalUseless(key string) {
	d.useless = true
	delete(d.renewedFor, key)
	if d.othersServed() {
		d.denied[key] = time.Now()
		return
	}
	d.pending401[key] = struct{}{}
	if !d.renewals.active() {
		d.renewals.extend(firstRenewalDelay)
	}
}

// othersServed reports whether anything was served in this collection.
func (d *denials) othersServed() bool {
	return !d.lastServed.IsZero() && !d.lastServed.Before(d.start)
}
