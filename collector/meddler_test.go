package collector_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// meddler comes between an exporter and its cloud. What it does to a request follows from the seed, the round and the
// request, so that the order of requests does not matter.
type meddler struct {
	next  http.RoundTripper
	truth *truth
	world *fakecloud.Cloud
	seed  uint64

	mu     sync.Mutex
	round  int
	rate   float64
	blank  float64         // of the answers are those of a backend with an empty database
	inside float64         // of the requests about an image come after a change of it
	only   string          // operation; empty: all
	seen   map[string]int  // requests by URL
	told   map[string]bool // what was answered as it is, and about which image
	token  string          // of the proxy
	quiet  bool            // nothing goes wrong any more
	lines  []string
}

const (
	blankHeader = "X-Test-Blank"
	otherHost   = "old.test" // in a catalog with two image endpoints
)

func newMeddler(r *truth, seed uint64) *meddler {
	m := &meddler{next: fakecloud.InMemory(r.world), truth: r, world: r.world, seed: seed}
	r.world.Inject(fakecloud.Fault{Blank: true, Match: func(r fakecloud.Request) bool { return r.Header.Get(blankHeader) != "" }})
	return m
}

// begin begins a round in which more or less goes wrong.
func (m *meddler) begin(r *rand.Rand, round int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.round, m.rate, m.only = round, pick(r, []float64{0, 0, 0.05, 0.3, 0.3, 0.8}), pick(r,
		[]string{"", "", "members", "record", "list", "inbound", "keystone", "probe"})
	m.blank, m.inside = pick(r, []float64{0, 0, 0, 0.2, 0.5}), pick(r, []float64{0, 0, 0.1, 0.5})
	m.seen, m.told, m.lines = map[string]int{}, map[string]bool{}, nil
	if m.quiet {
		m.rate, m.blank, m.inside = 0, 0, 0
	}
}

func (m *meddler) delivered(what, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told[what+" "+id]
}

func (m *meddler) anyAnswer() bool { return m.delivered("answer", "") }

func (m *meddler) story() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.lines, "\n")
}

// subject returns a request's operation and image.
func subject(u *url.URL) (op, id string) {
	rest, ok := strings.CutPrefix(u.Path, "/image/v2/images")
	id, member, members := strings.Cut(strings.Trim(rest, "/"), "/members")
	switch {
	case !ok:
		return "keystone", ""
	case member != "":
		return "probe", id
	case members:
		return "members", id
	case id != "":
		return "record", id
	case u.Query().Has("member_status"):
		return "inbound", ""
	}
	return "list", ""
}

var errBroken = errors.New("connection reset by peer")

func (m *meddler) RoundTrip(req *http.Request) (*http.Response, error) {
	op, id := subject(req.URL)
	m.mu.Lock()
	key := req.Method + " " + req.URL.String()
	if op == "probe" {
		key = "GET " + id + "/members/*" // the member is a random one
	}
	m.seen[key]++
	hash := fnv.New64a()
	fmt.Fprint(hash, m.round, key, m.seen[key])
	r := rand.New(rand.NewPCG(m.seed, hash.Sum64()))
	meddle := r.Float64() < m.rate && (m.only == "" || m.only == op)
	blank, inside := r.Float64() < m.blank, r.Float64() < m.inside
	m.mu.Unlock()
	if inside && id != "" {
		m.truth.changeInside(r, id)
	}
	defer time.Sleep(time.Duration(hash.Sum64()%4) * time.Millisecond) // so that answers have ages
	req = m.prepare(req, op, blank)
	what, resp, err := "as it is", (*http.Response)(nil), error(nil)
	if meddle {
		what, resp, err = m.meddle(r, op, req)
	} else {
		resp, err = m.next.RoundTrip(req)
	}
	m.note(fmt.Sprintf("%s %s: %s", op, req.URL.RequestURI(), what), req, resp, err)
	if err != nil {
		return nil, err
	}
	if what == "as it is" {
		m.tell(op, id, resp)
	} else if op == "members" && resp.StatusCode == http.StatusForbidden {
		m.add("answer ")
		m.add("forged ")
	} else if op != "keystone" && slices.Contains([]int{200, 403, 404}, resp.StatusCode) {
		m.add("answer ")
		m.add("forged ")
	}
	return resp, nil
}

// prepare is what the request becomes on its way: a proxy may authenticate it, and a backend with an empty database answer it.
func (m *meddler) prepare(req *http.Request, op string, blank bool) *http.Request {
	req = req.Clone(req.Context())
	if op == "keystone" {
		return req
	}
	if blank || req.URL.Host == otherHost {
		req.Header.Set(blankHeader, "1")
		m.truth.note("blank backend")
	}
	if m.truth.noAuth {
		m.mu.Lock()
		if m.token == "" {
			m.token = m.world.Token(m.truth.user, m.truth.project)
		}
		req.Header.Set("X-Auth-Token", m.token)
		m.mu.Unlock()
	}
	return req
}

func (m *meddler) note(line string, req *http.Request, resp *http.Response, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if req.Header.Get(blankHeader) != "" {
		line += ", blank"
	}
	if err == nil {
		line += fmt.Sprint(", ", resp.StatusCode)
		if resp.StatusCode == http.StatusUnauthorized {
			m.token = ""
		}
	}
	m.lines = append(m.lines, line)
}

