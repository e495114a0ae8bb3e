//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestChaos stops, freezes, slows and cuts Keystone, Glance, its database and the network to both, and changes Glance's policies, at
// random, while shares change, and then compares every scrape of the whole time with what was true in it: never a word that was not.
// Without GLANCE_CHAOS it is a short one:
//
//	GLANCE_CHAOS=10m go test -tags e2e -timeout 20m -run TestChaos -v ./internal/e2e
//
// It runs in a network namespace of its own, whose packets may be dropped without harm to anyone.
func TestChaos(t *testing.T) {
	length := 45 * time.Second
	if text := os.Getenv("GLANCE_CHAOS"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("GLANCE_CHAOS: %v", err)
		}
	}
	if os.Getenv(chaosExporter) == "" {
		checkPrerequisites(t, "/usr/sbin/ip", "/usr/sbin/nft")
		runInNamespace(t, chaosExporter+"="+buildExporter(t))
		return
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := newChaos(t, os.Getenv(chaosExporter))
	c.run(t, length, seed)
	c.endsWell(t)
	c.judge(t)
}

// chaosExporter is the variable with the exporter's path, for the process inside the namespace.
const chaosExporter = "GLANCE_CHAOS_EXPORTER"

// runInNamespace runs the test once more, in a network namespace of its own with nothing but loopback. It needs no root: a user
// namespace comes with it.
func runInNamespace(t *testing.T, env string) {
	t.Helper()
	args := []string{
		"--user", "--net", "--map-root-user", "--", "/bin/sh", "-ec", `ip link set lo up; exec "$@"`, "sh",
		os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-test.count=1", "-test.timeout=0",
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/unshare", args...)
	cmd.Env = append(os.Environ(), env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out := &testLog{t: t}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		// What the test found comes before the logs of many daemons. Who sees only the end of it all needs it too.
		t.Fatalf("in the namespace: %v; the test's last words:\n%s", err, strings.Join(lastWords(out.all.String(), 12), "\n"))
	}
}

// testLog gives what a test in another process prints to a test's log.
type testLog struct {
	t   testing.TB
	all strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.t.Helper()
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return l.all.Write(p)
}

// lastWords returns the last lines that a test logged before the ends of its daemons' logs.
func lastWords(printed string, most int) (words []string) {
	for line := range strings.Lines(printed) {
		if strings.Contains(line, "_test.go:") && !strings.Contains(line, endOfLog) {
			words = append(words, strings.TrimSpace(line))
		}
	}
	return words[max(0, len(words)-most):]
}

// TestLastWords checks that what a test found is told, and not the logs of its daemons, as many as they are.
func TestLastWords(t *testing.T) {
	printed := "=== RUN   TestX\n    chaos_test.go:1: begun\n    chaos_test.go:2: ten are missing\n    chaos_test.go:3: false\n" +
		strings.Repeat("    daemon_test.go:4: the end of glance-api's log:\n        x_test.py: no\n", 20) + "--- FAIL: TestX (1.00s)\n"
	want := []string{"chaos_test.go:2: ten are missing", "chaos_test.go:3: false"}
	if got := lastWords(printed, 2); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := lastWords("", 2); got != nil {
		t.Errorf("of nothing %q", got)
	}
}

// ------------------------------------------------------------------------------------------------------------------

const chaosInterval = 2 * time.Second // of the scrapes, and their timeout

// chaos is a cloud that nothing may be relied on of, and an exporter that watches it over wires of ours.
type chaos struct {
	*world
	*exporter
	wires   []*wire // to Glance and to Keystone
	images  *images
	tenants []session // whom images are shared with; the first is expected
	started time.Time

	turns atomic.Int64 // how often a server fell ill or got well; odd while one is not as it should be

	policies policies

	faults  map[string]int // begun
	changes atomic.Int64   // that went well
}

func newChaos(t *testing.T, binary string) *chaos {
	t.Helper()
	c := &chaos{
		world:  &world{openstack: startOpenStack(t), prometheus: startPrometheus(t), exporter: binary},
		images: &images{byID: map[string]*history{}}, faults: map[string]int{},
	}
	c.setPolicy(t, nil)
	c.producer = c.newTenant(t, "producer")
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		c.tenants = append(c.tenants, c.newTenant(t, name))
	}
	// With a rollback journal who writes holds up who reads: a lock on the database is felt.
	c.glance.stop(t)
	c.sql(t, "pragma journal_mode=delete")
	c.startGlance(t, longTokenCache)
	for range 8 {
		if err := c.begin(t, c.create())(); err != nil {
			t.Fatal(err)
		}
	}
	nft(t, "add table inet chaos", "add chain inet chaos input { type filter hook input priority 0; }")
	glance, keystone := newWire(t, fmt.Sprintf("127.0.0.1:%d", c.GlancePort)), newWire(t, c.KeystoneHost)
	c.wires = []*wire{glance, keystone}
	auth := fmt.Sprintf("{password: {auth_url: %q, username: producer, user_domain_name: Default, password: producer-secret, "+
		"project_name: producer, project_domain_name: Default}}",
		"http://"+keystone.addr+"/v3")
	c.exporter = c.startExporter(t, "chaos", cloud{
		name: "chaos", auth: auth, endpoint: "http://" + glance.addr,
		discover: []string{fmt.Sprintf("{expected_members: [%s]}", c.tenants[0].projectID)},
		more:     []string{"scrape: {timeout_offset: 300ms}"}, // Glance, Keystone and the test need the processors too
	})
	c.prometheus.scrape(t, "chaos", c.addr, chaosInterval)
	c.prometheus.eventually(t, "images read", `sum by (cloud) (glance_image_scrape_success{exporter="chaos"})`, "chaos 8")
	return c
}

