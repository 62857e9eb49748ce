package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
	"github.com/floe-k8s/floe/internal/runtime/image"
)

// fakeNetwork gives out addresses and remembers who is attached.
type fakeNetwork struct {
	mu       sync.Mutex
	attached map[string]netip.Addr
	fail     error // what Attach answers; nil: it works
}

func (n *fakeNetwork) Attach(_ context.Context, pod PodNetwork) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return nil, n.fail
	}
	var st unix.Statfs_t
	if err := unix.Statfs(pod.NetNSPath, &st); err != nil || st.Type != unix.NSFS_MAGIC {
		return nil, fmt.Errorf("%s is no namespace (%v)", pod.NetNSPath, err)
	}
	if _, ok := n.attached[pod.ID]; !ok {
		n.attached[pod.ID] = netip.AddrFrom4([4]byte{10, 9, 8, byte(len(n.attached) + 2)})
	}
	return []netip.Addr{n.attached[pod.ID]}, nil
}

func (n *fakeNetwork) Detach(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.attached, id)
	return nil
}

func (n *fakeNetwork) Ready(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fail
}

// world is a runtime with everything it needs, in a directory of its own. When the test ends, it checks that nothing is left.
type world struct {
	t       testing.TB
	cfg     Config
	network *fakeNetwork
	rt      *Runtime
	stop    func() // ends rt, as when floe ends: containers go on
	ctx     context.Context
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, nil)
}

// newWorldWith makes a world whose runtimes call fault at named steps.
func newWorldWith(t testing.TB, fault func(string)) *world {
	t.Helper()
	w := worldIn(t, t.TempDir(), fault)
	w.start()
	t.Cleanup(func() {
		w.showShims()
		w.removeAll()
		w.stop()
		w.checkNothingLeft()
	})
	w.loadSelf()
	return w
}

// worldIn makes a world in dir without a runtime yet, and cleans nothing up.
func worldIn(t testing.TB, dir string, fault func(string)) *world {
	w := &world{t: t, network: &fakeNetwork{attached: map[string]netip.Addr{}}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	w.ctx = ctx
	t.Cleanup(cancel)
	w.cfg = Config{
		Root: filepath.Join(dir, "images"), State: filepath.Join(dir, "run"), ShimPath: filepath.Join(programs, "floe-shim"),
		Passage:      "/run/floe-test" + strings.ReplaceAll(dir, "/", "-"), // a test's own directory lets nobody pass
		CgroupParent: fmt.Sprintf("/floe-test-%d/%s", os.Getpid(), filepath.Base(filepath.Dir(dir))), Network: w.network,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), Fault: fault,
	}
	return w
}

// testWriter logs to the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// start makes a runtime on the directories, as a floe that starts.
func (w *world) start() {
	w.t.Helper()
	rt, err := New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	w.rt = rt
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	if err := rt.ready(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) loadSelf() {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "self.tar")
	f, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if err := image.BuildSelf(f, filepath.Join(programs, "floe-tool")); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.rt.Images().LoadFile(w.ctx, path); err != nil {
		w.t.Fatal(err)
	}
}

// showShims adds what the shims had to say to a failed test.
func (w *world) showShims() {
	if !w.t.Failed() {
		return
	}
	for _, s := range w.rt.pods {
		if s.client != nil { // a stuck one shows its goroutines
			_ = unix.Kill(s.client.Hello().PID, unix.SIGQUIT)
			<-s.gone
		}
	}
	logs, _ := filepath.Glob(filepath.Join(w.cfg.State, "*", "shim.log"))
	for _, path := range logs {
		data, _ := os.ReadFile(path)
		w.t.Logf("%s:\n%s", path, data)
	}
}

// removeAll removes all sandboxes.
func (w *world) removeAll() {
	list, err := w.rt.ListPodSandbox(w.ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		w.t.Error(err)
		return
	}
	for _, s := range list.Items {
		if _, err := w.rt.RemovePodSandbox(w.ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.Id}); err != nil {
			w.t.Error(err)
		}
	}
}

// checkNothingLeft counts what a runtime without sandboxes must not hold: mounts, cgroups, processes, files, network attachments.
func (w *world) checkNothingLeft() {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		w.t.Error(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, w.cfg.State) || strings.Contains(line, w.cfg.Root) {
			w.t.Errorf("mount left: %s", line)
		}
	}
	host, err := cgroup.Detect()
	if err != nil {
		w.t.Fatal(err)
	}
	if pids, err := host.Processes(w.cfg.CgroupParent); err != nil || len(pids) > 0 {
		w.t.Errorf("processes left: %v (%v)", pids, err)
	}
	for _, m := range host.V1 {
		if left, _ := filepath.Glob(filepath.Join(m, w.cfg.CgroupParent, "*", "tasks")); len(left) > 0 {
			w.t.Errorf("cgroups left: %v", left)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.cfg.State, "*")); len(left) != 1 { // the lock
		w.t.Errorf("files left: %v", left)
	}
	for _, dir := range []string{"containers", "pins", "tmp"} {
		if left, _ := filepath.Glob(filepath.Join(w.cfg.Root, dir, "*")); len(left) > 0 {
			w.t.Errorf("files left: %v", left)
		}
	}
	if err := os.Remove(w.cfg.Passage); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("root file systems left: %v", err)
	}
	if len(w.network.attached) > 0 {
		w.t.Errorf("attached to the network: %v", w.network.attached)
	}
	if err := host.Remove(w.cfg.CgroupParent); err != nil {
		w.t.Error(err)
	}
	_ = host.Remove(filepath.Dir(w.cfg.CgroupParent)) // the last test's removal succeeds
}

// podConfig is a sandbox as the node agent asks for one.
func (w *world) podConfig(name string) *runtimeapi.PodSandboxConfig {
	return &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "default", Uid: "uid-" + name}, Hostname: name,
		LogDirectory: filepath.Join(filepath.Dir(w.cfg.Root), "logs", name),
		Labels:       map[string]string{"app": name},
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
		}},
	}
}

func (w *world) runPod(name string) string {
	w.t.Helper()
	resp, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: w.podConfig(name)})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.PodSandboxId
}

// containerConfig is a container as the node agent asks for one, running floe-tool with args.
func containerConfig(name string, args ...string) *runtimeapi.ContainerConfig {
	return &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: name}, Image: &runtimeapi.ImageSpec{Image: image.SelfName}, Args: args,
		LogPath: name + "/0.log",
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources: &runtimeapi.LinuxContainerResources{CpuShares: 102, OomScoreAdj: 1000},
			SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
				NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
				Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
			},
		},
	}
}

func (w *world) create(pod string, config *runtimeapi.ContainerConfig) string {
	w.t.Helper()
	resp, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.ContainerId
}

func (w *world) run(pod string, config *runtimeapi.ContainerConfig) string {
	w.t.Helper()
	id := w.create(pod, config)
	if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) status(id string) *runtimeapi.ContainerStatus {
	w.t.Helper()
	resp, err := w.rt.ContainerStatus(w.ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Status
}

// exited waits for the end of a container and returns its status.
func (w *world) exited(id string) *runtimeapi.ContainerStatus {
	w.t.Helper()
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-c.exited:
	case <-w.ctx.Done():
		w.t.Fatalf("container %s did not end", id)
	}
	return w.status(id)
}

// logs returns the messages of a container's log, as "stream tag message".
func (w *world) logs(id string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.status(id).LogPath)
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		stamp, rest, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil {
			w.t.Errorf("log entry %q: %v", line, err)
		}
		b.WriteString(rest)
	}
	return b.String()
}