func (m *meddler) add(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told[what] = true
}

// tell notes what an answer tells.
func (m *meddler) tell(op, id string, resp *http.Response) {
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if op == "keystone" {
		return
	}
	if age, _ := strconv.Atoi(resp.Header.Get("Age")); age > 5 {
		m.truth.note("answers of a cache that are too old")
		return
	}
	blank := resp.Request.Header.Get(blankHeader) != ""
	switch {
	case resp.StatusCode == http.StatusNotFound:
		m.add("404 " + op + " " + id)
		if blank {
			m.add("blank 404 " + op + " " + id)
		}
	case resp.StatusCode == http.StatusOK && (op == "list" || op == "inbound"):
		if blank {
			m.add("blank " + op + " ")
		}
		parts := strings.Split(string(body), `"id": "`)[1:]
		limit, _ := strconv.Atoi(resp.Request.URL.Query().Get("limit"))
		sorted := resp.Request.URL.Query().Has("sort") // another one is one page, whatever follows
		if sorted && strings.Contains(string(body), `"next": "`) && len(parts) < min(limit, m.truth.maxPage) {
			m.add("dropped ")
		}
		for _, part := range parts {
			id, _, _ := strings.Cut(part, `"`)
			m.add(strings.Replace(op, "list", "record", 1) + " " + id)
		}
	case resp.StatusCode == http.StatusOK:
		m.add(op + " " + id)
	}
	if slices.Contains([]int{200, 403, 404}, resp.StatusCode) {
		m.add("answer ")
	}
}

// garbage is what nobody may believe, by operation.
var garbage = map[string][]string{
	"members": {
		`{"members": null}`,
		`{"members": {}}`,
		`{"members": [1]}`,
		`{"members": []`,
		`{"members": [], "next": "x"}`,
		`{"images": []}`,
		`{"members": [], "error_code": "APIGW.0301"}`,
		`{"members": [{"member_id": "a"}], "Members": []}`,
		`{"members": [{"member_id": "a", "image_id": "b"}]}`,
		"{\"members\": [{\"member_id\": \"\xff\"}]}",
	},
	"list": {
		`{"images": null}`,
		`{"images": {}}`,
		`{"images": [1]}`,
		`{"images": [{"id": 1}]}`,
		`{"images": [{"id": "a b"}]}`,
		`{"images": [], "next": "x"}`,
		`{"images": [], "error": "x"}`,
		`{"members": []}`,
	},
	"inbound": {
		`{"images": null}`,
		`{"images": [1]}`,
		`{"images": [{"id": "a b"}]}`,
		`{"images": [], "next": "x"}`,
		`{"images": [], "error": "x"}`,
		`{"members": []}`,
	},
	"record": {`{"id": "b", "visibility": "private"}`, `{"id": 1}`, `{"visibility": "private"}`, `{"images": []}`},
	"probe":  {`{"member_id": "b", "image_id": "b", "status": "accepted"}`, `{"member_id": 1}`, `{"members": []}`},
}

// meddle does something to a request, or to its answer.
func (m *meddler) meddle(r *rand.Rand, op string, req *http.Request) (what string, resp *http.Response, err error) {
	wait := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(req.Context(), d)
		defer cancel()
		<-ctx.Done()
		return req.Context().Err()
	}
	switch r.IntN(9) {
	case 0:
		return "hang", nil, errors.Join(wait(24*time.Hour), errBroken)
	case 1:
		if err := wait(time.Duration(r.IntN(4000)) * time.Millisecond); err != nil {
			return "too slow", nil, err
		}
		resp, err = m.next.RoundTrip(req)
		return "as it is", resp, err
	case 2:
		return "no connection", nil, errBroken
	case 3:
		if _, err := m.next.RoundTrip(req); err != nil {
			return "broken", nil, err
		}
		return "broken", nil, errBroken
	case 4, 5: // a 200 that is cut, with an error or without one
		if resp, err = m.next.RoundTrip(req); err != nil {
			return "cut", nil, err
		}
		body, _ := io.ReadAll(resp.Body)
		if len(body) == 0 || resp.StatusCode >= 300 {
			return "broken", nil, errBroken
		}
		cut := io.Reader(bytes.NewReader(body[:r.IntN(len(body))]))
		if r.IntN(2) == 0 {
			cut = io.MultiReader(cut, brokenBody{})
		}
		resp.Body = io.NopCloser(cut)
		return "cut", resp, nil
	case 6:
		m.world.RevokeTokens()
		resp, err = m.next.RoundTrip(req)
		return "as it is", resp, err
	case 7:
		return "garbage", answer(req, http.StatusOK,
			pick(r, append(garbage[op], "", "null", "{}", "[]", "\x1f\x8b\x00", "<html>Please log in</html>", `{"error": {"code": 500}}`))), nil
	}
	codes := []int{201, 204, 300, 302, 400, 400, 401, 401, 403, 403, 404, 404, 404, 404, 405, 409, 410, 413, 429, 500, 502, 503, 504, 599, 999}
	if op == "keystone" {
		codes = []int{200, 300, 401, 403, 404, 429, 500, 503}
	}
	return "status", answer(req, pick(r, codes), pick(r, []string{"", `{"message": "no"}`, `{"members": [], "images": []}`})), nil
}

func answer(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
