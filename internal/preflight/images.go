package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// maxListed is how many of one kind are listed, and the others counted.
const maxListed = 10

// kind is images with which the same is wrong.
type kind struct {
	why    string
	images []string
}

// kinds puts images together by what is wrong with them; "" is nothing.
func kinds(images []*collector.ImageSnapshot, why func(*collector.ImageSnapshot) string) (list []kind) {
	for _, img := range images {
		text := why(img)
		if text == "" {
			continue
		}
		i := slices.IndexFunc(list, func(k kind) bool { return k.why == text })
		if i < 0 {
			i, list = len(list), append(list, kind{why: text})
		}
		shown := img.ID
		if img.Name != "" {
			shown = img.Name + " " + img.ID
		}
		list[i].images = append(list[i].images, shown)
	}
	return list
}

// told are the lines about kinds.
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

// some are images, the configured ones as they stand there, and then those that are discovered, by ID.
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

func unread(img *collector.ImageSnapshot) bool { return img.Sight == collector.Unread }

// images are those that are configured and those that are discovered.
func (e *evidence) images() (list []finding) {
	configured := e.some(func(img *collector.ImageSnapshot) bool { return !img.Discovered })
	if len(configured) > 0 {
		f := finding{status: good, subject: "images", text: fmt.Sprintf("%d of %d configured can be read", len(configured), len(configured))}
		if bad := kinds(configured, e.whyUnread); len(bad) > 0 {
			f.status, f.more = fail, told(bad)
			f.text = fmt.Sprintf("%d of %d configured cannot be read", countOf(bad), len(configured))
			if !e.snapshot.Up {
				f.more = nil // the image API's line says why
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

// discovery is about the images that rules find, beside others or not.
func (e *evidence) discovery(beside bool) finding {
	found := e.some(func(img *collector.ImageSnapshot) bool { return img.Discovered })
	f := finding{status: good, subject: "discovery", text: fmt.Sprintf("finds %d", len(found))}
	if beside {
		f.text += " more"
	}
	switch {
	case e.snapshot.Discovered:
	case collector.IsUnproven(e.snapshot.DiscoveryErr) && e.listingGap(""):
		f.status = fail
		f.text += ", and perhaps not all, " + seeProof
	default:
		f.status = fail
		f.text += ", and perhaps not all: " + reason(e.snapshot.DiscoveryErr)
	}
	if bad := kinds(found, e.whyUnread); len(bad) > 0 {
		f.status = fail
		f.text += fmt.Sprintf(", of which %d cannot be read", countOf(bad))
		f.more = told(bad)
	}
	for _, i := range e.snapshot.IdleRules {
		f.status = max(f.status, warn)
		f.more = append(f.more, fmt.Sprintf("discover[%d] takes no image: is it what you mean?", i))
	}
	return f
}

// inbound is about the images that others share with the credential's projects.
func (e *evidence) inbound() finding {
	f := finding{status: good, subject: "inbound"}
	total, unexpected := 0, 0
	for _, in := range e.snapshot.Inbound {
		total += len(in.Images)
		for i := range in.Images {
			if in.Images[i].Unexpected {
				unexpected++
			}
		}
		why := ""
		if in.Err != nil {
			f.status = fail
			if why = reason(in.Err); collector.IsUnproven(in.Err) && e.listingGap(in.ProjectID) {
				why = "nothing proves that images are visible, " + seeProof
			}
		}
		switch {
		case in.Err != nil && len(e.snapshot.Inbound) > 1:
			f.more = append(f.more, "- "+orElse(in.ProjectID, "projects that the list may lack")+": "+why)
		case in.Err != nil:
			f.more = append(f.more, why)
		case in.LeftOut > 0:
			f.status = max(f.status, warn)
			f.more = append(f.more,
				fmt.Sprintf("%d of them have no series of their own: raise inbound.max_images if so many are meant to be", in.LeftOut))
		}
	}
	images := fmt.Sprintf("%d images", total)
	if total == 1 {
		images = "1 image"
	}
	switch {
	case f.status == fail && total == 0:
		f.text = "what others share is not known"
	case f.status == fail:
		f.text = "others share " + images + " at least, and perhaps more"
	default:
		f.text = "others share " + images
	}
	if unexpected > 0 {
		f.status = max(f.status, warn)
		f.text += fmt.Sprintf(", %d of owners that are not expected", unexpected)
	}
	return f
}

func countOf(list []kind) (n int) {
	for _, k := range list {
		n += len(k.images)
	}
	return n
}

// whyUnread says why nothing is known of an image's members, "" if something is.
func (e *evidence) whyUnread(img *collector.ImageSnapshot) string {
	switch {
	case !unread(img), img.Waiting:
		return ""
	case notProven(img):
		return e.whyNotProven(img)
	}
	apiErr, ok := errors.AsType[*client.Error](img.Err)
	switch {
	case !ok || apiErr.Code == client.CodeNotAsked:
		hint := "Give as much as Prometheus' scrape_timeout by scrape.timeout, watch fewer, or split the cloud in shards"
		if e.Options.RefreshInterval > 0 {
			hint = "Collections in the background have more time than this one: to look at all, write scrape.timeout: " + model.Duration(e.Options.RefreshInterval).String()
		}
		return fmt.Sprintf("%s (%s). %s", reason(img.Err), e.timeout, hint)
	case apiErr.Op == client.OpAuthenticate || apiErr.Op == client.OpListProjects:
		return "no token: " + reason(img.Err)
	}
	switch img.StatusCode {
	case http.StatusNotFound:
		if !apiErr.OwnNotFound {
			return e.why(withoutID(apiErr, img.ID)) // a gateway's or a proxy's, which says nothing of the image
		}
		return "404 Not Found: deleted, or another project's that does not share it. Correct the ID, or use a credential of the project that owns it; " +
			"to an administrator, openstack image show -c owner tells which"
	case http.StatusForbidden:
		switch {
		case e.Options.API == client.IMS:
		case img.Record == nil && img.RecordErr != nil:
			return "403 Forbidden, perhaps since they are private, community or public: their records were not read. " + e.why(img.RecordErr)
		case img.Record != nil && !img.Record.Visibility.Known():
			return "403 Forbidden, perhaps since their visibility is one without members: " + strangeVisibility(img)
		default:
			return "403 Forbidden: the credential may not list members. Give it the role reader in the project that owns the image"
		}
	}
	return e.why(withoutID(apiErr, img.ID))
}

// why is what an answer means.
func (e *evidence) why(err error) string {
	apiErr, ok := errors.AsType[*client.Error](err)
	app := e.credential.ApplicationCredential
	if ok && apiErr.Op != client.OpAuthenticate && apiErr.StatusCode == http.StatusUnauthorized && app != nil && len(app.Rules) > 0 {
		return "401 Unauthorized: the access rules leave it out, or Glance lacks service_type = image under [keystone_authtoken]"
	}
	return reason(err)
}

// withoutID is an error that does not name the image, so that those of many images are one.
func withoutID(err *client.Error, id string) error {
	e := *err
	e.Message = strings.ReplaceAll(e.Message, id, "ID")
	return &e
}

// lists are the member lists that were read: whole, or not and why.
func (e *evidence) lists() finding {
	read := e.some(func(img *collector.ImageSnapshot) bool {
		return img.Sight == collector.Partial || img.Sight == collector.Whole
	})
	f := finding{status: good, subject: "members", text: "no image has members to list"}
	if len(read) == 0 {
		f.status = info
		if len(e.some(unread)) > 0 {
			f.text = "no member list was read"
		}
	}
	bad := kinds(read, e.whyPartial)
	switch whole := len(read) - countOf(bad); {
	case len(read) == 0:
	case len(bad) > 0:
		f.status, f.more = fail, told(bad)
		f.text = fmt.Sprintf("%d of %d member lists are not whole", len(read)-whole, len(read))
	default:
		f.text = fmt.Sprintf("%d of %d member lists are whole, %s", whole, len(read), e.view(read))
	}
	if open := e.some(func(img *collector.ImageSnapshot) bool { return img.Sight == collector.NotApplicable }); len(open) > 0 {
		var words []string
		for _, v := range client.Visibilities() {
			n := 0
			for _, img := range open {
				if img.Record.Visibility == v {
					n++
				}
			}
			if n > 0 {
				words = append(words, fmt.Sprintf("%d %s", n, v))
			}
		}
		f.more = append(f.more, "without a list: "+strings.Join(words, ", "))
	}
	return f
}

// view says why lists are whole.
func (e *evidence) view(read []*collector.ImageSnapshot) string {
	own := 0
	for _, img := range read {
		if e.owns(img) {
			own++
		}
	}
	switch own {
	case len(read):
		return "in the owner's view"
	case 0:
		return "in an administrator's view"
	}
	return "in the owner's view or an administrator's"
}

// stranger is the project that owns an image whose list is short, or not proven, for that reason, or "".
func (e *evidence) stranger(img *collector.ImageSnapshot) string {
	if (img.Sight == collector.Partial || notProven(img)) && img.Record != nil && !e.owns(img) {
		return img.Record.Owner
	}
	return ""
}

// whyPartial says why there may be more members than those read, "" if there are not.
func (e *evidence) whyPartial(img *collector.ImageSnapshot) string {
	switch owner := e.stranger(img); {
	case img.Complete():
		return ""
	case owner != "" && img.Doubt == collector.ForeignView:
		return fmt.Sprintf("project %s owns them, and the credential is %s: a project sees its own row alone of others' images. Grant it reader in %s, and name that project in auth",
			owner, e.whose(), owner)
	case img.Sight == collector.Partial && img.Record == nil && img.RecordErr != nil:
		return unknownRecord + e.why(img.RecordErr)
	case img.Sight == collector.Partial:
		return e.doubtful(img)
	case img.LeftOut > 0:
		return "there are more members than are shown one by one; all are counted"
	}
	return "a row of the list has no member's ID"
}

const unknownRecord = "who owns them and whether they are open to everyone is not known: their records were not read. "

// records are what the images say of themselves, where that is not known though their members are. [evidence.lists] tells of the lists
// that are not whole for that reason.
func (e *evidence) records() []finding {
	read := e.some(func(img *collector.ImageSnapshot) bool { return !unread(img) || notProven(img) && img.Record != nil })
	bad := kinds(read, func(img *collector.ImageSnapshot) string {
		switch {
		case img.Record == nil && img.Sight == collector.Partial:
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
	return []finding{{status: fail, subject: "records", text: fmt.Sprintf("not enough is known of %d of %d images", countOf(bad), len(read)), more: told(bad)}}
}

func strangeVisibility(img *collector.ImageSnapshot) string {
	return fmt.Sprintf("whether they are open to everyone is not known, as it is %q, which the exporter does not know", img.Record.Visibility)
}

// ownerless reports whether the owner of an image is not known whose members are.
func (e *evidence) ownerless() bool {
	return len(e.some(func(img *collector.ImageSnapshot) bool {
		return (!unread(img) || notProven(img)) && (img.Record == nil || img.Record.Owner == "")
	})) > 0
}

// whose is to which projects the credential belongs.
func (e *evidence) whose() string {
	ids := e.projectIDs()
	if len(ids) == 1 {
		return "that of " + projectName(e.snapshot.Scopes[0].Access)
	}
	return fmt.Sprintf("for %d others", len(ids))
}

// ------------------------------------------------------------------------------------------------------------------

// size is how many series a page has of the cloud.
type size struct {
	now   int // with those of images that others share
	own   int // without them
	bound int // the most that these can be: anybody can share more
}

func (e *evidence) size() size {
	families := collector.Gather(e.snapshot)
	s := size{now: samples(families), bound: len(e.snapshot.Inbound) * e.Options.Inbound.MaxSeries()}
	others := slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return !strings.HasPrefix(f.GetName(), "glance_inbound_image_") })
	s.own = s.now - samples(others)
	return s
}

func (e *evidence) series() finding {
	n := e.size()
	f := finding{status: info, subject: "series", text: fmt.Sprintf("%d now", n.now)}
	if e.Options.ByProbe {
		f.text += fmt.Sprintf(", on /probe?cloud=%s", e.Options.Name)
		if shards := e.Options.Shards; shards > 1 {
			f.text += fmt.Sprintf(" in %d shards", shards)
			n.own = n.own/shards + 1 // the first shard has all that others share
		}
		f.text += fmt.Sprintf("; sample_limit: %d leaves room", n.limit())
	}
	if e.less() {
		f.text += "; more once everything is read"
	}
	return f
}

// less reports whether there would be more series if everything was read.
func (e *evidence) less() bool {
	return e.snapshot.Err != nil || len(e.some(unread)) > 0 || e.snapshot.Discovers && !e.snapshot.Discovered ||
		slices.ContainsFunc(e.snapshot.Inbound, func(in collector.InboundSnapshot) bool { return in.Err != nil })
}

// limit leaves room for twice as many series of its own, and for all that others can add, in thousands.
func (s size) limit() int { return (2*s.own + s.bound + 999) / 1000 * 1000 }

// page is about /metrics as a whole.
func page(clouds []*evidence, process int) []finding {
	var parts []string
	total, more := size{now: process, own: process}, ""
	for _, e := range clouds {
		if e.Options.ByProbe {
			continue
		}
		n := e.size()
		total = size{total.now + n.now, total.own + n.own, total.bound + n.bound}
		if e.less() {
			more = "; more once everything is read"
		}
		parts = append(parts, fmt.Sprintf("%d of %s", n.now, e.Options.Name))
	}
	if len(parts) > maxListed {
		parts = []string{fmt.Sprintf("%d of %d clouds", total.now-process, len(parts))}
	}
	parts = append(parts, fmt.Sprintf("%d of the process and its requests", process))
	return []finding{{status: info, subject: "/metrics", text: fmt.Sprintf("%d series: %s. In prometheus.yml, sample_limit: %d leaves room%s",
		total.now, strings.Join(parts, ", "), total.limit(), more)}}
}