// run is the time of chaos. Servers, network and shares each go their own way.
func (c *chaos) run(t *testing.T, length time.Duration, seed uint64) {
	t.Helper()
	c.started = time.Now()
	c.changes.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	var others sync.WaitGroup
	defer func() { cancel(); others.Wait() }()
	network, shares := mathrand.New(mathrand.NewPCG(seed, 1)), mathrand.New(mathrand.NewPCG(seed, 2))
	networkFaults, policyFaults := map[string]int{}, map[string]int{}
	others.Go(func() { c.inflict(ctx, t, network, c.networkFaults(t), networkFaults) })
	others.Go(func() { c.inflict(ctx, t, mathrand.New(mathrand.NewPCG(seed, 4)), c.policyFaults(t), policyFaults) })
	others.Go(func() { c.change(ctx, t, shares) })
	c.inflict(ctx, t, mathrand.New(mathrand.NewPCG(seed, 3)), c.serverFaults(t), c.faults)
	others.Wait()
	maps.Copy(c.faults, networkFaults)
	maps.Copy(c.faults, policyFaults)
	t.Logf("%s of chaos: %d changes; faults: %v", time.Since(c.started).Round(time.Second), c.changes.Load(), c.faults)

	// All is well again, and so must be the exporter.
	for over := time.Now(); len(c.images.doubtful()) > 0 && time.Since(over) < time.Minute; {
		c.settle(t)
		time.Sleep(200 * time.Millisecond)
	}
	if ids := c.images.doubtful(); len(ids) > 0 {
		t.Fatalf("what became of %d images is not known", len(ids))
	}
	c.prometheus.eventually(t, "images read in the end", `sum by (cloud) (glance_image_scrape_success{exporter="chaos"})`,
		fmt.Sprintf("chaos %d", len(c.images.certain())))
	c.prometheus.moreScrapes(t, "chaos", 2)
}

// A fault is something that is wrong for a while.
type fault struct {
	name       string
	begin, end func()
}

// inflict has one fault after the other until ctx is done: each of them once in a random order, then in another one, so that a short
// time has most of them and none of them too often.
func (c *chaos) inflict(ctx context.Context, t testing.TB, random *mathrand.Rand, faults []fault, count map[string]int) {
	var order []int
	for pause(ctx, 1500*time.Millisecond+upTo(random, 3*time.Second)) {
		if len(order) == 0 {
			order = random.Perm(len(faults))
		}
		f := faults[order[0]]
		order = order[1:]
		count[f.name]++
		t.Logf("%5.1f s: %s", time.Since(c.started).Seconds(), f.name)
		f.begin()
		pause(ctx, time.Second+upTo(random, 5*time.Second))
		f.end()
	}
}

// pause reports whether ctx lived through it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// upTo returns a random time below most.
func upTo(random *mathrand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(most)))
}

