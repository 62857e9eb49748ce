package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/floe-k8s/floe/internal/store"
)

// model is a log as simple as it can be: all records that there ever were, in order. Their times are left out.
type model struct {
	records   []store.Record
	newest    map[string]store.Record // deletions too
	compacted store.Revision          // the end of a transaction; 0: nothing is
}

// last is the revision of the newest record.
func (m *model) last() store.Revision {
	if n := len(m.records); n > 0 {
		return m.records[n-1].Revision
	}
	return 0
}

// exists returns the revision of a key, 0 when it is absent.
func (m *model) exists(key string) store.Revision {
	if r := m.newest[key]; r.Value != nil {
		return r.Revision
	}
	return 0
}

// wants returns the first condition that does not hold; nil: all do.
func (m *model) wants(txn store.Txn) *store.ConflictError {
	for _, c := range txn.Conditions {
		if found := m.exists(c.Key); found != c.Revision {
			return &store.ConflictError{Key: c.Key, Wanted: c.Revision, Found: found}
		}
	}
	return nil
}

// apply enters a transaction that was taken.
func (m *model) apply(txn store.Txn, revs []store.Revision) error {
	if len(revs) != len(txn.Changes) {
		return fmt.Errorf("%d changes got %d revisions", len(txn.Changes), len(revs))
	}
	for i, c := range txn.Changes {
		if revs[i] <= m.last() {
			return fmt.Errorf("revision %d follows %d", revs[i], m.last())
		}
		r := store.Record{
			Revision: revs[i], Key: c.Key, Previous: m.exists(c.Key), Value: c.Value,
			Actor: txn.Actor, Cause: txn.Cause, Minor: c.Minor, Last: i == len(revs)-1,
		}
		m.records = append(m.records, r)
		m.newest[c.Key] = r
	}
	return nil
}

// state returns the newest record at a revision of every key in [from, to), in key order, deletions left out. minorGone says that a minor
// one that was superseded, and may have been dropped, is needed to know it.
func (m *model) state(at store.Revision, from, to string) (state []store.Record, minorGone bool) {
	found := map[string]store.Record{}
	for _, r := range m.records {
		if r.Revision <= at && r.Key >= from && (to == "" || r.Key < to) {
			found[r.Key] = r
		}
	}
	for _, r := range found {
		minorGone = minorGone || r.Minor && r.Revision != m.newest[r.Key].Revision
		if r.Value != nil {
			state = append(state, r)
		}
	}
	slices.SortFunc(state, byKey)
	return state, minorGone
}

func byKey(a, b store.Record) int {
	if a.Key < b.Key {
		return -1
	}
	return 1
}

// versions returns the records of a key, the newest first.
func (m *model) versions(key string) (all []store.Record) {
	for _, r := range m.records {
		if r.Key == key {
			all = append(all, r)
		}
	}
	slices.Reverse(all)
	return all
}

// after returns the records after a revision.
func (m *model) after(rev store.Revision) []store.Record {
	for i := range m.records {
		if m.records[i].Revision > rev {
			return m.records[i:]
		}
	}
	return nil
}

// find returns the record at a revision; one of revision 0 when there is none.
func (m *model) find(rev store.Revision) store.Record {
	if all := m.after(rev - 1); rev > 0 && len(all) > 0 && all[0].Revision == rev {
		return all[0]
	}
	return store.Record{}
}

// ends returns the revisions at which transactions end.
func (m *model) ends() (ends []store.Revision) {
	for _, r := range m.records {
		if r.Last {
			ends = append(ends, r.Revision)
		}
	}
	return ends
}

// gone is a revision up to which a compaction has taken what was superseded, on every engine: the newest transaction that it
// names may be kept whole, with what it replaced. 0: nothing has to be gone.
func (m *model) gone() store.Revision {
	ends := m.ends()
	i := slices.Index(ends, m.compacted)
	if i < 1 {
		return 0
	}
	return ends[i-1]
}

// sameState wants records with these keys, values and revisions. What else is known of them depends on the engine.
func sameState(want, got []store.Record) error {
	return same(want, got, func(w, g *store.Record) bool { return true })
}

// sameRecords wants records that are the same but for their time.
func sameRecords(want, got []store.Record) error {
	return same(want, got, func(w, g *store.Record) bool {
		return w.Previous == g.Previous && w.Actor == g.Actor && w.Cause == g.Cause && w.Minor == g.Minor && w.Last == g.Last
	})
}

func same(want, got []store.Record, further func(w, g *store.Record) bool) error {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("%d records, want %d; missing: %s", len(got), len(want), show(&want[i]))
		case i >= len(want):
			return fmt.Errorf("%d records, want %d; not wanted: %s", len(got), len(want), show(&got[i]))
		}
		w, g := &want[i], &got[i]
		bare := w.Revision == g.Revision && w.Key == g.Key && (w.Value == nil) == (g.Value == nil) && bytes.Equal(w.Value, g.Value)
		if !bare || !further(w, g) {
			return fmt.Errorf("record %d is %s, want %s", i, show(g), show(w))
		}
	}
	return nil
}

func show(r *store.Record) string {
	value := fmt.Sprintf("%q", r.Value)
	if r.Value == nil {
		value = "deleted"
	}
	return fmt.Sprintf("%s=%s @%d after %d (actor %q, cause %q, minor %t, last %t)", r.Key, value, r.Revision, r.Previous, r.Actor, r.Cause, r.Minor, r.Last)
}

// modelKeys are few, so that each has a history, and some begin like others.
var modelKeys = []string{"a", "a!", "a/b", "a/bc", "a/bc/d", "b", "c", "c/1", "c/10", "c/2", "d", "e"}

// random makes a transaction, whose conditions hold more often than not.
func (m *model) random(rng *rand.Rand) store.Txn {
	txn := store.Txn{Actor: []string{"", "ann", "bob"}[rng.IntN(3)], Cause: []string{"", "rollout"}[rng.IntN(2)]}
	for _, i := range rng.Perm(len(modelKeys))[:1+rng.IntN(4)] {
		key := modelKeys[i]
		if rng.IntN(2) == 0 {
			rev := m.exists(key)
			if rng.IntN(6) == 0 {
				rev = m.newest[key].Revision + store.Revision(rng.IntN(3))
			}
			txn.Conditions = append(txn.Conditions, store.Condition{Key: key, Revision: rev})
		}
		change := store.Change{Key: key, Minor: rng.IntN(4) == 0}
		if rng.IntN(3) > 0 {
			change.Value = fmt.Appendf(nil, "%016x", rng.Uint64())[:rng.IntN(17)]
		}
		txn.Changes = append(txn.Changes, change)
	}
	return txn
}
