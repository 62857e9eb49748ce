package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/image"
)

func TestContainerRunsAndEnds(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("hello")
	id := w.run(pod, containerConfig("main", "echo", "hello", "world"))
	s := w.exited(id)
	if s.ExitCode != 0 || s.Reason != "Completed" || s.State != runtimeapi.ContainerState_CONTAINER_EXITED || s.FinishedAt < s.StartedAt {
		t.Errorf("status %v", s)
	}
	if got, want := w.logs(id), "stdout F hello world\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	id = w.run(pod, containerConfig("fails", "fail", "--code", "7"))
	if s := w.exited(id); s.ExitCode != 7 || s.Reason != "Error" {
		t.Errorf("status %v", s)
	}
	if got := w.logs(id); !strings.HasPrefix(got, "stderr F floe-tool: failing") {
		t.Errorf("log %q", got)
	}
}

func TestEnvironmentUserAndHostName(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("env")
	config := containerConfig("main", "print", "env")
	config.Envs = []*runtimeapi.KeyValue{{Key: "GREETING", Value: []byte("hi")}, {Key: "PATH", Value: []byte("/mine")}}
	config.Linux.SecurityContext.RunAsUser = &runtimeapi.Int64Value{Value: 65534}
	config.Linux.SecurityContext.SupplementalGroups = []int64{1234}
	id := w.run(pod, config)
	s := w.exited(id)
	for _, want := range []string{"stdout F GREETING=hi\n", "stdout F PATH=/mine\n", "stdout F HOSTNAME=env\n"} {
		if log := w.logs(id); !strings.Contains(log, want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
	if u := s.User.Linux; u.Uid != 65534 || u.Gid != 65534 || !slices.Equal(u.SupplementalGroups, []int64{1234, 65534}) {
		t.Errorf("user %v", u)
	}
}

func TestExec(t *testing.T) {
	w := newWorld(t)
	id := w.run(w.runPod("exec"), containerConfig("main", "sleep", "forever"))
	exec := func(timeout int64, args ...string) (*runtimeapi.ExecSyncResponse, error) {
		return w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: args, Timeout: timeout})
	}
	got, err := exec(10, "/floe-tool", "echo", "inside")
	if err != nil || string(got.Stdout) != "inside\n" || got.ExitCode != 0 {
		t.Errorf("echo: %v, %v", got, err)
	}
	got, err = exec(10, "/floe-tool", "fail", "--code", "3")
	if err != nil || got.ExitCode != 3 || len(got.Stderr) == 0 {
		t.Errorf("fail: %v, %v", got, err)
	}
	if _, err = exec(1, "/floe-tool", "sleep", "forever"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("timeout: %v", err)
	}
	if _, err = exec(1, "/no-such-thing"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing program: %v", err)
	}
}

// serving waits until a container that serves says so: from then on it hears signals.
func (w *world) serving(id string) {
	w.t.Helper()
	w.logged(id, "serving on")
}

// logged waits until a container has written text.
func (w *world) logged(id, text string) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(w.logs(id), text) {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatalf("the container does not write %q", text)
		}
	}
}

func TestGracefulStopAndKill(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("stop")
	polite := w.run(pod, containerConfig("polite", "serve", "--port", "8081"))
	w.serving(polite)
	if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: polite, Timeout: 60}); err != nil {
		t.Fatal(err)
	}
	if s := w.status(polite); s.ExitCode != 0 || s.Reason != "Completed" {
		t.Errorf("polite: %v", s)
	}
	deaf := containerConfig("deaf", "serve", "--port", "8082")
	deaf.StopSignal = runtimeapi.Signal_SIGWINCH // which nobody handles
	id := w.run(pod, deaf)
	w.serving(id)
	if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 1}); err != nil {
		t.Fatal(err)
	}
	if s := w.status(id); s.ExitCode != 137 || s.Reason != "Error" || s.StopSignal != runtimeapi.Signal_SIGWINCH {
		t.Errorf("deaf: %v", s)
	}
	for range 2 { // stopping what is stopped or unknown succeeds
		if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
			t.Error(err)
		}
		id = "unknown"
	}
}

func TestOutOfMemory(t *testing.T) {
	w := newWorld(t)
	config := containerConfig("main", "burn", "--memory", "100000000")
	config.Linux.Resources.MemoryLimitInBytes = 30 << 20
	id := w.run(w.runPod("oom"), config)
	if s := w.exited(id); s.Reason != "OOMKilled" || s.ExitCode != 137 {
		t.Errorf("status %v", s)
	}
}

