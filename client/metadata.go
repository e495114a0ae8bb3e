package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	metadataURL     = "http://169.254.169.254"
	metadataTimeout = 10 * time.Second
	metadataBody    = 64 << 10
	metadataTTL     = 6 * time.Hour // of the token for the metadata service
	metadataTokens  = "/meta-data/latest/api/token"
	metadataKeys    = "/openstack/latest/securitykey"

	// A key is renewed when it has so little time left, or a third of what it had when it came.
	keyReserve   = 40 * time.Minute
	keyPause     = 10 * time.Second
	sameKeyPause = time.Minute
)

// MetadataOptions are the options of [NewMetadataKeys].
type MetadataOptions struct {
	// URL is the metadata service's, default http://169.254.169.254.
	URL string
	// Transport carries the requests; default: one without a proxy, which would be another machine.
	Transport http.RoundTripper
	UserAgent string
	// Secrets, if set, gets to know the tokens and keys of the service.
	Secrets *Secrets
	// Observer, if set, is called for every attempt with [OpAuthenticate].
	Observer Observer
}

// MetadataKeys are the temporary keys that the metadata service issues to a server of Huawei Cloud with an agency, see
// https://support.huaweicloud.com/intl/en-us/usermanual-ecs/ecs_03_0166.html. It is a [KeySource].
type MetadataKeys struct {
	opts      MetadataOptions
	http      *http.Client
	refreshes flight[Key]

	mu      sync.Mutex
	key     Key
	renewAt time.Time
	refused backoff   // of renewals because the API refused the key
	worked  time.Time // when the API first accepted a key after it last refused one; zero: not yet
	failure error     // of the last refresh
	retryAt time.Time // after that failure
}

// NewMetadataKeys returns a source that makes no request before the first call of Key. The caller must call Close.
func NewMetadataKeys(opts MetadataOptions) *MetadataKeys {
	if opts.URL == "" {
		opts.URL = metadataURL
	}
	opts.URL = strings.TrimRight(opts.URL, "/")
	if opts.Secrets == nil {
		opts.Secrets = &Secrets{}
	}
	if opts.Observer == nil {
		opts.Observer = func(Operation, string, time.Duration) {}
	}
	if opts.Transport == nil {
		opts.Transport = &http.Transport{Proxy: nil, ResponseHeaderTimeout: metadataTimeout, DisableKeepAlives: true}
	}
	return &MetadataKeys{opts: opts, http: &http.Client{
		Transport:     opts.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close cancels a refresh in flight and waits for its end.
func (k *MetadataKeys) Close() {
	k.refreshes.close()
	k.http.CloseIdleConnections()
}

// Refused reports that the API refused a key. Another one is requested early; until it is there, this one stays in use,
// because the reason is not known. Where that does not help, renewals back off.
func (k *MetadataKeys) Refused(key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key.Access != k.key.Access {
		return
	}
	k.worked = time.Time{}
	if !k.refused.active() {
		k.refused.extend(keyPause)
		k.renewAt = time.Now()
	}
}

// Accepted reports that the API accepted a key. Once it has accepted keys for as long as the last delay, the next one is short
// again. One response is not enough: where the API refuses a key now and then, each of them would cost a new key.
func (k *MetadataKeys) Accepted(key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.refused.delay == 0 || key.Access != k.key.Access:
	case k.worked.IsZero():
		k.worked = time.Now()
	case time.Since(k.worked) >= k.refused.delay:
		k.refused.reset()
	}
}

// Key implements [KeySource]. It returns a valid key at once and renews it in the background when that is due. While the
// metadata service fails, the last key is used as long as it is valid.
func (k *MetadataKeys) Key(ctx context.Context) (Key, error) {
	key, refresh, err := k.current()
	if refresh == nil {
		return key, err
	}
	return refresh.wait(ctx)
}

// current returns the key to use now or, where there is none, the refresh to wait for. It starts a refresh that is due.
func (k *MetadataKeys) current() (Key, *call[Key], error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	valid := k.key.Access != "" && !k.key.Ended()
	var refresh *call[Key]
	if (!valid || !now.Before(k.renewAt)) && !now.Before(k.retryAt) {
		refresh = k.refreshes.start(metadataTimeout, k.refresh)
	}
	switch {
	case valid:
		return k.key, nil, nil
	case refresh == nil:
		return Key{}, nil, k.failure
	}
	return Key{}, refresh, nil
}

func (k *MetadataKeys) refresh(ctx context.Context) (Key, error) {
	key, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if err != nil {
		k.failure, k.retryAt = err, now.Add(keyPause)
		return Key{}, err
	}
	k.renewAt = key.Expires.Add(-min(keyReserve, key.Expires.Sub(now)/3))
	if key.Access == k.key.Access {
		k.renewAt = now.Add(sameKeyPause) // There is no new one yet: some services have it 10 minutes before the end.
	}
	k.key, k.failure, k.retryAt = key, nil, time.Time{}
	return key, nil
}

// fetch requests a token of the metadata service and then a key, without a token where the service has none.
func (k *MetadataKeys) fetch(ctx context.Context) (Key, *Error) {
	header := http.Header{"X-Metadata-Token-Ttl-Seconds": {strconv.Itoa(int(metadataTTL.Seconds()))}}
	token, err := k.ask(ctx, http.MethodPut, metadataTokens, header, func(body []byte) error {
		if len(bytes.TrimSpace(body)) == 0 {
			return errors.New("no token in the response")
		}
		return nil
	})
	header = http.Header{}
	switch {
	case err == nil:
		header.Set("X-Metadata-Token", strings.TrimSpace(string(token)))
		k.opts.Secrets.learn(header.Get("X-Metadata-Token"))
	case !slices.Contains(tokenless, err.StatusCode):
		return Key{}, err
	}
	var key Key
	_, err = k.ask(ctx, http.MethodGet, metadataKeys, header, func(body []byte) (err error) {
		if key, err = decodeKey(body); err == nil {
			k.opts.Secrets.learn(key.Secret, key.SecurityToken)
			err = k.opts.Secrets.refuse(key.Access)
		}
		return err
	})
	if err != nil && (err.StatusCode == http.StatusNotFound || err.StatusCode == http.StatusUnauthorized && len(token) > 0) {
		err.Message += ": this server has no agency: configure one for it in the ECS console"
	}
	return key, err
}

// tokenless are the responses to a request for a token after which the vendor's SDK goes on without one.
var tokenless = []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusServiceUnavailable}

func decodeKey(body []byte) (Key, error) {
	key, err := ParseKey(body)
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("response: %w", err)
	case key.Ended():
		return Key{}, errors.New("the key in the response expired at " + key.Expires.Format(time.RFC3339) + ": check this machine's clock")
	}
	return key, nil
}

