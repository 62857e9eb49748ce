package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// open gives process its streams and starts copying its output to log.
func (s *stdio) open(process *libcontainer.Process, log *shim.Log, keepStdin, terminal bool) error {
	if terminal {
		return s.openTerminal(process, log)
	}
	if keepStdin {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		process.Stdin, s.stdin = r, w
		s.child = append(s.child, r)
	}
	for _, stream := range []struct {
		name string
		to   *io.Writer
	}{{"stdout", &process.Stdout}, {"stderr", &process.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*stream.to = w
		s.child, s.parent = append(s.child, w), append(s.parent, r)
		s.copies.Go(func() { copyOutput(log, stream.name, r) })
	}
	return nil
}

// openTerminal lets libcontainer make a terminal inside the container and send its other end here; all output is stdout then.
func (s *stdio) openTerminal(process *libcontainer.Process, log *shim.Log) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "console"), os.NewFile(uintptr(fds[1]), "console")
	process.ConsoleSocket = theirs
	s.child, s.parent = append(s.child, theirs), append(s.parent, ours)
	s.copies.Go(func() {
		pty, err := receiveFile(ours)
		if err != nil {
			fmt.Fprintln(os.Stderr, "terminal:", err)
			return
		}
		defer pty.Close()
		copyOutput(log, "stdout", pty)
	})
	return nil
}

// receiveFile reads one descriptor from a unix socket. EOF, when the container never started, is an error.
func receiveFile(socket *os.File) (*os.File, error) {
	name, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(int(socket.Fd()), name, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("no descriptor came (%d messages): %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("no descriptor came: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), string(name[:n])), nil
}

// copyOutput reads until the end; a terminal ends with EIO, a pipe that drain closed with ErrClosed.
func copyOutput(log *shim.Log, stream string, r io.Reader) {
	if log == nil {
		_, _ = io.Copy(io.Discard, r)
		return
	}
	_ = log.Copy(stream, r)
}

// started closes the process's ends here: it has its own now, or never will.
func (s *stdio) started(ok bool) {
	for _, f := range s.child {
		f.Close()
	}
	s.child = nil
	if !ok && s.stdin != nil {
		s.stdin.Close()
	}
}

// drain waits until the output ended, at most for limit, and closes what is ours.
func (s *stdio) drain(limit time.Duration) {
	s.started(true)
	timer := time.AfterFunc(limit, s.closeParent)
	s.copies.Wait()
	timer.Stop()
	s.closeParent()
	if s.stdin != nil {
		s.stdin.Close()
	}
}

func (s *stdio) closeParent() {
	for _, f := range s.parent {
		f.Close()
	}
}
