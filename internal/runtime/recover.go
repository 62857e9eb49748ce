package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// What may have happened while no floe ran, and what recover does about it:
//
//   - nothing: the shim answers, and says how its containers are;
//   - containers ended: the shim says so too;
//   - a shim died, or the machine was restarted: what the sandbox's cgroup still holds is killed; ends that the shim wrote down are
//     believed, others are Unknown; the sandbox is not ready, and waits for its StopPodSandbox;
//   - floe died inside RunPodSandbox or CreateContainer: there is no complete record; what was made is removed;
//   - floe died inside a stop or remove: the sandbox or container is found as far as it got, and the caller repeats;
//   - images were loaded or removed: pins kept the layers of every container;
//   - somebody changed files in State: not foreseen; what cannot be read is treated as half-made.
//
// Every step is one that normal work takes too.

// recoverAtOnce is how many sandboxes are recovered at the same time.
const recoverAtOnce = 8

// recover finds the sandboxes of before. Its errors are those of the directory itself; what is wrong with one sandbox is logged.
func (r *Runtime) recover(ctx context.Context) error {
	entries, err := os.ReadDir(r.cfg.State)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(recoverAtOnce)
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		g.Go(func() error {
			if err := r.recoverPod(gctx, e.Name()); err != nil {
				r.cfg.Log.Error("sandbox was not recovered; it will be tried again at the next start", "sandbox", e.Name(), "error", err)
			}
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.sweep()
}

func (r *Runtime) recoverPod(ctx context.Context, id string) error {
	p, record, err := r.loadPod(id)
	if err != nil || !record.Complete {
		r.cfg.Log.Warn("removing a half-made sandbox", "sandbox", id, "error", err)
		return errors.Join(r.stopPod(ctx, p), r.removeHalfMade(p))
	}
	if err := r.loadContainers(p); err != nil {
		return err
	}
	r.mu.Lock()
	r.pods[id] = p
	r.reserved[p.name()] = id
	p.ready, p.ended, p.addresses = record.Ready, !record.Ready, record.Addresses
	r.mu.Unlock()
	if !record.Ready {
		r.settleAll(p)
		return nil // its stop got at least so far; the caller repeats it
	}
	if record.BootID == r.host.BootID {
		if client, err := r.greet(ctx, p); err == nil {
			r.adopt(p, client)
			r.attachAgain(ctx, p)
			return nil
		}
	}
	r.shimGone(ctx, p)
	return nil
}

func (r *Runtime) greet(ctx context.Context, p *pod) (*shim.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	return shim.Dial(ctx, p.dir)
}

// attachAgain tells Network, which was restarted too, what it has to serve.
func (r *Runtime) attachAgain(ctx context.Context, p *pod) {
	if err := r.attach(ctx, p); err != nil {
		r.cfg.Log.Error("attach a recovered sandbox", "sandbox", p.id, "error", err)
	}
}

// settleAll finds out how containers ended whose shim is not there any more.
func (r *Runtime) settleAll(p *pod) {
	r.mu.Lock()
	containers := p.sortedLocked()
	r.mu.Unlock()
	for _, c := range containers {
		r.settle(p, c)
	}
}

// loadPod reads a sandbox's record. The pod it returns can be stopped even when the record is missing or broken.
func (r *Runtime) loadPod(id string) (*pod, podRecord, error) {
	var record podRecord
	config := &runtimeapi.PodSandboxConfig{}
	data, err := os.ReadFile(filepath.Join(r.cfg.State, id, podRecordName))
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err == nil {
		err = unmarshalMessage(record.Config, config)
	}
	p := r.newPod(id, config)
	if err == nil {
		err = p.loadResources(record)
	}
	p.createdAt, p.handler = record.CreatedAt, record.Handler
	if path.IsAbs(record.Cgroup) && path.Base(record.Cgroup) == id {
		p.cgroup = record.Cgroup
	}
	switch {
	case err != nil:
	case record.ID != id:
		err = fmt.Errorf("its record is of sandbox %q", record.ID)
	case record.Version != recordVersion:
		err = fmt.Errorf("its record has format %d, this floe reads %d", record.Version, recordVersion)
	}
	return p, record, err
}

// unmarshalMessage reads a message of a record; fields that a later floe wrote are left out.
func unmarshalMessage(data json.RawMessage, m proto.Message) error {
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
}

// loadResources reads what UpdatePodSandboxResources wrote down. Nobody else knows the pod yet.
func (p *pod) loadResources(record podRecord) error {
	if record.Overhead != nil {
		p.overhead = &runtimeapi.LinuxContainerResources{}
		if err := unmarshalMessage(record.Overhead, p.overhead); err != nil {
			return err
		}
	}
	if record.Resources != nil {
		p.resources = &runtimeapi.LinuxContainerResources{}
		return unmarshalMessage(record.Resources, p.resources)
	}
	return nil
}

// removeHalfMade removes what is left of a sandbox that was never there for anybody, with containers that it may have.
func (r *Runtime) removeHalfMade(p *pod) error {
	containers, err := os.ReadDir(filepath.Join(p.dir, shim.ContainersDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range containers {
		c := &container{id: e.Name(), pod: p, dir: filepath.Join(p.dir, shim.ContainersDir, e.Name())}
		if err := r.discardFiles(c); err != nil {
			return err
		}
	}
	return os.RemoveAll(p.dir)
}

func (r *Runtime) loadContainers(p *pod) error {
	entries, err := os.ReadDir(filepath.Join(p.dir, shim.ContainersDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		c, err := loadContainer(p, e.Name())
		if err != nil {
			r.cfg.Log.Warn("removing a half-made container", "container", e.Name(), "error", err)
			if err := r.discardFiles(c); err != nil {
				return err
			}
			continue
		}
		r.mu.Lock()
		r.containers[c.id], p.containers[c.id] = c, c
		r.reserved[containerName(p, c.config.GetMetadata())] = c.id
		r.mu.Unlock()
	}
	return nil
}

func loadContainer(p *pod, id string) (*container, error) {
	c := &container{
		id: id, pod: p, dir: filepath.Join(p.dir, shim.ContainersDir, id), config: &runtimeapi.ContainerConfig{},
		exited: make(chan struct{}), state: shim.ContainerState{ID: id, Status: shim.Created},
	}
	data, err := os.ReadFile(filepath.Join(c.dir, containerRecordName))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c.record); err != nil {
		return c, err
	}
	if c.record.ID != id || c.record.Version != recordVersion {
		return c, fmt.Errorf("its record is of container %q in format %d", c.record.ID, c.record.Version)
	}
	if err := unmarshalMessage(c.record.Config, c.config); err != nil {
		return c, err
	}
	c.resources = c.config.GetLinux().GetResources()
	if c.record.Resources != nil {
		c.resources = &runtimeapi.LinuxContainerResources{}
		return c, unmarshalMessage(c.record.Resources, c.resources)
	}
	return c, nil
}

// sweep removes writable layers and pins that belong to no container, and filters whose compilation a crash ended.
func (r *Runtime) sweep() error {
	unfinished, err := filepath.Glob(filepath.Join(r.filters(), "*.new"))
	if err != nil {
		return err
	}
	for _, path := range unfinished { // a shim that still works on one says so in its log, and its container has another
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	pins, err := r.images.Pins()
	if err != nil {
		return err
	}
	for _, id := range pins {
		owner, _, _ := strings.Cut(id, ".") // what follows the dot tells a container's volumes apart
		if r.containers[owner] == nil {     // nobody else is at work yet, so no lock
			if err := r.images.Unpin(id); err != nil {
				return err
			}
		}
	}
	layers, err := os.ReadDir(filepath.Join(r.cfg.Root, "containers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range layers {
		if r.containers[e.Name()] == nil {
			if err := os.RemoveAll(r.writableLayer(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
