package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// lawKeys are what writers write: two collections, and keys outside of all.
var lawKeys = func() (keys []string) {
	for i := range 10 {
		keys = append(keys, fmt.Sprint("/pods/a/", i), fmt.Sprint("/pods/b/", i), fmt.Sprint("/leases/", i))
	}
	return append(keys, "/other/1", "/other/2")
}()

// writer commits random transactions, one after the other.
type writer struct {
	*round
	rng     *rand.Rand
	trouble func(*writer) error // nil: none is this one's to make
	every   int                 // transactions
}

func (w *writer) write(count int) error {
	e := w.now.get()
	for i := range count {
		if w.trouble != nil && i%w.every == w.every-1 {
			if err := w.trouble(w); err != nil {
				return err
			}
		}
		for {
			done, err := w.commit(e, w.txn(e))
			if err != nil {
				return err
			}
			if done {
				break
			}
			select {
			case <-e.over:
				e = w.now.get()
			case <-w.ctx.Done():
				return w.ctx.Err()
			}
		}
	}
	return nil
}

// commit waits until the table shows the transaction. It returns false when the log was closed and nothing has been written.
func (w *writer) commit(e *epoch, txn store.Txn) (done bool, _ error) {
	before := w.past.newest()
	revs, err := e.table.Commit(w.ctx, txn)
	if err == nil {
		err = ownWrites(e, txn, revs)
	}
	return w.note(acknowledged{txn, revs, before}, err)
}

// append is commit for somebody who does not wait for the table.
func (w *writer) append(e *epoch, txn store.Txn) (done bool, _ error) {
	before := w.past.newest()
	revs, err := e.log.Append(w.ctx, txn)
	return w.note(acknowledged{txn, revs, before}, err)
}

// note keeps what the log has answered.
func (w *writer) note(a acknowledged, err error) (done bool, _ error) {
	var conflict *store.ConflictError
	switch {
	case len(a.revs) > 0:
		w.past.add(a)
		w.tally.add("transactions", 1)
		if errors.Is(err, store.ErrClosed) {
			err = nil // it is durable all the same, and no reader of this epoch need see it
		}
		return true, err
	case errors.As(err, &conflict):
		w.past.refuse(*conflict)
		w.tally.add("conflicts", 1)
		return true, nil
	case errors.Is(err, store.ErrClosed):
		return false, nil
	}
	return false, fmt.Errorf("commit: %w", err)
}

// ownWrites wants that who wrote reads at least that.
func ownWrites(e *epoch, txn store.Txn, revs []store.Revision) error {
	now := e.table.Snapshot()
	if last := revs[len(revs)-1]; now.Revision() < last {
		return fmt.Errorf("revision %d is acknowledged, the table is at %d", last, now.Revision())
	}
	for i, c := range txn.Changes {
		if item := now.Get(c.Key); item != nil && item.Revision < revs[i] {
			return fmt.Errorf("%s was written at revision %d, the table has %d", c.Key, revs[i], item.Revision)
		}
	}
	return nil
}

func (w *writer) txn(e *epoch) store.Txn {
	n := 1 + w.rng.IntN(4)
	if w.rng.IntN(40) == 0 {
		n = len(lawKeys) / 2
	}
	txn := store.Txn{Actor: "someone", Cause: "a test"}
	for _, i := range w.rng.Perm(len(lawKeys))[:n] {
		key := lawKeys[i]
		if w.rng.IntN(3) == 0 {
			item, _ := e.table.Head(key)
			if w.rng.IntN(4) == 0 {
				item.Revision++ // never true
			}
			txn.Conditions = append(txn.Conditions, conditionOn(key, item))
		}
		c := store.Change{Key: key, Minor: w.rng.IntN(3) == 0}
		if w.rng.IntN(4) > 0 {
			c.Value = fmt.Appendf(nil, "%c%016x%*s", 'a'+rune(w.rng.IntN(4)), w.rng.Uint64(), w.width(), "")
		}
		txn.Changes = append(txn.Changes, c)
	}
	return txn
}

// width is the blanks that a value ends with: a few, and at times so many that the table holds it packed.
func (w *writer) width() int {
	if w.rng.IntN(50) == 0 {
		return 20<<10 + w.rng.IntN(60)
	}
	return w.rng.IntN(60)
}

// conditionOn wants the item where it was seen; a deletion's revision says that the key is absent.
func conditionOn(key string, item store.Item) store.Condition {
	if item.Value() == nil {
		return store.Condition{Key: key}
	}
	return store.Condition{Key: key, Revision: item.Revision}
}
