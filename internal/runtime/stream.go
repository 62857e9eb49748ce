package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// Limits of the streaming server: how long a client may take for its request's head.
const streamHeadLimit = 30 * time.Second

// Streams runs commands in containers, attaches to them and forwards ports, with streams given by the caller: what the URLs of Exec, Attach
// and PortForward lead to, for callers in this process. Its methods return when it is over; an exit code other than 0 is a
// k8s.io/utils/exec.ExitError. When ctx ends they stop, and end what they started.
type Streams struct{ r *Runtime }

var _ streaming.Runtime = Streams{}

// Streams returns the runtime's streaming calls.
func (r *Runtime) Streams() Streams { return Streams{r} }

// Exec runs cmd in a running container. Streams that are nil are not asked; with tty there is no stderr.
func (s Streams) Exec(ctx context.Context, id string, cmd []string, in io.Reader, out, stderr io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := s.r.findContainer(ctx, id)
	if err != nil {
		return err
	}
	e := execution{args: cmd, stdin: in, stdout: writer(out), stderr: writer(stderr), terminal: tty, resize: resize}
	code, err := s.r.execute(ctx, c, e)
	if err != nil {
		return failed(err, "exec in container %s", c.id)
	}
	return exitError(code)
}

// Attach connects to the streams of a running container's first process.
func (s Streams) Attach(ctx context.Context, id string, in io.Reader, out, stderr io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := s.r.findContainer(ctx, id)
	if err != nil {
		return err
	}
	return failed(s.r.attachTo(ctx, c, in, writer(out), writer(stderr), resize), "attach to container %s", c.id)
}

// PortForward connects stream to a TCP port in a sandbox.
func (s Streams) PortForward(ctx context.Context, sandbox string, port int32, stream io.ReadWriteCloser) error {
	p, err := s.r.readyPod(ctx, sandbox)
	if err != nil {
		return err
	}
	return s.r.forward(ctx, p, port, stream)
}

// writer is w, or a plain nil for none: a nil stream in an interface is not nil.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return nil
	}
	return w
}

// Exec returns the URL of a server on this machine's loopback that runs the command for the first who asks it, soon, by SPDY or WebSocket.
func (r *Runtime) Exec(ctx context.Context, req *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	if _, err := r.runningContainer(ctx, req.GetContainerId()); err != nil {
		return nil, err
	}
	if len(req.GetCmd()) == 0 {
		return nil, invalid("exec in container %s: no command", req.GetContainerId())
	}
	server, err := r.streaming.server(r)
	if err != nil {
		return nil, failed(err, "exec in container %s", req.GetContainerId())
	}
	return server.GetExec(req)
}

// Attach returns a URL like Exec's. A terminal must be asked exactly when the container has one, and input only when it reads some.
func (r *Runtime) Attach(ctx context.Context, req *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	c, err := r.runningContainer(ctx, req.GetContainerId())
	switch {
	case err != nil:
		return nil, err
	case req.GetTty() != c.config.GetTty():
		return nil, invalid("attach to container %s: tty is %t, and the container was created with %t", c.id, req.GetTty(), c.config.GetTty())
	case req.GetStdin() && !c.config.GetStdin() && !c.config.GetTty():
		return nil, invalid("attach to container %s: it was created without standard input", c.id)
	}
	server, err := r.streaming.server(r)
	if err != nil {
		return nil, failed(err, "attach to container %s", c.id)
	}
	return server.GetAttach(req)
}

// PortForward returns a URL like Exec's.
func (r *Runtime) PortForward(ctx context.Context, req *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	p, err := r.readyPod(ctx, req.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	server, err := r.streaming.server(r)
	if err != nil {
		return nil, failed(err, "forward ports of sandbox %s", p.id)
	}
	return server.GetPortForward(req)
}

func (r *Runtime) runningContainer(ctx context.Context, id string) (*container, error) {
	c, err := r.findContainer(ctx, id)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.state.Status != shim.Running {
		return nil, wrongState("container %s is not running but %s", c.id, c.state.Status)
	}
	return c, nil
}

func (r *Runtime) readyPod(ctx context.Context, id string) (*pod, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := lookup(r.pods, "sandbox", id)
	if err == nil && !p.ready {
		return nil, wrongState("sandbox %s is not ready", p.id)
	}
	return p, err
}

// server returns the streaming server; the first call starts it. It ends with Run.
func (s *streamServer) server(r *Runtime) (streaming.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started != nil {
		return s.started, nil
	}
	l, err := net.Listen("tcp", r.cfg.StreamAddress)
	if err != nil {
		return nil, fmt.Errorf("streaming server: %w", err)
	}
	config := streaming.DefaultConfig
	config.BaseURL = &url.URL{Scheme: "http", Host: l.Addr().String()}
	server, err := streaming.NewServer(config, r.Streams())
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("streaming server: %w", err)
	}
	web := &http.Server{
		Handler: server, ReadHeaderTimeout: streamHeadLimit,
		// What is streamed ends with the runtime; the server itself does not know the connections any more by then.
		BaseContext: func(net.Listener) context.Context { return r.base },
	}
	if !r.also(func() {
		stop := context.AfterFunc(r.base, func() { web.Close() })
		defer stop()
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.cfg.Log.Error("streaming server", "error", err)
		}
	}) {
		l.Close()
		return nil, unavailable("the container runtime is stopping")
	}
	s.started = server
	return server, nil
}
