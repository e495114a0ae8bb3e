package fakecloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
)

// AccessKey is an access key of Huawei Cloud: it signs requests to IMS instead of a token.
type AccessKey struct {
	Access, Secret string
	SecurityToken  string    // of a temporary key
	Expires        time.Time // zero: never
	ProjectID      string
	Rights         []string // such as ims:images:get; nil: all
}

// AddAccessKey adds an access key, or replaces the one of that name.
func (c *Cloud) AddAccessKey(k AccessKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accessKeys[k.Access] = &k
}

// RemoveAccessKey takes an access key away.
func (c *Cloud) RemoveAccessKey(access string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.accessKeys, access)
}

// maxSignatureAge is how far a signature's time may be off.
const maxSignatureAge = 15 * time.Minute

// denial is why a signed request is refused.
type denial struct{ code, text string }

// verify checks a signature, see https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html.
func (c *Cloud) verify(r *http.Request) (*AccessKey, *denial) {
	kind, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if kind != "SDK-HMAC-SHA256" {
		return nil, &denial{"APIGW.0301", "Incorrect IAM authentication information: Authorization is missing or of another kind"}
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ", ") {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	c.mu.RLock()
	key := c.accessKeys[parts["Access"]]
	c.mu.RUnlock()
	if key == nil || !key.Expires.IsZero() && !c.opts.Now().Before(key.Expires) {
		return nil, &denial{"APIGW.0301", "Incorrect IAM authentication information: AK access key not found"}
	}
	signed := strings.Split(parts["SignedHeaders"], ";")
	if !slices.Contains(signed, "x-sdk-date") {
		return nil, &denial{"APIGW.0301", "Incorrect IAM authentication information: x-sdk-date is not signed"}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Sdk-Date"))
	if err != nil || c.opts.Now().Sub(at).Abs() > maxSignatureAge {
		return nil, &denial{"APIGW.0301", "Incorrect IAM authentication information: x-sdk-date expired"}
	}
	if !hmac.Equal([]byte(signatureOf(r, signed, key.Secret)), []byte(parts["Signature"])) {
		return nil, &denial{"APIGW.0301", "Incorrect IAM authentication information: verify aksk signature fail"}
	}
	if r.Header.Get("X-Security-Token") != key.SecurityToken {
		return nil, &denial{"APIGW.0301", "Incorrect IAM authentication information: security token"}
	}
	return key, nil
}

// signatureOf is what a request without a body must be signed with.
func signatureOf(r *http.Request, signed []string, secret string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for segment := range strings.SplitSeq(strings.TrimSuffix(r.URL.Path, "/"), "/") {
		b.WriteString(percent(segment) + "/")
	}
	b.WriteString("\n" + sortedQuery(r.URL.RawQuery) + "\n")
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	none := sha256.Sum256(nil)
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + hex.EncodeToString(none[:]))
	request := sha256.Sum256([]byte(b.String()))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("SDK-HMAC-SHA256\n" + r.Header.Get("X-Sdk-Date") + "\n" + hex.EncodeToString(request[:])))
	return hex.EncodeToString(mac.Sum(nil))
}

func sortedQuery(raw string) string {
	var pairs []string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, percent(unescape(name))+"\x00"+percent(unescape(value)))
	}
	sort.Strings(pairs)
	return strings.ReplaceAll(strings.Join(pairs, "&"), "\x00", "=")
}

// percent writes all but letters, digits and - . _ ~ as %XX.
func percent(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
