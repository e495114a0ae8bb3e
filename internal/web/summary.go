package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"strings"
)

// verdict is the summary of all clouds, whatever the filter.
type verdict struct {
	Class, Symbol, Title string
	Worst                []worst
	Says                 []string
}

// worst is an image that the verdict names.
type worst struct{ Address, Cloud, Name, Word, Says string }

// maxWorst is how many images the verdict names.
const maxWorst = 5

// tally counts, by severity, the watched images and the images that other projects share.
func tally(entries []*entry) (watched, others [len(groups)]int) {
	for _, e := range entries {
		if e.inbound != nil {
			others[e.severity]++
		} else {
			watched[e.severity]++
		}
	}
	return watched, others
}

// judge returns the verdict about all clouds.
func (p *statusPage) judge(clouds []*cloudView) verdict {
	var v verdict
	var counts, others [len(groups)]int
	asksInbound := false
	for _, c := range clouds {
		watched, shared := tally(c.entries)
		for r := range groups {
			counts[r] += watched[r]
			others[r] += shared[r]
		}
		asksInbound = asksInbound || c.asksInbound
	}
	named := p.name(&v, clouds)
	unseen := v.unseen(clouds, counts[unknown], others[unknown])
	switch n := counts[critical] + others[critical]; {
	case n > 0:
		v.Class, v.Symbol = "danger", "✖"
		v.Title = "Unexpected access to " + count(counts[critical], "image", "images")
		switch {
		case counts[critical] == 0:
			v.Title = acceptedOf(n)
		case others[critical] > 0:
			v.Title += ", and " + acceptedOf(others[critical])
		}
		if unseen {
			v.Says = append([]string{"The view is also incomplete."}, v.Says...)
		}
		v.more(n - named)
		return v
	case unseen:
		v.Class, v.Symbol, v.Title = "blind", "?", "Incomplete view: "+lacking(clouds, counts[unknown], others[unknown])
		if len(v.Says) == 1 && counts[unknown]+others[unknown] > 0 {
			v.Says = nil // the title has it
		}
		if n := counts[unknown] + others[unknown]; n > 0 {
			v.more(n - named)
		}
		switch {
		case others[warning] > 0:
			v.Says = append(v.Says, "What was read shows no unexpected access, but "+offeredOf(others[warning])+".")
		case counts[warning]+counts[unjudged]+counts[expected]+others[unjudged]+others[expected] > 0:
			v.Says = append(v.Says, "What was read shows no unexpected access.")
		}
	case counts[warning]+others[warning] > 0:
		v.Class, v.Symbol = "amiss", "!"
		wrong := count(counts[warning], "image is not as configured", "images are not as configured")
		switch {
		case others[warning] == 0:
			v.Title = "No unexpected access, but " + wrong
		case counts[warning] == 0:
			v.Title = "No unexpected access, but " + offeredOf(others[warning])
		default:
			v.Title = "No unexpected access, but " + wrong + ", and " + offeredOf(others[warning])
		}
		v.more(counts[warning] + others[warning] - named)
	case counts[unjudged]+others[unjudged] > 0:
		v.Class, v.Symbol, v.Title = "unjudged", "–", "No unexpected access where expectations are configured"
	case counts[expected]+others[expected] == 0 && !asksInbound:
		v.Class, v.Symbol, v.Title = "unjudged", "–", "No image is watched"
	default:
		v.Class, v.Symbol, v.Title = "good", "✔", "No unexpected access"
		if n := counts[expected]; n > 0 {
			v.Says = append(v.Says, count(n, "watched image was", "watched images were")+" read completely.")
		}
		if n := others[expected]; n > 0 {
			v.Says = append(v.Says, "Other projects share "+count(n, "image", "images")+" with you, all from expected owners.")
		} else if asksInbound {
			v.Says = append(v.Says, "Other projects share no image with you.")
		}
	}
	if n := counts[unjudged]; n > 0 {
		v.Says = append(v.Says, count(n, "image has", "images have")+" no expected_members, so members are not checked.")
	}
	if n := others[unjudged]; n > 0 {
		v.Says = append(v.Says, "Other projects share "+count(n, "image", "images")+" with you. There are no expected_owners, so owners "+
			"are not checked.")
	}
	return v
}

// name adds the most severe images that are not as expected to the verdict, and returns how many.
func (p *statusPage) name(v *verdict, clouds []*cloudView) int {
	for s := critical; s <= warning && len(v.Worst) == 0; s++ {
		for _, c := range clouds {
			for _, e := range c.entries {
				if e.severity == s && len(v.Worst) < maxWorst {
					v.Worst = append(v.Worst, p.worst(e))
				}
			}
		}
	}
	return len(v.Worst)
}

