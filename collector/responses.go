package collector

import (
	"errors"
	"time"

	"glance_share_exporter/client"
)

var errNotRequested = errors.New("not requested: scrape deadline reached")

// notRequested reports whether there was no time to ask, which says nothing of who would have answered.
func notRequested(err error) bool {
	return errors.Is(err, errNotRequested) || code(err) == client.CodeNotRequested
}

// The HTTP status codes of the image API that something follows from.
const (
	statusOK              = 200
	statusBadRequest      = 400
	statusUnauthorized    = 401
	statusForbidden       = 403
	statusNotFound        = 404
	statusTooManyRequests = 429
)

// answered reports whether the image API answered as it does to a good token.
func answered(err error) bool {
	if err == nil {
		return true
	}
	code := imageStatus(err)
	return code == statusForbidden || code == statusNotFound
}

// Refused reports whether the image API answered a request with 401 or 403, as it does for lack of a right.
func Refused(err error) bool {
	status := imageStatus(err)
	return status == statusUnauthorized || status == statusForbidden
}

// NotFound reports whether the image API answered a request with 404.
func NotFound(err error) bool { return imageStatus(err) == statusNotFound }

// imageStatus is what the image API's answer means as an HTTP status, 0 without one. What Keystone answers says nothing of an image.
func imageStatus(err error) int {
	if apiErr, ok := errors.AsType[*client.Error](err); ok && apiErr.Op != client.OpAuthenticate && apiErr.Op != client.OpListProjects {
		return apiErr.Status()
	}
	return 0
}

// code is an error's code, as the counters have it.
func code(err error) string {
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		return apiErr.Code
	}
	return ""
}

// age is how long ago something was. The clock that only runs forward stands still while a machine sleeps.
func age(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t))
}
