package fakecloud

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A HostileList is a way to answer the question for an image's members that no cloud should have.
type HostileList struct {
	Name   string
	Answer func(w http.ResponseWriter, r *http.Request)
}

// HostileLists returns answers that break or burden whoever believes them.
func HostileLists() []HostileList {
	return []HostileList{
		{"endless body", endless(`{"member_id": "a", "status": "accepted"},`, 0)},
		{"endless blanks", endless(strings.Repeat(" ", 1<<10), 0)},
		{"byte by byte", endless("{", 20*time.Millisecond)},
		{"headers for ever", neverAnswers},
		{"truncated body", truncated},
		{"longer than announced", longer},
		{"gzip bomb", bomb},
		{"gzip that is none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, `{"members": []}`)
		}},
		{"HTML", literal("text/html", "<html><head><title>Login</title></head><body><form>Please log in</form></body></html>")},
		{"empty", literal("application/json", "")},
		{"null", literal("application/json", "null")},
		{"a list", literal("application/json", "[]")},
		{"an object without members", literal("application/json", "{}")},
		{"null members", literal("application/json", `{"members": null}`)},
		{"members that are an object", literal("application/json", `{"members": {}}`)},
		{"members that are a text", literal("application/json", `{"members": ""}`)},
		{"a member that is a text", literal("application/json", `{"members": ["a"]}`)},
		{"a member ID that is a number", literal("application/json", `{"members": [{"member_id": 1}]}`)},
		{"another list after the first", literal("application/json", `{"members": []}{"members": [{"member_id": "a"}]}`)},
		{"an error in a 200", literal("application/json", `{"error": {"code": 500, "message": "no database"}}`)},
		{"deep nesting", literal("application/json", `{"members": `+strings.Repeat("[", 1<<20))},
		{"a million rows of nothing", literal("application/json", `{"members": [`+strings.Repeat("{},", 1_000_000)+`{}]}`)},
		{"null rows", literal("application/json", `{"members": [null, null]}`)},
		{"null values", literal("application/json", `{"members": [{"member_id": null, "status": null, "created_at": null, "image_id": null}]}`)},
		{"another image's list", literal("application/json", `{"members": [{"member_id": "a", "status": "accepted", "image_id": "another"}]}`)},
		{"invalid UTF-8", literal("application/json", "{\"members\": [{\"member_id\": \"a\xff\", \"status\": \"accepted\"}]}")},
		{"5000 members", rows(5000, func(i int) string { return fmt.Sprintf(`{"member_id": "m%d", "status": "accepted"}`, i) })},
		{"the same member 5000 times", rows(5000, func(int) string { return `{"member_id": "a", "status": "accepted"}` })},
		{"member IDs of a megabyte", rows(10, func(i int) string {
			return fmt.Sprintf(`{"member_id": %q, "status": "accepted"}`, strings.Repeat("x", 1<<20)+strconv.Itoa(i))
		})},
		{"quotes and newlines", literal("application/json", `{"members": [{"member_id": "a\"} 1\nglance_up{cloud=\"x", "status": "accepted"}]}`)},
		{"empty member ID", literal("application/json", `{"members": [{"member_id": "", "status": "accepted"}]}`)},
		{"300 unknown statuses", rows(300, func(i int) string { return fmt.Sprintf(`{"member_id": "m%d", "status": "s%d"}`, i, i) })},
		{"times that never were", literal("application/json", `{"members": [
			{"member_id": "a", "status": "accepted", "created_at": "0000-01-01T00:00:00Z", "updated_at": "9999-12-31T23:59:59Z"}]}`)},
		{"pages that never end", pages},
		{"redirect to another host", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://192.0.2.1/v2/images")
			w.WriteHeader(http.StatusFound)
		}},
		{"redirect to itself", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.String())
			w.WriteHeader(http.StatusFound)
		}},
		{"secrets in an error", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "token "+r.Header.Get("X-Auth-Token")+" is not good here\n\x1b[31mred")
		}},
		{"status 299", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(299)
			_, _ = io.WriteString(w, `{"members": []}`)
		}},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{"closed connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	}
}

func literal(contentType, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// rows is a list of n members.
func rows(n int, row func(i int) string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"members": [`)
		for i := range n {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = io.WriteString(w, row(i))
		}
		_, _ = io.WriteString(w, `]}`)
	}
}

// endless goes on until the client goes away.
func endless(part string, pause time.Duration) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, `{"members": [`)
		for err == nil && r.Context().Err() == nil {
			_, err = io.WriteString(w, part)
			if pause > 0 {
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
				}
			}
		}
	}
}

func neverAnswers(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func truncated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"members": []}`)
}

// longer sends more than its Content-Length says, which net/http's server would not.
func longer(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	body := `{"members": []}`
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
	_, _ = fmt.Fprintf(conn, head+`%s, {"member_id": "a"}`, len(body)-3, body)
}

// bomb is a few kilobytes that become a gigabyte.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is one
	blanks := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := z.Write(blanks); err != nil {
			return
		}
	}
	_ = z.Close() // the client has gone
}

// pages has a next page for every page.
func pages(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("marker"))
	_, _ = fmt.Fprintf(w, `{"members": [{"member_id": "m%d", "status": "accepted"}], "page_info": {"next_marker": "%d"}}`, n, n+1)
}
