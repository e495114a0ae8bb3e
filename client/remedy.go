package client

import (
	"errors"
	"net/http"
	"strings"
)

// withRemedy adds a remedy to an error of Huawei Cloud.
func (c *Client) withRemedy(err error) error {
	apiErr, ok := errors.AsType[*Error](err)
	settings := c.settings.Load()
	if !ok || settings.API != IMS {
		return err
	}
	fromGateway := apiErr.Status() == http.StatusNotFound && !apiErr.OwnNotFound
	hint := ""
	switch {
	case strings.Contains(apiErr.Message, "IMG.0030"):
		hint = "the token or access key belongs to another project than the request: correct project_id, or the project in auth"
	case apiErr.Status() == http.StatusForbidden:
		hint = c.rightsHint(apiErr)
	case fromGateway && apiErr.Op == OpListMembers && settings.MembersAPI == MembersV1:
		hint = "this response is not from the image API itself: if the region does not publish the v1 member list, set members_api: v2"
	}
	if hint == "" {
		return err
	}
	e := *apiErr
	e.Message = strings.TrimPrefix(e.Message+"; "+hint, "; ")
	return &e
}

// rightsHint returns which permissions a refused request needs.
func (c *Client) rightsHint(e *Error) string {
	hint := ""
	switch v1 := c.settings.Load().MembersAPI == MembersV1; {
	case e.Op == OpListImages:
		return "listing images requires the action ims:images:list"
	case e.Op == OpGetImage:
		return "reading an image requires the action ims:images:get"
	case e.Op != OpListMembers:
		return ""
	case v1:
		hint = "listing members requires the action ims:images:get"
	default:
		hint = "listing members requires the actions ims:images:get and ims:images:share; with only ims:images:get, set members_api: v1"
	}
	if strings.Contains(e.Message, "EPS.0003") {
		hint += "; grant them in the region's project: grants in an enterprise project do not apply to members"
	}
	return hint
}
