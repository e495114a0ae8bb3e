package fakecloud

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

type filter func(*imageRecord) bool

var sortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// readSort reads both syntaxes, sort=key:dir,... and sort_key with sort_dir, and adds what makes the order total.
func (l *listing) readSort(p *params) *badRequest {
	if s, ok := p.pop("sort"); ok {
		if p.has("sort_key") || p.has("sort_dir") {
			return &badRequest{"Old and new sorting syntax cannot be combined"}
		}
		for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
			key, dir, _ := strings.Cut(part, ":")
			if dir == "" {
				dir = "desc"
			}
			l.keys = append(l.keys, strings.TrimSpace(key))
			l.dirs = append(l.dirs, strings.TrimSpace(dir))
		}
	}
	for p.has("sort_key") {
		key, _ := p.pop("sort_key")
		l.keys = append(l.keys, strings.TrimSpace(key))
	}
	for p.has("sort_dir") {
		dir, _ := p.pop("sort_dir")
		l.dirs = append(l.dirs, strings.TrimSpace(dir))
	}
	for _, key := range l.keys {
		if !slices.Contains(sortKeys, key) {
			return &badRequest{"Invalid sort key: " + key + ". It must be one of the following: " +
				strings.Join(sortKeys, ", ") + "."}
		}
	}
	for _, dir := range l.dirs {
		if dir != "asc" && dir != "desc" {
			return &badRequest{"Invalid sort direction: " + dir}
		}
	}
	if len(l.dirs) > 1 && len(l.dirs) != len(l.keys) {
		return &badRequest{"Number of sort dirs does not match the number of sort keys"}
	}
	if len(l.keys) == 0 {
		l.keys = []string{"created_at"}
	}
	if len(l.dirs) == 0 {
		l.dirs = []string{"desc"}
	}
	rest := "desc"
	if len(l.dirs) == 1 {
		rest = l.dirs[0]
	}
	for len(l.dirs) < len(l.keys) {
		l.dirs = append(l.dirs, rest)
	}
	for _, key := range []string{"created_at", "id"} {
		if !slices.Contains(l.keys, key) {
			l.keys, l.dirs = append(l.keys, key), append(l.dirs, rest)
		}
	}
	return nil
}

// readFilters makes a filter of every parameter that is left. One that no field is named after asks for a property, so
// that a misspelt filter finds nothing.
func (l *listing) readFilters(p params, before25 bool) *badRequest {
	if !before25 { // os_hidden is newer, and but a property there
		if err := l.readHidden(&p); err != nil {
			return err
		}
	}
	if v, ok := p.pop("protected"); ok {
		if v != "true" && v != "false" {
			return &badRequest{"Invalid value '" + v + "' for 'protected' filter. Valid values are 'true' or 'false'."}
		}
		l.add(func(img *imageRecord) bool { return img.Protected == (v == "true") })
	}
	p.pop("visibility")
	p.pop("deleted") // overridden
	for _, q := range p {
		if err := l.readFilter(q.key, q.value); err != nil {
			return err
		}
	}
	return nil
}

func (l *listing) readHidden(p *params) *badRequest {
	hidden, _ := p.pop("os_hidden")
	hidden = strings.ToLower(hidden)
	if !slices.Contains([]string{"", "true", "false"}, hidden) {
		return &badRequest{"Invalid value '" + hidden + "' for 'os_hidden' filter. Valid values are 'true' or 'false'."}
	}
	l.add(func(img *imageRecord) bool { return img.Hidden == (hidden == "true") })
	return nil
}

func (l *listing) add(f filter) { l.filters = append(l.filters, f) }

func (l *listing) readFilter(key, value string) *badRequest {
	switch key {
	case "name", "id", "status", "container_format", "disk_format":
		return l.readSetFilter(key, value)
	case "created_at", "updated_at":
		return l.readTimeFilter(key, value)
	case "owner", "checksum", "os_hash_value", "os_hash_algo", "size", "virtual_size", "min_ram", "min_disk":
		l.add(func(img *imageRecord) bool { return img.text(key) == value })
		return nil
	}
	if base, ok := strings.CutSuffix(key, "_min"); ok {
		return l.readRange(base, value, func(have, want int64) bool { return have >= want })
	}
	if base, ok := strings.CutSuffix(key, "_max"); ok {
		return l.readRange(base, value, func(have, want int64) bool { return have <= want })
	}
	l.add(func(img *imageRecord) bool {
		have, ok := img.Properties[key]
		return ok && have == value
	})
	return nil
}

