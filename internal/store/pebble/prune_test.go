package pebble

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/storetest"
)

func (l *Log) keptNow() kept {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.kept
}

// TestHistoryBySize writes more than history may keep: the newest versions stay, within the bound.
func TestHistoryBySize(t *testing.T) {
	const size, limit = 10 << 10, 200 << 10
	opts := Options{Dir: "log", FS: vfs.NewMem(), History: History{Bytes: limit}, Clock: clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))}
	l := mustOpen(t, opts)
	defer func() { l.Close() }()
	for i := range 100 {
		if _, err := l.Append(t.Context(), change("k", fmt.Sprint(i)+strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
	}
	// What can still be followed is not cut, however large: history begins where that ends.
	if n := len(valuesOf(t, l, "k")); n != 100 {
		t.Errorf("%d versions before pruning", n)
	}
	opts.Clock.(*clocktesting.FakeClock).Step(2*recentAge + pruneEvery)
	if err := l.Compact(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	versions := valuesOf(t, l, "k")
	if n := len(versions); n < limit/size-2 || n > limit/size+2 || !strings.HasPrefix(versions[0], "99x") {
		t.Errorf("%d versions of %d bytes are kept, the newest begins with %.3q", n, size, versions[0])
	}
	if k := l.keptNow(); k.history > limit {
		t.Errorf("kept: %+v, at most %d", k, limit)
	}
	floor := store.Revision(100 - len(versions) + 1)
	if err := l.At(t.Context(), floor-1, "", "", nil); !errors.Is(err, store.ErrExpired) {
		t.Errorf("read at %d: %v", floor-1, err)
	}
	if err := l.At(t.Context(), floor, "", "", func(r store.Record) error {
		if r.Revision != floor {
			t.Errorf("at %d: version %d", floor, r.Revision)
		}
		return nil
	}); err != nil {
		t.Errorf("read at %d: %v", floor, err)
	}
	if err := l.Follow(t.Context(), floor, storetest.Apply(func([]store.Record) error { return nil })); !errors.Is(err, store.ErrExpired) {
		t.Errorf("follow from %d, whose rows are no longer whole: %v", floor, err)
	}
}

// TestKeptIsCounted writes and prunes at random: what is counted while the log is open is what is found when it is opened.
func TestKeptIsCounted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	opts := Options{Dir: "log", FS: vfs.NewMem(), Clock: clk, History: History{Age: 10 * time.Minute, Bytes: 20_000}}
	l := mustOpen(t, opts)
	for range 40 {
		for range 1 + rng.IntN(40) {
			c := store.Change{Key: fmt.Sprint("k", rng.IntN(9)), Minor: rng.IntN(2) == 0}
			if rng.IntN(4) > 0 {
				c.Value = make([]byte, rng.IntN(300))
			}
			if _, err := l.Append(t.Context(), store.Txn{Changes: []store.Change{c}}); err != nil {
				t.Fatal(err)
			}
		}
		clk.SetTime(clk.Now().Add(time.Duration(rng.IntN(300)) * time.Second))
		upTo := store.Revision(0)
		if rng.IntN(4) == 0 {
			upTo = store.Revision(rng.Uint64N(uint64(l.durable())))
		}
		if err := l.Compact(t.Context(), upTo); err != nil {
			t.Fatal(err)
		}
		counted := l.keptNow()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = mustOpen(t, opts)
		// The pruner counts what is old before it takes a call.
		if err := l.Compact(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if found := l.keptNow(); found != counted {
			t.Fatalf("counted %+v, found %+v", counted, found)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
