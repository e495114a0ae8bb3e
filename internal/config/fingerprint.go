package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

// maxFingerprint bounds what is read of a file to see whether it changed.
const maxFingerprint = 16 << 20

// fingerprint tells the contents of files apart.
type fingerprint [sha256.Size]byte

// fingerprintOf reads the files. One that cannot be read is as good as a content of its own.
func fingerprintOf(files []string) fingerprint {
	all := sha256.New()
	for _, path := range files {
		sum, err := contentOf(path)
		fmt.Fprintf(all, "%q %x %t\n", path, sum, err == nil)
	}
	return fingerprint(all.Sum(nil))
}

func contentOf(path string) ([]byte, error) {
	if err := readable(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	_, err = io.Copy(sum, io.LimitReader(f, maxFingerprint))
	return sum.Sum(nil), err
}
