package web

import (
	"net/url"
	"strings"

	"glance_share_exporter/collector"
)

// filter selects the images to show. The zero value selects all.
type filter struct {
	Text, Cloud, Image string
	Problems           bool
}

// filterOf returns the filter in the parameters of a URL. It ignores unknown parameters.
func filterOf(query url.Values) filter {
	text := func(name string) string {
		s := strings.TrimSpace(query.Get(name))
		return strings.ToValidUTF8(s[:min(len(s), maxQuery)], "")
	}
	return filter{Text: text("q"), Cloud: text("cloud"), Image: strings.ToLower(text("image")), Problems: query.Get("problems") == "1"}
}

// query returns the filter as the query of a URL, with the question mark. It is empty for the zero value.
func (f filter) query() string {
	values := url.Values{}
	for name, value := range map[string]string{"q": f.Text, "cloud": f.Cloud, "image": f.Image} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if f.Problems {
		values.Set("problems", "1")
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// Any reports whether the filter may leave images out.
func (f filter) Any() bool { return f != filter{} }

func (f filter) takes(e *entry, s *collector.Snapshot) bool {
	switch {
	case f.Cloud != "" && e.cloud != f.Cloud,
		f.Image != "" && e.img.ID != f.Image,
		f.Problems && e.severity >= unjudged:
		return false
	case f.Text == "":
		return true
	}
	// The texts of an image that is open or was not read completely do not contain every project that can use it, so a
	// project's page includes it. The page excludes images of another project whose name in Keystone is this ID.
	project := plainID.MatchString(f.Text)
	if project && (e.img.Open() || !e.complete()) {
		return true
	}
	text := haystack(e, s, !project)
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// haystack returns the text that a filter searches: the names and IDs of an image, its owner, its members and its
// missing members. With keystone, it has the names of projects in Keystone too.
func haystack(e *entry, s *collector.Snapshot, keystone bool) string {
	texts := []string{e.img.ID, e.img.Label(), e.word}
	if r := e.img.Record; r != nil {
		texts = append(texts, r.Name, r.Owner, string(r.Visibility))
		if keystone {
			texts = append(texts, s.KeystoneName(r.Owner))
		}
	}
	if e.inbound != nil {
		return strings.ToLower(strings.Join(append(texts, e.inbound.owner, e.inbound.project), "\n"))
	}
	images := []*collector.ImageSnapshot{e.img}
	if before, ok := e.before(); ok {
		images = append(images, &before.Image)
	}
	for _, img := range images {
		rows, _ := s.Rows(img, len(img.Members)+len(img.Policy.Members))
		for i := range rows {
			texts = append(texts, rows[i].ID, rows[i].Name)
			if keystone {
				texts = append(texts, rows[i].Keystone)
			}
		}
	}
	return strings.ToLower(strings.Join(texts, "\n"))
}
