package storetest

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/internal/store"
)

// model is a log as simple as it can be: what the newest record of each key is.
type model struct {
	newest map[string]store.Revision
	values map[string]string
}

// wants returns the first condition that does not hold; nil: all do.
func (m *model) wants(txn store.Txn) *store.ConflictError {
	for _, c := range txn.Conditions {
		if found := m.newest[c.Key]; found != c.Revision {
			return &store.ConflictError{Key: c.Key, Wanted: c.Revision, Found: found}
		}
	}
	return nil
}

func (m *model) apply(txn store.Txn, revs []store.Revision) {
	for i, c := range txn.Changes {
		if c.Value == nil {
			delete(m.newest, c.Key)
			delete(m.values, c.Key)
			continue
		}
		m.newest[c.Key] = revs[i]
		m.values[c.Key] = string(c.Value)
	}
}

func (m *model) random(rng *rand.Rand) store.Txn {
	var txn store.Txn
	for _, i := range rng.Perm(12)[:1+rng.IntN(4)] {
		key := fmt.Sprintf("key%d", i)
		if rng.IntN(2) == 0 {
			rev := m.newest[key]
			if rng.IntN(5) == 0 {
				rev += store.Revision(1 + rng.IntN(3))
			}
			txn.Conditions = append(txn.Conditions, store.Condition{Key: key, Revision: rev})
		}
		change := store.Change{Key: key}
		if rng.IntN(3) > 0 {
			change.Value = fmt.Appendf([]byte{}, "%x", rng.Uint64())
		}
		txn.Changes = append(txn.Changes, change)
	}
	return txn
}

func testModel(t *testing.T, open Opener) {
	var random [8]byte
	crand.Read(random[:])
	seed := binary.NativeEndian.Uint64(random[:])
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m := model{newest: map[string]store.Revision{}, values: map[string]string{}}
	log := mustOpen(t, open)
	for range 600 {
		if rng.IntN(100) == 0 {
			if err := log.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			log = mustOpen(t, open)
		}
		txn := m.random(rng)
		want := m.wants(txn)
		revs, err := log.Append(t.Context(), txn)
		if want == nil {
			if err != nil {
				t.Fatalf("append %+v: %v", txn, err)
			}
			m.apply(txn, revs)
			continue
		}
		var got *store.ConflictError
		if !errors.As(err, &got) || *got != *want {
			t.Fatalf("append %+v: got %v, want %v", txn, err, want)
		}
	}
	if diff := cmp.Diff(m.values, contents(t, log)); diff != "" {
		t.Errorf("contents (-model +log):\n%s", diff)
	}
}
