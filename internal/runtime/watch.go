package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/pidfd"
	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// I/O limits in real time: how long a shim may take to answer a greeting, and to end once its connection broke.
const (
	greetLimit = 10 * time.Second
	endLimit   = 2 * time.Second
)

// startShim starts the sandbox's shim and greets it. The socket listens before the process runs, so nothing is tried twice.
func (r *Runtime) startShim(ctx context.Context, p *pod) (*shim.Client, error) {
	socket, err := listen(p.dir)
	if err != nil {
		return nil, fmt.Errorf("shim socket: %w", err)
	}
	defer socket.Close()
	logFile, err := os.OpenFile(filepath.Join(p.dir, shim.LogName), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd, err := r.runShim(p, logFile, socket)
	if err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	socket.Close() // now only the shim holds it: when it dies, connecting fails at once
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	client, err := shim.Dial(ctx, p.dir)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		said, _ := io.ReadAll(io.NewSectionReader(logFile, 0, 4096))
		return nil, fmt.Errorf("start shim: %w: %s", err, strings.TrimSpace(string(said)))
	}
	return client, cmd.Process.Release()
}

// runShim starts the process, born into its cgroup where the host has a v2 hierarchy: should this floe be killed now, the next one finds it there.
func (r *Runtime) runShim(p *pod, logFile, socket *os.File) (*exec.Cmd, error) {
	group := p.cgroup + "/shim"
	cmd := exec.Command(r.cfg.ShimPath, "pod", p.id, group)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{socket}
	// libcontainer looks commands up by the container's PATH; the shim itself needs no environment. One P keeps it small.
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	dir, err := r.cgroups.Open(group)
	if err != nil {
		return nil, err
	}
	if dir != nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return cmd, cmd.Start()
}

