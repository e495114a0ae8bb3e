package client

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func newSecrets(values ...string) *Secrets {
	s := &Secrets{}
	s.Add(values...)
	return s
}

func percentEncoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func jsonEscaped(s string) string {
	text, _ := json.Marshal(s)
	return strings.Trim(string(text), `"`)
}

// encodersOfSecrets are the ways in which a server may write what it got.
var encodersOfSecrets = map[string]func(string) string{
	"raw":                 func(s string) string { return s },
	"form":                url.QueryEscape,
	"path":                url.PathEscape,
	"percent, upper case": percentEncoded,
	"percent, lower case": func(s string) string { return strings.ToLower(percentEncoded(s)) },
	"percent, twice":      func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"JSON":                jsonEscaped,
	"JSON, twice":         func(s string) string { return jsonEscaped(jsonEscaped(s)) },
	"JSON, 3 times":       func(s string) string { return jsonEscaped(jsonEscaped(jsonEscaped(s))) },
	"JSON with slashes":   func(s string) string { return strings.ReplaceAll(jsonEscaped(s), "/", `\/`) },
	"Go":                  func(s string) string { return strings.Trim(fmt.Sprintf("%+q", s), `"`) },
	"HTML":                html.EscapeString,
	"HTML, twice":         func(s string) string { return html.EscapeString(html.EscapeString(s)) },
	"HTML in JSON":        func(s string) string { return jsonEscaped(html.EscapeString(s)) },
	"HTML in a form":      func(s string) string { return url.QueryEscape(html.EscapeString(s)) },
	"JSON in a form":      func(s string) string { return url.QueryEscape(jsonEscaped(s)) },
	"base64 std":          func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 std, raw":     func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64 URL":          func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64 URL, raw":     func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"base64 in a form":    func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
	"Basic, 1":            func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a:" + s)) },
	"Basic, 2":            func(s string) string { return base64.StdEncoding.EncodeToString([]byte("ab:" + s)) },
	"Basic, 3":            func(s string) string { return base64.StdEncoding.EncodeToString([]byte("abc:" + s)) },
}

func TestRedactEncodings(t *testing.T) {
	for _, secret := range []string{
		`correct-horse-battery`, `pa"ss-word&1<x>y`, "pässwort-geheim", `back\slash\u0041-pw`, "smile-\U0001F600-pw",
		"blank s in + it", "100%25%-sure+&amp;",
		"gAAAAABm" + strings.Repeat("Ab3_-", 60), strings.Repeat("~?>ab", 2000),
	} {
		s := newSecrets(secret)
		for name, encode := range encodersOfSecrets {
			for _, text := range []string{"%s", "got %s here", `{"got":"%s"}`, "a=%s&b", "<%s>", "Bearer %s, "} {
				before, after, _ := strings.Cut(text, "%s")
				got := s.Redact(before + encode(secret) + after)
				if rest := strings.NewReplacer(redacted, "", "%3D", "", "=", "").Replace(got); rest != strings.ReplaceAll(before+after, "=", "") {
					t.Errorf("%s of %.30q in %q: %.200q", name, secret, text, got)
				}
			}
		}
	}
}

