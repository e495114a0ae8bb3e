package collector

import (
	"slices"
	"time"

	"github.com/go-kit/log"
)

// shardState is the state of a shard, or of all images of the cloud.
type shardState struct {
	shard   Shard
	journal journal
	running []*run // that a caller waits for
	used    time.Time
	last    *Snapshot         // returned by a scrape or background run with the current options; nil: none
	before  map[string]Before // by image ID; replaced, never modified
	pace    float64           // images in turns that recent runs read per second; 0: unknown
}

// joinable returns a run that a scrape with a deadline may join, or nil. The caller holds mu.
func (p *shardState) joinable(opts *Options, deadline time.Time) *run {
	half := time.Until(deadline) / 2
	for _, r := range p.running {
		ends := !r.deadline.After(deadline) && time.Until(r.deadline) >= half
		if r.opts == opts && age(r.start) <= half && ends {
			return r
		}
	}
	return nil
}

const (
	maxShardStates  = 2 * MaxShards
	keepShardStates = time.Hour // after their last use
)

// state returns the state of a shard, which it adds if there is none. The caller holds mu.
func (c *Cloud) state(shard Shard) *shardState {
	p := c.states[shard]
	if p == nil {
		c.forgetShardStates()
		p = &shardState{shard: shard, journal: journal{logger: c.logger}}
		if shard != (Shard{}) {
			p.journal.logger = log.With(c.logger, "shard", shard)
		}
		c.states[shard] = p
		c.shards.note(c.states, shard.Of)
	}
	p.used = time.Now()
	return p
}

// forgetShardStates drops the states that are no longer used, as after a change of the number of shards, and the least
// recently used one if there are too many. The caller holds mu.
func (c *Cloud) forgetShardStates() {
	var oldest *shardState
	for shard, p := range c.states {
		switch {
		case len(p.running) > 0:
		case time.Since(p.used) > keepShardStates:
			delete(c.states, shard)
		case oldest == nil || p.used.Before(oldest.used):
			oldest = p
		}
	}
	if oldest != nil && len(c.states) >= maxShardStates {
		delete(c.states, oldest.shard)
	}
}

// newest returns the last started of the shard's running runs, or nil. The caller holds mu.
func (p *shardState) newest() *run {
	if len(p.running) == 0 {
		return nil
	}
	return p.running[len(p.running)-1]
}

func (p *shardState) remove(r *run) {
	p.running = slices.DeleteFunc(p.running, func(o *run) bool { return o == r })
}
