package runtime

import (
	"context"
	"encoding/json"
	"errors"
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
func (r *Runtime) Status(_ context.Context, req *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
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
			ready, {Type: runtimeapi.NetworkReady, Status: true},
		}},
		RuntimeHandlers: []*runtimeapi.RuntimeHandler{{Features: &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true}}},
		Features:        &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: true},
	}
	if req.GetVerbose() {
		degraded, err := json.Marshal(r.host.degraded())
		if err != nil {
			return nil, err
		}
		resp.Info = map[string]string{"degraded": string(degraded)}
	}
	return resp, nil
}

// RuntimeConfig says how cgroups are named.
func (r *Runtime) RuntimeConfig(context.Context, *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return &runtimeapi.RuntimeConfigResponse{Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS}}, nil
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
		if !strings.HasPrefix(c.id, f.GetId()) || !strings.HasPrefix(c.pod.id, f.GetPodSandboxId()) ||
			!matches(f.GetLabelSelector(), c.config.GetLabels()) || (f.GetState() != nil && f.GetState().GetState() != criState(c.state.Status)) {
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
		Resources: &runtimeapi.ContainerResources{Linux: c.config.GetLinux().GetResources()},
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

// ExecSync runs a command in a running container and returns what it wrote, of each stream at most shim.MaxExecOutput bytes. When the
// timeout passes first, the error's code is DeadlineExceeded.
func (r *Runtime) ExecSync(ctx context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	if len(req.GetCmd()) == 0 {
		return nil, invalid("exec in container %s: no command", c.id)
	}
	var reply shim.ExecReply
	err = r.call(ctx, c, shim.MethodExec, shim.ExecRequest{ID: c.id, Args: req.GetCmd(), TimeoutMillis: req.GetTimeout() * 1000}, &reply)
	if err != nil {
		return nil, failed(err, "exec in container %s", c.id)
	}
	if reply.TimedOut {
		return nil, status.Errorf(codes.DeadlineExceeded, "failed to exec in container: timeout %ds exceeded: %v", req.GetTimeout(), context.DeadlineExceeded)
	}
	return &runtimeapi.ExecSyncResponse{Stdout: reply.Stdout, Stderr: reply.Stderr, ExitCode: int32(reply.ExitCode)}, nil
}

// call asks the shim about a running container.
func (r *Runtime) call(ctx context.Context, c *container, method string, request, reply any) error {
	r.mu.Lock()
	client, running := c.pod.client, c.state.Status == shim.Running
	r.mu.Unlock()
	if !running || client == nil {
		return wrongState("the container is not running")
	}
	return client.Call(ctx, method, request, reply)
}

func isNotFound(err error) bool {
	var s interface{ GRPCStatus() *status.Status }
	return errors.As(err, &s) && s.GRPCStatus().Code() == codes.NotFound
}
