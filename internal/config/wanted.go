package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

var (
	durationType = reflect.TypeFor[model.Duration]()
	secretType   = reflect.TypeFor[promconfig.Secret]()
	urlType      = reflect.TypeFor[promconfig.URL]()
	tlsType      = reflect.TypeFor[promconfig.TLSVersion]()
)

// exampler is a mapping with an example.
type exampler interface{ example() string }

// leaf reports whether yaml.v3 decodes values of type t.
func leaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return t == urlType
	case reflect.Map:
		return t.Elem().Kind() == reflect.Interface
	case reflect.Slice:
		return false
	}
	return true
}

func nodeKind(t reflect.Type) yaml.Kind {
	switch {
	case t.Kind() == reflect.Slice:
		return yaml.SequenceNode
	case t.Kind() == reflect.Map || (t.Kind() == reflect.Struct && t != urlType):
		return yaml.MappingNode
	}
	return yaml.ScalarNode
}

// wanted returns in words what a value of type t is.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case durationType:
		return "a duration in whole numbers such as 1500ms or 30s"
	case secretType:
		return "a string, in quotes if it begins with a special character"
	case urlType:
		return "a URL such as http://proxy.example.com:3128"
	case tlsType:
		return "TLS12 or TLS13"
	}
	if w, ok := reflect.Zero(t).Interface().(interface{ wanted() string }); ok {
		return w.wanted()
	}
	if e, ok := reflect.Zero(t).Interface().(exampler); ok {
		if e.example() == "{}" {
			return "{}"
		}
		return "a mapping such as " + e.example()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false, without quotes"
	case reflect.Int:
		return "a whole number such as 8"
	case reflect.Float64:
		return "a number such as 10 or 0.5"
	case reflect.Slice:
		if e, ok := reflect.Zero(t.Elem()).Interface().(exampler); ok {
			return "a list such as [" + e.example() + "]"
		}
		return "a list such as [a, b]"
	case reflect.Map, reflect.Struct:
		return "a mapping, lines of key: value"
	}
	return "a string"
}

// subject returns the subject of a message about the complete file, or "".
func subject(path string) string {
	if path == "" {
		return "the file "
	}
	return ""
}

// required are the paths that cannot be omitted, except the kind of auth.
var required = map[string]bool{
	"clouds": true, "clouds[].name": true, "clouds[].auth": true, "clouds[].images[].id": true,
	"clouds[].auth.clouds_yaml.cloud": true, "clouds[].auth.none.project_id": true,
	"clouds[].auth.password.auth_url": true, "clouds[].auth.application_credential.auth_url": true,
}

var listIndex = regexp.MustCompile(`\[\d+\]`)

// pattern returns a path without the indexes of its lists.
func pattern(path string) string { return listIndex.ReplaceAllString(path, "[]") }

func orNothing(path string) string {
	path = pattern(path)
	if required[path] || strings.HasSuffix(path, "[]") || parent(path) == "clouds[].auth" {
		return ""
	}
	return ", or remove the key"
}

func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// insteadOf quotes a scalar where it can't be a secret.
func insteadOf(n *yaml.Node, t reflect.Type) string {
	if t == durationType || t.Kind() == reflect.Int || t.Kind() == reflect.Float64 || t.Kind() == reflect.Bool {
		return fmt.Sprintf(", not %q", shorten(n.Value))
	}
	return ""
}
