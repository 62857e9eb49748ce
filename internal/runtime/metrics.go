package runtime

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// metric is one that cadvisor has, under cadvisor's name. CRI's values are whole numbers, so seconds are too.
type metric struct {
	name, help string
	kind       runtimeapi.MetricType
	read       func(*cgroup.Usage) *uint64
}

// baseLabels are those of every metric, in cadvisor's order.
var baseLabels = [...]string{"container", "id", "image", "name", "namespace", "pod"}

// usageMetrics are read from cgroups, of containers and of sandboxes as a whole.
var usageMetrics = [...]metric{
	{"container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return seconds(u.CPU) }},
	{"container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return seconds(u.User) }},
	{"container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return seconds(u.System) }},
	{"container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.Periods }},
	{"container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.ThrottledPeriods }},
	{"container_cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return seconds(u.Throttled) }},
	{"container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.Memory }},
	{"container_memory_working_set_bytes", "Current working set in bytes.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.WorkingSet }},
	{"container_memory_rss", "Size of RSS in bytes.", runtimeapi.MetricType_GAUGE, func(u *cgroup.Usage) *uint64 { return u.RSS }},
	{"container_memory_cache", "Number of bytes of page cache memory.", runtimeapi.MetricType_GAUGE, func(u *cgroup.Usage) *uint64 { return u.Cache }},
	{"container_memory_mapped_file", "Size of memory mapped files in bytes.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.MappedFile }},
	{"container_memory_swap", "Container swap usage in bytes.", runtimeapi.MetricType_GAUGE, func(u *cgroup.Usage) *uint64 { return u.Swap }},
	{"container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.MaxMemory }},
	{"container_memory_failcnt", "Number of memory usage hits limits.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.Failures }},
	{"container_spec_memory_limit_bytes", "Memory limit for the container.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.Limit }},
	{"container_oom_events_total", "Count of out of memory events observed for the container.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.OOMKills }},
	{"container_threads", "Number of threads running inside the container.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.Processes }},
	{"container_threads_max", "Maximum number of threads allowed inside the container, infinity if value is zero.", runtimeapi.MetricType_GAUGE,
		func(u *cgroup.Usage) *uint64 { return u.ProcessLimit }},
	{"container_fs_reads_bytes_total", "Cumulative count of bytes read.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.ReadBytes }},
	{"container_fs_writes_bytes_total", "Cumulative count of bytes written.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.WriteBytes }},
	{"container_fs_reads_total", "Cumulative count of reads completed.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.Reads }},
	{"container_fs_writes_total", "Cumulative count of writes completed.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return u.Writes }},
	{"container_pressure_cpu_waiting_seconds_total", "Total time duration tasks in the container have waited due to CPU congestion.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return waited(u.CPUPressure, false) }},
	{"container_pressure_cpu_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to CPU congestion.",
		runtimeapi.MetricType_COUNTER, func(u *cgroup.Usage) *uint64 { return waited(u.CPUPressure, true) }},
	{"container_pressure_memory_waiting_seconds_total", "Total time duration tasks in the container have waited due to memory congestion.",
		runtimeapi.MetricType_COUNTER, func(u *cgroup.Usage) *uint64 { return waited(u.MemoryPressure, false) }},
	{"container_pressure_memory_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to memory congestion.",
		runtimeapi.MetricType_COUNTER, func(u *cgroup.Usage) *uint64 { return waited(u.MemoryPressure, true) }},
	{"container_pressure_io_waiting_seconds_total", "Total time duration tasks in the container have waited due to IO congestion.", runtimeapi.MetricType_COUNTER,
		func(u *cgroup.Usage) *uint64 { return waited(u.IOPressure, false) }},
	{"container_pressure_io_stalled_seconds_total", "Total time duration no tasks in the container could make progress due to IO congestion.",
		runtimeapi.MetricType_COUNTER, func(u *cgroup.Usage) *uint64 { return waited(u.IOPressure, true) }},
}

// linkMetrics are read from a sandbox's links, one of each per link.
var linkMetrics = [...]struct {
	name, help string
	read       func(*runtimeapi.NetworkInterfaceUsage) *runtimeapi.UInt64Value
}{
	{"container_network_receive_bytes_total", "Cumulative count of bytes received.", (*runtimeapi.NetworkInterfaceUsage).GetRxBytes},
	{"container_network_receive_errors_total", "Cumulative count of errors encountered while receiving.", (*runtimeapi.NetworkInterfaceUsage).GetRxErrors},
	{"container_network_transmit_bytes_total", "Cumulative count of bytes transmitted.", (*runtimeapi.NetworkInterfaceUsage).GetTxBytes},
	{"container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting.", (*runtimeapi.NetworkInterfaceUsage).GetTxErrors},
}

// Metrics of a container that no cgroup has.
const (
	lastSeen     = "container_last_seen"
	startTime    = "container_start_time_seconds"
	layerUsage   = "container_fs_usage_bytes"
	layerInodes  = "container_fs_inodes_total"
	lastSeenHelp = "Last time a container was seen by the exporter"
	startHelp    = "Start time of the container since unix epoch in seconds."
	layerHelp    = "Number of bytes that are consumed by the container on this filesystem."
	inodesHelp   = "Number of Inodes"
)

func seconds(nanos *uint64) *uint64 {
	if nanos == nil {
		return nil
	}
	s := *nanos / uint64(time.Second)
	return &s
}

func waited(p *cgroup.Pressure, full bool) *uint64 {
	switch {
	case p == nil:
		return nil
	case full:
		return seconds(&p.Full.Total)
	}
	return seconds(&p.Some.Total)
}

// ListMetricDescriptors lists the metrics that ListPodSandboxMetrics may have; always the same.
func (r *Runtime) ListMetricDescriptors(context.Context, *runtimeapi.ListMetricDescriptorsRequest) (*runtimeapi.ListMetricDescriptorsResponse, error) {
	resp := &runtimeapi.ListMetricDescriptorsResponse{}
	add := func(name, help string, labels ...string) {
		all := append(baseLabels[:len(baseLabels):len(baseLabels)], labels...)
		resp.Descriptors = append(resp.Descriptors, &runtimeapi.MetricDescriptor{Name: name, Help: help, LabelKeys: all})
	}
	for _, m := range usageMetrics {
		add(m.name, m.help)
	}
	for _, m := range linkMetrics {
		add(m.name, m.help, "interface")
	}
	add(lastSeen, lastSeenHelp)
	add(startTime, startHelp)
	add(layerUsage, layerHelp)
	add(layerInodes, inodesHelp)
	return resp, nil
}

// ListPodSandboxMetrics measures the ready sandboxes and their running containers.
func (r *Runtime) ListPodSandboxMetrics(ctx context.Context, _ *runtimeapi.ListPodSandboxMetricsRequest) (*runtimeapi.ListPodSandboxMetricsResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	resp := &runtimeapi.ListPodSandboxMetricsResponse{}
	for _, p := range r.readyPods(nil) {
		all, err := r.podMetrics(p)
		if err != nil {
			return nil, failed(err, "metrics of sandbox %s", p.id)
		}
		resp.PodMetrics = append(resp.PodMetrics, all)
	}
	return resp, nil
}

func (r *Runtime) podMetrics(p *pod) (*runtimeapi.PodSandboxMetrics, error) {
	u, err := r.usage(p.cgroup)
	if err != nil {
		return nil, err
	}
	m := p.config.GetMetadata()
	labels := []string{"", p.cgroup, "", p.id, m.GetNamespace(), m.GetName()}
	all := &runtimeapi.PodSandboxMetrics{PodSandboxId: p.id, Metrics: measured(u, labels)}
	network, err := networkUsage(p, r.cfg.Clock.Now().UnixNano())
	if err != nil {
		return nil, err
	}
	links := network.GetInterfaces()
	if d := network.GetDefaultInterface(); d != nil {
		links = append(links, d)
	}
	for _, link := range links {
		for _, m := range linkMetrics {
			all.Metrics = append(all.Metrics, &runtimeapi.Metric{
				Name: m.name, MetricType: runtimeapi.MetricType_COUNTER, LabelValues: append(labels[:len(labels):len(labels)], link.GetName()), Value: m.read(link),
			})
		}
	}
	r.mu.Lock()
	containers := p.sortedLocked()
	r.mu.Unlock()
	for _, c := range containers {
		one, err := r.containerMetrics(c)
		if err != nil {
			return nil, err
		}
		if one != nil {
			all.ContainerMetrics = append(all.ContainerMetrics, one)
		}
	}
	return all, nil
}

// containerMetrics is nil for one that does not run.
func (r *Runtime) containerMetrics(c *container) (*runtimeapi.ContainerMetrics, error) {
	r.mu.Lock()
	state := c.state
	r.mu.Unlock()
	if state.Status != shim.Running {
		return nil, nil
	}
	group := c.pod.cgroup + "/" + c.id
	u, err := r.usage(group)
	if err != nil {
		return nil, err
	}
	m := c.pod.config.GetMetadata()
	labels := []string{c.config.GetMetadata().GetName(), group, c.config.GetImage().GetUserSpecifiedImage(), c.id, m.GetNamespace(), m.GetName()}
	if labels[2] == "" {
		labels[2] = c.record.ImageRef
	}
	now := r.cfg.Clock.Now()
	bytes, inodes := c.meter.layer(now, r.upper(c.id))
	all := &runtimeapi.ContainerMetrics{ContainerId: c.id, Metrics: measured(u, labels)}
	for _, own := range []struct {
		name  string
		value uint64
	}{
		{lastSeen, uint64(now.Unix())}, {startTime, uint64(state.StartedAt / int64(time.Second))}, {layerUsage, bytes}, {layerInodes, inodes},
	} {
		all.Metrics = append(all.Metrics, &runtimeapi.Metric{Name: own.name, MetricType: runtimeapi.MetricType_GAUGE, LabelValues: labels, Value: value(&own.value)})
	}
	return all, nil
}

// measured leaves out what this host does not count.
func measured(u *cgroup.Usage, labels []string) []*runtimeapi.Metric {
	var all []*runtimeapi.Metric
	for _, m := range usageMetrics {
		if n := m.read(u); n != nil {
			all = append(all, &runtimeapi.Metric{Name: m.name, MetricType: m.kind, LabelValues: labels, Value: value(n)})
		}
	}
	return all
}
