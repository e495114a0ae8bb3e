package client

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// envelope is what stands around a list of members and says that it is not all, or none.
type envelope struct {
	Next         rawJSON `json:"next,case:ignore"`
	MembersLinks rawJSON `json:"members_links,case:ignore"`
	NextMarker   rawJSON `json:"next_marker,case:ignore"`
	Links        rawJSON `json:"links,case:ignore"`
	Total        rawJSON `json:"total,case:ignore"`
	TotalCount   rawJSON `json:"total_count,case:ignore"`
	Count        rawJSON `json:"count,case:ignore"`
	PageInfo     struct {
		NextMarker   rawJSON `json:"next_marker,case:ignore"`
		CurrentCount rawJSON `json:"current_count,case:ignore"`
	} `json:"page_info,case:ignore"`
	refusal
}

// refusal is an error that comes as a 200.
type refusal struct {
	Error     rawJSON `json:"error,case:ignore"`
	ErrorCode rawJSON `json:"error_code,case:ignore"`
	ErrorMsg  rawJSON `json:"error_msg,case:ignore"`
	Errors    rawJSON `json:"errors,case:ignore"`
	Encoded   rawJSON `json:"encoded_authorization_message,case:ignore"`
	Message   rawJSON `json:"message,case:ignore"`
	Code      rawJSON `json:"code,case:ignore"`
}

// says reports whether a value is there and says something: null, "", [] and {} say nothing.
func says(raw rawJSON) bool {
	switch n := len(raw); {
	case n == 0 || string(raw) == "null" || string(raw) == `""`:
		return false
	case raw[0] == '[' || raw[0] == '{':
		return len(bytes.TrimSpace(raw[1:n-1])) > 0
	}
	return true
}

// check returns the error that a 200 has in it, or nil.
func (r *refusal) check(body []byte) error {
	if says(r.Error) || says(r.ErrorCode) || says(r.ErrorMsg) || says(r.Errors) || says(r.Encoded) || says(r.Message) && says(r.Code) {
		return errors.New("response with status 200 contains an error" + hint(body))
	}
	return nil
}

// check returns a page with what the envelope says of it, or why a page of so many rows is not what it seems to be.
func (e *envelope) check(body []byte, rows int, api API) (page memberPage, err error) {
	if err := e.refusal.check(body); err != nil {
		return memberPage{}, err
	}
	if more := e.more(); more != "" {
		return memberPage{}, errors.New("unexpected " + strconv.Quote(more) + " in the member list")
	}
	info := &e.PageInfo
	if says(info.NextMarker) && decode(info.NextMarker, &page.next) != nil {
		return memberPage{}, errors.New("next_marker in the response is not a string")
	}
	if len(page.next) > maxMarker {
		return memberPage{}, errors.New("next_marker has more than " + strconv.Itoa(maxMarker) + " bytes")
	}
	if says(info.CurrentCount) {
		if n, ok := number(info.CurrentCount); !ok || n != float64(rows) {
			return memberPage{}, fmt.Errorf("page has %d members, but current_count is %s", rows, clean(string(info.CurrentCount)))
		}
	}
	if api == IMS && rows == imsMemberPage && len(info.NextMarker) == 0 && len(info.CurrentCount) == 0 {
		return memberPage{}, fmt.Errorf("page of %d members without page_info: it may not be the last page", rows)
	}
	for _, raw := range []rawJSON{e.Total, e.TotalCount, e.Count} {
		if n, ok := number(raw); ok {
			page.total = max(page.total, n)
		}
	}
	return page, nil
}

// more returns the key that says that there is another page, or nothing.
func (e *envelope) more() string {
	switch {
	case says(e.Next):
		return "next"
	case says(e.MembersLinks):
		return "members_links"
	case says(e.NextMarker):
		return "next_marker"
	case len(e.Links) == 0 || e.Links[0] != '{':
		return ""
	}
	var links struct {
		Next rawJSON `json:"next,case:ignore"`
	}
	if err := decode(e.Links, &links); err != nil || says(links.Next) {
		return "links.next"
	}
	return ""
}

// number reads a number, or a string with one in it.
func number(raw rawJSON) (float64, bool) {
	if len(raw) == 0 {
		return 0, false
	}
	text := string(raw)
	if raw[0] == '"' && decode(raw, &text) != nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && !math.IsNaN(n)
}

// hint quotes what an unexpected body says.
func hint(body []byte) string {
	if m := serverMessage(body); m != "" {
		return ": " + m
	}
	return ""
}
