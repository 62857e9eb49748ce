package bench

import (
	"math"
	"testing"
	"time"
)

func TestBucketsCoverEveryValueInOrder(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 1000, 123_456_789, 1 << 40, math.MaxInt64} {
		b := bucketOf(v)
		if b < 0 || b >= buckets {
			t.Fatalf("bucketOf(%d) = %d, outside 0 to %d", v, b, buckets)
		}
		end := upperEnd(b)
		if v > end || b > 0 && v <= upperEnd(b-1) {
			t.Errorf("%d is in bucket %d, which reaches from %d to %d", v, b, upperEnd(b-1)+1, end)
		}
		if float64(end-v) > float64(v)/64+1 {
			t.Errorf("bucket of %d ends at %d: wider than 1/64", v, end)
		}
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i+1) * time.Millisecond
	}
	for _, c := range []struct {
		name   string
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{"nothing", nil, 0.5, 0},
		{"one value is every quantile", []time.Duration{time.Second}, 0.01, time.Second},
		{"median", hundred, 0.5, 50 * time.Millisecond},
		{"p99", hundred, 0.99, 99 * time.Millisecond},
		{"the last is the maximum", hundred, 1, 100 * time.Millisecond},
		{"the zeroth is the first", hundred, 0, time.Millisecond},
		{"below zero counts as zero", []time.Duration{-time.Second}, 0.5, 0},
	} {
		var h Histogram
		for _, v := range c.values {
			h.Record(v)
		}
		got := h.Quantile(c.q)
		if got < c.want || got > c.want+c.want/64+1 {
			t.Errorf("%s: Quantile(%v) = %v, want %v or at most 1/64 more", c.name, c.q, got, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	var a, b Histogram
	a.Record(time.Millisecond)
	b.Record(3 * time.Millisecond)
	a.Merge(&b)
	if a.Count() != 2 || a.Max() != 3*time.Millisecond || a.Mean() != 2*time.Millisecond {
		t.Errorf("merged: count %d, max %v, mean %v; want 2, 3ms, 2ms", a.Count(), a.Max(), a.Mean())
	}
}
