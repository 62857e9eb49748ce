package cluster

import (
	"context"
	"runtime/metrics"
	"time"
)

// The collector lets the heap grow by a share of what is live before it runs again; resident memory follows the largest heap. Go's share is 100 %, which
// costs little while a cluster is small. A table of a gigabyte would stand in 2.5 times its objects' bytes, so the share falls as the heap
// grows. It costs CPU for each write instead: with a million objects of 1 KiB, 3 collections of 0.4 s for every 200,000 writes more than before.
const (
	collectorMost  = 100
	collectorLeast = 33        // 1.25 times the objects' bytes, caches, and a third of that: below twice the objects' bytes
	collectorRoom  = 128 << 20 // bytes by which the heap may grow in any case, up to its own size
)

// collectorPercent returns the collector's setting (GOGC) for a heap of which so many bytes are live.
func collectorPercent(live uint64) int {
	return int(max(collectorLeast, collectorMost*collectorRoom/max(live, collectorRoom)))
}

// collectorEvery is how often the setting follows the heap. Until then a heap that has grown is collected as seldom as a smaller one.
const collectorEvery = 10 * time.Second

// tuneCollector sets the collector for what is live now, and again as that changes, until ctx ends. The setting is the whole process's, so
// only the program may hand in what sets it.
func (s *server) tuneCollector(ctx context.Context) error {
	tick := s.Clock.NewTicker(collectorEvery)
	defer tick.Stop()
	for percent := collectorMost; ; {
		if p := collectorPercent(liveHeap()); p != percent {
			percent = p
			s.SetGCPercent(p)
		}
		select {
		case <-tick.C():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// liveHeap is what the last collection found in use, in bytes.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
