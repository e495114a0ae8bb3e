package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// saying answers everything with the same body.
type saying string

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(s))), Request: r}, nil
}

// What is large, in bytes or once it is decoded, waits for others that are; what is not does not.
func TestFewLargeAnswersAtATime(t *testing.T) {
	for name, test := range map[string]struct {
		body  string
		waits bool
		code  string
	}{
		"short": {body: `{"members": [{"member_id": "a"}]}`},
		"a thousand members": {body: `{"members": [` +
			strings.Repeat(`{"member_id": "a", "image_id": "x", "status": "accepted"},`, 1000) + `{}]}`},
		"long":            {body: `{"members": []}` + strings.Repeat(" ", 2<<20), waits: true},
		"many empty rows": {body: `{"members": [` + strings.Repeat(`{},`, 100_000) + `{}]}`, waits: true, code: CodeDecode},
		"longer than all": {body: `{"members": []}` + strings.Repeat(" ", 17<<20), waits: true, code: CodeDecode},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(Options{Transport: saying(test.body), Endpoint: "http://cloud.test", ProjectID: "p"})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				for range maxBigBodies {
					c.limiter.bigBodies <- struct{}{}
				}
				ask := func(most time.Duration) (code string) {
					ctx, cancel := context.WithTimeout(t.Context(), most)
					defer cancel()
					_, err := c.Members(ctx, "x")
					if apiErr, ok := errors.AsType[*Error](err); ok {
						return apiErr.Code
					}
					return ""
				}
				if want := map[bool]string{true: CodeTimeout, false: test.code}[test.waits]; ask(time.Minute) != want {
					t.Errorf("while there are others: %q, want %q", ask(time.Minute), want)
				}
				<-c.limiter.bigBodies
				if got := ask(time.Second); got != test.code {
					t.Errorf("afterwards: %q, want %q", got, test.code)
				}
				if got := len(c.limiter.bigBodies); got != maxBigBodies-1 {
					t.Errorf("%d turns are taken", got)
				}
			})
		})
	}
}
