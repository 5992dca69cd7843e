package scim

import (
	lists "container/list"
	"sync"
)

// recent remembers a bounded number of things, and forgets what was least recently asked for or told.
// It is safe for concurrent use.
type recent[Key comparable, Value any] struct {
	most int

	mutex   sync.Mutex
	entries map[Key]*lists.Element
	order   lists.List // of remembered, the latest in front
}

type remembered[Key comparable, Value any] struct {
	key   Key
	value Value
}

// get finds what was put under a key.
func (r *recent[Key, Value]) get(key Key) (value Value, found bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry, found := r.entries[key]
	if !found {
		return value, false
	}
	r.order.MoveToFront(entry)
	return entry.Value.(*remembered[Key, Value]).value, true
}

// put remembers a value in the place of the one before. There is room for it.
func (r *recent[Key, Value]) put(key Key, value Value) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if entry, found := r.entries[key]; found {
		entry.Value.(*remembered[Key, Value]).value = value
		r.order.MoveToFront(entry)
		return
	}
	if r.entries == nil {
		r.entries = map[Key]*lists.Element{}
	}
	if last := r.order.Back(); len(r.entries) >= r.most && last != nil {
		delete(r.entries, r.order.Remove(last).(*remembered[Key, Value]).key)
	}
	r.entries[key] = r.order.PushFront(&remembered[Key, Value]{key, value})
}

// drop forgets a key.
func (r *recent[Key, Value]) drop(key Key) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if entry, found := r.entries[key]; found {
		r.order.Remove(entry)
		delete(r.entries, key)
	}
}
