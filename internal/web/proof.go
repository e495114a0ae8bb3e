package web

import (
	"cmp"
	"slices"
	"strings"

	"glance_share_exporter/collector"
)

// lacksProof reports whether a proof is missing for something that a shard shows.
func lacksProof(s *collector.Snapshot) bool {
	return slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool {
		return v.Members == collector.Unproven || v.Images == collector.Unproven || v.Administrator == collector.Unproven
	})
}

// lacksListingProof reports whether the line about a view shows why a listing is not proven complete.
func lacksListingProof(s *collector.Snapshot) bool {
	return slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool {
		return v.Images == collector.Unproven || v.Administrator == collector.Unproven
	})
}

// seesNothing reports whether the line about a project's view shows that images are not proven to be visible.
func seesNothing(s *collector.Snapshot, project string) bool {
	return slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool {
		return v.ProjectID == project && v.Images == collector.Unproven
	})
}

// notProven reports whether the API responded for an image and the response is not proven.
func notProven(img *collector.ImageSnapshot) bool { return img.Gap() != collector.NoGap }

// proofs returns lines about what is not proven in the views of a shard, why, and what to do.
func proofs(s *collector.Snapshot) (lines []string) {
	counts := map[string]map[collector.Gap]int{} // of images, by the project of the view
	var recordErr error                          // of the first image whose owner is not known
	for i := range s.Images {
		if img := &s.Images[i]; notProven(img) {
			project, gap := s.ViewOf(img), img.Gap()
			if counts[project] == nil {
				counts[project] = map[collector.Gap]int{}
			}
			counts[project][gap]++
			if gap == collector.OwnerUnknown && recordErr == nil {
				recordErr = img.RecordErr
			}
		}
	}
	views := slices.Clone(s.Views)
	if counts[""] != nil {
		views = append(views, collector.ViewSnapshot{Members: collector.Unproven}) // of images whose records were not read
	}
	for _, v := range views {
		subject := "In an unknown view: "
		if v.ProjectID != "" {
			subject = "In the view of project " + named(projectName(s, v.ProjectID), v.ProjectID) + ": "
		}
		if v.Members == collector.Unproven {
			lines = append(lines, memberProofs(subject, &v, counts[v.ProjectID], recordErr)...)
		}
		if v.Images == collector.Unproven {
			lines = append(lines, subject+"it is not proven that the credential can see images, because no listing returned one. "+
				"In policy.yaml of Glance, allow rule get_image for the credential's role. Or keep one image in the project.")
		}
		if v.Administrator == collector.Unproven {
			lines = append(lines, subject+"it is not proven that the image API treats the credential as an administrator, although it has one "+
				"of admin_roles. "+
				"Member lists of other projects' images may be incomplete, and images may be missing. "+checkAdministrator+" "+
				"Or create a proof: a private image without data in another project (openstack image create --private --project PROJECT NAME).")
		}
	}
	return lines
}

// What to do about a missing proof.
const (
	allowRows = "In policy.yaml of Glance, allow rule get_member for the credential's role. If it has access rules, also allow " +
		"GET /v2/images/*/members/*. "
	checkAdministrator = "In policy.yaml of Glance, check rule context_is_admin."
	confirmProject     = "Use a kind of auth that logs in to Keystone (with a token: set auth_url), or watch a private image of this project."
)

// memberProofs returns lines about what is missing to prove member lists in a view.
func memberProofs(subject string, v *collector.ViewSnapshot, counts map[collector.Gap]int, recordErr error) (lines []string) {
	refused := ""
	if v.Refused != nil {
		refused = "Response to the request for one member: " + sentence(visible(v.Refused.Error())) + " "
	}
	if collector.NotFound(v.Refused) {
		refused += "A 404 counts as proof only if it is Glance's own and its message names both the image and the member. "
	}
	proof := "Or create a proof: "
	if v.Refused != nil && !collector.Refused(v.Refused) {
		proof = "If the policy allows it and a proxy changes the response, create a proof instead: "
	}
	notRead := func(n int) string {
		return count(n, "empty list counts", "empty lists count") + " as not read. "
	}
	own := proof + "share one image of this project with another project of yours (openstack image add project IMAGE PROJECT), and list " +
		"that project in its expected_members."
	if len(counts) == 0 {
		// In the background, an image that is not proven now is shown as it was read before.
		lines = append(lines, subject+"it is not proven that the credential can see members of images. "+refused+allowRows+own)
	}
	if n := counts[collector.OwnRowsHidden]; n > 0 {
		lines = append(lines, subject+"it is not proven that the credential can see members of the project's "+
			"own images. "+notRead(n)+refused+allowRows+own)
	}
	if n := counts[collector.OthersRowsHidden]; n > 0 {
		lines = append(lines, subject+"it is not proven that the credential can see members of other "+
			"projects' images. "+notRead(n)+refused+allowRows+
			"Or use a credential of the project that owns the image.")
	}
	if n := counts[collector.PrivateUnknown]; n > 0 {
		lines = append(lines, subject+"it is unknown whether private images can have members, so "+
			count(n, "private image counts", "private images count")+" as not read. In policy.yaml of Glance, allow rule get_members for the "+
			"credential's role. "+
			"If it has access rules, also allow GET /v2/images/*/members. Or also watch one shared image of this project.")
	}
	if n := counts[collector.OwnerUnknown]; n > 0 {
		line := subject + count(n, "empty list is not proven complete, because its image's record was not read, so the owner is unknown.",
			"empty lists are not proven complete, because their images' records were not read, so the owners are unknown.")
		if recordErr != nil {
			line += " Response to the request for the record: " + sentence(visible(recordErr.Error()))
		}
		if collector.Refused(recordErr) {
			line += " In policy.yaml of Glance, allow rule get_image for the credential's role. If it has access rules, also allow GET " +
				"/v2/images and GET /v2/images/*."
		}
		lines = append(lines, line)
	}
	return lines
}