func TestStartError(t *testing.T) {
	w := newWorld(t)
	config := containerConfig("main")
	config.Command = []string{"/no-such-thing"}
	id := w.create(w.runPod("starterror"), config)
	_, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id})
	if err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("error %v", err)
	}
	if s := w.exited(id); s.ExitCode != 128 || s.Reason != "StartError" || s.StartedAt == 0 {
		t.Errorf("status %v", s)
	}
	if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("second start: %v", err)
	}
}

func TestMountsAndReadOnlyRoot(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("from outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	config := containerConfig("main", "sleep", "forever")
	config.Mounts = []*runtimeapi.Mount{{HostPath: dir, ContainerPath: "/data", Readonly: true}}
	config.Linux.SecurityContext.ReadonlyRootfs = true
	config.Linux.SecurityContext.NoNewPrivs = true
	id := w.run(w.runPod("mounts"), config)
	mounts := w.inside(id, "mounts")
	for _, want := range []string{" /data ", " / overlay ro", " /proc proc rw", " /sys sysfs ro", " /dev/shm tmpfs rw"} {
		if !strings.Contains(mounts, want) {
			t.Errorf("no %q in\n%s", want, mounts)
		}
	}
	own := w.inside(id, "status")
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t00000000a80425fb", "CapInh:\t0000000000000000"} {
		if !strings.Contains(own, want) {
			t.Errorf("no %q in\n%s", want, own)
		}
	}
	// The C library's own two signals, 32 and 33, come ignored from whoever starts processes with posix_spawn, as make does.
	_, ignored, _ := strings.Cut(own, "SigIgn:\t")
	mask, err := strconv.ParseUint(ignored[:min(16, len(ignored))], 16, 64)
	if err != nil || mask&(1<<31-1) != 0 {
		t.Errorf("ignored signals %#x (error %v), want none of 1 to 31", mask, err)
	}
}

// inside reads a /proc file of a container's first process.
func (w *world) inside(id, name string) string {
	w.t.Helper()
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := os.ReadFile(procPath(c.state.PID, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

func TestPrivilegedAndHostNamespaces(t *testing.T) {
	w := newWorld(t)
	config := w.podConfig("host")
	ns := &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_NODE, Pid: runtimeapi.NamespaceMode_NODE, Ipc: runtimeapi.NamespaceMode_NODE,
	}
	config.Linux.SecurityContext.NamespaceOptions = ns
	resp, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.network.attached) != 0 {
		t.Error("a sandbox on the host's network was attached")
	}
	c := containerConfig("main", "sleep", "forever")
	c.Linux.SecurityContext.NamespaceOptions, c.Linux.SecurityContext.Privileged = ns, true
	id := w.run(resp.PodSandboxId, c)
	container, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"net", "pid", "ipc", "uts"} {
		theirs, err1 := os.Readlink(procPath(container.state.PID, "ns/"+kind))
		ours, err2 := os.Readlink("/proc/self/ns/" + kind)
		if err1 != nil || err2 != nil || theirs != ours {
			t.Errorf("namespace %s is %s, the host's is %s (%v, %v)", kind, theirs, ours, err1, err2)
		}
	}
	if own := w.inside(id, "status"); !strings.Contains(own, "Seccomp:\t0") {
		t.Errorf("a privileged container has a seccomp filter:\n%s", own)
	}
}

