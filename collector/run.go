package collector

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
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

// run is one collection of one cloud, or of a shard of it. What requests bring belongs to whoever has the turn, see queue; the run's
// goroutine has it before the first task and after the last one.
type run struct {
	cloud   *Cloud
	history *History
	part    *part
	opts    *Options
	past    *past
	cancel  context.CancelCauseFunc
	start   time.Time
	done    chan struct{}
	queue   *queue
	id      uint64 // number of the run

	deadline time.Time // when the requests end that are under way
	waiters  int       // scrapes; guarded by the cloud's mu

	snapshot Snapshot // when it is done

	moments  uint64    // until now
	end      time.Time // zero: under way
	scopes   []client.Scope
	projects []string // of the scopes
	// scopesErr is why the scopes are those of before.
	scopesErr   error
	err         error // why there is no token
	answered    bool  // as the image API answers a good token
	served      bool  // with a 200
	notImageAPI bool  // there is no list of images
	images      []*image
	byID        map[string]*image
	weight      int // of what is kept

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

	readings map[string]reading // of earlier runs; replaced, never changed

	inboundPast *inboundHistory
	inbound     []*inbound // one for each project, if others' images are asked for
	inboundKept int        // images of all of them
}

// newRun needs the cloud's mu.
func newRun(c *Cloud, p *part, opts *Options, cancel context.CancelCauseFunc) *run {
	r := &run{
		cloud: c, part: p, opts: opts, cancel: cancel,
		start: time.Now(), done: make(chan struct{}), queue: newQueue(c.slots, !c.configured(p.shard)), used: map[*Rule]bool{},
		images: make([]*image, 0, len(opts.Images)), byID: make(map[string]*image, len(opts.Images)),
		history: c.history, views: map[string]*view{}, answeredFor: map[ownerIn]bool{},
		ownerRows: map[string]int{}, listedBy: map[string]*listingEvidence{}, looks: map[string]chan struct{}{},
		contradicted: map[string]bool{},
	}
	for _, img := range opts.Images {
		if p.shard.has(img.ID) {
			r.add(image{Image: img})
		}
	}
	r.history.begin(r)
	r.remember(r.past.projects)
	return r
}

// add adds an image.
func (r *run) add(t image) *image {
	if t.past == nil {
		t.past = &imageHistory{}
	}
	r.images = append(r.images, &t)
	r.byID[t.ID] = &t
	return &t
}

// remember adds the images that were discovered before, so that they are asked for whatever becomes of the listings. own
// are the credential's projects.
func (r *run) remember(own []string) {
	for _, id := range slices.Sorted(maps.Keys(r.past.known)) {
		img := r.past.known[id]
		if rule := r.opts.rule(img, own); rule != nil && r.byID[id] == nil {
			r.add(image{Image: Image{ID: id, Policy: rule.Policy}, past: r.past.images[id], discovered: true})
			r.weight += imageWeight(img)
		}
	}
}

// do asks everything.
func (r *run) do(ctx context.Context) {
	defer func() { r.end = time.Now() }()
	if err := r.connect(ctx); err != nil {
		r.err = err
		for _, t := range r.images {
			t.membersErr = err
		}
		return
	}
	asks := r.askInbound()
	switch {
	case len(r.opts.Discover) == 0 && len(r.images) == 0 && asks:
	case len(r.opts.Discover) == 0 && len(r.images) == 0:
		r.queue.add(&r.queue.first, func(ctx context.Context) { r.askAnything(ctx, nil) })
	case len(r.opts.Discover) == 0:
		r.askRecords()
	case r.opts.DiscoveryInterval == 0:
		r.discover()
	default:
		r.queue.add(&r.queue.first, r.discoverNowAndThen)
	}
	r.enqueueImages()
	r.queue.add(&r.queue.first, r.prove)
	patience := client.Patience{RequestTimeout: r.opts.RequestTimeout, Pause: r.queue.pause}
	r.queue.work(client.WithPatience(ctx, patience), r.opts.Concurrency)
}

// askAnything is for a collection in which there is no image to ask for, as a shard may have none: whether the image API answers
// must be known all the same. others are images of other shards.
func (r *run) askAnything(ctx context.Context, others []client.Image) {
	var id string
	switch {
	case len(r.opts.Images) > 0:
		id = r.opts.Images[0].ID
	case len(others) > 0:
		id = others[0].ID
	}
	if len(r.projects) == 0 {
		return
	}
	q := client.ImageQuery{Owner: r.projects[0]}
	if queries, _ := r.opts.queries(r.projects, r.admin()); id == "" && len(queries) > 0 {
		q = queries[0]
	}
	if id != "" {
		_, _ = r.record(ctx, id)
	} else if _, _, err := r.page(ctx, q, ""); imageStatus(err) == statusNotFound {
		r.notImageAPI = true
	}
}