func (c *chaos) serverFaults(t testing.TB) []fault {
	var lock *databaseLock
	faults := []fault{
		{"Glance hangs", func() { c.glance.freeze() }, func() { c.glance.thaw() }},
		{"Glance stops", func() { c.glance.stop(t) }, func() { c.startGlance(t, longTokenCache) }},
		{"Glance is killed", func() { c.glance.kill() }, func() { c.startGlance(t, longTokenCache) }},
		{"Keystone hangs", func() { c.keystone.freeze() }, func() { c.keystone.thaw() }},
		{"Keystone stops", func() { c.keystone.stop(t) }, func() { c.startKeystone(t) }},
		{
			"Keystone stops, and Glance forgets its tokens",
			func() { c.keystone.stop(t); c.glance.stop(t); c.startGlance(t, longTokenCache) }, func() { c.startKeystone(t) },
		},
		{
			"the database lacks a table",
			func() { c.sql(t, "alter table image_members rename to away") },
			func() { c.sql(t, "alter table away rename to image_members") },
		},
		{"the database is locked", func() { lock = c.lockDatabase(t) }, func() { lock.release(t) }},
		{"the token is revoked", func() {
			if tokens := c.wires[0].tokens(); len(tokens) > 0 {
				if _, err := c.disown(tokens[len(tokens)-1]); err != nil { // which it may have been before
					t.Error(err)
				}
			}
		}, func() {}},
	}
	for i := range faults {
		begin, end := faults[i].begin, faults[i].end
		faults[i].begin = func() { c.turns.Add(1); begin() }
		faults[i].end = func() { end(); c.turns.Add(1) }
	}
	return faults
}

func (c *chaos) networkFaults(t testing.TB) []fault {
	var ports []string
	for _, w := range c.wires {
		ports = append(ports, w.addr[strings.LastIndex(w.addr, ":")+1:])
	}
	set := "{ " + strings.Join(ports, ", ") + " }"
	rule := func(rules ...string) func() {
		return func() {
			for _, r := range rules {
				nft(t, "add rule inet chaos input tcp "+fmt.Sprintf(r, set))
			}
		}
	}
	flush := func() { nft(t, "flush chain inet chaos input") }
	wires := func(f func(*wire)) func() {
		return func() {
			for _, w := range c.wires {
				f(w)
			}
		}
	}
	whole := wires(func(w *wire) { w.set(0, 0) })
	return []fault{
		{"the network is cut", rule("dport %s drop", "sport %s drop"), flush},
		{"Glance is cut off", rule("dport " + ports[0] + " drop # %s"), flush},
		{"connections are refused", rule("dport %s reject with tcp reset"), flush},
		{"a third of the packets is lost", rule("dport %s numgen random mod 3 == 0 drop", "sport %s numgen random mod 3 == 0 drop"), flush},
		{"the network is slow", wires(func(w *wire) { w.set(30*time.Millisecond, 0) }), whole},
		{"connections break off", wires(func(w *wire) { w.set(0, 700) }), whole},
	}
}

// nft changes the packet filter of the namespace.
func nft(t testing.TB, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if stdout, stderr, code := run(t, "/usr/sbin/nft", command); code != 0 {
			t.Errorf("nft %s: %s%s", command, stdout, stderr)
		}
	}
}

// sql runs a statement in Glance's database.
func (c *chaos) sql(t testing.TB, statement string) {
	t.Helper()
	const program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2])"
	if _, stderr, code := run(t, "/usr/bin/python3", "-c", program, filepath.Join(c.Dir, "glance.db"), statement); code != 0 {
		t.Errorf("%s: %s", statement, stderr)
	}
}

// A databaseLock keeps everyone else out of Glance's database.
type databaseLock struct {
	*daemon
	stdin io.Closer
}

