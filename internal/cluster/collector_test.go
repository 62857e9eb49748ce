package cluster

import (
	"runtime"
	"testing"
)

func TestCollectorPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 200}, {20 << 20, 200}, {24 << 20, 200}, {40 << 20, 120}, {64 << 20, 75}, {96 << 20, 50}, {160 << 20, 33}, {1 << 30, 33}, {1 << 40, 33},
	} {
		if got := collectorPercent(c.live); got != c.want {
			t.Errorf("%d MiB live: got %d, want %d", c.live>>20, got, c.want)
		}
	}
	for _, c := range []struct {
		now, wanted int
		want        bool
	}{{100, 100, false}, {100, 95, false}, {100, 80, true}, {33, 36, false}, {33, 50, true}} {
		if got := collectorFollows(c.now, c.wanted); got != c.want {
			t.Errorf("from %d to %d: got %v, want %v", c.now, c.wanted, got, c.want)
		}
	}
}

func TestWorthReleasing(t *testing.T) {
	const mb = 1 << 20
	last := heap{allocated: 1000 * mb}
	for _, c := range []struct {
		name string
		heap heap
		want bool
	}{
		{"after a burst", heap{live: 30 * mb, held: 60 * mb, allocated: 1001 * mb}, true},
		{"in a burst", heap{live: 30 * mb, held: 60 * mb, allocated: 1100 * mb}, false},
		{"nothing to give", heap{live: 30 * mb, held: 35 * mb, allocated: 1001 * mb}, false},
		{"fragments", heap{live: 30 * mb, held: 60 * mb, fragments: 25 * mb, allocated: 1001 * mb}, false},
		{"the cache was swept", heap{live: 60 * mb, held: 60 * mb, swept: 30 * mb, allocated: 1001 * mb}, true},
		{"little of a large heap", heap{live: 1000 * mb, held: 1100 * mb, allocated: 1001 * mb}, false},
		{"much of a large heap", heap{live: 1000 * mb, held: 1200 * mb, allocated: 1001 * mb}, true},
	} {
		if got := c.heap.worthReleasing(last); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	runtime.GC() // it says what the last collection found
	if h := readHeap(); h.live == 0 || h.held < h.live/2 || h.allocated == 0 {
		t.Errorf("the runtime says %+v", h)
	}
}
