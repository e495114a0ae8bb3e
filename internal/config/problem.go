package config

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// problem is one mistake in exporter.yml. Its text says what is wrong and what to write instead.
type problem struct {
	line int
	path string // empty: the file as a whole
	text string
}

func (p *problem) Error() string {
	if p.path == "" {
		return fmt.Sprintf("%d: %s", p.line, p.text)
	}
	return fmt.Sprintf("%d: %s: %s", p.line, p.path, p.text)
}

// fault is a problem that does not know yet where in exporter.yml it is.
type fault struct {
	key  string // below the part that was looked at; empty: that part itself
	text string
}

func (f *fault) Error() string {
	if f.key == "" {
		return f.text
	}
	return f.key + ": " + f.text
}

func faultf(key, format string, args ...any) *fault {
	return &fault{key, fmt.Sprintf(format, args...)}
}

// reason says why a file could not be read, without the path that an *fs.PathError repeats.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, syscall.EISDIR):
		return "is a directory"
	}
	if perr, ok := errors.AsType[*fs.PathError](err); ok {
		err = perr.Err
	}
	return oneLine(err.Error())
}

// oneLine keeps what a library says in one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// parent returns the path without its last part.
func parent(path string) string {
	if strings.HasSuffix(path, `"]`) {
		return path[:max(strings.Index(path, `["`), 0)]
	}
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// below appends a key to a path.
func below(path, key string) string {
	if !plainKey(key) {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func plainKey(key string) bool {
	for _, c := range key {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return key != ""
}
