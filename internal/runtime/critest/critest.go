// Package critest is the contract of CRI v1 as a test: a named case for each rule of the definition (k8s.io/cri-api's api.proto) that a client
// can see. It speaks to any runtime through its socket, so floe and its peers are held to the same words.
//
// # Story
//
// Run takes a connection and an image, and runs every case as a subtest, named as the call or message and the rule. A case makes what it
// needs, with names of its own, and removes it. Inside containers runs floe-tool, the program of floe's own image (image.BuildSelf).
//
// # Laws
//
//   - A case rests on the definition's words alone; where they leave a choice, each choice passes.
//   - Nothing of one case is left for the next.
package critest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"
)

// Target is the runtime that is tested.
type Target struct {
	// Conn is a connection to it.
	Conn grpc.ClientConnInterface
	// Clock paces and times what waits for the runtime; it must be as the runtime's own is.
	Clock clock.WithTicker
	// Image is the name of floe's own image (image.BuildSelf), which the runtime has.
	Image string
}

// tool is the program inside the image.
const tool = "/floe-tool"

// limit bounds one case in real time.
const limit = 2 * time.Minute

// suite is one case's view of the target.
type suite struct {
	*testing.T
	Target
	ctx     context.Context
	runtime runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	dir     string // for logs and host paths
	serial  *atomic.Int64
}

// testCase is one rule.
type testCase struct {
	name string
	run  func(s *suite)
}

// Run runs all cases.
func Run(t *testing.T, target Target) {
	serial := &atomic.Int64{}
	for _, group := range [][]testCase{
		runtimeCases, sandboxCases, containerCases, stopCases, listCases, processCases, securityCases, userCases, mountCases, execCases, statsCases, imageCases,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				c.run(&suite{
					T: t, Target: target, ctx: ctx, dir: t.TempDir(), serial: serial,
					runtime: runtimeapi.NewRuntimeServiceClient(target.Conn), images: runtimeapi.NewImageServiceClient(target.Conn),
				})
			})
		}
	}
}

// must fails the case when err is one.
func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// refused fails the case unless err has one of the codes; none given accepts any.
func (s *suite) refused(what string, err error, allowed ...codes.Code) {
	s.Helper()
	got := status.Code(err)
	if err == nil {
		s.Errorf("%s was accepted", what)
		return
	}
	for _, c := range allowed {
		if c == got {
			return
		}
	}
	if len(allowed) > 0 {
		s.Errorf("%s: got %v, want one of the codes %v", what, err, allowed)
	}
}

// want compares two values' text.
func (s *suite) want(what string, got, want any) {
	s.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("%s is %v, want %v", what, got, want)
	}
}

// contains looks for parts in a text.
func (s *suite) contains(what, text string, parts ...string) {
	s.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			s.Errorf("%s has no %q:\n%s", what, p, text)
		}
	}
}

// podConfig is a sandbox as kubelets ask for one, with a name of its own.
func (s *suite) podConfig() *runtimeapi.PodSandboxConfig {
	name := fmt.Sprintf("critest-%d", s.serial.Add(1))
	return &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "critest", Uid: "uid-" + name}, Hostname: name,
		LogDirectory: filepath.Join(s.dir, "logs", name), Labels: map[string]string{"name": name, "suite": "critest"},
		Annotations: map[string]string{"example.com/annotation": "kept as it is, ünchanged"},
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
		}},
	}
}

// pod runs a sandbox, changed as given, and removes it after the case.
func (s *suite) pod(changes ...func(*runtimeapi.PodSandboxConfig)) (string, *runtimeapi.PodSandboxConfig) {
	s.Helper()
	config := s.podConfig()
	for _, change := range changes {
		change(config)
	}
	resp, err := s.runtime.RunPodSandbox(s.ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
	s.must(err)
	s.Cleanup(func() {
		ctx := context.Background() // the case's own has ended
		if _, err := s.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: resp.PodSandboxId}); err != nil {
			s.Error(err)
		}
		if _, err := s.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: resp.PodSandboxId}); err != nil {
			s.Error(err)
		}
	})
	return resp.PodSandboxId, config
}

