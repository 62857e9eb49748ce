package store

import (
	"math"
	"sync"
	"sync/atomic"
)

// formOverhead is charged for each form beside its bytes: the form itself, its slot, the object's header.
const formOverhead = 128

// form is one cached decoded object or encoding. Forms of one item are a list that is replaced, never changed,
// so that readers need no lock.
type form struct {
	id    FormID
	value any
	bytes []byte
	size  int64
	used  atomic.Bool // since the clock's hand last passed
	next  *form
}

// formCache bounds all forms of one store. It evicts like a clock: the hand goes round, and takes what was not used since
// it last passed. Sweeps take what has not been used for a while although there is room: a burst of changes is decoded for those who follow them, once,
// and would fill the cache for good.
type formCache struct {
	limit int64 // bytes

	mu    sync.Mutex
	bytes int64 // of all slots
	slots []formSlot
	hand  int // index of the next slot to look at
}

type formSlot struct {
	cell *cell
	id   FormID
	size int64
	aged bool // a sweep has seen it
}

// add caches f under c. When c has one already, that is returned.
func (k *formCache) add(c *cell, f *form) *form {
	f.size += formOverhead
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := c.find(f.id); old != nil {
		return old
	}
	if f.size > k.limit {
		return f // larger than the whole cache: made each time
	}
	for k.bytes+f.size > k.limit {
		k.evictLocked()
	}
	f.next = c.forms.Load()
	c.forms.Store(f)
	k.slots = append(k.slots, formSlot{cell: c, id: f.id, size: f.size})
	k.bytes += f.size
	return f
}

// evictLocked takes one form away. It ends, since each look clears a mark; marks set meanwhile only delay it.
func (k *formCache) evictLocked() {
	for {
		if k.hand >= len(k.slots)-1 { // the last is the newest
			k.hand = 0
		}
		s := k.slots[k.hand]
		if k.second(s) {
			k.hand++
			continue
		}
		k.dropLocked(k.hand)
		k.hand++ // the newest has come to the place: it has its round before it, else a full cache would not keep what all followers are about to read
		return
	}
}

// dropLocked takes slot i's form away; the last slot takes its place.
func (k *formCache) dropLocked(i int) {
	s := k.slots[i]
	s.cell.forms.Store(without(s.cell.forms.Load(), s.id))
	k.bytes -= s.size
	last := len(k.slots) - 1
	k.slots[i] = k.slots[last]
	k.slots[last] = formSlot{}
	k.slots = k.slots[:last]
}

// sweepStep is how many slots are looked at under one hold of the lock.
const sweepStep = 512

// sweep takes away every form that was there at the sweep before and has not been used since. Each slot is looked at once: from the
// last to the first, so that what moves into a place that became free has been looked at. It returns the bytes of what it took.
func (k *formCache) sweep() (freed int64) {
	for next := math.MaxInt; next > 0; {
		var bytes int64
		next, bytes = k.sweepSome(next)
		freed += bytes
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.slots) < cap(k.slots)/4 {
		k.slots = append(make([]formSlot, 0, 2*len(k.slots)), k.slots...)
	}
	return freed
}

// sweepSome looks at some slots below end. It returns where it came to, and the bytes of what it took.
func (k *formCache) sweepSome(end int) (next int, freed int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	end = min(end, len(k.slots))
	stop := max(0, end-sweepStep)
	for i := end - 1; i >= stop; i-- {
		s := &k.slots[i]
		if !k.second(*s) && s.aged {
			freed += s.size
			k.dropLocked(i)
			continue
		}
		s.aged = true
	}
	return stop, freed
}

// second gives a used form its second chance.
func (k *formCache) second(s formSlot) bool {
	for f := s.cell.forms.Load(); f != nil; f = f.next {
		if f.id == s.id {
			return f.used.Swap(false)
		}
	}
	return false
}

// without returns the list without one form. Links of a form are never changed while readers may follow them, so what
// stands before it is made anew.
func without(f *form, id FormID) *form {
	if f == nil {
		return nil
	}
	if f.id == id {
		return f.next
	}
	c := &form{id: f.id, value: f.value, bytes: f.bytes, size: f.size, next: without(f.next, id)}
	c.used.Store(f.used.Load())
	return c
}
