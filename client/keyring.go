package client

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// keyring hands out the keys of another source and remembers the last one.
type keyring struct {
	source KeySource
	closer interface{ Close() } // nil: nothing to close
	last   atomic.Pointer[Key]
}

// newKeyring returns nil where no request is signed.
func newKeyring(opts Options) *keyring {
	switch {
	case opts.Metadata != nil:
		o := *opts.Metadata
		o.Observer, o.UserAgent = opts.Observer, opts.UserAgent
		keys := NewMetadataKeys(o)
		return &keyring{source: keys, closer: keys}
	case opts.Keys != nil:
		return &keyring{source: opts.Keys}
	}
	return nil
}

// Key implements [KeySource].
func (k *keyring) Key(ctx context.Context) (Key, error) {
	key, err := k.source.Key(ctx)
	if err == nil {
		k.last.Store(&key)
	}
	return key, err
}

// recent is the last key, without asking for another one.
func (k *keyring) recent() Key {
	if key := k.last.Load(); key != nil {
		return *key
	}
	return Key{}
}

// refused tells the source that the API refuses the last key.
func (k *keyring) refused() {
	if source, ok := k.source.(interface{ Refused(key Key) }); ok {
		source.Refused(k.recent())
	}
}

// secrets appends what must not be in any text.
func (k *keyring) secrets(others []string) []string {
	if k == nil {
		return others
	}
	key := k.recent()
	return append(slices.Clone(others), key.Secret, key.SecurityToken)
}

func (k *keyring) close() {
	if k != nil && k.closer != nil {
		k.closer.Close()
	}
}

// tooSkewed is the difference of two clocks from which on it explains a refused signature. Huawei Cloud takes a signature
// for 15 minutes.
const tooSkewed = 5 * time.Minute

// clockHint says of a refused signature that a clock is wrong, if one is.
func (c *Client) clockHint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	way := "ahead of"
	if c.skew < 0 {
		way = "behind"
	}
	if c.skew.Abs() < tooSkewed {
		return ""
	}
	return fmt.Sprintf("; the API's clock is %s %s this machine's, and signatures with a wrong time are refused: synchronize the clock", c.skew.Abs().Round(time.Second), way)
}
