package workloads

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"
)

// Result is what was measured of a workload. Times are in microseconds.
type Result struct {
	Name      string  `json:"name"`
	Nodes     int     `json:"nodes"`
	Placed    int     `json:"placed"`    // pods before the first decision
	Decisions int     `json:"decisions"` // that were timed
	CPU       float64 `json:"cpu"`       // processor time of the whole program, a decision: the figure to trust on a machine with other work
	Mean      float64 `json:"mean"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

// Meter times decisions. It belongs to one goroutine.
type Meter struct {
	Clock  clock.PassiveClock
	Result Result
	times  []float64
	cpu    float64
}

// Time times one decision.
func (m *Meter) Time(decide func() error) error {
	before, start := used(), m.Clock.Now()
	err := decide()
	m.times = append(m.times, micro(m.Clock.Since(start)))
	m.cpu += micro(used() - before)
	return err
}

// Done is what was measured.
func (m *Meter) Done() Result {
	r, n := m.Result, len(m.times)
	r.Decisions = n
	for _, t := range m.times {
		r.Mean += t / float64(n)
	}
	slices.Sort(m.times)
	r.CPU, r.P50, r.P99 = m.cpu/float64(n), m.times[n/2], m.times[n*99/100]
	return r
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// used is the processor time that this program has taken, its garbage collector included.
func used() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprintf("read the processor time: %v", err)) // every Linux has this clock
	}
	return time.Duration(t.Nano())
}