// listen makes the socket, which only root may connect to.
func listen(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), shim.SocketName)
	err = unix.Fchmod(fd, 0o600) // the mode that the name gets when it is bound
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: shim.SocketPath(d)})
	}
	if err == nil {
		err = unix.Listen(fd, 4)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// adopt takes a greeted shim over and watches it from now on.
func (r *Runtime) adopt(p *pod, client *shim.Client) {
	hello := client.Hello()
	process, err := pidfd.Open(hello.PID, hello.StartTime)
	if err != nil {
		r.cfg.Log.Warn("shim ended early", "sandbox", p.id, "error", err) // process is nil, which watch understands
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.client, p.gone = client, make(chan struct{})
	for _, s := range hello.Containers {
		r.applyLocked(p, s)
	}
	if r.closing {
		client.Close() // the next floe finds the shim
		return
	}
	r.work.Go(func() { r.watch(r.base, p, client, process) })
}

// watch follows one shim until it ends or ctx does.
func (r *Runtime) watch(ctx context.Context, p *pod, client *shim.Client, process *pidfd.Process) {
	if process != nil {
		defer process.Close()
	}
	for {
		err := client.Run(ctx, func(s shim.ContainerState) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.applyLocked(p, s)
		})
		if ctx.Err() != nil {
			return
		}
		if ended(ctx, process, endLimit) {
			break
		}
		r.cfg.Log.Warn("connection to shim broke, it lives: connecting again", "sandbox", p.id, "error", err)
		if client, err = r.redial(ctx, p); err != nil {
			r.cfg.Log.Error("shim does not answer: killing it", "sandbox", p.id, "error", err)
			_ = process.Signal(unix.SIGKILL) // fails only when it ended meanwhile
			ended(ctx, process, endLimit)
			break
		}
	}
	if ctx.Err() != nil {
		return
	}
	_, _ = unix.Wait4(pidOf(process), nil, unix.WNOHANG, nil) // reaps it if this process is its parent
	r.shimGone(ctx, p)
}

// pidOf is the number to reap; 0, which is no child's, for a process that was gone before it could be opened.
func pidOf(process *pidfd.Process) int {
	if process == nil {
		return 0
	}
	return process.PID()
}

// ended waits, at most for limit, until process has ended.
func ended(ctx context.Context, process *pidfd.Process, limit time.Duration) bool {
	if process == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return process.Wait(ctx) == nil
}

func (r *Runtime) redial(ctx context.Context, p *pod) (*shim.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	client, err := shim.Dial(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.client = client
	for _, s := range client.Hello().Containers {
		r.applyLocked(p, s)
	}
	return client, nil
}

// applyLocked takes over what a shim says about a container. States only move forward: an answer and an event may overtake each other.
func (r *Runtime) applyLocked(p *pod, s shim.ContainerState) {
	c := p.containers[s.ID]
	if c == nil || !c.state.Status.Before(s.Status) {
		return
	}
	before := c.state.Status
	c.state, c.record.Start = s, nil
	if before == shim.Created && s.StartedAt != 0 && s.Reason != shim.ReasonStartError {
		r.eventLocked(p, c.id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	}
	if s.Status == shim.Exited {
		close(c.exited)
		r.eventLocked(p, c.id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
	}
}

// shimGone clears up after a shim that ended, as it was asked to or not: what it left running is killed through the sandbox's cgroup, and
// what nobody knows the end of is reported as Unknown.
func (r *Runtime) shimGone(ctx context.Context, p *pod) {
	if err := r.cgroups.Kill(ctx, p.cgroup); err != nil {
		r.cfg.Log.Error("processes of a dead shim's sandbox remain", "sandbox", p.id, "error", err)
	}
	r.mu.Lock()
	containers := p.sortedLocked()
	unexpected := p.ready
	r.mu.Unlock()
	if unexpected {
		r.cfg.Log.Warn("shim died; its containers were killed", "sandbox", p.id)
	}
	for _, c := range containers {
		r.settle(p, c)
	}
	r.mu.Lock()
	p.client = nil
	gone := p.gone
	r.mu.Unlock()
	if unexpected { // else somebody is stopping the sandbox and tells when that is done
		if err := r.recordEnd(p); err != nil {
			r.cfg.Log.Error("sandbox record", "sandbox", p.id, "error", err)
		}
	}
	if gone != nil {
		close(gone)
	}
}

// settle finds the end of a container whose shim is gone: what the shim wrote, or Unknown for one that ran without its end being known.
func (r *Runtime) settle(p *pod, c *container) {
	if err := c.unmount(); err != nil {
		r.cfg.Log.Error("root file system of a dead shim's container", "container", c.id, "error", err)
	}
	r.mu.Lock()
	state, begun := c.state, c.begun
	r.mu.Unlock()
	if state.Status == shim.Exited {
		return
	}
	written, err := shim.ReadState(p.dir, c.id)
	switch {
	case err == nil:
		state = written
	case errors.Is(err, os.ErrNotExist) && !begun:
		return // it was never started and never will be
	}
	if state.Status != shim.Exited {
		now := r.cfg.Clock.Now().UnixNano()
		if state.StartedAt == 0 {
			state.StartedAt = now
		}
		state.ID, state.Status, state.FinishedAt = c.id, shim.Exited, now
		state.ExitCode, state.Reason, state.Message = shim.CodeUnknown, shim.ReasonUnknown, "its floe-shim ended without a word"
		if err := shim.WriteState(p.dir, state); err != nil {
			r.cfg.Log.Error("container state", "container", c.id, "error", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applyLocked(p, state)
}

// endShim asks the shim to end and waits until it has. One that cannot be asked is killed.
func (r *Runtime) endShim(ctx context.Context, p *pod) error {
	r.mu.Lock()
	client, gone := p.client, p.gone
	r.mu.Unlock()
	if client == nil {
		return r.cgroups.Kill(ctx, p.cgroup)
	}
	if err := askToEnd(ctx, client); err != nil {
		r.cfg.Log.Warn("shim does not end when asked: killing it", "sandbox", p.id, "error", err)
		if err := r.cgroups.Kill(ctx, p.cgroup); err != nil {
			return err
		}
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
		return unavailable("the container runtime is stopping")
	}
}

// askToEnd asks a shim to end; the end of the connection is its consent.
func askToEnd(ctx context.Context, client *shim.Client) error {
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	err := client.Call(ctx, shim.MethodShutdown, nil, nil)
	if errors.Is(err, shim.ErrGone) {
		return nil
	}
	return err
}
