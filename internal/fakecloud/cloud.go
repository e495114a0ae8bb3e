// Package fakecloud is an OpenStack cloud in memory: Keystone v3 and Glance v2 behind one http.Handler, with faults that
// can be switched on and a log of what was asked. Tests, benchmarks and the demo use it; no production path does.
//
// What it answers is compared with recordings of a real Keystone and Glance (testdata/recordings). It reads only: the
// world is changed by the methods of Cloud. It imports nothing of the project, so that the wire format is written down
// twice and a typo can't cancel out.
package fakecloud

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of a Cloud. The zero value is a Debian 12 cloud with one region.
type Options struct {
	TokenLife         time.Duration    // how long a token lives; default 1h
	Region            string           // default "RegionOne"
	Regions           []string         // further regions of the catalog; they serve the same world
	Now               func() time.Time // default time.Now; also the Date of Glance's answers
	Base              string           // the catalog's base URL; default: the Host that the request named
	LogSize           int              // how many requests the log keeps, newest first to stay; default 100000
	PageSize          int              // images per page without a limit; default 25
	MaxPageSize       int              // larger limits are lowered to it without an error; default 1000
	TokenCache        time.Duration    // how long Glance believes a token that Keystone has confirmed; default 300s
	KeystoneDownDelay time.Duration    // how long Glance tries to reach a Keystone that is down; default 0 (really 3.5s)
	Huawei            bool             // the catalog is like Huawei Cloud's: many services, and IMS as the image service
	Domain            string           // name of the one domain, at Huawei Cloud the account; default "Default"
	EncodedDenials    bool             // IMS says in another way that a right is lacking
	HCSO              bool             // IMS reports that with a 401
	NoMembersV1       bool             // the gateway of IMS does not publish the v1 list of members
	// PrivateGroupShares is whether __imagetype is private where only domains and organizations are members.
	PrivateGroupShares bool
	Chinese            bool // Glance runs with LANGUAGE=zh_CN and its translations, which no Accept-Language changes
	KeystoneDrops      bool // a Keystone that is down closes connections instead of answering 503
}

// Cloud is a Keystone below /identity, a Glance below /image, and Huawei Cloud's IMS below /ims, for the same world. It is
// safe for concurrent use.
type Cloud struct {
	opts Options
	log  *requestLog

	latency      atomic.Int64
	keystoneDown atomic.Bool

	cacheMu sync.Mutex
	cache   *cacheState

	faultsMu sync.Mutex
	faults   []*activeFault

	mu         sync.RWMutex // guards all below
	policy     Policy
	before25   bool
	catalog    Catalog
	projects   map[string]*project
	disabled   map[string]bool  // IDs of projects and domains
	users      map[string]*user // by name: there is one domain
	appCreds   map[string]*AppCredential
	accessKeys map[string]*AccessKey
	groups     map[string][]group // by project ID
	tokens     map[string]*token
	images     map[string]*imageRecord
	deleted    map[string]*imageRecord
	order      []*imageRecord // as created
}

var _ http.Handler = (*Cloud)(nil)

