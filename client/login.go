package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

const maxLoginBody = 1 << 20 // a catalog of hundreds of endpoints is about 100 kB

// Access is what a token gives access to.
type Access struct {
	ProjectID   string
	ProjectName string
	Roles       []string // sorted
	// UserID is the user's ID, as Keystone's answer has it; empty: unknown.
	UserID string
	// Endpoint is the image API's URL, ending in /v2/.
	Endpoint string
	// Confirmed is whether ProjectID is certain: Keystone named the project in the token's body, or requests are signed and
	// the API itself checks the project. It is false for auth none and for a token that is used as it is.
	Confirmed bool
}

// SameView reports whether answers to a and to b come from one view: the same project and roles at the same endpoint,
// with the project confirmed in both or in neither.
func (a Access) SameView(b Access) bool {
	return a.ProjectID == b.ProjectID && a.Endpoint == b.Endpoint && a.Confirmed == b.Confirmed && slices.Equal(a.Roles, b.Roles)
}

// HasRole reports whether the token has one of the roles.
func (a Access) HasRole(roles []string) bool {
	return slices.ContainsFunc(a.Roles, func(r string) bool { return slices.Contains(roles, r) })
}

// token is a login's result. It does not change.
type token struct {
	id      string
	access  Access
	expires time.Time // by the cloud's clock; zero: never, or not told
	until   time.Time // the same by ours
	began   time.Time // by ours
	auth    gophercloud.AuthOptions
	secrets []string // must not be in any text
	// credential is what it was got with.
	credential Credential
}

// loginBody is the part of a token's body that matters, see
// https://docs.openstack.org/api-ref/identity/v3/#password-authentication-with-scoped-authorization.
type loginBody struct {
	ExpiresAt string                `json:"expires_at"`
	IssuedAt  string                `json:"issued_at"`
	Project   *tokens.Project       `json:"project"`
	Roles     []tokens.Role         `json:"roles"`
	Catalog   []tokens.CatalogEntry `json:"catalog"`
	// For [Credential.tell].
	User                  json.RawMessage `json:"user"`
	ApplicationCredential json.RawMessage `json:"application_credential"`
}

// login makes one request to Keystone, POST /v3/auth/tokens or, for a token that is used as it is, GET
// /v3/auth/tokens. ambiguous is whether the token is good, and only its catalog has two image endpoints.
func (s *session) login(ctx context.Context, auth gophercloud.AuthOptions) (_ *token, _ *Error, ambiguous bool) {
	secrets := []string{auth.Password, auth.ApplicationCredentialSecret, auth.TokenID, auth.Passcode}
	exchange := &loginTransport{next: s.http.Transport}
	service := s.identity(auth, exchange)
	start := time.Now()
	var (
		id     string
		result tokens.CreateResult
	)
	if auth.TokenID != "" && auth.Scope == nil {
		service.SetToken(auth.TokenID)
		id, result.Result = auth.TokenID, tokens.Get(ctx, service, auth.TokenID).Result
	} else {
		sent := auth // gophercloud fills in a scope of its own
		var options tokens.AuthOptionsBuilder = &sent
		if s.unscoped {
			options = &unscopedOptions{&sent}
		}
		result = tokens.Create(ctx, service, options)
		id = result.Header.Get("X-Subject-Token")
	}
	var body loginBody
	err := result.Err
	if err == nil {
		err = result.ExtractInto(&body)
	}
	if err == nil && id == "" {
		err = errors.New("response has no X-Subject-Token")
	}
	apiErr := loginError(ctx, exchange, err)
	if exchange.asked && (apiErr == nil || apiErr.Code != CodeCanceled) {
		code := ""
		if apiErr != nil {
			code = apiErr.Code
		}
		s.opts.Observer(OpAuthenticate, code, time.Since(start))
	}
	if apiErr == nil {
		tok, err := s.newToken(id, body, start, auth.IdentityEndpoint)
		if want := auth.Scope; err == nil && want != nil && want.ProjectID != "" && tok.access.ProjectID != want.ProjectID {
			err = errors.New("Keystone issued a token for project " + clean(tok.access.ProjectID) + " instead of " + want.ProjectID)
		}
		if err == nil {
			tok.auth, tok.secrets, tok.credential = auth, append(secrets, id), asked(auth)
			tok.credential.tell(body)
			return tok, nil, false
		}
		_, ambiguous = errors.AsType[*ambiguousEndpointError](err)
		apiErr = &Error{Op: OpAuthenticate, Code: CodeConfig, Message: err.Error()}
	}
	apiErr.Message = redact(apiErr.Message, append(secrets, id)...)
	return nil, apiErr, ambiguous
}

