package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	promconfig "github.com/prometheus/common/config"
)

const maxSecret = 64 << 10

// secret is a value in exporter.yml or in a file.
type secret struct {
	key   string // in exporter.yml, relative to auth
	value promconfig.Secret
	file  string
}

// check returns a problem unless exactly one of value and file is set and the file can be read.
func (s secret) check() *problem {
	short := lastKey(s.key)
	switch {
	case s.value != "" && s.file != "":
		return problemf(s.key+"_file", "is set together with %s: keep only one", short)
	case s.value == "" && s.file == "":
		return problemf(s.key, "is required: write %s or %s_file", short, short)
	}
	_, bad := s.read()
	return bad
}

// read returns the current secret.
func (s secret) read() (string, *problem) {
	if s.file == "" {
		return string(s.value), nil
	}
	text, err := readSecret(s.file)
	if err != nil {
		return "", problemf(s.key+"_file", "%s", err)
	}
	return text, nil
}

// readSecret reads a file whose only line is a secret.
func readSecret(path string) (string, error) {
	text, err := readSmall(path)
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(text, "\ufeff"), strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return "", fmt.Errorf("%s begins with a byte order mark: save it as UTF-8 without one", path)
	case !utf8.ValidString(text):
		return "", fmt.Errorf("%s is not UTF-8: save it as UTF-8", path)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("%s has more than one line: write the secret alone, in one line", path)
	}
	return text, nil
}

// readSmall returns the text of a file without the line breaks at its end.
func readSmall(path string) (string, error) {
	f, err := openFile(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", unreadable(path, err)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("%s has more than 64 KiB: name a file that holds the secret alone", path)
	}
	trimmed := strings.TrimRight(string(text), "\r\n")
	if trimmed == "" {
		return "", fmt.Errorf("%s is empty: write the secret into it", path)
	}
	return trimmed, nil
}

// placeholder matches what other programs replace with the value of a variable.
var placeholder = regexp.MustCompile(`^\s*(\$\{.+\}|\$\(.+\)|\$OS_[A-Z_]+|\{\{.+\}\})\s*$`)

// unusable returns what is wrong with the value at path in exporter.yml, or "".
func unusable(path, value string, secret bool) string {
	switch {
	case placeholder.MatchString(value):
		instead := "the value itself"
		if secret && !strings.HasSuffix(path, "]") {
			instead = "the path of a file with the secret as " + lastKey(path) + "_file"
		}
		switch parent(pattern(path)) {
		case "clouds[].auth.password", "clouds[].auth.application_credential", "clouds[].auth.token":
			instead += ", or use auth: {env: {}}"
		}
		return "is a placeholder, which is not expanded: write " + instead
	case secret && strings.ContainsAny(value, "\r\n") && !strings.Contains(value, "PRIVATE KEY"):
		return "contains a line break: write it in the line of its key"
	}
	return ""
}

// readable returns an error unless path is a regular file that can be opened. A pipe could be read only once.
func readable(path string) error {
	f, err := openFile(path)
	if err != nil {
		return unreadable(path, err)
	}
	_ = f.Close()
	return nil
}

func unreadable(path string, err error) error {
	if _, ok := errors.AsType[irregularError](err); ok {
		return fmt.Errorf("%s is not a regular file: name a file", path)
	}
	what := "correct the path"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what = "correct the path, or create the file"
	case errors.Is(err, fs.ErrPermission):
		what = "let the exporter's user read it"
	}
	return fmt.Errorf("%s cannot be read, %s: %s", path, reason(err), what)
}

// expand resolves a path in exporter.yml: ~/ is the home directory, and a relative path is relative to dir.
func expand(dir, path string) string { return promconfig.JoinDir(dir, home(path)) }

func home(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if dir, err := os.UserHomeDir(); err == nil {
			return filepath.Join(dir, rest)
		}
	}
	return path
}
