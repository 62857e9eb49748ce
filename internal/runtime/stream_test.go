package runtime

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	streamnames "k8s.io/apimachinery/pkg/util/remotecommand"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
)

// protocols are how clients reach streaming URLs. The WebSocket protocol that runtimes speak (v4) knows no end of input.
var protocols = map[string]struct {
	executor  func(*testing.T, string) remotecommand.Executor
	inputEnds bool
}{
	"SPDY": {inputEnds: true, executor: func(t *testing.T, target string) remotecommand.Executor {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		e, err := remotecommand.NewSPDYExecutor(&restclient.Config{}, http.MethodPost, u)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}},
	"WebSocket": {executor: func(t *testing.T, target string) remotecommand.Executor {
		e, err := remotecommand.NewWebSocketExecutorForProtocols(&restclient.Config{}, http.MethodGet, target, streamnames.StreamProtocolV4Name)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}},
}

func (w *world) execURL(req *runtimeapi.ExecRequest) string {
	w.t.Helper()
	resp, err := w.rt.Exec(w.ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Url
}

func TestExecStreams(t *testing.T) {
	w := newWorld(t)
	id := w.run(w.runPod("streams"), containerConfig("main", "sleep", "forever"))
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			if p.inputEnds {
				w.testCat(t, id, p.executor)
			}
			var out, stderr bytes.Buffer
			u := w.execURL(&runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"/floe-tool", "echo", "hello"}, Stdout: true, Stderr: true})
			if err := p.executor(t, u).StreamWithContext(w.ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &stderr}); err != nil || out.String() != "hello\n" {
				t.Errorf("echo: %q, %v", out.String(), err)
			}
			if err := p.executor(t, u).StreamWithContext(w.ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &stderr}); err == nil {
				t.Error("a streaming URL works twice")
			}
			u = w.execURL(&runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"/floe-tool", "fail", "--code", "7"}, Stdout: true, Stderr: true})
			err := p.executor(t, u).StreamWithContext(w.ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &stderr})
			var exit utilexec.ExitError
			if !errors.As(err, &exit) || exit.ExitStatus() != 7 || !strings.Contains(stderr.String(), "failing") {
				t.Errorf("exit code 7: %v, %q", err, stderr.String())
			}
			u = w.execURL(&runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"/no-such-thing"}, Stdout: true})
			err = p.executor(t, u).StreamWithContext(w.ctx, remotecommand.StreamOptions{Stdout: &out})
			if err == nil || !strings.Contains(err.Error(), "no such file") {
				t.Errorf("missing program: %v", err)
			}
		})
	}
}

// testCat sends more than the pipes hold, and an end that must come through.
func (w *world) testCat(t *testing.T, id string, executor func(*testing.T, string) remotecommand.Executor) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	u := w.execURL(&runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"/floe-tool", "cat"}, Stdin: true, Stdout: true, Stderr: true})
	var out, stderr bytes.Buffer
	err := executor(t, u).StreamWithContext(w.ctx, remotecommand.StreamOptions{Stdin: bytes.NewReader(sent), Stdout: &out, Stderr: &stderr})
	if err != nil || !bytes.Equal(out.Bytes(), sent) || stderr.Len() > 0 {
		t.Errorf("%d bytes came back of %d, and %q: %v", out.Len(), len(sent), stderr.String(), err)
	}
}

// sizes gives terminal sizes one by one.
type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	size, ok := <-s
	if !ok {
		return nil
	}
	return &size
}

// watcher is a buffer that tells when something was written.
type watcher struct {
	mu   sync.Mutex
	data []byte
	wake chan struct{}
}

func newWatcher() *watcher { return &watcher{wake: make(chan struct{}, 1)} }

func (w *watcher) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, b...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(b), nil
}

// await waits until want was written.
func (w *watcher) await(ctx context.Context, want string) error {
	for {
		w.mu.Lock()
		got := string(w.data)
		w.mu.Unlock()
		if strings.Contains(got, want) {
			return nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return errors.New("no " + want + " in " + got)
		}
	}
}

func TestExecTerminalAndResize(t *testing.T) {
	w := newWorld(t)
	id := w.run(w.runPod("terminal"), containerConfig("main", "sleep", "forever"))
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			u := w.execURL(&runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"/floe-tool", "print", "terminal"}, Stdin: true, Stdout: true, Tty: true})
			ctx, cancel := context.WithCancel(w.ctx)
			defer cancel()
			in, typed := io.Pipe()
			defer typed.Close()
			changes, out := make(sizes, 2), newWatcher()
			ended := make(chan error, 1)
			go func() {
				ended <- p.executor(t, u).StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out, Tty: true, TerminalSizeQueue: changes})
			}()
			for _, size := range []remotecommand.TerminalSize{{Width: 91, Height: 17}, {Width: 132, Height: 50}} {
				changes <- size
				want := map[uint16]string{91: "91x17\r\n", 132: "132x50\r\n"}[size.Width]
				if err := out.await(w.ctx, want); err != nil {
					t.Fatal(err)
				}
			}
			close(changes)
			if _, err := typed.Write([]byte{3}); err != nil { // Ctrl-C: the terminal makes a signal of it
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("after Ctrl-C: %v", err)
			}
		})
	}
}