// ask makes one request and calls the observer.
func (k *MetadataKeys) ask(ctx context.Context, method, path string, header http.Header, check func([]byte) error) ([]byte, *Error) {
	start := time.Now()
	body, err := k.exchange(ctx, method, path, header)
	if err == nil {
		if bad := check(body); bad != nil {
			err = &Error{Code: CodeDecode, StatusCode: http.StatusOK, Message: bad.Error()}
		}
	}
	code := ""
	if err != nil {
		err.Op, code = OpAuthenticate, err.Code
		err.Message = k.opts.Secrets.message(strings.TrimSuffix("the metadata service: "+err.Message, ": "))
	}
	if code != CodeCanceled {
		k.opts.Observer(OpAuthenticate, code, time.Since(start))
	}
	return body, err
}

func (k *MetadataKeys) exchange(ctx context.Context, method, path string, header http.Header) ([]byte, *Error) {
	req, err := http.NewRequestWithContext(ctx, method, k.opts.URL+path, nil)
	if err != nil {
		return nil, &Error{Code: CodeConfig, Message: oneLine(err.Error())}
	}
	req.Header = header
	req.Header.Set("User-Agent", k.opts.UserAgent)
	resp, err := k.http.Do(req)
	if err != nil {
		code, message := transportError(ctx, err)
		return nil, &Error{Code: code, Message: message}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, &Error{Code: strconv.Itoa(resp.StatusCode), StatusCode: resp.StatusCode} // its text may have a token in it
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, metadataBody+1))
	switch {
	case err != nil:
		return nil, bodyError(ctx, resp, err)
	case len(body) > metadataBody:
		message := fmt.Sprintf("response body larger than %d KiB", metadataBody>>10)
		return nil, &Error{Code: CodeDecode, StatusCode: resp.StatusCode, Message: message}
	}
	return body, nil
}
