package web

import (
	"cmp"
	"slices"
	"strings"

	"glance_share_exporter/collector"
)

// lacksProof reports whether something that a part shows depends on a proof that is missing.
func lacksProof(s *collector.Snapshot) bool {
	return slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool {
		return v.Members == collector.Unproven || v.Images == collector.Unproven || v.Administrator == collector.Unproven
	})
}

// lacksListingProof reports whether a view's line says why a listing is not proven to be complete.
func lacksListingProof(s *collector.Snapshot) bool {
	return slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool {
		return v.Images == collector.Unproven || v.Administrator == collector.Unproven
	})
}

// seesNothing reports whether the line of a project's view says that it is not proven to see images.
func seesNothing(s *collector.Snapshot, project string) bool {
	return slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool { return v.ProjectID == project && v.Images == collector.Unproven })
}

// notProven reports whether an image was answered, and nothing proves what the answer seems to say.
func notProven(img *collector.ImageSnapshot) bool {
	return img.Sight == collector.Unread && collector.IsUnproven(img.Err)
}

// missingProof is why an image is not proven.
type missingProof int

const (
	ownRows missingProof = iota // rows of the project's own images may be hidden
	othersRows
	privateMembers // private images may have members
	ownerUnknown
	missingProofs // how many there are
)

// proofOf returns what is missing for an image that is not proven, and the project in whose view.
func proofOf(s *collector.Snapshot, img *collector.ImageSnapshot) (project string, missing missingProof) {
	r := img.Record
	if r == nil {
		if len(s.Views) == 1 {
			project = s.Views[0].ProjectID
		}
		return project, ownerUnknown
	}
	own := slices.ContainsFunc(s.Views, func(v collector.ViewSnapshot) bool { return v.ProjectID == r.Owner })
	if project = r.View; own {
		project = r.Owner
	}
	switch {
	case r.Visibility == "private":
		return project, privateMembers
	case own:
		return project, ownRows
	}
	return project, othersRows
}

// proofs says what is not proven in the views of a part, why, and what to do.
func proofs(s *collector.Snapshot) (lines []string) {
	counts := map[string]*[missingProofs]int{}
	var recordErr error // of the first image whose owner is not known
	for i := range s.Images {
		if img := &s.Images[i]; notProven(img) {
			project, missing := proofOf(s, img)
			if counts[project] == nil {
				counts[project] = new([missingProofs]int)
			}
			counts[project][missing]++
			if missing == ownerUnknown && recordErr == nil {
				recordErr = img.RecordErr
			}
		}
	}
	views := slices.Clone(s.Views)
	if counts[""] != nil {
		views = append(views, collector.ViewSnapshot{Members: collector.Unproven}) // whose records were not read
	}
	for _, v := range views {
		subject := ""
		if v.ProjectID != "" {
			subject = "Project " + named(projectName(s, v.ProjectID), v.ProjectID) + ": "
		}
		if v.Members == collector.Unproven {
			lines = append(lines, memberProofs(subject, &v, counts[v.ProjectID], recordErr)...)
		}
		if v.Images == collector.Unproven {
			lines = append(lines, subject+"it is not proven that this credential can see images, because no listing had one. "+
				"Allow the policy get_image for it, or keep one image in the project.")
		}
		if v.Administrator == collector.Unproven {
			lines = append(lines, subject+"it is not proven that the image API treats this credential as an administrator, although it has one of admin_roles. "+
				"Member lists of other projects' images may be incomplete, and images may be missing. Check the policy context_is_admin. "+
				"Or make a proof: create a private image without data in another project (openstack image create --private --project PROJECT NAME).")
		}
	}
	return lines
}

const allowRows = "Allow the policy get_member for it and, if it has access rules, the request GET /v2/images/*/members/*. "

