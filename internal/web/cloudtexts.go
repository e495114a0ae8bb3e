package web

import (
	"maps"
	"slices"
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// troubles returns lines about why a cloud was not read completely.
func troubles(s *collector.Snapshot) (lines []string) {
	if !s.Up && s.Err == nil && !s.NoImageAPI && !nothingToAsk(s) {
		line := "No request to the image API succeeded"
		if img := firstUnread(s); img != nil && len(s.Images) < manyAlike {
			line += ". First error: " + visible(img.Err.Error())
		}
		lines = append(lines, sentence(line))
	}
	for _, p := range collector.Problems(s) {
		if line := trouble(s, &p); line != "" {
			lines = append(lines, sentence(line))
		}
	}
	if s.State.Paused {
		lines = append(lines, "Logins are paused because the last one was refused. The exporter retries within 5 minutes, "+
			"at once when the credential changes, and after a reload once a minute at most.")
	}
	if s.Err == nil && !s.NoImageAPI {
		lines = append(lines, proofs(s)...)
	}
	return lines
}

// trouble returns the line about a problem. It is empty where a line about an image, a view or a fact covers it.
func trouble(s *collector.Snapshot, p *collector.Problem) string {
	why := ""
	if p.Err != nil {
		why = visible(p.Err.Error())
	}
	project := named(projectName(s, p.ProjectID), p.ProjectID)
	unproven := collector.IsUnproven(p.Err)
	switch p.Kind {
	case collector.NoToken:
		return "The cloud was not read: " + why
	case collector.NoImageAPI:
		return "The endpoint does not seem to be an image API"
	case collector.ProjectsNotListed:
		return "The list of the user's projects was not read, so projects may be missing; known projects are still read. Error: " + why
	case collector.NoProjectToken:
		return "No token for project " + project + ": " + why
	case collector.ListingIncomplete:
		switch {
		case unproven && lacksListingProof(s):
			return ""
		case unproven:
			return "The listing of its images is not proven complete, so images may be missing: " + why
		}
		return "The listing of its images is incomplete, so images may be missing: " + why
	case collector.InboundIncomplete:
		switch {
		case unproven && seesNothing(s, p.ProjectID):
			return ""
		case p.ProjectID == "":
			return "The list of the user's projects was not read, so images that other projects share may be missing: " + why
		}
		return "The listing of images that other projects share with project " + project + " is incomplete: " + why
	case collector.InboundCut:
		all := slices.IndexFunc(s.Inbound, func(in collector.InboundSnapshot) bool { return in.ProjectID == p.ProjectID })
		return number(p.Images) + " of the " + number(len(s.Inbound[all].Images)) + " images that other projects share with project " + project +
			" have no series; all are counted. Raise inbound.max_images if you expect so many"
	}
	return ""
}

func firstUnread(s *collector.Snapshot) *collector.ImageSnapshot {
	for i := range s.Images {
		if s.Images[i].Coverage == collector.Unread {
			return &s.Images[i]
		}
	}
	return nil
}

// facts returns lines with other facts about a cloud.
func facts(s *collector.Snapshot) (lines []string) {
	var projects []string
	for _, scope := range s.Scopes {
		if scope.Access.ProjectID != "" {
			projects = append(projects, named(scope.Access.ProjectName, scope.Access.ProjectID))
		}
	}
	switch len(projects) {
	case 0:
	case 1:
		lines = append(lines, "view of project "+projects[0])
	default:
		lines = append(lines, "views of "+number(len(projects))+" projects: "+listed(projects, len(projects)))
	}
	if s.Discovers && s.Discovered {
		lines = append(lines, "listing of images complete")
	}
	if n := inboundImages(s); len(s.Inbound) > 0 && !lacksInbound(s) {
		lines = append(lines, "other projects share "+count(n, "image", "images"))
	}
	for _, i := range s.IdleRules {
		lines = append(lines, "discover["+number(i)+"] matches no image")
	}
	if s.State.SkewKnown && s.State.Skew.Abs() > time.Minute {
		lines = append(lines, "its clock is "+lasting(s.State.Skew.Abs())+map[bool]string{true: " ahead", false: " behind"}[s.State.Skew > 0])
	}
	return lines
}

func inboundImages(s *collector.Snapshot) (n int) {
	for i := range s.Inbound {
		n += len(s.Inbound[i].Images)
	}
	return n
}

// named returns a name and its ID, each if it is known.
func named(name, id string) string {
	return strings.TrimSpace(visible(name) + " " + visible(id))
}

// notYet returns the line about a cloud that was never read.
func (c *cloudView) notYet() string {
	if c.background {
		return "No background collection has finished since the exporter started or the cloud's configuration changed. Its images are unknown."
	}
	return "Nothing has scraped it since the exporter started or the cloud's configuration changed, or the first scrape is not finished. " +
		"Its images are unknown."
}

// manyAlike is how many images must share a reason for not being read before the page shows it only once.
const manyAlike = 3

// alike returns lines with the reasons that many images were not read for, and marks those images.
func (c *cloudView) alike() (lines []string) {
	count := map[string]int{}
	unread := func(e *entry) bool {
		return e.inbound == nil && e.img.Coverage == collector.Unread && !e.img.Waiting && !notProven(e.img)
	}
	for _, e := range c.entries {
		if unread(e) {
			count[e.img.Why()]++
		}
	}
	for _, e := range c.entries {
		e.alike = unread(e) && count[e.img.Why()] >= manyAlike
	}
	for _, why := range slices.Sorted(maps.Keys(count)) {
		said := slices.ContainsFunc(c.Says, func(line string) bool { return strings.HasSuffix(line, sentence(visible(why))) })
		if count[why] >= manyAlike && !said {
			lines = append(lines, number(count[why])+" images were not read: "+sentence(visible(why)))
		}
	}
	return lines
}

// explain adds lines about why the cloud was not read completely, and facts. yet is the number of unread shards.
func (c *cloudView) explain(latest []collector.Latest, yet int) {
	switch {
	case yet == 0:
	case len(latest) == 1:
		c.Says = append(c.Says, c.notYet())
	default:
		c.Says = append(c.Says, "Not read by this exporter: "+number(yet)+" of "+number(len(latest))+" shards. Another exporter may have "+
			"read them. Their images are unknown here.")
	}
	if c.Condition == outdated {
		since := "It was not scraped since"
		if c.background {
			since = "No background collection has finished since"
		}
		c.Says = append(c.Says, since+". The page shows the state at that time; the current state is unknown.")
	}
	said := map[string]bool{}
	for i := range latest {
		s := latest[i].Snapshot
		if s == nil {
			continue
		}
		for _, line := range troubles(s) {
			if !said[line] && len(said) < 10 {
				c.Says = append(c.Says, line)
			}
			said[line] = true
		}
	}
	c.Says = append(c.Says, c.alike()...)
	c.Says = append(c.Says, doubtful(c.doubts, c.administrator)...)
	c.Says = append(c.Says, departed(c.left)...)
	for i := range latest {
		if s := latest[i].Snapshot; s != nil {
			c.Facts = facts(s)
			break
		}
	}
	if c.skipped > 0 && yet == 0 && !c.listing && !c.listingProof {
		c.Facts = append(c.Facts, count(c.skipped, "image", "images")+" skipped by rules")
	}
	if c.inTurns > 0 && c.round > 0 {
		c.Facts = append(c.Facts, count(c.inTurns, "image", "images")+" in turns, each about every "+lasting(c.round))
	}
	if c.unproven > 0 {
		c.Facts = append(c.Facts, number(c.unproven)+" of "+count(c.images, "image", "images")+" not proven")
	}
	if c.unread > 0 {
		c.Facts = append(c.Facts, number(c.unread)+" of "+count(c.images, "image", "images")+" not read")
	} else if c.Read != nil && c.unproven == 0 {
		c.Facts = append(c.Facts, count(c.images, "image", "images")+" watched")
	}
}
