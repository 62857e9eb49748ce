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
		{0, 100}, {20 << 20, 100}, {128 << 20, 100}, {160 << 20, 80}, {256 << 20, 50}, {384 << 20, 33}, {1 << 30, 33}, {1 << 40, 33},
	} {
		if got := collectorPercent(c.live); got != c.want {
			t.Errorf("%d MiB live: got %d, want %d", c.live>>20, got, c.want)
		}
	}
	runtime.GC() // it says what the last collection found
	if liveHeap() == 0 {
		t.Error("the runtime does not say what is live")
	}
}
