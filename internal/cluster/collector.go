package cluster

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// Collector sets the process's garbage collector. It is the whole process's, so only the program may hand it in.
type Collector struct {
	SetPercent func(percent int) int // as debug.SetGCPercent; nil: the setting is left as it is
	Release    func()                // collects, and gives free memory to the system, as debug.FreeOSMemory; nil: it is left to the runtime
	Settle     func()                // lets go of what only the start needed; called once, a while after it. nil: nothing is
}

// The collector lets the heap grow by a share of what is live before it runs again; resident memory follows the largest heap until it is quiet, when what a
// burst has left is given back. A collection takes some 15 ms of CPU with 32 MiB live: while a cluster is small the heap may grow by more than Go's 100 %,
// which takes a twentieth off the CPU of each write. With ten thousand pods that would keep as much garbage as there is to keep, and a table of a
// gigabyte would stand in 2.5 times its objects' bytes, so the share falls as the heap
// grows. It costs CPU for each write instead: with a million objects of 1 KiB, 3 collections of 0.4 s for every 200,000 writes more than at 100 %.
const (
	goPercent      = 100 // until the first collection
	collectorMost  = 200
	collectorLeast = 33       // 1.25 times the objects' bytes, caches, and a third of that: below twice the objects' bytes
	collectorRoom  = 48 << 20 // bytes by which the heap may grow in any case, up to collectorMost
)

// collectorPercent returns the collector's setting (GOGC) for a heap of which so many bytes are live.
func collectorPercent(live uint64) int {
	return int(min(collectorMost, max(collectorLeast, 100*collectorRoom/max(live, 1))))
}

// collectorFollows says whether a setting is far enough from the one in force: each change stops the process for a moment.
func collectorFollows(now, wanted int) bool { return max(now, wanted) > min(now, wanted)*9/8 }

const (
	// quietEvery is how often it is looked whether a burst has ended. What is cached and was not used lasts for two to four of these.
	quietEvery  = 15 * time.Second
	sweepEvery  = 2        // looks
	quietBytes  = 4 << 20  // allocated since the last look, at most, when it is quiet
	releaseFrom = 12 << 20 // bytes that can be given back, at least; and a part of what is live:
	releasePart = 8
)

// tuneCollector sets the collector for what each collection has found live, until ctx ends. When it is quiet after a burst it also has what the burst has left
// collected and given back: the runtime alone keeps it for minutes, and a tenth of it for good.
func (s *server) tuneCollector(ctx context.Context) error {
	tick := s.Clock.NewTicker(quietEvery)
	defer tick.Stop()
	collected := make(chan struct{}, 1) // one token is enough
	afterNextCollection(collected)
	percent, last := goPercent, readHeap()
	settle := s.Collector.Settle
	for looks := 1; ; {
		select {
		case <-collected:
			afterNextCollection(collected)
			if p := collectorPercent(readHeap().live); s.Collector.SetPercent != nil && collectorFollows(percent, p) {
				percent = p
				s.Collector.SetPercent(p)
			}
		case <-tick.C():
			if looks++; looks%sweepEvery == 0 {
				last.swept += uint64(s.store.Sweep())
			}
			last = s.releaseWhenQuiet(last)
			if settle != nil {
				settle()
				settle = nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// afterNextCollection has a token put into c after the next collection.
func afterNextCollection(c chan<- struct{}) {
	runtime.AddCleanup(&struct{ _ *byte }{}, func(c chan<- struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}, c)
}

// releaseWhenQuiet looks at the heap again, and returns what it saw.
func (s *server) releaseWhenQuiet(last heap) heap {
	now := readHeap()
	now.swept, now.fragments = last.swept, last.fragments
	if s.Collector.Release == nil || !now.worthReleasing(last) {
		return now
	}
	s.Collector.Release()
	now = readHeap()
	now.fragments = now.held - min(now.held, now.live)
	return now
}

// heap is what the runtime says of its memory, in bytes.
type heap struct {
	live      uint64 // found in use by the last collection
	held      uint64 // of the system's memory
	allocated uint64 // since the process began
	swept     uint64 // of live, what has been let go since memory was last given back
	fragments uint64 // what could not be given back then
}

// worthReleasing says whether it has been quiet since last, and enough can be given back.
func (h heap) worthReleasing(last heap) bool {
	quiet := h.allocated-last.allocated <= quietBytes
	return quiet && h.held+h.swept > h.live+h.fragments+max(releaseFrom, h.live/releasePart)
}

func readHeap() heap {
	sample := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(sample)
	n := func(i int) uint64 { return sample[i].Value.Uint64() }
	return heap{live: n(0), allocated: n(1), held: n(2) + n(3) + n(4)}
}
