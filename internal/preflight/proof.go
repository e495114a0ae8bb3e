package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// probeRule is the access rule for the request that shows whether rows of member lists are visible.
var probeRule = client.AccessRule{Service: "image", Method: "GET", Path: "/v2/images/*/members/*"}

// seeProof refers to the findings about proofs.
const seeProof = "see proof"

// notProven reports whether an image was answered, and nothing proves what the answer seems to say.
func notProven(img *collector.ImageSnapshot) bool {
	return unread(img) && collector.IsUnproven(img.Err)
}

// gap is what is missing to prove what an answer about an image seems to say.
type gap int

const (
	ownRows gap = iota // rows of the project's own images may be hidden
	othersRows
	privateMembers // private images may have members
	ownerUnknown
)

func (e *evidence) gapOf(img *collector.ImageSnapshot) gap {
	switch {
	case img.Record == nil:
		return ownerUnknown
	case img.Record.Visibility == client.Private:
		return privateMembers
	case e.owns(img):
		return ownRows
	}
	return othersRows
}

// viewOf is the project in whose view an image was read, empty if that is not known.
func (e *evidence) viewOf(img *collector.ImageSnapshot) string {
	switch {
	case img.Record != nil && e.owns(img):
		return img.Record.Owner
	case img.Record != nil:
		return img.Record.View
	case len(e.snapshot.Views) == 1:
		return e.snapshot.Views[0].ProjectID
	}
	return ""
}

// proofs are the findings about what is not proven in the views of the projects, with the policy, access rule or canary that proves it.
func (e *evidence) proofs() (list []finding) {
	for i := range e.snapshot.Views {
		v := &e.snapshot.Views[i]
		for _, g := range []gap{ownRows, othersRows, privateMembers} {
			images := e.some(func(img *collector.ImageSnapshot) bool {
				return notProven(img) && e.gapOf(img) == g && e.viewOf(img) == v.ProjectID
			})
			if len(images) > 0 {
				list = append(list, e.memberProof(v, g, len(images)))
			}
		}
		if v.Images == collector.Unproven {
			list = append(list, e.imageProof(v))
		}
		if v.Administrator == collector.Unproven {
			list = append(list, e.administratorProof(v))
		}
	}
	if n := len(list) - maxProofs; n > 0 {
		list = append(list[:maxProofs:maxProofs], finding{status: fail, subject: "proof", text: fmt.Sprintf("%d more of these, in the views of other projects", n)})
	}
	return list
}

// maxProofs is how many findings about proofs are listed.
const maxProofs = 5

// listingGap reports whether a finding about proofs says why a listing in the view of a project, or of any, is not proven to be
// complete.
func (e *evidence) listingGap(project string) bool {
	return slices.ContainsFunc(e.snapshot.Views, func(v collector.ViewSnapshot) bool {
		if project != "" {
			return v.ProjectID == project && v.Images == collector.Unproven
		}
		return v.Images == collector.Unproven || v.Administrator == collector.Unproven
	})
}

// inView names the project of a view.
func (e *evidence) inView(v *collector.ViewSnapshot) string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.ProjectID == v.ProjectID {
			return projectName(s.Access)
		}
	}
	return v.ProjectID
}

// rolesIn are the roles in the project of a view, for a sentence about a policy.
func (e *evidence) rolesIn(v *collector.ViewSnapshot) string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.ProjectID == v.ProjectID && len(s.Access.Roles) > 0 {
			return roles(s.Access.Roles)
		}
	}
	return "the credential"
}

// adminRolesIn are those of the roles in the project of a view that are in admin_roles.
func (e *evidence) adminRolesIn(v *collector.ViewSnapshot) string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.ProjectID == v.ProjectID {
			return roles(slices.DeleteFunc(slices.Clone(s.Access.Roles), func(r string) bool { return !slices.Contains(e.Options.AdminRoles, r) }))
		}
	}
	return "the credential"
}

