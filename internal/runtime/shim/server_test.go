package shim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo answers "echo" with its body, "read" with what a file holds that comes as standard input, blocks on "block" until released, and refuses the rest.
type echo struct {
	release chan struct{}
	hello   HelloReply
}

func (e *echo) Hello() HelloReply { return e.hello }

func (e *echo) Handle(ctx context.Context, method string, body json.RawMessage, files []*os.File) (any, error) {
	for _, f := range files {
		defer f.Close()
	}
	switch method {
	case "echo":
		return body, nil
	case "read":
		streams, err := StreamsOf(files, WantStreams{Stdin: true})
		if err != nil {
			return nil, err
		}
		defer streams.Close()
		data, err := io.ReadAll(streams.Stdin)
		return string(data), err
	case "block":
		select {
		case <-e.release:
		case <-ctx.Done():
		}
		return nil, nil
	}
	return nil, &Error{Code: CodeInvalid, Message: "what is " + method + "?"}
}

// serve runs a server in a directory and returns that; the server ends with the test.
func serve(t *testing.T, e *echo) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(e)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s, dir
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestCallsAndEvents(t *testing.T) {
	ctx := testContext(t)
	e := &echo{release: make(chan struct{}), hello: HelloReply{Version: Version, PID: 12, Containers: []ContainerState{{ID: "a"}}}}
	s, dir := serve(t, e)
	c, err := Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if h := c.Hello(); h.PID != 12 || len(h.Containers) != 1 {
		t.Errorf("hello %+v", h)
	}
	events := make(chan ContainerState, 1)
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx, func(s ContainerState) { events <- s }) })
	defer wg.Wait()
	defer c.Close()

	blocked := make(chan error, 1)
	wg.Go(func() { blocked <- c.Call(ctx, "block", nil, nil) })
	var got map[string]int
	if err := c.Call(ctx, "echo", map[string]int{"x": 1}, &got); err != nil || got["x"] != 1 {
		t.Errorf("echo beside a blocked call: %v, %v", got, err)
	}
	if err := c.Call(ctx, "dance", nil, nil); CodeOf(err) != CodeInvalid {
		t.Errorf("unknown method: %v", err)
	}
	s.Publish(ContainerState{ID: "a", Status: Exited})
	if e := <-events; e.ID != "a" || e.Status != Exited {
		t.Errorf("event %+v", e)
	}
	close(e.release)
	if err := <-blocked; err != nil {
		t.Error(err)
	}
}

func TestCallsEndWithTheConnection(t *testing.T) {
	ctx := testContext(t)
	_, dir := serve(t, &echo{release: make(chan struct{}), hello: HelloReply{Version: Version}})
	c, err := Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	failed := make(chan error, 1)
	wg.Go(func() { failed <- c.Call(ctx, "block", nil, nil) })
	wg.Go(func() { _ = c.Run(ctx, func(ContainerState) {}) })
	c.Close()
	if err := <-failed; !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	<-c.Done()
	if err := c.Call(ctx, "echo", nil, nil); !errors.Is(err, ErrGone) {
		t.Errorf("after the end: %v", err)
	}
}

// TestGarbageEndsOneConnection sends what is no protocol and sees that others are served on.
func TestGarbageEndsOneConnection(t *testing.T) {
	ctx := testContext(t)
	_, dir := serve(t, &echo{hello: HelloReply{Version: Version}})
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x02{}", "\x00\x00\x00\x00", "\xff\xff\xff\xff"} {
		conn, err := net.Dial("unix", filepath.Join(dir, SocketName))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%q was answered", garbage)
		}
		conn.Close()
	}
	c, err := Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestOtherVersionIsRefusedByName(t *testing.T) {
	_, dir := serve(t, &echo{hello: HelloReply{Version: Version}})
	conn, err := net.Dial("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := WriteFrame(conn, Frame{ID: 1, Method: MethodHello, Body: []byte(`{"version":99}`)}); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFrame(conn)
	if err != nil || f.Error == nil || f.Error.Code != CodeVersion {
		t.Errorf("answer %+v, %v", f, err)
	}
}

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadState(dir, "c1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ContainersDir, "c1"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := ContainerState{ID: "c1", Status: Exited, ExitCode: 137, Signal: 9, Reason: ReasonOOMKilled}
	if err := WriteState(dir, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadState(dir, "c1"); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestFilesGoWithRequests sends descriptors beside other requests, and a wrong number of them.
func TestFilesGoWithRequests(t *testing.T) {
	ctx := testContext(t)
	_, dir := serve(t, &echo{hello: HelloReply{Version: Version}})
	c, err := Dial(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx, func(ContainerState) {}) })
	defer wg.Wait()
	defer c.Close()
	var calls sync.WaitGroup
	defer calls.Wait()
	for i := range 20 {
		calls.Go(func() {
			ours, theirs, err := SocketPair("leash")
			if err != nil {
				t.Error(err)
				return
			}
			defer ours.Close()
			defer theirs.Close()
			r, w, err := os.Pipe()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			want := strings.Repeat("x", i)
			_, _ = w.WriteString(want)
			w.Close()
			var got string
			if err := c.Call(ctx, "read", nil, &got, theirs, r); err != nil || got != want {
				t.Errorf("read %q (%v), want %q", got, err, want)
			}
			if err := c.Call(ctx, "echo", i, &i); err != nil {
				t.Error(err)
			}
			if err := c.Call(ctx, "read", nil, nil, theirs); CodeOf(err) != CodeInvalid {
				t.Errorf("one descriptor too few: %v", err)
			}
		})
	}
}
