package config

import (
	"fmt"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxAliased is how many values aliases may expand to.
const maxAliased = 1_000_000

// A walker decodes YAML nodes into Go values. It differs from yaml.v3's strict mode in three ways: it stops at the
// first mistake and knows its path, its texts are for operators and quote no secret, and a key without a value is a
// mistake. yaml.v3 converts the scalars.
type walker struct {
	lines   map[string]int // of all paths in the file
	files   []fileRef
	types   map[reflect.Type]*layout
	merging map[*yaml.Node]bool
	aliases int // number that are being expanded
	aliased int
}

// fileRef is a path to a file, in a field called file or something_file, or in the list files.
type fileRef struct {
	path  string
	value reflect.Value
}

// defaulter is a value with defaults other than zero.
type defaulter interface{ setDefaults() }

// worder is a mapping that can also be a single word.
type worder interface{ setWord(word string) }

func newWalker() *walker {
	return &walker{lines: map[string]int{}, types: map[reflect.Type]*layout{}, merging: map[*yaml.Node]bool{}}
}

// lineOf returns the line of a path, or that of its nearest parent that exists.
func (w *walker) lineOf(path string) int {
	for {
		if line, ok := w.lines[path]; ok || path == "" {
			return line
		}
		path = parent(path)
	}
}

// value decodes n, which is in exporter.yml at line under path, into out.
func (w *walker) value(path string, line int, n *yaml.Node, out reflect.Value) *problem {
	w.lines[path] = line
	bad := func(format string, args ...any) *problem {
		return &problem{line: line, path: path, text: subject(path) + fmt.Sprintf(format, args...)}
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		w.aliases++
		defer func() { w.aliases-- }()
	}
	if w.aliases > 0 {
		if w.aliased++; w.aliased > maxAliased {
			return bad("aliases expand to more than %d values: write them out", maxAliased)
		}
	}
	if null(n) {
		return bad("has no value: write %s%s", wanted(out.Type()), orNothing(path))
	}
	if tag := n.ShortTag(); !strings.HasPrefix(tag, "!!") {
		return bad("begins with !, which marks a tag in YAML: put the value in quotes")
	}
	for out.Kind() == reflect.Pointer {
		if out.IsNil() {
			out.Set(reflect.New(out.Type().Elem()))
		}
		out = out.Elem()
	}
	if d, ok := out.Addr().Interface().(defaulter); ok {
		d.setDefaults()
	}
	if w, ok := out.Addr().Interface().(worder); ok && n.Kind == yaml.ScalarNode {
		w.setWord(n.Value)
		return nil
	}
	if want := nodeKind(out.Type()); n.Kind != want {
		return bad("must be %s, not %s", wanted(out.Type()), found(n))
	}
	switch {
	case leaf(out.Type()):
		if err := n.Decode(out.Addr().Interface()); err != nil {
			return bad("must be %s%s", wanted(out.Type()), insteadOf(n, out.Type()))
		}
		if out.Kind() == reflect.String {
			if text := unusable(path, out.String(), out.Type() == secretType); text != "" {
				return bad("%s", text)
			}
		}
		return nil
	case out.Kind() == reflect.Slice:
		return w.list(path, n, out)
	case out.Kind() == reflect.Map:
		return w.mapping(path, n, out)
	}
	return w.object(path, n, out)
}

func (w *walker) list(path string, n *yaml.Node, out reflect.Value) *problem {
	out.Set(reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if bad := w.value(fmt.Sprintf("%s[%d]", path, i), item.Line, item, out.Index(i)); bad != nil {
			return bad
		}
	}
	return nil
}

func (w *walker) mapping(path string, n *yaml.Node, out reflect.Value) *problem {
	pairs, bad := w.pairs(path, n)
	if bad != nil {
		return bad
	}
	if out.IsNil() {
		out.Set(reflect.MakeMapWithSize(out.Type(), len(pairs)))
	}
	for _, p := range pairs {
		if bad := w.entry(path, p, out); bad != nil {
			return bad
		}
	}
	return nil
}

func (w *walker) entry(path string, p pair, out reflect.Value) *problem {
	elem := reflect.New(out.Type().Elem()).Elem()
	if bad := w.value(below(path, p.key.Value), p.key.Line, p.value, elem); bad != nil {
		return bad
	}
	out.SetMapIndex(reflect.ValueOf(p.key.Value), elem)
	return nil
}

func (w *walker) object(path string, n *yaml.Node, out reflect.Value) *problem {
	pairs, bad := w.pairs(path, n)
	if bad != nil {
		return bad
	}
	fields := w.layout(out.Type())
	for _, p := range pairs {
		key := p.key.Value
		index, ok := fields.index[key]
		switch {
		case ok:
			field := out.FieldByIndex(index)
			if bad := w.value(below(path, key), p.key.Line, p.value, field); bad != nil {
				return bad
			}
			w.noteFiles(below(path, key), key, field)
		case fields.rest != nil:
			rest := out.FieldByIndex(fields.rest)
			if rest.IsNil() {
				rest.Set(reflect.MakeMap(rest.Type()))
			}
			if bad := w.entry(path, p, rest); bad != nil {
				return bad
			}
		default:
			return w.unknownKey(path, p.key, out.Type())
		}
	}
	return nil
}

// noteFiles records the paths of files in a field.
func (w *walker) noteFiles(path, key string, field reflect.Value) {
	switch {
	case (key == "file" || strings.HasSuffix(key, "_file")) && field.Kind() == reflect.String:
		w.files = append(w.files, fileRef{path, field})
	case key == "files" && field.Kind() == reflect.Slice:
		for i := range field.Len() {
			w.files = append(w.files, fileRef{fmt.Sprintf("%s[%d]", path, i), field.Index(i)})
		}
	}
}

// layout has the yaml tags of a struct.
type layout struct {
	names []string
	index map[string][]int
	rest  []int // index of an inline map
}

func (w *walker) layout(t reflect.Type) *layout {
	if l := w.types[t]; l != nil {
		return l
	}
	l := &layout{index: map[string][]int{}}
	for _, f := range reflect.VisibleFields(t) {
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-" || (f.Anonymous && opts == "inline"):
		case strings.HasSuffix(name, "_ref"): // a name in a secret manager, which is not supported
		case opts == "inline" && f.Type.Kind() == reflect.Map:
			l.rest = f.Index
		case name != "":
			l.names = append(l.names, name)
			l.index[name] = f.Index
		}
	}
	w.types[t] = l
	return l
}
