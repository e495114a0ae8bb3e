package client

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// API is the kind of an image API.
type API string

// The kinds of image APIs.
const (
	Glance API = "glance" // OpenStack's
	IMS    API = "ims"    // Huawei Cloud's, which includes Glance's
)

// MembersAPI is how members are listed.
type MembersAPI string

// The ways to list members.
const (
	MembersV2 MembersAPI = "v2" // GET /v2/images/{image_id}/members
	MembersV1 MembersAPI = "v1" // GET /v1/{project_id}/cloudimages/{image_id}/members; Huawei Cloud only
)

// Settings are the options that may change at run time.
type Settings struct {
	// API is the kind of the image API, default Glance.
	API API
	// MembersAPI is how members are listed, default MembersV2.
	MembersAPI MembersAPI
	// Projects are the IDs of the projects of [Projects]; empty: all that the user has a role in.
	Projects []string
	// Except are the IDs of projects to exclude where Projects is empty.
	Except []string
	// AdminRoles are, for [Projects], the roles of a token that may list every project's images.
	AdminRoles []string
	// RequestsPerSecond limits the requests to the image API, all projects together; 0: no limit.
	RequestsPerSecond float64
}

// Options are the cloud that a [Client] reads and its credential.
type Options struct {
	// Auth returns what the next login sends. It is called at the start of every collection and before every login, so that a
	// secret in a file may change at any time; it must be quick and safe for concurrent use. AuthOptions with a TokenID and
	// without an identity endpoint use that token as it is. A nil Auth sends no token, for a proxy that authenticates; it
	// requires Endpoint and ProjectID.
	Auth func() (gophercloud.AuthOptions, error)

	// ProjectID is the project in whose view the requests are, where no login returns it.
	ProjectID string

	// Keys, if set, returns the keys that every request is signed with, instead of a token: Auth is nil then. It requires
	// Endpoint and ProjectID. Metadata, if set, are the options of the [MetadataKeys] to use instead.
	Keys     KeySource
	Metadata *MetadataOptions

	Settings

	// Region and Interface (public, internal or admin; default public) choose the image service's endpoint in the
	// token's catalog. Region may be empty where the catalog has only one.
	Region    string
	Interface string

	// Endpoint is the image service's base URL, with or without /v2. If set, the catalog is not used.
	Endpoint string

	// Transport carries the requests to Keystone and to the image API. Required.
	Transport http.RoundTripper

	// Fresh, if set, is Transport without keep-alives. An empty list of members is requested again through it where nothing
	// else shows that the response belongs to the request: the request's ID is not echoed, and the connection is one of HTTP/1
	// that was used before.
	Fresh http.RoundTripper

	// Pause, if set, is that of the client which this one replaces.
	Pause *LoginPause

	// Secrets, if set, has the secrets that Transport adds to the requests. The client adds its own.
	Secrets *Secrets

	// Observer, if set, is called for every attempt.
	Observer Observer

	// UserAgent is sent with every request.
	UserAgent string
}

// OptionError is a mistake in one option. Field is its name in exporter.yml, relative to the cloud's entry.
type OptionError struct {
	Field   string
	Problem string
}

func (e *OptionError) Error() string { return e.Field + ": " + e.Problem }

// Validate returns an *[OptionError] for the first invalid option.
func (o Options) Validate() error {
	switch o.Interface {
	case "", "public", "internal", "admin":
	default:
		return &OptionError{"interface", "must be public, internal or admin, not " + strconv.Quote(o.Interface)}
	}
	if o.Endpoint != "" {
		if err := CheckURL("endpoint", o.Endpoint); err != nil {
			return err
		}
	}
	switch o.API {
	case "", Glance, IMS:
	default:
		return &OptionError{"api", "must be glance or ims, not " + strconv.Quote(string(o.API))}
	}
	switch {
	case o.MembersAPI != "" && o.MembersAPI != MembersV1 && o.MembersAPI != MembersV2:
		return &OptionError{"members_api", "must be v1 or v2, not " + strconv.Quote(string(o.MembersAPI))}
	case o.MembersAPI == MembersV1 && o.API != IMS:
		return &OptionError{"members_api", "v1 exists only on Huawei Cloud: remove it, or set api: ims"}
	}
	if r := o.RequestsPerSecond; !(r == 0 || r >= 0.01 && r <= 100_000) {
		return &OptionError{"scrape.requests_per_second", "must be from 0.01 to 100000, or 0 for no limit"}
	}
	if o.signed() && o.Endpoint == "" {
		const problem = "is required with access keys: write the image service's URL, such as https://ims.cn-north-4.myhuaweicloud.com"
		return &OptionError{"endpoint", problem}
	}
	if o.Auth == nil && !o.signed() {
		if o.Endpoint == "" {
			return &OptionError{"endpoint", "is required with auth none: write the image service's URL, such as https://image.example.com"}
		}
		if o.ProjectID == "" {
			return &OptionError{"auth.none.project_id", "is required: set the ID of the project of the proxy's credential"}
		}
	}
	return nil
}

// signed reports whether requests are signed.
func (o Options) signed() bool { return o.Keys != nil || o.Metadata != nil }

// CheckURL returns an *[OptionError] for field unless raw is an http or https URL with a host and without credentials,
// query or fragment.
func CheckURL(field, raw string) error {
	example := "https://cloud.example.com:5000/v3"
	if field == "endpoint" {
		example = "https://image.example.com"
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return &OptionError{field, "must be a URL such as " + example}
	case u.Hostname() == "": // A port alone is this machine's.
		return &OptionError{field, "has no host: write a URL such as " + example}
	case u.User != nil:
		return &OptionError{field, "must not contain a user name or password: put them under auth"}
	case u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(raw, "?#"):
		return &OptionError{field, "must not have a query or fragment: end it at the path"}
	}
	return nil
}
