package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "SDK-HMAC-SHA256"
	headerDate = "X-Sdk-Date"
	dateFormat = "20060102T150405Z"
)

// Sign signs a request in place by SDK-HMAC-SHA256, see
// https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html. It sets X-Sdk-Date, X-Security-Token
// for a temporary key, and Authorization. The signature covers the named headers, in lower case and with host, that the
// request has. A body requires GetBody.
func Sign(req *http.Request, key Key, at time.Time, headers ...string) error {
	date := at.UTC().Format(dateFormat)
	req.Header.Set(headerDate, date)
	if key.SecurityToken != "" {
		req.Header.Set("X-Security-Token", key.SecurityToken)
	}
	sum, err := bodySum(req)
	if err != nil {
		return err
	}
	lines, names := canonicalHeaders(req, headers)
	canonical := strings.Join([]string{req.Method, canonicalPath(req.URL), canonicalQuery(req.URL), lines, names, sum}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(key.Secret))
	fmt.Fprintf(mac, "%s\n%s\n%x", algorithm, date, hashed)
	req.Header.Set("Authorization",
		fmt.Sprintf("%s Access=%s, SignedHeaders=%s, Signature=%x", algorithm, key.Access, names, mac.Sum(nil)))
	return nil
}

func bodySum(req *http.Request) (string, error) {
	hash := sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return "", errors.New("signing a request: its body can be read only once")
		}
		body, err := req.GetBody()
		if err != nil {
			return "", err
		}
		defer func() { _ = body.Close() }()
		if _, err := io.Copy(hash, body); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// canonicalPath escapes each segment and ends with a slash, which the URL may lack.
func canonicalPath(u *url.URL) string {
	segments := strings.Split(u.Path, "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	path := strings.Join(segments, "/")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path
}

// canonicalQuery sorts the parameters by name and then by value.
func canonicalQuery(u *url.URL) string {
	query := u.Query()
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	var pairs []string
	for _, name := range names {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&")
}

// canonicalHeaders returns the lines of the signed headers and their names.
func canonicalHeaders(req *http.Request, headers []string) (lines, names string) {
	var present []string
	var b strings.Builder
	for _, name := range slices.Sorted(slices.Values(headers)) {
		value := req.Header.Get(name)
		if name == "host" {
			value = req.Host
			if value == "" {
				value = req.URL.Host
			}
		} else if _, ok := req.Header[http.CanonicalHeaderKey(name)]; !ok {
			continue
		}
		present = append(present, name)
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	return b.String(), strings.Join(present, ";")
}

// escape escapes as RFC 3986 does: all but letters, digits, and - . _ ~.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
