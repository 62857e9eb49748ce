package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// Ages, on the runtime's clock, at which what was measured before is measured anew.
const (
	rateAge = time.Second      // of the rate of CPU use: it is that since a measurement at least so old
	diskAge = 10 * time.Second // of the size of a writable layer, since walking one is dear
)

// meter remembers what measuring one container or sandbox anew needs.
type meter struct {
	mu       sync.Mutex // guards what follows; held while a layer is walked, so that it is walked once
	cpuAt    time.Time
	cpu      uint64  // nanoseconds used at cpuAt
	rate     *uint64 // nanocores between the last two measurements; nil before the second
	diskAt   time.Time
	disk     uint64 // bytes
	inodes   uint64
	measured bool // disk was measured
}

// nanocores is the rate of CPU use, nil when it is not known yet.
func (m *meter) nanocores(now time.Time, used *uint64) *uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if used == nil {
		return nil
	}
	switch age := now.Sub(m.cpuAt); {
	case m.cpuAt.IsZero() || *used < m.cpu:
		m.cpuAt, m.cpu, m.rate = now, *used, nil
	case age >= rateAge:
		rate := uint64(float64(*used-m.cpu) / age.Seconds())
		m.cpuAt, m.cpu, m.rate = now, *used, &rate
	}
	return m.rate
}

// layer is the size of a writable layer.
func (m *meter) layer(now time.Time, dir string) (bytes, inodes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.measured || now.Sub(m.diskAt) >= diskAge {
		m.disk, m.inodes = diskUsage(dir)
		m.diskAt, m.measured = now, true
	}
	return m.disk, m.inodes
}

// diskUsage counts what is below dir, a file with several names once. Files come and go meanwhile; what cannot be read is not counted.
func diskUsage(dir string) (bytes, inodes uint64) {
	linked := map[uint64]bool{}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || linked[st.Ino] {
			return nil
		}
		if st.Nlink > 1 && !e.IsDir() {
			linked[st.Ino] = true
		}
		bytes += uint64(st.Blocks) * 512
		inodes++
		return nil
	})
	return bytes, inodes
}

// ContainerStats tells what one container uses. One that does not run uses nothing but its writable layer.
func (r *Runtime) ContainerStats(ctx context.Context, req *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	stats, err := r.containerStats(c)
	if err != nil {
		return nil, failed(err, "stats of container %s", c.id)
	}
	return &runtimeapi.ContainerStatsResponse{Stats: stats}, nil
}

// ListContainerStats tells what the running containers that match the filter use.
func (r *Runtime) ListContainerStats(ctx context.Context, req *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	f := req.GetFilter()
	var running []*container
	r.mu.Lock()
	for _, c := range r.containers {
		if c.state.Status == shim.Running && c.matches(f.GetId(), f.GetPodSandboxId(), f.GetLabelSelector()) {
			running = append(running, c)
		}
	}
	r.mu.Unlock()
	resp := &runtimeapi.ListContainerStatsResponse{}
	for _, c := range running {
		stats, err := r.containerStats(c)
		if err != nil {
			return nil, failed(err, "stats of container %s", c.id)
		}
		resp.Stats = append(resp.Stats, stats)
	}
	return resp, nil
}

// usage reads a cgroup; one that is gone uses nothing.
func (r *Runtime) usage(group string) (*cgroup.Usage, error) {
	u, err := r.cgroups.Usage(group)
	if errors.Is(err, fs.ErrNotExist) {
		return &cgroup.Usage{}, nil
	}
	return u, err
}

func (r *Runtime) containerStats(c *container) (*runtimeapi.ContainerStats, error) {
	u, err := r.usage(c.pod.cgroup + "/" + c.id)
	if err != nil {
		return nil, err
	}
	now := r.cfg.Clock.Now()
	bytes, inodes := c.meter.layer(now, r.upper(c.id))
	at := now.UnixNano()
	return &runtimeapi.ContainerStats{
		Attributes: &runtimeapi.ContainerAttributes{
			Id: c.id, Metadata: c.config.GetMetadata(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
		},
		Cpu: cpuUsage(at, u, c.meter.nanocores(now, u.CPU)), Memory: memoryUsage(at, u), Io: ioUsage(at, u),
		Swap: &runtimeapi.SwapUsage{Timestamp: at, SwapUsageBytes: value(u.Swap), SwapAvailableBytes: value(available(u.SwapLimit, u.Swap))},
		WritableLayer: &runtimeapi.FilesystemUsage{
			Timestamp: at, FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: r.cfg.Root}, UsedBytes: value(&bytes), InodesUsed: value(&inodes),
		},
	}, nil
}

func value(n *uint64) *runtimeapi.UInt64Value {
	if n == nil {
		return nil
	}
	return &runtimeapi.UInt64Value{Value: *n}
}

// available is what is left below a limit; nil without one.
func available(limit, used *uint64) *uint64 {
	if limit == nil || used == nil {
		return nil
	}
	left := *limit - min(*limit, *used)
	return &left
}