// more adds how many images are not named.
func (v *verdict) more(n int) {
	if n > 0 {
		v.Says = append([]string{count(n, "more image is", "more images are") + " listed below."}, v.Says...)
	}
}

// unseen adds what is incomplete to the verdict, and reports whether anything is.
func (v *verdict) unseen(clouds []*cloudView, images, others int) bool {
	for _, c := range clouds {
		say := func(what string) { v.Says = append(v.Says, "Cloud "+c.Name+": "+what+".") }
		switch {
		case !c.Seen():
			say(strings.ToLower(c.State()))
		case c.listing:
			say("the listing of its images is incomplete")
		case c.projects:
			say("the list of the user's projects was not read")
		case c.project:
			say("no token for a project")
		case c.listingProof:
			say("the listing of its images is not proven complete")
		case c.inbound:
			say("the listing of images from other projects is incomplete")
		case c.inboundProof:
			say("the listing of images from other projects is not proven complete")
		case c.proof:
			say("a proof is missing")
		}
		if n := c.exposedLeft(); n > 0 {
			say(leftExposed(n))
		}
	}
	if images > 0 {
		v.Says = append(v.Says, "It is not fully known who can use "+count(images, "image", "images")+" now.")
	}
	if others > 0 {
		v.Says = append(v.Says, "It is unknown whether "+count(others, "image from another project is", "images from other "+
			"projects are")+" accepted now.")
	}
	return len(v.Says) > 0
}

// lacking returns a short text about what is incomplete.
func lacking(clouds []*cloudView, images, others int) string {
	var unread []*cloudView
	listing, left, proof := false, 0, false
	for _, c := range clouds {
		listing = listing || c.listing || c.listingProof || c.project || c.projects
		left += c.exposedLeft()
		proof = proof || c.proof && !c.inbound && !c.inboundProof
		if !c.Seen() {
			unread = append(unread, c)
		}
	}
	switch {
	case len(unread) == 1 && unread[0].inWorst() < len(unread[0].Parts):
		return "shards of cloud " + unread[0].Name + " were not read"
	case len(unread) == 1 && unread[0].Condition == outdated:
		return "the data of cloud " + unread[0].Name + " is stale"
	case len(unread) == 1:
		return "cloud " + unread[0].Name + " was not read"
	case len(unread) > 1:
		return number(len(unread)) + " clouds were not read"
	case images > 0:
		return "it is not fully known who can use " + count(images, "image", "images")
	case others > 0:
		return "it is unknown whether " + count(others, "image from another project is", "images from other projects are") + " accepted"
	case !listing && left > 0:
		return leftExposed(left)
	case !listing && proof:
		return "a proof is missing"
	case !listing:
		return "other projects may share images that are not listed"
	}
	return "there may be images that are not watched"
}

func (p *statusPage) worst(e *entry) worst {
	w := worst{Address: p.address(e), Cloud: e.cloud, Name: cmp.Or(short(visible(e.img.Label())), e.img.ID), Word: e.word}
	s, img := e.part.Snapshot, e.shown()
	if e.inbound != nil {
		w.Says = "owner " + short(e.inbound.owner)
		return w
	}
	if n := img.Unexpected(); n > 0 {
		w.Says = listed(unexpectedRows(s, img), n)
	}
	return w
}

// icon returns the page's icon: each class has its own shape and colour.
func icon(class string) template.URL {
	shape := map[string]string{
		"danger": `<path fill="#b3261e" d="M5 0h6l5 5v6l-5 5H5l-5-5V5z"/><path stroke="#fff" stroke-width="2" d="M5 5l6 6m0-6l-6 6"/>`,
		"blind":  `<circle cx="8" cy="8" r="7" fill="none" stroke="#8a5a00" stroke-width="2" stroke-dasharray="3 2"/>`,
		"amiss":  `<path fill="#6a4fb0" d="M8 1l7 14H1z"/>`,
		"good":   `<circle cx="8" cy="8" r="8" fill="#1e6b3a"/><path fill="none" stroke="#fff" stroke-width="2" d="M4 8l3 3 5-6"/>`,
	}[class]
	if shape == "" {
		shape = `<path fill="#5a6470" d="M1 6h14v4H1z"/>`
	}
	const around = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">%s</svg>`
	return template.URL("data:image/svg+xml," + url.PathEscape(fmt.Sprintf(around, shape)))
}
