package client

import (
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// Access is what a token gives access to.
type Access struct {
	ProjectID   string
	ProjectName string
	Roles       []string // sorted
	// UserID is the user's ID in Keystone's response; empty: unknown.
	UserID string
	// Endpoint is the image API's URL. It ends in /v2/.
	Endpoint string
	// Confirmed is whether ProjectID is certain: Keystone named the project in the token's body, or requests are signed and
	// the API itself checks the project. It is false for auth none and for a token that is used as it is.
	Confirmed bool
	// Token is a hash that distinguishes tokens that are used as they are, since nothing confirms their project. Empty: the
	// token is from a login, or there is none.
	Token string
}

// SameView reports whether responses to a and to b come from one view: the same project and roles at the same endpoint,
// with the project confirmed in both or in neither, and, where a token is used as it is, with the same one.
func (a Access) SameView(b Access) bool {
	return a.ProjectID == b.ProjectID && a.Endpoint == b.Endpoint && a.Confirmed == b.Confirmed && a.Token == b.Token &&
		slices.Equal(a.Roles, b.Roles)
}

// HasRole reports whether the token has one of the roles.
func (a Access) HasRole(roles []string) bool {
	return slices.ContainsFunc(a.Roles, func(r string) bool { return slices.Contains(roles, r) })
}

// token is the result of a login. It is immutable.
type token struct {
	id      string
	access  Access
	expires time.Time // by the cloud's clock; zero: never, or unknown
	until   time.Time // the same by the local clock
	began   time.Time // by the local clock
	auth    gophercloud.AuthOptions
	// credential is what the token was issued for.
	credential Credential
}

// endsSoon reports whether the token should be renewed before it is used: in the last tenth of its life, a minute at most.
func (t *token) endsSoon() bool {
	return !t.until.IsZero() && time.Until(t.until) < min(time.Minute, t.until.Sub(t.began)/10)
}
