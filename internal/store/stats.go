package store

// Stats is what a table holds beside its objects, with its limits. Each number is of the moment; they need not fit each other.
type Stats struct {
	Revision              Revision // of the state
	Events                int      // in all rings
	EventBytes, EventMost int64
	Cursors               int
	Forms                 int // decoded objects and other encodings that are cached
	FormBytes, FormMost   int64
	Waiters               int // for a revision
}

// Stats returns what the table holds now.
func (t *Table) Stats() Stats {
	s := Stats{Revision: t.Snapshot().Revision(), EventBytes: t.budget.used.Load(), EventMost: t.budget.limit, Waiters: int(t.waiters.count.Load())}
	for _, c := range *t.collections.Load() {
		events, cursors := c.ring.count()
		s.Events += events
		s.Cursors += cursors
	}
	s.Forms, s.FormBytes, s.FormMost = t.cache.count()
	return s
}

func (r *ring) count() (events, cursors int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cursors = r.all.readers
	for _, q := range r.topics {
		cursors += q.readers
	}
	return len(r.all.events), cursors
}

func (k *formCache) count() (forms int, bytes, most int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.slots), k.bytes, k.limit
}
