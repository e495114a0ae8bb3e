package collector

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"glance_share_exporter/client"
)

// AllOwners stands for every project of the cloud in [Rule].Owners.
const AllOwners = "*"

// Rule selects images by their records. Empty Tags, Name and Visibility match every image.
type Rule struct {
	// Tags are the tags that an image must have, all of them.
	Tags []string
	// Name is a glob that an image's name must match: * stands for any text, ? for any character, [a-z] for one of the
	// range, [!a-z] for one outside of it.
	Name string
	// Visibility lists the visibilities that an image may have.
	Visibility []client.Visibility
	// Owners are the IDs of the projects that may own an image, or [AllOwners] alone; empty: the credential's project.
	Owners []string
	// Policy is what is expected of the images.
	Policy Policy
	// Skip is whether the rule skips the images that it matches. Rules before it still select theirs, and no listing is
	// requested for it.
	Skip bool
}

// matches reports whether the rule matches an image. own are the credential's projects, sorted.
func (r *Rule) matches(img *client.Image, own []string) bool {
	for _, tag := range r.Tags {
		if !slices.Contains(img.Tags, tag) && (r.Skip || !img.TagsUnknown) {
			return false
		}
	}
	return matchesGlob(r.Name, img.Name) &&
		(len(r.Visibility) == 0 || slices.Contains(r.Visibility, img.Visibility)) &&
		(img.Owner == "" && !r.Skip || r.matchesOwner(img.Owner, own)) // no owner: the listing was of one owner, and skip must know it
}

func (r *Rule) matchesOwner(owner string, own []string) bool {
	if len(r.Owners) == 0 {
		return isOwn(own, owner)
	}
	return r.Owners[0] == AllOwners || slices.Contains(r.Owners, owner)
}

// isOwn reports whether a project is one of the credential's. These are sorted, because there may be thousands.
func isOwn(own []string, project string) bool {
	_, found := slices.BinarySearch(own, project)
	return found
}

// matchesGlob reports whether a name matches a glob. An empty glob matches every name, an invalid one none.
func matchesGlob(glob, name string) bool {
	ok, _ := path.Match(pattern(glob), unslash(name))
	return ok || glob == ""
}

// pattern translates a glob for package path, which negates with ^ instead of !.
func pattern(glob string) string { return strings.ReplaceAll(unslash(glob), "[!", "[^") }

// unslash replaces slashes, because * does not match them in package path.
func unslash(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// covers reports whether r matches every image that o matches, as far as the rules alone show it.
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

// coversList reports whether list has all of other. An empty list stands for everything.
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
		return false // ? [ and \ are not compared
	}
	// Only a * matches a * of the other glob, and then it matches every text that this stands for.
	return matchesGlob(glob, other)
}

// validateRules returns a *[client.OptionError] for the first mistake in the rules.
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
			return optionError(at+".visibility", "is not supported with api ims, where private images may be shared with a domain or an "+
				"organization: remove it")
		}
		if first := slices.IndexFunc(rules[:i], func(o Rule) bool { return o.covers(r) }); first >= 0 {
			remedy := "move it before that rule, or remove it"
			if r.covers(&rules[first]) && r.Skip == rules[first].Skip {
				remedy = "remove it"
			}
			return optionError(at, "can never match, because discover[%d] matches all of its images: %s", first, remedy)
		}
		if r.Skip && !slices.ContainsFunc(rules[i:], func(o Rule) bool { return !o.Skip }) {
			return optionError(at+".skip", "has no effect, because no rule after it watches images: "+
				"move it before the rules that it is an exception to, or remove it")
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

// match returns the first rule that matches an image, or nil.
func (o *Options) match(img *client.Image, own []string) *Rule {
	for i := range o.Discover {
		if o.Discover[i].matches(img, own) {
			return &o.Discover[i]
		}
	}
	return nil
}

// rule returns the rule that selects an image, nil if no rule matches it, or if the first that does skips it.
func (o *Options) rule(img *client.Image, own []string) *Rule {
	if r := o.match(img, own); r != nil && !r.Skip {
		return r
	}
	return nil
}

// skips reports whether a rule skips an image that a later rule would select.
func (o *Options) skips(img *client.Image, own []string) bool {
	skipped := false
	for i := range o.Discover {
		switch r := &o.Discover[i]; {
		case !r.matches(img, own):
		case !r.Skip:
			return skipped
		default:
			skipped = true
		}
	}
	return false
}

var errNoAdmin = errors.New("owners names other projects, but the credential has none of admin_roles and cannot list their images: " +
	"grant such a role, or remove owners")

// queries returns the listings that together have all images that a rule can select, and errNoAdmin if the credential
// may not list some of them. The server applies the filters that all rules of a listing have in common. Rules that skip
// images neither narrow nor need a listing.
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
	watching := slices.DeleteFunc(slices.Clone(o.Discover), func(r Rule) bool { return r.Skip })
	for i := range watching {
		names := watching[i].Owners
		if len(names) == 0 {
			names = own
		}
		for _, owner := range names {
			switch {
			case owner == AllOwners && admin:
				return o.withHidden([]client.ImageQuery{common(watching, "")}), nil
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
		for _, r := range watching {
			if r.matchesOwner(owner, own) {
				rules = append(rules, r)
			}
		}
		q := common(rules, owner)
		q.Foreign = !isOwn(own, owner)
		list = append(list, q)
	}
	return o.withHidden(list), err
}

// mayList returns errNoAdmin unless the token that got the listing is the owner's or has one of [Options].AdminRoles.
func (o *Options) mayList(q client.ImageQuery, to client.Access) error {
	if q.Owner != "" && q.Owner == to.ProjectID || to.HasRole(o.AdminRoles) {
		return nil
	}
	return errNoAdmin
}

// common returns the listing of an owner's images, with the filters that all rules have in common.
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

// withHidden adds a listing of the hidden images to each listing, because Glance never lists these with the others.
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
