package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a server may make us keep. Each bound is far beyond what a cloud has.
const (
	maxBody      = 16 << 20 // bytes of an answer; 1,000 records of images are about 1 MB, 5,000 members the same
	maxErrorBody = 64 << 10
	bigBody      = 1 << 20 // from here on, few bodies are read at a time
	manyValues   = 10_000  // and from so many entries on, few are decoded: an empty row of 3 bytes takes a hundred then
	maxBigBodies = 4

	maxMembers      = 10_000          // of one image
	maxValues       = 500_000         // of one answer: its objects and arrays have no more entries than that
	maxMemberValues = 16 * maxMembers // of one list of members, whose rows have eight
	maxText         = 512             // bytes of a text that are kept
	maxID           = 256             // bytes of a member's ID that are kept, as many as a label shows: two members never look the same
	maxMarker       = 4096
)

// turn is the right to have a body in memory that is long, or large once decoded. There are few, so that a hundred of
// those do not take a hundred times the memory.
type turn struct {
	all   chan struct{}
	taken bool
}

func (t *turn) take(ctx context.Context) error {
	if t.taken {
		return nil
	}
	select {
	case t.all <- struct{}{}:
		t.taken = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turn) end() {
	if t.taken {
		<-t.all
	}
}

// readBody reads a body of at most maxBody bytes into buf. It takes the turn for a long one, and for one of many values.
func readBody(ctx context.Context, buf *bytes.Buffer, body io.Reader, turn *turn) (tooLong bool, err error) {
	_, err = buf.ReadFrom(io.LimitReader(body, bigBody))
	// In few steps: a buffer that doubles each time leaves as much behind as it has, for the garbage collector.
	at := bigBody
	for _, most := range []int{4 * bigBody, maxBody + 1} {
		if err != nil || buf.Len() < at {
			break
		}
		if err = turn.take(ctx); err == nil {
			rest := most - buf.Len()
			buf.Grow(rest + bytes.MinRead)
			_, err = buf.ReadFrom(io.LimitReader(body, int64(rest)))
		}
		at = most
	}
	if err == nil && bytes.Count(buf.Bytes(), []byte(",")) > manyValues {
		err = turn.take(ctx)
	}
	return buf.Len() > maxBody, err
}

// checkSize returns an error for an answer that is small in bytes and large once decoded, as a million empty rows are.
func checkSize(body []byte, most int) error {
	if bytes.Count(body, []byte(",")) > most && commas(body) > most {
		return fmt.Errorf("response with more than %d values", most)
	}
	return nil
}

// commas counts the commas between values: an image's owner may write any number of them into a property.
func commas(body []byte) (n int) {
	quoted := false
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++ // outside of a text there is none in JSON
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				n++
			}
		}
	}
	return n
}

// bounded is s, cut where it has more bytes than most. What was cut ends in its hash, so that two long texts stay two.
func bounded(s string, most int) string {
	if len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	cut := s[:most-1-2*len(sum)]
	for len(cut) > 0 && !utf8.ValidString(cut[max(0, len(cut)-utf8.UTFMax):]) && !utf8.RuneStart(s[len(cut)]) {
		cut = cut[:len(cut)-1]
	}
	return strings.Clone(cut) + "-" + hex.EncodeToString(sum[:])
}

// keySet is a set of keys.
type keySet struct {
	keys    []string
	lengths uint64 // that they have, as bits
}

func newKeySet(keys ...string) keySet {
	s := keySet{keys: keys}
	for _, key := range keys {
		if len(key) >= 64 {
			panic("a key of 64 bytes or more: " + key)
		}
		s.lengths |= 1 << len(key)
	}
	return s
}

// checkKeys returns an error if the outermost object has one of the keys outer more than once, in whatever letters, or an
// object right inside of it, or in a list right inside of it, one of the keys inner. Go's decoder takes them all, and the
// last one wins: an empty list could hide another, an end of the pages a next one, and a member another member.
func checkKeys(body []byte, outer, inner keySet) error {
	if plain(body) && !repeated(body, outer, inner) {
		return nil
	}
	return checkObject(body, outer, func(value json.RawMessage) error {
		var rows []json.RawMessage
		switch {
		case len(inner.keys) == 0:
			return nil
		case value[0] == '{':
			rows = append(rows, value)
		case value[0] == '[':
			if err := json.Unmarshal(value, &rows); err != nil {
				return shapeError(err)
			}
		}
		for _, row := range rows {
			if row[0] != '{' {
				continue
			}
			if err := checkObject(row, inner, func(json.RawMessage) error { return nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkObject returns an error if an object has one of the keys more than once, or if check does for one of its values.
func checkObject(body []byte, keys keySet, check func(value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if _, err := dec.Token(); err != nil {
		return shapeError(err)
	}
	seen := make([]bool, len(keys.keys))
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return shapeError(err)
		}
		for k, key := range keys.keys {
			if s, ok := name.(string); ok && strings.EqualFold(s, key) {
				if seen[k] {
					return errors.New("response with duplicate key " + strconv.Quote(key))
				}
				seen[k] = true
			}
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return shapeError(err)
		}
		if err := check(value); err != nil {
			return err
		}
	}
	return nil
}

// plain reports whether every letter of a key that Go takes for one in ASCII is one, and every quote ends or begins a text.
func plain(body []byte) bool {
	return bytes.IndexByte(body, '\\') < 0 && !bytes.Contains(body, longS) && !bytes.Contains(body, kelvinSign)
}

// The letters outside of ASCII that fold to one in it.
var longS, kelvinSign = []byte("\u017f"), []byte("\u212a")

// repeated reports whether a plain body has one of the keys outer more than once in the outermost object, or one of the
// keys inner in one right inside of it, be it as a value. A key of something further inside may make it report that as well.
func repeated(body []byte, outer, inner keySet) bool {
	var top, row, depth int // the keys that the outermost object has, and the one inside, as bits
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{':
			if depth++; depth == 2 {
				row = 0
			}
		case '}':
			depth--
		case '"':
			n := bytes.IndexByte(body[i+1:], '"')
			if n < 0 {
				return false // and no JSON
			}
			text := body[i+1 : i+1+n]
			i += n + 1
			keys, seen := &outer, &top
			if depth != 1 {
				keys, seen = &inner, &row
			}
			if n >= 64 || keys.lengths&(1<<n) == 0 {
				continue
			}
			for k, key := range keys.keys {
				if n == len(key) && (string(text) == key || strings.EqualFold(string(text), key)) {
					if *seen&(1<<k) != 0 {
						return true
					}
					*seen |= 1 << k
				}
			}
		}
	}
	return false
}
