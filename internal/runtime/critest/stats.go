package critest

import (
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// statsCases are the rules of statistics and metrics.
var statsCases = []testCase{
	{"ContainerStats/of a running container have times and values", func(s *suite) {
		_, id := s.sleeper()
		resp, err := s.runtime.ContainerStats(s.ctx, &runtimeapi.ContainerStatsRequest{ContainerId: id})
		s.must(err)
		st := resp.Stats
		s.want("container", st.Attributes.Id, id)
		s.want("annotations", st.Attributes.Annotations, s.status(id).Annotations)
		if st.Cpu.Timestamp <= 0 || st.Memory.Timestamp <= 0 || st.Cpu.UsageCoreNanoSeconds.GetValue() == 0 || st.Memory.WorkingSetBytes.GetValue() == 0 {
			s.Errorf("stats %v", st)
		}
	}},
	{"ContainerStats/an absent container is an error", func(s *suite) {
		_, err := s.runtime.ContainerStats(s.ctx, &runtimeapi.ContainerStatsRequest{ContainerId: "absent"})
		s.refused("stats of an absent container", err)
	}},
	{"ListContainerStats/are of running containers, filtered with AND", func(s *suite) {
		pod, id := s.sleeper()
		for want, f := range map[string]*runtimeapi.ContainerStatsFilter{
			"[" + id + "]": {PodSandboxId: pod}, "[]": {PodSandboxId: pod, LabelSelector: map[string]string{"suite": "another"}},
		} {
			list, err := s.runtime.ListContainerStats(s.ctx, &runtimeapi.ListContainerStatsRequest{Filter: f})
			s.must(err)
			ids := []string{}
			for _, st := range list.Stats {
				ids = append(ids, st.Attributes.Id)
			}
			s.want("containers", ids, want)
		}
	}},
	{"StreamContainerStats/sends each container once and closes", func(s *suite) {
		_, id := s.sleeper()
		stream, err := s.runtime.StreamContainerStats(s.ctx, &runtimeapi.StreamContainerStatsRequest{})
		s.must(err)
		ids := collect(s, stream.Recv, func(part *runtimeapi.StreamContainerStatsResponse) (ids []string) {
			for _, st := range part.ContainerStats {
				ids = append(ids, st.Attributes.Id)
			}
			return ids
		})
		s.once("containers", ids, id)
	}},
	{"PodSandboxStats/include the containers'", func(s *suite) {
		pod, id := s.sleeper()
		resp, err := s.runtime.PodSandboxStats(s.ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: pod})
		s.must(err)
		st := resp.Stats
		s.want("sandbox", st.Attributes.Id, pod)
		if len(st.Linux.Containers) != 1 || st.Linux.Containers[0].Attributes.Id != id || st.Linux.Cpu.Timestamp <= 0 {
			s.Errorf("stats %v", st)
		}
		if st.Linux.Network.GetDefaultInterface().GetName() == "" {
			s.Errorf("network %v", st.Linux.Network)
		}
		_, err = s.runtime.PodSandboxStats(s.ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: "absent"})
		s.refused("stats of an absent sandbox", err)
	}},
	{"ListPodSandboxStats/are filtered", func(s *suite) {
		pod, _ := s.pod()
		s.pod()
		list, err := s.runtime.ListPodSandboxStats(s.ctx, &runtimeapi.ListPodSandboxStatsRequest{Filter: &runtimeapi.PodSandboxStatsFilter{Id: pod}})
		s.must(err)
		if len(list.Stats) != 1 || list.Stats[0].Attributes.Id != pod {
			s.Errorf("stats %v", list.Stats)
		}
	}},
	{"StreamPodSandboxStats/sends each sandbox once and closes", func(s *suite) {
		pod, _ := s.pod()
		stream, err := s.runtime.StreamPodSandboxStats(s.ctx, &runtimeapi.StreamPodSandboxStatsRequest{})
		s.must(err)
		ids := collect(s, stream.Recv, func(part *runtimeapi.StreamPodSandboxStatsResponse) (ids []string) {
			for _, st := range part.PodSandboxStats {
				ids = append(ids, st.Attributes.Id)
			}
			return ids
		})
		s.once("sandboxes", ids, pod)
	}},
	{"ListPodSandboxMetrics/each metric is described, with as many labels", func(s *suite) {
		pod, _ := s.sleeper()
		described, err := s.runtime.ListMetricDescriptors(s.ctx, &runtimeapi.ListMetricDescriptorsRequest{})
		s.must(err)
		labels := map[string]int{}
		for _, d := range described.Descriptors {
			if _, twice := labels[d.Name]; twice {
				s.Errorf("%s is described twice", d.Name)
			}
			labels[d.Name] = len(d.LabelKeys)
		}
		stream, err := s.runtime.StreamPodSandboxMetrics(s.ctx, &runtimeapi.StreamPodSandboxMetricsRequest{})
		s.must(err)
		ids := collect(s, stream.Recv, func(part *runtimeapi.StreamPodSandboxMetricsResponse) (ids []string) {
			for _, p := range part.PodSandboxMetrics {
				ids = append(ids, p.PodSandboxId)
				s.described(labels, p)
			}
			return ids
		})
		s.once("sandboxes", ids, pod)
	}},
}

func (s *suite) described(labels map[string]int, p *runtimeapi.PodSandboxMetrics) {
	s.Helper()
	all := p.Metrics
	for _, c := range p.ContainerMetrics {
		all = append(all, c.Metrics...)
	}
	for _, m := range all {
		if n, ok := labels[m.Name]; !ok || n != len(m.LabelValues) {
			s.Errorf("metric %s has %d labels, %d are described", m.Name, len(m.LabelValues), n)
		}
	}
}
