package fakecloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// refusal is an answer of Keystone that is not what was asked for. extra is put before the message.
type refusal struct {
	status int
	text   string
	extra  string
}

const malformed = ". The server could not comply with the request since it is either malformed or otherwise incorrect. " +
	"The client is assumed to be in error."

func expecting(what string) *refusal {
	return &refusal{status: http.StatusBadRequest, text: "Expecting to find " + what + malformed}
}

func invalidField(field string) *refusal {
	return &refusal{status: http.StatusBadRequest, text: "Invalid input for field " + field + ": id or name must be present."}
}

// unauthorized says the same of a wrong password, an unknown user, and a project that the user has no role in.
func unauthorized() *refusal {
	return &refusal{status: http.StatusUnauthorized, text: "The request you have made requires authentication."}
}

func (f *refusal) answer(x *exchange) answer {
	// flask.jsonify: compact, keys sorted, a newline at the end.
	b := fmt.Appendf(nil, `{"error":{"code":%d,%s"message":`, f.status, f.extra)
	b = appendString(b, f.text, true)
	b = append(b, `,"title":`...)
	b = appendString(b, http.StatusText(f.status), true)
	a := jsonAnswer(f.status, append(b, "}}\n"...))
	if f.status == http.StatusUnauthorized {
		a.header.Set("Www-Authenticate", fmt.Sprintf("Keystone uri=%q", x.base+"/identity/v3"))
	}
	return a
}

func (c *Cloud) keystone(x *exchange) answer {
	if c.keystoneDown.Load() {
		if c.opts.KeystoneDrops {
			return answer{hangUp: true}
		}
		return textAnswer(http.StatusServiceUnavailable, "text/html",
			"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n")
	}
	a := c.routeKeystone(x)
	a.header.Set("Vary", "X-Auth-Token")
	a.header.Set("X-Openstack-Request-Id", "req-"+newUUID())
	return a
}

func (c *Cloud) routeKeystone(x *exchange) answer {
	method := x.r.Method
	switch strings.TrimSuffix(x.path, "/") {
	case "":
		a := jsonAnswer(http.StatusMultipleChoices, appendValue(nil, object{
			{"versions", object{{"values", []any{x.identityVersion()}}}},
		}, true))
		a.header.Set("Location", x.base+"/identity/v3/")
		return a
	case "/v3":
		return jsonAnswer(http.StatusOK, appendValue(nil, object{{"version", x.identityVersion()}}, true))
	case "/v3/auth/tokens":
		switch method {
		case http.MethodPost:
			return c.login(x)
		case http.MethodGet, http.MethodHead:
			return c.validate(x)
		}
		a := jsonAnswer(http.StatusMethodNotAllowed, []byte(`{"message": "The method is not allowed for the requested URL."}`))
		a.header.Set("Allow", "OPTIONS, POST, DELETE, GET, HEAD")
		return a
	case "/v3/auth/projects":
		return c.listProjects(x)
	case "/v3/projects":
		return c.readProjects(x, "")
	}
	if id, ok := strings.CutPrefix(x.path, "/v3/projects/"); ok && id != "" && !strings.Contains(id, "/") {
		return c.readProjects(x, id)
	}
	return textAnswer(http.StatusNotFound, "text/html; charset=utf-8", "<!doctype html>\n<html lang=en>\n"+
		"<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you "+
		"entered the URL manually please check your spelling and try again.</p>\n")
}

func (x *exchange) identityVersion() object {
	return object{
		{"id", "v3.14"},
		{"status", "stable"},
		{"updated", "2020-04-07T00:00:00Z"},
		{"links", []any{object{{"rel", "self"}, {"href", x.base + "/identity/v3/"}}}},
		{"media-types", []any{object{
			{"base", "application/json"},
			{"type", "application/vnd.openstack.identity-v3+json"},
		}}},
	}
}

// validate answers a token's body to the token itself and to an admin.
func (c *Cloud) validate(x *exchange) answer {
	now := c.opts.Now()
	caller := c.token(tokenOf(x.r))
	if caller == nil || !caller.valid(now) || !c.usable(caller) {
		return unauthorized().answer(x)
	}
	id := x.r.Header.Get("X-Subject-Token")
	subject := c.token(id)
	var f *refusal
	switch {
	case id == "", subject != nil && subject != caller && !caller.admin():
		f = &refusal{
			status: http.StatusForbidden,
			text:   "You are not authorized to perform the requested action: identity:validate_token.",
		}
	case subject == nil:
		f = unknownToken()
	case !subject.valid(now):
		f = &refusal{status: http.StatusNotFound, text: "Failed to validate token"}
	default:
		f = c.disabledScope(subject)
	}
	if f != nil {
		return f.answer(x)
	}
	_, bare := x.r.URL.Query()["nocatalog"]
	return c.tokenAnswer(x, http.StatusOK, subject, !bare)
}

