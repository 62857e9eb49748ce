package runtime

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// streams are floe's ends of an exec's or attach's standard streams.
type streams struct {
	owner          *Runtime
	theirs         []*os.File // to hand over; closed by started
	stdin          *os.File
	stdout, stderr *os.File
	terminal       *os.File // stands for stdin and stdout when there is one

	outputs sync.WaitGroup
	mu      sync.Mutex // guards ended
	ended   bool       // the process has: silence counts now
}

// pipes makes a pipe for each stream that is wanted and returns the ends to hand over.
func (s *streams) pipes(stdin, stdout, stderr bool) ([]*os.File, error) {
	for _, p := range []struct {
		want bool
		ours **os.File
		in   bool
	}{{stdin, &s.stdin, true}, {stdout, &s.stdout, false}, {stderr, &s.stderr, false}} {
		if !p.want {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		if p.in {
			r, w = w, r
		}
		*p.ours = r
		s.theirs = append(s.theirs, w)
	}
	return s.theirs, nil
}

// terminalSocket makes the socket through which the terminal comes.
func (s *streams) terminalSocket() ([]*os.File, error) {
	ours, theirs, err := shim.SocketPair("console")
	if err != nil {
		return nil, err
	}
	s.stdin, s.theirs = ours, []*os.File{theirs}
	return s.theirs, nil
}

func (s *streams) receiveTerminal() (err error) {
	s.terminal, err = shim.ReceiveFile(s.stdin)
	s.stdin.Close()
	s.stdin, s.stdout = s.terminal, s.terminal
	return err
}

func (s *streams) started() {
	for _, f := range s.theirs {
		f.Close()
	}
	s.theirs = nil
}

// close closes all that is ours.
func (s *streams) close() {
	s.started()
	for _, f := range []*os.File{s.stdin, s.stdout, s.stderr, s.terminal} {
		if f != nil {
			f.Close()
		}
	}
}

// copy begins copying.
func (s *streams) copy(stdin io.Reader, stdout, stderr io.Writer) {
	if stdin != nil {
		s.owner.also(func() {
			_, _ = io.Copy(s.stdin, stdin)
			if s.terminal == nil { // a terminal goes on, like its output
				s.stdin.Close()
			}
		})
	}
	for _, out := range []struct {
		to   io.Writer
		from *os.File
	}{{stdout, s.stdout}, {stderr, s.stderr}} {
		if out.from == nil {
			continue
		}
		if out.to == nil {
			out.to = io.Discard // of a terminal that nobody reads
		}
		s.outputs.Add(1)
		if !s.owner.also(func() {
			defer s.outputs.Done()
			s.copyOutput(out.to, out.from)
		}) {
			s.outputs.Done()
		}
	}
}

// copyOutput copies until the end, or until silence after the process ended. A reader that went away stops the copying, not the process.
func (s *streams) copyOutput(to io.Writer, from *os.File) {
	buf := make([]byte, 32<<10)
	for {
		s.mu.Lock()
		if s.ended {
			s.quietLocked(from)
		}
		s.mu.Unlock()
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			return // the end; a terminal's is EIO
		}
	}
}

func (s *streams) quietLocked(f *os.File) {
	_ = f.SetReadDeadline(time.Now().Add(quietLimit)) // a named I/O deadline
}

// finish waits until all output has been copied, when the process ended in peace and as long as ctx lasts.
func (s *streams) finish(ctx context.Context, inPeace bool) {
	if !inPeace {
		return
	}
	s.mu.Lock()
	s.ended = true
	for _, f := range []*os.File{s.stdout, s.stderr} {
		if f != nil {
			s.quietLocked(f)
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	s.owner.also(func() {
		s.outputs.Wait()
		close(done)
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// followSize gives the terminal the sizes that come, until ctx ends or no more come.
func (s *streams) followSize(ctx context.Context, sizes <-chan remotecommand.TerminalSize) {
	eachSize(ctx, s.owner, sizes, func(size remotecommand.TerminalSize) {
		if conn, err := s.terminal.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { // fails only when the terminal is gone
				_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: size.Width, Row: size.Height})
			})
		}
	})
}

func eachSize(ctx context.Context, owner *Runtime, sizes <-chan remotecommand.TerminalSize, do func(remotecommand.TerminalSize)) {
	if sizes == nil {
		return
	}
	owner.also(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case size, ok := <-sizes:
				if !ok {
					return
				}
				do(size)
			}
		}
	})
}
