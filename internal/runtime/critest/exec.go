package critest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// maxOutput is the definition's bound of an ExecSync's stream, in bytes.
const maxOutput = 16 << 20

// execCases are the rules of exec, attach and port-forward.
var execCases = []testCase{
	{"ExecSync/tells output and exit code", func(s *suite) {
		_, id := s.sleeper()
		resp, err := s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{tool, "echo", "hello"}})
		s.must(err)
		s.want("stdout", string(resp.Stdout), "hello\n")
		resp, err = s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{tool, "fail", "--code", "5"}})
		s.must(err)
		s.want("exit code", resp.ExitCode, 5)
		s.contains("stderr", string(resp.Stderr), "failing")
	}},
	{"ExecSync/a timeout stops the command", func(s *suite) {
		_, id := s.sleeper()
		begin := s.Clock.Now()
		_, err := s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{tool, "sleep", "forever"}, Timeout: 1})
		s.refused("a command that takes too long", err, codes.DeadlineExceeded)
		if took := s.Clock.Since(begin); took < time.Second || took > 20*time.Second {
			s.Errorf("stopped after %s", took)
		}
	}},
	{"ExecSync/output is capped at 16 MB, and the command goes on", func(s *suite) {
		_, id := s.sleeper()
		resp, err := s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{tool, "fill", "20000000"}})
		s.must(err)
		if len(resp.Stdout) > maxOutput || len(resp.Stdout) < 15_000_000 || resp.ExitCode != 0 {
			s.Errorf("%d bytes, exit code %d", len(resp.Stdout), resp.ExitCode)
		}
	}},
	{"ExecSync/of a container that does not run is an error", func(s *suite) {
		_, id := s.sleeper()
		s.stop(id, 0)
		for _, c := range []string{id, "absent"} {
			_, err := s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: c, Cmd: []string{tool, "echo"}})
			s.refused("an exec in "+c, err)
		}
	}},
	{"Exec/the URL streams input and output", func(s *suite) {
		_, id := s.sleeper()
		resp, err := s.runtime.Exec(s.ctx, &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{tool, "cat"}, Stdin: true, Stdout: true, Stderr: true})
		s.must(err)
		sent := strings.Repeat("line of input\n", 50_000)
		var out, stderr bytes.Buffer
		s.must(s.stream(resp.Url).StreamWithContext(s.ctx, remotecommand.StreamOptions{Stdin: strings.NewReader(sent), Stdout: &out, Stderr: &stderr}))
		if out.String() != sent || stderr.Len() > 0 {
			s.Errorf("%d bytes came back of %d", out.Len(), len(sent))
		}
	}},
	{"ExecRequest/one stream must be asked, and no stderr with a terminal", func(s *suite) {
		_, id := s.sleeper()
		_, err := s.runtime.Exec(s.ctx, &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{tool, "cat"}})
		s.refused("no stream", err, codes.InvalidArgument)
		_, err = s.runtime.Exec(s.ctx, &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{tool, "cat"}, Stdout: true, Stderr: true, Tty: true})
		s.refused("stderr with a terminal", err, codes.InvalidArgument)
		_, err = s.runtime.Exec(s.ctx, &runtimeapi.ExecRequest{ContainerId: "absent", Cmd: []string{tool, "cat"}, Stdout: true})
		s.refused("an absent container", err)
	}},
	{"Attach/the URL streams the container's own input and output, and stdin_once ends it", func(s *suite) {
		pod, podConfig := s.pod()
		id := s.runIn(pod, podConfig, func(c *containerConfig) { c.Command, c.Stdin, c.StdinOnce = []string{tool, "cat"}, true, true })
		resp, err := s.runtime.Attach(s.ctx, &runtimeapi.AttachRequest{ContainerId: id, Stdin: true, Stdout: true, Stderr: true})
		s.must(err)
		var out bytes.Buffer
		s.must(s.stream(resp.Url).StreamWithContext(s.ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("typed\n"), Stdout: &out, Stderr: io.Discard}))
		s.want("output", out.String(), "typed\n")
		s.want("exit code", s.ended(id).ExitCode, 0)
	}},
	{"AttachRequest/one stream must be asked, and no stderr with a terminal", func(s *suite) {
		_, id := s.sleeper(func(c *containerConfig) { c.Tty = true })
		_, err := s.runtime.Attach(s.ctx, &runtimeapi.AttachRequest{ContainerId: id, Tty: true})
		s.refused("no stream", err, codes.InvalidArgument)
		_, err = s.runtime.Attach(s.ctx, &runtimeapi.AttachRequest{ContainerId: id, Stdout: true, Stderr: true, Tty: true})
		s.refused("stderr with a terminal", err, codes.InvalidArgument)
	}},
	{"PortForward/the URL leads to a port in the sandbox", func(s *suite) {
		pod, _ := s.server()
		resp, err := s.runtime.PortForward(s.ctx, &runtimeapi.PortForwardRequest{PodSandboxId: pod, Port: []int32{8080}})
		s.must(err)
		s.contains("answer", s.fetchThrough(resp.Url), "ok")
		_, err = s.runtime.PortForward(s.ctx, &runtimeapi.PortForwardRequest{PodSandboxId: "absent"})
		s.refused("an absent sandbox", err)
	}},
}

func (s *suite) stream(target string) remotecommand.Executor {
	s.Helper()
	u, err := url.Parse(target)
	s.must(err)
	e, err := remotecommand.NewSPDYExecutor(&rest.Config{}, http.MethodPost, u)
	s.must(err)
	return e
}

// fetchThrough asks for /healthz through a forwarded port.
func (s *suite) fetchThrough(target string) string {
	s.Helper()
	u, err := url.Parse(target)
	s.must(err)
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{})
	s.must(err)
	stop, ready := make(chan struct{}), make(chan struct{})
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, u)
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
	s.must(err)
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	defer func() {
		close(stop)
		<-ended
	}()
	select {
	case <-ready:
	case err := <-ended:
		s.Fatal(err)
	}
	ports, err := forwarder.GetPorts()
	s.must(err)
	page := fmt.Sprintf("http://127.0.0.1:%d/healthz", ports[0].Local)
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, page, nil)
	s.must(err)
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	s.must(err)
	return string(data)
}