func TestTerminal(t *testing.T) {
	w := newWorld(t)
	config := containerConfig("main", "echo", "on a terminal")
	config.Tty = true
	id := w.run(w.runPod("tty"), config)
	w.exited(id)
	if got, want := w.logs(id), "stdout F on a terminal\r\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("refusals")
	for _, c := range []struct {
		name   string
		change func(*runtimeapi.ContainerConfig)
		code   codes.Code
		says   string
	}{
		{"absent image", func(c *runtimeapi.ContainerConfig) { c.Image.Image = "nginx" }, codes.NotFound, "floe images load FILE"},
		{"unknown capability", func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.Capabilities = &runtimeapi.Capability{AddCapabilities: []string{"FLY"}}
		}, codes.InvalidArgument, `"FLY"`},
		{"absent host path", func(c *runtimeapi.ContainerConfig) {
			c.Mounts = []*runtimeapi.Mount{{HostPath: "/no-such-thing", ContainerPath: "/x"}}
		}, codes.InvalidArgument, "/no-such-thing"},
		{"image volume with a host path", func(c *runtimeapi.ContainerConfig) {
			c.Mounts = []*runtimeapi.Mount{{ContainerPath: "/x", HostPath: "/tmp", Image: &runtimeapi.ImageSpec{Image: image.SelfName}}}
		}, codes.InvalidArgument, "both an image"},
		{"absent image as volume", func(c *runtimeapi.ContainerConfig) {
			c.Mounts = []*runtimeapi.Mount{{ContainerPath: "/x", Image: &runtimeapi.ImageSpec{Image: "nginx"}}}
		}, codes.NotFound, "nginx"},
		{"unknown user", func(c *runtimeapi.ContainerConfig) { c.Linux.SecurityContext.RunAsUsername = "who" }, codes.InvalidArgument, "who"},
		{"group without user", func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.RunAsGroup = &runtimeapi.Int64Value{Value: 1}
		}, codes.InvalidArgument, "without user"},
		{"CDI", func(c *runtimeapi.ContainerConfig) { c.CDIDevices = []*runtimeapi.CDIDevice{{Name: "v.com/c=d"}} }, codes.InvalidArgument,
			"CDI device injection failed: unresolvable CDI devices v.com/c=d"},
	} {
		config := containerConfig("main", "echo")
		c.change(config)
		_, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s naming %s", c.name, err, c.code, c.says)
		}
	}
	if _, err := w.rt.PullImage(w.ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: "NO NAME"}}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("pull: %v", err)
	}
	if _, err := w.rt.ContainerStatus(w.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("status of an unknown container: %v", err)
	}
}

func TestSharedProcessNamespace(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("shared")
	config := func(name string) *runtimeapi.ContainerConfig {
		c := containerConfig(name, "sleep", "forever")
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_POD
		return c
	}
	one, two := w.run(pod, config("one")), w.run(pod, config("two"))
	w.stop()
	w.start()
	c, err := w.rt.findContainer(w.ctx, one)
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.rt.findContainer(w.ctx, two)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.Readlink(procPath(c.state.PID, "ns/pid"))
	if err != nil {
		t.Fatal(err)
	}
	if second, err := os.Readlink(procPath(other.state.PID, "ns/pid")); err != nil || first != second {
		t.Errorf("namespaces %s and %s, %v", first, second, err)
	}
	// The first process is nobody's container, and shows nothing of the host.
	for name, args := range map[string][]string{"root": {"/floe-tool", "links", "/proc/1/root"}, "exe": {"/floe-tool", "links", "/proc/1/exe"}} {
		got, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: one, Cmd: args})
		if err != nil || got.ExitCode == 0 || !strings.Contains(string(got.Stderr), "permission denied") {
			t.Errorf("%s of the first process: %v, %v", name, got, err)
		}
	}
	if _, err := w.rt.StopContainer(w.ctx, &runtimeapi.StopContainerRequest{ContainerId: one}); err != nil {
		t.Fatal(err)
	}
	if s := w.status(two); s.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		t.Errorf("the other container is %s", s.State)
	}
}

func TestImageVolumes(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("volumes")
	config := containerConfig("main", "sleep", "forever")
	config.Mounts = []*runtimeapi.Mount{
		{ContainerPath: "/whole", Image: &runtimeapi.ImageSpec{Image: image.SelfName}},
		{ContainerPath: "/part", Image: &runtimeapi.ImageSpec{Image: image.SelfName}, ImageSubPath: "etc"},
	}
	id := w.run(pod, config)
	mounts := w.inside(id, "mounts")
	for _, want := range []string{" /whole ", " /part "} {
		_, rest, ok := strings.Cut(mounts, want)
		line, _, _ := strings.Cut(rest, "\n")
		if !ok || !strings.Contains(line, "ro,") || !strings.Contains(line, "noexec") {
			t.Errorf("%s: %q", want, line)
		}
	}
	got, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/floe-tool", "links", "/part/passwd"}})
	if err != nil || got.ExitCode != 0 {
		t.Errorf("a file of the image: %v, %v", got, err)
	}
	w.stop()
	w.start()
	config = containerConfig("missing", "echo")
	config.Mounts = []*runtimeapi.Mount{{ContainerPath: "/part", Image: &runtimeapi.ImageSpec{Image: image.SelfName}, ImageSubPath: "no/such"}}
	_, err = w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: w.create(pod, config)})
	if err == nil || !strings.Contains(err.Error(), "no/such") {
		t.Errorf("a path that the image lacks: %v", err)
	}
}
