package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/floe-k8s/floe/internal/store"
)

// past gathers what writers were told of one log, in the order in which they were.
type past struct {
	from store.Revision          // of the state that it begins with
	base map[string]store.Record // that state

	mu       sync.Mutex
	last     store.Revision // the newest that was acknowledged, or from
	acked    []acknowledged
	refusals []store.ConflictError
}

type acknowledged struct {
	txn    store.Txn
	revs   []store.Revision
	before store.Revision // the newest one that had been acknowledged when it was begun
}

func newPast(s *store.Snapshot) *past {
	p := &past{from: s.Revision(), last: s.Revision(), base: map[string]store.Record{}}
	for item := range s.Ascend("", "") {
		p.base[item.Key] = store.Record{Revision: item.Revision, Key: item.Key, Value: item.Value()}
	}
	return p
}

func (p *past) newest() store.Revision {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *past) add(a acknowledged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked = append(p.acked, a)
	p.last = max(p.last, a.revs[len(a.revs)-1])
}

func (p *past) refuse(c store.ConflictError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusals = append(p.refusals, c)
}

// any returns some acknowledged revision.
func (p *past) any(rng *rand.Rand) store.Revision {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.acked) == 0 {
		return p.from
	}
	revs := p.acked[rng.IntN(len(p.acked))].revs
	return revs[rng.IntN(len(revs))]
}

// chronicle is a past put in order.
type chronicle struct {
	*past
	changes []lawChange
}

// lawChange is one record, and what it replaced.
type lawChange struct {
	store.Record
	was store.Record // its Revision 0: nothing
}

// event says whether watchers hear of it: the deletion of what is not there is none.
func (c *lawChange) event() bool { return c.Value != nil || c.was.Revision != 0 }

// settle puts in order what was acknowledged, and holds it against itself: every revision once, each transaction in one piece and above all that
// was acknowledged before it began, conditions true and refusals founded. Nobody writes meanwhile.
func (p *past) settle() (*chronicle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(p.acked, func(a, b acknowledged) int { return compareRevisions(a.revs[0], b.revs[0]) })
	h := &chronicle{past: p}
	state := h.state(0)
	for _, a := range p.acked {
		if a.revs[0] <= a.before {
			return nil, fmt.Errorf("transaction %v began after %d had been acknowledged", a.revs, a.before)
		}
		for _, c := range a.txn.Conditions {
			if is := state[c.Key].Revision; is != c.Revision {
				return nil, fmt.Errorf("transaction %v: condition on %s at %d held, it was at %d", a.revs, c.Key, c.Revision, is)
			}
		}
		for i, c := range a.txn.Changes {
			if at := h.end(); a.revs[i] <= at {
				return nil, fmt.Errorf("transaction %v: revision %d follows %d", a.revs, a.revs[i], at)
			}
			change := lawChange{store.Record{Revision: a.revs[i], Key: c.Key, Value: c.Value, Previous: state[c.Key].Revision}, state[c.Key]}
			h.changes = append(h.changes, change)
			change.replace(state)
		}
	}
	return h, h.founded()
}

// founded wants that what refusals found was once there.
func (h *chronicle) founded() error {
	type version struct {
		key string
		at  store.Revision
	}
	existed := map[version]bool{}
	for key, r := range h.base {
		existed[version{key, r.Revision}] = true
	}
	for i := range h.changes {
		c := &h.changes[i]
		existed[version{c.Key, c.Revision}] = c.Value != nil
	}
	for _, r := range h.refusals {
		if r.Found == r.Wanted || r.Found != 0 && !existed[version{r.Key, r.Found}] {
			return fmt.Errorf("a refusal found %s at %d, where it never was, and wanted %d", r.Key, r.Found, r.Wanted)
		}
	}
	return nil
}

func compareRevisions(a, b store.Revision) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *lawChange) replace(state map[string]store.Record) {
	if c.Value == nil {
		delete(state, c.Key)
		return
	}
	state[c.Key] = c.Record
}

// end is the revision of the newest change.
func (h *chronicle) end() store.Revision {
	if n := len(h.changes); n > 0 {
		return h.changes[n-1].Revision
	}
	return h.from
}

// state returns what there was at a revision.
func (h *chronicle) state(at store.Revision) map[string]store.Record {
	state := map[string]store.Record{}
	for key, r := range h.base {
		state[key] = r
	}
	for i := range h.changes {
		if h.changes[i].Revision <= at {
			h.changes[i].replace(state)
		}
	}
	return state
}

// revisions returns all, the one it begins with included.
func (h *chronicle) revisions() []store.Revision {
	revs := []store.Revision{h.from}
	for i := range h.changes {
		revs = append(revs, h.changes[i].Revision)
	}
	return revs
}

// compare wants that events are what happened in a scope in (from, upTo], each once and in order.
func (h *chronicle) compare(s scope, from, upTo store.Revision, events []store.Event) error {
	n := 0
	for i := range h.changes {
		c := &h.changes[i]
		if c.Revision <= from || c.Revision > upTo || !c.event() || !s.has(c.Key, c.Value) && !s.has(c.Key, c.was.Value) {
			continue
		}
		if n == len(events) {
			return fmt.Errorf("in (%d, %d]: change %d of %s was not seen, nor anything after it", from, upTo, c.Revision, c.Key)
		}
		if err := c.same(events[n]); err != nil {
			return fmt.Errorf("in (%d, %d]: %w", from, upTo, err)
		}
		n++
	}
	if n < len(events) {
		return fmt.Errorf("in (%d, %d]: event %d was seen and never happened", from, upTo, events[n].Revision)
	}
	return nil
}

func (c *lawChange) same(e store.Event) error {
	if e.Revision != c.Revision {
		return fmt.Errorf("change %d of %s was to be seen, and event %d came", c.Revision, c.Key, e.Revision)
	}
	for _, side := range []struct {
		name string
		got  *store.Item
		want store.Record
	}{{"item", e.Item, c.Record}, {"previous item", e.Previous, c.was}} {
		there := side.want.Value != nil
		if there != (side.got != nil) {
			return fmt.Errorf("event %d of %s: has %s: %t, want %t", e.Revision, c.Key, side.name, !there, there)
		}
		if there && (side.got.Key != c.Key || side.got.Revision != side.want.Revision || !bytes.Equal(side.got.Value(), side.want.Value)) {
			return fmt.Errorf("event %d of %s: %s is %s at %d, want %d with another value or key", e.Revision, c.Key, side.name, side.got.Key, side.got.Revision, side.want.Revision)
		}
	}
	return nil
}
