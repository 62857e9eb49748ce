package backup

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/store"
)

// The log's own interfaces are what is saved from and restored into.
var (
	_ Loader   = store.Source(nil)
	_ Appender = store.Writer(nil)
	_ Loader   = (*memory)(nil)
	_ Appender = (*memory)(nil)
)

var (
	noon    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	plainly = Options{Version: "v0.3.0", Time: noon}
)

// memory is a log without a disk: enough of store.Source and store.Writer for a snapshot.
type memory struct {
	mu       sync.Mutex
	assigned store.Revision
	state    map[string]store.Record
	past     []store.Record // every record, deletions included
	txns     int
}

func newMemory(base store.Revision) *memory {
	return &memory{assigned: base, state: map[string]store.Record{}}
}

func (m *memory) Load(_ context.Context, each func(store.Record) error) (store.Revision, error) {
	m.mu.Lock()
	state, rev := maps.Clone(m.state), m.assigned
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if err := each(state[key]); err != nil {
			return 0, err
		}
	}
	return rev, nil
}

func (m *memory) Append(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	if err := errors.Join(ctx.Err(), txn.Check()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range txn.Conditions {
		if found := m.state[c.Key].Revision; found != c.Revision {
			return nil, &store.ConflictError{Key: c.Key, Wanted: c.Revision, Found: found}
		}
	}
	m.txns++
	revs := make([]store.Revision, 0, len(txn.Changes))
	for _, c := range txn.Changes {
		m.assigned++
		r := store.Record{
			Revision: m.assigned, Key: c.Key, Previous: m.state[c.Key].Revision, Value: c.Value, Minor: c.Minor,
			Time: noon.Add(time.Duration(m.assigned) * time.Millisecond), Actor: txn.Actor, Cause: txn.Cause,
		}
		m.past = append(m.past, r)
		if c.Value == nil {
			delete(m.state, c.Key)
		} else {
			m.state[c.Key] = r
		}
		revs = append(revs, m.assigned)
	}
	return revs, nil
}

func (m *memory) put(tb testing.TB, txn store.Txn) {
	tb.Helper()
	if _, err := m.Append(tb.Context(), txn); err != nil {
		tb.Fatal(err)
	}
}

// content is what a restore keeps of a record.
type content struct {
	Value, Actor, Cause string
	Minor               bool
}

func contentOf(r store.Record) content {
	return content{string(r.Value), r.Actor, r.Cause, r.Minor}
}

func (m *memory) contents() map[string]content {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]content{}
	for key, r := range m.state {
		all[key] = contentOf(r)
	}
	return all
}

// contentsAt returns what the state was at a revision.
func (m *memory) contentsAt(rev store.Revision) map[string]content {
	all := map[string]content{}
	for _, r := range m.past {
		switch {
		case r.Revision > rev:
			return all
		case r.Value == nil:
			delete(all, r.Key)
		default:
			all[r.Key] = contentOf(r)
		}
	}
	return all
}

// sample is a log with every kind of record: several actors and causes, minor ones, an empty value, replaced and deleted ones.
func sample(tb testing.TB) *memory {
	tb.Helper()
	m := newMemory(41)
	m.put(tb, store.Txn{Actor: "admin", Changes: []store.Change{
		{Key: "/registry/pods/default/web", Value: []byte("first-secret-value")},
		{Key: "/registry/pods/default/gone", Value: []byte("gone")},
	}})
	m.put(tb, store.Txn{Actor: "system:kube-scheduler", Cause: "pod default/web@42", Changes: []store.Change{
		{Key: "/registry/pods/default/web", Value: []byte("second-secret-value")},
		{Key: "/registry/pods/default/gone"},
	}})
	m.put(tb, store.Txn{Actor: "system:node:a", Changes: []store.Change{
		{Key: "/registry/leases/kube-node-lease/a", Value: []byte("beat"), Minor: true},
		{Key: "/registry/leases/kube-node-lease/b", Value: []byte{0, 1, 2}, Minor: true},
	}})
	m.put(tb, store.Txn{Changes: []store.Change{{Key: "/registry/empty", Value: []byte{}}, {Key: "floe", Value: []byte("x")}}})
	return m
}

// many is a log of n records with values of size bytes, that are not all alike.
func many(tb testing.TB, n, size int) *memory {
	tb.Helper()
	m := newMemory(0)
	for i := range n {
		value := bytes.Repeat(fmt.Appendf(nil, "%08d", i), size/8+1)[:size]
		m.put(tb, store.Txn{
			Actor: fmt.Sprintf("user-%d", i/50), Cause: "deployment default/web@1",
			Changes: []store.Change{{Key: fmt.Sprintf("/registry/pods/ns-%03d/pod-%07d", i%100, i), Value: value}},
		})
	}
	return m
}

func mustSave(tb testing.TB, src Loader, opts Options) ([]byte, Summary) {
	tb.Helper()
	var out bytes.Buffer
	s, err := Save(tb.Context(), src, &out, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes(), s
}

// locker is a real codec for tests: AES-GCM, bound to the object's key.
type locker struct{ aead cipher.AEAD }

func sealing(tb testing.TB, name string, secret byte) Sealing {
	tb.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{secret}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		tb.Fatal(err)
	}
	return Sealing{Name: name, Codec: locker{aead}}
}

func (l locker) Seal(key string, plain []byte) ([]byte, error) {
	return l.aead.Seal(nil, nil, plain, []byte(key)), nil
}

// Open works in place and so destroys sealed, which the contract does not forbid.
func (l locker) Open(key string, sealed []byte) ([]byte, error) {
	return l.aead.Open(sealed[:0], nil, sealed, []byte(key))
}
