package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// KeySource returns the key to sign the next request with. It must be quick and safe for concurrent use. Its error is an
// *[Error] with Op OpAuthenticate. If it has the methods Refused(Key) and Accepted(Key), they are called when the API refuses
// or accepts a key.
type KeySource interface {
	Key(ctx context.Context) (Key, error)
}

// Key is an access key of Huawei Cloud.
type Key struct {
	Access, Secret string
	// SecurityToken belongs to a temporary key.
	SecurityToken string
	// Expires is when a temporary key expires; zero: never.
	Expires time.Time
}

// Ended reports whether the key is a temporary one that has expired.
func (k Key) Ended() bool { return !k.Expires.IsZero() && !time.Now().Before(k.Expires) }

// ParseKey parses a temporary key as Huawei Cloud's IAM and its metadata service return it. Its errors quote nothing of the
// text.
func ParseKey(text []byte) (Key, error) {
	var response struct {
		Credential struct {
			Access        string `json:"access"`
			Secret        string `json:"secret"`
			SecurityToken string `json:"securitytoken"`
			ExpiresAt     string `json:"expires_at"`
		} `json:"credential"`
	}
	if json.Unmarshal(text, &response) != nil {
		return Key{}, errors.New("invalid JSON")
	}
	c := response.Credential
	key := Key{Access: c.Access, Secret: c.Secret, SecurityToken: c.SecurityToken, Expires: parseTime(c.ExpiresAt)}
	switch {
	case key.Access == "" || key.Secret == "" || key.SecurityToken == "":
		return Key{}, errors.New("no access, secret or securitytoken")
	case key.Expires.IsZero():
		return Key{}, errors.New("no valid expires_at")
	}
	return key, nil
}

// signer signs the requests of a client. A nil signer is that of a client whose requests are not signed.
type signer struct {
	source    KeySource
	metadata  *MetadataKeys // the source, where the signer must close it
	projectID string
	secrets   *Secrets
	last      atomic.Pointer[Key]
}

func newSigner(opts Options) *signer {
	if !opts.signed() {
		return nil
	}
	s := &signer{source: opts.Keys, projectID: opts.ProjectID, secrets: opts.Secrets}
	if opts.Metadata != nil {
		o := *opts.Metadata
		o.Observer, o.UserAgent, o.Secrets = opts.Observer, opts.UserAgent, opts.Secrets
		s.metadata = NewMetadataKeys(o)
		s.source = s.metadata
	}
	s.last.Store(&Key{})
	return s
}

// key returns the key for the next request, and remembers it.
func (s *signer) key(ctx context.Context) (Key, error) {
	key, err := s.source.Key(ctx)
	if err == nil {
		s.secrets.learn(key.Secret, key.SecurityToken)
		s.last.Store(&key)
	}
	return key, err
}

// lastKey returns the key of the last request, an empty one before the first.
func (s *signer) lastKey() Key { return *s.last.Load() }

// onUnauthorized records that the API refused the last key.
func (s *signer) onUnauthorized() {
	if source, ok := s.source.(interface{ Refused(key Key) }); ok {
		source.Refused(s.lastKey())
	}
}

// onOK records that the API accepted a key.
func (s *signer) onOK(key Key) {
	if source, ok := s.source.(interface{ Accepted(key Key) }); ok {
		source.Accepted(key)
	}
}

func (s *signer) close() {
	if s != nil && s.metadata != nil {
		s.metadata.Close()
	}
}

// transport returns next, with the requests signed.
func (s *signer) transport(next http.RoundTripper) http.RoundTripper {
	if s == nil {
		return next
	}
	return &signingTransport{signer: s, next: next}
}

// signingTransport signs every attempt, because the time is part of the signature.
type signingTransport struct {
	signer *signer
	next   http.RoundTripper
}

// signedHeaders are the headers that a signature covers, where a request has them. Those that a proxy may change, such as
// User-Agent, are left out: the signature would become wrong.
var signedHeaders = []string{"host", "x-project-id", "x-sdk-date", "x-security-token"}

// RoundTrip implements [http.RoundTripper].
func (t *signingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	key, err := t.signer.key(req.Context())
	if err != nil {
		return nil, err
	}
	signed := req.Clone(req.Context())
	signed.Header.Set("X-Project-Id", t.signer.projectID)
	// The signature has %20 for a space. Not every server reads + as one.
	signed.URL.RawQuery = strings.ReplaceAll(signed.URL.RawQuery, "+", "%20")
	if err := Sign(signed, key, time.Now(), signedHeaders...); err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(signed)
	if err == nil && resp.StatusCode == http.StatusOK {
		t.signer.onOK(key)
	}
	return resp, err
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t *signingTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// maxSkew is the clock difference from which on it explains a refused signature. Huawei Cloud accepts a signature for 15
// minutes.
const maxSkew = 5 * time.Minute

// clockHint returns which clock explains a refused signature, empty where none does.
func clockHint(skew time.Duration) string {
	if skew.Abs() < maxSkew {
		return ""
	}
	side := "ahead of"
	if skew < 0 {
		side = "behind"
	}
	return fmt.Sprintf("; the API's clock is %s %s this machine's, and signatures with a wrong time are refused: synchronize the clock",
		skew.Abs().Round(time.Second), side)
}
