package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The codes of an [Error] without an HTTP status, or with one that does not explain the failure.
const (
	CodeTimeout = "timeout" // no complete response in time
	CodeConnect = "connect" // no connection, or it was closed before the response
	CodeTLS     = "tls"     // no trusted connection
	CodeDecode  = "decode"  // a response that is cut off, too long, or contradicts the API's documentation

	// CodeConfig: a secret cannot be read, the catalog has no such endpoint, or logins are paused. There may be no request.
	CodeConfig = "config"

	// An Observer never gets the codes below.

	CodeCanceled     = "canceled"  // the caller canceled the request
	CodeNotRequested = "not_asked" // no request was sent: it would have started too late
	CodeNoRole       = "no_role"   // no request was sent: Keystone does not list the project among the user's
	CodeDisabled     = "disabled"  // no request was sent: Keystone lists the project as disabled
)

// Error is why a request has no complete, decoded response.
type Error struct {
	Op      Operation
	ImageID string // empty where the request was not about one image
	// Code is the HTTP status code in digits or one of the Code constants.
	Code string
	// StatusCode is the response's HTTP status code, 0 without a response.
	StatusCode int
	// Means is the status code that the error code in the body stands for, 0 where it stands for none. Huawei Cloud returns
	// 400 for many errors.
	Means int
	// OwnNotFound is whether a 404, by Status, comes from the image API itself and names the image: for reading an image and
	// listing its members. It is false for the 404 of a gateway or a proxy, which says nothing about the image.
	OwnNotFound bool
	// OnlyShared is whether the image API returned "Only shared images have members": with a 403 for a list of members or a
	// 404 for a probe.
	OnlyShared bool
	// RowHidden is whether the image API forbade a probe: with a 403, or with the 404 that names no image, which Glance
	// returns where the policy get_member hides rows.
	RowHidden bool
	// RetryAfter is the delay that the server requests, 0 where it requests none.
	RetryAfter time.Duration
	// Message is the text of the server or the transport, in one line, bounded, and without secrets.
	Message string
}

// Status is the HTTP status code that the error code in the body stands for, else the response's status code, 0 without a
// response.
func (e *Error) Status() int {
	if e.Means != 0 {
		return e.Means
	}
	return e.StatusCode
}

// meanings are the status codes that error codes of Huawei Cloud stand for, whatever the status code they come with. See
// https://support.huaweicloud.com/intl/en-us/api-ims/ErrorCode.html.
var meanings = map[string]int{
	"IMG.0027": http.StatusNotFound, "IMG.0066": http.StatusNotFound, "IMG.0086": http.StatusNotFound, "IMG.0144": http.StatusNotFound,
	"IMG.0026": http.StatusForbidden, "IMG.0047": http.StatusForbidden, "IMG.0106": http.StatusForbidden,
	"EPS.0003": http.StatusForbidden, // HCSO returns 401 where a policy does not allow the request
	"IMG.0087": http.StatusUnauthorized,
	"IMG.0060": http.StatusTooManyRequests, "IMG.0149": http.StatusTooManyRequests, "IMG.0187": http.StatusTooManyRequests,
	"APIGW.0308": http.StatusTooManyRequests, "APIG.0308": http.StatusTooManyRequests,
}

func (e *Error) Error() string {
	what := e.Op.describe()
	if e.ImageID != "" {
		what += " " + e.ImageID
	}
	if why := e.Reason(); why != "" {
		return what + ": " + why
	}
	return what
}

// Reason is the error's text without the operation and the image.
func (e *Error) Reason() string {
	var parts []string
	switch {
	case e.StatusCode != 0 && strconv.Itoa(e.StatusCode) == e.Code:
		parts = append(parts, strings.TrimSpace(e.Code+" "+http.StatusText(e.StatusCode)))
	case e.Code == CodeNotRequested:
		parts = append(parts, "not requested")
	case e.Code != CodeConfig && e.Code != CodeNoRole && e.Code != CodeDisabled: // Their messages are complete.
		parts = append(parts, e.Code)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	return strings.Join(parts, ": ")
}

// orNil returns e as an error, nil where e is nil.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

func (o Operation) describe() string {
	switch o {
	case OpAuthenticate:
		return "logging in"
	case OpListProjects:
		return "listing the user's projects"
	case OpListImages:
		return "listing images"
	case OpGetImage:
		return "reading image"
	case OpListMembers:
		return "listing members of image"
	case OpGetMember:
		return "reading a member of image"
	case OpResolveNames:
		return "asking Keystone for the names of projects"
	case OpGetVersion:
		return "reading the API version"
	}
	return string(o)
}

// transportError returns the code and the message, not yet redacted, of an error of the HTTP client. ctx is the request's own context.
func transportError(ctx context.Context, err error) (code, message string) {
	var (
		netErr    net.Error
		urlErr    *url.Error
		opErr     *net.OpError
		verifyErr *tls.CertificateVerificationError
		recordErr tls.RecordHeaderError
		alertErr  tls.AlertError
		caErr     x509.UnknownAuthorityError
		hostErr   x509.HostnameError
		certErr   x509.CertificateInvalidError
	)
	message = err.Error()
	if errors.As(err, &urlErr) {
		message = urlErr.Err.Error() // The operation replaces the URL.
	}
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return CodeTimeout, "no complete response in time"
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return CodeCanceled, "request abandoned"
	case errors.As(err, &verifyErr), errors.As(err, &recordErr), errors.As(err, &alertErr), errors.As(err, &caErr),
		errors.As(err, &hostErr), errors.As(err, &certErr),
		errors.As(err, &opErr) && (opErr.Op == "remote error" || opErr.Op == "local error"),
		strings.HasPrefix(message, "tls: "), strings.Contains(message, "HTTP response to HTTPS client"):
		message = strings.TrimPrefix(message, "tls: ")
		if errors.As(err, &recordErr) || strings.Contains(message, "HTTP response to HTTPS client") {
			message += ": check whether the URL must begin with http instead of https"
		}
		return CodeTLS, oneLine(message)
	}
	return CodeConnect, oneLine(message)
}
