package runtime

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// loopbackUp brings the loopback of the calling thread's network up.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func TestStatsAndMetrics(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("stats")
	config := containerConfig("main", "burn", "--memory", "20000000")
	config.Linux.Resources.MemoryLimitInBytes = 200 << 20
	id := w.run(pod, config)
	w.logged(id, "holding")
	got, err := w.rt.ContainerStats(w.ctx, &runtimeapi.ContainerStatsRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	s := got.Stats
	if rss := s.Memory.RssBytes.GetValue(); rss < 20_000_000 || rss > 60_000_000 {
		t.Errorf("RSS %d", rss)
	}
	if left := s.Memory.AvailableBytes.GetValue(); left < 100<<20 || left >= 200<<20 {
		t.Errorf("available %d", left)
	}
	if s.Cpu.UsageCoreNanoSeconds.GetValue() == 0 || s.Cpu.Timestamp == 0 || s.WritableLayer.UsedBytes == nil || s.Attributes.Id != id {
		t.Errorf("stats %v", s)
	}
	podStats, err := w.rt.PodSandboxStats(w.ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: pod})
	if err != nil {
		t.Fatal(err)
	}
	linux := podStats.Stats.Linux
	if len(linux.Containers) != 1 || linux.Memory.UsageBytes.GetValue() < s.Memory.UsageBytes.GetValue() || linux.Process.ProcessCount.GetValue() < 2 {
		t.Errorf("sandbox stats %v", podStats)
	}
	list, err := w.rt.ListContainerStats(w.ctx, &runtimeapi.ListContainerStatsRequest{Filter: &runtimeapi.ContainerStatsFilter{PodSandboxId: pod}})
	if err != nil || len(list.Stats) != 1 {
		t.Errorf("list %v, %v", list, err)
	}
	if _, err := w.rt.ContainerStats(w.ctx, &runtimeapi.ContainerStatsRequest{ContainerId: "unknown"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown container: %v", err)
	}
	checkMetrics(t, w, pod, id)
}

// checkMetrics sees that each metric was described, with as many labels as it has values.
func checkMetrics(t *testing.T, w *world, pod, id string) {
	described, err := w.rt.ListMetricDescriptors(w.ctx, &runtimeapi.ListMetricDescriptorsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	for _, d := range described.Descriptors {
		keys[d.Name] = d.LabelKeys
	}
	all, err := w.rt.ListPodSandboxMetrics(w.ctx, &runtimeapi.ListPodSandboxMetricsRequest{})
	if err != nil || len(all.PodMetrics) != 1 || len(all.PodMetrics[0].ContainerMetrics) != 1 {
		t.Fatalf("metrics %v, %v", all, err)
	}
	of := all.PodMetrics[0]
	if of.PodSandboxId != pod || of.ContainerMetrics[0].ContainerId != id {
		t.Errorf("metrics of %s and %s", of.PodSandboxId, of.ContainerMetrics[0].ContainerId)
	}
	var names []string
	for _, m := range slices.Concat(of.Metrics, of.ContainerMetrics[0].Metrics) {
		names = append(names, m.Name)
		if len(keys[m.Name]) != len(m.LabelValues) || len(m.LabelValues) == 0 {
			t.Errorf("metric %s has values %q for labels %q", m.Name, m.LabelValues, keys[m.Name])
		}
	}
	for _, want := range []string{"container_memory_working_set_bytes", "container_cpu_usage_seconds_total", "container_start_time_seconds"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %q", want, names)
		}
	}
}

func TestUpdateResources(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("update")
	running := w.run(pod, containerConfig("running", "sleep", "forever"))
	created := w.create(pod, containerConfig("created", "sleep", "forever"))
	for _, id := range []string{running, created} {
		_, err := w.rt.UpdateContainerResources(w.ctx, &runtimeapi.UpdateContainerResourcesRequest{ContainerId: id, Linux: &runtimeapi.LinuxContainerResources{
			MemoryLimitInBytes: 64 << 20, CpuShares: 512, CpuQuota: 20000, CpuPeriod: 100000,
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: created}); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start() // and after a restart they are still known
	p, err := w.rt.findPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{running, created} {
		u, err := w.rt.cgroups.Usage(p.cgroup + "/" + id)
		if err != nil || u.Limit == nil || *u.Limit != 64<<20 {
			t.Errorf("limit %v, %v", u, err)
		}
		if got := w.status(id).Resources.Linux; got.MemoryLimitInBytes != 64<<20 || got.CpuShares != 512 || got.OomScoreAdj != 1000 {
			t.Errorf("status %v", got)
		}
	}
	_, err = w.rt.UpdateContainerResources(w.ctx, &runtimeapi.UpdateContainerResourcesRequest{ContainerId: running, Linux: &runtimeapi.LinuxContainerResources{
		CpuShares: 256, CpusetCpus: "4000",
	}})
	if err == nil {
		t.Error("a CPU that does not exist was accepted")
	}
	if got := w.status(running).Resources.Linux; got.CpuShares != 512 || got.CpusetCpus != "" {
		t.Errorf("a failed update changed %v", got)
	}
	_, err = w.rt.UpdatePodSandboxResources(w.ctx, &runtimeapi.UpdatePodSandboxResourcesRequest{
		PodSandboxId: pod, Resources: &runtimeapi.LinuxContainerResources{CpuShares: 7},
	})
	if err != nil {
		t.Error(err)
	}
}
