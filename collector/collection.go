package collector

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"glance_share_exporter/client"
)

var errNotAsked = errors.New("not requested: scrape deadline reached")

// notAsked reports whether there was no time to ask, which says nothing of who would have answered.
func notAsked(err error) bool { return errors.Is(err, errNotAsked) || code(err) == client.CodeNotAsked }

const (
	// grace is the end of a scrape's time, in which the requests that are still under way are cut off.
	grace = 20 * time.Millisecond
	// leastTime is the least that a request is worth starting with.
	leastTime = 50 * time.Millisecond
)

// The HTTP status codes of the image API that something follows from.
const (
	statusOK              = 200
	statusBadRequest      = 400
	statusUnauthorized    = 401
	statusForbidden       = 403
	statusNotFound        = 404
	statusTooManyRequests = 429
)

// collection is one round of questions to one cloud.
type collection struct {
	cloud  *Cloud
	part   *part
	opts   *Options
	past   *past
	cancel context.CancelCauseFunc
	start  time.Time
	done   chan struct{}
	result func() Snapshot // made once
	queue  *queue
	id     uint64 // number of the collection

	deadline time.Time // when the requests end that are under way
	waiters  int       // scrapes; guarded by the cloud's mu

	moments atomic.Uint64 // until now

	mu       sync.Mutex
	end      time.Time // zero: under way
	scopes   []client.Scope
	projects []string // of the scopes
	// scopesErr is why the scopes are those of before.
	scopesErr   error
	err         error // why there is no token
	answered    bool  // as the image API answers a good token
	served      bool  // with a 200
	notImageAPI bool  // there is no list of images
	targets     []*target
	byID        map[string]*target
	weight      int // of what is kept

	leads        bool           // it lists for other collections too; guarded by the cloud's mu
	found        []client.Image // by its listings, in any shard
	listings     int            // that are still to be read to their end
	swept        bool
	used         map[*Rule]bool // that took an image
	discoveryErr error          // why a listing was not read to its end
	passing      bool           // for a reason, among others, that may be over soon
	cutOff       bool           // as nobody waited any more, for one

	views        map[string]*view   // by project, see evidence.go
	answeredFor  map[ownerIn]bool   // whose images were answered
	listed       []*listingEvidence // of each owner
	listedBy     map[string]*listingEvidence
	ownerRows    map[string]int           // images in the listings, by owner
	looks        map[string]chan struct{} // by project: a look at all that it can see, closed when it is answered
	noted        bool                     // nothing more is observed
	contradicted map[string]bool          // owners: a complete listing lacks an image that is there, and that a rule takes
	sweepViews   map[string]*view         // of the collection that listed
	departed     []LeftImage              // that are not watched any more since this collection

	readings map[string]seenImage // of images that are read in turns, by ID, from earlier collections; replaced, never changed

	inboundPast *inboundPast
	inbound     []*inbound // one for each project, if others' images are asked for
	inboundKept int        // images of all of them
}

// newCollection needs the cloud's mu.
func newCollection(c *Cloud, p *part, opts *Options, cancel context.CancelCauseFunc) *collection {
	coll := &collection{
		cloud: c, part: p, opts: opts, cancel: cancel,
		start: time.Now(), done: make(chan struct{}), queue: newQueue(c.slots, !c.configured(p.shard)), used: map[*Rule]bool{},
		targets: make([]*target, 0, len(opts.Images)), byID: make(map[string]*target, len(opts.Images)),
		readings: c.readings, inboundPast: c.inbound, views: map[string]*view{}, answeredFor: map[ownerIn]bool{},
		ownerRows: map[string]int{}, listedBy: map[string]*listingEvidence{}, looks: map[string]chan struct{}{},
		contradicted: map[string]bool{},
	}
	coll.result = sync.OnceValue(coll.newSnapshot)
	c.memory.runs++
	coll.id = c.memory.runs
	for project, v := range c.memory.views {
		coll.views[project] = &v
	}
	for _, img := range opts.Images {
		if p.shard.has(img.ID) {
			coll.add(target{Image: img})
		}
	}
	coll.past = c.memory.recall(p.shard, coll.targets)
	coll.remember(coll.past.projects)
	return coll
}

