package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// maxListed is how many items of one kind are listed; the others are counted.
const maxListed = 10

// kind is the images that have the same problem.
type kind struct {
	why    string
	images []string
}

// kinds groups images by their problem. why returns "" for an image without one.
func kinds(images []*collector.ImageSnapshot, why func(*collector.ImageSnapshot) string) (list []kind) {
	for _, img := range images {
		if text := why(img); text != "" {
			list = addTo(list, text, img)
		}
	}
	return list
}

// addTo adds an image to the kind with this text.
func addTo(list []kind, text string, img *collector.ImageSnapshot) []kind {
	i := slices.IndexFunc(list, func(k kind) bool { return k.why == text })
	if i < 0 {
		i, list = len(list), append(list, kind{why: text})
	}
	shown := img.ID
	if img.Name != "" {
		shown = img.Name + " " + img.ID
	}
	list[i].images = append(list[i].images, shown)
	return list
}

// told returns the lines about the kinds.
func told(list []kind) (lines []string) {
	for _, k := range list {
		lines = append(lines, k.why+":")
		for i, img := range k.images {
			if i == maxListed {
				lines = append(lines, fmt.Sprintf("- and %d others", len(k.images)-i))
				break
			}
			lines = append(lines, "- "+img)
		}
	}
	return lines
}

// some returns the matching images: first the configured ones in their order, then the discovered ones by ID.
func (e *evidence) some(which func(*collector.ImageSnapshot) bool) (list []*collector.ImageSnapshot) {
	for i := range e.snapshot.Images {
		if img := &e.snapshot.Images[i]; which(img) {
			list = append(list, img)
		}
	}
	slices.SortStableFunc(list, func(a, b *collector.ImageSnapshot) int {
		switch {
		case a.Discovered && b.Discovered:
			return strings.Compare(a.ID, b.ID)
		case a.Discovered:
			return 1
		case b.Discovered:
			return -1
		}
		return 0
	})
	return list
}

func unread(img *collector.ImageSnapshot) bool { return img.Coverage == collector.Unread }

// images returns the findings about configured, discovered and inbound images.
func (e *evidence) images() (list []finding) {
	configured := e.some(func(img *collector.ImageSnapshot) bool { return !img.Discovered })
	if len(configured) > 0 {
		f := finding{status: good, subject: "images", text: fmt.Sprintf("%d of %d configured "+
			"images can be read", len(configured), len(configured))}
		if bad := kinds(configured, e.whyUnread); len(bad) > 0 {
			f.status, f.more = fail, told(bad)
			f.text = fmt.Sprintf("%d of %d configured images cannot be read", countOf(bad), len(configured))
			if !e.snapshot.Up {
				f.more = nil // the line about the image API has the reason
			}
		}
		list = append(list, f)
	}
	if e.snapshot.Discovers {
		list = append(list, e.discovery(len(configured) > 0))
	}
	if len(e.snapshot.Inbound) > 0 {
		list = append(list, e.inbound())
	}
	return list
}

// discovery returns the finding about the images that rules find. besides is whether there are configured images too.
func (e *evidence) discovery(besides bool) finding {
	found := e.some(func(img *collector.ImageSnapshot) bool { return img.Discovered })
	f := finding{status: good, subject: "discovery", text: "found " + imageCount(len(found), besides)}
	if n := e.snapshot.Skipped; n > 0 {
		f.text += fmt.Sprintf(", and %d that rules skip", n)
	}
	if bad := kinds(found, e.whyUnread); len(bad) > 0 {
		f.status = fail
		f.text += fmt.Sprintf(", %d of them cannot be read", countOf(bad))
		f.more = told(bad)
	}
	switch {
	case e.snapshot.Discovered:
	case collector.IsUnproven(e.snapshot.DiscoveryErr) && e.listingGap(""):
		f.status = fail
		f.text += ". The listing may be incomplete, " + seeProof
	default:
		f.status = fail
		f.text += ". The listing is incomplete: " + reason(e.snapshot.DiscoveryErr)
	}
	for _, i := range e.snapshot.IdleRules {
		f.status = max(f.status, warn)
		f.more = append(f.more, fmt.Sprintf("discover[%d] matches no image. Check the rule", i))
	}
	return f
}

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// imageCount returns a number of images in words. With besides, they are in addition to others.
func imageCount(n int, besides bool) string {
	if besides {
		return plural(n, "more image")
	}
	return plural(n, "image")
}

