package fakecloud

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

const (
	unauthorizedText = "This server could not verify that you are authorized to access the document you requested. " +
		"Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to " +
		"supply the credentials required."
	erredText = "The server has either erred or is incapable of performing the requested operation."
)

func jsonAnswer(status int, body []byte) answer {
	return answer{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// bareAnswer is the answer of a server that gave up before the application: no body, and the connection ends.
func bareAnswer(status int) answer {
	return answer{status: status, header: http.Header{"Connection": {"close"}}}
}

// webobError renders an error as webob does for Glance: HTML, JSON only if JSON is what the client prefers, and plain
// text for a client that accepts neither or doesn't say.
func webobError(r *http.Request, status int, explanation string) answer {
	a := explain(r, status, latin1(explanation))
	a.explanation = explanation
	return a
}

func explain(r *http.Request, status int, text string) answer {
	return renderError(r, status, text+"<br /><br />\n\n\n", htmlEscape(text)+"<br /><br />\n\n\n")
}

func methodNotAllowed(r *http.Request) answer {
	body := "The method " + r.Method + " is not allowed for this resource. <br /><br />\n"
	return renderError(r, http.StatusMethodNotAllowed, body, body)
}

func renderError(r *http.Request, status int, raw, escaped string) answer {
	title := http.StatusText(status)
	line := strconv.Itoa(status) + " " + title
	if r.Method == http.MethodHead {
		return textAnswer(status, "text/html; charset=UTF-8", "")
	}
	switch preferred(r.Header.Get("Accept")) {
	case "text/html":
		return textAnswer(status, "text/html; charset=UTF-8", fmt.Sprintf(
			"<html>\n <head>\n  <title>%s</title>\n </head>\n <body>\n  <h1>%s</h1>\n  %s\n </body>\n</html>", line, line, escaped))
	case "application/json":
		return jsonAnswer(status, appendValue(nil, object{{"message", raw}, {"code", line}, {"title", title}}, true))
	}
	return textAnswer(status, "text/plain; charset=UTF-8", line+"\n\n"+stripTags(raw))
}

// preferred picks webob's offer: the better quality wins, HTML where they are equal.
func preferred(accept string) string {
	best, bestQ := "", 0.0
	for _, offer := range []string{"text/html", "application/json"} {
		if q := quality(accept, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

// quality is the q of the most specific part of an Accept header that covers the offer.
func quality(accept, offer string) float64 {
	q, best := 0.0, -1
	major, _, _ := strings.Cut(offer, "/")
	for part := range strings.SplitSeq(accept, ",") {
		mime, params, _ := strings.Cut(part, ";")
		specific := -1
		switch strings.ToLower(strings.TrimSpace(mime)) {
		case offer:
			specific = 2
		case major + "/*":
			specific = 1
		case "*/*":
			specific = 0
		}
		if specific <= best {
			continue
		}
		best, q = specific, 1
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				if f, err := strconv.ParseFloat(v, 64); err == nil {
					q = f
				}
			}
		}
	}
	return q
}

// latin1 shows UTF-8 as webob sees it in an error's text: one character per byte.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

var htmlSpecial = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\'': "&#x27;"}

func htmlEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch esc, special := htmlSpecial[r]; {
		case special:
			b.WriteString(esc)
		case r >= 0x80:
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

var (
	lineBreak = regexp.MustCompile(`<br */?>`)
	anyTag    = regexp.MustCompile(`<.*?>`)
)

func stripTags(s string) string {
	s = lineBreak.ReplaceAllString(strings.ReplaceAll(s, "\n", " "), "\n")
	return anyTag.ReplaceAllString(s, "")
}
