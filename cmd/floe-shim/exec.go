package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// exec runs one more process in a container and waits for it.
func (p *pod) exec(ctx context.Context, r shim.ExecRequest) (any, error) {
	c, err := p.running(r.ID)
	if err != nil {
		return nil, err
	}
	if len(r.Args) == 0 {
		return nil, &shim.Error{Code: shim.CodeInvalid, Message: "exec: no command"}
	}
	defer p.worked()
	spec := *c.process
	spec.Args = r.Args
	process := newProcess(&spec)
	stdout, stderr := &capture{}, &capture{}
	closeOutput, err := pipeOutput(process, stdout, stderr)
	if err != nil {
		return nil, err
	}
	p.orphans.starts(func() (pid int) {
		if err = c.lc.Run(process); err == nil {
			pid, err = process.Pid()
		}
		return pid
	})
	drained := closeOutput()
	if err != nil {
		drained(0)
		return nil, fmt.Errorf("exec in container %s: %w", r.ID, err)
	}
	reply := shim.ExecReply{}
	reply.ExitCode, reply.TimedOut = p.await(ctx, process, time.Duration(r.TimeoutMillis)*time.Millisecond)
	drained(drainLimit)
	reply.Stdout, reply.Stderr = stdout.bytes(), stderr.bytes()
	return reply, nil
}

// await waits for process; when limit (0: none) or ctx ends first it kills the process.
func (p *pod) await(ctx context.Context, process *libcontainer.Process, limit time.Duration) (code int, timedOut bool) {
	kill := func() { _ = process.Signal(unix.SIGKILL) }
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	if limit > 0 {
		timer := time.AfterFunc(limit, kill)
		defer func() { timedOut = !timer.Stop() }()
	}
	code, _ = exitCode(p.wait(process))
	return code, false
}

// pipeOutput gives process pipes for its output. The function it returns closes the process's ends once it has them, and returns one
// that waits, at most for a time, until all output has been read.
func pipeOutput(process *libcontainer.Process, stdout, stderr io.Writer) (func() func(time.Duration), error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return nil, err
	}
	process.Stdout, process.Stderr = outW, errW
	s := &stdio{child: []*os.File{outW, errW}, parent: []*os.File{outR, errR}}
	s.copies.Go(func() { _, _ = io.Copy(stdout, outR) })
	s.copies.Go(func() { _, _ = io.Copy(stderr, errR) })
	return func() func(time.Duration) {
		s.started(true)
		return s.drain
	}, nil
}

// capture keeps the first shim.MaxExecOutput bytes written to it and drops the rest.
type capture struct {
	mu   sync.Mutex
	data []byte
}

func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = append(c.data, b[:min(len(b), shim.MaxExecOutput-len(c.data))]...)
	return len(b), nil
}

func (c *capture) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}