// unscopedOptions ask for a token without a project. Without a word about it Keystone takes the user's default project, where
// there is one.
type unscopedOptions struct{ *gophercloud.AuthOptions }

// ToTokenV3CreateMap implements tokens.AuthOptionsBuilder.
func (o *unscopedOptions) ToTokenV3CreateMap(map[string]any) (map[string]any, error) {
	body, err := o.AuthOptions.ToTokenV3CreateMap(nil)
	if auth, ok := body["auth"].(map[string]any); ok {
		auth["scope"] = "unscoped"
	}
	return body, err
}

// identity is gophercloud's client for the Keystone of auth. It is put together by hand: NewClient and NewIdentityV3 look
// for a version anywhere in the path, and would make https://host/dev1/identity/v3 into https://host/dev.
func (s *session) identity(auth gophercloud.AuthOptions, transport http.RoundTripper) *gophercloud.ServiceClient {
	provider := &gophercloud.ProviderClient{HTTPClient: http.Client{Transport: transport, CheckRedirect: sameThing}}
	provider.UseTokenLock()
	provider.UserAgent.Prepend(s.opts.UserAgent)
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: withVersion(auth.IdentityEndpoint, "v3", "v2.0"), Type: "identity"}
}

// withVersion makes base/version/ of a URL that ends in some version or in none.
func withVersion(raw, version string, others ...string) string {
	base := strings.TrimRight(raw, "/")
	for _, v := range append(others, version) {
		if trimmed, ok := strings.CutSuffix(base, "/"+v); ok {
			base = strings.TrimRight(trimmed, "/")
			break
		}
	}
	return base + "/" + version + "/"
}

// newToken makes a token of a login's answer.
func (s *session) newToken(id string, body loginBody, start time.Time, identity string) (*token, error) {
	if s.unscoped {
		body.Project = &tokens.Project{}
	} else if body.Project == nil || body.Project.ID == "" {
		return nil, errors.New("the token has no project, and without a project the image API shows no images: set a project in the credential")
	}
	tok := &token{id: id, began: start, expires: parseTime(body.ExpiresAt), access: Access{
		ProjectID: body.Project.ID, ProjectName: body.Project.Name, UserID: userID(body.User), Confirmed: !s.unscoped,
	}}
	for _, r := range body.Roles {
		tok.access.Roles = append(tok.access.Roles, r.Name)
	}
	slices.Sort(tok.access.Roles)
	// The life is the difference of two readings of Keystone's clock, so that an error of ours does not count.
	if issued := parseTime(body.IssuedAt); !tok.expires.IsZero() && !issued.IsZero() && tok.expires.After(issued) {
		tok.until = start.Add(tok.expires.Sub(issued))
	}
	switch {
	case s.unscoped:
		tok.access.Endpoint = withVersion(identity, "v3", "v2.0")
		return tok, nil
	case s.opts.Endpoint != "":
		tok.access.Endpoint = imageEndpoint(s.opts.Endpoint)
		return tok, nil
	}
	image, err := catalogURL(body.Catalog, s.opts.Region, s.opts.Interface)
	tok.access.Endpoint = imageEndpoint(image)
	return tok, err
}

// userID is the ID in the user part of a token's body, empty where it cannot be read.
func userID(raw json.RawMessage) string {
	var user struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &user) != nil {
		return ""
	}
	return bounded(user.ID, maxID)
}

func imageEndpoint(raw string) string {
	return withVersion(raw, "v2", "v2.0", "v1")
}

