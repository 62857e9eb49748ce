package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/pidfd"
	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// drainLimit is how long a container's output may go on after its first process ended, when others still hold the pipe.
const drainLimit = 2 * time.Second

// libcontainerDir is where libcontainer keeps its own state, below the sandbox's directory; only this process ever reads it.
const libcontainerDir = "lc"

// container is one container, from the request to start it on.
type container struct {
	state   shim.ContainerState // guarded by pod.mu
	rootfs  string
	layers  string // where layers are on their way into an overlay
	users   string // the user namespace's path; "" for none
	rootUID int    // on the host, like rootGID
	rootGID int
	volumes []string       // where images are mounted as volumes
	process *specs.Process // what an exec takes its identity from
	lc      *libcontainer.Container
	program *program // runs it in lc's place; nil for lc
	init    child
	groups  cgroups.Manager
	group   string    // the cgroup's path, as the spec names it
	unified bool      // the host has cgroup v2 only
	log     *shim.Log // nil: output is dropped
	stdio   stdio
	execs   atomic.Uint64 // how many there were
	hanging atomic.Int64  // execs and attaches now; at most maxHanging
}

// start carries out a StartRequest. Whatever fails, the container ends up Exited with StartError, written down, and nothing is left.
func (p *pod) start(r shim.StartRequest) (any, error) {
	c := &container{
		state:  shim.ContainerState{ID: r.ID, Status: shim.Created},
		rootfs: filepath.Join(p.dir, shim.ContainersDir, r.ID, shim.RootfsName),
		layers: filepath.Join(p.dir, shim.ContainersDir, r.ID, shim.LayersDir),
		users:  r.Users, rootUID: r.RootUID, rootGID: r.RootGID,
	}
	if r.Rootfs != "" {
		c.rootfs = r.Rootfs
	}
	if err := p.register(c); err != nil {
		return nil, err
	}
	defer p.worked()
	if err := p.launch(c, r); err != nil {
		c.discard(&p.orphans)
		now := time.Now().UnixNano()
		p.update(c, func(s *shim.ContainerState) {
			s.Status, s.StartedAt, s.FinishedAt = shim.Exited, now, now
			s.ExitCode, s.Reason, s.Message = shim.CodeStartError, shim.ReasonStartError, err.Error()
		})
		return nil, err
	}
	state := p.update(c, func(s *shim.ContainerState) {
		s.Status, s.PID, s.StartedAt = shim.Running, c.init.pid, time.Now().UnixNano()
	})
	p.work.Go(func() { p.watch(c) })
	return state, nil
}

// register takes the container's name; a container starts once in its life.
func (p *pod) register(c *container) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return &shim.Error{Code: shim.CodeNotRunning, Message: errClosing.Error()}
	}
	if p.containers[c.state.ID] != nil {
		return &shim.Error{Code: shim.CodeInvalid, Message: fmt.Sprintf("container %s was started before", c.state.ID)}
	}
	p.containers[c.state.ID] = c
	return nil
}

func (p *pod) launch(c *container, r shim.StartRequest) error {
	var spec specs.Spec
	if err := json.Unmarshal(r.Spec, &spec); err != nil {
		return fmt.Errorf("container spec: %w", err)
	}
	if spec.Process == nil || spec.Linux == nil || spec.Root == nil {
		return errors.New("container spec: process, root and linux are required")
	}
	c.process, c.group, c.unified = spec.Process, spec.Linux.CgroupsPath, p.host.V2()
	if err := c.mountRoot(r); err != nil {
		return err
	}
	spec.Root.Path = c.rootfs
	if err := c.mountVolumes(&spec, r.Volumes); err != nil {
		return err
	}
	if err := p.sharePID(&spec, c); err != nil {
		return err
	}
	if r.LogPath != "" {
		log, err := shim.OpenLog(r.LogPath, time.Now)
		if err != nil {
			return err
		}
		c.log = log
	}
	if r.Program != "" {
		return p.launchProgram(c, r, &spec)
	}
	return p.launchOwn(c, r, &spec)
}

// launchOwn makes and starts the container with libcontainer.
func (p *pod) launchOwn(c *container, r shim.StartRequest, spec *specs.Spec) error {
	var config *configs.Config
	var err error
	p.orphans.starts(func() int { // it looks into a user namespace with a process, for which it waits itself
		config, err = specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: r.ID, Spec: spec})
		return 0
	})
	if err != nil {
		return fmt.Errorf("container spec: %w", err)
	}
	if err := p.bundle(c, spec, config); err != nil {
		return err
	}
	p.findFilter(c, r.Filters, config.Seccomp)
	if c.lc, err = libcontainer.Create(filepath.Join(p.dir, libcontainerDir), r.ID, config); err != nil {
		return err
	}
	init := newProcess(spec.Process)
	init.Init = true
	if err := c.stdio.open(init, c.log, r, spec.Process.Terminal); err != nil {
		return err
	}
	if err := c.own(c.stdio.child...); err != nil {
		return err
	}
	p.orphans.starts(func() (pid int) {
		if err = c.lc.Run(init); err == nil {
			c.init, err = childOf(init)
		}
		return c.init.pid
	})
	c.stdio.started(err == nil)
	if err != nil {
		return err
	}
	state, err := c.lc.State()
	if err != nil {
		return err
	}
	c.groups, err = manager.NewWithPaths(config.Cgroups, state.CgroupPaths)
	return err
}

// bundle tells hooks, which look for it, where the container's configuration is.
func (p *pod) bundle(c *container, spec *specs.Spec, config *configs.Config) error {
	if spec.Hooks == nil {
		return nil
	}
	dir := filepath.Join(p.dir, shim.ContainersDir, c.state.ID)
	config.Labels = slices.DeleteFunc(config.Labels, func(label string) bool { return strings.HasPrefix(label, "bundle=") })
	config.Labels = append(config.Labels, "bundle="+dir)
	return writeBundle(dir, spec)
}

