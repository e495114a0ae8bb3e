// Package config reads exporter.yml: it decodes strictly, fills in the defaults, checks everything that can be checked
// without a network, and returns options for the packages collector and client. What [Load] returns is valid and need
// not be checked again. The package does not watch the file and sends no request.
//
// An error is one line for an operator, with file, line, key, what is wrong and what to write instead. Neither an error
// nor [Config.Redacted] ever contains a secret, so no text of a YAML library is returned where it could quote a value.
package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"

	promconfig "github.com/prometheus/common/config"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// Config is a valid exporter.yml.
type Config struct {
	Clouds []Cloud
	// Files are the paths of all files that it was read from, including those of secrets. A file need not exist.
	Files []string
	// Globs are those of images_files. A new file that matches one of them is a change.
	Globs []string
	// Warnings are about what may be a mistake. Each is one line, like that of a [LoadError].
	Warnings []string

	doc document // with the defaults filled in
}

// LoadError is why a configuration was not loaded.
type LoadError struct {
	text string
	// Files and Globs are like those of [Config], as far as they are known.
	Files, Globs []string
	// Err is why exporter.yml itself could not be read; nil if it was.
	Err error
}

func (e *LoadError) Error() string { return e.text }

// Unwrap returns e.Err.
func (e *LoadError) Unwrap() error { return e.Err }

// Cloud is one entry of clouds.
type Cloud struct {
	// Collector is complete.
	Collector collector.Options
	// Client is complete except for Transport, Secrets, Observer and UserAgent. Its Auth reads secrets, clouds.yaml and
	// the environment again at each call; it may be called concurrently.
	Client client.Options
	// Projects is whether there may be several projects, so that the client is a [client.Projects].
	Projects bool

	auth    auth
	secrets *client.Secrets

	imagesFiles map[string][]string         // the IDs of the images in each file
	globs       []string                    // of images_files
	http        promconfig.HTTPClientConfig // with the TLS settings of clouds.yaml or the environment
}

// Load reads and validates the file at path, which must be a regular file of at most 16 MiB: a reload reads it again,
// and a pipe can be read only once. Its error is a *[LoadError], one line, and begins with path, as given, and the line
// of the first mistake: "exporter.yml:12: clouds[0].images[1].id: <what is wrong>: <what to write instead>". For a
// mistake in a file of images_files it begins with that file: "teams/a.yml:3: [1].id: ...". What cannot be decoded is
// reported before what is inconsistent.
func Load(path string) (*Config, error) {
	text, err := ReadFile(path)
	var instead string
	switch {
	case err == nil:
		return Parse(path, text)
	case errors.Is(err, errTooLarge):
		instead = "has more than 16 MiB: use discover instead of a list of images, or split it between several exporters"
	case errors.Is(err, fs.ErrPermission):
		instead = "permission denied: let the exporter's user read it"
	case errors.Is(err, fs.ErrNotExist):
		instead = "no such file"
		if dir, err := filepath.Abs(filepath.Dir(path)); err == nil && !filepath.IsAbs(path) {
			instead += " in " + dir
		}
		instead += ": write it, or name another one with --config.file"
	default:
		instead = reason(err) + ": write the configuration into a file, and name that with --config.file"
	}
	return nil, &LoadError{text: path + ": " + instead, Files: []string{path}, Err: err}
}

// Parse does what Load does, for a text that was read from path.
func Parse(path string, text []byte) (*Config, error) {
	root, bad := parse(text, "write at least "+minimal)
	if bad != nil {
		return nil, &LoadError{text: bad.in(path), Files: []string{path}}
	}
	w := newWalker()
	b := &builder{walker: w, doc: &document{}, name: path, unusual: map[string]bool{}, origins: map[string]origin{}}
	var clouds []Cloud
	if bad = w.value("", root.Line, root, reflect.ValueOf(b.doc).Elem()); bad == nil {
		clouds = b.build()
		bad = b.first()
	}
	files := append([]string{path}, b.sources()...)
	if bad != nil {
		return nil, &LoadError{text: bad.in(path), Files: files, Globs: b.globs}
	}
	return &Config{Clouds: clouds, Files: files, Globs: b.globs, Warnings: b.warningLines(path), doc: *b.doc}, nil
}

// SameConnection reports whether name, auth, endpoint, region, interface and http are those of o, so that a client made
// for o serves c as well.
func (c Cloud) SameConnection(o Cloud) bool {
	return c.Collector.Name == o.Collector.Name &&
		c.Client.Endpoint == o.Client.Endpoint &&
		c.Client.Region == o.Client.Region &&
		c.Client.Interface == o.Client.Interface &&
		c.Projects == o.Projects &&
		reflect.DeepEqual(c.auth, o.auth) &&
		reflect.DeepEqual(c.http, o.http)
}
