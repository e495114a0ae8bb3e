package client

// recent is a map that forgets what was of no use lately: the keys that were put or found since the turn before the last.
// It has 2*most of them at the most.
type recent[V any] struct {
	most     int
	cur, old map[string]V
}

func newRecent[V any](most int) *recent[V] {
	return &recent[V]{most: most, cur: map[string]V{}}
}

func (r *recent[V]) put(key string, v V) {
	if _, ok := r.cur[key]; !ok && len(r.cur) == r.most {
		r.turn()
	}
	r.cur[key] = v
}

func (r *recent[V]) get(key string) (v V, ok bool) {
	if v, ok = r.cur[key]; ok {
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.put(key, v)
	}
	return v, ok
}

func (r *recent[V]) delete(key string) {
	delete(r.cur, key)
	delete(r.old, key)
}

// turn forgets what was of no use since the last one.
func (r *recent[V]) turn() {
	r.cur, r.old = map[string]V{}, r.cur
}

func (r *recent[V]) clear() {
	clear(r.cur)
	r.old = nil
}

func (r *recent[V]) len() int { return len(r.cur) + len(r.old) } // at least as many as there are
