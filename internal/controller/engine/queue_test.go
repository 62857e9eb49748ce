package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/utils/clock"
)

func key(n int) Key { return Key{Name: fmt.Sprint(n)} }

// pass lets virtual time pass.
func pass(d time.Duration) { <-clock.RealClock{}.NewTimer(d).C() }

// TestDelayedOnce: a key that is asked to be looked at later, again and again, is kept once, for the earliest time.
func TestDelayedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, began := newQueue(clock.RealClock{}, backoffLast, nil), clock.RealClock{}.Now()
		for i := range 1000 {
			q.addAfter(key(1), time.Minute+time.Duration(i)*time.Second)
		}
		q.addAfter(key(2), 30*time.Second)
		q.addAfter(key(1), 10*time.Second)
		if len(q.delayed) != 2 {
			t.Fatalf("%d delayed, want 2", len(q.delayed))
		}
		for _, want := range []string{"1 after 10s", "2 after 30s"} {
			k, _ := q.next(t.Context())
			if got := fmt.Sprintf("%s after %s", k, clock.RealClock{}.Since(began)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			q.done(k)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if k, ok := q.next(ctx); ok {
			t.Errorf("%s came again", k)
		}
	})
}

// TestFullQueueHoldsInputsUp: who offers to a full queue waits for room, and no longer than its own context.
func TestFullQueueHoldsInputsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(clock.RealClock{}, backoffLast, nil)
		q.limit = 2
		ctx, cancel := context.WithCancel(t.Context())
		offered := make(chan struct{})
		go func() {
			defer close(offered)
			q.offer(ctx, key(1), key(2), key(3), key(4), key(5))
		}()
		for i := 1; i <= 2; i++ {
			synctest.Wait()
			if len(q.ready) != 2 {
				t.Fatalf("%d ready, want the limit, 2", len(q.ready))
			}
			k, _ := q.next(t.Context())
			if k != key(i) {
				t.Errorf("got %s, want %d: in order of arrival", k, i)
			}
			q.done(k)
		}
		synctest.Wait()
		cancel()
		<-offered
		if len(q.ready) != 2 {
			t.Errorf("%d ready after the offer was given up, want 2", len(q.ready))
		}
	})
}

func TestBackoffDoublesUpToTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(clock.RealClock{}, time.Minute, nil)
		var waits []string
		for range 16 {
			waits = append(waits, q.retry(key(1)).String())
		}
		want := "5ms 10ms 20ms 40ms 80ms 160ms 320ms 640ms 1.28s 2.56s 5.12s 10.24s 20.48s 40.96s 1m0s 1m0s"
		if got := strings.Join(waits, " "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		q.forget(key(1))
		if got := q.retry(key(1)); got != backoffFirst {
			t.Errorf("after a success: %s, want %s", got, backoffFirst)
		}
	})
}

// TestMetricsAreUpstreams: names, label and what they count, and the buckets of histograms.
func TestMetricsAreUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMetrics()
		q := newQueue(clock.RealClock{}, backoffLast, m.meter("deployment"))
		m.show("deployment", q)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(m)
		q.offer(t.Context(), key(1), key(2), key(2), key(3))
		pass(5 * time.Second)
		first, _ := q.next(t.Context())
		pass(20 * time.Second)
		second, _ := q.next(t.Context())
		q.offer(t.Context(), first) // waits until it is done
		pass(10 * time.Second)
		want := `
# HELP floe_workqueue_limit Keys that may wait in a queue before its inputs are held up.
# TYPE floe_workqueue_limit gauge
floe_workqueue_limit{name="deployment"} 65536
# HELP workqueue_adds_total Keys that were added to a queue.
# TYPE workqueue_adds_total counter
workqueue_adds_total{name="deployment"} 4
# HELP workqueue_depth Keys that wait in a queue.
# TYPE workqueue_depth gauge
workqueue_depth{name="deployment"} 2
# HELP workqueue_longest_running_processor_seconds How long the longest work that is going on has taken so far, in seconds.
# TYPE workqueue_longest_running_processor_seconds gauge
workqueue_longest_running_processor_seconds{name="deployment"} 30
# HELP workqueue_queue_duration_seconds How long keys wait in a queue, in seconds.
# TYPE workqueue_queue_duration_seconds histogram
workqueue_queue_duration_seconds_bucket{name="deployment",le="1e-08"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="1e-07"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="1e-06"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="9.999999999999999e-06"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="9.999999999999999e-05"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="0.001"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="0.01"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="0.1"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="1"} 0
workqueue_queue_duration_seconds_bucket{name="deployment",le="10"} 1
workqueue_queue_duration_seconds_bucket{name="deployment",le="+Inf"} 2
workqueue_queue_duration_seconds_sum{name="deployment"} 30
workqueue_queue_duration_seconds_count{name="deployment"} 2
# HELP workqueue_retries_total Keys that were added to be looked at later.
# TYPE workqueue_retries_total counter
workqueue_retries_total{name="deployment"} 0
# HELP workqueue_unfinished_work_seconds How long the work that is going on has taken so far, all keys together, in seconds.
# TYPE workqueue_unfinished_work_seconds gauge
workqueue_unfinished_work_seconds{name="deployment"} 40
`
		names := []string{"floe_workqueue_limit"}
		for _, n := range []string{"adds_total", "depth", "longest_running_processor_seconds", "queue_duration_seconds", "retries_total", "unfinished_work_seconds"} {
			names = append(names, "workqueue_"+n)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
		q.done(first)
		q.done(second)
		q.retry(second)
		for name, want := range map[string]float64{"workqueue_retries_total": 1, "workqueue_adds_total": 4} {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == name && f.Metric[0].Counter.GetValue() != want {
					t.Errorf("%s is %v, want %v", name, f.Metric[0].Counter.GetValue(), want)
				}
				if f.GetName() == "workqueue_work_duration_seconds" && (f.Metric[0].Histogram.GetSampleSum() != 40 || len(f.Metric[0].Histogram.Bucket) != 10) {
					t.Errorf("work took %v in %d buckets, want 40 in 10", f.Metric[0].Histogram.GetSampleSum(), len(f.Metric[0].Histogram.Bucket))
				}
			}
		}
	})
}

// TestFieldsOverlap: one owner for each place, however it is named.
func TestFieldsOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"status", "status", true},
		{"status", "status.conditions", true},
		{"status.conditions[Ready]", "status", true},
		{"status.conditions[Ready]", "status.conditions[Other]", false},
		{"status.conditions[A,B]", "status.conditions[B,C]", true},
		{"status.conditions", "status.conditions[B]", true},
		{"status.phase", "status.conditions", false},
		{"spec.replicas", "status", false},
		{"stat", "status", false},
	} {
		a, b := parseField(c.a), parseField(c.b)
		if a.overlaps(b) != c.want || b.overlaps(a) != c.want {
			t.Errorf("%s and %s overlap: got %v and %v, want %v", c.a, c.b, a.overlaps(b), b.overlaps(a), c.want)
		}
	}
}