// add adds a target. The caller holds mu.
func (c *collection) add(t target) *target {
	if t.past == nil {
		t.past = &memo{}
	}
	c.targets = append(c.targets, &t)
	c.byID[t.ID] = &t
	return &t
}

// remember adds the images that were discovered before, so that they are asked for whatever becomes of the listings. own
// are the credential's projects. The caller holds mu.
func (c *collection) remember(own []string) {
	for _, id := range slices.Sorted(maps.Keys(c.past.known)) {
		img := c.past.known[id]
		if rule := c.opts.rule(img, own); rule != nil && c.byID[id] == nil {
			c.add(target{Image: Image{ID: id, Policy: rule.Policy}, past: c.past.images[id], discovered: true})
			c.weight += imageWeight(img)
		}
	}
}

// run asks everything.
func (c *collection) run(ctx context.Context) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end = time.Now()
	}()
	if err := c.connect(ctx); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
		for _, t := range c.targets {
			t.membersErr = err
		}
		return
	}
	asks := c.askInbound()
	switch {
	case len(c.opts.Discover) == 0 && len(c.targets) == 0 && asks:
	case len(c.opts.Discover) == 0 && len(c.targets) == 0:
		c.queue.add(&c.queue.first, func(ctx context.Context) { c.askAnything(ctx, nil) })
	case len(c.opts.Discover) == 0:
		c.askRecords()
	case c.opts.DiscoveryInterval == 0:
		c.discover()
	default:
		c.queue.add(&c.queue.first, c.discoverNowAndThen)
	}
	c.askMembers()
	c.queue.add(&c.queue.first, c.prove)
	patience := client.Patience{RequestTimeout: c.opts.RequestTimeout, Pause: c.queue.pause}
	c.queue.work(client.WithPatience(ctx, patience), c.opts.Concurrency)
}

// askAnything is for a collection in which there is no image to ask for, as a shard may have none: whether the image API answers
// must be known all the same. others are images of other shards.
func (c *collection) askAnything(ctx context.Context, others []client.Image) {
	var id string
	switch {
	case len(c.opts.Images) > 0:
		id = c.opts.Images[0].ID
	case len(others) > 0:
		id = others[0].ID
	}
	c.mu.Lock()
	if len(c.projects) == 0 {
		c.mu.Unlock()
		return
	}
	q := client.ImageQuery{Owner: c.projects[0]}
	if queries, _ := c.opts.queries(c.projects, c.admin()); id == "" && len(queries) > 0 {
		q = queries[0]
	}
	c.mu.Unlock()
	err := c.request(ctx, func(ctx context.Context) (err error) {
		if id != "" {
			_, err = c.cloud.api.Image(ctx, id)
		} else {
			_, err = c.cloud.api.ImagePage(ctx, q, "")
		}
		return err
	})
	if id == "" && imageStatus(err) == statusNotFound {
		c.noteNotImageAPI()
	}
}

