package nodelifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestZonesAreJudgedBySizeAndShare(t *testing.T) {
	cfg := Default()
	for _, c := range []struct {
		ready, unready int
		want           Disruption
		rate           float64
	}{
		{0, 0, Normal, .1}, {1, 0, Normal, .1}, {0, 1, FullDisruption, .1}, {1, 2, Normal, .1}, {3, 3, Normal, .1}, {2, 3, PartialDisruption, 0},
		{9, 11, PartialDisruption, 0}, {10, 11, Normal, .1}, {22, 28, PartialDisruption, 0}, {20, 31, PartialDisruption, .01}, {0, 100, FullDisruption, .1},
	} {
		got := cfg.judge(c.ready, c.unready)
		if rate := cfg.rate(got, c.ready+c.unready); got != c.want || rate != c.rate {
			t.Errorf("%d ready, %d not: got %s, %v a second, want %s, %v", c.ready, c.unready, got, rate, c.want, c.rate)
		}
	}
}

// TestZones counts nodes and prints after each step the zones as NAME:STATE:RATE, and "stopped".
func TestZones(t *testing.T) {
	cfg, now := Default(), begin()
	z := zones{cfg: &cfg, metrics: NewMetrics(), list: map[string]*zone{}}
	list := map[string]*health{}
	for _, step := range []struct{ do, want string }{ // NODE ZONE ready|not|uncounted
		{"a1 a not", "a:FullDisruption:0 stopped"},
		{"b1 b ready", "a:FullDisruption:0.1 b:Normal:0.1"},
		{"a1 a ready", "a:Normal:0.1 b:Normal:0.1"},
		{"a2 a not", "a:Normal:0.1 b:Normal:0.1"}, {"a3 a not", "a:Normal:0.1 b:Normal:0.1"},
		{"a4 a not", "a:PartialDisruption:0 b:Normal:0.1"},
		{"a1 a not", "a:FullDisruption:0.1 b:Normal:0.1"},
		{"b1 b not", "a:FullDisruption:0 b:FullDisruption:0 stopped"},
		{"b1 b uncounted", "a:FullDisruption:0 b:Initial:0 stopped"},
		{"a1 c ready", "a:FullDisruption:0.1 b:Initial:0.1 c:Normal:0.1"},
		{"a1 c uncounted", "a:FullDisruption:0 b:Initial:0 c:Initial:0 stopped"},
	} {
		now = now.Add(time.Minute)
		words := strings.Fields(step.do)
		h := list[words[0]]
		if h == nil {
			h = &health{}
			list[words[0]] = h
		}
		z.count(h, words[1], words[2] != "uncounted", words[2] == "ready", now)
		var got []string
		for _, name := range []string{"a", "b", "c"} {
			if one := z.list[name]; one != nil {
				got = append(got, fmt.Sprintf("%s:%s:%v", name, one.state, one.limiter.rate))
			}
		}
		if z.stopped {
			got = append(got, "stopped")
		}
		if text := strings.Join(got, " "); text != step.want {
			t.Fatalf("after %s: got %s, want %s", step.do, text, step.want)
		}
	}
}

func TestOneAtATime(t *testing.T) {
	now := begin()
	l := limiter{rate: .1}
	accepted := func(after time.Duration) bool { now = now.Add(after); return l.accept(now) }
	if !accepted(0) || accepted(9*time.Second) || !accepted(time.Second) || !accepted(time.Hour) || accepted(0) {
		t.Error("not one in ten seconds, or more at once after a rest")
	}
	l.set(.01, now)
	if accepted(99*time.Second) || !accepted(time.Second) {
		t.Error("who had to wait does not for the new rate")
	}
	l.set(0, now)
	if accepted(time.Hour) {
		t.Error("lets through at rate 0")
	}
	if l.set(.1, now); accepted(9*time.Second) || !accepted(time.Second) {
		t.Error("what was stopped begins at once")
	}
}

// TestSignsOfLife tells when a node was last seen to live, in seconds since begin, after looks ten seconds apart.
func TestSignsOfLife(t *testing.T) {
	type look struct {
		beat, lease int // seconds of the heartbeat and the lease; -1: there is none
		want        int
	}
	for name, looks := range map[string][]look{
		"says nothing":               {{-1, -1, 0}, {-1, -1, 0}},
		"has a lease only":           {{-1, 0, 0}, {-1, 10, 10}, {-1, 10, 10}},
		"was there before":           {{0, -1, 0}, {0, -1, 0}},
		"posts":                      {{-1, -1, 0}, {10, -1, 10}, {10, -1, 10}, {30, -1, 30}},
		"renews":                     {{0, 0, 0}, {0, 10, 10}, {0, 20, 20}, {0, 20, 20}},
		"its clock is wrong":         {{0, 5000, 0}, {0, 5010, 10}, {0, 5010, 10}},
		"its clock goes back":        {{0, 20, 0}, {0, 10, 0}},
		"condition is removed":       {{0, -1, 0}, {-1, -1, 10}},
		"lease goes and stays as is": {{0, 0, 0}, {0, -1, 0}, {0, 0, 0}},
	} {
		h := &health{}
		for i, l := range looks {
			now := begin().Add(time.Duration(i) * 10 * time.Second)
			at := func(s int) time.Time { return begin().Add(time.Duration(s) * time.Second) }
			n := node("", "")
			if l.beat >= 0 {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.NewTime(at(l.beat))}}
			}
			var lease *coordinationv1.Lease
			if l.lease >= 0 {
				renewed := metav1.NewMicroTime(at(l.lease))
				lease = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &renewed}}
			}
			h.see(n, lease, now)
			if got := h.alive.Sub(begin()); got != time.Duration(l.want)*time.Second {
				t.Errorf("%s: look %d: alive at %v, want %d s", name, i, got, l.want)
			}
		}
	}
}
