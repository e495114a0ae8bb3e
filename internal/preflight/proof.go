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

// seeProof refers to the findings with subject proof.
const seeProof = "see proof"

// notProven reports whether the API responded for an image and the response is not proven.
func notProven(img *collector.ImageSnapshot) bool { return img.Gap() != collector.NoGap }

// proofs returns the findings about what is not proven in the views of the projects. Each has the policy, access rule
// or canary that proves it.
func (e *evidence) proofs() (list []finding) {
	for i := range e.snapshot.Views {
		v := &e.snapshot.Views[i]
		for _, g := range []collector.Gap{collector.OwnRowsHidden, collector.OthersRowsHidden, collector.PrivateUnknown} {
			images := e.some(func(img *collector.ImageSnapshot) bool {
				return img.Gap() == g && e.snapshot.ViewOf(img) == v.ProjectID
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
		list = append(list[:maxProofs:maxProofs], finding{status: fail, subject: "proof", text: fmt.Sprintf("%d more, in the views of "+
			"other projects", n)})
	}
	return list
}

// maxProofs is how many findings about proofs are listed.
const maxProofs = 5

// listingGap reports whether a finding with subject proof explains why a listing is not proven complete, in the view of
// a project, or of any if project is empty.
func (e *evidence) listingGap(project string) bool {
	return slices.ContainsFunc(e.snapshot.Views, func(v collector.ViewSnapshot) bool {
		if project != "" {
			return v.ProjectID == project && v.Images == collector.Unproven
		}
		return v.Images == collector.Unproven || v.Administrator == collector.Unproven
	})
}

// inView returns the name and ID of the project of a view.
func (e *evidence) inView(v *collector.ViewSnapshot) string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.ProjectID == v.ProjectID {
			return projectName(s.Access)
		}
	}
	return v.ProjectID
}

// rolesIn returns the roles in the project of a view, for a sentence about a policy.
func (e *evidence) rolesIn(v *collector.ViewSnapshot) string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.ProjectID == v.ProjectID && len(s.Access.Roles) > 0 {
			return roles(s.Access.Roles)
		}
	}
	return "the credential"
}

// adminRolesIn returns the roles in the project of a view that are in admin_roles.
func (e *evidence) adminRolesIn(v *collector.ViewSnapshot) string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.ProjectID == v.ProjectID {
			return roles(slices.DeleteFunc(slices.Clone(s.Access.Roles), func(r string) bool { return !slices.Contains(e.Options.AdminRoles, r) }))
		}
	}
	return "the credential"
}

func (e *evidence) memberProof(v *collector.ViewSnapshot, g collector.Gap, n int) finding {
	f := finding{status: fail, subject: "proof"}
	lists := "1 empty list counts"
	if n > 1 {
		lists = fmt.Sprintf("%d empty lists count", n)
	}
	if g == collector.PrivateUnknown {
		f.text = fmt.Sprintf("in the view of project %s: it is unknown whether private images can have members, so private images "+
			"count as not read", e.inView(v))
		f.more = []string{
			"A request for the members of a private image decides: an API without such members responds with 403, Only shared images have members.",
			allow("get_members", e.rolesIn(v)) + " Let no proxy change the response.",
		}
		if !e.allows(needed[2]) {
			f.more = append(f.more, missingRule(needed[2]))
		}
		f.more = append(f.more, "Or create a proof: also watch one shared image of this project:", "- openstack image create --shared NAME")
		return f
	}
	whose := "the project's own images"
	if g == collector.OthersRowsHidden {
		whose = "other projects' images"
	}
	f.text = fmt.Sprintf("in the view of project %s: it is not proven that the credential can see members of %s, so "+
		"%s as not read", e.inView(v), whose, lists)
	if v.Refused != nil {
		f.more = append(f.more, "Response to the request for one member: "+strings.TrimSuffix(reason(v.Refused), ".")+".")
	}
	apiErr, ok := errors.AsType[*client.Error](v.Refused)
	if ok && apiErr.Status() == http.StatusNotFound {
		f.more = append(f.more, "A 404 counts as proof only if it is Glance's own and its message names both the image and the member.")
	}
	proof := "Or create a proof: "
	switch refused := ok && apiErr.Status() == http.StatusUnauthorized; {
	case !e.allows(probeRule):
		f.more = append(f.more, missingRule(probeRule))
	case refused:
		f.more = append(f.more, "Allow GET "+probeRule.Path+" in the access rules, or set service_type = image under "+
			"[keystone_authtoken] of Glance.")
	default:
		f.more = append(f.more, allow("get_member", e.rolesIn(v))+" Glance's default allows it.")
		proof = "If the policy allows it and a proxy changes the response, create a proof instead: "
	}
	if g == collector.OthersRowsHidden {
		f.more = append(f.more, "Or use a credential of the project that owns the images.")
		return f
	}
	f.more = append(f.more, proof+"share one image of this project with another project of yours, and list that project in its "+
		"expected_members:",
		"- openstack image add project IMAGE PROJECT")
	return f
}