func (c *collection) connect(ctx context.Context) error {
	scopes, err := c.cloud.api.Enter(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(scopes) > 0 {
		c.scopesErr, err = err, nil
	}
	c.scopes, c.projects = scopes, projectsOf(scopes)
	c.enterViews()
	if err == nil && !slices.Equal(c.projects, c.past.projects) {
		// What was discovered for another project is no business of these.
		c.targets = slices.DeleteFunc(c.targets, func(t *target) bool { return t.discovered })
		maps.DeleteFunc(c.byID, func(_ string, t *target) bool { return t.discovered })
		c.remember(c.projects)
	}
	return err
}

// projectsOf are the credential's projects, those too that could not be entered this time.
func projectsOf(scopes []client.Scope) []string {
	ids := make([]string, len(scopes))
	for i := range scopes {
		ids[i] = scopes[i].Access.ProjectID
	}
	return ids
}

// left is the time until the deadline.
func (c *collection) left() time.Duration { return time.Until(c.deadline) }

// late reports whether nearly all of the collection's time is over, so that a request that gets no answer in the rest need not hang.
func (c *collection) late() bool { return c.left() < c.deadline.Sub(c.start)/10 }

// request runs the requests of one question of a task, if there is time for them.
func (c *collection) request(ctx context.Context, ask func(ctx context.Context) error) error {
	if c.left() < leastTime || ctx.Err() != nil {
		return errNotAsked
	}
	slotOf(ctx).start()
	err := ask(ctx)
	if answered(err) {
		c.mu.Lock()
		c.answered, c.served = true, c.served || err == nil
		c.mu.Unlock()
	}
	return err
}

// noImageAPI reports whether what answers seems to be something else: it has no list of images, and nothing besides. The
// caller holds mu.
func (c *collection) noImageAPI() bool { return c.notImageAPI && !c.served }

// answered reports whether the image API answered as it does to a good token.
func answered(err error) bool {
	if err == nil {
		return true
	}
	code := imageStatus(err)
	return code == statusForbidden || code == statusNotFound
}

// Refused reports whether the image API answered a request with 401 or 403, as it does for lack of a right.
func Refused(err error) bool {
	status := imageStatus(err)
	return status == statusUnauthorized || status == statusForbidden
}

// NotFound reports whether the image API answered a request with 404.
func NotFound(err error) bool { return imageStatus(err) == statusNotFound }

// imageStatus is what the image API's answer means as an HTTP status, 0 without one. What Keystone answers says nothing of an image.
func imageStatus(err error) int {
	if apiErr, ok := errors.AsType[*client.Error](err); ok && apiErr.Op != client.OpAuthenticate && apiErr.Op != client.OpListProjects {
		return apiErr.Status()
	}
	return 0
}

// askMembers asks for the members of every image, but of those that had no members last time, and of those that are seen for the first
// time, only when the record says that they may have some now.
func (c *collection) askMembers() {
	c.mu.Lock()
	targets := slices.Clone(c.targets)
	c.mu.Unlock()
	order(targets)
	for _, t := range targets {
		if !c.asksAtOnce(t) {
			c.queue.add(&c.queue.rest, func(ctx context.Context) { c.takeTurn(ctx, t) }) // or settleRecord will ask
			continue
		}
		c.askMembersOf(t)
	}
}

// askMembersOf asks for an image's members when its time has come. One that has low priority may be asked for again, with a higher one.
func (c *collection) askMembersOf(t *target) {
	c.mu.Lock()
	low := c.inTurns(t)
	asked := t.membersAsked && (low || !t.lowPriority)
	t.membersAsked, t.lowPriority = true, low
	c.mu.Unlock()
	if asked {
		return
	}
	to := &c.queue.rest
	switch {
	case low:
		to = &c.queue.last
	case t.past.hung:
		to = &c.queue.slow
	}
	c.queue.add(to, func(ctx context.Context) {
		c.mu.Lock()
		taken := t.membersTaken
		t.membersTaken = true
		c.mu.Unlock()
		if taken {
			return
		}
		c.begin(ctx, t)
		if !c.settled(t) {
			c.readMembers(ctx, t)
		}
	})
}

// takeTurn is the turn of an image whose record must be known before its members are asked for.
func (c *collection) takeTurn(ctx context.Context, t *target) {
	c.mu.Lock()
	t.inTurn = t.recordFirst && t.record == nil
	c.mu.Unlock()
	c.begin(ctx, t)
	c.mu.Lock()
	e := c.evidence(t)
	ask := t.inTurn && !t.membersAsked && !t.unmatched && e.wantsList() && !notAsked(t.recordErr)
	t.inTurn = false
	t.membersAsked = t.membersAsked || ask
	c.mu.Unlock()
	if ask {
		c.readMembers(ctx, t)
	}
}

// readMembers reads an image's list of members.
func (c *collection) readMembers(ctx context.Context, t *target) {
	late := c.late()
	var list client.MemberList
	var began moment
	err := c.request(ctx, func(ctx context.Context) (err error) {
		c.mu.Lock()
		t.before, t.after = t.record, nil // those at hand, and those to come
		c.mu.Unlock()
		began = c.moment()
		list, err = c.cloud.api.Members(ctx, t.ID)
		return err
	})
	cutOff := code(err) == client.CodeTimeout && (c.opts.RequestTimeout == 0 || c.left() <= 0)
	c.mu.Lock()
	if err == nil {
		err = c.take(listWeight(list.Members))
	}
	t.members, t.membersErr, t.membersRead, t.late, t.cutOff = list, err, err == nil, late, cutOff
	t.membersBegan, t.membersEnd = began, c.moment()
	if err != nil {
		t.members = client.MemberList{}
	}
	c.mu.Unlock()
	c.verifyExists(t)
	if c.lacksRecordAlone(t) {
		_ = c.readRecord(ctx, t) // what was read before stays
	}
}

// begin is the turn of an image. Where its record is asked for alone, that is now: each image is to be whole in its turn, so that
// the records of all don't take the time of all members.
func (c *collection) begin(ctx context.Context, t *target) {
	c.mu.Lock()
	t.begun = true
	ask := t.recordFirst && t.record == nil
	c.mu.Unlock()
	if ask {
		_ = c.readRecord(ctx, t) // the error is noted there
	}
}

// maxWeight is about how many bytes of a cloud's images and members are kept: some two million members.
const maxWeight = 256 << 20

var errTooMuch = errors.New("all images and members of this cloud together need more than 256 MiB: watch fewer images, or split the cloud into shards")

// take makes room for more to be kept. The caller holds mu.
func (c *collection) take(weight int) error {
	if c.weight+weight > maxWeight {
		return errTooMuch
	}
	c.weight += weight
	return nil
}

func listWeight(members []client.Member) (n int) {
	for i := range members {
		n += 100 + len(members[i].ID) + len(members[i].Type)
	}
	return n
}

func imageWeight(img *client.Image) int {
	n := 300 + len(img.ID) + len(img.Name) + len(img.Owner)
	for _, tag := range img.Tags {
		n += 20 + len(tag)
	}
	return n
}

// settled reports whether the image's record has come meanwhile and shows that there are no members to ask for.
func (c *collection) settled(t *target) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hasNoMembers(t)
}

