package client

import "time"

var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05Z0700",
}

// parseTime parses times such as created_at. Glance and IMS write 2016-09-01T02:05:14Z; without a zone it is UTC. Anything
// else, and a time before 1970, is the zero time: an invalid value must not cost its row.
func parseTime(s string) time.Time {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Unix() > 0 {
			return t.UTC()
		}
	}
	return time.Time{}
}
