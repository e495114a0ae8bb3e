package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// inbound is what the requests about one project's inbound images brought. The collection's mu guards it.
type inbound struct {
	listingEvidence // of all listings; project is whose members the images are shared with

	images map[string]*inboundImage
	gone   map[string]bool // there before, and not there any more, or the project's own
	missed map[string]bool // there before, and not found in this collection

	foreign error // the answers are not for the project as a member
	err     error
	done    bool
	from    time.Time // when it was read, if that was in an earlier collection
}

func newInbound(project string) *inbound {
	return &inbound{
		listingEvidence: listingEvidence{project: project, inbound: true},
		images:          map[string]*inboundImage{}, gone: map[string]bool{}, missed: map[string]bool{},
	}
}

type inboundImage struct {
	record client.Image
	status client.Status
	twice  bool // the listings of two statuses have it: it changed meanwhile, or is everybody's
	kept   bool // no listing has it, and nothing shows that it is gone
	// read is when record was read, if that was in an earlier collection.
	read time.Time
}

// inboundHistory is what earlier collections left. It is replaced, never changed.
type inboundHistory struct {
	projects map[string]inboundMemory
	late     bool // the last one did not come to its end in time
}

type inboundMemory struct {
	names    map[string]string
	known    map[string]knownInbound // those that were there when last read
	endpoint string                  // of the image API that they were seen at
	access   client.Access           // that whole was read with
	whole    *inbound                // for DiscoveryInterval; nil: the last one was not whole
	began    time.Time
}

// knownInbound is an image that was shared with the project when it was last read.
type knownInbound struct {
	record client.Image
	status client.Status // the last one that was read; empty: none was
	read   time.Time
	missed missing // when the image API first said that there is no such image
}

var (
	errInboundAdmin = errors.New("the credential has one of admin_roles, so the API lists the shared images of every project: " +
		"for inbound, use a credential with only the role reader in the project")
	errInboundView = errors.New("the API lists images that are not shared with the project, as it does for an administrator: " +
		"add the credential's role to admin_roles, or use a credential with only the role reader for inbound")
	errInboundProject = errors.New("the renewed token belongs to another project")
	errInboundMany    = fmt.Errorf("more than %d images are shared with the project, or more than %d with all projects", maxInbound, maxInboundKept)
	errInboundStatus  = errors.New("the status of some images is unknown")
	errInboundRow     = unprovenError("a listing has an image that is shared with the project, but the image's member list has no row of the project: " +
		"allow rule get_member in policy.yaml of Glance for its members")
	errInboundUnknown = unprovenError("it is not confirmed that the credential belongs to the configured project: " +
		"use a kind of auth that logs in to Keystone (with a token: set auth_url), or keep a private image in the project")
	errInboundBlank = unprovenError("the listings have no image, and it is not proven that the credential can see images: allow rule get_image in policy.yaml of Glance, " +
		"or keep one image in the project")
)

const (
	maxInbound        = 5_000  // images of others that are read from a listing: anybody can offer any number
	maxInboundKept    = 50_000 // of a cloud
	maxAcceptedKept   = 50_000 // of a cloud, besides: offers to one project take no room from what another one accepted
	maxInboundAsked   = 20     // one by one: those whose status changed between two listings are few
	maxMissingAsked   = 100    // one by one: those that no listing has any more
	inboundListings   = 3      // of statuses; each image needs to be in one of them
	inboundPartOfPool = 4      // a quarter of the workers, at most, read inbound images
)

// asksInbound reports whether the collection reads inbound images. One shard does it for all: a listing has all images anyway.
func (r *run) asksInbound() bool {
	return r.opts.Inbound != nil && r.part.shard.Number < 2
}