func (e *evidence) imageProof(v *collector.ViewSnapshot) finding {
	return finding{
		status: fail, subject: "proof",
		text: fmt.Sprintf("in the view of project %s: it is not proven that the credential can see images, because no listing "+
			"returned one", e.inView(v)),
		more: []string{
			allow("get_image", e.rolesIn(v)) + " Glance's default allows it. Without it, listings are empty even if get_images is allowed.",
			"Or keep one image in the project:",
			"- openstack image create --private NAME",
			"Only the first 100 images that the credential may list were checked. If get_image hides them, all others count as hidden too.",
		},
	}
}

func (e *evidence) administratorProof(v *collector.ViewSnapshot) finding {
	return finding{
		status: fail, subject: "proof",
		text: fmt.Sprintf("in the view of project %s: it is not proven that the image API treats the credential as an administrator, "+
			"although it has one of admin_roles. "+
			"Member lists of other projects' images may be incomplete, and images may be missing", e.inView(v)),
		more: []string{
			allow("context_is_admin", e.adminRolesIn(v)) + " Glance's default is role:admin.",
			"Or create a proof: a private image without data in another project, which only an administrator sees:",
			"- openstack image create --private --project PROJECT NAME",
		},
	}
}

// allow returns the sentence about which rule of Glance's policy to allow for whom.
func allow(rule, whom string) string {
	return "In policy.yaml of Glance, allow rule " + rule + " for " + whom + "."
}

// missingRule returns the sentence about an access rule that an application credential lacks.
func missingRule(r client.AccessRule) string {
	return "The access rules do not allow " + r.Method + " " + r.Path + ". Create a new application credential with the rules below."
}

// allows reports whether access rules, if the credential has any, allow a request.
func (e *evidence) allows(want client.AccessRule) bool {
	app := e.credential.ApplicationCredential
	return app == nil || len(app.Rules) == 0 || slices.ContainsFunc(app.Rules, func(r client.AccessRule) bool { return covers(r, want) })
}

// whyNotProven returns briefly why an image is not proven.
func (e *evidence) whyNotProven(img *collector.ImageSnapshot) string {
	switch img.Gap() {
	case collector.OwnerUnknown:
		if img.RecordErr != nil {
			return "empty member lists, not proven complete: their records were not read, so their owners are unknown. " + e.why(img.RecordErr)
		}
		return "empty member lists, not proven complete: their records were not read, so their owners are unknown"
	case collector.PrivateUnknown:
		return "private, and it is unknown whether private images can have members, " + seeProof
	}
	return "empty member lists, and it is not proven that rows are visible, " + seeProof
}

// doubtful returns why a member list that was read may be incomplete.
func (e *evidence) doubtful(img *collector.ImageSnapshot) string {
	if img.Record == nil {
		return "owner unknown: the image API does not report it"
	}
	switch img.Doubt {
	case collector.UnknownProject:
		return "it is not confirmed which project the credential belongs to, see project"
	case collector.UnprovenAdministrator:
		return fmt.Sprintf("project %s owns them, and it is not proven that the image API treats the credential as an "+
			"administrator, %s", img.Record.Owner, seeProof)
	case collector.ChangingImage:
		return "they changed while they were read, or their records could not be read again. Run --preflight again"
	case collector.DespiteVisibility:
		return fmt.Sprintf("they are %[1]s and have members, although %[1]s images should have none", img.Record.Visibility)
	case collector.HiddenRows:
		return "it is not proven that the credential can see the members of such images. In policy.yaml of Glance, allow rule get_member " +
			"for its role"
	}
	return "owner unknown: the image API does not report it"
}

// unconfirmed reports whether lists are incomplete only because the project of the credential is not confirmed.
func (e *evidence) unconfirmed() bool {
	return slices.ContainsFunc(e.snapshot.Images, func(img collector.ImageSnapshot) bool {
		return img.Coverage == collector.Partial && img.Doubt == collector.UnknownProject
	})
}
