package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The bounds of a response. Each is far above what a cloud has.
const (
	maxBody      = 16 << 20 // bytes of a response; 1,000 images are about 1 MB, 5,000 members too
	maxErrorBody = 64 << 10
	bigBody      = 1 << 20 // bytes from which on few bodies are read at a time
	manyValues   = 10_000  // values from which on few are decoded at a time: an empty row of 3 bytes needs a hundred then
	maxBigBodies = 4

	maxMembers      = 10_000          // of one image
	maxValues       = 500_000         // in the objects and arrays of a response
	maxMemberValues = 16 * maxMembers // of a list of members, whose rows have eight
	maxText         = 512             // bytes of a text
	maxName         = 4 * 255         // bytes of an image's name, as many as Glance allows, because rules match its end, too
	maxID           = 256             // bytes of a member's ID, as many as a label shows, so that two members never look the same
	maxMarker       = 4096
)

// readBody reads a body of at most maxBody bytes into buf. For a long one, and for one of many values, it acquires the slot.
func readBody(ctx context.Context, buf *bytes.Buffer, body io.Reader, slot *bigBodySlot) (tooLong bool, err error) {
	_, err = buf.ReadFrom(io.LimitReader(body, bigBody))
	// In few steps: a buffer that doubles each time leaves as much garbage as it holds.
	at := bigBody
	for _, most := range []int{4 * bigBody, maxBody + 1} {
		if err != nil || buf.Len() < at {
			break
		}
		if err = slot.acquire(ctx); err == nil {
			rest := most - buf.Len()
			buf.Grow(rest + bytes.MinRead)
			_, err = buf.ReadFrom(io.LimitReader(body, int64(rest)))
		}
		at = most
	}
	if err == nil && bytes.Count(buf.Bytes(), []byte(",")) > manyValues {
		err = slot.acquire(ctx)
	}
	return buf.Len() > maxBody, err
}

// bigBodySlot is needed to hold a body in memory that is long, or large once decoded. There are few, so that a hundred such
// bodies do not need a hundred times the memory.
type bigBodySlot struct {
	all  chan struct{}
	held bool
}

func (s *bigBodySlot) acquire(ctx context.Context) error {
	if s.held {
		return nil
	}
	select {
	case s.all <- struct{}{}:
		s.held = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *bigBodySlot) release() {
	if s.held {
		<-s.all
	}
}

// checkSize returns an error for a response that is small in bytes and large once decoded, such as a million empty rows.
func checkSize(body []byte, most int) error {
	if bytes.Count(body, []byte(",")) > most && commas(body) > most {
		return fmt.Errorf("response with more than %d values", most)
	}
	return nil
}

// commas counts the commas between values. An image's owner may write any number of others into a property.
func commas(body []byte) (n int) {
	quoted := false
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++ // Outside of a string JSON has none.
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

// bounded returns s, shortened to most bytes. A shortened text ends in its hash, so that two long texts stay different.
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
