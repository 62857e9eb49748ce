package main

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/bench"
)

// result is what one scenario showed, in the form of floe bench's answers, so that one program (test/peers/table) reads both.
type result struct {
	Scenario   string    `json:"scenario"`
	Clients    int       `json:"clients"`
	Operations int       `json:"operations"` // that succeeded: all, or there is no result
	Seconds    float64   `json:"seconds"`
	Rate       float64   `json:"operationsPerSecond"`
	Latency    latency   `json:"latencyMilliseconds"`
	Processes  []process `json:"processes"`
}

// latency is in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// process is what one process used during a scenario, and held at its end.
type process struct {
	Name     string  `json:"name"`
	CPU      float64 `json:"cpuMillisecondsPerOperation"`
	Resident int64   `json:"residentBytes,omitempty"` // 0: it has ended by then
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func latencyOf(h *bench.Histogram) latency {
	return latency{P50: milliseconds(h.Quantile(0.5)), P99: milliseconds(h.Quantile(0.99)), Max: milliseconds(h.Max())}
}

// load is calls of one function by several clients, each of which waits for its call to end before the next.
type load struct {
	name    string
	clients int
	total   int
	// run is how many calls share one look at the clock, for those that take less than the look. Their latency is the mean of a run. total is a
	// multiple of it.
	run int
	do  func(ctx context.Context, i int) error // i counts from 0 to total-1, each once
}

// measure runs a load in this process and returns what it showed; the first error ends it.
func (l load) measure(ctx context.Context, c clock.PassiveClock) (result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	latencies := make([]bench.Histogram, l.clients)
	var next atomic.Int64
	var workers sync.WaitGroup
	cpu, start := ownCPU(), c.Now()
	for w := range l.clients {
		workers.Go(func() {
			for ctx.Err() == nil {
				first := int(next.Add(int64(l.run))) - l.run
				if first >= l.total {
					return
				}
				began := c.Now()
				for i := first; i < first+l.run; i++ {
					if err := l.do(ctx, i); err != nil {
						cancel(err)
						return
					}
				}
				latencies[w].Record(c.Since(began) / time.Duration(l.run))
			}
		})
	}
	workers.Wait()
	elapsed, cpu := c.Since(start), ownCPU()-cpu
	if ctx.Err() != nil {
		return result{}, context.Cause(ctx)
	}
	for i := range latencies[1:] {
		latencies[0].Merge(&latencies[i+1])
	}
	resident, err := memoryOf("self", "VmRSS")
	return result{
		Scenario: l.name, Clients: l.clients, Operations: l.total, Seconds: elapsed.Seconds(), Rate: float64(l.total) / elapsed.Seconds(),
		Latency: latencyOf(&latencies[0]), Processes: []process{{"floe", milliseconds(cpu) / float64(l.total), resident}},
	}, err
}

// ownCPU is the user and system time that this process has used.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	// It fails for a wrong first argument only.
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
