package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// maxHanging bounds the execs and attaches of one container at a time.
const maxHanging = 128

// execution is one more process in a container. It has a cgroup of its own below the container's, so that what it started can be ended too.
type execution struct {
	container *container
	process   *process // nil when another program runs it
	child     child
	leash     *os.File
	group     string // the cgroup's path in every hierarchy that has it; "" when there is none
	dir       string // its directory
}

// exec starts one more process in a container. It returns when the process runs; attend sees to the rest.
func (p *pod) exec(r shim.ExecRequest, files []*os.File) error {
	want := r.WantStreams
	if r.Terminal {
		want = shim.WantStreams{Stdin: true}
	}
	streams, err := shim.StreamsOf(files, want)
	if err != nil {
		return err
	}
	e, err := p.startExec(r, streams)
	streams.CloseStdio() // the process has its own now, or never will
	if err != nil {
		streams.Leash.Close()
		return err
	}
	p.work.Go(func() { p.attend(e) })
	return nil
}

func (p *pod) startExec(r shim.ExecRequest, streams *shim.Streams) (*execution, error) {
	c, err := p.running(r.ID)
	if err != nil {
		return nil, err
	}
	if len(r.Args) == 0 {
		return nil, &shim.Error{Code: shim.CodeInvalid, Message: "exec: no command"}
	}
	if err := c.hang(); err != nil {
		return nil, err
	}
	if !r.Terminal { // a terminal comes from the container
		if err := c.own(streams.Stdin, streams.Stdout, streams.Stderr); err != nil {
			c.hanging.Add(-1)
			return nil, err
		}
	}
	e := &execution{container: c, leash: streams.Leash}
	if err := p.runExec(e, r, streams); err != nil {
		c.hanging.Add(-1)
		e.removeGroup()
		return nil, fmt.Errorf("exec in container %s: %w", r.ID, err)
	}
	return e, nil
}

// runExec starts the process.
func (p *pod) runExec(e *execution, r shim.ExecRequest, streams *shim.Streams) (err error) {
	c := e.container
	if c.program != nil {
		e.child, err = c.program.exec(&p.orphans, execSpec(c, r), streams, c.execs.Add(1))
		return err
	}
	e.process = execProcess(c, r, streams)
	if err := e.makeGroup(c); err != nil {
		return err
	}
	p.orphans.starts(func() int {
		if err = c.lc.Run(e.process); err == nil {
			e.child, err = childOf(e.process)
		}
		return e.child.pid
	})
	return err
}

// hang counts one more exec or attach, whose end takes it off again.
func (c *container) hang() error {
	if c.hanging.Add(1) <= maxHanging {
		return nil
	}
	c.hanging.Add(-1)
	return &shim.Error{Code: shim.CodeBusy, Message: fmt.Sprintf("container %s has %d execs and attaches already", c.state.ID, maxHanging)}
}

// execSpec is what the request asks, with the container's own identity and limits.
func execSpec(c *container, r shim.ExecRequest) *specs.Process {
	spec := *c.process
	spec.Args, spec.Terminal = r.Args, r.Terminal
	if r.Terminal && !slices.ContainsFunc(spec.Env, func(kv string) bool { return strings.HasPrefix(kv, "TERM=") }) {
		spec.Env = append(slices.Clone(spec.Env), "TERM=xterm")
	}
	return &spec
}

// execProcess is that process for libcontainer, with the streams that it gets.
func execProcess(c *container, r shim.ExecRequest, streams *shim.Streams) *process {
	process := newProcess(execSpec(c, r))
	if r.Terminal {
		process.ConsoleSocket = streams.Stdin
		return process
	}
	giveStreams(streams, &process.Stdin, &process.Stdout, &process.Stderr)
	return process
}

// makeGroup makes the cgroup: on v2 below the container's only one, on v1 in the hierarchy that counts processes.
func (e *execution) makeGroup(c *container) error {
	key := ""
	if !c.unified {
		key = "pids"
	}
	base := c.groups.Path(key)
	if base == "" {
		return nil // a kernel without the controller: then only the process itself can be ended
	}
	name := "exec-" + strconv.FormatUint(c.execs.Add(1), 10)
	e.dir, e.group = filepath.Join(base, name), path.Join(c.group, name)
	if err := os.Mkdir(e.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	e.process.SubCgroupPaths = map[string]string{key: name}
	return nil
}

// removeGroup removes the cgroup; one in which something goes on stays until the container ends.
func (e *execution) removeGroup() {
	if e.dir != "" {
		_ = os.Remove(e.dir)
	}
}

// attend owns an execution until it has ended. When floe lets go of the leash first, everything the process started is ended with it.
func (p *pod) attend(e *execution) {
	var leashed sync.WaitGroup
	leashed.Go(func() {
		// Nothing is ever written to it, so reading ends when the other end was let go, or at the deadline below.
		if _, err := e.leash.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			p.end(e)
		}
	})
	code, _ := exitCode(p.wait(e.child))
	if reply, err := json.Marshal(shim.ExecReply{ExitCode: code}); err == nil {
		_, _ = e.leash.Write(reply) // whoever let go does not want to know
	}
	_ = e.leash.SetReadDeadline(time.Unix(1, 0))
	leashed.Wait()
	e.leash.Close()
	e.removeGroup()
	e.container.hanging.Add(-1)
	p.worked()
}

// end ends the process and what it started.
func (p *pod) end(e *execution) {
	_ = e.child.kill() // fails when it has ended just now
	if e.group == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if err := p.host.Kill(ctx, e.group); err != nil {
		fmt.Fprintf(os.Stderr, "end of an exec: %v\n", err)
	}
}
