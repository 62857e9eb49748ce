package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// slowLimit is how long an attached reader may keep the container's output waiting before it is cut off.
const slowLimit = 5 * time.Second

// fan copies one output stream to whoever is attached. The zero value has nobody.
type fan struct {
	mu     sync.Mutex // held over writes, which slowLimit bounds
	to     []*os.File
	closed bool // the stream has ended: who comes now gets the end at once
}

// Write gives b to all, cuts off who does not take it, and never fails.
func (f *fan) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = slices.DeleteFunc(f.to, func(w *os.File) bool {
		_ = w.SetWriteDeadline(time.Now().Add(slowLimit)) // a named I/O deadline
		if _, err := w.Write(b); err != nil {
			w.Close()
			return true
		}
		return false
	})
	return len(b), nil
}

// add takes w over; nil is nobody.
func (f *fan) add(w *os.File) {
	if w == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		w.Close()
		return
	}
	f.to = append(f.to, w)
}

// remove closes w, if it is still there.
func (f *fan) remove(w *os.File) {
	if w == nil {
		return
	}
	w.Close() // ends a Write to it that waits
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = slices.DeleteFunc(f.to, func(other *os.File) bool { return other == w })
}

// close tells all that the stream has ended.
func (f *fan) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.to {
		w.Close()
	}
	f.to, f.closed = nil, true
}

// attach lets what comes in streams hang on a running container. It returns at once.
func (p *pod) attach(r shim.AttachRequest, files []*os.File) error {
	streams, err := shim.StreamsOf(files, r.WantStreams)
	if err != nil {
		return err
	}
	if err := streams.Pollable(); err != nil {
		return err
	}
	c, err := p.running(r.ID)
	var stdin io.Writer
	if err == nil && r.Stdin {
		stdin, err = c.stdio.input()
	}
	if err == nil {
		err = c.hang()
	}
	if err != nil {
		streams.Close()
		return err
	}
	c.stdio.stdout.add(streams.Stdout)
	c.stdio.stderr.add(streams.Stderr)
	p.work.Go(func() {
		defer c.hanging.Add(-1)
		c.hold(streams, stdin)
	})
	return nil
}

// hold keeps an attach until its leash is let go or the container ends.
func (c *container) hold(streams *shim.Streams, stdin io.Writer) {
	stop := make(chan struct{})
	var parts sync.WaitGroup
	parts.Go(func() { // the container's end ends the reading below
		select {
		case <-c.stdio.over:
			_ = streams.Leash.SetReadDeadline(time.Unix(1, 0))
		case <-stop:
		}
	})
	if stdin != nil {
		parts.Go(func() { c.stdio.feed(stdin, streams.Stdin) })
	}
	_, _ = streams.Leash.Read(make([]byte, 1))
	close(stop)
	c.stdio.stdout.remove(streams.Stdout)
	c.stdio.stderr.remove(streams.Stderr)
	streams.Close() // ends feed's reading; its writing, when the container does not read, ends with the container
	parts.Wait()
}

// resize sets the size of a container's terminal.
func (p *pod) resize(r shim.ResizeRequest) error {
	c, err := p.running(r.ID)
	if err != nil {
		return err
	}
	terminal, err := c.stdio.terminalFile()
	if err != nil {
		return err
	}
	if terminal == nil {
		return &shim.Error{Code: shim.CodeInvalid, Message: fmt.Sprintf("container %s has no terminal", r.ID)}
	}
	conn, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := conn.Control(func(fd uintptr) {
		set = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: r.Width, Row: r.Height})
	}); err != nil {
		return err
	}
	return set
}
