package critest

import (
	"net/netip"
	"os"
	"path/filepath"

	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type (
	podConfig       = runtimeapi.PodSandboxConfig
	containerConfig = runtimeapi.ContainerConfig
)

// sandboxCases are the rules of pod sandboxes.
var sandboxCases = []testCase{
	{"RunPodSandbox/the sandbox is ready on success, with what was asked", func(s *suite) {
		id, config := s.pod()
		st := s.podStatus(id)
		s.want("state", st.State, runtimeapi.PodSandboxState_SANDBOX_READY)
		s.want("metadata", st.Metadata, config.Metadata)
		s.want("labels", st.Labels, config.Labels)
		s.want("annotations", st.Annotations, config.Annotations)
		s.want("namespace options", st.Linux.Namespaces.Options, config.Linux.SecurityContext.NamespaceOptions)
		if st.CreatedAt <= 0 {
			s.Errorf("created_at is %d", st.CreatedAt)
		}
		if _, err := netip.ParseAddr(st.GetNetwork().GetIp()); err != nil {
			s.Errorf("address: %v", err)
		}
	}},
	{"RunPodSandbox/an unknown runtime handler is rejected", func(s *suite) {
		_, err := s.runtime.RunPodSandbox(s.ctx, &runtimeapi.RunPodSandboxRequest{Config: s.podConfig(), RuntimeHandler: "no-such-handler"})
		s.refused("an unknown handler", err)
	}},
	{"RunPodSandbox/metadata identify one sandbox", func(s *suite) {
		_, config := s.pod()
		_, err := s.runtime.RunPodSandbox(s.ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
		s.refused("a second sandbox of the same metadata", err)
		s.pod(func(c *podConfig) {
			m := config.Metadata
			c.Metadata = &runtimeapi.PodSandboxMetadata{Name: m.Name, Namespace: m.Namespace, Uid: m.Uid, Attempt: 1}
		})
	}},
	{"PodSandboxConfig/the host name is the containers'", func(s *suite) {
		pod, config := s.pod()
		id := s.runIn(pod, config, sleeping)
		s.contains("host name", s.inside(id, "cat", "/proc/sys/kernel/hostname"), config.Hostname)
	}},
	{"PodSandboxConfig/the DNS configuration becomes resolv.conf", func(s *suite) {
		pod, config := s.pod(func(c *podConfig) {
			c.DnsConfig = &runtimeapi.DNSConfig{Servers: []string{"192.0.2.53"}, Searches: []string{"a.example", "b.example"}, Options: []string{"ndots:5"}}
		})
		s.contains("resolv.conf", s.inside(s.runIn(pod, config, sleeping), "cat", "/etc/resolv.conf"),
			"nameserver 192.0.2.53\n", "search a.example b.example\n", "options ndots:5\n")
	}},
	{"LinuxPodSandboxConfig/sysctls are the sandbox's own", func(s *suite) {
		pod, config := s.pod(func(c *podConfig) { c.Linux.Sysctls = map[string]string{"kernel.shm_rmid_forced": "1"} })
		s.contains("sysctl", s.inside(s.runIn(pod, config, sleeping), "cat", "/proc/sys/kernel/shm_rmid_forced"), "1")
	}},
	{"NamespaceOption/network NODE is the host's", func(s *suite) {
		pod, config := s.pod(func(c *podConfig) {
			c.Linux.SecurityContext.NamespaceOptions.Network, c.Hostname = runtimeapi.NamespaceMode_NODE, ""
		})
		host, err := os.Readlink("/proc/self/ns/net")
		s.must(err)
		id := s.runIn(pod, config, sleeping, func(c *containerConfig) {
			c.Linux.SecurityContext.NamespaceOptions.Network = runtimeapi.NamespaceMode_NODE
		})
		s.contains("network", s.inside(id, "links", "/proc/self/ns/net"), host)
	}},
	{"NamespaceOption/network and IPC POD are common to the pod's containers, PID CONTAINER is not", func(s *suite) {
		pod, config := s.pod()
		a, b := s.runIn(pod, config, sleeping), s.runIn(pod, config, sleeping)
		for ns, common := range map[string]bool{"net": true, "ipc": true, "uts": true, "pid": false, "mnt": false} {
			same := s.inside(a, "links", "/proc/self/ns/"+ns) == s.inside(b, "links", "/proc/self/ns/"+ns)
			s.want("common "+ns, same, common)
		}
	}},
	{"NamespaceOption/PID POD is common to the pod's containers", func(s *suite) {
		share := func(c *containerConfig) { c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_POD }
		pod, config := s.pod(func(c *podConfig) { c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_POD })
		a, b := s.runIn(pod, config, sleeping, share), s.runIn(pod, config, sleeping, share)
		s.want("namespace", s.inside(a, "links", "/proc/self/ns/pid"), s.inside(b, "links", "/proc/self/ns/pid"))
	}},
	{"NamespaceOption/PID TARGET is that of another container", func(s *suite) {
		pod, config := s.pod()
		target := s.runIn(pod, config, sleeping)
		id := s.runIn(pod, config, sleeping, func(c *containerConfig) {
			c.Linux.SecurityContext.NamespaceOptions = &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_TARGET, TargetId: target}
		})
		s.want("namespace", s.inside(id, "links", "/proc/self/ns/pid"), s.inside(target, "links", "/proc/self/ns/pid"))
	}},
	{"NamespaceOption/PID NODE is the host's", func(s *suite) {
		host, err := os.Readlink("/proc/self/ns/pid")
		s.must(err)
		pod, config := s.pod(func(c *podConfig) { c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_NODE })
		id := s.runIn(pod, config, sleeping, func(c *containerConfig) {
			c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_NODE
		})
		s.contains("namespace", s.inside(id, "links", "/proc/self/ns/pid"), host)
	}},
	{"StopPodSandbox/ends running containers, and the sandbox is not ready any more", func(s *suite) {
		pod, id := s.sleeper()
		for range 2 { // idempotent
			_, err := s.runtime.StopPodSandbox(s.ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod})
			s.must(err)
		}
		s.want("state", s.podStatus(pod).State, runtimeapi.PodSandboxState_SANDBOX_NOTREADY)
		s.want("container", s.status(id).State, runtimeapi.ContainerState_CONTAINER_EXITED)
	}},
	{"RemovePodSandbox/ends and removes running containers", func(s *suite) {
		pod, id := s.sleeper()
		for range 2 { // idempotent
			_, err := s.runtime.RemovePodSandbox(s.ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod})
			s.must(err)
		}
		_, err := s.runtime.PodSandboxStatus(s.ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: pod})
		s.refused("status of a removed sandbox", err, codes.NotFound)
		_, err = s.runtime.ContainerStatus(s.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
		s.refused("status of a removed container", err, codes.NotFound)
	}},
	{"PodSandboxStatus/an absent sandbox is an error", func(s *suite) {
		_, err := s.runtime.PodSandboxStatus(s.ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: "absent"})
		s.refused("status of an absent sandbox", err, codes.NotFound)
	}},
	{"PodSandboxStatus/info comes only when verbose, container statuses with their time", func(s *suite) {
		pod, id := s.sleeper()
		resp, err := s.runtime.PodSandboxStatus(s.ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: pod})
		s.must(err)
		s.want("info without verbose", len(resp.Info), 0)
		if len(resp.ContainersStatuses) > 0 && (resp.ContainersStatuses[0].Id != id || resp.Timestamp <= 0) {
			s.Errorf("answer %v", resp)
		}
	}},
	{"UpdatePodSandboxResources/an absent sandbox is an error", func(s *suite) {
		pod, _ := s.pod()
		resources := &runtimeapi.LinuxContainerResources{CpuShares: 100}
		_, err := s.runtime.UpdatePodSandboxResources(s.ctx, &runtimeapi.UpdatePodSandboxResourcesRequest{PodSandboxId: pod, Resources: resources})
		s.must(err)
		_, err = s.runtime.UpdatePodSandboxResources(s.ctx, &runtimeapi.UpdatePodSandboxResourcesRequest{PodSandboxId: "absent", Resources: resources})
		s.refused("an update of an absent sandbox", err, codes.NotFound)
	}},
}