// askInbound asks for the inbound images of each project, for few projects at a time. It reports whether there is one to ask for.
func (r *run) askInbound() bool {
	if !r.asksInbound() {
		return false
	}
	var waiting []*inbound
	for _, s := range r.scopes {
		in := newInbound(s.Access.ProjectID)
		past := r.inboundPast.projects[in.project]
		switch {
		case s.Err != nil:
			in.err, in.done = s.Err, true
		case s.Access.HasRole(r.opts.AdminRoles):
			in.err, in.done = errInboundAdmin, true
		case past.whole != nil && r.viewIn(in.project).is(&past.access) && age(past.began) < r.opts.DiscoveryInterval:
			in.images, in.done, in.from = past.whole.images, true, past.began // nobody changes these any more
			in.listingEvidence = past.whole.listingEvidence
		default:
			waiting = append(waiting, in)
		}
		r.inbound = append(r.inbound, in)
	}
	to := &r.queue.first
	if r.inboundPast.late {
		to = &r.queue.slow
	}
	var next task
	next = func(ctx context.Context) {
		if len(waiting) == 0 {
			return
		}
		in := waiting[0]
		waiting = waiting[1:]
		err := r.readInbound(ctx, in)
		if in.foreign != nil {
			in.images, err = map[string]*inboundImage{}, in.foreign // who knows whose they are
		}
		if errors.Is(in.foreign, errInboundView) {
			for id, known := range r.inboundPast.projects[in.project].known {
				if known.status != "" { // else only the listings said that it was the project's
					r.keepInbound(in, id)
				}
			}
		}
		in.err, in.done = err, true
		r.queue.add(to, next) // at the end, so that other things come in between
	}
	lanes := max(1, r.opts.Concurrency/inboundPartOfPool)
	some := len(waiting) > 0
	for range min(lanes, len(waiting)) {
		r.queue.add(to, next)
	}
	return some
}

// readInbound reads one project's inbound images: which there are from a listing, and the status of each from its own
// listing or, where that is fewer requests, from the image's members, among which a member sees itself alone. It goes on after
// an error, for the sake of what can be seen, and returns the first one.
func (r *run) readInbound(ctx context.Context, in *inbound) (failure error) {
	pages, cut := 0, false
	list := func(hidden bool, status client.Status) {
		if in.foreign != nil {
			return
		}
		q := client.ImageQuery{SharedWith: in.project, Hidden: hidden, MemberStatus: status}
		seen := map[string]bool{}
		err := r.list(ctx, q, func(page client.ImagePage, began moment) error {
			pages++
			return r.takeInbound(in, page, began, status, seen)
		})
		failure = cmp.Or(failure, err)
		cut = cut || errors.Is(err, errInboundMany)
	}
	kinds := []bool{false}
	ims := r.opts.API == client.IMS // where no listing has all statuses, and none the hidden images alone
	if !ims {
		list(false, "")
		list(true, "")
		kinds = r.inboundKinds(in)
	}
	if cut {
		kinds = []bool{false, true} // what was not kept may be of either
	}
	if ims || cut || len(in.images) > min(inboundListings*pages, maxInboundAsked) {
		if !ims && len(in.images) > 0 {
			// One image alone tells an administrator's view, before anything is said of thousands.
			failure = cmp.Or(failure, r.settleInboundImage(ctx, in, slices.Min(slices.Collect(maps.Keys(in.images)))))
		}
		wanted := []client.Status{client.Accepted, client.Pending, client.Rejected}
		if ims {
			// In the order in which offers are answered: one that is answered meanwhile is in two listings then, and not in none.
			wanted = []client.Status{client.Pending, client.Rejected, client.Accepted}
		}
		for _, status := range wanted {
			for _, hidden := range kinds {
				list(hidden, status)
			}
		}
	}
	if in.foreign != nil {
		return in.foreign
	}
	if failure == nil && !r.seesImages(ctx, in.listingEvidence) {
		failure = errInboundBlank
		for id := range r.inboundPast.projects[in.project].known {
			r.keepInbound(in, id)
		}
	}
	failure = cmp.Or(failure, r.settleInbound(ctx, in, failure == nil))
	confirmed := r.viewIn(in.project).access.Confirmed
	if !confirmed {
		r.look(ctx, in.project) // for a private image of the project
	}
	return failure
}

// inboundKinds are the values of os_hidden that there are images of.
func (r *run) inboundKinds(in *inbound) (kinds []bool) {
	for _, hidden := range []bool{false, true} {
		for _, img := range in.images {
			if img.record.Hidden == hidden {
				kinds = append(kinds, hidden)
				break
			}
		}
	}
	return kinds
}

