package shim

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// maxFiles bounds the descriptors that one frame carries.
const maxFiles = 4

// fileConn is a connection that carries descriptors beside frames. Reads are from one goroutine, writes are one at a time.
type fileConn struct {
	*net.UnixConn
	received []*os.File // came, and no frame has claimed them yet; at most maxFiles, since frames are read whole
}

// newFileConn wraps c, which must be of a unix socket: both ends see to that.
func newFileConn(c net.Conn) (*fileConn, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("shim protocol: a connection over %s", c.LocalAddr().Network())
	}
	return &fileConn{UnixConn: u}, nil
}

// Read keeps the descriptors that come with the bytes. The kernel never joins the bytes of two messages that both have some.
func (c *fileConn) Read(b []byte) (int, error) {
	var oob [64]byte // of maxFiles descriptors; the kernel drops more
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob[:])
	if oobn > 0 {
		files, parseErr := parseFiles(oob[:oobn])
		c.received = append(c.received, files...)
		err = errors.Join(err, parseErr)
	}
	if err == nil && len(c.received) > maxFiles {
		err = fmt.Errorf("%w: %d descriptors", ErrFrame, len(c.received))
	}
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return n, err
}

// readFrame reads a frame and the descriptors that belong to it, which the caller must close.
func (c *fileConn) readFrame() (Frame, []*os.File, error) {
	f, err := ReadFrame(c)
	files := c.received
	c.received = nil
	if err == nil && len(files) != f.Files {
		err = fmt.Errorf("%w: %d descriptors came with a frame of %d", ErrFrame, len(files), f.Files)
	}
	if err != nil {
		closeFiles(files)
		return Frame{}, nil, err
	}
	return f, files, nil
}

// writeFrame sends f with files, which stay the caller's.
func (c *fileConn) writeFrame(f Frame, files []*os.File) error {
	if len(files) == 0 {
		return WriteFrame(c, f)
	}
	f.Files = len(files)
	buf, err := encodeFrame(f)
	if err != nil {
		return err
	}
	var fds []int
	for _, file := range files {
		fds = append(fds, int(file.Fd()))
	}
	n, _, err := c.WriteMsgUnix(buf, unix.UnixRights(fds...), nil)
	if err != nil {
		return err
	}
	_, err = c.Write(buf[n:])
	return err
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// parseFiles makes files of the descriptors in a control message.
func parseFiles(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // of another kind
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// ReceiveFile reads one descriptor from a socket, as libcontainer sends a terminal. EOF, when it never started, is an error.
func ReceiveFile(socket *os.File) (*os.File, error) {
	conn, err := net.FileConn(socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c, err := newFileConn(conn)
	if err != nil {
		return nil, err
	}
	_, err = c.Read(make([]byte, 4096)) // the name of the terminal, which is of no use outside
	if err == nil && len(c.received) != 1 {
		err = fmt.Errorf("%d descriptors came", len(c.received))
	}
	if err != nil {
		closeFiles(c.received)
		return nil, fmt.Errorf("no terminal came: %w", err)
	}
	return pollable(c.received[0])
}

// pollable takes a file that another process gave over and returns it as one whose reads and writes hold no thread and obey deadlines.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// SocketPair makes two connected sockets. Each closes when it is executed.
func SocketPair(name string) (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair for %s: %w", name, err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// Streams are the descriptors of an exec or attach: a leash, and standard streams. The one who asked holds the other ends. An exec or attach
// lives as long as the other end of its leash is open for writing; when an exec has ended, its ExecReply is written to the leash as JSON.
type Streams struct {
	Leash                 *os.File
	Stdin, Stdout, Stderr *os.File // nil: not asked. With a terminal, Stdin is the socket that the terminal is sent to
}

// StreamsOf sorts the files of a request; wrong numbers are CodeInvalid, and the files closed.
func StreamsOf(files []*os.File, w WantStreams) (s *Streams, err error) {
	n := 1
	for _, want := range []bool{w.Stdin, w.Stdout, w.Stderr} {
		if want {
			n++
		}
	}
	if len(files) != n {
		closeFiles(files)
		return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("%d descriptors came, %d belong to the request", len(files), n)}
	}
	next := func(want bool) (f *os.File) {
		if want {
			f, files = files[0], files[1:]
		}
		return f
	}
	leash := next(true)
	s = &Streams{Stdin: next(w.Stdin), Stdout: next(w.Stdout), Stderr: next(w.Stderr)}
	if s.Leash, err = pollable(leash); err != nil {
		s.CloseStdio()
		return nil, err
	}
	return s, nil
}

// Pollable makes the standard streams such that using them holds no thread and obeys deadlines; for whoever copies them, not for processes,
// which expect the opposite. On error they are all closed.
func (s *Streams) Pollable() error {
	for _, f := range []**os.File{&s.Stdin, &s.Stdout, &s.Stderr} {
		if *f == nil {
			continue
		}
		var err error
		if *f, err = pollable(*f); err != nil {
			s.Close()
			return err
		}
	}
	return nil
}

// Close closes what is still open.
func (s *Streams) Close() {
	s.CloseStdio()
	s.Leash.Close()
}

// CloseStdio closes the standard streams.
func (s *Streams) CloseStdio() {
	for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil {
			f.Close()
		}
	}
}
