package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestHostileRequestsAreRefused asks for what would reach out of a container, or hold more than is bounded.
func TestHostileRequestsAreRefused(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("hostile")
	for name, c := range map[string]struct {
		change func(*runtimeapi.ContainerConfig)
		says   string
	}{
		"a log that climbs out":  {func(c *runtimeapi.ContainerConfig) { c.LogPath = "../../../etc/cron.d/x" }, "leads out"},
		"an absolute log":        {func(c *runtimeapi.ContainerConfig) { c.LogPath = "/etc/cron.d/x" }, "leads out"},
		"a relative working dir": {func(c *runtimeapi.ContainerConfig) { c.WorkingDir = "../.." }, "not absolute"},
		"a huge environment": {func(c *runtimeapi.ContainerConfig) {
			c.Envs = []*runtimeapi.KeyValue{{Key: "X", Value: []byte(strings.Repeat("x", 6<<20))}}
		}, "at most"},
	} {
		config := containerConfig("main", "echo")
		c.change(config)
		_, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	for name, value := range map[string]string{"kernel.../../x": "1", "net/ipv4": "1", "vm.swappiness": "1", "kernel.core_pattern": "|/x"} {
		config := w.podConfig("sysctl")
		config.Linux.Sysctls = map[string]string{name: value}
		if _, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("sysctl %s: %v", name, err)
		}
	}
}

// TestMountsStayInside mounts onto places that lead out of the container by links and by /proc: the host's own stay as they are.
func TestMountsStayInside(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("inside")
	outside, source := filepath.Join(t.TempDir(), "outside"), t.TempDir()
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	trap := t.TempDir() // a volume in which a container left links
	for name, target := range map[string]string{"link": outside, "climb": "../../../../../../../../" + outside, "proc": "/proc/1/root" + outside} {
		if err := os.Symlink(target, filepath.Join(trap, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"/trap/link", "/trap/climb", "/trap/proc", "/proc/self/cwd", "/proc/1/root", "/proc/sys", "/../../escape"} {
		config := containerConfig("c"+strings.ReplaceAll(target, "/", "-"), "sleep", "forever")
		config.Mounts = []*runtimeapi.Mount{{HostPath: trap, ContainerPath: "/trap"}, {HostPath: source, ContainerPath: target}}
		created, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
		if err == nil {
			_, err = w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId})
		}
		if strings.HasPrefix(target, "/proc") && err == nil {
			t.Errorf("a mount on %s was accepted", target)
		}
		mounts, readErr := os.ReadFile("/proc/self/mountinfo")
		if readErr != nil || strings.Contains(string(mounts), " "+outside) || strings.Contains(string(mounts), " /escape") {
			t.Errorf("%s: the host has a mount of it (start: %v)", target, err)
		}
		if entries, readErr := os.ReadDir(outside); readErr != nil || len(entries) > 0 {
			t.Errorf("%s: the host's directory has %v", target, entries)
		}
	}
}

// TestLogIsNoLink puts links and a pipe where a container's log belongs.
func TestLogIsNoLink(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("log")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(string) error{
		"link": func(path string) error { return os.Symlink(victim, path) },
		"pipe": func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		config := containerConfig(name, "echo", "overwritten")
		path := filepath.Join(w.podConfig("log").LogDirectory, config.LogPath)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		id := w.create(pod, config)
		if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err == nil || !strings.Contains(err.Error(), "container log") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "untouched" {
		t.Errorf("the link's target holds %q, %v", data, err)
	}
}
