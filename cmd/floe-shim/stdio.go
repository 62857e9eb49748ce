package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// stdio is a container's standard streams: pipes, or one terminal. open makes it; drain ends it.
type stdio struct {
	child          []*os.File  // the process's ends
	parent         []io.Closer // ours, to read
	copies         sync.WaitGroup
	stdout, stderr fan
	over           chan struct{} // closed when all output has been read

	stdin     *os.File      // ours, kept open while the container runs; nil without one or with a terminal
	once      bool          // the first attached input's end closes stdin
	terminal  chan struct{} // closed when pty is known; nil without a terminal
	pty       *os.File      // ours, to read and write; nil when none came
	feeding   sync.Mutex    // guards who closes stdin
	stdinOver bool
}

// open gives process its streams and starts copying its output to log.
func (s *stdio) open(process *process, log *shim.Log, r shim.StartRequest, terminal bool) error {
	s.begin(r)
	if terminal {
		return s.openTerminal(process, log)
	}
	if r.Stdin {
		in, out, err := os.Pipe()
		if err != nil {
			return err
		}
		process.Stdin, s.stdin = in, out
		s.child = append(s.child, in)
	}
	for _, stream := range []struct {
		name string
		to   *io.Writer
		fan  *fan
	}{{"stdout", &process.Stdout, &s.stdout}, {"stderr", &process.Stderr, &s.stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*stream.to = w
		s.child, s.parent = append(s.child, w), append(s.parent, r)
		s.copies.Go(func() { copyOutput(log, stream.name, r, stream.fan) })
	}
	return nil
}

func (s *stdio) begin(r shim.StartRequest) {
	s.over = make(chan struct{})
	s.once = r.StdinOnce
}

// openTerminal lets libcontainer make a terminal inside the container and send its other end here; all output is stdout then.
func (s *stdio) openTerminal(process *process, log *shim.Log) error {
	ours, theirs, err := shim.SocketPair("console")
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	process.ConsoleSocket = theirs
	s.child = append(s.child, theirs)
	s.terminalFrom(ours, func() (*os.File, error) { return shim.ReceiveFile(ours) }, log)
	return nil
}

// terminalFrom takes the terminal that receive waits for, until source is closed.
func (s *stdio) terminalFrom(source io.Closer, receive func() (*os.File, error), log *shim.Log) {
	s.parent = append(s.parent, source)
	s.terminal = make(chan struct{})
	s.copies.Go(func() {
		var err error
		s.pty, err = receive()
		close(s.terminal)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		copyOutput(log, "stdout", s.pty, &s.stdout)
	})
}

// terminalFile is the container's terminal, nil when it has none.
func (s *stdio) terminalFile() (*os.File, error) {
	if s.terminal == nil {
		return nil, nil
	}
	<-s.terminal // comes before the container runs, or not at all
	if s.pty == nil {
		return nil, errors.New("the container's terminal never came")
	}
	return s.pty, nil
}

// input is where the container reads from.
func (s *stdio) input() (io.Writer, error) {
	pty, err := s.terminalFile()
	switch {
	case err != nil:
		return nil, err
	case pty != nil:
		return pty, nil
	case s.stdin == nil:
		return nil, &shim.Error{Code: shim.CodeInvalid, Message: "the container was created without standard input"}
	}
	return s.stdin, nil
}

// feed copies an attached input to the container's. The first that ends is the last, when the container reads once.
func (s *stdio) feed(to io.Writer, from *os.File) {
	_, err := io.Copy(to, from)
	if err == nil && s.once && s.stdin != nil {
		s.closeStdin()
	}
}

func (s *stdio) closeStdin() {
	s.feeding.Lock()
	defer s.feeding.Unlock()
	if s.stdin != nil && !s.stdinOver {
		s.stdin.Close()
		s.stdinOver = true
	}
}

// copyOutput reads until the end; a terminal ends with EIO, a pipe that drain closed with ErrClosed.
func copyOutput(log *shim.Log, stream string, r io.Reader, to *fan) {
	if log == nil {
		_, _ = io.Copy(to, r)
		return
	}
	_ = log.Copy(stream, io.TeeReader(r, to))
}

// started closes the process's ends here: it has its own now, or never will.
func (s *stdio) started(ok bool) {
	for _, f := range s.child {
		f.Close()
	}
	s.child = nil
	if !ok {
		s.closeStdin()
	}
}

// drain waits until the output ended, at most for limit, and closes what is ours.
func (s *stdio) drain(limit time.Duration) {
	s.started(true)
	timer := time.AfterFunc(limit, s.closeParent)
	s.copies.Wait()
	timer.Stop()
	s.closeParent()
	s.closeStdin()
	s.stdout.close()
	s.stderr.close()
	if s.over != nil {
		close(s.over)
	}
}

func (s *stdio) closeParent() {
	for _, f := range s.parent {
		f.Close()
	}
	if s.terminal != nil {
		<-s.terminal // closing the socket ended the waiting for it
		if s.pty != nil {
			s.pty.Close()
		}
	}
}