// catalogURL finds the image service in a token's catalog.
func catalogURL(catalog []tokens.CatalogEntry, region, iface string) (string, error) {
	if iface == "" {
		iface = "public"
	}
	var regions, interfaces, urls, types []string
	for _, entry := range catalog {
		types = append(types, entry.Type)
		if entry.Type != "image" {
			continue
		}
		for _, ep := range entry.Endpoints {
			name := ep.RegionID
			if name == "" {
				name = ep.Region
			}
			regions = append(regions, name)
			if region != "" && region != name {
				continue
			}
			interfaces = append(interfaces, ep.Interface)
			if ep.Interface == iface || ep.Interface == iface+"URL" {
				urls = append(urls, ep.URL)
			}
		}
	}
	switch {
	case len(regions) == 0:
		return "", fmt.Errorf("the catalog has no service of type image (it has %s): set endpoint to the image service's URL", joined(types))
	case len(interfaces) == 0:
		return "", fmt.Errorf("the catalog has no image service in region %q (it has %s): correct region", region, joined(regions))
	case len(urls) == 0:
		return "", fmt.Errorf("the catalog has no %s image endpoint (it has %s): correct interface", iface, joined(interfaces))
	case region == "" && len(unique(regions)) > 1:
		return "", fmt.Errorf("the catalog has the image service in several regions (%s): set region", joined(regions))
	}
	if err := oneEndpoint(urls); err != nil {
		return "", err
	}
	if err := CheckURL("endpoint", urls[0]); err != nil {
		return "", fmt.Errorf("the catalog's image endpoint %q is not usable: set endpoint to the image service's URL", clean(urls[0]))
	}
	return urls[0], nil
}

func unique(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func joined(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return clean(strings.Join(unique(names), ", "))
}

// loginError makes an *Error of how a login ended, nil if it ended well.
func loginError(ctx context.Context, exchange *loginTransport, err error) *Error {
	if err == nil {
		return nil
	}
	e := &Error{Op: OpAuthenticate}
	var status gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &status):
		e.StatusCode, e.Code = status.Actual, fmt.Sprint(status.Actual)
		e.Message = serverMessage(status.Body)
		if to := status.ResponseHeader.Get("Location"); to != "" && status.Actual/100 == 3 {
			e.Message = loginRedirect(status, to)
		}
		if status.Actual == http.StatusNotFound {
			e.Message = strings.TrimPrefix(e.Message+": check that auth_url is the URL of Keystone, such as https://cloud.example.com:5000/v3", ": ")
		}
	case !exchange.asked:
		e.Code, e.Message = CodeConfig, clean(err.Error())
	case exchange.err != nil:
		e.Code, e.Message = transportError(ctx, exchange.err)
		if e.StatusCode = exchange.status; e.StatusCode != 0 && e.Code == CodeConnect {
			e.Code, e.Message = CodeDecode, "response body cut off: "+e.Message
		}
	default:
		e.Code, e.StatusCode, e.Message = CodeDecode, exchange.status, oneLine(err.Error())
	}
	return e
}

// loginRedirect says of a redirect to somewhere why a login did not follow it.
func loginRedirect(status gophercloud.ErrUnexpectedResponseCode, location string) string {
	from, err := url.Parse(status.URL)
	if err == nil {
		var to *url.URL
		if to, err = from.Parse(location); err == nil {
			return redirectMessage(status.Actual, status.Method, from, to, "auth_url")
		}
	}
	return "redirect to an invalid URL not followed: correct auth_url"
}

// loginTransport bounds a login's answer and remembers how the exchange went.
type loginTransport struct {
	next   http.RoundTripper
	asked  bool
	status int
	err    error
}

var errLoginBody = fmt.Errorf("response body larger than %d MiB", maxLoginBody>>20)

func (t *loginTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.asked, t.status, t.err = true, 0, nil
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.err = err
		return nil, err
	}
	t.status = resp.StatusCode
	resp.Body = &loginBodyReader{ReadCloser: resp.Body, transport: t, left: maxLoginBody}
	return resp, nil
}

type loginBodyReader struct {
	io.ReadCloser
	transport *loginTransport
	left      int
}

func (r *loginBodyReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		r.transport.err = errLoginBody
		return 0, errLoginBody
	}
	n, err := r.ReadCloser.Read(p[:min(len(p), r.left)])
	r.left -= n
	if err != nil && err != io.EOF {
		r.transport.err = err
	}
	return n, err
}