// whyUnread returns why an image's members are unknown, "" if they are not.
func (e *evidence) whyUnread(img *collector.ImageSnapshot) string {
	switch {
	case !unread(img), img.Waiting:
		return ""
	case notProven(img):
		return e.whyNotProven(img)
	}
	apiErr, ok := errors.AsType[*client.Error](img.Err)
	switch {
	case !ok || apiErr.Code == client.CodeNotRequested:
		hint := "Raise scrape.timeout up to Prometheus' scrape_timeout, watch fewer images, or split the cloud into shards"
		if e.Options.RefreshInterval > 0 {
			hint = "Background collections have more time than this one. To read all images here, set " +
				"scrape.timeout: " + model.Duration(e.Options.RefreshInterval).String()
		}
		return fmt.Sprintf("%s (%s). %s", reason(img.Err), e.timeout, hint)
	case apiErr.Op == client.OpAuthenticate || apiErr.Op == client.OpListProjects:
		return "no token: " + reason(img.Err)
	}
	switch img.StatusCode {
	case http.StatusNotFound:
		if !apiErr.OwnNotFound {
			return e.why(withoutID(apiErr, img.ID)) // from a gateway or a proxy, which knows nothing about the image
		}
		return "404 Not Found: deleted, or owned by another project that does not share it. Correct the ID, or use a credential of the " +
			"owning project. " +
			"An administrator finds the owner with openstack image show -c owner"
	case http.StatusForbidden:
		switch {
		case e.Options.API == client.IMS:
		case img.Record == nil && img.RecordErr != nil:
			return "403 Forbidden, possibly because they are private, community or public: their records were not read. " + e.why(img.RecordErr)
		case img.Record != nil && !img.Record.Visibility.Known():
			return "403 Forbidden, possibly because images of this visibility have no members: " + strangeVisibility(img)
		default:
			return "403 Forbidden: the credential may not list members. Grant it the role reader in the project that owns the image"
		}
	}
	return e.why(withoutID(apiErr, img.ID))
}

// why returns what an error means.
func (e *evidence) why(err error) string {
	apiErr, ok := errors.AsType[*client.Error](err)
	app := e.credential.ApplicationCredential
	if ok && apiErr.Op != client.OpAuthenticate && apiErr.StatusCode == http.StatusUnauthorized && app != nil && len(app.Rules) > 0 {
		return "401 Unauthorized: the access rules do not allow this request, or Glance lacks service_type = image under [keystone_authtoken]"
	}
	return reason(err)
}

// withoutID returns an error without the image's ID, so that the same errors of many images are one kind.
func withoutID(err *client.Error, id string) error {
	e := *err
	e.Message = strings.ReplaceAll(e.Message, id, "ID")
	return &e
}

const unknownRecord = "owner and visibility are unknown: their records were not read. "

// records returns the finding about images whose members are known but whose owner or visibility is not.
// [evidence.lists] has the lists that are incomplete for that reason.
func (e *evidence) records() []finding {
	read := e.some(func(img *collector.ImageSnapshot) bool { return !unread(img) || notProven(img) && img.Record != nil })
	bad := kinds(read, func(img *collector.ImageSnapshot) string {
		switch {
		case img.Record == nil && img.Coverage == collector.Partial:
			return ""
		case img.Record == nil && img.RecordErr != nil:
			return unknownRecord + e.why(img.RecordErr)
		case img.Record == nil:
			return strings.TrimSuffix(unknownRecord, " ")
		case !img.Record.Visibility.Known():
			return strangeVisibility(img)
		}
		return ""
	})
	if len(bad) == 0 {
		return nil
	}
	return []finding{{status: fail, subject: "records", text: fmt.Sprintf("owner or visibility unknown for %d "+
		"of %d images", countOf(bad), len(read)), more: told(bad)}}
}

func strangeVisibility(img *collector.ImageSnapshot) string {
	return fmt.Sprintf("the exporter does not know visibility %q, so it is unknown who can use them", img.Record.Visibility)
}

// ownerless reports whether there is an image whose members are known but whose owner is not.
func (e *evidence) ownerless() bool {
	return len(e.some(func(img *collector.ImageSnapshot) bool {
		return (!unread(img) || notProven(img)) && (img.Record == nil || img.Record.Owner == "")
	})) > 0
}

// whose names the projects of the credential.
func (e *evidence) whose() string {
	ids := e.projectIDs()
	if len(ids) == 1 {
		return projectName(e.snapshot.Scopes[0].Access)
	}
	return fmt.Sprintf("%d other projects", len(ids))
}

// ------------------------------------------------------------------------------------------------------------------
