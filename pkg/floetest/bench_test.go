package floetest

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// limit is what a start may take, half of the times.
const limit = 30 * time.Millisecond

// BenchmarkStart measures from nothing to the first answer's being possible, and how long the end takes. It fails where there are enough starts, half of them take
// longer than limit, and it is not other programs that they wait for: one takes more of the processors' time than that.
func BenchmarkStart(b *testing.B) {
	var starts, stops []time.Duration
	used := processorTime(b)
	for b.Loop() {
		begin := time.Now()
		c, err := start(nil)
		if err != nil {
			b.Fatal(err)
		}
		starts = append(starts, time.Since(begin))
		begin = time.Now()
		if err := c.Stop(); err != nil {
			b.Fatal(err)
		}
		stops = append(stops, time.Since(begin))
	}
	cpu := (processorTime(b) - used) / time.Duration(len(starts))
	report := func(name string, took time.Duration) { b.ReportMetric(float64(took.Microseconds())/1000, name) }
	report("start-p50-ms", half(starts))
	report("stop-p50-ms", half(stops))
	report("cpu-ms", cpu)
	if p50 := half(starts); len(starts) >= 20 && p50 > limit && cpu > limit {
		b.Errorf("half of the starts took longer than %s: %s, and %s of the processors", limit, p50, cpu)
	}
}

func half(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
