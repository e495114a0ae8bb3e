package fakecloud

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// imsMembers is a page of an image's members. The owner sees all of them, a member its own row.
func (c *Cloud) imsMembers(q url.Values, id string, who caller) answer {
	limit, bad := c.imsLimit(q, imsPage)
	if bad != nil {
		return *bad
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	img := c.imsVisible(id, who)
	if img == nil {
		return noImage(id)
	}
	rows := make([]*memberRecord, 0, len(img.members))
	for _, m := range img.members {
		if !m.deleted && (img.Owner == who.projectID || who.is(m)) {
			rows = append(rows, m)
		}
	}
	start, ok := markedRow(q.Get("marker"))
	if !ok || start > len(rows) {
		return *badParameter("marker is invalid")
	}
	page := rows[start:min(start+limit, len(rows))]
	b := append(make([]byte, 0, 64+320*len(page)), `{"members": [`...)
	for i, m := range page {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = m.appendIMS(b, id)
	}
	b = append(b, `], "schema": "/v2/schemas/members", "page_info": {`...)
	if start+len(page) < len(rows) {
		b = append(b, `"next_marker": `...)
		b = append(appendString(b, rowMarker(start+len(page)), true), ", "...)
	}
	b = append(b, `"current_count": `...)
	return jsonAnswer(http.StatusOK, append(strconv.AppendInt(b, int64(len(page)), 10), "}}"...))
}

// rowMarker marks the row that a page begins with, in base64 with characters that mean something else in a query.
func rowMarker(row int) string {
	return base64.StdEncoding.EncodeToString([]byte("\xfb\xef\xff" + strconv.Itoa(row)))
}

func markedRow(marker string) (row int, ok bool) {
	if marker == "" {
		return 0, true
	}
	raw, err := base64.StdEncoding.DecodeString(marker)
	if err != nil {
		return 0, false
	}
	row, err = strconv.Atoi(strings.TrimPrefix(string(raw), "\xfb\xef\xff"))
	return row, err == nil && row >= 0
}

// appendIMS writes a row as IMS does. Domains and organizations have a URN besides.
func (m *memberRecord) appendIMS(b []byte, imageID string) []byte {
	b = m.appendTo(b, imageID)
	kind := cmp.Or(m.Type, "project")
	b = append(b[:len(b)-1], `, "member_type": `...)
	b = appendString(b, kind, true)
	if kind != "project" {
		b = appendString(append(b, `, "urn": `...), "organizations::"+stableID("account")+":"+kind+":"+m.MemberID, true)
	}
	return append(b, '}')
}