// sleeping makes a container do nothing, for ever.
func sleeping(c *containerConfig) { c.Command = []string{tool, "sleep", "forever"} }

// listCases are the rules of lists and their streams.
var listCases = []testCase{
	{"PodSandboxFilter/fields are combined with AND", func(s *suite) {
		a, config := s.pod()
		b, _ := s.pod()
		_, err := s.runtime.StopPodSandbox(s.ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: b})
		s.must(err)
		ready := &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY}
		for _, c := range []struct {
			filter *runtimeapi.PodSandboxFilter
			want   []string
		}{
			{&runtimeapi.PodSandboxFilter{Id: a}, []string{a}},
			{&runtimeapi.PodSandboxFilter{Id: b, State: ready}, nil},
			{&runtimeapi.PodSandboxFilter{LabelSelector: config.Labels}, []string{a}},
			{&runtimeapi.PodSandboxFilter{LabelSelector: config.Labels, Id: b}, nil},
			{&runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"suite": "critest"}, State: ready}, []string{a}},
		} {
			s.want("sandboxes of "+c.filter.String(), s.podIDs(c.filter), c.want)
		}
	}},
	{"StreamPodSandboxes/sends each sandbox once and closes", func(s *suite) {
		a, _ := s.pod()
		b, _ := s.pod()
		stream, err := s.runtime.StreamPodSandboxes(s.ctx, &runtimeapi.StreamPodSandboxesRequest{})
		s.must(err)
		ids := collect(s, stream.Recv, func(part *runtimeapi.StreamPodSandboxesResponse) (ids []string) {
			for _, p := range part.PodSandboxes {
				ids = append(ids, p.Id)
			}
			return ids
		})
		s.once("sandboxes", ids, a, b)
	}},
	{"ContainerFilter/fields are combined with AND", func(s *suite) {
		pod, id := s.sleeper()
		other, _ := s.pod()
		running := &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING}
		exited := &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_EXITED}
		for _, c := range []struct {
			filter *runtimeapi.ContainerFilter
			want   int
		}{
			{&runtimeapi.ContainerFilter{Id: id}, 1}, {&runtimeapi.ContainerFilter{Id: id, State: running}, 1}, {&runtimeapi.ContainerFilter{Id: id, State: exited}, 0},
			{&runtimeapi.ContainerFilter{PodSandboxId: pod}, 1}, {&runtimeapi.ContainerFilter{PodSandboxId: other}, 0},
			{&runtimeapi.ContainerFilter{PodSandboxId: pod, LabelSelector: map[string]string{"suite": "critest"}}, 1},
			{&runtimeapi.ContainerFilter{PodSandboxId: pod, LabelSelector: map[string]string{"suite": "another"}}, 0},
		} {
			list, err := s.runtime.ListContainers(s.ctx, &runtimeapi.ListContainersRequest{Filter: c.filter})
			s.must(err)
			s.want("containers of "+c.filter.String(), len(list.Containers), c.want)
		}
	}},
	{"StreamContainers/sends each container once and closes", func(s *suite) {
		_, a := s.sleeper()
		_, b := s.sleeper()
		stream, err := s.runtime.StreamContainers(s.ctx, &runtimeapi.StreamContainersRequest{})
		s.must(err)
		ids := collect(s, stream.Recv, func(part *runtimeapi.StreamContainersResponse) (ids []string) {
			for _, c := range part.Containers {
				ids = append(ids, c.Id)
			}
			return ids
		})
		s.once("containers", ids, a, b)
	}},
}

func (s *suite) podIDs(filter *runtimeapi.PodSandboxFilter) []string {
	s.Helper()
	list, err := s.runtime.ListPodSandbox(s.ctx, &runtimeapi.ListPodSandboxRequest{Filter: filter})
	s.must(err)
	var ids []string
	for _, p := range list.Items {
		ids = append(ids, p.Id)
	}
	return ids
}

// logFile is where a container's log must lie.
func logFile(pod *podConfig, c *containerConfig) string {
	return filepath.Join(pod.LogDirectory, c.LogPath)
}
