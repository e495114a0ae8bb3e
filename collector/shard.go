package collector

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// MaxShards is the maximum number of shards of a cloud.
const MaxShards = 1024

// Shard is a part of a cloud's images. Number is from 1 to Of. The zero value is all images. The shard of an image
// follows from its ID alone, so that any exporter may collect any shard. If one shard is added, only the images that
// move to it change their shard.
type Shard struct{ Number, Of int }

// ParseShard parses the format of [Shard.String], such as 2/8.
func ParseShard(s string) (Shard, error) {
	number, of, ok := strings.Cut(s, "/")
	n, errN := strconv.Atoi(number)
	m, errM := strconv.Atoi(of)
	shard := Shard{n, m}
	if !ok || errN != nil || errM != nil || n < 1 || m < n || m > MaxShards || shard.String() != s {
		return Shard{}, fmt.Errorf("%q is not a valid shard: write one such as 2/8, from 1/8 to 8/8, of at most %d", s, MaxShards)
	}
	return shard, nil
}

func (s Shard) String() string {
	if s == (Shard{}) {
		return ""
	}
	return strconv.Itoa(s.Number) + "/" + strconv.Itoa(s.Of)
}

// has reports whether an image is in the shard.
func (s Shard) has(id string) bool { return s.Of < 2 || jump(id, s.Of) == s.Number-1 }

// jump returns the bucket of an ID among n buckets, by John Lamping's and Eric Veach's jump consistent hash
// (https://arxiv.org/abs/1406.2294): a random walk through the numbers of buckets at which the ID changes its bucket.
func jump(id string, n int) int {
	sum := sha256.Sum256([]byte(id))
	state := binary.BigEndian.Uint64(sum[:])
	place, next := int64(-1), int64(0)
	for next < int64(n) {
		place = next
		state = state*2862933555777941757 + 1
		next = int64(float64(place+1) * (float64(int64(1)<<31) / float64(state>>33+1)))
	}
	return int(place)
}

// shardsSeen is what configured depends on besides the options.
type shardsSeen struct {
	before int // [Options].Shards before they last changed; 0: none
	first  int // first number of shards of which all were scraped; 0: none
}

// note sets first once all shards of a number have a state.
func (s *shardsSeen) note(parts map[Shard]*shardState, of int) {
	if s.first != 0 {
		return
	}
	for n := range of {
		if parts[Shard{n + 1, of}] == nil {
			return
		}
	}
	s.first = max(of, 1)
}

// configured reports whether a shard is one that the operator scrapes: all images, or a shard of the current or
// previous number in [Options].Shards. Without that number, the first number of shards that were all scraped counts,
// and until then any number. Any client can request others from /probe. The caller holds mu.
func (c *Cloud) configured(s Shard) bool {
	if s.Of < 2 || s.Of == c.opts.Shards || s.Of == c.shards.before {
		return true
	}
	return c.opts.Shards == 0 && (c.shards.first == 0 || s.Of == c.shards.first)
}