// snapshot is what the collection saw. It has ended.
func (c *collection) snapshot() Snapshot { return c.result() }

func (c *collection) newSnapshot() Snapshot {
	state := c.cloud.api.State()
	left := c.cloud.lately(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.head()
	s.ID, s.State, s.Left = snapshots.Add(1), state, left
	s.Images = c.images(c.sightInTurn)
	for i := range s.Images {
		if taken := s.Images[i].Taken; !taken.IsZero() && (s.Taken.IsZero() || taken.Before(s.Taken)) {
			s.Taken = taken
		}
	}
	return s
}

// head is what a snapshot says of the cloud. The caller holds mu.
func (c *collection) head() Snapshot {
	c.note()
	end := c.end
	if end.IsZero() {
		end = time.Now()
	}
	s := Snapshot{
		Cloud: c.opts.Name, Start: c.start, Duration: end.Sub(c.start), Up: c.err == nil && c.answered && !c.noImageAPI(), Err: c.err,
		Discovers: len(c.opts.Discover) > 0, Discovered: c.discovered() && !c.noImageAPI(), Scopes: c.scopes, ScopesErr: c.scopesErr, NoImageAPI: c.err == nil && c.noImageAPI(),
		opts: c.opts,
	}
	c.discovery(&s)
	s.Inbound = c.inboundSnapshots()
	s.Views = c.viewSnapshots()
	return s
}

// images are those of a snapshot, each as it is to be seen. The caller holds mu.
func (c *collection) images(see func(t *target) seenImage) []ImageSnapshot {
	images := make([]ImageSnapshot, 0, len(c.targets))
	for _, t := range c.targets {
		if c.gone(t) {
			continue
		}
		s := see(t)
		img := ImageSnapshot{Name: c.imageName(t), Taken: s.taken, InTurns: c.inTurns(t), Waiting: c.waitsForFirst(t)}
		s.target.judge(&s.evidence, &img)
		images = append(images, img)
	}
	if c.opts.MemberDetails {
		limit(images)
	}
	return images
}

// discovery says what became of the listings. The caller holds mu.
func (c *collection) discovery(s *Snapshot) {
	switch {
	case !s.Discovers:
	case !s.Discovered:
		s.DiscoveryErr = cmp.Or(c.err, c.discoveryErr, c.sweptDoubt(), errNotAsked)
	default:
		for i := range c.opts.Discover {
			if !c.used[&c.opts.Discover[i]] {
				s.IdleRules = append(s.IdleRules, i)
			}
		}
	}
}

// imageName is the label's value. The first name ever read stays: a renamed image must not restart an alert's clock.
func (c *collection) imageName(t *target) string {
	if t.Name != "" {
		return t.Name
	}
	if image := t.past; image.named {
		return image.name
	}
	if t.record != nil {
		return t.record.Name
	}
	return ""
}