func (c *chaos) lockDatabase(t testing.TB) *databaseLock {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const program = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
db.execute("begin exclusive")
sys.stdin.read()`
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", program, filepath.Join(c.Dir, "glance.db"))
	cmd.Stdin, cmd.Env = read, cleanEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err = cmd.Start()
	read.Close()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{name: "lock", cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		_ = cmd.Wait()
	}()
	return &databaseLock{d, write}
}

func (l *databaseLock) release(t testing.TB) {
	t.Helper()
	l.stdin.Close()
	<-l.done
	if !l.cmd.ProcessState.Success() {
		t.Errorf("locking the database: %v", l.cmd.ProcessState)
	}
}

// ------------------------------------------------------------------------------------------------------------------

// A change is something that is asked of Glance.
type change struct {
	id     string // of the image
	to     state  // of the image, when all goes well
	as     session
	method string
	path   string
	body   any
}

// change changes an image now and then until ctx is done, a few of them at a time.
func (c *chaos) change(ctx context.Context, t testing.TB, random *mathrand.Rand) {
	var asked sync.WaitGroup
	defer asked.Wait()
	for pause(ctx, 100*time.Millisecond+upTo(random, 500*time.Millisecond)) {
		c.settle(t)
		certain := c.images.certain()
		ids := slices.Sorted(maps.Keys(certain))
		if len(ids) == 0 || c.images.asked() == 4 {
			continue // until more is known
		}
		id := ids[random.IntN(len(ids))]
		var next change
		switch what := random.IntN(12); {
		case what == 0 && c.images.count() < 12:
			next = c.create()
		case what == 1 && len(ids) > 6:
			next = change{id, state{}, c.admin, http.MethodDelete, "/" + id, nil}
		default:
			next = c.alter(random, id, certain[id])
		}
		ask := c.begin(t, next)
		asked.Go(func() {
			if r, ok := errors.AsType[refusal](ask()); ok && r.status < 500 {
				t.Logf("%5.1f s: %s %s: %v", time.Since(c.started).Seconds(), next.method, next.path, r)
			}
		})
	}
}

// begin notes a change and returns what asks for it and notes the answer. The answer is waited for whatever happens to Glance, and after
// the time of chaos too: a request that is given up may be carried out when nobody thinks of it any more. One whose connection is at
// its end, by an answer or with the server, is over.
func (c *chaos) begin(t testing.TB, next change) (ask func() error) {
	done := c.images.begin(next.id, next.to)
	return func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		// Not over the wires.
		_, err := next.as.do(ctx, next.method, c.GlanceURL+"/v2/images"+next.path, next.body, nil)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Glance has left a request open for two minutes, and what it does of it will not be known: %v", err)
		}
		if err == nil {
			c.changes.Add(1)
		}
		done(err == nil)
		return err
	}
}

func (c *chaos) create() change {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
	return change{id, state{visibility: "shared"}, c.admin, http.MethodPost, "", object{
		"id":               id,
		"owner":            c.producer.projectID,
		"name":             "chaos-" + id[:8],
		"visibility":       "shared",
		"container_format": "bare",
		"disk_format":      "raw",
	}}
}

// alter changes who is a member, what a member says of it, or who the image is for.
func (c *chaos) alter(random *mathrand.Rand, id string, now state) change {
	next := state{visibility: now.visibility, members: maps.Clone(now.members)}
	if now.visibility != "shared" || random.IntN(6) == 0 {
		next.visibility = "shared"
		if now.visibility == "shared" {
			next.visibility = []string{"private", "community"}[random.IntN(2)]
		}
		return change{
			id,
			next,
			c.admin,
			http.MethodPatch,
			"/" + id,
			[]object{{"op": "replace", "path": "/visibility", "value": next.visibility}},
		}
	}
	if next.members == nil {
		next.members = map[string]string{}
	}
	who := c.tenants[random.IntN(len(c.tenants))]
	members := "/" + id + "/members"
	status, isMember := now.members[who.projectID]
	switch {
	case !isMember:
		next.members[who.projectID] = "pending"
		return change{id, next, c.admin, http.MethodPost, members, object{"member": who.projectID}}
	case random.IntN(2) == 0:
		delete(next.members, who.projectID)
		return change{id, next, c.admin, http.MethodDelete, members + "/" + who.projectID, nil}
	}
	status = map[string]string{"pending": "accepted", "accepted": "rejected", "rejected": "pending"}[status]
	next.members[who.projectID] = status
	return change{id, next, who, http.MethodPut, members + "/" + who.projectID, object{"status": status}}
}

// settle finds out what became of the images whose last change did not go well.
func (c *chaos) settle(t testing.TB) {
	turns := c.turns.Load()
	if turns%2 == 1 {
		return
	}
	for _, id := range c.images.doubtful() {
		found, err := c.read(t.Context(), id)
		if err != nil || c.turns.Load() != turns {
			return // a later time
		}
		if err := c.images.settle(id, found); err != nil {
			t.Error(err)
		}
	}
}

// read reads an image as an administrator, from whom no policy hides anything.
func (c *chaos) read(ctx context.Context, id string) (found state, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var record struct{ Visibility string }
	_, err = c.admin.do(ctx, http.MethodGet, c.GlanceURL+"/v2/images/"+id, nil, &record)
	if r, ok := errors.AsType[refusal](err); ok && r.status == http.StatusNotFound {
		return state{}, nil
	}
	found.visibility = record.Visibility
	if err != nil || found.visibility != "shared" {
		return found, err
	}
	var list struct {
		Members []struct {
			ID     string `json:"member_id"`
			Status string
		}
	}
	_, err = c.admin.do(ctx, http.MethodGet, c.GlanceURL+"/v2/images/"+id+"/members", nil, &list)
	found.members = map[string]string{}
	for _, m := range list.Members {
		found.members[m.ID] = m.Status
	}
	return found, err
}

// ------------------------------------------------------------------------------------------------------------------

// judge compares what Prometheus was told with what was true.
func (c *chaos) judge(t *testing.T) {
	t.Helper()
	scrapes := c.record(t)
	var late, whole, none, unread, wrong, excused int
	codes := map[string]int{}    // of images that were not read
	falseOf := map[string]bool{} // images of which something false was said
	before := map[string]*said{} // what was said of an image last: when its list was read, or else at all
	var longest time.Duration
	for _, s := range scrapes {
		longest = max(longest, s.took)
		if !s.up {
			late++
			t.Logf("the scrape %.1f s after the start had no answer in %.2f s", s.at.Sub(c.started).Seconds(), s.took.Seconds())
		}
		for _, said := range s.images {
			switch {
			case !said.success:
				unread++
				codes[said.code]++
			case said.complete:
				whole++
			default:
				none++
			}
		}
		for _, f := range c.images.contradict(s, c.tenants[0].projectID) {
			falseOf[f.id] = true
			text := fmt.Sprintf("scrape of %s (%s after the start): %s", s.at.Format(time.StampMilli),
				s.at.Sub(c.started).Round(time.Millisecond), f.text)
			if c.policies.excuse(s, f, before[f.id]) {
				excused++
				if said := s.images[f.id]; said != nil {
					said.excused = true
				}
				t.Log("by a proof of before the policies changed: " + text)
				continue
			}
			wrong++
			t.Error(text)
			t.Log(c.story(t, scrapes, s, f.id))
		}
		for id, said := range s.images {
			if before[id] == nil || said.complete || len(said.members) > 0 {
				before[id] = said
			}
		}
	}
	seen, chances := c.images.seen(scrapes)
	t.Logf("%d scrapes, the longest took %.2f of %s; %d of images whose list was read whole, %d of images without one, %d of images that "+
		"were not read (by status code %v); "+
		"%d false, and %d by a proof of before the policies changed",
		len(scrapes), longest.Seconds(), chaosInterval, whole, none, unread, codes, wrong, excused)
	t.Logf("%d changes lasted until a scrape that read the image; %d of them are seen in the first of these", chances, seen)
	if late > 0 {
		t.Errorf("%d scrapes had no answer in time", late)
	}
	if seen != chances {
		t.Errorf("%d changes were not seen in the first good scrape after them", chances-seen)
	}
	if whole < len(scrapes)/2 || unread < len(scrapes)/10 || chances < len(scrapes)/10 {
		t.Errorf("so few cases prove nothing")
	}
	log, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the exporter logged %d lines", strings.Count(string(log), "\n"))
	c.judgeChanges(t, string(log), scrapes, falseOf)
	for _, secret := range append(c.wires[0].tokens(), "producer-secret") {
		if strings.Contains(string(log), secret) {
			t.Errorf("the exporter's log has the secret %s", secret)
		}
	}
}

// storyTime is how much of what came before a false word is told.
const storyTime = 90 * time.Second

// story is what was said of an image before a scrape, what Glance was asked for and answered, and which policies there were.
func (c *chaos) story(t *testing.T, scrapes []*scrape, to *scrape, id string) string {
	t.Helper()
	var b strings.Builder
	from := to.at.Add(-storyTime)
	for _, s := range scrapes {
		if said := s.images[id]; said != nil && !s.at.Before(from) && !s.at.After(to.at) {
			fmt.Fprintf(&b, "said %s in %.2f s: %+v\n", s.at.Format(time.StampMilli), s.took.Seconds(), *said)
		}
	}
	for _, p := range c.policies.times {
		if p.from.After(from) && p.from.Before(to.at) {
			fmt.Fprintf(&b, "hidden %d from %s to %s\n", p.hides, p.from.Format(time.StampMilli), p.to.Format(time.StampMilli))
		}
	}
	text, err := os.ReadFile(c.glance.log)
	if err != nil {
		t.Fatal(err)
	}
	first, last := from.Format("2006-01-02 15:04:05.000"), to.at.Add(to.took).Format("2006-01-02 15:04:05.000")
	for line := range strings.Lines(string(text)) {
		if line >= first && line <= last && (strings.Contains(line, "/v2/images/"+id) || strings.Contains(line, "GET /v2/images?")) {
			at, request, _ := strings.Cut(line, ` "`)
			fmt.Fprintf(&b, "%s %s\n", at[:min(len(at), len(first))], strings.TrimSpace(request))
		}
	}
	return b.String()
}

