package fakecloud

import (
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"time"
)

// tokenAnswer renders a token as Keystone does. An unscoped token has neither project, roles nor catalog.
func (c *Cloud) tokenAnswer(x *exchange, status int, t *token, withCatalog bool) answer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	domain := object{{"id", "default"}, {"name", c.opts.Domain}}
	o := object{
		{"methods", list(t.methods)},
		{"user", object{{"domain", domain}, {"id", t.user.id}, {"name", t.user.name}, {"password_expires_at", passwordEnd(t.user)}}},
		{"audit_ids", list(t.auditIDs)},
		{"expires_at", keystoneTime(t.expires)},
		{"issued_at", keystoneTime(t.issued)},
	}
	switch t.scope {
	case projectScope:
		o = append(o,
			field{"project", object{{"domain", c.domainOf(t.projectID, domain)}, {"id", t.projectID}, {"name", c.projects[t.projectID].name}}},
			field{"is_domain", false})
	case domainScope:
		o = append(o, field{"domain", domain})
	}
	if t.scope != unscoped {
		var roles []any
		for _, r := range t.roles {
			roles = append(roles, object{{"id", stableID("role", r)}, {"name", r}})
		}
		o = append(o, field{"roles", roles})
	}
	if t.scope == systemScope {
		o = append(o, field{"system", object{{"all", true}}})
	}
	if t.scope != unscoped && withCatalog {
		o = append(o, field{"catalog", c.catalogFor(x)})
	}
	if a := t.appCred; a != nil {
		o = append(o, field{"application_credential", a.object()})
	}
	ans := jsonAnswer(status, appendValue(nil, object{{"token", o}}, true))
	ans.header.Set("X-Subject-Token", t.id)
	return ans
}

// domainOf is a project's domain, home unless it is another one. The caller holds the lock.
func (c *Cloud) domainOf(projectID string, home object) object {
	if id := c.projects[projectID].domain; id != "default" {
		return object{{"id", id}, {"name", id}}
	}
	return home
}

// object is how a token shows the credential that it was got with.
func (a *AppCredential) object() object {
	o := object{{"id", a.ID}, {"name", a.Name}, {"restricted", !a.Unrestricted}}
	var rules []any
	for _, r := range a.AccessRules {
		rules = append(rules, object{{"id", stableID("rule", r.Method, r.Path)}, {"service", "image"}, {"path", r.Path}, {"method", r.Method}})
	}
	if rules != nil {
		o = append(o, field{"access_rules", rules})
	}
	return o
}

// catalogFor lists both services in all regions, on the URL that this request came by. The caller holds the lock.
func (c *Cloud) catalogFor(x *exchange) []any {
	identity := func(_, _ string) string { return x.base + "/identity/v3" }
	image := func(region, iface string) string {
		if c.catalog.ImageURL != nil {
			return c.catalog.ImageURL(region, iface, x.base)
		}
		if c.opts.Huawei {
			return x.base + "/" + serviceIMS
		}
		if region == c.opts.Region {
			return x.base + "/" + serviceImage
		}
		return x.base + "/regions/" + region + "/" + serviceImage
	}
	services := []any{c.service("identity", "keystone", identity)}
	switch {
	case c.catalog.NoImageService:
	case c.catalog.ImageURLs != nil:
		services = append(services, c.imageServices(x.base)...)
	default:
		services = append(services, c.service("image", "glance", image))
	}
	if c.opts.Huawei {
		for _, kind := range huaweiServices {
			services = append(services, c.service(kind, kind, func(region, iface string) string {
				if iface != "public" {
					return ""
				}
				return "https://" + kind + "." + region + ".example.com"
			}))
		}
	}
	return services
}

// imageServices are as many services of type image as an endpoint has URLs.
func (c *Cloud) imageServices(base string) (services []any) {
	for n := 0; ; n++ {
		s := c.service("image", "glance", func(region, iface string) string {
			if urls := c.catalog.ImageURLs(region, iface, base); n < len(urls) {
				return urls[n]
			}
			return ""
		})
		if endpoints, _ := s[0].value.([]any); len(endpoints) == 0 {
			return services
		}
		if n > 0 {
			s[1].value = stableID("service", "image", strconv.Itoa(n))
		}
		services = append(services, s)
	}
}

func (c *Cloud) service(kind, name string, url func(region, iface string) string) object {
	endpoints := []any{}
	for _, region := range append([]string{c.opts.Region}, c.opts.Regions...) {
		for _, iface := range []string{"public", "internal", "admin"} {
			u := url(region, iface)
			if u == "" {
				continue
			}
			endpoints = append(endpoints, object{
				{"id", stableID("endpoint", kind, region, iface)},
				{"interface", iface},
				{"region_id", region},
				{"url", u},
				{"region", region},
			})
		}
	}
	return object{{"endpoints", endpoints}, {"id", stableID("service", kind)}, {"type", kind}, {"name", name}}
}

// huaweiServices are some of the other services of Huawei Cloud's catalog.
var huaweiServices = []string{
	"compute", "computev2.1", "ecs", "network", "vpc", "volumev2", "volumev3", "evs", "object", "rds", "dds", "dcs", "dms", "cce", "swr",
	"as", "elb", "nat", "dns", "kms", "smn", "ces", "cts", "tms", "eps", "functiongraph", "mrs", "waf", "antiddos", "vbs",
	"cbr", "orchestration",
}

func list(s []string) []any {
	out := make([]any, len(s))
	for i, v := range s {
		out[i] = v
	}
	return out
}

func passwordEnd(u *user) any {
	return unlessNull(!u.passwordEnds.IsZero(), u.passwordEnds.UTC().Format("2006-01-02T15:04:05.000000")) // without a zone
}

func keystoneTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// stableID is the same for the same name in every cloud.
func stableID(parts ...string) string {
	h := md5.New()
	for _, p := range parts {
		h.Write([]byte(p + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil))
}
