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

// loginBody is the part of a token's body that is read, see
// https://docs.openstack.org/api-ref/identity/v3/#password-authentication-with-scoped-authorization.
type loginBody struct {
	ExpiresAt string                `json:"expires_at"`
	IssuedAt  string                `json:"issued_at"`
	Project   *tokens.Project       `json:"project"`
	Roles     []tokens.Role         `json:"roles"`
	Catalog   []tokens.CatalogEntry `json:"catalog"`
	// For [Credential.complete].
	User                  json.RawMessage `json:"user"`
	ApplicationCredential json.RawMessage `json:"application_credential"`
}

// keystone logs in with one cloud's Keystone.
type keystone struct {
	opts Options
	http *http.Client
	// unscoped is whether the tokens have no project.
	unscoped bool
}

// login makes one request to Keystone, POST /v3/auth/tokens or, for a token that is used as it is, GET /v3/auth/tokens.
// ambiguous is whether the token is good, and only its catalog has two image endpoints.
func (k *keystone) login(ctx context.Context, auth gophercloud.AuthOptions) (_ *token, ambiguous bool, _ *Error) {
	start := time.Now()
	exchange := &loginTransport{next: k.http.Transport}
	id, body, err := k.request(ctx, auth, exchange)
	k.opts.Secrets.learn(auth.Password, auth.ApplicationCredentialSecret, auth.TokenID, auth.Passcode, id)
	apiErr := loginError(ctx, exchange, err)
	if exchange.sent && (apiErr == nil || apiErr.Code != CodeCanceled) {
		code := ""
		if apiErr != nil {
			code = apiErr.Code
		}
		k.opts.Observer(OpAuthenticate, code, time.Since(start))
	}
	if apiErr == nil {
		tok, err := k.newToken(id, body, start, auth.IdentityEndpoint)
		if want := auth.Scope; err == nil && want != nil && want.ProjectID != "" && tok.access.ProjectID != want.ProjectID {
			err = errors.New("Keystone issued a token for project " + oneLine(tok.access.ProjectID) + " instead of " + want.ProjectID)
		}
		if err == nil {
			tok.auth, tok.credential = auth, credentialOf(auth)
			tok.credential.complete(body, k.opts.Secrets)
			return tok, false, nil
		}
		_, ambiguous = errors.AsType[*ambiguousEndpointError](err)
		apiErr = &Error{Op: OpAuthenticate, Code: CodeConfig, Message: err.Error()}
	}
	apiErr.Message = k.opts.Secrets.message(apiErr.Message)
	return nil, ambiguous, apiErr
}

// request returns a token's ID and body.
func (k *keystone) request(ctx context.Context, auth gophercloud.AuthOptions, transport http.RoundTripper) (
	id string, body loginBody, err error,
) {
	service := k.service(auth, transport)
	var result tokens.CreateResult
	if auth.TokenID != "" && auth.Scope == nil {
		service.SetToken(auth.TokenID)
		id, result.Result = auth.TokenID, tokens.Get(ctx, service, auth.TokenID).Result
	} else {
		sent := auth // gophercloud fills in a scope of its own
		var options tokens.AuthOptionsBuilder = &sent
		if k.unscoped {
			options = &unscopedOptions{&sent}
		}
		result = tokens.Create(ctx, service, options)
		id = result.Header.Get("X-Subject-Token")
	}
	if err = result.Err; err == nil {
		err = result.ExtractInto(&body)
	}
	if err == nil && id == "" {
		err = errors.New("response has no X-Subject-Token")
	}
	return id, body, err
}

// service is gophercloud's client for the Keystone of auth. NewClient and NewIdentityV3 are not used: they look for a
// version anywhere in the path, and would make https://host/dev1/identity/v3 into https://host/dev.
func (k *keystone) service(auth gophercloud.AuthOptions, transport http.RoundTripper) *gophercloud.ServiceClient {
	provider := &gophercloud.ProviderClient{HTTPClient: http.Client{Transport: transport, CheckRedirect: checkRedirect}}
	provider.UseTokenLock()
	provider.UserAgent.Prepend(k.opts.UserAgent)
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: withVersion(auth.IdentityEndpoint, "v3", "v2.0"), Type: "identity"}
}

// unscopedOptions request a token without a project. A request without a scope would get a token for the user's default
// project, where there is one.
type unscopedOptions struct{ *gophercloud.AuthOptions }

// ToTokenV3CreateMap implements tokens.AuthOptionsBuilder.
func (o *unscopedOptions) ToTokenV3CreateMap(map[string]any) (map[string]any, error) {
	body, err := o.AuthOptions.ToTokenV3CreateMap(nil)
	if auth, ok := body["auth"].(map[string]any); ok {
		auth["scope"] = "unscoped"
	}
	return body, err
}

// newToken makes a token of Keystone's response.
func (k *keystone) newToken(id string, body loginBody, start time.Time, identity string) (*token, error) {
	if k.unscoped {
		body.Project = &tokens.Project{}
	} else if body.Project == nil || body.Project.ID == "" {
		const message = "the token has no project, and without a project the image API shows no images: set a project in the credential"
		return nil, errors.New(message)
	}
	tok := &token{id: id, began: start, expires: parseTime(body.ExpiresAt), access: Access{
		ProjectID: body.Project.ID, ProjectName: k.opts.Secrets.Redact(body.Project.Name), UserID: userID(body.User), Confirmed: !k.unscoped,
	}}
	for _, r := range body.Roles {
		tok.access.Roles = append(tok.access.Roles, k.opts.Secrets.Redact(r.Name))
	}
	slices.Sort(tok.access.Roles)
	if err := k.opts.Secrets.refuse(tok.access.ProjectID, tok.access.UserID); err != nil {
		return nil, err
	}
	// The life is the difference of two times of Keystone's clock, so that the local clock may be wrong.
	if issued := parseTime(body.IssuedAt); !tok.expires.IsZero() && !issued.IsZero() && tok.expires.After(issued) {
		tok.until = start.Add(tok.expires.Sub(issued))
	}
	switch {
	case k.unscoped:
		tok.access.Endpoint = withVersion(identity, "v3", "v2.0")
		return tok, nil
	case k.opts.Endpoint != "":
		tok.access.Endpoint = imageEndpoint(k.opts.Endpoint)
		return tok, nil
	}
	image, err := catalogURL(body.Catalog, k.opts.Region, k.opts.Interface)
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

// loginError makes an *Error of a login's error, nil of nil.
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
			const hint = ": check that auth_url is the URL of Keystone, such as https://cloud.example.com:5000/v3"
			e.Message = strings.TrimPrefix(e.Message+hint, ": ")
		}
	case !exchange.sent:
		e.Code, e.Message = CodeConfig, oneLine(err.Error())
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

// loginRedirect returns why a login did not follow a redirect.
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

// loginTransport bounds the body of Keystone's response and records the request's result.
type loginTransport struct {
	next   http.RoundTripper
	sent   bool
	status int
	err    error
}

var errLoginBody = fmt.Errorf("response body larger than %d MiB", maxLoginBody>>20)

func (t *loginTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.sent, t.status, t.err = true, 0, nil
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
