package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
	"github.com/floe-k8s/floe/internal/runtime/pidfd"
	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// socketFD is where floe put the listening socket.
const socketFD = 3

// pod is the sandbox this process stands over. It implements shim.Handler.
type pod struct {
	dir       string // the sandbox's directory, absolute
	startTime uint64 // of this process
	server    *shim.Server
	host      cgroup.Host
	orphans   orphans
	shared    shared
	quit      context.CancelFunc // ends the server
	work      sync.WaitGroup     // one per running container
	resting   *time.Timer        // trims when nothing was done for a while

	mu         sync.Mutex // guards what follows and the state in each container
	containers map[string]*container
	closing    bool // no container may start any more
}

// standOver serves the sandbox until floe says shutdown.
func standOver(sandbox, group string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if filepath.Base(dir) != sandbox {
		return fmt.Errorf("working directory %s is not that of sandbox %s", dir, sandbox)
	}
	host, err := settle(group)
	if err != nil {
		return err
	}
	socket := os.NewFile(socketFD, shim.SocketName)
	listener, err := net.FileListener(socket) // has a descriptor of its own
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", socketFD, err)
	}
	socket.Close()
	startTime, err := pidfd.StartTime(os.Getpid())
	if err != nil {
		return err
	}
	ctx, quit := context.WithCancel(context.Background())
	defer quit()
	p := &pod{dir: dir, host: host, startTime: startTime, quit: quit, containers: map[string]*container{}}
	p.server = shim.NewServer(p)
	p.resting = time.AfterFunc(restAfter, trim)
	defer p.resting.Stop()
	p.work.Go(func() { p.orphans.run(ctx) })
	err = p.server.Serve(ctx, listener)
	quit()
	p.work.Wait()
	return err
}

// restAfter is how long after the last work memory is given back: soon, but not between the starts of a pod's containers.
const restAfter = 200 * time.Millisecond

// worked says that memory may be given back when nothing else comes.
func (p *pod) worked() { p.resting.Reset(restAfter) }

// settle makes this process what a shim is: in the pod's cgroup, adopting what its containers leave behind, deaf to the signals that
// end a service, hard to choose for the OOM killer, and small.
func settle(group string) (cgroup.Host, error) {
	host, err := cgroup.Detect()
	if err != nil {
		return host, err
	}
	if err := host.Join(group); err != nil {
		return host, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return host, fmt.Errorf("become subreaper: %w", err)
	}
	// A restart of floe's service may signal everything it ever started. Only SIGKILL and a request end a shim. The signals are taken and
	// dropped, because ignored ones would be ignored by the containers too.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE)
	// Fails without CAP_SYS_RESOURCE; then the kernel judges by size, and a shim is small.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-998"), 0)
	debug.SetGCPercent(25)
	return host, nil
}

// Hello implements shim.Handler.
func (p *pod) Hello() shim.HelloReply {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply := shim.HelloReply{Version: shim.Version, PID: os.Getpid(), StartTime: p.startTime}
	for _, c := range p.containers {
		reply.Containers = append(reply.Containers, c.state)
	}
	return reply
}

// Handle implements shim.Handler.
func (p *pod) Handle(_ context.Context, method string, body json.RawMessage, files []*os.File) (any, error) {
	switch method {
	case shim.MethodExec:
		return handle(body, func(r shim.ExecRequest) (any, error) { return nil, p.exec(r, files) })
	case shim.MethodAttach:
		return handle(body, func(r shim.AttachRequest) (any, error) { return nil, p.attach(r, files) })
	}
	for _, f := range files { // no other request has any
		f.Close()
	}
	switch method {
	case shim.MethodStart:
		return handle(body, p.start)
	case shim.MethodSignal:
		return handle(body, func(r shim.SignalRequest) (any, error) { return nil, p.signal(r) })
	case shim.MethodReopen:
		return handle(body, func(r shim.ReopenRequest) (any, error) { return nil, p.reopen(r) })
	case shim.MethodResize:
		return handle(body, func(r shim.ResizeRequest) (any, error) { return nil, p.resize(r) })
	case shim.MethodUpdate:
		return handle(body, func(r shim.UpdateRequest) (any, error) { return nil, p.limit(r) })
	case shim.MethodShutdown:
		return nil, p.shutdown()
	}
	return nil, &shim.Error{Code: shim.CodeInvalid, Message: fmt.Sprintf("unknown request %q", method)}
}

func handle[T any](body json.RawMessage, do func(T) (any, error)) (any, error) {
	var request T
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, &shim.Error{Code: shim.CodeInvalid, Message: err.Error()}
	}
	return do(request)
}

// running returns a container whose process was started; all that start set up can be read then.
func (p *pod) running(id string) (*container, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.containers[id]
	if c == nil {
		return nil, &shim.Error{Code: shim.CodeNotFound, Message: fmt.Sprintf("container %s was never started here", id)}
	}
	if c.state.Status != shim.Running {
		return nil, &shim.Error{Code: shim.CodeNotRunning, Message: fmt.Sprintf("container %s is not running but %s", id, c.state.Status)}
	}
	return c, nil
}

// update changes a container's state, writes it down and tells floe. A failing disk is told in the shim's log and otherwise ignored:
// the connection still carries the truth.
func (p *pod) update(c *container, change func(*shim.ContainerState)) shim.ContainerState {
	p.mu.Lock()
	change(&c.state)
	state := c.state
	p.mu.Unlock()
	if err := shim.WriteState(p.dir, state); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	p.server.Publish(state)
	return state
}

func (p *pod) signal(r shim.SignalRequest) error {
	c, err := p.running(r.ID)
	if err != nil {
		return err
	}
	return c.signal(&p.orphans, unix.Signal(r.Signal))
}

func (p *pod) reopen(r shim.ReopenRequest) error {
	c, err := p.running(r.ID)
	if err != nil {
		return err
	}
	if c.log == nil {
		return nil
	}
	return c.log.Reopen()
}

func (p *pod) shutdown() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range p.containers {
		if c.state.Status != shim.Exited {
			return &shim.Error{Code: shim.CodeBusy, Message: fmt.Sprintf("container %s is %s", id, c.state.Status)}
		}
	}
	p.closing = true
	p.quit() // closes the connections too: floe takes the end of this process for the answer
	return nil
}

// errClosing refuses a start that comes after shutdown.
var errClosing = errors.New("the sandbox is being stopped")
