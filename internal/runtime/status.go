package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// apiVersion is the version of CRI that this runtime speaks.
const apiVersion = "v1"

// Version names the runtime.
func (r *Runtime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{
		Version: "0.1.0", RuntimeName: "floe", RuntimeVersion: r.cfg.Version, RuntimeApiVersion: apiVersion,
	}, nil
}

// Status says whether sandboxes can be run, and, when verbose, what this host lacks.
func (r *Runtime) Status(ctx context.Context, req *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	ready := &runtimeapi.RuntimeCondition{Type: runtimeapi.RuntimeReady, Status: true}
	select {
	case <-r.recovered:
	default:
		ready.Status, ready.Reason, ready.Message = false, "RuntimeStarting", "what was running before is still being found"
	}
	select {
	case <-r.stopped:
		ready.Status, ready.Reason, ready.Message = false, "RuntimeStopped", "the container runtime has stopped"
	default:
	}
	resp := &runtimeapi.StatusResponse{
		Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
			ready, r.networkReady(ctx),
		}},
		RuntimeHandlers: r.handlersStatus(),
		Features:        &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: true},
	}
	if req.GetVerbose() {
		degraded, err := json.Marshal(slices.Concat(r.host.degraded(), r.withoutUsers(), r.missingHandlers()))
		if err != nil {
			return nil, err
		}
		resp.Info = map[string]string{"degraded": string(degraded)}
	}
	return resp, nil
}

// networkReady is the condition of the network, in the words that kubelets' users know.
func (r *Runtime) networkReady(ctx context.Context) *runtimeapi.RuntimeCondition {
	condition := &runtimeapi.RuntimeCondition{Type: runtimeapi.NetworkReady, Status: true}
	if err := r.cfg.Network.Ready(ctx); err != nil {
		condition.Status, condition.Reason = false, "NetworkPluginNotReady"
		condition.Message = "Network plugin returns error: " + err.Error()
	}
	return condition
}

// RuntimeConfig says how cgroups are named.
func (r *Runtime) RuntimeConfig(context.Context, *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return &runtimeapi.RuntimeConfigResponse{Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig takes the range of pod addresses that a kubelet names when it is the one that this node's network has.
func (r *Runtime) UpdateRuntimeConfig(_ context.Context, req *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	asked := req.GetRuntimeConfig().GetNetworkConfig().GetPodCidr()
	if asked != "" && asked != r.cfg.PodCIDR {
		return nil, unsupported("pod addresses are of %q, as this runtime was started with, and cannot become of %q while it runs", r.cfg.PodCIDR, asked)
	}
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}

// CheckpointContainer is refused: what would write a process's memory down (CRIU) is no part of this runtime.
func (r *Runtime) CheckpointContainer(ctx context.Context, req *runtimeapi.CheckpointContainerRequest) (*runtimeapi.CheckpointContainerResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	return nil, unsupported("checkpoint of container %s: this runtime has no CRIU, which checkpoints need", c.id)
}

// ContainerStatus tells all about one container.
func (r *Runtime) ContainerStatus(ctx context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	resp := &runtimeapi.ContainerStatusResponse{Status: c.statusLocked()}
	if req.GetVerbose() {
		info, err := json.Marshal(map[string]any{"pid": c.state.PID, "sandboxID": c.pod.id, "cgroup": c.pod.cgroup + "/" + c.id})
		if err != nil {
			return nil, err
		}
		resp.Info = map[string]string{"info": string(info)}
	}
	return resp, nil
}

// ListContainers lists the containers that match the filter.
func (r *Runtime) ListContainers(ctx context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	f := req.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	resp := &runtimeapi.ListContainersResponse{}
	for _, c := range r.containers {
		if !c.matches(f.GetId(), f.GetPodSandboxId(), f.GetLabelSelector()) || (f.GetState() != nil && f.GetState().GetState() != criState(c.state.Status)) {
			continue
		}
		resp.Containers = append(resp.Containers, &runtimeapi.Container{
			Id: c.id, PodSandboxId: c.pod.id, Metadata: c.config.GetMetadata(), Image: c.config.GetImage(),
			ImageRef: c.record.ImageRef, ImageId: c.record.ImageID, State: criState(c.state.Status), CreatedAt: c.record.CreatedAt,
			Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
		})
	}
	return resp, nil
}

// matches says whether the container and its sandbox have these IDs, whole, truncated or "", and the container these labels.
func (c *container) matches(id, sandbox string, labels map[string]string) bool {
	return hasPrefixAndLabels(c.id, id, c.config.GetLabels(), labels) && strings.HasPrefix(c.pod.id, sandbox)
}

func criState(s shim.Status) runtimeapi.ContainerState {
	switch s {
	case shim.Created:
		return runtimeapi.ContainerState_CONTAINER_CREATED
	case shim.Running:
		return runtimeapi.ContainerState_CONTAINER_RUNNING
	case shim.Exited:
		return runtimeapi.ContainerState_CONTAINER_EXITED
	}
	return runtimeapi.ContainerState_CONTAINER_UNKNOWN
}

func (c *container) statusLocked() *runtimeapi.ContainerStatus {
	u := c.record.User
	return &runtimeapi.ContainerStatus{
		Id: c.id, Metadata: c.config.GetMetadata(), State: criState(c.state.Status),
		CreatedAt: c.record.CreatedAt, StartedAt: c.state.StartedAt, FinishedAt: c.state.FinishedAt,
		ExitCode: int32(c.state.ExitCode), Reason: c.state.Reason, Message: c.state.Message,
		Image: c.config.GetImage(), ImageRef: c.record.ImageRef, ImageId: c.record.ImageID,
		Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(), Mounts: c.config.GetMounts(), LogPath: c.record.LogPath,
		Resources: &runtimeapi.ContainerResources{Linux: c.resources},
		User: &runtimeapi.ContainerUser{Linux: &runtimeapi.LinuxContainerUser{
			Uid: int64(u.UID), Gid: int64(u.GID), SupplementalGroups: u.groups64(),
		}},
		StopSignal: criSignal(c.record.StopSignal),
	}
}

// infoLocked is the verbose part of a sandbox's status.
func (p *pod) infoLocked() map[string]string {
	info := map[string]any{"cgroup": p.cgroup, "netns": p.nsPath("net")}
	if p.client != nil {
		info["pid"] = p.client.Hello().PID
	}
	data, err := json.Marshal(info)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return map[string]string{"info": string(data)}
}

// ReopenContainerLog makes a running container's log go to a new file, after the old one was renamed.
func (r *Runtime) ReopenContainerLog(ctx context.Context, req *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	if err := r.call(ctx, c, shim.MethodReopen, shim.ReopenRequest{ID: c.id}, nil); err != nil {
		return nil, failed(err, "reopen log of container %s", c.id)
	}
	return &runtimeapi.ReopenContainerLogResponse{}, nil
}

// call asks the shim about a running container. files go with the request.
func (r *Runtime) call(ctx context.Context, c *container, method string, request, reply any, files ...*os.File) error {
	r.mu.Lock()
	client, running := c.pod.client, c.state.Status == shim.Running
	r.mu.Unlock()
	if !running || client == nil {
		return wrongState("the container is not running")
	}
	return client.Call(ctx, method, request, reply, files...)
}

func isNotFound(err error) bool {
	var s interface{ GRPCStatus() *status.Status }
	return errors.As(err, &s) && s.GRPCStatus().Code() == codes.NotFound
}
