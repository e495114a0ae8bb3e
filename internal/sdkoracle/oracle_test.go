// Package sdkoracle compares our client with those of others: our signatures with those of Huawei Cloud's SDK, and what we read of
// the fake IMS, and of the fake Keystone and Glance, with what that SDK and gophercloud read. It is a module of its own, so that what
// the SDK depends on stays out of the exporter.
package sdkoracle

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"

	"glance_share_exporter/client"
)

const requests = 10_000

func TestSign(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	random := source{rand.New(rand.NewPCG(seed, 0))}
	equal := 0
	for range requests {
		r := random.request()
		ours, theirs := r.sign(t), r.signBySDK(t)
		if ours != theirs {
			t.Fatalf("%+v\nours   %s\ntheirs %s", r, ours, theirs)
		}
		equal++
	}
	t.Logf("%d of %d random requests have the SDK's signature", equal, requests)
}

// signed is one request to sign.
type signed struct {
	method, host, path string
	query              map[string][]string
	header             map[string]string
	key                client.Key
	at                 time.Time
}

func (s *signed) sign(t *testing.T) string {
	t.Helper()
	req := &http.Request{
		Method: s.method, Host: s.host, Header: http.Header{},
		URL: &url.URL{Scheme: "https", Host: s.host, Path: s.path, RawQuery: url.Values(s.query).Encode()},
	}
	names := []string{"host", "x-sdk-date"}
	for name, value := range s.header {
		req.Header.Set(name, value)
		if !strings.EqualFold(name, "Content-Type") {
			names = append(names, strings.ToLower(name))
		}
	}
	if s.key.SecurityToken != "" {
		names = append(names, "x-security-token")
	}
	if err := client.Sign(req, s.key, s.at, names...); err != nil {
		t.Fatal(err)
	}
	return req.Header.Get("Authorization")
}

func (s *signed) signBySDK(t *testing.T) string {
	t.Helper()
	b := request.NewHttpRequestBuilder().WithMethod(s.method).WithEndpoint("https://" + s.host).WithPath(s.path)
	for name, values := range s.query {
		b.AddQueryParam(name, reflect.ValueOf(values))
	}
	for name, value := range s.header {
		b.AddHeaderParam(name, value)
	}
	if s.key.SecurityToken != "" {
		b.AddHeaderParam("X-Security-Token", s.key.SecurityToken)
	}
	b.AddHeaderParam("host", s.host)
	b.AddHeaderParam("X-Sdk-Date", s.at.UTC().Format("20060102T150405Z"))
	headers, err := signer.Sign(b.Build(), s.key.Access, s.key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return headers["Authorization"]
}

type source struct{ *rand.Rand }

// alphabet has what is escaped, what is not, and what means something in a URL or a header.
var alphabet = []rune("abcXYZ0189-._~ /+=&?%#:;,@!$'()*[]{}|\\\"<>^`äß中文🦊\u00a0")

func (r source) text(most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

func (r source) word() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 1+r.IntN(40))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func (r source) request() *signed {
	s := &signed{
		method: []string{http.MethodGet, http.MethodPut, http.MethodDelete}[r.IntN(3)],
		host:   strings.ToLower(r.word()) + ".example.com",
		path:   "/" + r.text(60),
		query:  map[string][]string{}, header: map[string]string{},
		key: client.Key{Access: r.word(), Secret: r.word()},
		at:  time.Unix(r.Int64N(4e9), 0),
	}
	for range r.IntN(6) {
		name := r.text(12)
		for range 1 + r.IntN(3) {
			s.query[name] = append(s.query[name], r.text(40))
		}
	}
	for i := range r.IntN(4) {
		s.header["X-Header-"+strconv.Itoa(i)] = r.word() + strings.Repeat(" ", r.IntN(3))
	}
	if r.IntN(2) == 0 {
		s.header["X-Project-Id"] = r.word()
	}
	if r.IntN(3) == 0 {
		s.header["Content-Type"] = "application/json"
	}
	if r.IntN(2) == 0 {
		s.key.SecurityToken = r.text(200) + "x"
	}
	return s
}
