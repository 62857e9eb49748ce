package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// container is one container of a sandbox.
type container struct {
	id  string
	pod *pod
	dir string // pod.dir/c/id
	// config is the request; immutable, like record but for its Start, which Runtime.mu guards.
	config *runtimeapi.ContainerConfig
	record containerRecord
	// exited is closed when state becomes Exited.
	exited chan struct{}
	meter  meter
	// volumes are the images that are mounted in it; known while it is being created only.
	volumes []shim.Volume

	// Guarded by Runtime.mu.
	state shim.ContainerState
	begun bool // the shim was asked to start it
	// resources are the limits now: the request's, or later ones. The message is never changed, but replaced.
	resources *runtimeapi.LinuxContainerResources
}

// containerRecord is container.json.
type containerRecord struct {
	Version   int             `json:"version"`
	ID        string          `json:"id"`
	CreatedAt int64           `json:"createdAt"`
	Config    json.RawMessage `json:"config"` // ContainerConfig, as protobuf's JSON
	// Resources are limits that were set later than Config's, as protobuf's JSON; absent when none were.
	Resources json.RawMessage `json:"resources,omitempty"`
	ImageID   string          `json:"imageID"`
	ImageRef  string          `json:"imageRef"`
	LogPath   string          `json:"logPath,omitempty"`
	User      identity        `json:"user"`
	// StopSignal is what a graceful stop begins with.
	StopSignal int `json:"stopSignal"`
	// Start is what the shim is to be asked; forgotten once the container has started or failed to.
	Start *shim.StartRequest `json:"start,omitempty"`
}

const containerRecordName = "container.json"

func containerName(p *pod, m *runtimeapi.ContainerMetadata) string {
	return "container/" + p.id + "/" + m.GetName() + "/" + strconv.FormatUint(uint64(m.GetAttempt()), 10)
}

