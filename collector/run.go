package collector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"glance_share_exporter/client"
)

const (
	// cutOffReserve is the time at the end of a scrape that is reserved for canceling the requests in flight.
	cutOffReserve = 20 * time.Millisecond
	// minTime is the shortest time for which a request is worth starting.
	minTime = 50 * time.Millisecond
)

// run is one collection of one cloud, or of a shard of it. What its requests return belongs to the holder of the turn,
// see queue: a task, the run's goroutine before the first task and after the last one, or the caller that makes a
// snapshot of a background run. A run that has ended no longer changes anything.
type run struct {
	cloud   *Cloud
	history *History
	shard   *shardState
	opts    *Options
	seen    *seen
	queue   *queue
	lifetime
	entry
	imageSet
	observed
	discovery discovery
	inbound   inboundRun
	departed  []LeftImage // images that are no longer watched since this run
	changes   []change    // since earlier runs
}

// lifetime is when a run starts and ends, and how many callers wait for it.
type lifetime struct {
	id       uint64
	start    time.Time
	deadline time.Time // when the requests in flight are canceled
	end      time.Time // zero: still running
	cancel   context.CancelCauseFunc
	waiters  int // callers; guarded by the cloud's mu
	done     chan struct{}
	snapshot Snapshot // set before done is closed, if a caller waits
}

// entry is the result of the login, and whether the API responds.
type entry struct {
	scopes      []client.Scope
	projects    []string // IDs, of the scopes
	scopesErr   error    // why the scopes are from an earlier login
	err         error    // why there is no token
	answered    bool     // the image API responded as it does to a valid token
	served      bool     // with a 200
	notImageAPI bool     // the list of images got a 404
}

// imageSet has the images of a run, in no order.
type imageSet struct {
	images []*image
	byID   map[string]*image
	weight int // approximate bytes of memory that they need
}

// observed is what a run observed that counts as evidence, see evidence.go.
type observed struct {
	views       map[string]*view         // by project
	answeredFor map[ownerIn]bool         // owners of images that the API returned, by view
	surveys     map[string]chan struct{} // by project; closed when the survey has ended
	moments     uint64                   // number of the last one
	noted       bool                     // no more observations are added
}

// newRun returns a run with the images of its shard that are known already. The caller holds the cloud's mu.
func newRun(c *Cloud, p *shardState, opts *Options, cancel context.CancelCauseFunc) *run {
	r := &run{
		cloud: c, history: c.history, shard: p, opts: opts, queue: newQueue(c.slots, !c.configured(p.shard)),
		lifetime:  lifetime{start: time.Now(), cancel: cancel, done: make(chan struct{})},
		imageSet:  imageSet{images: make([]*image, 0, len(opts.Images)), byID: make(map[string]*image, len(opts.Images))},
		observed:  observed{views: map[string]*view{}, answeredFor: map[ownerIn]bool{}, surveys: map[string]chan struct{}{}},
		discovery: newDiscovery(),
	}
	for _, img := range opts.Images {
		if p.shard.has(img.ID) {
			r.add(image{Image: img})
		}
	}
	r.history.begin(r)
	r.remember(r.seen.projects)
	return r
}

func (r *run) add(t image) *image {
	if t.seen == nil {
		t.seen = &seenImage{}
	}
	r.images = append(r.images, &t)
	r.byID[t.ID] = &t
	return &t
}

// remember adds the images that earlier runs discovered, so that they are requested even if the listings fail. own are
// the credential's projects.
func (r *run) remember(own []string) {
	for _, id := range slices.Sorted(maps.Keys(r.seen.known)) {
		img := r.seen.known[id]
		if rule := r.opts.rule(img, own); rule != nil && r.byID[id] == nil {
			r.add(image{Image: Image{ID: id, Policy: rule.Policy}, seen: r.seen.images[id], discovered: true})
			r.weight += imageWeight(img)
		}
	}
}