// mayTell returns an error unless an answer was given to the project as a member of images.
func (r *run) mayTell(in *inbound, to client.Access) error {
	switch {
	case to.ProjectID != in.project:
		in.foreign = errInboundProject
	case to.HasRole(r.opts.AdminRoles):
		in.foreign = errInboundAdmin
	}
	return in.foreign
}

// takeInbound takes over a page of a listing, but not what the project itself shares. seen are the images of the listing.
func (r *run) takeInbound(in *inbound, page client.ImagePage, began moment, status client.Status, seen map[string]bool) error {
	if err := r.mayTell(in, page.Access); err != nil {
		return err
	}
	if !r.viewIn(in.project).is(&page.Access) {
		return errMixedViews
	}
	in.rows += len(page.Images) + page.Unreadable
	if !in.began.made() {
		in.began = r.observed(began)
	}
	for i := range page.Images {
		record := &page.Images[i]
		r.noteRecord(record, began)
		if record.Owner == in.project {
			_, known := r.inboundPast.projects[in.project].known[record.ID]
			if known || in.images[record.ID] != nil {
				in.letGo(record.ID) // it was another one's
			}
			continue
		}
		img := in.images[record.ID]
		seen[record.ID] = true
		kept := maxInboundKept
		if status == client.Accepted {
			kept += maxAcceptedKept
		}
		if len(seen) > maxInbound || img == nil && r.inboundKept >= kept {
			return errInboundMany
		}
		if img == nil {
			r.inboundKept++
			img = &inboundImage{}
			in.images[record.ID] = img
		}
		img.record = *record
		img.record.Tags = nil // anybody's, and of no use here
		if status != "" {
			img.twice = img.twice || img.status != "" && img.status != status
			img.status = status
		}
	}
	return nil
}

// settleInbound asks about single images: those without a status, or with two of them, and if all listings were read those that were
// there before and are in none of them. Only its own answer lets an image go: between two listings an image may change from one to
// the other.
func (r *run) settleInbound(ctx context.Context, in *inbound, whole bool) (failure error) {
	var twice, open, missing []string
	for _, id := range slices.Sorted(maps.Keys(in.images)) {
		switch img := in.images[id]; {
		case img.twice:
			twice = append(twice, id)
		case img.status == "":
			open = append(open, id)
		}
	}
	known := r.inboundPast.projects[in.project].known
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if in.images[id] == nil && whole && !in.gone[id] {
			missing = append(missing, id)
		}
	}
	slices.SortStableFunc(missing, func(a, b string) int {
		return compareBools(known[a].status != client.Accepted, known[b].status != client.Accepted)
	})
	for _, id := range missing {
		r.keepInbound(in, id)
	}
	if len(open) > maxInboundAsked {
		open, failure = nil, errInboundStatus
	}
	if len(missing) > maxMissingAsked {
		missing, failure = missing[:maxMissingAsked], errInboundStatus
	}
	for _, id := range slices.Concat(twice, open, missing) {
		err := r.settleInboundImage(ctx, in, id)
		failure = cmp.Or(failure, err)
		if in.foreign != nil || notAsked(err) || ctx.Err() != nil {
			return cmp.Or(failure, errInboundStatus)
		}
	}
	return failure
}

// keepInbound keeps the place of an image that was there before, with a status that is not known.
func (r *run) keepInbound(in *inbound, id string) {
	if known, ok := r.inboundPast.projects[in.project].known[id]; ok && in.images[id] == nil {
		in.images[id] = &inboundImage{record: known.record, read: known.read, kept: true}
	}
}

