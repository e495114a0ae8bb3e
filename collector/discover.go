package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"glance_share_exporter/client"
)

// AllOwners stands for every project of the cloud in [Rule].Owners.
const AllOwners = "*"

// Rule selects images by their records. Empty fields take every image.
type Rule struct {
	// Tags are what an image must have, all of them.
	Tags []string
	// Name is a glob that an image's name must match: * stands for any text, ? for a character, [a-z] for one of those, [!a-z]
	// for another one.
	Name string
	// Visibility has the visibilities that an image may have.
	Visibility []client.Visibility
	// Owners are the IDs of the projects that may own an image, or [AllOwners] alone; empty: the credential's project.
	Owners []string
	// Policy is what is expected of the images.
	Policy Policy
}

// takes reports whether the rule selects an image, for a credential of the projects own, which are sorted.
func (r *Rule) takes(img *client.Image, own []string) bool {
	for _, tag := range r.Tags {
		if !slices.Contains(img.Tags, tag) {
			return false
		}
	}
	return matches(r.Name, img.Name) &&
		(len(r.Visibility) == 0 || slices.Contains(r.Visibility, img.Visibility)) &&
		(img.Owner == "" || r.takesOwner(img.Owner, own)) // the listing was for one owner
}

func (r *Rule) takesOwner(owner string, own []string) bool {
	if len(r.Owners) == 0 {
		return isOwn(own, owner)
	}
	return r.Owners[0] == AllOwners || slices.Contains(r.Owners, owner)
}

// isOwn reports whether a project is one of the credential's, which are sorted: there may be thousands of them.
func isOwn(own []string, project string) bool {
	_, found := slices.BinarySearch(own, project)
	return found
}

// matches is for globs that validate let through.
func matches(glob, name string) bool {
	ok, _ := path.Match(pattern(glob), unslash(name))
	return ok || glob == ""
}

// pattern makes a glob one of package path's, which knows ^ for the ! that negates.
func pattern(glob string) string { return strings.ReplaceAll(unslash(glob), "[!", "[^") }

