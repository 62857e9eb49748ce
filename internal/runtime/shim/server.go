package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Limits of a server.
const (
	maxConns    = 4  // floe needs one; a second while an old floe is dying
	maxRequests = 32 // at once on one connection; more make the reader wait
	eventQueue  = 64 // events a connection may be behind before it is cut off; Hello then tells it everything anew
)

// Handler is what a shim does about requests; its methods run concurrently.
type Handler interface {
	// Hello returns who this is and the state of all containers. It is called with the guarantee that every later Publish reaches
	// the connection.
	Hello() HelloReply
	// Handle carries out a request and returns the answer's body, nil for none. ctx ends with the server, not with the connection. files
	// came with the request and are the handler's.
	Handle(ctx context.Context, method string, body json.RawMessage, files []*os.File) (any, error)
}

// Server is the shim's end: it accepts connections, dispatches requests and publishes events.
type Server struct {
	handler Handler

	mu    sync.Mutex // guards conns and the order of Publish against Hello
	conns map[*serverConn]struct{}
}

type serverConn struct {
	*fileConn
	write  sync.Mutex
	events chan ContainerState // eventQueue long; closed never, the connection ends instead
}

// NewServer returns a server for h.
func NewServer(h Handler) *Server { return &Server{handler: h, conns: map[*serverConn]struct{}{}} }

// Serve accepts connections from l until ctx ends, then closes l and all connections and waits for the requests in work.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	slots := make(chan struct{}, maxConns)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("shim: accept: %w", err)
		}
		files, err := newFileConn(conn)
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				defer func() { <-slots }()
				s.serveConn(ctx, &serverConn{fileConn: files, events: make(chan ContainerState, eventQueue)})
			})
		default:
			conn.Close()
		}
	}
}

// Publish tells every connection of a change. A connection that is too far behind is closed.
func (s *Server) Publish(state ContainerState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		select {
		case c.events <- state:
		default:
			c.Close()
			delete(s.conns, c)
		}
	}
}

func (s *Server) serveConn(ctx context.Context, c *serverConn) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx2, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx2, func() { c.Close() })
	defer stop()
	defer s.drop(c)
	if err := s.greet(c); err != nil {
		return
	}
	wg.Go(func() { s.pushEvents(ctx2, c) })
	slots := make(chan struct{}, maxRequests)
	for {
		f, files, err := c.readFrame()
		if err != nil || f.ID == 0 {
			closeFiles(files)
			return
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c.answer(f.ID, func() (any, error) { return s.handler.Handle(ctx, f.Method, f.Body, files) })
		})
	}
}

// greet reads Hello and answers it. The connection is registered before the states are read, so no change falls between.
func (s *Server) greet(c *serverConn) error {
	c.SetReadDeadline(time.Now().Add(writeLimit)) // a named I/O deadline
	f, files, err := c.readFrame()
	if err != nil {
		return err
	}
	closeFiles(files)
	c.SetReadDeadline(time.Time{})
	var hello HelloRequest
	if err := json.Unmarshal(f.Body, &hello); err != nil || f.Method != MethodHello || f.ID == 0 {
		return fmt.Errorf("%w: %q instead of hello", ErrFrame, f.Method)
	}
	if hello.Version != Version {
		err := &Error{Code: CodeVersion, Message: fmt.Sprintf("floe speaks protocol %d, this shim speaks %d", hello.Version, Version)}
		c.answer(f.ID, func() (any, error) { return nil, err })
		return err
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	c.answer(f.ID, func() (any, error) { return s.handler.Hello(), nil })
	return nil
}

func (s *Server) drop(c *serverConn) {
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func (s *Server) pushEvents(ctx context.Context, c *serverConn) {
	for {
		select {
		case <-ctx.Done():
			return
		case state := <-c.events:
			body, err := encode(state)
			if err == nil {
				err = c.send(Frame{Method: EventState, Body: body})
			}
			if err != nil {
				c.Close()
				return
			}
		}
	}
}

// answer runs do and sends what it returns; when that fails the connection ends.
func (c *serverConn) answer(id uint64, do func() (any, error)) {
	f := Frame{ID: id}
	reply, err := do()
	if err == nil {
		f.Body, err = encode(reply)
	}
	if err != nil {
		f.Error = asError(err)
	}
	if c.send(f) != nil {
		c.Close()
	}
}

func (c *serverConn) send(f Frame) error {
	c.write.Lock()
	defer c.write.Unlock()
	c.SetWriteDeadline(time.Now().Add(writeLimit)) // a named I/O deadline
	return c.writeFrame(f, nil)
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Code: e.Code, Message: err.Error()}
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}