// CreateContainer prepares a container: checks the request, finds the image, pins its layers, makes the writable layer and the spec.
func (r *Runtime) CreateContainer(ctx context.Context, req *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	p, err := r.lockPod(ctx, req.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	defer p.unlock()
	r.mu.Lock()
	ready := p.ready
	r.mu.Unlock()
	config := req.GetConfig()
	switch {
	case !ready:
		return nil, wrongState("sandbox %s is not ready", p.id)
	case config.GetMetadata().GetName() == "":
		return nil, invalid("container metadata must have a name")
	}
	id, err := r.newID()
	if err != nil {
		return nil, err
	}
	name := containerName(p, config.GetMetadata())
	if err := r.reserve(name, id); err != nil {
		return nil, err
	}
	c := &container{
		id: id, pod: p, dir: filepath.Join(p.dir, shim.ContainersDir, id), config: proto.CloneOf(config),
		exited: make(chan struct{}), state: shim.ContainerState{ID: id, Status: shim.Created},
	}
	c.resources = c.config.GetLinux().GetResources()
	if err := r.makeContainer(c); err != nil {
		err = errors.Join(err, r.discardFiles(c))
		r.release(name)
		return nil, failed(err, "create container %s", config.GetMetadata().GetName())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[id], p.containers[id] = c, c
	r.eventLocked(p, id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

func (r *Runtime) makeContainer(c *container) error {
	img, err := r.findImage(c.config.GetImage().GetImage())
	if err != nil {
		return err
	}
	imageConfig, err := r.images.Config(img)
	if err != nil {
		return err
	}
	lower, err := r.images.Pin(c.id, img)
	if err != nil {
		return err
	}
	r.cfg.Fault("create: pinned")
	config, err := protojson.Marshal(c.config)
	if err != nil {
		return err
	}
	c.record = containerRecord{
		Version: recordVersion, ID: c.id, CreatedAt: r.cfg.Clock.Now().UnixNano(), Config: config,
		ImageID: img.ID, ImageRef: imageRef(img),
	}
	if c.record.LogPath, err = logPath(c.pod.config.GetLogDirectory(), c.config.GetLogPath()); err != nil {
		return err
	}
	if c.record.StopSignal, err = stopSignal(c.config.GetStopSignal(), imageConfig.Config.StopSignal); err != nil {
		return err
	}
	if c.record.User, err = r.resolveUser(c.config.GetLinux().GetSecurityContext(), img, imageConfig.Config.User); err != nil {
		return err
	}
	spec, err := r.spec(c, imageConfig)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if len(encoded) > maxSpec {
		return invalid("its specification has %d bytes, at most %d are allowed", len(encoded), maxSpec)
	}
	files := r.writableLayer(c.id)
	c.record.Start = &shim.StartRequest{
		ID: c.id, Spec: encoded, Lower: lower, Upper: r.upper(c.id), Work: filepath.Join(files, "work"),
		Filters: r.filters(), Volumes: c.volumes, LogPath: c.record.LogPath, Stdin: c.config.GetStdin(), StdinOnce: c.config.GetStdinOnce(),
	}
	for _, dir := range []string{c.dir, files, c.record.Start.Upper, c.record.Start.Work, filepath.Join(c.dir, volumesDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// The upper directory's attributes are those of the container's root directory.
	if err := os.Chmod(c.record.Start.Upper, 0o755); err != nil {
		return err
	}
	if c.record.Start.Program, err = r.programOf(c.pod); err != nil {
		return err
	}
	if c.pod.users() != nil {
		c.record.Start.Users, c.record.Start.Rootfs = c.pod.nsPath("user"), r.mappedRoot(c)
		c.record.Start.RootUID, c.record.Start.RootGID = c.pod.root()
		if err := r.makeMappedRoot(c); err != nil {
			return err
		}
	}
	r.cfg.Fault("create: directories")
	err = saveRecord(filepath.Join(c.dir, containerRecordName), c.record)
	r.cfg.Fault("create: record")
	return err
}

// StartContainer starts a created container. When it cannot be started, it is Exited with code 128 and reason StartError.
func (r *Runtime) StartContainer(ctx context.Context, req *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	if err := c.pod.lock(ctx); err != nil {
		return nil, err
	}
	defer c.pod.unlock()
	r.mu.Lock()
	client, status, begun, start := c.pod.client, c.state.Status, c.begun, c.record.Start
	ready := c.pod.ready && client != nil
	if ready && !begun {
		c.begun = true
	}
	r.mu.Unlock()
	switch {
	case begun || status != shim.Created:
		return nil, wrongState("container %s is %s; only a created one can be started", c.id, status)
	case !ready:
		return nil, wrongState("container %s: sandbox %s is not ready", c.id, c.pod.id)
	}
	r.cfg.Fault("start: begun")
	var state shim.ContainerState
	err = client.Call(ctx, shim.MethodStart, start, &state)
	r.cfg.Fault("start: answered")
	if err != nil {
		return nil, failed(err, "start container %s", c.id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applyLocked(c.pod, state)
	return &runtimeapi.StartContainerResponse{}, nil
}

// StopContainer sends the stop signal, waits at most the given seconds, and then kills. One that does not run, or does not exist, is stopped.
func (r *Runtime) StopContainer(ctx context.Context, req *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if isNotFound(err) {
		return &runtimeapi.StopContainerResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := r.stopContainer(ctx, c, time.Duration(req.GetTimeout())*time.Second); err != nil {
		return nil, failed(err, "stop container %s", c.id)
	}
	return &runtimeapi.StopContainerResponse{}, nil
}

func (r *Runtime) stopContainer(ctx context.Context, c *container, grace time.Duration) error {
	r.mu.Lock()
	running := c.state.Status == shim.Running
	r.mu.Unlock()
	if !running {
		return nil
	}
	if grace > 0 {
		if err := r.signal(ctx, c, c.record.StopSignal); err != nil {
			return err
		}
		timer := r.cfg.Clock.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-c.exited:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C():
		}
	}
	if err := r.kill(ctx, c); err != nil {
		return err
	}
	r.cfg.Fault("stop container: signalled")
	return r.awaitExit(ctx, c)
}

// kill ends all processes of a container, if it runs. awaitExit waits until they have ended.
func (r *Runtime) kill(ctx context.Context, c *container) error {
	return r.signal(ctx, c, int(unix.SIGKILL))
}

func (r *Runtime) signal(ctx context.Context, c *container, sig int) error {
	r.mu.Lock()
	client, running := c.pod.client, c.state.Status == shim.Running
	r.mu.Unlock()
	if !running || client == nil {
		return nil // a shim that is gone is cleared up after, and its containers with it
	}
	err := client.Call(ctx, shim.MethodSignal, shim.SignalRequest{ID: c.id, Signal: sig}, nil)
	if errors.Is(err, shim.ErrGone) || shim.CodeOf(err) == shim.CodeNotRunning {
		return nil
	}
	return err
}

func (r *Runtime) awaitExit(ctx context.Context, c *container) error {
	r.mu.Lock()
	created := c.state.Status == shim.Created
	r.mu.Unlock()
	if created {
		return nil
	}
	select {
	case <-c.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
		return unavailable("the container runtime is stopping")
	}
}

// RemoveContainer kills a container if it runs and forgets it. An unknown one is removed.
func (r *Runtime) RemoveContainer(ctx context.Context, req *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if isNotFound(err) {
		return &runtimeapi.RemoveContainerResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := c.pod.lock(ctx); err != nil {
		return nil, err
	}
	defer c.pod.unlock()
	err = r.stopContainer(ctx, c, 0)
	if err == nil {
		err = r.removeContainer(c)
	}
	if err != nil {
		return nil, failed(err, "remove container %s", c.id)
	}
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// removeContainer forgets a container that does not run; it needs the pod's operation lock.
func (r *Runtime) removeContainer(c *container) error {
	if err := r.discardFiles(c); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[c.id] != c {
		return nil
	}
	delete(r.containers, c.id)
	delete(c.pod.containers, c.id)
	delete(r.reserved, containerName(c.pod, c.config.GetMetadata()))
	r.eventLocked(c.pod, c.id, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	return nil
}

// findContainer finds a container by its ID, whole or truncated as long as that is unique.
func (r *Runtime) findContainer(ctx context.Context, id string) (*container, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return lookup(r.containers, "container", id)
}
