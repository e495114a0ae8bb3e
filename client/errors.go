package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// The codes of an [Error] that got no HTTP status, or a status that does not tell what went wrong.
const (
	CodeTimeout  = "timeout"   // no complete response in time
	CodeConnect  = "connect"   // no connection, or it broke before the answer
	CodeTLS      = "tls"       // no trusted connection
	CodeDecode   = "decode"    // an answer that is cut, too long, or not what the API document says
	CodeCanceled = "canceled"  // we gave up ourselves; never told to an Observer
	CodeNotAsked = "not_asked" // no request was made: its turn would have come too late; never told to an Observer
	CodeConfig   = "config"    // no request was made: a secret cannot be read, the catalog has no such endpoint, logins pause
	CodeNoRole   = "no_role"   // no request was made: Keystone does not list the project among the user's; never told to an Observer
	CodeDisabled = "disabled"  // no request was made: Keystone lists the project as disabled; never told to an Observer
)

// Error is why a request did not end in a whole, decoded answer.
type Error struct {
	Op      Operation
	ImageID string // empty where the request was not about one image
	// Code is the HTTP status code in digits or one of the Code constants.
	Code string
	// StatusCode is the answer's HTTP status code, 0 without an answer.
	StatusCode int
	// Means is the status code that the error code in the answer's body stands for, 0 where that tells nothing of its own.
	// Huawei Cloud answers 400 to much.
	Means int
	// OwnNotFound is whether a 404, by Status, comes from the image API itself and names the image: for reading an image and
	// listing its members. It is false for the 404 of a gateway or a proxy, which says nothing of the image.
	OwnNotFound bool
	// OnlyShared is whether the image API said "Only shared images have members": with the 403 to a list of members or the
	// 404 to a probe.
	OnlyShared bool
	// RetryAfter is for how long the server asks to be left alone, 0 where it does not say.
	RetryAfter time.Duration
	// Message is what the server or the transport said, cleaned, bounded, and without secrets.
	Message string
}

// Status is what the answer means, as an HTTP status code, 0 without an answer: what its error code stands for, else its
// status code.
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
	"EPS.0003": http.StatusForbidden, // HCSO answers 401 where a policy does not allow the request
	"IMG.0087": http.StatusUnauthorized,
	"IMG.0060": http.StatusTooManyRequests, "IMG.0149": http.StatusTooManyRequests, "IMG.0187": http.StatusTooManyRequests,
	"APIGW.0308": http.StatusTooManyRequests, "APIG.0308": http.StatusTooManyRequests,
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op.gerund())
	if e.ImageID != "" {
		b.WriteString(" " + e.ImageID)
	}
	switch {
	case e.StatusCode != 0 && strconv.Itoa(e.StatusCode) == e.Code:
		fmt.Fprintf(&b, ": %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	case e.Code == CodeNotAsked:
		b.WriteString(": not requested")
	case e.Code != CodeConfig && e.Code != CodeNoRole && e.Code != CodeDisabled: // whose messages say it all
		b.WriteString(": " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// orNil returns e as an error, nil if e is nil.
func (e *Error) orNil() error {
	if e == nil {
		return nil
	}
	return e
}

func (o Operation) gerund() string {
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
	case OpGetVersion:
		return "reading the API version"
	}
	return string(o)
}

// transportError says which code an error of the HTTP client has. ctx is the request's own context.
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
		message = urlErr.Err.Error() // without the URL, which the operation says better
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
		return CodeTLS, clean(message)
	}
	return CodeConnect, clean(message)
}

const maxMessage = 240 // runes of a server's text that are kept

var (
	htmlTitle = regexp.MustCompile(`(?is)<(head|style|script|title)\b.*?</(head|style|script|title)\s*>`)
	htmlTag   = regexp.MustCompile(`<[^<>]{0,200}>`)
)

// said is what an error body says.
type said struct {
	code    string // a cloud's own code such as IMG.0027
	message string
}

// text is both.
func (s said) text() string {
	if s.code == "" || strings.Contains(s.message, s.code) {
		return s.message
	}
	return strings.TrimSuffix(s.code+": "+s.message, ": ")
}

var ownCode = regexp.MustCompile(`^[A-Z][A-Za-z]{1,15}\.[0-9]{2,8}$`)

// serverError reads an error body: Glance's {"message", "code", "title"}, Keystone's and IMS' {"error": {"message",
// "code"}}, a gateway's {"error_msg", "error_code"}, IAM's {"encoded_authorization_message"}, or the text of a page.
func serverError(body []byte) said {
	type text struct {
		Message string          `json:"message"`
		Msg     string          `json:"error_msg"`
		Code    json.RawMessage `json:"code"`
		MsgCode json.RawMessage `json:"error_code"`
		Encoded string          `json:"encoded_authorization_message"`
	}
	var known struct {
		text
		Error text `json:"error"`
	}
	// An error only says that some key has another type; what was read before and after it is there all the same.
	_ = json.Unmarshal(body, &known)
	var s said
	for _, t := range []text{known.text, known.Error} {
		for _, m := range []string{t.Msg, t.Message} {
			if s.message == "" {
				s.message = oneLine(m)
			}
		}
		if s.message == "" && t.Encoded != "" {
			s.message = "the credential lacks a right" // what is encoded is of no use to a reader
		}
		for _, raw := range []json.RawMessage{t.MsgCode, t.Code} {
			var code string
			if s.code == "" && json.Unmarshal(raw, &code) == nil && ownCode.MatchString(code) {
				s.code = code
			}
		}
	}
	if s == (said{}) {
		s.message = oneLine(string(body))
	}
	return s
}

// serverMessage is what an error body says, as a line for people.
func serverMessage(body []byte) string { return serverError(body).text() }

// clean makes one short line of printable text from anything that has no secret.
func clean(s string) string { return shorten(oneLine(s)) }

// oneLine makes one line of printable text from anything.
func oneLine(s string) string {
	if len(s) > maxErrorBody {
		s = s[:maxErrorBody]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = htmlTitle.ReplaceAllString(s, " ")
	s = html.UnescapeString(htmlTag.ReplaceAllString(s, " "))
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) > maxMessage {
		s = string([]rune(s)[:maxMessage]) + "…"
	}
	return s
}

// spellings are how a server may write a secret that it got: as it is, in one line, in JSON, and in a form.
func spellings(secret string) []string {
	var html, plain strings.Builder
	_ = json.NewEncoder(&html).Encode(secret) // a text can be encoded
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(secret)
	inner := func(s string) string { return strings.Trim(strings.TrimSpace(s), `"`) }
	list := []string{secret, oneLine(secret), inner(html.String()), inner(plain.String()), ascii(inner(plain.String())), url.QueryEscape(secret), url.PathEscape(secret)}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return slices.Compact(list)
}

// ascii writes what is not ASCII as JSON's escapes.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// redact takes secrets out of a line that came from outside, and shortens it: only then, or a part of a secret could be
// left at its end.
func redact(s string, secrets ...string) string {
	for _, secret := range secrets {
		for _, spelling := range spellings(secret) {
			if len(spelling) >= 4 { // shorter ones would make holes in ordinary words
				s = strings.ReplaceAll(s, spelling, "<secret>")
			}
		}
	}
	return shorten(s)
}
