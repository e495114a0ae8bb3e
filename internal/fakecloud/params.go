package fakecloud

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are query parameters in the order of the query, repeated ones too.
type params []param

type param struct{ key, value string }

func parseParams(query string) params {
	var p params
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		k, v, _ := strings.Cut(part, "=")
		p = append(p, param{unescape(k), unescape(v)})
	}
	return p
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// pop takes the first parameter of that name away; a second one stays, and becomes a filter.
func (p *params) pop(key string) (value string, ok bool) {
	i := slices.IndexFunc(*p, func(q param) bool { return q.key == key })
	if i < 0 {
		return "", false
	}
	value = (*p)[i].value
	*p = slices.Delete(*p, i, i+1)
	return value, true
}

func (p params) has(key string) bool {
	return slices.ContainsFunc(p, func(q param) bool { return q.key == key })
}

// dict keeps the first place and the last value of each name, as a Python dict does.
func (p params) dict() params {
	var out params
	for _, q := range p {
		if i := slices.IndexFunc(out, func(o param) bool { return o.key == q.key }); i >= 0 {
			out[i].value = q.value
		} else {
			out = append(out, q)
		}
	}
	return out
}

func (p params) link() string {
	var b strings.Builder
	b.WriteString("/v2/images")
	for i, q := range p {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(url.QueryEscape(q.key) + "=" + url.QueryEscape(q.value))
	}
	return b.String()
}

func (c *Cloud) readListing(p params, before25 bool) (*listing, *badRequest) {
	for _, q := range p {
		if !utf8.ValidString(q.key + q.value) {
			return nil, &badRequest{"Error decoding your request. Either the URL or the request body contained characters " +
				"that could not be decoded by Glance"}
		}
	}
	l := &listing{limit: c.opts.PageSize, memberStatus: "accepted"}
	limit, hasLimit := p.pop("limit")
	if marker, ok := p.pop("marker"); ok {
		l.marker = &marker
	}
	if s, ok := p.pop("member_status"); ok {
		l.memberStatus = s
	}
	for p.has("tag") {
		tag, _ := p.pop("tag")
		l.tags = append(l.tags, strings.TrimSpace(tag))
	}
	if v := p.dict(); v.has("visibility") {
		value, _ := v.pop("visibility")
		known := []string{"", "public", "private", "shared", "community", "all"}
		if before25 {
			known = known[:4]
		}
		if !slices.Contains(known, value) {
			return nil, &badRequest{"Invalid visibility value: " + value}
		}
		l.visibility = &value
	}
	if p.has("changes-since") {
		return nil, &badRequest{`The "changes-since" filter is no longer available on v2.`}
	}
	if !slices.Contains([]string{"pending", "accepted", "rejected", "all"}, l.memberStatus) {
		return nil, &badRequest{"Invalid status: " + l.memberStatus}
	}
	if hasLimit {
		n, err := strconv.Atoi(limit)
		switch {
		case err != nil && !isNumber(limit):
			return nil, &badRequest{"limit param must be an integer"}
		case strings.HasPrefix(limit, "-") && n != 0:
			return nil, &badRequest{"limit param must be positive"}
		}
		l.limit = n
	}
	l.limit = min(l.limit, c.opts.MaxPageSize)
	if err := l.readSort(&p); err != nil {
		return nil, err
	}
	return l, l.readFilters(p.dict(), before25)
}

// isNumber lets numbers through that don't fit: Atoi makes them the largest, and a page is trimmed anyway.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}
