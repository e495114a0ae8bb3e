package collector

import (
	"cmp"
	"glance_share_exporter/client"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-kit/log/level"
)

// reportAccess logs what is new of the projects. The caller holds mu.
func (c *Cloud) reportAccess(scopes []client.Scope) {
	told := map[string]client.Access{}
	for _, s := range c.loggedScopes {
		told[s.Access.ProjectID] = s.Access
	}
	entered := map[string][]client.Access{} // by endpoint
	scopes = slices.Clone(scopes)
	for i, s := range scopes {
		old, known := told[s.Access.ProjectID]
		delete(told, s.Access.ProjectID)
		switch a := s.Access; {
		case s.Err != nil && known:
			scopes[i].Access = old
		case s.Err == nil && (!known || !reflect.DeepEqual(old, a)):
			entered[a.Endpoint] = append(entered[a.Endpoint], a)
		}
	}
	for _, endpoint := range slices.Sorted(maps.Keys(entered)) {
		fields := []any{"msg", "using the image API", "endpoint", endpoint}
		_ = level.Info(c.logger).Log(append(fields, accessFields(entered[endpoint])...)...)
	}
	if len(told) > 0 {
		left := slices.SortedFunc(maps.Values(told), func(a, b client.Access) int { return cmp.Compare(a.ProjectID, b.ProjectID) })
		fields := []any{"msg", "the credential no longer covers this project; its images are no longer watched"}
		_ = level.Warn(c.logger).Log(append(fields, accessFields(left)...)...)
	}
	c.loggedScopes = scopes
}

// accessFields name projects, as projectFields does.
func accessFields(list []client.Access) []any {
	ids, names := make([]string, len(list)), make([]string, len(list))
	for i, a := range list {
		ids[i], names[i] = a.ProjectID, a.ProjectName
	}
	return append(someOf(ids), "project_name", strings.Join(names[:min(len(names), maxNamed)], ","))
}

// maxDeparted is how many of the images that left in one collection have a line of their own.
const maxDeparted = 20

// reportDeparted logs the images that are not watched any more, those that had an unexpected member first.
func (p *part) reportDeparted(images []LeftImage) {
	images = slices.Clone(images)
	slices.SortStableFunc(images, func(a, b LeftImage) int { return compareBools(b.Unexpected, a.Unexpected) })
	for i, l := range images {
		if i == maxDeparted {
			what := "more discovered images were deleted or no longer match a rule; they are no longer watched"
			_ = level.Warn(p.logger).Log("msg", what, "images", len(images)-i)
			return
		}
		what := "a discovered image was deleted; it is no longer watched"
		if l.Reason == Unmatched {
			what = "a discovered image no longer matches a rule; it is no longer watched"
		}
		_ = level.Warn(p.logger).Log("msg", what, "image_id", l.ID, "image_name", l.Name, "owner_id", l.Owner, "unexpected_member", l.Unexpected)
	}
}
