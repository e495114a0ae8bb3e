package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// spellings are the ways in which a server writes what it got.
var spellings = map[string]func(string) string{
	"as it is":    func(s string) string { return s },
	"form":        url.QueryEscape,
	"path":        url.PathEscape,
	"lower hex":   func(s string) string { return strings.ToLower(percent(s)) },
	"upper hex":   percent,
	"Python":      func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "%2F", "/") },
	"percent 2":   func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"base64":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 raw":  func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64 URL":  func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"base64 line": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s + "\n")) },
	"Basic":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + s)) },
	"Basic, form": func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte("exporter:" + url.QueryEscape(s)))
	},
	"JSON":         func(s string) string { return inJSON(s) },
	"JSON 2":       func(s string) string { return inJSON(inJSON(s)) },
	"ASCII":        func(s string) string { return strings.Trim(fmt.Sprintf("%+q", s), `"`) },
	"HTML":         html.EscapeString,
	"HTML 2":       func(s string) string { return html.EscapeString(html.EscapeString(s)) },
	"HTML numbers": func(s string) string { return entities(s, "&#%d;") },
	"HTML hex":     func(s string) string { return entities(s, "&#x%X;") },
	"HTML in JSON": func(s string) string { return inJSON(html.EscapeString(s)) },
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func entities(s, format string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func inJSON(s string) string {
	text, _ := json.Marshal(s) // a string can be encoded
	return strings.Trim(string(text), `"`)
}

// leak is a cloud whose server echoes one secret.
type leak struct {
	kind   string
	server string // who echoes it: keystone, glance, gateway, redirect, name, catalog, proxy, connect, oauth2 or metadata
	yaml   string // of the cloud, with the secret and the server's URL in it
	secret string
	// unsent is whether the server need not have got the secret itself.
	unsent bool
	// few is whether some spellings are enough: another server echoes the same secret in all of them.
	few bool
}

// secretNumber is a secret with what each encoding changes, and letters and digits at both ends that are its own.
func secretNumber(n int) string {
	own := fmt.Sprintf("%x", sha256.Sum256([]byte(strconv.Itoa(n))))
	return own[:12] + `"b&c<d>e%f+g/h=i\j` + own[12:24]
}

// leaks are the kinds of secrets. In yaml, SECRET is the secret in quotes, FILE a file with it, and URL the server.
func leaks() []leak {
	const (
		none     = "    auth: {none: {project_id: " + projectID + "}}\n    endpoint: URL/image\n"
		keystone = "    auth: {password: {auth_url: URL/identity/v3, username: u, user_domain_name: Default, " +
			"password: SECRET, project_name: p, project_domain_name: Default}}\n"
		image  = "    endpoint: URL/image\n"
		aksk   = "    api: ims\n    auth: {aksk: {access_key: AK, project_id: " + projectID + ", "
		agency = "    api: ims\n    auth: {ecs_agency: {metadata_url: URL/metadata, project_id: " + projectID + "}}\n" + image
	)
	login := strings.ReplaceAll(keystone, "SECRET", "other-password")
	list := []leak{
		{kind: "catalog", server: "catalog", unsent: true, yaml: login},
		{kind: "two endpoints", server: "catalog", unsent: true, yaml: login},
		{kind: "password", server: "keystone", yaml: keystone},
		{kind: "application credential", server: "keystone", yaml: "    auth: " +
			"{application_credential: {auth_url: URL/identity/v3, id: abc, secret: SECRET}}\n"},
		{kind: "token", server: "keystone", yaml: "    auth: {token: {auth_url: URL/identity/v3, token: SECRET}}\n"},
		{kind: "Keystone's token", server: "glance", yaml: login + image},
		{kind: "token as it is", server: "glance", yaml: "    auth: {token: {token: SECRET, project_id: " + projectID + "}}\n" + image},
		{kind: "security token", server: "glance", yaml: aksk + "secret_key: other-secret-key, security_token: SECRET}}\n" + image},
		{kind: "secret key", server: "glance", unsent: true, yaml: aksk + "secret_key: SECRET}}\n" + image},
		{kind: "metadata token", server: "metadata", unsent: true, yaml: agency},
		{kind: "temporary key", server: "glance", yaml: agency},
	}
	for kind, block := range map[string]string{
		"authorization":      "{authorization: {credentials: SECRET}}",
		"authorization file": "{authorization: {type: Token, credentials_file: FILE}}",
		"basic_auth":         "{basic_auth: {username: user, password: SECRET}}",
		"basic_auth file":    "{basic_auth: {username: user, password_file: FILE}}",
		"bearer_token":       "{bearer_token: SECRET}", "bearer_token file": "{bearer_token_file: FILE}",
		"http_headers":        "{http_headers: {X-Api-Key: {secrets: [SECRET]}}}",
		"http_headers values": "{http_headers: {X-Api-Key: {values: [SECRET]}}}",
		"http_headers file":   "{http_headers: {X-Api-Key: {files: [FILE]}}}",
	} {
		for _, server := range []string{"keystone", "glance", "gateway", "redirect", "name"} {
			yaml := none
			if server == "keystone" {
				yaml = login
			}
			list = append(list, leak{kind: kind, server: server, few: server != "glance", yaml: yaml + "    http: " + block + "\n"})
		}
	}
	for kind, block := range map[string]string{
		"client_secret": "client_secret: SECRET", "client_secret file": "client_secret_file: FILE",
		"endpoint_params": "client_secret: other-client-secret, endpoint_params: {assertion: SECRET}",
	} {
		list = append(list, leak{kind: kind, server: "oauth2", yaml: none +
			"    http: {oauth2: {client_id: exporter, token_url: URL/oauth2, " + block + "}}\n"})
	}
	list = append(list, leak{
		kind: "OAuth2's token", server: "glance",
		yaml: none + "    http: {oauth2: {client_id: exporter, client_secret: other-client-secret, token_url: URL/oauth2}}\n",
	})
	for kind, user := range map[string]string{"proxy password": "user:USERINFO", "proxy token": "USERINFO"} {
		list = append(list,
			leak{kind: kind, server: "proxy", yaml: none + "    http: {proxy_url: 'http://" + user + "@HOST'}\n"},
			leak{kind: kind, server: "connect", yaml: strings.ReplaceAll(none, "URL/image", "https://image.example.com") +
				"    http: {proxy_url: 'http://" + user + "@HOST'}\n"},
		)
	}
	slices.SortFunc(list, func(a, b leak) int { return strings.Compare(a.kind+a.server, b.kind+b.server) })
	return list
}

// echo is a server that writes one secret in one way into everything that it returns.
type echo struct {
	leak
	spelling string
	spell    func(string) string
	mu       sync.Mutex
	received bool
}

// note records whether a request carries the secret.
func (e *echo) note(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	texts := []string{string(body), strings.Join(form["assertion"], " "), strings.Join(form["client_secret"], " ")}
	for _, values := range r.Header {
		for _, v := range values {
			texts = append(texts, v)
			_, coded, _ := strings.Cut(v, "Basic ")
			if plain, err := base64.StdEncoding.DecodeString(coded); err == nil {
				unquoted, _ := url.QueryUnescape(string(plain))
				texts = append(texts, string(plain), unquoted)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, text := range texts {
		e.received = e.received || strings.Contains(text, e.secret) || strings.Contains(text, inJSON(e.secret))
	}
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.note(r)
	text := e.spell(e.secret)
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	service := strings.Split(r.URL.Path, "/")[1]
	switch {
	case e.server == "connect":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 denied "+text+"\r\n\r\n")
			conn.Close()
		}
	case e.server == "proxy":
		http.Error(w, "denied: "+text, http.StatusForbidden)
	case service == "oauth2" && e.server == "oauth2":
		answer(http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "got " + text})
	case service == "oauth2":
		answer(http.StatusOK, map[string]any{"access_token": e.secret, "token_type": "Bearer", "expires_in": 3600})
	case strings.HasSuffix(r.URL.Path, "/api/token") && e.server == "metadata":
		_, _ = io.WriteString(w, e.secret)
	case strings.HasSuffix(r.URL.Path, "/api/token"):
		_, _ = io.WriteString(w, "another-metadata-token")
	case service == "metadata" && e.server == "metadata": // a header that cannot be read, which the transport's error quotes
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nbroken "+text+"\r\n\r\n")
			conn.Close()
		}
	case service == "metadata":
		answer(http.StatusOK, map[string]any{"credential": map[string]any{
			"access": "AK", "secret": "other-secret-key", "securitytoken": e.secret,
			"expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		}})
	case service == "identity" && e.server == "keystone":
		answer(http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": 401, "message": "got " + text}})
	case service == "identity" && e.server == "catalog":
		endpoints := []map[string]string{{"interface": "public", "url": "https://user:" + text + "@image.example.com/v2"}}
		if e.kind == "two endpoints" {
			endpoints = append(endpoints, map[string]string{"interface": "public", "url": "https://image.example.org/?key=" + text})
		}
		w.Header().Set("X-Subject-Token", "another-token")
		answer(http.StatusCreated, map[string]any{"token": map[string]any{
			"project": map[string]any{"id": projectID, "name": "p"},
			"catalog": []any{map[string]any{"type": "image", "endpoints": endpoints}},
		}})
	case service == "identity":
		w.Header().Set("X-Subject-Token", e.secret)
		answer(http.StatusCreated, map[string]any{"token": map[string]any{"project": map[string]any{"id": projectID, "name": "p"}}})
	case e.server == "gateway":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "<html><body><h1>403</h1><pre>X-Got: %s</pre></body></html>", text)
	case e.server == "redirect":
		w.Header().Set("Location", "/elsewhere/"+text)
		w.WriteHeader(http.StatusFound)
	case e.server == "name" && !strings.HasSuffix(r.URL.Path, "/members"):
		record := map[string]any{"id": imageID, "name": "golden " + text, "owner": projectID, "visibility": "shared", "status": "active"}
		if strings.HasSuffix(r.URL.Path, "/images") {
			answer(http.StatusOK, map[string]any{"images": []any{record}})
			return
		}
		answer(http.StatusOK, record)
	case e.server == "name":
		answer(http.StatusOK, map[string]any{"members": []any{map[string]any{"member_id": memberID, "image_id": imageID, "status": "accepted"}}})
	default:
		answer(http.StatusForbidden, map[string]any{"message": "got " + text, "code": "403 Forbidden", "title": "Forbidden"})
	}
}

// windows are the parts of a text that count as leaked.
func windows(text string, see func(string)) {
	for i := range max(0, len(text)-7) {
		see(text[i : i+8])
	}
}

// No output has a part of a secret in it, whatever kind of secret it is, which server echoes it, and how it writes it.
func TestNoOutputHasASecret(t *testing.T) {
	var config strings.Builder
	config.WriteString("clouds:\n")
	var echoes []*echo
	for _, l := range leaks() {
		for i, name := range slices.Sorted(maps.Keys(spellings)) {
			spell := spellings[name]
			if l.few && (i+len(l.kind))%4 != 0 {
				continue // Each combination takes its time.
			}
			l.secret = secretNumber(len(echoes))
			e := &echo{leak: l, spelling: name, spell: spell}
			server := httptest.NewUnstartedServer(e)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.Start()
			t.Cleanup(server.Close)
			userInfo := url.UserPassword("", l.secret).String()[1:]
			yaml := strings.NewReplacer("SECRET", "'"+l.secret+"'", "FILE", writeFile(t, "secret", l.secret+"\n"), "URL", server.URL,
				"USERINFO", userInfo, "HOST", server.Listener.Addr().String()).Replace(l.yaml)
			fmt.Fprintf(&config, "  - name: c%d\n%s    images: [{id: %s}]\n", len(echoes), yaml, imageID)
			echoes = append(echoes, e)
		}
	}
	file := "--config.file=" + writeFile(t, "exporter.yml", config.String())
	outputs := map[string]string{}
	p := startExporter(t, file, "--log.level=debug")
	for _, path := range []string{"/metrics", "/", "/config", "/sd"} {
		status, text := p.get(t, path)
		if status.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, status.StatusCode)
		}
		outputs[path] = text
	}
	var preflight, once, log output
	outputs["errors"] = fmt.Sprint(run(t.Context(), []string{"--preflight", file}, &preflight, io.Discard)) +
		fmt.Sprint(run(t.Context(), []string{"--once", file}, &once, &log))
	outputs["preflight"], outputs["once"], outputs["log"] = preflight.String(), once.String(), p.stderr.String()+log.String()
	found, shared := map[string]map[string]bool{}, map[string]*echo{}
	for name, text := range outputs {
		if !strings.Contains(text, "<secret>") && !strings.Contains(text, "&lt;secret&gt;") && name != "/sd" && name != "errors" {
			t.Errorf("%s shows nothing of an echo", name)
		}
		found[name] = map[string]bool{}
		windows(text, func(part string) { found[name][part] = true })
	}
	for _, e := range echoes { // A part of several secrets is one of none.
		for _, text := range []string{e.secret, e.spell(e.secret)} {
			windows(text, func(part string) {
				if other, ok := shared[part]; ok && other != e {
					shared[part] = nil
				} else {
					shared[part] = e
				}
			})
		}
	}
	leaked := map[string][]string{}
	for _, e := range echoes {
		if !e.received && !e.unsent {
			t.Errorf("%s to %s: never sent", e.kind, e.server)
		}
		for name := range outputs {
			seen := ""
			for _, text := range []string{e.secret, e.spell(e.secret)} {
				windows(text, func(part string) {
					if found[name][part] && shared[part] == e && !strings.Contains(part, "amp;") { // which the page writes too
						seen = part
					}
				})
			}
			if seen != "" {
				at := fmt.Sprintf("%s, echoed by %s, is in %s", e.kind, e.server, name)
				leaked[at] = append(leaked[at], e.spelling+" ("+seen+")")
			}
		}
	}
	for _, at := range slices.Sorted(maps.Keys(leaked)) {
		t.Errorf("%s: %s", at, strings.Join(leaked[at], ", "))
	}
}