func cpuUsage(at int64, u *cgroup.Usage, nanocores *uint64) *runtimeapi.CpuUsage {
	return &runtimeapi.CpuUsage{Timestamp: at, UsageCoreNanoSeconds: value(u.CPU), UsageNanoCores: value(nanocores), Psi: psi(u.CPUPressure)}
}

func memoryUsage(at int64, u *cgroup.Usage) *runtimeapi.MemoryUsage {
	return &runtimeapi.MemoryUsage{
		Timestamp: at, WorkingSetBytes: value(u.WorkingSet), AvailableBytes: value(available(u.Limit, u.WorkingSet)), UsageBytes: value(u.Memory),
		RssBytes: value(u.RSS), PageFaults: value(u.Faults), MajorPageFaults: value(u.MajorFaults), Psi: psi(u.MemoryPressure),
	}
}

func ioUsage(at int64, u *cgroup.Usage) *runtimeapi.IoUsage {
	return &runtimeapi.IoUsage{Timestamp: at, Psi: psi(u.IOPressure)}
}

func psi(p *cgroup.Pressure) *runtimeapi.PsiStats {
	if p == nil {
		return nil
	}
	data := func(s cgroup.Stall) *runtimeapi.PsiData {
		return &runtimeapi.PsiData{Total: s.Total, Avg10: s.Avg10, Avg60: s.Avg60, Avg300: s.Avg300}
	}
	return &runtimeapi.PsiStats{Some: data(p.Some), Full: data(p.Full)}
}

// PodSandboxStats tells what a sandbox and its containers use.
func (r *Runtime) PodSandboxStats(ctx context.Context, req *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	p, err := r.findPod(req.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	stats, err := r.podStats(p)
	if err != nil {
		return nil, failed(err, "stats of sandbox %s", p.id)
	}
	return &runtimeapi.PodSandboxStatsResponse{Stats: stats}, nil
}

// ListPodSandboxStats tells what the ready sandboxes that match the filter use.
func (r *Runtime) ListPodSandboxStats(ctx context.Context, req *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	resp := &runtimeapi.ListPodSandboxStatsResponse{}
	for _, p := range r.readyPods(req.GetFilter()) {
		stats, err := r.podStats(p)
		if err != nil {
			return nil, failed(err, "stats of sandbox %s", p.id)
		}
		resp.Stats = append(resp.Stats, stats)
	}
	return resp, nil
}

func (r *Runtime) readyPods(f *runtimeapi.PodSandboxStatsFilter) []*pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*pod
	for _, p := range r.pods {
		if p.ready && hasPrefixAndLabels(p.id, f.GetId(), p.config.GetLabels(), f.GetLabelSelector()) {
			all = append(all, p)
		}
	}
	return all
}

func (r *Runtime) podStats(p *pod) (*runtimeapi.PodSandboxStats, error) {
	u, err := r.usage(p.cgroup)
	if err != nil {
		return nil, err
	}
	now := r.cfg.Clock.Now()
	at := now.UnixNano()
	linux := &runtimeapi.LinuxPodSandboxStats{
		Cpu: cpuUsage(at, u, p.meter.nanocores(now, u.CPU)), Memory: memoryUsage(at, u), Io: ioUsage(at, u),
		Process: &runtimeapi.ProcessUsage{Timestamp: at, ProcessCount: value(u.Processes)},
	}
	if linux.Network, err = networkUsage(p, at); err != nil {
		return nil, err
	}
	r.mu.Lock()
	containers := p.sortedLocked()
	r.mu.Unlock()
	for _, c := range containers {
		stats, err := r.containerStats(c)
		if err != nil {
			return nil, err
		}
		linux.Containers = append(linux.Containers, stats)
	}
	return &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{
			Id: p.id, Metadata: p.config.GetMetadata(), Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations(),
		},
		Linux: linux,
	}, nil
}

// defaultLink is the name of the link that a pod's traffic leaves by.
const defaultLink = "eth0"

// networkUsage counts what went through the links of a sandbox's own network but the loopback; nil on the host's network, or when it is gone.
func networkUsage(p *pod, at int64) (*runtimeapi.NetworkUsage, error) {
	links, err := podLinks(p)
	if links == nil || err != nil {
		return nil, err
	}
	usage := &runtimeapi.NetworkUsage{Timestamp: at}
	for _, l := range links {
		s := l.Attrs().Statistics
		if s == nil || l.Attrs().Name == "lo" {
			continue
		}
		one := &runtimeapi.NetworkInterfaceUsage{
			Name: l.Attrs().Name, RxBytes: value(&s.RxBytes), RxErrors: value(&s.RxErrors), TxBytes: value(&s.TxBytes), TxErrors: value(&s.TxErrors),
		}
		if one.Name == defaultLink {
			usage.DefaultInterface = one
		} else {
			usage.Interfaces = append(usage.Interfaces, one)
		}
	}
	return usage, nil
}

func podLinks(p *pod) ([]netlink.Link, error) {
	if p.hostNetwork() {
		return nil, nil
	}
	links, err := inNetwork(p, netlink.LinkList)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
		return nil, nil // the sandbox was stopped
	}
	return links, err
}
