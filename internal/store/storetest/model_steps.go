package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/store"
)

// suiteSteps is how long the random history of the contract suite is: an engine's reads of history may take a tenth of a second. One whose calls
// cost nothing calls Model with more.
const suiteSteps = 100

func testModel(t *testing.T, open Opener) { Model(t, Place{Open: open}, suiteSteps) }

// ageMost is how long a walk may take by the clock of its place. Every engine keeps history longer.
const ageMost = 9 * time.Minute

// Model takes random steps with a log and with a model of it, and compares what both say: conflicts and what they found, the newest state, the states at all
// revisions, versions of keys, recent and followed records, over compaction, reopening and, where the place has a clock to move, time. A
// log may say ErrExpired only of what was compacted, or of a minor version that was superseded, and has to of what is surely gone.
func Model(t *testing.T, place Place, steps int) {
	rng := rand.New(rand.NewPCG(seed(t), 0))
	w := &walk{T: t, rng: rng, place: place, model: model{newest: map[string]store.Record{}}, log: mustOpen(t, place.Open), done: map[string]int{}}
	kinds := []struct {
		name  string
		parts int
		step  func() error
	}{
		{"append", 62, w.append}, {"read at a revision", 17, w.at}, {"versions", 6, w.versions}, {"recent", 5, w.recent}, {"load", 3, w.load},
		{"follow", 3, w.follow}, {"head", 3, w.head}, {"compact", 2, w.compact}, {"age", 1, w.age}, {"reopen", 1, w.reopen},
	}
	var drawn []int
	for i, k := range kinds {
		for range k.parts {
			drawn = append(drawn, i)
		}
	}
	for n := range steps {
		k := kinds[drawn[rng.IntN(len(drawn))]]
		if err := k.step(); err != nil {
			t.Fatalf("step %d, %s: %v", n, k.name, err)
		}
	}
	if err := w.sweep(); err != nil {
		t.Fatalf("after %d steps: %v", steps, err)
	}
	t.Logf("%d records, compacted up to %d of %d, %v", len(w.records), w.compacted, w.last(), w.done)
}

// walk is a log and a model that take the same steps.
type walk struct {
	*testing.T
	model
	rng   *rand.Rand
	place Place
	log   store.Log
	aged  time.Duration
	done  map[string]int // what was seen
}

func (w *walk) append() error {
	txn := w.random(w.rng)
	want := w.wants(txn)
	revs, err := w.log.Append(w.Context(), txn)
	if want == nil {
		if err != nil {
			return fmt.Errorf("%+v: %w", txn, err)
		}
		return w.apply(txn, revs)
	}
	var got *store.ConflictError
	if !errors.As(err, &got) || got.Key != want.Key || got.Wanted != want.Wanted || got.Found != want.Found {
		return fmt.Errorf("%+v: got %v, want %v", txn, err, want)
	}
	w.done["conflicts"]++
	return nil
}

func (w *walk) at() error {
	if len(w.records) == 0 {
		return nil
	}
	if w.rng.IntN(20) == 0 {
		err := w.log.At(w.Context(), w.last()+1000, "", "", func(store.Record) error { return nil })
		if !errors.Is(err, store.ErrFuture) {
			return fmt.Errorf("in the future: got %v, want %v", err, store.ErrFuture)
		}
		return nil
	}
	rev := w.records[w.rng.IntN(len(w.records))].Revision
	if w.rng.IntN(8) == 0 {
		rev-- // where perhaps no record stands
	}
	from, to := "", ""
	if w.rng.IntN(3) > 0 {
		from, to = modelKeys[w.rng.IntN(len(modelKeys))], modelKeys[w.rng.IntN(len(modelKeys))]
		if from == to {
			to += "\x00"
		} else if from > to {
			to = ""
		}
	}
	return w.read(rev, from, to)
}

// read compares a range at one revision.
func (w *walk) read(rev store.Revision, from, to string) error {
	want, minorGone := w.state(rev, from, to)
	var got []store.Record
	err := w.log.At(w.Context(), rev, from, to, collect(&got))
	switch {
	case errors.Is(err, store.ErrExpired) && (rev < w.compacted || minorGone):
		w.done["expired"]++
		return nil
	case err == nil && rev < w.gone() && rev >= w.records[0].Revision:
		err = fmt.Errorf("was read, and %d is compacted", w.compacted)
	case err == nil:
		err = sameState(want, got)
		w.done["read"]++
	}
	if err != nil {
		return fmt.Errorf("at %d from %q to %q: %w", rev, from, to, err)
	}
	return nil
}

func (w *walk) versions() error {
	return w.versionsOf(modelKeys[w.rng.IntN(len(modelKeys))])
}

func (w *walk) versionsOf(key string) error {
	var got []store.Record
	if err := w.log.Versions(w.Context(), key, collect(&got)); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	var next store.Record // what superseded the one that is looked at
	for _, r := range w.model.versions(key) {
		if len(got) > 0 && got[0].Revision == r.Revision {
			if next.Revision != 0 && next.Revision <= w.gone() {
				return fmt.Errorf("%s was superseded by %d, and is there after compaction up to %d", show(&r), next.Revision, w.compacted)
			}
			// Of the oldest one that is left not every engine knows more than what it was.
			compare := sameRecords
			if len(got) == 1 && w.compacted > 0 {
				compare = sameState
			}
			if err := compare([]store.Record{r}, got[:1]); err != nil {
				return err
			}
			got = got[1:]
		} else if !w.droppable(&r, &next) {
			return fmt.Errorf("%s is missing, compacted is %d", show(&r), w.compacted)
		}
		next = r
	}
	if len(got) > 0 {
		return fmt.Errorf("%s never was, or not in this order", show(&got[0]))
	}
	w.done["versions"]++
	return nil
}

