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
	// A new key is asked for when the old one has so little left, or a third of what it had when it came.
	keyReserve     = 40 * time.Minute
	keyPause       = 10 * time.Second
	sameKeyPause   = time.Minute
	metadataTTL    = 6 * time.Hour // of the token for the metadata service
	metadataTokens = "/meta-data/latest/api/token"
	metadataKeys   = "/openstack/latest/securitykey"
)

// MetadataOptions are the options of [NewMetadataKeys].
type MetadataOptions struct {
	// URL is the metadata service's, default http://169.254.169.254.
	URL string
	// Transport carries the requests; default: one without a proxy, which would be another machine.
	Transport http.RoundTripper
	UserAgent string
	// Observer, if set, is told of every attempt as an [OpAuthenticate].
	Observer Observer
}

// MetadataKeys are the temporary keys that the metadata service gives to a server of Huawei Cloud with an agency, see
// https://support.huaweicloud.com/intl/en-us/usermanual-ecs/ecs_03_0166.html. It is a [KeySource].
type MetadataKeys struct {
	opts MetadataOptions
	http *http.Client

	ctx    context.Context // until Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	key     Key
	renewAt time.Time
	flight  *keyFlight
	notYet  time.Time // after a refresh that failed
	failure error

	distrust   time.Duration // for how long a key that is refused is kept
	trustUntil time.Time
}

// keyFlight is a refresh that several callers wait for.
type keyFlight struct{ done chan struct{} }

// NewMetadataKeys returns a source that makes no request until it is asked for a key. Close must be called in the end.
func NewMetadataKeys(opts MetadataOptions) *MetadataKeys {
	if opts.URL == "" {
		opts.URL = metadataURL
	}
	opts.URL = strings.TrimRight(opts.URL, "/")
	if opts.Observer == nil {
		opts.Observer = func(Operation, string, time.Duration) {}
	}
	if opts.Transport == nil {
		opts.Transport = &http.Transport{Proxy: nil, ResponseHeaderTimeout: metadataTimeout, DisableKeepAlives: true}
	}
	k := &MetadataKeys{opts: opts, http: &http.Client{
		Transport:     opts.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// Close ends a refresh that is under way, and waits for it.
func (k *MetadataKeys) Close() {
	k.cancel()
	k.work.Wait()
	k.http.CloseIdleConnections()
}

// Refused is told that the API refuses a key: another one is got before its time, while this one is still used, as
// nobody knows why. Where that does not help, it is done less and less often.
func (k *MetadataKeys) Refused(key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); key.Access == k.key.Access && !now.Before(k.trustUntil) {
		k.distrust = nextDelay(k.distrust, keyPause)
		k.trustUntil, k.renewAt = now.Add(k.distrust), now
	}
}

// Key implements [KeySource]. A key that is good for a while is returned at once, and renewed beside it when it is time;
// while the metadata service fails, the old one serves as long as it is valid.
func (k *MetadataKeys) Key(ctx context.Context) (Key, error) {
	k.mu.Lock()
	now := time.Now()
	valid := k.key.Access != "" && !k.key.Ended()
	if k.flight == nil && (!valid || !k.renewAt.IsZero() && !now.Before(k.renewAt)) {
		if now.Before(k.notYet) {
			if !valid {
				defer k.mu.Unlock()
				return Key{}, k.failure
			}
		} else {
			k.start()
		}
	}
	key, flight := k.key, k.flight
	k.mu.Unlock()
	if valid {
		return key, nil
	}
	if flight == nil { // closed
		return Key{}, &Error{Op: OpAuthenticate, Code: CodeCanceled, Message: "closed"}
	}
	select {
	case <-flight.done:
	case <-ctx.Done():
		code, message := transportError(ctx, ctx.Err())
		return Key{}, &Error{Op: OpAuthenticate, Code: code, Message: message}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure != nil {
		return Key{}, k.failure
	}
	return k.key, nil
}

// start starts a refresh. The caller holds mu.
func (k *MetadataKeys) start() {
	if k.ctx.Err() != nil {
		return
	}
	flight := &keyFlight{make(chan struct{})}
	k.flight = flight
	k.work.Go(func() {
		defer close(flight.done)
		ctx, stop := context.WithTimeout(k.ctx, metadataTimeout)
		defer stop()
		key, err := k.fetch(ctx)
		k.finish(key, err)
	})
}

// finish notes how a refresh ended.
func (k *MetadataKeys) finish(key Key, err *Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flight = nil
	now := time.Now()
	if err != nil {
		k.failure = err
		k.notYet = now.Add(keyPause)
		return
	}
	k.renewAt = key.Expires.Add(-min(keyReserve, key.Expires.Sub(now)/3))
	if key.Access == k.key.Access {
		k.renewAt = now.Add(sameKeyPause) // there is no other one yet: some services have it 10 minutes before the end
	}
	k.key, k.failure, k.notYet = key, nil, time.Time{}
}

// fetch asks for a token of the metadata service and with it, or without where there are none, for a key.
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
	case !slices.Contains(tokenless, err.StatusCode):
		return Key{}, err
	}
	var key Key
	_, err = k.ask(ctx, http.MethodGet, metadataKeys, header, func(body []byte) (err error) {
		key, err = decodeKey(body)
		return err
	})
	if err != nil && (err.StatusCode == http.StatusNotFound || err.StatusCode == http.StatusUnauthorized && len(token) > 0) {
		err.Message += ": this server has no agency: configure one for it in the ECS console"
	}
	return key, err
}

// tokenless are the answers to a request for a token after which the vendor's SDK goes on without one.
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

// ask makes one request and tells the observer how it ended.
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
		err.Message = strings.TrimSuffix("the metadata service: "+err.Message, ": ")
	}
	if code != CodeCanceled {
		k.opts.Observer(OpAuthenticate, code, time.Since(start))
	}
	return body, err
}

func (k *MetadataKeys) exchange(ctx context.Context, method, path string, header http.Header) ([]byte, *Error) {
	req, err := http.NewRequestWithContext(ctx, method, k.opts.URL+path, nil)
	if err != nil {
		return nil, &Error{Code: CodeConfig, Message: clean(err.Error())}
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
		return nil, &Error{Code: CodeDecode, StatusCode: resp.StatusCode, Message: fmt.Sprintf("response body larger than %d KiB", metadataBody>>10)}
	}
	return body, nil
}