func (r *run) connect(ctx context.Context) error {
	var scopes []client.Scope
	var err error
	r.queue.await(func() { scopes, err = r.cloud.api.Enter(ctx) })
	if len(scopes) > 0 {
		r.scopesErr, err = err, nil
	}
	r.scopes, r.projects = scopes, projectsOf(scopes)
	r.enterViews()
	if err == nil && !slices.Equal(r.projects, r.past.projects) {
		// What was discovered for another project is no business of these.
		r.images = slices.DeleteFunc(r.images, func(t *image) bool { return t.discovered })
		maps.DeleteFunc(r.byID, func(_ string, t *image) bool { return t.discovered })
		r.remember(r.projects)
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
func (r *run) left() time.Duration { return time.Until(r.deadline) }

// late reports whether nearly all of the collection's time is over, so that a request that gets no answer in the rest need not hang.
func (r *run) late() bool { return r.left() < r.deadline.Sub(r.start)/10 }

// request runs the requests of one question of a task, if there is time for them, and returns when they began. ask runs without the turn.
func request[T any](ctx context.Context, r *run, ask func(ctx context.Context) (T, error)) (response T, began moment, err error) {
	if r.left() < leastTime || ctx.Err() != nil {
		return response, began, errNotAsked
	}
	slotOf(ctx).start()
	began = r.moment()
	r.queue.await(func() { response, err = ask(ctx) })
	if answered(err) {
		r.answered, r.served = true, r.served || err == nil
	}
	return response, began, err
}

// noImageAPI reports whether what answers seems to be something else: it has no list of images, and nothing besides.
func (r *run) noImageAPI() bool { return r.notImageAPI && !r.served }

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

// maxWeight is about how many bytes of a cloud's images and members are kept: some two million members.
const maxWeight = 256 << 20

var errTooMuch = errors.New("all images and members of this cloud together need more than 256 MiB: watch fewer images, or split the cloud into shards")

// take makes room for more to be kept.
func (r *run) take(weight int) error {
	if r.weight+weight > maxWeight {
		return errTooMuch
	}
	r.weight += weight
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

// newSnapshot is what the run saw. It has ended.
func (r *run) newSnapshot() Snapshot {
	s := r.head()
	s.ID, s.State, s.Left = snapshots.Add(1), r.cloud.api.State(), r.history.lately(r)
	s.Images = r.imageSnapshots(r.sightInTurn)
	for i := range s.Images {
		if taken := s.Images[i].Taken; !taken.IsZero() && (s.Taken.IsZero() || taken.Before(s.Taken)) {
			s.Taken = taken
		}
	}
	return s
}

// head is what a snapshot says of the cloud.
func (r *run) head() Snapshot {
	r.note()
	end := r.end
	if end.IsZero() {
		end = time.Now()
	}
	s := Snapshot{
		Cloud: r.opts.Name, Start: r.start, Duration: end.Sub(r.start), Up: r.err == nil && r.answered && !r.noImageAPI(), Err: r.err,
		Discovers: len(r.opts.Discover) > 0, Discovered: r.discovered() && !r.noImageAPI(), Scopes: r.scopes, ScopesErr: r.scopesErr, NoImageAPI: r.err == nil && r.noImageAPI(),
		opts: r.opts,
	}
	r.discovery(&s)
	s.Inbound = r.inboundSnapshots()
	s.Views = r.viewSnapshots()
	return s
}

// images are those of a snapshot, each as it is to be seen.
func (r *run) imageSnapshots(see func(t *image) reading) []ImageSnapshot {
	images := make([]ImageSnapshot, 0, len(r.images))
	for _, t := range r.images {
		if r.gone(t) {
			continue
		}
		s := see(t)
		img := ImageSnapshot{Name: r.imageName(t), Taken: s.taken, InTurns: r.inTurns(t), Waiting: r.waitsForFirst(t)}
		s.image.judge(&s.evidence, &img)
		images = append(images, img)
	}
	if r.opts.MemberDetails {
		limit(images)
	}
	return images
}

// discovery says what became of the listings.
func (r *run) discovery(s *Snapshot) {
	switch {
	case !s.Discovers:
	case !s.Discovered:
		s.DiscoveryErr = cmp.Or(r.err, r.discoveryErr, r.sweptDoubt(), errNotAsked)
	default:
		for i := range r.opts.Discover {
			if !r.used[&r.opts.Discover[i]] {
				s.IdleRules = append(s.IdleRules, i)
			}
		}
	}
}

// imageName is the label's value. The first name ever read stays: a renamed image must not restart an alert's clock.
func (r *run) imageName(t *image) string {
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
