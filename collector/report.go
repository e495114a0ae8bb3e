package collector

import (
	"errors"

	"github.com/go-kit/log/level"

	"glance_share_exporter/client"
)

// problem is a kind of trouble, as the log tells it: once when it begins and once when it is over, not once per image and
// scrape. The metrics say it every time.
type problem struct {
	what string
	op   client.Operation
	code string
}

const (
	noToken     = "no access to the cloud"
	notRead     = "members not read"
	noRecord    = "image records not read, so owner and visibility are unknown"
	foreignView = "member lists may be short: the credential's project does not own the images"
)

// report logs what became of a collection. The caller holds the cloud's mu.
func (c *Cloud) report(coll *collection) {
	type example struct {
		count   int
		imageID string
		err     error
	}
	now := map[problem]*example{}
	note := func(what, imageID string, err error) {
		p := problem{what: what, code: code(err)}
		var apiErr *client.Error
		if errors.As(err, &apiErr) {
			p.op = apiErr.Op
		}
		if now[p] == nil {
			now[p] = &example{imageID: imageID, err: err}
		}
		now[p].count++
	}
	if coll.err != nil {
		note(noToken, "", coll.err)
	} else {
		for i := range coll.findings {
			var img ImageSnapshot
			f, id := &coll.findings[i], coll.opts.Images[i].ID
			f.judge(coll.opts, &img)
			switch {
			case img.Sight == Unread:
				note(notRead, id, img.Err)
			case img.Sight == Partial && f.record != nil:
				note(foreignView, id, nil)
			}
			if f.record == nil && f.recordErr != nil && img.StatusCode != statusNotFound {
				note(noRecord, id, f.recordErr)
			}
		}
	}
	for p, e := range now {
		if c.memory.problems[p] {
			continue
		}
		logger := level.Error(c.logger)
		if p.what == noRecord || p.what == foreignView {
			logger = level.Warn(c.logger)
		}
		fields := []any{"msg", p.what}
		if e.imageID != "" {
			fields = append(fields, "images", e.count, "image_id", e.imageID)
		}
		if e.err != nil {
			fields = append(fields, "err", e.err)
		}
		_ = logger.Log(fields...)
	}
	for p := range c.memory.problems {
		switch {
		case now[p] != nil:
		case coll.err != nil:
			now[p] = &example{} // nobody can tell
		default:
			_ = level.Info(c.logger).Log("msg", "over: "+p.what, "operation", p.op, "code", p.code)
		}
	}
	c.memory.problems = make(map[problem]bool, len(now))
	for p := range now {
		c.memory.problems[p] = true
	}
}

// code is an error's code, as the counters have it.
func code(err error) string {
	var apiErr *client.Error
	if errors.As(err, &apiErr) {
		return apiErr.Code
	}
	return ""
}
