package runtime

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// BenchmarkPod measures one pod after another, image unpacked: sandbox, container, start, until its process runs; then its kill and
// its removal. It reports the median of each step in milliseconds.
func BenchmarkPod(b *testing.B) {
	w := newWorld(b)
	steps := map[string][]time.Duration{}
	measure := func(name string, do func()) {
		begin := time.Now()
		do()
		steps[name] = append(steps[name], time.Since(begin))
	}
	for i := 0; b.Loop(); i++ {
		var pod, id string
		begin := time.Now()
		measure("sandbox", func() { pod = w.runPod("bench-" + strconv.Itoa(i)) })
		measure("create", func() { id = w.create(pod, containerConfig("main", "sleep", "forever")) })
		measure("start", func() {
			if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
				b.Fatal(err)
			}
		})
		steps["running"] = append(steps["running"], time.Since(begin))
		measure("stop", func() {
			if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
				b.Fatal(err)
			}
		})
		measure("remove", func() {
			if _, err := w.rt.RemovePodSandbox(w.ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
				b.Fatal(err)
			}
		})
	}
	for name, all := range steps {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, name+"-p95-ms")
	}
}

// BenchmarkHundredPods measures a hundred pods at once, from the first request until the last process runs, and reports how many run per second. It
// says how many tasks the machine had besides, over a minute: the number means little on a busy one.
func BenchmarkHundredPods(b *testing.B) {
	const count = 100
	w := newWorld(b)
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("load before: %s", load)
	for b.Loop() {
		begin := time.Now()
		w.runAtOnce(count)
		b.ReportMetric(count/time.Since(begin).Seconds(), "pods/s")
		b.StopTimer()
		w.removeAll()
		b.StartTimer()
	}
}