// containerConfig is a container that runs the tool with args.
func (s *suite) containerConfig(args ...string) *runtimeapi.ContainerConfig {
	return &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: fmt.Sprintf("c%d", s.serial.Add(1))}, Image: &runtimeapi.ImageSpec{Image: s.Image},
		Command: append([]string{tool}, args...), LogPath: "c/0.log", Labels: map[string]string{"suite": "critest"},
		Annotations: map[string]string{"example.com/annotation": "of the container"},
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources: &runtimeapi.LinuxContainerResources{},
			SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
				NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
			},
		},
	}
}

// create makes a container; its error is for the case to judge.
func (s *suite) create(pod string, podConfig *runtimeapi.PodSandboxConfig, config *runtimeapi.ContainerConfig) (string, error) {
	resp, err := s.runtime.CreateContainer(s.ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config, SandboxConfig: podConfig})
	return resp.GetContainerId(), err
}

func (s *suite) start(id string) error {
	_, err := s.runtime.StartContainer(s.ctx, &runtimeapi.StartContainerRequest{ContainerId: id})
	return err
}

// sleeper runs a sandbox with a container that sleeps, changed as given.
func (s *suite) sleeper(changes ...func(*runtimeapi.ContainerConfig)) (pod, id string) {
	s.Helper()
	pod, podConfig := s.pod()
	return pod, s.runIn(pod, podConfig, append([]func(*runtimeapi.ContainerConfig){func(c *runtimeapi.ContainerConfig) {
		c.Command = []string{tool, "sleep", "forever"}
	}}, changes...)...)
}

// runIn starts a container in a sandbox.
func (s *suite) runIn(pod string, podConfig *runtimeapi.PodSandboxConfig, changes ...func(*runtimeapi.ContainerConfig)) string {
	s.Helper()
	config := s.containerConfig()
	for _, change := range changes {
		change(config)
	}
	id, err := s.create(pod, podConfig, config)
	s.must(err)
	s.must(s.start(id))
	return id
}

func (s *suite) status(id string) *runtimeapi.ContainerStatus {
	s.Helper()
	resp, err := s.runtime.ContainerStatus(s.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	s.must(err)
	return resp.Status
}

func (s *suite) podStatus(id string) *runtimeapi.PodSandboxStatus {
	s.Helper()
	resp, err := s.runtime.PodSandboxStatus(s.ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	s.must(err)
	return resp.Status
}

// ended waits until a container has.
func (s *suite) ended(id string) *runtimeapi.ContainerStatus {
	s.Helper()
	tick := s.Clock.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st := s.status(id)
		if st.State == runtimeapi.ContainerState_CONTAINER_EXITED {
			return st
		}
		select {
		case <-tick.C():
		case <-s.ctx.Done():
			s.Fatalf("container %s does not end", id)
		}
	}
}

// inside runs the tool in a container and returns what it wrote.
func (s *suite) inside(id string, args ...string) string {
	s.Helper()
	resp, err := s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: append([]string{tool}, args...), Timeout: 30})
	s.must(err)
	if resp.ExitCode != 0 {
		s.Fatalf("%q ended with %d: %s", args, resp.ExitCode, resp.Stderr)
	}
	return string(resp.Stdout)
}

// fails runs the tool in a container, where it must fail.
func (s *suite) fails(id string, args ...string) string {
	s.Helper()
	resp, err := s.runtime.ExecSync(s.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: append([]string{tool}, args...), Timeout: 30})
	s.must(err)
	if resp.ExitCode == 0 {
		s.Errorf("%q worked: %s", args, resp.Stdout)
	}
	return string(resp.Stderr)
}

// collect reads a stream of lists to its end and returns the IDs of all; an empty list breaks the definition.
func collect[Part any](s *suite, receive func() (*Part, error), idsOf func(*Part) []string) []string {
	s.Helper()
	var all []string
	for {
		part, err := receive()
		if err == io.EOF {
			return all
		}
		s.must(err)
		ids := idsOf(part)
		if len(ids) == 0 {
			s.Error("an empty list")
		}
		all = append(all, ids...)
	}
}
