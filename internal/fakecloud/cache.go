package fakecloud

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Cache is an HTTP cache in front of the image API. It answers a GET with what the same URL and token got before, with
// the header Age, and never asks again.
type Cache struct {
	Age           time.Duration // added to Age: how old an answer was when the cache got it
	HonorsNoCache bool          // a request with Cache-Control: no-cache reaches the API
}

type cacheState struct {
	Cache
	entries map[string]cacheEntry
}

type cacheEntry struct {
	answer answer
	stored time.Time
}

// SetCache puts an empty cache in front of the image API; nil takes it away.
func (c *Cloud) SetCache(cache *Cache) {
	c.cacheMu.Lock()
	defer c.cacheMu.Unlock()
	c.cache = nil
	if cache != nil {
		c.cache = &cacheState{*cache, map[string]cacheEntry{}}
	}
}

func cacheKey(r *http.Request) string { return r.URL.RequestURI() + "\x00" + tokenOf(r) }

func (c *Cloud) fromCache(x *exchange) (answer, bool) {
	c.cacheMu.Lock()
	defer c.cacheMu.Unlock()
	if c.cache == nil || x.r.Method != http.MethodGet ||
		c.cache.HonorsNoCache && strings.Contains(x.r.Header.Get("Cache-Control"), "no-cache") {
		return answer{}, false
	}
	e, ok := c.cache.entries[cacheKey(x.r)]
	if !ok {
		return answer{}, false
	}
	a := e.answer
	a.header = a.header.Clone()
	a.header.Set("Age", strconv.Itoa(int((c.opts.Now().Sub(e.stored) + c.cache.Age).Seconds())))
	return a, true
}

// toCache keeps what RFC 9111 lets a cache keep without being told to.
func (c *Cloud) toCache(x *exchange, a answer) {
	c.cacheMu.Lock()
	defer c.cacheMu.Unlock()
	if c.cache == nil || x.r.Method != http.MethodGet || a.status != http.StatusOK && a.status != http.StatusNotFound {
		return
	}
	c.cache.entries[cacheKey(x.r)] = cacheEntry{a, c.opts.Now()}
}