// memberProofs says what is missing to prove member lists in a view.
func memberProofs(subject string, v *collector.ViewSnapshot, counts *[missingProofs]int, recordErr error) (lines []string) {
	if counts == nil {
		counts = &[missingProofs]int{}
	}
	refused := ""
	if v.Refused != nil {
		refused = "The request for one member was answered: " + sentence(visible(v.Refused.Error())) + " "
	}
	proof := "Or make a proof: "
	if v.Refused != nil && !collector.Refused(v.Refused) {
		proof = "Or, if the policy allows it and a proxy changes the answer, make a proof: "
	}
	notRead := func(n int) string {
		return "Empty lists count as not read: " + count(n, "image", "images") + ". "
	}
	rows := counts[ownRows] + counts[othersRows]
	own := proof + "share one image of this project with another project of yours (openstack image add project IMAGE PROJECT), and expect it."
	if rows+counts[privateMembers]+counts[ownerUnknown] == 0 {
		// In the background, what was read before is shown instead of the images that are not proven now.
		lines = append(lines, subject+"it is not proven that this credential can see the members of images. "+refused+allowRows+own)
	}
	if n := counts[ownRows]; n > 0 {
		lines = append(lines, subject+"it is not proven that this credential can see the members of the project's own images. "+notRead(n)+refused+allowRows+own)
	}
	if n := counts[othersRows]; n > 0 {
		lines = append(lines, subject+"it is not proven that this credential can see the members of other projects' images. "+notRead(n)+refused+allowRows+
			"Or use a credential of the project that owns the image.")
	}
	if n := counts[privateMembers]; n > 0 {
		lines = append(lines, subject+"it is not known whether private images can have members on this image API, so "+
			count(n, "private image counts", "private images count")+" as not read. Allow the policy get_members for this credential "+
			"and, if it has access rules, the request GET /v2/images/*/members. Or watch one shared image of this project as well.")
	}
	if n := counts[ownerUnknown]; n > 0 {
		line := subject + "nobody can tell whether " + count(n, "empty list is", "empty lists are") + " complete, because the owner of the image is not known: its record was not read."
		if recordErr != nil {
			line += " The request for it was answered: " + sentence(visible(recordErr.Error()))
		}
		if collector.Refused(recordErr) {
			line += " Allow the policy get_image and, if the credential has access rules, the requests GET /v2/images and GET /v2/images/*."
		}
		lines = append(lines, line)
	}
	return lines
}

// maybeMore says why a list that was read in part may be incomplete.
func maybeMore(img *collector.ImageSnapshot) string {
	const more = "There may be more members: "
	switch img.Doubt {
	case collector.UnknownProject:
		return more + "nothing confirms which project the credential belongs to. Set auth_url, so that Keystone names the project."
	case collector.UnprovenAdministrator:
		return more + "nothing proves that the image API treats the credential as an administrator. Check the policy context_is_admin."
	case collector.ChangingImage:
		return more + "the image changed while it was read, or its record could not be read again."
	case collector.DespiteVisibility:
		return "An image that is " + visible(string(img.Record.Visibility)) + " should have no members, so there may be more. " +
			"The list is requested until the API refuses it or answers without members."
	case collector.HiddenRows:
		return more + "nothing proves that this credential can see the members of such images. Allow the policy get_member for it."
	}
	if img.Record == nil {
		return more + "the owner of the image is not known, and a project that does not own an image sees only its own row."
	}
	return more + "the credential's project does not own the image, and such a project sees only its own row."
}

// doubtful says how many lists may be incomplete, and why. A view's line covers those that an administrator would see.
func doubtful(counts map[collector.Doubt]int, administrator bool) (lines []string) {
	say := func(d collector.Doubt, rest string) {
		if n := counts[d]; n > 0 {
			lines = append(lines, count(n, "member list", "member lists")+" may be incomplete: "+rest)
		}
	}
	say(collector.ForeignView, "the credential's project is not known to own the image, and another project sees only its own row.")
	say(collector.UnknownProject, "nothing confirms which project the credential belongs to. Set auth_url, so that Keystone names the project.")
	if !administrator {
		say(collector.UnprovenAdministrator, "nothing proves that the image API treats the credential as an administrator. Check the policy context_is_admin.")
	}
	say(collector.ChangingImage, "the image changed while it was read, or its record could not be read again.")
	say(collector.DespiteVisibility, "the image has members, although its visibility allows none.")
	say(collector.HiddenRows, "nothing proves that this credential can see the members of such images. Allow the policy get_member for it.")
	return lines
}

// maxLeft is how many images that left are named.
const maxLeft = 5

// departed says which images left in the last hour.
func departed(list []collector.LeftImage) (lines []string) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b collector.LeftImage) int {
		switch {
		case a.Unexpected == b.Unexpected:
			return cmp.Compare(a.ID, b.ID)
		case a.Unexpected:
			return -1
		}
		return 1
	})
	for i, img := range list {
		if i == maxLeft {
			lines = append(lines, count(len(list)-i, "more image", "more images")+" left in the last hour.")
			break
		}
		why := "it was deleted."
		if img.Reason != collector.Deleted {
			why = "no rule of discover matches it any longer."
		}
		line := "Image " + strings.TrimSpace(short(visible(img.Name))+" "+visible(img.ID)) + " left in the last hour: " + why
		if img.Unexpected {
			line += " It had an unexpected member when its members were last read."
		}
		lines = append(lines, line)
	}
	return lines
}

// exposedLeft is how many images left in the last hour while they had an unexpected member.
func (c *cloudView) exposedLeft() (n int) {
	for _, img := range c.left {
		if img.Unexpected {
			n++
		}
	}
	return n
}

func leftExposed(n int) string {
	return count(n, "image with an unexpected member is no longer watched", "images with an unexpected member are no longer watched")
}
