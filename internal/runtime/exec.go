package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// maxExecOutput bounds what ExecSync keeps of both streams together, in bytes, such that the answer passes a client that takes 16 MiB.
const maxExecOutput = 16<<20 - 4<<10

// quietLimit is how long the output of an exec that has ended may be silent while others still hold its streams, before it counts as over.
const quietLimit = 2 * time.Second

// ExecSync runs a command in a running container and returns what it wrote, of both streams together at most maxExecOutput bytes. When the
// timeout passes first, the command is ended with all that it started, and the error's code is DeadlineExceeded.
func (r *Runtime) ExecSync(ctx context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	c, err := r.findContainer(ctx, req.GetContainerId())
	if err != nil {
		return nil, err
	}
	switch {
	case len(req.GetCmd()) == 0:
		return nil, invalid("exec in container %s: no command", c.id)
	case req.GetTimeout() < 0:
		return nil, invalid("exec in container %s: timeout %d is negative", c.id, req.GetTimeout())
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	timedOut := r.after(limited, time.Duration(req.GetTimeout())*time.Second, cancel)
	var budget budget
	stdout, stderr := &capture{of: &budget}, &capture{of: &budget}
	code, err := r.execute(limited, c, execution{args: req.GetCmd(), stdout: stdout, stderr: stderr})
	cancel()
	if timedOut() {
		return nil, status.Errorf(codes.DeadlineExceeded, "failed to exec in container: timeout %ds exceeded: %v", req.GetTimeout(), context.DeadlineExceeded)
	}
	if err != nil {
		return nil, failed(err, "exec in container %s", c.id)
	}
	return &runtimeapi.ExecSyncResponse{Stdout: stdout.bytes(), Stderr: stderr.bytes(), ExitCode: int32(code)}, nil
}

// after calls do once d has passed (0: never), unless ctx ends first. The function it returns must be called after ctx has ended; it says
// whether do was called.
func (r *Runtime) after(ctx context.Context, d time.Duration, do func()) func() bool {
	if d <= 0 {
		return func() bool { return false }
	}
	timer := r.cfg.Clock.NewTimer(d)
	passed := make(chan bool, 1)
	go func() {
		defer timer.Stop()
		select {
		case <-timer.C():
			do()
			passed <- true
		case <-ctx.Done():
			passed <- false
		}
	}()
	return func() bool { return <-passed }
}

// budget is how much captures that share it have kept.
type budget struct {
	mu   sync.Mutex // guards used and the captures' data
	used int
}

// capture keeps what is written to it within its budget and drops the rest.
type capture struct {
	of   *budget
	data []byte
}

func (c *capture) Write(b []byte) (int, error) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	keep := min(len(b), maxExecOutput-c.of.used)
	c.data = append(c.data, b[:keep]...)
	c.of.used += keep
	return len(b), nil
}

func (c *capture) bytes() []byte {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.data
}

// execution is one more process in a container, with the streams that it has; nil ones are not asked.
type execution struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // then stderr is nil
	resize         <-chan remotecommand.TerminalSize
}

// execute runs e in a running container until it has ended and returns its exit code. When ctx ends first, the process is ended with all
// that it started, and the error is ctx's. Copying stdin may outlast the call until the reader ends; the runtime waits for that.
func (r *Runtime) execute(ctx context.Context, c *container, e execution) (int, error) {
	ctx, cancel := r.whileRunning(ctx)
	defer cancel()
	leash, err := newLeash()
	if err != nil {
		return 0, err
	}
	defer leash.close()
	s := &streams{owner: r}
	defer s.close()
	var files []*os.File
	if e.terminal {
		files, err = s.terminalSocket()
	} else {
		files, err = s.pipes(e.stdin != nil, e.stdout != nil, e.stderr != nil)
	}
	if err != nil {
		return 0, err
	}
	request := shim.ExecRequest{ID: c.id, Args: e.args, Terminal: e.terminal}
	if !e.terminal {
		request.WantStreams = shim.WantStreams{Stdin: e.stdin != nil, Stdout: e.stdout != nil, Stderr: e.stderr != nil}
	}
	err = r.call(ctx, c, shim.MethodExec, request, nil, append([]*os.File{leash.theirs}, files...)...)
	leash.theirs.Close()
	s.started()
	if err != nil {
		return 0, err // when ctx ended, what may have been started ends with the leash
	}
	if e.terminal {
		if err := s.receiveTerminal(); err != nil {
			return 0, err
		}
		s.followSize(ctx, e.resize)
	}
	r.cfg.Fault("exec: running")
	s.copy(e.stdin, e.stdout, e.stderr)
	code, err := leash.wait(ctx)
	s.finish(ctx, err == nil)
	return code, err
}

// whileRunning returns a context that ends with ctx, or when Run does.
func (r *Runtime) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.base, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// leash is what keeps an exec or attach alive: see shim.Streams.
type leash struct {
	conn   *net.UnixConn
	theirs *os.File
}

func newLeash() (*leash, error) {
	ours, theirs, err := shim.SocketPair("leash")
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, err
	}
	return &leash{conn: conn.(*net.UnixConn), theirs: theirs}, nil // a socket pair is of no other kind
}

func (l *leash) close() {
	l.conn.Close()
	l.theirs.Close()
}

// wait returns the exit code. When ctx ends it lets go, and waits a little for the shim to have ended what was running.
func (l *leash) wait(ctx context.Context) (int, error) {
	stop := context.AfterFunc(ctx, func() {
		_ = l.conn.CloseWrite()
		_ = l.conn.SetReadDeadline(time.Now().Add(endLimit)) // a named I/O deadline
	})
	defer stop()
	data, err := io.ReadAll(io.LimitReader(l.conn, 4096))
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	var reply shim.ExecReply
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", shim.ErrGone, err)
	case len(data) == 0:
		return 0, fmt.Errorf("%w: the shim ended", shim.ErrGone)
	}
	err = json.Unmarshal(data, &reply)
	return reply.ExitCode, err
}

// exitError is how an exec's exit code other than 0 is told to who streams.
func exitError(code int) error {
	if code == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
}
