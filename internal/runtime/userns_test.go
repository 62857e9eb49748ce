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

// firstID is where the IDs of the tests' pods begin on the host.
const firstID = 3 << 16

// ownUsers are a user namespace's options, as kubelets ask for one.
func ownUsers() *runtimeapi.UserNamespace {
	ids := []*runtimeapi.IDMapping{{HostId: firstID, Length: 1 << 16}}
	return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: ids, Gids: ids}
}

// runPodWithUsers runs a sandbox with a user namespace of its own.
func (w *world) runPodWithUsers(name string) string {
	w.t.Helper()
	config := w.podConfig(name)
	config.Linux.SecurityContext.NamespaceOptions.UsernsOptions = ownUsers()
	resp, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.PodSandboxId
}

// withOwnUsers is a container for such a sandbox.
func withOwnUsers(c *runtimeapi.ContainerConfig) *runtimeapi.ContainerConfig {
	c.Linux.SecurityContext.NamespaceOptions.UsernsOptions = ownUsers()
	return c
}

func TestUserNamespace(t *testing.T) {
	w := newWorld(t)
	pod := w.runPodWithUsers("own")
	id := w.run(pod, withOwnUsers(containerConfig("main", "sleep", "forever")))
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if own := w.inside(id, "uid_map") + w.inside(id, "gid_map"); strings.Count(own, "196608      65536") != 2 {
		t.Errorf("mappings:\n%s", own)
	}
	for kind, ns := range map[string]string{"net": c.pod.nsPath("net"), "ipc": c.pod.nsPath("ipc"), "uts": c.pod.nsPath("uts")} {
		if got := ownerOf(t, ns); got != namespaceOf(t, c.pod.nsPath("user")) {
			t.Errorf("namespace %s does not belong to the pod's user namespace", kind)
		}
	}
	for name, owner := range map[string]uint32{"/floe-tool": firstID, "/etc/passwd": firstID, "/etc/hosts": firstID, "/dev/shm": firstID, "/dev/null": 0} {
		var st unix.Stat_t
		if err := unix.Stat(procPath(c.state.PID, "root"+name), &st); err != nil || st.Uid != owner || st.Gid != owner {
			t.Errorf("%s belongs to %d:%d on the host, want %d (%v)", name, st.Uid, st.Gid, owner, err)
		}
	}
	if out := w.execSync(id, "fill", "4", "/new"); out.ExitCode != 0 {
		t.Fatalf("its root cannot write: %s", out.Stderr)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(w.rt.upper(id), "new"), &st); err != nil || st.Uid != firstID {
		t.Errorf("a new file belongs to %d, want %d (%v)", st.Uid, firstID, err)
	}
	if out := w.execSync(id, "fill", "1", "/proc/sys/kernel/core_pattern"); out.ExitCode == 0 {
		t.Error("its root changed the host's kernel")
	}
	if out := w.execSync(id, "fill", "1", "/dev/stdout"); out.ExitCode != 0 {
		t.Errorf("its root cannot open its own output: %s", out.Stderr)
	}
}

// namespaceOf is the number of a namespace.
func namespaceOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// ownerOf is the number of the user namespace that a namespace belongs to.
func ownerOf(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestUserNamespaceShared has two containers of the pod in one process namespace, which belongs to the pod's users too.
func TestUserNamespaceShared(t *testing.T) {
	w := newWorld(t)
	pod := w.runPodWithUsers("shared")
	config := func(name string) *runtimeapi.ContainerConfig {
		c := withOwnUsers(containerConfig(name, "sleep", "forever"))
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_POD
		return c
	}
	one, two := w.run(pod, config("one")), w.run(pod, config("two"))
	a, b := w.pidNamespace(one), w.pidNamespace(two)
	if namespaceOf(t, a) != namespaceOf(t, b) {
		t.Error("two process namespaces")
	}
	if c, err := w.rt.findContainer(w.ctx, one); err != nil || ownerOf(t, a) != namespaceOf(t, c.pod.nsPath("user")) {
		t.Errorf("the shared process namespace is not the pod's users' (%v)", err)
	}
}

func (w *world) pidNamespace(id string) string {
	w.t.Helper()
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return procPath(c.state.PID, "ns/pid")
}

// TestMappedMounts has a host directory and an image as volumes, whose owners are seen through a mapping of the mount.
func TestMappedMounts(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("mapped"), 0o600); err != nil {
		t.Fatal(err)
	}
	ids := ownUsers().Uids
	config := withOwnUsers(containerConfig("main", "sleep", "forever"))
	config.Mounts = []*runtimeapi.Mount{
		{HostPath: dir, ContainerPath: "/mapped", UidMappings: ids, GidMappings: ids},
		{HostPath: dir, ContainerPath: "/plain"},
		{Image: config.Image, ContainerPath: "/image"},
	}
	id := w.run(w.runPodWithUsers("mounts"), config)
	if out := w.execSync(id, "cat", "/mapped/file"); string(out.Stdout) != "mapped" {
		t.Errorf("a mapped file of root's: %q %s", out.Stdout, out.Stderr)
	}
	if out := w.execSync(id, "cat", "/plain/file"); out.ExitCode == 0 {
		t.Error("the pod's root read a file of the host's root")
	}
	if out := w.execSync(id, "fill", "2", "/mapped/new"); out.ExitCode != 0 {
		t.Errorf("write through a mapped mount: %s", out.Stderr)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "new"), &st); err != nil || st.Uid != 0 {
		t.Errorf("what was written through a mapped mount belongs to %d on the host (%v)", st.Uid, err)
	}
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(procPath(c.state.PID, "root/image/floe-tool"), &st); err != nil || st.Uid != firstID {
		t.Errorf("a file of an image volume belongs to %d (%v)", st.Uid, err)
	}
}

func TestUserNamespacesThatCannotBe(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*runtimeapi.NamespaceOption){
		"no mappings": func(ns *runtimeapi.NamespaceOption) { ns.UsernsOptions.Uids = nil },
		"no root": func(ns *runtimeapi.NamespaceOption) {
			ns.UsernsOptions.Gids = []*runtimeapi.IDMapping{{ContainerId: 5, HostId: firstID, Length: 9}}
		},
		"no length": func(ns *runtimeapi.NamespaceOption) {
			ns.UsernsOptions.Uids = []*runtimeapi.IDMapping{{HostId: firstID}}
		},
		"too far": func(ns *runtimeapi.NamespaceOption) {
			ns.UsernsOptions.Uids = []*runtimeapi.IDMapping{{HostId: 1 << 31, Length: 1 << 31}}
		},
		"host's, mapped": func(ns *runtimeapi.NamespaceOption) { ns.UsernsOptions.Mode = runtimeapi.NamespaceMode_NODE },
		"a container's":  func(ns *runtimeapi.NamespaceOption) { ns.UsernsOptions.Mode = runtimeapi.NamespaceMode_CONTAINER },
		"host's network": func(ns *runtimeapi.NamespaceOption) { ns.Network = runtimeapi.NamespaceMode_NODE },
	} {
		config := w.podConfig("refused")
		config.Linux.SecurityContext.NamespaceOptions.UsernsOptions = ownUsers()
		change(config.Linux.SecurityContext.NamespaceOptions)
		_, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.Unimplemented {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: w.runPodWithUsers("own"), Config: containerConfig("main", "sleep", "forever"),
	})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a container with the host's users in a sandbox with its own: %v", err)
	}
}

// execSync runs floe-tool in a container.
func (w *world) execSync(id string, args ...string) *runtimeapi.ExecSyncResponse {
	w.t.Helper()
	out, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: append([]string{"/floe-tool"}, args...)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