// unslash takes the special meaning off slashes, which a * does not match.
func unslash(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// covers reports whether r takes everything that o takes, as far as that can be told without knowing the images.
func (r *Rule) covers(o *Rule) bool {
	for _, tag := range r.Tags {
		if !slices.Contains(o.Tags, tag) {
			return false
		}
	}
	return coversGlob(r.Name, o.Name) && coversList(r.Visibility, o.Visibility) && r.coversOwners(o)
}

func (r *Rule) coversOwners(o *Rule) bool {
	if len(r.Owners) == 0 || len(o.Owners) == 0 {
		return len(r.Owners) == len(o.Owners) || slices.Contains(r.Owners, AllOwners)
	}
	return r.Owners[0] == AllOwners || coversList(r.Owners, o.Owners)
}

// coversList reports whether one list has all of another. An empty one has everything.
func coversList[T comparable](list, other []T) bool {
	if len(list) == 0 || len(other) == 0 {
		return len(list) == 0
	}
	return !slices.ContainsFunc(other, func(v T) bool { return !slices.Contains(list, v) })
}

func coversGlob(glob, other string) bool {
	switch {
	case glob == "" || glob == other || strings.Trim(glob, "*") == "":
		return true
	case other == "" || strings.ContainsAny(glob, `?[\`) || strings.ContainsAny(other, `[\`):
		return false // ? [ and \ may mean too many things
	}
	// A * of the other glob can only be taken by a *, which then takes everything that it stands for.
	return matches(glob, other)
}

// validateRules returns a *client.OptionError for the first thing in the rules that cannot work.
func (o *Options) validateRules() error {
	rules := o.Discover
	for i := range rules {
		r, at := &rules[i], fmt.Sprintf("discover[%d]", i)
		if err := r.validate(at); err != nil {
			return err
		}
		switch {
		case o.API != client.IMS:
		case len(r.Owners) > 0:
			return optionError(at+".owners", "is not supported with api ims, which lists only images of the credential's project: remove it")
		case len(r.Visibility) > 0:
			return optionError(at+".visibility", "is not supported with api ims, where private images may be shared with a domain or an organization: remove it")
		}
		if first := slices.IndexFunc(rules[:i], func(o Rule) bool { return o.covers(r) }); first >= 0 {
			return optionError(at, "can never match, because discover[%d] matches all of its images: move it before that rule, or remove it", first)
		}
	}
	return nil
}

func (r *Rule) validate(at string) error {
	for i, tag := range r.Tags {
		field := fmt.Sprintf("%s.tags[%d]", at, i)
		if tag == "" || strings.TrimSpace(tag) != tag {
			return optionError(field, "%q is not a valid tag: remove the spaces around it", tag)
		}
		if slices.Contains(r.Tags[:i], tag) {
			return optionError(field, "%s is a duplicate: remove one", tag)
		}
	}
	if _, err := path.Match(pattern(r.Name), ""); err != nil {
		return optionError(at+".name", `%q is not a valid glob: close its [, and escape a literal [ or \ with \`, r.Name)
	}
	if strings.HasPrefix(r.Name, "^") || strings.HasSuffix(r.Name, "$") || strings.Contains(r.Name, ".*") {
		return optionError(at+".name", "%q looks like a regular expression, but must be a glob such as golden-*", r.Name)
	}
	if err := visibilities(at+".visibility", r.Visibility); err != nil {
		return err
	}
	for i, owner := range r.Owners {
		field := fmt.Sprintf("%s.owners[%d]", at, i)
		switch {
		case owner == AllOwners && len(r.Owners) > 1:
			return optionError(field, `"*" matches every project: remove the others`)
		case owner == AllOwners:
		case MemberIDProblem(owner) != "":
			return optionError(field, "%s", MemberIDProblem(owner))
		case slices.Contains(r.Owners[:i], owner):
			return optionError(field, "%s is a duplicate: remove one", owner)
		}
	}
	return r.Policy.validate(at)
}

// rule returns the first rule that takes an image, or nil.
func (o *Options) rule(img *client.Image, own []string) *Rule {
	for i := range o.Discover {
		if o.Discover[i].takes(img, own) {
			return &o.Discover[i]
		}
	}
	return nil
}

var errNoAdmin = errors.New("owners names other projects, but the credential has none of admin_roles and cannot list their images: " +
	"grant such a role, or remove owners")

// queries returns the listings that bring all images that a rule can take, and errNoAdmin where the credential may not
// list some of them. What all rules of a listing have in common, the server filters.
func (o *Options) queries(own []string, admin bool) ([]client.ImageQuery, error) {
	var owners []string
	var err error
	added := map[string]bool{}
	add := func(owner string) {
		if !added[owner] {
			owners = append(owners, owner)
		}
		added[owner] = true
	}
	for i := range o.Discover {
		names := o.Discover[i].Owners
		if len(names) == 0 {
			names = own
		}
		for _, owner := range names {
			switch {
			case owner == AllOwners && admin:
				return o.withHidden([]client.ImageQuery{common(o.Discover, "")}), nil
			case owner == AllOwners:
				for _, id := range own {
					add(id)
				}
				err = errNoAdmin
			case isOwn(own, owner) || admin:
				add(owner)
			default:
				err = errNoAdmin
			}
		}
	}
	var list []client.ImageQuery
	for _, owner := range owners {
		var rules []Rule
		for _, r := range o.Discover {
			if r.takesOwner(owner, own) {
				rules = append(rules, r)
			}
		}
		q := common(rules, owner)
		q.Foreign = !isOwn(own, owner)
		list = append(list, q)
	}
	return o.withHidden(list), err
}

// mayList returns errNoAdmin unless a listing shows all that it is to show to whom it was given to.
func (o *Options) mayList(q client.ImageQuery, to client.Access) error {
	if q.Owner != "" && q.Owner == to.ProjectID || to.HasRole(o.AdminRoles) {
		return nil
	}
	return errNoAdmin
}

// common is the listing of an owner's images, with the filters that all rules have in common.
func common(rules []Rule, owner string) client.ImageQuery {
	q := client.ImageQuery{Owner: owner, Tags: slices.Clone(rules[0].Tags)}
	for _, r := range rules {
		q.Tags = slices.DeleteFunc(q.Tags, func(tag string) bool { return !slices.Contains(r.Tags, tag) })
	}
	one := func(r Rule) bool { return len(r.Visibility) == 1 && r.Visibility[0] == rules[0].Visibility[0] }
	if !slices.ContainsFunc(rules, func(r Rule) bool { return !one(r) }) {
		q.Visibility = rules[0].Visibility[0]
	}
	return q
}

// withHidden doubles the listings, since none of Glance's has both the hidden images and the others.
func (o *Options) withHidden(list []client.ImageQuery) []client.ImageQuery {
	if o.API == client.IMS {
		return list
	}
	for _, q := range list {
		q.Hidden = true
		list = append(list, q)
	}
	return list
}

var errUnreadable = errors.New("records cannot be read")

var (
	errMixedViews = errors.New("listing images: pages were read with tokens of different rights")
	errDropped    = errors.New("listing images: a page has fewer images than requested, although another page follows: " +
		"Glance's policy hides images from the credential, allow rule get_image in policy.yaml of Glance")
)

var errGoingRound = errors.New("listing images: pagination loop, marker repeated: the image API may ignore the marker, so images may be missing")

// maxRestarts is how often a listing begins again because the image that marks a page is gone.
const maxRestarts = 3

// discover reads the listings, side by side, and then asks for the records that they did not bring.
func (r *run) discover() {
	queries, err := r.opts.queries(r.projects, r.admin())
	r.discoveryErr, r.listings = cmp.Or(err, r.scopesErr), len(queries)
	r.passing = r.scopesErr != nil
	watched := len(r.images)
	for _, q := range queries {
		l := r.listedBy[q.Owner]
		if l == nil {
			l = &listingEvidence{owner: q.Owner, filtered: q.Visibility != "" || len(q.Tags) > 0}
			r.listed, r.listedBy[q.Owner] = append(r.listed, l), l
		}
		l.unread++
	}
	if len(queries) == 0 {
		r.share()
		if watched > 0 {
			r.askRecords()
		} else {
			r.queue.add(&r.queue.first, func(ctx context.Context) { r.askAnything(ctx, nil) })
		}
		return
	}
	for _, q := range queries {
		r.queue.add(&r.queue.first, func(ctx context.Context) {
			r.ended(ctx, q.Owner, r.list(ctx, q, func(page client.ImagePage, began moment) error {
				if err := r.opts.mayList(q, page.Access); err != nil {
					return err // the token was renewed, and is not what it was
				}
				if err := r.noteListing(q, page, began); err != nil {
					return err
				}
				return r.find(page.Images, began)
			}))
		})
	}
}

// admin reports whether the credential sees all images of the cloud.
func (r *run) admin() bool {
	return slices.ContainsFunc(r.scopes, func(s client.Scope) bool { return s.Access.HasRole(r.opts.AdminRoles) })
}

// list reads one listing to its end, and hands over its pages. Where it begins anew, images come again.
func (r *run) list(ctx context.Context, q client.ImageQuery, take func(page client.ImagePage, began moment) error) error {
	for restarts := 0; ; restarts++ {
		again, err := r.listPages(ctx, q, take)
		if !again || restarts == maxRestarts {
			return err
		}
	}
}

// listPages reads the pages of a listing from the first one on. again is whether the image that marks a page was deleted
// or hidden meanwhile, so that the listing must begin anew.
func (r *run) listPages(ctx context.Context, q client.ImageQuery, take func(client.ImagePage, moment) error) (again bool, err error) {
	marker, seen, unreadable, dropped := "", map[string]bool{}, 0, false
	var view *client.Access // of the first page
	for {
		page, began, err := r.page(ctx, q, marker)
		if err != nil {
			status := imageStatus(err)
			if marker == "" && status == statusNotFound {
				r.notImageAPI = true
			}
			return marker != "" && (status == statusBadRequest || status == statusForbidden || status == statusNotFound), err
		}
		if view == nil {
			view = &page.Access
		} else if !view.SameView(page.Access) {
			return false, errMixedViews
		}
		if marker != "" && hasImage(page.Images, marker) {
			return false, errGoingRound
		}
		if err := take(page, began); err != nil {
			return false, err
		}
		unreadable += page.Unreadable
		dropped = dropped || page.Dropped
		if page.Next == "" {
			break
		}
		if seen[page.Next] {
			return false, errGoingRound
		}
		seen[page.Next], marker = true, page.Next
	}
	switch {
	case unreadable > 0:
		return false, fmt.Errorf("listing images: %d %w", unreadable, errUnreadable)
	case dropped:
		return false, errDropped
	}
	return false, nil
}

func hasImage(images []client.Image, id string) bool {
	return slices.ContainsFunc(images, func(img client.Image) bool { return img.ID == id })
}

// find takes over the images of a page that a rule takes, and the records of those that are watched anyway.
func (r *run) find(images []client.Image, began moment) error {
	for i := range images {
		img := &images[i]
		rule, t := r.opts.rule(img, r.projects), r.byID[img.ID]
		keep := rule != nil && r.opts.DiscoveryInterval > 0
		add := t == nil && rule != nil && r.part.shard.has(img.ID)
		if add || keep {
			if err := r.take(imageWeight(img)); err != nil {
				return err
			}
		}
		if keep {
			r.found = append(r.found, *img)
		}
		if add {
			t = r.add(image{Image: Image{ID: img.ID}, discovered: true, passed: true}) // its record is at hand
		}
		if t != nil && t.discovered && rule != nil {
			t.listed, t.Policy = true, rule.Policy
		}
		r.used[rule] = true
		if t != nil {
			record := *img // alone: the page's others need not stay
			r.settleRecord(t, &record, began, nil)
			r.verifyExists(t)
		}
	}
	return nil
}

// ended notes the end of a listing of an owner. After the last one of all it asks for the records that are not there yet.
func (r *run) ended(ctx context.Context, owner string, err error) {
	r.noteListingEnd(err)
	if err == nil {
		r.listedBy[owner].unread--
	}
	r.listings--
	last := r.listings == 0
	if !last {
		return
	}
	err = r.lookBehindBlanks(ctx)
	r.noteListingEnd(err)
	r.swept = true
	targets := slices.Clone(r.images)
	r.share()
	for _, t := range targets {
		r.verifyExists(t)
	}
	r.askRecords()
}

// noteListingEnd notes why a listing, or what it showed, is not enough; nil: it is.
func (r *run) noteListingEnd(err error) {
	if r.discoveryErr == nil {
		r.discoveryErr = err
	}
	r.cutOff = r.cutOff || notAsked(err) || code(err) == client.CodeCanceled
	r.passing = r.passing || err != nil && !errors.Is(err, errUnreadable) && !errors.Is(err, errTooMuch)
}

// share lets others use what this collection listed, unless they may have more time for it.
func (r *run) share() {
	var s *sweep
	if !r.cutOff {
		s = &sweep{
			run: r.id, began: r.start, opts: r.opts, projects: r.projects, admin: r.admin(), images: r.found, err: r.discoveryErr, passing: r.passing, listed: r.listed,
		}
		for _, scope := range r.scopes {
			if scope.Err == nil {
				s.access = append(s.access, scope.Access)
			}
		}
	}
	r.history.swept(r, s)
}

// complete reports whether every listing was read to its end.
func (r *run) complete() bool { return r.swept && r.discoveryErr == nil }

// discovered reports whether every image was found (E13).
func (r *run) discovered() bool { return r.complete() && r.listingDoubt() == nil }

// sweptDoubt is listingDoubt of complete listings, nil of others.
func (r *run) sweptDoubt() error {
	if !r.complete() {
		return nil
	}
	return r.listingDoubt()
}

// listingDoubt is why listings that were read to their ends may not have had everything.
func (r *run) listingDoubt() error {
	for _, l := range r.listed {
		if err := r.doubtOf(l); err != nil {
			return err
		}
	}
	return nil
}

// doubtOf is listingDoubt of one owner's listings.
func (r *run) doubtOf(l *listingEvidence) error {
	now, then := r.viewIn(l.project), r.sweptView(l.project)
	switch {
	case l.wantsAdministrator(now) && l.wantsAdministrator(then):
		return errNoAdministrator
	case l.wantsProject(now) && l.wantsProject(then):
		return errUnknownProject
	case l.rows == 0 && r.contradicted[l.owner]:
		return errBlankListing
	}
	return nil
}

// listedOwners is how many images the owners have whose listings this collection read to their ends.
func (r *run) listedOwners() map[string]int {
	owners := map[string]int{}
	for owner, images := range r.ownerRows {
		if l := r.listingOf(owner); l != nil && l.unread == 0 && r.doubtOf(l) == nil {
			owners[owner] = images
		}
	}
	return owners
}

// listingOf returns what is known of the listings that have an owner's images: its own, or those of all owners.
func (r *run) listingOf(owner string) *listingEvidence {
	return cmp.Or(r.listedBy[owner], r.listedBy[""])
}

var errNoAdministrator = unprovenError("listing the images of other projects: the credential has one of admin_roles, but it is not proven that the image API " +
	"treats it as an administrator, so images may be missing: check rule context_is_admin in policy.yaml of Glance, " +
	"or create a proof: a private image without data (queued) in another project")

var errUnknownProject = unprovenError("listing images: it is not confirmed that the credential belongs to the configured project, so images may be missing: " +
	"use a kind of auth that logs in to Keystone (with a token: set auth_url), or keep a private image in the project")

var errBlankListing = unprovenError("listing images: no image returned, and it is not proven that the credential can see images: allow rule get_image in policy.yaml of Glance, " +
	"or keep one image in the project")

// byOwner returns the listings by the owners of their images.
func byOwner(listed []*listingEvidence) map[string]*listingEvidence {
	owners := make(map[string]*listingEvidence, len(listed))
	for _, l := range listed {
		owners[l.owner] = l
	}
	return owners
}

// noteListing notes a page of a listing.
func (r *run) noteListing(q client.ImageQuery, page client.ImagePage, began moment) error {
	if !r.viewIn(page.Access.ProjectID).is(&page.Access) {
		return errMixedViews
	}
	l := r.listedBy[q.Owner]
	l.project = page.Access.ProjectID
	l.rows += len(page.Images) + page.Unreadable
	for i := range page.Images {
		r.ownerRows[page.Images[i].Owner]++
	}
	if !l.began.made() {
		l.began = r.observed(began)
	}
	for i := range page.Images {
		r.noteRecord(&page.Images[i], began)
	}
	return nil
}

// lookBehindBlanks returns errBlankListing if an owner's listings were empty and nothing shows that the view sees images at all.
func (r *run) lookBehindBlanks(ctx context.Context) error {
	if r.discoveryErr != nil {
		return nil
	}
	var blank []listingEvidence
	for _, l := range r.listed {
		if l.began.made() && l.rows == 0 {
			blank = append(blank, *l)
		}
	}
	for _, l := range blank {
		if !r.seesImages(ctx, l) {
			return errBlankListing
		}
	}
	return nil
}

// seesImages reports whether images are visible in the view that listings were read in, and asks where that is not known.
func (r *run) seesImages(ctx context.Context, l listingEvidence) bool {
	visible := func() bool {
		return l.visible(r.viewIn(l.project))
	}
	renew := l.rows == 0 && !r.viewIn(l.project).images.recent()
	if renew {
		r.look(ctx, l.project)
	}
	return visible()
}

// verifyExists requests a discovered image alone if it seems to be gone: its owner's whole listing lacks it, or it was listed and then
// its members are answered with a 404. Only its own 404 lets it go, or a record that no rule takes.
func (r *run) verifyExists(t *image) {
	lacking := !t.listed && r.ownerListed(t)
	gone := t.listed && imageStatus(t.membersErr) == statusNotFound
	ask := t.discovered && !t.doubted && (lacking || gone)
	t.doubted = t.doubted || ask
	if !ask {
		return
	}
	r.queue.add(&r.queue.first, func(ctx context.Context) {
		err := r.readRecord(ctx, t)
		t.notFound = ownNotFound(err)
		t.unmatched = t.unmatched || err == nil && r.opts.rule(t.record, r.projects) == nil
		if err == nil && lacking && !t.unmatched {
			r.contradicted[t.record.Owner] = true
		}
		look := t.notFound && !r.ownerAnswered(t) && r.onlyImage(t)
		project := r.viewOf(t).project
		if look {
			r.look(ctx, project)
		}
	})
}

// ownerListed reports whether the listings of an image's owner were read to their ends, whatever became of others'.
func (r *run) ownerListed(t *image) bool {
	if last := t.past.last; last != nil {
		if l := r.listingOf(last.Owner); l != nil {
			return r.swept && l.unread == 0
		}
	}
	return r.complete()
}

// ownNotFound reports whether an error is the image API's own answer that there is no such image (E16).
func ownNotFound(err error) bool {
	apiErr, ok := errors.AsType[*client.Error](err)
	return ok && apiErr.OwnNotFound
}

// missed reports whether this collection shows that a discovered image is not there (E15): the image API's own 404, from the
// endpoint where the image was found, while another image of its owner was answered in the same view.
func (r *run) missed(t *image) bool {
	if !t.discovered || !t.notFound || t.record != nil || r.noImageAPI() {
		return false
	}
	v, last := r.viewOf(t), t.lastRecord()
	switch {
	case last != nil && r.contradicted[last.Owner]:
		return false
	case t.past.endpoint != "" && t.past.endpoint != r.endpointOf(v.project):
		return false
	case last != nil && last.Owner != v.project && !v.administratorIn(r.id):
		return false // who is no administrator any more gets a 404, too
	}
	return r.ownerAnswered(t) || r.onlyImage(t) && r.viewOf(t).images.run == r.id
}

// ownerAnswered reports whether an image of the same owner was answered in the same view.
func (r *run) ownerAnswered(t *image) bool {
	last := t.lastRecord()
	return last != nil && r.answeredFor[ownerIn{last.View, last.Owner}]
}

// onlyImage reports whether the image was the only one of its owner in the last complete listing.
func (r *run) onlyImage(t *image) bool {
	last := t.lastRecord()
	return last != nil && r.past.owners[last.Owner] == 1
}

// lastRecord is what an earlier collection, or a listing in one, said of the image, nil where none did.
func (t *image) lastRecord() *client.Image { return cmp.Or(t.past.last, t.past.known) }

// gone reports whether a discovered image is not there any more, in two collections one after the other (E15), or not ours to
// watch.
func (r *run) gone(t *image) bool {
	return t.unmatched || t.past.missed.before(r.start) && r.missed(t)
}