// disabledScope is Keystone's answer about a token whose project or domain is disabled, nil where neither is.
func (c *Cloud) disabledScope(t *token) *refusal {
	c.mu.RLock()
	defer c.mu.RUnlock()
	why := c.whyDisabled(t)
	if why == "" {
		return nil
	}
	return &refusal{status: http.StatusNotFound, text: "Unable to validate token because " + why + " is disabled"}
}

func unknownToken() *refusal {
	return &refusal{status: http.StatusNotFound, text: "Could not recognize Fernet token"}
}

// listProjects names the projects that the token's user may ask for.
func (c *Cloud) listProjects(x *exchange) answer {
	t := c.token(tokenOf(x.r))
	if t == nil || !t.valid(c.opts.Now()) {
		return unauthorized().answer(x)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := []any{}
	for _, id := range t.user.projects {
		if p := c.projects[id]; p != nil {
			list = append(list, c.projectObject(x, p))
		}
	}
	return projectsAnswer(x, "/identity/v3/auth/projects", list)
}

// projectObject needs mu.
func (c *Cloud) projectObject(x *exchange, p *project) object {
	return object{
		{"id", p.id},
		{"name", p.name},
		{"domain_id", p.domain},
		{"description", ""},
		{"enabled", !c.disabled[p.id]},
		{"parent_id", p.domain},
		{"is_domain", false},
		{"tags", []any{}},
		{"options", object{}},
		{"links", object{{"self", x.base + "/identity/v3/projects/" + p.id}}},
	}
}

func projectsAnswer(x *exchange, path string, list []any) answer {
	body := appendValue(nil, object{
		{"projects", list},
		{"links", object{{"next", nil}, {"self", x.base + path}, {"previous", nil}}},
	}, true)
	return jsonAnswer(http.StatusOK, append(body, '\n'))
}

// readProjects answers one project, or without an ID all of them, to whom the policy allows it.
func (c *Cloud) readProjects(x *exchange, id string) answer {
	t := c.token(tokenOf(x.r))
	if t == nil || !t.valid(c.opts.Now()) {
		return unauthorized().answer(x)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	may := t.admin()
	if c.policy.ReadProjects != nil {
		may = c.policy.ReadProjects(slices.Clone(t.roles))
	}
	p := c.projects[id]
	action := "identity:get_project"
	if id == "" {
		action = "identity:list_projects"
	}
	switch {
	case !may && (p == nil || t.projectID != id):
		return (&refusal{status: http.StatusForbidden, text: "You are not authorized to perform the requested action: " + action + "."}).answer(x)
	case id == "":
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(c.projects)) {
			list = append(list, c.projectObject(x, c.projects[id]))
		}
		return projectsAnswer(x, "/identity/v3/projects", list)
	case p == nil:
		return (&refusal{status: http.StatusNotFound, text: "Could not find project: " + id + "."}).answer(x)
	}
	return jsonAnswer(http.StatusOK, append(appendValue(nil, object{{"project", c.projectObject(x, p)}}, true), '\n'))
}

// decodeLogin reads the body of a login as far as it is needed to tell a malformed one.
func decodeLogin(x *exchange) (*loginBody, *refusal) {
	if len(x.body) == 0 {
		return nil, expecting("auth in request body")
	}
	if mime := x.r.Header.Get("Content-Type"); mime != "" && !strings.HasPrefix(mime, "application/json") {
		return nil, expecting("application/json in Content-Type header")
	}
	if trimmed := bytes.TrimSpace(x.body); !json.Valid(trimmed) || trimmed[0] != '{' {
		return nil, expecting("valid JSON in request body")
	}
	var b loginBody
	if err := json.Unmarshal(x.body, &b); err != nil {
		return nil, &refusal{status: http.StatusBadRequest, text: "Invalid input for field: " + err.Error()}
	}
	switch {
	case b.Auth == nil:
		return nil, expecting("auth in request body")
	case b.Auth.Identity == nil:
		return nil, &refusal{status: http.StatusBadRequest, text: "'identity' is a required property"}
	}
	return &b, nil
}