func (e *evidence) memberProof(v *collector.ViewSnapshot, g gap, n int) finding {
	f := finding{status: fail, subject: "proof"}
	lists := "1 empty list counts"
	if n > 1 {
		lists = fmt.Sprintf("%d empty lists count", n)
	}
	if g == privateMembers {
		f.text = fmt.Sprintf("it is not known whether private images of this image API can have members, so private images of %s count as not read", e.inView(v))
		f.more = []string{
			"The answer to a request for the members of one decides: 403, Only shared images have members. " +
				"Allow the policy get_members for " + e.rolesIn(v) + ", and let no proxy change the answer.",
		}
		if !e.allows(needed[2]) {
			f.more = append(f.more, "The access rules leave out GET "+needed[2].Path+": create the application credential with the rules below.")
		}
		f.more = append(f.more, "Or make a proof: watch one shared image of this project as well:", "- openstack image create --shared NAME")
		return f
	}
	whose := "images of " + e.inView(v)
	if g == othersRows {
		whose = "other projects' images, in the view of " + e.inView(v)
	}
	f.text = fmt.Sprintf("nothing proves that the credential can see the members of %s, so %s as not read", whose, lists)
	if v.Refused != nil {
		f.more = append(f.more, "The request for one member was answered: "+strings.TrimSuffix(reason(v.Refused), ".")+".")
	}
	apiErr, ok := errors.AsType[*client.Error](v.Refused)
	proof := "Or make a proof: "
	switch refused := ok && apiErr.Status() == http.StatusUnauthorized; {
	case !e.allows(probeRule):
		f.more = append(f.more, "The access rules leave out GET "+probeRule.Path+": create the application credential with the rules below.")
	case refused:
		f.more = append(f.more, "Allow GET "+probeRule.Path+" in the access rules, or set service_type = image under [keystone_authtoken] of Glance.")
	default:
		f.more = append(f.more, "Allow the policy get_member for "+e.rolesIn(v)+", as Glance does by default.")
		proof = "Or, if the policy allows it and a proxy changes the answer, make a proof: "
	}
	if g == othersRows {
		f.more = append(f.more, "Or use a credential of the project that owns the images.")
		return f
	}
	f.more = append(f.more, proof+"share one image of this project with another project of yours, and write that project under its expected_members:",
		"- openstack image add project IMAGE PROJECT")
	return f
}

func (e *evidence) imageProof(v *collector.ViewSnapshot) finding {
	return finding{
		status: fail, subject: "proof",
		text: fmt.Sprintf("nothing proves that the credential can see images, in the view of %s: no listing had one", e.inView(v)),
		more: []string{
			"Allow the policy get_image for " + e.rolesIn(v) + ", as Glance does by default: get_images alone lists nothing.",
			"Or keep one image in the project:",
			"- openstack image create --private NAME",
			"Only the first 100 images that the credential may list were looked at: if get_image hides those, others count as hidden too.",
		},
	}
}

func (e *evidence) administratorProof(v *collector.ViewSnapshot) finding {
	return finding{
		status: fail, subject: "proof",
		text: fmt.Sprintf("nothing proves that the image API treats the credential as an administrator, in the view of %s, although it has one of admin_roles. "+
			"Lists of other projects' images may be incomplete, and images may be missing", e.inView(v)),
		more: []string{
			"Let the policy context_is_admin match " + e.adminRolesIn(v) + ". Glance's default is role:admin.",
			"Or make a proof: a private image without data in another project, which only an administrator sees:",
			"- openstack image create --private --project PROJECT NAME",
		},
	}
}

// allows reports whether access rules, if the credential has any, allow a request.
func (e *evidence) allows(want client.AccessRule) bool {
	app := e.credential.ApplicationCredential
	return app == nil || len(app.Rules) == 0 || slices.ContainsFunc(app.Rules, func(r client.AccessRule) bool { return covers(r, want) })
}

// whyNotProven says in short why an image is not proven.
func (e *evidence) whyNotProven(img *collector.ImageSnapshot) string {
	switch e.gapOf(img) {
	case ownerUnknown:
		if img.RecordErr != nil {
			return "their lists are empty, and nothing proves that they are complete: their records were not read, so their owners are not known. " + e.why(img.RecordErr)
		}
		return "their lists are empty, and nothing proves that they are complete: their records were not read, so their owners are not known"
	case privateMembers:
		return "private, and private images may have members, " + seeProof
	}
	return "their lists are empty, and nothing proves that rows are visible, " + seeProof
}

// doubtful says why the rows that were read may not be all.
func (e *evidence) doubtful(img *collector.ImageSnapshot) string {
	if img.Record == nil {
		return "who owns them is not known: the API does not tell"
	}
	switch img.Doubt {
	case collector.UnknownProject:
		return "nothing confirms which project the credential belongs to, see project"
	case collector.UnprovenAdministrator:
		return fmt.Sprintf("project %s owns them, and nothing proves that the image API treats the credential as an administrator, %s", img.Record.Owner, seeProof)
	case collector.ChangingImage:
		return "they changed while they were read, or their records could not be read again. Run --preflight again"
	case collector.DespiteVisibility:
		return fmt.Sprintf("they are %s, and have members although such images should have none", img.Record.Visibility)
	case collector.HiddenRows:
		return "nothing proves that the credential can see the members of such images. Allow the policy get_member for it"
	}
	return "who owns them is not known: the API does not tell"
}

// unconfirmed reports whether lists are incomplete only because nothing confirms the project.
func (e *evidence) unconfirmed() bool {
	return slices.ContainsFunc(e.snapshot.Images, func(img collector.ImageSnapshot) bool {
		return img.Sight == collector.Partial && img.Doubt == collector.UnknownProject
	})
}
