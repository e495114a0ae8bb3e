package config

import "regexp"

// pending are the documented keys and values without an effect yet. A silent no would be worse than a refusal: a rate
// that is not limited, a member that nobody judges.
var pending = map[string]string{
	"scrape.discovery_interval":          "leave it out",
	"scrape.refresh_interval":            "leave it out; every scrape collects",
	"scrape.max_staleness":               "leave it out; every scrape collects",
	"clouds[].scrape.discovery_interval": "leave it out",
	"clouds[].scrape.refresh_interval":   "leave it out; every scrape collects",
	"clouds[].scrape.max_staleness":      "leave it out; every scrape collects",
	"clouds[].shards":                    "leave it out",
	"clouds[].inbound":                   "leave it out",
}

var listIndex = regexp.MustCompile(`\[\d+\]`)

// pattern is a path without the indexes of its lists.
func pattern(path string) string { return listIndex.ReplaceAllString(path, "[]") }
