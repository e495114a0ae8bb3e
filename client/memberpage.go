package client

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// pageJSON are the names beside a list of members that show that it is incomplete, or an error.
type pageJSON struct {
	Next       rawJSON `json:"next,case:ignore"`
	Total      rawJSON `json:"total,case:ignore"`
	TotalCount rawJSON `json:"total_count,case:ignore"`
	Count      rawJSON `json:"count,case:ignore"`
	moreJSON
	errorJSON
}

// moreJSON are the names, other than next, by which a response with a list shows that there is another page.
type moreJSON struct {
	MembersLinks rawJSON `json:"members_links,case:ignore"`
	ImagesLinks  rawJSON `json:"images_links,case:ignore"`
	NextMarker   rawJSON `json:"next_marker,case:ignore"`
	Links        rawJSON `json:"links,case:ignore"`
	PageInfo     struct {
		NextMarker   rawJSON `json:"next_marker,case:ignore"`
		CurrentCount rawJSON `json:"current_count,case:ignore"`
	} `json:"page_info,case:ignore"`
}

// check returns a page with its marker and total, or why the list of so many rows cannot be used.
func (e *pageJSON) check(body []byte, rows int, api API) (page memberPage, err error) {
	if err := e.errorJSON.check(body); err != nil {
		return memberPage{}, err
	}
	more := e.more()
	if isSet(e.Next) {
		more = "next"
	}
	if more != "" {
		return memberPage{}, errors.New("unexpected " + strconv.Quote(more) + " in the member list")
	}
	info := &e.PageInfo
	if isSet(info.NextMarker) && decode(info.NextMarker, &page.next) != nil {
		return memberPage{}, errors.New("next_marker in the response is not a string")
	}
	if len(page.next) > maxMarker {
		return memberPage{}, errors.New("next_marker has more than " + strconv.Itoa(maxMarker) + " bytes")
	}
	if isSet(info.CurrentCount) {
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

// more returns the name that shows that there is another page, empty where there is none. It ignores page_info.
func (m *moreJSON) more() string {
	switch {
	case isSet(m.MembersLinks):
		return "members_links"
	case isSet(m.ImagesLinks):
		return "images_links"
	case isSet(m.NextMarker):
		return "next_marker"
	case len(m.Links) == 0 || m.Links[0] != '{':
		return ""
	}
	var links struct {
		Next rawJSON `json:"next,case:ignore"`
	}
	if err := decode(m.Links, &links); err != nil || isSet(links.Next) {
		return "links.next"
	}
	return ""
}

// number parses a number, or a string with a number.
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

// errorJSON are the names of an error in a response with status 200.
type errorJSON struct {
	Error     rawJSON `json:"error,case:ignore"`
	ErrorCode rawJSON `json:"error_code,case:ignore"`
	ErrorMsg  rawJSON `json:"error_msg,case:ignore"`
	Errors    rawJSON `json:"errors,case:ignore"`
	Encoded   rawJSON `json:"encoded_authorization_message,case:ignore"`
	Message   rawJSON `json:"message,case:ignore"`
	Code      rawJSON `json:"code,case:ignore"`
}

// check returns an error if the response contains one.
func (r *errorJSON) check(body []byte) error {
	if isSet(r.Error) || isSet(r.ErrorCode) || isSet(r.ErrorMsg) || isSet(r.Errors) || isSet(r.Encoded) || isSet(r.Message) && isSet(r.Code) {
		return errors.New("response with status 200 contains an error" + hint(body))
	}
	return nil
}

// isSet reports whether there is a value, and it is not null, "", [] or {}.
func isSet(raw rawJSON) bool {
	switch n := len(raw); {
	case n == 0 || string(raw) == "null" || string(raw) == `""`:
		return false
	case raw[0] == '[' || raw[0] == '{':
		return len(bytes.TrimSpace(raw[1:n-1])) > 0
	}
	return true
}

// hint quotes an unexpected body.
func hint(body []byte) string {
	if m := serverMessage(body); m != "" {
		return ": " + m
	}
	return ""
}
