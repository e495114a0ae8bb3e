package config

import "regexp"

// pending are the documented keys and values without an effect yet. A silent no would be worse than a refusal: a rate
// that is not limited, a member that nobody judges.
var pending = map[string]string{
	"clouds[].inbound": "leave it out",
}

var listIndex = regexp.MustCompile(`\[\d+\]`)

// pattern is a path without the indexes of its lists.
func pattern(path string) string { return listIndex.ReplaceAllString(path, "[]") }
