package web

import (
	"net/url"
	"strings"

	"glance_share_exporter/collector"
)

// filter says which images to show. The zero value shows all.
type filter struct {
	Text, Cloud, Image string
	Problems           bool
}

// filterOf reads the parameters of the page's address. Unknown ones are ignored.
func filterOf(query url.Values) filter {
	text := func(name string) string {
		s := strings.TrimSpace(query.Get(name))
		return strings.ToValidUTF8(s[:min(len(s), maxQuery)], "")
	}
	return filter{Text: text("q"), Cloud: text("cloud"), Image: strings.ToLower(text("image")), Problems: query.Get("problems") == "1"}
}

// query is the filter as the end of an address.
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

// Any reports whether something may be left out.
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
	// Who can use an image that is open, or that was not read completely, is not in its texts: a project's page must have it. It must
	// not have what another project has that only calls itself so in Keystone.
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

// haystack returns the text that a filter searches: names and IDs of an image, its owner, its members and its missing
// members, perhaps with the names that Keystone has.
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
