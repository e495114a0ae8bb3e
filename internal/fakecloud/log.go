package fakecloud

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Services and operations, as Request names them.
const (
	serviceIdentity = "identity"
	serviceImage    = "image"

	OpAuthenticate  = "authenticate"
	OpValidateToken = "validate_token"
	OpListProjects  = "list_projects"
	OpReadProjects  = "read_projects" // all of them, or any one
	OpListImages    = "list_images"
	OpGetImage      = "get_image"
	OpListMembers   = "list_members"
	OpGetMember     = "get_member"
	OpVersions      = "versions"
	OpOther         = "other"
)

// Request is one request as the log keeps it, from its arrival on.
type Request struct {
	Time       time.Time
	Service    string // "identity", "image", "ims", or "" for none
	Region     string // "" for the first region
	Operation  string // one of the Op constants
	Method     string
	Path       string // as sent, decoded
	RawQuery   string
	ImageID    string // of get_image, list_members and get_member
	MemberID   string // of get_member
	Status     int    // 0: not answered, or not yet
	User       string // name of the token's user
	Project    string // ID of the token's project
	UserAgent  string
	Header     http.Header // all of it
	RemoteAddr string
}

// requestLog is a ring of the newest requests with counters that don't forget.
type requestLog struct {
	mu          sync.Mutex
	ring        []Request
	size        int
	next        int // sequence number of the next request
	counts      map[string]int
	addrs       map[string]struct{}
	connections int
	inFlight    int
	most        int // in flight
}

func newRequestLog(size int) *requestLog {
	l := &requestLog{size: size}
	l.reset()
	return l
}

func (l *requestLog) reset() {
	l.ring, l.counts, l.addrs, l.connections, l.most = nil, map[string]int{}, map[string]struct{}{}, 0, l.inFlight
	// next goes on: a request that is still under way must not write into its successor's place.
	l.next += l.size - l.next%l.size
}

// open logs a request at its arrival, so that one that hangs is seen too.
func (l *requestLog) open(r Request) (entry int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight++
	l.most = max(l.most, l.inFlight)
	entry = l.next
	l.next++
	if i := entry % l.size; i < len(l.ring) {
		l.ring[i] = r
	} else {
		l.ring = append(l.ring, r)
	}
	l.counts[r.Operation]++
	if _, ok := l.addrs[r.RemoteAddr]; !ok {
		if len(l.addrs) >= l.size {
			clear(l.addrs) // a demo may run for weeks; an old address may then count twice
		}
		l.addrs[r.RemoteAddr] = struct{}{}
		l.connections++
	}
	return entry
}

// leave notes that a request is over, answered or not.
func (l *requestLog) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
}

func (l *requestLog) close(entry, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := entry % l.size; entry >= l.next-len(l.ring) && i < len(l.ring) {
		l.ring[i].Status = status
	}
}

// Requests returns the log, oldest first.
func (c *Cloud) Requests() []Request {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Request, 0, len(l.ring))
	if len(l.ring) == l.size {
		out = append(out, l.ring[l.next%l.size:]...)
		return append(out, l.ring[:l.next%l.size]...)
	}
	return append(out, l.ring...)
}

// Count returns how many requests of an operation have arrived; Op constants name them, "" counts all.
func (c *Cloud) Count(op string) int {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if op != "" {
		return l.counts[op]
	}
	n := 0
	for _, m := range l.counts {
		n += m
	}
	return n
}

// Connections returns how many distinct remote addresses have been seen: with keep-alive, how many connections.
func (c *Cloud) Connections() int {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.connections
}

// MostInFlight returns how many requests were being answered at once, at most.
func (c *Cloud) MostInFlight() int {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.most
}

// ResetLog empties the log and the counters.
func (c *Cloud) ResetLog() {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.log.reset()
}

// describe is what the log and the faults get to know of a request.
func (c *Cloud) describe(x *exchange) Request {
	r := x.r
	req := Request{
		Time:       c.opts.Now(),
		Service:    x.service,
		Region:     x.region,
		Operation:  operation(x),
		Method:     r.Method,
		Path:       r.URL.Path,
		RawQuery:   r.URL.RawQuery,
		UserAgent:  r.UserAgent(),
		Header:     r.Header,
		RemoteAddr: r.RemoteAddr,
	}
	switch req.Operation {
	case OpGetMember:
		req.ImageID, req.MemberID = x.route.image, x.route.member
	case OpGetImage, OpListMembers:
		req.ImageID = x.route.image
	}
	if t := c.token(tokenOf(r)); t != nil {
		req.User, req.Project = t.user.name, t.projectID
	}
	return req
}

func operation(x *exchange) string {
	method := x.r.Method
	if x.service == serviceIdentity {
		switch path := strings.TrimSuffix(x.path, "/"); {
		case path == "/v3/auth/tokens" && method == http.MethodPost:
			return OpAuthenticate
		case path == "/v3/auth/tokens" && (method == http.MethodGet || method == http.MethodHead):
			return OpValidateToken
		case path == "/v3/auth/projects" && method == http.MethodGet:
			return OpListProjects
		case strings.HasPrefix(path, "/v3/projects") && method == http.MethodGet:
			return OpReadProjects
		case path == "" || path == "/v3":
			return OpVersions
		}
		return OpOther
	}
	if x.service != serviceImage && x.service != serviceIMS {
		return OpOther
	}
	if x.route.kind == routeVersions || x.route.kind == routeVersionsPage {
		return OpVersions
	}
	if method != http.MethodGet {
		return OpOther
	}
	switch x.route.kind {
	case routeImages:
		return OpListImages
	case routeImage:
		return OpGetImage
	case routeMembers:
		return OpListMembers
	case routeMember:
		return OpGetMember
	}
	return OpOther
}
