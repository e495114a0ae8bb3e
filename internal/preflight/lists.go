package preflight

import (
	"cmp"
	"fmt"
	"strings"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// lists returns the finding about the member lists that were read: whether they are complete, and if not, why.
func (e *evidence) lists() finding {
	read := e.some(func(img *collector.ImageSnapshot) bool {
		return img.Coverage == collector.Complete || img.Coverage == collector.Partial && !awaitsListing(img)
	})
	awaiting := len(e.some(awaitsListing))
	f := finding{status: good, subject: "members", text: "no image has a member list"}
	if len(read) == 0 {
		f.status = info
		switch {
		case awaiting > 0:
			f.text = "no other member list was read"
		case len(e.some(unread)) > 0:
			f.text = "no member list was read"
		}
	}
	bad := kinds(read, e.whyPartial)
	switch whole := len(read) - countOf(bad); {
	case len(read) == 0:
	case len(bad) > 0:
		f.status, f.more = fail, told(bad)
		f.text = fmt.Sprintf("%d of %d member lists are incomplete", len(read)-whole, len(read))
	default:
		f.text = fmt.Sprintf("%d of %d member lists are complete, %s", whole, len(read), e.view(read))
	}
	switch {
	case awaiting == 1:
		f.more = append(f.more, "1 list of an image in turns was read, and is complete if the next collection finds the same record")
	case awaiting > 1:
		const text = "%d lists of images in turns were read, and are complete if the next collection finds the same records"
		f.more = append(f.more, fmt.Sprintf(text, awaiting))
	}
	if open := e.some(func(img *collector.ImageSnapshot) bool { return img.Coverage == collector.NotApplicable }); len(open) > 0 {
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
		f.more = append(f.more, "without a member list: "+strings.Join(words, ", "))
	}
	return f
}

// missing returns the finding about expected members that complete lists lack. One may be a name instead of an ID.
func (e *evidence) missing() []finding {
	var members []kind
	all := e.some(func(img *collector.ImageSnapshot) bool { return len(img.Missing()) > 0 })
	for _, img := range all {
		for _, m := range img.Missing() {
			shown := m.ID
			if name := cmp.Or(m.Name, e.Options.MemberNames[m.ID]); name != "" {
				shown = name + " " + m.ID
			}
			if name := e.snapshot.KeystoneNameOf(m.Type, m.ID); name != "" {
				shown += fmt.Sprintf(", named %q in Keystone", name)
			}
			if m.Type != client.TypeProject {
				shown = fmt.Sprintf("%s %s", m.Type, shown)
			}
			members = addTo(members, shown+": expected, but not a member of", img)
		}
	}
	if len(members) == 0 {
		return nil
	}
	f := finding{status: warn, subject: "expected"}
	f.text = plural(len(members), "expected member") + " missing from " + plural(len(all), "image")
	f.more = told(members[:min(len(members), maxListed)])
	if rest := len(members) - maxListed; rest > 0 {
		f.more = append(f.more, fmt.Sprintf("and %d other members", rest))
	}
	return []finding{f}
}

// awaitsListing reports whether an image is read in turns and lacks only a second record, which the next listing has: a
// run does not request it while other images wait.
func awaitsListing(img *collector.ImageSnapshot) bool {
	return img.InTurns && img.Coverage == collector.Partial && img.Doubt == collector.ChangingImage && img.Record != nil
}

// view returns in which view the lists are complete.
func (e *evidence) view(read []*collector.ImageSnapshot) string {
	own := 0
	for _, img := range read {
		if e.owns(img) {
			own++
		}
	}
	switch own {
	case len(read):
		return "in the view of the owner"
	case 0:
		return "in the view of an administrator"
	}
	return "in the view of the owner or of an administrator"
}

// foreignOwner returns the project that owns an image whose list is incomplete or not proven for that reason, or "".
func (e *evidence) foreignOwner(img *collector.ImageSnapshot) string {
	if (img.Coverage == collector.Partial || notProven(img)) && img.Record != nil && !e.owns(img) {
		return img.Record.Owner
	}
	return ""
}

// whyPartial returns why a member list is incomplete, "" if it is complete.
func (e *evidence) whyPartial(img *collector.ImageSnapshot) string {
	switch owner := e.foreignOwner(img); {
	case img.Complete():
		return ""
	case owner != "" && img.Doubt == collector.ForeignView:
		return fmt.Sprintf("project %s owns them, and the credential belongs to %s. A project sees only its own row of other projects' "+
			"images. Grant the user reader in %s, and set that project in auth",
			owner, e.whose(), owner)
	case img.Coverage == collector.Partial && img.Record == nil && img.RecordErr != nil:
		return unknownRecord + e.why(img.RecordErr)
	case img.Coverage == collector.Partial:
		return e.doubtful(img)
	case img.LeftOut > 0:
		return "there are more members than have series; all are counted"
	}
	return "a row of the member list has no member ID"
}
