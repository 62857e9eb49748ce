package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// UpdateContainerResources changes the limits of a container that runs or is created: all that the request names, or nothing. What it does not
// name (0, "") stays as it is.
func (r *Runtime) UpdateContainerResources(ctx context.Context, req *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	if req.GetWindows() != nil {
		return nil, invalid("container %s: the update has a Windows part; this is a Linux runtime", c.id)
	}
	if err := c.pod.lock(ctx); err != nil {
		return nil, err
	}
	defer c.pod.unlock()
	if err := r.updateContainer(ctx, c, req.GetLinux()); err != nil {
		return nil, failed(err, "update resources of container %s", c.id)
	}
	return &runtimeapi.UpdateContainerResourcesResponse{}, nil
}

// updateContainer needs the pod's operation lock.
func (r *Runtime) updateContainer(ctx context.Context, c *container, asked *runtimeapi.LinuxContainerResources) error {
	r.mu.Lock()
	status, before, start := c.state.Status, c.resources, c.record.Start
	r.mu.Unlock()
	merged := mergeResources(before, asked)
	resources, err := r.limits(merged)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(resources)
	if err != nil {
		return err
	}
	switch {
	case status == shim.Running:
		err = r.call(ctx, c, shim.MethodUpdate, shim.UpdateRequest{ID: c.id, Resources: encoded}, nil)
	case status == shim.Created && start != nil:
		err = setResources(start, resources)
	default:
		err = wrongState("it is %s", status)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	c.resources = merged
	record := c.record
	r.mu.Unlock()
	if record.Resources, err = marshalResources(merged); err != nil {
		return err
	}
	r.mu.Lock()
	c.record.Resources = record.Resources
	r.mu.Unlock()
	return saveRecord(filepath.Join(c.dir, containerRecordName), record)
}

// setResources changes the specification that a container is to be started with, but not who may use which device.
func setResources(start *shim.StartRequest, resources *specs.LinuxResources) error {
	var spec specs.Spec
	if err := json.Unmarshal(start.Spec, &spec); err != nil {
		return fmt.Errorf("its specification: %w", err)
	}
	resources.Devices = spec.Linux.Resources.Devices
	spec.Linux.Resources = resources
	encoded, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	start.Spec = encoded
	return nil
}

// mergeResources is before with what asked names.
func mergeResources(before, asked *runtimeapi.LinuxContainerResources) *runtimeapi.LinuxContainerResources {
	merged := &runtimeapi.LinuxContainerResources{}
	if before != nil {
		merged = proto.CloneOf(before)
	}
	for _, n := range []struct {
		to   *int64
		from int64
	}{
		{&merged.CpuPeriod, asked.GetCpuPeriod()}, {&merged.CpuQuota, asked.GetCpuQuota()}, {&merged.CpuShares, asked.GetCpuShares()},
		{&merged.MemoryLimitInBytes, asked.GetMemoryLimitInBytes()}, {&merged.MemorySwapLimitInBytes, asked.GetMemorySwapLimitInBytes()},
		{&merged.OomScoreAdj, asked.GetOomScoreAdj()},
	} {
		if n.from != 0 {
			*n.to = n.from
		}
	}
	if asked.GetCpusetCpus() != "" {
		merged.CpusetCpus = asked.GetCpusetCpus()
	}
	if asked.GetCpusetMems() != "" {
		merged.CpusetMems = asked.GetCpusetMems()
	}
	for key, value := range asked.GetUnified() {
		if merged.Unified == nil {
			merged.Unified = map[string]string{}
		}
		merged.Unified[key] = value
	}
	for _, limit := range asked.GetHugepageLimits() {
		mergeHugepages(merged, limit)
	}
	return merged
}

func mergeHugepages(merged *runtimeapi.LinuxContainerResources, limit *runtimeapi.HugepageLimit) {
	for _, l := range merged.HugepageLimits {
		if l.PageSize == limit.GetPageSize() {
			l.Limit = limit.GetLimit()
			return
		}
	}
	merged.HugepageLimits = append(merged.HugepageLimits, proto.CloneOf(limit))
}

// UpdatePodSandboxResources writes down what the sandbox's containers may use together. The caller has set the limits of the pod's cgroup
// already, so nothing else is to be done.
func (r *Runtime) UpdatePodSandboxResources(ctx context.Context, req *runtimeapi.UpdatePodSandboxResourcesRequest) (*runtimeapi.UpdatePodSandboxResourcesResponse, error) {
	p, err := r.lockPod(ctx, req.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	defer p.unlock()
	r.mu.Lock()
	if req.GetOverhead() != nil {
		p.overhead = proto.CloneOf(req.GetOverhead())
	}
	if req.GetResources() != nil {
		p.resources = proto.CloneOf(req.GetResources())
	}
	r.mu.Unlock()
	if err := r.savePod(p, true); err != nil {
		return nil, failed(err, "update resources of sandbox %s", p.id)
	}
	return &runtimeapi.UpdatePodSandboxResourcesResponse{}, nil
}
