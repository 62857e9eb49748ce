package etcd

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// writer is one key's only writer. Every transaction also writes a second key, so that places are not all 0.
type writer struct {
	name  string
	acked atomic.Uint64 // the newest revision of its key that was acknowledged
	count int           // of its transactions
}

// run writes once for each token, until ctx ends or a write fails.
func (w *writer) run(ctx context.Context, l *Log, tokens <-chan struct{}) error {
	rev := store.Revision(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, more := <-tokens:
			if !more {
				return nil
			}
		}
		revs, err := l.Append(ctx, store.Txn{
			Conditions: []store.Condition{{Key: key(w.name), Revision: rev}}, Actor: w.name,
			Changes: []store.Change{set("beside-"+w.name, ""), set(w.name, fmt.Sprint(w.count))},
		})
		if err != nil {
			return fmt.Errorf("%s: write %d: %w", w.name, w.count, err)
		}
		rev = revs[1]
		w.acked.Store(uint64(rev))
		w.count++
	}
}

// working is writers and a reader at work.
type working struct {
	writers []*writer
	tokens  chan struct{} // each is one write
	ctx     context.Context
	fail    context.CancelCauseFunc
	writing sync.WaitGroup
	reading sync.WaitGroup
	done    chan struct{} // closed: the reader ends
	reads   int
}

func startLoad(t *testing.T, l *Log, table *store.Store, rng *rand.Rand) *working {
	w := &working{tokens: make(chan struct{}), done: make(chan struct{})}
	w.ctx, w.fail = context.WithCancelCause(t.Context())
	for i := range 6 {
		one := &writer{name: fmt.Sprint("w", i)}
		w.writers = append(w.writers, one)
		w.writing.Go(func() {
			if err := one.run(w.ctx, l, w.tokens); err != nil {
				w.fail(err)
			}
		})
	}
	w.reading.Go(func() {
		for ; w.ctx.Err() == nil; w.reads++ {
			select {
			case <-w.done:
				return
			default:
			}
			if err := readCurrent(w.ctx, table, w.writers[rng.IntN(len(w.writers))]); err != nil {
				w.fail(err)
			}
		}
	})
	return w
}

// write lets n writes begin.
func (w *working) write(n int) {
	for range n {
		select {
		case w.tokens <- struct{}{}:
		case <-w.ctx.Done():
		}
	}
}

// end waits for all writes and the reader, and returns what has failed.
func (w *working) end() error {
	close(w.tokens)
	w.writing.Wait()
	close(w.done)
	w.reading.Wait()
	return context.Cause(w.ctx)
}

// readCurrent reads a key after Sync: what was acknowledged before must be there.
func readCurrent(ctx context.Context, table *store.Store, w *writer) error {
	acked := store.Revision(w.acked.Load())
	if err := table.Sync(ctx); err != nil {
		return err
	}
	item := table.Snapshot().Get(key(w.name))
	if acked != 0 && (item == nil || item.Revision < acked) {
		return fmt.Errorf("%s: read %v, revision %d was acknowledged before", w.name, item, acked)
	}
	return nil
}

// TestMemberKilledAndReplaced is what the log promises when members come and go: three members that sync their disks, of which one
// after the other is killed and replaced by an empty one, while writers write, a table is read and a follower listens.
func TestMemberKilledAndReplaced(t *testing.T) {
	var random [8]byte
	crand.Read(random[:])
	seed := binary.NativeEndian.Uint64(random[:])
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	cluster := etcdtest.Start(t, 3)
	open := func() *Log { return mustOpen(t, Options{Endpoints: cluster.Endpoints()}) }
	listener := follow(t, open(), 0)
	w := startLoad(t, open(), runTable(t, open()), rand.New(rand.NewPCG(seed, 1)))
	defer func() { // the fixture may end the test anywhere
		w.fail(errors.New("the test has ended"))
		w.writing.Wait()
		w.reading.Wait()
	}()
	w.write(100)
	for _, victim := range []int{cluster.Leader(t.Context()), rng.IntN(3)} {
		t.Logf("kill member %d, the leader is %d", victim, cluster.Leader(t.Context()))
		cluster.Kill(victim)
		w.write(50 + rng.IntN(100))
		busy := make(chan struct{})
		go func() {
			defer close(busy)
			w.write(100) // while it comes
		}()
		cluster.Replace(t.Context(), victim)
		<-busy
		w.write(50)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	checkFollowed(t, listener, w.writers)
	t.Logf("%d current reads", w.reads)
}

// checkFollowed holds that each change was handed over once, in order, in whole transactions, and resting on the one before it.
func checkFollowed(t *testing.T, r *recorder, writers []*writer) {
	t.Helper()
	total := 0
	for _, w := range writers {
		total += w.count
	}
	records := r.take(t, 2*total)
	previous := map[string]store.Revision{}
	for i, rec := range records {
		if i > 0 && rec.Revision <= records[i-1].Revision {
			t.Fatalf("%s came after revision %d", line(rec), records[i-1].Revision)
		}
		if rec.Previous != previous[rec.Key] {
			t.Fatalf("%s, but the one before it was %d", line(rec), previous[rec.Key])
		}
		previous[rec.Key] = rec.Revision
	}
	for _, txn := range r.txns {
		if len(txn) != 2 || txn[0].Last || !txn[1].Last || txn[1].Key != key(txn[1].Actor) || txn[0].Revision+1 != txn[1].Revision {
			t.Fatalf("got a transaction %v", lines(txn))
		}
	}
	for _, w := range writers {
		if acked := store.Revision(w.acked.Load()); previous[key(w.name)] != acked {
			t.Errorf("%s: last followed %d, last acknowledged %d", w.name, previous[key(w.name)], acked)
		}
	}
}

// TestMemberFrozen stops the leader without closing its connections: writes, reads and the follower go on without it, and it may come back.
func TestMemberFrozen(t *testing.T) {
	cluster := etcdtest.Start(t, 3, etcdtest.NoFsync)
	open := func() *Log { return mustOpen(t, Options{Endpoints: cluster.Endpoints()}) }
	listener := follow(t, open(), 0)
	w := startLoad(t, open(), runTable(t, open()), rand.New(rand.NewPCG(1, 1)))
	defer func() {
		w.fail(errors.New("the test has ended"))
		w.writing.Wait()
		w.reading.Wait()
	}()
	w.write(100)
	frozen := cluster.Leader(t.Context())
	cluster.Freeze(frozen)
	w.write(100)
	cluster.Thaw(frozen)
	w.write(100)
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	checkFollowed(t, listener, w.writers)
	t.Logf("%d current reads", w.reads)
}
