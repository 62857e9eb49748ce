package simulate

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// still is a simulator of one registered node that is not run.
func still(b *testing.B) (*Simulator, *machine, *bed) {
	bed := newBed(b)
	p := Profile{Nodes: []Group{{Count: 1}}}
	if errs := p.Validate(); len(errs) > 0 {
		b.Fatal(errs.ToAggregate())
	}
	s := New(Config{Profile: p, As: bed.as, Cloud: bed.client, Clock: clock.RealClock{}, Log: observe.Discard(), Metrics: NewMetrics(), KubernetesVersion: "v1.36.3"})
	s.begun = s.cfg.Clock.Now()
	s.planMachines()
	m := s.machines["sim-0"]
	do(b, s.register(m, s.begun))
	return s, m, bed
}

// do does a job as a writer and the loop would.
func do(b *testing.B, j *job) {
	b.Helper()
	if j == nil {
		b.Fatal("there is nothing to do")
	}
	if j.err = j.do(context.Background()); j.err != nil {
		b.Fatal(j.err)
	}
	j.done(nil)
}

// BenchmarkHeartbeat is one renewal of a lease, through the whole API to a log in memory.
func BenchmarkHeartbeat(b *testing.B) {
	s, m, _ := still(b)
	do(b, s.beatTurn(m, s.begun))
	now := s.begun
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		do(b, s.beatTurn(m, now))
	}
	if got := m.lease.Spec.RenewTime.Time; !got.Truncate(time.Microsecond).Equal(now.Truncate(time.Microsecond)) {
		b.Fatalf("the lease was renewed at %v, want %v", got, now)
	}
}

// BenchmarkPodStart is a pod from its binding to Running: the decision, and the write of its status.
func BenchmarkPodStart(b *testing.B) {
	s, m, bed := still(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		made := bed.pod(fmt.Sprintf("p%d", i), m.name, func(p *corev1.Pod) { p.Spec.HostNetwork = true })
		b.StartTimer()
		s.podSeen(m, made, revisionOf(made))
		do(b, s.podTurn(s.pods[made.UID], s.begun))
	}
}

// BenchmarkSettledPod is what the begin of a session costs for each pod that runs.
func BenchmarkSettledPod(b *testing.B) {
	s, m, bed := still(b)
	made := bed.pod("p", m.name, nil)
	s.podSeen(m, made, revisionOf(made))
	do(b, s.podTurn(s.pods[made.UID], s.begun))
	running := bed.podNamed("p")
	if running.Status.Phase != corev1.PodRunning || podlife.Ended(&running.Status) {
		b.Fatalf("the pod: %+v", running.Status)
	}
	b.ReportAllocs()
	for b.Loop() {
		delete(s.pods, running.UID)
		s.podSeen(m, running, revisionOf(running))
		if j := s.podTurn(s.pods[running.UID], s.begun); j != nil {
			b.Fatalf("a pod that stays as it is has something written: %s", j.what)
		}
	}
}