// New returns an empty cloud.
func New(opts Options) *Cloud {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	orInt := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	if opts.Huawei {
		orDuration(&opts.TokenLife, 24*time.Hour)
	}
	orDuration(&opts.TokenLife, time.Hour)
	if opts.Domain == "" {
		opts.Domain = "Default"
	}
	orDuration(&opts.TokenCache, 300*time.Second)
	orInt(&opts.LogSize, 100_000)
	orInt(&opts.PageSize, 25)
	orInt(&opts.MaxPageSize, 1000)
	if opts.Region == "" {
		opts.Region = "RegionOne"
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Cloud{
		opts:       opts,
		log:        newRequestLog(opts.LogSize),
		projects:   map[string]*project{},
		disabled:   map[string]bool{},
		users:      map[string]*user{},
		appCreds:   map[string]*AppCredential{},
		accessKeys: map[string]*AccessKey{},
		groups:     map[string][]group{},
		tokens:     map[string]*token{},
		images:     map[string]*imageRecord{},
		deleted:    map[string]*imageRecord{},
	}
}

// ServeHTTP answers as Keystone or Glance would, unless a fault matches.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Reading the body first is what lets net/http notice a client that goes away during a wait.
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))

	x := &exchange{r: r, body: body, base: c.base(r)}
	x.service, x.region, x.path = splitPath(r.URL.Path)
	if x.service == "" && c.opts.Huawei && imsAtRoot(r.URL.Path) {
		x.service = serviceIMS
	}
	switch x.service {
	case serviceImage:
		x.route = routeOf(x.path, r.Header.Get("Accept"))
	case serviceIMS:
		x.route, _ = imsRoute(x.path)
	}
	req := c.describe(x)
	entry := c.log.open(req)
	defer c.log.leave()

	fault := c.match(req)
	if fault != nil && !fault.wait(r.Context()) {
		return
	}
	if x.service != serviceIdentity && !pause(r.Context(), time.Duration(c.latency.Load())) {
		return
	}
	if fault != nil && fault.Raw != nil {
		c.log.close(entry, 0)
		fault.Raw(w, r)
		return
	}
	var a answer
	if fault != nil && fault.Status != 0 {
		a = fault.answer()
	} else {
		x.blank = fault != nil && fault.Blank
		if a = c.answer(x); a.hangUp {
			panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer
		}
	}
	c.log.close(entry, a.status)
	if fault != nil && fault.Stray != nil && a.sendStray(w, r.Method, fault.Stray) {
		return
	}
	a.send(w, r.Method, fault != nil && fault.Truncate)
}

// exchange is one request on its way through the cloud.
type exchange struct {
	r       *http.Request
	body    []byte
	base    string
	service string
	region  string // "" for the first region
	path    string // below the service
	route   route
	blank   bool // the database is empty
}

func (c *Cloud) answer(x *exchange) answer {
	switch x.service {
	case serviceIdentity:
		return c.keystone(x)
	case serviceImage, serviceIMS:
		if cached, ok := c.fromCache(x); ok {
			return cached
		}
		a := c.imageService(x)
		if a.header.Get("Date") == "" {
			// The clock of the cloud, not of this machine: the two may differ on purpose.
			a.header.Set("Date", c.opts.Now().UTC().Format(http.TimeFormat))
		}
		c.toCache(x, a)
		return a
	}
	return textAnswer(http.StatusNotFound, "text/plain; charset=utf-8", "no such service\n")
}

func (c *Cloud) imageService(x *exchange) answer {
	if x.service == serviceIMS {
		return c.ims(x)
	}
	return c.glance(x)
}

// data is what requests are answered from: the cloud, or an empty one in its place.
func (c *Cloud) data(x *exchange) *Cloud {
	if x.blank {
		return &Cloud{opts: c.opts}
	}
	return c
}

func (c *Cloud) base(r *http.Request) string {
	if c.opts.Base != "" {
		return strings.TrimRight(c.opts.Base, "/")
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// splitPath finds the service a path belongs to: /identity, /image, /ims, or /regions/NAME/image for a further region.
func splitPath(path string) (service, region, rest string) {
	if after, ok := strings.CutPrefix(path, "/regions/"); ok {
		var found bool
		if region, rest, found = strings.Cut(after, "/"); !found {
			return "", "", path
		}
		path = "/" + rest
	}
	for _, s := range []string{serviceIdentity, serviceImage, serviceIMS} {
		if after, ok := strings.CutPrefix(path, "/"+s); ok && (after == "" || after[0] == '/') {
			return s, region, after
		}
	}
	return "", "", path
}

// answer is a whole response, kept so that it can be logged, cut in half or thrown away.
type answer struct {
	status int
	header http.Header
	body   []byte
	hangUp bool

	explanation string // of an error of Glance
}

func textAnswer(status int, contentType, body string) answer {
	return answer{status: status, header: http.Header{"Content-Type": {contentType}}, body: []byte(body)}
}

// send writes the answer; truncated, it announces the whole length, sends half and closes the connection.
func (a answer) send(w http.ResponseWriter, method string, truncate bool) {
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	if a.header.Get("Date") == "" {
		h["Date"] = nil // Keystone under uwsgi sends none
	}
	if a.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if method == http.MethodHead {
		return
	}
	if !truncate {
		_, _ = w.Write(a.body) // a client that is gone is no concern of ours
		return
	}
	_, _ = w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// pause waits for d and reports whether the request is still wanted.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
