package runtime

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// RunPodSandbox makes a sandbox and its shim, attached to the network. When it fails, nothing is left of it.
func (r *Runtime) RunPodSandbox(ctx context.Context, req *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	if err := r.checkSandbox(req); err != nil {
		return nil, err
	}
	id, err := r.newID()
	if err != nil {
		return nil, err
	}
	p := r.newPod(id, proto.CloneOf(req.GetConfig()))
	p.handler = req.GetRuntimeHandler()
	p.createdAt = r.cfg.Clock.Now().UnixNano()
	if err := r.reserve(p.name(), id); err != nil {
		return nil, err
	}
	if err := r.makePod(ctx, p); err != nil {
		// What was begun is undone whatever became of the caller.
		undo := context.WithoutCancel(ctx)
		err = errors.Join(err, r.stopPod(undo, p), os.RemoveAll(p.dir))
		r.release(p.name())
		return nil, failed(err, "run sandbox of pod %s/%s", p.config.GetMetadata().GetNamespace(), p.config.GetMetadata().GetName())
	}
	r.cfg.Fault("run: ready")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pods[id] = p
	r.eventLocked(p, id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	r.eventLocked(p, id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

func (r *Runtime) newPod(id string, config *runtimeapi.PodSandboxConfig) *pod {
	parent := config.GetLinux().GetCgroupParent()
	if parent == "" {
		parent = r.cfg.CgroupParent
	}
	return &pod{
		id: id, dir: filepath.Join(r.cfg.State, id), ops: make(chan struct{}, 1), config: config,
		cgroup: path.Join(parent, id), containers: map[string]*container{},
	}
}

// makePod makes the namespaces and attaches them while the shim starts. Both are some milliseconds, and neither needs the other.
func (r *Runtime) makePod(ctx context.Context, p *pod) error {
	for _, dir := range []string{p.dir, filepath.Join(p.dir, "ns"), filepath.Join(p.dir, shim.ContainersDir)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	r.cfg.Fault("run: directories")
	if err := r.savePod(p, false); err != nil {
		return err
	}
	r.cfg.Fault("run: record")
	var client *shim.Client
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		client, err = r.startShim(gctx, p)
		r.cfg.Fault("run: shim")
		return err
	})
	g.Go(func() error {
		if err := makeNamespaces(p); err != nil {
			return err
		}
		r.cfg.Fault("run: namespaces")
		if err := makeShm(p); err != nil {
			return err
		}
		if err := writeEtcFiles(p); err != nil {
			return err
		}
		err := r.attach(gctx, p)
		r.cfg.Fault("run: attached")
		return err
	})
	err := g.Wait()
	if client != nil {
		r.adopt(p, client)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	p.ready = true
	r.mu.Unlock()
	return r.savePod(p, true)
}

func (r *Runtime) attach(ctx context.Context, p *pod) error {
	if p.hostNetwork() {
		return nil
	}
	addresses, err := r.cfg.Network.Attach(ctx, p.network())
	if err != nil {
		return failed(err, "attach to the network")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.addresses = addresses
	return nil
}

// checkSandbox refuses what cannot be done.
func (r *Runtime) checkSandbox(req *runtimeapi.RunPodSandboxRequest) error {
	config := req.GetConfig()
	m := config.GetMetadata()
	ns := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	parent := config.GetLinux().GetCgroupParent()
	switch {
	case m.GetName() == "" || m.GetNamespace() == "" || m.GetUid() == "":
		return invalid("sandbox metadata must have name, namespace and uid")
	case config.GetWindows() != nil:
		return invalid("sandbox config has a Windows part; this is a Linux runtime")
	case ns.GetNetwork() != runtimeapi.NamespaceMode_POD && ns.GetNetwork() != runtimeapi.NamespaceMode_NODE:
		return invalid("network namespace mode %s is neither POD nor NODE", ns.GetNetwork())
	case ns.GetIpc() != runtimeapi.NamespaceMode_POD && ns.GetIpc() != runtimeapi.NamespaceMode_NODE:
		return invalid("IPC namespace mode %s is neither POD nor NODE", ns.GetIpc())
	case parent != "" && (!path.IsAbs(parent) || path.Clean(parent) != parent || strings.HasSuffix(parent, ".slice")):
		return unsupported("cgroup parent %q: only clean absolute cgroupfs paths are supported", parent)
	}
	if err := errors.Join(checkUsers(ns), r.checkHandler(req.GetRuntimeHandler(), ns)); err != nil {
		return err
	}
	return checkSysctls(config)
}

// StopPodSandbox ends what runs in a sandbox, takes it off the network and gives back all but its records. It may be repeated; an unknown
// sandbox is stopped.
func (r *Runtime) StopPodSandbox(ctx context.Context, req *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	p, err := r.lockPod(ctx, req.GetPodSandboxId())
	if isNotFound(err) {
		return &runtimeapi.StopPodSandboxResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.unlock()
	if err := r.stopPod(ctx, p); err != nil {
		return nil, failed(err, "stop sandbox %s", p.id)
	}
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// stopPod needs the operation lock, or a pod that nobody else knows. It goes on after errors: each thing given back is one less to leak.
func (r *Runtime) stopPod(ctx context.Context, p *pod) error {
	var errs []error
	r.mu.Lock()
	p.ready = false
	containers := p.sortedLocked()
	r.mu.Unlock()
	for _, c := range containers {
		errs = append(errs, r.kill(ctx, c))
	}
	for _, c := range containers {
		errs = append(errs, r.awaitExit(ctx, c))
	}
	r.cfg.Fault("stop: killed")
	errs = append(errs, r.endShim(ctx, p))
	r.cfg.Fault("stop: shim ended")
	if !p.hostNetwork() {
		errs = append(errs, r.cfg.Network.Detach(ctx, p.id))
	}
	r.cfg.Fault("stop: detached")
	errs = append(errs, removeNamespaces(p), r.cgroups.Remove(p.cgroup))
	r.cfg.Fault("stop: given back")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return r.recordEnd(p)
}

// recordEnd tells and writes down, once, that a sandbox is not ready any more. Half-made ones have nobody to tell.
func (r *Runtime) recordEnd(p *pod) error {
	r.mu.Lock()
	p.ready = false
	told := p.ended || r.pods[p.id] != p
	if !told {
		p.ended = true
		r.eventLocked(p, p.id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
	}
	r.mu.Unlock()
	if told {
		return nil
	}
	return r.savePod(p, true)
}

// RemovePodSandbox stops a sandbox and forgets it and its containers. An unknown one is removed.
func (r *Runtime) RemovePodSandbox(ctx context.Context, req *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	p, err := r.lockPod(ctx, req.GetPodSandboxId())
	if isNotFound(err) {
		return &runtimeapi.RemovePodSandboxResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.unlock()
	if err := r.removePod(ctx, p); err != nil {
		return nil, failed(err, "remove sandbox %s", p.id)
	}
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

func (r *Runtime) removePod(ctx context.Context, p *pod) error {
	if err := r.stopPod(ctx, p); err != nil {
		return err
	}
	r.mu.Lock()
	containers := p.sortedLocked()
	r.mu.Unlock()
	for _, c := range containers {
		if err := r.removeContainer(c); err != nil {
			return err
		}
	}
	r.cfg.Fault("remove: containers")
	// The record goes last but for the directory: a crash in between leaves a stopped sandbox, not an unknown directory.
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pods[p.id] != p {
		return nil
	}
	delete(r.pods, p.id)
	delete(r.reserved, p.name())
	r.eventLocked(p, p.id, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	return nil
}

// PodSandboxStatus tells all about one sandbox and its containers.
func (r *Runtime) PodSandboxStatus(ctx context.Context, req *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := lookup(r.pods, "sandbox", req.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	resp := &runtimeapi.PodSandboxStatusResponse{Status: p.statusLocked(), Timestamp: r.cfg.Clock.Now().UnixNano()}
	for _, c := range p.sortedLocked() {
		resp.ContainersStatuses = append(resp.ContainersStatuses, c.statusLocked())
	}
	if req.GetVerbose() {
		resp.Info = p.infoLocked()
	}
	return resp, nil
}

// ListPodSandbox lists the sandboxes that match the filter.
func (r *Runtime) ListPodSandbox(ctx context.Context, req *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	f := req.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	resp := &runtimeapi.ListPodSandboxResponse{}
	for _, p := range r.pods {
		if !hasPrefixAndLabels(p.id, f.GetId(), p.config.GetLabels(), f.GetLabelSelector()) || (f.GetState() != nil && f.GetState().GetState() != p.stateLocked()) {
			continue
		}
		resp.Items = append(resp.Items, &runtimeapi.PodSandbox{
			Id: p.id, Metadata: p.config.GetMetadata(), State: p.stateLocked(), CreatedAt: p.createdAt,
			Labels: p.config.GetLabels(), Annotations: p.config.GetAnnotations(), RuntimeHandler: p.handler,
		})
	}
	return resp, nil
}

// hasPrefixAndLabels is what filters have in common.
func hasPrefixAndLabels(id, prefix string, labels, selector map[string]string) bool {
	if !strings.HasPrefix(id, prefix) {
		return false
	}
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