// text is a field as a filter compares it; "\x00" is null, which equals nothing.
func (img *imageRecord) text(key string) string {
	const null = "\x00"
	hasData := img.Status != "queued"
	switch key {
	case "name":
		return img.Name
	case "id":
		return img.ID
	case "status":
		return img.Status
	case "container_format":
		return img.ContainerFormat
	case "disk_format":
		return img.DiskFormat
	case "min_ram", "min_disk":
		return "0"
	case "owner":
		if img.Owner != "" {
			return img.Owner
		}
	case "checksum":
		if hasData {
			return img.Checksum
		}
	case "os_hash_value":
		if hasData {
			return img.HashValue
		}
	case "os_hash_algo":
		if hasData {
			return "sha512"
		}
	case "size", "virtual_size":
		if hasData {
			return strconv.FormatInt(img.Size, 10)
		}
	}
	return null
}

func (l *listing) readSetFilter(key, value string) *badRequest {
	want := []string{value}
	if op, rest, ok := strings.Cut(value, ":"); ok {
		switch op {
		case "eq":
			want = []string{rest}
		case "in":
			var err *badRequest
			if want, err = splitQuoted(rest); err != nil {
				return err
			}
		default:
			return &badRequest{"Unable to filter by unknown operator '" + op + "'."}
		}
	}
	if key == "id" {
		l.ids = append([]string{}, want...)
		return nil
	}
	l.add(func(img *imageRecord) bool { return slices.Contains(want, img.text(key)) })
	return nil
}

// splitQuoted splits at commas outside of double quotes.
func splitQuoted(s string) ([]string, *badRequest) {
	if strings.Count(s, `"`)%2 == 1 {
		return nil, &badRequest{"Invalid filter value " + s + ". The quote is not closed."}
	}
	quoted := false
	parts := []string{""}
	for _, r := range s {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			parts = append(parts, "")
		default:
			parts[len(parts)-1] += string(r)
		}
	}
	return parts, nil
}

func (l *listing) readTimeFilter(key, value string) *badRequest {
	op, text := "eq", value
	want, err := time.Parse(time.RFC3339, text)
	if err != nil {
		op, text, _ = strings.Cut(value, ":")
		if want, err = time.Parse(time.RFC3339, text); err != nil {
			return &badRequest{fmt.Sprintf("Bad %q query filter format. Use ISO 8601 DateTime notation.", key)}
		}
	}
	tests := map[string]func(int) bool{
		"eq":  func(n int) bool { return n == 0 },
		"neq": func(n int) bool { return n != 0 },
		"gt":  func(n int) bool { return n > 0 },
		"gte": func(n int) bool { return n >= 0 },
		"lt":  func(n int) bool { return n < 0 },
		"lte": func(n int) bool { return n <= 0 },
	}
	test := tests[op]
	if test == nil {
		return &badRequest{"Unable to filter on a unknown operator."}
	}
	l.add(func(img *imageRecord) bool {
		have := img.CreatedAt
		if key == "updated_at" {
			have = img.UpdatedAt
		}
		return test(have.Compare(want))
	})
	return nil
}

func (l *listing) readRange(key, value string, test func(have, want int64) bool) *badRequest {
	want, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return &badRequest{"Unable to filter on a range with a non-numeric value."}
	}
	if !slices.Contains([]string{"size", "virtual_size", "min_ram", "min_disk"}, key) {
		return &badRequest{} // Glance looks for a column of that name and falls over
	}
	l.add(func(img *imageRecord) bool {
		have, err := strconv.ParseInt(img.text(key), 10, 64)
		return err == nil && test(have, want)
	})
	return nil
}
