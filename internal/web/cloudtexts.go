package web

import (
	"strings"
	"time"

	"glance_share_exporter/collector"
)

// troubles says why a cloud was not read completely.
func troubles(s *collector.Snapshot) (lines []string) {
	say := func(line string) { lines = append(lines, sentence(line)) }
	switch {
	case s.Err != nil:
		say("The cloud was not read: " + visible(s.Err.Error()))
	case s.NoImageAPI:
		say("The endpoint does not seem to be an image API")
	case !s.Up && !nothingToAsk(s):
		line := "No request to the image API succeeded"
		if img := firstUnread(s); img != nil {
			line += ". First error: " + visible(img.Err.Error())
		}
		say(line)
	}
	if s.State.Paused {
		say("Logins are paused because the last one was refused. The exporter retries within 5 minutes, or at once when the credential or the configuration changes")
	}
	if s.ScopesErr != nil {
		say("The list of the user's projects was not read, so projects may be missing; known projects are still read. Error: " + visible(s.ScopesErr.Error()))
	}
	for _, scope := range s.Scopes {
		if scope.Err != nil {
			say("No token for project " + named(scope.Access.ProjectName, scope.Access.ProjectID) + ": " + visible(scope.Err.Error()))
		}
	}
	if s.Err == nil && !s.NoImageAPI {
		lines = append(lines, proofs(s)...)
	}
	if s.Discovers && !s.Discovered && s.Err == nil && !s.NoImageAPI && s.DiscoveryErr != nil {
		switch unproven := collector.IsUnproven(s.DiscoveryErr); {
		case unproven && lacksListingProof(s): // as the view's line says
		case unproven:
			say("The listing of its images is not proven complete, so images may be missing: " + visible(s.DiscoveryErr.Error()))
		default:
			say("The listing of its images is incomplete, so images may be missing: " + visible(s.DiscoveryErr.Error()))
		}
	}
	for _, in := range s.Inbound {
		if in.LeftOut > 0 {
			say(number(in.LeftOut) + " of the " + number(len(in.Images)) + " images that other projects share with project " + visible(in.ProjectID) +
				" have no series; all are counted. Raise inbound.max_images if you expect so many")
		}
		switch {
		case in.Err == nil || s.Err != nil || s.NoImageAPI:
		case in.ProjectID == "" && s.ScopesErr != nil: // as reported above
		case collector.IsUnproven(in.Err) && seesNothing(s, in.ProjectID): // as the view's line says
		case in.ProjectID == "":
			say("The list of the user's projects was not read, so images that other projects share may be missing: " + visible(in.Err.Error()))
		default:
			say("The listing of images that other projects share with project " + visible(in.ProjectID) + " is incomplete: " + visible(in.Err.Error()))
		}
	}
	return lines
}

func firstUnread(s *collector.Snapshot) *collector.ImageSnapshot {
	for i := range s.Images {
		if s.Images[i].Coverage == collector.Unread {
			return &s.Images[i]
		}
	}
	return nil
}

// facts returns other facts about a cloud.
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

// named returns a name with its ID, as far as known.
func named(name, id string) string {
	return strings.TrimSpace(visible(name) + " " + visible(id))
}

// explain says why the cloud was not read completely, and adds facts about it.
func (c *cloudView) explain(latest []collector.Latest, yet int) {
	switch {
	case yet == 0:
	case len(latest) == 1:
		c.Says = append(c.Says, "No collection has finished since the exporter started or the cloud's configuration changed. Its images are unknown.")
	default:
		c.Says = append(c.Says, "Not read by this exporter: "+number(yet)+" of "+number(len(latest))+" shards. Another exporter may have read them. Their images are unknown here.")
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
	c.Says = append(c.Says, doubtful(c.doubts, c.administrator)...)
	c.Says = append(c.Says, departed(c.left)...)
	for i := range latest {
		if s := latest[i].Snapshot; s != nil {
			c.Facts = facts(s)
			break
		}
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
