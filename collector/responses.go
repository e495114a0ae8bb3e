package collector

import (
	"errors"
	"time"

	"glance_share_exporter/client"
)

var errNotRequested = errors.New("not requested: scrape deadline reached")

// notRequested reports whether there was no time to send a request, which shows nothing about the API.
func notRequested(err error) bool {
	return errors.Is(err, errNotRequested) || code(err) == client.CodeNotRequested
}

// The HTTP status codes of the image API that the collector distinguishes.
const (
	statusOK              = 200
	statusBadRequest      = 400
	statusUnauthorized    = 401
	statusForbidden       = 403
	statusNotFound        = 404
	statusTooManyRequests = 429
)

// answered reports whether the image API responded as it does to a valid token: with a success, 403 or 404.
func answered(err error) bool {
	if err == nil {
		return true
	}
	code := imageStatus(err)
	return code == statusForbidden || code == statusNotFound
}

// Refused reports whether a request got a 401 or 403 from the image API, as it does without permission.
func Refused(err error) bool {
	status := imageStatus(err)
	return status == statusUnauthorized || status == statusForbidden
}

// NotFound reports whether a request got a 404 from the image API.
func NotFound(err error) bool { return imageStatus(err) == statusNotFound }

// imageStatus returns the HTTP status that the image API's response stands for, 0 without a response. Keystone's
// responses count as none, because they show nothing about an image.
func imageStatus(err error) int {
	if apiErr, ok := errors.AsType[*client.Error](err); ok && apiErr.Op != client.OpAuthenticate && apiErr.Op != client.OpListProjects {
		return apiErr.Status()
	}
	return 0
}

// code returns an error's code, as in the counters of requests; empty: it has none.
func code(err error) string {
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		return apiErr.Code
	}
	return ""
}

// age returns how long ago a time was, by the wall clock too: the monotonic clock stops while the machine sleeps.
func age(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t))
}