func TestAttach(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("attach")
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			config := containerConfig("once-"+strings.ToLower(name), "cat")
			config.Stdin, config.StdinOnce = true, true
			id := w.run(pod, config)
			resp, err := w.rt.Attach(w.ctx, &runtimeapi.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: true})
			if err != nil {
				t.Fatal(err)
			}
			in, typed := io.Pipe()
			out, ended := newWatcher(), make(chan error, 1)
			go func() {
				defer in.Close() // what is typed later fails
				ended <- p.executor(t, resp.Url).StreamWithContext(w.ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: io.Discard})
			}()
			for _, line := range []string{"one\n", "two\n"} {
				if _, err := io.WriteString(typed, line); err != nil {
					t.Fatal(err)
				}
				if err := out.await(w.ctx, line); err != nil {
					t.Fatal(err)
				}
			}
			if p.inputEnds {
				typed.Close() // cat reads once, so this is its end
			} else if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if s := w.exited(id); p.inputEnds && s.ExitCode != 0 {
				t.Errorf("status %v", s)
			}
			if got, want := w.logs(id), "stdout F one\nstdout F two\n"; got != want {
				t.Errorf("log %q, want %q", got, want)
			}
		})
	}
	plain := w.run(pod, containerConfig("plain", "sleep", "forever"))
	for want, req := range map[string]*runtimeapi.AttachRequest{
		"without standard input": {ContainerId: plain, Stdin: true, Stdout: true},
		"tty is true":            {ContainerId: plain, Stdout: true, Tty: true},
	} {
		if _, err := w.rt.Attach(w.ctx, req); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPortForward(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("forward")
	w.serving(w.run(pod, containerConfig("main", "serve", "--port", "8080")))
	// The pod's loopback is up when its network is attached; the fake one of these tests leaves that out.
	box, err := w.rt.findPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inNetwork(box, func() (bool, error) { return true, loopbackUp() }); err != nil {
		t.Fatal(err)
	}
	client, server := newStreamPair()
	ended := make(chan error, 1)
	go func() { ended <- w.rt.Streams().PortForward(w.ctx, pod, 8080, server) }()
	if _, err := io.WriteString(client, "GET /healthz HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client.once(ended))
	if err != nil || !strings.Contains(string(answer), "200 OK") {
		t.Errorf("answer %q, %v", answer, err)
	}
	_, other := newStreamPair()
	if err := w.rt.Streams().PortForward(w.ctx, pod, 9, other); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a port that nobody listens on: %v", err)
	}
	if _, err := w.rt.PortForward(w.ctx, &runtimeapi.PortForwardRequest{PodSandboxId: "unknown"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown sandbox: %v", err)
	}
}

func TestExecSyncTimeoutEndsTheTree(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("timeout")
	id := w.run(pod, containerConfig("main", "sleep", "forever"))
	begin := time.Now()
	_, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/floe-tool", "fork", "forever"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "timeout 1s exceeded") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	p, _ := w.rt.findPod(pod)
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	if pids, err := host.Processes(p.cgroup + "/" + id); err != nil || len(pids) != 1 {
		t.Errorf("processes %v in the container (%v), want its first one alone", pids, err)
	}
	// What outlives its command in the background is not waited for, and not lost either.
	got, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/floe-tool", "fork", "0"}, Timeout: 10})
	if err != nil || !strings.Contains(string(got.Stdout), "forked") {
		t.Errorf("%v, %v", got, err)
	}
}

// TestExecEndsWithTheRuntime leaves an exec running when the runtime stops: the process ends, the container does not.
func TestExecEndsWithTheRuntime(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("leash")
	id := w.run(pod, containerConfig("main", "sleep", "forever"))
	ended := make(chan error, 1)
	out := newWatcher()
	go func() {
		ended <- w.rt.Streams().Exec(w.ctx, id, []string{"/floe-tool", "fork", "forever"}, nil, nopCloser{out}, nil, false, nil)
	}()
	if err := out.await(w.ctx, "forked"); err != nil {
		t.Fatal(err)
	}
	w.stop()
	if err := <-ended; err == nil {
		t.Error("the exec ended in peace")
	}
	w.start()
	if s := w.status(id); s.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		t.Errorf("the container is %s", s.State)
	}
	p, _ := w.rt.findPod(pod)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		pids, err := w.rt.cgroups.Processes(p.cgroup + "/" + id)
		if err == nil && len(pids) == 1 {
			return
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			t.Fatalf("processes left: %v (%v)", pids, err)
		}
	}
}

// nopCloser gives a writer a Close that does nothing.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// streamEnd is one end of a stream in both directions.
type streamEnd struct {
	*io.PipeReader
	*io.PipeWriter
}

func newStreamPair() (client, server streamEnd) {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	return streamEnd{r1, w2}, streamEnd{r2, w1}
}

func (s streamEnd) Close() error { return errors.Join(s.PipeReader.Close(), s.PipeWriter.Close()) }

// once reads until the other side's work has ended.
func (s streamEnd) once(ended <-chan error) io.Reader {
	go func() {
		if err := <-ended; err != nil {
			s.PipeReader.CloseWithError(err)
		}
		s.Close()
	}()
	return eofOnClose{s}
}

// eofOnClose reads a closed pipe as an ended one.
type eofOnClose struct{ r io.Reader }

func (e eofOnClose) Read(b []byte) (int, error) {
	n, err := e.r.Read(b)
	if errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}
