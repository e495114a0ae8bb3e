package preflight

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// Limits of the findings about expiries and clocks.
const (
	soon       = 30 * 24 * time.Hour
	skewed     = time.Minute
	sameClocks = 2 * time.Second
)

// findings returns the findings about one cloud, in the order in which the exporter depends on them.
func (e *evidence) findings() []finding {
	list := []finding{e.login()}
	if e.snapshot.Err != nil {
		if e.roleless() {
			list = append(list, e.projects()...)
		}
		return append(list, e.transport()...)
	}
	list = append(list, e.projects()...)
	list = append(list, e.rights())
	list = append(list, e.ends()...)
	list = append(list, e.imageAPI(), e.clock())
	list = append(list, e.transport()...)
	list = append(list, e.images()...)
	list = append(list, e.turns()...)
	list = append(list, e.lists())
	list = append(list, e.missing()...)
	list = append(list, e.records()...)
	list = append(list, e.proofs()...)
	list = append(list, e.projectNames()...)
	return append(list, e.series())
}

// ends returns the findings about when token, access key and password expire.
func (e *evidence) ends() (list []finding) {
	expires, cred := e.snapshot.State.Expires, &e.credential
	clock := e.now.Add(e.snapshot.State.Skew) // the cloud's
	f := finding{status: good, subject: "token"}
	if e.signs() {
		f.subject = "access key"
	}
	if !expires.IsZero() {
		f.text = expiry(expires, clock)
	}
	switch {
	case e.Auth == "ecs_agency":
		f.text += "; the exporter renews it in time"
	case e.signs() && cred.Temporary && !expires.IsZero():
		f.status = warn
		f.text += ". Something must write the next key to credential_file before that"
	case e.signs() && cred.Temporary:
		f.status, f.text = warn, "temporary, with unknown expiry. The exporter cannot renew it: write a new key to its files before it expires"
	case e.signs(), e.ClientOptions.Auth == nil:
		return nil
	case cred.Given && expires.IsZero():
		f.status, f.text = warn, "unknown expiry. The exporter cannot renew it: provide a new token before it expires, or use an "+
			"application credential"
	case cred.Given:
		f.status = warn
		f.text += ". The exporter cannot renew it: provide a new token before, or use an application credential"
	case expires.IsZero():
		f.text = "does not expire"
	default:
		f.text += "; the exporter renews it in time"
	}
	list = append(list, f)
	if end := cred.PasswordEnds; !end.IsZero() && cred.ApplicationCredential == nil {
		p := finding{status: good, subject: "password", text: expiry(end, clock)}
		if end.Sub(clock) < soon {
			p.status = warn
			p.text += ". After that nothing can be read. Set a new password, or use an application credential"
		}
		list = append(list, p)
	}
	return list
}

func (e *evidence) imageAPI() finding {
	f := finding{status: good, subject: "image API"}
	endpoint := e.endpoint()
	origin := "from the catalog, interface " + orElse(e.ClientOptions.Interface, "public")
	if e.ClientOptions.Region != "" {
		origin += ", region " + e.ClientOptions.Region
	}
	if e.ClientOptions.Endpoint != "" {
		origin = "from the configuration"
	}
	where := endpoint + " (" + origin + ")"
	switch {
	case e.snapshot.NoImageAPI:
		f.status, f.text = fail, "not found at "+where+": the response to a list of images is 404. Correct endpoint, or the URL of the "+
			"image service in the catalog"
		return f
	case !e.snapshot.Up:
		f.status, f.text = fail, "no usable response from "+where
		if why := e.firstError(); why != nil {
			f.more = []string{reason(why)}
		}
		return f
	}
	f.text = e.version + " at " + where
	if e.versionErr != nil {
		f.text = where
		f.more = []string{"version unknown: " + reason(e.versionErr)}
	}
	major, minor, ok := client.ParseVersion(e.version)
	if old := ok && (major < 2 || major == 2 && minor < 5); old && e.Options.API != client.IMS && !slices.Contains(e.Options.MembersFor,
		client.Private) {
		f.status = warn
		f.more = append(f.more, "before v2.5, private images can have members: set members_for: [shared, private]")
	}
	return f
}

// endpoint returns the URL of the image API.
func (e *evidence) endpoint() string {
	for _, s := range e.snapshot.Scopes {
		if s.Access.Endpoint != "" {
			return s.Access.Endpoint
		}
	}
	return ""
}

// firstError returns why the first image, or the discovery, was not read.
func (e *evidence) firstError() error {
	for i := range e.snapshot.Images {
		if err := e.snapshot.Images[i].Err; err != nil {
			return err
		}
	}
	return e.snapshot.DiscoveryErr
}

func (e *evidence) clock() finding {
	f := finding{status: good, subject: "clock"}
	skew := e.snapshot.State.Skew
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	switch {
	case !e.snapshot.State.SkewKnown:
		f.status, f.text = info, "unknown: no response of the image API had a date"
	case skew.Abs() < sameClocks:
		f.text = "agrees with the clock of the image API"
	default:
		f.text = fmt.Sprintf("the clock of the image API is %s %s this machine's", words(skew.Abs()), way)
	}
	if skew.Abs() >= skewed {
		f.status = warn
		f.text += ". Ages of shares are wrong by that much. Synchronize the clocks with NTP"
		if e.signs() {
			f.text += ". A difference of 15 minutes or more makes signed requests fail"
		}
	}
	return f
}

// reason returns an error's text without the operation and the image, which the line names already.
func reason(err error) string {
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		return apiErr.Reason()
	}
	return err.Error()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// expiry returns the words for when something expires or expired.
func expiry(end, now time.Time) string {
	verb := "expires in"
	if end.Before(now) {
		verb = "expired"
	}
	return fmt.Sprintf("%s %s, at %s", verb, words(end.Sub(now)), end.UTC().Format("2006-01-02 15:04 UTC"))
}

// words returns a duration in words.
func words(d time.Duration) string {
	count := func(n time.Duration, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < 0:
		return words(-d) + " ago"
	case d < 2*time.Minute:
		return count(d.Round(time.Second)/time.Second, "second")
	case d < 2*time.Hour:
		return count(d.Round(time.Minute)/time.Minute, "minute")
	case d < 48*time.Hour:
		return count(d.Round(time.Hour)/time.Hour, "hour")
	}
	return count(d/(24*time.Hour), "day")
}
