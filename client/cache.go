package client

// cache is a map that drops the keys that were neither put nor found since the last rotation but one. It holds at most
// twice as many keys as most.
type cache[V any] struct {
	most     int
	cur, old map[string]V
}

func newCache[V any](most int) *cache[V] {
	return &cache[V]{most: most, cur: map[string]V{}}
}

func (c *cache[V]) put(key string, v V) {
	if _, ok := c.cur[key]; !ok && len(c.cur) == c.most {
		c.rotate()
	}
	c.cur[key] = v
}

func (c *cache[V]) get(key string) (v V, ok bool) {
	if v, ok = c.cur[key]; ok {
		return v, true
	}
	if v, ok = c.old[key]; ok {
		c.put(key, v)
	}
	return v, ok
}

func (c *cache[V]) delete(key string) {
	delete(c.cur, key)
	delete(c.old, key)
}

// rotate drops the keys that were neither put nor found since the last rotation.
func (c *cache[V]) rotate() {
	c.cur, c.old = map[string]V{}, c.cur
}

func (c *cache[V]) clear() {
	clear(c.cur)
	c.old = nil
}
