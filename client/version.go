package client

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
)

// Version returns the current version of the image API, such as v2.16: GET / beside its v2/, which returns 200 or 300. It is
// not part of a collection, so it calls no [Observer]. The error is an [*Error]; an API may work without returning a version.
func (c *Client) Version(ctx context.Context) (string, error) {
	tok, err := c.tokens.get(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel, apiErr := c.limiter.startNow(ctx, OpGetVersion)
	if apiErr != nil {
		apiErr.Op = OpGetVersion
		return "", apiErr
	}
	defer cancel()
	var current string
	// No token is required, and a response shows no token to be good.
	anonymous := &token{access: tok.access}
	apiErr = c.exchange(ctx, anonymous, request{op: OpGetVersion, root: true}, func(resp response) (err error) {
		current, err = decodeVersions(resp.body)
		return err
	})
	if apiErr == nil {
		return bounded(c.secrets.Redact(current), maxText), nil
	}
	if apiErr.Op == "" {
		apiErr.Op = OpGetVersion
	}
	apiErr.Message = c.secrets.message(apiErr.Message)
	return "", apiErr
}

// Version is [Client.Version] in the first project that was entered.
func (p *Projects) Version(ctx context.Context) (string, error) {
	scopes, failure := p.entered()
	switch {
	case len(scopes) > 0:
		return scopes[0].client.Version(ctx)
	case failure != nil:
		return "", failure
	}
	return "", p.errNoProject()
}

// decodeVersions returns the version with the status CURRENT, else the highest.
func decodeVersions(body []byte) (string, error) {
	var list struct {
		Versions []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		} `json:"versions"`
		Others otherSpelling `json:"VERSIONS,case:ignore"`
		errorJSON
	}
	if err := decode(body, &list); err != nil {
		return "", err
	}
	if err := list.check(body); err != nil {
		return "", err
	}
	var highest string
	for _, v := range list.Versions {
		if strings.EqualFold(v.Status, "CURRENT") && v.ID != "" {
			return v.ID, nil
		}
		if highest == "" || compareVersions(v.ID, highest) > 0 {
			highest = v.ID
		}
	}
	if highest == "" {
		return "", errors.New(`no "versions" in the response` + hint(body))
	}
	return highest, nil
}

// compareVersions compares v2.9 with v2.16.
func compareVersions(a, b string) int {
	majorA, minorA, _ := ParseVersion(a)
	majorB, minorB, _ := ParseVersion(b)
	return cmp.Or(cmp.Compare(majorA, majorB), cmp.Compare(minorA, minorB))
}

// ParseVersion parses v2.16 and v2, and reports whether it could.
func ParseVersion(v string) (major, minor int, ok bool) {
	first, second, dotted := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	major, err := strconv.Atoi(first)
	if err == nil && dotted {
		minor, err = strconv.Atoi(second)
	}
	return major, minor, err == nil
}