// A secret that is a part of ordinary words leaves them alone.
// Each backslash may stand for itself or begin an escape, so many have more readings than a test can wait for. What cannot be
// read in time is not shown.
func TestRedactManyBackslashes(t *testing.T) {
	var s Secrets
	secret := strings.Repeat(`\`, 60) + "secret"
	s.Add(secret)
	for _, text := range []string{
		secret, strings.ReplaceAll(secret, `\`, `\\`), strings.Repeat(`\`, 5000) + secret, strings.Repeat(`\`, 5000) + "other " + secret,
	} {
		if got := s.Redact("a " + text + " b"); !strings.HasPrefix(got, "a ") ||
			strings.Contains(got, "secret") != strings.Contains(got, redacted) {
			t.Errorf("got %.200s", got)
		}
	}
}

func TestRedactShortSecrets(t *testing.T) {
	s := newSecrets("abc", "glance", "hunter2", "user:abc")
	for text, want := range map[string]string{
		"the abc of Glance":       "the abc of Glance",
		"glance-api glances":      redacted + "-api glances",
		"hunter2hunter2 xhunter2": "hunter2hunter2 xhunter2",
		`"hunter2"`:               `"` + redacted + `"`,
		`\u0022hunter2\u0022`:     `\u0022` + redacted + `\u0022`,
		`%22hunter2%22`:           `%22` + redacted + `%22`,
		`&quot;hunter2&quot;`:     `&quot;` + redacted + `&quot;`,
		"hunter2\u00e4":           "hunter2\u00e4",
		"user:abc":                redacted,
		"dXNlcjphYmM=":            redacted,
		"aHVudGVyMg==":            redacted,
		"":                        "",
	} {
		if got := s.Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// What was cut off in the middle of a secret has no part of it.
func TestRedactCutSecrets(t *testing.T) {
	const secret = "correct-horse-battery"
	s := newSecrets(secret)
	sum := sha256.Sum256([]byte("x"))
	for text, want := range map[string]string{
		"got correct-horse":                       "got correct-horse", // Nothing was cut off.
		"got correct-horse…":                      "got " + redacted + "…",
		`got "corre…"`:                            `got "` + redacted + `…"`,
		"got correct%2Dhor…":                      "got " + redacted + "…",
		"that is correct":                         "that is correct",
		"got correct-horse-mistake":               "got correct-horse-mistake",
		"got corre-" + hex.EncodeToString(sum[:]): "got " + redacted + "-" + hex.EncodeToString(sum[:]),
	} {
		if got := s.Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	long := strings.Repeat("<a>", 30_000)
	for _, most := range []int{maxErrorBody, maxRedacted} {
		for before := range 30 {
			if got := s.message(oneLine(long[:most-before] + secret)); strings.Contains(got, secret[:4]) {
				t.Errorf("%d bytes before the cut: %s", before, got)
			}
		}
	}
	for before := range maxMessage + 10 {
		if got := s.message(strings.Repeat("x", before) + " " + secret); strings.Contains(got, secret[:3]) {
			t.Errorf("after %d letters: %s", before, got)
		}
	}
}

func TestRedactUserInfo(t *testing.T) {
	var s Secrets
	for text, want := range map[string]string{
		"see https://u:pw@host/p@th":    "see https://" + redacted + "@host/p@th",
		"https://u:p@w@host https://h":  "https://" + redacted + "@host https://h",
		"mail me@example.com":           "mail me@example.com",
		`"https://token@host", "a@b"`:   `"https://` + redacted + `@host", "a@b"`,
		"https://host/?next=me@example": "https://host/?next=me@example",
	} {
		if got := s.Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for raw, want := range map[string]string{
		"https://u:pw@host/v2?a=b#c": "https://host/v2", "https://u:p/w@host": "https://host", "https://u:p w@host": "https://host",
		"https://u:p%w@host/v2": "https://host/v2", "u:pw@host/v2": "//host/v2",
		"https:u:pw@host": "//host", "//u:pw@host": "//host", "host": "host",
		"https://u:p#w@host/v2?a": "https://host/v2", "https://token?1@host": "https://host", "https://host?a": "https://host",
		"https://host/p@th": "https://host/p@th",
	} {
		if got := withoutQuery(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

// An ID is not changed, but refused where a credential is in it. A header's value may be an ID.
func TestRefuse(t *testing.T) {
	s := newSecrets("correct-horse-battery")
	s.AddParameters("61c9216745884e7782dc16e5123a5fc9")
	if err := s.refuse("61c9216745884e7782dc16e5123a5fc9", "83a34450-688e-449a-abea-c212f45c5a6c"); err != nil {
		t.Error(err)
	}
	if err := s.refuse("x-correct-horse-battery"); err == nil {
		t.Error("a credential passes for an ID")
	}
	if got := s.Redact("of 61c9216745884e7782dc16e5123a5fc9"); got != "of "+redacted {
		t.Error(got)
	}
}

// The secrets that came up at run time are bounded, those of the configuration stay.
func TestSecretsAreBounded(t *testing.T) {
	s := newSecrets("correct-horse-battery")
	for i := range 2 * maxSecrets {
		s.learn(fmt.Sprintf("token-%08d", i))
	}
	if n := len(s.known); n > maxSecrets+1 || len(s.order) > maxSecrets {
		t.Errorf("%d are known", n)
	}
	last := fmt.Sprintf("token-%08d", 2*maxSecrets-1)
	if got := s.Redact("correct-horse-battery " + last + " token-00000000"); got != redacted+" "+redacted+" token-00000000" {
		t.Error(got)
	}
}

func TestSentHeaders(t *testing.T) {
	var s Secrets
	s.AddHeaders("x-api-key")
	for name, value := range map[string]string{
		"Authorization":       "Bearer secret-number-1",
		"proxy-authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret-number-2")),
		"X-Auth-Token":        "secret-number-3", "X-Api-Key": "secret-number-4", "Accept": "application/json",
	} {
		s.sent(name, []string{value})
	}
	s.sent("Authorization", []string{algorithm + " Access=AK12345678, SignedHeaders=host, Signature=0123"})
	const text = "secret-number-1 secret-number-2 secret-number-3 secret-number-4 application/json Access=AK12345678"
	if got, want := s.Redact(text), strings.Repeat(redacted+" ", 4)+"application/json Access=AK12345678"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The wrapper keeps what it wraps closable.
	(&http.Client{Transport: s.watch(http.DefaultTransport)}).CloseIdleConnections()
}

func BenchmarkRedact(b *testing.B) {
	var s Secrets
	for i := range 1000 {
		s.learn(fmt.Sprintf("gAAAAAB%08d%s", i, strings.Repeat("x", 200)))
	}
	for b.Loop() {
		s.Redact("golden-debian-12-amd64-2026")
	}
}
