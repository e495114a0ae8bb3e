package config

import (
	"bytes"
	"fmt"
	"os"
	"regexp"

	"gopkg.in/yaml.v3"
)

// readYAML reads one of OpenStack's files, whose keys are not ours to check.
func readYAML(path string, into any) ([]byte, *fault) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault{"clouds_yaml", unreadable(path, err).Error()}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, faultf("clouds_yaml", "%s is empty: write clouds into it, or remove it", path)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		bad := syntax(text, err)
		return nil, faultf("clouds_yaml", "%s:%d: %s", path, bad.line, bad.text)
	}
	if err := root.Decode(into); err != nil {
		return nil, faultf("clouds_yaml", "%s%s: a key that is there twice, or a list or mapping in place of a string: correct it there", path, lineIn(err))
	}
	return text, nil
}

var typeErrorLine = regexp.MustCompile(`line (\d+): `)

// lineIn returns ":12" of an error of yaml.v3, whose text may quote a secret.
func lineIn(err error) string {
	if m := typeErrorLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf(":%s", m[1])
	}
	return ""
}
