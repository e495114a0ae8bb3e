package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// elsewhere has keys of clouds.yaml and of other exporters, with their paths here.
var elsewhere = map[string]string{
	"cacert": "http.tls_config.ca_file", "cert": "http.tls_config.cert_file", "key": "http.tls_config.key_file",
	"verify": "http.tls_config.insecure_skip_verify", "insecure": "http.tls_config.insecure_skip_verify",
	"image_endpoint_override": "endpoint", "tenant_name": "project_name", "tenant_id": "project_id",
}

// unknownKey returns the problem of an unknown key, with what to write instead. It quotes only the part before a colon:
// "password:hunter2", without a space, is a key.
func (w *walker) unknownKey(path string, key *yaml.Node, t reflect.Type) *problem {
	known := w.layout(t).names
	name, _, colon := strings.Cut(key.Value, ":")
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return len(name) < 2 || !strings.HasPrefix(k, name[:2]) })
	below := w.find(t, name)
	text := fmt.Sprintf("unknown key %q: ", shorten(name))
	switch {
	case colon && slices.Contains(known, name):
		text = fmt.Sprintf("no space after the colon of %q: write %s: VALUE", name, name)
	case len(known) == 0:
		text += "there are no keys here, write {}"
	case len(below) > 0 && len(below) <= 3:
		text += "write " + enumerate(below, "or") + " instead"
	case w.has(t, elsewhere[name]):
		text += "write " + elsewhere[name] + " instead"
	case len(near) > 0:
		text += "did you mean " + enumerate(near, "or") + "?"
	default:
		text += "the keys here are " + strings.Join(known, ", ")
	}
	return &problem{line: key.Line, path: path, text: text}
}

// find returns the paths below t that end in key, only the shortest ones.
func (w *walker) find(t reflect.Type, key string) (paths []string) {
	type place struct {
		path string
		t    reflect.Type
	}
	for level := []place{{"", t}}; len(level) > 0 && len(paths) == 0; {
		var next []place
		for _, p := range level {
			l := w.layout(p.t)
			for _, name := range l.names {
				path, field := joinKey(p.path, name), p.t.FieldByIndex(l.index[name]).Type
				for field.Kind() == reflect.Pointer || field.Kind() == reflect.Slice && field != secretType {
					if field.Kind() == reflect.Slice {
						path += "[]"
					}
					field = field.Elem()
				}
				if name == key {
					paths = append(paths, strings.TrimSuffix(path, "[]"))
				}
				if field.Kind() == reflect.Struct && !leaf(field) {
					next = append(next, place{path, field})
				}
			}
		}
		level = next
	}
	return paths
}

// has reports whether t has a path such as http.tls_config.
func (w *walker) has(t reflect.Type, path string) bool {
	name, rest, deeper := strings.Cut(path, ".")
	index, ok := w.layout(t).index[name]
	if !ok || !deeper {
		return ok
	}
	field := t.FieldByIndex(index).Type
	return field.Kind() == reflect.Struct && w.has(field, rest)
}
