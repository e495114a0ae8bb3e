package exporter

import (
	"crypto/sha256"
	"maps"
	"slices"

	"glance_share_exporter/internal/config"
)

// contents are the SHA-256 sums of files, by path. The sum of a file that cannot be read is zero.
type contents map[string][sha256.Size]byte

// contentsOf reads the files. It calls reading before each of them.
func contentsOf(files []string, reading func(path string)) contents {
	c := contents{}
	for _, path := range files {
		reading(path)
		if text, err := config.ReadFile(path); err == nil {
			c[path] = sha256.Sum256(text)
		} else {
			c[path] = [sha256.Size]byte{}
		}
	}
	return c
}

// has reports whether c has each of the files, readable or not.
func (c contents) has(files []string) bool {
	for _, path := range files {
		if _, ok := c[path]; !ok {
			return false
		}
	}
	return true
}

// only returns the contents of the files, all of which c has.
func (c contents) only(files []string) contents {
	some := contents{}
	for _, path := range files {
		some[path] = c[path]
	}
	return some
}

// files returns the paths, sorted.
func (c contents) files() []string { return slices.Sorted(maps.Keys(c)) }