// settleInboundImage reads the status of one image, or notes that it is not there any more.
func (r *run) settleInboundImage(ctx context.Context, in *inbound, id string) error {
	list, _, err := request(ctx, r, func(ctx context.Context) (client.MemberList, error) {
		return r.cloud.api.MembersAs(ctx, in.project, id)
	})
	img := in.images[id]
	if err == nil {
		err = r.mayTell(in, list.Access)
	}
	if img == nil || in.foreign != nil {
		return err
	}
	own := ownRow(in.project, list.Members)
	var over bool
	// An owner is answered too, whoever the members are: an image that no listing has any more may have become the project's own.
	if err == nil && (own == nil || img.kept) || imageStatus(err) == statusForbidden {
		record, recordErr := r.record(ctx, id)
		if recordErr == nil {
			over = r.inboundOver(in.project, &record, own != nil)
			record.Tags = nil
			img.record, img.read = record, time.Time{}
		}
		if err == nil || ownNotFound(recordErr) {
			err = recordErr
		}
	}
	if imageStatus(err) == statusNotFound {
		return r.missInbound(ctx, in, id, err)
	}
	switch {
	case over:
		in.letGo(id)
		return nil
	case err != nil:
		return err
	case own != nil && !list.Repeated:
		img.status, img.twice, img.kept = own.Status, false, false
		return nil
	case img.record.Owner == "" && img.kept:
		in.letGo(id) // everybody gets an answer
		return nil
	case r.opts.API == client.IMS && slices.ContainsFunc(list.Members, func(m client.Member) bool { return m.Type != client.TypeProject }):
		img.status, img.twice = "", false // shared with the project's domain or organization
		return nil
	case r.opts.API == client.IMS, own != nil, len(list.Members) == 0:
		img.status, img.twice = "", false
		return errInboundRow
	}
	in.foreign = errInboundView // who is no member gets a 404
	return in.foreign
}

// missInbound is for an image that is not found. It is gone when the image API's own answer says so in two collections (E15).
func (r *run) missInbound(ctx context.Context, in *inbound, id string, err error) error {
	seen := in.rows > 0 || r.viewIn(in.project).images.run == r.id
	if !seen {
		r.look(ctx, in.project)
	}
	past := r.inboundPast.projects[in.project]
	seen = seen || r.viewIn(in.project).images.run == r.id
	if ownNotFound(err) && seen && (past.endpoint == "" || past.endpoint == r.endpointOf(in.project)) {
		if past.known[id].missed.before(r.start) {
			in.letGo(id)
			return nil
		}
		in.missed[id] = true
	}
	if img := in.images[id]; img != nil {
		img.status, img.twice = "", false
	}
	return err
}

func (in *inbound) letGo(id string) {
	delete(in.images, id)
	in.gone[id] = true
}

// ownRow is the row of the project itself, nil where there is none.
func ownRow(project string, members []client.Member) *client.Member {
	for i := range members {
		if members[i].Type == client.TypeProject && members[i].ID == project {
			return &members[i]
		}
	}
	return nil
}

// inboundOver reports whether an image's own record says that it is none of others with members: it is the project's own, or has none by
// now. listed is whether its list of members has the project.
func (r *run) inboundOver(project string, img *client.Image, listed bool) bool {
	switch {
	case img.Owner == project:
		return true
	case listed || img.Visibility == "" || slices.Contains(r.opts.MembersFor, img.Visibility):
		return false
	case img.Visibility != client.Private, img.Owner == "": // nobody shares what is nobody's
		return true
	}
	return r.viewIn(project).privates() == privateHasNone
}

// inboundSnapshots is what is known by now.
func (r *run) inboundSnapshots() []InboundSnapshot {
	if !r.asksInbound() {
		return nil
	}
	list := make([]InboundSnapshot, 0, len(r.inbound))
	for _, in := range r.inbound {
		past := r.inboundPast.projects[in.project]
		s := InboundSnapshot{ProjectID: in.project, Err: in.err, Read: in.read(), Images: make([]InboundImage, 0, len(in.images))}
		switch {
		case !in.done:
			s.Err = errNotAsked
		case in.err == nil && !r.inboundConfirmed(in):
			s.Err = errInboundUnknown
		}
		for _, id := range slices.Sorted(maps.Keys(in.images)) {
			if img := in.images[id]; !img.twice {
				s.Images = append(s.Images, InboundImage{
					Name: r.inboundName(in.project, img), Record: img.record, Status: img.status, Unexpected: !r.opts.Inbound.Expects(img.record.Owner),
					inUse: cmp.Or(img.status, past.known[id].status) == client.Accepted,
				})
			}
		}
		list = append(list, s)
	}
	switch {
	case len(list) > 0 && r.scopesErr != nil:
		// There may be projects that nobody knows of, and what others share with them.
		list = append(list, InboundSnapshot{Err: r.scopesErr})
	case len(list) == 0:
		// Not even the projects are known, or all that is known of them is their IDs.
		projects := r.past.projects
		if len(projects) == 0 {
			projects = []string{""}
		}
		for _, id := range projects {
			list = append(list, InboundSnapshot{ProjectID: id, Err: cmp.Or(r.err, errNotAsked)})
		}
	}
	for i := range list {
		list[i].limit(r.opts.Inbound.maxImages())
	}
	return list
}

