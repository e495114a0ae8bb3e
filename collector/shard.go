package collector

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// MaxShards is how many parts a cloud can be split into.
const MaxShards = 1024

// Shard is one of the parts that a cloud's images are split into, Number from 1 to Of. The zero value is all of them. Which
// images are in it follows from their IDs alone, so that any exporter may collect any shard. With one part more, only the
// images that move into it change their place.
type Shard struct{ Number, Of int }

// ParseShard reads what [Shard.String] writes, as in 2/8.
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

// jump places an ID in one of n buckets, by John Lamping's and Eric Veach's jump consistent hash
// (https://arxiv.org/abs/1406.2294): a random walk through the numbers of buckets at which the ID changes its place.
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

// shardsSeen is what decides which shards are the operator's.
type shardsSeen struct {
	before int // [Options].Shards before they last changed; 0: none
	first  int // of which all numbers were scraped first; 0: none
}

// note notes that shards of a number were scraped.
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

// configured reports whether a shard, or the whole, is one that the operator has scraped: [Options].Shards says so, or did
// before they changed. Without it, the first number of shards that were all scraped counts, and until then any. Anybody may
// request others from /probe. The caller holds mu.
func (c *Cloud) configured(s Shard) bool {
	if s.Of < 2 || s.Of == c.opts.Shards || s.Of == c.shards.before {
		return true
	}
	return c.opts.Shards == 0 && (c.shards.first == 0 || s.Of == c.shards.first)
}