// writeBundle writes the configuration of the OCI bundle in dir.
func writeBundle(dir string, spec *specs.Spec) error {
	encoded, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), encoded, 0o600)
}

// child is a process that this one waits for.
type child struct {
	pid  int
	reap func() (*os.ProcessState, error)
	kill func() error
}

// childOf is a process that libcontainer runs.
func childOf(process *process) (child, error) {
	pid, err := process.Pid()
	return child{pid: pid, reap: process.Wait, kill: func() error { return process.Signal(unix.SIGKILL) }}, err
}

// process is what libcontainer is to run.
type process = libcontainer.Process

// newProcess is the libcontainer process of a spec's, with its identity and limits.
func newProcess(s *specs.Process) *process {
	p := &process{
		Args: s.Args, Env: s.Env, Cwd: s.Cwd,
		UID: int(s.User.UID), GID: int(s.User.GID),
		NoNewPrivileges: &s.NoNewPrivileges,
	}
	for _, g := range s.User.AdditionalGids {
		p.AdditionalGroups = append(p.AdditionalGroups, int(g))
	}
	return p
}

// own makes the container's root the owner of its ends of streams, so that it may open them by name (/dev/stdout) and give them away.
func (c *container) own(files ...*os.File) error {
	if c.users == "" {
		return nil
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		if err := f.Chown(c.rootUID, c.rootGID); err != nil {
			return err
		}
	}
	return nil
}

// signal sends sig to the first process; libcontainer extends SIGKILL to all when they have no PID namespace of their own.
func (c *container) signal(o *orphans, sig unix.Signal) error {
	if c.program != nil {
		return c.program.kill(o, sig)
	}
	err := c.lc.Signal(sig)
	if errors.Is(err, libcontainer.ErrNotRunning) || errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) {
		return &shim.Error{Code: shim.CodeNotRunning, Message: "the container is not running"}
	}
	return err
}

// limit gives a running container other limits. What it may do with devices stays.
func (p *pod) limit(r shim.UpdateRequest) error {
	c, err := p.running(r.ID)
	if err != nil {
		return err
	}
	var resources specs.LinuxResources
	if err := json.Unmarshal(r.Resources, &resources); err != nil {
		return &shim.Error{Code: shim.CodeInvalid, Message: fmt.Sprintf("resources: %v", err)}
	}
	if c.program != nil {
		return c.program.update(&p.orphans, r.Resources)
	}
	resources.Devices = nil
	spec := &specs.Spec{Linux: &specs.Linux{CgroupsPath: c.group, Resources: &resources}}
	group, err := specconv.CreateCgroupConfig(&specconv.CreateOpts{CgroupName: r.ID, Spec: spec}, nil)
	if err != nil {
		return fmt.Errorf("container %s: resources: %w", r.ID, err)
	}
	config := c.lc.Config()
	before := config.Cgroups.Resources
	group.Resources.Devices, group.Resources.SkipDevices, group.Resources.SkipFreezeOnSet = before.Devices, true, true
	changed := *config.Cgroups
	changed.Resources = group.Resources
	config.Cgroups = &changed
	if err := c.lc.Set(config); err != nil {
		return fmt.Errorf("container %s: %w", r.ID, err)
	}
	return nil
}

// watch owns a running container until its end has been written down.
func (p *pod) watch(c *container) {
	status := p.wait(c.init)
	finished := time.Now().UnixNano()
	oom, err := c.groups.OOMKillCount()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "container %s: count of OOM kills: %v\n", c.state.ID, err)
	}
	c.discard(&p.orphans)
	p.update(c, func(s *shim.ContainerState) {
		s.Status, s.FinishedAt = shim.Exited, finished
		s.ExitCode, s.Signal = exitCode(status)
		switch {
		case oom > 0:
			s.Reason = shim.ReasonOOMKilled
		case s.ExitCode == 0:
			s.Reason = shim.ReasonCompleted
		default:
			s.Reason = shim.ReasonError
		}
	})
	p.worked()
}

// wait parks until the process ended, without holding a thread, and reaps it.
func (p *pod) wait(c child) *os.ProcessState {
	if h, err := pidfd.Open(c.pid, 0); err == nil {
		_ = h.Wait(context.Background())
		h.Close()
	}
	status, _ := c.reap() // its error is an exit code other than 0, which status says too
	p.orphans.waited(c.pid)
	return status
}

// exitCode is the code as shells count it: 128 + the signal for a process that a signal ended.
func exitCode(status *os.ProcessState) (code, signal int) {
	if status == nil {
		return shim.CodeUnknown, 0
	}
	ws, ok := status.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal()), int(ws.Signal())
	}
	return status.ExitCode(), 0
}

// discard takes down what a container that does not run needs no more: output, cgroups, libcontainer's state, the overlay. What fails is
// told in the shim's log; floe removes it with the sandbox.
func (c *container) discard(o *orphans) {
	var errs []error
	c.stdio.drain(drainLimit)
	if c.log != nil {
		errs = append(errs, c.log.Err(), c.log.Close())
	}
	if c.lc != nil {
		o.starts(func() int { // it waits for the hooks that it runs
			errs = append(errs, c.lc.Destroy())
			return 0
		})
	}
	if c.program != nil {
		errs = append(errs, c.program.remove(o))
	}
	for _, v := range c.volumes {
		errs = append(errs, unmountOverlay(v))
	}
	errs = append(errs, unmountOverlay(c.rootfs))
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintf(os.Stderr, "container %s: %v\n", c.state.ID, err)
	}
}
