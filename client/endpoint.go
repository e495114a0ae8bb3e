package client

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// checkRedirect refuses redirects to another host, which Go sends X-Auth-Token to, and to another object on the same one:
// the list of another image would be used for the requested one, and a login that becomes a GET looks like a wrong
// password.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 3 || req.Method != first.Method || !sameHost(req.URL, first.URL) || !sameRequest(req.URL, first.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// redirectMessage describes a redirect that was not followed: the target, the reason, and the option to correct. A path on
// another host is left out, because it may contain a secret.
func redirectMessage(status int, method string, from, to *url.URL, key string) string {
	where, why := to.Path, "it leads to something else"
	sent := "the token"
	if method == http.MethodPost {
		sent = "the credential"
	}
	switch {
	case !sameHost(from, to):
		where, why = to.Scheme+"://"+to.Host, sent+" would be sent there"
	case !sameRequest(from, to):
	case method != http.MethodGet && status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect:
		why = "the " + method + " would become a GET"
	default:
		why = "there are too many redirects"
	}
	return "redirect to " + clean(where) + " not followed, because " + why + ": correct " + key
}

// sameRequest reports whether two URLs of one host name the same object, perhaps below another path.
func sameRequest(a, b *url.URL) bool {
	return a.RawQuery == b.RawQuery && belowVersion(a) == belowVersion(b)
}

var version = regexp.MustCompile(`^.*/v\d+/`)

// belowVersion is a URL's path below the API's version.
func belowVersion(u *url.URL) string {
	return strings.TrimSuffix(version.ReplaceAllString(u.Path, ""), "/")
}

// sameURL reports whether two URLs are equal apart from the case of scheme and host, and a default port.
func sameURL(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	if errX != nil || errY != nil {
		return a == b
	}
	return sameHost(x, y) && x.EscapedPath() == y.EscapedPath() && x.RawQuery == y.RawQuery
}

// sameHost reports whether two URLs have the same scheme, host and port.
func sameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// port is a URL's port, by default that of its scheme.
func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// withoutQuery removes what must not be shown from a URL, even from one that is not valid: user, password, query and
// fragment.
func withoutQuery(raw string) string {
	end, at := strings.IndexAny(raw, "?#"), strings.LastIndexByte(raw, '@')
	if u, err := url.Parse(raw); err == nil && u.Host != "" && (end < 0 || at < end) {
		u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
		return u.String()
	}
	if at >= 0 { // A password may have a slash, a question mark or a hash in it.
		scheme, _, ok := strings.Cut(raw[:at], "://")
		if ok {
			scheme += ":"
		} else {
			scheme = ""
		}
		raw = scheme + "//" + raw[at+1:]
	}
	if end := strings.IndexAny(raw, "?#"); end >= 0 {
		raw = raw[:end]
	}
	return raw
}