// A scrape is what Prometheus was told at one time.
type scrape struct {
	at     time.Time
	took   time.Duration
	up     bool
	swept  bool // the list of images is said to be whole
	images map[string]*said
}

// said is what a scrape says of an image.
type said struct {
	success, complete, incomplete bool
	code                          string // the status code
	visibility                    string
	members                       map[string]string // status by ID
	counts                        map[string]int    // by status
	unexpected                    int               // -1: nothing is said
	excused                       bool              // it is false, by a proof of before the policies changed
}

// record reads all scrapes since the start from Prometheus.
func (c *chaos) record(t *testing.T) []*scrape {
	t.Helper()
	scrapes := map[int64]*scrape{}
	image := func(s *scrape, m map[string]string) *said {
		i := s.images[m["image_id"]]
		if i == nil {
			i = &said{members: map[string]string{}, counts: map[string]int{}, unexpected: -1}
			s.images[m["image_id"]] = i
		}
		return i
	}
	for metric, take := range map[string]func(s *scrape, m map[string]string, v float64){
		"up":                       func(s *scrape, _ map[string]string, v float64) { s.up = v == 1 },
		"scrape_duration_seconds":  func(s *scrape, _ map[string]string, v float64) { s.took = time.Duration(v * float64(time.Second)) },
		"glance_discovery_success": func(s *scrape, _ map[string]string, v float64) { s.swept = v == 1 },
		"glance_image_scrape_success": func(s *scrape, m map[string]string, v float64) {
			image(s, m).success = v == 1
		},
		"glance_image_scrape_http_status_code": func(s *scrape, m map[string]string, v float64) {
			image(s, m).code = strconv.Itoa(int(v))
		},
		"glance_image_members_complete": func(s *scrape, m map[string]string, v float64) {
			image(s, m).complete, image(s, m).incomplete = v == 1, v == 0
		},
		"glance_image_visibility": func(s *scrape, m map[string]string, v float64) {
			if v == 1 {
				image(s, m).visibility = m["visibility"]
			}
		},
		"glance_image_members":            func(s *scrape, m map[string]string, v float64) { image(s, m).counts[m["status"]] = int(v) },
		"glance_image_unexpected_members": func(s *scrape, m map[string]string, v float64) { image(s, m).unexpected = int(v) },
		"glance_image_member_status": func(s *scrape, m map[string]string, v float64) {
			if v == 1 {
				image(s, m).members[m["member_id"]] = m["status"]
			}
		},
	} {
		var series []struct {
			Metric map[string]string
			Values [][2]any
		}
		expr := fmt.Sprintf(`%s{exporter="chaos"}[%ds]`, metric, int(time.Since(c.started).Seconds()))
		if err := c.prometheus.ask("query", map[string][]string{"query": {expr}}, &series); err != nil {
			t.Fatal(err)
		}
		if len(series) == 0 {
			t.Fatalf("no series of %s", metric)
		}
		for _, one := range series {
			for _, sample := range one.Values {
				at := int64(sample[0].(float64)*1000 + 0.5)
				value, err := strconv.ParseFloat(sample[1].(string), 64)
				if err != nil {
					t.Fatal(err)
				}
				if scrapes[at] == nil {
					scrapes[at] = &scrape{at: time.UnixMilli(at), images: map[string]*said{}}
				}
				take(scrapes[at], one.Metric, value)
			}
		}
	}
	list := slices.Collect(maps.Values(scrapes))
	slices.SortFunc(list, func(a, b *scrape) int { return a.at.Compare(b.at) })
	return list
}