// maybeMore returns the sentence about why a member list may be incomplete.
func maybeMore(img *collector.ImageSnapshot) string {
	const more = "There may be more members: "
	switch img.Doubt {
	case collector.UnknownProject:
		return more + "it is not confirmed which project the credential belongs to. " + confirmProject
	case collector.UnprovenAdministrator:
		return more + "it is not proven that the image API treats the credential as an administrator. " + checkAdministrator
	case collector.ChangingImage:
		return more + "the image changed while it was read, or its record could not be read again."
	case collector.DespiteVisibility:
		return "A " + visible(string(img.Record.Visibility)) + " image should have no members, so there may be more. " +
			"The exporter requests the list until the API refuses it or returns no members."
	case collector.HiddenRows:
		return more + "it is not proven that the credential can see the members of such images. In policy.yaml of Glance, allow rule " +
			"get_member for its role."
	}
	if img.Record == nil {
		return more + "the owner of the image is unknown, and a project that does not own an image sees only its own row."
	}
	return more + "the credential's project does not own the image, so it sees only its own row."
}

// doubtful returns lines about how many member lists may be incomplete, and why. With administrator, the line about a
// view covers the lists that an administrator would see.
func doubtful(counts map[collector.Doubt]int, administrator bool) (lines []string) {
	say := func(d collector.Doubt, rest string) {
		if n := counts[d]; n > 0 {
			lines = append(lines, count(n, "member list", "member lists")+" may be incomplete: "+rest)
		}
	}
	say(collector.ForeignView, "the credential's project is not known to own the image, and a project that does not own an image sees "+
		"only its own row.")
	say(collector.UnknownProject, "it is not confirmed which project the credential belongs to. "+confirmProject)
	if !administrator {
		say(collector.UnprovenAdministrator, "it is not proven that the image API treats the credential as an administrator. "+checkAdministrator)
	}
	say(collector.ChangingImage, "the image changed while it was read, or its record could not be read again.")
	say(collector.DespiteVisibility, "the image has members, although its visibility allows none.")
	say(collector.HiddenRows, "it is not proven that the credential can see the members of such images. In policy.yaml of Glance, allow "+
		"rule get_member for its role.")
	return lines
}

// maxLeft is how many images that are no longer watched the page names.
const maxLeft = 5

// departed returns lines about the discovered images that stopped being watched in the last hour.
func departed(list []collector.LeftImage) (lines []string) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b collector.LeftImage) int {
		switch {
		case a.UnexpectedAccess() == b.UnexpectedAccess():
			return cmp.Compare(a.ID, b.ID)
		case a.UnexpectedAccess():
			return -1
		}
		return 1
	})
	for i, img := range list {
		if i == maxLeft {
			lines = append(lines, count(len(list)-i, "more image is", "more images are")+" no longer watched since less than an hour.")
			break
		}
		why := "it was deleted in the last hour."
		switch {
		case img.Skipped:
			why = "a rule of discover began to skip it in the last hour."
		case img.Reason != collector.Deleted:
			why = "it stopped matching discover in the last hour."
		}
		line := "Image " + strings.TrimSpace(short(visible(img.Name))+" "+visible(img.ID)) + " is no longer watched: " + why
		if img.Unexpected {
			line += " It had an unexpected member when its members were last read."
		}
		if img.Exposed {
			line += " It was open to everyone, unexpectedly, when its record was last read."
		}
		lines = append(lines, line)
	}
	return lines
}

// exposedLeft returns how many images with unexpected access stopped being watched in the last hour.
func (c *cloudView) exposedLeft() (n int) {
	for _, img := range c.left {
		if img.UnexpectedAccess() {
			n++
		}
	}
	return n
}

func leftExposed(n int) string {
	return count(n, "image with unexpected access is no longer watched", "images with unexpected access are no longer watched")
}
