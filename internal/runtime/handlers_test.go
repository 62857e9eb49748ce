package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
)

// The programs are Debian's crun and runc, which hack/deps installs.

// newWorldOf makes a world whose runtime has handlers of those names.
func newWorldOf(t *testing.T, handlers map[string]Handler) *world {
	t.Helper()
	w := newWorld(t)
	w.stop()
	w.cfg.Handlers = handlers
	w.start()
	return w
}

func (w *world) runPodOf(handler string) (string, error) {
	config := w.podConfig("pod-" + handler)
	resp, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
	return resp.GetPodSandboxId(), err
}

func programAt(t *testing.T, name string) Handler {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; hack/deps installs it", err)
	}
	return Handler{Program: path}
}

func TestHandlers(t *testing.T) {
	names := []string{"runc"}
	if host, err := cgroup.Detect(); err != nil {
		t.Fatal(err)
	} else if host.V2() || host.Unified == "" {
		names = append(names, "crun") // which refuses hosts that have controllers of both versions
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, map[string]Handler{name: programAt(t, name)})
			pod, err := w.runPodOf(name)
			if err != nil {
				t.Fatal(err)
			}
			w.runsByHandler(pod)
			w.execsByHandler(pod)
			w.survivesByHandler(pod, name)
			w.failsByHandler(pod)
		})
	}
}

// runsByHandler looks at output, exit code, reason and cgroup of a container.
func (w *world) runsByHandler(pod string) {
	w.t.Helper()
	id := w.run(pod, containerConfig("echo", "echo", "hello", "there"))
	if st := w.exited(id); st.ExitCode != 0 || st.Reason != "Completed" {
		w.t.Errorf("ended with %d, %s: %s", st.ExitCode, st.Reason, st.Message)
	}
	if got := w.logs(id); got != "stdout F hello there\n" {
		w.t.Errorf("log %q", got)
	}
	if st := w.exited(w.run(pod, containerConfig("fail", "fail", "--code", "7"))); st.ExitCode != 7 || st.Reason != "Error" {
		w.t.Errorf("ended with %d, %s, want 7, Error", st.ExitCode, st.Reason)
	}
	config := containerConfig("burn", "burn", "--memory", "100000000")
	config.Linux.Resources = &runtimeapi.LinuxContainerResources{MemoryLimitInBytes: 32 << 20}
	if st := w.exited(w.run(pod, config)); st.Reason != "OOMKilled" {
		w.t.Errorf("too much memory: ended with %d, %s", st.ExitCode, st.Reason)
	}
}

// execsByHandler runs more processes in a container, changes its limits and stops it.
func (w *world) execsByHandler(pod string) {
	w.t.Helper()
	config := containerConfig("main", "sleep", "forever")
	config.Linux.SecurityContext.RunAsUser = &runtimeapi.Int64Value{Value: 1234}
	id := w.run(pod, config)
	out := w.execSync(id, "cat", "/proc/self/status")
	if out.ExitCode != 0 || !strings.Contains(string(out.Stdout), "Uid:\t1234") || !strings.Contains(string(out.Stdout), "Seccomp:\t2") {
		w.t.Errorf("exec: %d %s%s", out.ExitCode, out.Stdout, out.Stderr)
	}
	if out := w.execSync(id, "fail", "--code", "9"); out.ExitCode != 9 {
		w.t.Errorf("exec ended with %d, want 9: %s", out.ExitCode, out.Stderr)
	}
	_, err := w.rt.UpdateContainerResources(w.ctx, &runtimeapi.UpdateContainerResourcesRequest{
		ContainerId: id, Linux: &runtimeapi.LinuxContainerResources{CpuShares: 512, MemoryLimitInBytes: 64 << 20},
	})
	if err != nil {
		w.t.Errorf("update: %v", err)
	}
	if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 30}); err != nil {
		w.t.Fatal(err)
	}
	if st := w.exited(id); st.ExitCode != 0 { // floe-tool ends at SIGTERM with 0
		w.t.Errorf("stopped: %d, %s", st.ExitCode, st.Reason)
	}
}

// survivesByHandler restarts the runtime under a container, which then is killed with the sandbox.
func (w *world) survivesByHandler(pod, name string) {
	w.t.Helper()
	config := containerConfig("tty", "print", "terminal")
	config.Tty, config.Stdin = true, true
	tty := w.run(pod, config)
	id := w.run(pod, containerConfig("lasting", "sleep", "forever"))
	w.stop()
	w.start()
	for _, c := range []string{id, tty} {
		if st := w.status(c); st.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
			w.t.Errorf("after a restart it is %s: %d %s", st.State, st.ExitCode, st.Message)
		}
	}
	resp, err := w.rt.PodSandboxStatus(w.ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: pod})
	if err != nil || resp.Status.RuntimeHandler != name {
		w.t.Errorf("handler told: %q (%v)", resp.GetStatus().GetRuntimeHandler(), err)
	}
}

// failsByHandler starts what cannot be.
func (w *world) failsByHandler(pod string) {
	w.t.Helper()
	config := containerConfig("absent")
	config.Command = []string{"/no/such/program"}
	id := w.create(pod, config)
	_, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id})
	if err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		w.t.Errorf("a program that is not there: %v", err)
	}
	if st := w.exited(id); st.ExitCode != 128 || st.Reason != "StartError" {
		w.t.Errorf("it is %d, %s", st.ExitCode, st.Reason)
	}
}

func TestMissingHandlers(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, map[string]Handler{"absent": {Program: "/no/such/crun"}, "plain": {Program: plain}, "runc": programAt(t, "runc")})
	for name, want := range map[string]string{
		"unknown": `no runtime for "unknown" is configured`, "absent": "/no/such/crun: no such file or directory", "plain": "is not an executable file",
	} {
		if _, err := w.runPodOf(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	resp, err := w.rt.Status(w.ctx, &runtimeapi.StatusRequest{Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.RuntimeHandlers); n != 2 || resp.RuntimeHandlers[0].Name != "" || resp.RuntimeHandlers[1].Name != "runc" {
		t.Errorf("handlers: %v", resp.RuntimeHandlers)
	}
	if !strings.Contains(resp.Info["degraded"], "/no/such/crun") {
		t.Errorf("nothing is said of the missing one: %s", resp.Info)
	}
	config := w.podConfig("users")
	config.Linux.SecurityContext.NamespaceOptions.UsernsOptions = ownUsers()
	_, err = w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: "runc"})
	if h := w.rt.handlers["runc"]; !h.features().users && status.Code(err) != codes.Unimplemented {
		t.Errorf("user namespaces by a program without them: %v", err)
	}
}
