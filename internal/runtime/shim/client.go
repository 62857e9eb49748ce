package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// ErrGone says that the connection to the shim ended; the shim may live on.
var ErrGone = errors.New("connection to the shim is gone")

// writeLimit is how long one write to the other side may take. Both read all the time, so only a stopped process needs longer.
const writeLimit = 10 * time.Second

// Client is floe's end of a connection. Its methods are safe for concurrent use.
type Client struct {
	conn  *fileConn
	hello HelloReply
	done  chan struct{} // closed by Run when it returns

	write sync.Mutex // one frame at a time on conn

	mu      sync.Mutex // guards what follows; never held over I/O
	next    uint64     // id of the last request
	pending map[uint64]chan Frame
	over    bool // no answer will come any more
}

// Dial connects to the shim of the sandbox directory dir and says Hello. The caller must call Run or Close.
func Dial(ctx context.Context, dir string) (*Client, error) {
	conn, err := dialIn(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("shim of %s: %w", filepath.Base(dir), err)
	}
	files, err := newFileConn(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c := &Client{conn: files, done: make(chan struct{}), pending: map[uint64]chan Frame{}}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = c.sayHello()
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("shim of %s: hello: %w", filepath.Base(dir), err)
	}
	return c, nil
}

// dialIn reaches the socket through a descriptor of its directory: a socket's path may be at most 107 bytes long, and data directories
// lie deep.
func dialIn(ctx context.Context, dir string) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", SocketPath(d))
}

// SocketPath is a short path of the socket inside the open directory dir.
func SocketPath(dir *os.File) string {
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + SocketName
}

func (c *Client) sayHello() error {
	body, err := encode(HelloRequest{Version: Version})
	if err != nil {
		return err
	}
	if err := WriteFrame(c.conn, Frame{ID: 1, Method: MethodHello, Body: body}); err != nil {
		return err
	}
	c.next = 1
	f, err := ReadFrame(c.conn)
	switch {
	case err != nil:
		return err
	case f.Error != nil:
		return f.Error
	case f.ID != 1:
		return fmt.Errorf("%w: answer to %d before hello", ErrFrame, f.ID)
	}
	if err := json.Unmarshal(f.Body, &c.hello); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if c.hello.Version != Version {
		return fmt.Errorf("shim speaks protocol %d, floe speaks %d", c.hello.Version, Version)
	}
	return nil
}

// Hello is what the shim said when it was greeted.
func (c *Client) Hello() HelloReply { return c.hello }

// Run reads until the connection ends or ctx does, and calls event for every event, in order, from this goroutine. It returns nil
// when ctx ended, else why the connection did. After it all calls fail with ErrGone.
func (c *Client) Run(ctx context.Context, event func(ContainerState)) error {
	defer close(c.done)
	defer c.finish()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	for {
		f, files, err := c.conn.readFrame()
		closeFiles(files) // a shim sends none
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if f.ID != 0 {
			c.deliver(f)
			continue
		}
		var s ContainerState
		if err := json.Unmarshal(f.Body, &s); err != nil || f.Method != EventState {
			return fmt.Errorf("%w: event %q: %w", ErrFrame, f.Method, err)
		}
		event(s)
	}
}

// Done is closed when Run returned.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) deliver(f Frame) {
	c.mu.Lock()
	ch := c.pending[f.ID]
	delete(c.pending, f.ID)
	c.mu.Unlock()
	if ch != nil {
		ch <- f // has room for one, and gets only one
	}
}

func (c *Client) finish() {
	c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for id, ch := range c.pending {
		delete(c.pending, id)
		close(ch)
	}
}

// Call sends a request and waits for its answer, which it decodes into reply unless that is nil. Errors of the shim are *Error; when
// the connection ends they are ErrGone, and what was asked may or may not have happened. Ending ctx stops the waiting, not the work.
// files go with the request and stay the caller's.
func (c *Client) Call(ctx context.Context, method string, request, reply any, files ...*os.File) error {
	body, err := encode(request)
	if err != nil {
		return err
	}
	ch := make(chan Frame, 1)
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return ErrGone
	}
	c.next++
	id := c.next
	c.pending[id] = ch
	c.mu.Unlock()
	if err := c.send(Frame{ID: id, Method: method, Body: body}, files); err != nil {
		c.forget(id)
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	select {
	case <-ctx.Done():
		c.forget(id)
		return ctx.Err()
	case f, ok := <-ch:
		switch {
		case !ok:
			return ErrGone
		case f.Error != nil:
			return f.Error
		case reply == nil:
			return nil
		}
		return json.Unmarshal(f.Body, reply)
	}
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	delete(c.pending, id)
	c.mu.Unlock()
}

func (c *Client) send(f Frame, files []*os.File) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(writeLimit)) // a named I/O deadline
	return c.conn.writeFrame(f, files)
}
