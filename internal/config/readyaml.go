package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"syscall"

	"gopkg.in/yaml.v3"
)

// maxFile is how large a file of the configuration may be.
const maxFile = 16 << 20

var errTooLarge = errors.New("has more than 16 MiB")

// ReadFile reads a regular file, or the one that a symbolic link points to.
func ReadFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errTooLarge
	}
	return text, err
}

// openFile opens a regular file. It never waits for another process, as opening a named pipe would.
func openFile(path string) (*os.File, error) {
	// Opening a device can have an effect, so it is refused before that. The opened file is checked again, because the
	// path may refer to another file meanwhile.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, irregularError(info.Mode())
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = irregularError(info.Mode())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// irregularError is the mode of something that is not a regular file.
type irregularError fs.FileMode

func (e irregularError) Error() string {
	switch mode := fs.FileMode(e); {
	case mode.IsDir():
		return "is a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "is a pipe, not a regular file"
	case mode&fs.ModeSocket != 0:
		return "is a socket, not a regular file"
	case mode&fs.ModeDevice != 0:
		return "is a device, not a regular file"
	}
	return "is not a regular file"
}

// readYAML reads one of OpenStack's files. It does not refuse unknown keys there.
func readYAML(path string, into any) *problem {
	text, err := ReadFile(path)
	if _, ok := errors.AsType[irregularError](err); ok || errors.Is(err, errTooLarge) {
		return problemf("clouds_yaml", "%s %s: name a regular file of at most 16 MiB", path, err)
	}
	if err != nil {
		return problemf("clouds_yaml", "%s", unreadable(path, err))
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		bad := syntax(text)
		return problemf("clouds_yaml", "%s:%d: %s", path, bad.line, bad.text)
	}
	if root.IsZero() {
		return nil // empty, or only comments
	}
	if err := root.Decode(into); err != nil {
		return unusableYAML(path, err)
	}
	return nil
}

func unusableYAML(path string, err error) *problem {
	return problemf("clouds_yaml", "%s%s: a duplicate key, or a list or mapping where a string is expected: correct it", path, lineIn(err))
}

var typeErrorLine = regexp.MustCompile(`line (\d+): `)

// lineIn returns the line in an error of yaml.v3, as ":12". The text of the error may quote a secret.
func lineIn(err error) string {
	if m := typeErrorLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf(":%s", m[1])
	}
	return ""
}