// read is when the oldest of the images was read, or the first listing if there is none.
func (in *inbound) read() time.Time {
	oldest := in.began.at
	for _, img := range in.images {
		if !img.read.IsZero() && img.read.Before(oldest) {
			oldest = img.read
		}
	}
	return oldest
}

// inboundConfirmed reports whether the listings are of the project that the configuration names (E6).
func (r *run) inboundConfirmed(in *inbound) bool {
	return !in.from.IsZero() || r.viewIn(in.project).knowsProject(in.began)
}

// inboundName is the label's value: as for the watched images, the first name stays.
func (r *run) inboundName(project string, img *inboundImage) string {
	if t := r.byID[img.record.ID]; t != nil && t.Name != "" {
		return t.Name
	}
	if name, ok := r.inboundPast.projects[project].names[img.record.ID]; ok {
		return name
	}
	return img.record.Name
}

// keep forgets what was listed with other options.
func (p *inboundHistory) keep(opts *Options) *inboundHistory {
	next := &inboundHistory{projects: map[string]inboundMemory{}, late: p.late}
	if opts.Inbound == nil {
		return next
	}
	for id, m := range p.projects {
		m.whole = nil
		next.projects[id] = m
	}
	return next
}

// learn takes over what a finished collection found. The caller holds the cloud's mu.
func (p *inboundHistory) learn(r *run) *inboundHistory {
	if !r.asksInbound() || r.err != nil {
		return p
	}
	next := &inboundHistory{projects: map[string]inboundMemory{}}
	for _, in := range r.inbound {
		old := p.projects[in.project]
		switch {
		case !in.from.IsZero(), old.whole != nil && old.began.After(r.start): // a later collection ended before this one
			next.projects[in.project] = old
			continue
		case code(in.err) == client.CodeTimeout || notAsked(in.err) || !in.done:
			next.late = true
		}
		learned := old.learn(in, r.start, r.endpointOf(in.project))
		learned.access = r.viewIn(in.project).access
		if !r.inboundConfirmed(in) {
			learned.whole = nil
		}
		next.projects[in.project] = learned
	}
	if r.scopesErr != nil {
		for id, m := range p.projects {
			if _, ok := next.projects[id]; !ok {
				next.projects[id] = m
			}
		}
	}
	return next
}

func (m inboundMemory) learn(in *inbound, began time.Time, endpoint string) inboundMemory {
	next := inboundMemory{names: map[string]string{}, known: map[string]knownInbound{}, endpoint: m.endpoint, began: began}
	older := m.began.After(began) // than what another collection learned, which began later and ended before
	if older {
		next.began = m.began
	}
	if in.err == nil && !older {
		next.whole, next.endpoint = in, endpoint
	} else {
		maps.Copy(next.names, m.names)
		maps.Copy(next.known, m.known)
		for id := range in.gone {
			if m.known[id].read.After(began) {
				continue
			}
			delete(next.names, id)
			delete(next.known, id)
		}
	}
	for id, img := range in.images {
		if img.twice || older && m.known[id].read.After(began) {
			continue
		}
		name, ok := m.names[id]
		if !ok {
			name = img.record.Name
		}
		next.names[id] = name
		known := knownInbound{record: img.record, status: img.status, read: img.read}
		if known.read.IsZero() {
			known.read = in.began.at
		}
		if old, ok := m.known[id]; ok && img.status == "" {
			known.status = old.status
			if img.kept {
				known.missed = old.missed
			}
		}
		if in.missed[id] && known.missed.began.IsZero() {
			known.missed = missing{began, time.Now()}
		}
		next.known[id] = known
	}
	for id := range next.names {
		if _, ok := in.images[id]; !ok && len(next.names) > inboundListings*maxInbound {
			delete(next.names, id) // they are those of several sweeps
			delete(next.known, id)
		}
	}
	return next
}
