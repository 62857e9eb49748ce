package bench

import (
	"math"
	"math/bits"
	"time"
)

// A value's bucket is its highest bit and the subBits bits that follow it, so a bucket is never wider than 1/64 of its values (1.6%).
const (
	subBits = 6
	buckets = (64 - subBits) << subBits
)

// Histogram counts durations in buckets whose width grows with the value: it has a fixed size (29 KiB) whatever is recorded. The zero value
// is ready. It is not safe for concurrent use: each worker fills its own, and they are merged.
type Histogram struct {
	count   [buckets]uint64
	total   uint64
	sum     float64
	longest time.Duration
}

// Record adds one duration; one below zero (a clock set back) counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.count[bucketOf(uint64(d))]++
	h.total++
	h.sum += float64(d)
	h.longest = max(h.longest, d)
}

// Merge adds what other has recorded; other stays as it is.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.count {
		h.count[i] += n
	}
	h.total += other.total
	h.sum += other.sum
	h.longest = max(h.longest, other.longest)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the longest duration, exact; zero when there is none.
func (h *Histogram) Max() time.Duration { return h.longest }

// Mean is the arithmetic mean; zero when there is none.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.total))
}

// Quantile is the smallest bucket's upper end that at least q (0 to 1) of the durations do not exceed, and never more than Max; zero when
// there is none. It is at most 1/64 above the exact value.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	seen := uint64(0)
	for i, n := range h.count {
		if seen += n; seen >= rank {
			return min(time.Duration(upperEnd(i)), h.longest)
		}
	}
	return h.longest
}

func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v) // below 64 ns each value has its own bucket
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits | int(v>>shift)&(1<<subBits-1)
}

// upperEnd is the largest value of a bucket: the inverse of bucketOf.
func upperEnd(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	low := uint64(1<<subBits|bucket&(1<<subBits-1)) << shift
	return low + 1<<shift - 1
}