// droppable says whether the history of a key may be without a record; next is what superseded it. The deletion of what was absent is no
// version on every engine.
func (w *walk) droppable(r, next *store.Record) bool {
	switch {
	case r.Value == nil && (r.Previous == 0 || r.Revision <= w.compacted):
		return true
	case next.Revision == 0:
		return false
	}
	return r.Minor || next.Revision <= w.compacted
}

func (w *walk) recent() error {
	upTo, err := w.log.Load(w.Context(), func(store.Record) error { return nil })
	if err != nil {
		return err
	}
	window := store.Window{Bytes: []int64{0, 20, 200, 1 << 20}[w.rng.IntN(4)]}
	if w.place.Clock != nil && w.rng.IntN(2) == 0 {
		window.Since = w.place.Clock.Now().Add(-time.Minute)
	}
	var got []store.Record
	bytes := int64(0)
	from, err := w.log.Recent(w.Context(), upTo, window, func(r, replaced store.Record) error {
		got = append(got, r)
		bytes += int64(len(r.Value))
		if r.Time.Before(window.Since) {
			return fmt.Errorf("%s is of %s, wanted none before %s", show(&r), r.Time, window.Since)
		}
		want := w.find(r.Previous)
		if replaced.Revision != r.Previous || string(replaced.Value) != string(want.Value) || r.Previous != 0 && replaced.Key != r.Key {
			return fmt.Errorf("%s replaced %s, is said to have replaced %s", show(&r), show(&want), show(&replaced))
		}
		return nil
	})
	if err != nil {
		return err
	}
	want := w.after(from)
	if n := len(w.records) - len(want); n > 0 && len(want) > 0 && !w.records[n-1].Last {
		return fmt.Errorf("records are complete after %d, inside a transaction", from)
	}
	if bytes > window.Bytes || from > upTo {
		return fmt.Errorf("%d bytes after %d, wanted %d up to %d", bytes, from, window.Bytes, upTo)
	}
	w.done["recent"] += len(got)
	return sameRecords(want, got)
}

func (w *walk) load() error {
	var got []store.Record
	rev, err := w.log.Load(w.Context(), collect(&got))
	if err != nil {
		return err
	}
	if rev < w.last() {
		return fmt.Errorf("state is of revision %d, want %d at least", rev, w.last())
	}
	want, _ := w.state(w.last(), "", "")
	return sameState(want, got)
}

func (w *walk) follow() error {
	ends := append([]store.Revision{0}, w.ends()...)
	after := ends[w.rng.IntN(len(ends))]
	if after == w.last() {
		return nil
	}
	var got []store.Record
	err := w.log.Follow(w.Context(), after, Apply(func(txn []store.Record) error {
		got = append(got, txn...)
		if got[len(got)-1].Revision >= w.last() {
			return errEnough
		}
		return nil
	}))
	switch {
	case errors.Is(err, store.ErrExpired) && (after < w.compacted || w.aged > 0):
		return nil // followers are not waited for as long as readers of history
	case !errors.Is(err, errEnough):
		return fmt.Errorf("after %d, compacted is %d: %w", after, w.compacted, err)
	}
	w.done["followed"] += len(got)
	return sameRecords(w.after(after), got)
}

func (w *walk) head() error {
	key := modelKeys[w.rng.IntN(len(modelKeys))]
	if r, ok := w.log.Head(key); ok {
		return sameState([]store.Record{w.newest[key]}, []store.Record{r})
	}
	return nil
}

func (w *walk) compact() error {
	ends := w.ends()
	if len(ends) == 0 {
		return nil
	}
	rev := ends[w.rng.IntN(len(ends))]
	w.compacted = max(w.compacted, rev)
	return w.log.Compact(w.Context(), rev)
}

// age lets time pass, and the log forget what it need not keep so long: minor versions.
func (w *walk) age() error {
	by := time.Duration(w.rng.IntN(180)) * time.Second
	if w.place.Advance == nil || w.aged+by > ageMost {
		return nil
	}
	w.aged += by
	w.place.Advance(by)
	return w.log.Compact(w.Context(), 0)
}

func (w *walk) reopen() error {
	if err := w.log.Close(); err != nil {
		return err
	}
	w.log = mustOpen(w.T, w.place.Open)
	return nil
}

// sweep reads the state at all revisions, and a few histories.
func (w *walk) sweep() error {
	if err := w.load(); err != nil {
		return err
	}
	for _, r := range slices.Clone(w.records) {
		if err := w.read(r.Revision, "", ""); err != nil {
			return err
		}
	}
	for range 3 {
		if err := w.versions(); err != nil {
			return fmt.Errorf("versions: %w", err)
		}
	}
	if w.done["read"] == 0 || w.done["conflicts"] == 0 {
		return fmt.Errorf("nothing was shown: %v", w.done)
	}
	return nil
}

func collect(to *[]store.Record) func(store.Record) error {
	return func(r store.Record) error {
		*to = append(*to, r)
		return nil
	}
}