// do logs in and sends all requests of the run.
func (r *run) do(ctx context.Context) {
	defer func() { r.end = time.Now() }()
	if err := r.connect(ctx); err != nil {
		r.err = err
		for _, t := range r.images {
			t.membersErr = err
		}
		return
	}
	asks := r.enqueueInbound()
	switch {
	case len(r.opts.Discover) == 0 && len(r.images) == 0 && asks:
	case len(r.opts.Discover) == 0 && len(r.images) == 0:
		r.queue.add(&r.queue.first, func(ctx context.Context) { r.requestAnything(ctx, nil) })
	case len(r.opts.Discover) == 0:
		r.requestRecords()
	case r.opts.DiscoveryInterval == 0:
		r.discover()
	default:
		r.queue.add(&r.queue.first, r.discoverAtIntervals)
	}
	r.enqueueImages()
	r.queue.add(&r.queue.first, r.prove)
	patience := client.Patience{RequestTimeout: r.opts.RequestTimeout, Pause: r.queue.pause}
	r.queue.work(client.WithPatience(ctx, patience), r.opts.Concurrency)
}

// requestAnything sends one request in a run that has no images, such as that of an empty shard, to find out whether
// the image API responds. others are images of other shards.
func (r *run) requestAnything(ctx context.Context, others []client.Image) {
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
	if err == nil && !slices.Equal(r.projects, r.seen.projects) {
		// The images were discovered for other projects: keep only those that rules select for these.
		r.images = slices.DeleteFunc(r.images, func(t *image) bool { return t.discovered })
		maps.DeleteFunc(r.byID, func(_ string, t *image) bool { return t.discovered })
		r.remember(r.projects)
	}
	return err
}

// projectsOf returns the IDs of the credential's projects, including those that could not be entered this time.
func projectsOf(scopes []client.Scope) []string {
	ids := make([]string, len(scopes))
	for i := range scopes {
		ids[i] = scopes[i].Access.ProjectID
	}
	return ids
}

// left returns the time until the deadline.
func (r *run) left() time.Duration { return time.Until(r.deadline) }

// nearDeadline reports whether less than a tenth of the run's time is left, so that a request without a response in it
// may not be a hung one.
func (r *run) nearDeadline() bool { return r.left() < r.deadline.Sub(r.start)/10 }

// request calls ask without the turn, if there is time for a request, and returns when that began.
func request[T any](ctx context.Context, r *run, ask func(ctx context.Context) (T, error)) (response T, began moment, err error) {
	if r.left() < minTime || ctx.Err() != nil {
		return response, began, errNotRequested
	}
	slotOf(ctx).start()
	began = r.moment()
	r.queue.await(func() { response, err = ask(ctx) })
	if answered(err) {
		r.answered, r.served = true, r.served || err == nil
	}
	return response, began, err
}

// noImageAPI reports whether the endpoint seems not to be an image API: the list of images got a 404, and nothing else
// got a 200.
func (r *run) noImageAPI() bool { return r.notImageAPI && !r.served }

// maxWeight limits the memory for the images and members of a run, in approximate bytes: about two million members.
const maxWeight = 256 << 20

var errTooMuch = errors.New("all images and members of this cloud together need more than 256 MiB: watch fewer images, or split the " +
	"cloud into shards")

// reserve adds to the weight, or returns errTooMuch if that would exceed maxWeight.
func (r *run) reserve(weight int) error {
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

// record reads the record of any image.
func (r *run) record(ctx context.Context, id string) (client.Image, error) {
	img, _, err := request(ctx, r, func(ctx context.Context) (client.Image, error) { return r.cloud.api.Image(ctx, id) })
	return img, err
}

// page reads a page of a listing.
func (r *run) page(ctx context.Context, q client.ImageQuery, marker string) (client.ImagePage, moment, error) {
	return request(ctx, r, func(ctx context.Context) (client.ImagePage, error) { return r.cloud.api.ImagePage(ctx, q, marker) })
}
