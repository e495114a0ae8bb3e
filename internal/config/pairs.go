package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the entries of a mapping, and those of << that the mapping does not have itself.
func (w *walker) pairs(path string, n *yaml.Node) ([]pair, *problem) {
	var own, merged []pair
	first := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode || null(key) {
			return nil, &problem{line: key.Line, path: path, text: subject(path) + "has a key that is not a string: write key: value"}
		}
		if key.ShortTag() == "!!merge" {
			more, bad := w.merge(path, key.Line, value)
			if bad != nil {
				return nil, bad
			}
			merged = append(merged, more...)
			continue
		}
		if line, ok := first[key.Value]; ok {
			name, _, _ := strings.Cut(key.Value, ":") // the rest may be a secret
			return nil, &problem{line: key.Line, path: below(path, shorten(name)), text: fmt.Sprintf("is already set in line %d: remove one", line)}
		}
		first[key.Value] = key.Line
		own = append(own, pair{key, value})
	}
	for _, p := range merged {
		if _, ok := first[p.key.Value]; !ok {
			first[p.key.Value] = p.key.Line
			own = append(own, p)
		}
	}
	return own, nil
}

// merge returns the entries that << adds. In a list, the first mapping with a key wins.
func (w *walker) merge(path string, line int, value *yaml.Node) ([]pair, *problem) {
	bad := &problem{line: line, path: path, text: "<< must have an alias of a mapping, or a list of them, as in <<: *defaults"}
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	sources := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		sources = value.Content
	}
	var all []pair
	for _, source := range sources {
		if source.Kind == yaml.AliasNode {
			source = source.Alias
		}
		if source.Kind != yaml.MappingNode {
			return nil, bad
		}
		if w.merging[source] {
			return nil, &problem{line: line, path: path, text: "<< merges a mapping into itself: remove it"}
		}
		if w.aliased += 1 + len(source.Content); w.aliased > maxAliased {
			return nil, &problem{line: line, path: path, text: fmt.Sprintf("aliases expand to more than %d values: write them out", maxAliased)}
		}
		w.merging[source] = true
		pairs, err := w.pairs(path, source)
		delete(w.merging, source)
		if err != nil {
			return nil, err
		}
		all = append(all, pairs...)
	}
	return all, nil
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}
