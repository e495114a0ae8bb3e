package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// problem is one mistake. Its text is what is wrong and what to write instead.
type problem struct {
	line int    // 0: not known yet, and path is relative to the part that was checked
	path string // empty: the complete part
	text string
	file string // empty: exporter.yml
}

func (p *problem) Error() string {
	text := p.text
	if p.path != "" {
		text = p.path + ": " + text
	}
	if p.line > 0 {
		text = fmt.Sprintf("%d: %s", p.line, text)
	}
	return text
}

// in returns the problem with its file. name is the path of exporter.yml.
func (p *problem) in(name string) string { return cmp.Or(p.file, name) + ":" + p.Error() }

// compare sorts problems from the top of exporter.yml to its bottom, followed by those of other files.
func (p *problem) compare(o *problem) int {
	return cmp.Or(cmp.Compare(p.file, o.file), cmp.Compare(p.line, o.line))
}

func problemf(path, format string, args ...any) *problem {
	return &problem{path: path, text: fmt.Sprintf(format, args...)}
}

// reason returns why a file could not be read, without the path that an *fs.PathError repeats.
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

// oneLine returns the message of a library in one line.
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
